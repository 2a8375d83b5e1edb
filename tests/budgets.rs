//! What bounds a turn, on a clock that sockets move: receives of 40 us that are
//! always full, sends of 10 for each 16 KiB.

use nearlight::base::Instant;
use nearlight::framing::{Kind, Transport};
use nearlight::limits::{
    CLOCK_SENDS, FANOUT_TIME, FLUSH_BYTES, INGEST_FRAMES, INGEST_TIME, PAGE_BYTES, TURN_TIME,
};
use nearlight::protocol::http::Rules;
use nearlight::protocol::{Ask, Name};
use nearlight::reactor::conn::{Conn, Publisher, Role, Standing, Subscribed};
use nearlight::reactor::plan::Service;
use nearlight::reactor::site::{Site, Sites};
use nearlight::reactor::slab::{Key, Slab};
use nearlight::reactor::streams::Streams;
use nearlight::reactor::turn::Turn;
use nearlight::reactor::udp::Ports;
use nearlight::reactor::{fanout, ingest};
use nearlight::relay::{Form, Settings, Subscriber};
use nearlight::sys::socket::Socket;
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
        };
        let key = self.insert(Role::Subscriber(Box::new(subscribed)), 1);
        self.streams.fanouts.get_mut(stream).expect("it lives").roster.count += 1;
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
