//! Which shard owns which stream. Shared by all shards behind one mutex,
//! which is touched when a publisher or subscriber starts or ends, never for
//! a frame.

use crate::limits;
use crate::protocol::Name;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// A shard's number, from 0.
pub type ShardId = usize;

/// A shard that waits for a name, and the slot of its doorbell that the stream
/// will have there.
pub type Waiter = (ShardId, usize);

/// The answer to a publisher that wants a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The name is the claimer's, for this epoch; these shards have
    /// subscribers that wait for it.
    Granted {
        /// Number of this life of the stream; later ones are larger.
        epoch: u64,
        /// Shards to tell.
        waiters: Vec<Waiter>,
    },
    /// It has a live publisher.
    Busy,
    /// It has one whose requests the claimer may continue, on this shard.
    Resting {
        /// Where the claimer is to go.
        owner: ShardId,
    },
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
    /// It does not. If the asking shard wants to wait, it is told when it does.
    Absent,
    /// `limits::WAITED_STREAMS` and as many as listeners have are waited for.
    Full,
}

#[derive(Debug, Default)]
struct Entry {
    live: Option<(ShardId, u64)>,
    /// Whose next request continues it.
    resting: Option<IpAddr>,
    waiters: Vec<Waiter>,
}

#[derive(Debug, Default)]
struct Entries {
    streams: BTreeMap<Name, Entry>,
    live: usize,
    epochs: u64,
    /// Threads that want to know of a name each.
    watchers: Vec<(Name, Thread)>,
}

/// Name → owner, epoch, waiters.
#[derive(Debug, Default)]
pub struct Directory(Mutex<Entries>);

impl Directory {
    /// A publisher on `shard`, at the address `peer`, wants `name`.
    pub fn claim(&self, name: &Name, shard: ShardId, peer: IpAddr) -> Claim {
        let mut entries = self.lock();
        let is_full = entries.live >= limits::STREAMS;
        let epoch = entries.epochs + 1;
        match entries.streams.get(name).map(|entry| (entry.live, entry.resting)) {
            Some((Some((owner, _)), Some(from))) if from == peer && owner != shard => {
                return Claim::Resting { owner };
            }
            Some((Some(_), _)) => return Claim::Busy,
            Some((None, _)) | None if is_full => return Claim::Full,
            Some((None, _)) | None => {}
        }
        let entry = entries.streams.entry(name.clone()).or_default();
        entry.live = Some((shard, epoch));
        entry.resting = None;
        let waiters = std::mem::take(&mut entry.waiters);
        entries.epochs = epoch;
        entries.live += 1;
        entries.watchers.iter().filter(|(of, _)| of == name).for_each(|(_, one)| one.unpark());
        Claim::Granted { epoch, waiters }
    }

    /// Has the calling thread unparked each time that `name` begins to live.
    pub fn watch(&self, name: &Name) {
        self.lock().watchers.push((name.clone(), thread::current()));
    }

    /// The publisher of `name` in `epoch` rests: its next request may come to
    /// any shard, from this address. `None`: it has come.
    pub fn rest(&self, name: &Name, epoch: u64, peer: Option<IpAddr>) {
        let mut entries = self.lock();
        if let Some(entry) = entries.streams.get_mut(name)
            && entry.live.is_some_and(|(_, live)| live == epoch)
        {
            entry.resting = peer;
        }
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

    /// Who was granted `name` in `epoch` went before it knew: nobody has been
    /// told of it.
    pub fn give_back(&self, name: &Name, epoch: u64, waiters: Vec<Waiter>) {
        let mut entries = self.lock();
        if let Some(entry) = entries.streams.get_mut(name) {
            entry.waiters.extend(waiters);
        }
        drop(entries);
        self.release(name, epoch);
    }

    /// A subscriber on `shard` wants `name`; if need be it waits, with this
    /// slot.
    pub fn find(&self, name: &Name, shard: ShardId, slot: Option<usize>) -> Found {
        let mut entries = self.lock();
        let known = entries.streams.len();
        if let Some(entry) = entries.streams.get_mut(name) {
            if let Some((owner, epoch)) = entry.live {
                return Found::Live { owner, epoch };
            }
            entry.waiters.extend(slot.map(|slot| (shard, slot)));
            return Found::Absent;
        }
        let Some(slot) = slot else { return Found::Absent };
        if known >= limits::STREAMS + limits::WAITED_STREAMS + limits::LINKS {
            return Found::Full;
        }
        let entry = Entry { waiters: vec![(shard, slot)], ..Entry::default() };
        entries.streams.insert(name.clone(), entry);
        Found::Absent
    }

    /// Nobody on `shard` waits for `name` any more. False if it did not wait: who
    /// has claimed the name knows of it.
    pub fn forget(&self, name: &Name, shard: ShardId) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.streams.get_mut(name) else {
            return false;
        };
        let before = entry.waiters.len();
        entry.waiters.retain(|(waiter, _)| *waiter != shard);
        let is_forgotten = entry.waiters.len() < before;
        if entry.live.is_none() && entry.waiters.is_empty() {
            entries.streams.remove(name);
        }
        is_forgotten
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
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a good name")
    }

