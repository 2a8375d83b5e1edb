//! Derived streams: what a stream is in another container, for those who want
//! it so.
//!
//! A derived stream is one more [`Fanout`] with a ring of its own, so that its
//! subscribers join, lag and skip as all others do. It is fed in the turn in
//! which its source is, by [`Streams::derive`]'s remux: no thread and no copy
//! of the source stands between. Each shard that serves somebody derives for
//! itself: the few bytes that a remux adds cost less than a link that carries
//! them would. It goes when nobody wants it any more.

use super::control::Control;
use super::slab::Key;
use super::streams::{Fanout, Origin, Streams};
use super::turn::Turn;
use crate::base::{Instant, Position};
use crate::framing::{Kind, Transport};
use crate::limits::{INGEST_BYTES, PLAIN_SLICES};
use crate::media::Remux;
use crate::protocol::{Container, Name};
use crate::relay::Stream;
use crate::ring::{Gather, Window};
use std::io::IoSlice;

/// How a stream becomes another.
#[derive(Debug)]
pub struct Derived {
    /// The stream that it becomes.
    pub stream: Key,
    remux: Remux,
    /// The next byte of the source to take.
    at: Position,
    /// What one frame of the source becomes.
    out: Vec<u8>,
    /// It has been said what is left out.
    is_told: bool,
    /// It made what can't be: nothing more comes of it.
    is_broken: bool,
}

/// What somebody gets who wants a stream in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The stream as it is.
    AsIs,
    /// What it becomes in this container.
    Derived(Container),
    /// It is not known yet what the stream is.
    Undecided,
    /// There is no way from what it is to that.
    Never(Kind),
}

/// The framing of a container's streams.
pub(super) const fn kind(container: Container) -> Kind {
    match container {
        Container::Ts => Kind::Ts,
        Container::Flv => Kind::Flv,
    }
}

impl Streams {
    /// Who names no container gets a stream as it is, unless it came in a form that
    /// is none of its own (RTMP).
    pub fn in_container(&self, stream: Key, wanted: Option<Container>) -> Found {
        let Some(fan) = self.fanouts.get(stream) else { return Found::AsIs };
        let Some(wanted) = wanted.or(fan.view.settings.container) else { return Found::AsIs };
        match (fan.view.cut().kind, wanted) {
            (Kind::Auto, _) if fan.ended.is_none() => Found::Undecided,
            (is, _) if is == kind(wanted) => Found::AsIs,
            (Kind::Ts, Container::Flv) | (Kind::Flv, Container::Ts) => Found::Derived(wanted),
            // What is no container is sent as it is; its type says so.
            (_, Container::Ts) => Found::AsIs,
            (is, Container::Flv) => Found::Never(is),
        }
    }

    /// The stream that another becomes, made now if need be.
    pub(super) fn derive(&mut self, source: Key, to: Container, turn: &mut Turn) -> Option<Key> {
        let fan = self.fanouts.get(source)?;
        if let Some(derived) = &fan.derived {
            return Some(derived.stream);
        }
        let remux = Remux::between(fan.view.cut().kind, to)?;
        let (name, epoch) = (fan.view.name.clone(), fan.view.epoch);
        let settings = fan.view.settings.clone().framed(kind(to), None);
        let lag = self.largest_lag.max(settings.max_lag);
        let is_here = matches!(fan.origin, Origin::Here(_));
        let (stream, view) =
            Stream::new(name, epoch, settings, Transport::Bytes, lag, &mut self.pool);
        let udp =
            if to == Container::Ts { self.sockets_of(&view.name, is_here) } else { Vec::new() };
        let stream = self.fanouts.insert(Fanout {
            source: Some(source),
            udp,
            ..Fanout::new(view, Origin::Here(Box::new(stream)))
        });
        log::debug!("{} is made {} of", self.fanouts.get(source)?.view.name, kind(to).label());
        let fan = self.fanouts.get_mut(source)?;
        let mut derived = Derived {
            stream,
            remux,
            at: Position::ZERO,
            out: Vec::new(),
            is_told: false,
            is_broken: false,
        };
        derived.begin(fan.view.window(), fan.view.settings.max_lag, turn.now);
        let is_over = fan.ended.is_some();
        fan.derived = Some(Box::new(derived));
        if is_over {
            self.end_derived(source, turn);
        } else {
            self.feed(source, turn);
        }
        Some(stream)
    }

