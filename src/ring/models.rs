//! The ring between two threads, in every order that the memory model allows:
//! loom runs each model again and again, and fails on a byte that is read while
//! it may be written, on a thread that nobody wakes, and on a reference that
//! never comes back.
//!
//! Segments have 4 bytes and 2 frames here, and links hold one item.

use super::sync::{Arc, AtomicU32, Ordering};
use super::{Doorbell, Frame, Inlet, Item, JoinPoint, Next, Outlet, Pool, SegRef, Tail, link};
use crate::base::{Instant, Position};
use crate::limits::SEGMENT_BYTES;
use loom::sync::{Condvar, Mutex};
use loom::thread;

/// Orders with more than so many forced changes of thread are left out.
const PREEMPTIONS: usize = 3;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(run);
}

/// Commits a frame of one byte that says where it stands.
fn commit(tail: &mut Tail) {
    let at = tail.position();
    tail.space()[0] = at.0 as u8;
    tail.fill(1);
    let frame = Frame { end: at + 1, arrival: Instant::ZERO, waited: 0, leave: true };
    tail.commit(1, std::iter::once(frame));
}

/// Reads every frame that is there; answers how many bytes that is.
fn observe(segment: &SegRef) -> u64 {
    let base = segment.base();
    let Some(end) = segment.frames().last().map(|frame| frame.end) else { return 0 };
    let bytes = segment.bytes(0, end.since(base) as usize);
    for (byte, at) in bytes.iter().zip(base.0..) {
        assert_eq!(u64::from(*byte), at, "a byte of another time");
    }
    end.since(base)
}

/// M1: what a reader sees of a frame, it sees of its bytes.
#[test]
fn a_frame_is_seen_with_its_bytes_or_not_at_all() {
    model(|| {
        let mut tail = Pool::default().take(Position::ZERO);
        let reader = tail.reader();
        let writes = thread::spawn(move || {
            commit(&mut tail);
            commit(&mut tail);
            tail.seal();
        });
        let first = observe(&reader);
        let second = observe(&reader);
        assert!(first <= second && second <= 2);
        writes.join().expect("no thread panics");
        assert!(reader.is_sealed() && observe(&reader) == 2);
    });
}

/// M2: memory is written again only after its last reader has let go.
#[test]
fn a_segment_is_reused_after_its_last_reader() {
    model(|| {
        let mut pool = Pool::default();
        let mut tail = pool.take(Position::ZERO);
        commit(&mut tail);
        let reader = tail.reader();
        let reads = thread::spawn(move || {
            assert_eq!(observe(&reader), 1);
        });
        pool.give_back(tail.seal());
        let mut next = pool.take(Position(7));
        commit(&mut next);
        let last = next.reader();
        drop(next.seal());
        assert_eq!(observe(&last), 1);
        reads.join().expect("no thread panics");
    });
}

/// A stream's writing side: segments of two frames each, handed on.
struct Writer {
    pool: Pool,
    tail: Tail,
    outlet: Option<Outlet<()>>,
    kept: Vec<SegRef>,
}

impl Writer {
    fn new() -> (Self, Inlet<()>, SegRef) {
        let mut pool = Pool::default();
        let tail = pool.take(Position::ZERO);
        let (outlet, inlet) = link();
        let first = tail.reader();
        (Self { pool, tail, outlet: Some(outlet), kept: Vec::new() }, inlet, first)
    }

    fn frame(&mut self) {
        if self.tail.frame_room() == 0 {
            self.roll();
        }
        commit(&mut self.tail);
    }

    fn roll(&mut self) {
        let next = self.pool.take(self.tail.position());
        self.hand_on(Item::Segment(next.reader()));
        let sealed = std::mem::replace(&mut self.tail, next).seal();
        self.kept.push(sealed);
    }

    fn hand_on(&mut self, item: Item<()>) {
        if self.outlet.as_ref().is_some_and(|outlet| !outlet.push(item)) {
            self.outlet = None;
        }
    }

    /// Ends the stream; answers whether the reader was still with it.
    fn end(&mut self) -> bool {
        let outlet = self.outlet.take();
        let is_linked = outlet.is_some();
        outlet.into_iter().for_each(Outlet::end);
        is_linked
    }

    /// How many segments there ever were, and how many of them nobody holds.
    fn leftovers(mut self) -> (u64, u64) {
        self.kept.push(self.tail.seal());
        self.kept.drain(..).for_each(|segment| self.pool.give_back(segment));
        let ever = self.pool.allocated.get();
        let mut idle = Vec::new();
        while self.pool.allocated.get() == ever {
            idle.push(self.pool.take(Position::ZERO));
        }
        (ever, idle.len() as u64 - 1)
    }
}

