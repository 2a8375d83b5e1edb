//! `lightmeter report`: a saved run as text again, every number as it was
//! printed, and the schemas of all documents.
//!
//! ```text
//! FILE ──read──▶ Saved { doc, probes } ──▶ text, or the document again
//!                         └──▶ for pictures and other formats
//! ```
//!
//! What a file holds is told by the `schema` of its document (`document`), so
//! that files of every command can be given together.

mod document;
mod read;
mod schemas;

use std::ffi::{OsStr, OsString};

use crate::args::{self, Given};
use crate::output::Output;
use crate::{DONE, FAILED, USAGE, ab, out, ping};
use document::Document;
use read::Saved;

const HELP: &str = "\
lightmeter report FILE... [options]
lightmeter report --schema NAME

Shows what a run showed at its end, from what it saved: `lightmeter ping --save
FILE`, or what --json or --json-lines of ping, ping stream, load, ab and sweep
printed. - is standard input. Several files are shown one after the other.

  --plot, --svg FILE, --png FILE, --csv FILE, --hgrm FILE, --hlog FILE
  --figure F, --ascii   of one saved ping, as `lightmeter ping` takes them;
                        of one ab the pictures
  --json         the documents again, one a line
  --schema NAME  the JSON Schema (draft 2020-12) of ping, probe (a line of
                 --json-lines), stream, load, ab, sweep, subscribe or doctor

Exit codes: 0 all were shown, 1 a file can't be read or holds no run, 2 wrong
usage.
";

enum Asked {
    Help,
    Schema(&'static str),
    Files(Files),
}

/// Files to show, and how.
struct Files {
    names: Vec<OsString>,
    json: bool,
    output: Output,
}

/// Runs it with the words after `report`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    match parse(words) {
        Ok(Asked::Help) => out::text(HELP),
        Ok(Asked::Schema(schema)) => out::text(schema),
        Ok(Asked::Files(files)) => return files.show(),
        Err(error) => {
            eprintln!("lightmeter report: {error}");
            return USAGE;
        }
    }
    DONE
}

fn parse(words: Vec<OsString>) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let (mut names, mut json, mut schema) = (Vec::new(), false, None);
    let mut output = Output::default();
    while let Some(argument) = args::next(&mut parser)? {
        let option = match argument {
            Given::Name(name) => {
                names.push(name);
                continue;
            }
            Given::Option(option) => option,
        };
        match option.as_str() {
            "-h" | "--help" => return Ok(Asked::Help),
            "--json" => json = true,
            "--schema" => schema = Some(args::value(&mut parser, &option, schemas::named)?),
            _ if Output::knows(&option) => output.take(&option, &mut parser)?,
            _ => {
                return Err(format!(
                    "there is no option '{option}'; lightmeter report --help lists them"
                ));
            }
        }
    }
    match (schema, names.len()) {
        (Some(schema), 0) => Ok(Asked::Schema(schema)),
        (Some(_), _) => Err("either --schema or files".to_owned()),
        (None, 0) => Err("of what? lightmeter report FILE, or --help".to_owned()),
        (None, 2..) if output.is_wanted() => Err("pictures and files are of one FILE".to_owned()),
        (None, _) => Ok(Asked::Files(Files { names, json, output })),
    }
}

impl Files {
    /// Shows each, and goes on with the next where one can't be shown.
    fn show(&self) -> u8 {
        let mut code = DONE;
        let mut separator = "";
        for name in &self.names {
            let shown = read::open(name).and_then(|saved| {
                if self.names.len() > 1 && !self.json {
                    out::line(format_args!("{separator}==> {} <==", label(name)));
                    separator = "\n";
                }
                self.show_one(&saved).map_err(|error| format!("{}: {error}", label(name)))
            });
            if let Err(error) = shown {
                eprintln!("lightmeter report: {}", plain(&error));
                code = FAILED;
            }
        }
        code
    }

