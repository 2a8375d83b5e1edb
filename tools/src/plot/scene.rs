//! A figure as a list of things to paint, in the order to paint them: what SVG
//! and PNG have in common.

/// A place in the picture, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// What something is painted with; the colour follows from it and the theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Text,
    Faint,
    Axis,
    Grid,
    Lost,
    /// The series with this index, below [`SERIES`](super::SERIES).
    Series(usize),
}

/// Which part of a text is at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    /// Of its letters, in pixels.
    pub(super) size: f64,
    pub(super) ink: Ink,
    pub(super) anchor: Anchor,
    pub(super) bold: bool,
}

/// A thing to paint.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// Lines through points. A series' line has its pattern if `dashed`.
    Lines { parts: Vec<Vec<Point>>, ink: Ink, width: f64, dashed: bool },
    /// Areas of upright rectangles that touch, each by its upper left and its
    /// lower right corner; `opacity` from 0 to 1.
    Areas { parts: Vec<Vec<(Point, Point)>>, ink: Ink, opacity: f64 },
    /// Discs, or rings if `hollow`.
    Dots { centres: Vec<Point>, radius: f64, ink: Ink, hollow: bool },
    /// One line of text on the baseline through `at`.
    Text { words: String, at: Point, style: Style },
    /// The same, with something less important behind it, of the same size.
    Entry { words: String, aside: String, at: Point, size: f64 },
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it is called, for those who can't see it.
    pub(super) title: String,
    /// What it shows, for those who can't see it.
    pub(super) summary: String,
    pub(super) items: Vec<Item>,
}
