//! Datagrams out, as a part: real sockets, for what is sent goes through
//! headers that only the kernel reads. What it does with them isn't counted.

use crate::parts::{Part, Work};
use nearlight::base::Instant;
use nearlight::framing::{Kind, Transport};
use nearlight::protocol::udp_join::Joiner;
use nearlight::protocol::{Ask, Name};
use nearlight::reactor::conn::Conn;
use nearlight::reactor::fanout;
use nearlight::reactor::slab::Slab;
use nearlight::reactor::streams::Streams;
use nearlight::reactor::turn::Turn;
use nearlight::reactor::udp::{self, Duty, Ports};
use nearlight::relay::Settings;
use nearlight::sys::socket::{Reuse, Tcp, Udp};
use std::net::{Ipv4Addr, UdpSocket};

/// What is measured.
pub(crate) const PARTS: &[Part] = &[Part {
    title: "fan-out: Datagrams, 100 subscribers",
    unit: "subscriber and frame",
    make: datagrams,
}];

/// Those who are sent them. Nobody reads: their buffers are full soon, and what
/// is sent then is dropped at no cost to us.
const SUBSCRIBERS: usize = 100;

/// One line framed, committed and sent to everybody.
fn datagrams(clock: fn() -> Instant) -> Work {
    let settings = Settings::of(&Ask { framing: Some(Kind::Lines), ..Ask::default() });
    let name = Name::parse("bench").expect("a name");
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let socket = Udp::bind(any, Reuse::No, |_| Ok(())).expect("a port");
    let to = socket.local_addr().expect("bound");
    let (mut ports, mut turn) = (Ports::default(), Turn::new(clock));
    ports.push(socket, Duty::send(name.clone(), Joiner::new([0; 32]), false, settings.clone()));
    let mut streams = Streams::alone(settings.max_lag);
    udp::wire(&ports, &mut streams);
    let subscribers: Vec<UdpSocket> = (0..SUBSCRIBERS)
        .map(|_| {
            let socket = UdpSocket::bind(any).expect("a port");
            socket.send_to(b"let me in, please", to).expect("loopback takes it");
            ports.readable(0, &mut turn);
            ports.ingest(&mut turn, &mut streams);
            socket
        })
        .collect();
    let stream = streams.open(&name, 1, &settings, Transport::Bytes);
    let line = [&[b'x'; 63][..], b"\n"].concat();
    let mut conns: Slab<Conn<Tcp>> = Slab::default();
    Box::new(move || {
        crate::parts::publish(stream, &line, &mut turn, &mut streams);
        while !turn.ready.dirty.is_empty() {
            turn.read_clock();
            fanout::live(&mut turn, &mut streams, &mut conns, &mut ports);
        }
        subscribers.len() as u64
    })
}
