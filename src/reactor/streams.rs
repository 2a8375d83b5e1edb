//! The streams of a shard, and who gets each.

use super::conn::Subscribed;
use super::control::Control;
use super::derive::Derived;
use super::links::Links;
use super::peers::Peers;
use super::roster::Roster;
use super::slab::{Key, Slab};
use super::turn::{Alarm, Turn};
use crate::base::{Instant, Position, Totals};
use crate::framing::Transport;
use crate::limits::{POOL_REST, PUT_GAP, TIDY_STREAMS};
use crate::protocol::Name;
use crate::relay::stream::IngestError;
use crate::relay::{Directory, Inlet, Settings, ShardId, Stream, View, Waiter};
use crate::report::Over;
use crate::ring::Pool;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A stream, and its subscribers on this shard.
pub struct Fanout {
    /// What subscribers read.
    pub view: View,
    /// Where it comes from.
    pub origin: Origin,
    /// Who began it, by what and when; only its own shard knows.
    pub publisher: Option<(SocketAddr, Over, Instant)>,
    /// Its subscribers on connections.
    pub roster: Roster,
    /// How long its frames stayed, for every subscriber.
    pub residence: Totals,
    /// UDP sockets that send it.
    pub udp: Vec<usize>,
    /// Its publisher's request is complete: who may continue it, until when.
    pub resting: Option<(IpAddr, Instant)>,
    /// The alarm that will next look at `resting`.
    pub rest_alarm: Option<Instant>,
    /// When its publisher went; it ends when its subscribers have the rest.
    pub ended: Option<Instant>,
    /// Its UDP sockets have not sent what is new.
    pub is_udp_due: bool,
    /// On the list of streams with something new.
    pub is_dirty: bool,
    /// The newest join point that waiting subscribers have been told of.
    pub joined: Option<Position>,
    /// The alarm that its framing is armed for.
    pub alarm: Option<Instant>,
    /// The alarm at which what gathers is sent; `NEVER`: nothing does.
    pub flush: Instant,
    /// What it is has been found out, and those told who waited for that.
    pub is_known: bool,
    /// Somebody waits for that: it stays until they have been told, ended or not.
    pub is_awaited: bool,
    /// What it becomes in another container, while somebody wants that.
    pub derived: Option<Box<Derived>>,
    /// The stream that it is made of, if it is such a one.
    pub source: Option<Key>,
}

/// Where a stream comes from.
pub enum Origin {
    /// Its publisher is served by this shard.
    Here(Box<Stream>),
    /// Another shard's, in this slot of the doorbell. No inlet: this shard was
    /// lapped, and has asked for another.
    There {
        /// The slot.
        slot: usize,
        /// The link.
        inlet: Option<Inlet>,
    },
    /// It was another shard's, and has ended.
    Nowhere,
}

impl Fanout {
    /// A stream that nobody gets yet.
    pub(super) fn new(view: View, origin: Origin) -> Self {
        Self {
            view,
            origin,
            publisher: None,
            roster: Roster::default(),
            residence: Totals::default(),
            udp: Vec::new(),
            resting: None,
            rest_alarm: None,
            ended: None,
            is_udp_due: false,
            is_dirty: false,
            joined: None,
            alarm: None,
            flush: Instant::NEVER,
            is_known: false,
            is_awaited: false,
            derived: None,
            source: None,
        }
    }

    /// The writing side, if it is here.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.origin {
            Origin::Here(stream) => Some(stream),
            Origin::There { .. } | Origin::Nowhere => None,
        }
    }

    /// Rests until then; one alarm serves a row of requests.
    fn rest_until(&mut self, peer: IpAddr, until: Instant, key: Key, turn: &mut Turn) {
        self.resting = Some((peer, until));
        if self.rest_alarm.is_none_or(|alarm| alarm > until) {
            self.rest_alarm = Some(until);
            turn.timers.arm(until, Alarm::Rest(key));
        }
    }
}

/// A stream's writing side, what subscribers read of it, and memory for both.
pub struct Ingest<'a> {
    /// The writing side.
    pub stream: &'a mut Stream,
    /// The reading side.
    pub view: &'a mut View,
    /// Memory.
    pub pool: &'a mut Pool,
}

