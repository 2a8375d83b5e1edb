//! How the sender waits for the next probe's time, and for replies.

use crate::limits::PING_MARGIN;
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;
use std::fmt;
use std::time::Duration;

/// How a pinger waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Asleep: a probe is as late, and a reply seen as late, as the kernel
    /// wakes a thread. As most programs wait.
    #[default]
    Sleep,
    /// Asleep until shortly before a probe is due, then looking at the clock:
    /// sends are on time, replies wake the thread.
    Hybrid,
    /// Never asleep: looks for replies and at the clock in turn. A core's worth
    /// of work.
    Spin,
}

impl Pace {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Hybrid => "hybrid",
            Self::Spin => "spin",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sleep, Self::Hybrid, Self::Spin].into_iter().find(|pace| pace.name() == name)
    }

    /// How long before the next probe is due sleep must end; found out by
    /// sleeping, for it depends on the machine.
    pub(super) fn margin(self) -> Duration {
        match self {
            Self::Sleep => Duration::ZERO,
            Self::Hybrid => oversleep().clamp(Duration::from_micros(20), PING_MARGIN),
            Self::Spin => Duration::MAX,
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// By how much sleep has lasted too long, at most, in a few tries.
fn oversleep() -> Duration {
    const TRIES: u32 = 50;
    const SLEEP: Duration = Duration::from_micros(200);
    let mut poll = Poll::default();
    let mut most = Duration::ZERO;
    for _ in 0..TRIES {
        let start = Clock::now();
        // A wait that fails has not slept: it tells nothing, and harms nothing.
        if poll.wait(SLEEP).is_ok() {
            most = most.max(Clock::now().since(start).saturating_sub(SLEEP));
        }
    }
    most
}
