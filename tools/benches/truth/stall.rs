//! A responder that stands still for 200 ms of every 2 s: every probe must be
//! sent in its time all the same, and the stall must show in full in the times.

use std::time::Duration;

use nearlight::client::ping::{Kind, Wait};

use crate::rig::link::Link;
use crate::rig::probe;
use crate::rig::responder::{Manners, Responder};
use crate::{Options, met, us};

const PERIOD: Duration = Duration::from_secs(2);
const LENGTH: Duration = Duration::from_millis(200);
const INTERVAL: Duration = Duration::from_millis(1);
const PROBES: u64 = 20_000;
/// Goal: what p99 must show of it.
const GOAL: Duration = Duration::from_millis(150);
/// How far from the model it may be.
const MODEL: f64 = 0.05;

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    // Quicker, it has to see at least one stall.
    let probes = if options.quick { 4_000 } else { PROBES };
    // A tenth of the probes meet a stall, and wait for what is left of it: one in
    // a hundred for more than nine tenths.
    let model = LENGTH.mul_f64(0.9);
    println!(
        "{probes} probes of each, {INTERVAL:?} apart; goals: sent as scheduled, response time \
         p99 at least {GOAL:?}, and within 5 % of the model's {model:?}"
    );
    println!(
        "| probes | scheduled | sent | received | response p50 us, p99 us | latest send us | goals |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (kind, pace) in
        [(Kind::Icmp, Wait::Sleep), (Kind::Icmp, Wait::Spin), (Kind::Udp, Wait::Sleep)]
    {
        let link = Link::device()?;
        let mut plan = probe::plan(kind, link.target(false), probes, INTERVAL);
        plan.pace = pace;
        let manners = Manners {
            stall: Some((PERIOD, LENGTH)),
            cpu: Some(options.responder),
            ..Manners::default()
        };
        let responder = Responder::start(link, manners, 2 * probes as usize);
        let all = probe::run(&plan, Some(options.prober));
        responder.finish()?;
        let all = all?;
        let (series, counts) = (&all[0], &all[0].counts);
        let [p50, p99] = [0.5, 0.99].map(|q| counts.response.quantile(q).unwrap_or_default());
        let off = (p99.as_secs_f64() / model.as_secs_f64() - 1.0).abs();
        let is_whole = counts.sent == series.scheduled && counts.received == counts.sent;
        println!(
            "| {kind}, {} | {} | {} | {} | {}, {} | {} | {} |",
            pace.name(),
            series.scheduled,
            counts.sent,
            counts.received,
            us(p50.as_nanos() as f64),
            us(p99.as_nanos() as f64),
            us(counts.lateness.max().unwrap_or_default().as_nanos() as f64),
            met(is_whole && p99 >= GOAL && off <= MODEL)
        );
    }
    Ok(())
}
