//! What a server says of itself: counters, and snapshots of its streams, as
//! text for people, JSON and Prometheus metrics.
//!
//! A shard fills a [`Snapshot`], which costs it as much as its streams are
//! many; making text of one is no affair of the loop.

mod counters;
mod page;
mod phase;
mod subscribers;
mod trace;

pub use counters::Counters;
pub use page::render;
pub use phase::Phase;
pub use subscribers::{Counts, SubscriberSnapshot};
pub use trace::{TurnRecord, Turns, longest, trace};

use crate::base::{Histogram, Position};
use crate::framing::Kind;
use crate::protocol::Name;
use std::time::Duration;

/// One shard, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What it has counted.
    pub counters: Counters,
    /// Its system calls: name, how many, and how many of them in vain.
    pub calls: Vec<(&'static str, u64, u64)>,
    /// The live streams that it serves, or the one that was asked about, by name.
    pub streams: Vec<StreamSnapshot>,
    /// Subscribers of the one stream that was asked about, those that are
    /// behind first; at most `SUBSCRIBERS_TOLD`.
    pub subscribers: Vec<SubscriberSnapshot>,
}

/// One live stream, at one moment.
#[derive(Clone, Debug)]
pub struct StreamSnapshot {
    /// Its name.
    pub name: Name,
    /// Number of this life of it.
    pub epoch: u64,
    /// Its publisher is on this shard.
    pub is_here: bool,
    /// How its frames are found.
    pub kind: Kind,
    /// Subscribers on connections.
    pub subscribers: usize,
    /// Those of them that wait for a join point.
    pub waiting: usize,
    /// Those of them that are not at its head.
    pub behind: usize,
    /// End of its newest frame.
    pub position: Position,
    /// Bytes kept.
    pub window_bytes: u64,
    /// Bytes received from its publisher.
    pub received_bytes: u64,
    /// Bytes moved or copied in user space.
    pub moved_bytes: u64,
    /// How long ago its newest frame arrived.
    pub newest_frame_age: Option<Duration>,
    /// Packets that did not follow the one before on their PID.
    pub continuity_errors: u64,
    /// Bytes that were no part of the stream.
    pub skipped_bytes: u64,
    /// How long frames stayed, for every subscriber.
    pub residence: Histogram,
    /// That counts from the kernel's receipt, not from the server's.
    pub is_stamped: bool,
}

impl StreamSnapshot {
    /// Takes in what another shard says of the same stream, or of another life
    /// of it: the later one counts.
    fn merge(&mut self, other: &Self) {
        if other.epoch != self.epoch {
            if other.epoch > self.epoch {
                self.clone_from(other);
            }
            return;
        }
        let mut more = other.clone();
        if other.is_here {
            std::mem::swap(self, &mut more);
        }
        self.subscribers += more.subscribers;
        self.waiting += more.waiting;
        self.behind += more.behind;
        self.residence.add(&more.residence);
    }
}
