//! One kind of our own pings: its wire, its schedule, its books.
//!
//! Probe `i` is due at `start + i * interval`, whatever became of those before
//! it. One that is late is sent at once, none is skipped, and the schedule is
//! never moved: a stall shows in the numbers instead of hiding them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use crate::base::Instant;

use super::ledger::{Ledger, Verdict};
use super::payload::{self, Token};
use super::wire::{Heard, Wire, io_text};
use super::{Answer, Event, Kind, Outcome, PingError, Plan, Series, echo};

#[derive(Debug)]
pub(super) struct Lane {
    kind: Kind,
    wire: Wire,
    target: SocketAddr,
    token: Token,
    start: Instant,
    interval_nanos: u64,
    /// Probes to send, the warm-up included; `None` is no end.
    end: Option<u64>,
    ledger: Ledger,
    /// An ICMP header's room and the data of the next probe.
    message: Box<[u8]>,
    how: String,
    trouble: Option<String>,
    failure: Option<PingError>,
}

impl Lane {
    /// Opens the wire; nothing is due before [`Self::begin`].
    pub(super) fn open(kind: Kind, plan: &Plan) -> Result<Self, PingError> {
        let token = Token::random();
        let target = plan.target.address;
        let wire = Wire::open(kind, target, token, plan.size, plan.wait)?;
        Ok(Self {
            kind,
            how: wire.describe(),
            wire,
            target,
            token,
            start: Instant::ZERO,
            interval_nanos: u64::try_from(plan.interval.as_nanos()).unwrap_or(u64::MAX),
            end: plan.count.map(|count| count.saturating_add(1)),
            ledger: Ledger::new(plan.wait),
            message: vec![0; echo::HEADER + plan.size].into(),
            trouble: None,
            failure: None,
        })
    }

    /// Sets the schedule's first moment.
    pub(super) fn begin(&mut self, start: Instant) {
        self.start = start;
    }

    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.failure.is_none().then(|| self.wire.as_fd())
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

    /// When something is to be done next: send, or give up a probe.
    pub(super) fn wake(&mut self) -> Option<Instant> {
        let expiry = self.ledger.next_expiry();
        match (self.due(), expiry) {
            (Some(due), Some(expiry)) => Some(due.min(expiry)),
            (due, expiry) => due.or(expiry),
        }
    }

    /// Sends the next probe if it is due.
    pub(super) fn send(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        let Some(due) = self.due().filter(|&due| due <= now) else {
            return;
        };
        let sequence = self.ledger.next_sequence();
        if let Some(data) = self.message.get_mut(echo::HEADER..) {
            payload::write(data, self.token, sequence);
        }
        let (sent, result) = self.wire.send(&mut self.message, sequence);
        self.ledger.sent(due, sent);
        let Err(error) = result else {
            return;
        };
        self.ledger.failed(sequence);
        if self.kind == Kind::Tcp {
            self.fail(PingError::writing(self.target, &error), events);
        } else {
            self.report(sequence, None, io_text(&error), events);
        }
    }

    fn report(
        &mut self,
        sequence: u64,
        from: Option<IpAddr>,
        what: String,
        events: &mut VecDeque<Event>,
    ) {
        self.trouble = Some(what.clone());
        events.push_back(Event::Trouble { kind: self.kind, sequence, from, what });
    }

    /// Hears one thing, if there is one.
    pub(super) fn hear(&mut self, events: &mut VecDeque<Event>) {
        match self.wire.hear(self.token) {
            Ok(Some((now, heard))) => self.book(now, heard, events),
            Ok(None) => {}
            Err(error) => self.fail(error, events),
        }
    }

    fn book(&mut self, now: Instant, heard: Heard, events: &mut VecDeque<Event>) {
        match heard {
            Heard::Reply { sequence, bytes, ttl } => {
                let (outcome, rtt) = match self.ledger.reply(sequence, now) {
                    Verdict::Answer(rtt) => (Outcome::InTime, rtt),
                    Verdict::Late(rtt) => (Outcome::Late, rtt),
                    Verdict::Duplicate(rtt) => (Outcome::Duplicate, rtt),
                    Verdict::Foreign => return,
                };
                events.push_back(Event::Reply(Answer {
                    kind: self.kind,
                    sequence,
                    bytes,
                    ttl,
                    rtt: Some(rtt),
                    outcome,
                }));
            }
            Heard::Trouble { low, from, what } => {
                let sequence = match low {
                    Some(low) => self.ledger.newest_with(low),
                    None => self.ledger.oldest_waiting(),
                };
                if let Some(sequence) = sequence.filter(|&s| self.ledger.failed(s)) {
                    self.report(sequence, from, what, events);
                }
            }
            Heard::Foreign => self.ledger.foreign(),
        }
    }

    /// Gives up the probes that have waited too long.
    pub(super) fn expire(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while let Some(sequence) = self.ledger.expire(now) {
            events.push_back(Event::Lost { kind: self.kind, sequence });
        }
    }

    fn fail(&mut self, error: PingError, events: &mut VecDeque<Event>) {
        self.failure = Some(error);
        events.push_back(Event::Failed { kind: self.kind });
    }

    /// Sends no more.
    pub(super) fn stop(&mut self) {
        self.end = Some(self.ledger.next_sequence());
    }

    /// Whether nothing is left to send or to wait for.
    pub(super) fn is_done(&mut self) -> bool {
        self.failure.is_some() || (self.due().is_none() && self.ledger.oldest_waiting().is_none())
    }

    /// What became of the probes.
    pub(super) fn finish(self) -> Series {
        Series {
            kind: self.kind,
            how: self.how,
            counts: self.ledger.counts().clone(),
            trouble: self.trouble,
            failure: self.failure,
        }
    }
}