/// M3: a reader that is lapped gets what was handed on, in order, and is told;
/// the writer is never held up, and every reference comes back.
#[test]
fn a_lapped_reader_is_told_and_lets_go() {
    model(|| {
        let (mut writer, mut inlet, first) = Writer::new();
        let reads = thread::spawn(move || {
            let mut segments = vec![first];
            let is_lapped = loop {
                match inlet.take() {
                    Next::Item(Item::Segment(segment)) => {
                        assert_eq!(segment.base(), Position(2 * segments.len() as u64));
                        segments.push(segment);
                    }
                    Next::Item(Item::Join(_) | Item::Note(())) => panic!("nobody sent one"),
                    Next::Nothing => thread::yield_now(),
                    Next::Lapped => break true,
                    Next::Ended => break false,
                }
            };
            let seen: u64 = segments.iter().map(observe).sum();
            assert!(is_lapped || seen == 5, "{seen} of 5 seen at the end");
            is_lapped
        });
        (0..5).for_each(|_| writer.frame());
        let is_linked = writer.end();
        let is_lapped = reads.join().expect("no thread panics");
        assert_eq!(is_lapped, !is_linked, "lapped and ended are told apart");
        let (ever, idle) = writer.leftovers();
        assert_eq!(ever, idle, "a reference was not given back");
    });
}

/// A bell, what it is rung for, and how often its sleeper was woken.
#[derive(Default)]
struct Hall {
    bell: Doorbell,
    committed: [AtomicU32; 2],
    wakes: Mutex<u32>,
    eventfd: Condvar,
}

impl Hall {
    /// Commits something and rings, as a writer does.
    fn commit(&self, slot: usize, what: u32) {
        self.committed[slot].store(what, Ordering::Relaxed);
        if self.bell.ring(slot) {
            *self.wakes.lock().expect("no thread panics") += 1;
            self.eventfd.notify_one();
        }
    }

    /// Sleeps and answers until all of `wanted` has been seen; answers how
    /// often it slept.
    fn serve(&self, wanted: [u32; 2]) -> u32 {
        let (mut seen, mut sleeps, mut woken) = ([0; 2], 0, 0);
        while seen != wanted {
            if self.bell.sleep() {
                sleeps += 1;
                let mut wakes = self.wakes.lock().expect("no thread panics");
                while *wakes == woken {
                    wakes = self.eventfd.wait(wakes).expect("no thread panics");
                }
                woken = *wakes;
            }
            self.bell.answer(|slot| {
                let found = self.committed[slot].load(Ordering::Relaxed);
                assert!(found > 0, "rung for nothing");
                seen[slot] = found;
            });
        }
        sleeps
    }
}

/// Lets threads write to their slots while one serves them.
fn ring_model(writers: &'static [(usize, u32)], wanted: [u32; 2]) {
    model(move || {
        let hall = Arc::new(Hall::default());
        let threads: Vec<_> = writers
            .iter()
            .map(|&(slot, times)| {
                let hall = Arc::clone(&hall);
                thread::spawn(move || (1..=times).for_each(|what| hall.commit(slot, what)))
            })
            .collect();
        let sleeps = hall.serve(wanted);
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        let wakes = *hall.wakes.lock().expect("no thread panics");
        assert!(wakes <= sleeps, "{wakes} wake-ups for {sleeps} sleeps");
    });
}

/// M4: whoever is rung for wakes up, sees what was committed before, and is
/// woken by one ring alone.
#[test]
fn nobody_sleeps_through_a_ring_of_one_of_two() {
    ring_model(&[(0, 1), (1, 1)], [1, 1]);
}

/// M4 again: a second ring of the same slot is not taken for the first.
#[test]
fn nobody_misses_the_second_ring_of_a_slot() {
    ring_model(&[(0, 2)], [2, 0]);
}

/// M5: a reader that goes while segments are sealed and handed on leaves
/// nothing behind.
#[test]
fn a_reader_that_goes_gives_all_back() {
    model(|| {
        let (mut writer, mut inlet, first) = Writer::new();
        let reads = thread::spawn(move || {
            observe(&first);
            if let Next::Item(Item::Segment(segment)) = inlet.take() {
                assert!(observe(&segment) <= SEGMENT_BYTES as u64);
            }
        });
        (0..3).for_each(|_| writer.frame());
        let join = JoinPoint {
            position: Position(2),
            arrival: Instant::ZERO,
            fresh: std::sync::Arc::default(),
            resume: std::sync::Arc::default(),
        };
        writer.hand_on(Item::Join(join));
        reads.join().expect("no thread panics");
        let (ever, idle) = writer.leftovers();
        assert_eq!(ever, idle, "a reference was not given back");
    });
}
