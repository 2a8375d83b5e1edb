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
    Files { names: Vec<OsString>, json: bool, output: Output },
}

/// Runs it with the words after `report`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    match parse(words) {
        Ok(Asked::Help) => out::text(HELP),
        Ok(Asked::Schema(schema)) => out::text(schema),
        Ok(Asked::Files { names, json, output }) => return show_all(&names, json, &output),
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
        match argument {
            Given::Option(option) => match option.as_str() {
                "-h" | "--help" => return Ok(Asked::Help),
                "--json" => json = true,
                "--schema" => schema = Some(args::value(&mut parser, &option, schemas::named)?),
                _ if Output::knows(&option) => output.take(&option, &mut parser)?,
                _ => {
                    return Err(format!(
                        "there is no option '{option}'; lightmeter report --help lists them"
                    ));
                }
            },
            Given::Name(name) => names.push(name),
        }
    }
    match (schema, names.as_slice()) {
        (Some(schema), []) => Ok(Asked::Schema(schema)),
        (Some(_), _) => Err("either --schema or files".to_owned()),
        (None, []) => Err("of what? lightmeter report FILE, or --help".to_owned()),
        (None, [_, _, ..]) if output.is_wanted() => {
            Err("pictures and other formats are of one file at a time".to_owned())
        }
        (None, _) => Ok(Asked::Files { names, json, output }),
    }
}

/// Shows each, and goes on with the next where one can't be shown.
fn show_all(names: &[OsString], json: bool, output: &Output) -> u8 {
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
                if let Err(error) = picture(&saved, output) {
                    eprintln!("lightmeter report: {error}");
                    code = FAILED;
                }
            }
            Err(error) => {
                eprintln!("lightmeter report: {}", plain(&error));
                code = FAILED;
            }
        }
    }
    code
}

/// Draws and writes what was asked for beside the text.
fn picture(saved: &Saved, output: &Output) -> Result<(), String> {
    if !output.is_wanted() {
        return Ok(());
    }
    let doc = match &saved.doc {
        Document::Ping(doc) => doc,
        Document::Ab(doc) => return ab::draw(doc, output, true),
        Document::Stream(_) | Document::Load(_) | Document::Sweep(_) => {
            return Err("there are no single probes in this file to draw or write".to_owned());
        }
    };
    if saved.probes.is_empty() {
        return Err("there are no single probes in this file: save a run with --save".to_owned());
    }
    let run = ping::output_run(doc, &saved.probes);
    if output.is_plotted() {
        out::text(format_args!("\n{}", plain_picture(&output.pictures(&run))));
    }
    output.write(&run)
}

/// A picture may have colours of its own; names in it are from the file.
fn plain_picture(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !"\n\u{1b}".contains(c) { '?' } else { c }).collect()
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
        assert!(matches!(files, Ok(Asked::Files { names, json: true, .. }) if names.len() == 2));
        for (words, part) in [
            (&[][..], "of what?"),
            (&["--schema"], "--schema: missing"),
            (&["--schema", "pong"], "'pong' is none of ping, probe"),
            (&["--schema", "ping", "a"], "either"),
            (&["a", "--plto"], "--plto"),
            (&["a", "b", "--plot"], "one file at a time"),
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
