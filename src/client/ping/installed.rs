//! Which `ping` is installed. It is asked before it is run, by `-V`, which needs
//! no host and no privilege: so it is given no option that it does not know, and
//! none that means something else to it (`-W` counts seconds in most and
//! milliseconds in macOS; `-t` is a hop limit here and a deadline there).

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::sys::clock::Clock;
use crate::sys::wait::wait_readable;

use super::PingError;
use super::dialect::Dialect;

/// What does not answer to `-V` within this is no ping.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read: the longest that is known has 2,000.
const ANSWER: usize = 16 * 1024;
/// Milliseconds. iputils takes whole ones; less than two are for root alone,
/// and none would be read as flooding.
const SHORTEST: u128 = 2;
/// From this version on iputils asks 2 ms of those who are not root, and
/// 200 before: `MINUSERINTERVAL` in its ping.h.
const FAST_IPUTILS: u32 = 20_210_722;
/// Before this version iputils has a `ping6` beside its `ping`.
const WHOLE_IPUTILS: u32 = 20_160_308;

/// A ping, and what can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) dialect: Dialect,
    /// As it says; empty where it says none.
    pub(super) version: String,
    /// Whether its own words list `-i`, and `-W`.
    has_interval: bool,
    has_wait: bool,
}

/// What it is to do.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// An address.
    pub(super) host: String,
    pub(super) v6: bool,
    pub(super) probes: Option<u64>,
    pub(super) interval: Duration,
    pub(super) size: usize,
    pub(super) wait: Duration,
}

impl Installed {
    /// Runs `program -V` and recognises the answer.
    ///
    /// # Errors
    /// [`PingError::NotInstalled`], [`PingError::UnknownPing`].
    pub(super) fn ask(program: &str) -> Result<Self, PingError> {
        let mut child = in_plain_words(Command::new(program).arg("-V"))
            .stdin(Stdio::null())
            .spawn()
            .map_err(PingError::spawning)?;
        let answer = listen(&mut child);
        let _ = child.kill();
        let _ = child.wait();
        Self::recognise(&answer).ok_or_else(|| {
            let first = answer.lines().find(|line| !line.is_empty()).unwrap_or("nothing");
            PingError::UnknownPing(first.chars().take(80).collect())
        })
    }

    /// Whose answer to `-V` that is.
    fn recognise(answer: &str) -> Option<Self> {
        let word_after = |mark: &str| {
            let word = answer.split_once(mark)?.1.split_whitespace().next()?;
            Some(word.trim_start_matches(['s', 'v']).to_owned())
        };
        // Only from a usage text can be seen what it lacks.
        let (dialect, version, usage) = if answer.contains("(GNU inetutils)") {
            (Dialect::Inetutils, word_after("(GNU inetutils)"), false)
        } else if answer.contains("iputils-s") {
            (Dialect::Iputils, word_after("iputils-"), false)
        } else if answer.contains("from iputils") {
            (Dialect::Iputils, word_after("from iputils"), false)
        } else if answer.contains("BusyBox v") {
            (Dialect::Busybox, word_after("BusyBox "), true)
        } else if answer.contains("usage: ping [-") || answer.contains("usage: ping6 [-") {
            (Dialect::Bsd, None, true)
        } else {
            return None;
        };
        let lists = |option: &str| !usage || answer.contains(option);
        // macOS and FreeBSD have `[-W waittime]`; OpenBSD has `-w`, and NetBSD
        // means something else by that.
        let wait = if dialect == Dialect::Bsd { "[-W waittime]" } else { "-W SEC" };
        Some(Self {
            dialect,
            version: version.unwrap_or_default(),
            has_interval: dialect == Dialect::Bsd || lists("-i SEC"),
            has_wait: lists(wait),
        })
    }

    /// The program that does it: `ping6` where `ping` is for IPv4 alone.
    pub(super) fn program(&self, program: &str, v6: bool) -> String {
        let apart = match self.dialect {
            Dialect::Iputils => self.iputils() < WHOLE_IPUTILS,
            Dialect::Busybox => false,
            Dialect::Inetutils | Dialect::Bsd => true,
        };
        if v6 && apart { format!("{program}6") } else { program.to_owned() }
    }

    /// The words of its command line.
    pub(super) fn words(&self, request: &Request, root: bool) -> Vec<String> {
        let mut words = Vec::new();
        // busybox looks no names up.
        if self.dialect != Dialect::Busybox {
            words.push("-n".to_owned());
        }
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        if self.has_interval {
            option("-i", seconds(self.interval(request, root)));
        }
        option("-s", request.size.to_string());
        if let Some(wait) = self.wait(request) {
            option("-W", wait);
        }
        if let Some(probes) = request.probes {
            option("-c", probes.to_string());
        }
        words.push(request.host.clone());
        words
    }

