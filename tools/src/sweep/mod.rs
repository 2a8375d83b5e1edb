//! `lightmeter sweep`: which of many settings of a server is the fastest, if it
//! matters at all. Each combination against the first, on private servers.

pub(crate) mod doc;
mod grid;
mod options;
pub(crate) mod text;

use std::ffi::OsString;

use crate::paired::run;
use crate::stop::Stop;
use crate::{DONE, USAGE, out};
use doc::Doc;
use options::Asked;

/// Nothing can be said, or what could is not valid.
const INVALID: u8 = 3;

/// Runs it with the words after `sweep`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json");
    let asked = match options::parse(words) {
        Ok(Asked::Help) => {
            out::text(options::HELP);
            return DONE;
        }
        Ok(Asked::Sweep(asked)) => asked,
        Err(why) => return refuse(wants_json, "usage", &why),
    };
    // Before any thread starts; servers have a use for the mask, too.
    let stop = Stop::new();
    if let Err(why) = run::try_all(&asked.plan) {
        return refuse(asked.is_json, "start", &why);
    }
    let run = run::measure(&asked.plan, &stop, asked.is_quiet);
    let doc = Doc::new(&asked.plan, &run);
    if asked.is_json {
        out::line(doc.json());
    } else {
        out::text(text::text(&doc));
    }
    doc.exit_code
}

fn refuse(is_json: bool, kind: &str, why: &str) -> u8 {
    if is_json {
        out::line(Doc::failed(kind, why).json());
    }
    eprintln!("lightmeter sweep: {why}");
    USAGE
}
