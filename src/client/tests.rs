//! Publisher and subscriber against small servers of `std::net`.

mod http;

use super::pace::{Pacing, Wait};
use super::picture::{Detail, Picture};
use super::probe::{Form, ProbeReader, Stamp};
use super::*;
use crate::base::Instant;
use crate::limits::{DATAGRAM_BYTES, TS_PACKET};
use crate::protocol::udp_join::{Answer, Joiner};
use crate::sys::clock::Clock;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(10);
static NEVER: AtomicBool = AtomicBool::new(false);

fn target(scheme: Scheme, addr: SocketAddr, path: &str) -> Target {
    let at = Target::at(scheme, addr).to_string();
    format!("{}{path}", at.trim_end_matches('/')).parse().expect("a URL")
}

/// A server of one connection; `serve`'s value is what joining it answers.
fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("bound");
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        serve(stream)
    });
    (addr, thread)
}

fn all(subscriber: &mut Subscriber) -> ClientResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let until = Some(Clock::now() + PATIENCE);
    let received = subscribe(subscriber, &mut bytes, None, until, &NEVER)?;
    assert!(received.ended, "not in time");
    assert_eq!(received.bytes, bytes.len() as u64);
    Ok(bytes)
}

/// Passes what a publisher sends on to a subscriber: the least relay.
fn relay() -> (SocketAddr, SocketAddr, JoinHandle<()>) {
    let publish = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let subscribe = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addrs = [&publish, &subscribe].map(|listener| listener.local_addr().expect("bound"));
    let thread = std::thread::spawn(move || {
        let (mut to, _) = subscribe.accept().expect("a subscriber");
        let (mut from, _) = publish.accept().expect("a publisher");
        from.set_read_timeout(Some(PATIENCE)).expect("a socket");
        std::io::copy(&mut from, &mut to).expect("both stay");
    });
    (addrs[0], addrs[1], thread)
}

#[test]
fn picture_with_stamps_over_tcp() {
    let (publish, subscribe_at, relay) = relay();
    let options = ClientOptions::default();
    let to = target(Scheme::Tcp, subscribe_at, "");
    let mut subscriber = Subscriber::open(&to, &options, &NEVER).expect("accepted");
    let reader = std::thread::spawn(move || {
        let mut probe = ProbeReader::new(Form::Ts, Some(77));
        let mut bytes = Vec::new();
        let until = Some(Clock::now() + PATIENCE);
        let received = subscribe(&mut subscriber, &mut bytes, Some(&mut probe), until, &NEVER);
        (received.expect("a whole stream"), bytes, probe)
    });
    let to = target(Scheme::Tcp, publish, "");
    let mut publisher = Publisher::open(&to, &options, &NEVER).expect("accepted");
    let show = Show {
        frames: Some(6),
        token: Some(77),
        wait: Wait::Hybrid(Duration::from_micros(200)),
        ..Show::default()
    };
    let start = Clock::now();
    let published = publish_picture(&mut publisher, &show, &NEVER).expect("taken");
    assert!(Clock::now().since(start) >= Picture::FRAME_TIME * 5);
    publisher.finish().expect("ended");
    relay.join().expect("relayed");

    let (received, bytes, probe) = reader.join().expect("read");
    assert!(received.ended);
    assert_eq!((received.bytes, published.sends), (published.bytes, 6));
    assert_eq!(bytes.len() % TS_PACKET, 0);
    let last: &[u8; TS_PACKET] = bytes.last_chunk().expect("packets");
    assert_eq!(Stamp::find_ts(last).map(|stamp| stamp.seq), Some(5), "the frame's last packet");
    assert_eq!((probe.tally().received, probe.tally().lost), (6, 0));
    assert!(probe.hist().max().expect("samples") < PATIENCE);
    assert_eq!(published.late.count(), 6);
}

#[test]
fn a_file_goes_by_its_own_clock() {
    let mut picture = Picture::new(Detail::Changes);
    let mut file = Vec::new();
    for n in 0..5 {
        picture.frame(n, n * 40, &mut file);
    }
    let (publish, subscribe_at, relay) = relay();
    let options = ClientOptions::default();
    let opened = Subscriber::open(&target(Scheme::Tcp, subscribe_at, ""), &options, &NEVER);
    let mut subscriber = opened.expect("accepted");
    let opened = Publisher::open(&target(Scheme::Tcp, publish, ""), &options, &NEVER);
    let mut publisher = opened.expect("accepted");
    let start = Clock::now();
    let pacing = Pacing::Pcr { fallback: 1 << 20 };
    let sent = publish_reader(&mut publisher, &mut &file[..], pacing, Wait::Sleep, &NEVER);
    assert_eq!(sent.expect("taken").bytes, file.len() as u64);
    assert!(Clock::now().since(start) >= Picture::FRAME_TIME * 4);
    publisher.finish().expect("ended");
    assert!(all(&mut subscriber).expect("whole") == file);
    relay.join().expect("relayed");
}

