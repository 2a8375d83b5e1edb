//! Floors for many: one `recv`, then what takes it to everybody with the
//! fewest calls. Each is a process of its own that says where it listens in the
//! server's words, and sleeps when it has nothing to do, as the server does
//! where cost is measured.

use crate::floor;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nearlight::options::{SocketOptions, Transport};
use nearlight::sys::address::Destination;
use nearlight::sys::affinity;
use nearlight::sys::datagram::{Datagram, Gso, Outgoing};
use nearlight::sys::process::raise_nofile;
use nearlight::sys::socket::{Reuse, Udp};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

/// More than any burst.
const BUFFER: usize = 64 * 1024;
/// Bytes of a datagram.
const DATAGRAM: usize = 1316;

/// Which least program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// A `send` to each of so many connections.
    Tcp(usize),
    /// A `sendto` for each datagram to each of so many addresses.
    SendTo(usize),
    /// `sendmmsg` for all, a burst each, which the kernel cuts apart.
    Gso(usize),
    /// So many pairs of connections: what one brings goes out on the other.
    Streams(usize),
}

impl Bare {
    /// Arguments of this program for it.
    pub(crate) fn args(self, cpu: usize, cc: &str) -> Vec<String> {
        let (name, count) = match self {
            Self::Tcp(count) => ("tcp", count),
            Self::SendTo(count) => ("sendto", count),
            Self::Gso(count) => ("gso", count),
            Self::Streams(count) => ("streams", count),
        };
        ["--bare", name, &count.to_string(), &cpu.to_string(), cc].map(str::to_owned).into()
    }

    /// What [`Self::args`] wrote.
    fn of(name: &str, count: &str) -> Option<Self> {
        let count = count.parse().ok()?;
        match name {
            "tcp" => Some(Self::Tcp(count)),
            "sendto" => Some(Self::SendTo(count)),
            "gso" => Some(Self::Gso(count)),
            "streams" => Some(Self::Streams(count)),
            _ => None,
        }
    }
}

/// Runs the floor that the arguments behind `--bare` name until its publisher
/// goes away.
pub(crate) fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [name, count, cpu, cc] = args else {
        return Err("--bare is for the benchmark's own use".into());
    };
    let bare = Bare::of(name, count).ok_or("--bare is for the benchmark's own use")?;
    raise_nofile()?;
    affinity::pin_to(cpu.parse()?)?;
    let outcome = match bare {
        Bare::Tcp(count) => tcp(count, cc),
        Bare::SendTo(count) => send_to(count, cc),
        Bare::Gso(count) => gso(count, cc),
        Bare::Streams(count) => streams(count, cc),
    };
    match outcome {
        // The load generator has what it wanted, and left.
        Err(why) if why.downcast_ref().is_some_and(is_end) => Ok(()),
        outcome => outcome,
    }
}

fn is_end(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionRefused
    )
}

fn tcp(count: usize, cc: &str) -> Result<(), Box<dyn Error>> {
    let (publish, subscribe) = (floor::listen(cc)?, floor::listen(cc)?);
    let ports = [publish.local_addr()?.port(), subscribe.local_addr()?.port()];
    floor::say(&[("tcp", ports[0]), ("tcp", ports[1])])?;
    let mut conns = Vec::new();
    for _ in 0..count {
        conns.push(subscribe.accept()?.0);
    }
    let (mut publisher, _) = publish.accept()?;
    let mut bytes = vec![0; BUFFER];
    loop {
        let len = publisher.read(&mut bytes)?;
        if len == 0 {
            return Ok(());
        }
        for conn in &mut conns {
            conn.write_all(&bytes[..len])?;
        }
    }
}

/// A socket that is told by `count` addresses that they want the stream, and
/// the publisher.
fn gather(count: usize, cc: &str) -> Result<(Udp, Vec<SocketAddr>, TcpStream), Box<dyn Error>> {
    let publish = floor::listen(cc)?;
    let socket = Udp::bind((Ipv4Addr::LOCALHOST, 0).into(), Reuse::No, |_| Ok(()))?;
    SocketOptions::defaults(Transport::Udp, false).apply_udp(socket.as_fd())?;
    let port = socket.local_addr()?.port();
    floor::say(&[("tcp", publish.local_addr()?.port()), ("udp", port)])?;
    let mut found = BTreeSet::new();
    while found.len() < count {
        match socket.recv(&mut [0; 64]) {
            Ok(received) => drop(found.insert(received.from)),
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) => return Err(why.into()),
        }
    }
    let (publisher, _) = publish.accept()?;
    Ok((socket, found.into_iter().collect(), publisher))
}

fn send_to(count: usize, cc: &str) -> Result<(), Box<dyn Error>> {
    let (socket, addresses, mut publisher) = gather(count, cc)?;
    // std's call is the system call and nothing else.
    let socket = UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
    let mut bytes = vec![0; BUFFER];
    loop {
        let len = publisher.read(&mut bytes)?;
        if len == 0 {
            return Ok(());
        }
        for address in &addresses {
            for datagram in bytes[..len].chunks(DATAGRAM) {
                socket.send_to(datagram, address)?;
            }
        }
    }
}

fn gso(count: usize, cc: &str) -> Result<(), Box<dyn Error>> {
    let (socket, addresses, mut publisher) = gather(count, cc)?;
    let addresses: Vec<Destination> = addresses.into_iter().map(Destination::from).collect();
    let mut outgoing = Outgoing::default();
    let mut bytes = vec![0; BUFFER];
    loop {
        let len = publisher.read(&mut bytes)?;
        if len == 0 {
            return Ok(());
        }
        let gso = Gso::new(DATAGRAM, len);
        let slices = [IoSlice::new(&bytes[..len])];
        let datagram = |to| Datagram { to, slices: &slices, gso: gso.as_ref() };
        let sent = outgoing.send(&socket, addresses.iter().map(datagram));
        if let Some(why) = sent.error {
            return Err(why.into());
        }
    }
}

/// `epoll_wait`, and a `recv` and a `send` for each that it tells of.
fn streams(count: usize, cc: &str) -> Result<(), Box<dyn Error>> {
    let (publish, subscribe) = (floor::listen(cc)?, floor::listen(cc)?);
    let ports = [publish.local_addr()?.port(), subscribe.local_addr()?.port()];
    floor::say(&[("tcp", ports[0]), ("tcp", ports[1])])?;
    let mut poll = Poll::new()?;
    let mut pairs = Vec::new();
    for n in 0..count {
        let (publisher, subscriber) = (publish.accept()?.0, subscribe.accept()?.0);
        publisher.set_nonblocking(true)?;
        let fd = publisher.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), Token(n), Interest::READABLE)?;
        pairs.push((publisher, subscriber));
    }
    let mut events = Events::with_capacity(256);
    let mut bytes = vec![0; BUFFER];
    loop {
        match poll.poll(&mut events, None) {
            Err(why) if why.kind() != ErrorKind::Interrupted => return Err(why.into()),
            _ => {}
        }
        for event in &events {
            let (publisher, subscriber) = &mut pairs[event.token().0];
            let len = match publisher.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(len) => len,
                Err(why) if why.kind() == ErrorKind::WouldBlock => continue,
                Err(why) => return Err(why.into()),
            };
            subscriber.write_all(&bytes[..len])?;
        }
    }
}
