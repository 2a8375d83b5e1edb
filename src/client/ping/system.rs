//! The system's own `ping`, run as a child at our interval to the same
//! address, its output read while it runs.
//!
//! Its times are its own: iputils takes the kernel's receive time and leaves
//! out the wake-up of the process; it prints microseconds.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::base::Instant;
use crate::base::units::format_duration;
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;
use crate::sys::wait::interrupt;

use super::dialect::{Dialect, Line, Lines, read_line};
use super::ledger::Counts;
use super::{Answer, Event, Outcome, PingError, Plan, Series, Way};

/// A child that was asked to end prints its totals within this, or is killed.
const GOODBYE: Duration = Duration::from_millis(500);
/// iputils takes whole milliseconds and at least two of them unless run by
/// root; a fraction of one would be read as flooding.
const SHORTEST_INTERVAL_MS: u128 = 2;

#[derive(Debug)]
pub(super) struct SystemPing {
    /// Its place in the plan, and what stands there.
    place: usize,
    way: Way,
    /// Where its two pipes are among what is waited for.
    watched: [Option<usize>; 2],
    warm_up: u64,
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    lines: Lines,
    complaints: Lines,
    dialect: Option<Dialect>,
    interval_ms: u128,
    wait: Duration,
    counts: Counts,
    /// The largest sequence number seen, from 0, the first to warm up.
    highest: Option<u64>,
    summary_sent: Option<u64>,
    complaint: String,
    trouble: Option<String>,
    killed_at: Option<Instant>,
    ended: bool,
    failure: Option<PingError>,
}

