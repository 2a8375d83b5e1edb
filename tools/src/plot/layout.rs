//! A chart laid out on a picture of 960 pixels' width: where title, legend,
//! axes, ticks, notes and caption go. The plot keeps its height; what needs
//! more room makes the picture taller, so that nothing is squeezed or overlaps.

use super::axis::{Room, Tick};
use super::chart::{Chart, Curve, Spot};
use super::scene::{Anchor, Ink, Item, Point, Scene, Style};
use super::text;

const WIDTH: f64 = 960.0;
/// Height of the plot alone.
const PLOT: f64 = 380.0;
/// Between the picture's edge and what is in it.
const MARGIN: f64 = 20.0;
/// Letters, in pixels.
const TITLE: f64 = 18.0;
const BODY: f64 = 13.0;
const SMALL: f64 = 12.0;
/// From baseline to baseline.
const LINE: f64 = 18.0;
/// Of a legend's line, and after it.
const SWATCH: f64 = 34.0;
/// Height of the ticks of lost probes, for each series that lost any.
const LANE: f64 = 8.0;
/// Between two labels of the x axis, and from one row of the y axis to the next.
const X_GAP: f64 = 30.0;
const Y_GAP: f64 = 34.0;
/// Lines of a note or caption.
const LINES: usize = 4;

/// Columns of pixels that a plot has at least.
pub(super) const COLUMNS: usize = 840;

/// The rectangle that the axes span.
#[derive(Clone, Copy)]
struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Plot {
    fn point(self, chart: &Chart, spot: Spot) -> Point {
        let x = self.left + (self.right - self.left) * chart.x.place(spot.x);
        let y = self.bottom - (self.bottom - self.top) * chart.y.place(spot.y);
        Point { x, y }
    }
}

/// Paints a chart.
pub(super) fn scene(chart: &Chart) -> Scene {
    let mut items = Vec::new();
    let inside = WIDTH - 2.0 * MARGIN;
    let mut y = MARGIN + TITLE * 0.8;
    let title = text::shorten(&chart.title, inside / (TITLE * 1.06), text::FONT);
    let bold = Style { size: TITLE, ink: Ink::Text, anchor: Anchor::Start, bold: true };
    items.push(words(title, MARGIN, y, bold));
    y = legend(chart, y + 26.0, &mut items);
    items.push(words(&chart.y.title, MARGIN, y, small(Ink::Faint, Anchor::Start)));

    let top = y + 12.0;
    let y_ticks = chart.y_ticks(Room { length: PLOT, glyph: 0.0, gap: Y_GAP });
    let widest = y_ticks.iter().map(|t| text::width(&t.label) * SMALL).fold(0.0, f64::max);
    let plot = Plot {
        left: (MARGIN + widest + 10.0).min(WIDTH / 3.0),
        right: WIDTH - MARGIN - 6.0,
        top,
        bottom: top + PLOT,
    };
    let lanes: Vec<usize> =
        (0..chart.curves.len()).filter(|i| !chart.curves[*i].lost.is_empty()).collect();
    let foot = plot.bottom + LANE * lanes.len() as f64;
    let room = Room { length: plot.right - plot.left, glyph: SMALL * 0.66, gap: X_GAP };
    let x_ticks = chart.x.ticks(room);
    grid(chart, plot, foot, &x_ticks, &y_ticks, &mut items);
    for (index, curve) in chart.curves.iter().enumerate() {
        areas(chart, plot, index, curve, &mut items);
    }
    for (index, curve) in chart.curves.iter().enumerate() {
        marks(chart, plot, index, curve, &mut items);
    }
    for (lane, index) in lanes.iter().enumerate() {
        losses(chart, plot, lane, *index, &mut items);
    }
    if let Some(nothing) = &chart.nothing {
        let (x, y) = ((plot.left + plot.right) / 2.0, (plot.top + plot.bottom) / 2.0);
        items.push(words(nothing, x, y, small(Ink::Faint, Anchor::Middle)));
    }
    let y = labels_below(chart, plot, foot, &x_ticks, &mut items);
    let (title, summary) = (chart.title.clone(), summary(chart));
    Scene { width: WIDTH, height: (y + MARGIN).ceil(), title, summary, items }
}

