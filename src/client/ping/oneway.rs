//! Delays of each way, from the four times of STAMP probes, with the bound that
//! these times give, and no more.
//!
//! The reflector's clock is ahead of ours by an offset `θ` that nobody knows. A
//! packet takes some time, so each probe says that `θ` lies between `T3 - T4`
//! and `T2 - T1`: the middle is the well-known `((T2 - T1) + (T3 - T4)) / 2`, and
//! half of the round trip is how far it may be off (RFC 5905 section 8). What the
//! probes around say counts too, less by what two clocks drift meanwhile: so the
//! bound is at most half of the *shortest* round trip near. Each probe's delay is
//! then known within its bound, and a quantile of delays within the same quantile
//! of their lower and upper ends, whatever the path does.
//!
//! ```text
//!           T2 - T1   ┬       ┬ from the probes around, + drift
//!                     │   ┬   │
//!      θ within       │   │   │   ◀─ at each probe's time: what all of them allow
//!                     │   ┴   ┴
//!           T3 - T4   ┴
//! ```
//!
//! The two ends alone can't tell a slow way there from a fast way back: the
//! middle is right where the fastest probe took as long there as back, and the
//! bound says how wrong it can be. How a delay *varies* does not depend on `θ`.
//! Where the clocks are one, or known to be in step, that is a bound like another.

use std::fmt;
use std::time::Duration;

use crate::client::hist::samples_needed;

/// Two clocks drift by at most so many parts in a million: twice what a crystal
/// is specified for. A clock that is being moved faster, to put it right, is
/// noticed or adds what it moves to the error.
pub const CLOCK_DRIFT_PPM: u64 = 100;

/// The times of one probe, in nanoseconds since 1970, those of each end by its
/// own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// Ours, before it was sent.
    pub t1: u64,
    /// The reflector's, when it had it.
    pub t2: u64,
    /// The reflector's, before it answered.
    pub t3: u64,
    /// Ours, when the reply was here.
    pub t4: u64,
}

impl Stamps {
    /// The round trip without the reflector's time, `(T4 - T1) - (T3 - T2)`.
    /// `None` if that leaves nothing, which no packet takes: then T2 and T3 are
    /// not to be believed.
    pub fn network(&self) -> Option<Duration> {
        let held = self.t3.checked_sub(self.t2)?;
        let nanos = self.t4.checked_sub(self.t1)?.checked_sub(held)?;
        (nanos > 0).then_some(Duration::from_nanos(nanos))
    }
}

/// A number of nanoseconds, and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// The middle of what it may be.
    pub nanos: i64,
    /// The truth is at most so far from it.
    pub within: u64,
}

impl Around {
    fn between(low: i64, high: i64) -> Self {
        let within = high.abs_diff(low).div_ceil(2);
        Self { nanos: low.saturating_add_unsigned(within), within }
    }

    /// Whether a value is one that it may be.
    pub fn allows(&self, nanos: i64) -> bool {
        nanos.abs_diff(self.nanos) <= self.within
    }
}

/// Delays of one way; each `None` where there are too few probes for it
/// ([`samples_needed`], but the median from one on).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// The least.
    pub min: Option<Around>,
    /// The median.
    pub p50: Option<Around>,
    /// 90 %.
    pub p90: Option<Around>,
    /// 99 %.
    pub p99: Option<Around>,
    /// 99.9 %.
    pub p999: Option<Around>,
    /// The largest.
    pub max: Option<Around>,
}

/// What the four times say of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneWay {
    /// From us to the reflector.
    pub up: Delays,
    /// Back.
    pub down: Delays,
    /// How far the reflector's clock is ahead of ours, when that is known best.
    pub offset: Around,
    /// The probes that this is of.
    pub count: u64,
    /// Probes left out, for their times leave none to travel.
    pub absurd: u64,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// No probe has four times that make sense.
    NoProbes,
    /// What some say contradicts others, or what was known of the clocks.
    Contradiction,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProbes => f.write_str("no reply has times that make sense"),
            Self::Contradiction => write!(
                f,
                "the clocks are not what they were taken for: one was set during the run, they \
                 drift by more than {CLOCK_DRIFT_PPM} ppm, or they are not in step"
            ),
        }
    }
}

impl std::error::Error for Unclear {}

/// What one probe says.
#[derive(Clone, Copy)]
struct Probe {
    at: u64,
    /// T2 - T1 and T4 - T3: the delays, but for the offset.
    up: i64,
    down: i64,
    /// The offset at T1 lies between these.
    low: i64,
    high: i64,
    /// By how much it may be another at T2 and T3.
    drift: i64,
}

