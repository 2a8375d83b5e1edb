//! Parts of the data path by themselves, over memory and sockets that take
//! everything: what `benches/micro.rs` times, and `tests/instructions` counts.

use nearlight::base::{Instant, Position};
use nearlight::client::picture::{Detail, Picture};
use nearlight::framing::{Framing, Kind, Marks, Transport};
use nearlight::limits::{FLUSH_BYTES, PLAIN_SLICES, SEGMENT_BYTES};
use nearlight::protocol::{Ask, Name};
use nearlight::reactor::conn::{Conn, Role, Standing, Subscribed};
use nearlight::reactor::fanout;
use nearlight::reactor::slab::{Key, Slab};
use nearlight::reactor::streams::Streams;
use nearlight::reactor::turn::Turn;
use nearlight::reactor::udp::{self, Ports};
use nearlight::relay::{Form, Settings, Subscriber};
use nearlight::report::Over;
use nearlight::ring::{Frame, Gather, Pool, Tail, Window};
use nearlight::sys::socket::Socket;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};

/// Seven TS packets, what a datagram holds.
pub(crate) const FRAME: usize = 1316;

/// Something to be measured.
pub(crate) struct Part {
    /// What it is called.
    pub(crate) title: &'static str,
    /// What it does again and again.
    pub(crate) unit: &'static str,
    /// Makes it ready; it reads the time here.
    pub(crate) make: fn(fn() -> Instant) -> Work,
}

/// Does a little; answers how many units that was.
pub(crate) type Work = Box<dyn FnMut() -> u64>;

/// All of them.
pub(crate) const PARTS: &[Part] = &[
    part("ring: commit a frame, gather it", "frame", |_| commit()),
    part("ring: gather 64 KiB of two segments", "flush", |_| flush()),
    part("framing: ts, 1316 bytes at a time", "packet", |_| ts(FRAME)),
    part("framing: ts, 63920 bytes at a time", "packet", |_| ts(340 * 188)),
    part("framing: lines of 64 bytes", "frame", |_| lines()),
    part("framing: len32 of 64 bytes", "frame", |_| len32()),
    part("fan-out: Plain, 1 subscriber", SEND, |at| fan(Form::Plain, 1, at)),
    part("fan-out: Plain, 10 subscribers", SEND, |at| fan(Form::Plain, 10, at)),
    part("fan-out: Plain, 100 subscribers", SEND, |at| fan(Form::Plain, 100, at)),
    part("fan-out: WebSocket, 1 subscriber", SEND, |at| fan(Form::WebSocket, 1, at)),
    part("fan-out: WebSocket, 10 subscribers", SEND, |at| fan(Form::WebSocket, 10, at)),
    part("fan-out: WebSocket, 100 subscribers", SEND, |at| fan(Form::WebSocket, 100, at)),
];

const fn part(title: &'static str, unit: &'static str, make: fn(fn() -> Instant) -> Work) -> Part {
    Part { title, unit, make }
}

/// A frame that one subscriber is sent.
const SEND: &str = "subscriber and frame";

/// A ring that goes round.
struct Ring {
    pool: Pool,
    window: Window,
    tail: Tail,
}

impl Ring {
    fn new() -> Self {
        let mut pool = Pool::default();
        let mut window = Window::default();
        let tail = pool.take(Position::ZERO);
        window.push(tail.reader());
        Self { pool, window, tail }
    }

    fn frame(&mut self) {
        if self.tail.free() < FRAME || self.tail.frame_room() == 0 {
            self.roll();
        }
        self.tail.fill(FRAME);
        let end = self.tail.position() + FRAME as u64;
        let frame = Frame { end, arrival: Instant::ZERO, waited: 0, leave: false };
        self.tail.commit(FRAME, std::iter::once(frame));
    }

    /// The next segment; two are kept.
    fn roll(&mut self) {
        let next = self.pool.take(self.tail.position());
        self.window.push(next.reader());
        drop(std::mem::replace(&mut self.tail, next).seal());
        if self.window.len() > 2 * SEGMENT_BYTES as u64
            && let Some(oldest) = self.window.pop()
        {
            self.pool.give_back(oldest);
        }
    }
}

/// Bytes into a ring and out of it: as little as a relay must do for a frame.
fn commit() -> Work {
    let mut ring = Ring::new();
    Box::new(move || {
        for _ in 0..100 {
            ring.frame();
            gather(&ring.window, ring.window.head(), FRAME);
        }
        100
    })
}

/// What one flush takes at most, over a segment's end.
fn flush() -> Work {
    let mut ring = Ring::new();
    for _ in 0..3 * SEGMENT_BYTES / FRAME {
        ring.frame();
    }
    let middle = ring.window.second_base().unwrap_or(ring.window.head());
    Box::new(move || {
        for _ in 0..100 {
            gather(&ring.window, middle + FLUSH_BYTES as u64 / 2, FLUSH_BYTES);
        }
        100
    })
}

fn gather(window: &Window, end: Position, len: usize) {
    let mut slices = [IoSlice::new(&[]); PLAIN_SLICES];
    let mut list = Gather::over(&mut slices);
    let from = window.floor() + (end.since(window.floor()).saturating_sub(len as u64));
    window.gather(from, end, &mut list);
    black_box(list.slices());
}

