//! A run as a file: an object for each probe, then the document, a line each.

use std::fs::File;
use std::io::{BufWriter, Write};

use nearlight::client::ping::{Plan, Series};

use serde::Serialize;

use super::lines::Probe;

/// The probes that were kept of a run, in the order of the plan's ways.
pub(crate) fn probes<'a>(plan: &'a Plan, all: &'a [Series]) -> impl Iterator<Item = Probe> + 'a {
    let of = move |(way, series): (usize, &'a Series)| {
        let probes = series.records.iter();
        probes.filter_map(move |record| Probe::of_record(plan, way, record))
    };
    all.iter().enumerate().flat_map(of)
}

/// A file to save a run in, made before there is one: that it can't be had is
/// not to be found out after an hour.
pub(crate) struct Save {
    path: String,
    file: BufWriter<File>,
}

impl Save {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// The kernel's, with the file's name.
    pub(crate) fn create(path: &str) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("--save {path}: {error}"))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Writes probes, then the document.
    ///
    /// # Errors
    /// The kernel's, with the file's name.
    pub(crate) fn write(
        mut self,
        probes: impl Iterator<Item = Probe>,
        doc: &impl Serialize,
    ) -> Result<(), String> {
        let save = || -> std::io::Result<()> {
            for probe in probes {
                serde_json::to_writer(&mut self.file, &probe)?;
                self.file.write_all(b"\n")?;
            }
            serde_json::to_writer(&mut self.file, doc)?;
            self.file.write_all(b"\n")?;
            self.file.flush()
        };
        save().map_err(|error| format!("--save {}: {error}", self.path))
    }
}
