//! A count of events of one shard.

/// Counts up, by one thread; saturates instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter(u64);

impl Counter {
    /// One more.
    pub fn bump(&mut self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&mut self, n: u64) {
        self.0 = self.0.saturating_add(n);
    }

    /// How many so far.
    pub const fn get(self) -> u64 {
        self.0
    }
}
