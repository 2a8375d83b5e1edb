//! A latency histogram of fixed size: 64 buckets, one per power of two of
//! nanoseconds. Cheap enough to keep one per subscriber; the tools use finer
//! ones.

use std::time::Duration;

const BUCKETS: usize = 64;

/// Counts of durations by their power of two in nanoseconds. Bucket `b` holds
/// the values in `[2^(b-1), 2^b)`; bucket 0 holds zero.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - nanos.leading_zeros()) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.max = self.max.max(nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The largest duration counted, exactly.
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// An upper bound, within a factor of two, of the `q`-quantile
    /// (`0.0 < q <= 1.0`); `None` if nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = ((count as f64 * q).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        for (bucket, n) in self.counts.iter().enumerate() {
            seen += n;
            if seen >= wanted {
                let bound = if bucket == 0 { 0 } else { (1u64 << bucket.min(63)) - 1 };
                return Some(Duration::from_nanos(bound.min(self.max)));
            }
        }
        Some(self.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_bound_from_above_within_a_factor_of_two() {
        let mut h = Histogram::default();
        for us in 1..=1000 {
            h.record(Duration::from_micros(us));
        }
        let p50 = h.quantile(0.5).expect("counted");
        assert!(p50 >= Duration::from_micros(500) && p50 < Duration::from_micros(1000));
        assert_eq!(h.quantile(1.0), Some(Duration::from_millis(1)));
        assert_eq!(h.count(), 1000);
    }

    #[test]
    fn empty_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