impl Ingest<'_> {
    /// Memory to receive a byte stream into.
    pub fn space(&mut self) -> &mut [u8] {
        self.stream.space(self.view, self.pool)
    }

    /// Memory to receive a batch of datagrams into.
    pub fn datagram_space(&mut self) -> &mut [u8] {
        self.stream.datagram_space(self.view, self.pool)
    }

    /// `len` bytes of payload have arrived in [`Self::space`].
    ///
    /// # Errors
    /// The framing can't take them.
    pub fn received(&mut self, len: usize, now: Instant) -> Result<(), IngestError> {
        self.stream.received(len, now, self.view, self.pool)
    }

    /// `len` bytes have arrived in [`Self::datagram_space`], in datagrams of
    /// `stride` bytes each.
    pub fn received_datagrams(&mut self, len: usize, stride: usize, now: Instant) {
        self.stream.received_datagrams(len, stride, now, self.view, self.pool);
    }

    /// Copies bytes that arrived elsewhere behind the `filled` that are in
    /// [`Self::space`] already; what finds no room there is received first.
    ///
    /// # Errors
    /// The framing can't take them.
    pub fn append(
        &mut self,
        filled: &mut usize,
        mut bytes: &[u8],
        now: Instant,
    ) -> Result<(), IngestError> {
        while !bytes.is_empty() {
            let len = self.stream.copy_behind(*filled, bytes, self.view, self.pool);
            *filled += len;
            bytes = &bytes[len..];
            if !bytes.is_empty() {
                self.received(std::mem::take(filled), now)?;
            }
        }
        Ok(())
    }

    /// Copies bytes that arrived elsewhere into [`Self::space`]; answers how
    /// many fit.
    pub fn copy_in(&mut self, bytes: &[u8]) -> usize {
        self.stream.copy_in(bytes, self.view, self.pool)
    }
}

/// Every stream of a shard.
pub struct Streams {
    /// Streams, live and ending.
    pub fanouts: Slab<Fanout>,
    /// The live ones by name.
    pub names: BTreeMap<Name, Key>,
    /// Connections that wait for a name to be published.
    pub awaited: BTreeMap<Name, Vec<Key>>,
    /// UDP sockets that send a name to those who ask.
    pub wired: BTreeMap<Name, Vec<usize>>,
    /// UDP sockets that push a name, from the shard that it lives on.
    pub pushed: BTreeMap<Name, Vec<usize>>,
    /// Names that listeners send: their subscribers may always wait for them.
    pub listed: BTreeSet<Name>,
    /// How many UDP sockets have subscribers for a name.
    pub(super) crowds: BTreeMap<Name, usize>,
    /// Streams of other shards.
    pub(super) links: Links,
    /// All shards.
    pub peers: Arc<Peers>,
    /// Segments.
    pub pool: Pool,
    /// Who owns which name.
    pub directory: Arc<Directory>,
    /// This shard's number.
    pub shard: ShardId,
    /// The largest max-lag that a subscriber may have.
    pub largest_lag: Duration,
    /// The lag of those behind is looked at, an alarm is armed.
    pub is_watching: bool,
    /// The pool has more than it needs, an alarm is armed.
    is_resting: bool,
    /// Streams that have ended since the heap was last tidied.
    gone: usize,
    /// The server is going down: nothing new starts.
    pub is_draining: bool,
}

impl Streams {
    /// A shard without a stream.
    pub fn new(
        directory: Arc<Directory>,
        peers: Arc<Peers>,
        shard: ShardId,
        largest_lag: Duration,
    ) -> Self {
        Self {
            fanouts: Slab::default(),
            names: BTreeMap::new(),
            awaited: BTreeMap::new(),
            wired: BTreeMap::new(),
            pushed: BTreeMap::new(),
            listed: BTreeSet::new(),
            crowds: BTreeMap::new(),
            links: Links::default(),
            peers,
            pool: Pool::default(),
            directory,
            shard,
            largest_lag,
            is_watching: false,
            is_resting: false,
            gone: 0,
            is_draining: false,
        }
    }

    /// The one shard of a server.
    pub fn alone(largest_lag: Duration) -> Self {
        Self::new(Arc::new(Directory::default()), Peers::sleepless(1), 0, largest_lag)
    }

    /// The UDP sockets that send a name; pushes go from its own shard.
    pub(super) fn sockets_of(&self, name: &Name, is_here: bool) -> Vec<usize> {
        let pushed = self.pushed.get(name).filter(|_| is_here);
        self.wired.get(name).into_iter().chain(pushed).flatten().copied().collect()
    }

    pub(super) fn insert(&mut self, view: View, origin: Origin) -> Key {
        let name = view.name.clone();
        let udp = self.sockets_of(&name, matches!(origin, Origin::Here(_)));
        let key = self.fanouts.insert(Fanout { udp, ..Fanout::new(view, origin) });
        self.names.insert(name, key);
        key
    }

    /// Opens a stream whose name was granted.
    pub fn open(
        &mut self,
        name: &Name,
        epoch: u64,
        settings: &Settings,
        transport: Transport,
    ) -> Key {
        let lag = self.largest_lag.max(settings.max_lag);
        let (name, settings) = (name.clone(), settings.clone());
        let (stream, view) = Stream::new(name, epoch, settings, transport, lag, &mut self.pool);
        self.insert(view, Origin::Here(Box::new(stream)))
    }

