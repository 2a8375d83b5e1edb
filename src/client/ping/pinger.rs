//! The loop: one thread, one `ppoll`, every kind of ping in its own place
//! within the interval.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use crate::base::Instant;
use crate::sys::clock::Clock;
use crate::sys::wait::{wait_readable, wake_exactly};

use super::lane::Lane;
use super::ledger::Counts;
use super::system::SystemPing;
use super::{Event, Kind, PingError, Plan, Series};

/// Kinds with a wire of ours: ICMP, TCP, UDP.
const LANES: usize = 3;
/// Those, and the two pipes of the system's ping.
const SOURCES: usize = LANES + 2;

/// A measurement under way.
#[derive(Debug)]
pub struct Pinger {
    kinds: Vec<Kind>,
    lanes: Vec<Lane>,
    system: Option<SystemPing>,
    /// Kinds that could not be had.
    failed: Vec<(Kind, PingError)>,
    events: VecDeque<Event>,
    deadline: Option<Instant>,
    stopped: bool,
}

impl Pinger {
    /// Opens the sockets (connecting by TCP may block for `plan.wait`), starts
    /// the system's ping if it is wanted, and begins the schedule. A kind that
    /// can't be had doesn't stop the others: its [`Series`] says why.
    ///
    /// The thread's timers are made exact, and those of threads that it starts
    /// later; one of them is to call [`Self::next`]. The system's ping inherits
    /// blocked signals: block them afterwards, or it can't be interrupted and
    /// is killed in the end.
    pub fn start(plan: &Plan) -> Self {
        Self::start_with(plan, "ping")
    }

    pub(super) fn start_with(plan: &Plan, system_ping: &str) -> Self {
        let mut pinger = Self {
            kinds: plan.kinds.clone(),
            lanes: Vec::with_capacity(LANES),
            system: None,
            failed: Vec::new(),
            events: VecDeque::new(),
            deadline: None,
            stopped: false,
        };
        for &kind in Kind::ALL.iter().filter(|kind| plan.kinds.contains(kind)) {
            if kind == Kind::System {
                continue;
            }
            match Lane::open(kind, plan) {
                Ok(lane) => pinger.lanes.push(lane),
                Err(error) => pinger.refuse(kind, error),
            }
        }
        // The system's ping keeps its own time and sends as soon as it can, so
        // it begins the interval and ours follow, evenly.
        if plan.kinds.contains(&Kind::System) {
            match SystemPing::start(system_ping, plan) {
                Ok(system) => pinger.system = Some(system),
                Err(error) => pinger.refuse(Kind::System, error),
            }
        }
        // Not before, for a child would inherit it.
        wake_exactly();
        let now = Clock::now();
        let places = pinger.lanes.len() + usize::from(pinger.system.is_some());
        let first = usize::from(pinger.system.is_some());
        for (place, lane) in (first..).zip(&mut pinger.lanes) {
            let within = plan.interval * place as u32 / places.max(1) as u32;
            lane.begin(now + within);
        }
        pinger.deadline = plan.deadline.map(|span| now + span);
        pinger
    }

    fn refuse(&mut self, kind: Kind, error: PingError) {
        self.failed.push((kind, error));
        self.events.push_back(Event::Failed { kind });
    }

    /// Sends and hears until there is something to tell, or until `until`.
    /// After [`Event::Done`] it has nothing more to tell.
    pub fn next(&mut self, until: Instant) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let now = Clock::now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.stop();
            }
            for lane in &mut self.lanes {
                lane.send(now, &mut self.events);
                lane.expire(now, &mut self.events);
            }
            if let Some(system) = &mut self.system {
                system.expire(now);
            }
            if !self.events.is_empty() {
                continue;
            }
            if self.is_done() {
                return Event::Done;
            }
            if until <= now {
                return Event::Quiet;
            }
            self.hear(now, until);
        }
    }

    /// Sends no more and waits for nothing but the totals of the system's
    /// ping. What is still out counts as pending.
    pub fn stop(&mut self) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        self.lanes.iter_mut().for_each(Lane::stop);
        if let Some(system) = &mut self.system {
            system.stop();
        }
    }

    fn is_done(&mut self) -> bool {
        let stopped = self.stopped;
        self.lanes.iter_mut().all(|lane| stopped || lane.is_done())
            && self.system.as_ref().is_none_or(SystemPing::is_done)
    }

    /// Sleeps until something is to be sent, given up or heard; hears at most
    /// one thing of each source, so that none keeps the others waiting.
    fn hear(&mut self, now: Instant, until: Instant) {
        let wakes = self
            .lanes
            .iter_mut()
            .filter_map(Lane::wake)
            .chain(self.system.as_ref().and_then(SystemPing::wake))
            .chain(self.deadline.filter(|_| !self.stopped));
        let wake = wakes.fold(until, Instant::min);
        let ready = match wait_readable(self.sources(), wake.since(now)) {
            Ok(ready) => ready,
            Err(error) => {
                let kind = self.kinds.first().copied().unwrap_or(Kind::Icmp);
                self.refuse(kind, PingError::Io { what: "poll", error });
                self.stop();
                return;
            }
        };
        for (lane, _) in self.lanes.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            lane.hear(&mut self.events);
        }
        if let Some(system) = &mut self.system {
            let [.., output, complaints] = ready;
            if output || complaints {
                system.hear([output, complaints], &mut self.events);
            }
        }
    }

    fn sources(&self) -> [Option<BorrowedFd<'_>>; SOURCES] {
        let mut sources = [None; SOURCES];
        for (source, lane) in sources.iter_mut().zip(&self.lanes) {
            *source = lane.as_fd();
        }
        if let Some(system) = &self.system {
            let [output, complaints] = system.sources();
            sources[LANES] = output;
            sources[LANES + 1] = complaints;
        }
        sources
    }

    /// What became of the probes, in the order of [`Kind::ALL`].
    pub fn finish(self) -> Vec<Series> {
        let mut series: Vec<Series> = self
            .lanes
            .into_iter()
            .map(Lane::finish)
            .chain(self.system.map(SystemPing::finish))
            .collect();
        for (kind, error) in self.failed {
            match series.iter_mut().find(|series| series.kind == kind) {
                Some(series) => series.failure = Some(error),
                None => series.push(Series {
                    kind,
                    how: String::new(),
                    counts: Counts::default(),
                    trouble: None,
                    failure: Some(error),
                }),
            }
        }
        series.sort_by_key(|series| Kind::ALL.iter().position(|&kind| kind == series.kind));
        series
    }
}
