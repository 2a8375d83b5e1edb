//! Files for other programs: [`csv`] with a row for each probe, [`hgrm`] as
//! HdrHistogram's plotters read it, [`hlog`] as its log processors do.
//!
//! HdrHistogram's own crate counts and encodes, so that what it and its
//! relatives in other languages read is what they would have written.

pub mod csv;
pub mod hgrm;
pub mod hlog;

use hdrhistogram::{CreationError, Histogram};

/// Significant decimal digits of a histogram: values are within 0.1 %.
const DIGITS: u8 = 3;
/// What a histogram can hold is at least this, an hour in nanoseconds, so that
/// histograms of several files can be added up.
const LEAST_RANGE: u64 = 3_600_000_000_000;
/// The largest value that Java's implementation, with its signed numbers, can
/// read. Larger ones are counted as this.
const MOST: u64 = i64::MAX as u64;

/// A histogram of latencies in nanoseconds that could also hold `largest`.
fn histogram(ns: &[u64], largest: u64) -> Result<Histogram<u64>, CreationError> {
    let mut histogram = Histogram::new_with_bounds(1, largest.clamp(LEAST_RANGE, MOST), DIGITS)?;
    for value in ns {
        histogram.saturating_record(*value);
    }
    Ok(histogram)
}
