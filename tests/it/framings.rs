//! Where frames end, on each transport in and out.

use crate::film::{PACKET, frames};
use crate::server::Server;
use crate::wire::{self, NEVER, eventually};
use nearlight::client::{ClientOptions, Event, Subscriber, Target};
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};

/// Everybody who may get a stream, each waiting for it.
struct Audience {
    server: Server,
    tcp: TcpStream,
    ws: Subscriber,
    udp: UdpSocket,
}

impl Audience {
    /// Waits for a stream that is published on `listener`; `prime` begins it and
    /// answers with how many bytes.
    fn of(listener: &str, prime: impl FnOnce(&Server) -> u64) -> Self {
        let udp = wire::udp();
        let to = udp.local_addr().expect("bound");
        let listeners = [listener, "tcp://127.0.0.1:0?subscribe=cam"];
        let push = format!("udp://{to}?stream=cam");
        // Nobody is to skip because this machine is busy.
        let more = ["-v", "--max-lag", "20s", "--push", &push];
        let server = Server::start_with(&listeners, &more);
        let tcp = wire::connect(server.at(1));
        eventually("a subscriber waits", || server.connections() == 1);
        // Who comes later doesn't get what was there before.
        let first = prime(&server);
        eventually("the first frame", || server.stream("cam", "received_bytes") == Some(first));
        let target: Target = server.url("ws", "/cam?wait=20s").parse().expect("a URL");
        let ws = Subscriber::open(&target, &ClientOptions::default(), &NEVER).expect("granted");
        server.wait_for_subscribers("cam", 2);
        Self { server, tcp, ws, udp }
    }

    fn message(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        eventually("a message", || match self.ws.receive().expect("unbroken") {
            Event::Bytes(bytes) => {
                message = bytes.to_vec();
                true
            }
            Event::Idle => false,
            Event::End => panic!("the stream is over"),
        });
        message
    }

    /// The stream's bytes on TCP, and its frames in messages and datagrams.
    fn expect(&mut self, bytes: &[u8], frames: &[&[u8]]) {
        assert_eq!(wire::read_exactly(&mut self.tcp, bytes.len()), bytes, "over TCP");
        for frame in frames {
            assert_eq!(self.message(), *frame, "a WebSocket message");
        }
        for frame in frames {
            assert_eq!(wire::datagram(&self.udp), *frame, "a datagram");
        }
    }
}

/// An audience of a raw TCP publisher, which has sent `first`; `first` and
/// what became of it are gone already.
fn tcp_audience(listener: &str, first: &'static [u8], payload: &[u8]) -> (Audience, TcpStream) {
    let mut publisher = None;
    let mut audience = Audience::of(listener, |server| {
        publisher = Some(wire::sent(server.at(0), first));
        first.len() as u64
    });
    assert_eq!(wire::read_exactly(&mut audience.tcp, first.len()), first);
    assert_eq!(wire::datagram(&audience.udp), payload);
    (audience, publisher.expect("just connected"))
}

#[test]
fn lines_keep_the_newline_on_tcp_and_drop_it_in_messages_and_datagrams() {
    let listener = "tcp://127.0.0.1:0?publish=cam&framing=lines";
    let (mut audience, mut publisher) = tcp_audience(listener, b"zero\n", b"zero");
    publisher.write_all(b"one\n\ntwo\r\nth").expect("it is read");
    audience.expect(b"one\n\ntwo\r\n", &[b"one", b"", b"two\r"]);
    publisher.write_all(b"ree\n").expect("it is read");
    audience.expect(b"three\n", &[b"three"]);
}

#[test]
fn len32_keeps_the_prefix_on_tcp_and_drops_it_in_messages_and_datagrams() {
    let listener = "tcp://127.0.0.1:0?publish=cam&framing=len32";
    let (mut audience, mut publisher) = tcp_audience(listener, b"\0\0\0\x04zero", b"zero");
    publisher.write_all(b"\0\0\0\x03one\0\0\0\0\0\0").expect("it is read");
    audience.expect(b"\0\0\0\x03one\0\0\0\0", &[b"one", b""]);
    publisher.write_all(b"\0\x01\n").expect("it is read");
    audience.expect(b"\0\0\0\x01\n", &[b"\n"]);
}

