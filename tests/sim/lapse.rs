//! A shard that stands still until the link of its stream is full: the writer
//! goes on, and when the shard wakes up it sends what it has, in whole frames,
//! and resumes in what is kept.

use crate::clock;
use crate::link::{Link, Shape};
use crate::rng::Rng;
use crate::world::{World, publish_site, subscribe_site};
use nearlight::framing::Kind;
use nearlight::limits::{LINK_ITEMS, SEGMENT_BYTES, SEGMENT_FRAMES};
use nearlight::protocol::Ask;
use nearlight::relay::subscriber::SubscriberStats;
use std::time::Duration;

/// The publisher's shard, and the one that stands still.
const WRITER: usize = 0;
const READER: usize = 1;
/// Lines of one receive.
const LINES: usize = 1000;

/// Line `n`, eight bytes long.
fn line(n: usize) -> String {
    format!("{n:07}\n")
}

fn lines(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).flat_map(|n| line(n).into_bytes()).collect()
}

fn read(link: &Link) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((more, _)) = link.borrow_mut().read(usize::MAX) {
        bytes.extend(more);
    }
    bytes
}

/// Runs everything until nothing more happens; answers what was read.
fn settle(world: &mut World, link: &Link) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..400 {
        clock::advance(Duration::from_millis(1));
        world.run(true).expect("the books are in order");
        bytes.extend(read(link));
    }
    bytes
}

/// A subscriber on a shard that stands still while more segments come than its
/// link holds; answers what it got from then on, with its counts.
fn lapsed(window_bytes: u64) -> (Vec<usize>, SubscriberStats) {
    clock::reset();
    let ask = Ask { window_bytes: Some(window_bytes), ..Ask::default() };
    let mut world = World::new(2, &[(Kind::Lines, ask.clone())], &ask, Rng::new(1));
    let wide = Shape { sndbuf: 1 << 24, window: 1 << 24, short: 0 };
    let (place, reader) = world.connect_to(READER, subscribe_site(0), wide);
    world.run(true).expect("the books are in order");
    let (_, writer) = world.connect_to(WRITER, publish_site(0), wide);
    writer.borrow_mut().push(&lines(0, LINES));
    let first = settle(&mut world, &reader);
    assert_eq!(first, lines(0, LINES), "it follows from the first line on");

    let mut at = LINES;
    while at < (LINK_ITEMS + 30) * SEGMENT_FRAMES {
        writer.borrow_mut().push(&lines(at, LINES));
        at += LINES;
        clock::advance(Duration::from_micros(10));
        world.run_alone(WRITER).expect("the writer is not held up");
    }
    assert!(writer.borrow().is_read(), "everything was taken");
    assert_eq!(world.counters(READER).lapped.get(), 0, "it does not know yet");
    let mut rest = settle(&mut world, &reader);
    assert_eq!(world.counters(READER).lapped.get(), 1);

    writer.borrow_mut().push(&lines(at, LINES));
    rest.extend(settle(&mut world, &reader));
    let (stats, position) = world.stats(place).expect("it is still a subscriber");
    assert_eq!(position, 8 * (at + LINES));
    writer.borrow_mut().end();
    settle(&mut world, &reader);
    assert!(reader.borrow().shut, "it is told of the end");
    reader.borrow_mut().close();
    settle(&mut world, &reader);
    assert!(world.counts().iter().all(|(_, count)| *count == 0), "{:?}", world.counts());
    let (owned, idle) = world.segments();
    assert_eq!(owned, idle, "every reference came back");

    let text = String::from_utf8(rest).expect("text");
    let numbers: Vec<usize> = text.lines().map(|line| line.parse().expect("whole")).collect();
    assert_eq!(numbers.first(), Some(&LINES), "nothing of what it had is lost");
    assert_eq!(numbers.last(), Some(&(at + LINES - 1)), "it is at the head again");
    (numbers, stats)
}

#[test]
fn a_shard_that_was_lapped_misses_nothing_that_is_kept() {
    let (numbers, stats) = lapsed(1 << 30);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap");
    assert_eq!((stats.skips, stats.skipped_bytes), (0, 0));
}

#[test]
fn a_shard_that_was_lapped_resumes_in_whole_frames_and_counts_what_it_missed() {
    let (numbers, stats) = lapsed(20 * SEGMENT_BYTES as u64);
    let gap = |pair: &[usize]| (pair[1] - pair[0] - 1) as u64;
    let gaps: Vec<u64> = numbers.windows(2).map(gap).filter(|gap| *gap > 0).collect();
    let [missed] = gaps[..] else { panic!("one gap: {gaps:?}") };
    // It left when its own window was full, and what it was about to resume in
    // was full by then.
    assert_eq!((stats.skips, stats.skipped_bytes), (2, 8 * missed));
}
