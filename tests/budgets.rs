//! What bounds a turn, on a clock that sockets move: receives of 40 us that are
//! always full, sends of 10 for each 16 KiB. Datagrams go through the kernel, and
//! each look at the clock moves it.

use nearlight::base::Instant;
use nearlight::framing::{Kind, Transport};
use nearlight::limits::{
    CLOCK_SENDS, DATAGRAM_BATCH, FANOUT_TIME, FLUSH_BYTES, INGEST_FRAMES, INGEST_TIME,
    JOIN_REQUEST_BYTES, PAGE_BYTES, TURN_TIME,
};
use nearlight::protocol::http::Rules;
use nearlight::protocol::udp_join::Joiner;
use nearlight::protocol::{Ask, Name};
use nearlight::reactor::conn::{Conn, Publisher, Role, Standing, Subscribed};
use nearlight::reactor::plan::Service;
use nearlight::reactor::site::{Site, Sites};
use nearlight::reactor::slab::{Key, Slab};
use nearlight::reactor::streams::Streams;
use nearlight::reactor::turn::Turn;
use nearlight::reactor::udp::{self, Duty, Ports};
use nearlight::reactor::{fanout, ingest};
use nearlight::relay::{Claim, Form, Settings, Subscriber};
use nearlight::report::Over;
use nearlight::sys::socket::{Reuse, Socket, Udp};
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::time::Duration;

const RECEIVE: Duration = Duration::from_micros(40);
const SEND: Duration = Duration::from_micros(10);

thread_local! {
    static NOW: Cell<Instant> = const { Cell::new(Instant::from_nanos(1_000_000_000)) };
    static SENDS: Cell<u32> = const { Cell::new(0) };
    static ROOM: Cell<usize> = const { Cell::new(0) };
}

fn clock() -> Instant {
    NOW.get()
}

/// A clock for sockets that move none.
fn step() -> Instant {
    passes(Duration::from_micros(50));
    NOW.get()
}

fn passes(span: Duration) {
    NOW.set(NOW.get() + span);
}

/// There is always more, in lines of so many bytes.
#[derive(Debug)]
struct Flood(usize);

impl Socket for Flood {
    fn recv(&mut self, space: &mut [u8]) -> io::Result<usize> {
        passes(RECEIVE);
        ROOM.set(space.len());
        space.fill(b'x');
        space.iter_mut().rev().step_by(self.0).for_each(|byte| *byte = b'\n');
        Ok(space.len())
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = slices.iter().map(|slice| slice.len()).sum::<usize>();
        passes(SEND * len.div_ceil(16 * 1024) as u32);
        SENDS.set(SENDS.get() + 1);
        Ok(len)
    }

