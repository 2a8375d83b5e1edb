//! Pictures of latency: [`svg`] for pages and papers, [`png`] where no SVG can
//! be shown, [`terminal`] for those who measure. One [`Figure`], drawn three
//! ways:
//!
//! ```text
//! Figure ─▶ Chart: axes, and each series' marks in their values
//!             ├─▶ terminal: braille or ASCII
//!             └─▶ Scene: things to paint, in pixels ─▶ SVG, PNG
//! ```
//!
//! Nothing is thinned silently: what is too dense is drawn as a band and a
//! median and says so; a lost probe is a gap and a red tick; a percentile curve
//! ends where the number of samples says nothing about what lies further.
//!
//! Any values make a picture, if only one that says there is nothing to show.
//! How large it may get doesn't depend on the number of samples.

mod axis;
mod chart;
mod data;
mod ecdf;
mod histogram;
mod layout;
mod palette;
mod percentiles;
#[cfg(feature = "png")]
mod png;
mod scene;
mod svg;
mod terminal;
mod text;
mod timeline;

pub use data::{Figure, Labels, SERIES, Sample, Series, Values};
pub use palette::Theme;
pub use terminal::{Charset, Screen};

use chart::Chart;

/// A figure as an SVG document: complete in itself, light or dark as the
/// reader's screen, the same bytes for the same figure.
///
/// ```
/// use lightmeter::plot::{Figure, Labels, Sample, Series, svg};
///
/// let samples = vec![
///     Sample { at: 0.0, ns: Some(24_100) },
///     Sample { at: 0.1, ns: None },
///     Sample { at: 0.2, ns: Some(23_900) },
/// ];
/// let series = [Series { name: "udp".into(), samples }];
/// let labels = Labels {
///     title: "udp 127.0.0.1:7007".into(),
///     quantity: "round-trip time".into(),
///     caption: "every 100 ms, 64 bytes, n 3, core 1".into(),
/// };
/// let picture = svg(Figure::Timeline(&series), &labels);
/// assert!(picture.starts_with("<svg ") && picture.contains("1 lost"));
/// ```
pub fn svg(figure: Figure<'_>, labels: &Labels) -> String {
    svg::document(&layout::scene(&Chart::new(figure, labels, layout::COLUMNS)))
}

/// A figure as a PNG of twice the size that [`svg`] states, for sharp text on
/// fine screens. The same bytes for the same figure.
///
/// # Errors
///
/// What the encoder says. It writes to memory, so there is nothing to go wrong
/// that a caller could mend.
#[cfg(feature = "png")]
pub fn png(figure: Figure<'_>, labels: &Labels, theme: Theme) -> std::io::Result<Vec<u8>> {
    png::encode(&layout::scene(&Chart::new(figure, labels, layout::COLUMNS)), theme)
}

/// A figure as lines of text, each ended by a newline.
pub fn terminal(figure: Figure<'_>, labels: &Labels, screen: &Screen) -> String {
    terminal::render(figure, labels, screen)
}
