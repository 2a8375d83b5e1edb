//! Which quantiles so many durations have a right to, and how sure they are.

use std::time::Duration;

use crate::client::hist::Hist;

/// Quantiles of a set of durations, within 0.1 % from above; `None` where
/// there are too few of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// How many durations there are.
    pub count: u64,
    /// The least, exactly.
    pub min: Option<Duration>,
    /// The mean.
    pub mean: Option<Duration>,
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
    /// 99.99 %, from 29,956 samples on.
    pub p9999: Option<Duration>,
    /// The largest, exactly.
    pub max: Option<Duration>,
    /// Intervals of 95 % around the median, 90, 99, 99.9 and 99.99 %
    /// ([`Hist::interval`]): from 6, 36, 368, 3,688 and 36,887 samples on.
    pub intervals: [Option<(Duration, Duration)>; 5],
}

impl Quantiles {
    /// The quantiles that have [`Self::intervals`].
    pub const WITH_INTERVAL: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 0.9999];

    /// Of what a histogram has counted.
    pub fn of(hist: &Hist) -> Self {
        let at = |q: f64| hist.at((q * hist.count() as f64 - 1e-6).ceil() as u64);
        let quartile = |q| at(q).filter(|_| hist.count() >= 4);
        Self {
            count: hist.count(),
            min: hist.min(),
            mean: hist.mean(),
            p25: quartile(0.25),
            p50: at(0.5),
            p75: quartile(0.75),
            p90: hist.quantile(0.9),
            p99: hist.quantile(0.99),
            p999: hist.quantile(0.999),
            p9999: hist.quantile(0.9999),
            max: hist.max(),
            intervals: Self::WITH_INTERVAL.map(|q| hist.interval(q)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: impl Iterator<Item = u64>) -> Quantiles {
        let mut hist = Hist::fine();
        range.for_each(|us| hist.record(Duration::from_micros(us)));
        Quantiles::of(&hist)
    }

    #[test]
    fn quantiles_are_close_and_only_given_with_enough_samples() {
        let q = of((1..=1000).rev());
        let near = |found: Option<Duration>, micros: u64| {
            let found = found.expect("given").as_nanos() as u64;
            (micros * 1_000..=micros * 1_001).contains(&found)
        };
        assert_eq!(q.min, Some(Duration::from_micros(1)));
        assert!(near(q.p25, 250) && near(q.p50, 500) && near(q.p90, 900) && near(q.p99, 990));
        assert_eq!((q.p999, q.p9999), (None, None));
        assert_eq!(q.max, Some(Duration::from_micros(1000)));
        let (low, high) = q.intervals[0].expect("enough");
        assert!(low < q.p50.expect("enough") && q.p50.expect("enough") < high);
        assert!(q.intervals[2].is_some() && q.intervals[3].is_none());
        assert_eq!(of(1..=28).p90, None);
        assert!(of(1..=29).p90.is_some());
        assert_eq!(of(1..=298).p99, None);
        assert_eq!(of(7..=7).p50, Some(Duration::from_micros(7)));
        assert_eq!(of(0..0), Quantiles::default());
    }
}
