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

use lexopt::prelude::{Long, Short, Value};

use crate::{DONE, FAILED, USAGE, args, out};
use document::Document;

const HELP: &str = "\
lightmeter report FILE... [options]
lightmeter report --schema NAME

Shows what a run showed at its end, from what it saved: `lightmeter ping --save
FILE`, or what --json or --json-lines of ping, ping stream, load, ab and sweep
printed. - is standard input. Several files are shown one after the other.

  --json         the documents again, one a line
  --schema NAME  the JSON Schema (draft 2020-12) of ping, probe (a line of
                 --json-lines), stream, load, ab, sweep, subscribe or doctor

Exit codes: 0 all were shown, 1 a file can't be read or holds no run, 2 wrong
usage.
";

enum Asked {
    Help,
    Schema(&'static str),
    Files { names: Vec<OsString>, json: bool },
}

/// Runs it with the words after `report`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    match parse(words) {
        Ok(Asked::Help) => out::text(HELP),
        Ok(Asked::Schema(schema)) => out::text(schema),
        Ok(Asked::Files { names, json }) => return show_all(&names, json),
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
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Long("json") => json = true,
            Long("schema") => {
                schema = Some(args::value(&mut parser, "--schema", schemas::named)?);
            }
            Value(name) => names.push(name),
            Short(_) | Long(_) => {
                let error = argument.unexpected();
                return Err(format!("{error}; lightmeter report --help lists the options"));
            }
        }
    }
    match (schema, names.is_empty()) {
        (Some(schema), true) => Ok(Asked::Schema(schema)),
        (Some(_), false) => Err("either --schema or files".to_owned()),
        (None, true) => Err("of what? lightmeter report FILE, or --help".to_owned()),
        (None, false) => Ok(Asked::Files { names, json }),
    }
}

/// Shows each, and goes on with the next where one can't be shown.
fn show_all(names: &[OsString], json: bool) -> u8 {
    let mut code = DONE;
    let mut separator = "";
    for name in names {
        match read::open(name) {
            Ok(saved) if json => out::json(&saved.doc),
            Ok(saved) => {
                if names.len() > 1 {
                    out::line(format_args!("{separator}==> {} <==", label(name)));
                    separator = "\n";
                }
                out::text(plain(&saved.doc.text()));
            }
            Err(error) => {
                eprintln!("lightmeter report: {}", plain(&error));
                code = FAILED;
            }
        }
    }
    code
}

/// A file as messages call it.
fn label(name: &OsStr) -> String {
    if name == "-" {
        return "standard input".to_owned();
    }
    plain(&name.to_string_lossy())
}

/// Text from a file that somebody else may have made: whatever a terminal
/// would take for a command is a question mark.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
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
        assert!(matches!(files, Ok(Asked::Files { names, json: true }) if names.len() == 2));
        for (words, part) in [
            (&[][..], "of what?"),
            (&["--schema"], "--schema: missing"),
            (&["--schema", "pong"], "'pong' is none of ping, probe"),
            (&["--schema", "ping", "a"], "either"),
            (&["a", "--plto"], "--plto"),
        ] {
            let Err(error) = asked(words) else { panic!("{words:?}") };
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_terminal_gets_no_commands_from_a_file() {
        assert_eq!(plain("a\x1b[2J\u{9b}1mb\r\n"), "a?[2J?1mb?\n");
    }
}
