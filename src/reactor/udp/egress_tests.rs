//! Sends that nobody hears: who is sent what, and when.

use super::*;
use crate::framing::{Kind, Transport};
use crate::protocol::Ask;
use crate::reactor::slab::Key;
use crate::reactor::streams::Fanout;
use crate::reactor::udp::{Duty, Ports};
use crate::relay::Settings;
use crate::sys::socket::Reuse;
use std::cell::Cell;
use std::net::Ipv4Addr;

const LAG: Duration = Duration::from_millis(500);
/// What a look at the clock costs in these tests.
const STEP: u64 = 40_000;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
}

fn clock() -> Instant {
    NOW.set(NOW.get() + STEP);
    Instant::from_nanos(NOW.get())
}

fn settings() -> Settings {
    Settings::of(&Ask::default())
}

/// A stream that goes out to addresses where nobody listens.
struct Rig {
    turn: Turn,
    streams: Streams,
    stream: Key,
    socket: Udp,
    loads: Loads,
    egress: Egress,
}

impl Rig {
    fn new(kind: Kind, members: usize) -> Self {
        let settings = Settings::of(&Ask { framing: Some(kind), ..Ask::default() });
        let name = Name::parse("cam").unwrap();
        let mut streams = Streams::alone(LAG);
        let stream = streams.open(&name, 1, &settings, Transport::Bytes);
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let socket = Udp::bind(any, Reuse::No, |_| Ok(())).unwrap();
        let mut egress = Egress::new(name, Joiner::new([0; 32]), true, settings.clone());
        egress.set_gso(socket.can_gso());
        for n in 0..members {
            let [high, low] = (n as u16).to_be_bytes();
            egress.push_to(([127, 9, high, low], 9).into());
        }
        let (turn, loads) = (Turn::new(clock), Loads::default());
        Self { turn, streams, stream, socket, loads, egress }
    }

    fn publish(&mut self, bytes: &[u8]) {
        let mut ingest = self.streams.ingest(self.stream).unwrap();
        let len = ingest.copy_in(bytes);
        ingest.received(len, self.turn.now).unwrap();
    }

    /// One turn's share; answers whether all have everything, and how many
    /// datagrams went out.
    fn send(&mut self) -> (bool, u64) {
        self.turn.read_clock();
        let Self { turn, streams, stream, socket, loads, egress } = self;
        let Fanout { view, residence, .. } = streams.fanouts.get_mut(*stream).unwrap();
        let before = turn.counters.datagrams_sent.get();
        let until = turn.now + crate::limits::UDP_TIME;
        let is_complete = egress.send((view, residence, true), socket, loads, turn, until);
        (is_complete, turn.counters.datagrams_sent.get() - before)
    }
}

#[test]
fn a_turn_sends_for_its_time_and_the_next_goes_on() {
    const MEMBERS: usize = 300;
    let mut rig = Rig::new(Kind::Lines, MEMBERS);
    rig.publish(b"one\n");
    let (mut turns, mut sent) = (0, 0);
    loop {
        let (is_complete, datagrams) = rig.send();
        turns += 1;
        sent += datagrams;
        // The time that passes in the test is that of four calls.
        assert!(datagrams <= 4 * DATAGRAM_BATCH as u64, "{datagrams} in one turn");
        if is_complete {
            break;
        }
    }
    assert_eq!(sent, MEMBERS as u64);
    assert!(turns >= MEMBERS / (4 * DATAGRAM_BATCH), "{turns}");
    assert_eq!(rig.send(), (true, 0), "nothing is new");
}

#[test]
fn who_is_too_late_skips_to_the_head_and_is_counted() {
    let mut rig = Rig::new(Kind::Lines, 3);
    rig.publish(b"one\n");
    assert_eq!(rig.send(), (true, 3));
    rig.publish(b"two\n");
    NOW.set(NOW.get() + LAG.as_nanos() as u64);
    assert_eq!(rig.send(), (true, 0));
    assert_eq!(rig.turn.counters.skips.get(), 3);
    rig.publish(b"three\n");
    assert_eq!(rig.send(), (true, 3));
}

#[test]
fn a_long_stretch_takes_several_turns_and_comes_whole() {
    let mut rig = Rig::new(Kind::Raw, 5);
    rig.publish(b"starts it");
    assert_eq!(rig.send(), (true, 5));
    let pieces = 3 * UDP_PIECES + 1;
    rig.publish(&vec![7; pieces * DATAGRAM_BYTES]);
    let mut sent = 0;
    for turn in 0.. {
        let (is_complete, datagrams) = rig.send();
        sent += datagrams;
        if is_complete {
            assert!(turn > 0, "it took one turn");
            break;
        }
    }
    assert_eq!(sent, 5 * pieces as u64);
}

