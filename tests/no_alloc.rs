//! Nothing is allocated for a frame, and nothing is copied that need not be:
//! the real ingest and fan-out, warmed up, under an allocator that counts. Nor
//! is anything for a probe of the ping engine, over real sockets.
//!
//! Each thread counts for itself: what others allocate is their own.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait; this one counts and passes on")]

use nearlight::base::Instant;
use nearlight::client::picture::{Detail, Picture};
use nearlight::client::ping::{Event, Kind as Probe, Pinger, Plan, Target, Wait, Way as Path};
use nearlight::framing::Kind;
#[cfg(feature = "rtmp")]
use nearlight::framing::flv::TagHead;
use nearlight::framing::flv::{HEAD_BYTES, TAIL_BYTES, TagKind, put_tag};
use nearlight::protocol::http::Rules;
use nearlight::protocol::rtmp::{IS_BUILT_IN, message_head};
use nearlight::protocol::{Ask, Name};
use nearlight::reactor::accept::{self, Listeners};
use nearlight::reactor::conn::{Conn, Role};
use nearlight::reactor::plan::Service;
use nearlight::reactor::site::{Site, Sites};
use nearlight::reactor::slab::{Key, Slab};
use nearlight::reactor::streams::{Fanout, Origin, Streams};
use nearlight::reactor::turn::Turn;
use nearlight::reactor::udp::{Duty, Ports};
use nearlight::reactor::{Told, alarms, close, control, fanout, ingest, note, session};
use nearlight::relay::Settings;
use nearlight::sys::clock::Clock;
use nearlight::sys::socket::{Reuse, Socket, Udp};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

/// Pieces of frames before counting begins: segments have come round by then.
const WARM: usize = 4000;
/// Pieces that are counted.
const COUNTED: usize = 2000;
/// Subscribers over raw TCP, and as many over HTTP.
const SUBSCRIBERS: usize = 3;
/// TS packets of one piece, as encoders send them.
const PACKETS: usize = 7 * 188;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise about `layout`, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises, passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises, passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One millisecond of the story is one piece.
fn clock() -> Instant {
    Instant::from_nanos(NOW.get())
}

/// A socket that gives what it was fed and takes everything.
struct Fake {
    inbound: Vec<u8>,
    at: usize,
    taken: u64,
}

