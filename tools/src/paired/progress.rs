//! How far a comparison is, on stderr: one line that is redrawn, at most four
//! times a second, where people look; else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use nearlight::base::Instant;

/// A status line is redrawn at most this often,
const REDRAW: Duration = Duration::from_millis(250);
/// and where it can't be redrawn, another one is written this often.
const LINE: Duration = Duration::from_secs(10);
/// What is over sooner needs no status.
const PATIENCE: Duration = Duration::from_secs(2);

/// The status of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    is_quiet: bool,
    is_terminal: bool,
    start: Instant,
    next: Instant,
    total: usize,
    is_drawn: bool,
}

impl Progress {
    /// Of `total` rounds that start now.
    pub(crate) fn new(total: usize, is_quiet: bool, now: Instant) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let next = now + if is_terminal { PATIENCE } else { LINE };
        Self { is_quiet, is_terminal, start: now, next, total, is_drawn: false }
    }

    /// Says that `done` rounds are, if it is time to; `more` is what is known
    /// so far.
    pub(crate) fn show(&mut self, now: Instant, done: usize, more: &str) {
        if self.is_quiet || now < self.next {
            return;
        }
        self.next = now + if self.is_terminal { REDRAW } else { LINE };
        let line = status(done, self.total, now.since(self.start), more);
        self.is_drawn = self.is_terminal;
        let text = if self.is_terminal {
            // Cut rather than wrapped at the right edge, then wiped to its end.
            format!("\r\x1b[?7l{line}\x1b[K\x1b[?7h")
        } else {
            format!("{line}\n")
        };
        // Where nobody reads it, it need not be said.
        let _unread = std::io::stderr().write_all(text.as_bytes());
    }

    /// Wipes the status line.
    pub(crate) fn end(&self) {
        if self.is_drawn {
            let _unread = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

fn status(done: usize, total: usize, spent: Duration, more: &str) -> String {
    let mut line = format!("round {done} of {total}");
    if let Some(each) = spent.checked_div(u32::try_from(done).unwrap_or(u32::MAX)) {
        let left = each * u32::try_from(total - done.min(total)).unwrap_or(u32::MAX);
        line.push_str(&format!(", {} left", span(left)));
    }
    if !more.is_empty() {
        line.push_str(&format!(", {more}"));
    }
    line
}

/// Whole seconds, and minutes where there are any.
pub(crate) fn span(time: Duration) -> String {
    let seconds = (time.as_millis().div_ceil(1000)) as u64;
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_rounds_left() {
        let ten = Duration::from_secs(10);
        assert_eq!(status(0, 60, ten, ""), "round 0 of 60");
        assert_eq!(status(20, 60, ten, "B to A 1.05"), "round 20 of 60, 20 s left, B to A 1.05");
        assert_eq!(status(60, 60, ten, ""), "round 60 of 60, 0 s left");
        assert_eq!(span(Duration::from_millis(60_001)), "1 min 1 s");
        assert_eq!(span(Duration::from_secs(120)), "2 min");
    }
}
