//! The promise: a delay that can't grow. Video of 4 Mbit/s for eight seconds,
//! to subscribers that keep up, that read at half the rate, and that don't
//! read at all.

use crate::film::{Decoder, PACKET};
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
use std::thread::{self, JoinHandle};
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
/// had taken before, 64 KiB at its rate; and 250 ms for sockets and threads.
/// The design allows for a GOP, one second, besides. What the machine itself
/// stalls is measured beside it and added.
const BOUND: Duration = Duration::from_millis(250 + 250 + 262 + 250);

/// What a subscriber got.
struct Seen {
    bytes: Vec<u8>,
    decoder: Decoder,
    /// Age of the oldest frame when it was read.
    oldest: Duration,
    /// How much later than asked for its thread woke, at worst.
    stall: Duration,
}

/// Sleeps; answers how much too long.
fn overslept(until: Instant) -> Duration {
    sleep_until(until, Wait::Sleep, &NEVER);
    Clock::now().since(until)
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
        overslept(intended);
        // Its age counts from here: a late publisher is not the server's delay.
        let sent = Clock::now();
        Stamp { token: TOKEN, seq, intended: sent, sent }.write_ts(&mut bytes);
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
    let mut seen = Seen {
        bytes: Vec::new(),
        decoder: Decoder::default(),
        oldest: Duration::ZERO,
        stall: Duration::ZERO,
    };
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
            seen.stall = seen.stall.max(overslept(due));
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
    // Those that keep up may stall with the machine, and lose nothing.
    let listeners = [
        "tcp://127.0.0.1:0?publish=cam&max_lag=2s",
        "tcp://127.0.0.1:0?subscribe=cam&max_lag=250ms",
        "tcp://127.0.0.1:0?subscribe=cam&max_lag=2s",
    ];
    let server = Server::start(&listeners);
    let stalled = wire::connect_small(server.at(1), Some(RCVBUF));
    let watcher = |n: usize, rcvbuf, step| {
        let socket = wire::connect_small(server.at(n), rcvbuf);
        thread::spawn(move || watch(socket, step))
    };
    let slow: Vec<_> = (0..4).map(|_| watcher(1, Some(RCVBUF), Some(SLOW_BYTES))).collect();
    let fast: Vec<_> = (0..4).map(|_| watcher(2, None, None)).collect();
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
    for seen in join(fast) {
        assert!(film.ends_with(&seen.bytes[2 * PACKET..]), "not the published bytes");
        assert_eq!((seen.decoder.errors, seen.decoder.jumps), (0, 0));
        assert_eq!(seen.decoder.units.len() as u64, FRAMES - 1);
    }
    let slow = join(slow);
    assert_kept_up(&slow, &pictures(&film));
    let skips: u64 = slow.iter().map(|seen| seen.decoder.jumps).sum();
    // The one that reads nothing leaves too, once.
    assert!(server.metric("skips_total") > skips, "{skips} skips were seen");
    assert_eq!(server.metric("lag_closes_total"), 0);
    drop(stalled);
    eventually("nothing is kept", || server.connections() == 0);
}

/// Slow ones are bounded in age, and what they got is whole.
fn assert_kept_up(slow: &[Seen], pictures: &BTreeSet<Vec<u8>>) {
    let stall = slow.iter().map(|seen| seen.stall).max().unwrap_or_default();
    for Seen { decoder, oldest, .. } in slow {
        let (jumps, units) = (decoder.jumps, &decoder.units);
        println!("{jumps} skips, {} pictures, oldest {oldest:?}, stall {stall:?}", units.len());
        assert_eq!(decoder.errors, 0, "continuity");
        assert!(units.iter().all(|unit| pictures.contains(unit)), "a broken picture");
        assert!(*oldest < BOUND + 2 * stall, "{oldest:?} behind, stall {stall:?}");
        assert!(jumps >= 2, "{jumps} skips");
        assert!(units.len() as u64 > FRAMES / 8, "{} pictures", units.len());
    }
}

fn join(watchers: Vec<JoinHandle<Seen>>) -> Vec<Seen> {
    watchers.into_iter().map(|watcher| watcher.join().expect("no panic")).collect()
}
