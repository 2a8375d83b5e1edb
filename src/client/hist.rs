//! A latency histogram of fixed size, for reports: from one nanosecond to a
//! minute, within 1 % in 30 KB, or within 0.1 % in 220 KB.
//!
//! Buckets are log-linear: 128 or 1,024 to each power of two, so that the width
//! of a bucket is below that part of what it holds.

use std::fmt;
use std::time::Duration;

/// Buckets to a power of two, as a power of two: within 1 %.
const COARSE: u32 = 7;
/// The same, within 0.1 %.
const FINE: u32 = 10;
/// 60 s is below 2^36 ns. Values up to twice the buckets of a power have a
/// bucket each, and the other powers of two follow.
const TOP_BIT: u32 = 36;
/// The largest value that has a bucket of its own, in nanoseconds.
const TOP: u64 = (1 << TOP_BIT) - 1;

/// Counts of durations.
#[derive(Clone)]
pub struct Hist {
    grain: u32,
    counts: Box<[u64]>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl fmt::Debug for Hist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hist({} from {:?} to {:?})", self.count, self.min(), self.max())
    }
}

impl Default for Hist {
    fn default() -> Self {
        Self::new()
    }
}

impl Hist {
    /// An empty histogram within 1 %. Here and in [`Self::fine`] alone memory
    /// is allocated.
    pub fn new() -> Self {
        Self::with_grain(COARSE)
    }

    /// An empty histogram within 0.1 %.
    pub fn fine() -> Self {
        Self::with_grain(FINE)
    }

    fn with_grain(grain: u32) -> Self {
        let counts = vec![0; ((TOP_BIT - grain + 1) as usize) << grain].into();
        Self { grain, counts, count: 0, sum: 0, min: u64::MAX, max: 0 }
    }

    /// Counts one duration. Those beyond a minute share the last bucket;
    /// count, sum, minimum and maximum stay exact.
    pub fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos, self.grain)] += 1;
        self.count += 1;
        self.sum += u128::from(nanos);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    /// How many durations were counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The smallest duration counted, exactly.
    pub fn min(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.min))
    }

    /// The largest duration counted, exactly.
    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.max))
    }

    /// The sum of all durations in nanoseconds, exactly.
    pub const fn sum_nanos(&self) -> u128 {
        self.sum
    }

    /// The mean, rounded down to a nanosecond.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.sum.checked_div(u128::from(self.count))?;
        Some(Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// The `q`-quantile by nearest rank, from above and within a bucket; `None`
    /// where fewer than [`samples_needed`] durations were counted, for then
    /// the samples say nothing about it. `q` of 0 and 1 are the minimum and
    /// the maximum of what was counted.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        if self.count < samples_needed(q)? {
            return None;
        }
        // Less a hair, so that the rank of 0.99 of 300 is 297 in spite of the
        // product's last bit.
        let rank = (q * self.count as f64 - 1e-6).ceil() as u64;
        self.at(rank)
    }

    /// The value at a rank from 1, the smallest, within a bucket; of a rank
    /// beyond, the largest. `None` if nothing was counted.
    pub fn at(&self, rank: u64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = rank.clamp(1, self.count);
        let mut seen = 0;
        for (at, n) in self.counts.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return Some(Duration::from_nanos(self.upper(at)));
            }
        }
        self.max()
    }

    /// An interval that holds the true `q`-quantile with a probability of 95 %
    /// or more, whatever the distribution, if the durations are independent:
    /// the values at two ranks, of which as many durations lie below as the
    /// binomial distribution allows. `None` where so few were counted that the
    /// extremes are no such interval (6 for the median, 368 for p99).
    pub fn interval(&self, q: f64) -> Option<(Duration, Duration)> {
        let (low, high) = interval_ranks(self.count, q)?;
        Some((self.at(low)?, self.at(high)?))
    }

    /// How many of the durations counted are longer, within a bucket.
    pub fn above(&self, value: Duration) -> u64 {
        self.buckets().filter(|(upper, _)| *upper > value).map(|(_, count)| count).sum()
    }

    /// The values that were counted, within a bucket, in order, and how often
    /// each.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let some = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        some.map(|(at, count)| (Duration::from_nanos(self.upper(at)), *count))
    }

    /// Counts all that `other` counted, in buckets of this histogram.
    pub fn merge(&mut self, other: &Self) {
        if self.grain != other.grain {
            for (value, count) in other.buckets() {
                let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
                self.counts[bucket(nanos, self.grain)] += count;
            }
            return self.add_totals(other);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
        self.add_totals(other);
    }

    fn add_totals(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Forgets everything, after a warm-up for instance; keeps its memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.count = 0;
        self.sum = 0;
        self.min = u64::MAX;
        self.max = 0;
    }

    /// The largest value of a bucket, no larger than the largest counted.
    fn upper(&self, at: usize) -> u64 {
        if at + 1 == self.counts.len() {
            return self.max;
        }
        let power = (at >> self.grain).saturating_sub(1);
        let within = at - (power << self.grain);
        (((within as u64 + 1) << power) - 1).min(self.max).max(self.min)
    }
}

