//! Reported round-trip time against the time each probe was really held. The
//! path itself is in the line's offset; a slope of 1 says that a microsecond is
//! reported as a microsecond.

use std::time::Duration;

use nearlight::client::ping::{Kind, Wait};

use crate::rig::fit::{line, quantile};
use crate::rig::link::Link;
use crate::rig::probe::{self, Pair};
use crate::rig::responder::{Manners, Responder};
use crate::rig::script::{Random, Step};
use crate::{Options, met, us};

/// Microseconds.
const HOLDS: [u64; 7] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000];
/// Probes of all holds together.
const PROBES: u64 = 5_600;
/// Holds overlap, and no two of them end at the same phase of the schedule, nor
/// at the moment of a send.
const INTERVAL: Duration = Duration::from_micros(3_700);
/// Goals: how far from 1 the slopes by least squares may be; and half of network
/// RTTs from the line through the medians, nanoseconds, which a few probes that
/// were disturbed don't move.
const NETWORK: f64 = 0.002;
const USER: f64 = 0.005;
const RESIDUAL: f64 = 2_000.0;

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    println!(
        "{} probes of each, {INTERVAL:?} apart, holds {HOLDS:?} us in any order; goals: network \
         1 ± {NETWORK} and residual p50 {} us, user 1 ± {USER}",
        options.probes(PROBES),
        us(RESIDUAL)
    );
    println!(
        "| probes | of | n | slope, least squares | through medians | offset us | residual p50 us \
         | slope | residual |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let ways = [
        (Kind::Icmp, false, Wait::Spin),
        (Kind::Icmp, true, Wait::Spin),
        (Kind::Udp, false, Wait::Spin),
        (Kind::Icmp, false, Wait::Sleep),
    ];
    for (kind, v6, pace) in ways {
        for repeat in 0..options.repeats {
            let pairs = measure(options, (kind, v6, pace), repeat as u64)?;
            let name = format!("{kind} {}, {}", if v6 { "v6" } else { "v4" }, pace.name());
            let network = pairs.iter().filter_map(|pair| Some((pair.hold, pair.network?)));
            report(&name, "network RTT", &network.collect::<Vec<_>>(), NETWORK, Some(RESIDUAL));
            let user = pairs.iter().map(|pair| (pair.hold, pair.user));
            report(&name, "user RTT", &user.collect::<Vec<_>>(), USER, None);
        }
    }
    Ok(())
}

fn measure(
    options: &Options,
    (kind, v6, pace): (Kind, bool, Wait),
    seed: u64,
) -> Result<Vec<Pair>, String> {
    let link = Link::device()?;
    let target = link.target(v6);
    let mut plan = probe::plan(kind, target, options.probes(PROBES), INTERVAL);
    plan.pace = pace;
    let probes = plan.probes().unwrap_or(0);
    let holds = HOLDS.map(|us| Step::Hold(Duration::from_micros(us)));
    let mut steps: Vec<Step> = holds.iter().copied().cycle().take(probes as usize).collect();
    Random(seed).shuffle(&mut steps);
    let manners = Manners { steps, cpu: Some(options.responder), ..Manners::default() };
    let responder = Responder::start(link, manners, probes as usize);
    let all = probe::run(&plan, Some(options.prober));
    let seen = responder.finish()?;
    let all = all?;
    let counts = &all[0].counts;
    if counts.received != counts.sent {
        return Err(format!("{} of {} came back", counts.received, counts.sent));
    }
    Ok(probe::pairs(&plan, &all[0], &seen))
}

fn report(name: &str, of: &str, points: &[(f64, f64)], goal: f64, near: Option<f64>) {
    let Some((fit, middle)) = line(points).zip(line(&medians(points))) else {
        println!("| {name} | {of} | {} | - | - | - | - | MISSED | MISSED |", points.len());
        return;
    };
    let residual = quantile(points.iter().map(|point| middle.distance(*point)).collect(), 0.5);
    let residual = residual.unwrap_or(f64::NAN);
    println!(
        "| {name} | {of} | {} | {:.5} | {:.5} | {} | {} | {} | {} |",
        points.len(),
        fit.slope,
        middle.slope,
        us(middle.offset),
        us(residual),
        met((fit.slope - 1.0).abs() <= goal),
        near.map_or("-", |near| met(residual <= near))
    );
}

/// Of each hold the median of what was added to it.
fn medians(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let of = |us: u64| {
        let near = |hold: f64| (hold / 1e3 - us as f64).abs() < us as f64 / 4.0;
        let points: Vec<_> = points.iter().filter(|point| near(point.0)).collect();
        let added = quantile(points.iter().map(|(hold, found)| found - hold).collect(), 0.5)?;
        let hold = quantile(points.iter().map(|(hold, _)| *hold).collect(), 0.5)?;
        Some((hold, hold + added))
    };
    HOLDS.into_iter().filter_map(of).collect()
}
