//! Asks a STAMP reflector (RFC 8762) from a program of your own: round trips
//! without the reflector's time, delays of each way with their bounds, losses.
//!
//! ```text
//! nearlight serve --listen 'udp://:8862?stamp'
//! cargo run -p lightmeter --example stamp -- 127.0.0.1:8862
//! ```
//!
//! Where to start reading: `src/client/ping/stamp.rs` is the other side of every
//! call below, `src/client/ping/oneway.rs` what the four times of a probe say;
//! `src/protocol/stamp.rs` draws the packets.

use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use nearlight::client::ping::oneway::{Around, Stamps, one_way};
use nearlight::client::ping::stamp::{Losses, Sender};
use nearlight::sys::clock::Clock;

const PROBES: u64 = 100;
const INTERVAL: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let to = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8862".to_owned());
    let to: SocketAddr = to.parse()?;
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(to)?;

    let (mut sender, mut losses) = (Sender::new(56), Losses::default());
    let (mut stamps, mut heard) = (Vec::new(), vec![false; PROBES as usize]);
    let mut packet = [0; 2048];
    let start = Clock::now();
    for n in 0..PROBES {
        socket.send(sender.probe(Clock::stamp().as_nanos()))?;
        let next = start + INTERVAL * (n as u32 + 1);
        // Listens until the next probe is due, or, after the last, for a second.
        let until = if n + 1 < PROBES { next } else { next + Duration::from_secs(1) };
        while let left = until.since(Clock::now())
            && !left.is_zero()
            && !(n + 1 == PROBES && heard.iter().all(|heard| *heard))
        {
            socket.set_read_timeout(Some(left))?;
            let len = match socket.recv(&mut packet) {
                Ok(len) => len,
                Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    break;
                }
                Err(why) => return Err(format!("{to}: {why}").into()),
            };
            let reply = sender.read(&packet[..len], Clock::stamp().as_nanos());
            if let Some(reply) = reply.filter(|reply| !heard[reply.sequence as usize]) {
                heard[reply.sequence as usize] = true;
                losses.reply(&reply);
                stamps.extend(reply.stamps);
            }
        }
    }

    let lost = heard.iter().filter(|heard| !**heard).count();
    println!("{PROBES} probes, {lost} lost, of them by the numbers: {:?}", losses.split());
    let mut network: Vec<Duration> = stamps.iter().filter_map(Stamps::network).collect();
    network.sort_unstable();
    if let Some(p50) = network.get(network.len() / 2) {
        println!("round trip without the reflector: p50 {p50:?}");
    }
    let known = to.ip().is_loopback().then_some(Duration::ZERO);
    for (clocks, known) in [("as they are", None), ("one clock", known)] {
        let said = one_way(&stamps, known)?;
        let show = |of: Option<Around>| {
            of.map_or("-".into(), |of| format!("{} ns ± {}", of.nanos, of.within))
        };
        println!("{clocks}: up p50 {}, down p50 {}", show(said.up.p50), show(said.down.p50));
        println!("{clocks}: offset {}", show(Some(said.offset)));
    }
    Ok(())
}
