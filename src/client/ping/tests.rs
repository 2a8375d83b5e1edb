//! The engine against small echo servers that behave, misbehave and vanish.

use super::*;
use crate::sys::clock::Clock;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::thread::{self, JoinHandle};

const WAIT: Duration = Duration::from_millis(500);

pub(super) fn plan(kinds: &[Kind], address: SocketAddr, count: u64) -> Plan {
    let target = Target { name: address.to_string(), address };
    let ways = kinds.iter().map(|kind| Way::to(*kind, target.clone()));
    Plan {
        count: Some(count),
        interval: Duration::from_millis(2),
        wait: WAIT,
        deadline: Some(Duration::from_secs(20)),
        ..Plan::new(ways.collect())
    }
}

/// Runs to the end, and returns the events with the series.
pub(super) fn run(mut pinger: Pinger) -> (Vec<Event>, Vec<Series>) {
    let mut events = Vec::new();
    let end = Clock::now() + Duration::from_secs(30);
    loop {
        let event = pinger.next(end);
        assert!(!matches!(event, Event::Quiet), "no end after 30 s");
        if matches!(event, Event::Done) {
            return (events, pinger.finish());
        }
        events.push(event);
    }
}

/// What a UDP echo server does with the probe of a sequence number.
pub(super) type Manners = fn(u64) -> u64;

/// Sends back each datagram as often as `manners` says, until one that is too
/// short to be a probe; then it returns how many came.
pub(super) fn udp_echo(manners: Manners) -> (SocketAddr, JoinHandle<u64>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut buffer, mut came) = ([0u8; 2048], 0);
        loop {
            let (bytes, from) = socket.recv_from(&mut buffer).unwrap();
            if bytes < 16 {
                return came;
            }
            came += 1;
            let sequence = u64::from_be_bytes(buffer[8..16].try_into().unwrap());
            for _ in 0..manners(sequence) {
                socket.send_to(&buffer[..bytes], from).unwrap();
            }
        }
    });
    (address, server)
}

pub(super) fn end_udp(address: SocketAddr, server: JoinHandle<u64>) -> u64 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.send_to(b"end", address).unwrap();
    server.join().unwrap()
}

/// Echoes one connection, in pieces of `piece` bytes, until it has sent
/// `limit` bytes or the peer closes.
pub(super) fn tcp_echo(piece: usize, limit: usize, spoil: bool) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut buffer, mut sent) = (vec![0u8; piece], 0);
        while sent < limit {
            let Ok(bytes @ 1..) = stream.read(&mut buffer) else {
                return;
            };
            if spoil {
                buffer.fill(b'!');
            }
            if stream.write_all(&buffer[..bytes]).is_err() {
                return;
            }
            sent += bytes;
        }
    });
    (address, server)
}

#[test]
fn udp_replies_are_counted_and_timed() {
    let (address, server) = udp_echo(|_| 1);
    let (events, series) = run(Pinger::start(&plan(&[Kind::Udp], address, 50)));
    let counts = &series[0].counts;
    assert_eq!((counts.sent, counts.received, counts.lost), (50, 50, 0));
    assert!(counts.first.is_some());
    assert_eq!(counts.rtt.count(), 50);
    assert_eq!(events.len(), 51);
    assert_eq!(end_udp(address, server), 51);
}

#[test]
fn lost_and_doubled_replies_are_told_apart() {
    // Every fifth is lost, every seventh comes twice (35 is lost).
    let (address, server) = udp_echo(|sequence| match sequence {
        0 => 1,
        s if s.is_multiple_of(5) => 0,
        s if s.is_multiple_of(7) => 2,
        _ => 1,
    });
    let (events, series) = run(Pinger::start(&plan(&[Kind::Udp], address, 50)));
    let counts = &series[0].counts;
    assert_eq!((counts.sent, counts.received, counts.lost), (50, 40, 10));
    assert_eq!(counts.duplicates, 6);
    let lost = events.iter().filter(|event| matches!(event, Event::Lost { .. }));
    assert_eq!(lost.count(), 10);
    end_udp(address, server);
}