    /// Brings what a stream becomes up to date, or as far as a publisher's bytes may
    /// go in a turn; then it goes on in the next.
    pub(super) fn feed(&mut self, source: Key, turn: &mut Turn) {
        let Some(mut derived) = self.take_derived(source) else { return };
        let (mut bytes, mut is_fed) = (0, false);
        while let Some(fan) = self.fanouts.get(source) {
            if bytes >= INGEST_BYTES as u64 {
                turn.ready.control.push_back(Control::Feed(source));
                break;
            }
            let before = derived.at;
            let Some(arrival) = derived.next(fan.view.window()) else { break };
            bytes += derived.at.since(before);
            is_fed = true;
            self.store(&mut derived, arrival);
        }
        if is_fed {
            self.mark_dirty(derived.stream, turn);
        }
        if let Some(fan) = self.fanouts.get_mut(source) {
            derived.tell(&fan.view.name);
            fan.derived = Some(derived);
        }
    }

    fn take_derived(&mut self, source: Key) -> Option<Box<Derived>> {
        self.fanouts.get_mut(source)?.derived.take()
    }

    /// Writes what has been made into the derived stream's ring.
    fn store(&mut self, derived: &mut Derived, arrival: Instant) {
        let mut rest = &derived.out[..];
        while !rest.is_empty() {
            let Some(mut ingest) = self.ingest(derived.stream) else { break };
            ingest.stream.waited = 0;
            let len = ingest.copy_in(rest);
            if let Err(why) = ingest.received(len, arrival) {
                log::warn!("{}: a remux made what can't be framed: {why}", ingest.view.name);
                derived.is_broken = true;
                break;
            }
            rest = &rest[len..];
        }
        derived.out.clear();
    }

    /// A stream is over: so is what it becomes, with the rest.
    pub(super) fn end_derived(&mut self, source: Key, turn: &mut Turn) {
        let Some(mut derived) = self.take_derived(source) else { return };
        while let Some(fan) = self.fanouts.get(source) {
            derived.skip_long(fan.view.window());
            let Some(arrival) = derived.next(fan.view.window()) else { break };
            self.store(&mut derived, arrival);
        }
        derived.remux.finish(&mut derived.out);
        self.store(&mut derived, turn.now);
        if let Some(fan) = self.fanouts.get_mut(derived.stream) {
            fan.ended = Some(turn.now);
            fan.source = None;
        }
        self.mark_dirty(derived.stream, turn);
        self.reap(derived.stream);
    }

    /// Nobody reads what a stream becomes: it goes, and is made again for the
    /// next.
    pub(super) fn drop_derived(&mut self, key: Key) {
        let Some(fan) = self.fanouts.get(key) else { return };
        let Some(source) = fan.source else { return };
        let name = fan.view.name.clone();
        if !fan.udp.is_empty() && self.is_sent_by_udp(&name, source) {
            return;
        }
        let Some(gone) = self.fanouts.remove(key) else { return };
        if let Some(fan) = self.fanouts.get_mut(source) {
            fan.derived = None;
            fan.roster.delivered.add(&gone.roster.delivered);
            fan.residence.add(&gone.residence);
        }
        if let Origin::Here(stream) = gone.origin {
            stream.dissolve(gone.view, &mut self.pool);
        }
        self.reap(source);
    }

    /// Looks whether it has become known what a stream is.
    pub(super) fn learn(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get(key) else { return };
        let has_more = matches!(fan.origin, Origin::There { .. }) && fan.derived.is_some();
        let is_decided = fan.view.cut().kind != Kind::Auto || fan.ended.is_some();
        if !fan.is_known && is_decided && fan.source.is_none() {
            self.became_known(key, turn);
        }
        if has_more {
            self.feed(key, turn);
        }
    }

