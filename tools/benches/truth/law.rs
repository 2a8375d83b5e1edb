//! Quantiles of a known law: most probes are held shortly, few for long, fewer
//! still for very long. What is reported as p50, p99 and p99.9, against the same
//! quantiles of what the responder really did.

use std::time::Duration;

use nearlight::client::hist::Hist;
use nearlight::client::ping::{Kind, Wait};

use crate::rig::fit::quantile;
use crate::rig::link::Link;
use crate::rig::probe;
use crate::rig::responder::{Manners, Responder};
use crate::rig::script::{Random, Step};
use crate::{Options, met, us};

/// Of a thousand probes, and microseconds. p50, p99 and p99.9 each lie within a
/// mode: at the edge of one, chance alone would decide.
const LAW: [(usize, u64); 3] = [(985, 200), (13, 5_000), (2, 20_000)];
const PROBES: u64 = 20_000;
/// No hold ends at the moment of a send.
const INTERVAL: Duration = Duration::from_micros(700);
/// Goal: within 1 %, or so many nanoseconds.
const GOAL: f64 = 5_000.0;

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    println!(
        "{} probes, {INTERVAL:?} apart; of 1000 are held, in us: {LAW:?}; goal: within 1 % or {} us",
        options.probes(PROBES),
        us(GOAL)
    );
    println!("| probes | of | quantile | true us | reported us | difference us | goal |");
    println!("|---|---|---|---|---|---|---|");
    for (kind, pace) in [(Kind::Icmp, Wait::Spin), (Kind::Udp, Wait::Spin)] {
        for repeat in 0..options.repeats {
            measure(options, kind, pace, repeat as u64)?;
        }
    }
    Ok(())
}

fn measure(options: &Options, kind: Kind, pace: Wait, seed: u64) -> Result<(), String> {
    let link = Link::device()?;
    let mut plan = probe::plan(kind, link.target(false), options.probes(PROBES), INTERVAL);
    plan.pace = pace;
    let probes = plan.probes().unwrap_or(0) as usize;
    let mut random = Random(seed);
    let mut steps = Vec::with_capacity(probes + 1_000);
    while steps.len() < probes {
        let of = |(share, us): &(usize, u64)| vec![Step::Hold(Duration::from_micros(*us)); *share];
        let mut block: Vec<Step> = LAW.iter().flat_map(of).collect();
        random.shuffle(&mut block);
        steps.append(&mut block);
    }
    let manners = Manners { steps, cpu: Some(options.responder), ..Manners::default() };
    let responder = Responder::start(link, manners, probes);
    let all = probe::run(&plan, Some(options.prober));
    let seen = responder.finish()?;
    let all = all?;
    let counts = &all[0].counts;
    let holds: Vec<f64> =
        probe::pairs(&plan, &all[0], &seen).iter().map(|pair| pair.hold).collect();
    let name = format!("{kind}, {}", pace.name());
    report(&name, "network RTT", &holds, &counts.network, true);
    report(&name, "user RTT", &holds, &counts.rtt, false);
    Ok(())
}

/// User RTT has no goal: what this host adds is in it, and is no error.
fn report(name: &str, of: &str, holds: &[f64], reported: &Hist, has_goal: bool) {
    for q in [0.5, 0.99, 0.999, 1.0] {
        let found = if q < 1.0 { reported.quantile(q) } else { reported.max() };
        let truth = quantile(holds.to_vec(), q);
        let (Some(truth), Some(found)) = (truth, found) else {
            println!("| {name} | {of} | {q} | - | - | - | too few |");
            continue;
        };
        let found = found.as_nanos() as f64;
        println!(
            "| {name} | {of} | {q} | {} | {} | {} | {} |",
            us(truth),
            us(found),
            us(found - truth),
            if has_goal { met((found - truth).abs() <= GOAL.max(truth / 100.0)) } else { "-" }
        );
    }
}