    fn unacked(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A shard without a poll.
struct Rig {
    turn: Turn,
    streams: Streams,
    conns: Slab<Conn<Flood>>,
    sites: Sites,
    settings: Settings,
}

impl Rig {
    fn new() -> Self {
        let ask = Ask {
            framing: Some(Kind::Lines),
            max_lag: Some(Duration::from_secs(60)),
            ..Ask::default()
        };
        let settings = Settings::of(&ask);
        let site = Site {
            url: "tcp://127.0.0.1:9?publish=flood".into(),
            addr: ([127, 0, 0, 1], 9).into(),
            service: Service::TcpPublish { name: name("flood") },
            settings: settings.clone(),
            quickack: false,
            is_stamped: false,
        };
        let rules = Rules { allow_hosts: Vec::new(), listen: Vec::new() };
        Self {
            turn: Turn::new(clock),
            streams: Streams::alone(settings.max_lag),
            conns: Slab::default(),
            sites: Sites { list: vec![site], rules, office: None },
            settings,
        }
    }

    fn open(&mut self, title: &str) -> Key {
        self.streams.open(&name(title), 1, &self.settings, Transport::Bytes)
    }

    fn insert(&mut self, role: Role, line: usize) -> Key {
        self.conns.insert(Conn::new(
            Flood(line),
            ([127, 0, 0, 1], 9).into(),
            0,
            role,
            self.turn.now,
        ))
    }

    /// Somebody floods a stream of its own with lines of so many bytes.
    fn flood(&mut self, number: usize, line: usize) {
        let stream = self.open(&format!("flood{number}"));
        let publisher = Publisher { stream, body: None, keeps_alive: false };
        let key = self.insert(Role::Publisher(Box::new(publisher)), line);
        self.conns.get_mut(key).expect("just inserted").list(key, &mut self.turn);
    }

    /// Somebody who has everything of a stream.
    fn subscribe(&mut self, stream: Key) {
        let subscribed = Subscribed {
            stream,
            subscriber: Subscriber::early(&self.settings, Form::Plain, self.turn.now),
            residence: None,
            inbound: None,
            is_unanswered: false,
            standing: Standing::Listed,
            is_behind: false,
            over: Over::Tcp,
            joined: self.turn.now,
        };
        let key = self.insert(Role::Subscriber(Box::new(subscribed)), 1);
        self.streams.fanouts.get_mut(stream).expect("it lives").roster.enter(Over::Tcp);
        self.turn.ready.catchup.push_back(key);
    }

    /// So many lines of a kilobyte.
    fn publish(&mut self, stream: Key, lines: usize) {
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..lines {
            let mut ingest = self.streams.ingest(stream).expect("it lives");
            let len = ingest.copy_in(&line);
            ingest.received(len, self.turn.now).expect("lines");
        }
        self.streams.mark_dirty(stream, &mut self.turn);
    }

    fn begin(&mut self) {
        self.turn.read_clock();
        self.turn.began = self.turn.now;
    }

    fn ingest(&mut self) {
        ingest::tcp(&mut self.turn, &mut self.streams, &mut self.conns, &self.sites);
    }

    fn send(&mut self) {
        let Self { turn, streams, conns, .. } = self;
        fanout::live(turn, streams, conns, &mut Ports::default());
        fanout::resumed(turn, streams, conns);
        fanout::catchup(turn, streams, conns);
    }

    /// A stream with so many subscribers, all at its head.
    fn crowd(&mut self, count: usize) -> Key {
        let stream = self.open("good");
        (0..count).for_each(|_| self.subscribe(stream));
        self.publish(stream, 1);
        while !self.turn.ready.catchup.is_empty() || !self.turn.ready.dirty.is_empty() {
            self.begin();
            self.send();
        }
        stream
    }
}

fn name(title: &str) -> Name {
    Name::parse(title).expect("a name")
}

#[test]
fn receiving_ends_in_time_whoever_floods() {
    for floods in [1, 4, 7, 8, 9, 64] {
        let mut rig = Rig::new();
        (0..floods).for_each(|number| rig.flood(number, 1000));
        for _ in 0..20 {
            rig.begin();
            rig.ingest();
            let took = clock().since(rig.turn.began);
            assert!(took <= INGEST_TIME + 2 * RECEIVE, "{floods} floods: {took:?}");
        }
    }
}

#[test]
fn receiving_from_connections_comes_out_of_the_same_time_as_datagrams() {
    for (before, receives) in [(0, 6), (150, 2), (1000, 2)] {
        let mut rig = Rig::new();
        (0..9).for_each(|number| rig.flood(number, 1000));
        rig.begin();
        passes(Duration::from_micros(before));
        rig.turn.read_clock();
        rig.ingest();
        assert_eq!(rig.turn.counters.receives.get(), receives, "{before} us after it began");
    }
}

/// Sockets with many datagrams each, and what a turn leaves of them.
fn udp_ports(ports: &mut Ports, turn: &mut Turn, streams: &mut Streams, duty: fn(u16) -> Duty) {
    for number in 0..PORTS {
        let udp = Udp::bind(([127, 0, 0, 1], 0).into(), Reuse::No, |_| Ok(())).expect("a port");
        let at = udp.local_addr().expect("it is bound");
        ports.push(udp, duty(at.port()));
        let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let send = |n: usize| {
            client.send_to(&[n as u8; 64], at).expect("it has room");
        };
        send(0);
        ports.readable(number, turn);
        ports.ingest(turn, streams);
        if !turn.ready.control.is_empty() {
            let claim = Claim::Granted { epoch: 1, waiters: Vec::new() };
            ports.claimed(number, claim, turn, streams);
            turn.ready.control.clear();
        }
        while !turn.ready.udp.is_empty() {
            ports.ingest(turn, streams);
        }
        (1..=DATAGRAMS).for_each(send);
    }
}

const PORTS: usize = 4;
/// As many as a socket's buffer has room for by default.
const DATAGRAMS: usize = 96;

#[test]
fn receiving_datagrams_ends_in_time_and_leaves_nothing_behind() {
    let duties: [fn(u16) -> Duty; 2] = [Duty::Echo, |port| {
        let ask = Ask { framing: Some(Kind::Raw), ..Ask::default() };
        Duty::publish(name(&format!("flood{port}")), Settings::of(&ask))
    }];
    for duty in duties {
        let (mut ports, mut turn) = (Ports::default(), Turn::new(step));
        let mut streams = Streams::alone(Duration::from_secs(1));
        udp_ports(&mut ports, &mut turn, &mut streams, duty);
        let count = |turn: &Turn| {
            let counters = &turn.counters;
            (counters.datagrams_sent.get() + counters.received_bytes.get() / 64) as usize
        };
        let before = count(&turn);
        let mut fresh = true;
        let mut turns = 0;
        while fresh || !turn.ready.udp.is_empty() {
            turn.read_clock();
            turn.began = turn.now;
            if std::mem::take(&mut fresh) {
                (0..PORTS).for_each(|number| ports.readable(number, &mut turn));
            }
            ports.ingest(&mut turn, &mut streams);
            let took = clock().since(turn.began);
            assert!(took <= INGEST_TIME + Duration::from_micros(100), "a turn of {took:?}");
            turns += 1;
        }
        assert_eq!(count(&turn) - before, PORTS * DATAGRAMS);
        // A call brings eight, and four calls are 200 us.
        assert!(turns >= PORTS * DATAGRAMS / 8 / 5, "{turns} turns");
    }
}

#[test]
fn sending_datagrams_ends_before_a_call_that_would_be_late() {
    const MEMBERS: usize = 100;
    let calls = |ingest: Duration| {
        let bind = || Udp::bind(([127, 0, 0, 1], 0).into(), Reuse::No, |_| Ok(())).expect("a port");
        let socket = bind();
        let to = socket.local_addr().expect("it is bound");
        let members: Vec<Udp> = (0..MEMBERS).map(|_| bind()).collect();
        for member in &members {
            member.send_to(&[0; JOIN_REQUEST_BYTES], to).expect("there is room");
        }
        let mut rig = Rig::new();
        rig.turn = Turn::new(step);
        let mut ports = Ports::default();
        let joiner = Joiner::new([0; 32]);
        ports.push(socket, Duty::send(name("good"), joiner, false, rig.settings.clone()));
        udp::wire(&ports, &mut rig.streams);
        let stream = rig.open("good");
        ports.readable(0, &mut rig.turn);
        while !rig.turn.ready.udp.is_empty() {
            ports.ingest(&mut rig.turn, &mut rig.streams);
        }
        rig.publish(stream, 1);
        let Rig { turn, streams, conns, .. } = &mut rig;
        turn.began = turn.now;
        passes(ingest);
        fanout::live(turn, streams, conns, &mut ports);
        turn.counters.datagrams_sent.get() as usize
    };
    // Each call of so many takes 50 us here: two fit in 125, one in half of that.
    assert_eq!(calls(Duration::ZERO), 2 * DATAGRAM_BATCH);
    assert_eq!(calls(Duration::from_millis(5)), DATAGRAM_BATCH);
}

#[test]
fn who_floods_does_not_keep_others_from_being_sent_to() {
    let mut sends = Vec::new();
    for floods in [0, 1, 16] {
        let mut rig = Rig::new();
        let stream = rig.crowd(200);
        (0..floods).for_each(|number| rig.flood(number, 1000));
        SENDS.set(0);
        let start = clock();
        while clock().since(start) < Duration::from_millis(300) {
            rig.begin();
            rig.ingest();
            // There is always something new for the 200.
            if !rig.streams.fanouts.get(stream).expect("it lives").is_dirty {
                rig.publish(stream, 1);
            }
            rig.send();
            let took = clock().since(rig.turn.began);
            let most = TURN_TIME + 2 * SEND * CLOCK_SENDS as u32 + RECEIVE;
            assert!(took <= most, "{floods} floods: a turn of {took:?}");
        }
        sends.push(SENDS.get());
    }
    let [alone, one, many] = sends[..] else { panic!("three runs") };
    assert!(alone > 25_000 && one > alone / 4 && many > alone / 4, "{sends:?}");
}

#[test]
fn large_sends_end_in_time() {
    let mut rig = Rig::new();
    let stream = rig.crowd(100);
    rig.publish(stream, FLUSH_BYTES / 1024);
    let mut turns = 0;
    while !rig.turn.ready.dirty.is_empty() {
        rig.begin();
        rig.send();
        turns += 1;
        let took = clock().since(rig.turn.began);
        assert!(took <= FANOUT_TIME + 3 * 4 * SEND, "a turn of {took:?}");
    }
    assert!(turns > 10, "{turns} turns");
}

#[test]
fn of_tiny_frames_few_bytes_are_received_at_a_time() {
    let room = |line| {
        let mut rig = Rig::new();
        rig.flood(0, line);
        for _ in 0..20 {
            rig.begin();
            rig.ingest();
        }
        ROOM.get()
    };
    assert!(room(1) <= PAGE_BYTES.max(INGEST_FRAMES), "{}", room(1));
    assert!(room(1000) >= 16 * 1024, "{}", room(1000));
}
