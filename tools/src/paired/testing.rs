//! Plans and runs for tests of what is said of them: nothing is measured.

use std::time::Duration;

use super::doc::{Figures, RoundDoc};
use super::place::Place;
use super::probe::{Kind, Pace};
use super::run::{GroupRun, Run, Total};
use super::setting::Setting;
use super::{Arm, Metric, Plan};

/// A plan of settings, at so many sizes.
pub(crate) fn plan(settings: &[&str], groups: usize) -> Plan {
    let arm = |text: &&str| Arm::Server(Setting::parse(text).expect(text));
    let pace = |at: usize| Pace { interval: Duration::from_millis(1), size: 64 + at };
    Plan {
        arms: settings.iter().map(arm).collect(),
        kind: Kind::Echo,
        paces: (0..groups).map(pace).collect(),
        rounds: 20,
        probes: 10,
        metric: Metric::P50,
        seed: 7,
        place: Place { server: Some(1), probes: Some(0) },
        program: Some("nearlight".into()),
    }
}

/// Rounds in which each arm got what is given for it, in nanoseconds, in every
/// group; a little more and less in turn, as a machine would.
pub(crate) fn run(plan: &Plan, rounds: usize, arms: &[u64]) -> Run {
    let groups = plan.paces.iter().map(|&pace| {
        let mut totals = vec![Total::default(); plan.slots()];
        let rounds = (0..rounds).map(|round| {
            let figures = arms.iter().zip(&mut totals).enumerate().map(|(slot, (nanos, total))| {
                let nanos = nanos + nanos / 500 * ((round + slot) % 3) as u64;
                (0..10).for_each(|_| total.hist.record(Duration::from_nanos(nanos)));
                total.sent += 10;
                total.turns += 1;
                let p50_ns = Some(nanos);
                Figures { sent: 10, received: 10, p50_ns, p90_ns: None, p99_ns: None }
            });
            RoundDoc { order: vec![0, 1, 2], arms: figures.collect() }
        });
        GroupRun { pace, rounds: rounds.collect(), totals }
    });
    Run {
        groups: groups.collect(),
        is_interrupted: false,
        trouble: None,
        took: Duration::from_secs(9),
    }
}
