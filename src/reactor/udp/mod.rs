//! UDP sockets: datagrams in, to rings; rings out, as datagrams.

mod audience;
mod egress;
mod publish;

use super::hot::Source;
use super::plan::Service;
use super::site::Site;
use super::streams::{Fanout, Streams};
use super::turn::{Alarm, Turn};
use crate::base::Instant;
use crate::limits::{INGEST_CALLS, RECEIVE_BATCH};
use crate::protocol::Name;
use crate::protocol::stamp::{Arrival, Reflector};
use crate::protocol::udp_join::Joiner;
use crate::relay::{Claim, Settings};
use crate::report::{Delivered, Phase, SubscriberSnapshot};
use crate::sys::clock::Clock;
use crate::sys::datagram::{Incoming, Received};
use crate::sys::socket::Udp;
pub use egress::Egress;
use egress::Loads;
pub use publish::Publish;
use std::net::SocketAddr;

/// A UDP socket and what it does.
pub struct Port {
    /// The socket; gone once the server drains.
    pub socket: Option<Udp>,
    /// What it does.
    pub duty: Duty,
    /// The number of its listener; a push has none.
    pub site: Option<usize>,
    is_listed: bool,
}

/// What a UDP socket does.
pub enum Duty {
    /// RFC 862, on this port.
    Echo(u16),
    /// RFC 8762: it says when it had what it answers.
    Stamp(Box<Reflector>),
    /// Its datagrams are a stream.
    Publish(Box<Publish>),
    /// It sends a stream to those who ask.
    Send(Box<Egress>),
    /// It sends a stream of this shard to an address that need not ask.
    Push(Box<Egress>),
}

impl Duty {
    /// Publishes `name`.
    pub fn publish(name: Name, settings: Settings) -> Self {
        Self::Publish(Box::new(Publish::new(name, settings)))
    }

    /// Sends `name` to those who ask.
    pub fn send(name: Name, joiner: Joiner, handshake: bool, settings: Settings) -> Self {
        Self::Send(Box::new(Egress::new(name, joiner, handshake, settings)))
    }

    /// Sends `name` to one address, asked or not.
    pub fn push(name: Name, joiner: Joiner, to: SocketAddr, settings: Settings) -> Self {
        let mut egress = Egress::new(name, joiner, true, settings);
        egress.push_to(to);
        Self::Push(Box::new(egress))
    }

    /// What it sends of a stream, if that is what it does.
    fn egress(&self) -> Option<&Egress> {
        match self {
            Self::Send(send) | Self::Push(send) => Some(send),
            Self::Echo(_) | Self::Stamp(_) | Self::Publish(_) => None,
        }
    }

    /// What is answered at once to a datagram, if anything is.
    fn reply<'a>(&'a mut self, bytes: &'a [u8], got: &Received, now: Instant) -> Option<&'a [u8]> {
        match self {
            // Two echoes must not talk to each other for ever.
            Self::Echo(own) => (got.from.port() != *own).then_some(bytes),
            Self::Stamp(reflector) => {
                let at = got.stamp.unwrap_or_else(Clock::stamp).as_nanos();
                let arrival = Arrival { from: got.from, at, ttl: got.ttl };
                let is_answered = reflector.reflect(bytes, arrival, now);
                is_answered.then(|| reflector.reply(Clock::stamp().as_nanos()))
            }
            Self::Publish(_) | Self::Send(_) | Self::Push(_) => None,
        }
    }
}

/// Every UDP socket of a shard.
#[derive(Default)]
pub struct Ports {
    /// By the number that the turn's lists carry.
    pub list: Vec<Port>,
    loads: Loads,
    incoming: Incoming,
}

