//! The server under test: a child process, what it printed, and what it says
//! of itself over HTTP and in `/proc`.

use crate::wire::{self, Reply, eventually};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

/// Clock ticks of a second in `/proc/PID/stat`: USER_HZ, the same everywhere.
const TICKS: u64 = 100;

/// Always the first listener: where the server is asked how it is.
const PAGES: &str = "http://127.0.0.1:0";

/// A running server, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// What `listening` said, in order; the first is [`PAGES`].
    pub(crate) urls: Vec<String>,
    stdout: Receiver<String>,
    log: Arc<Mutex<String>>,
    /// One connection for every question: it counts as one, always.
    asking: Mutex<Option<TcpStream>>,
}

/// The binary with arguments, nothing of it started yet.
pub(crate) fn nearlight(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearlight"));
    command.args(args).stdin(Stdio::null());
    command
}

impl Server {
    /// Serves the pages and `listeners`.
    pub(crate) fn start(listeners: &[&str]) -> Self {
        Self::start_with(listeners, &["-v"])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(listeners: &[&str], more: &[&str]) -> Self {
        let mut server = Self::spawn(nearlight(&serve_args(listeners, more)));
        server.read_log();
        server
    }

    /// The same, with nobody who reads its stderr.
    pub(crate) fn start_unread(listeners: &[&str], more: &[&str]) -> Self {
        Self::spawn(nearlight(&serve_args(listeners, more)))
    }

    /// The same, with at most `files` descriptors.
    pub(crate) fn start_with_files(files: u32, listeners: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_nearlight")]);
        shell.args(serve_args(listeners, &["-v"]));
        let mut server = Self::spawn(shell);
        server.read_log();
        server
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let lines = lines_of(child.stdout.take().expect("piped"));
        let mut server = Self {
            child,
            urls: Vec::new(),
            stdout: lines,
            log: Arc::default(),
            asking: Mutex::default(),
        };
        loop {
            let Ok(line) = server.stdout.recv_timeout(wire::PATIENCE) else {
                let mut said = String::new();
                let _ended = server.child.kill();
                let stderr = server.child.stderr.take();
                let _read = stderr.map(|mut pipe| pipe.read_to_string(&mut said));
                panic!("the server is not ready: {said}");
            };
            match line.strip_prefix("listening ") {
                Some(url) => server.urls.push(url.to_owned()),
                None => break assert_eq!(line, "ready", "on stdout"),
            }
        }
        server
    }

    /// What came on stdout after `ready`, once the server has ended.
    pub(crate) fn late_stdout(&self) -> Vec<String> {
        self.stdout.iter().collect()
    }

    /// Starts to read stderr.
    pub(crate) fn read_log(&mut self) {
        let stderr = self.child.stderr.take().expect("nobody reads it yet");
        let log = Arc::clone(&self.log);
        let lines = lines_of(stderr);
        thread::spawn(move || {
            for line in lines {
                let mut log = log.lock().expect("not poisoned");
                log.push_str(&line);
                log.push('\n');
            }
        });
    }

    /// Everything on stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Waits for a text on stderr.
    pub(crate) fn wait_for_log(&self, text: &str) {
        eventually(&format!("a log line with '{text}'"), || self.log().contains(text));
    }

    /// Where the `n`th of the listeners given is; the pages don't count.
    pub(crate) fn at(&self, n: usize) -> SocketAddr {
        address(&self.urls[n + 1])
    }

    /// Where the pages are: the HTTP listener of every test.
    pub(crate) fn http(&self) -> SocketAddr {
        address(&self.urls[0])
    }

    /// `http://addr/path` or `ws://addr/path`.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.http())
    }

    /// The answer to a GET, and what follows it.
    pub(crate) fn get(&self, path: &str) -> (Reply, TcpStream) {
        let request = wire::request("GET", path, self.http(), "");
        let mut socket = wire::sent(self.http(), request.as_bytes());
        (Reply::read(&mut socket).expect("an answer"), socket)
    }

