//! An interval log, `.hlog`: a histogram for each stretch of time, as
//! HdrHistogram's `HistogramLogWriter` writes it (format 1.3, V2 encoding,
//! deflated, in base64) and its log processors and viewers read it. Values are
//! nanoseconds; the readable maximum of a line is in milliseconds, as there.

use super::histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// The latencies of one series in one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval<'a> {
    /// The series' name. A log has no place for commas, spaces and ends of
    /// lines in it: they become `_`.
    pub series: &'a str,
    /// Since the start of the run.
    pub start: Duration,
    /// How long the stretch is.
    pub length: Duration,
    /// What was measured in it, in nanoseconds, in any order.
    pub ns: &'a [u64],
}

/// Why a log could not be written.
#[derive(Debug)]
pub enum HlogError {
    /// What it goes to says no.
    Io(io::Error),
    /// A histogram could not be made or encoded: what the crate says.
    Histogram(String),
}

impl fmt::Display for HlogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "the interval log could not be written: {why}"),
            Self::Histogram(why) => write!(f, "a histogram could not be encoded: {why}"),
        }
    }
}

impl Error for HlogError {}

impl From<io::Error> for HlogError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

/// Writes a log of intervals, which should be in order of their start. `start`
/// is when the run began, `comment` how it was made.
///
/// # Errors
///
/// [`HlogError`].
pub fn write(
    out: &mut impl Write,
    start: SystemTime,
    comment: &str,
    intervals: &[Interval<'_>],
) -> Result<(), HlogError> {
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&one_line(comment))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(1e6)
        .begin_log_with(out, &mut serializer)?;
    // One range for all, so that a reader can add them up.
    let largest = intervals.iter().flat_map(|i| i.ns).copied().max().unwrap_or(0);
    for interval in intervals {
        let name = tag(interval.series);
        let histogram =
            histogram(interval.ns, largest).map_err(|why| HlogError::Histogram(why.to_string()))?;
        let tag = Tag::new(&name).filter(|tag| !tag.is_empty());
        log.write_histogram(&histogram, interval.start, interval.length, tag)
            .map_err(|why| HlogError::Histogram(why.to_string()))?;
    }
    out.flush()?;
    Ok(())
}

/// A comment that starts with `[` would be taken for one of the log's own
/// lines, and an end of a line would end it.
fn one_line(comment: &str) -> String {
    let line: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!(" {line}")
}

/// A name as a tag.
fn tag(name: &str) -> String {
    name.chars()
        .map(|c| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_a_log_can_hold() {
        assert_eq!(tag("udp 127.0.0.1:7,a\r\nb"), "udp_127.0.0.1:7_a__b");
        assert!(Tag::new(&tag("a ,\n\rb")).is_some());
        assert_eq!(one_line("[StartTime: 1\n2"), " [StartTime: 1 2");
    }
}
