//! Which shard owns which stream. Shared by all shards behind one mutex,
//! which is touched when a publisher or subscriber starts or ends, never for
//! a frame.

use crate::limits;
use crate::protocol::Name;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A shard's number, from 0.
pub type ShardId = usize;

/// The answer to a publisher that wants a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The name is the claimer's, for this epoch; these shards have
    /// subscribers that wait for it.
    Granted {
        /// Number of this life of the stream; later ones are larger.
        epoch: u64,
        /// Shards to tell.
        waiters: Vec<ShardId>,
    },
    /// It has a live publisher.
    Busy,
    /// `limits::STREAMS` are live.
    Full,
}

/// The answer to a subscriber that wants a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It lives.
    Live {
        /// The shard of its publisher.
        owner: ShardId,
        /// Its epoch.
        epoch: u64,
    },
    /// It does not; the asking shard is told when it does.
    Awaited,
    /// `limits::WAITED_STREAMS` are waited for.
    Full,
}

#[derive(Debug, Default)]
struct Entry {
    live: Option<(ShardId, u64)>,
    waiters: Vec<ShardId>,
}

#[derive(Debug, Default)]
struct Entries {
    streams: BTreeMap<Name, Entry>,
    live: usize,
    epochs: u64,
}

/// Name → owner, epoch, waiters.
#[derive(Debug, Default)]
pub struct Directory(Mutex<Entries>);

impl Directory {
    /// A publisher on `shard` wants `name`.
    pub fn claim(&self, name: &Name, shard: ShardId) -> Claim {
        let mut entries = self.lock();
        if entries.live >= limits::STREAMS {
            return Claim::Full;
        }
        let epoch = entries.epochs + 1;
        let entry = entries.streams.entry(name.clone()).or_default();
        if entry.live.is_some() {
            return Claim::Busy;
        }
        entry.live = Some((shard, epoch));
        let waiters = std::mem::take(&mut entry.waiters);
        entries.epochs = epoch;
        entries.live += 1;
        Claim::Granted { epoch, waiters }
    }

    /// The publisher of `name` in `epoch` has ended.
    pub fn release(&self, name: &Name, epoch: u64) {
        let mut entries = self.lock();
        let Some(entry) = entries.streams.get_mut(name) else {
            return;
        };
        if entry.live.is_none_or(|(_, live)| live != epoch) {
            return;
        }
        entry.live = None;
        if entry.waiters.is_empty() {
            entries.streams.remove(name);
        }
        entries.live -= 1;
    }

    /// A subscriber on `shard` wants `name`.
    pub fn find(&self, name: &Name, shard: ShardId) -> Found {
        let mut entries = self.lock();
        let known = entries.streams.len();
        if let Some(entry) = entries.streams.get_mut(name) {
            if let Some((owner, epoch)) = entry.live {
                return Found::Live { owner, epoch };
            }
            if !entry.waiters.contains(&shard) {
                entry.waiters.push(shard);
            }
            return Found::Awaited;
        }
        if known >= limits::STREAMS + limits::WAITED_STREAMS {
            return Found::Full;
        }
        entries.streams.insert(name.clone(), Entry { live: None, waiters: vec![shard] });
        Found::Awaited
    }

    /// Nobody on `shard` waits for `name` any more.
    pub fn forget(&self, name: &Name, shard: ShardId) {
        let mut entries = self.lock();
        let Some(entry) = entries.streams.get_mut(name) else {
            return;
        };
        entry.waiters.retain(|waiter| *waiter != shard);
        if entry.live.is_none() && entry.waiters.is_empty() {
            entries.streams.remove(name);
        }
    }

    /// A shard that panicked left consistent entries: each change above is
    /// complete before anything can fail.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a good name")
    }

    #[test]
    fn one_publisher_at_a_time_and_epochs_grow() {
        let directory = Directory::default();
        let cam = name("live/cam");
        assert_eq!(directory.claim(&cam, 0), Claim::Granted { epoch: 1, waiters: vec![] });
        assert_eq!(directory.claim(&cam, 1), Claim::Busy);
        directory.release(&cam, 7);
        assert_eq!(directory.claim(&cam, 1), Claim::Busy, "a stale release changes nothing");
        directory.release(&cam, 1);
        assert_eq!(directory.claim(&cam, 1), Claim::Granted { epoch: 2, waiters: vec![] });
    }

    #[test]
    fn waiters_are_told_once_and_forgotten() {
        let directory = Directory::default();
        let cam = name("cam");
        assert_eq!(directory.find(&cam, 0), Found::Awaited);
        assert_eq!(directory.find(&cam, 0), Found::Awaited);
        assert_eq!(directory.claim(&cam, 1), Claim::Granted { epoch: 1, waiters: vec![0] });
        assert_eq!(directory.find(&cam, 0), Found::Live { owner: 1, epoch: 1 });
        directory.release(&cam, 1);
        assert_eq!(directory.find(&cam, 0), Found::Awaited);
        directory.forget(&cam, 0);
        assert!(directory.lock().streams.is_empty(), "nothing is left behind");
    }
}
