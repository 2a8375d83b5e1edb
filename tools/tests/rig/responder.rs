//! The responder: a thread that answers by the script, and notes when each
//! probe came and when its answer went, by its own readings of the clock.
//!
//! It never waits for one answer with the next probe at the door: answers have
//! a time, the earliest is sent when it has come. What it notes is when it *did*
//! send, so that being late makes it no less true.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nearlight::base::Instant;
use nearlight::sys::affinity::pin_to;
use nearlight::sys::clock::Clock;
use nearlight::sys::wait::{wait_on, wake_exactly};

use super::link::Link;
use super::packet::Packet;
use super::script::Step;

/// A responder that sleeps looks this often whether it is to stop.
const LOOK: Duration = Duration::from_millis(10);

/// How it behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manners {
    /// What becomes of each probe of the first session that is seen, by its
    /// number; those of others are held as [`Responder::hold`] says.
    pub(crate) steps: Vec<Step>,
    /// Late answers come after so long.
    pub(crate) late: Duration,
    /// Every so often it stands still, for so long.
    pub(crate) stall: Option<(Duration, Duration)>,
    /// It never sleeps, and has this core.
    pub(crate) cpu: Option<usize>,
}

/// One probe, as the responder saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Whose, and which.
    pub(crate) token: u64,
    pub(crate) identifier: u16,
    pub(crate) sequence: u64,
    /// Just after it was read.
    pub(crate) came: Instant,
    /// Just before its first answer was written.
    pub(crate) went: Option<Instant>,
}

impl Seen {
    /// For how long it was really held.
    pub(crate) fn hold(&self) -> Option<Duration> {
        Some(self.went?.since(self.came))
    }
}

/// A responder at work.
#[derive(Debug)]
pub(crate) struct Responder {
    thread: JoinHandle<io::Result<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    /// Nanoseconds for which a probe is held that the script has nothing for.
    hold: Arc<AtomicU64>,
}

impl Responder {
    /// Starts one that will see about `room` probes.
    pub(crate) fn start(link: Link, manners: Manners, room: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let hold = Arc::new(AtomicU64::new(0));
        let mut work = Work {
            link,
            manners,
            stop: Arc::clone(&stop),
            hold: Arc::clone(&hold),
            seen: Vec::with_capacity(room),
            due: BinaryHeap::with_capacity(1024),
            behind: Vec::new(),
            order: 0,
        };
        Self { thread: thread::spawn(move || work.run().map(|()| work.seen)), stop, hold }
    }

    /// Holds each probe for so long, from now on.
    pub(crate) fn hold(&self, span: Duration) {
        self.hold.store(span.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Ends it; what it saw, in the order it came.
    pub(crate) fn finish(self) -> Result<Vec<Seen>, String> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().map_err(|_| "the responder panicked".to_owned())?;
        ended.map_err(|why| format!("the responder: {why}"))
    }
}

/// An answer that waits for its time; those of one time in the order made.
#[derive(Debug)]
struct Due {
    at: Instant,
    order: u64,
    /// Which of the probes seen it is about.
    of: usize,
    packet: Packet,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

struct Work {
    link: Link,
    manners: Manners,
    stop: Arc<AtomicBool>,
    hold: Arc<AtomicU64>,
    seen: Vec<Seen>,
    due: BinaryHeap<Reverse<Due>>,
    /// Answers that go right behind that to another probe, by its number.
    behind: Vec<(u64, usize, Packet)>,
    order: u64,
}

impl Work {
    fn run(&mut self) -> io::Result<()> {
        if let Some(cpu) = self.manners.cpu {
            pin_to(cpu).map_err(io::Error::other)?;
        }
        wake_exactly();
        let start = Clock::now();
        while !self.stop.load(Ordering::Relaxed) {
            let now = Clock::now();
            if self.is_stalled(now.since(start)) {
                continue;
            }
            if self.due.peek().is_some_and(|next| next.0.at <= now) {
                self.answer()?;
            } else if let Some((probe, came)) = self.link.read()? {
                self.take(&probe, came);
            } else if self.manners.cpu.is_none() {
                let next = self.due.peek().map_or(LOOK, |next| next.0.at.since(now));
                wait_on(&self.link, next.min(LOOK))?;
            }
        }
        Ok(())
    }

    fn is_stalled(&self, elapsed: Duration) -> bool {
        let Some((period, length)) = self.manners.stall else {
            return false;
        };
        // It begins with work, and stands still at the end of each period.
        elapsed.as_nanos() % period.as_nanos() >= (period - length).as_nanos()
    }

    /// Does with a probe what the script says.
    fn take(&mut self, probe: &Packet, came: Instant) {
        let (token, sequence, identifier) = (probe.token(), probe.sequence(), probe.identifier());
        self.seen.push(Seen { token, identifier, sequence, came, went: None });
        let step = usize::try_from(sequence).ok().and_then(|at| self.manners.steps.get(at));
        let first = self.seen.first().map(|first| first.token);
        let hold = || Duration::from_nanos(self.hold.load(Ordering::Relaxed));
        let step = step.filter(|_| first == Some(token)).copied();
        let step = step.unwrap_or_else(|| Step::Hold(hold()));
        let reply = probe.reply();
        match step {
            Step::Hold(span) => self.plan(came + span, reply),
            Step::Drop => {}
            Step::Twice => {
                self.plan(came, reply.clone());
                self.plan(came, reply);
            }
            Step::Behind(count) => {
                self.behind.push((sequence + count, self.seen.len() - 1, reply));
            }
            Step::Late => self.plan(came + self.manners.late, reply),
            Step::Forge(forgery) => self.plan(came, reply.spoil(forgery)),
            Step::Beside(forgery) => {
                self.plan(came, reply.clone().spoil(forgery));
                self.plan(came, reply);
            }
            Step::Refuse(quoted) => {
                if let Some(error) = probe.unreachable(quoted) {
                    self.plan(came, error);
                }
            }
        }
        let behind = self.behind.extract_if(.., |(after, ..)| *after == sequence);
        for (_, of, packet) in behind.collect::<Vec<_>>() {
            self.push(Due { at: came, order: self.order, of, packet });
        }
    }

    fn plan(&mut self, at: Instant, packet: Packet) {
        self.push(Due { at, order: self.order, of: self.seen.len() - 1, packet });
    }

    fn push(&mut self, due: Due) {
        self.order += 1;
        self.due.push(Reverse(due));
    }

    /// Sends the answer that is due.
    fn answer(&mut self) -> io::Result<()> {
        let Some(Reverse(next)) = self.due.pop() else {
            return Ok(());
        };
        let went = Clock::now();
        self.link.write(&next.packet)?;
        if let Some(seen) = self.seen.get_mut(next.of) {
            seen.went.get_or_insert(went);
        }
        Ok(())
    }
}