    /// Milliseconds between probes: what was asked for, or the least above it
    /// that it takes.
    pub(super) fn interval(&self, request: &Request, root: bool) -> u128 {
        let wanted = request.interval.as_nanos().div_ceil(1_000_000);
        let least = match self.dialect {
            Dialect::Iputils if !root && self.iputils() < FAST_IPUTILS => 200,
            Dialect::Inetutils if !root => 200,
            Dialect::Bsd if !root => 1000,
            Dialect::Iputils | Dialect::Busybox | Dialect::Inetutils | Dialect::Bsd => SHORTEST,
        };
        let wanted = wanted.max(least);
        if !self.has_interval {
            1000
        } else if self.dialect == Dialect::Inetutils && request.v6 {
            // Its ping6 takes whole seconds.
            wanted.div_ceil(1000) * 1000
        } else {
            wanted
        }
    }

    /// How long it is to wait for the last replies, in its own unit.
    fn wait(&self, request: &Request) -> Option<String> {
        let nanos = request.wait.as_nanos();
        let seconds = nanos.div_ceil(1_000_000_000).max(1).to_string();
        match (self.dialect, request.v6) {
            // Only newer iputils take fractions.
            (Dialect::Iputils, _) | (Dialect::Busybox, _) | (Dialect::Inetutils, false) => {
                self.has_wait.then_some(seconds)
            }
            (Dialect::Bsd, false) => {
                self.has_wait.then(|| nanos.div_ceil(1_000_000).max(1).to_string())
            }
            // No ping6 has it.
            (Dialect::Inetutils | Dialect::Bsd, true) => None,
        }
    }

    /// The date that is iputils's version; of one that is none, today's habits.
    fn iputils(&self) -> u32 {
        self.version.parse().unwrap_or(u32::MAX)
    }

    /// Its name and version, for people.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.dialect, self.version).trim_end().to_owned()
    }
}

/// Output and complaints to be read here, in English and with decimal points.
pub(super) fn in_plain_words(command: &mut Command) -> &mut Command {
    command
        .env("LC_ALL", "C")
        .env("LANG", "C")
        .env_remove("LANGUAGE")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

/// Whether this process is root's, which pings let send faster: the effective
/// one of the user ids in proc(5)'s status.
pub(super) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

/// Milliseconds as seconds with a point, whatever the locale; whole where they
/// are, for a busybox that takes no fractions.
fn seconds(ms: u128) -> String {
    match (ms / 1000, ms % 1000) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:03}"),
    }
}

