//! The ways beside echo: connections, a stream through a server, requests.

use super::tests::{end_udp, plan, run, tcp_echo, udp_echo};
use super::*;
use crate::client::pace::Wait;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Takes connections and lets them go, until one brings a byte.
fn listener() -> (SocketAddr, thread::JoinHandle<u64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut came = 0;
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            if matches!(stream.read(&mut [0]), Ok(1)) {
                return came;
            }
            came += 1;
        }
    });
    (address, server)
}

fn end(address: SocketAddr) {
    TcpStream::connect(address).unwrap().write_all(b"!").unwrap();
}

#[test]
fn connections_are_made_and_timed_one_for_each_probe() {
    let (address, server) = listener();
    let (_, series) = run(Pinger::start(&plan(&[Kind::Tcp], address, 30)));
    let counts = &series[0].counts;
    assert_eq!((counts.sent, counts.received, counts.errors), (30, 30, 0));
    assert_eq!(counts.network.count(), 30, "the kernel knows the handshake's time");
    assert!(counts.network.max() <= counts.rtt.max());
    assert_eq!(series[0].scheduled, 30);
    end(address);
    assert_eq!(server.join().unwrap(), 31);
}

#[test]
fn a_port_that_refuses_connections_is_no_loss() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (events, series) = run(Pinger::start(&plan(&[Kind::Tcp], closed, 5)));
    let counts = &series[0].counts;
    assert_eq!((counts.sent, counts.errors, counts.lost, counts.received), (5, 5, 0, 0));
    let refused = |event: &Event| match event {
        Event::Trouble { what, from, .. } => {
            what.contains("nothing listens") && *from == Some(closed.ip())
        }
        Event::Reply(_)
        | Event::Lost { .. }
        | Event::Failed { .. }
        | Event::Quiet
        | Event::Done => false,
    };
    assert_eq!(events.iter().filter(|event| refused(event)).count(), 6);
}

#[test]
fn a_port_that_does_not_answer_is_loss() {
    // A queue of one that nobody takes from: the kernel answers no more.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _held = [TcpStream::connect(address).unwrap()];
    let mut plan = plan(&[Kind::Tcp], address, 4);
    plan.wait = Duration::from_millis(100);
    let (_, series) = run(Pinger::start(&plan));
    let counts = &series[0].counts;
    assert!(counts.lost >= 3, "{counts:?}");
    assert_eq!(counts.sent, 4);
}

/// Hands what a publisher sends to a subscriber, after `first` bytes of its own.
fn relay(first: &'static [u8]) -> (SocketAddr, SocketAddr, thread::JoinHandle<()>) {
    let ports = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [publish, subscribe] = ports.each_ref().map(|port| port.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut subscriber, _) = ports[1].accept().unwrap();
        let (mut publisher, _) = ports[0].accept().unwrap();
        subscriber.write_all(first).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = publisher.read(&mut buffer) {
            if subscriber.write_all(&buffer[..bytes]).is_err() {
                return;
            }
        }
    });
    (publish, subscribe, server)
}

#[test]
fn a_stream_is_timed_from_publisher_to_subscriber() {
    // The end of somebody else's probe comes first, and a token that is no one's.
    for first in [&b""[..], b"the end of something", &[0xff; 100]] {
        let (publish, subscribe, server) = relay(first);
        let mut plan = plan(&[Kind::Relay], subscribe, 30);
        plan.ways[0].publish = Some(publish);
        let (_, series) = run(Pinger::start(&plan));
        let counts = &series[0].counts;
        assert_eq!((counts.sent, counts.received), (30, 30), "{:?}", series[0].failure);
        assert_eq!(counts.forged > 0, !first.is_empty());
        server.join().unwrap();
    }
}

#[test]
fn a_server_that_takes_no_stream_is_found_out() {
    let ports = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [publish, subscribe] = ports.each_ref().map(|port| port.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (publisher, _) = ports[0].accept().unwrap();
        drop(publisher);
        ports[1].accept().unwrap().0.read_to_end(&mut Vec::new()).unwrap();
    });
    let mut plan = plan(&[Kind::Relay], subscribe, 50);
    plan.ways[0].publish = Some(publish);
    let (_, series) = run(Pinger::start(&plan));
    assert!(series[0].failure.is_some(), "{series:?}");
    server.join().unwrap();
}

