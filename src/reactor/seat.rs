//! What a shard takes to its own thread: sockets that are bound, and a way to
//! reach the others.

use super::Shard;
use super::accept::Listeners;
use super::office::Office;
use super::peers::Peers;
use super::plan::{Idle, Service};
use super::site::{Site, Sites};
use super::slab::Slab;
use super::streams::Streams;
use super::turn::Turn;
use super::udp::{self, Duty, Ports};
use crate::limits::EVENTS;
use crate::options::SocketOptions;
use crate::protocol::http::Rules;
use crate::relay::{Directory, ShardId};
use crate::sys::clock::Clock;
use crate::sys::error::{SysError, SysResult};
use crate::sys::socket::{TcpListener, Udp};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Other shards: who wakes this one has put the reason elsewhere.
const WAKER: Token = Token(0);
/// Listeners count from here, UDP sockets from `PORTS`.
const LISTENERS: usize = 1 << 16;
const PORTS: usize = 2 << 16;

/// A fixed source of events.
pub(super) enum Source {
    /// Another shard.
    Waker,
    /// A TCP listener, by number.
    Listener(usize),
    /// A UDP socket, by number.
    Port(usize),
}

/// Which fixed source a token names.
pub(super) const fn source(token: Token) -> Source {
    match token.0 {
        PORTS.. => Source::Port(token.0 - PORTS),
        LISTENERS.. => Source::Listener(token.0 - LISTENERS),
        _ => Source::Waker,
    }
}

/// What a shard takes to its thread.
pub struct Seat {
    id: ShardId,
    poll: Poll,
    sites: Sites,
    listeners: Vec<(TcpListener, usize, SocketOptions)>,
    ports: Vec<(Udp, Duty, Option<usize>)>,
    peers: Arc<Peers>,
    directory: Arc<Directory>,
    largest_lag: Duration,
    idle: Idle,
}

impl Seat {
    /// Seats for `count` shards that know each other, without a socket.
    ///
    /// # Errors
    /// The kernel's.
    pub fn row(
        count: usize,
        rules: &Rules,
        largest_lag: Duration,
        idle: Idle,
    ) -> SysResult<Vec<Self>> {
        let mut polls = Vec::new();
        let mut wakers = Vec::new();
        for _ in 0..count {
            let poll =
                Poll::new().map_err(|why| SysError::new("epoll_create", "the event loop", why))?;
            let waker = Waker::new(poll.registry(), WAKER);
            wakers.push(waker.map_err(|why| SysError::new("eventfd", "the event loop", why))?);
            polls.push(poll);
        }
        let (peers, directory) = (Peers::new(wakers), Arc::new(Directory::default()));
        let seat = |(id, poll)| Self {
            id,
            poll,
            sites: Sites { list: Vec::new(), rules: rules.clone(), office: None },
            listeners: Vec::new(),
            ports: Vec::new(),
            peers: Arc::clone(&peers),
            directory: Arc::clone(&directory),
            largest_lag,
            idle,
        };
        Ok(polls.into_iter().enumerate().map(seat).collect())
    }

    /// Which shard sits here.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Every listener of the server, whether a socket of it is here or not.
    pub fn sites(&self) -> &[Site] {
        &self.sites.list
    }

    /// All shards.
    pub fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// Who owns which name.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Takes a site in; requests to it name an address of ours.
    pub fn add_site(&mut self, site: Site) {
        if site.service == Service::Http {
            self.sites.rules.listen.push(site.addr);
        }
        self.sites.list.push(site);
    }

    /// Takes in a listener of site number `site`, and what is to be set on its
    /// connections.
    pub fn add_listener(&mut self, socket: TcpListener, site: usize, options: SocketOptions) {
        self.listeners.push((socket, site, options));
    }

    /// Takes in a UDP socket, of site number `site` if it is a listener's.
    pub fn add_port(&mut self, socket: Udp, duty: Duty, site: Option<usize>) {
        self.ports.push((socket, duty, site));
    }

    /// Has pages made by others.
    pub fn order_from(&mut self, office: Office) {
        self.sites.office = Some(office);
    }

    /// The shard, in the thread that runs it.
    ///
    /// # Errors
    /// A socket that can't be watched.
    pub fn take(self) -> SysResult<Shard> {
        let mut shard = Shard {
            id: self.id,
            poll: self.poll,
            events: Events::with_capacity(EVENTS),
            turn: Turn::new(Clock::now),
            streams: Streams::new(
                self.directory,
                Arc::clone(&self.peers),
                self.id,
                self.largest_lag,
            ),
            conns: Slab::default(),
            sites: self.sites,
            listeners: Listeners::default(),
            ports: Ports::default(),
            peers: self.peers,
            idle: self.idle,
            worked: crate::base::Instant::ZERO,
        };
        for (socket, site, options) in self.listeners {
            let fd = socket.as_raw_fd();
            let number = shard.listeners.push(socket, site, options);
            watch(&shard.poll, fd, Token(LISTENERS + number))?;
        }
        for (number, (socket, duty, site)) in self.ports.into_iter().enumerate() {
            watch(&shard.poll, socket.as_raw_fd(), Token(PORTS + number))?;
            shard.ports.push(socket, duty);
            shard.ports.list[number].site = site;
        }
        shard.turn.listeners.resize_with(shard.sites.list.len(), Default::default);
        udp::wire(&shard.ports, &mut shard.streams);
        shard.streams.listed = shard.sites.sent().cloned().collect();
        Ok(shard)
    }
}

fn watch(poll: &Poll, fd: RawFd, token: Token) -> SysResult<()> {
    poll.registry()
        .register(&mut SourceFd(&fd), token, Interest::READABLE)
        .map_err(|why| SysError::new("epoll_ctl", "a socket", why))
}
