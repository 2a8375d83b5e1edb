//! Datagrams out, as a part: real sockets, for what is sent goes through
//! headers that only the kernel reads. What it does with them isn't counted.

use crate::parts::{Part, Rig, Work, name};
use nearlight::base::Instant;
use nearlight::framing::Kind;
use nearlight::protocol::Ask;
use nearlight::protocol::udp_join::Joiner;
use nearlight::reactor::udp::{Duty, Ports};
use nearlight::relay::Settings;
use nearlight::sys::socket::{Reuse, Udp};
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
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let socket = Udp::bind(any, Reuse::No, |_| Ok(())).expect("a port");
    let to = socket.local_addr().expect("bound");
    let (mut ports, settings) = (Ports::default(), Settings::of(&Ask::default()));
    ports.push(socket, Duty::send(name(), Joiner::new([0; 32]), false, settings));
    let mut rig = Rig::new(Kind::Lines, ports, clock);
    let subscribers: Vec<UdpSocket> = (0..SUBSCRIBERS)
        .map(|_| {
            let socket = UdpSocket::bind(any).expect("a port");
            socket.send_to(b"let me in, please", to).expect("loopback takes it");
            rig.ports.readable(0, &mut rig.turn);
            rig.ports.ingest(&mut rig.turn, &mut rig.streams);
            socket
        })
        .collect();
    let line = [&[b'x'; 63][..], b"\n"].concat();
    Box::new(move || {
        rig.publish(&line);
        rig.fan_out();
        subscribers.len() as u64
    })
}
