//! Whether B differs from A: the statistics of a paired comparison. No clock
//! and no socket here; the rounds are given.
//!
//! In a round every arm is measured once, each by a fresh process or
//! connection: A, B, and A again. Which arm comes first is drawn by
//! [`Shuffle`], and that draw alone is what the intervals rest on. If A and B
//! are the same, swapping their names in a round changes nothing, so the
//! logarithm of their ratio is as likely above zero as below it: whatever the
//! noise looks like, however slowly it drifts, whatever a fresh process brings
//! with it. The sign of each round is a fair coin, and the median of the
//! rounds' ratios has the order statistics around it that a coin gives.
//!
//! Three things were tried on recorded rounds of a shared two-core machine and
//! on simulated ones, and left out:
//!
//! - B over the geometric mean of both As has less variance, but where
//!   disturbances hit one way, as they do, two As are hit more often than one
//!   B: identical arms then "differ" in up to 13 of 100 runs instead of 5.
//! - Walsh averages (Hodges and Lehmann) want fewer rounds of well-behaved
//!   noise, where rounds are plenty, and more where it is bad: of a machine
//!   that others use, 60 rounds found +5 % in 68 of 100 runs, signs in 87.
//! - An interval that leaves out 1 as the only condition is wrong in 5 of 100
//!   runs by design. So B has to stand apart from both As: that is wrong in
//!   fewer than 1 of 100, and takes a fifth more rounds.

use crate::limits::COMPARE_ERROR;

/// Rounds of a comparison, unless asked for others: with [`PROBES`], enough to
/// find +5 % in more than 9 of 10 runs under noise no smaller than was measured
/// on a shared machine (see the tests).
pub const ROUNDS: usize = 60;
/// Probes of an arm in a round.
pub const PROBES: u64 = 200;
/// In so many passes are an arm's probes of a round spread, the arms taking
/// turns: what drifts within tenths of a second hits all of them alike. On a
/// shared machine that made rounds six times as steady as one long turn each.
pub const PASSES: u64 = 8;

/// What was measured of each arm in a round, of any unit, such as the median
/// in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Of the arm that others are compared with.
    pub a: u64,
    /// Of the same arm, once more.
    pub again: u64,
    /// Of the one in question.
    pub b: u64,
}

/// A ratio, 1.05 being 5 % more: the median over rounds, and the ends of an
/// interval that holds the true one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The estimate.
    pub mid: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Ratio {
    /// How far the further end is from 1: 0.05 if the interval can't tell a
    /// ratio of 1.05, or of 1/1.05, from 1.
    pub fn reach(&self) -> f64 {
        self.high.max(1.0 / self.low).max(1.0) - 1.0
    }

    /// The median of the logarithms, as a ratio, with its order statistics.
    fn of(mut logarithms: Vec<f64>, cut: usize) -> Option<Self> {
        logarithms.sort_by(f64::total_cmp);
        let n = logarithms.len();
        let at = |index: usize| logarithms.get(index).copied();
        let mid = (at((n.checked_sub(1)?) / 2)? + at(n / 2)?) / 2.0;
        let ratio = Self { mid, low: at(cut)?, high: at(n.checked_sub(1 + cut)?)? };
        Some(ratio.map(f64::exp))
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { mid: f(self.mid), low: f(self.low), high: f(self.high) }
    }

    /// What holds both.
    fn and(self, other: Self) -> Self {
        Self {
            mid: (self.mid * other.mid).sqrt(),
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// B takes less than A.
    Faster,
    /// B takes more than A.
    Slower,
    /// None that could be told from A's difference from itself.
    NoDifference {
        /// A difference above this would have been seen: 0.02 is 2 %. At
        /// least [`Comparison::floor`].
        larger_than: f64,
    },
    /// No interval of this certainty exists of so few.
    TooFewRounds {
        /// The fewest that have one.
        needed: usize,
    },
}

/// B against A, and A against itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// B to A: against both As, each with its interval; this one holds both.
    pub ratio: Option<Ratio>,
    /// A again to A: what a difference of nothing looks like here.
    pub again: Option<Ratio>,
    /// The smallest effect that is told from nothing: how far the interval of
    /// A again to A reaches.
    pub floor: Option<f64>,
    /// In a word.
    pub verdict: Verdict,
}

/// Compares B with A over `rounds`. Where B is one of several `comparisons`
/// with A, each interval is as much surer (Bonferroni): of all together none is
/// wrong in 95 of 100 runs.
pub fn compare(rounds: &[Round], comparisons: usize) -> Comparison {
    let cut = cut(rounds.len(), comparisons);
    let of = |over: fn(&Round) -> u64, under: fn(&Round) -> u64| {
        let log = |round: &Round| logarithm(over(round)) - logarithm(under(round));
        Ratio::of(rounds.iter().map(log).collect(), cut?)
    };
    let again = of(|round| round.again, |round| round.a);
    let ratio = of(|round| round.b, |round| round.a)
        .zip(of(|round| round.b, |round| round.again))
        .map(|(one, other)| one.and(other));
    let floor = again.map(|again| again.reach());
    let verdict = match (ratio, floor) {
        (Some(ratio), Some(floor)) => judge(&ratio, floor),
        _ => Verdict::TooFewRounds { needed: rounds_needed(comparisons) },
    };
    Comparison { ratio, again, floor, verdict }
}

fn judge(ratio: &Ratio, floor: f64) -> Verdict {
    if ratio.low > 1.0 && ratio.mid > 1.0 + floor {
        Verdict::Slower
    } else if ratio.high < 1.0 && ratio.mid * (1.0 + floor) < 1.0 {
        Verdict::Faster
    } else {
        Verdict::NoDifference { larger_than: ratio.reach().max(floor) }
    }
}

fn logarithm(figure: u64) -> f64 {
    (figure.max(1) as f64).ln()
}

/// The fewest rounds that have an interval: 6 for one comparison.
pub fn rounds_needed(comparisons: usize) -> usize {
    (1..).find(|&rounds| cut(rounds, comparisons).is_some()).unwrap_or(usize::MAX)
}

/// About how many rounds it would take to see a difference of `effect`, where
/// `rounds` of them leave one of `larger_than` unseen: the width of an
/// interval goes with the root of their number.
pub fn rounds_for(effect: f64, rounds: usize, larger_than: f64) -> usize {
    let times = (larger_than.ln_1p() / effect.ln_1p()).powi(2);
    (rounds as f64 * times).ceil() as usize
}

/// How many of `rounds` sorted values lie outside of the interval at each end:
/// the most for which a fair coin falls so unevenly at most so often. `None`
/// where even the extremes are not sure enough.
fn cut(rounds: usize, comparisons: usize) -> Option<usize> {
    let error = COMPARE_ERROR / comparisons.max(1) as f64;
    // P(heads <= k) of `rounds` throws, both ways.
    let mut term = 2.0 * 0.5f64.powi(i32::try_from(rounds).ok()?);
    let mut tail = term;
    let mut cut = None;
    for k in 0..rounds / 2 {
        if tail > error {
            break;
        }
        cut = Some(k);
        term *= (rounds - k) as f64 / (k + 1) as f64;
        tail += term;
    }
    cut
}

/// Draws orders, the same from the same seed: SplitMix64 (Steele, Lea, Flood:
/// "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Debug)]
pub struct Shuffle(u64);

impl Shuffle {
    /// Whatever is drawn follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The numbers below `count` in any order, each as likely as any other.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests;
