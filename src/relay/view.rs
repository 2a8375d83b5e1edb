//! One stream as one shard reads it: its window, what its framing means for
//! subscribers, and how much is kept.

use super::settings::Settings;
use super::subscriber::Cut;
use crate::base::{Instant, Position};
use crate::framing::Framing;
use crate::limits::LAG_TICK;
use crate::protocol::Name;
use crate::ring::{Pool, SegRef, Window};
use std::fmt;
use std::time::Duration;

/// A stream's reading side on one shard. A clone of it is another shard's.
#[derive(Clone)]
pub struct View {
    /// Its name.
    pub name: Name,
    /// Its life's number.
    pub epoch: u64,
    /// Its publisher's listener's keys.
    pub settings: Settings,
    /// What its framing means for subscribers.
    pub(super) cut: Cut,
    pub(super) window: Window,
    /// Every subscriber may be this far behind.
    keep: Duration,
    /// Segments that the byte cap dropped before their time.
    pub capped_segments: u64,
}

impl View {
    /// A stream without a byte. `lag` is the largest max-lag that any
    /// subscriber may have.
    pub(super) fn new(
        name: Name,
        epoch: u64,
        settings: Settings,
        framing: &Framing,
        lag: Duration,
    ) -> Self {
        // The lag check comes once a tick: two ticks keep what it still needs.
        let keep = settings.window.unwrap_or_default().max(lag + 2 * LAG_TICK);
        let (window, cut) = (Window::default(), Cut::of(framing));
        Self { name, epoch, settings, cut, window, keep, capped_segments: 0 }
    }

    /// What subscribers read.
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// What its framing means for subscribers.
    pub const fn cut(&self) -> Cut {
        self.cut
    }

    /// Whether [`Self::trim`] would drop something; `None` if not, else where
    /// the window will begin.
    pub fn outdated(&self, now: Instant) -> Option<Position> {
        // A frame that is still arriving stays whole.
        let second = self.window.second_base().filter(|at| *at <= self.window.head())?;
        if self.is_full() {
            return Some(second);
        }
        if self.window.newest_join().is_some_and(|join| second > join.position) {
            return None;
        }
        let arrival = self.window.oldest_arrival()?;
        (now.since(arrival) > self.keep).then_some(second)
    }

    /// Drops the oldest segment.
    pub fn trim(&mut self) -> Option<SegRef> {
        self.capped_segments += u64::from(self.is_full());
        self.window.pop()
    }

    /// The stream is over and nobody reads it: its memory goes back.
    pub fn dissolve(mut self, pool: &mut Pool) {
        for segment in self.window.drain() {
            pool.give_back(segment);
        }
    }

    fn is_full(&self) -> bool {
        self.window.footprint() > self.settings.window_bytes
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} epoch {}, {} bytes kept)", self.name, self.epoch, self.window.len())
    }
}
