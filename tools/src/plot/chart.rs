//! A figure before it has a size in pixels or cells: axes, and the marks of
//! each series in the values of those axes. What is common to all figures is
//! here; each figure has a file of its own that makes a chart of its data.

use super::axis::{Axis, Room, Tick};
use super::data::{Figure, Labels, SERIES};
use super::text::{CAPTION, TITLE, clean, count};
use super::{ecdf, histogram, percentiles, timeline};

/// A point, in the values of the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// An upright rectangle, in the values of the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What one series puts into the plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve {
    /// The series' name, made harmless.
    pub(super) name: String,
    /// What the legend says beside it.
    pub(super) about: String,
    /// Lines with a gap between two of them.
    pub(super) lines: Vec<Vec<Spot>>,
    /// Bars that touch, drawn as one area, with a gap between two of them.
    pub(super) areas: Vec<Vec<Bar>>,
    /// Points that no line leads to.
    pub(super) dots: Vec<Spot>,
    /// Points of another kind than the line's.
    pub(super) rings: Vec<Spot>,
    /// Where on the x axis something was lost, in order.
    pub(super) lost: Vec<f64>,
}

/// A figure to be laid out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) caption: String,
    /// What a reader must know to read the marks.
    pub(super) notes: Vec<String>,
    /// The figure in words, for those who can't see it.
    pub(super) summary: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) curves: Vec<Curve>,
    /// Shown in the place of marks where there are none.
    pub(super) nothing: Option<String>,
}

impl Chart {
    /// The chart of a figure, in as much detail as `columns` side by side can
    /// show.
    pub(super) fn new(figure: Figure<'_>, labels: &Labels, columns: usize) -> Self {
        let columns = columns.max(1);
        let labels = Labels {
            title: clean(&labels.title, TITLE),
            quantity: clean(&labels.quantity, 40),
            caption: clean(&labels.caption, CAPTION),
        };
        let (mut chart, given) = match figure {
            Figure::Timeline(series) => {
                (timeline::chart(drawn(series), &labels, columns), series.len())
            }
            Figure::Percentiles(values) => {
                (percentiles::chart(drawn(values), &labels, columns), values.len())
            }
            Figure::Ecdf(values) => (ecdf::chart(drawn(values), &labels, columns), values.len()),
            Figure::Histogram(values) => {
                (histogram::chart(drawn(values), &labels, columns), values.len())
            }
        };
        if given > SERIES {
            let more = count((given - SERIES) as u64);
            chart.notes.push(format!("{more} more series are not drawn."));
        }
        let about = chart.curves.iter().map(|curve| format!("{}: {}.", curve.name, curve.about));
        chart.summary = about.chain(chart.notes.iter().cloned()).collect::<Vec<_>>().join(" ");
        chart
    }

    /// The ticks of the y axis; an empty plot has no use for any.
    pub(super) fn y_ticks(&self, room: Room) -> Vec<Tick> {
        if self.nothing.is_some() { Vec::new() } else { self.y.ticks(room) }
    }
}

/// The series that have a colour.
fn drawn<T>(series: &[T]) -> &[T] {
    &series[..series.len().min(SERIES)]
}

/// A line with what lies on its way left out: points in a row at one height.
pub(super) fn thin(line: &[Spot]) -> Vec<Spot> {
    let inner = line.windows(3).filter(|w| w[0].y != w[1].y || w[1].y != w[2].y).map(|w| w[1]);
    let first = line.first().copied();
    let last = line.last().copied().filter(|_| line.len() > 1);
    first.into_iter().chain(inner).chain(last).collect()
}

/// `n 1,234` and whatever else is known, as the legend says it.
pub(super) fn about(n: usize, rest: &[Option<String>]) -> String {
    let mut about = format!("n {}", count(n as u64));
    for part in rest.iter().flatten() {
        about.push_str(" · ");
        about.push_str(part);
    }
    about
}
