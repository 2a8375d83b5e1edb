//! The table of latencies that the demo and the tools show: redrawn in place
//! on a terminal, plain lines elsewhere.

use super::probe::ProbeReader;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Printed where there are too few samples for a percentile.
const NOTHING: &str = "—";
/// Columns of the numbers, the space before each included.
const COLUMNS: [(&str, usize); 5] = [("n", 10), ("p50", 10), ("p99", 10), ("max", 10), ("lost", 8)];
const NUMBERS: usize = 48;
/// Columns assumed where `COLUMNS` doesn't say; drawing never wraps, so a
/// narrower terminal cuts lines off and nothing worse.
const USUAL_COLUMNS: usize = 80;
/// The narrowest column of paths.
const LEAST_PATH: usize = 8;

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What was measured: `tcp → http`.
    pub path: String,
    /// Samples.
    pub n: u64,
    /// Median; `None` without the samples for it, here and below.
    pub p50: Option<Duration>,
    /// 99th percentile.
    pub p99: Option<Duration>,
    /// Maximum.
    pub max: Option<Duration>,
    /// Samples that never came.
    pub lost: u64,
}

impl Row {
    /// What a subscriber's stamps say.
    pub fn of(path: impl Into<String>, probe: &ProbeReader) -> Self {
        let hist = probe.hist();
        Self {
            path: path.into(),
            n: hist.count(),
            p50: hist.quantile(0.5),
            p99: hist.quantile(0.99),
            max: hist.max(),
            lost: probe.tally().lost,
        }
    }
}

/// What the table is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Plain lines.
    Plain,
    /// A terminal, with ECMA-48 control sequences.
    Terminal {
        /// Characters to a line.
        columns: usize,
        /// Bold and colour may be used.
        colour: bool,
    },
}

impl Screen {
    /// What `out` is: a terminal, unless `TERM` is `dumb`; with colour, unless
    /// `NO_COLOR` is set and not empty (no-color.org). `COLUMNS` is heeded.
    pub fn detect<T: IsTerminal>(out: &T) -> Self {
        let set = |name: &str| std::env::var(name).unwrap_or_default();
        if !out.is_terminal() || set("TERM") == "dumb" {
            return Self::Plain;
        }
        Self::Terminal {
            columns: set("COLUMNS").parse().unwrap_or(USUAL_COLUMNS),
            colour: set("NO_COLOR").is_empty(),
        }
    }
}

/// Draws rows, again and again.
#[derive(Debug)]
pub struct Table {
    screen: Screen,
    /// Lines of the last drawing, to go up by.
    drawn: usize,
    text: String,
}

impl Table {
    /// A table that nothing has been drawn of.
    pub const fn new(screen: Screen) -> Self {
        Self { screen, drawn: 0, text: String::new() }
    }

    /// Draws a title line, the heads of the columns, and the rows; on a
    /// terminal over the last drawing, in one write. Elsewhere the heads are
    /// drawn the first time alone.
    ///
    /// # Errors
    /// `out` fails.
    pub fn draw<W: Write>(&mut self, title: &str, rows: &[Row], out: &mut W) -> io::Result<()> {
        self.text.clear();
        let path = self.path_columns(rows);
        match self.screen {
            Screen::Plain => {
                if self.drawn == 0 {
                    self.line(&[heads(path).as_str()], false);
                }
                self.line(&[title], false);
            }
            Screen::Terminal { colour, .. } => {
                if self.drawn > 0 {
                    self.text.push_str(&format!("\x1b[{}A", self.drawn));
                }
                // No wrapping at the right edge (DECAWM) while drawing, so that
                // one line of ours is one line of the terminal.
                self.text.push_str("\x1b[?7l");
                self.line(&[title], colour);
                self.line(&[heads(path).as_str()], colour);
            }
        }
        for row in rows {
            let line = row_text(row, path);
            self.line(&[line.as_str()], false);
        }
        if let Screen::Terminal { .. } = self.screen {
            // What a longer table left below, then wrapping as it was.
            self.text.push_str("\x1b[J\x1b[?7h");
        }
        self.drawn = rows.len() + 2;
        out.write_all(self.text.as_bytes())?;
        out.flush()
    }

    /// Appends one line: cut to the width, and what was there wiped out.
    fn line(&mut self, parts: &[&str], bold: bool) {
        let columns = match self.screen {
            Screen::Plain => usize::MAX,
            Screen::Terminal { columns, .. } => columns,
        };
        if bold {
            self.text.push_str("\x1b[1m");
        }
        self.text.extend(parts.iter().flat_map(|part| part.chars()).take(columns));
        if bold {
            self.text.push_str("\x1b[m");
        }
        if let Screen::Terminal { .. } = self.screen {
            self.text.push_str("\x1b[K\r");
        }
        self.text.push('\n');
    }

    fn path_columns(&self, rows: &[Row]) -> usize {
        let longest = rows.iter().map(|row| row.path.chars().count()).max();
        let wanted = longest.unwrap_or(0).max(LEAST_PATH);
        match self.screen {
            Screen::Plain => wanted,
            Screen::Terminal { columns, .. } => {
                wanted.min(columns.saturating_sub(NUMBERS)).max(LEAST_PATH)
            }
        }
    }
}

