//! The load generator: one thread on one core with one clock. It sends frames
//! at the times of a plan made beforehand and looks at every receiver in
//! turn, spinning. Latency is counted from the time at which a frame was to be
//! sent, so a system that holds the generator up pays for it (no coordinated
//! omission).

use crate::frame::{Finder, Layout};
use crate::peer::dial::Line;
use crate::peer::wire::{Decoder, Wire};
use crate::service::Service;
use nearlight::base::Instant;
use nearlight::client::hist::Hist;
use nearlight::sys::clock::Clock;
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// A frame that no measurement counts.
const UNCOUNTED: u64 = u64::MAX;
/// After the last frame was sent, the generator waits this long for the rest.
const PATIENCE: Duration = Duration::from_millis(500);
/// Frames of more bytes are bursts.
const BURST: usize = 4096;
/// What every receiver must have got something within.
const SETTLE: Duration = Duration::from_secs(5);

/// How fast, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// From one frame to the next.
    pub(crate) interval: Duration,
    /// Frames that are sent and not counted, first.
    pub(crate) warm_up: u64,
    /// Frames that are counted.
    pub(crate) frames: u64,
}

impl Pace {
    /// `hertz` frames a second for `warm_up`, then for `span`.
    pub(crate) fn new(hertz: u32, warm_up: Duration, span: Duration) -> Self {
        let interval = Duration::from_secs(1) / hertz;
        let frames = |span: Duration| (span.as_nanos() / interval.as_nanos()) as u64;
        Self { interval, warm_up: frames(warm_up), frames: frames(span) }
    }
}

/// What one run has measured.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    /// From intended send to receipt, of every copy.
    pub(crate) hist: Hist,
    /// Copies that did not come.
    pub(crate) missing: u64,
}

/// A socket of the generator; non-blocking.
enum Pipe {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Pipe {
    fn tcp(addr: SocketAddr, cc: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_congestion(cc.as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Self::Tcp(stream))
    }

    fn udp(addr: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(addr)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Udp(socket))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write(bytes),
            Self::Udp(socket) => socket.send(bytes),
        }
    }

    /// `Ok(None)`: nothing is there.
    fn recv(&self, space: &mut [u8]) -> io::Result<Option<usize>> {
        let received = match self {
            Self::Tcp(stream) => (&mut &*stream).read(space),
            Self::Udp(socket) => socket.recv(space),
        };
        match received {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => Ok(Some(len)),
            Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(why) => Err(why),
        }
    }
}

/// What finds frames in what a receiver gets.
enum Reader {
    /// Nothing is around them.
    Plain(Finder),
    /// They may be wrapped.
    Wrapped(Decoder),
}

impl Reader {
    fn space(&mut self) -> &mut [u8] {
        match self {
            Self::Plain(finder) => finder.space(),
            Self::Wrapped(decoder) => decoder.space(),
        }
    }

    fn filled(&mut self, len: usize, found: impl FnMut(u64)) -> io::Result<()> {
        match self {
            Self::Plain(finder) => finder.filled(len, found),
            Self::Wrapped(decoder) => decoder.filled(len, found),
        }
    }
}

/// Connections to a process under test.
pub(crate) struct Load {
    layout: Layout,
    wire: Wire,
    sender: Pipe,
    /// None: what is sent comes back.
    receivers: Vec<Pipe>,
    finders: Vec<Reader>,
    scratch: Vec<u8>,
}

impl Load {
    /// Connects to a service; subscribers first, as a relay's must be.
    ///
    /// # Errors
    /// The kernel's, or a receiver that gets nothing.
    pub(crate) fn connect(service: Service, addrs: &[SocketAddr], cc: &str) -> io::Result<Self> {
        let addr = |n: usize| addrs.get(n).copied().ok_or(ErrorKind::AddrNotAvailable);
        let mut receivers = Vec::new();
        let sender = match service {
            Service::TcpEcho => Pipe::tcp(addr(0)?, cc)?,
            Service::UdpEcho => Pipe::udp(addr(0)?)?,
            Service::Relay { subscribers, .. } => {
                for _ in 0..subscribers {
                    receivers.push(Pipe::tcp(addr(1)?, cc)?);
                }
                Pipe::tcp(addr(0)?, cc)?
            }
        };
        let shape = service.shape();
        let finders = (0..service.copies()).map(|_| Reader::Plain(Finder::new(shape))).collect();
        let (layout, wire) = (Layout::of(shape), Wire::Bare);
        let mut load = Self { layout, wire, sender, receivers, finders, scratch: Vec::new() };
        load.settle()?;
        Ok(load)
    }

