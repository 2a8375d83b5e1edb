//! One way of our own to ping: its wire, its schedule, its books.
//!
//! Probe `i` is due at `start + i * interval`, whatever became of those before
//! it. One that is late is sent at once, none is skipped, and the schedule is
//! never moved: a stall shows in the numbers instead of hiding them.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use crate::base::Instant;
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;

use super::error::io_text;
use super::ledger::{Ledger, Receipt, Verdict};
use super::payload::{self, Token};
use super::wire::{HEARD, Heard, Which, Why, Wire};
use super::words::icmp_words;
use super::{Answer, Event, Kind, Outcome, PingError, Plan, Series, Way, echo};

/// Probes that were due when it is stopped and are sent then at most: those of a
/// stall. One that is further behind can't keep its schedule, and says so.
const CATCH_UP: usize = 4096;

pub(super) struct Lane {
    /// Its place in the plan, and what stands there.
    place: usize,
    way: Way,
    wire: Wire,
    start: Instant,
    interval_nanos: u64,
    warm_up: u64,
    /// Probes to send, the warm-up included; `None` is no end.
    end: Option<u64>,
    /// When it was stopped before its end.
    stopped: Option<Instant>,
    ledger: Ledger,
    /// An ICMP header's room and the data of the next probe.
    message: Box<[u8]>,
    heard: VecDeque<Heard>,
    /// Among what is waited for: its first place, and the one behind its last.
    watched: (usize, usize),
    lead: u64,
    how: String,
    trouble: Option<String>,
    failure: Option<PingError>,
}

impl Lane {
    /// Opens the wire; nothing is due before [`Self::begin`].
    pub(super) fn open(place: usize, plan: &Plan) -> Result<Self, PingError> {
        let way = plan.ways[place].clone();
        let token = Token::random();
        let wire = Wire::open(&way, token, plan)?;
        let lead = Clock::lead();
        let mut message: Box<[u8]> = vec![0; echo::HEADER + plan.size].into();
        payload::prepare(&mut message[echo::HEADER..], token);
        Ok(Self {
            place,
            how: wire.describe(),
            way,
            wire,
            start: Instant::ZERO,
            interval_nanos: u64::try_from(plan.interval.as_nanos()).unwrap_or(u64::MAX),
            warm_up: plan.warm_up,
            end: plan.probes(),
            stopped: None,
            ledger: Ledger::new(plan.wait, plan.warm_up, plan.probes(), lead),
            message,
            heard: VecDeque::with_capacity(HEARD),
            watched: (0, 0),
            lead,
            trouble: None,
            failure: None,
        })
    }

    /// Its place in the plan.
    pub(super) const fn place(&self) -> usize {
        self.place
    }

    /// Sets the schedule's first moment.
    pub(super) fn begin(&mut self, start: Instant) {
        self.start = start;
    }

    /// Adds what it waits for.
    pub(super) fn watch(&mut self, poll: &mut Poll) {
        let first = poll.len();
        if self.failure.is_none() {
            self.wire.watch(poll);
        }
        self.watched = (first, poll.len());
    }

    /// Whether anything it waits for is there.
    pub(super) fn is_ready(&self, poll: &Poll) -> bool {
        (self.watched.0..self.watched.1).any(|place| poll.is_ready(place))
    }

    /// When the next probe is due, `None` if there is no next.
    pub(super) fn due(&self) -> Option<Instant> {
        let next = self.ledger.next_sequence();
        if self.failure.is_some() || self.end.is_some_and(|end| next >= end) {
            return None;
        }
        let after = next.saturating_mul(self.interval_nanos);
        Some(Instant::from_nanos(self.start.as_nanos().saturating_add(after)))
    }

    /// When the oldest probe out is to be given up.
    pub(super) fn expiry(&mut self) -> Option<Instant> {
        self.ledger.next_expiry()
    }

    /// Sends the next probe if it is due, and hears whether its reply is here
    /// already, as a program would that blocks in its receive. Only then is either
    /// booked: that takes a while where nothing is in the caches, which is no part
    /// of a round trip.
    pub(super) fn send(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        let Some(due) = self.due().filter(|&due| due <= now) else {
            return;
        };
        let sequence = self.ledger.next_sequence();
        payload::number(&mut self.message[echo::HEADER..], sequence);
        let (sent, result) = self.wire.send(&mut self.message, sequence);
        let mut heard = std::mem::take(&mut self.heard);
        let outcome = self.wire.hear(&mut heard);
        self.ledger.sent(due, sent);
        if let Err(error) = result {
            self.ledger.failed(sequence);
            match self.way.kind {
                Kind::Echo | Kind::Relay | Kind::App => {
                    self.fail(PingError::writing(self.way.target.address, &error), events);
                }
                Kind::System | Kind::Icmp | Kind::Tcp | Kind::Udp | Kind::Stamp => {
                    self.report(sequence, None, io_text(&error), events);
                }
            }
        }
        self.book_all(heard, outcome, events);
    }

    fn report(
        &mut self,
        sequence: u64,
        from: Option<IpAddr>,
        what: String,
        events: &mut VecDeque<Event>,
    ) {
        self.trouble = Some(what.clone());
        let record = self.ledger.known(sequence);
        events.push_back(Event::Trouble { way: self.place, sequence, record, from, what });
    }

