//! `lightmeter ab A B`: is B slower or faster than A, or can't it be told?
//! Two targets, or two settings of a private server.

pub(crate) mod doc;
mod options;
pub(crate) mod text;

use std::ffi::OsString;

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
    doc.exit_code
}

fn compare(asked: &Options, stop: &Stop) -> Doc {
    let run = run::measure(&asked.plan, stop, asked.is_quiet);
    Doc::new(asked, &run)
}

/// What was shown for a saved document, the same again.
///
/// # Errors
/// It is no such document.
#[cfg_attr(not(test), expect(dead_code, reason = "for `lightmeter report`"))]
pub(crate) fn show(saved: &str) -> Result<String, String> {
    serde_json::from_str(saved).map(|doc| text::text(&doc)).map_err(|why| why.to_string())
}

fn refuse(is_json: bool, kind: &str, why: &str) -> u8 {
    if is_json {
        out::line(Doc::failed(kind, why).json());
    }
    eprintln!("lightmeter ab: {why}");
    USAGE
}
