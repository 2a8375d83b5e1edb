//! The load generator for many: publishers and any number of receivers on one
//! core, watched by an epoll that never sleeps, so that the process under test
//! pays for no wake-up of its peers.
//!
//! A frame is sent when the last one has reached everybody, so bytes are
//! counted and not looked at: all are there when as many have come as all of
//! its copies have.

use crate::child::{Process, Usage};
use crate::frame::{self, Shape};
use crate::load::Pace;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nearlight::base::Instant;
use nearlight::client::hist::Hist;
use nearlight::sys::clock::Clock;
use nearlight::sys::socket::{Reuse, Udp};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Within which everybody must be served.
const SETTLE: Duration = Duration::from_secs(20);
/// Nothing for so long: nothing more is under way. Where others have the CPU
/// that may be wrong, and then it is longer the next time ...
const QUIET: Duration = Duration::from_millis(20);
/// ... up to this.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// What is missing of a frame in datagrams for so long is lost ...
const LOST: Duration = Duration::from_secs(1);
/// ... and on connections something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);
/// Receivers that don't read at once do when so much of the time to the next
/// frame is over; the dearest arm needs half of it.
const WAIT: f64 = 0.7;
/// More than any burst.
const SCRATCH: usize = 128 * 1024;
/// What asks to join a UDP stream; any 16 bytes do.
const JOIN: [u8; 16] = [b'j'; 16];

/// How receivers get their stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From a TCP listener of one stream.
    Tcp,
    /// In datagrams.
    Udp {
        /// `UDP_GRO` is set: they take several at a time.
        gro: bool,
        /// They read while the rest is being sent, and not when all is: then
        /// sender and receivers have cache lines and a memory allocator in
        /// common, as they would not on a network.
        at_once: bool,
    },
    /// A stream each, by name.
    Http,
}

/// Who is there, and what a frame is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// How streams are got.
    pub(crate) way: Way,
    /// Streams, with a publisher each.
    pub(crate) streams: usize,
    /// Receivers of each.
    pub(crate) receivers: usize,
    /// Datagrams' worth of bytes, 1316 each, sent at once.
    pub(crate) burst: usize,
}

impl Layout {
    /// Copies of one frame of each stream.
    pub(crate) const fn copies(&self) -> usize {
        self.streams * self.receivers
    }

    const fn bytes(&self) -> usize {
        self.burst * Shape::Ts.len()
    }
}

/// What one run has measured.
#[derive(Clone, Default)]
pub(crate) struct Run {
    /// Of the process under test, while frames were counted.
    pub(crate) usage: Usage,
    /// Of the load generator meanwhile.
    pub(crate) load: Usage,
    /// How long that was.
    pub(crate) span: Duration,
    /// Frames of each stream.
    pub(crate) frames: u64,
    /// Copies asked for.
    pub(crate) copies: u64,
    /// Copies that did not come.
    pub(crate) missing: u64,
    /// From send to the last receipt, of those who read at once.
    pub(crate) last: Hist,
}

impl Run {
    /// CPU time of a delivered copy, in microseconds.
    pub(crate) fn cpu_per_copy(&self) -> f64 {
        let copies = self.copies.saturating_sub(self.missing).max(1);
        self.usage.cpu.as_secs_f64() * 1e6 / copies as f64
    }

    /// CPU time of a frame, all its copies together, in microseconds.
    pub(crate) fn cpu_per_frame(&self) -> f64 {
        self.usage.cpu.as_secs_f64() * 1e6 / self.frames.max(1) as f64
    }

    /// Share of a core that the process under test took.
    pub(crate) fn busy(&self) -> f64 {
        self.usage.cpu.as_secs_f64() / self.span.as_secs_f64().max(1e-9)
    }

    /// Median time to the last receipt, in microseconds.
    pub(crate) fn last_p50(&self) -> Option<f64> {
        self.last.quantile(0.5).map(|time| time.as_secs_f64() * 1e6)
    }
}

enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Socket {
    fn recv(&self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(space),
            Self::Udp(socket) => socket.recv(space),
        }
    }

    fn fd(&self) -> i32 {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Udp(socket) => socket.as_raw_fd(),
        }
    }
}