/// The delays of each way, of probes in any order. `known`: the clocks differ by
/// at most so much; zero if they are one, `None` if nothing is known.
///
/// # Errors
/// [`Unclear`], where an honest answer has no numbers.
pub fn one_way(stamps: &[Stamps], known: Option<Duration>) -> Result<OneWay, Unclear> {
    let usable: Vec<Stamps> = stamps.iter().filter(|s| s.network().is_some()).copied().collect();
    let grain = grain(&usable);
    let known = known.map_or(i64::MAX, |span| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX));
    let mut probes: Vec<Probe> = usable.iter().map(|stamps| probe(stamps, grain, known)).collect();
    probes.sort_unstable_by_key(|probe| probe.at);
    narrow(probes.iter_mut());
    narrow(probes.iter_mut().rev());
    if probes.iter().any(|probe| probe.low > probe.high) {
        return Err(Unclear::Contradiction);
    }
    let best = probes.iter().min_by_key(|probe| probe.high.abs_diff(probe.low));
    let best = best.ok_or(Unclear::NoProbes)?;
    let ends = |p: &Probe| {
        let low = p.low.saturating_sub(p.drift).max(known.saturating_neg());
        (low.saturating_sub(grain), p.high.saturating_add(p.drift).min(known).saturating_add(grain))
    };
    let up = |p: &Probe| {
        let (low, high) = ends(p);
        (p.up.saturating_sub(high), p.up.saturating_sub(low))
    };
    let down = |p: &Probe| {
        let (low, high) = ends(p);
        (p.down.saturating_add(low), p.down.saturating_add(high))
    };
    Ok(OneWay {
        up: delays(probes.iter().map(up)),
        down: delays(probes.iter().map(down)),
        offset: Around::between(best.low, best.high),
        count: probes.len() as u64,
        absurd: (stamps.len() - probes.len()) as u64,
    })
}

fn probe(stamps: &Stamps, grain: i64, known: i64) -> Probe {
    let span = |from: u64, to: u64| to.wrapping_sub(from).cast_signed();
    let Stamps { t1, t2, t3, t4 } = *stamps;
    let (up, down) = (span(t1, t2), span(t3, t4));
    let drift = drift(t4.saturating_sub(t1));
    let slack = drift.saturating_add(grain);
    Probe {
        at: t1,
        up,
        down,
        drift,
        low: down.saturating_neg().saturating_sub(slack).max(known.saturating_neg()),
        high: up.saturating_add(slack).min(known),
    }
}

/// Takes from each probe to the next what is known of the offset.
fn narrow<'a>(probes: impl Iterator<Item = &'a mut Probe>) {
    let mut last: Option<Probe> = None;
    for probe in probes {
        if let Some(last) = last {
            let slack = drift(probe.at.abs_diff(last.at));
            probe.low = probe.low.max(last.low.saturating_sub(slack));
            probe.high = probe.high.min(last.high.saturating_add(slack));
        }
        last = Some(*probe);
    }
}

/// What two clocks may drift in so many nanoseconds.
fn drift(nanos: u64) -> i64 {
    let nanos = nanos.div_ceil(1_000_000 / CLOCK_DRIFT_PPM);
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// The steps of the reflector's times: a nanosecond, as they are rounded on the
/// wire, or whole micro- or milliseconds, if all of them are.
fn grain(stamps: &[Stamps]) -> i64 {
    let whole = |step: i64| {
        let is_whole = |time: u64| time.wrapping_add(1) % step.cast_unsigned() <= 2;
        stamps.iter().all(|stamps| is_whole(stamps.t2) && is_whole(stamps.t3))
    };
    [1_000_000, 1_000].into_iter().find(|step| whole(*step)).unwrap_or(1)
}

/// Quantiles of delays that lie between two ends each; none is negative.
fn delays(ends: impl Iterator<Item = (i64, i64)>) -> Delays {
    let (mut low, mut high): (Vec<i64>, Vec<i64>) =
        ends.map(|(least, most)| (least.max(0), most.max(0))).unzip();
    low.sort_unstable();
    high.sort_unstable();
    let count = low.len();
    let at = |rank: usize| Some(Around::between(*low.get(rank)?, *high.get(rank)?));
    let quantile = |q: f64| {
        let enough = samples_needed(q).is_some_and(|needed| count as u64 >= needed);
        enough.then(|| at((q * count as f64 - 1e-6).ceil() as usize - 1)).flatten()
    };
    Delays {
        min: at(0),
        p50: at(count.div_ceil(2).saturating_sub(1)),
        p90: quantile(0.9),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: at(count.saturating_sub(1)),
    }
}

#[cfg(test)]
#[path = "oneway_tests.rs"]
mod tests;
