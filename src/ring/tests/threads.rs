//! The ring between real threads: a writer and two readers that see nothing of
//! each other but segments and links. It checks the bytes; built with a thread
//! sanitizer, as `tests/run` does, it also checks that each of them was handed
//! over properly, which on this kind of processor goes well by luck.

use crate::base::{Instant, Position};
use crate::limits::{LINK_ITEMS, SEGMENT_BYTES};
use crate::ring::{Frame, Inlet, Item, Next, Outlet, Pool, SegRef, Tail, link};
use std::collections::VecDeque;
use std::thread;

/// Bytes of the stream: segments come round some times.
const BYTES: u64 = 24 * SEGMENT_BYTES as u64;
/// Segments that the writer keeps.
const KEPT: usize = 2;
/// The bytes repeat after so many, a prime, so that none stands at the same
/// place in two segments.
const PERIOD: usize = 251;

// No reader can be lapped, so each must see it all.
const _: () = assert!(BYTES / (SEGMENT_BYTES as u64) < LINK_ITEMS as u64);

/// What stands in the stream, from any place of it on for as long as a segment.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new() -> Self {
        Self((0..PERIOD + SEGMENT_BYTES).map(|n| (n % PERIOD) as u8).collect())
    }

    fn at(&self, from: Position, len: usize) -> &[u8] {
        let start = (from.0 % PERIOD as u64) as usize;
        &self.0[start..start + len]
    }
}

/// Writes frames of all lengths, and hands each segment on.
fn write(mut pool: Pool, mut tail: Tail, outlets: Vec<Outlet<()>>) {
    let pattern = Pattern::new();
    let mut kept = VecDeque::new();
    let mut len = 1;
    while tail.position() < Position(BYTES) {
        len = len % 4000 + 13;
        if tail.free() < len || tail.frame_room() == 0 {
            let next = pool.take(tail.position());
            for outlet in &outlets {
                assert!(outlet.push(Item::Segment(next.reader())), "nobody is lapped");
            }
            kept.push_back(std::mem::replace(&mut tail, next).seal());
            if kept.len() > KEPT {
                kept.pop_front().into_iter().for_each(|oldest| pool.give_back(oldest));
            }
        }
        let at = tail.position();
        tail.space()[..len].copy_from_slice(pattern.at(at, len));
        tail.fill(len);
        let end = at + len as u64;
        tail.commit(
            len,
            std::iter::once(Frame { end, arrival: Instant::ZERO, waited: 0, leave: true }),
        );
    }
    drop(tail.seal());
    outlets.into_iter().for_each(Outlet::end);
}

/// Up to where a reader sees a segment.
type Sight = fn(&SegRef) -> Position;

/// Reads a stream to its end; answers where that is.
fn read(first: SegRef, mut inlet: Inlet<()>, sight: Sight) -> Position {
    let pattern = Pattern::new();
    let mut segments = VecDeque::from([first]);
    let (mut at, mut has_ended) = (Position::ZERO, false);
    while let Some(segment) = segments.front() {
        // What is sealed first is all there is.
        let is_sealed = segment.is_sealed();
        let (base, end) = (segment.base(), sight(segment).max(at));
        let (from, to) = (at.since(base) as usize, end.since(base) as usize);
        assert!(segment.bytes(from, to) == pattern.at(at, to - from), "{at}..{end} differs");
        at = end;
        match inlet.take() {
            Next::Item(Item::Segment(segment)) => segments.push_back(segment),
            Next::Item(Item::Join(_) | Item::Note(())) => panic!("nobody sent one"),
            Next::Nothing => thread::yield_now(),
            Next::Lapped => panic!("nobody is lapped"),
            Next::Ended => has_ended = true,
        }
        if is_sealed && (has_ended || segments.len() > 1) {
            segments.pop_front();
        }
    }
    at
}

#[test]
fn two_readers_see_what_one_writer_wrote() {
    // The two words that hand over are both looked at, each by itself.
    let by_bytes: Sight = SegRef::end;
    let by_frames: Sight = |segment| {
        let last = segment.frames().last().map(|frame| frame.end);
        last.unwrap_or(segment.base())
    };
    let mut pool = Pool::default();
    let tail = pool.take(Position::ZERO);
    let (outlets, readers): (Vec<_>, Vec<_>) = [by_bytes, by_frames]
        .map(|sight| {
            let (outlet, inlet) = link();
            let first = tail.reader();
            (outlet, thread::spawn(move || read(first, inlet, sight)))
        })
        .into_iter()
        .unzip();
    write(pool, tail, outlets);
    for reader in readers {
        let end = reader.join().expect("it reads what was written");
        assert!(end >= Position(BYTES), "it ends at {end}");
    }
}
