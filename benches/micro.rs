//! What the parts of the data path cost by themselves, without a kernel:
//!
//! ```text
//! cargo bench --bench micro                 everything, in 10 s
//! cargo bench --bench micro -- fan-out      what has that in its title
//! ```
//!
//! Each part runs in batches of about a millisecond; the fastest batch and the
//! median one are given. The fastest says what the code costs, the median what
//! this machine made of it. All of it is warm: in the server there is a system
//! call between two frames, and caches have other things to hold.

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
use nearlight::reactor::udp::Ports;
use nearlight::relay::{Form, Settings, Subscriber};
use nearlight::ring::{Frame, Gather, Pool, Tail, Window};
use nearlight::sys::clock::Clock;
use nearlight::sys::socket::Socket;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Seven TS packets, what a datagram holds.
const FRAME: usize = 1316;
const BATCH: Duration = Duration::from_millis(1);

/// Which parts, and for how long each.
struct Bench {
    only: Option<String>,
    span: Duration,
}

impl Bench {
    /// Runs `work`, which answers how many units it did, again and again.
    fn part(&self, title: &str, unit: &str, mut work: impl FnMut() -> u64) {
        if self.only.as_ref().is_some_and(|only| !title.contains(only)) {
            return;
        }
        let mut batches = Vec::new();
        let start = Clock::now();
        while Clock::now().since(start) < self.span || batches.is_empty() {
            let from = Clock::now();
            let mut units = 0;
            let span = loop {
                units += work();
                let span = Clock::now().since(from);
                if span >= BATCH {
                    break span;
                }
            };
            batches.push(span.as_nanos() as f64 / units as f64);
        }
        batches.sort_by(f64::total_cmp);
        let (best, median) = (batches[0], batches[batches.len() / 2]);
        println!("{title:<44}{best:9.1} ns{median:9.1} ns   per {unit}");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return;
    }
    // cargo test gives no --bench: a look at whether it works.
    let is_bench = args.iter().any(|arg| arg == "--bench");
    let bench = Bench {
        only: args.into_iter().find(|arg| !arg.starts_with("--")),
        span: Duration::from_millis(if is_bench { 700 } else { 2 }),
    };
    println!("{:<44}{:>12}{:>12}", "", "fastest", "median");
    ring(&bench);
    framing(&bench);
    for form in [Form::Plain, Form::WebSocket] {
        for subscribers in [1, 10, 100] {
            fan_out(&bench, form, subscribers);
        }
    }
}

/// Bytes into a ring and out of it: as little as a relay must do for a frame.
fn ring(bench: &Bench) {
    let mut pool = Pool::default();
    let mut window = Window::default();
    let mut tail = pool.take(Position::ZERO);
    window.push(tail.reader());
    bench.part("ring: commit a frame, gather it", "frame", || {
        for _ in 0..100 {
            if tail.free() < FRAME || tail.frame_room() == 0 {
                roll(&mut pool, &mut window, &mut tail);
            }
            tail.fill(FRAME);
            let end = tail.position() + FRAME as u64;
            let frame = Frame { end, arrival: Instant::ZERO, waited: 0, leave: false };
            tail.commit(FRAME, std::iter::once(frame));
            gather(&window, window.head(), FRAME);
        }
        100
    });
    bench.part("ring: gather 64 KiB that span two segments", "flush", || {
        let middle = window.second_base().unwrap_or(window.head());
        for _ in 0..100 {
            gather(&window, middle + FLUSH_BYTES as u64 / 2, FLUSH_BYTES);
        }
        100
    });
}

/// The next segment; two are kept.
fn roll(pool: &mut Pool, window: &mut Window, tail: &mut Tail) {
    let next = pool.take(tail.position());
    window.push(next.reader());
    drop(std::mem::replace(tail, next).seal());
    if window.len() > 2 * SEGMENT_BYTES as u64
        && let Some(oldest) = window.pop()
    {
        pool.give_back(oldest);
    }
}

fn gather(window: &Window, end: Position, len: usize) {
    let mut slices = [IoSlice::new(&[]); PLAIN_SLICES];
    let mut list = Gather::over(&mut slices);
    let from = window.floor() + (end.since(window.floor()).saturating_sub(len as u64));
    window.gather(from, end, &mut list);
    black_box(list.slices());
}

