//! The reader's side of a ring: the segments that are kept, what frames and
//! join points they hold, and how bytes become gather lists.

use super::segment::{Frame, SegRef};
use crate::base::{Instant, Position};
use crate::limits::{JOIN_POINTS, SEGMENT_BYTES};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Where a subscriber can start, and what it is sent first.
#[derive(Clone, Debug)]
pub struct JoinPoint {
    /// The first byte of the stream to send.
    pub position: Position,
    /// When that byte's frame arrived.
    pub arrival: Instant,
    /// Sent first to a subscriber that starts here.
    pub fresh: Arc<[u8]>,
    /// Sent first to a subscriber that skips to here.
    pub resume: Arc<[u8]>,
}

/// One frame, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: Position,
    /// Just past its last byte.
    pub end: Position,
    /// When its last byte arrived here.
    pub arrival: Instant,
    /// How long the kernel had had it by then, in nanoseconds; 0: not known.
    pub waited: u32,
    /// A subscriber may leave the stream just before it.
    pub leave: bool,
}

impl Span {
    /// When the kernel had its last byte, as far as that is known.
    pub fn received(&self) -> Instant {
        let nanos = self.arrival.as_nanos().saturating_sub(u64::from(self.waited));
        Instant::from_nanos(nanos)
    }
}

/// The part of a stream that one shard can read.
#[derive(Clone, Debug, Default)]
pub struct Window {
    segments: VecDeque<SegRef>,
    joins: VecDeque<JoinPoint>,
    /// End of the last frame that was dropped: the first kept one starts here.
    first_frame: Position,
    /// The oldest byte kept.
    floor: Position,
}

impl Window {
    /// Takes the stream's next segment. It goes on growing until it is sealed.
    pub fn push(&mut self, segment: SegRef) {
        if self.segments.is_empty() {
            self.floor = segment.base();
            self.first_frame = self.first_frame.max(segment.base());
        }
        self.segments.push_back(segment);
    }

    /// Publishes a join point; the oldest is forgotten beyond `JOIN_POINTS`.
    pub fn push_join(&mut self, join: JoinPoint) {
        if self.joins.len() == JOIN_POINTS {
            self.joins.pop_front();
        }
        self.joins.push_back(join);
    }

    /// Drops the oldest segment, unless it is the only one.
    pub fn pop(&mut self) -> Option<SegRef> {
        if self.segments.len() < 2 {
            return None;
        }
        let oldest = self.segments.pop_front()?;
        if let Some(last) = oldest.frames().last() {
            self.first_frame = last.end;
        }
        self.floor = oldest.end();
        while self.joins.front().is_some_and(|join| join.position < self.floor) {
            self.joins.pop_front();
        }
        Some(oldest)
    }

    /// Gives up every segment, the newest too.
    pub fn drain(&mut self) -> impl Iterator<Item = SegRef> {
        self.joins.clear();
        self.segments.drain(..)
    }

    /// The oldest byte kept.
    pub fn floor(&self) -> Position {
        self.floor
    }

    /// End of the newest complete frame: how far subscribers may go.
    pub fn head(&self) -> Position {
        self.last_frame().map_or(self.first_frame, |frame| frame.end)
    }

    /// Bytes kept, those of an incomplete frame included.
    pub fn len(&self) -> u64 {
        self.segments.back().map_or(0, |newest| newest.end().since(self.floor))
    }

    /// Bytes of memory that it takes: a segment is as large when small frames
    /// have filled its index first.
    pub fn footprint(&self) -> u64 {
        let sealed = self.segments.len().saturating_sub(1) as u64 * SEGMENT_BYTES as u64;
        sealed + self.segments.back().map_or(0, |newest| newest.end().since(newest.base()))
    }

    /// True before the first byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// End of the oldest segment: what is kept if it is dropped. `None` if it
    /// is the only one.
    pub fn second_base(&self) -> Option<Position> {
        self.segments.get(1).map(SegRef::base)
    }

    /// When the last byte of the oldest segment arrived; `None` while its frame
    /// is not complete, or if there is no other segment.
    pub fn oldest_arrival(&self) -> Option<Instant> {
        let end = self.second_base()?;
        // Asked at each pass over a stream, and mostly answered by one frame.
        match self.segments.front()?.frames().last() {
            Some(last) if last.end == end => Some(last.arrival),
            _ => self.arrival(end - 1),
        }
    }

