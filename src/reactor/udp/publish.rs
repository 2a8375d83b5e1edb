//! Datagrams in: a UDP socket whose datagrams are a stream.

use super::loop_bounded;
use crate::base::Instant;
use crate::framing::Transport;
use crate::limits::{CLAIM_PAUSE, INGEST_BYTES, RECEIVE_BATCH};
use crate::protocol::{Name, Refusal};
use crate::reactor::control::{Claimer, Control};
use crate::reactor::hot::Source;
use crate::reactor::slab::Key;
use crate::reactor::streams::Streams;
use crate::reactor::turn::Turn;
use crate::relay::{Claim, Settings};
use crate::report::Over;
use crate::sys::datagram::{Incoming, Received};
use crate::sys::socket::Udp;
use std::net::SocketAddr;
use std::time::Duration;

/// A stream that comes in datagrams. It belongs to its first source.
pub struct Publish {
    name: Name,
    settings: Settings,
    source: Option<SocketAddr>,
    stream: Option<Key>,
    /// The first receive, while the directory is asked.
    early: Option<(Vec<u8>, usize)>,
    last_seen: Instant,
    /// After a refusal, not before this.
    retry: Instant,
    drops: u32,
    /// Somebody else sends, too, and has been told of in the log.
    is_contested: bool,
}

impl Publish {
    /// Publishes `name`.
    pub(super) fn new(name: Name, settings: Settings) -> Self {
        Self {
            name,
            settings,
            source: None,
            stream: None,
            early: None,
            last_seen: Instant::ZERO,
            retry: Instant::ZERO,
            drops: 0,
            is_contested: false,
        }
    }

    /// Says once for each life of the stream that somebody else sends, too.
    fn tell_foreign(&mut self, from: SocketAddr) {
        if !std::mem::replace(&mut self.is_contested, true)
            && let Some(source) = self.source
        {
            let (name, timeout) = (&self.name, self.settings.timeout);
            log::warn!(
                "udp: {from} is not {source}, which publishes {name}: its datagrams are dropped \
                 until that one has been silent for {timeout:?} (timeout=)"
            );
        }
    }

    /// Receives datagrams into the stream; answers whether more may wait.
    pub(super) fn pump(
        &mut self,
        number: usize,
        socket: &Udp,
        incoming: &mut Incoming,
        turn: &mut Turn,
        streams: &mut Streams,
    ) -> bool {
        let (mut has_new, mut bytes_left) = (false, INGEST_BYTES);
        let has_more = loop_bounded(turn, 1, |turn| {
            if self.early.is_some() {
                return false;
            }
            let Some(mut ingest) = self.stream.and_then(|key| streams.ingest(key)) else {
                return self.first(number, socket, turn, streams);
            };
            let Ok(count) = incoming.recv(socket, ingest.datagram_space()) else {
                return false;
            };
            turn.counters.receives.bump();
            for n in 0..count {
                let Ok((received, bytes)) = incoming.message(n) else { continue };
                self.note_drops(received, turn);
                if self.source != Some(received.from) {
                    turn.counters.refuse(Refusal::ForeignSource);
                    self.tell_foreign(received.from);
                    continue;
                }
                // The first lies where it belongs already.
                if n > 0 {
                    ingest.datagram_space();
                    ingest.copy_in(bytes);
                }
                bytes_left = bytes_left.saturating_sub(received.len);
                turn.counters.received_bytes.add(received.len as u64);
                ingest.stream.waited = turn.wall.waited(received.stamp, turn.now);
                ingest.received_datagrams(received.len, received.stride, turn.now);
                has_new = true;
            }
            count == RECEIVE_BATCH && bytes_left > 0
        }) || bytes_left == 0;
        if let Some(stream) = self.stream.filter(|_| has_new) {
            self.last_seen = turn.now;
            turn.hot.saw(Source::Port(number), turn.now);
            streams.mark_dirty(stream, turn);
        }
        has_more
    }

    /// The first receive of a stream: its name is claimed, and what came is
    /// kept until the answer.
    fn first(&mut self, number: usize, socket: &Udp, turn: &mut Turn, streams: &Streams) -> bool {
        let Ok(received) = socket.recv(&mut turn.scratch) else {
            return false;
        };
        if turn.now < self.retry || streams.is_draining {
            turn.counters.refuse(Refusal::Busy);
            return true;
        }
        self.source = Some(received.from);
        self.last_seen = turn.now;
        self.early = Some((turn.scratch[..received.len].to_vec(), received.stride));
        let claim = streams.directory.claim(&self.name, streams.shard, received.from.ip());
        let (claimer, name) = (Claimer::Udp(number), self.name.clone());
        turn.ready.control.push_back(Control::Claimed { claimer, name, claim });
        false
    }

    pub(super) fn claimed(&mut self, claim: Claim, turn: &mut Turn, streams: &mut Streams) {
        let Some((early, stride)) = self.early.take() else {
            return;
        };
        let Claim::Granted { epoch, waiters } = claim else {
            turn.counters.refuse(Refusal::Busy);
            log::warn!("udp: {} can't be published now: {claim:?}", self.name);
            self.source = None;
            self.retry = turn.now + CLAIM_PAUSE;
            return;
        };
        if let Some(source) = self.source {
            log::info!("{source} publishes {} over UDP (epoch {epoch})", self.name);
        }
        let stream = streams.open(&self.name, epoch, &self.settings, Transport::Datagrams);
        if let Some(source) = self.source {
            streams.credit(stream, source, Over::Udp, turn.now);
        }
        streams.announce(&self.name, stream, &waiters, turn);
        self.stream = Some(stream);
        self.is_contested = false;
        if let Some(mut ingest) = streams.ingest(stream) {
            ingest.datagram_space();
            let len = ingest.copy_in(&early);
            turn.counters.received_bytes.add(len as u64);
            ingest.received_datagrams(len, stride, turn.now);
            if ingest.stream.joins_datagrams() {
                log::warn!(
                    "udp: {}: packets are cut apart by the datagrams, and put together here; \
                     each datagram that is lost costs more so: let the publisher send whole \
                     packets (ffmpeg, OBS: ?pkt_size=1316)",
                    self.name
                );
            }
        }
        streams.mark_dirty(stream, turn);
    }

    pub(super) fn expire(&mut self, turn: &mut Turn, streams: &mut Streams) -> Option<Instant> {
        let stream = self.stream?;
        let deadline = self.last_seen + self.settings.timeout;
        if turn.now < deadline {
            return Some(deadline);
        }
        log::warn!("udp publisher of {} is ended: silent for too long", self.name);
        streams.end(stream, turn);
        (self.stream, self.source) = (None, None);
        None
    }

    /// How long its publisher may be silent.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// The server goes down.
    pub(super) fn close(&mut self, turn: &mut Turn, streams: &mut Streams) {
        if let Some(stream) = self.stream.take() {
            streams.end(stream, turn);
        }
    }

    fn note_drops(&mut self, received: Received, turn: &mut Turn) {
        if let Some(drops) = received.drops {
            turn.counters.kernel_drops.add(u64::from(drops.wrapping_sub(self.drops)));
            self.drops = drops;
        }
    }
}