impl Ports {
    /// Takes a socket in.
    pub fn push(&mut self, socket: Udp, mut duty: Duty) {
        if let Duty::Send(send) | Duty::Push(send) = &mut duty {
            send.set_gso(socket.can_gso());
        }
        self.list.push(Port { socket: Some(socket), duty, site: None, is_listed: false });
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
        turn.begin_ingest();
        for nth in 1..=turn.ready.udp.len() {
            if !turn.may_ingest(nth, Phase::UdpIngest) {
                return;
            }
            let Some(number) = turn.ready.udp.pop_front() else {
                return;
            };
            let Some(port) = self.list.get_mut(number) else {
                continue;
            };
            port.is_listed = false;
            let Some(socket) = &port.socket else { continue };
            let (site, before) = (port.site, turn.counters.received_bytes.get());
            let has_more = match &mut port.duty {
                Duty::Echo(_) | Duty::Stamp(_) => {
                    answer((number, &mut port.duty), socket, &mut self.incoming, turn)
                }
                Duty::Publish(publish) => {
                    publish.pump(number, socket, &mut self.incoming, turn, streams)
                }
                Duty::Send(send) => {
                    let has_more = send.listen(number, socket, turn);
                    send.report(streams, turn);
                    has_more
                }
                Duty::Push(_) => false,
            };
            note_received(site, before, turn);
            if has_more {
                turn.exhaust(Phase::UdpIngest);
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
            let before = turn.counters.received_bytes.get();
            publish.claimed(claim, turn, streams);
            note_received(port.site, before, turn);
            turn.timers.arm(turn.now + publish.timeout(), Alarm::Udp(number));
        }
        self.readable(number, turn);
    }

    /// A deadline has come: who is silent is ended.
    pub fn wake(&mut self, number: usize, turn: &mut Turn, streams: &mut Streams) {
        let Some(port) = self.list.get_mut(number) else {
            return;
        };
        let next = match &mut port.duty {
            Duty::Echo(_) | Duty::Stamp(_) | Duty::Push(_) => None,
            Duty::Publish(publish) => publish.expire(turn, streams),
            Duty::Send(send) => {
                let next = send.expire(turn);
                send.report(streams, turn);
                streams.seek_again(&send.name);
                next
            }
        };
        if let Some(at) = next {
            turn.timers.arm(at, Alarm::Udp(number));
        }
    }

    /// Sends what is new of a stream on every socket that sends it, until
    /// then; answers whether that is all, and when what gathers is to be sent.
    pub fn send(&mut self, fan: &mut Fanout, turn: &mut Turn, until: Instant) -> (bool, Instant) {
        let (mut all, mut flush) = (true, Instant::NEVER);
        let Fanout { view, residence, roster, udp, ended, .. } = fan;
        // Time may run out at the first: another comes first the next time.
        if udp.len() > 1 {
            udp.rotate_left(1);
        }
        for number in &*udp {
            let Some(port) = self.list.get_mut(*number) else {
                continue;
            };
            if let (Some(socket), Duty::Send(send) | Duty::Push(send)) =
                (&port.socket, &mut port.duty)
            {
                let (gathers, before) = (ended.is_none(), turn.counters.datagrams());
                all &= send.send((view, residence, gathers), socket, &mut self.loads, turn, until);
                flush = flush.min(send.flush);
                note_sent(port.site, before, &mut roster.delivered, turn);
            }
        }
        (all, flush)
    }

    /// How many get a stream over UDP.
    pub fn count(&self, fan: &Fanout) -> usize {
        let ports = fan.udp.iter().filter_map(|number| self.list.get(*number));
        ports.map(|port| port.duty.egress().map_or(0, Egress::count_members)).sum()
    }

    /// Who gets a stream over UDP.
    pub fn subscribers<'a>(
        &'a self,
        fan: &'a Fanout,
        now: Instant,
    ) -> impl Iterator<Item = SubscriberSnapshot> + 'a {
        let ports = fan.udp.iter().filter_map(|number| self.list.get(*number));
        ports
            .filter_map(|port| port.duty.egress())
            .flat_map(move |send| send.subscribers(&fan.view, now))
    }

    /// The server goes down: streams end, sockets close.
    pub fn close(&mut self, turn: &mut Turn, streams: &mut Streams) {
        for port in &mut self.list {
            match &mut port.duty {
                Duty::Publish(publish) => {
                    publish.close(turn, streams);
                    port.socket = None;
                }
                Duty::Echo(_) | Duty::Stamp(_) => port.socket = None,
                // It still sends what streams have left.
                Duty::Send(_) | Duty::Push(_) => {}
            }
        }
    }
}