impl SystemPing {
    /// Starts `program` (`ping` but for tests).
    pub(super) fn start(program: &str, place: usize, plan: &Plan) -> Result<Self, PingError> {
        let way = plan.ways[place].clone();
        let interval_ms = plan.interval.as_nanos().div_ceil(1_000_000).max(SHORTEST_INTERVAL_MS);
        let mut command = Command::new(program);
        command
            .arg("-n")
            .args(["-i", &seconds(interval_ms)])
            .args(["-s", &plan.size.to_string()])
            // busybox takes whole seconds.
            .args(["-W", &plan.wait.as_nanos().div_ceil(1_000_000_000).to_string()]);
        if let Some(probes) = plan.probes() {
            // Those to warm up included, as in our own kinds.
            command.args(["-c", &probes.to_string()]);
        }
        let mut child = command
            .arg(way.target.host())
            .env("LC_ALL", "C")
            .env("LANG", "C")
            .env_remove("LANGUAGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(PingError::spawning)?;
        Ok(Self {
            place,
            way,
            watched: [None; 2],
            warm_up: plan.warm_up,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            lines: Lines::default(),
            complaints: Lines::default(),
            dialect: None,
            interval_ms,
            wait: plan.wait,
            counts: Counts::default(),
            highest: None,
            summary_sent: None,
            complaint: String::new(),
            trouble: None,
            killed_at: None,
            ended: false,
            failure: None,
        })
    }

    /// Its place in the plan.
    pub(super) const fn place(&self) -> usize {
        self.place
    }

    /// Adds its output and its complaints, while they are open.
    pub(super) fn watch(&mut self, poll: &mut Poll) {
        self.watched = [
            self.stdout.as_ref().map(|pipe| poll.read(pipe.as_fd())),
            self.stderr.as_ref().map(|pipe| poll.read(pipe.as_fd())),
        ];
    }

    /// Reads what is there to read, one call each.
    pub(super) fn hear(&mut self, poll: &Poll, events: &mut VecDeque<Event>) {
        let ready = self.watched.map(|place| place.is_some_and(|place| poll.is_ready(place)));
        if ready == [false; 2] {
            return;
        }
        if ready[0] && !fill(self.stdout.as_mut(), &mut self.lines) {
            self.stdout = None;
        }
        if ready[1] && !fill(self.stderr.as_mut(), &mut self.complaints) {
            self.stderr = None;
        }
        while let Some(line) = self.lines.pop() {
            self.book(&line, events);
        }
        while let Some(line) = self.complaints.pop() {
            self.book(&line, events);
        }
        if self.stdout.is_none() && self.stderr.is_none() && !self.ended {
            for line in [self.lines.rest(), self.complaints.rest()] {
                self.book(&line.unwrap_or_default(), events);
            }
            self.end(events);
        }
    }

    fn book(&mut self, line: &str, events: &mut VecDeque<Event>) {
        match read_line(line) {
            Line::Header(dialect) => self.dialect = Some(dialect),
            Line::Reply { sequence, bytes, ttl, time, duplicate, corrupt: false, .. } => {
                let sequence = self.since_zero(sequence);
                let late = time.is_some_and(|rtt| rtt > self.wait);
                let outcome = match (duplicate, late) {
                    (true, _) => Outcome::Duplicate,
                    (false, true) => Outcome::Late,
                    (false, false) => Outcome::InTime,
                };
                self.count(sequence, time, outcome);
                events.push_back(Event::Reply(Answer {
                    way: self.place,
                    sequence,
                    warm_up: sequence < self.warm_up,
                    bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
                    ttl,
                    rtt: time,
                    record: None,
                    outcome,
                }));
            }
            Line::Trouble { sequence, from, what } => {
                let sequence = self.since_zero(sequence);
                self.highest = self.highest.max(Some(sequence));
                self.counts.errors += u64::from(sequence >= self.warm_up);
                self.trouble = Some(what.to_owned());
                events.push_back(Event::Trouble {
                    way: self.place,
                    sequence,
                    record: None,
                    from: from.parse().ok(),
                    what: what.to_owned(),
                });
            }
            Line::Summary { sent, .. } => self.summary_sent = Some(sent),
            Line::Complaint(text) => text.clone_into(&mut self.complaint),
            Line::Reply { corrupt: true, .. } | Line::Outstanding { .. } | Line::Other => {}
        }
    }

    /// Sequence numbers count from 0 here, and 0 is the warm-up.
    fn since_zero(&self, sequence: u64) -> u64 {
        match self.dialect {
            Some(Dialect::Busybox) => sequence,
            Some(Dialect::Iputils) | None => sequence.saturating_sub(1),
        }
    }

    fn count(&mut self, sequence: u64, time: Option<Duration>, outcome: Outcome) {
        let overtaken = self.highest.is_some_and(|highest| sequence < highest);
        self.highest = self.highest.max(Some(sequence));
        if (sequence, outcome) == (0, Outcome::InTime) {
            self.counts.first = time;
        }
        if sequence < self.warm_up {
            return;
        }
        match outcome {
            Outcome::Duplicate => self.counts.duplicates += 1,
            Outcome::Late => self.counts.late += 1,
            Outcome::InTime => {
                self.counts.received += 1;
                self.counts.reordered += u64::from(overtaken);
                if let Some(rtt) = time {
                    self.counts.rtt.record(rtt);
                    self.counts.jitter.record(sequence, rtt);
                }
            }
        }
    }

    fn end(&mut self, events: &mut VecDeque<Event>) {
        self.ended = true;
        // Both pipes are closed: it has ended, or is about to.
        let status = match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) | Err(_) => {
                let _ = self.child.kill();
                self.child.wait()
            }
        };
        let failed = status.is_ok_and(|status| !status.success());
        if failed && self.counts.received == 0 && !self.complaint.is_empty() {
            self.failure = Some(PingError::System(std::mem::take(&mut self.complaint)));
            events.push_back(Event::Failed { way: self.place });
        }
    }

    /// Asks it for its totals, as Ctrl-C would.
    pub(super) fn stop(&mut self) {
        if !self.ended && self.killed_at.is_none() {
            interrupt(&self.child);
            self.killed_at = Some(Clock::now() + GOODBYE);
        }
    }

    /// When it is to be killed, once stopped.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.killed_at.filter(|_| !self.ended)
    }

    /// Kills it if it was asked to end long enough ago.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.wake().is_some_and(|at| at <= now) {
            let _ = self.child.kill();
            self.killed_at = Some(now + GOODBYE);
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.ended
    }

    /// What became of its probes.
    pub(super) fn finish(mut self) -> Series {
        let mut counts = std::mem::take(&mut self.counts);
        // Its totals count the warm-up; without totals, what answered shows
        // how many were sent.
        let sent = self.summary_sent.or(self.highest.map(|highest| highest + 1)).unwrap_or(0);
        counts.sent =
            sent.saturating_sub(self.warm_up).max(counts.received + counts.late + counts.errors);
        counts.lost = counts.sent - counts.received - counts.late - counts.errors;
        let name = match self.dialect {
            Some(Dialect::Iputils) => "iputils",
            Some(Dialect::Busybox) => "busybox",
            None => "no output",
        };
        let interval = u64::try_from(self.interval_ms).unwrap_or(u64::MAX);
        let interval = format_duration(Duration::from_millis(interval));
        Series {
            way: self.way.clone(),
            how: format!("{name}, every {interval}"),
            scheduled: counts.sent,
            counts,
            records: Vec::new(),
            stride: 1,
            start: Instant::ZERO,
            clock_stepped: 0,
            reflected: None,
            trouble: self.trouble.take(),
            failure: self.failure.take(),
        }
    }
}

impl Drop for SystemPing {
    /// Leaves no child behind.
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads once; `false` at the end.
fn fill<R: Read>(from: Option<&mut R>, lines: &mut Lines) -> bool {
    let Some(from) = from else {
        return false;
    };
    let mut buffer = [0u8; 4096];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(bytes) => {
            lines.push(buffer.get(..bytes).unwrap_or_default());
            true
        }
        Err(error) => error.kind() == io::ErrorKind::Interrupted,
    }
}

/// Milliseconds as seconds with a point, whatever the locale.
fn seconds(ms: u128) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
