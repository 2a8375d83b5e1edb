//! A trial: a script of faults on one side, the engine's counts on the other.

use std::time::Duration;

use nearlight::client::ping::{Counts, IcmpDoor, Kind, Wait};

use super::link::Link;
use super::packet::Forgery;
use super::probe;
use super::responder::{Manners, Responder};
use super::script::{self, Expected, Faults, Receiver};

/// What is measured, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) kind: Kind,
    pub(crate) v6: bool,
    pub(crate) door: Option<IcmpDoor>,
    pub(crate) receiver: Receiver,
    pub(crate) size: usize,
    pub(crate) pace: Wait,
    pub(crate) probes: u64,
    pub(crate) interval: Duration,
    pub(crate) wait: Duration,
    /// Cores of prober and responder; without, the responder sleeps.
    pub(crate) cpus: Option<(usize, usize)>,
}

/// Runs it; what was counted, and what should have been.
pub(crate) fn hold(trial: &Trial, link: Link, seed: u64) -> Result<(Expected, Expected), String> {
    let is_device = matches!(link, Link::Tun(_));
    let mut plan = probe::plan(trial.kind, link.target(trial.v6), trial.probes, trial.interval);
    plan.wait = trial.wait;
    plan.size = trial.size;
    plan.pace = trial.pace;
    plan.door = trial.door;
    let probes = plan.probes().unwrap_or(0);
    let late = trial.wait + trial.wait / 4;
    // Twice as long as it takes, for a machine with others on it.
    let tail = 2 * late.as_nanos() / trial.interval.as_nanos();
    let is_icmp = trial.kind == Kind::Icmp;
    let data = &Forgery::OF_DATA[..];
    let but_header = [data, &[Forgery::Stranger, Forgery::Checksum]].concat();
    let steps = script::faults(
        seed,
        &Faults {
            warm_up: plan.warm_up,
            probes,
            tail: u64::try_from(tail).unwrap_or(u64::MAX),
            percent: 33,
            forgeries: match (is_device, is_icmp) {
                (false, _) => data,
                (true, false) => &but_header,
                (true, true) => &Forgery::OF_PACKET,
            },
            // A header with the probe's number behind it; ICMP's own number too.
            quotes: match (is_device, is_icmp) {
                (false, _) => &[],
                (true, false) => &[24, 64],
                (true, true) => &[8, 24, 64],
            },
        },
    );
    let wanted = script::expected(&steps, plan.warm_up, trial.receiver);
    let manners =
        Manners { steps, late, cpu: trial.cpus.map(|(_, responder)| responder), stall: None };
    let responder = Responder::start(link, manners, probes as usize);
    let all = probe::run(&plan, trial.cpus.map(|(prober, _)| prober));
    let seen = responder.finish()?.len() as u64;
    let all = all?;
    let counts = &all[0].counts;
    if seen != probes || counts.pending > 0 {
        let pending = counts.pending;
        return Err(format!("{seen} of {probes} came to the responder, {pending} are pending"));
    }
    Ok((found(counts), wanted))
}

fn found(counts: &Counts) -> Expected {
    Expected {
        sent: counts.sent,
        received: counts.received,
        lost: counts.lost,
        late: counts.late,
        duplicates: counts.duplicates,
        reordered: counts.reordered,
        reorder_extent: counts.reorder_extent,
        errors: counts.errors,
        forged: counts.forged,
        dropped_here: counts.dropped_here,
        loss_run: counts.loss_run,
    }
}
