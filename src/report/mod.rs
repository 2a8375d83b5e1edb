//! What a server says of itself: counters, and snapshots of its streams, as
//! text for people, JSON and Prometheus metrics.
//!
//! A shard fills a [`Snapshot`], which costs it as much as its streams are
//! many; making text of one is no affair of the loop.

mod counters;
mod dial;
mod listener;
mod live;
mod metrics;
mod page;
mod phase;
mod server;
mod stream;
mod subscribers;
mod trace;

pub use counters::Counters;
pub use dial::DialFailure;
pub use listener::ListenerCounts;
pub use live::Live;
pub use page::render;
pub use phase::Phase;
pub use server::{Server, Vitals};
pub use stream::{Delivered, Over, PublisherSnapshot, StreamSnapshot};
pub use subscribers::{Counts, SubscriberSnapshot};
pub use trace::{TurnRecord, Turns, longest, trace};

use crate::base::Totals;

/// One shard, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Which.
    pub shard: usize,
    /// It did not answer in time: this is what it said the last time.
    pub is_stale: bool,
    /// What it has counted.
    pub counters: Counters,
    /// Its system calls: name, how many, and how many of them in vain.
    pub calls: Vec<(&'static str, u64, u64)>,
    /// What it has counted of each listener, in the order given.
    pub listeners: Vec<ListenerCounts>,
    /// How long its turns took.
    pub turn_times: Totals,
    /// The live streams that it serves, or the one that was asked about, by name.
    pub streams: Vec<StreamSnapshot>,
    /// Subscribers of those streams if they were asked about, those that are
    /// behind first; at most `SUBSCRIBERS_TOLD`.
    pub subscribers: Vec<SubscriberSnapshot>,
}
