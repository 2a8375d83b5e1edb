//! A chart in a terminal: braille dots in a frame, or ASCII where the terminal
//! has no Unicode. Without colour, patterns and letters tell the series apart,
//! so what is piped or printed loses nothing.

mod canvas;

use self::canvas::{Canvas, Pen, colour};
use super::axis::{Room, Tick};
use super::chart::{Bar, Chart, Curve, Spot};
use super::data::{Figure, Labels};
use super::text::{Fit, cells, shorten, wrap};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Braille and lines.
    Unicode,
    /// Letters alone.
    Ascii,
}

impl Charset {
    /// What a locale has, given the variables `LC_ALL`, `LC_CTYPE` and `LANG`:
    /// the first that is not empty decides (POSIX, Base Definitions 8.2).
    pub fn of_locale(variables: [Option<&str>; 3]) -> Self {
        let locale = variables.into_iter().flatten().find(|value| !value.is_empty());
        let locale = locale.unwrap_or("C").to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") {
            Self::Unicode
        } else {
            Self::Ascii
        }
    }

    /// Dots in a cell, across and down.
    const fn dots(self) -> (usize, usize) {
        match self {
            Self::Unicode => (2, 4),
            Self::Ascii => (1, 1),
        }
    }

    /// How texts are made to fit into cells.
    const fn fit(self) -> Fit {
        let cut = match self {
            Self::Unicode => "…",
            Self::Ascii => "...",
        };
        Fit { size: |text| wide(text) as f64, cut }
    }

    /// The text in this charset.
    fn text(self, text: &str) -> String {
        match self {
            Self::Unicode => text.to_owned(),
            Self::Ascii => text.chars().map(ascii).collect(),
        }
    }
}

/// The nearest that ASCII has.
fn ascii(c: char) -> &'static str {
    const PRINTED: &str = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ\
                           [\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
    match c {
        'µ' | 'μ' => "u",
        '—' | '–' | '·' => "-",
        '…' => "...",
        '×' => "x",
        '≤' => "<=",
        '≥' => ">=",
        '±' => "+-",
        '→' => "->",
        _ => PRINTED.find(c).map_or("?", |at| &PRINTED[at..=at]),
    }
}

/// What is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Cells across: at least 40 and at most 400 are used.
    pub columns: usize,
    /// Lines in all: at most 200 are used, and more than given where the plot
    /// itself would have fewer than 5.
    pub rows: usize,
    /// What they may hold.
    pub charset: Charset,
    /// Whether escape sequences may colour them; false where output is piped.
    pub colour: bool,
}

/// Lines of the plot itself, at least.
const PLOT_ROWS: usize = 5;
/// Cells of the name beside a series' lost probes.
const KEY: f64 = 10.0;
/// Lines that the notes or the caption may take.
const LINES: usize = 4;

/// The whole figure, line by line.
pub(super) fn render(figure: Figure<'_>, labels: &Labels, screen: &Screen) -> String {
    let columns = screen.columns.clamp(40, 400);
    let screen = Screen { columns, rows: screen.rows.min(200), ..*screen };
    let (across, _) = screen.charset.dots();
    // What the labels at the left take is known from the axis alone, which
    // does not depend on detail.
    let draft = Chart::new(figure, labels, 1);
    let left = left_of(&draft, screen);
    let chart = Chart::new(figure, labels, (columns - left - 1) * across);
    Page { chart: &chart, screen, left }.lines().concat()
}

/// Cells left of the plot: the widest label, a space and the axis.
fn left_of(chart: &Chart, screen: Screen) -> usize {
    let ticks = y_ticks(chart, screen.rows);
    let widest = ticks.iter().map(|tick| wide(&screen.charset.text(&tick.label))).max();
    let keys = chart.curves.iter().filter(|curve| !curve.lost.is_empty());
    let keys = keys.map(|curve| wide(&lost_key(chart, curve, screen.charset)));
    widest.max(keys.max()).unwrap_or(0).min(screen.columns / 3) + 2
}

/// What stands left of a series' lost probes.
fn lost_key(chart: &Chart, curve: &Curve, charset: Charset) -> String {
    let key = if chart.curves.len() > 1 { curve.name.as_str() } else { "lost" };
    shorten(&charset.text(key), KEY, charset.fit())
}

fn y_ticks(chart: &Chart, rows: usize) -> Vec<Tick> {
    chart.y_ticks(Room { length: rows as f64, glyph: 0.0, gap: 2.5 })
}

