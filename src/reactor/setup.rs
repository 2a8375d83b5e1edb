//! From a plan to shards: every socket bound, every option set and read back.
//!
//! One thread binds for all, so that what can't be had is known before any
//! shard runs; then each shard takes its [`Seat`] to its own thread.

use super::Shard;
use super::accept::Listeners;
use super::office::Office;
use super::peers::Peers;
use super::plan::{Idle, Listen, Plan, Push, Service};
use super::site::{Site, Sites};
use super::slab::Slab;
use super::streams::Streams;
use super::turn::Turn;
use super::udp::{self, Duty, Ports};
use crate::limits::{EVENTS, MAX_LAG};
use crate::options::{Granted, SocketOptions};
use crate::protocol::http::Rules;
use crate::protocol::udp_join::Joiner;
use crate::relay::{Directory, Settings, ShardId};
use crate::sys::clock::Clock;
use crate::sys::error::{SysError, SysResult};
use crate::sys::process::random_bytes;
use crate::sys::socket::{Reuse, TcpListener, Udp};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
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
    ports: Vec<(Udp, Duty)>,
    peers: Arc<Peers>,
    directory: Arc<Directory>,
    largest_lag: Duration,
    idle: Idle,
}

/// Binds everything that `plan` asks for, for as many shards as it has cores.
///
/// # Errors
/// What could not be bound or set: operation, address, reason.
pub fn bind(plan: &Plan) -> SysResult<Vec<Seat>> {
    let count = plan.cpus.len().max(1);
    let lags = plan.listeners.iter().map(|listen| Settings::of(&listen.ask).max_lag);
    let largest_lag = lags.max().unwrap_or(MAX_LAG);
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
    let rules = Rules { allow_hosts: plan.allow_hosts.clone(), listen: Vec::new() };
    let seat = |(id, poll)| Seat {
        id,
        poll,
        sites: Sites { list: Vec::new(), rules: rules.clone(), office: None },
        listeners: Vec::new(),
        ports: Vec::new(),
        peers: Arc::clone(&peers),
        directory: Arc::clone(&directory),
        largest_lag,
        idle: plan.idle,
    };
    let mut seats: Vec<Seat> = polls.into_iter().enumerate().map(seat).collect();
    let joiner = joiner()?;
    for listen in &plan.listeners {
        bind_site(listen, &mut seats, &joiner)?;
    }
    for push in &plan.pushes {
        for seat in &mut seats {
            seat.push(push, &joiner)?;
        }
    }
    Ok(seats)
}

/// Binds one listener for every shard.
fn bind_site(listen: &Listen, seats: &mut [Seat], joiner: &Joiner) -> SysResult<()> {
    let mut site = Site::of(listen);
    let number = seats.first().map_or(0, |seat| seat.sites.list.len());
    let is_shared = seats.len() > 1 && !matches!(site.service, Service::UdpPublish { .. });
    if is_shared {
        site.addr = probe(listen)?;
    }
    // A stream of datagrams stays on one shard, and each datagram of a multicast
    // group comes to every socket: these are spread over the shards.
    let home = number % seats.len().max(1);
    for seat in seats.iter_mut().filter(|seat| is_shared || seat.id == home) {
        let at = site.addr;
        match site.service {
            Service::Http
            | Service::TcpEcho
            | Service::TcpPublish { .. }
            | Service::TcpSubscribe { .. } => {
                let socket = bind_tcp(listen, at, is_shared)?;
                site.addr = local(&socket.local_addr(), at)?;
                seat.listeners.push((socket, number, listen.socket.clone()));
            }
            Service::UdpEcho | Service::UdpPublish { .. } | Service::UdpSubscribe { .. } => {
                let socket = bind_udp(listen, at, is_shared)?;
                site.addr = local(&socket.local_addr(), at)?;
                if let Some(duty) = udp::duty(&site, joiner) {
                    seat.ports.push((socket, duty));
                }
            }
        }
    }
    for seat in seats {
        if site.service == Service::Http {
            seat.sites.rules.listen.push(site.addr);
        }
        seat.sites.list.push(site.clone());
    }
    Ok(())
}

/// The address that several sockets are about to share, with its real port. It
/// is bound alone first: once it is shared, another server could share it too,
/// and neither would know.
fn probe(listen: &Listen) -> SysResult<SocketAddr> {
    let found = if listen.service.is_tcp() {
        let socket = TcpListener::bind(listen.addr, false, 1, |_| Ok(()))?;
        socket.local_addr()
    } else {
        Udp::bind(listen.addr, Reuse::No, |_| Ok(()))?.local_addr()
    };
    local(&found, listen.addr)
}

