//! From a plan to sockets: everything bound, every option set and read back.
//!
//! One thread binds for all shards, so that what can't be had is known before
//! any runs; then each takes its [`Seat`] to its own thread.

use crate::limits::MAX_LAG;
use crate::options::Granted;
use crate::protocol::http::Rules;
use crate::protocol::udp_join::Joiner;
use crate::reactor::plan::{Listen, Plan, Push, Service};
use crate::reactor::seat::Seat;
use crate::reactor::site::Site;
use crate::reactor::udp::{self, Duty};
use crate::relay::Settings;
use crate::sys::error::{SysError, SysResult};
use crate::sys::process::random_bytes;
use crate::sys::socket::{Reuse, TcpListener, Udp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// Binds everything that `plan` asks for, for as many shards as it has cores.
///
/// # Errors
/// What could not be bound or set: operation, address, reason.
pub(super) fn bind(plan: &Plan) -> SysResult<Vec<Seat>> {
    let asks = plan.listeners.iter().map(|listen| &listen.ask);
    let asks = asks.chain(plan.dials.iter().map(|dial| &dial.ask));
    let largest_lag = asks.map(|ask| Settings::of(ask).max_lag).max().unwrap_or(MAX_LAG);
    let rules = Rules { allow_hosts: plan.allow_hosts.clone(), listen: Vec::new() };
    let mut seats = Seat::row(plan.cpus.len().max(1), &rules, largest_lag, plan.idle)?;
    let joiner = joiner()?;
    for listen in &plan.listeners {
        bind_site(listen, &mut seats, &plan.cpus, &joiner)?;
    }
    // Behind the listeners: what a dialer makes has a site as what they accept.
    for dial in &plan.dials {
        for seat in &mut seats {
            seat.add_site(Site::dialed(dial));
        }
    }
    for push in &plan.pushes {
        for seat in &mut seats {
            bind_push(push, seat, &joiner)?;
        }
    }
    Ok(seats)
}

/// Binds one listener for every shard.
fn bind_site(
    listen: &Listen,
    seats: &mut [Seat],
    cpus: &[usize],
    joiner: &Joiner,
) -> SysResult<()> {
    let mut site = Site::of(listen);
    let number = seats.first().map_or(0, |seat| seat.sites().len());
    let is_shared = seats.len() > 1 && !matches!(site.service, Service::UdpPublish { .. });
    if is_shared {
        site.addr = probe(listen)?;
    }
    // A stream of datagrams stays on one shard, and each datagram of a multicast
    // group comes to every socket: these are spread over the shards.
    let home = number % seats.len().max(1);
    for seat in seats.iter_mut().filter(|seat| is_shared || seat.id() == home) {
        let at = site.addr;
        let socket = listen.socket.on_cpu(cpus.get(seat.id()).copied());
        let listen = &Listen { socket, ..listen.clone() };
        match site.service {
            Service::Http
            | Service::Rtmp
            | Service::TcpEcho
            | Service::TcpPublish { .. }
            | Service::TcpSubscribe { .. } => {
                let socket = bind_tcp(listen, at, is_shared)?;
                site.addr = local(&socket.local_addr(), at)?;
                seat.add_listener(socket, number, listen.socket.clone());
            }
            Service::UdpEcho
            | Service::UdpStamp
            | Service::UdpPublish { .. }
            | Service::UdpSubscribe { .. } => {
                let socket = bind_udp(listen, at, is_shared)?;
                site.addr = local(&socket.local_addr(), at)?;
                if let Some(duty) = udp::duty(&site, joiner) {
                    seat.add_port(socket, duty, Some(number));
                }
            }
            // Nothing listens.
            Service::Dial(_) => {}
        }
    }
    for seat in seats {
        seat.add_site(site.clone());
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

/// A socket that sends a stream to one address.
fn bind_push(push: &Push, seat: &mut Seat, joiner: &Joiner) -> SysResult<()> {
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
    let settings = Settings::of(&push.ask);
    let duty = Duty::push(push.name.clone(), joiner.clone(), push.to, settings);
    seat.add_port(socket, duty, None);
    Ok(())
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
        | Service::Rtmp
        | Service::TcpEcho
        | Service::TcpPublish { .. }
        | Service::TcpSubscribe { .. }
        | Service::UdpEcho
        | Service::UdpStamp
        | Service::UdpSubscribe { .. }
        | Service::Dial(_) => None,
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
    if listen.service == Service::UdpStamp {
        socket.enable_ttl()?;
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
pub(super) fn report(url: &str, granted: Vec<Granted>) {
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