/// All it says, on both pipes, until it ends or has had time enough.
fn listen(child: &mut Child) -> String {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let until = Clock::now() + PATIENCE;
    while said.len() + complained.len() < ANSWER && (stdout.is_some() || stderr.is_some()) {
        let left = until.since(Clock::now());
        let sources = [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        let Ok(ready) = wait_readable(sources, left) else {
            break;
        };
        if left.is_zero() {
            break;
        }
        if ready[0] && !more(stdout.as_mut(), &mut said) {
            stdout = None;
        }
        if ready[1] && !more(stderr.as_mut(), &mut complained) {
            stderr = None;
        }
    }
    said.extend(complained);
    String::from_utf8_lossy(&said).into_owned()
}

/// Reads once; `false` at the end.
fn more(from: Option<&mut impl Read>, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    let bytes = from.map_or(0, |from| from.read(&mut buffer).unwrap_or(0));
    into.extend_from_slice(buffer.get(..bytes).unwrap_or_default());
    bytes > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: &str = include_str!("recorded/versions.txt");

    fn installed() -> Vec<Option<Installed>> {
        VERSIONS.split("\n$ ").skip(1).map(Installed::recognise).collect()
    }

    #[test]
    fn every_recorded_answer_is_recognised() {
        let names: Vec<_> = installed()
            .iter()
            .map(|ping| ping.as_ref().map_or_else(|| "-".to_owned(), Installed::name))
            .collect();
        assert_eq!(
            names,
            [
                "iputils 20121221",
                "iputils 20161105",
                "iputils 20190709",
                "iputils 20210202",
                "iputils 20221126",
                "iputils 20250605",
                "iputils 20121221",
                "busybox 1.30.1",
                "busybox 1.35.0",
                "busybox 1.38.0",
                "inetutils 2.0",
                "inetutils 2.4",
                "inetutils 2.8",
                "inetutils 2.8",
                "bsd",
                // toybox: whole milliseconds.
                "-",
            ]
        );
        assert_eq!(Installed::recognise(""), None);
        assert_eq!(Installed::recognise("PING -V (127.0.0.1) 56(84) bytes of data."), None);
    }

    fn request(host: &str, interval_ms: u64, wait_ms: u64) -> Request {
        Request {
            host: host.to_owned(),
            v6: host.contains(':'),
            probes: Some(6),
            interval: Duration::from_millis(interval_ms),
            size: 56,
            wait: Duration::from_millis(wait_ms),
        }
    }

    /// The words for root, then for others.
    fn words(ping: &Installed, request: &Request) -> [String; 2] {
        [true, false].map(|root| {
            let words = ping.words(request, root).join(" ");
            format!("{} {words}", ping.program("ping", request.v6))
        })
    }

    #[test]
    fn each_gets_the_options_that_it_has() {
        let all = installed();
        let ping = |name: &str| {
            let found = all.iter().flatten().find(|ping| ping.name() == name);
            found.unwrap_or_else(|| panic!("{name}"))
        };
        let (v4, v6) = (request("192.0.2.1", 10, 1500), request("2001:db8::1", 10, 1500));
        let slow = request("192.0.2.1", 2000, 1);
        for (name, request, root, nobody) in [
            ("iputils 20221126", &v4, "ping -n -i 0.010 -s 56 -W 2 -c 6 192.0.2.1", ""),
            ("iputils 20221126", &v6, "ping -n -i 0.010 -s 56 -W 2 -c 6 2001:db8::1", ""),
            (
                "iputils 20210202",
                &v4,
                "ping -n -i 0.010 -s 56 -W 2 -c 6 192.0.2.1",
                "ping -n -i 0.200 -s 56 -W 2 -c 6 192.0.2.1",
            ),
            ("iputils 20210202", &slow, "ping -n -i 2 -s 56 -W 1 -c 6 192.0.2.1", ""),
            (
                "iputils 20121221",
                &v6,
                "ping6 -n -i 0.010 -s 56 -W 2 -c 6 2001:db8::1",
                "ping6 -n -i 0.200 -s 56 -W 2 -c 6 2001:db8::1",
            ),
            ("busybox 1.35.0", &v4, "ping -i 0.010 -s 56 -W 2 -c 6 192.0.2.1", ""),
            ("busybox 1.35.0", &v6, "ping -i 0.010 -s 56 -W 2 -c 6 2001:db8::1", ""),
            (
                "inetutils 2.4",
                &v4,
                "ping -n -i 0.010 -s 56 -W 2 -c 6 192.0.2.1",
                "ping -n -i 0.200 -s 56 -W 2 -c 6 192.0.2.1",
            ),
            ("inetutils 2.4", &v6, "ping6 -n -i 1 -s 56 -c 6 2001:db8::1", ""),
            (
                "bsd",
                &v4,
                "ping -n -i 0.010 -s 56 -W 1500 -c 6 192.0.2.1",
                "ping -n -i 1 -s 56 -W 1500 -c 6 192.0.2.1",
            ),
            (
                "bsd",
                &v6,
                "ping6 -n -i 0.010 -s 56 -c 6 2001:db8::1",
                "ping6 -n -i 1 -s 56 -c 6 2001:db8::1",
            ),
        ] {
            let nobody = if nobody.is_empty() { root } else { nobody };
            assert_eq!(words(ping(name), request), [root, nobody], "{name}");
        }
    }

    #[test]
    fn an_old_or_bare_busybox_is_asked_for_less() {
        let bare = Installed::recognise(
            "ping: invalid option -- 'V'\nBusyBox v1.26.2 (2017-01-10) multi-call binary.\n\n\
             Usage: ping [OPTIONS] HOST\n\n\t-c CNT\t\tSend only CNT pings\n\t-s SIZE\t\tSend\n",
        );
        let bare = bare.expect("a busybox");
        let request = request("192.0.2.1", 10, 1500);
        assert_eq!(bare.words(&request, true).join(" "), "-s 56 -c 6 192.0.2.1");
        assert_eq!(bare.interval(&request, true), 1000, "its own");
    }

    #[test]
    fn what_is_no_ping_is_not_run_as_one() {
        assert!(matches!(Installed::ask("/no/such/ping"), Err(PingError::NotInstalled)));
        // It has a word of its own for -V.
        assert!(matches!(Installed::ask("cat"), Err(PingError::UnknownPing(_))));
    }
}
