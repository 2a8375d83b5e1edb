//! Messages between shards, and from a shard to itself: the answers and news
//! that a conn may have to wait for. None of them carries payload.

use super::accept::{self, Listeners};
use super::close;
use super::conn::{Awaiting, Claiming, Conn, Role};
use super::dial::Dialed;
use super::links::Offer;
use super::live::News;
use super::rtmp::Rtmp;
use super::session::Desk;
use super::site::Sites;
use super::slab::{Key, Slab};
use super::snapshot;
use super::streams::Streams;
use super::turn::{Alarm, Turn};
use super::udp::Ports;
use crate::limits::{CONNECTIONS, CONTROL_MESSAGES, DRAIN_TIME};
use crate::protocol::Name;
use crate::relay::{Claim, ShardId};
use crate::report::{DialFailure, Phase, Snapshot, Turns};
use crate::sys::socket::Socket;
use mio::Registry;
use mio::unix::SourceFd;
use std::any::Any;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;

/// One message.
#[derive(Debug)]
pub enum Control {
    /// The directory's answer to a publisher that claims a name.
    Claimed {
        /// Who asked.
        claimer: Claimer,
        /// What it asked for.
        name: Name,
        /// The answer.
        claim: Claim,
    },
    /// Stream `name`, for which subscribers here wait, is live.
    Announced {
        /// Its name.
        name: Name,
        /// The stream. It may be over already: then they get what it was.
        stream: Key,
    },
    /// A shard asks for a stream of this one, to follow it.
    Link {
        /// Its name.
        name: Name,
        /// Who asks.
        from: ShardId,
        /// Which slot of its doorbell the stream has there.
        slot: usize,
    },
    /// The answer.
    Linked {
        /// What was asked for.
        name: Name,
        /// In which slot.
        slot: usize,
        /// The stream; none if it is over.
        offer: Option<Box<Offer>>,
    },
    /// A shard follows a stream of this one no longer.
    CutOff {
        /// Its name.
        name: Name,
        /// Its epoch.
        epoch: u64,
        /// Who followed it.
        from: ShardId,
        /// In which slot.
        slot: usize,
    },
    /// A connection that goes on here, for a stream of this shard is its own, or
    /// its dialer has made it.
    Adopt(Box<Adopted>),
    /// A dialer has failed, and tries again.
    DialFailed(DialFailure),
    /// What does this shard do?
    Snapshot {
        /// Who asks.
        reply: SyncSender<Snapshot>,
        /// The one stream that is asked about; none: all.
        of: Option<Name>,
        /// Who gets it, too.
        tells_who: bool,
    },
    /// What have this shard's last turns done?
    Turns {
        /// Who asks.
        reply: SyncSender<Turns>,
    },
    /// A page that a connection waits for.
    Answer {
        /// The connection.
        conn: Key,
        /// The response.
        text: Vec<u8>,
        /// Another request may follow.
        keep_alive: bool,
    },
    /// What open pages are told.
    News(News),
    /// What a stream becomes is to be brought further up to date.
    Feed(Key),
    /// Stop accepting, end publishers, flush, close.
    Drain,
}

/// A connection on its way to the shard of its stream.
#[derive(Debug)]
pub struct Adopted {
    /// The shard that takes it knows of what kind it is: its own.
    socket: Box<dyn Any + Send>,
    peer: SocketAddr,
    site: usize,
    wish: Wish,
    dialed: Option<Box<Dialed>>,
    rtmp: Option<Box<Rtmp>>,
    /// What it has still to be sent.
    out: VecDeque<u8>,
}

/// What a connection is to be where it goes.
#[derive(Debug)]
pub enum Wish {
    /// The publisher of a stream.
    Publish(Claiming),
    /// A subscriber.
    Subscribe(Awaiting),
}

impl Adopted {
    /// A connection that a dialer has made, for site number `site`.
    pub fn dialed<S: Socket>(
        socket: S,
        peer: SocketAddr,
        site: usize,
        wish: Wish,
        dialed: Dialed,
        rtmp: Option<Box<Rtmp>>,
    ) -> Box<Self> {
        let (socket, dialed) = (Box::new(socket), Some(Box::new(dialed)));
        Box::new(Self { socket, peer, site, wish, dialed, rtmp, out: VecDeque::new() })
    }
}

/// Who claims a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimer {
    /// A connection.
    Conn(Key),
    /// A UDP socket.
    Udp(usize),
}