impl Socket for Fake {
    fn recv(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let len = space.len().min(self.inbound.len() - self.at);
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        space[..len].copy_from_slice(&self.inbound[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.taken += len as u64;
        Ok(len)
    }

    fn unacked(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How the stream comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tcp,
    Length,
    Chunked,
    Udp,
    /// By RTMP, to those who play it.
    Rtmp,
    /// By RTMP, to those who get what is made of it.
    Derived,
}

/// Bytes of a chunk of RTMP, few enough to cut most tags.
const CHUNK: usize = 500;

impl Way {
    /// Bytes that a subscriber is sent for a piece: RTMP has a header of 12 bytes
    /// where a tag has 11 and 4.
    const fn sent(self, piece: &[u8]) -> usize {
        if matches!(self, Self::Rtmp) { piece.len() - 3 } else { piece.len() }
    }
}

/// What an RTMP client says up to its wish for `live`.
fn rtmp(wish: &str) -> Vec<u8> {
    let mut said = vec![3; 1 + 2 * 1536];
    said.extend([2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]);
    said.extend((CHUNK as u32).to_be_bytes());
    for (name, more) in [("connect", &b""[..]), (wish, b"\x02\0\x04live")] {
        let text = [&[2, 0, name.len() as u8], name.as_bytes()].concat();
        let body = [&text[..], &[0], &1_f64.to_be_bytes(), &[5], more].concat();
        said.extend([3, 0, 0, 0, 0, 0, body.len() as u8, 20, 1, 0, 0, 0]);
        said.extend(body);
    }
    said
}

/// A tag as a message in chunks.
fn put_message(tag: &[u8], wire: &mut Vec<u8>) {
    let (head, len) = message_head(tag.first_chunk().expect("a tag"));
    wire.extend_from_slice(&head[..len]);
    for (n, piece) in tag[HEAD_BYTES..tag.len() - TAIL_BYTES].chunks(CHUNK).enumerate() {
        if n > 0 {
            wire.push(0xC0 | head[0]);
        }
        wire.extend_from_slice(piece);
    }
}

/// A server with one stream.
struct Rig {
    turn: Turn,
    streams: Streams,
    conns: Slab<Conn<Fake>>,
    sites: Sites,
    ports: Ports,
    listeners: Listeners,
    way: Way,
    publisher: Option<Key>,
    subscribers: Vec<Key>,
    /// Sends the datagrams.
    sender: UdpSocket,
    to: SocketAddr,
    wire: Vec<u8>,
}

impl Rig {
    fn new(way: Way, kind: Kind) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let name = Name::parse("live").expect("a name");
        let settings = Settings::of(&Ask { framing: Some(kind), ..Ask::default() });
        let site = |service| Site {
            url: "test".to_owned(),
            addr,
            service,
            settings: settings.clone(),
            quickack: false,
            is_stamped: false,
        };
        let publish = Service::TcpPublish { name: name.clone() };
        let subscribe = Service::TcpSubscribe { name: name.clone() };
        let list = vec![site(Service::Http), site(publish), site(subscribe), site(Service::Rtmp)];
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = Udp::bind(any, Reuse::No, |_| Ok(())).expect("a port");
        let to = socket.local_addr().expect("an address");
        let mut ports = Ports::default();
        ports.push(socket, Duty::publish(name, settings.clone()));
        let mut rig = Self {
            turn: Turn::new(clock),
            streams: Streams::alone(settings.max_lag),
            conns: Slab::default(),
            sites: Sites {
                list,
                rules: Rules { allow_hosts: Vec::new(), listen: vec![addr] },
                office: None,
            },
            ports,
            listeners: Listeners::default(),
            way,
            publisher: None,
            subscribers: Vec::new(),
            sender: UdpSocket::bind(any).expect("a port"),
            to,
            wire: Vec::with_capacity(64 * 1024),
        };
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        let rtmp_head = rtmp("publish");
        let head: &[u8] = match self.way {
            Way::Rtmp | Way::Derived => &rtmp_head,
            Way::Tcp | Way::Udp => b"",
            Way::Length => {
                b"PUT /live HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 999999999\r\n\r\n"
            }
            Way::Chunked => {
                b"PUT /live HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nTransfer-Encoding: chunked\r\n\r\n"
            }
        };
        if self.way != Way::Udp {
            let site = match self.way {
                Way::Rtmp | Way::Derived => 3,
                Way::Tcp | Way::Udp => 1,
                Way::Length | Way::Chunked => 0,
            };
            self.publisher = Some(self.open(site, head));
            self.run();
        }
        for _ in 0..SUBSCRIBERS {
            if self.way == Way::Rtmp {
                let player = self.open(3, &rtmp("play"));
                self.subscribers.push(player);
                continue;
            }
            let tcp = self.open(2, b"");
            let get = b"GET /live?wait=10s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
            let http = self.open(0, get);
            self.subscribers.extend([tcp, http]);
        }
        self.run();
    }

    fn open(&mut self, site: usize, says: &[u8]) -> Key {
        let role = session::role(&self.sites.list[site], self.turn.now);
        let socket = Fake { inbound: Vec::with_capacity(64 * 1024), at: 0, taken: 0 };
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let key = self.conns.insert(Conn::new(socket, peer, site, role, self.turn.now));
        accept::begin(key, &mut self.turn, &mut self.streams, &mut self.conns, &self.sites);
        self.feed(key, says);
        key
    }

    /// Bytes arrive on a connection.
    fn feed(&mut self, key: Key, bytes: &[u8]) {
        let conn = self.conns.get_mut(key).expect("it lives");
        assert_eq!(conn.socket.at, conn.socket.inbound.len(), "the server reads everything");
        conn.socket.inbound.clear();
        conn.socket.at = 0;
        conn.socket.inbound.extend_from_slice(bytes);
        let told = Told { readable: true, writable: true, read_closed: false };
        note(key, told, &mut self.conns, &mut self.turn);
    }

    /// A piece of the stream arrives, and everybody gets it.
    fn publish(&mut self, piece: &[u8]) {
        NOW.set(NOW.get() + 1_000_000);
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        match self.way {
            Way::Tcp | Way::Length => wire.extend_from_slice(piece),
            Way::Chunked => {
                for shift in [12, 8, 4, 0] {
                    wire.push(b"0123456789abcdef"[piece.len() >> shift & 15]);
                }
                wire.extend_from_slice(b"\r\n");
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            Way::Udp => {}
            Way::Rtmp | Way::Derived => put_message(piece, &mut wire),
        }
        match self.publisher {
            Some(key) => self.feed(key, &wire),
            None => {
                self.sender.send_to(piece, self.to).expect("loopback takes it");
                self.ports.readable(0, &mut self.turn);
            }
        }
        self.wire = wire;
        self.run();
    }

    /// Turns, until there is nothing to do, in the order of `Shard::run`.
    fn run(&mut self) {
        let Self { turn, streams, conns, sites, ports, listeners, .. } = self;
        loop {
            turn.read_clock();
            ports.ingest(turn, streams);
            ingest::tcp(turn, streams, conns, sites);
            fanout::live(turn, streams, conns, ports);
            fanout::resumed(turn, streams, conns);
            fanout::catchup(turn, streams, conns);
            control::handle(turn, streams, conns, sites, ports, listeners, None);
            alarms::fire(turn, streams, conns, sites, ports, listeners);
            close::reap(turn, conns);
            if turn.ready.is_empty() {
                return;
            }
        }
    }

    fn moved(&self) -> u64 {
        let moved = |fan: &Fanout| match &fan.origin {
            Origin::Here(stream) => stream.moved_bytes(),
            Origin::There { .. } | Origin::Nowhere => 0,
        };
        self.streams.fanouts.iter().map(moved).sum()
    }

    fn taken(&self) -> u64 {
        let sockets = self.subscribers.iter().filter_map(|key| self.conns.get(*key));
        sockets.map(|conn| conn.socket.taken).sum()
    }

    /// Publishes pieces, in turn, as often as asked; answers what it cost.
    fn cost(&mut self, pieces: &[Vec<u8>], times: usize) -> Cost {
        let (moved, taken) = (self.moved(), self.taken());
        let before = ALLOCATIONS.get();
        let mut sent = 0;
        for n in 0..times {
            let piece = &pieces[n % pieces.len()];
            sent += self.way.sent(piece) as u64;
            self.publish(piece);
        }
        let allocations = ALLOCATIONS.get() - before;
        for key in &self.subscribers {
            let role = self.conns.get(*key).map(|conn| &conn.role);
            assert!(matches!(role, Some(Role::Subscriber(_))), "{role:?}");
        }
        let got = (self.taken() - taken) / self.subscribers.len() as u64;
        if self.way != Way::Derived {
            assert_eq!(got, sent, "{:?}: everybody got everything", self.way);
        }
        Cost { allocations, moved: self.moved() - moved, sent, got }
    }
}

/// What a run of pieces cost.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    allocations: u64,
    moved: u64,
    sent: u64,
    got: u64,
}

/// The test picture, a second at a time: the pieces of its key, and the rest.
fn seconds(count: u64) -> Vec<[Vec<Vec<u8>>; 2]> {
    let mut picture = Picture::new(Detail::Full);
    let mut pieces = |from: u64, to: u64| -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        (from..to).for_each(|n| picture.frame(n, n * 40, &mut bytes));
        bytes.chunks(PACKETS).map(<[u8]>::to_vec).collect()
    };
    let gop = Picture::IDR_FRAMES;
    let firsts = (0..count).map(|n| n * gop);
    firsts.map(|first| [pieces(first, first + 1), pieces(first + 1, first + gop)]).collect()
}

fn ts_costs_nothing(way: Way, seconds: &[[Vec<Vec<u8>>; 2]]) {
    let (warm, counted) = seconds.split_at(seconds.len() / 2);
    let mut rig = Rig::new(way, Kind::Ts);
    // Subscribers start with the first key.
    warm[0].iter().flatten().for_each(|piece| rig.publish(piece));
    for pieces in warm[1..].as_flattened() {
        rig.cost(pieces, pieces.len());
    }
    for [key, rest] in counted {
        // What is sent first to those who join there is kept: two copies, and
        // now and then a longer list of join points.
        let cost = rig.cost(key, key.len());
        assert!(cost.allocations <= 3, "{way:?}: {} allocations for a key", cost.allocations);
        let cost = rig.cost(rest, rest.len());
        assert_eq!(cost.allocations, 0, "{way:?}: allocations for {} pieces", rest.len());
        // A chunk's header is cut out, which moves the payload behind it, once.
        let moved = if way == Way::Chunked { cost.sent } else { 0 };
        assert_eq!(cost.moved, moved, "{way:?}: bytes moved");
    }
}

fn frames_cost_nothing(way: Way, kind: Kind, pieces: &[Vec<u8>]) {
    let mut rig = Rig::new(way, kind);
    rig.publish(&pieces[0]);
    rig.cost(pieces, WARM);
    let cost = rig.cost(pieces, COUNTED);
    assert_eq!(cost.allocations, 0, "{way:?} {kind:?}: allocations for {COUNTED} pieces");
    let moved = if way == Way::Chunked { cost.sent } else { 0 };
    assert_eq!(cost.moved, moved, "{way:?} {kind:?}: bytes moved");
}

fn flv_costs_nothing(way: Way) {
    let tag = |first, second, size: usize| {
        let mut bytes = Vec::new();
        put_tag(&mut bytes, TagKind::Video, 0, &[&[first, second], &vec![0xEE; size]]);
        bytes
    };
    // Pictures that are no keys, and a sequence header that comes again.
    let tags: Vec<Vec<u8>> =
        (1..20).map(|n| tag(0x27, 1, n * 70)).chain([tag(0x17, 0, 50)]).collect();
    let key = tag(0x17, 1, 5000);
    let mut rig = Rig::new(way, Kind::Flv);
    for n in 0..WARM / tags.len() + 50 {
        // What is sent first to those who join there is kept, as of a TS.
        rig.publish(&key);
        let cost = rig.cost(&tags, tags.len());
        if n >= WARM / tags.len() {
            assert_eq!(cost.allocations, 0, "{way:?}: allocations for {} tags", tags.len());
            let moved = match way {
                Way::Chunked => cost.sent,
                // Out of the chunks into the ring, once.
                Way::Rtmp => tags.iter().map(|tag| tag.len() as u64).sum(),
                Way::Tcp | Way::Length | Way::Udp | Way::Derived => 0,
            };
            assert_eq!(cost.moved, moved, "{way:?}: bytes moved");
        }
    }
}

/// The clip's tags, `later` ms later.
#[cfg(feature = "rtmp")]
fn clip(later: u32) -> Vec<Vec<u8>> {
    let mut rest = &include_bytes!("it/clips/h264-aac.flv")[13..];
    let mut tags = Vec::new();
    while let Some(head) = rest.first_chunk().and_then(TagHead::parse) {
        let (tag, next) = rest.split_at(head.whole());
        let mut tag = tag.to_vec();
        let [t3, t2, t1, t0] = (head.timestamp + later).to_be_bytes();
        tag[4..8].copy_from_slice(&[t2, t1, t0, t3]);
        tags.push(tag);
        rest = next;
    }
    tags
}

#[test]
#[cfg(feature = "rtmp")]
fn what_is_made_of_a_stream_costs_two_copies_for_all_who_get_it() {
    let mut rig = Rig::new(Way::Derived, Kind::Flv);
    for tag in clip(0) {
        rig.publish(&tag);
    }
    for round in 1..400 {
        let tags = clip(2000 * round);
        let cost = rig.cost(&tags, tags.len());
        // Each byte into the ring of what came and each into that of what is made.
        assert_eq!(cost.moved, cost.sent + cost.got);
        assert!(cost.got < 2 * cost.sent, "{cost:?}: small frames, yet no more than that");
        if round > 200 {
            // Two keys and a change of headers in the clip, for both streams; none
            // for its 142 tags.
            assert!(cost.allocations <= 24, "{cost:?}");
        }
    }
}

#[test]
fn nothing_is_allocated_or_copied_for_a_frame() {
    let seconds = seconds(24);
    for way in [Way::Tcp, Way::Length, Way::Chunked, Way::Udp] {
        ts_costs_nothing(way, &seconds);
    }
    // Shorter lines fill a segment's index before its bytes, and move it on.
    let line = [&[b'x'; 128][..], b"\n"].concat();
    let lines: Vec<Vec<u8>> = (1..20).map(|n| line.repeat(n)).collect();
    let raw: Vec<Vec<u8>> = (1..20).map(|n| vec![0xEE; n * 70]).collect();
    for way in [Way::Tcp, Way::Length, Way::Chunked, Way::Udp] {
        frames_cost_nothing(way, Kind::Lines, &lines);
    }
    for way in [Way::Tcp, Way::Length, Way::Chunked] {
        frames_cost_nothing(way, Kind::Raw, &raw);
        flv_costs_nothing(way);
    }
    if IS_BUILT_IN {
        flv_costs_nothing(Way::Rtmp);
    }
    frames_cost_nothing(Way::Udp, Kind::Datagram, &raw);
}

/// TCP and UDP echo on one port of loopback, until the process ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let socket = UdpSocket::bind(address).expect("the same port");
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..bytes], from);
        }
    });
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let (mut stream, mut buffer) = (stream.expect("a connection"), [0; 2048]);
                while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..bytes]);
                }
            });
        }
    });
    address
}