    /// Takes over connections that are open, for frames of `layout`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(crate) fn over(line: Line, layout: Layout) -> io::Result<Self> {
        let Line { wire, sender, receivers } = line;
        let reader = |_| Reader::Wrapped(Decoder::new(wire, layout));
        let finders = (0..receivers.len()).map(reader).collect();
        let receivers = receivers.into_iter().map(Pipe::Tcp).collect();
        let sender = Pipe::Tcp(sender);
        let mut load = Self { layout, wire, sender, receivers, finders, scratch: Vec::new() };
        load.settle()?;
        Ok(load)
    }

    /// Sends frames until every receiver has got one, then takes in the rest.
    fn settle(&mut self) -> io::Result<()> {
        let start = Clock::now();
        let mut got = vec![false; self.finders.len()];
        let mut last = start;
        let mut quiet_since = start;
        // Bursts to many take more than a millisecond to go round.
        let knock = Duration::from_millis(if self.layout.len() > BURST { 20 } else { 1 });
        loop {
            let now = Clock::now();
            let all = got.iter().all(|got| *got);
            if all && now.since(quiet_since) > Duration::from_millis(5) {
                return Ok(());
            }
            if now.since(start) > SETTLE {
                return Err(io::Error::new(ErrorKind::TimedOut, "a receiver gets nothing"));
            }
            if !all && now.since(last) > knock {
                last = now;
                self.send(UNCOUNTED)?;
            }
            for (n, got) in got.iter_mut().enumerate() {
                let was = *got;
                self.take(n, |_| *got = true)?;
                if *got && !was {
                    quiet_since = now;
                }
            }
        }
    }

    fn send(&mut self, number: u64) -> io::Result<()> {
        self.wire.write(self.layout, number, &mut self.scratch);
        let mut rest = &self.scratch[..];
        while !rest.is_empty() {
            match self.sender.send(rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Receives once from receiver `n`.
    fn take(&mut self, n: usize, found: impl FnMut(u64)) -> io::Result<()> {
        let pipe = self.receivers.get(n).unwrap_or(&self.sender);
        match pipe.recv(self.finders[n].space())? {
            Some(len) => self.finders[n].filled(len, found),
            None => Ok(()),
        }
    }

    /// One run. `halfway` is called once, when the warm-up is over.
    ///
    /// # Errors
    /// The kernel's, or bytes that are not what was sent.
    pub(crate) fn run(&mut self, pace: Pace, halfway: impl FnOnce()) -> io::Result<Sample> {
        let total = pace.warm_up + pace.frames;
        let copies = self.finders.len() as u64;
        let start = Clock::now() + Duration::from_millis(1);
        let due = |number: u64| start + pace.interval * u32::try_from(number).unwrap_or(u32::MAX);
        let mut hist = Hist::new();
        let (mut next, mut seen) = (0, 0);
        let mut halfway = Some(halfway);
        let mut heard = due(total);
        while seen < total * copies {
            let now = Clock::now();
            // What a peer gathers comes out when more follows.
            if now >= due(next) && (next < total || self.wire.gathers()) {
                if next == pace.warm_up
                    && let Some(halfway) = halfway.take()
                {
                    halfway();
                }
                self.send(if next < total { next } else { UNCOUNTED })?;
                next += 1;
            }
            let before = seen;
            for n in 0..self.finders.len() {
                let mut arrived: Option<Instant> = None;
                self.take(n, |number| {
                    if number == UNCOUNTED {
                        return;
                    }
                    seen += 1;
                    if number >= pace.warm_up {
                        let now = *arrived.get_or_insert_with(Clock::now);
                        hist.record(now.since(due(number)));
                    }
                })?;
            }
            // Nothing is missing because the generator itself was held up.
            if seen > before {
                heard = heard.max(now);
            } else if next >= total && now > heard + PATIENCE {
                break;
            }
        }
        Ok(Sample { hist, missing: total * copies - seen })
    }
}
