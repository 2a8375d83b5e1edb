//! A percentile distribution as text, `.hgrm`: what HdrHistogram's
//! `outputPercentileDistribution` prints (`AbstractHistogram.java`) and its web
//! plotter reads. The values are in a unit of the caller's choice, for the
//! format doesn't name one.
//!
//! Two differences, both towards the truth. Rows stop at the last percentile
//! that the number of samples says something about; the row after them is the
//! largest sample, under the percentile 1, where the format has it. And maximum,
//! mean and deviation are those of the samples, not of the buckets they fell
//! into.

use super::histogram;
use crate::plot::Values;
use hdrhistogram::CreationError;
use nearlight::client::hist::samples_needed;
use std::fmt::Write as _;

/// Rows until the distance to 100 % is halved: HdrHistogram's default.
const TICKS: u32 = 5;
/// Decimals of values, which are the significant digits of its histograms.
const DECIMALS: usize = super::DIGITS as usize;
/// Counters to a bucket, at three digits: 2 x 10^3, rounded up to a power of
/// two.
const SUB_BUCKETS: u32 = 2_048;

/// What values are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Microseconds: three decimals show every nanosecond.
    Micros,
    /// Milliseconds, which the web plotter takes values for.
    Millis,
}

impl Unit {
    const fn nanos(self) -> f64 {
        match self {
            Self::Nanos => 1.0,
            Self::Micros => 1e3,
            Self::Millis => 1e6,
        }
    }
}

/// The file's text.
///
/// # Errors
///
/// If the histogram can't be made, which doesn't depend on the values.
pub fn text(values: &Values, unit: Unit) -> Result<String, CreationError> {
    let sorted = values.sorted();
    let max = sorted.last().copied().unwrap_or(0);
    let histogram = histogram(sorted, max)?;
    let n = histogram.len();
    let per = unit.nanos();
    let mut text = String::new();
    let (value, percentile, total) = ("Value", "Percentile", "TotalCount");
    let _ = writeln!(text, "{value:>12} {percentile:>14} {total:>10} 1/(1-Percentile)\n");
    let mut seen = 0;
    for step in histogram.iter_quantiles(TICKS) {
        seen += step.count_since_last_iteration();
        let q = step.quantile_iterated_to();
        let value = step.value_iterated_to().min(max) as f64 / per;
        if q >= 1.0 {
            let _ = writeln!(text, "{value:>12.DECIMALS$} {q:2.12} {seen:>10}");
        } else if samples_needed(q).is_some_and(|needed| needed <= n) {
            let rarity = 1.0 / (1.0 - q);
            let _ = writeln!(text, "{value:>12.DECIMALS$} {q:2.12} {seen:>10} {rarity:>14.2}");
        }
    }
    let (mean, deviation) = moments(sorted);
    let (mean, deviation, max) = (mean / per, deviation / per, max as f64 / per);
    let (buckets, sub) = (histogram.buckets(), SUB_BUCKETS);
    let _ = writeln!(
        text,
        "#[Mean    = {mean:>12.DECIMALS$}, StdDeviation   = {deviation:>12.DECIMALS$}]"
    );
    let _ = writeln!(text, "#[Max     = {max:>12.DECIMALS$}, Total count    = {n:>12}]");
    let _ = writeln!(text, "#[Buckets = {buckets:>12}, SubBuckets     = {sub:>12}]");
    Ok(text)
}

/// The mean, and the standard deviation of what was sampled (over n).
fn moments(sorted: &[u64]) -> (f64, f64) {
    if sorted.is_empty() {
        return (0.0, 0.0);
    }
    let n = sorted.len() as f64;
    let sum: u128 = sorted.iter().map(|ns| u128::from(*ns)).sum();
    let mean = sum as f64 / n;
    let squares: f64 = sorted.iter().map(|ns| (*ns as f64 - mean).powi(2)).sum();
    (mean, (squares / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_samples() {
        assert_eq!(moments(&[]), (0.0, 0.0));
        assert_eq!(moments(&[5]), (5.0, 0.0));
        assert_eq!(moments(&[2, 4, 4, 4, 5, 5, 7, 9]), (5.0, 2.0));
    }

    #[test]
    fn the_bucket_count_is_that_of_the_crate() {
        // The first two buckets' worth of values, 2,048 of them, have a counter
        // each; the next value shares one.
        let h = histogram(&[], 0).expect("fixed bounds");
        assert_eq!(h.equivalent_range(u64::from(SUB_BUCKETS) - 1), 1);
        assert_eq!(h.equivalent_range(u64::from(SUB_BUCKETS)), 2);
    }
}