/// Takes as many replies, and answers what that cost.
fn probed(pinger: &mut Pinger, replies: u64) -> u64 {
    let before = ALLOCATIONS.get();
    let mut left = replies;
    while left > 0 {
        match pinger.next(Clock::now() + Duration::from_secs(30)) {
            Event::Reply(_) => left -= 1,
            Event::Lost { .. } => {}
            event @ (Event::Trouble { .. } | Event::Failed { .. } | Event::Quiet | Event::Done) => {
                panic!("{event:?}")
            }
        }
    }
    ALLOCATIONS.get() - before
}

#[test]
fn nothing_is_allocated_for_a_probe() {
    let address = echo();
    let target = Target { name: address.to_string(), address };
    for pace in [Wait::Sleep, Wait::Hybrid(Duration::from_micros(50)), Wait::Spin] {
        let kinds = [Probe::Udp, Probe::Echo, Probe::Tcp, Probe::Icmp];
        let mut plan = Plan::new(kinds.map(|kind| Path::to(kind, target.clone())).to_vec());
        plan.interval = Duration::from_millis(1);
        plan.pace = pace;
        let mut pinger = Pinger::start(&plan);
        if let Event::Failed { way: 3 } = pinger.next(Clock::now()) {
            eprintln!("without ICMP, which is not permitted here");
        }
        // Until each kind has been round once: its first reply, its first poll.
        probed(&mut pinger, 200);
        assert_eq!(probed(&mut pinger, 2000), 0, "{pace:?}: allocations for 2,000 replies");
        pinger.stop();
        for series in pinger.finish() {
            let is_missing = series.kind() == Probe::Icmp && series.failure.is_some();
            assert!(is_missing || series.counts.received > 200, "{series:?}");
        }
    }
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
