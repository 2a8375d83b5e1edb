//! The loop: one thread, one `ppoll`, every way in its own place within the
//! interval.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Instant;
use crate::limits::PING_CONNECTS;
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;
use crate::sys::wait::wake_exactly;

use super::lane::Lane;
use super::system::SystemPing;
use super::{Event, Kind, PingError, Plan, Series, Way};

/// Descriptors that a way waits for, but for connections being made.
const SOURCES: usize = 2;
/// Events that one pass may cause before they are fetched.
const EVENTS: usize = 1024;
/// This long before a probe is due, a spinning pinger looks at the clock alone.
const FINISH: Duration = Duration::from_micros(3);
/// A spinning pinger looks at the system's ping this often.
const SYSTEM_LOOK: Duration = Duration::from_millis(5);

/// A measurement under way.
pub struct Pinger {
    ways: Vec<Way>,
    lanes: Vec<Lane>,
    systems: Vec<SystemPing>,
    /// Ways that could not be had, by their places.
    failed: Vec<(usize, PingError)>,
    events: VecDeque<Event>,
    poll: Poll,
    deadline: Option<Instant>,
    stopped: bool,
    margin: Duration,
    next_system_look: Instant,
}

impl Pinger {
    /// Opens the sockets (connecting by TCP may block for `plan.wait`, one way
    /// after the other), starts the system's ping if it is wanted, and begins
    /// the schedule. A way that can't be had doesn't stop the others: its
    /// [`Series`] says why.
    ///
    /// The thread's timers are made exact, and those of threads that it starts
    /// later; one of them is to call [`Self::next`].
    pub fn start(plan: &Plan) -> Self {
        Self::start_with(plan, "ping")
    }

    pub(super) fn start_with(plan: &Plan, system_ping: &str) -> Self {
        let mut pinger = Self {
            ways: plan.ways.clone(),
            lanes: Vec::with_capacity(plan.ways.len()),
            systems: Vec::new(),
            failed: Vec::new(),
            events: VecDeque::with_capacity(EVENTS),
            poll: Poll::with_room(SOURCES * plan.ways.len() + PING_CONNECTS),
            deadline: None,
            stopped: false,
            margin: Duration::ZERO,
            next_system_look: Instant::ZERO,
        };
        let is_system = |way: &Way| way.kind == Kind::System;
        for place in (0..plan.ways.len()).filter(|place| !is_system(&plan.ways[*place])) {
            match Lane::open(place, plan) {
                Ok(lane) => pinger.lanes.push(lane),
                Err(error) => pinger.refuse(place, error),
            }
        }
        // The system's ping keeps its own time and sends as soon as it can, so
        // it begins the interval and ours follow, evenly.
        for place in (0..plan.ways.len()).filter(|place| is_system(&plan.ways[*place])) {
            match SystemPing::start(system_ping, place, plan) {
                Ok(system) => pinger.systems.push(system),
                Err(error) => pinger.refuse(place, error),
            }
        }
        // Not before, for a child would inherit it.
        wake_exactly();
        pinger.margin = plan.pace.margin();
        let now = Clock::now();
        let first = pinger.systems.len();
        let places = pinger.lanes.len() + first;
        for (place, lane) in (first..).zip(&mut pinger.lanes) {
            let within = plan.interval * place as u32 / places.max(1) as u32;
            lane.begin(now + within);
        }
        pinger.deadline = plan.deadline.map(|span| now + span);
        pinger
    }

    fn refuse(&mut self, way: usize, error: PingError) {
        self.failed.push((way, error));
        self.events.push_back(Event::Failed { way });
    }

    /// Sends and hears until there is something to tell, or until `until`.
    /// After [`Event::Done`] it has nothing more to tell.
    pub fn next(&mut self, until: Instant) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let now = Clock::now();
            if let Some(deadline) = self.deadline.filter(|&deadline| deadline <= now) {
                self.stop_at(deadline);
            }
            for lane in &mut self.lanes {
                lane.send(now, &mut self.events);
                lane.expire(now, &mut self.events);
            }
            self.systems.iter_mut().for_each(|system| system.expire(now));
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

    /// Sends what was due by now and no more, and waits for nothing but the
    /// totals of the system's ping. What is still out counts as pending.
    pub fn stop(&mut self) {
        self.stop_at(Clock::now());
    }

    /// The same at a moment that may be past: what was due before is sent.
    fn stop_at(&mut self, moment: Instant) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        self.lanes.iter_mut().for_each(|lane| lane.stop(moment, &mut self.events));
        self.systems.iter_mut().for_each(SystemPing::stop);
    }

    fn is_done(&mut self) -> bool {
        let stopped = self.stopped;
        self.lanes.iter_mut().all(|lane| stopped || lane.is_done())
            && self.systems.iter().all(SystemPing::is_done)
    }

    /// Waits until something is to be sent, given up or heard, and hears it.
    fn hear(&mut self, now: Instant, until: Instant) {
        let due = self.lanes.iter().filter_map(Lane::due).min().unwrap_or(Instant::NEVER);
        if due.since(now) <= self.margin {
            return self.spin(now, due);
        }
        let others = self
            .lanes
            .iter_mut()
            .filter_map(Lane::expiry)
            .chain(self.systems.iter().filter_map(SystemPing::wake))
            .chain(self.deadline.filter(|_| !self.stopped));
        let wake = others.fold(until, Instant::min);
        let wake = wake.min(due.back(self.margin));
        self.sleep(wake.since(now));
    }

    /// Looks for replies without waiting, or at the clock alone if a probe is
    /// about to be due.
    fn spin(&mut self, now: Instant, due: Instant) {
        if due.since(now) > FINISH {
            self.lanes.iter_mut().for_each(|lane| lane.hear(&mut self.events));
        }
        if !self.systems.is_empty() && self.next_system_look <= now {
            self.next_system_look = now + SYSTEM_LOOK;
            self.sleep(Duration::ZERO);
        }
    }

    /// Waits for as long, and hears what has come.
    fn sleep(&mut self, span: Duration) {
        self.poll.clear();
        self.lanes.iter_mut().for_each(|lane| lane.watch(&mut self.poll));
        self.systems.iter_mut().for_each(|system| system.watch(&mut self.poll));
        if let Err(error) = self.poll.wait(span) {
            self.refuse(0, PingError::Io { what: "poll", error });
            return self.stop();
        }
        let poll = &self.poll;
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_ready(poll)) {
            lane.hear(&mut self.events);
        }
        for system in &mut self.systems {
            system.hear(poll, &mut self.events);
        }
    }

    /// What became of the probes, in the order of the plan.
    pub fn finish(self) -> Vec<Series> {
        let mut all: Vec<Option<Series>> = self.ways.iter().map(|_| None).collect();
        let found = self.lanes.into_iter().map(|lane| (lane.place(), lane.finish()));
        let systems = self.systems.into_iter().map(|system| (system.place(), system.finish()));
        for (place, series) in found.chain(systems) {
            all[place] = Some(series);
        }
        for (place, error) in self.failed {
            match &mut all[place] {
                Some(series) => series.failure = Some(error),
                none => *none = Some(Series::failed(self.ways[place].clone(), error)),
            }
        }
        all.into_iter().flatten().collect()
    }
}