/// Durations that must be counted before the `q`-quantile may be spoken of:
/// the fewest of which the most extreme lies beyond the true quantile with a
/// probability of 95 %, whatever the distribution; `ln 0.05 / ln q`, or of
/// `1 - q` below the median. 5 for the median, 299 for p99, 2,995 for p99.9.
/// `None` if `q` is no quantile.
pub fn samples_needed(q: f64) -> Option<u64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let tail = q.max(1.0 - q);
    if tail >= 1.0 {
        return Some(1);
    }
    Some((0.05f64.ln() / tail.ln()).ceil() as u64)
}

/// The ranks from 1, of `count` independent values, between which the true
/// `q`-quantile lies with a probability of at least 95 %: at most 2.5 % for it
/// to be below the lower, and for it to be above the higher. `None` if the
/// smallest and the largest don't reach that.
pub fn interval_ranks(count: u64, q: f64) -> Option<(u64, u64)> {
    if !(q > 0.0 && q < 1.0) || count == 0 {
        return None;
    }
    let n = count as f64;
    // Where all on one side are more likely than the tail, there is no such pair.
    if q.max(1.0 - q).powf(n) > 0.025 {
        return None;
    }
    // Beyond a few hundred the binomial is normal enough; the continuity
    // correction keeps it on the safe side.
    let (mean, deviation) = (n * q, (n * q * (1.0 - q)).sqrt());
    let reach = 1.96 * deviation + 0.5;
    let low = (mean - reach).floor().max(1.0) as u64;
    let high = ((mean + reach).ceil() as u64 + 1).min(count);
    Some((low, high))
}

