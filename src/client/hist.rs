//! A latency histogram of fixed size and fine grain, for reports: within 1 %
//! from one nanosecond to a minute, in 30 KB.
//!
//! Buckets are log-linear: 128 to each power of two, so that the width of a
//! bucket is below 1/128 of what it holds.

use std::time::Duration;

/// Buckets to a power of two, as a power of two.
const GRAIN: u32 = 7;
const PER_POWER: usize = 1 << GRAIN;
/// 60 s is below 2^36 ns: values up to 255 ns have a bucket each, and 28 more
/// powers of two follow.
const TOP_BIT: u32 = 36;
const BUCKETS: usize = (TOP_BIT - GRAIN + 1) as usize * PER_POWER;
/// The largest value that has a bucket of its own, in nanoseconds.
const TOP: u64 = (1 << TOP_BIT) - 1;

/// Counts of durations.
#[derive(Clone)]
pub struct Hist {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for Hist {
    fn default() -> Self {
        Self::new()
    }
}

impl Hist {
    /// An empty histogram. The only place that allocates.
    pub fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, sum: 0, min: u64::MAX, max: 0 }
    }

    /// Counts one duration. Those beyond a minute share the last bucket;
    /// count, sum, minimum and maximum stay exact.
    pub fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
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

    /// The `q`-quantile by nearest rank, from above and within 1 %; `None`
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

    /// Counts all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
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
        if at + 1 == BUCKETS {
            return self.max;
        }
        let power = (at / PER_POWER).saturating_sub(1);
        let within = at - power * PER_POWER;
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

/// The bucket of a value in nanoseconds.
fn bucket(nanos: u64) -> usize {
    let value = nanos.min(TOP);
    let top = u64::BITS - 1 - (value | 1).leading_zeros();
    let power = top.saturating_sub(GRAIN);
    power as usize * PER_POWER + (value >> power) as usize
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
        let mut last = 0;
        for exponent in 0..36 {
            for step in 0..256u64 {
                let value = (1 << exponent) + step * (1 << exponent) / 256;
                let at = bucket(value);
                assert!(at == last || at == last + 1, "{value}: {at} after {last}");
                last = at;
            }
        }
        assert_eq!(bucket(TOP), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(Duration::from_nanos(TOP) >= Duration::from_secs(60));
    }

    #[test]
    fn quantiles_are_within_one_percent_of_the_sorted_samples() {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        for round in 0..20 {
            let mut hist = Hist::new();
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
                assert!(found - exact <= exact / 100, "round {round} q {q}: {found} {exact}");
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
        assert_eq!((a.count(), a.sum_nanos()), (both.count(), both.sum_nanos()));
        assert_eq!((a.min(), a.max(), a.mean()), (both.min(), both.max(), both.mean()));
        a.clear();
        assert_eq!((a.count(), a.min(), a.max(), a.mean()), (0, None, None, None));
    }
}