/// Handles up to `CONTROL_MESSAGES`. Connections that come from other shards or
/// go there are known to `registry`.
pub fn handle<S: Socket>(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
    ports: &mut Ports,
    listeners: &mut Listeners,
    registry: Option<&Registry>,
) {
    for _ in 0..CONTROL_MESSAGES {
        let Some(message) = turn.ready.control.pop_front() else {
            return;
        };
        match message {
            Control::Claimed { claimer: Claimer::Udp(port), claim, .. } => {
                ports.claimed(port, claim, turn, streams);
            }
            Control::Claimed {
                claimer: Claimer::Conn(key),
                claim: Claim::Resting { owner },
                ..
            } => hand_over(key, owner, streams, conns, registry),
            Control::Claimed { claimer: Claimer::Conn(key), name, claim } => {
                match conns.get_mut(key).filter(|conn| matches!(conn.role, Role::Claiming(_))) {
                    Some(conn) => Desk { turn, streams, sites }.claimed(key, conn, claim),
                    None => give_back(&name, claim, streams),
                }
            }
            Control::Announced { name, stream } => {
                Desk { turn, streams, sites }.announced(&name, Some(stream), conns);
            }
            Control::Link { name, from, slot } => streams.offer(name, from, slot),
            Control::Linked { name, slot, offer } => {
                let stream = streams.linked(&name, slot, offer, turn, conns);
                Desk { turn, streams, sites }.announced(&name, stream, conns);
            }
            Control::CutOff { name, epoch, from, slot } => {
                streams.cut_off(&name, epoch, from, slot);
            }
            Control::Adopt(adopted) => adopt(*adopted, turn, streams, conns, sites, registry),
            Control::DialFailed(why) => turn.counters.fail_dial(why),
            // Who has stopped waiting for it needs no answer.
            Control::Snapshot { reply, of, tells_who } => {
                let of = of.as_ref();
                let mut snapshot = snapshot::take(turn, streams, Some(ports), of);
                if tells_who {
                    snapshot.subscribers = snapshot::subscribers(turn, streams, conns, ports, of);
                }
                drop(reply.try_send(snapshot));
            }
            Control::Turns { reply } => drop(reply.try_send(turn.recorder.turns(streams.shard))),
            Control::Answer { conn: key, text, keep_alive } => {
                if let Some(conn) = conns.get_mut(key) {
                    Desk { turn, streams, sites }.answered(key, conn, text, keep_alive);
                }
            }
            // These take as long as a phase may: the rest goes on in the next turn.
            Control::News(news) => return Desk { turn, streams, sites }.spread(&news, conns),
            Control::Feed(stream) => return streams.feed(stream, turn),
            Control::Drain => drain(turn, streams, conns, sites, ports, listeners),
        }
    }
    turn.exhaust(Phase::Control);
}

/// Sends a connection to the shard whose stream it continues.
fn hand_over<S: Socket>(
    key: Key,
    owner: ShardId,
    streams: &Streams,
    conns: &mut Slab<Conn<S>>,
    registry: Option<&Registry>,
) {
    // It may have become something else meanwhile, and has last words to say.
    let Some(claiming) = conns.get_mut(key).and_then(Conn::take_claiming) else { return };
    let Some(conn) = conns.remove(key) else { return };
    let (peer, site) = (conn.peer, conn.site());
    if let (Some(registry), Some(fd)) = (registry, conn.socket.fd())
        && let Err(why) = registry.deregister(&mut SourceFd(&fd))
    {
        log::warn!("{peer}: {why}");
    }
    let Conn { socket, dialed, rtmp, out, .. } = conn;
    let out = out.map(|out| *out).unwrap_or_default();
    let (socket, wish) = (Box::new(socket), Wish::Publish(claiming));
    let adopted = Adopted { socket, peer, site, wish, dialed, rtmp, out };
    streams.peers.send(owner, Control::Adopt(Box::new(adopted)));
}

/// Takes a connection in from another shard, or from its dialer.
fn adopt<S: Socket>(
    adopted: Adopted,
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
    registry: Option<&Registry>,
) {
    let Adopted { socket, peer, site, wish, mut dialed, rtmp, out } = adopted;
    let Ok(socket) = socket.downcast::<S>() else { return };
    if conns.len() >= CONNECTIONS {
        let text = "this shard has too many connections";
        match &mut dialed {
            Some(dialed) => dialed.fail(DialFailure::Refused, text),
            None => turn.closed(site),
        }
        log::warn!("{peer}: {text} to take it in");
        return;
    }
    let fd = socket.fd();
    let role = match wish {
        Wish::Publish(claiming) => Role::Claiming(Box::new(claiming)),
        Wish::Subscribe(awaiting) => Role::Awaiting(Box::new(awaiting)),
    };
    let mut conn = Conn::new(*socket, peer, site, role, turn.now);
    (turn.counters.dialed).add(u64::from(dialed.is_some()));
    (conn.dialed, conn.rtmp) = (dialed, rtmp);
    conn.out = (!out.is_empty()).then(|| Box::new(out));
    let key = conns.insert(conn);
    if let (Some(registry), Some(fd)) = (registry, fd)
        && let Err(why) = accept::register(registry, fd, key)
    {
        log::warn!("{peer}: {why}");
        close::free(key, turn, conns);
        return;
    }
    match conns.get_mut(key) {
        Some(conn) if matches!(conn.role, Role::Claiming(_)) => {
            Desk { turn, streams, sites }.adopted(key, conn);
        }
        Some(_) | None => accept::begin(key, turn, streams, conns, sites),
    }
}

/// The claimer went before its answer came.
fn give_back(name: &Name, claim: Claim, streams: &Streams) {
    if let Claim::Granted { epoch, waiters } = claim {
        streams.directory.give_back(name, epoch, waiters);
    }
}

/// Goes down: nothing new starts, streams end, and subscribers get the rest.
/// Asked a second time, it ends at once.
fn drain<S: Socket>(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
    ports: &mut Ports,
    listeners: &mut Listeners,
) {
    if std::mem::replace(&mut streams.is_draining, true) {
        turn.is_over = true;
        return;
    }
    log::info!("going down: {} connections, {} streams", conns.len(), streams.names.len());
    turn.timers.arm(turn.now + DRAIN_TIME, Alarm::Drain);
    listeners.close();
    ports.close(turn, streams);
    let live: Vec<Key> = streams.names.values().copied().collect();
    for stream in live {
        streams.end(stream, turn);
    }
    let keys: Vec<Key> = conns.keys().collect();
    for key in keys {
        let Some(conn) = conns.get_mut(key) else {
            continue;
        };
        if conn.awaits_answer() {
            Desk { turn, streams, sites }.turn_out(key, conn);
        } else if !matches!(conn.role, Role::Subscriber(_) | Role::Closing { .. }) {
            close::finish(key, conn, turn, streams);
        }
    }
}
