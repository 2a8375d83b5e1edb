//! From one core to another without a kernel: a frame committed to a ring and
//! the bell rung, until the other core has seen both, and back the same way;
//! against the same with one word each way, stored with Release and seen with
//! Acquire. Both threads spin.

use nearlight::base::Instant;
use nearlight::client::hist::Hist;
use nearlight::limits::SEGMENT_BYTES;
use nearlight::ring::{Doorbell, Frame, Inlet, Item, Next, Outlet, Pool, Tail, Window, link};
use nearlight::sys::affinity;
use nearlight::sys::clock::Clock;
use std::error::Error;
use std::hint::{black_box, spin_loop};
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Bytes of a frame.
const FRAME: usize = 64;
/// Round trips of a run, and those before that don't count.
const TRIPS: u64 = 20_000;
const WARM_UP: u64 = 2_000;
/// The slot of a bell.
const SLOT: usize = 7;

/// One end of a way there and a way back.
trait End: Send {
    /// Says something to the other end.
    fn tell(&mut self);
    /// Whether the other end has said something new.
    fn hears(&mut self) -> bool;
}

/// Times of round trips with a word each way.
pub(super) fn words(cpus: [usize; 2]) -> Result<Hist, Box<dyn Error>> {
    let (there, back) = (Word::default(), Word::default());
    let here = WordEnd { said: &there, heard: &back, told: 0, seen: 0 };
    let other = WordEnd { said: &back, heard: &there, told: 0, seen: 0 };
    trips(here, other, cpus)
}

/// Times of round trips through two rings.
pub(super) fn rings(cpus: [usize; 2]) -> Result<Hist, Box<dyn Error>> {
    let bells = [Doorbell::default(), Doorbell::default()];
    let (there, from_here) = ring(&bells[1]);
    let (back, from_other) = ring(&bells[0]);
    let here = RingEnd { out: there, inward: from_other, bell: &bells[0] };
    let other = RingEnd { out: back, inward: from_here, bell: &bells[1] };
    trips(here, other, cpus)
}

fn trips<E: End>(mut here: E, mut other: E, cpus: [usize; 2]) -> Result<Hist, Box<dyn Error>> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let pinned = affinity::pin_to(cpus[1]);
            while !is_over.load(Ordering::Relaxed) {
                if other.hears() {
                    other.tell();
                }
                spin_loop();
            }
            pinned
        });
        let asker = scope.spawn(|| {
            let pinned = affinity::pin_to(cpus[0]);
            let mut hist = Hist::new();
            for trip in 0..WARM_UP + TRIPS {
                let start = Clock::now();
                here.tell();
                while !here.hears() {
                    spin_loop();
                }
                if trip >= WARM_UP {
                    hist.record(Clock::now().since(start));
                }
            }
            is_over.store(true, Ordering::Relaxed);
            pinned.map(|()| hist)
        });
        let hist = asker.join().map_err(|_| "the asker panicked")?;
        echo.join().map_err(|_| "the other end panicked")??;
        Ok(hist?)
    })
}

/// A word with cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Word(AtomicU64);

struct WordEnd<'a> {
    said: &'a Word,
    heard: &'a Word,
    told: u64,
    seen: u64,
}

impl End for WordEnd<'_> {
    fn tell(&mut self) {
        self.told += 1;
        self.said.0.store(self.told, Ordering::Release);
    }

    fn hears(&mut self) -> bool {
        let word = self.heard.0.load(Ordering::Acquire);
        let is_new = word > self.seen;
        self.seen = word;
        is_new
    }
}

/// The writing side of a ring, and the bell of who reads it.
struct Out<'a> {
    pool: Pool,
    tail: Tail,
    outlet: Outlet<()>,
    bell: &'a Doorbell,
}

/// The reading side.
struct In {
    window: Window,
    inlet: Inlet<()>,
    seen: nearlight::base::Position,
}

fn ring(bell: &Doorbell) -> (Out<'_>, In) {
    let mut pool = Pool::default();
    let tail = pool.take(nearlight::base::Position::ZERO);
    let mut window = Window::default();
    window.push(tail.reader());
    let (outlet, inlet) = link();
    let seen = window.head();
    (Out { pool, tail, outlet, bell }, In { window, inlet, seen })
}

struct RingEnd<'a> {
    out: Out<'a>,
    inward: In,
    bell: &'a Doorbell,
}

impl End for RingEnd<'_> {
    fn tell(&mut self) {
        let Out { pool, tail, outlet, bell } = &mut self.out;
        if tail.free() < FRAME || tail.frame_room() == 0 {
            let next = pool.take(tail.position());
            // Read as fast as it is written: there is room.
            outlet.push(Item::Segment(next.reader()));
            drop(std::mem::replace(tail, next).seal());
        }
        tail.fill(FRAME);
        let end = tail.position() + FRAME as u64;
        tail.commit(
            FRAME,
            std::iter::once(Frame { end, arrival: Instant::ZERO, waited: 0, leave: false }),
        );
        // Nobody sleeps, so nobody is to be woken.
        black_box(bell.ring(SLOT));
    }

    fn hears(&mut self) -> bool {
        if !self.bell.is_rung() {
            return false;
        }
        let mut is_rung = false;
        self.bell.answer(|slot| is_rung |= slot == SLOT);
        let In { window, inlet, seen } = &mut self.inward;
        while let Next::Item(Item::Segment(segment)) = inlet.take() {
            window.push(segment);
        }
        let head = window.head();
        if !is_rung || head == *seen {
            return false;
        }
        let mut slices = [IoSlice::new(&[]); 4];
        let mut list = nearlight::ring::Gather::over(&mut slices);
        window.gather(*seen, head, &mut list);
        black_box(list.slices());
        *seen = head;
        if window.len() > 2 * SEGMENT_BYTES as u64 {
            drop(window.pop());
        }
        true
    }
}