/// Boundaries found in the test picture, and in small frames.
fn framing(bench: &Bench) {
    let mut ts = Vec::new();
    let mut picture = Picture::new(Detail::Full);
    for n in 0..2 * Picture::IDR_FRAMES {
        picture.frame(n, 40 * n, &mut ts);
    }
    let packets = |bytes: usize| (bytes / 188) as u64;
    pieces(bench, "framing: ts, 1316 bytes at a time", "packet", Kind::Ts, &ts, (FRAME, packets));
    let many = 340 * 188;
    pieces(bench, "framing: ts, 63920 bytes at a time", "packet", Kind::Ts, &ts, (many, packets));

    let line = [&[b'x'; 63][..], b"\n"].concat().repeat(1000);
    let frames = |bytes: usize| (bytes / 64) as u64;
    pieces(bench, "framing: lines of 64 bytes", "frame", Kind::Lines, &line, (6400, frames));
    let len32 = [&60u32.to_be_bytes()[..], &[b'x'; 60]].concat().repeat(1000);
    pieces(bench, "framing: len32 of 64 bytes", "frame", Kind::Len32, &len32, (6400, frames));
}

/// Gives a framing all of `input` in pieces of one size, over and over.
fn pieces(
    bench: &Bench,
    title: &str,
    unit: &str,
    kind: Kind,
    input: &[u8],
    (size, units): (usize, impl Fn(usize) -> u64),
) {
    let mut framing = Framing::new(kind, Transport::Bytes);
    let mut marks = Marks::default();
    let mut at = Position::ZERO;
    let mut pieces = input.chunks_exact(size).cycle();
    bench.part(title, unit, || {
        let Some(piece) = pieces.next() else {
            return 0;
        };
        let mut rest = piece;
        while !rest.is_empty() {
            marks.room = usize::MAX;
            let step = framing.step(rest, at, Instant::ZERO, &mut marks);
            let step = step.expect("the input is well formed");
            rest = &rest[(step.skip + step.keep).max(1).min(rest.len())..];
            at += step.keep as u64;
            marks.frames.clear();
            marks.joins.clear();
        }
        units(size)
    });
}

/// A socket with room for everything.
struct Fake;

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

/// One frame of 64 bytes framed, committed, and sent to everybody: all that
/// the server does for it but the system calls.
fn fan_out(bench: &Bench, form: Form, subscribers: usize) {
    let ask = Ask {
        framing: Some(Kind::Len32),
        window_bytes: Some(2 * SEGMENT_BYTES as u64),
        ..Ask::default()
    };
    let settings = Settings::of(&ask);
    let mut streams = Streams::alone(settings.max_lag);
    let mut turn = Turn::new(Clock::now);
    let mut ports = Ports::default();
    let mut conns = Slab::default();
    let name = Name::parse("bench").expect("a name");
    let stream = streams.open(&name, 1, &settings, Transport::Bytes);
    for _ in 0..subscribers {
        subscribe(stream, form, &settings, &mut streams, &mut conns, &turn);
    }
    let frame = [&60u32.to_be_bytes()[..], &[b'x'; 60]].concat();
    let title = format!("fan-out: {form:?}, {subscribers} subscribers");
    bench.part(&title, "subscriber and frame", || {
        turn.read_clock();
        let mut ingest = streams.ingest(stream).expect("the stream lives");
        let len = ingest.copy_in(&frame);
        ingest.received(len, turn.now).expect("the frame is well formed");
        streams.mark_dirty(stream, &mut turn);
        while !turn.ready.dirty.is_empty() {
            fanout::live(&mut turn, &mut streams, &mut conns, &mut ports);
        }
        subscribers as u64
    });
}

fn subscribe(
    stream: Key,
    form: Form,
    settings: &Settings,
    streams: &mut Streams,
    conns: &mut Slab<Conn<Fake>>,
    turn: &Turn,
) {
    let subscribed = Subscribed {
        stream,
        subscriber: Subscriber::new(settings, form, turn.now),
        residence: None,
        inbound: None,
        is_unanswered: false,
        standing: Standing::Live,
        is_behind: false,
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let role = Role::Subscriber(Box::new(subscribed));
    let key = conns.insert(Conn::new(Fake, peer, 0, role, turn.now));
    if let Some(fan) = streams.fanouts.get_mut(stream) {
        fan.roster.live.push_back(key);
        fan.roster.count += 1;
    }
}