    /// A publisher over HTTP that has sent `bytes` of a body that goes on.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> TcpStream {
        let request = wire::request("PUT", path, self.http(), "Content-Length: 100000000\r\n");
        wire::sent(self.http(), &[request.as_bytes(), bytes].concat())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for a page, on the one connection that does.
    pub(crate) fn page(&self, path: &str) -> String {
        let mut asking = self.asking.lock().expect("not poisoned");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.http());
        // The server ends it after half a minute without a question.
        for _ in 0..2 {
            let socket = asking.get_or_insert_with(|| wire::connect(self.http()));
            if let Ok(reply) = Reply::of(socket, request.as_bytes()) {
                assert_eq!(reply.status, 200, "{path}: {}", reply.text());
                return reply.text();
            }
            *asking = None;
        }
        panic!("{path}: no answer");
    }

    /// The value of a counter of `/metrics`, `nearlight_` left out; labels as
    /// they stand there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.page("/metrics");
        let of = |line: &str| {
            let value = line.strip_prefix("nearlight_")?.strip_prefix(name)?.strip_prefix(' ')?;
            value.parse().ok()
        };
        page.lines().find_map(of).unwrap_or_else(|| panic!("no metric {name} in:\n{page}"))
    }

    /// Refusals for `reason`.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.metric(&format!("refused_total{{reason=\"{reason}\"}}"))
    }

    /// Refusals for whatever reason.
    pub(crate) fn refusals(&self) -> u64 {
        let page = self.page("/metrics");
        let lines = page.lines().filter(|line| line.starts_with("nearlight_refused_total{"));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
    }

    /// Connections that are open, the asking one left out.
    pub(crate) fn connections(&self) -> u64 {
        let page = self.page("/metrics");
        let of = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<u64>().ok()).expect("in every answer")
        };
        of("nearlight_accepted_total ") - of("nearlight_closed_total ") - 1
    }

    /// A number that `/api/streams` says of a stream; `None` if it isn't live.
    pub(crate) fn stream(&self, name: &str, key: &str) -> Option<u64> {
        let page = self.page("/api/streams");
        let (_, rest) = page.split_once(&format!("{{\"name\":\"{name}\","))?;
        let object = &rest[..rest.find('}')?];
        let (_, value) = object.split_once(&format!("\"{key}\":"))?;
        value.split(',').next()?.parse().ok()
    }

    /// Waits until a stream is live, or is not.
    pub(crate) fn wait_for_stream(&self, name: &str, live: bool) {
        let what = format!("stream {name}, live: {live}");
        eventually(&what, || self.stream(name, "epoch").is_some() == live);
    }

    /// Waits until a live stream has so many subscribers on connections.
    pub(crate) fn wait_for_subscribers(&self, name: &str, count: u64) {
        let what = format!("{count} subscribers of {name}");
        eventually(&what, || self.stream(name, "subscribers") == Some(count));
    }

    /// Private memory in KiB: RssAnon of `/proc/PID/status`. Nothing, where
    /// `IT_SANITIZED` is set: a sanitizer keeps what the server gives back.
    pub(crate) fn memory(&self) -> u64 {
        if std::env::var_os("IT_SANITIZED").is_some() {
            return 0;
        }
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|value| value.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok()).expect("every process has it")
    }

    /// CPU time used so far, in milliseconds: utime and stime.
    pub(crate) fn cpu(&self) -> u64 {
        let stat = self.proc("stat");
        // The name, in parentheses, may hold anything; fields count from it.
        let (_, fields) = stat.rsplit_once(')').expect("the name");
        let times = fields.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().expect("a number") * 1000 / TICKS).sum()
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(path).expect("it runs")
    }

    /// Asks the server to stop.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        // A question that is open would be waited for.
        *self.asking.lock().expect("not poisoned") = None;
        let kill = format!("kill -{name} {}", self.pid());
        let done = Command::new("sh").args(["-c", &kill]).status();
        assert!(done.expect("every system has a shell").success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server's end", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("just seen")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the server's stderr ---\n{}", self.log());
        }
    }
}

fn serve_args<'a>(listeners: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["serve", "--listen", PAGES];
    for listener in listeners {
        args.extend(["--listen", listener]);
    }
    args.extend(more);
    if let Some(cpus) = cpus() {
        args.extend(["--cpus", cpus]);
    }
    args
}

/// `IT_CPUS=0,1`: every server of these tests has a shard on each of these.
fn cpus() -> Option<&'static str> {
    static CPUS: OnceLock<Option<String>> = OnceLock::new();
    CPUS.get_or_init(|| std::env::var("IT_CPUS").ok()).as_deref()
}

/// Lines of a pipe as they come.
fn lines_of<R: Read + Send + 'static>(pipe: R) -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The address in a listener's URL.
pub(crate) fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").expect("a URL");
    let end = rest.find(['?', '/']).unwrap_or(rest.len());
    rest[..end].parse().expect("an address")
}
