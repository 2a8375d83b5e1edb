//! The raw memory of the ring, and the one file of it with `unsafe`.
//!
//! Three types share a segment. [`Tail`] is its one writer. [`SegRef`] is a
//! reader's counted reference; slices borrow from it. The pool takes a segment
//! back by value and reuses it once it is the only holder.
//!
//! The compiler proves the rest:
//!
//! A segment can't be recycled while a slice of it lives:
//! ```compile_fail,E0505
//! # use nearlight::{base::Position, ring::Pool};
//! let mut pool = Pool::default();
//! let segment = pool.take(Position::ZERO).seal();
//! let slice = segment.bytes(0, 0);
//! pool.give_back(segment); // cannot move out of `segment`: it is borrowed
//! assert!(slice.is_empty());
//! ```
//! Only its one writer can append: a tail can't be duplicated,
//! ```compile_fail,E0599
//! # use nearlight::{base::Position, ring::Pool};
//! let mut pool = Pool::default();
//! let tail = pool.take(Position::ZERO);
//! let second_writer = tail.clone(); // no method named `clone`
//! ```
//! and a reader's reference can't write:
//! ```compile_fail,E0599
//! # use nearlight::{base::Position, ring::Pool};
//! let mut pool = Pool::default();
//! let segment = pool.take(Position::ZERO).reader();
//! segment.space(); // no method named `space`
//! ```
//! What is allowed, beside them: a slice that is done with, a second reader,
//! and bytes that go to another thread.
//! ```
//! # use nearlight::{base::Position, ring::Pool};
//! let mut pool = Pool::default();
//! let mut tail = pool.take(Position::ZERO);
//! tail.space()[..2].copy_from_slice(b"hi");
//! tail.fill(2);
//! tail.commit(2, std::iter::empty());
//! let second_reader = tail.reader().clone();
//! let segment = tail.seal();
//! let read = std::thread::spawn(move || second_reader.bytes(0, 2).to_vec());
//! assert_eq!(read.join().expect("it only reads"), segment.bytes(0, 2));
//! pool.give_back(segment); // no slice of it lives
//! ```
#![expect(unsafe_code, reason = "memory that one thread appends to while others read its prefix")]

use super::sync::{Arc, AtomicU32, Ordering, Watch};
use crate::base::{Instant, Position};
use crate::limits::{SEGMENT_BYTES, SEGMENT_FRAMES};
use std::cell::UnsafeCell;
use std::fmt;

/// Set in the state word once the segment will grow no more.
const SEALED: u32 = 1 << 31;

/// One entry of the frame index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Position just past its last byte; it starts where the last one ended.
    pub end: Position,
    /// When its last byte arrived here.
    pub arrival: Instant,
    /// How long the kernel had had it by then, in nanoseconds; 0: not known.
    pub waited: u32,
    /// A subscriber may leave the stream just before it.
    pub leave: bool,
}

/// A block of a ring's memory.
struct Segment {
    progress: Progress,
    /// Position of its first byte. Written only while nobody else holds it.
    base: Position,
    frames: Box<[UnsafeCell<Frame>]>,
    bytes: Box<[UnsafeCell<u8>]>,
    watch_frames: Watch,
    watch_bytes: Watch,
}

/// What the writer stores and every reader loads: together, and in a cache line
/// that neither the reference count nor anything else that changes is in.
#[repr(align(128))]
struct Progress {
    /// `committed | SEALED`: bytes `[0, committed)` are final.
    state: AtomicU32,
    /// Entries `[0, framed)` of `frames` are final.
    framed: AtomicU32,
}

// SAFETY: the cells are written by the one `Tail` alone, above `committed` and
// `framed`; everybody else reads below them, after an Acquire load of the word
// that the writer stored with Release. No byte is ever read and written at the
// same time.
unsafe impl Sync for Segment {}

impl Segment {
    fn new() -> Self {
        Self {
            progress: Progress { state: AtomicU32::new(0), framed: AtomicU32::new(0) },
            base: Position::ZERO,
            frames: (0..SEGMENT_FRAMES).map(|_| UnsafeCell::default()).collect(),
            bytes: zeroed(SEGMENT_BYTES),
            watch_frames: Watch::new(SEGMENT_FRAMES),
            watch_bytes: Watch::new(SEGMENT_BYTES),
        }
    }