#[test]
fn raw_frames_are_receives() {
    let listener = "tcp://127.0.0.1:0?publish=cam&framing=raw";
    let (mut audience, mut publisher) = tcp_audience(listener, b"zero", b"zero");
    for bytes in [&b"one"[..], b"\n", &[0x47; 1000]] {
        publisher.write_all(bytes).expect("it is read");
        audience.expect(bytes, &[bytes]);
    }
}

#[test]
fn raw_is_cut_into_datagrams_of_1316_bytes() {
    let listener = "tcp://127.0.0.1:0?publish=cam&framing=raw";
    let (audience, mut publisher) = tcp_audience(listener, b"zero", b"zero");
    let bytes = wire::Random::new(3).bytes(3000);
    publisher.write_all(&bytes).expect("it is read");
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        let datagram = wire::datagram(&audience.udp);
        assert!(datagram.len() <= 7 * PACKET);
        got.extend(datagram);
    }
    assert_eq!(got, bytes);
}

#[test]
fn datagrams_stay_what_they_are_up_to_the_largest() {
    let socket = wire::udp();
    let send = |to: SocketAddr, bytes: &[u8]| {
        socket.send_to(bytes, to).expect("sent");
    };
    let mut audience = Audience::of("udp://127.0.0.1:0?publish=cam", |server| {
        send(server.at(0), b"zero");
        4
    });
    assert_eq!(wire::read_exactly(&mut audience.tcp, 4), b"zero");
    assert_eq!(wire::datagram(&audience.udp), b"zero");
    let to = audience.server.at(0);
    let large = wire::Random::new(4).bytes(65_507);
    for bytes in [&b"one"[..], b"t", &large] {
        send(to, bytes);
        audience.expect(bytes, &[bytes]);
    }
    // One of no bytes is no frame, and no harm.
    send(to, b"");
    send(to, b"last");
    audience.expect(b"last", &[b"last"]);
    assert_eq!(audience.server.metric("frames_too_large_total"), 0);
}

#[test]
fn a_frame_larger_than_a_datagram_is_refused_there_and_counted() {
    let listener = "tcp://127.0.0.1:0?publish=cam&framing=lines";
    let (mut audience, mut publisher) = tcp_audience(listener, b"zero\n", b"zero");
    let mut large = vec![b'x'; 65_508];
    large.push(b'\n');
    let fits = &large[1..];
    for line in [&large[..], fits, b"small\n"] {
        publisher.write_all(line).expect("it is read");
    }
    for line in [&large[..], fits, b"small\n"] {
        assert!(wire::read_exactly(&mut audience.tcp, line.len()) == line, "over TCP");
        assert!(audience.message() == line[..line.len() - 1], "a message");
    }
    assert_eq!(wire::datagram(&audience.udp).len(), 65_507);
    assert_eq!(wire::datagram(&audience.udp), b"small");
    assert_eq!(audience.server.metric("frames_too_large_total"), 1);
}

#[test]
fn lines_and_prefixes_in_datagrams_are_frames_too() {
    let socket = wire::udp();
    let mut audience = Audience::of("udp://127.0.0.1:0?publish=cam&framing=lines", |server| {
        socket.send_to(b"zero\n", server.at(0)).expect("sent");
        5
    });
    assert_eq!(wire::read_exactly(&mut audience.tcp, 5), b"zero\n");
    assert_eq!(wire::datagram(&audience.udp), b"zero");
    // What no newline ends is no line.
    socket.send_to(b"one\ntwo\nthr", audience.server.at(0)).expect("sent");
    audience.expect(b"one\ntwo\n", &[b"one", b"two"]);
}

#[test]
fn ts_is_cut_into_datagrams_of_at_most_7_whole_packets() {
    let udp = wire::udp();
    let push = format!("udp://{}?stream=cam", udp.local_addr().expect("bound"));
    let listeners = ["tcp://127.0.0.1:0?publish=cam"];
    let server = Server::start_with(&listeners, &["-v", "--push", &push]);
    let mut publisher = wire::connect(server.at(0));
    let (mut got, mut full) = (Vec::new(), 0);
    for frame in frames(10) {
        publisher.write_all(&frame).expect("it is read");
        while !got.ends_with(&frame) {
            let datagram = wire::datagram(&udp);
            assert!(datagram.len() <= 7 * PACKET && datagram.len().is_multiple_of(PACKET));
            assert!(datagram.chunks(PACKET).all(|packet| packet[0] == 0x47));
            full += u64::from(datagram.len() == 7 * PACKET);
            got.extend(datagram);
        }
    }
    assert!(full > 5, "{full} full datagrams of {} bytes", got.len());
}