    /// Notes who publishes a stream.
    pub fn credit(&mut self, key: Key, peer: SocketAddr, over: Over, now: Instant) {
        if let Some(fan) = self.fanouts.get_mut(key) {
            fan.publisher = Some((peer, over, now));
        }
    }

    /// Tells the shards that wait for a stream.
    pub fn announce(&mut self, name: &Name, stream: Key, waiters: &[Waiter], turn: &mut Turn) {
        self.offer_to(name, waiters);
        if self.awaited.contains_key(name) {
            turn.ready.control.push_back(Control::Announced { name: name.clone(), stream });
        }
    }

    /// All that a publisher's bytes touch.
    pub fn ingest(&mut self, key: Key) -> Option<Ingest<'_>> {
        let fan = self.fanouts.get_mut(key)?;
        let Origin::Here(stream) = &mut fan.origin else { return None };
        Some(Ingest { stream, view: &mut fan.view, pool: &mut self.pool })
    }

    /// A pass over a stream's subscribers is due.
    fn renew(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else {
            return;
        };
        fan.roster.renew();
        fan.is_udp_due = !fan.udp.is_empty();
        if !fan.is_dirty {
            fan.is_dirty = true;
            turn.ready.dirty.push_back(key);
        }
    }

    /// What gathers of a stream is sent then, or sooner; `NEVER`: nothing does.
    pub fn flush_at(&mut self, key: Key, at: Instant, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else { return };
        if fan.flush > at {
            fan.flush = at;
            turn.timers.arm(at, Alarm::Flush(key));
        }
    }

    /// That time has come.
    pub fn flush(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else { return };
        if fan.flush <= turn.now {
            fan.flush = Instant::NEVER;
            self.renew(key, turn);
        }
    }

    /// Something has been committed, or the stream has ended: everybody is to
    /// be served.
    pub fn mark_dirty(&mut self, key: Key, turn: &mut Turn) {
        self.renew(key, turn);
        let Some(fan) = self.fanouts.get_mut(key) else {
            return;
        };
        let Origin::Here(stream) = &mut fan.origin else { return };
        stream.branches.ring(|shard, slot| self.peers.ring(shard, slot));
        if let Some(at) = stream.poll_timeout()
            && fan.alarm.is_none()
        {
            fan.alarm = Some(at);
            turn.timers.arm(at, Alarm::Stream(key));
        }
        if fan.derived.is_some() {
            self.feed(key, turn);
        }
    }

    /// The publisher's request is complete: a next one, on this connection or
    /// another, may continue the stream.
    pub fn pause(&mut self, key: Key, peer: IpAddr, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else { return };
        let until = turn.now + fan.view.settings.timeout;
        fan.rest_until(peer, until, key, turn);
        self.directory.rest(&fan.view.name, fan.view.epoch, Some(peer));
    }

    /// A next request continues a stream that rests; answers whether it did.
    pub fn wake(&mut self, key: Key) -> bool {
        let Some(fan) = self.fanouts.get_mut(key) else { return false };
        if fan.ended.is_some() || fan.resting.take().is_none() {
            return false;
        }
        self.directory.rest(&fan.view.name, fan.view.epoch, None);
        true
    }

    /// The connection of a paused stream is gone: a next request must come soon.
    pub fn rest(&mut self, key: Key, peer: IpAddr, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key).filter(|fan| fan.resting.is_some()) else {
            return;
        };
        fan.rest_until(peer, turn.now + PUT_GAP, key, turn);
    }

    /// Ends a stream that nobody has continued.
    pub fn expire(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else { return };
        if fan.rest_alarm.is_some_and(|at| at > turn.now) {
            return;
        }
        fan.rest_alarm = None;
        match fan.resting {
            Some((_, until)) if until <= turn.now => self.end(key, turn),
            Some((peer, until)) => fan.rest_until(peer, until, key, turn),
            None => {}
        }
    }

    /// The resting stream of that name, if `peer` continues it with a request
    /// whose body begins at byte `range`. With one that begins elsewhere it
    /// starts over: the stream ends. To all other peers the name is taken.
    pub fn resume(
        &mut self,
        name: &Name,
        peer: IpAddr,
        range: Option<u64>,
        turn: &mut Turn,
    ) -> Option<Key> {
        let key = *self.names.get(name)?;
        let fan = self.fanouts.get_mut(key)?;
        let (from, _until) = fan.resting?;
        if from != peer {
            return None;
        }
        if range == fan.stream().map(|stream| stream.stats.received_bytes) {
            return self.wake(key).then_some(key);
        }
        self.end(key, turn);
        None
    }

    /// The publisher is gone: the name is free, and subscribers get the rest
    /// and then the end.
    pub fn end(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else {
            return;
        };
        if fan.ended.is_some() {
            return;
        }
        fan.ended = Some(turn.now);
        let (name, epoch) = (fan.view.name.clone(), fan.view.epoch);
        if let Some(stream) = fan.stream() {
            stream.branches.end();
            let bytes = stream.stats.received_bytes;
            self.directory.release(&name, epoch);
            log::info!("stream {name} has ended (epoch {epoch}, {bytes} bytes)");
        }
        self.unname(&name, key);
        self.mark_dirty(key, turn);
        self.end_derived(key, turn);
    }

    /// A stream has no right to its name any more. Whoever sends it over UDP is
    /// to be told of its next life.
    pub(super) fn unname(&mut self, name: &Name, key: Key) {
        if self.names.get(name) == Some(&key) {
            self.names.remove(name);
        }
        self.seek_again(name);
    }

    /// A UDP socket has subscribers for a name, or has them no longer.
    pub fn crowd(&mut self, name: &Name, is_here: bool, turn: &mut Turn) {
        let crowd = self.crowds.entry(name.clone()).or_default();
        *crowd = if is_here { *crowd + 1 } else { crowd.saturating_sub(1) };
        match *crowd {
            0 => {
                self.crowds.remove(name);
                match self.names.get(name).copied() {
                    Some(key) => self.reap_all(key),
                    None if !self.awaited.contains_key(name) => self.unseek(name),
                    None => {}
                }
            }
            1 if is_here => {
                self.seek(name, true);
                self.derive_for_udp(name, turn);
            }
            _ => {}
        }
    }

    /// Looks again for a name that a UDP socket has subscribers for, in case
    /// there was no room for it before.
    pub fn seek_again(&mut self, name: &Name) {
        if self.crowds.contains_key(name) && !self.is_draining {
            self.seek(name, true);
        }
    }

    /// Frees a stream that nobody reads, if it has ended or is another shard's.
    pub fn reap(&mut self, key: Key) {
        let is_unread = |fan: &&Fanout| fan.roster.count == 0 && !fan.is_dirty && !fan.is_awaited;
        let Some(fan) = self.fanouts.get(key).filter(is_unread) else { return };
        if fan.source.is_some() {
            return self.drop_derived(key);
        }
        if fan.ended.is_none() {
            if fan.derived.is_none() {
                self.let_go(key);
            }
            return;
        }
        if let Some(Fanout { view, origin: Origin::Here(stream), .. }) = self.fanouts.remove(key) {
            stream.dissolve(view, &mut self.pool);
            self.gone += 1;
        }
    }

    /// A subscriber of a stream is gone, or has become something else.
    pub fn detach(&mut self, conn: Key, subscribed: &Subscribed) {
        let Some(fan) = self.fanouts.get_mut(subscribed.stream) else {
            return;
        };
        fan.roster.detach(conn, subscribed);
        self.reap(subscribed.stream);
    }

    /// A connection waits for `name` no longer.
    pub fn forget(&mut self, name: &Name, conn: Key) {
        let Some(conns) = self.awaited.get_mut(name) else {
            return;
        };
        conns.retain(|key| *key != conn);
        if conns.is_empty() {
            self.awaited.remove(name);
            if !self.crowds.contains_key(name) {
                self.unseek(name);
            }
            // It may have waited to hear what the stream is.
            if let Some(key) = self.names.get(name).copied() {
                self.told(key);
            }
        }
    }

    /// Looks at the pool some time from now, if it has more than it needs.
    pub fn watch_pool(&mut self, turn: &mut Turn) {
        if self.pool.is_overstocked() && !self.is_resting {
            self.is_resting = true;
            turn.timers.arm(turn.now + POOL_REST, Alarm::Pool);
        }
    }

    /// Gives a part of what the pool doesn't need back to the kernel; answers
    /// whether that was all, and so many streams have ended that the heap is to
    /// be tidied.
    pub fn rest_pool(&mut self, turn: &mut Turn) -> bool {
        self.is_resting = false;
        self.pool.rest();
        self.watch_pool(turn);
        if self.is_resting || self.gone < TIDY_STREAMS {
            return false;
        }
        self.gone = 0;
        true
    }

    /// Looks at those that are behind a tick from now.
    pub fn watch(&mut self, turn: &mut Turn) {
        if !self.is_watching {
            self.is_watching = true;
            turn.timers.arm(turn.now + crate::limits::LAG_TICK, Alarm::Lag);
        }
    }
}
