//! A server, one publisher and some subscribers, frame by frame in lockstep.

use crate::server::Server;
use crate::wire::{self, eventually};
use nearlight::sys::address::Destination;
use nearlight::sys::datagram::{Datagram, Gso, Outgoing};
use nearlight::sys::socket::{Reuse, Udp};
use std::io::{IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};

/// Bytes of a frame: seven TS packets, what a datagram holds.
pub(crate) const FRAME: usize = 1316;
/// Datagrams that come together.
pub(crate) const PIECES: usize = 7;
/// Frames before anything is counted, so that everybody has joined and each
/// way has been gone once.
const WARM: usize = 3;

/// Whom the server works for.
pub(crate) struct Load {
    pub(crate) server: Server,
    way: Way,
}

enum Way {
    Tcp { publisher: TcpStream, subscribers: Vec<TcpStream> },
    Udp { publisher: Box<Sender>, subscribers: Vec<UdpSocket> },
}

/// Sends datagrams in one call, as one packet that stays whole on loopback.
struct Sender {
    socket: Udp,
    to: Destination,
    outgoing: Outgoing,
}

impl Load {
    /// One to `count` over TCP.
    pub(crate) fn tcp(count: usize, more: &[String]) -> Self {
        let server = start(
            "tcp://127.0.0.1:0?publish=cam&framing=lines",
            "tcp://127.0.0.1:0?subscribe=cam",
            more,
        );
        let mut subscribers: Vec<_> = (0..count).map(|_| wire::connect(server.at(1))).collect();
        let mut publisher = wire::connect(server.at(0));
        match &mut subscribers[..] {
            [only] => wait_for_join(&mut publisher, only),
            _ => eventually("all are accepted", || server.connections() == 1 + count as u64),
        }
        Self::warm(server, Way::Tcp { publisher, subscribers })
    }

    /// One to `count` in datagrams.
    pub(crate) fn udp(count: usize, more: &[String]) -> Self {
        let server = start(
            "udp://127.0.0.1:0?publish=cam&framing=datagram",
            "udp://127.0.0.1:0?subscribe=cam&handshake=off",
            more,
        );
        let subscribers: Vec<UdpSocket> = (0..count).map(|_| wire::udp()).collect();
        for socket in &subscribers {
            socket.send_to(b"let me in, please", server.at(1)).expect("sent");
        }
        let joins = || server.log().matches("joins cam over UDP").count();
        eventually("all have joined", || joins() == count);
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let socket = Udp::bind(any, Reuse::No, |_| Ok(())).expect("a port");
        let to = Destination::from(server.at(0));
        let publisher = Box::new(Sender { socket, to, outgoing: Outgoing::default() });
        Self::warm(server, Way::Udp { publisher, subscribers })
    }

    fn warm(server: Server, way: Way) -> Self {
        let mut load = Self { server, way };
        (0..WARM).for_each(|_| load.frame());
        load
    }

    /// Sends a frame, or a batch of datagrams, and waits until everybody has
    /// it.
    pub(crate) fn frame(&mut self) {
        let frame = line();
        match &mut self.way {
            Way::Tcp { publisher, subscribers } => {
                publisher.write_all(&frame).expect("it is read");
                for socket in subscribers {
                    let mut found = [0; FRAME];
                    socket.read_exact(&mut found).expect("the frame, in time");
                    assert_eq!(found, frame);
                }
            }
            Way::Udp { publisher, subscribers } => {
                publisher.send(&frame);
                for socket in subscribers {
                    for _ in 0..PIECES {
                        assert_eq!(wire::datagram(socket), frame);
                    }
                }
            }
        }
    }
}

/// A frame, which is a line.
fn line() -> [u8; FRAME] {
    let mut line = [b'x'; FRAME];
    line[FRAME - 1] = b'\n';
    line
}

/// Publishes until a subscriber gets it. No page is asked for it: one that was
/// has the server wake up seconds later, to see whether more are wanted.
fn wait_for_join(publisher: &mut TcpStream, subscriber: &mut TcpStream) {
    subscriber.set_nonblocking(true).expect("a socket");
    eventually("it is served", || {
        publisher.write_all(&line()).expect("it is read");
        subscriber.peek(&mut [0]).is_ok()
    });
    subscriber.set_nonblocking(false).expect("a socket");
    publisher.write_all(b"!\n").expect("it is read");
    while wire::read_exactly(subscriber, 1) != b"!" {}
    assert_eq!(wire::read_exactly(subscriber, 1), b"\n");
}

impl Sender {
    fn send(&mut self, datagram: &[u8]) {
        let bytes = datagram.repeat(PIECES);
        let gso = Gso::new(datagram.len(), bytes.len()).expect("several datagrams");
        let slices = [IoSlice::new(&bytes)];
        let batch = Datagram { to: &self.to, slices: &slices, gso: Some(&gso) };
        let sent = self.outgoing.send(&self.socket, [batch]);
        assert!(sent.sent == PIECES && sent.uncut.is_empty(), "{sent:?}");
    }
}

fn start(publish: &str, subscribe: &str, more: &[String]) -> Server {
    let mut words = vec!["-v"];
    words.extend(more.iter().map(String::as_str));
    Server::start_with(&[publish, subscribe], &words)
}
