//! Tables of any columns: as text, as Markdown, and as JSON.

use crate::child;
use crate::report::Format;
use crate::rows::Setup;
use crate::stats::Ratio;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::fs;
use std::path::Path;

/// A table that is written as its rows come.
pub(crate) struct Table {
    format: Format,
    widths: Vec<usize>,
}

impl Table {
    /// Writes the heads: each with the width of its column.
    pub(crate) fn begin(format: Format, heads: &[(&str, usize)]) -> Self {
        let widths = heads.iter().map(|(head, width)| head.chars().count().max(*width) + 2);
        let table = Self { format, widths: widths.collect() };
        println!();
        table.row(&heads.iter().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>());
        if format == Format::Markdown {
            println!("|{}", "---|".repeat(heads.len()));
        }
        table
    }

    /// Writes a row.
    pub(crate) fn row(&self, cells: &[String]) {
        if self.format == Format::Markdown {
            println!("| {} |", cells.join(" | "));
            return;
        }
        let line: String =
            cells.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", line.trim_end());
    }
}

/// Everything that a mode has found, for programs.
pub(crate) struct Findings {
    stolen: (u64, u64),
    head: Map<String, Value>,
    rows: Vec<Value>,
}

impl Findings {
    /// Of one mode.
    pub(crate) fn new(mode: &str, setup: &Setup) -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut head = Map::new();
        head.insert("mode".to_owned(), mode.into());
        head.insert("kernel".to_owned(), kernel.trim().into());
        head.insert("cc".to_owned(), setup.cc.as_str().into());
        head.insert("rounds".to_owned(), setup.rounds.into());
        Self { stolen: child::stolen(), head, rows: Vec::new() }
    }

    /// One more.
    pub(crate) fn push(&mut self, row: Value) {
        self.rows.push(row);
    }

    /// Share of the machine's time that its host took since the start.
    pub(crate) fn steal(&self) -> f64 {
        let (stolen, all) = child::stolen();
        (stolen - self.stolen.0) as f64 / (all - self.stolen.1).max(1) as f64
    }

    /// Writes the file, if one is wanted.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn write(mut self, file: Option<&Path>) -> Result<(), Box<dyn Error>> {
        let Some(file) = file else { return Ok(()) };
        self.head.insert("steal".to_owned(), self.steal().into());
        self.head.insert("rows".to_owned(), self.rows.into());
        let text = serde_json::to_string_pretty(&self.head)?;
        fs::write(file, text + "\n").map_err(|why| format!("{}: {why}", file.display()).into())
    }
}

/// Median, lower and upper end.
pub(crate) fn ratio_json(ratio: Option<Ratio>) -> Value {
    ratio.map_or(Value::Null, |ratio| json!([ratio.mid, ratio.low, ratio.high]))
}

/// Whether a goal is met, as far as the interval tells.
pub(crate) fn verdict(ratio: Option<Ratio>, goal: f64) -> String {
    match ratio {
        None => "no rounds".to_owned(),
        Some(ratio) if ratio.high <= goal => format!("at most {goal}"),
        Some(ratio) if ratio.low > goal => format!("above {goal}"),
        Some(ratio) if ratio.mid <= goal => format!("{goal} or less, not resolved"),
        Some(_) => format!("above {goal}, not resolved"),
    }
}