    fn committed(&self) -> usize {
        (self.progress.state.load(Ordering::Acquire) & !SEALED) as usize
    }

    /// The bytes `[from, to)`, which the caller has seen committed.
    fn prefix(&self, from: usize, to: usize) -> &[u8] {
        let committed = self.committed();
        assert!(from <= to && to <= committed, "{from}..{to} of {committed} committed bytes");
        let cells = &self.bytes[from..to];
        self.watch_bytes.read(from, to);
        // SAFETY: `UnsafeCell<u8>` has the layout of `u8`; these bytes lie below
        // `committed`, so no one writes them while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<u8>(), cells.len()) }
    }

    fn frames(&self) -> &[Frame] {
        let framed = self.progress.framed.load(Ordering::Acquire) as usize;
        let cells = &self.frames[..framed];
        self.watch_frames.read(0, framed);
        // SAFETY: `UnsafeCell<Frame>` has the layout of `Frame`; these entries
        // lie below `framed`, so no one writes them while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<Frame>(), cells.len()) }
    }
}

/// Zeroed memory straight from the allocator: pages stay untouched, and cost
/// nothing, until bytes arrive in them.
fn zeroed(len: usize) -> Box<[UnsafeCell<u8>]> {
    let bytes = vec![0u8; len].into_boxed_slice();
    let raw = Box::into_raw(bytes) as *mut [UnsafeCell<u8>];
    // SAFETY: the pointer comes from `Box::into_raw` just above, and
    // `UnsafeCell<u8>` has the size and alignment of `u8`.
    unsafe { Box::from_raw(raw) }
}

/// A reader's counted reference to a segment. One per shard and segment, and
/// one per subscriber on its way out of a part that is being dropped.
#[derive(Clone)]
pub struct SegRef(Arc<Segment>);

impl SegRef {
    /// Position of the segment's first byte.
    pub fn base(&self) -> Position {
        self.0.base
    }

    /// Position just past its last committed byte.
    pub fn end(&self) -> Position {
        self.0.base + self.0.committed() as u64
    }

    /// True once the segment will grow no more.
    pub fn is_sealed(&self) -> bool {
        self.0.progress.state.load(Ordering::Acquire) & SEALED != 0
    }

    /// The bytes at offsets `[from, to)`.
    ///
    /// # Panics
    /// If they are not all committed: that is a bug of the caller.
    pub fn bytes(&self, from: usize, to: usize) -> &[u8] {
        self.0.prefix(from, to)
    }

    /// The frames that end in this segment, in order.
    pub fn frames(&self) -> &[Frame] {
        self.0.frames()
    }

    /// Whether both refer to the same segment.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for SegRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegRef({}..{})", self.base(), self.end())
    }
}

/// A segment that nobody else holds, ready to be written from the start.
pub(super) struct Idle(Arc<Segment>);

impl Idle {
    pub(super) fn fresh() -> Self {
        Self(Arc::new(Segment::new()))
    }

    /// Takes a segment back from its last reader; hands it out again if
    /// others still read it.
    pub(super) fn reclaim(segment: SegRef) -> Result<Self, SegRef> {
        let mut shared = segment.0;
        match Arc::get_mut(&mut shared) {
            Some(_) => Ok(Self(shared)),
            None => Err(SegRef(shared)),
        }
    }

    /// Starts the segment over as the tail of a stream at `base`.
    pub(super) fn start(mut self, base: Position) -> Tail {
        let segment = Arc::get_mut(&mut self.0).expect("an idle segment has one holder");
        segment.base = base;
        // Nobody else holds it: no order is needed.
        segment.progress.state.store(0, Ordering::Relaxed);
        segment.progress.framed.store(0, Ordering::Relaxed);
        Tail { segment: self.0, committed: 0, gap: 0, filled: 0, framed: 0, moved: 0 }
    }
}

/// The one writer of a segment: `committed + gap ≤ filled ≤ SEGMENT_BYTES`.
///
/// Bytes between `committed + gap` and `filled` are *held*: they have arrived,
/// and the framing has not decided about them. The gap is what was thrown away
/// before them; it is closed when bytes are kept, so that each byte moves once
/// however many pieces are cut out of a receive.
pub struct Tail {
    segment: Arc<Segment>,
    committed: usize,
    gap: usize,
    filled: usize,
    framed: usize,
    moved: u64,
}

