//! The second in which the doctor measures: a thread that spins sees what the
//! clock costs and when its core was taken away, one that sleeps sees how late
//! it is woken. What it comes to is judged elsewhere.

use std::time::Duration;

use nearlight::base::Instant;
use nearlight::sys::clock::Clock;
use nearlight::sys::doctor::timer_slack;
use nearlight::sys::wait::{wait_readable, wake_exactly};

/// How long the clock is read without a pause.
const SPIN: Duration = Duration::from_millis(400);
/// Clock reads whose cost is kept, from the start of that.
const READS: usize = 100_000;
/// Between two reads the thread was away if it took longer than this: several
/// times the dearest clock, less than the shortest interrupt that matters.
pub(super) const AWAY: Duration = Duration::from_micros(10);
/// Length of a timed wait.
const WAIT: Duration = Duration::from_millis(1);
/// Timed waits of each kind.
const WAITS: usize = 320;
/// Both kinds end after this long, however late their waits are.
const WAITS_TIME: Duration = Duration::from_millis(500);
/// A p99 needs so many values to be one with 95 % confidence: ln 0.05 / ln 0.99.
const P99_VALUES: usize = 299;

/// Quantiles of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) count: usize,
    pub(super) min: Duration,
    pub(super) p50: Duration,
    /// `None` with too few values for it.
    pub(super) p99: Option<Duration>,
    pub(super) max: Duration,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(mut spans: Vec<Duration>) -> Option<Self> {
        spans.sort_unstable();
        let count = spans.len();
        let at = |percent: usize| spans.get((count * percent).div_ceil(100).saturating_sub(1));
        Some(Self {
            count,
            min: *spans.first()?,
            p50: *at(50)?,
            p99: at(99).copied().filter(|_| count >= P99_VALUES),
            max: *spans.last()?,
        })
    }
}

/// What spinning saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spin {
    /// From one clock read to the next.
    pub(super) cost: Spread,
    /// The least that the clock moved by, if it moved.
    pub(super) step: Option<Duration>,
    /// Times that the thread was away.
    pub(super) gaps: u32,
    pub(super) longest: Duration,
    /// Of all gaps together.
    pub(super) away: Duration,
    pub(super) lasted: Duration,
}

/// What sleeping saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sleep {
    /// How late the kernel may wake this thread.
    pub(super) slack: Option<Duration>,
    /// How late it did.
    pub(super) late: Option<Spread>,
}

/// Everything of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) spin: Spin,
    /// As this process was started.
    pub(super) given: Sleep,
    /// With the exact wake-ups that a measurement asks for.
    pub(super) exact: Sleep,
}

/// Takes about a second. This thread keeps the exact wake-ups.
pub(super) fn measure() -> Measured {
    let spin = spin();
    let given = sleep();
    wake_exactly();
    Measured { spin, given, exact: sleep() }
}

fn spin() -> Spin {
    let mut costs = Vec::with_capacity(READS);
    let mut found = Spin::default();
    let start = Clock::now();
    let mut last = start;
    while last.since(start) < SPIN {
        let now = Clock::now();
        let passed = now.since(last);
        last = now;
        if costs.len() < READS {
            costs.push(passed);
        }
        if !passed.is_zero() {
            found.step = Some(found.step.map_or(passed, |step| step.min(passed)));
        }
        if passed > AWAY {
            found.gaps += 1;
            found.away += passed;
            found.longest = found.longest.max(passed);
        }
    }
    Spin { cost: Spread::of(costs).unwrap_or_default(), lasted: last.since(start), ..found }
}

fn sleep() -> Sleep {
    let slack = timer_slack().ok();
    let mut late = Vec::with_capacity(WAITS);
    let end = Clock::now() + WAITS_TIME;
    while late.len() < WAITS && Clock::now() < end {
        let due: Instant = Clock::now() + WAIT;
        if wait_readable([], WAIT).is_err() {
            break;
        }
        let now = Clock::now();
        // A signal ends a wait early: that is not how late a timer is.
        if now >= due {
            late.push(now.since(due));
        }
    }
    Sleep { slack, late: Spread::of(late) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_values_and_of_enough_of_them() {
        let to = |count: u64| Spread::of((1..=count).rev().map(Duration::from_nanos).collect());
        let nanos = Duration::from_nanos;
        assert_eq!(to(0), None);
        let few = to(298).unwrap();
        assert_eq!((few.min, few.p50, few.p99, few.max), (nanos(1), nanos(149), None, nanos(298)));
        assert_eq!(to(300).unwrap().p99, Some(nanos(297)));
    }

    #[test]
    fn a_second_of_it_has_all_that_is_judged() {
        let thread = std::thread::spawn(measure);
        let found = thread.join().unwrap();
        assert!(found.spin.lasted >= SPIN && found.spin.away <= found.spin.lasted);
        assert_eq!(found.spin.cost.count, READS);
        assert!(found.spin.longest >= AWAY || found.spin.gaps == 0);
        assert!(found.spin.step.is_some());
        assert_eq!(found.exact.slack, Some(Duration::from_nanos(1)));
        let late = found.exact.late.unwrap();
        assert!(late.count > 10 && late.min <= late.p50 && late.p50 <= late.max);
    }
}