/// Counts what a port has received since there were `before` bytes.
fn note_received(site: Option<usize>, before: u64, turn: &mut Turn) {
    let received = turn.counters.received_bytes.get() - before;
    if let Some(site) = site {
        turn.at_listener(site, |counts| counts.received_bytes.add(received));
    }
}

/// Counts what a port has sent of a stream since the counters stood at `before`.
fn note_sent(site: Option<usize>, before: [u64; 4], delivered: &mut Delivered, turn: &mut Turn) {
    let after = turn.counters.datagrams();
    let more: [u64; 4] = std::array::from_fn(|n| after[n] - before[n]);
    delivered.add_datagrams(more);
    let [_, bytes, ..] = more;
    if let Some(site) = site {
        turn.at_listener(site, |counts| counts.sent_bytes.add(bytes));
    }
}

/// Answers each datagram to where it came from; says whether more wait.
fn answer(
    (number, duty): (usize, &mut Duty),
    socket: &Udp,
    incoming: &mut Incoming,
    turn: &mut Turn,
) -> bool {
    loop_bounded(turn, 1, |turn| {
        let Ok(count) = incoming.recv(socket, &mut turn.scratch) else {
            return false;
        };
        turn.hot.saw(Source::Port(number), turn.now);
        for n in 0..count {
            let Ok((received, bytes)) = incoming.message(n) else { continue };
            let bytes = if n == 0 { &turn.scratch[..received.len] } else { bytes };
            let Some(bytes) = duty.reply(bytes, &received, turn.now) else {
                turn.counters.udp_ignored.bump();
                continue;
            };
            match socket.send_to(bytes, received.from) {
                Ok(bytes) => {
                    turn.counters.datagrams_sent.bump();
                    turn.counters.datagrams_sent_bytes.add(bytes as u64);
                }
                Err(_) => turn.counters.datagrams_dropped.bump(),
            }
        }
        count == RECEIVE_BATCH
    })
}

/// Calls `step` until it says that nothing is left, or the budget is used up, or
/// the time, at which it looks after so many calls; answers whether it is.
fn loop_bounded(turn: &mut Turn, every: usize, mut step: impl FnMut(&mut Turn) -> bool) -> bool {
    for nth in 1..=INGEST_CALLS {
        if !step(turn) {
            return false;
        }
        if nth.is_multiple_of(every) {
            turn.read_clock();
            if turn.now > turn.ingest_until {
                return true;
            }
        }
    }
    true
}

/// Which sockets send which stream.
pub fn wire(ports: &Ports, streams: &mut Streams) {
    for (number, port) in ports.list.iter().enumerate() {
        match &port.duty {
            Duty::Send(send) => streams.wired.entry(send.name.clone()).or_default().push(number),
            Duty::Push(send) => streams.pushed.entry(send.name.clone()).or_default().push(number),
            Duty::Echo(_) | Duty::Stamp(_) | Duty::Publish(_) => {}
        }
    }
}

/// What a UDP listener of a site does; `None` if the site is none.
pub fn duty(site: &Site, joiner: &Joiner) -> Option<Duty> {
    match &site.service {
        Service::UdpEcho => Some(Duty::Echo(site.addr.port())),
        Service::UdpStamp => Some(Duty::Stamp(Box::default())),
        Service::UdpPublish { name, .. } => {
            Some(Duty::publish(name.clone(), site.settings.clone()))
        }
        Service::UdpSubscribe { name, handshake } => {
            let settings = site.settings.clone();
            Some(Duty::send(name.clone(), joiner.clone(), *handshake, settings))
        }
        Service::TcpPublish { .. }
        | Service::TcpSubscribe { .. }
        | Service::TcpEcho
        | Service::Http
        | Service::Rtmp
        | Service::Dial(_) => None,
    }
}
