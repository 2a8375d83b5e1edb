//! The thread that makes the server's own pages: it asks every shard for a
//! snapshot, makes text of them, and sends that to the shard whose connection
//! waits for it. Of a shard that stands still is told what it said the last time:
//! without it, sums would fall, and that would look like a restart. It tells open
//! pages what is new, too.

use super::viewers::{self, Viewers};
use super::vitals;
use crate::limits::{PAGE_ORDERS, PAGE_TIME};
use crate::protocol::Name;
use crate::protocol::http::Page;
use crate::reactor::control::Control;
use crate::reactor::office::{Errand, Office, Order};
use crate::reactor::peers::Peers;
use crate::reactor::site::Site;
use crate::report::{self, Server, Snapshot, Turns};
use crate::sys::clock::{Clock, Stamp};
use crate::sys::process::trim_heap;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::{env, io, process, thread};

/// Starts the thread; it ends when every shard has.
///
/// # Errors
/// No thread can be started.
pub(super) fn open(peers: Arc<Peers>, sites: &[Site]) -> io::Result<Office> {
    let (office, errands) = sync_channel(PAGE_ORDERS);
    let mut clerk = Clerk {
        peers,
        server: Server { listeners: sites.iter().map(Site::label).collect(), vitals: None },
        started: Clock::stamp(),
        memory: Memory::default(),
        viewers: Viewers::of(viewers::listeners(sites)),
    };
    let office_thread = thread::Builder::new().name("office".to_owned());
    office_thread.spawn(move || clerk.run(&errands))?;
    Ok(office)
}

/// Who does the errands, and what it keeps between them.
struct Clerk {
    peers: Arc<Peers>,
    server: Server,
    started: Stamp,
    memory: Memory,
    viewers: Viewers,
}