#[test]
fn a_publisher_that_is_closed_on_finds_out() {
    let (addr, server) = server(drop);
    let opened = Publisher::open(&target(Scheme::Tcp, addr, ""), &ClientOptions::default(), &NEVER);
    let mut publisher = opened.expect("accepted");
    server.join().expect("closed");
    let start = Clock::now();
    while publisher.send(b"x", &NEVER).is_ok() {
        assert!(Clock::now().since(start) < PATIENCE);
    }
}

#[test]
fn pushed_datagrams_are_whole_packets() {
    let options = ClientOptions::default();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let addr = socket.local_addr().expect("bound");
    drop(socket);
    let to = target(Scheme::Udp, addr, "");
    let mut subscriber = Subscriber::pushed(&to, None, &options).expect("bound");
    let mut publisher = Publisher::open(&to, &options, &NEVER).expect("a socket");
    let mut stream = Vec::new();
    Picture::new(Detail::Full).frame(0, 0, &mut stream);
    publisher.send(&stream, &NEVER).expect("sent");
    let mut received = Vec::new();
    let start = Clock::now();
    while received.len() < stream.len() {
        assert!(Clock::now().since(start) < PATIENCE);
        if let Event::Bytes(datagram) = subscriber.receive().expect("open") {
            assert!(datagram.len() <= DATAGRAM_BYTES && datagram.len() % TS_PACKET == 0);
            received.extend_from_slice(datagram);
        }
    }
    assert!(received == stream);
}

/// What the fake UDP server heard.
#[derive(Debug, Default)]
struct Heard {
    tokens: u32,
    joins: u32,
    leaves: u32,
}

/// A subscribe listener that is started again, with another secret, after it
/// has sent a little: it must be joined anew. Ends when somebody leaves.
fn udp_server(socket: UdpSocket) -> Heard {
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
    let mut heard = Heard::default();
    let mut joiner = Joiner::new([1; 32]);
    let mut joined = None;
    let mut sent = 0u64;
    let start = Clock::now();
    while heard.leaves == 0 {
        assert!(Clock::now().since(start) < PATIENCE * 2, "{heard:?}");
        let mut bytes = [0; 100];
        match socket.recv_from(&mut bytes) {
            Ok((length, from)) => {
                let epoch = joined.map(|(_, epoch)| epoch);
                match joiner.handle_datagram(&bytes[..length], from, 5, epoch) {
                    Answer::SendToken(token) => {
                        heard.tokens += 1;
                        socket.send_to(&token, from).expect("sent");
                    }
                    Answer::Join { epoch } => {
                        heard.joins += 1;
                        joined = Some((from, epoch));
                    }
                    Answer::Leave => heard.leaves += 1,
                    Answer::KeepAlive => {}
                    other @ (Answer::Ignore | Answer::Refused(_)) => panic!("{other:?}"),
                }
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
            }
        }
        if let Some((from, _)) = joined {
            let mut datagram = Vec::new();
            let now = Clock::now();
            let stamp = Stamp { token: 9, seq: sent, intended: now, sent: now };
            stamp.write_bytes(&mut datagram);
            // And one of a token's length, which is none.
            socket.send_to(&datagram, from).expect("sent");
            socket.send_to(b"sixteen payload.", from).expect("sent");
            sent += 1;
            if sent == 5 {
                joiner = Joiner::new([2; 32]);
                joined = None;
            }
        }
    }
    heard
}

