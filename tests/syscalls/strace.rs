//! The kernel's side of the count: strace, attached to the server while it
//! works.

use crate::load::Load;
use crate::server::Server;
use crate::tally::Calls;
use crate::wire;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

/// What this machine lacks for a check.
pub(crate) struct Lack(pub(crate) String);

/// A running strace, ended when it is dropped.
struct Tracer {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Tracer {
    /// Attaches to all threads of a server, and returns once it sees them.
    fn attach(server: &Server, how: &[&str]) -> Result<Self, Lack> {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &server.pid().to_string()]).args(how);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(why) if why.kind() == ErrorKind::NotFound => {
                return Err(Lack("strace is absent".to_owned()));
            }
            Err(why) => panic!("strace: {why}"),
        };
        let said = BufReader::new(child.stderr.take().expect("piped"));
        let mut tracer = Self { child, said };
        let mut line = String::new();
        tracer.said.read_line(&mut line).expect("text");
        if !line.contains("attached") {
            return Err(Lack(format!("strace can't attach ({})", line.trim())));
        }
        Ok(tracer)
    }

    /// Lets go of the server; answers what strace says then.
    fn finish(mut self) -> String {
        self.interrupt();
        let mut text = String::new();
        self.said.read_to_string(&mut text).expect("text");
        text
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status();
        assert!(sent.expect("every system has a shell").success(), "strace ended by itself");
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Were it killed, the server would stay stopped.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.interrupt();
        }
        let _reaped = self.child.wait();
    }
}

/// What strace counts for some work.
pub(crate) fn counted(load: &mut Load, work: impl FnOnce(&mut Load)) -> Result<Calls, Lack> {
    let tracer = Tracer::attach(&load.server, &["-c", "-U", "calls,errors,name"])?;
    work(load);
    Ok(parse(&tracer.finish()))
}

/// Lines of `calls errors name`, the second left blank where it is zero.
fn parse(summary: &str) -> Calls {
    let mut calls = Calls::default();
    for line in summary.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (all, errors, name) = match words[..] {
            [all, name] => (all.parse(), Ok(0), name),
            [all, errors, name] => (all.parse(), errors.parse(), name),
            _ => continue,
        };
        // What was going on when it came or went.
        let is_seam = ["total", "restart_syscall"].contains(&name);
        if let (Ok(all), Ok(errors)) = (all, errors)
            && !is_seam
        {
            calls.add(name, all, errors);
        }
    }
    calls
}

/// Each call as strace writes it, in a file.
pub(crate) struct Lines {
    tracer: Tracer,
    path: PathBuf,
}

impl Lines {
    /// Begins to look at a server.
    pub(crate) fn of(server: &Server) -> Result<Self, Lack> {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("strace-{}", std::process::id()));
        let tracer = Tracer::attach(server, &["-o", path.to_str().expect("text")])?;
        wire::eventually("strace has a file", || path.exists());
        Ok(Self { tracer, path })
    }

    /// All so far.
    pub(crate) fn read(&mut self) -> String {
        fs::read_to_string(&self.path).expect("strace has made it")
    }

    /// Lets go of the server.
    pub(crate) fn finish(self) {
        self.tracer.finish();
        fs::remove_file(&self.path).expect("ours");
    }
}
