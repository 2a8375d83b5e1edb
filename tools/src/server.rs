//! A `nearlight serve` of our own on loopback, for as long as it is measured:
//! found, started with given settings, heard until it is ready, and ended.
//!
//! It never outlives this process: it is ended when its handle goes, and by
//! the kernel should this process be killed. It has a process group of its own,
//! so that a Ctrl-C for us does not end it in the middle of a probe.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use nearlight::base::Instant;
use nearlight::base::units::format_duration;
use nearlight::limits::DRAIN_TIME;
use nearlight::sys::child::{Tell, end_with_this_thread, tell};
use nearlight::sys::clock::Clock;
use nearlight::sys::wait::wait_readable;

/// What the binary is called.
const NAME: &str = "nearlight";
/// A server that is not ready by then never will be: it takes milliseconds,
/// and tenths of a second on a machine that does ten things at once.
const START: Duration = Duration::from_secs(10);
/// Beyond the time that it gives its connections, before it is killed.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long is waited for the last words of one that doesn't answer.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Lines of its complaints that are kept.
const LAST_LINES: usize = 10;
/// Bytes of a line; a longer one is cut.
const LINE: usize = 4096;

/// What a private server listens to: port 0 is any free one.
const LISTENERS: [&str; 4] = [
    "tcp://127.0.0.1:0?publish=probe&framing=raw",
    "tcp://127.0.0.1:0?subscribe=probe",
    "tcp://127.0.0.1:0?echo",
    "udp://127.0.0.1:0?echo",
];

/// Where a private server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    /// What is sent here is stream `probe`, framing raw.
    pub(crate) publish: SocketAddr,
    /// Who connects here gets it.
    pub(crate) subscribe: SocketAddr,
    /// TCP echo.
    pub(crate) echo: SocketAddr,
    /// UDP echo.
    pub(crate) udp_echo: SocketAddr,
}

/// Finds the server's binary: `asked`, else beside this one, else in `$PATH`.
///
/// # Errors
/// Says where it was looked for and what to do.
pub(crate) fn find(asked: Option<&str>) -> Result<PathBuf, String> {
    if let Some(path) = asked {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("--server: there is no file '{}'", path.display()))
        };
    }
    let beside = std::env::current_exe().ok().and_then(|me| Some(me.parent()?.join(NAME)));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let inside = std::env::split_paths(&paths).map(|folder| folder.join(NAME));
    let found = beside.iter().cloned().chain(inside).find(|path| path.is_file());
    found.ok_or_else(|| {
        let beside = beside.map_or_else(String::new, |path| format!("{} and ", path.display()));
        format!(
            "there is no {NAME} to measure: looked for {beside}{NAME} in $PATH; build it (cargo \
             build --release) or say where it is (--server PATH)"
        )
    })
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    stdout: ChildStdout,
    /// `None` once it has ended.
    stderr: Option<ChildStderr>,
    said: Lines,
    complaints: Lines,
    /// Where it listens.
    pub(crate) doors: Doors,
}

