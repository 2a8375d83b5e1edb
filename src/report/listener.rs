//! What is counted for each listener.

use crate::base::Counter;

/// Counts of one listener on one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListenerCounts {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections of it freed: on the shard that had them last, which need not be
    /// the one that accepted them.
    pub closed: Counter,
    /// Bytes of streams that came in by it.
    pub received_bytes: Counter,
    /// Bytes of streams that went out by it.
    pub sent_bytes: Counter,
}

impl ListenerCounts {
    /// Counts what another shard has counted, too.
    pub fn add(&mut self, other: &Self) {
        self.accepted.add(other.accepted.get());
        self.closed.add(other.closed.get());
        self.received_bytes.add(other.received_bytes.get());
        self.sent_bytes.add(other.sent_bytes.get());
    }

    /// Connections open now, where this is the sum of all shards.
    pub const fn open(&self) -> u64 {
        self.accepted.get().saturating_sub(self.closed.get())
    }
}
