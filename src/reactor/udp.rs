//! UDP sockets: datagrams in, to rings; rings out, as datagrams.
//!
//! UDP subscribers have no lag: every flush sends what is new to all of them,
//! and what the kernel has no room for is dropped and counted. They start at
//! the next join point, never with a burst that would overrun their buffer.

use super::control::{Claimer, Control};
use super::site::Sites;
use super::slab::Key;
use super::streams::{Fanout, Streams};
use super::turn::{Alarm, Turn};
use crate::base::{Instant, Position};
use crate::framing::{Kind, Transport};
use crate::limits::{
    CLAIM_PAUSE, DATAGRAM_BYTES, DATAGRAM_MAX, FLUSH_SLICES, INGEST_CALLS, UDP_PIECES, UDP_SILENCE,
    UDP_SUBSCRIBERS,
};
use crate::protocol::udp_join::{self, Answer, Joiner};
use crate::protocol::{Name, Refusal};
use crate::relay::subscriber::Cut;
use crate::relay::{Claim, Settings};
use crate::ring::{Gather, Window};
use crate::sys::address::Destination;
use crate::sys::datagram::{Datagram, Outgoing, Received};
use crate::sys::socket::Udp;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

/// A UDP socket and what it does.
pub struct Port {
    /// The socket; gone once the server drains.
    pub socket: Option<Udp>,
    /// What it does.
    pub duty: Duty,
    is_listed: bool,
}

/// What a UDP socket does.
pub enum Duty {
    /// RFC 862, on this port.
    Echo(u16),
    /// Its datagrams are a stream.
    Publish(Box<Publish>),
    /// It sends a stream.
    Send(Box<Egress>),
}

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
}

/// A stream that goes out in datagrams.
pub struct Egress {
    name: Name,
    joiner: Joiner,
    handshake: bool,
    /// In an order that costs a flood of requests a few comparisons each.
    subscribers: BTreeMap<SocketAddr, Subscriber>,
    /// The epoch that `cursor` is in.
    epoch: u64,
    /// Everything before this has been sent.
    cursor: Position,
    newest_join: Option<Position>,
    is_watched: bool,
}

struct Subscriber {
    to: Destination,
    token_epoch: u64,
    last_seen: Instant,
    /// A push: it stays without saying so.
    is_fixed: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It starts at the first join point after this one.
    Waits {
        after: Option<Position>,
    },
    Live,
}

impl Duty {
    /// Publishes `name`.
    pub fn publish(name: Name, settings: Settings) -> Self {
        Self::Publish(Box::new(Publish {
            name,
            settings,
            source: None,
            stream: None,
            early: None,
            last_seen: Instant::ZERO,
            retry: Instant::ZERO,
            drops: 0,
        }))
    }

    /// Sends `name` to those who ask, and to `fixed` at any rate.
    pub fn send(name: Name, joiner: Joiner, handshake: bool, fixed: Option<SocketAddr>) -> Self {
        let fixed = fixed.map(|address| {
            let one = Subscriber {
                to: Destination::from(address),
                token_epoch: 0,
                last_seen: Instant::ZERO,
                is_fixed: true,
                state: State::Waits { after: None },
            };
            (address, one)
        });
        Self::Send(Box::new(Egress {
            name,
            joiner,
            handshake,
            subscribers: fixed.into_iter().collect(),
            epoch: 0,
            cursor: Position::ZERO,
            newest_join: None,
            is_watched: false,
        }))
    }

    /// The stream that it sends.
    pub fn sends(&self) -> Option<&Name> {
        match self {
            Self::Send(send) => Some(&send.name),
            Self::Echo(_) | Self::Publish(_) => None,
        }
    }
}

/// Every UDP socket of a shard.
#[derive(Default)]
pub struct Ports {
    /// By the number that the turn's lists carry.
    pub list: Vec<Port>,
    out: Outgoing,
}

impl Ports {
    /// Takes a socket in.
    pub fn push(&mut self, socket: Udp, duty: Duty) {
        self.list.push(Port { socket: Some(socket), duty, is_listed: false });
    }

    /// Datagrams wait at a socket.
    pub fn readable(&mut self, port: usize, turn: &mut Turn) {
        if let Some(entry) = self.list.get_mut(port)
            && !entry.is_listed
        {
            entry.is_listed = true;
            turn.ready.udp.push_back(port);
        }
    }