    /// Somebody waits to hear what a stream is.
    pub(super) fn awaits(&mut self, key: Key) {
        if let Some(fan) = self.fanouts.get_mut(key) {
            fan.is_awaited = true;
        }
    }

    /// Nobody does any more.
    pub(super) fn told(&mut self, key: Key) {
        if let Some(fan) = self.fanouts.get_mut(key) {
            fan.is_awaited = false;
        }
        self.reap(key);
    }

    /// The same for what it becomes, which goes first.
    pub(super) fn reap_all(&mut self, key: Key) {
        if let Some(derived) = self.fanouts.get(key).and_then(|fan| fan.derived.as_ref()) {
            let derived = derived.stream;
            self.reap(derived);
        }
        self.reap(key);
    }

    /// It has become known what a stream is. Those who waited for that ask
    /// again, and what can't go in datagrams as it is goes as MPEG-TS.
    fn became_known(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else { return };
        fan.is_known = true;
        let name = fan.view.name.clone();
        if fan.view.cut().kind == Kind::Flv {
            fan.udp.clear();
            fan.is_udp_due = false;
            self.derive_for_udp(&name, turn);
        }
        if self.awaited.contains_key(&name) {
            let stream = key;
            turn.ready.control.push_back(Control::Announced { name, stream });
        }
    }

    /// Makes MPEG-TS of a stream that UDP sockets send and that is FLV.
    pub(super) fn derive_for_udp(&mut self, name: &Name, turn: &mut Turn) {
        let Some(&key) = self.names.get(name) else { return };
        let is_flv = self.fanouts.get(key).is_some_and(|fan| fan.view.cut().kind == Kind::Flv);
        if is_flv && self.is_sent_by_udp(name, key) {
            self.derive(key, Container::Ts, turn);
        }
    }

    /// Whether anybody gets a stream over UDP, or is pushed it.
    fn is_sent_by_udp(&self, name: &Name, key: Key) -> bool {
        let is_here =
            self.fanouts.get(key).is_some_and(|fan| matches!(fan.origin, Origin::Here(_)));
        self.crowds.contains_key(name) || (is_here && self.pushed.contains_key(name))
    }
}

impl Derived {
    /// Begins with the oldest join point that is young enough for a subscriber,
    /// else with the newest; without any, with all there is or what comes.
    fn begin(&mut self, window: &Window, max_lag: std::time::Duration, now: Instant) {
        let oldest = window.join_from(window.floor());
        let young = oldest.filter(|join| now.since(join.arrival) <= max_lag);
        let Some(join) = young.or(window.newest_join()) else {
            let is_short = window.floor() == Position::ZERO && window.len() <= INGEST_BYTES as u64;
            self.at = if is_short { Position::ZERO } else { window.head() };
            return;
        };
        self.remux.handle_bytes(&join.resume, &mut self.out);
        self.at = join.position;
    }

    /// Leaves out what is more than a turn's worth of a stream that has ended.
    fn skip_long(&mut self, window: &Window) {
        if window.head().since(self.at) > INGEST_BYTES as u64 {
            self.remux.gap();
            self.at = window.head();
        }
    }

    /// Says once what can't be carried over.
    fn tell(&mut self, name: &Name) {
        if !self.is_told
            && let Some(what) = self.remux.unsupported()
        {
            self.is_told = true;
            log::warn!("{name}: {what} can't be carried over into the other container");
        }
    }

    /// Takes the next frame of the source; answers when it arrived, or `None` if
    /// there is none.
    fn next(&mut self, window: &Window) -> Option<Instant> {
        if self.is_broken {
            return None;
        }
        if self.at < window.floor() {
            // This shard was lapped.
            self.remux.gap();
            let join = window.newest_join()?;
            self.remux.handle_bytes(&join.resume, &mut self.out);
            self.at = join.position;
        }
        let span = window.spans(self.at).next()?;
        while self.at < span.end {
            let mut slices = [IoSlice::new(&[]); PLAIN_SLICES];
            let mut list = Gather::over(&mut slices);
            self.at += window.gather(self.at, span.end, &mut list);
            for slice in list.slices() {
                self.remux.handle_bytes(slice, &mut self.out);
            }
        }
        Some(span.arrival)
    }
}