    /// When the newest frame arrived.
    pub fn newest_arrival(&self) -> Option<Instant> {
        self.last_frame().map(|frame| frame.arrival)
    }

    /// The newest join point.
    pub fn newest_join(&self) -> Option<&JoinPoint> {
        self.joins.back()
    }

    /// The first join point at or after `position`.
    pub fn join_from(&self, position: Position) -> Option<&JoinPoint> {
        let at = self.joins.partition_point(|join| join.position < position);
        self.joins.get(at)
    }

    /// The frames from the one that holds the byte at `position` on.
    pub fn spans(&self, position: Position) -> impl Iterator<Item = Span> {
        let first = self.segment_of_frame(position);
        let frames = self.segments.get(first).map_or(&[][..], SegRef::frames);
        let before = ended(frames, position);
        let mut start =
            before.checked_sub(1).map_or_else(|| self.frame_start(first), |last| frames[last].end);
        self.segments.iter().skip(first).flat_map(SegRef::frames).skip(before).map(move |frame| {
            let Frame { end, arrival, waited, leave } = *frame;
            let span = Span { start, end, arrival, waited, leave };
            start = frame.end;
            span
        })
    }

    /// When the byte at `position` arrived; `None` if it has not, or if it is
    /// no longer known.
    pub fn arrival(&self, position: Position) -> Option<Instant> {
        if position < self.first_frame {
            return None;
        }
        let segment = self.segments.get(self.segment_of_frame(position))?;
        let frames = segment.frames();
        frames.get(ended(frames, position)).map(|frame| frame.arrival)
    }

    /// The first position at or after `position` where a subscriber may leave
    /// the stream, if it is known yet.
    pub fn leave_from(&self, position: Position) -> Option<Position> {
        self.spans(position)
            .find(|span| span.leave && span.start >= position)
            .map(|span| span.start)
    }

    /// Appends the bytes `[from, to)` to a gather list, one slice per segment,
    /// while it has room; answers how many bytes that is.
    pub fn gather<'a>(&'a self, from: Position, to: Position, list: &mut Gather<'a, '_>) -> u64 {
        gather(self.segments.iter().skip(self.segment_of(from)), from, to, list)
    }

    /// References to the segments that hold `[from, to)`.
    pub fn hold(&self, from: Position, to: Position) -> Vec<SegRef> {
        let first = self.segment_of(from);
        self.segments
            .iter()
            .skip(first)
            .take_while(|segment| segment.base() < to)
            .cloned()
            .collect()
    }

    /// Whether the newest segment is `segment`.
    pub fn ends_with(&self, segment: &SegRef) -> bool {
        self.segments.back().is_some_and(|newest| newest.same(segment))
    }

    fn last_frame(&self) -> Option<&Frame> {
        self.segments.iter().rev().find_map(|segment| segment.frames().last())
    }

    /// Index of the segment that holds the byte at `position`.
    fn segment_of(&self, position: Position) -> usize {
        // It is the newest, mostly.
        if self.segments.back().is_some_and(|newest| newest.base() <= position) {
            return self.segments.len() - 1;
        }
        self.segments.partition_point(|segment| segment.base() <= position).saturating_sub(1)
    }

    /// Index of the segment in which the frame of the byte at `position` ends.
    fn segment_of_frame(&self, position: Position) -> usize {
        let first = self.segment_of(position);
        let ends_after =
            |segment: &SegRef| segment.frames().last().is_some_and(|frame| frame.end > position);
        self.segments
            .iter()
            .skip(first)
            .position(ends_after)
            .map_or(self.segments.len(), |n| first + n)
    }

    /// Where the first frame that ends in segment `index` or later starts.
    fn frame_start(&self, index: usize) -> Position {
        let before = self.segments.iter().take(index).rev();
        before
            .flat_map(|segment| segment.frames().last())
            .map(|frame| frame.end)
            .next()
            .unwrap_or(self.first_frame)
    }
}

/// How many of a segment's frames end at or before `position`. Who asks wants
/// one of the newest, mostly: from there it is a cache line or two, which were
/// just written; bisection touches a dozen that nobody else has use for.
fn ended(frames: &[Frame], position: Position) -> usize {
    const NEAR: usize = 4;
    let newest = frames.iter().rev().take(NEAR);
    let after = newest.take_while(|frame| frame.end > position).count();
    let rest = frames.len() - after;
    if after < NEAR { rest } else { frames[..rest].partition_point(|frame| frame.end <= position) }
}

