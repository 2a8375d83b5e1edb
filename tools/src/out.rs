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