#[test]
fn forged_replies_are_told_apart() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut buffer = [0u8; 2048];
        for _ in 0..6 {
            let (bytes, from) = socket.recv_from(&mut buffer).unwrap();
            buffer[3] ^= 1;
            socket.send_to(&buffer[..bytes], from).unwrap();
            socket.send_to(&buffer[..7], from).unwrap();
        }
    });
    let mut plan = plan(&[Kind::Udp], address, 5);
    plan.wait = Duration::from_millis(200);
    let (_, series) = run(Pinger::start(&plan));
    let counts = &series[0].counts;
    assert_eq!((counts.received, counts.forged), (0, 12));
    assert_eq!(counts.lost, 5);
    server.join().unwrap();
}

#[test]
fn a_late_reply_is_neither_lost_nor_timed() {
    // The reply to probe 3 is kept back until probe 30 comes.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut buffer, mut kept) = ([0u8; 56], [0u8; 56]);
        for _ in 0..41 {
            let (_, from) = socket.recv_from(&mut buffer).unwrap();
            match u64::from_be_bytes(buffer[8..16].try_into().unwrap()) {
                3 => kept = buffer,
                30 => {
                    socket.send_to(&kept, from).unwrap();
                    socket.send_to(&buffer, from).unwrap();
                }
                _ => drop(socket.send_to(&buffer, from).unwrap()),
            }
        }
    });
    let mut plan = plan(&[Kind::Udp], address, 40);
    plan.interval = Duration::from_millis(10);
    plan.wait = Duration::from_millis(150);
    let (events, series) = run(Pinger::start(&plan));
    let counts = &series[0].counts;
    assert!(counts.late >= 1, "{counts:?}");
    assert_eq!((counts.lost, counts.received + counts.late), (0, 40));
    assert!(counts.rtt.max().unwrap() <= plan.wait);
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Reply(a) if a.sequence == 3 && a.outcome == Outcome::Late))
    );
    server.join().unwrap();
}

#[test]
fn a_udp_port_where_nothing_listens_says_so() {
    let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (events, series) = run(Pinger::start(&plan(&[Kind::Udp], address, 5)));
    let counts = &series[0].counts;
    assert_eq!((counts.sent, counts.errors), (5, 5));
    assert!(events.iter().any(
        |event| matches!(event, Event::Trouble { what, .. } if what.contains("nothing listens"))
    ));
}

#[test]
fn tcp_echo_is_put_together_from_any_pieces() {
    for piece in [1, 7, 56, 4096] {
        let (address, server) = tcp_echo(piece, usize::MAX, false);
        let (_, series) = run(Pinger::start(&plan(&[Kind::Echo], address, 20)));
        let counts = &series[0].counts;
        assert_eq!((counts.sent, counts.received), (20, 20), "piece {piece}");
        assert!(series[0].failure.is_none());
        server.join().unwrap();
    }
}

#[test]
fn a_large_tcp_probe_comes_back_whole() {
    let (address, server) = tcp_echo(16 * 1024, usize::MAX, false);
    let mut plan = plan(&[Kind::Echo], address, 10);
    plan.size = 1 << 20;
    plan.interval = Duration::from_millis(20);
    plan.wait = Duration::from_secs(10);
    let (_, series) = run(Pinger::start(&plan));
    let counts = &series[0].counts;
    assert_eq!(counts.received + counts.late, 10, "{series:?}");
    server.join().unwrap();
}

#[test]
fn ways_for_tcp_to_fail_are_told_apart() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (_, series) = run(Pinger::start(&plan(&[Kind::Echo], closed, 5)));
    assert!(matches!(series[0].failure, Some(PingError::Refused(at)) if at == closed));

    let (address, server) = tcp_echo(4096, usize::MAX, true);
    let (_, series) = run(Pinger::start(&plan(&[Kind::Echo], address, 5)));
    assert!(matches!(series[0].failure, Some(PingError::NotEcho(_))));
    server.join().unwrap();

    let (address, server) = tcp_echo(56, 56 * 3, false);
    let (_, series) = run(Pinger::start(&plan(&[Kind::Echo], address, 50)));
    assert!(matches!(series[0].failure, Some(PingError::Closed(_))));
    // A server that closes with bytes unread takes back what it sent last.
    assert!(series[0].counts.received <= 2, "and the warm-up");
    server.join().unwrap();
}

