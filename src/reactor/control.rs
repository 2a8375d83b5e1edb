//! Messages between shards, and from a shard to itself: the answers and news
//! that a conn may have to wait for. None of them carries payload.

use super::accept::Listeners;
use super::close;
use super::conn::{Conn, Role};
use super::session::Desk;
use super::site::Sites;
use super::slab::{Key, Slab};
use super::streams::Streams;
use super::turn::{Alarm, Turn};
use super::udp::Ports;
use crate::limits::{CONTROL_MESSAGES, DRAIN_TIME};
use crate::protocol::Name;
use crate::relay::Claim;
use crate::sys::socket::Socket;

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
    /// Stop accepting, end publishers, flush, close.
    Drain,
}

/// Who claims a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimer {
    /// A connection.
    Conn(Key),
    /// A UDP socket.
    Udp(usize),
}

/// Handles up to `CONTROL_MESSAGES`.
pub fn handle<S: Socket>(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
    ports: &mut Ports,
    listeners: &mut Listeners,
) {
    for _ in 0..CONTROL_MESSAGES {
        let Some(message) = turn.ready.control.pop_front() else {
            return;
        };
        match message {
            Control::Claimed { claimer: Claimer::Udp(port), claim, .. } => {
                ports.claimed(port, claim, turn, streams);
            }
            Control::Claimed { claimer: Claimer::Conn(key), name, claim } => {
                match conns.get_mut(key).filter(|conn| matches!(conn.role, Role::Claiming(_))) {
                    Some(conn) => Desk { turn, streams, sites }.claimed(key, conn, claim),
                    None => give_back(&name, claim, streams),
                }
            }
            Control::Announced { name, stream } => {
                Desk { turn, streams, sites }.announced(&name, stream, conns);
            }
            Control::Drain => drain(turn, streams, conns, sites, ports, listeners),
        }
    }
    turn.counters.exhausted.control.bump();
}

/// The claimer went before its answer came.
fn give_back(name: &Name, claim: Claim, streams: &Streams) {
    if let Claim::Granted { epoch, .. } = claim {
        streams.directory.release(name, epoch);
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
