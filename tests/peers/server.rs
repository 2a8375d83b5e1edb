//! The real release binary, started as a user would start it.

use crate::program::{Outcome, Program, Stage};
use nearlight::sys::affinity::allowed_cpus;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// The stream that every check publishes.
pub(crate) const NAME: &str = "live/a";

/// The release binary called `name`. The checks are about what users run, so
/// the debug build that cargo makes for tests won't do.
pub(crate) fn binary(name: &str) -> Outcome<PathBuf> {
    let debug = PathBuf::from(env!("CARGO_BIN_EXE_nearlight"));
    let profiles = debug.parent().and_then(|folder| folder.parent());
    let path = profiles.map(|folder| folder.join("release").join(name)).unwrap_or_default();
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} is not there; build it with: cargo build --release --workspace --bins",
        path.display()
    ))
}

/// `nearlight serve` with a listener of each kind, on ports of the kernel's
/// choice. It is gone when this is dropped.
pub(crate) struct Server {
    program: Program,
    /// `127.0.0.1:PORT` that takes the stream over TCP.
    pub(crate) tcp_in: String,
    /// `127.0.0.1:PORT` that gives the stream over TCP.
    pub(crate) tcp_out: String,
    /// `127.0.0.1:PORT` that takes the stream over UDP.
    pub(crate) udp_in: String,
    /// `127.0.0.1:PORT` that speaks HTTP.
    pub(crate) http: String,
    /// `127.0.0.1:PORT` that speaks RTMP.
    pub(crate) rtmp: String,
    /// Keeps what is printed after `ready` flowing.
    _lines: Receiver<String>,
}

impl Server {
    /// Starts the server with `more` arguments and waits until it is ready.
    ///
    /// Lag may grow to 10 s here: these checks compare bytes, and on a busy
    /// machine a skip would be right and the comparison wrong.
    pub(crate) fn start(stage: &Stage, more: &[String]) -> Outcome<Self> {
        let listeners = [
            format!("tcp://127.0.0.1:0?publish={NAME}"),
            format!("tcp://127.0.0.1:0?subscribe={NAME}"),
            format!("udp://127.0.0.1:0?publish={NAME}&timeout=1s"),
            "http://127.0.0.1:0".to_owned(),
            "rtmp://127.0.0.1:0".to_owned(),
        ];
        let mut args = vec!["--max-lag".to_owned(), "10s".to_owned()];
        // The tests end to end have the default, one shard.
        if let Ok(cpus) = allowed_cpus()
            && let [one, other, ..] = cpus[..]
        {
            args.extend(["--cpus".to_owned(), format!("{one},{other}")]);
        }
        args.extend(listeners.into_iter().flat_map(|url| ["--listen".to_owned(), url]));
        args.extend_from_slice(more);
        let (program, addresses, lines) = serve(stage, &args)?;
        let [tcp_in, tcp_out, udp_in, http, rtmp] = <[String; 5]>::try_from(addresses)
            .map_err(|got| format!("server: wanted 5 listening lines, got {got:?}"))?;
        Ok(Self { program, tcp_in, tcp_out, udp_in, http, rtmp, _lines: lines })
    }

    /// Asks the server to end, which must take 2 s at most, with status 0.
    pub(crate) fn stop(mut self) -> Outcome {
        self.program.signal("TERM");
        self.program.succeed(Duration::from_secs(3))
    }

    /// The end of the server's log.
    pub(crate) fn last_words(&self) -> String {
        format!("server: {}", self.program.last_words())
    }
}

/// Starts `nearlight serve` with `args`, waits until it is ready, and answers
/// `127.0.0.1:PORT` of each listener, and what else it prints.
pub(crate) fn serve(
    stage: &Stage,
    args: &[String],
) -> Outcome<(Program, Vec<String>, Receiver<String>)> {
    let mut command = Command::new(binary("nearlight")?);
    command.arg("serve").args(args).stdout(Stdio::piped());
    let mut program = Program::spawn(stage, "server", command)?;
    let lines = lines_of(&mut program);
    let mut addresses = Vec::new();
    loop {
        let line = lines
            .recv_timeout(Duration::from_secs(5))
            .map_err(|_| format!("server: not ready in time; {}", program.last_words()))?;
        if line == "ready" {
            return Ok((program, addresses, lines));
        }
        let url =
            line.strip_prefix("listening ").ok_or_else(|| format!("server: '{line}' on stdout"))?;
        addresses.push(authority(url)?);
    }
}

/// Lines of the program's standard output, as they come.
fn lines_of(program: &mut Program) -> Receiver<String> {
    let (sender, receiver) = channel();
    let stdout = program.child().stdout.take().expect("stdout is piped");
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once the check is over; the pipe is
            // still read, so that the server never blocks on it.
            let _heard = sender.send(line);
        }
    });
    receiver
}

/// `127.0.0.1:PORT` of a URL, with a real port.
fn authority(url: &str) -> Outcome<String> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or("");
    match authority.rsplit_once(':') {
        Some(("127.0.0.1", port)) if port.parse::<u16>().is_ok_and(|port| port != 0) => {
            Ok(authority.to_owned())
        }
        _ => Err(format!("server: no real port in 'listening {url}'")),
    }
}