    /// What an error says, in words.
    fn words(&self, why: Why) -> String {
        let v6 = self.way.target.address.is_ipv6();
        match why {
            // What a closed port is answered with, over UDP and TCP.
            Why::Icmp { kind, code, .. }
                if self.way.kind != Kind::Icmp && (kind, code) == closed_port(v6) =>
            {
                PingError::Refused(self.way.target.address).to_string()
            }
            Why::Errno(libc::ECONNREFUSED) => {
                PingError::Refused(self.way.target.address).to_string()
            }
            Why::Icmp { kind, code, info } => icmp_words(v6, kind, code, info),
            Why::Errno(number) => io_text(&io::Error::from_raw_os_error(number)),
        }
    }

    /// Hears what there is.
    pub(super) fn hear(&mut self, events: &mut VecDeque<Event>) {
        if self.failure.is_some() {
            return;
        }
        let mut heard = std::mem::take(&mut self.heard);
        let outcome = self.wire.hear(&mut heard);
        self.book_all(heard, outcome, events);
    }

    fn book_all(
        &mut self,
        mut heard: VecDeque<Heard>,
        outcome: Result<(), PingError>,
        events: &mut VecDeque<Event>,
    ) {
        for one in heard.drain(..) {
            self.book(one, events);
        }
        self.heard = heard;
        if let Err(error) = outcome
            && self.failure.is_none()
        {
            self.fail(error, events);
        }
    }

    fn book(&mut self, heard: Heard, events: &mut VecDeque<Event>) {
        match heard {
            Heard::Reply { sequence, receipt, bytes, ttl } => {
                events.extend(self.reply(sequence, receipt, bytes, ttl));
            }
            Heard::Left { sequence, stamp } => self.ledger.left(sequence, stamp),
            Heard::Trouble { which, from, why } => {
                let sequence = match which {
                    Which::Probe(sequence) => Some(sequence),
                    Which::EndsIn(low) => self.ledger.newest_with(low),
                    Which::Oldest => self.ledger.oldest_waiting(),
                };
                if let Some(sequence) = sequence.filter(|&s| self.ledger.failed(s)) {
                    self.report(sequence, from, self.words(why), events);
                }
            }
            Heard::Forged => self.ledger.forged(),
            Heard::Dropped(in_all) => self.ledger.dropped_here(u64::from(in_all)),
        }
    }

    fn reply(
        &mut self,
        sequence: u64,
        receipt: Receipt,
        bytes: usize,
        ttl: Option<u8>,
    ) -> Option<Event> {
        let (outcome, record) = match self.ledger.reply(sequence, receipt) {
            Verdict::Answer(record) => (Outcome::InTime, record),
            Verdict::Late(record) => (Outcome::Late, record),
            Verdict::Duplicate(record) => (Outcome::Duplicate, record),
            Verdict::Forged => return None,
        };
        Some(Event::Reply(Answer {
            way: self.place,
            sequence,
            warm_up: sequence < self.warm_up,
            bytes,
            ttl,
            rtt: record.user(),
            record: Some(record),
            outcome,
        }))
    }

    /// Gives up the probes that have waited too long.
    pub(super) fn expire(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while let Some(sequence) = self.ledger.expire(now) {
            let record = self.ledger.known(sequence);
            events.push_back(Event::Lost { way: self.place, sequence, record });
        }
    }

    fn fail(&mut self, error: PingError, events: &mut VecDeque<Event>) {
        self.failure = Some(error);
        self.stopped = self.stopped.or(Some(Clock::now()));
        events.push_back(Event::Failed { way: self.place });
    }

    /// Sends what was due before `now`, unless that is more than one is behind by
    /// when the schedule is kept, and no more.
    pub(super) fn stop(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        for _ in 0..CATCH_UP {
            if self.due().is_none_or(|due| due >= now) {
                break;
            }
            self.send(now, events);
        }
        if self.end.is_none_or(|end| end > self.ledger.next_sequence()) {
            self.stopped = self.stopped.or(Some(now));
        }
        self.end = Some(self.ledger.next_sequence());
    }

    /// Whether nothing is left to send or to wait for.
    pub(super) fn is_done(&mut self) -> bool {
        self.failure.is_some() || (self.due().is_none() && self.ledger.oldest_waiting().is_none())
    }

    /// Counted probes that were due before it ended.
    fn scheduled(&self) -> u64 {
        let due = match self.stopped {
            None => self.end.unwrap_or(0),
            Some(stopped) => stopped.nanos_since(self.start).div_ceil(self.interval_nanos.max(1)),
        };
        due.saturating_sub(self.warm_up)
    }

    /// What became of the probes.
    pub(super) fn finish(self) -> Series {
        let scheduled = self.scheduled();
        let reflected = self.wire.reflected();
        let (counts, records, stride) = self.ledger.finish();
        Series {
            way: self.way,
            how: self.how,
            counts,
            records,
            stride,
            scheduled,
            start: self.start,
            clock_stepped: Clock::lead().wrapping_sub(self.lead) as i64,
            reflected,
            trouble: self.trouble,
            failure: self.failure,
        }
    }
}

/// Type and code of the ICMP message that says that nothing listens on a port.
const fn closed_port(v6: bool) -> (u8, u8) {
    if v6 { (1, 4) } else { (3, 3) }
}
