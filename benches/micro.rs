//! What the parts of the data path cost by themselves, without a kernel but
//! where the title says so:
//!
//! ```text
//! cargo bench --bench micro                 everything, in half a minute
//! cargo bench --bench micro -- fan-out      what has that in its title
//! cargo bench --bench micro -- --save-baseline before    and later --baseline before
//! ```
//!
//! Criterion gives the time of one unit, which the title names, with a 95 %
//! interval, and says what has changed since the last run. All of it is warm:
//! in the server there is a system call between two frames, and caches have
//! other things to hold.

mod parts;

use criterion::{Criterion, criterion_main};
use nearlight::framing::Kind;
use nearlight::limits::JOIN_REQUEST_BYTES;
use nearlight::protocol::Ask;
use nearlight::protocol::udp_join::Joiner;
use nearlight::reactor::recorder::Recorder;
use nearlight::reactor::residence::{self, Delivery};
use nearlight::reactor::slab::Key;
use nearlight::reactor::udp::{Duty, Ports};
use nearlight::relay::{Form, Settings};
use nearlight::report::Phase;
use nearlight::sys::address::Destination;
use nearlight::sys::clock::Clock;
use nearlight::sys::datagram::{Datagram, Gso, Outgoing};
use nearlight::sys::socket::{Reuse, Udp};
use parts::{FRAME, PARTS, Rig, name, small};
use std::hint::black_box;
use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Datagrams of a burst.
const BURST: usize = 7;

/// Criterion's, by another name: a part does several units at a time.
struct Bench<'a>(&'a mut Criterion);

impl Bench<'_> {
    /// Runs `work`, which answers how many units it did, again and again; the
    /// time is that of a unit.
    fn part(&mut self, title: &str, unit: &str, mut work: impl FnMut() -> u64) {
        self.0.bench_function(&format!("{title}, per {unit}"), |bencher| {
            bencher.iter_custom(|wanted| {
                let start = Clock::now();
                let mut units = 0;
                while units < wanted {
                    units += work();
                }
                Clock::now().since(start).mul_f64(wanted as f64 / units as f64)
            });
        });
    }
}

criterion_main!(parts);

fn parts() {
    let mut criterion = Criterion::default()
        .sample_size(40)
        .nresamples(20_000)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .configure_from_args();
    let mut bench = Bench(&mut criterion);
    for part in PARTS {
        bench.part(part.title, part.unit, (part.make)(Clock::now));
    }
    for subscribers in [10, 100] {
        udp_egress(&mut bench, subscribers);
    }
    recorder(&mut bench);
    residence(&mut bench);
}

/// A burst of datagrams to everybody, framed, committed, cut and handed to a
/// real kernel; and the calls that this takes, alone. The difference is ours.
/// Nobody reads: the kernel does all but keep them.
fn udp_egress(bench: &mut Bench<'_>, subscribers: usize) {
    let bind = || {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        Udp::bind(any, Reuse::No, |_| Ok(())).expect("a port of this machine")
    };
    let (socket, alone) = (bind(), bind());
    let to = socket.local_addr().expect("it is bound");
    let receivers: Vec<Udp> = (0..subscribers).map(|_| bind()).collect();
    for receiver in &receivers {
        receiver.send_to(&[0; JOIN_REQUEST_BYTES], to).expect("the request has room");
    }
    let mut ports = Ports::default();
    ports.push(socket, Duty::send(name(), Joiner::new([0; 32]), false, patient()));
    let mut rig = Rig::new(Kind::Raw, ports, Clock::now);
    rig.ports.readable(0, &mut rig.turn);
    while !rig.turn.ready.udp.is_empty() {
        rig.ports.ingest(&mut rig.turn, &mut rig.streams);
    }
    rig.publish(b"a raw stream starts with what comes next");
    rig.fan_out();

    let burst = vec![7; BURST * FRAME];
    let title =
        format!("udp egress: bursts of {BURST}, {subscribers} subscribers, with the kernel");
    let before = rig.turn.counters.datagrams_sent.get();
    bench.part(&title, "datagram", || {
        rig.publish(&burst);
        rig.fan_out();
        (subscribers * BURST) as u64
    });
    let sent = rig.turn.counters.datagrams_sent.get() - before;
    // Zero if Criterion was asked for other parts.
    assert!(sent.is_multiple_of((subscribers * BURST) as u64), "{sent} datagrams went out");

    let addresses: Vec<Destination> = receivers
        .iter()
        .map(|receiver| Destination::from(receiver.local_addr().expect("it is bound")))
        .collect();
    let gso = Gso::new(FRAME, burst.len());
    let mut outgoing = Outgoing::default();
    let title = format!("udp egress: the same calls alone, {subscribers} subscribers");
    bench.part(&title, "datagram", || {
        let slices = [IoSlice::new(&burst)];
        let datagram = |to| Datagram { to, slices: &slices, gso: gso.as_ref() };
        let sent = outgoing.send(&alone, addresses.iter().map(datagram)).sent;
        assert_eq!(sent, subscribers * BURST, "datagrams went out");
        sent as u64
    });
}

/// Settings of somebody who never skips here.
fn patient() -> Settings {
    Settings::of(&Ask { max_lag: Some(Duration::from_secs(60)), ..Ask::default() })
}

/// What is noted of a turn that received and sent.
fn recorder(bench: &mut Bench<'_>) {
    let mut recorder = Recorder::default();
    bench.part("recorder: a turn of two phases", "turn", || {
        for n in 0..100 {
            recorder.begin(black_box(1));
            recorder.mark(Phase::TcpIngest);
            recorder.mark(Phase::Fanout);
            recorder.end(true, [64, n, 64 * n]);
        }
        100
    });
}

/// How long a frame stayed, noted and counted for each of a hundred.
fn residence(bench: &mut Bench<'_>) {
    let mut rig = Rig::new(Kind::Len32, Ports::default(), Clock::now);
    let conns: Vec<Key> = (0..100).map(|_| rig.subscribe(Form::Plain)).collect();
    let frame = small();
    rig.publish(&frame);
    rig.fan_out();
    let window = rig.streams.fanouts.get(rig.stream).expect("the stream lives").view.window();
    let (from, to) = (window.floor(), window.head());
    let stream = rig.stream;
    bench.part("residence: a delivery of one frame", "delivery", || {
        let Rig { turn, streams, conns: slab, .. } = &mut rig;
        for conn in &conns {
            turn.deliveries.push(Delivery { conn: *conn, stream, from, to }, turn.now);
        }
        residence::settle(turn, streams, slab);
        conns.len() as u64
    });
}