struct Receiver {
    socket: Socket,
    has_some: bool,
}

/// Connections to a process under test.
pub(crate) struct Crowd {
    layout: Layout,
    senders: Vec<TcpStream>,
    receivers: Vec<Receiver>,
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    frame: Vec<u8>,
    sent: u64,
    /// Bytes of all receivers.
    received: u64,
}

impl Crowd {
    /// Connects everybody and sends frames until each brings every copy.
    ///
    /// # Errors
    /// The kernel's, or a receiver that gets nothing.
    pub(crate) fn connect(layout: Layout, addrs: &[SocketAddr], cc: &str) -> io::Result<Self> {
        let (Some(&publish), Some(&subscribe)) = (addrs.first(), addrs.last()) else {
            return Err(ErrorKind::AddrNotAvailable.into());
        };
        let mut crowd = Self {
            layout,
            senders: Vec::new(),
            receivers: Vec::new(),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            scratch: vec![0; SCRATCH],
            frame: Vec::new(),
            sent: 0,
            received: 0,
        };
        for stream in 0..layout.streams {
            // Of a stream that waits for its name, nobody could be counted.
            if layout.way == Way::Http {
                crowd.senders.push(http_publisher(publish, stream, cc)?);
            }
            for _ in 0..layout.receivers {
                let socket = match layout.way {
                    Way::Tcp => Socket::Tcp(tcp(subscribe, cc)?),
                    Way::Udp { gro, .. } => Socket::Udp(udp(subscribe, gro)?),
                    Way::Http => Socket::Tcp(http_subscriber(subscribe, stream, cc)?),
                };
                crowd.watch(socket)?;
            }
            if layout.way != Way::Http {
                crowd.senders.push(tcp(publish, cc)?);
            }
        }
        crowd.settle()?;
        Ok(crowd)
    }

