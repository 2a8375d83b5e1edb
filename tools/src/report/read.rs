//! Reads a saved run: a line of JSON for each probe, then the document; or the
//! document alone. Files come from anywhere, so each is read within bounds.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use nearlight::base::units::format_size;
use nearlight::limits::PING_RECORDS;
use serde::Deserialize;

use super::{Document, label};
use crate::ping::lines::Probe;

/// Bytes of a line: a document of 32 series, each with a histogram of 20,000
/// buckets, which takes minutes of round trips of all lengths.
const LINE_BYTES: usize = 16 << 20;
/// Bytes of a probe's line: 15 keys and their numbers (400), the longest name
/// of a host (253), and a reason.
const PROBE_BYTES: usize = 1024;

/// What a file may take.
#[derive(Clone, Copy)]
struct Bounds {
    /// Bytes in all.
    bytes: u64,
    /// Probes that are kept; where there are more, every second one goes, and
    /// again.
    probes: usize,
}

/// 32 hosts with as many probes of 400 bytes as a run keeps; of those, as many
/// as two series have: 200 MB, or 700 if all lines are of the longest.
const BOUNDS: Bounds = Bounds { bytes: 4 << 30, probes: 2 * PING_RECORDS };

/// A saved run.
#[derive(Debug)]
pub(crate) struct Saved {
    /// What it came to.
    pub(crate) doc: Document,
    /// Its probes in the order of the file, or an even choice of them. One that
    /// was given up and answered after all has the later of its two lines here.
    pub(crate) probes: Vec<Probe>,
    /// Of how many sequence numbers one is among them.
    pub(crate) stride: u64,
}

/// What tells the lines apart.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
    #[serde(rename = "type")]
    sort: Option<String>,
}

/// Reads the file, `-` being standard input.
///
/// # Errors
/// Names the file, the line, and what was expected there.
pub(crate) fn open(name: &OsStr) -> Result<Saved, String> {
    let saved = if name == "-" {
        read(std::io::stdin().lock(), BOUNDS)
    } else {
        let file = File::open(name).map_err(|error| format!("{}: {error}", label(name)))?;
        read(BufReader::new(file), BOUNDS)
    };
    saved.map_err(|(line, error)| match line {
        0 => format!("{}: {error}", label(name)),
        line => format!("{}:{line}: {error}", label(name)),
    })
}

/// Where something is wrong, lines counted from 1, and what.
type Wrong = (u64, String);

fn read(from: impl BufRead, bounds: Bounds) -> Result<Saved, Wrong> {
    let mut lines = Lines { from, line: Vec::new(), number: 0, bytes: 0, most: bounds.bytes };
    let mut kept = Kept { probes: Vec::new(), stride: 1, room: bounds.probes };
    while let Some(line) = lines.next()? {
        let doc = match one(line) {
            Ok(One::Probe(probe)) => kept.push(*probe).map(|()| None),
            Ok(One::Document(doc)) => Ok(Some(doc)),
            Err(error) => Err(error),
        };
        if let Some(doc) = doc.map_err(|error| (lines.number, error))? {
            if lines.next()?.is_some() {
                let error = "nothing comes after the document of a run; give each run as a file";
                return Err((lines.number, error.to_owned()));
            }
            kept.settle();
            return Ok(Saved { doc, probes: kept.probes, stride: kept.stride });
        }
    }
    let error = if lines.bytes == 0 {
        "empty; was the run cut short?"
    } else {
        "ends without the document of the run: it was cut short"
    };
    Err((lines.number, error.to_owned()))
}

/// What a line holds.
enum One {
    Probe(Box<Probe>),
    Document(Document),
}

fn one(line: &[u8]) -> Result<One, String> {
    let wrong = match serde_json::from_slice::<Probe>(line) {
        Ok(_) if line.len() > PROBE_BYTES => {
            return Err(format!("a probe of more than {PROBE_BYTES} bytes is none of ours"));
        }
        Ok(probe) => return probe.check().map(|()| One::Probe(Box::new(probe))),
        Err(error) => error,
    };
    let head = serde_json::from_slice::<Head>(line).map_err(|error| {
        let hint = match line {
            b"{" => "; it is to be on one line, as `jq -c .` writes it",
            _ if error.is_eof() => "; was the run cut short?",
            _ => "",
        };
        format!("expected a probe or a document of lightmeter, as JSON: {}{hint}", reason(&error))
    })?;
    match (head.schema, head.sort.as_deref()) {
        (Some(schema), _) => Document::read(&schema, line).map(One::Document),
        (None, Some("probe")) => Err(format!("not as a probe is: {}", reason(&wrong))),
        (None, _) => Err("expected a probe, with a 'type', or a document, with a 'schema'".into()),
    }
}

/// What serde has against it, without the line, which is always the first.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(text) if error.column() > 0 => format!("{text} (column {})", error.column()),
        Some(text) => text.to_owned(),
        None => text,
    }
}

/// Lines that aren't blank, each bounded, and all together.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    most: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<&[u8]>, Wrong> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut bounded = (&mut self.from).take(LINE_BYTES as u64 + 1);
            let read = bounded.read_until(b'\n', &mut self.line);
            let read = read.map_err(|error| (0, error.to_string()))?;
            self.bytes += read as u64;
            if self.line.len() > LINE_BYTES {
                let error = format!("longer than {}: no saved run", format_size(LINE_BYTES as u64));
                return Err((self.number, error));
            }
            if self.bytes > self.most {
                let error = format!("more than {} by here: no saved run", format_size(self.most));
                return Err((self.number, error));
            }
            if read == 0 {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(self.line.trim_ascii()));
            }
        }
    }
}

/// Probes, thinned evenly where there are too many: as a run does it.
struct Kept {
    probes: Vec<Probe>,
    stride: u64,
    room: usize,
}

impl Kept {
    fn push(&mut self, probe: Probe) -> Result<(), String> {
        while self.probes.len() >= self.room {
            let Some(stride) = self.stride.checked_mul(2) else {
                return Err("too many probes that all have the same number".to_owned());
            };
            self.stride = stride;
            self.probes.retain(|probe| probe.seq.is_multiple_of(stride));
        }
        if probe.seq.is_multiple_of(self.stride) {
            self.probes.push(probe);
        }
        Ok(())
    }

    /// Forgets that a probe was given up where something came of it after all.
    fn settle(&mut self) {
        let key = |probe: &Probe| (probe.kind.clone(), probe.host.clone(), probe.seq);
        let after_all = |probe: &&Probe| probe.status == "late" || probe.status == "refused";
        let known: HashSet<_> = self.probes.iter().filter(after_all).map(key).collect();
        self.probes.retain(|probe| probe.status != "lost" || !known.contains(&key(probe)));
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