#[test]
fn udp_subscriber_joins_joins_anew_and_leaves() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let to = target(Scheme::Udp, socket.local_addr().expect("bound"), "");
    let server = std::thread::spawn(move || udp_server(socket));
    let mut subscriber = Subscriber::open(&to, &ClientOptions::default(), &NEVER).expect("joined");
    let mut probe = ProbeReader::new(Form::Bytes, Some(9));
    let start = Clock::now();
    let mut payloads = 0;
    while probe.tally().received < 10 {
        assert!(Clock::now().since(start) < PATIENCE, "{:?}", probe.tally());
        if let Event::Bytes(datagram) = subscriber.receive().expect("open") {
            payloads += u32::from(datagram == b"sixteen payload.");
            probe.handle_datagram(datagram, Clock::now());
        }
    }
    assert!(payloads >= 9, "{payloads}");
    assert_eq!(probe.tally().lost, 0);
    subscriber.leave().expect("sent");
    let heard = server.join().expect("served");
    assert_eq!(heard.joins, 2, "{heard:?}");
    assert_eq!(heard.leaves, 1);
    assert!(heard.tokens >= 2);
}

#[test]
fn silence_ends_and_stop_ends_sooner() {
    let (addr, server) = server(|stream| stream);
    let options = ClientOptions { stall: Duration::from_millis(150), ..ClientOptions::default() };
    let opened = Subscriber::open(&target(Scheme::Http, addr, "/x"), &options, &NEVER);
    assert!(matches!(opened.err(), Some(ClientError::Timeout { .. })));
    drop(server.join());

    // Nobody answers: a UDP socket that says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let to = target(Scheme::Udp, silent.local_addr().expect("bound"), "");
    let opened = Subscriber::open(&to, &options, &NEVER);
    assert!(matches!(opened.err(), Some(ClientError::Timeout { .. })));
    let stop = AtomicBool::new(true);
    let opened = Subscriber::open(&to, &ClientOptions::default(), &stop);
    assert!(matches!(opened.err(), Some(ClientError::Stopped)));

    // Nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = free.local_addr().expect("bound");
    drop(free);
    let opened = Publisher::open(&target(Scheme::Tcp, addr, ""), &options, &NEVER);
    let text = opened.err().expect("refused").to_string();
    assert!(text.contains(&format!("connect to tcp://{addr}")), "{text}");
    let opened = Publisher::open(&target(Scheme::Ws, addr, "/x"), &options, &NEVER);
    assert!(matches!(opened.err(), Some(ClientError::Target(_))));
}

#[test]
fn a_reader_that_stalls_times_the_publisher_out() {
    let (addr, server) = server(|stream| stream);
    let options = ClientOptions {
        stall: Duration::from_millis(150),
        sndbuf: Some(16 * 1024),
        ..ClientOptions::default()
    };
    let mut publisher =
        Publisher::open(&target(Scheme::Tcp, addr, ""), &options, &NEVER).expect("open");
    let start = Clock::now();
    let error = loop {
        assert!(Clock::now().since(start) < PATIENCE);
        if let Err(error) = publisher.send(&[0; 100_000], &NEVER) {
            break error;
        }
    };
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    let stop = AtomicBool::new(true);
    let stopped = publisher.send(&[0; 100_000], &stop);
    assert!(matches!(stopped, Err(ClientError::Stopped)));
    let mut endless = std::io::repeat(0);
    let published = publish_reader(&mut publisher, &mut endless, Pacing::Asap, Wait::Sleep, &stop);
    assert_eq!(published.expect("stop is no error").bytes, 0);
    drop(server.join());
}

#[test]
fn receive_buffer_is_set_before_connecting() {
    let (addr, server) = server(|stream| stream);
    let options = ClientOptions { rcvbuf: Some(32 * 1024), ..ClientOptions::default() };
    let opened = Subscriber::open(&target(Scheme::Tcp, addr, ""), &options, &NEVER);
    let subscriber = opened.expect("accepted");
    let granted = socket2::SockRef::from(&subscriber).recv_buffer_size();
    assert_eq!(granted.expect("a socket"), 64 * 1024, "doubled by the kernel");
    drop(server.join());
}

#[test]
fn a_subscriber_stops_when_told() {
    let (addr, server) = server(|stream| stream);
    let opened =
        Subscriber::open(&target(Scheme::Tcp, addr, ""), &ClientOptions::default(), &NEVER);
    let mut subscriber = opened.expect("accepted");
    let mut sink = std::io::sink();
    let until: Instant = Clock::now() + Duration::from_millis(20);
    let received = subscribe(&mut subscriber, &mut sink, None, Some(until), &NEVER);
    assert_eq!(received.expect("quiet"), Received::default());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiter =
            scope.spawn(|| subscribe(&mut subscriber, &mut std::io::sink(), None, None, &stop));
        stop.store(true, Ordering::Relaxed);
        assert!(waiter.join().expect("no panic").is_ok());
    });
    drop(server.join());
}