/// All that is said about the figure, for those who can't see it.
fn summary(chart: &Chart) -> String {
    let stop = if chart.caption.is_empty() || chart.caption.ends_with('.') { "" } else { "." };
    format!("{}{stop} {}", chart.caption, chart.summary).trim().to_owned()
}

fn words(words: impl Into<String>, x: f64, y: f64, style: Style) -> Item {
    Item::Text { words: words.into(), at: Point { x, y }, style }
}

/// Small text, as everything but title and legend is.
const fn small(ink: Ink, anchor: Anchor) -> Style {
    Style { size: SMALL, ink, anchor, bold: false }
}

/// The series' names with their lines, in as many rows as they need; says where
/// the next text goes.
fn legend(chart: &Chart, first: f64, items: &mut Vec<Item>) -> f64 {
    let names: Vec<String> =
        chart.curves.iter().map(|curve| text::shorten(&curve.name, 40.0, text::FONT)).collect();
    let widths = names.iter().zip(&chart.curves).map(|(name, curve)| {
        // Bold letters are a little wider.
        let letters = text::width(name) * 1.06 + text::width(&curve.about);
        SWATCH + letters * BODY + 22.0
    });
    let column = widths.fold(1.0, f64::max);
    let columns = ((WIDTH - 2.0 * MARGIN + 16.0) / column).floor().max(1.0) as usize;
    let mut y = first;
    for (index, (name, curve)) in names.into_iter().zip(&chart.curves).enumerate() {
        let x = MARGIN + column * (index % columns) as f64;
        if index > 0 && index.is_multiple_of(columns) {
            y += LINE + 2.0;
        }
        let line = vec![Point { x, y: y - 4.5 }, Point { x: x + SWATCH - 8.0, y: y - 4.5 }];
        let ink = Ink::Series(index);
        items.push(Item::Lines { parts: vec![line], ink, width: 2.5, dashed: true });
        let (at, aside) = (Point { x: x + SWATCH, y }, curve.about.clone());
        items.push(Item::Entry { words: name, aside, at, size: BODY });
    }
    if chart.curves.is_empty() { y } else { y + LINE + 8.0 }
}

/// The grid, the axes, and the y axis' labels.
fn grid(
    chart: &Chart,
    plot: Plot,
    foot: f64,
    x_ticks: &[Tick],
    y_ticks: &[Tick],
    items: &mut Vec<Item>,
) {
    let across = |y: f64| vec![Point { x: plot.left, y }, Point { x: plot.right, y }];
    let place_y = |t: &Tick| plot.bottom - PLOT * chart.y.place(t.at);
    let place_x = |t: &Tick| plot.left + (plot.right - plot.left) * chart.x.place(t.at);
    let upright = |x: f64, from: f64, to: f64| vec![Point { x, y: from }, Point { x, y: to }];
    let rows = y_ticks.iter().map(|t| across(place_y(t)));
    let columns = x_ticks.iter().map(|t| upright(place_x(t), plot.top, plot.bottom));
    let parts = rows.chain(columns).collect();
    items.push(Item::Lines { parts, ink: Ink::Grid, width: 1.0, dashed: false });
    let stubs = x_ticks.iter().map(|t| upright(place_x(t), foot, foot + 5.0));
    let lanes_end = (foot > plot.bottom).then(|| across(foot));
    let axes = [across(plot.bottom), upright(plot.left, plot.top, foot)];
    let parts = axes.into_iter().chain(lanes_end).chain(stubs).collect();
    items.push(Item::Lines { parts, ink: Ink::Axis, width: 1.0, dashed: false });
    for tick in y_ticks {
        let (x, y) = (plot.left - 8.0, place_y(tick) + 4.0);
        items.push(words(&tick.label, x, y, small(Ink::Faint, Anchor::End)));
    }
}

