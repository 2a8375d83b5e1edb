//! Small servers on loopback, well-behaved and not; each lasts as long as the
//! test process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// What a condition may take to come true.
pub(crate) const SOON: Duration = Duration::from_secs(20);

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A TCP port where nothing listens, until somebody else is given it.
pub(crate) fn closed() -> SocketAddr {
    listener().1
}

/// UDP and TCP echo on one port; tells of each datagram.
pub(crate) fn echo() -> (SocketAddr, Receiver<()>) {
    // Whoever runs beside this may have the port over UDP.
    let both = || {
        let (listener, address) = listener();
        UdpSocket::bind(address).ok().map(|socket| (listener, address, socket))
    };
    let (listener, address, socket) = (0..100).find_map(|_| both()).unwrap();
    let (sender, seen) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..bytes], from);
            let _ = sender.send(());
        }
    });
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo_stream(stream.unwrap()));
        }
    });
    (address, seen)
}

fn echo_stream(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 2048];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..bytes]).is_err() {
            return;
        }
    }
}

/// A UDP port that answers a probe of a number (their bytes 8 to 16) with as
/// many of these replies.
pub(crate) fn udp(replies: fn(u64, &[u8]) -> Vec<Vec<u8>>) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            let probe = &buffer[..bytes];
            let number = u64::from_be_bytes(probe[8..16].try_into().unwrap());
            for reply in replies(number, probe) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}

/// A server of one stream: a subscriber gets what the one publisher sends, who
/// is taken when the subscriber is there.
pub(crate) fn relay() -> (SocketAddr, SocketAddr) {
    let ((ingest, publish), (egress, subscribe)) = (listener(), listener());
    thread::spawn(move || {
        let (mut subscriber, _) = egress.accept().unwrap();
        subscriber.set_nodelay(true).unwrap();
        let (mut publisher, _) = ingest.accept().unwrap();
        let mut buffer = [0; 2048];
        while let Ok(bytes @ 1..) = publisher.read(&mut buffer) {
            if subscriber.write_all(&buffer[..bytes]).is_err() {
                return;
            }
        }
    });
    (publish, subscribe)
}

/// Does this with each who connects.
pub(crate) fn server(what: fn(TcpStream)) -> SocketAddr {
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || what(stream.unwrap()));
        }
    });
    address
}

/// Sends to each who connects until they go; tells when one has surely received
/// some of it, for no buffers hold as much.
pub(crate) fn endless() -> (SocketAddr, Receiver<()>) {
    let (listener, address) = listener();
    let (sender, flows) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let block = [7; 65_536];
                let mut written = 0;
                while stream.write_all(&block).is_ok() {
                    written += block.len();
                    if written == 64 << 20 {
                        let _ = sender.send(());
                    }
                }
            });
        }
    });
    (address, flows)
}

/// A TCP port whose queue of connections is full: nobody gets an answer.
pub(crate) fn full() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
    let (listener, address) = listener();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        queued.push(stream);
        assert!(queued.len() < 10_000, "the queue has no end");
    }
    (address, queued, listener)
}

/// Takes a request and answers with these bytes.
pub(crate) fn answer(mut stream: TcpStream, bytes: &[u8]) {
    let _ = stream.read(&mut [0; 2048]);
    let _ = stream.write_all(bytes);
}