    /// Reads every socket that has something, each within its budget.
    pub fn ingest(&mut self, turn: &mut Turn, streams: &mut Streams) {
        for _ in 0..turn.ready.udp.len() {
            let Some(number) = turn.ready.udp.pop_front() else {
                return;
            };
            let Some(port) = self.list.get_mut(number) else {
                continue;
            };
            port.is_listed = false;
            let Some(socket) = &port.socket else { continue };
            let has_more = match &mut port.duty {
                Duty::Echo(own) => echo(*own, socket, turn),
                Duty::Publish(publish) => publish.pump(number, socket, turn, streams),
                Duty::Send(send) => send.listen(number, socket, turn),
            };
            if has_more {
                turn.counters.exhausted.udp_ingest.bump();
                self.readable(number, turn);
            }
        }
    }

    /// The directory has answered.
    pub fn claimed(&mut self, number: usize, claim: Claim, turn: &mut Turn, streams: &mut Streams) {
        let Some(port) = self.list.get_mut(number) else {
            return;
        };
        if let Duty::Publish(publish) = &mut port.duty {
            publish.claimed(claim, turn, streams);
            turn.timers.arm(turn.now + publish.settings.timeout, Alarm::Udp(number));
        }
        self.readable(number, turn);
    }

    /// A deadline has come: who is silent is ended.
    pub fn wake(&mut self, number: usize, turn: &mut Turn, streams: &mut Streams) {
        let Some(port) = self.list.get_mut(number) else {
            return;
        };
        let next = match &mut port.duty {
            Duty::Echo(_) => None,
            Duty::Publish(publish) => publish.expire(turn, streams),
            Duty::Send(send) => send.expire(turn),
        };
        if let Some(at) = next {
            turn.timers.arm(at, Alarm::Udp(number));
        }
    }

    /// Sends what is new of a stream on every socket that sends it.
    pub fn send(&mut self, fan: &Fanout, turn: &mut Turn) {
        for number in &fan.udp {
            let Some(port) = self.list.get_mut(*number) else {
                continue;
            };
            if let (Some(socket), Duty::Send(send)) = (&port.socket, &mut port.duty) {
                send.flush(fan, socket, &mut self.out, turn);
            }
        }
    }

    /// The server goes down: streams end, sockets close.
    pub fn close(&mut self, turn: &mut Turn, streams: &mut Streams) {
        for port in &mut self.list {
            match &mut port.duty {
                Duty::Publish(publish) => {
                    if let Some(stream) = publish.stream.take() {
                        streams.end(stream, turn);
                    }
                    port.socket = None;
                }
                Duty::Echo(_) => port.socket = None,
                // It still sends what streams have left.
                Duty::Send(_) => {}
            }
        }
    }
}

/// Sends each datagram back to where it came from; answers whether more wait.
fn echo(own: u16, socket: &Udp, turn: &mut Turn) -> bool {
    for _ in 0..INGEST_CALLS {
        let Ok(received) = socket.recv(&mut turn.scratch) else {
            return false;
        };
        // Two echoes must not talk to each other for ever.
        if received.from.port() == own {
            continue;
        }
        let reply = IoSlice::new(&turn.scratch[..received.len]);
        match socket.send_to(&[reply], received.from) {
            Ok(_) => turn.counters.datagrams_sent.bump(),
            Err(_) => turn.counters.datagrams_dropped.bump(),
        }
    }
    true
}