#[test]
fn kinds_run_side_by_side_and_one_that_fails_stops_none() {
    let (address, server) = udp_echo(|_| 1);
    let kinds = [Kind::System, Kind::Echo, Kind::Udp];
    let pinger = Pinger::start_with(&plan(&kinds, address, 20), "/no/such/ping");
    let (_, series) = run(pinger);
    let order: Vec<_> = series.iter().map(|series| series.way.kind).collect();
    assert_eq!(order, kinds);
    assert!(matches!(series[0].failure, Some(PingError::NotInstalled)));
    assert!(matches!(series[1].failure, Some(PingError::Refused(_))));
    assert_eq!(series[2].counts.received, 20);
    end_udp(address, server);
}

#[test]
fn the_deadline_leaves_what_is_out_pending() {
    let (address, server) = udp_echo(|sequence| u64::from(sequence < 3));
    let mut plan = plan(&[Kind::Udp], address, 1_000_000);
    plan.deadline = Some(Duration::from_millis(100));
    plan.wait = Duration::from_secs(60);
    let (_, series) = run(Pinger::start(&plan));
    let counts = &series[0].counts;
    assert_eq!((counts.received, counts.lost), (2, 0));
    assert!(counts.pending > 0);
    assert_eq!(counts.sent, counts.received + counts.pending);
    end_udp(address, server);
}

/// At a deadline that is a probe's time, and in the middle of 20 a millisecond.
#[test]
fn what_was_due_when_it_is_stopped_was_sent() {
    let (address, server) = udp_echo(|_| 1);
    let mut plan = plan(&[Kind::Udp], address, 1_000_000);
    plan.deadline = Some(Duration::from_millis(100));
    plan.interval = Duration::from_millis(10);
    let (_, series) = run(Pinger::start(&plan));
    assert_eq!((series[0].counts.sent, series[0].scheduled), (9, 9), "and one to warm up");
    plan.deadline = None;
    plan.interval = Duration::from_micros(50);
    for round in 0..20 {
        let mut pinger = Pinger::start(&plan);
        let end = Clock::now() + Duration::from_millis(2);
        while !matches!(pinger.next(end), Event::Quiet) {}
        pinger.stop();
        let series = pinger.finish();
        // A machine that stalls for 100 intervals in a row is behind.
        let behind = series[0].counts.lateness.max().unwrap() > plan.interval * 50;
        assert!(behind || series[0].scheduled == series[0].counts.sent, "{round}: {series:?}");
    }
    end_udp(address, server);
}

#[test]
fn a_stalled_sender_skips_nothing_and_admits_its_lateness() {
    let (address, server) = udp_echo(|_| 1);
    let mut pinger = Pinger::start(&plan(&[Kind::Udp], address, 30));
    // Nobody calls next() for the time of ten probes.
    let resume = Clock::now() + Duration::from_millis(20);
    while Clock::now() < resume {
        std::hint::spin_loop();
    }
    while !matches!(pinger.next(Clock::now() + Duration::from_secs(30)), Event::Done) {}
    let series = pinger.finish();
    let counts = &series[0].counts;
    assert_eq!((counts.sent, counts.received), (30, 30));
    let late = counts.lateness.max().unwrap();
    assert!(late >= Duration::from_millis(15), "{late:?}");
    end_udp(address, server);
}

/// A program of a few lines that passes for `ping` of iputils.
struct FakePing(std::path::PathBuf);

