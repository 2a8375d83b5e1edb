//! One status line on a terminal, redrawn in place at most four times a
//! second. On standard error, so that what is piped on stays plain.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use nearlight::base::Instant;
use nearlight::base::units::format_duration;

/// It is redrawn at most this often.
const REDRAW: Duration = Duration::from_millis(250);

/// The line.
pub(crate) struct Live {
    shown: bool,
    drawn: bool,
    next: Instant,
}

impl Live {
    /// A line that is shown if `wanted`, and if there is a terminal for it.
    pub(crate) fn new(wanted: bool) -> Self {
        let terminal = std::env::var("TERM").is_ok_and(|term| term != "dumb");
        let shown = wanted && terminal && std::io::stderr().is_terminal();
        Self { shown, drawn: false, next: Instant::ZERO }
    }

    /// Redraws it if it is time to.
    pub(crate) fn draw<T: Display>(&mut self, now: Instant, text: impl FnOnce() -> T) {
        if self.shown && now >= self.next {
            self.next = now + REDRAW;
            self.drawn = true;
            // Cut rather than wrapped at the right edge, then wiped to its end.
            write(format_args!("\r\x1b[?7l{}\x1b[K\x1b[?7h", text()));
        }
    }

    /// Wipes it, for what is printed next.
    pub(crate) fn wipe(&mut self) {
        if std::mem::take(&mut self.drawn) {
            write("\r\x1b[K");
        }
    }
}

/// A status line that can't be written is no loss.
fn write(text: impl Display) {
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "{text}").and_then(|()| error.flush());
}

/// `3 of 12 s`, or `3 s` of something without end.
pub(crate) fn progress(passed: Duration, whole: Option<Duration>) -> String {
    let seconds = passed.as_secs();
    match whole {
        Some(whole) if whole > passed => {
            let left = Duration::from_secs((whole - passed).as_secs().saturating_add(1));
            format!("{seconds} of {} s, {} left", whole.as_secs(), format_duration(left))
        }
        Some(whole) => format!("{seconds} of {} s, waiting for the last", whole.as_secs()),
        None => format!("{seconds} s, Ctrl-C ends it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told() {
        let s = Duration::from_secs;
        assert_eq!(progress(s(3), Some(s(12))), "3 of 12 s, 10s left");
        assert_eq!(progress(s(13), Some(s(12))), "13 of 12 s, waiting for the last");
        assert_eq!(progress(s(3), None), "3 s, Ctrl-C ends it");
    }
}
