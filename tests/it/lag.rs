//! The promise: a delay that can't grow. Video of 4 Mbit/s for eight seconds,
//! to subscribers that keep up, that read at half the rate, and that don't
//! read at all.

use crate::film::Decoder;
use crate::server::Server;
use crate::wire::{self, NEVER, eventually};
use nearlight::base::Instant;
use nearlight::client::pace::{Wait, sleep_until};
use nearlight::client::picture::{Detail, Picture};
use nearlight::client::probe::{Form, ProbeReader, Stamp};
use nearlight::sys::clock::Clock;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// Eight seconds: a subscriber at half the rate that never skipped would be
/// four seconds behind at the end.
const FRAMES: u64 = 200;
const TOKEN: u64 = 42;
/// 32 KiB, which the kernel doubles and then takes overhead out of.
const RCVBUF: usize = 32 << 10;
/// Half of 4 Mbit/s, in bytes per [`STEP`].
const SLOW_BYTES: usize = 2500;
const STEP: Duration = Duration::from_millis(10);
/// What may be: max-lag, for a join point ahead of one that skips is younger
/// than that; max-lag again until the next skip; what the reader's own kernel
/// had taken before, 64 KiB at its rate; and 250 ms for a machine that is busy
/// with other tests. The design allows for a GOP, one second, besides.
const BOUND: Duration = Duration::from_millis(250 + 250 + 262 + 250);

/// What a subscriber got.
struct Seen {
    bytes: Vec<u8>,
    decoder: Decoder,
    /// Age of the oldest frame when it was read.
    oldest: Duration,
}

/// Publishes at the frames' times, a stamp behind each; answers every byte.
fn publish(addr: SocketAddr) -> Vec<u8> {
    let mut socket = wire::connect(addr);
    let mut picture = Picture::new(Detail::Full);
    let mut all = Vec::new();
    let start = Clock::now();
    for seq in 0..FRAMES {
        let mut bytes = Vec::new();
        picture.frame(seq, 40 * seq, &mut bytes);
        let intended = start + Picture::FRAME_TIME * seq as u32;
        sleep_until(intended, Wait::Sleep, &NEVER);
        Stamp { token: TOKEN, seq, intended, sent: Clock::now() }.write_ts(&mut bytes);
        socket.write_all(&bytes).expect("it is read");
        all.extend(bytes);
    }
    socket.shutdown(Shutdown::Write).expect("open");
    wire::wait_for_close(&mut socket);
    all
}

/// Reads to the end, `step` bytes at a time and at most so many per [`STEP`]
/// if it is given. The end of a slow one may be a reset: it is not waited for.
fn watch(mut socket: TcpStream, step: Option<usize>) -> Seen {
    let mut seen = Seen { bytes: Vec::new(), decoder: Decoder::default(), oldest: Duration::ZERO };
    let mut probe = ProbeReader::new(Form::Ts, Some(TOKEN));
    let mut buffer = vec![0; step.unwrap_or(1 << 16)];
    let mut due: Instant = Clock::now();
    while let Ok(len) = socket.read(&mut buffer) {
        if len == 0 {
            break;
        }
        for arrival in probe.handle_bytes(&buffer[..len], Clock::now()) {
            seen.oldest = seen.oldest.max(arrival.latency);
        }
        seen.decoder.handle_bytes(&buffer[..len]);
        seen.bytes.extend_from_slice(&buffer[..len]);
        if let Some(step) = step {
            // Not a rate on average: what it missed it doesn't catch up on.
            due = Clock::now().max(due) + STEP * len as u32 / step as u32;
            sleep_until(due, Wait::Sleep, &NEVER);
        }
    }
    seen
}

/// Every picture of the film, whole.
fn pictures(film: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut decoder = Decoder::default();
    decoder.handle_bytes(film);
    decoder.units.into_iter().collect()
}

#[test]
fn nobody_falls_further_behind_than_said_and_a_skip_breaks_no_picture() {
    let listeners = ["tcp://127.0.0.1:0?publish=cam", "tcp://127.0.0.1:0?subscribe=cam"];
    let server = Server::start_with(&listeners, &["-v", "--max-lag", "250ms"]);
    let connect = |rcvbuf| wire::connect_small(server.at(1), rcvbuf);
    let stalled = connect(Some(RCVBUF));
    let watchers: Vec<_> = [None, Some(SLOW_BYTES)]
        .into_iter()
        .flat_map(|step| [step; 4])
        .map(|step| {
            let socket = connect(step.map(|_| RCVBUF));
            thread::spawn(move || (step, watch(socket, step)))
        })
        .collect();
    eventually("all wait", || server.connections() == 9);
    let to = server.at(0);
    let publisher = thread::spawn(move || publish(to));
    let position = || server.stream("cam", "position").unwrap_or(0);
    eventually("it is under way", || position() > 1_500_000);
    let before = server.memory();
    eventually("it is almost done", || position() > 3_500_000);
    let after = server.memory();
    assert!(after <= before + 1024, "memory grew from {before} to {after} KiB");
    let film = publisher.join().expect("no panic");
    let pictures = pictures(&film);
    let mut skips = 1;
    for watcher in watchers {
        let (step, Seen { bytes, decoder, oldest }) = watcher.join().expect("no panic");
        assert_eq!(decoder.errors, 0, "continuity");
        assert!(decoder.units.iter().all(|unit| pictures.contains(unit)), "a broken picture");
        if step.is_none() {
            assert!(film.ends_with(&bytes[2 * crate::film::PACKET..]), "not the published bytes");
            assert_eq!(decoder.units.len() as u64, FRAMES - 1);
            assert_eq!(decoder.jumps, 0);
            continue;
        }
        println!("{} skips, {} pictures, oldest {oldest:?}", decoder.jumps, decoder.units.len());
        assert!(oldest < BOUND, "{oldest:?} behind");
        assert!(decoder.jumps >= 2, "{} skips", decoder.jumps);
        assert!(decoder.units.len() as u64 > FRAMES / 4, "{} pictures", decoder.units.len());
        skips += decoder.jumps;
    }
    assert!(server.metric("skips_total") >= skips, "{skips} skips were seen");
    assert_eq!(server.metric("lag_closes_total"), 0);
    drop(stalled);
    eventually("nothing is kept", || server.connections() == 0);
}