fn areas(chart: &Chart, plot: Plot, index: usize, curve: &Curve, items: &mut Vec<Item>) {
    let corners = |bar: &super::chart::Bar| {
        let upper = plot.point(chart, Spot { x: bar.left, y: bar.high });
        let lower = plot.point(chart, Spot { x: bar.right, y: bar.low });
        (upper, lower)
    };
    let parts: Vec<Vec<(Point, Point)>> =
        curve.areas.iter().map(|area| area.iter().map(corners).collect()).collect();
    if !parts.is_empty() {
        // Where many lie over each other, each is fainter.
        let opacity = [0.28, 0.28, 0.22].get(chart.curves.len()).copied().unwrap_or(0.13);
        items.push(Item::Areas { parts, ink: Ink::Series(index), opacity });
    }
}

fn marks(chart: &Chart, plot: Plot, index: usize, curve: &Curve, items: &mut Vec<Item>) {
    let ink = Ink::Series(index);
    let point = |spot: &Spot| plot.point(chart, *spot);
    let parts: Vec<Vec<Point>> =
        curve.lines.iter().map(|line| line.iter().map(point).collect()).collect();
    if !parts.is_empty() {
        items.push(Item::Lines { parts, ink, width: 1.7, dashed: true });
    }
    for (spots, radius, hollow) in [(&curve.dots, 2.0, false), (&curve.rings, 4.0, true)] {
        if !spots.is_empty() {
            let centres = spots.iter().map(point).collect();
            items.push(Item::Dots { centres, radius, ink, hollow });
        }
    }
}

/// The ticks of one series' lost probes, with its colour at their left.
fn losses(chart: &Chart, plot: Plot, lane: usize, index: usize, items: &mut Vec<Item>) {
    let top = plot.bottom + LANE * lane as f64;
    let parts = chart.curves[index]
        .lost
        .iter()
        .map(|at| {
            let x = plot.left + (plot.right - plot.left) * chart.x.place(*at);
            vec![Point { x, y: top + 1.0 }, Point { x, y: top + LANE - 1.0 }]
        })
        .collect();
    items.push(Item::Lines { parts, ink: Ink::Lost, width: 1.2, dashed: false });
    if chart.curves.len() > 1 {
        let y = top + LANE / 2.0;
        let key = vec![Point { x: plot.left - 6.0, y }, Point { x: plot.left - 1.0, y }];
        let ink = Ink::Series(index);
        items.push(Item::Lines { parts: vec![key], ink, width: LANE - 3.0, dashed: false });
    }
}

/// The x axis' labels and title, notes and caption; says where they end.
fn labels_below(
    chart: &Chart,
    plot: Plot,
    foot: f64,
    x_ticks: &[Tick],
    items: &mut Vec<Item>,
) -> f64 {
    for tick in x_ticks {
        let x = plot.left + (plot.right - plot.left) * chart.x.place(tick.at);
        // A wide label at the very end is moved inside.
        let x = x.min(WIDTH - 4.0 - text::width(&tick.label) * SMALL / 2.0);
        items.push(words(&tick.label, x, foot + 19.0, small(Ink::Faint, Anchor::Middle)));
    }
    let mut y = foot + 19.0 + LINE;
    items.push(words(&chart.x.title, plot.right, y, small(Ink::Faint, Anchor::End)));
    y += 6.0;
    let width = (WIDTH - 2.0 * MARGIN) / SMALL;
    let notes = text::wrap(&chart.notes.join(" "), width, LINES, text::FONT);
    let caption = text::wrap(&chart.caption, width, LINES, text::FONT);
    for (line, ink) in notes
        .iter()
        .map(|line| (line, Ink::Faint))
        .chain(caption.iter().map(|line| (line, Ink::Text)))
    {
        y += LINE;
        items.push(words(line, MARGIN, y, small(ink, Anchor::Start)));
    }
    y
}