fn wide(text: &str) -> usize {
    text.chars().map(cells).sum()
}

/// A chart and the room for it.
struct Page<'a> {
    chart: &'a Chart,
    screen: Screen,
    left: usize,
}

impl Page<'_> {
    fn lines(&self) -> Vec<String> {
        let across = self.screen.columns as f64;
        let charset = self.screen.charset;
        let fit = charset.fit();
        let title = shorten(&charset.text(&self.chart.title), across, fit);
        let mut head = vec![self.coloured(&title, "\x1b[1m")];
        head.extend(self.legend());
        head.push(shorten(&charset.text(&self.chart.y.title), across, fit));
        let mut foot = self.lost_rows();
        foot.extend(self.time_axis());
        let notes = charset.text(&self.chart.notes.join(" "));
        foot.extend(wrap(&notes, across, LINES, fit));
        foot.extend(wrap(&charset.text(&self.chart.caption), across, LINES, fit));
        let rows = self.screen.rows.saturating_sub(head.len() + foot.len()).max(PLOT_ROWS);
        let plot = self.plot(rows);
        let lines = head.into_iter().chain(plot).chain(foot);
        lines.map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// A text between an escape sequence and the one that ends it, where there
    /// may be any.
    fn coloured(&self, text: &str, escape: &str) -> String {
        if self.screen.colour && !text.is_empty() {
            format!("{escape}{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn legend(&self) -> Vec<String> {
        let mut lines = vec![(String::new(), 0)];
        for (index, curve) in self.chart.curves.iter().enumerate() {
            let mut canvas = Canvas::new(6, 1, self.screen.charset);
            canvas.line((0.0, 0.5), (1.0, 0.5), &mut Pen::new(index));
            let swatch: String = canvas.row(0).into_iter().map(|(c, _)| c).collect();
            let Screen { columns, charset, .. } = self.screen;
            // Besides swatch and spaces, a long name has eight cells at least.
            let room = columns - 9;
            let name = charset.text(&curve.name);
            let about = charset.text(&curve.about);
            let about = shorten(&about, (room - wide(&name).min(8)) as f64, charset.fit());
            let name = shorten(&name, (room - wide(&about)) as f64, charset.fit());
            let entry = format!("{} {name}  {about}", self.coloured(&swatch, &colour(index)));
            let takes = 6 + 1 + wide(&name) + 2 + wide(&about);
            match lines.last_mut() {
                Some((line, taken)) if *taken == 0 => (*line, *taken) = (entry, takes),
                Some((line, taken)) if *taken + 3 + takes <= self.screen.columns => {
                    line.push_str("   ");
                    line.push_str(&entry);
                    *taken += 3 + takes;
                }
                Some(_) | None => lines.push((entry, takes)),
            }
        }
        lines.retain(|(line, _)| !line.is_empty());
        lines.into_iter().map(|(line, _)| line).collect()
    }

    /// The cells of the plot, behind their labels.
    fn plot(&self, rows: usize) -> Vec<String> {
        let chart = self.chart;
        let mut canvas = Canvas::new(self.inside(), rows, self.screen.charset);
        let place = |spot: &Spot| (chart.x.place(spot.x), 1.0 - chart.y.place(spot.y));
        for (index, curve) in chart.curves.iter().enumerate() {
            shade(&mut canvas, index, curve, &place);
        }
        for (index, curve) in chart.curves.iter().enumerate() {
            draw(&mut canvas, index, curve, &place);
        }
        let unicode = self.screen.charset == Charset::Unicode;
        let (axis, stub) = if unicode { ('│', '┤') } else { ('|', '+') };
        let mut labels = vec![None; rows];
        for tick in y_ticks(chart, rows) {
            let row = ((1.0 - chart.y.place(tick.at)) * rows as f64) as usize;
            labels[row.min(rows - 1)] = Some(tick.label);
        }
        let middle = rows / 2;
        let nothing = chart.nothing.as_deref().unwrap_or("");
        (0..rows)
            .map(|row| {
                let edge = if labels[row].is_some() { stub } else { axis };
                let label = labels[row].as_deref().unwrap_or("");
                let head = format!("{}{edge}", self.label(label));
                if row == middle && !nothing.is_empty() {
                    let indent = self.inside().saturating_sub(nothing.len()) / 2;
                    return format!("{head}{}{nothing}", " ".repeat(indent));
                }
                head + &self.paint(&canvas.row(row))
            })
            .collect()
    }

    /// Cells inside the frame.
    fn inside(&self) -> usize {
        self.screen.columns - self.left - 1
    }

    /// A label at the right of the room for it, and a space.
    fn label(&self, label: &str) -> String {
        let room = self.left - 1;
        let label =
            shorten(&self.screen.charset.text(label), room as f64, self.screen.charset.fit());
        format!("{}{label} ", " ".repeat(room.saturating_sub(wide(&label))))
    }

    /// Characters, each stretch of one series in its colour.
    fn paint(&self, row: &[(char, usize)]) -> String {
        let mut line = String::new();
        for stretch in row.chunk_by(|a, b| (a.0 == ' ') == (b.0 == ' ') && a.1 == b.1) {
            let text: String = stretch.iter().map(|(c, _)| *c).collect();
            let blank = stretch[0].0 == ' ';
            let escape = colour(stretch[0].1);
            line.push_str(&if blank { text } else { self.coloured(&text, &escape) });
        }
        line
    }

    /// For each series that lost any, a row of ticks where.
    fn lost_rows(&self) -> Vec<String> {
        let unicode = self.screen.charset == Charset::Unicode;
        let (axis, tick) = if unicode { ("│", '╹') } else { ("|", '!') };
        let inside = self.inside();
        let with_losses = |(_, curve): &(usize, &Curve)| !curve.lost.is_empty();
        let rows = self.chart.curves.iter().enumerate().filter(with_losses);
        rows.map(|(index, curve)| {
            let mut row = vec![' '; inside];
            for at in &curve.lost {
                let column = (self.chart.x.place(*at) * inside as f64) as usize;
                row[column.min(inside - 1)] = tick;
            }
            let ticks: String = row.into_iter().collect();
            let key = self.label(&lost_key(self.chart, curve, self.screen.charset));
            let key = self.coloured(&key, &colour(index));
            format!("{key}{axis}{}", self.coloured(ticks.trim_end(), "\x1b[31m"))
        })
        .collect()
    }

    /// The lower edge of the frame, the labels under it, and what they measure.
    fn time_axis(&self) -> Vec<String> {
        let unicode = self.screen.charset == Charset::Unicode;
        let (corner, edge, stub) = if unicode { ('└', '─', '┬') } else { ('+', '-', '+') };
        let inside = self.inside();
        let room = Room { length: inside as f64, glyph: 1.0, gap: 3.0 };
        let mut axis = vec![edge; inside];
        let mut labels = String::new();
        let mut taken = 0;
        for tick in self.chart.x.ticks(room) {
            let column = ((self.chart.x.place(tick.at) * inside as f64) as usize).min(inside - 1);
            axis[column] = stub;
            let label = self.screen.charset.text(&tick.label);
            let most = self.screen.columns.saturating_sub(wide(&label));
            let from = (self.left + column).saturating_sub(wide(&label) / 2).min(most);
            if from >= taken {
                labels.push_str(&" ".repeat(from - taken));
                labels.push_str(&label);
                taken = from + wide(&label) + 1;
                labels.push(' ');
            }
        }
        let axis: String = axis.into_iter().collect();
        let Screen { columns, charset, .. } = self.screen;
        let title = charset.text(&self.chart.x.title);
        let title = shorten(&title, columns as f64, charset.fit());
        let indent = self.screen.columns.saturating_sub(wide(&title));
        vec![
            format!("{}{corner}{axis}", " ".repeat(self.left - 1)),
            labels,
            format!("{}{title}", " ".repeat(indent)),
        ]
    }
}

fn shade(canvas: &mut Canvas, index: usize, curve: &Curve, place: &impl Fn(&Spot) -> (f64, f64)) {
    for Bar { left, right, low, high } in curve.areas.iter().flatten() {
        let upper = place(&Spot { x: *left, y: *high });
        let lower = place(&Spot { x: *right, y: *low });
        // The next bar begins where this one ends.
        canvas.shade(upper, ((lower.0 - 1e-9).max(upper.0), lower.1), index);
    }
}

fn draw(canvas: &mut Canvas, index: usize, curve: &Curve, place: &impl Fn(&Spot) -> (f64, f64)) {
    for line in &curve.lines {
        let mut pen = Pen::new(index);
        for ends in line.windows(2) {
            canvas.line(place(&ends[0]), place(&ends[1]), &mut pen);
        }
    }
    for dot in &curve.dots {
        canvas.line(place(dot), place(dot), &mut Pen::new(index));
    }
    for ring in &curve.rings {
        canvas.ring(place(ring), index);
    }
}
