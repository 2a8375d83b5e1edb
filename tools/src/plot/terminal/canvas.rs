//! The plot of a terminal: cells of 2 x 4 dots of braille, or of one character
//! of ASCII. A cell has one colour, that of the series that came last.

use super::Charset;
use crate::plot::data::SERIES;

/// Dots and gaps of a series' line, in turn, as in [`super::super::palette`]
/// but in dots.
const PATTERNS: [&[u32]; SERIES] = [&[], &[4, 2], &[1, 1], &[5, 2, 1, 2], &[8, 3], &[1, 3]];
/// What stands for a series where there is no braille.
const MARKS: [char; SERIES] = ['*', '+', 'o', 'x', '#', '@'];
/// Colours of a terminal's own sixteen, so that its theme keeps them readable;
/// red is kept for what was lost.
const COLOURS: [u8; SERIES] = [36, 33, 32, 35, 94, 37];

/// The escape sequence that begins a series' colour.
pub(super) fn colour(series: usize) -> String {
    format!("\x1b[{}m", COLOURS[series % SERIES])
}

/// What a cell shows.
#[derive(Clone, Copy, Default)]
struct Cell {
    /// Dots, as the last byte of a braille character's code point.
    dots: u8,
    /// Whether a line is among them, not only a shade.
    line: bool,
    ring: bool,
    series: usize,
}

/// A grid of cells, painted in dots from its upper left corner.
pub(super) struct Canvas {
    columns: usize,
    rows: usize,
    charset: Charset,
    cells: Vec<Cell>,
}

/// How far along its pattern a line is.
#[derive(Default)]
pub(super) struct Pen {
    series: usize,
    run: u32,
}

impl Pen {
    pub(super) fn new(series: usize) -> Self {
        Self { series, run: 0 }
    }

    /// Whether the next dot is inked.
    fn step(&mut self) -> bool {
        let pattern = PATTERNS[self.series % SERIES];
        let Some(mut rest) = self.run.checked_rem(pattern.iter().sum()) else {
            return true;
        };
        self.run += 1;
        for (at, length) in pattern.iter().enumerate() {
            if rest < *length {
                return at.is_multiple_of(2);
            }
            rest -= length;
        }
        false
    }
}

impl Canvas {
    pub(super) fn new(columns: usize, rows: usize, charset: Charset) -> Self {
        Self { columns, rows, charset, cells: vec![Cell::default(); columns * rows] }
    }

    /// Dots across and down.
    pub(super) fn size(&self) -> (usize, usize) {
        let (across, down) = self.charset.dots();
        (self.columns * across, self.rows * down)
    }

    /// The dot at a place between 0 and 1 from the left and from the top.
    fn at(&self, (x, y): (f64, f64)) -> (usize, usize) {
        let (width, height) = self.size();
        let dot = |place: f64, size: usize| (place * size as f64) as usize;
        (dot(x, width).min(width - 1), dot(y, height).min(height - 1))
    }

    fn ink(&mut self, (x, y): (usize, usize), series: usize) -> &mut Cell {
        let (across, down) = self.charset.dots();
        // U+2800: three dots down the left, three down the right, then the last
        // row (ISO/IEC 11548-1).
        let bits = [[0, 3], [1, 4], [2, 5], [6, 7]];
        let cell = &mut self.cells[y / down * self.columns + x / across];
        cell.dots |= 1 << bits[y % down][x % across];
        cell.series = series;
        cell
    }

    /// A straight line between two places.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), pen: &mut Pen) {
        let ((x0, y0), (x1, y1)) = (self.at(from), self.at(to));
        let steps = x0.abs_diff(x1).max(y0.abs_diff(y1));
        for step in 0..=steps {
            let between = |a: usize, b: usize| {
                let part = step as f64 / steps.max(1) as f64;
                (a as f64 + (b as f64 - a as f64) * part).round() as usize
            };
            // A mark needs no pattern to be told apart.
            if pen.step() || self.charset == Charset::Ascii {
                self.ink((between(x0, x1), between(y0, y1)), pen.series).line = true;
            }
        }
    }

    /// A shaded rectangle: every other dot.
    pub(super) fn shade(&mut self, upper: (f64, f64), lower: (f64, f64), series: usize) {
        let ((left, top), (right, bottom)) = (self.at(upper), self.at(lower));
        for x in left..=right.max(left) {
            for y in top..=bottom.max(top) {
                if self.charset == Charset::Ascii || (x + y).is_multiple_of(2) {
                    self.ink((x, y), series);
                }
            }
        }
    }

    /// A ring, as large as a cell.
    pub(super) fn ring(&mut self, at: (f64, f64), series: usize) {
        let dot = self.at(at);
        self.ink(dot, series).ring = true;
    }

    /// A row of cells: characters with the series that coloured them.
    pub(super) fn row(&self, row: usize) -> Vec<(char, usize)> {
        let cells = self.cells.iter().skip(row * self.columns).take(self.columns);
        cells.map(|cell| (self.character(*cell), cell.series)).collect()
    }

    fn character(&self, cell: Cell) -> char {
        match (self.charset, cell) {
            (_, Cell { dots: 0, .. }) => ' ',
            (Charset::Unicode, Cell { ring: true, .. }) => '○',
            (Charset::Unicode, Cell { dots, .. }) => {
                char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ')
            }
            (Charset::Ascii, Cell { ring: true, .. }) => 'O',
            (Charset::Ascii, Cell { line: false, .. }) => '.',
            (Charset::Ascii, Cell { series, .. }) => MARKS[series % SERIES],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(canvas: &Canvas) -> Vec<String> {
        (0..canvas.rows).map(|row| canvas.row(row).iter().map(|(c, _)| c).collect()).collect()
    }

    #[test]
    fn dots_lie_where_braille_has_them() {
        let mut canvas = Canvas::new(2, 1, Charset::Unicode);
        canvas.line((0.0, 0.0), (1.0, 0.99), &mut Pen::new(0));
        assert_eq!(text(&canvas), ["⠑⢄"]);
        let mut canvas = Canvas::new(1, 1, Charset::Unicode);
        canvas.line((0.9, 0.9), (0.9, 0.9), &mut Pen::new(0));
        assert_eq!(text(&canvas), ["⢀"]);
    }

    #[test]
    fn patterns_and_marks_tell_series_apart() {
        let drawn = |series| {
            let mut canvas = Canvas::new(12, 1, Charset::Unicode);
            canvas.line((0.0, 0.5), (1.0, 0.5), &mut Pen::new(series));
            text(&canvas).concat()
        };
        let all: Vec<String> = (0..SERIES).map(drawn).collect();
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{one}");
        }
        let mut canvas = Canvas::new(4, 2, Charset::Ascii);
        canvas.shade((0.0, 0.0), (0.3, 1.0), 0);
        canvas.line((0.0, 0.0), (1.0, 0.0), &mut Pen::new(2));
        canvas.ring((1.0, 1.0), 1);
        assert_eq!(text(&canvas), ["oooo", ".. O"]);
    }
}