    fn show_one(&self, saved: &Saved) -> Result<(), String> {
        if self.json {
            out::json(&saved.doc);
        } else {
            out::text(plain(&saved.doc.text()));
        }
        if !self.output.is_wanted() {
            return Ok(());
        }
        let doc = match &saved.doc {
            Document::Ping(doc) => doc,
            Document::Ab(doc) => return ab::draw(doc, &self.output, !self.json),
            Document::Stream(_) | Document::Load(_) | Document::Sweep(_) => {
                return Err("it has no single probes to draw or write".to_owned());
            }
        };
        if saved.probes.is_empty() {
            return Err("it has no probes to draw: ping --save keeps them".to_owned());
        }
        if saved.stride > 1 {
            eprintln!("lightmeter report: one probe of {} is drawn", saved.stride);
        }
        let run = ping::output_run(doc, &saved.probes, saved.stride);
        if self.output.is_plotted() && !self.json {
            out::text(format_args!("\n{}", self.output.pictures(&run)));
        }
        self.output.write(&run)
    }
}

/// A file as messages call it.
fn label(name: &OsStr) -> String {
    if name == "-" {
        return "standard input".to_owned();
    }
    plain(&name.to_string_lossy())
}

/// Text from a file that somebody else may have made: what a terminal would take
/// for a command, or for a turn of the writing's direction, is a question mark.
fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harms = |c: char| (c.is_control() && c != '\n') || turns(c);
    text.chars().map(|c| if harms(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<Asked, String> {
        parse(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn usage() {
        assert!(matches!(asked(&["-h"]), Ok(Asked::Help)));
        assert!(matches!(asked(&["--schema", "ping"]), Ok(Asked::Schema(_))));
        let files = asked(&["a", "-", "--json"]);
        assert!(matches!(files, Ok(Asked::Files(files)) if files.names.len() == 2 && files.json));
        let plotted = asked(&["a", "--plot", "--svg", "b"]);
        assert!(matches!(plotted, Ok(Asked::Files(files)) if files.output.is_plotted()));
        for (words, part) in [
            (&[][..], "of what?"),
            (&["--schema"], "--schema: missing"),
            (&["--schema", "pong"], "'pong' is none of ping, probe"),
            (&["--schema", "ping", "a"], "either"),
            (&["a", "--plto"], "--plto"),
            (&["a", "b", "--plot"], "one FILE"),
        ] {
            let Err(error) = asked(words) else { panic!("{words:?}") };
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_terminal_gets_no_commands_from_a_file() {
        assert_eq!(plain("a\x1b[2J\u{9b}1mb\r\n"), "a?[2J?1mb?\n");
        assert_eq!(plain("ü \u{202e}µs"), "ü ?µs");
    }

    /// Pictures and files of probes that no run has had.
    #[test]
    fn whatever_probes_say_is_drawn() {
        let mut words = vec!["file", "--plot"];
        for option in ["--svg", "--csv", "--hgrm", "--hlog"] {
            words.extend([option, "/dev/null"]);
        }
        let doc: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/runs/ping.json")).expect("JSON");
        let probe: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/runs/probe.json")).expect("JSON");
        let extremes = [0, 1, 1 << 40, u64::MAX - 1, u64::MAX].map(serde_json::Value::from);
        for (n, value) in extremes.iter().enumerate() {
            let mut doc = doc.clone();
            doc["host"]["started"] = value.clone();
            let doc = serde_json::from_value(doc).expect("a document");
            let mut probes = Vec::new();
            for (m, time) in extremes.iter().cycle().skip(n).take(11).enumerate() {
                let mut probe = probe.clone();
                probe["host"] = ["", "a\u{1b}[2J", "b,\"c\n"][m % 3].into();
                for key in ["due_ns", "sent_ns", "left_ns", "rtt_ns", "network_ns", "seq"] {
                    probe[key] = if (m + key.len()) % 2 == 0 { time } else { value }.clone();
                }
                probes.push(serde_json::from_value(probe).expect("a probe"));
            }
            for figure in ["timeline", "percentiles", "ecdf", "histogram"] {
                let words = [&words[..], &["--figure", figure]].concat();
                let Ok(Asked::Files(files)) = asked(&words) else { panic!("{words:?}") };
                let run = ping::output_run(&doc, &probes, 1);
                assert!(!files.output.pictures(&run).contains("\x1b[2J"));
                files.output.write(&run).expect("written");
            }
        }
    }
}