impl Seat {
    /// The listeners' URLs as given, with the addresses they really have, in
    /// the order given.
    pub fn sites(&self) -> &[Site] {
        &self.sites.list
    }

    /// Has pages made by others.
    pub fn order_from(&mut self, office: Office) {
        self.sites.office = Some(office);
    }

    /// All shards.
    pub fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    fn push(&mut self, push: &Push, joiner: &Joiner) -> SysResult<()> {
        let any: IpAddr = match push.to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut granted = Ok(Vec::new());
        let socket = Udp::bind(SocketAddr::new(any, 0), Reuse::No, |fd| {
            granted = push.socket.apply_udp(fd);
            Ok(())
        })?;
        report(&push.url, granted.map_err(|why| refused(&push.url, &why))?);
        if push.to.ip().is_multicast() {
            // `ttl` is a socket option, set above.
            socket.multicast_out(None, push.iface.as_deref())?;
        }
        let max_lag = Settings::of(&push.ask).max_lag;
        let duty = Duty::push(push.name.clone(), joiner.clone(), push.to, max_lag);
        self.ports.push((socket, duty));
        Ok(())
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
        for (number, (socket, duty)) in self.ports.into_iter().enumerate() {
            watch(&shard.poll, socket.as_raw_fd(), Token(PORTS + number))?;
            shard.ports.push(socket, duty);
        }
        udp::wire(&shard.ports, &mut shard.streams);
        Ok(shard)
    }
}

fn watch(poll: &Poll, fd: RawFd, token: Token) -> SysResult<()> {
    poll.registry()
        .register(&mut SourceFd(&fd), token, Interest::READABLE)
        .map_err(|why| SysError::new("epoll_ctl", "a socket", why))
}

fn bind_tcp(listen: &Listen, at: SocketAddr, is_shared: bool) -> SysResult<TcpListener> {
    let mut granted = Ok(Vec::new());
    let prepare = |fd: BorrowedFd<'_>| {
        granted = listen.socket.prepare_listener(fd);
        Ok(())
    };
    let socket = TcpListener::bind(at, is_shared, listen.socket.backlog(), prepare)?;
    let refuse = |why| refused(&listen.url, &why);
    report(&listen.url, granted.map_err(refuse)?);
    report(&listen.url, listen.socket.confirm_listening(socket.as_fd()).map_err(refuse)?);
    Ok(socket)
}

fn bind_udp(listen: &Listen, at: SocketAddr, is_shared: bool) -> SysResult<Udp> {
    let mut granted = Ok(Vec::new());
    let group = match &listen.service {
        Service::UdpPublish { group, iface, .. } => group.map(|group| (group, iface.as_deref())),
        Service::Http
        | Service::TcpEcho
        | Service::TcpPublish { .. }
        | Service::TcpSubscribe { .. }
        | Service::UdpEcho
        | Service::UdpSubscribe { .. } => None,
    };
    let reuse = match group {
        Some(_) => Reuse::Group,
        None if is_shared => Reuse::Port,
        None => Reuse::No,
    };
    let socket = Udp::bind(at, reuse, |fd| {
        granted = listen.socket.apply_udp(fd);
        Ok(())
    })?;
    report(&listen.url, granted.map_err(|why| refused(&listen.url, &why))?);
    if let Some((group, iface)) = group {
        socket.join_group(group, iface)?;
    }
    if matches!(listen.service, Service::UdpPublish { .. }) {
        if !socket.enable_gro() {
            log::debug!("{}: no UDP_GRO here; datagrams come one by one", listen.url);
        }
        socket.enable_rxq_ovfl()?;
    }
    Ok(socket)
}

fn local(address: &std::io::Result<SocketAddr>, asked: SocketAddr) -> SysResult<SocketAddr> {
    match address {
        Ok(address) => Ok(*address),
        Err(why) => Err(SysError::new("getsockname", asked, std::io::Error::from(why.kind()))),
    }
}

fn refused(url: &str, why: &dyn std::error::Error) -> SysError {
    SysError::refused("set an option of", url, why.to_string())
}

/// Says what the kernel granted.
fn report(url: &str, granted: Vec<Granted>) {
    for option in granted {
        match &option.note {
            Some(note) => {
                log::warn!("{url}: {}={} (asked {}): {note}", option.name, option.got, option.asked)
            }
            None => log::debug!("{url}: {}={}", option.name, option.got),
        }
    }
}

/// Tokens of UDP joins are made with a secret of this run.
fn joiner() -> SysResult<Joiner> {
    let mut secret = [0; 32];
    random_bytes(&mut secret).map_err(|why| SysError::new("getrandom", "32 bytes", why))?;
    Ok(Joiner::new(secret))
}
