//! What is drawn: plain values in nanoseconds and seconds, whoever measured
//! them.

/// One probe of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was due, in seconds since the start. Probes whose time is no
    /// finite number are left out of a picture.
    pub at: f64,
    /// How long its answer took, in nanoseconds; `None` if it was lost.
    pub ns: Option<u64>,
}

/// Probes over time under one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// As the legend shows it.
    pub name: String,
    /// In any order.
    pub samples: Vec<Sample>,
}

/// Latencies whose order in time doesn't matter, under one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    name: String,
    sorted: Vec<u64>,
}

impl Values {
    /// Latencies in nanoseconds, in any order.
    pub fn new(name: impl Into<String>, mut ns: Vec<u64>) -> Self {
        if !ns.is_sorted() {
            ns.sort_unstable();
        }
        Self { name: name.into(), sorted: ns }
    }

    /// As the legend shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From the smallest to the largest, in nanoseconds.
    pub fn sorted(&self) -> &[u64] {
        &self.sorted
    }
}

impl From<&Series> for Values {
    /// The answers of a series; what was lost has no latency.
    fn from(series: &Series) -> Self {
        let answered = series.samples.iter().filter_map(|sample| sample.ns);
        Self::new(series.name.clone(), answered.collect())
    }
}

/// The words around a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// What the figure shows.
    pub title: String,
    /// What was measured, as on an axis: `round-trip time`.
    pub quantity: String,
    /// How it was measured: interval, size, n, cores.
    pub caption: String,
}

/// A picture to draw. At most [`SERIES`] of what is given are drawn; a note
/// counts the others.
#[derive(Clone, Copy, Debug)]
pub enum Figure<'a> {
    /// Latency over time, lost probes as gaps and ticks.
    Timeline(&'a [Series]),
    /// Latency over percentile, on an axis of 1/(1-p), as far as n carries.
    Percentiles(&'a [Values]),
    /// The share of samples at or below a latency.
    Ecdf(&'a [Values]),
    /// The share of samples in each bin of latency.
    Histogram(&'a [Values]),
}

/// Series in one figure: as many as there are colours that anybody can tell
/// apart.
pub const SERIES: usize = 6;
