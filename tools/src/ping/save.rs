//! A run as a file: an object for each probe, then the document, a line each.

use std::fs::File;
use std::io::{BufWriter, Write};

use nearlight::client::ping::{Plan, Series};

use super::doc::Doc;
use super::lines::Probe;

/// The probes that were kept of a run, in the order of the plan's ways.
pub(super) fn probes(plan: &Plan, all: &[Series]) -> Vec<Probe> {
    let of = |(way, series): (usize, &Series)| {
        let probes = series.records.iter();
        probes.filter_map(|record| Probe::of_record(plan, way, record)).collect::<Vec<_>>()
    };
    all.iter().enumerate().flat_map(of).collect()
}

/// Writes them to the file `path`.
///
/// # Errors
/// The file's, with its name.
pub(super) fn write(path: &str, probes: &[Probe], doc: &Doc) -> Result<(), String> {
    let save = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for probe in probes {
            serde_json::to_writer(&mut file, probe)?;
            file.write_all(b"\n")?;
        }
        serde_json::to_writer(&mut file, doc)?;
        file.write_all(b"\n")?;
        file.flush()
    };
    save().map_err(|error| format!("{path}: {error}"))
}
