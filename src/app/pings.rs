//! The pings beside the demo's table: the system's and our own ICMP, of the
//! same machine, in the same seconds.

use crate::client::hist::Hist;
use crate::client::ping::{Event, Family, Kind, Outcome, Pinger, Plan, Series, Target, Way};
use crate::client::report::Row;
use crate::sys::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time between two probes of a kind: as often as video frames.
const INTERVAL: Duration = Duration::from_millis(40);
/// A probe on loopback that takes longer is lost.
const WAIT: Duration = Duration::from_secs(1);
/// How long one look for events takes at most.
const LOOK: Duration = Duration::from_millis(100);

/// Pings that run while the demo does.
pub(super) struct Pings {
    pinger: Mutex<Option<Pinger>>,
    seen: Mutex<Vec<(Kind, Hist, u64)>>,
    notes: Mutex<Vec<String>>,
}

impl Pings {
    /// Starts them. Before signals are blocked: the system's `ping` is a child
    /// that is stopped by one.
    pub(super) fn start() -> Self {
        let kinds = [Kind::System, Kind::Icmp];
        let seen = kinds.iter().map(|kind| (*kind, Hist::new(), 0)).collect();
        let plan = Target::resolve("127.0.0.1", Family::V4).map(|target| {
            let ways = kinds.map(|kind| Way::to(kind, target.clone()));
            Plan { interval: INTERVAL, wait: WAIT, ..Plan::new(ways.to_vec()) }
        });
        let pinger = plan.ok().map(|plan| Pinger::start(&plan));
        Self { pinger: Mutex::new(pinger), seen: Mutex::new(seen), notes: Mutex::default() }
    }

    /// Takes their events until `stop`.
    pub(super) fn watch(&self, stop: &AtomicBool) {
        let Some(mut pinger) = lock(&self.pinger).take() else { return };
        while !stop.load(Ordering::Relaxed) {
            if matches!(self.take(pinger.next(Clock::now() + LOOK)), Event::Done) {
                break;
            }
        }
        pinger.stop();
        let until = Clock::now() + WAIT;
        while Clock::now() < until && !matches!(pinger.next(until), Event::Done | Event::Quiet) {}
        lock(&self.notes).extend(pinger.finish().iter().filter_map(note));
    }

    fn take(&self, event: Event) -> Event {
        let mut seen = lock(&self.seen);
        match &event {
            Event::Reply(answer) if answer.outcome == Outcome::InTime && !answer.warm_up => {
                if let (Some((_, hist, _)), Some(rtt)) = (seen.get_mut(answer.way), answer.rtt) {
                    hist.record(rtt);
                }
            }
            Event::Lost { way, .. } | Event::Trouble { way, .. } => {
                if let Some((_, _, lost)) = seen.get_mut(*way) {
                    *lost += 1;
                }
            }
            Event::Reply(_) | Event::Failed { .. } | Event::Quiet | Event::Done => {}
        }
        event
    }

    /// A row for each that has answered.
    pub(super) fn rows(&self) -> Vec<Row> {
        let seen = lock(&self.seen);
        seen.iter().filter(|(_, hist, _)| hist.count() > 0).map(row).collect()
    }

    /// Why one could not be had, and what would help.
    pub(super) fn notes(&self) -> Vec<String> {
        lock(&self.notes).clone()
    }
}

fn row((kind, hist, lost): &(Kind, Hist, u64)) -> Row {
    Row {
        path: format!("ping ({kind})"),
        n: hist.count(),
        p50: hist.quantile(0.5),
        p99: hist.quantile(0.99),
        max: hist.max(),
        lost: *lost,
    }
}

fn note(series: &Series) -> Option<String> {
    let why = series.failure.as_ref()?;
    Some(format!("ping ({}): {why}", series.way.kind))
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
