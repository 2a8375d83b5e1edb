//! Listeners → connections, a few a turn: new clients never delay a stream.

use super::conn::Conn;
use super::session::{self, Desk};
use super::site::Sites;
use super::slab::{Key, Slab};
use super::streams::Streams;
use super::turn::{Alarm, Turn};
use crate::limits::{ACCEPT_PAUSE, ACCEPTS, CONNECTIONS};
use crate::options::SocketOptions;
use crate::report::Phase;
use crate::sys::socket::{Socket, Tcp, TcpListener, is_exhausted};
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// A listening socket and what its connections get.
#[derive(Debug)]
pub struct Listener {
    /// The socket; gone once the server drains.
    pub socket: Option<TcpListener>,
    /// Its number among the sites.
    pub site: usize,
    /// What each connection is set to.
    pub options: SocketOptions,
    /// On the list of those with connections to accept.
    is_listed: bool,
    /// Waits for descriptors or memory.
    is_paused: bool,
}

/// All TCP listeners of a shard.
#[derive(Debug, Default)]
pub struct Listeners {
    list: Vec<Listener>,
}

impl Listeners {
    /// Takes a listener in; answers its number.
    pub fn push(&mut self, socket: TcpListener, site: usize, options: SocketOptions) -> usize {
        self.list.push(Listener {
            socket: Some(socket),
            site,
            options,
            is_listed: false,
            is_paused: false,
        });
        self.list.len() - 1
    }

    /// The socket of a listener, while it listens.
    pub fn socket(&self, listener: usize) -> Option<&TcpListener> {
        self.list.get(listener)?.socket.as_ref()
    }

    /// Connections wait at a listener.
    pub fn readable(&mut self, listener: usize, turn: &mut Turn) {
        let Some(entry) = self.list.get_mut(listener) else {
            return;
        };
        if !entry.is_listed && !entry.is_paused {
            entry.is_listed = true;
            turn.ready.accepts.push_back(listener);
        }
    }

    /// A pause is over. The kernel told of the waiting connections once, so
    /// this asks without being told.
    pub fn resume(&mut self, listener: usize, turn: &mut Turn) {
        if let Some(entry) = self.list.get_mut(listener) {
            entry.is_paused = false;
        }
        self.readable(listener, turn);
    }

    /// Stops listening.
    pub fn close(&mut self) {
        for entry in &mut self.list {
            entry.socket = None;
        }
    }
}

/// Accepts up to `ACCEPTS` connections from each listener that has some.
pub fn pump(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<Tcp>>,
    sites: &Sites,
    listeners: &mut Listeners,
    registry: &Registry,
) {
    for _ in 0..turn.ready.accepts.len() {
        let Some(number) = turn.ready.accepts.pop_front() else {
            return;
        };
        let Some(listener) = listeners.list.get_mut(number) else {
            continue;
        };
        listener.is_listed = false;
        match some(listener, turn, streams, conns, sites, registry) {
            Ok(true) => {
                turn.exhaust(Phase::Accepts);
                listeners.readable(number, turn);
            }
            Ok(false) => {}
            Err(why) => {
                turn.counters.accept_failures.bump();
                log::warn!(
                    "{}: accept: {why}; trying again shortly",
                    sites.list[listener.site].url
                );
                listener.is_paused = true;
                turn.timers.arm(turn.now + ACCEPT_PAUSE, Alarm::Accept(number));
            }
        }
    }
}

/// Accepts from one listener; answers whether more may wait.
fn some(
    listener: &Listener,
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<Tcp>>,
    sites: &Sites,
    registry: &Registry,
) -> io::Result<bool> {
    let Some(socket) = &listener.socket else {
        return Ok(false);
    };
    for _ in 0..ACCEPTS {
        if conns.len() >= CONNECTIONS {
            return Err(io::Error::other("too many connections"));
        }
        match socket.accept() {
            Ok((tcp, peer)) => {
                turn.accepted(listener.site);
                let given = (tcp, peer);
                if let Err(why) = admit(listener, given, turn, streams, conns, sites, registry) {
                    turn.closed(listener.site);
                    log::warn!("{peer}: {why}");
                }
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(why) if is_exhausted(&why) => return Err(why),
            // That one connection is gone; the next may be well.
            Err(why) => log::debug!("accept: {why}"),
        }
    }
    Ok(true)
}

/// Makes a connection of an accepted socket.
fn admit(
    listener: &Listener,
    (socket, peer): (Tcp, SocketAddr),
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<Tcp>>,
    sites: &Sites,
    registry: &Registry,
) -> io::Result<()> {
    listener.options.apply_accepted(socket.as_fd()).map_err(io::Error::other)?;
    let fd = socket.as_raw_fd();
    let role = session::role(&sites.list[listener.site], turn.now);
    let key = conns.insert(Conn::new(socket, peer, listener.site, role, turn.now));
    if let Err(why) = register(registry, fd, key) {
        conns.remove(key);
        return Err(why);
    }
    begin(key, turn, streams, conns, sites);
    Ok(())
}

/// Has a connection watched, once and for both directions.
pub(super) fn register(registry: &Registry, fd: RawFd, key: Key) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut SourceFd(&fd), key.token(), interest)
}

/// What a new connection does before it has said anything.
pub fn begin<S: Socket>(
    key: Key,
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
) {
    let Some(conn) = conns.get_mut(key) else {
        return;
    };
    let Some(awaiting) = conn.take_awaiting() else {
        return session::arm(key, conn, turn, streams);
    };
    let mut desk = Desk { turn, streams, sites };
    let read = desk.subscribe(key, conn, awaiting);
    desk.go_on(key, conn, read);
}