impl Server {
    /// Starts `program` with the flags of `settings`, and waits until it is
    /// ready. Call it from the main thread, and from one that is not pinned:
    /// the server ends with the thread, and may run where that may.
    ///
    /// # Errors
    /// It can't be started, or ends instead of listening: in its own words.
    pub(crate) fn start(program: &Path, settings: &[String]) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["serve", "-q"]);
        for listener in LISTENERS {
            command.args(["--listen", listener]);
        }
        command
            .args(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        end_with_this_thread(&mut command);
        let mut child =
            command.spawn().map_err(|why| format!("can't start {}: {why}", program.display()))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("a started server has no pipes".to_owned());
        };
        let nowhere = SocketAddr::from(([0; 4], 0));
        let doors =
            Doors { publish: nowhere, subscribe: nowhere, echo: nowhere, udp_echo: nowhere };
        let mut server = Self {
            child,
            stdout,
            stderr: Some(stderr),
            said: Lines::default(),
            complaints: Lines::default(),
            doors,
        };
        server.doors = server.listen()?;
        Ok(server)
    }

    /// Reads `listening` lines until `ready`.
    fn listen(&mut self) -> Result<Doors, String> {
        let until = Clock::now() + START;
        let mut found = Vec::new();
        while let Some(line) = self.line(until)? {
            if line == "ready" {
                return match found[..] {
                    [publish, subscribe, echo, udp_echo] => {
                        Ok(Doors { publish, subscribe, echo, udp_echo })
                    }
                    _ => Err(format!("it listens to {} URLs of 4", found.len())),
                };
            }
            let url = line.strip_prefix("listening ").and_then(address);
            found.push(url.ok_or_else(|| {
                format!("it says '{line}' instead of where it listens: is it {NAME}?")
            })?);
        }
        // First, for one that was waited for can be told nothing.
        let words = self.last_words();
        let status = self.child.wait().map_err(|why| format!("it can't be waited for: {why}"))?;
        Err(words.unwrap_or_else(|| format!("it ended at once ({status})")))
    }

    /// The next line of its standard output; `None` when that has ended.
    fn line(&mut self, until: Instant) -> Result<Option<String>, String> {
        loop {
            if let Some(line) = self.said.next() {
                return Ok(Some(line));
            }
            let left = until.since(Clock::now());
            if left.is_zero() {
                let words = self.last_words().unwrap_or_else(|| "nothing".to_owned());
                let limit = format_duration(START);
                return Err(format!("it was not ready within {limit}; it said: {words}"));
            }
            match self.hear(left) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(why) => return Err(format!("it can't be heard: {why}")),
            }
        }
    }

    /// Hears what it says within `limit`; false when its output has ended.
    fn hear(&mut self, limit: Duration) -> io::Result<bool> {
        let sources = [Some(self.stdout.as_fd()), self.stderr.as_ref().map(AsFd::as_fd)];
        let [said, complained] = wait_readable(sources, limit)?;
        if complained {
            self.hear_complaints()?;
        }
        Ok(!said || self.said.read(&mut self.stdout)?)
    }

    fn hear_complaints(&mut self) -> io::Result<()> {
        if let Some(stderr) = &mut self.stderr
            && !self.complaints.read(stderr)?
        {
            self.stderr = None;
        }
        Ok(())
    }

    /// Its last complaints, as one line without its name. One that is about to
    /// end gets a moment to say why.
    pub(crate) fn last_words(&mut self) -> Option<String> {
        self.go_on();
        let until = Clock::now() + LAST_WORDS;
        loop {
            let left = until.since(Clock::now());
            if left.is_zero() || !matches!(self.hear(left), Ok(true)) {
                break;
            }
        }
        while let Some(stderr) = &self.stderr
            && let Ok([true]) = wait_readable([Some(stderr.as_fd())], Duration::ZERO)
            && self.hear_complaints().is_ok()
        {}
        let mut words = String::new();
        while let Some(line) = self.complaints.next() {
            let line = line.strip_prefix("nearlight: ").unwrap_or(&line).trim().to_owned();
            let gap = if words.is_empty() { "" } else { "; " };
            let _ = write!(words, "{gap}{line}");
        }
        (!words.is_empty()).then_some(words)
    }

    /// Has it use no CPU until [`Self::go_on`], whatever it would do.
    pub(crate) fn rest(&self) {
        tell(&self.child, Tell::Rest);
    }

    /// Ends its rest.
    pub(crate) fn go_on(&self) {
        tell(&self.child, Tell::GoOn);
    }

    /// Tells it to end and does not wait; the end of its handle does.
    pub(crate) fn say_goodbye(&self) {
        tell(&self.child, Tell::End);
        // One at rest hears nothing else.
        tell(&self.child, Tell::GoOn);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has no id of its own any more once it was waited for.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.say_goodbye();
        let until = Clock::now() + DRAIN_TIME + GOODBYE;
        loop {
            let left = until.since(Clock::now());
            // Its end closes its output.
            if left.is_zero() || !matches!(self.hear(left), Ok(true)) {
                break;
            }
        }
        if until <= Clock::now() {
            let _gone = self.child.kill();
        }
        let _status = self.child.wait();
    }
}

/// The address in `tcp://127.0.0.1:1234?key=value`.
fn address(url: &str) -> Option<SocketAddr> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['?', '/']).next()?.parse().ok()
}

/// The last lines that came through a pipe.
#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<String>,
    part: Vec<u8>,
}

impl Lines {
    /// Reads once; the pipe must be readable. False at its end.
    fn read(&mut self, pipe: &mut impl Read) -> io::Result<bool> {
        let mut buffer = [0; LINE];
        let len = pipe.read(&mut buffer)?;
        for &byte in buffer.get(..len).unwrap_or_default() {
            if byte == b'\n' {
                self.end_line();
            } else if self.part.len() < LINE {
                self.part.push(byte);
            }
        }
        if len == 0 && !self.part.is_empty() {
            self.end_line();
        }
        Ok(len > 0)
    }

    fn end_line(&mut self) {
        if self.whole.len() == LAST_LINES {
            self.whole.pop_front();
        }
        self.whole.push_back(String::from_utf8_lossy(&self.part).into_owned());
        self.part.clear();
    }

    fn next(&mut self) -> Option<String> {
        self.whole.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_the_last_are_kept() {
        let mut lines = Lines::default();
        for mut piece in ["one\ntw".as_bytes(), b"o\nthr"] {
            assert!(lines.read(&mut piece).expect("a slice can be read"));
        }
        assert_eq!(lines.next().as_deref(), Some("one"));
        assert_eq!(lines.next().as_deref(), Some("two"));
        assert_eq!(lines.next(), None);
        assert!(!lines.read(&mut b"".as_slice()).expect("a slice can be read"));
        assert_eq!(lines.next().as_deref(), Some("thr"));
        let many: String = (0..30).map(|n| format!("{n}\n")).collect();
        assert!(lines.read(&mut many.as_bytes()).expect("a slice can be read"));
        assert_eq!(lines.next().as_deref(), Some("20"));
    }

    #[test]
    fn addresses_are_found_in_urls() {
        let found = address("tcp://127.0.0.1:1234?subscribe=probe");
        assert_eq!(found, Some(SocketAddr::from(([127, 0, 0, 1], 1234))));
        assert_eq!(address("udp://[::1]:7?echo").map(|a| a.port()), Some(7));
        assert_eq!(address("nonsense"), None);
    }

    #[test]
    fn what_is_no_server_is_said() {
        for (program, part) in [
            ("/bin/false", "it ended at once (exit status: 1)"),
            ("/bin/echo", "instead of where it listens"),
            ("/nonexistent", "can't start /nonexistent: "),
        ] {
            let error = Server::start(Path::new(program), &[]).expect_err(program);
            assert!(error.contains(part), "{program}: {error}");
        }
        let error = find(Some("/nonexistent")).expect_err("no such file");
        assert_eq!(error, "--server: there is no file '/nonexistent'");
    }
}
