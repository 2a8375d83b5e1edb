//! The prober: the engine of `lightmeter ping`, run to its end.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use nearlight::client::ping::{Event, Kind, Pinger, Plan, Series, Target, Way};
use nearlight::sys::affinity::pin_to;
use nearlight::sys::clock::Clock;

use super::responder::Seen;

/// `count` probes of one kind, and those that warm up.
pub(crate) fn plan(kind: Kind, address: SocketAddr, count: u64, interval: Duration) -> Plan {
    let target = Target { name: address.to_string(), address };
    Plan { count: Some(count), warm_up: 100, interval, ..Plan::new(vec![Way::to(kind, target)]) }
}

/// Runs it to the end on a core of its own; of one that can't be had, why.
pub(crate) fn run(plan: &Plan, cpu: Option<usize>) -> Result<Vec<Series>, String> {
    let all = on(cpu, || {
        let mut pinger = Pinger::start(plan);
        while !matches!(pinger.next(Clock::now() + Duration::from_secs(1)), Event::Done) {}
        pinger.finish()
    })?;
    match all.iter().find_map(|series| series.failure.as_ref()) {
        Some(failure) => Err(failure.to_string()),
        None => Ok(all),
    }
}

/// Does `work` in a thread with a core of its own, which what it starts inherits.
pub(crate) fn on<T: Send>(
    cpu: Option<usize>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            cpu.map_or(Ok(()), pin_to).map_err(|why| why.to_string())?;
            Ok(work())
        });
        thread.join().map_err(|_| "the prober panicked".to_owned())?
    })
}

/// A probe's true hold beside what was measured of it, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) hold: f64,
    pub(crate) network: Option<f64>,
    pub(crate) user: f64,
}

/// The counted probes that were answered, in order, each with its true hold.
pub(crate) fn pairs(plan: &Plan, series: &Series, seen: &[Seen]) -> Vec<Pair> {
    let mut holds = vec![None; plan.probes().unwrap_or(0) as usize];
    for seen in seen {
        let place = usize::try_from(seen.sequence).ok().and_then(|at| holds.get_mut(at));
        if let Some(place) = place {
            *place = seen.hold();
        }
    }
    let nanos = |span: Duration| span.as_nanos() as f64;
    series
        .records
        .iter()
        .filter(|record| record.sequence >= plan.warm_up)
        .filter_map(|record| {
            let hold = (*holds.get(record.sequence as usize)?)?;
            Some(Pair {
                hold: nanos(hold),
                network: record.network().map(nanos),
                user: nanos(record.user()?),
            })
        })
        .collect()
}