impl Tail {
    /// A reader's reference to this segment.
    pub fn reader(&self) -> SegRef {
        SegRef(Arc::clone(&self.segment))
    }

    /// Where the next committed byte will stand.
    pub fn position(&self) -> Position {
        self.segment.base + self.committed as u64
    }

    /// Bytes of the segment that nothing has arrived in.
    pub fn free(&self) -> usize {
        SEGMENT_BYTES - self.filled
    }

    /// Frames that the index still has room for.
    pub fn frame_room(&self) -> usize {
        SEGMENT_FRAMES - self.framed
    }

    /// The free memory, to receive into.
    pub fn space(&mut self) -> &mut [u8] {
        let held = self.filled - self.committed - self.gap;
        self.close_gap(held);
        let filled = self.filled;
        self.above(filled, SEGMENT_BYTES)
    }

    /// Says that `len` bytes have arrived in [`Self::space`].
    pub fn fill(&mut self, len: usize) {
        assert!(len <= self.free(), "{len} bytes into {}", self.free());
        self.filled += len;
    }

    /// The bytes held.
    pub fn held(&mut self) -> &mut [u8] {
        let (start, filled) = (self.committed + self.gap, self.filled);
        self.above(start, filled)
    }

    /// Throws the first `len` held bytes away.
    pub fn skip(&mut self, len: usize) {
        assert!(self.committed + self.gap + len <= self.filled, "can't skip more than arrived");
        self.gap += len;
        self.forget_gap();
    }

    /// Bytes that were moved within the segment so far.
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Moves the first `len` held bytes down over the gap, which is then behind
    /// them; with all that are held, it is gone.
    fn close_gap(&mut self, len: usize) {
        if self.gap == 0 || len == 0 {
            return;
        }
        let (committed, gap, filled) = (self.committed, self.gap, self.filled);
        self.above(committed, filled).copy_within(gap..gap + len, 0);
        self.moved += len as u64;
        if committed + gap + len == filled {
            self.filled -= gap;
            self.gap = 0;
        }
    }

    /// With nothing held there is no gap, only free memory.
    fn forget_gap(&mut self) {
        if self.committed + self.gap == self.filled {
            self.filled = self.committed;
            self.gap = 0;
        }
    }

    /// Makes the first `len` held bytes final, and with them the frames that
    /// end in them. Readers see both at once.
    pub fn commit(&mut self, len: usize, frames: impl Iterator<Item = Frame>) {
        assert!(self.committed + self.gap + len <= self.filled, "can't commit more than arrived");
        self.close_gap(len);
        for frame in frames {
            let cell = self.segment.frames[self.framed].get();
            self.segment.watch_frames.write(self.framed, self.framed + 1);
            // SAFETY: the entry lies at or above `framed`, where only this
            // writer goes, and the pointer is from a live cell.
            unsafe { cell.write(frame) };
            self.framed += 1;
        }
        self.committed += len;
        // The bytes first: whoever sees a frame's end sees its bytes.
        self.segment.progress.state.store(self.committed as u32, Ordering::Release);
        self.segment.progress.framed.store(self.framed as u32, Ordering::Release);
        self.forget_gap();
    }

    /// Ends the segment; held bytes are lost (move them on first).
    pub fn seal(self) -> SegRef {
        self.segment.progress.state.store(self.committed as u32 | SEALED, Ordering::Release);
        SegRef(self.segment)
    }

    /// The memory at `[from, to)`, which must lie above `committed`.
    fn above(&mut self, from: usize, to: usize) -> &mut [u8] {
        debug_assert!(from >= self.committed, "below is not ours any more");
        let cells = &self.segment.bytes[from..to];
        self.segment.watch_bytes.write(from, to);
        let start = UnsafeCell::raw_get(cells.as_ptr());
        // SAFETY: the range lies above `committed`, where no reader goes, and
        // `&mut self` is the only writer; the bytes are initialised from birth.
        unsafe { std::slice::from_raw_parts_mut(start, cells.len()) }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tail(at {}, {} held)", self.position(), self.filled - self.committed - self.gap)
    }
}
