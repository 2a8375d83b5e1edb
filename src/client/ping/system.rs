//! The system's own `ping`, run as a child at our interval to the same
//! address, its output read while it runs.
//!
//! Its times are its own: iputils and macOS take the kernel's receive time and
//! leave out the wake-up of the process, busybox and inetutils do not; all print
//! microseconds.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::base::Instant;
use crate::base::units::format_duration;
use crate::sys::child::{Tell, tell, unblock_signals};
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;

use super::complaint::Complaint;
use super::dialect::{Ended, Header, Line, Lines, Reply, Times, Totals, read_line};
use super::installed::{Installed, Request, in_plain_words, is_root};
use super::ledger::Counts;
use super::printed::Printed;
use super::{Answer, Event, Outcome, PingError, Plan, Series, Way};

/// A child that was asked to end prints its totals within this, or is killed.
const GOODBYE: Duration = Duration::from_millis(500);

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
    installed: Installed,
    host: String,
    /// From where it counts its probes: its header tells.
    header: Option<Header>,
    interval_ms: u128,
    wait: Duration,
    counts: Counts,
    /// The largest sequence number seen, from 0, the first to warm up.
    highest: Option<u64>,
    printed: Printed,
    damaged: u64,
    totals: Option<Totals>,
    times: Option<Times>,
    complaint: String,
    trouble: Option<String>,
    killed_at: Option<Instant>,
    ended: bool,
    failure: Option<PingError>,
}