/// The bucket of a value in nanoseconds.
fn bucket(nanos: u64, grain: u32) -> usize {
    let value = nanos.min(TOP);
    let top = u64::BITS - 1 - (value | 1).leading_zeros();
    let power = top.saturating_sub(grain);
    ((power as usize) << grain) + (value >> power) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xorshift(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn buckets_are_in_order_without_gap() {
        for grain in [COARSE, FINE] {
            let mut last = 0;
            for exponent in 0..36 {
                for step in 0..2048u64 {
                    let value = (1 << exponent) + step * (1 << exponent) / 2048;
                    let at = bucket(value, grain);
                    assert!(at == last || at == last + 1, "{value}: {at} after {last}");
                    last = at;
                }
            }
            let buckets = Hist::with_grain(grain).counts.len();
            assert_eq!(bucket(TOP, grain), buckets - 1);
            assert_eq!(bucket(u64::MAX, grain), buckets - 1);
        }
        assert!(Duration::from_nanos(TOP) >= Duration::from_secs(60));
    }

    #[test]
    fn quantiles_are_within_their_share_of_the_sorted_samples() {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        for round in 0..20 {
            let (mut hist, share) =
                if round % 2 == 0 { (Hist::new(), 100) } else { (Hist::fine(), 1000) };
            let mut samples = Vec::new();
            for _ in 0..5_000 {
                let nanos = (xorshift(&mut seed) >> (28 + xorshift(&mut seed) % 30)).max(1);
                samples.push(nanos.min(60_000_000_000));
            }
            for &nanos in &samples {
                hist.record(Duration::from_nanos(nanos));
            }
            samples.sort_unstable();
            for q in [0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999] {
                let rank = (q * 5_000.0f64).round() as usize;
                let exact = samples[rank - 1];
                let found = hist.quantile(q).expect("enough").as_nanos() as u64;
                assert!(found >= exact, "round {round} q {q}: {found} < {exact}");
                assert!(found - exact <= exact / share, "round {round} q {q}: {found} {exact}");
            }
            let sum: u128 = samples.iter().map(|&n| u128::from(n)).sum();
            assert_eq!(hist.sum_nanos(), sum);
            assert_eq!(hist.min(), Some(Duration::from_nanos(samples[0])));
            assert_eq!(hist.max(), Some(Duration::from_nanos(samples[4_999])));
            assert_eq!(hist.quantile(0.0), hist.min());
            assert_eq!(hist.quantile(1.0), hist.max());
        }
    }

    #[test]
    fn no_quantile_without_the_samples_for_it() {
        let needed = [(0.5, 5), (0.9, 29), (0.99, 299), (0.999, 2_995), (0.9999, 29_956)];
        for (q, n) in needed {
            assert_eq!(samples_needed(q), Some(n), "{q}");
        }
        let mut hist = Hist::new();
        assert_eq!(hist.quantile(1.0), None);
        for n in 1..=299 {
            assert_eq!(hist.quantile(0.99), None, "{n}");
            hist.record(Duration::from_nanos(n));
        }
        assert_eq!(hist.quantile(0.99), Some(Duration::from_nanos(297)));
        assert_eq!(hist.quantile(f64::NAN), None);
        assert_eq!(hist.quantile(1.1), None);
    }

    #[test]
    fn beyond_a_minute_the_extremes_stay_exact() {
        let mut hist = Hist::new();
        for _ in 0..10 {
            hist.record(Duration::from_secs(300));
        }
        assert_eq!(hist.quantile(0.5), Some(Duration::from_secs(300)));
        hist.record(Duration::MAX);
        assert_eq!(hist.max(), Some(Duration::from_nanos(u64::MAX)));
    }

    #[test]
    fn merged_is_as_if_counted_together() {
        let (mut a, mut b, mut both) = (Hist::new(), Hist::new(), Hist::new());
        for n in 0..1_000u64 {
            let value = Duration::from_nanos(n * n);
            both.record(value);
            if n % 3 == 0 { a.record(value) } else { b.record(value) }
        }
        a.merge(&b);
        assert_eq!(a.counts, both.counts);
        let mut coarse = Hist::new();
        let mut fine = Hist::fine();
        (0..1_000u64).for_each(|n| fine.record(Duration::from_nanos(n * n)));
        coarse.merge(&fine);
        assert_eq!((coarse.count(), coarse.max()), (1_000, fine.max()));
        let p99 = |hist: &Hist| hist.quantile(0.99).expect("enough").as_nanos();
        assert!(p99(&coarse).abs_diff(p99(&fine)) <= p99(&fine) / 100);
        assert_eq!((a.count(), a.sum_nanos()), (both.count(), both.sum_nanos()));
        assert_eq!((a.min(), a.max(), a.mean()), (both.min(), both.max(), both.mean()));
        a.clear();
        assert_eq!((a.count(), a.min(), a.max(), a.mean()), (0, None, None, None));
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        // Uniform values: the q-quantile is q of the range.
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        for (q, n) in [(0.5, 6), (0.5, 50), (0.5, 1_000), (0.9, 100), (0.99, 400), (0.99, 5_000)] {
            let mut held = 0;
            for _ in 0..1_000 {
                let mut values: Vec<u64> = (0..n).map(|_| xorshift(&mut seed) >> 11).collect();
                values.sort_unstable();
                let (low, high) = interval_ranks(n, q).expect("enough");
                let truth = (q * (1u64 << 53) as f64) as u64;
                let between =
                    values[low as usize - 1] <= truth && truth <= values[high as usize - 1];
                held += u32::from(between);
            }
            assert!((935..=1_000).contains(&held), "q {q} of {n}: {held} of 1,000");
        }
        for (q, needed) in [(0.5, 6), (0.9, 36), (0.99, 368), (0.999, 3_688)] {
            assert_eq!(interval_ranks(needed - 1, q), None, "{q}");
            assert!(interval_ranks(needed, q).is_some(), "{q}");
        }
    }
}