impl Clerk {
    fn run(&mut self, errands: &Receiver<Errand>) {
        loop {
            let first = match self.viewers.patience(Clock::now()) {
                None => errands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => errands.recv_timeout(patience),
            };
            match first {
                // One look at the shards serves all who wait for the same.
                Ok(first) => self.do_all(std::iter::once(first).chain(errands.try_iter())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.viewers.tell(&self.peers, &mut self.memory, Clock::now());
        }
    }

    fn do_all(&mut self, errands: impl Iterator<Item = Errand>) {
        let mut seen = Seen::default();
        self.server.vitals = None;
        // Not those that come meanwhile: they want a look of their own.
        for errand in errands.collect::<Vec<Errand>>() {
            match errand {
                Errand::Page(order) => self.answer(&order, &mut seen),
                Errand::View(viewer) => self.viewers.enter(viewer, &self.peers),
                Errand::Leave { shard, conn } => self.viewers.leave(shard, conn),
                Errand::Tidy => trim_heap(),
            }
        }
    }

    fn answer(&mut self, order: &Order, seen: &mut Seen) {
        seen.look(&self.peers, &order.page, &mut self.memory);
        if order.page == Page::Metrics {
            self.server.vitals.get_or_insert_with(|| vitals::look(self.started));
        }
        let shards = seen.shards(&order.page);
        let (text, keep_alive) = order.answer(shards, &seen.turns, &self.server);
        self.peers.send(order.shard, Control::Answer { conn: order.conn, text, keep_alive });
    }
}

/// What each shard said of itself the last time.
#[derive(Default)]
pub(super) struct Memory(BTreeMap<usize, Snapshot>);

impl Memory {
    /// What every shard says of all streams.
    pub(super) fn look(&mut self, peers: &Peers) -> Vec<Snapshot> {
        self.complete(peers, snapshots(peers, None, false))
    }

    /// Every shard, in order: those that have answered now, and of the others what
    /// they said the last time they did.
    fn complete(&mut self, peers: &Peers, answers: Vec<Snapshot>) -> Vec<Snapshot> {
        for shard in peers.ids() {
            let known = self.0.entry(shard).or_default();
            (known.shard, known.is_stale) = (shard, true);
        }
        self.0.extend(answers.into_iter().map(|answer| (answer.shard, answer)));
        self.0.values().cloned().collect()
    }
}

/// What the shards have said.
#[derive(Default)]
struct Seen {
    /// Of all streams.
    all: Vec<Snapshot>,
    /// The same, with their subscribers.
    who: Vec<Snapshot>,
    /// Of one, with its subscribers.
    one: Option<(Name, Vec<Snapshot>)>,
    turns: Vec<Turns>,
}

impl Seen {
    /// Asks for what a page needs, unless that is there.
    fn look(&mut self, peers: &Peers, page: &Page, memory: &mut Memory) {
        match page {
            Page::Turns if self.turns.is_empty() => self.turns = turns(peers),
            Page::Turns | Page::Healthz | Page::File { .. } => {}
            Page::Stream(name) if self.one.as_ref().is_none_or(|(of, _)| of != name) => {
                self.one = Some((name.clone(), snapshots(peers, Some(name), true)));
            }
            Page::Stream(_) => {}
            Page::Subscribers if self.who.is_empty() => self.who = snapshots(peers, None, true),
            Page::Subscribers => {}
            _ if self.all.is_empty() => {
                self.all = memory.look(peers);
            }
            Page::Streams | Page::Metrics | Page::Root => {}
        }
    }

    /// What a page is made of, once it has been looked for.
    fn shards(&self, page: &Page) -> &[Snapshot] {
        match (page, &self.one) {
            (Page::Stream(_), Some((_, shards))) => shards,
            (Page::Subscribers, _) => &self.who,
            _ => &self.all,
        }
    }
}

/// Writes the trace of every shard's last turns to a file in the folder for
/// such things; answers where.
///
/// # Errors
/// It can't be written.
pub(super) fn dump_turns(peers: &Peers) -> io::Result<PathBuf> {
    let name = format!("nearlight-turns-{}-{}.json", process::id(), Clock::now().as_nanos());
    let path = env::temp_dir().join(name);
    // Never over a file, or through a link, that somebody else has put there.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    file.write_all(report::trace(&turns(peers)).as_bytes())?;
    Ok(path)
}

/// What every shard says of itself, in time.
fn snapshots(peers: &Peers, of: Option<&Name>, tells_who: bool) -> Vec<Snapshot> {
    ask(peers, |reply| Control::Snapshot { reply, of: of.cloned(), tells_who })
}

/// What every shard's last turns did.
fn turns(peers: &Peers) -> Vec<Turns> {
    let mut turns = ask(peers, |reply| Control::Turns { reply });
    turns.sort_by_key(|turns| turns.shard);
    turns
}

/// Asks every shard; one that stands still is left out.
fn ask<T>(peers: &Peers, question: impl Fn(SyncSender<T>) -> Control) -> Vec<T> {
    let (reply, replies) = sync_channel(peers.ids().count());
    for shard in peers.ids() {
        peers.send(shard, question(reply.clone()));
    }
    drop(reply);
    let until = Clock::now() + PAGE_TIME;
    let mut answers = Vec::new();
    while let Ok(answer) = replies.recv_timeout(until.since(Clock::now())) {
        answers.push(answer);
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(shard: usize, sends: u64) -> Snapshot {
        let mut snapshot = Snapshot { shard, ..Snapshot::default() };
        snapshot.counters.sends.add(sends);
        snapshot
    }

    #[test]
    fn a_shard_that_stands_still_is_told_of_as_it_was() {
        let (peers, mut memory) = (Peers::sleepless(3), Memory::default());
        let brief = |told: Vec<Snapshot>| -> Vec<(usize, u64, bool)> {
            told.iter().map(|one| (one.shard, one.counters.sends.get(), one.is_stale)).collect()
        };
        let first = memory.complete(&peers, vec![said(1, 10), said(0, 20)]);
        assert_eq!(brief(first), [(0, 20, false), (1, 10, false), (2, 0, true)]);
        let second = memory.complete(&peers, vec![said(2, 5), said(0, 21)]);
        assert_eq!(brief(second), [(0, 21, false), (1, 10, true), (2, 5, false)]);
    }
}