/// Slices to hand to the kernel in one call, in order.
///
/// The array is the caller's, as long as its flush can need: clearing one
/// costs more than all else here.
#[derive(Debug)]
pub struct Gather<'a, 'list> {
    slices: &'list mut [IoSlice<'a>],
    used: usize,
    bytes: usize,
}

impl<'a, 'list> Gather<'a, 'list> {
    /// An empty list that has room for as many slices as `slices` has.
    pub const fn over(slices: &'list mut [IoSlice<'a>]) -> Self {
        Self { slices, used: 0, bytes: 0 }
    }

    /// Appends a slice; answers whether there was room. An empty one takes none.
    pub fn push(&mut self, bytes: &'a [u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        if self.used == self.slices.len() {
            return false;
        }
        self.slices[self.used] = IoSlice::new(bytes);
        self.used += 1;
        self.bytes += bytes.len();
        true
    }

    /// The slices.
    pub fn slices(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.used]
    }

    /// Bytes of all slices.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Slices that can still be appended.
    pub const fn room(&self) -> usize {
        self.slices.len() - self.used
    }
}

/// Appends the bytes `[from, to)` of consecutive segments to a gather list.
pub fn gather<'a>(
    segments: impl Iterator<Item = &'a SegRef>,
    from: Position,
    to: Position,
    list: &mut Gather<'a, '_>,
) -> u64 {
    let mut at = from;
    for segment in segments {
        if at >= to {
            break;
        }
        let base = segment.base();
        let end = segment.end().min(to);
        if end <= at || base > at {
            continue;
        }
        if !list.push(segment.bytes(at.since(base) as usize, end.since(base) as usize)) {
            break;
        }
        at = end;
    }
    at.since(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Pool;

    /// Segments of a few frames each, 1 to 9 bytes long; every seventh frame
    /// is committed in two parts, so that it spans segments.
    fn window() -> (Window, Vec<Span>) {
        let mut pool = Pool::default();
        let mut window = Window::default();
        let mut spans = Vec::new();
        let (mut start, mut tail) = (Position::ZERO, pool.take(Position::ZERO));
        window.push(tail.reader());
        for n in 1..=50u64 {
            let (len, arrival) = (1 + n % 9, Instant::from_nanos(n));
            let mut rest = len as usize;
            if n.is_multiple_of(7) {
                tail.fill(1);
                tail.commit(1, std::iter::empty());
                rest -= 1;
                let next = pool.take(tail.position());
                window.push(next.reader());
                drop(std::mem::replace(&mut tail, next).seal());
            }
            let leave = n.is_multiple_of(3);
            let end = start + len;
            tail.fill(rest);
            tail.commit(rest, std::iter::once(Frame { end, arrival, waited: 0, leave }));
            spans.push(Span { start, end, arrival, waited: 0, leave });
            start = end;
        }
        (window, spans)
    }

    #[test]
    fn spans_from_any_position_are_those_of_the_frames() {
        let (mut window, mut spans) = window();
        for _ in 0..3 {
            for at in window.floor().0..=window.head().0 {
                let found: Vec<Span> = window.spans(Position(at)).collect();
                let wanted: Vec<Span> =
                    spans.iter().copied().filter(|span| span.end.0 > at).collect();
                assert_eq!(found, wanted, "from {at}");
            }
            window.pop();
            spans.retain(|span| span.start >= window.first_frame);
        }
    }

    #[test]
    fn a_list_takes_what_it_has_room_for() {
        let (window, _) = window();
        let all = window.head().since(window.floor());
        let mut slices = [IoSlice::new(&[]); 3];
        let mut list = Gather::over(&mut slices);
        let gathered = window.gather(window.floor(), window.head(), &mut list);
        assert!(gathered < all, "three slices of {gathered} bytes hold all {all}");
        assert_eq!((list.room(), list.bytes() as u64), (0, gathered));
        assert!(!list.push(b"more"));
        assert!(list.push(b""), "nothing needs no room");
        assert_eq!(list.slices().iter().map(|slice| slice.len() as u64).sum::<u64>(), gathered);
    }
}