impl SystemPing {
    /// Asks `program` (`ping` but for tests) what it is, and starts it.
    pub(super) fn start(program: &str, place: usize, plan: &Plan) -> Result<Self, PingError> {
        let way = plan.ways[place].clone();
        let installed = Installed::ask(program)?;
        let request = Request {
            host: way.target.host(),
            v6: way.target.ip().is_ipv6(),
            // Those to warm up included, as in our own kinds.
            probes: plan.probes(),
            interval: plan.interval,
            size: plan.size,
            wait: plan.wait,
        };
        let root = is_root();
        let mut command = Command::new(installed.program(program, request.v6));
        let mut child = in_plain_words(unblock_signals(&mut command))
            .args(installed.words(&request, root))
            .stdin(Stdio::null())
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
            interval_ms: installed.interval(&request, root),
            installed,
            host: request.host,
            header: None,
            wait: plan.wait,
            counts: Counts::default(),
            highest: None,
            printed: Printed::default(),
            damaged: 0,
            totals: None,
            times: None,
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
            self.complain(&line);
        }
        if self.stdout.is_none() && self.stderr.is_none() && !self.ended {
            let (line, complaint) = (self.lines.rest(), self.complaints.rest());
            self.book(&line.unwrap_or_default(), events);
            self.complain(&complaint.unwrap_or_default());
            self.end(events);
        }
    }

    fn book(&mut self, line: &str, events: &mut VecDeque<Event>) {
        match read_line(line) {
            Line::Header(header) => self.header = Some(header),
            Line::Reply(reply) => {
                self.printed.add(&reply);
                // A reply that is not what was sent is none.
                if reply.corrupt || self.lines.tell_of_damage() {
                    self.damaged += 1;
                } else {
                    self.answer(&reply, events);
                }
            }
            Line::Trouble { sequence, from, what } => self.refused(sequence, from, what, events),
            Line::Summary(totals) => self.totals = Some(totals),
            Line::Times(times) => self.times = Some(times),
            Line::Complaint(_) => self.complain(line),
            Line::Damage | Line::Outstanding { .. } | Line::Other => {}
        }
    }

    /// Keeps the first line that says what is wrong; more may follow it. Old
    /// iputils put no `ping: ` in front.
    fn complain(&mut self, line: &str) {
        let names = ["ping: ", "ping6: "];
        let text = names.iter().find_map(|name| line.strip_prefix(name)).unwrap_or(line);
        if Complaint::of(&self.complaint) == Complaint::Other && !text.trim().is_empty() {
            text.clone_into(&mut self.complaint);
        }
    }

    fn answer(&mut self, reply: &Reply<'_>, events: &mut VecDeque<Event>) {
        let sequence = self.since_zero(reply.sequence);
        let late = reply.time.is_some_and(|rtt| rtt > self.wait);
        let outcome = match (reply.duplicate, late) {
            (true, _) => Outcome::Duplicate,
            (false, true) => Outcome::Late,
            (false, false) => Outcome::InTime,
        };
        self.count(sequence, reply.time, outcome);
        events.push_back(Event::Reply(Answer {
            way: self.place,
            sequence,
            warm_up: sequence < self.warm_up,
            bytes: usize::try_from(reply.bytes).unwrap_or(usize::MAX),
            ttl: reply.ttl,
            rtt: reply.time,
            record: None,
            outcome,
        }));
    }

    /// Books an ICMP error; whose dialect doesn't say which probe it is about,
    /// its latest is meant.
    fn refused(
        &mut self,
        sequence: Option<u16>,
        from: &str,
        what: &str,
        events: &mut VecDeque<Event>,
    ) {
        let next = self.highest.map_or(0, |highest| highest + 1);
        let sequence = sequence.map_or(next, |sequence| self.since_zero(sequence));
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

    /// Which probe is meant by 16 bits of its number: the one nearest to those
    /// seen last. Sequence numbers count from 0 here, and 0 is the warm-up.
    fn since_zero(&self, printed: u16) -> u64 {
        let first = match self.header {
            Some(Header::FromZero) => 0,
            Some(Header::FromOne) | None => 1,
        };
        let low = printed.wrapping_sub(first);
        let Some(highest) = self.highest else {
            return u64::from(low);
        };
        let ahead = low.wrapping_sub(highest as u16).cast_signed();
        highest.checked_add_signed(i64::from(ahead)).unwrap_or(u64::from(low))
    }

    fn count(&mut self, sequence: u64, time: Option<Duration>, outcome: Outcome) {
        let overtaken = self.highest.is_some_and(|highest| sequence < highest);
        self.highest = self.highest.max(Some(sequence));
        if (sequence, outcome) == (0, Outcome::InTime) {
            self.counts.first = time;
        }
        if outcome == Outcome::Duplicate {
            // All of them, as its own totals have it.
            self.counts.duplicates += 1;
        } else if sequence >= self.warm_up {
            self.count_one(sequence, time, outcome, overtaken);
        }
    }

    fn count_one(
        &mut self,
        sequence: u64,
        time: Option<Duration>,
        outcome: Outcome,
        overtaken: bool,
    ) {
        match outcome {
            Outcome::Duplicate => {}
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
        let dialect = self.installed.dialect;
        let code = status.ok().and_then(|status| status.code());
        let complaint = std::mem::take(&mut self.complaint);
        let failed = match code.map(|code| dialect.ended(code)) {
            Some(Ended::Replies) => false,
            Some(Ended::NoReply) => !complaint.is_empty(),
            Some(Ended::Failed) => true,
            // By a signal; ours, once it was stopped.
            None => self.killed_at.is_none(),
        };
        if failed && self.counts.received == 0 {
            let complaint = match (complaint.is_empty(), code) {
                (false, _) => complaint,
                (true, Some(code)) => format!("nothing, and ended with exit code {code}"),
                (true, None) => "nothing, and was ended by a signal".to_owned(),
            };
            self.failure = Some(Complaint::error(complaint, &self.host));
            events.push_back(Event::Failed { way: self.place });
        }
    }

    /// Asks it for its totals, as Ctrl-C would.
    pub(super) fn stop(&mut self) {
        if !self.ended && self.killed_at.is_none() {
            tell(&self.child, Tell::Interrupt);
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
        let seen = self.highest.map(|highest| highest + 1);
        let sent = self.totals.map(|totals| totals.sent).or(seen).unwrap_or(0);
        counts.sent =
            sent.saturating_sub(self.warm_up).max(counts.received + counts.late + counts.errors);
        counts.lost = counts.sent - counts.received - counts.late - counts.errors;
        let interval = u64::try_from(self.interval_ms).unwrap_or(u64::MAX);
        let interval = format_duration(Duration::from_millis(interval));
        let mut how = format!("{}, every {interval}", self.installed.name());
        let differs =
            self.totals.and_then(|totals| self.printed.differs(&totals, self.times.as_ref()));
        if let Some(words) = differs {
            how = format!("{how}; {words}");
        }
        if self.damaged > 0 {
            how = format!("{how}; {} came damaged and count as lost", self.damaged);
        }
        Series {
            way: self.way.clone(),
            how,
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
