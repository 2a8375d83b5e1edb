//! Durations kept for their quantiles, and which quantiles so many of them
//! have a right to.

use std::time::Duration;

use crate::limits::PING_SAMPLES;

/// Durations in the order in which they came, at most
/// [`PING_SAMPLES`] of them; past that every second one goes, evenly over the
/// run, while the count, the least and the largest stay exact.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<u64>,
    /// One in this many is kept, a power of two; 0 stands for 1.
    stride: u64,
    count: u64,
    least: u64,
    largest: u64,
}

/// Quantiles of a set of durations; `None` where there are too few of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// How many durations there are.
    pub count: u64,
    /// The least.
    pub min: Option<Duration>,
    /// The lower quartile.
    pub p25: Option<Duration>,
    /// The median, from one sample on: it describes them and claims no more.
    pub p50: Option<Duration>,
    /// The upper quartile.
    pub p75: Option<Duration>,
    /// 90 %, from 29 samples on.
    pub p90: Option<Duration>,
    /// 99 %, from 299 samples on.
    pub p99: Option<Duration>,
    /// 99.9 %, from 2,995 samples on.
    pub p999: Option<Duration>,
    /// The largest.
    pub max: Option<Duration>,
}

impl Samples {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        if self.count == 0 || nanos < self.least {
            self.least = nanos;
        }
        self.largest = self.largest.max(nanos);
        if self.count.is_multiple_of(self.stride.max(1)) {
            if self.kept.len() == PING_SAMPLES {
                self.thin();
            }
            self.kept.push(nanos);
        }
        self.count += 1;
    }

    fn thin(&mut self) {
        let mut index = 0;
        self.kept.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.stride = self.stride.max(1) * 2;
    }

    /// How many were counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The quantiles, each the smallest duration that at least that share of
    /// all are not above.
    ///
    /// Above the median, the q-quantile is given from `ln 0.05 / ln q` samples
    /// on: with fewer, the largest of them is below it more than once in 20.
    pub fn quantiles(&self) -> Quantiles {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let at = |q: f64, least: u64| {
            let rank = (sorted.len() as f64 * q).ceil() as usize;
            let enough = self.count >= least;
            let value = sorted.get(rank.saturating_sub(1)).copied();
            value.filter(|_| enough).map(Duration::from_nanos)
        };
        let some = self.count > 0;
        Quantiles {
            count: self.count,
            min: some.then_some(Duration::from_nanos(self.least)),
            p25: at(0.25, 4),
            p50: at(0.5, 1),
            p75: at(0.75, 4),
            p90: at(0.9, 29),
            p99: at(0.99, 299),
            p999: at(0.999, 2_995),
            max: some.then_some(Duration::from_nanos(self.largest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: impl Iterator<Item = u64>) -> Samples {
        let mut samples = Samples::default();
        range.for_each(|us| samples.record(Duration::from_micros(us)));
        samples
    }

    #[test]
    fn quantiles_are_exact_and_only_given_with_enough_samples() {
        let q = of((1..=1000).rev()).quantiles();
        assert_eq!(q.min, Some(Duration::from_micros(1)));
        assert_eq!(q.p25, Some(Duration::from_micros(250)));
        assert_eq!(q.p50, Some(Duration::from_micros(500)));
        assert_eq!(q.p90, Some(Duration::from_micros(900)));
        assert_eq!(q.p99, Some(Duration::from_micros(990)));
        assert_eq!(q.p999, None);
        assert_eq!(q.max, Some(Duration::from_micros(1000)));
        assert_eq!(of(1..=28).quantiles().p90, None);
        assert!(of(1..=29).quantiles().p90.is_some());
        assert_eq!(of(1..=298).quantiles().p99, None);
        assert_eq!(of(7..=7).quantiles().p50, Some(Duration::from_micros(7)));
        assert_eq!(Samples::default().quantiles(), Quantiles::default());
    }

    #[test]
    fn a_long_run_is_thinned_evenly() {
        let n = 5 * PING_SAMPLES as u64;
        let samples = of(1..=n);
        assert!(samples.kept.len() <= PING_SAMPLES);
        let q = samples.quantiles();
        assert_eq!(q.count, n);
        assert_eq!(q.max, Some(Duration::from_micros(n)));
        let median = q.p50.unwrap().as_micros() as u64;
        assert!(median.abs_diff(n / 2) < n / 1000, "{median} of {n}");
    }
}