impl FakePing {
    fn new(name: &str, script: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ping-{name}-{}", std::process::id()));
        // A shell writes it: were the file open for writing in this process,
        // a fork by another test would keep it so, and it could not be run.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let script = format!("[ \"$1\" = -V ] && exec echo ping from iputils 20221126\n{script}");
        let status = Command::new("sh").args(["-c", write, "sh", &script]).arg(&path).status();
        assert!(status.unwrap().success());
        Self(path)
    }

    fn run(&self, count: u64) -> Series {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let plan = plan(&[Kind::System], address, count);
        let program = self.0.to_str().unwrap();
        let (_, mut series) = run(Pinger::start_with(&plan, program));
        series.pop().expect("one")
    }
}

impl Drop for FakePing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_system_ping_is_read_while_it_runs() {
    let fake = FakePing::new(
        "good",
        "echo \"PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.\"
for i in 1 2 4 3 4; do
  d=; [ \"$i$p\" = 43 ] && d=' (DUP!)'; p=$i
  echo \"64 bytes from 127.0.0.1: icmp_seq=$i ttl=64 time=0.0$i ms$d\"
done
echo 'From 127.0.0.1 icmp_seq=5 Destination Host Unreachable'
echo
echo '--- 127.0.0.1 ping statistics ---'
echo '6 packets transmitted, 4 received, +1 duplicates, +1 errors, 33% packet loss, time 9ms'
exit 0",
    );
    let series = fake.run(5);
    let counts = &series.counts;
    assert!(series.failure.is_none(), "{:?}", series.failure);
    assert_eq!(counts.first, Some(Duration::from_micros(10)));
    assert_eq!((counts.sent, counts.received), (5, 3));
    assert_eq!((counts.duplicates, counts.errors, counts.lost), (1, 1, 1));
    assert_eq!(counts.reordered, 1);
    assert_eq!(series.how, "iputils 20221126, every 2ms");
}

#[test]
fn a_complaint_of_the_system_ping_is_passed_on() {
    let fake = FakePing::new(
        "denied",
        "echo 'PING 127.0.0.1 (127.0.0.1): 56 data bytes'
echo 'ping: permission denied (are you root?)' >&2
exit 1",
    );
    let error = fake.run(5).failure.expect("it failed");
    assert!(error.is_setup());
    assert!(error.to_string().contains("are you root?"), "{error}");
}

#[test]
fn the_system_ping_gets_the_c_locale_and_our_options() {
    let fake =
        FakePing::new("args", "echo \"ping: $LC_ALL $LANG ${LANGUAGE-unset} $*\" >&2; exit 2");
    let error = fake.run(5).failure.expect("it failed");
    let wanted = "C C unset -n -i 0.002 -s 56 -W 1 -c 6 127.0.0.1";
    assert!(error.to_string().ends_with(wanted), "{error}");
}

#[test]
fn a_system_ping_that_never_ends_is_ended() {
    let fake = FakePing::new(
        "endless",
        "trap '' INT
echo 'PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.'
echo '64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.01 ms'
echo '64 bytes from 127.0.0.1: icmp_seq=2 ttl=64 time=0.02 ms'
exec tail -f /dev/null",
    );
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
    let mut plan = plan(&[Kind::System], address, 5);
    plan.deadline = Some(Duration::from_millis(200));
    let started = Clock::now();
    let program = fake.0.to_str().unwrap();
    let (_, series) = run(Pinger::start_with(&plan, program));
    assert!(Clock::now().since(started) < Duration::from_secs(10));
    assert_eq!(series[0].counts.received, 1);
}

/// Real ICMP to loopback, where this process may.
#[test]
fn icmp_over_loopback() {
    for address in
        [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))]
    {
        let (_, series) = run(Pinger::start(&plan(&[Kind::Icmp], address, 20)));
        let counts = &series[0].counts;
        if let Some(error) = &series[0].failure {
            let text = error.to_string();
            let lacking = matches!(error, PingError::Permission(_) | PingError::Unreachable(_));
            assert!(lacking, "{text}");
            eprintln!("not run: {text}");
            continue;
        }
        assert_eq!((counts.sent, counts.received), (20, 20), "{series:?}");
        assert_eq!(counts.forged, 0);
    }
}
