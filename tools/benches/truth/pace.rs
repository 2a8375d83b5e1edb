//! When probes are sent, against when they were due; and that as many are sent
//! as the schedule has, at any rate.

use std::time::Duration;

use nearlight::client::ping::{Kind, Wait};
use nearlight::limits::WAIT_MARGIN;

use crate::rig::link::Link;
use crate::rig::probe;
use crate::rig::responder::{Manners, Responder};
use crate::{Options, met, us};

/// A trial lasts so long.
const SPAN: Duration = Duration::from_secs(5);
/// Paces at 1 kHz, with goals for p50 and p99 of lateness in nanoseconds.
const PACES: [(Wait, Option<(f64, f64)>); 3] = [
    (Wait::Sleep, None),
    (Wait::Hybrid(WAIT_MARGIN), Some((2_000.0, 20_000.0))),
    (Wait::Spin, Some((200.0, 5_000.0))),
];
const RATES: [u32; 5] = [10, 100, 1_000, 10_000, 100_000];

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    println!("for {SPAN:?} each, answered at once; goals for p50 and p99 as far as there are any");
    println!("| probes | per second | scheduled | sent | late by us: p50, p99, most | goals |");
    println!("|---|---|---|---|---|---|");
    for kind in [Kind::Icmp, Kind::Udp] {
        for (pace, goal) in PACES {
            for _ in 0..options.repeats {
                measure(options, kind, pace, 1_000, goal)?;
            }
        }
        for rate in RATES {
            measure(options, kind, Wait::Spin, rate, None)?;
        }
    }
    Ok(())
}

fn measure(
    options: &Options,
    kind: Kind,
    pace: Wait,
    rate: u32,
    goal: Option<(f64, f64)>,
) -> Result<(), String> {
    let link = Link::device()?;
    let span = if options.quick { SPAN / 10 } else { SPAN };
    let count = (span.as_secs_f64() * f64::from(rate)) as u64;
    let mut plan = probe::plan(kind, link.target(false), count, Duration::from_secs(1) / rate);
    plan.pace = pace;
    plan.warm_up = (u64::from(rate) / 10).max(1);
    let manners = Manners { cpu: Some(options.responder), ..Manners::default() };
    let responder = Responder::start(link, manners, 2 * count as usize);
    let all = probe::run(&plan, Some(options.prober));
    responder.finish()?;
    let all = all?;
    let (series, lateness) = (&all[0], &all[0].counts.lateness);
    let at = |q: f64| lateness.quantile(q).map(|span| span.as_nanos() as f64);
    let (p50, p99) = (at(0.5).unwrap_or(f64::NAN), at(0.99).unwrap_or(f64::NAN));
    let is_whole = series.counts.sent == series.scheduled && series.scheduled == count;
    let is_near = goal.is_none_or(|(half, most)| p50 <= half && p99 <= most);
    println!(
        "| {kind}, {} | {rate} | {} | {} | {}, {}, {} | {} |",
        pace.name(),
        series.scheduled,
        series.counts.sent,
        us(p50),
        us(p99),
        us(lateness.max().unwrap_or_default().as_nanos() as f64),
        met(is_whole && is_near)
    );
    Ok(())
}