/// Answers requests on one connection with `answer`, in pieces of `piece` bytes.
fn http(answer: &'static str, piece: usize) -> (SocketAddr, thread::JoinHandle<u64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut asked = 0;
        for line in reader.lines().map_while(Result::ok) {
            if line.is_empty() {
                asked += 1;
                for part in answer.as_bytes().chunks(piece) {
                    if stream.write_all(part).is_err() {
                        return asked;
                    }
                }
            }
        }
        asked
    });
    (address, server)
}

#[test]
fn requests_are_answered_on_one_connection_in_any_pieces() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        for piece in [1, 7, 4096] {
            let (address, server) = http(answer, piece);
            let (_, series) = run(Pinger::start(&plan(&[Kind::App], address, 10)));
            let counts = &series[0].counts;
            assert_eq!(
                (counts.sent, counts.received),
                (10, 10),
                "{answer} {:?}",
                series[0].failure
            );
            assert_eq!(server.join().unwrap(), 11);
        }
    }
}

#[test]
fn answers_that_cannot_be_timed_are_named() {
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "ends with the connection"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "no HTTP response"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunks are broken"),
    ] {
        let (address, server) = http(answer, 4096);
        let (_, series) = run(Pinger::start(&plan(&[Kind::App], address, 10)));
        let failure = series[0].failure.as_ref().expect(answer);
        assert_eq!(failure.word(), "not_http", "{failure}");
        assert!(failure.to_string().contains(why), "{failure}");
        server.join().unwrap();
    }
}

#[test]
fn every_way_to_wait_keeps_the_schedule() {
    for pace in [Wait::Sleep, Wait::named("hybrid").unwrap(), Wait::Spin] {
        let (address, server) = udp_echo(|_| 1);
        let mut plan = plan(&[Kind::Udp], address, 100);
        plan.pace = pace;
        plan.warm_up = 5;
        let (_, series) = run(Pinger::start(&plan));
        let counts = &series[0].counts;
        assert_eq!(
            (counts.sent, counts.received, series[0].scheduled),
            (100, 100, 100),
            "{pace:?}"
        );
        let records = &series[0].records;
        assert_eq!(records.len(), 105);
        // Each is due a whole number of intervals after the first.
        for (i, record) in (0..).zip(records) {
            assert_eq!(record.intended, series[0].start + plan.interval * i);
            assert!(record.sent >= record.intended, "none goes early");
        }
        assert_eq!(end_udp(address, server), 105);
    }
}

#[test]
fn several_hosts_have_books_of_their_own() {
    let (near, near_server) = udp_echo(|_| 1);
    let (far, far_server) = udp_echo(|sequence| u64::from(sequence % 2 == 0));
    let mut plan = plan(&[Kind::Udp, Kind::Udp], near, 20);
    plan.ways[1].target.address = far;
    let (events, series) = run(Pinger::start(&plan));
    let of = |at: usize| (series[at].counts.received, series[at].counts.lost);
    assert_eq!((of(0), of(1)), ((20, 0), (10, 10)));
    assert!(events.iter().any(|event| matches!(event, Event::Lost { way: 1, .. })));
    assert!(!events.iter().any(|event| matches!(event, Event::Lost { way: 0, .. })));
    end_udp(near, near_server);
    end_udp(far, far_server);
}

#[test]
fn echo_has_the_kernels_stamps_on_both_ways() {
    let (address, server) = tcp_echo(4096, usize::MAX, false);
    let (_, series) = run(Pinger::start(&plan(&[Kind::Echo], address, 50)));
    let counts = &series[0].counts;
    // The first ones may go without: the kernel begins in the background.
    assert!(counts.network.count() > 25, "{counts:?}");
    assert_eq!(counts.network.count(), counts.overhead.count());
    server.join().unwrap();
}