    fn watch(&mut self, socket: Socket) -> io::Result<()> {
        match &socket {
            Socket::Tcp(stream) => stream.set_nonblocking(true)?,
            Socket::Udp(socket) => socket.set_nonblocking(true)?,
        }
        let token = Token(self.receivers.len());
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&socket.fd()), token, Interest::READABLE)?;
        self.receivers.push(Receiver { socket, has_some: false });
        Ok(())
    }

    /// A frame on every stream.
    fn send(&mut self) -> io::Result<()> {
        self.frame.clear();
        let mut one = Vec::new();
        for n in 0..self.layout.burst as u64 {
            frame::write(Shape::Ts, self.sent * self.layout.burst as u64 + n, &mut one);
            self.frame.extend_from_slice(&one);
        }
        self.sent += 1;
        for sender in &mut self.senders {
            sender.write_all(&self.frame)?;
        }
        Ok(())
    }

    /// Takes in what has come, without waiting.
    fn look(&mut self) -> io::Result<()> {
        let Self { poll, events, receivers, scratch, received, .. } = self;
        match poll.poll(events, Some(Duration::ZERO)) {
            Err(why) if why.kind() != ErrorKind::Interrupted => return Err(why),
            _ => {}
        }
        for event in &*events {
            let Receiver { socket, has_some } = &mut receivers[event.token().0];
            loop {
                let len = match socket.recv(scratch) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(len) => len,
                    Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                    // ICMP's answer to a request sent before the port was open.
                    Err(why) if why.kind() == ErrorKind::ConnectionRefused => break,
                    Err(why) => return Err(why),
                };
                *received += len as u64;
                *has_some = true;
                // Of a byte stream that was all there is; more would be told.
                if matches!(socket, Socket::Tcp(_)) && len < scratch.len() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Sends frames until one brings every copy and nothing else.
    fn settle(&mut self) -> io::Result<()> {
        let start = Clock::now();
        let wanted = (self.layout.copies() * self.layout.bytes()) as u64;
        let mut patience = QUIET;
        loop {
            self.ask_again()?;
            self.received = 0;
            self.send()?;
            let mut quiet = Clock::now();
            let mut seen = 0;
            while Clock::now().since(quiet) < patience {
                self.look()?;
                if self.received != seen {
                    (seen, quiet) = (self.received, Clock::now());
                }
            }
            if self.received == wanted {
                self.received = 0;
                return Ok(());
            }
            patience = (patience * 2).min(QUIET_MAX);
            if quiet.since(start) > SETTLE {
                let why = format!("a frame brings {} bytes, not {wanted}", self.received);
                return Err(io::Error::new(ErrorKind::TimedOut, why));
            }
        }
    }

    /// Those who have got no datagram ask to be sent them.
    fn ask_again(&self) -> io::Result<()> {
        for receiver in self.receivers.iter().filter(|receiver| !receiver.has_some) {
            if let Socket::Udp(socket) = &receiver.socket {
                socket.send(&JOIN)?;
            }
        }
        Ok(())
    }

    /// One run: frames as far apart as `pace` says, or further, for a frame is
    /// not sent before everybody has the last one: together they would be
    /// cheaper. `process` is asked what it has used meanwhile.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn run(&mut self, pace: Pace, process: &Process) -> io::Result<Run> {
        let each = (self.layout.copies() * self.layout.bytes()) as u64;
        let mut run = Run {
            frames: pace.frames,
            copies: pace.frames * self.layout.copies() as u64,
            ..Run::default()
        };
        let used = || (process.usage(), Usage::of_this_thread(), Clock::now());
        let mut before = used();
        let mut due = Clock::now();
        let mut lost = 0;
        let waits = matches!(self.layout.way, Way::Udp { at_once: false, .. });
        let patience = if matches!(self.layout.way, Way::Udp { .. }) { LOST } else { PATIENCE };
        for number in 0..pace.warm_up + pace.frames {
            if number == pace.warm_up {
                before = used();
                lost = 0;
            }
            self.received = 0;
            let sent = Clock::now();
            self.send()?;
            let rest = pace.interval.mul_f64(if waits { WAIT } else { 0.0 });
            let mut now = sent;
            while now.since(sent) < rest {
                now = Clock::now();
            }
            while self.received < each && now.since(sent) < patience {
                self.look()?;
                now = Clock::now();
            }
            lost += each.saturating_sub(self.received);
            if number >= pace.warm_up && self.received >= each && !waits {
                run.last.record(now.since(sent));
            }
            due = (due + pace.interval).max(now);
            self.look_until(due)?;
        }
        let after = used();
        run.usage = after.0.since(before.0);
        run.load = after.1.since(before.1);
        run.span = after.2.since(before.2);
        run.missing = lost.div_ceil(self.layout.bytes() as u64);
        Ok(run)
    }

    fn look_until(&mut self, at: Instant) -> io::Result<()> {
        while Clock::now() < at {
            self.look()?;
        }
        Ok(())
    }
}

/// A connection that sends what it is given at once.
pub(crate) fn tcp(addr: SocketAddr, cc: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_congestion(cc.as_bytes())?;
    Ok(stream)
}

/// Asks to be sent datagrams.
pub(crate) fn udp(addr: SocketAddr, gro: bool) -> io::Result<UdpSocket> {
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let socket = Udp::bind(any, Reuse::No, |_| Ok(())).map_err(io::Error::other)?;
    if gro && !socket.enable_gro() {
        return Err(io::Error::other("no UDP_GRO here"));
    }
    let socket = UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
    socket.connect(addr)?;
    socket.send(&JOIN)?;
    Ok(socket)
}

/// A floor passes the head on, which is over before anything is counted.
fn http_publisher(addr: SocketAddr, stream: usize, cc: &str) -> io::Result<TcpStream> {
    let mut conn = tcp(addr, cc)?;
    let length = u64::MAX / 4;
    let head =
        format!("PUT /s{stream} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}\r\n\r\n");
    conn.write_all(head.as_bytes())?;
    Ok(conn)
}

fn http_subscriber(addr: SocketAddr, stream: usize, cc: &str) -> io::Result<TcpStream> {
    let mut conn = tcp(addr, cc)?;
    let head = format!("GET /s{stream}?join=live&wait=10s HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    conn.write_all(head.as_bytes())?;
    Ok(conn)
}