impl Publish {
    /// Receives datagrams into the stream; answers whether more may wait.
    fn pump(
        &mut self,
        number: usize,
        socket: &Udp,
        turn: &mut Turn,
        streams: &mut Streams,
    ) -> bool {
        let mut has_new = false;
        let has_more = loop_bounded(|| {
            if self.early.is_some() {
                return false;
            }
            let Some((fan, pool)) = self.stream.and_then(|key| streams.ingest(key)) else {
                return self.first(number, socket, turn, streams);
            };
            let Ok(received) = socket.recv(fan.stream.datagram_space(pool)) else {
                return false;
            };
            turn.counters.receives.bump();
            self.note_drops(received, turn);
            if self.source != Some(received.from) {
                turn.counters.refuse(Refusal::ForeignSource);
                return true;
            }
            turn.counters.received_bytes.add(received.len as u64);
            fan.stream.received_datagrams(received.len, received.stride, turn.now, pool);
            self.last_seen = turn.now;
            has_new = true;
            true
        });
        if let Some(stream) = self.stream.filter(|_| has_new) {
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
        let claim = streams.directory.claim(&self.name, streams.shard);
        let (claimer, name) = (Claimer::Udp(number), self.name.clone());
        turn.ready.control.push_back(Control::Claimed { claimer, name, claim });
        false
    }

    fn claimed(&mut self, claim: Claim, turn: &mut Turn, streams: &mut Streams) {
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
        streams.announce(&self.name, stream, &waiters, turn);
        self.stream = Some(stream);
        if let Some((fan, pool)) = streams.ingest(stream) {
            fan.stream.datagram_space(pool);
            let len = fan.stream.copy_in(&early, pool);
            fan.stream.received_datagrams(len, stride, turn.now, pool);
        }
        streams.mark_dirty(stream, turn);
    }

    fn expire(&mut self, turn: &mut Turn, streams: &mut Streams) -> Option<Instant> {
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

    fn note_drops(&mut self, received: Received, turn: &mut Turn) {
        if let Some(drops) = received.drops {
            turn.counters.kernel_drops.add(u64::from(drops.wrapping_sub(self.drops)));
            self.drops = drops;
        }
    }
}

/// Calls `step` until it says that nothing is left, or the budget is used up;
/// answers whether it is.
fn loop_bounded(mut step: impl FnMut() -> bool) -> bool {
    (0..INGEST_CALLS).all(|_| step())
}

impl Egress {
    /// Hears who wants to join, stay or leave; answers whether more may wait.
    fn listen(&mut self, number: usize, socket: &Udp, turn: &mut Turn) -> bool {
        loop_bounded(|| match socket.recv(&mut turn.scratch) {
            Ok(received) => {
                self.hear(number, received, socket, turn);
                true
            }
            // ICMP's answer to something sent: the next receive may be well.
            Err(why) => why.kind() == io::ErrorKind::ConnectionRefused,
        })
    }

    fn hear(&mut self, number: usize, received: Received, socket: &Udp, turn: &mut Turn) {
        let from = received.from;
        let known = self.subscribers.get_mut(&from);
        let (is_known, joined) = (known.is_some(), known.as_ref().map(|one| one.token_epoch));
        let epoch = udp_join::epoch(turn.now);
        let bytes = &turn.scratch[..received.len];
        let answer = self.joiner.handle_datagram(bytes, from, epoch, joined);
        let answer = if self.handshake || !matches!(answer, Answer::SendToken(_)) {
            answer
        } else if is_known {
            Answer::KeepAlive
        } else {
            Answer::Join { epoch }
        };
        match answer {
            Answer::Ignore => turn.counters.udp_ignored.bump(),
            Answer::SendToken(token) => {
                turn.counters.udp_tokens.bump();
                let _lost = socket.send_to(&[IoSlice::new(&token)], from);
            }
            Answer::Join { epoch } => self.join(number, from, epoch, turn),
            Answer::KeepAlive => {
                if let Some(known) = known {
                    known.last_seen = turn.now;
                }
            }
            Answer::Leave => drop(self.subscribers.remove(&from)),
            Answer::Refused(why) => turn.counters.refuse(why),
        }
    }

    fn join(&mut self, number: usize, address: SocketAddr, token_epoch: u64, turn: &mut Turn) {
        if self.subscribers.len() >= UDP_SUBSCRIBERS {
            turn.counters.refuse(Refusal::Full);
            return;
        }
        log::info!("{address} joins {} over UDP", self.name);
        let subscriber = Subscriber {
            to: Destination::from(address),
            token_epoch,
            last_seen: turn.now,
            is_fixed: false,
            state: State::Waits { after: self.newest_join },
        };
        self.subscribers.insert(address, subscriber);
        if !self.is_watched {
            self.is_watched = true;
            turn.timers.arm(turn.now + UDP_SILENCE, Alarm::Udp(number));
        }
    }

    fn expire(&mut self, turn: &Turn) -> Option<Instant> {
        let is_here =
            |one: &Subscriber| one.is_fixed || turn.now.since(one.last_seen) < UDP_SILENCE;
        self.subscribers.retain(|_, one| is_here(one));
        let oldest = self.subscribers.values().filter(|one| !one.is_fixed).map(|one| one.last_seen);
        let next = oldest.min().map(|seen| seen + UDP_SILENCE);
        self.is_watched = next.is_some();
        next
    }

    /// Sends everybody what is new.
    fn flush(&mut self, fan: &Fanout, socket: &Udp, out: &mut Outgoing, turn: &mut Turn) {
        let (window, cut) = (fan.stream.window(), fan.stream.cut());
        if self.epoch != fan.stream.epoch {
            self.epoch = fan.stream.epoch;
            self.cursor = window.floor();
            self.newest_join = None;
            for one in self.subscribers.values_mut() {
                one.state = State::Waits { after: None };
            }
        }
        let from = self.cursor;
        self.cursor = window.head();
        let mut flight = Flight { window, cut, socket, out, turn };
        let is_live = |one: &&Subscriber| one.state == State::Live;
        if self.subscribers.values().any(|one| one.state == State::Live) {
            flight.send(from, self.subscribers.values().filter(is_live));
        }
        let join = window.newest_join();
        self.newest_join = join.map(|join| join.position);
        for one in self.subscribers.values_mut() {
            let State::Waits { after } = one.state else {
                continue;
            };
            match join {
                _ if cut.anywhere => flight.send(from, std::iter::once(&*one)),
                Some(join) if after.is_none_or(|after| join.position > after) => {
                    flight.send_bytes(&join.fresh, one);
                    flight.send(join.position, std::iter::once(&*one));
                }
                Some(_) | None => continue,
            }
            one.state = State::Live;
        }
    }
}

/// One flush on one socket.
struct Flight<'a> {
    window: &'a Window,
    cut: Cut,
    socket: &'a Udp,
    out: &'a mut Outgoing,
    turn: &'a mut Turn,
}

impl Flight<'_> {
    /// Sends everything from `from` up to the head to each of `to`.
    fn send<'s>(&mut self, from: Position, to: impl Iterator<Item = &'s Subscriber> + Clone) {
        let mut at = from;
        let head = self.window.head();
        while at < head {
            let mut slices = [IoSlice::new(&[]); FLUSH_SLICES];
            let mut list = Gather::over(&mut slices);
            // Where each datagram's slices begin in the list.
            let mut pieces = [(0, 0); UDP_PIECES];
            let mut used = 0;
            while used < UDP_PIECES && at < head && list.room() >= 2 {
                let (start, end, next) = self.piece(at, head);
                at = next;
                if end.since(start) > DATAGRAM_MAX as u64 {
                    self.turn.counters.frames_too_large.bump();
                    continue;
                }
                let first = list.slices().len();
                self.window.gather(start, end, &mut list);
                pieces[used] = (first, list.slices().len());
                used += 1;
            }
            let slices = list.slices();
            let pieces = &pieces[..used];
            let datagrams = to.clone().flat_map(|one| {
                pieces
                    .iter()
                    .map(|(first, end)| Datagram { to: &one.to, slices: &slices[*first..*end] })
            });
            let sent = self.out.send(self.socket, datagrams);
            self.turn.counters.datagrams_sent.add(sent.sent as u64);
            self.turn.counters.datagrams_dropped.add((sent.failed + sent.untried) as u64);
        }
    }

    /// The next datagram's bytes, and where the one after it begins.
    fn piece(&self, at: Position, head: Position) -> (Position, Position, Position) {
        if matches!(self.cut.kind, Kind::Ts | Kind::Raw | Kind::Auto) {
            let end = head.min(at + DATAGRAM_BYTES as u64);
            return (at, end, end);
        }
        let Some(span) = self.window.spans(at).next() else {
            return (at, at, head);
        };
        let start = (span.start + self.cut.trim.front as u64).min(span.end);
        let end = (span.end - self.cut.trim.back as u64).max(start);
        (start, end, span.end)
    }

    /// Sends bytes that are in no ring, whole packets at a time.
    fn send_bytes(&mut self, bytes: &[u8], to: &Subscriber) {
        for piece in bytes.chunks(DATAGRAM_BYTES) {
            let slices = [IoSlice::new(piece)];
            let one = std::iter::once(Datagram { to: &to.to, slices: &slices });
            let sent = self.out.send(self.socket, one);
            self.turn.counters.datagrams_sent.add(sent.sent as u64);
            self.turn.counters.datagrams_dropped.add((sent.failed + sent.untried) as u64);
        }
    }
}

/// Which sockets send which stream.
pub fn wire(ports: &Ports, streams: &mut Streams) {
    for (number, port) in ports.list.iter().enumerate() {
        if let Some(name) = port.duty.sends() {
            streams.wired.entry(name.clone()).or_default().push(number);
        }
    }
}

/// What a UDP listener of a site does; `None` if the site is none.
pub fn duty(site: usize, sites: &Sites, joiner: &Joiner) -> Option<Duty> {
    use super::plan::Service;
    let site = &sites.list[site];
    match &site.service {
        Service::UdpEcho => Some(Duty::Echo(site.addr.port())),
        Service::UdpPublish { name, .. } => {
            Some(Duty::publish(name.clone(), site.settings.clone()))
        }
        Service::UdpSubscribe { name, handshake } => {
            Some(Duty::send(name.clone(), joiner.clone(), *handshake, None))
        }
        Service::TcpPublish { .. }
        | Service::TcpSubscribe { .. }
        | Service::TcpEcho
        | Service::Http => None,
    }
}