    #[test]
    fn one_publisher_at_a_time_and_epochs_grow() {
        let directory = Directory::default();
        let cam = name("live/cam");
        assert_eq!(directory.claim(&cam, 0, PEER), Claim::Granted { epoch: 1, waiters: vec![] });
        assert_eq!(directory.claim(&cam, 1, PEER), Claim::Busy);
        directory.release(&cam, 7);
        assert_eq!(directory.claim(&cam, 1, PEER), Claim::Busy, "a stale release changes nothing");
        directory.release(&cam, 1);
        assert_eq!(directory.claim(&cam, 1, PEER), Claim::Granted { epoch: 2, waiters: vec![] });
    }

    #[test]
    fn waiters_are_told_once_and_forgotten() {
        let directory = Directory::default();
        let cam = name("cam");
        let find = |slot| directory.find(&cam, 0, slot);
        let granted = |epoch, waiters| Claim::Granted { epoch, waiters };
        assert_eq!(find(Some(7)), Found::Absent);
        assert_eq!(find(None), Found::Absent);
        assert_eq!(directory.claim(&cam, 1, PEER), granted(1, vec![(0, 7)]));
        assert_eq!(find(Some(8)), Found::Live { owner: 1, epoch: 1 });
        directory.release(&cam, 1);
        assert_eq!(find(Some(8)), Found::Absent);
        directory.forget(&cam, 0);
        assert_eq!(find(None), Found::Absent);
        assert!(directory.lock().streams.is_empty(), "nothing is left behind");
    }

    #[test]
    fn what_is_given_back_is_waited_for_as_before() {
        let directory = Directory::default();
        let cam = name("cam");
        directory.find(&cam, 0, Some(7));
        let Claim::Granted { epoch, waiters } = directory.claim(&cam, 1, PEER) else {
            panic!("nobody else wants it")
        };
        directory.give_back(&cam, epoch, waiters);
        let granted = Claim::Granted { epoch: 2, waiters: vec![(0, 7)] };
        assert_eq!(directory.claim(&cam, 1, PEER), granted);
    }

    #[test]
    fn a_stream_that_rests_is_continued_where_it_is_by_its_own_publisher() {
        let directory = Directory::default();
        let cam = name("cam");
        let claim = |shard, peer| directory.claim(&cam, shard, peer);
        assert!(matches!(claim(1, PEER), Claim::Granted { epoch: 1, .. }));
        directory.rest(&cam, 1, Some(PEER));
        assert_eq!(claim(0, PEER), Claim::Resting { owner: 1 });
        assert_eq!(claim(0, OTHER), Claim::Busy);
        assert_eq!(claim(1, PEER), Claim::Busy, "that shard knows it");
        directory.rest(&cam, 1, None);
        assert_eq!(claim(0, PEER), Claim::Busy);
        directory.rest(&cam, 1, Some(PEER));
        directory.release(&cam, 1);
        assert!(matches!(claim(0, OTHER), Claim::Granted { epoch: 2, .. }));
        assert_eq!(claim(1, PEER), Claim::Busy, "the rest was of the life before");
    }
}
