//! From a plan to a shard: every socket bound, every option set and read
//! back, every source registered with the poll.

use super::Shard;
use super::accept::Listeners;
use super::plan::{Listen, Plan, Push, Service};
use super::site::{Site, Sites};
use super::slab::Slab;
use super::streams::Streams;
use super::turn::Turn;
use super::udp::{self, Duty, Ports};
use crate::limits::EVENTS;
use crate::options::Granted;
use crate::protocol::http::Rules;
use crate::protocol::udp_join::Joiner;
use crate::relay::{Directory, Settings};
use crate::sys::clock::Clock;
use crate::sys::error::{SysError, SysResult};
use crate::sys::process::{Signals, random_bytes};
use crate::sys::socket::{Reuse, TcpListener, Udp};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

/// Signals.
pub(super) const SIGNALS: Token = Token(0);
/// Listeners count from here, UDP sockets from `PORTS`.
const LISTENERS: usize = 1 << 16;
const PORTS: usize = 2 << 16;

/// A fixed source of events.
pub(super) enum Source {
    /// A TCP listener, by number.
    Listener(usize),
    /// A UDP socket, by number.
    Port(usize),
}

/// Which fixed source a token names.
pub(super) const fn source(token: Token) -> Source {
    if token.0 >= PORTS {
        Source::Port(token.0 - PORTS)
    } else {
        Source::Listener(token.0.saturating_sub(LISTENERS))
    }
}

impl Shard {
    /// Binds everything that `plan` asks for.
    ///
    /// # Errors
    /// What could not be bound or set: operation, address, reason.
    pub fn bind(
        plan: &Plan,
        directory: Arc<Directory>,
        signals: Option<Signals>,
    ) -> SysResult<Self> {
        let poll =
            Poll::new().map_err(|why| SysError::new("epoll_create", "the event loop", why))?;
        let lags = plan.listeners.iter().map(|listen| Settings::of(&listen.ask).max_lag);
        let largest_lag = lags.max().unwrap_or(crate::limits::MAX_LAG);
        let rules = Rules { allow_hosts: plan.allow_hosts.clone(), listen: Vec::new() };
        let mut shard = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            turn: Turn::new(Clock::now),
            streams: Streams::new(directory, 0, largest_lag),
            conns: Slab::default(),
            sites: Sites { list: Vec::new(), rules },
            listeners: Listeners::default(),
            ports: Ports::default(),
            signals,
            idle: plan.idle,
            worked: crate::base::Instant::ZERO,
        };
        let joiner = joiner()?;
        for listen in &plan.listeners {
            shard.listen(listen, &joiner)?;
        }
        for push in &plan.pushes {
            shard.push(push, &joiner)?;
        }
        udp::wire(&shard.ports, &mut shard.streams);
        if let Some(signals) = &shard.signals {
            shard.register(signals.as_raw_fd(), SIGNALS)?;
        }
        Ok(shard)
    }

    /// The listeners' URLs as given, with the addresses they really have, in
    /// the order given.
    pub fn listening(&self) -> impl Iterator<Item = &Site> {
        self.sites.list.iter()
    }

    fn listen(&mut self, listen: &Listen, joiner: &Joiner) -> SysResult<()> {
        let number = self.sites.list.len();
        let settings = Settings::of(&listen.ask);
        let mut site = Site {
            url: listen.url.clone(),
            addr: listen.addr,
            service: listen.service.clone(),
            settings,
            quickack: listen.socket.quickack(),
        };
        match &listen.service {
            Service::Http
            | Service::TcpEcho
            | Service::TcpPublish { .. }
            | Service::TcpSubscribe { .. } => {
                let socket = bind_tcp(listen)?;
                site.addr = local(&socket.local_addr(), listen.addr)?;
                if listen.service == Service::Http {
                    self.sites.rules.listen.push(site.addr);
                }
                let fd = socket.as_raw_fd();
                let at = self.listeners.push(socket, number, listen.socket.clone());
                self.sites.list.push(site);
                self.register(fd, Token(LISTENERS + at))
            }
            Service::UdpEcho | Service::UdpPublish { .. } | Service::UdpSubscribe { .. } => {
                let socket = bind_udp(listen)?;
                site.addr = local(&socket.local_addr(), listen.addr)?;
                self.sites.list.push(site);
                let Some(duty) = udp::duty(number, &self.sites, joiner) else {
                    return Ok(());
                };
                self.add_port(socket, duty)
            }
        }
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
        self.add_port(socket, duty)
    }

    fn add_port(&mut self, socket: Udp, duty: Duty) -> SysResult<()> {
        let fd = socket.as_raw_fd();
        let number = self.ports.list.len();
        self.ports.push(socket, duty);
        self.register(fd, Token(PORTS + number))
    }

    fn register(&self, fd: RawFd, token: Token) -> SysResult<()> {
        self.poll
            .registry()
            .register(&mut SourceFd(&fd), token, Interest::READABLE)
            .map_err(|why| SysError::new("epoll_ctl", "a socket", why))
    }
}

fn bind_tcp(listen: &Listen) -> SysResult<TcpListener> {
    let mut granted = Ok(Vec::new());
    let prepare = |fd: BorrowedFd<'_>| {
        granted = listen.socket.prepare_listener(fd);
        Ok(())
    };
    let socket = TcpListener::bind(listen.addr, false, listen.socket.backlog(), prepare)?;
    let refuse = |why| refused(&listen.url, &why);
    report(&listen.url, granted.map_err(refuse)?);
    report(&listen.url, listen.socket.confirm_listening(socket.as_fd()).map_err(refuse)?);
    Ok(socket)
}

fn bind_udp(listen: &Listen) -> SysResult<Udp> {
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
    let reuse = if group.is_some() { Reuse::Group } else { Reuse::No };
    let socket = Udp::bind(listen.addr, reuse, |fd| {
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