/// Boundaries found in the test picture, in pieces of `size`.
fn ts(size: usize) -> Work {
    let mut ts = Vec::new();
    let mut picture = Picture::new(Detail::Full);
    for n in 0..2 * Picture::IDR_FRAMES {
        picture.frame(n, 40 * n, &mut ts);
    }
    pieces(Kind::Ts, ts, size, 188)
}

/// The same in small frames.
fn lines() -> Work {
    let line = [&[b'x'; 63][..], b"\n"].concat().repeat(1000);
    pieces(Kind::Lines, line, 6400, 64)
}

fn len32() -> Work {
    let frames = small().repeat(1000);
    pieces(Kind::Len32, frames, 6400, 64)
}

/// Gives a framing all of `input` in pieces of one size, over and over; a unit
/// is so many bytes.
fn pieces(kind: Kind, input: Vec<u8>, size: usize, unit: usize) -> Work {
    let mut framing = Framing::new(kind, Transport::Bytes);
    let mut marks = Marks::default();
    let mut at = Position::ZERO;
    let mut next = 0;
    Box::new(move || {
        if next + size > input.len() {
            next = 0;
        }
        let mut rest = &input[next..next + size];
        next += size;
        while !rest.is_empty() {
            marks.room = usize::MAX;
            let step = framing.step(rest, at, Instant::ZERO, &mut marks);
            let step = step.expect("the input is well formed");
            rest = &rest[(step.skip + step.keep).max(1).min(rest.len())..];
            at += step.keep as u64;
            marks.frames.clear();
            marks.joins.clear();
        }
        (size / unit) as u64
    })
}

/// A socket with room for everything.
pub(crate) struct Fake;

impl Socket for Fake {
    fn recv(&mut self, _space: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(black_box(slices).iter().map(|slice| slice.len()).sum())
    }

    fn unacked(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A frame of 64 bytes, `len32`.
pub(crate) fn small() -> Vec<u8> {
    [&60u32.to_be_bytes()[..], &[b'x'; 60]].concat()
}

/// One frame of 64 bytes framed, committed, and sent to everybody: all that
/// the server does for it but the system calls.
fn fan(form: Form, subscribers: usize, clock: fn() -> Instant) -> Work {
    let mut rig = Rig::new(Kind::Len32, Ports::default(), clock);
    for _ in 0..subscribers {
        rig.subscribe(form);
    }
    let frame = small();
    Box::new(move || {
        rig.publish(&frame);
        rig.fan_out();
        subscribers as u64
    })
}

/// The stream of a rig.
pub(crate) fn name() -> Name {
    Name::parse("bench").expect("a name")
}

/// A stream of one shard and all that serves it.
pub(crate) struct Rig {
    pub(crate) turn: Turn,
    pub(crate) streams: Streams,
    pub(crate) conns: Slab<Conn<Fake>>,
    pub(crate) ports: Ports,
    pub(crate) stream: Key,
    settings: Settings,
}

impl Rig {
    /// Nobody is sent it but those on `ports`.
    pub(crate) fn new(kind: Kind, ports: Ports, clock: fn() -> Instant) -> Self {
        let ask = Ask {
            framing: Some(kind),
            window_bytes: Some(2 * SEGMENT_BYTES as u64),
            ..Ask::default()
        };
        let settings = Settings::of(&ask);
        let mut streams = Streams::alone(settings.max_lag);
        udp::wire(&ports, &mut streams);
        let stream = streams.open(&name(), 1, &settings, Transport::Bytes);
        let (turn, conns) = (Turn::new(clock), Slab::default());
        Self { turn, streams, conns, ports, stream, settings }
    }

    /// A frame arrives.
    pub(crate) fn publish(&mut self, frame: &[u8]) {
        self.turn.read_clock();
        let mut ingest = self.streams.ingest(self.stream).expect("the stream lives");
        let len = ingest.copy_in(frame);
        ingest.received(len, self.turn.now).expect("the frame is well formed");
        self.streams.mark_dirty(self.stream, &mut self.turn);
    }

    /// Everybody is sent what is new, in as many turns as it takes.
    pub(crate) fn fan_out(&mut self) {
        let Self { turn, streams, conns, ports, .. } = self;
        while !turn.ready.dirty.is_empty() {
            fanout::live(turn, streams, conns, ports);
        }
    }

    /// Somebody is at the head of the stream.
    pub(crate) fn subscribe(&mut self, form: Form) -> Key {
        let subscribed = Subscribed {
            stream: self.stream,
            subscriber: Subscriber::new(&self.settings, form, self.turn.now),
            residence: None,
            inbound: None,
            is_unanswered: false,
            standing: Standing::Live,
            is_behind: false,
            over: Over::Tcp,
            joined: self.turn.now,
        };
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let role = Role::Subscriber(Box::new(subscribed));
        let key = self.conns.insert(Conn::new(Fake, peer, 0, role, self.turn.now));
        if let Some(fan) = self.streams.fanouts.get_mut(self.stream) {
            fan.roster.live.push_back(key);
            fan.roster.enter(Over::Tcp);
        }
        key
    }
}
