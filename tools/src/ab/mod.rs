//! `lightmeter ab A B`: is B slower or faster than A, or can't it be told?
//! Two targets, or two settings of a private server.

pub(crate) mod doc;
mod options;
pub(crate) mod text;

use std::ffi::OsString;

use crate::output::Output;
use crate::paired::run;
use crate::stop::Stop;
use crate::{DONE, FAILED, USAGE, out};
use doc::Doc;
use options::{Asked, Options};

/// Nothing can be said, or what could is not valid.
const INVALID: u8 = 3;

/// Runs it with the words after `ab`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json");
    let asked = match options::parse(words) {
        Ok(Asked::Help) => {
            out::text(options::HELP);
            return DONE;
        }
        Ok(Asked::Compare(asked)) => asked,
        Err(why) => return refuse(wants_json, "usage", &why),
    };
    // Before any thread starts; servers have a use for the mask, too.
    let stop = Stop::new();
    if let Err(why) = run::try_all(&asked.plan) {
        return refuse(asked.is_json, "start", &why);
    }
    let doc = compare(&asked, &stop);
    if asked.is_json {
        out::line(doc.json());
    } else {
        out::text(text::text(&doc));
    }
    if let Err(why) = draw(&doc, &asked.output, !asked.is_json) {
        eprintln!("lightmeter ab: {why}");
        return FAILED;
    }
    doc.exit_code
}

fn compare(asked: &Options, stop: &Stop) -> Doc {
    let run = run::measure(&asked.plan, stop, asked.is_quiet);
    Doc::new(asked, &run)
}

/// Draws A, A again and B, on the terminal if it is `shown` text.
///
/// # Errors
/// There is nothing to draw, or a file can't be written.
pub(crate) fn draw(doc: &Doc, output: &Output, shown: bool) -> Result<(), String> {
    if !output.is_wanted() {
        return Ok(());
    }
    let group = doc.result.as_ref().filter(|group| !group.rounds.is_empty());
    let group = group.ok_or("nothing was measured, so there is nothing to draw")?;
    if let Some(picture) = output.compare(&text::picture(group))?.filter(|_| shown) {
        out::text(format_args!("\n{picture}"));
    }
    Ok(())
}

fn refuse(is_json: bool, kind: &str, why: &str) -> u8 {
    if is_json {
        out::line(Doc::failed(kind, why).json());
    }
    eprintln!("lightmeter ab: {why}");
    USAGE
}