/// Two ports of one stream, the first with more to do than there is time.
#[test]
fn a_port_with_too_much_to_do_does_not_keep_another_waiting() {
    let mut rig = Rig::new(Kind::Lines, 4000);
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let bind = || Udp::bind(any, Reuse::No, |_| Ok(())).unwrap();
    let sink = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_nonblocking(true).unwrap();
    let push = |to| Duty::push(rig.egress.name.clone(), Joiner::new([0; 32]), to, settings());
    let push = push(sink.local_addr().unwrap());
    let mut ports = Ports::default();
    ports.push(bind(), Duty::Send(Box::new(rig.egress)));
    ports.push(bind(), push);
    let fan = rig.streams.fanouts.get_mut(rig.stream).unwrap();
    fan.udp = vec![0, 1];
    let mut lines = 0;
    for _ in 0..200 {
        rig.turn.read_clock();
        let mut ingest = rig.streams.ingest(rig.stream).unwrap();
        let len = ingest.copy_in(b"one\n");
        ingest.received(len, rig.turn.now).unwrap();
        let fan = rig.streams.fanouts.get_mut(rig.stream).unwrap();
        let until = rig.turn.now + crate::limits::UDP_TIME;
        ports.send(fan, &mut rig.turn, until);
        let mut space = [0; 100];
        while sink.recv(&mut space).is_ok() {
            lines += 1;
        }
    }
    assert!(lines >= 199, "{lines} of 200");
}

/// Who joins is not sent what was there before: it would overrun its buffer.
fn joins_and_goes_and_joins(kind: Kind, frame: &[u8]) {
    let mut rig = Rig::new(kind, 0);
    let to: SocketAddr = ([127, 9, 9, 9], 9).into();
    for _ in 0..3 {
        // A packet of no programme is a join point once there was none for long.
        for _ in 0..1000 {
            NOW.set(NOW.get() + 20_000_000);
            rig.turn.read_clock();
            rig.publish(frame);
        }
        rig.turn.read_clock();
        rig.egress.join(0, to, 0, &mut rig.turn);
        rig.egress.report(&mut rig.streams, &mut rig.turn);
        assert_eq!(rig.send(), (true, 0), "{kind:?}: what was there before");
        rig.publish(frame);
        assert_eq!(rig.send(), (true, 1), "{kind:?}: what came then");
        rig.egress.audience.leave(to);
        rig.egress.report(&mut rig.streams, &mut rig.turn);
    }
}

#[test]
fn who_joins_starts_at_what_comes_next() {
    joins_and_goes_and_joins(Kind::Lines, b"line\n");
    let mut packets = [0xFF; 7 * 188];
    for packet in packets.chunks_exact_mut(188) {
        packet[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
    }
    joins_and_goes_and_joins(Kind::Ts, &packets);
}

#[test]
fn one_narrow_path_is_served_by_itself() {
    let mut rig = Rig::new(Kind::Raw, 4);
    rig.publish(b"starts it");
    while !rig.send().0 {}
    rig.egress.audience.renew();
    rig.egress.audience.gather(2);
    rig.egress.audience.refuse_gso(1);
    rig.egress.audience.served(Position::ZERO, rig.egress.head);
    rig.egress.audience.renew();
    let mut groups = Vec::new();
    while rig.egress.audience.front().is_some() {
        rig.egress.audience.gather(usize::MAX);
        groups.push(rig.egress.audience.group().count());
        rig.egress.audience.served(rig.egress.head, rig.egress.head);
    }
    assert_eq!(groups.iter().sum::<usize>(), 4);
    assert!(groups.contains(&1), "{groups:?}");
}

#[test]
fn who_joins_does_not_wait_for_what_gathers_for_others() {
    let mut rig = Rig::new(Kind::Lines, 1);
    let span = Duration::from_millis(100);
    rig.egress.settings = Settings::of(&Ask { coalesce: Some(span), ..Ask::default() });
    rig.publish(b"one\n");
    assert_eq!(rig.send(), (true, 1));
    rig.publish(b"two\n");
    assert_eq!(rig.send(), (true, 0), "it gathers");
    let address: SocketAddr = ([127, 9, 1, 1], 9).into();
    let member = Member { cursor: rig.egress.next, ..Member::new(address, 0, rig.turn.now) };
    assert!(rig.egress.audience.join(address, member));
    rig.publish(b"three\n");
    assert_eq!(rig.send(), (true, 1), "the new one has its first line at once");
    assert!(rig.egress.flush < Instant::NEVER);
    NOW.set(NOW.get() + span.as_nanos() as u64);
    assert_eq!(rig.send(), (true, 2), "and the other both of its own in time");
}