/// Three significant digits and a unit: `0.512 µs`, `12.3 µs`, `1.23 ms`.
pub fn format_latency(value: Duration) -> String {
    let nanos = value.as_nanos();
    let units = [(1_000u128, "µs"), (1_000_000, "ms"), (1_000_000_000, "s")];
    for (per_unit, unit) in units {
        // From 999.5 on, three digits round to 1000: the next unit's 1.00.
        if nanos * 2 >= per_unit * 1999 && unit != "s" {
            continue;
        }
        for decimals in (0..=3).rev() {
            let step = per_unit / 10u128.pow(decimals);
            let digits = (nanos + step / 2) / step;
            if digits < 1000 || decimals == 0 {
                let scale = 10u128.pow(decimals);
                let whole = digits / scale;
                return if decimals == 0 {
                    format!("{whole} {unit}")
                } else {
                    let width = decimals as usize;
                    format!("{whole}.{:0width$} {unit}", digits % scale)
                };
            }
        }
    }
    unreachable!("seconds take any value")
}

fn heads(path: usize) -> String {
    let mut line = format!("{:path$}", "path");
    for (name, columns) in COLUMNS {
        line.push_str(&format!("{name:>columns$}"));
    }
    line
}

fn row_text(row: &Row, path: usize) -> String {
    let span = |value: Option<Duration>| value.map_or_else(|| NOTHING.to_owned(), format_latency);
    let mut line = if row.path.chars().count() > path {
        row.path.chars().take(path - 1).chain(['…']).collect()
    } else {
        format!("{:path$}", row.path)
    };
    let cells =
        [row.n.to_string(), span(row.p50), span(row.p99), span(row.max), row.lost.to_string()];
    for (cell, (_, columns)) in cells.iter().zip(COLUMNS) {
        line.push_str(&format!("{cell:>columns$}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(n: u64) -> String {
        format_latency(Duration::from_nanos(n))
    }

    #[test]
    fn three_significant_digits() {
        for (n, text) in [
            (0, "0.000 µs"),
            (1, "0.001 µs"),
            (999, "0.999 µs"),
            (1_000, "1.00 µs"),
            (1_234, "1.23 µs"),
            (9_994, "9.99 µs"),
            (9_995, "10.0 µs"),
            (12_345, "12.3 µs"),
            (99_950, "100 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (1_235_000, "1.24 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (60_000_000_000, "60.0 s"),
            (1_234_000_000_000, "1234 s"),
        ] {
            assert_eq!(nanos(n), text, "{n} ns");
        }
    }

    fn rows() -> Vec<Row> {
        vec![
            Row {
                path: "tcp → http".to_owned(),
                n: 1000,
                p50: Some(Duration::from_micros(38)),
                p99: Some(Duration::from_micros(96)),
                max: Some(Duration::from_millis(2)),
                lost: 0,
            },
            Row {
                path: "udp → udp".to_owned(),
                n: 3,
                max: Some(Duration::from_micros(7)),
                lost: 12,
                ..Row::default()
            },
        ]
    }

    fn drawn(table: &mut Table, rows: &[Row]) -> String {
        let mut out = Vec::new();
        table.draw("after 1 s", rows, &mut out).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn plain_lines() {
        let mut table = Table::new(Screen::Plain);
        let expected = "\
path               n       p50       p99       max    lost
after 1 s
tcp → http      1000   38.0 µs   96.0 µs   2.00 ms       0
udp → udp          3         —         —   7.00 µs      12
";
        assert_eq!(drawn(&mut table, &rows()), expected);
        let again = drawn(&mut table, &rows());
        assert!(again.starts_with("after 1 s\n"), "{again}");
        assert!(!again.contains('\x1b'));
    }

    /// A terminal of `columns` that knows what we use: text, CR, LF, up, erase
    /// to the end of line and of screen. Answers its lines.
    fn shown(columns: usize, text: &str) -> Vec<String> {
        let mut lines: Vec<Vec<char>> = vec![Vec::new()];
        let (mut row, mut column) = (0, 0);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).expect("a final byte");
                    let (sequence, tail) = rest.split_at(end + 1);
                    rest = tail;
                    match sequence.trim_start_matches('[') {
                        "K" => lines[row].truncate(column),
                        "J" => lines.truncate(row + 1),
                        "?7l" | "?7h" | "1m" | "m" => {}
                        up => row -= up.trim_end_matches('A').parse::<usize>().expect(up),
                    }
                }
                '\r' => column = 0,
                '\n' => {
                    row += 1;
                    if row == lines.len() {
                        lines.push(Vec::new());
                    }
                }
                c => {
                    assert!(column < columns, "no line is wider than the terminal");
                    let length = column.max(lines[row].len());
                    lines[row].resize(length, ' ');
                    if column < lines[row].len() {
                        lines[row][column] = c
                    } else {
                        lines[row].push(c)
                    }
                    column += 1;
                }
            }
        }
        lines.into_iter().map(|line| line.into_iter().collect()).collect()
    }

    #[test]
    fn a_terminal_shows_the_last_drawing_alone() {
        for columns in [20, 56, 60, 200] {
            let screen = Screen::Terminal { columns, colour: false };
            let mut table = Table::new(screen);
            let mut text = drawn(&mut table, &rows());
            assert!(!text.contains("\x1b[1m"), "no colour asked for");
            let mut fewer = rows();
            fewer.pop();
            fewer[0].path = "a path that is much too long for it".to_owned();
            text += &drawn(&mut table, &fewer);
            let lines = shown(columns, &text);
            assert_eq!(lines.len(), 4, "{lines:?}");
            assert_eq!(lines[0], "after 1 s");
            assert!(lines[1].starts_with("path "), "{lines:?}");
            if columns == 60 {
                let expected = "a path that…      1000   38.0 µs   96.0 µs   2.00 ms       0";
                assert_eq!(lines[2], expected);
            }
        }
    }

    #[test]
    fn colour_where_allowed() {
        let screen = Screen::Terminal { columns: 80, colour: true };
        assert!(drawn(&mut Table::new(screen), &rows()).contains("\x1b[1mafter 1 s\x1b[m"));
    }
}
