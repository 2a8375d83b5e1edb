//! Standard output that may go away: `lightmeter ping host | head -3` ends
//! quietly when `head` does.

use std::fmt::Display;
use std::io::Write;

/// Writes `text` at once. Where nobody takes it any more, there is nothing
/// left to do: the process ends.
pub(crate) fn text(text: impl Display) {
    let mut out = std::io::stdout().lock();
    if write!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(i32::from(crate::FAILED));
    }
}

/// The same, with the end of a line.
pub(crate) fn line(line: impl Display) {
    text(format_args!("{line}\n"));
}

/// A document on one line.
pub(crate) fn json(document: &impl serde::Serialize) {
    match serde_json::to_string(document) {
        Ok(text) => line(text),
        // Documents have text for keys and finite numbers alone.
        Err(error) => eprintln!("lightmeter: the document can't be written: {error}"),
    }
}
