//! Tail, pool and window against a plain vector: whatever is appended, held
//! back, skipped, sealed and trimmed, readers find what the model says.

mod threads;

use super::*;
use crate::base::{Instant, Position};
use crate::limits::{FLUSH_SLICES, SEGMENT_BYTES, SEGMENT_FRAMES};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

/// One thing that a publisher's shard does to a ring.
#[derive(Clone, Debug)]
enum Op {
    /// So many bytes arrive.
    Fill(usize),
    /// So much of what is held, in 1/256, is thrown away at the front.
    Skip(u8),
    /// Only so much of what is held is not thrown away.
    /// So much of what is held is kept, cut into so many frames; the last of
    /// them ends with the bytes, or later.
    Commit(u8, usize, bool),
    /// The tail is sealed, what is held moves on.
    Roll,
    /// The oldest segment goes.
    Pop,
    /// The start of one of the last frames becomes a join point.
    Join(usize),
    /// A subscriber that leaves holds a range, in 1/256 of what is kept.
    Hold(u8, u8),
    /// The oldest such range is let go.
    LetGo,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop_oneof![1..2000usize, Just(SEGMENT_BYTES / 3)].prop_map(Op::Fill),
        1 => any::<u8>().prop_map(Op::Skip),
        5 => (any::<u8>(), 0..4usize, any::<bool>()).prop_map(|(part, frames, ends)| Op::Commit(part, frames, ends)),
        1 => Just(Op::Roll),
        1 => Just(Op::Pop),
        1 => (0..3usize).prop_map(Op::Join),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Op::Hold(from, to)),
        1 => Just(Op::LetGo),
    ]
}

/// The naive ring: every byte that was ever committed, and every frame.
#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    held: Vec<u8>,
    frames: Vec<Span>,
    /// For each segment not dropped: its base, and how many frames had ended
    /// when it began.
    segments: Vec<(usize, usize)>,
    joins: Vec<usize>,
    next: u8,
}

impl Model {
    fn floor(&self) -> usize {
        self.segments[0].0
    }

    /// Frames that are still known: those that end in a segment that is kept.
    fn kept(&self) -> &[Span] {
        &self.frames[self.segments[0].1..]
    }

    fn first_frame(&self) -> Position {
        let before = self.segments[0].1;
        before.checked_sub(1).map_or(Position::ZERO, |last| self.frames[last].end)
    }

    fn spans(&self, position: Position) -> Vec<Span> {
        self.kept().iter().filter(|span| span.end > position).copied().collect()
    }

    fn arrival(&self, position: Position) -> Option<Instant> {
        let spans = self.spans(position);
        spans.first().filter(|_| position >= self.first_frame()).map(|span| span.arrival)
    }

    fn leave_from(&self, position: Position) -> Option<Position> {
        let spans = self.spans(position).into_iter();
        spans.filter(|span| span.leave && span.start >= position).map(|span| span.start).next()
    }
}

/// A ring and its model, side by side.
struct Pair {
    pool: Pool,
    tail: Option<Tail>,
    window: Window,
    model: Model,
    leavers: Vec<(Vec<SegRef>, Range<usize>)>,
    clock: u64,
}

impl Pair {
    fn new() -> Self {
        let mut pool = Pool::default();
        let tail = pool.take(Position::ZERO);
        let mut window = Window::default();
        window.push(tail.reader());
        let model = Model { segments: vec![(0, 0)], ..Model::default() };
        Self { pool, tail: Some(tail), window, model, leavers: Vec::new(), clock: 0 }
    }

    fn tail(&mut self) -> &mut Tail {
        self.tail.as_mut().expect("there is always a tail")
    }

    fn apply(&mut self, op: Op) {
        let part = |part: u8, whole: usize| whole * usize::from(part) / 256;
        match op {
            Op::Fill(len) => self.fill(len),
            Op::Skip(of) => {
                let len = part(of, self.model.held.len());
                self.tail().skip(len);
                self.model.held.drain(..len);
            }
            Op::Commit(of, frames, ends) => {
                let len = part(of, self.model.held.len() + 1);
                self.commit(len.min(self.model.held.len()), frames, ends);
            }
            Op::Roll => self.roll(),
            Op::Pop => self.pop(),
            Op::Join(back) => self.join(back),
            Op::Hold(from, to) => {
                let (floor, len) = (self.model.floor(), self.model.bytes.len());
                let (from, to) = (from.min(to), from.max(to));
                let range = floor + part(from, len - floor)..floor + part(to, len - floor);
                let (from, to) = (Position(range.start as u64), Position(range.end as u64));
                self.leavers.push((self.window.hold(from, to), range));
            }
            Op::LetGo => drop((!self.leavers.is_empty()).then(|| self.leavers.remove(0))),
        }
    }

    fn fill(&mut self, len: usize) {
        if self.tail().free() < len {
            self.roll();
        }
        let len = len.min(self.tail().free());
        for _ in 0..len {
            self.model.held.push(self.model.next);
            self.model.next = self.model.next.wrapping_mul(5).wrapping_add(1);
        }
        let new = self.model.held.len() - len;
        let bytes = self.model.held[new..].to_vec();
        self.tail().space()[..len].copy_from_slice(&bytes);
        self.tail().fill(len);
    }

    fn commit(&mut self, len: usize, frames: usize, ends: bool) {
        if self.tail().frame_room() < frames {
            self.roll();
        }
        self.clock += 1;
        let (at, arrival) = (self.model.bytes.len(), Instant::from_nanos(self.clock));
        let mut start = self.model.frames.last().map_or(Position::ZERO, |span| span.end);
        let mut marks = Vec::new();
        for n in 1..=frames {
            let whole = if ends { len } else { len * 2 / 3 };
            let end = Position((at + whole * n / frames) as u64);
            let leave = self.clock.is_multiple_of(3);
            if end > start {
                self.model.frames.push(Span { start, end, arrival, waited: 0, leave });
                marks.push(Frame { end, arrival, waited: 0, leave });
                start = end;
            }
        }
        self.tail().commit(len, marks.into_iter());
        self.model.bytes.extend(self.model.held.drain(..len));
    }

    fn roll(&mut self) {
        let old = self.tail.take().expect("there is always a tail");
        let at = old.position();
        let mut next = self.pool.take(at);
        let held = self.model.held.clone();
        next.space()[..held.len()].copy_from_slice(&held);
        next.fill(held.len());
        self.window.push(next.reader());
        let sealed = old.seal();
        assert!(sealed.is_sealed() && sealed.end() == at);
        self.tail = Some(next);
        self.model.segments.push((self.model.bytes.len(), self.model.frames.len()));
    }

    fn pop(&mut self) {
        let popped = self.window.pop();
        assert_eq!(popped.is_some(), self.model.segments.len() > 1, "the only one stays");
        if let Some(segment) = popped {
            self.pool.give_back(segment);
            self.model.segments.remove(0);
            let floor = self.model.floor();
            self.model.joins.retain(|join| *join >= floor);
        }
    }

    fn join(&mut self, back: usize) {
        let Some(span) = self.model.kept().iter().rev().nth(back).copied() else { return };
        let at = span.start.0 as usize;
        if at < self.model.floor() || self.model.joins.last().is_some_and(|last| *last >= at) {
            return;
        }
        let nothing: Arc<[u8]> = Arc::default();
        self.window.push_join(JoinPoint {
            position: span.start,
            arrival: span.arrival,
            fresh: Arc::clone(&nothing),
            resume: nothing,
        });
        self.model.joins.push(at);
    }

    /// Everything that a reader can ask, at every kind of place.
    fn compare(&mut self, places: &[u8]) {
        let model = &self.model;
        let (window, len) = (&self.window, model.bytes.len());
        assert_eq!(window.floor(), Position(model.floor() as u64));
        assert_eq!(window.len(), (len - model.floor()) as u64);
        assert_eq!(window.is_empty(), len == model.floor());
        let head = model.kept().last().map_or(model.first_frame(), |span| span.end);
        assert_eq!(window.head(), head);
        assert_eq!(window.newest_arrival(), model.kept().last().map(|span| span.arrival));
        let second = model.segments.get(1).map(|(base, _)| Position(*base as u64));
        assert_eq!(window.second_base(), second);
        let oldest = second.filter(|at| *at > window.floor()).and_then(|at| model.arrival(at - 1));
        if second != Some(window.floor()) {
            assert_eq!(window.oldest_arrival(), oldest);
        }
        let joins = window.newest_join().map(|join| join.position.0 as usize);
        assert_eq!(joins, model.joins.last().copied());
        for pair in places.windows(2) {
            let place = |part: u8| model.floor() + (len - model.floor()) * usize::from(part) / 255;
            let (from, to) = (place(pair[0].min(pair[1])), place(pair[0].max(pair[1])));
            let at = Position(from as u64);
            assert_eq!(window.spans(at).collect::<Vec<_>>(), model.spans(at), "spans at {at}");
            assert_eq!(window.arrival(at), model.arrival(at), "arrival at {at}");
            assert_eq!(window.leave_from(at), model.leave_from(at), "leave from {at}");
            let join = model.joins.iter().find(|join| **join >= from).copied();
            assert_eq!(window.join_from(at).map(|join| join.position.0 as usize), join);
            let mut slices = room();
            let mut list = Gather::over(&mut slices);
            let gathered = window.gather(at, Position(to as u64), &mut list);
            same(&list, gathered, &model.bytes[from..to]);
        }
        for (segments, range) in &self.leavers {
            let (from, to) = (Position(range.start as u64), Position(range.end as u64));
            let mut slices = room();
            let mut list = Gather::over(&mut slices);
            let gathered = gather(segments.iter(), from, to, &mut list);
            same(&list, gathered, &model.bytes[range.clone()]);
        }
        let held = self.model.held.clone();
        assert_eq!(self.tail().held(), held);
        let position = Position(self.model.bytes.len() as u64);
        assert_eq!(self.tail().position(), position);
    }
}

fn room<'a>() -> [IoSlice<'a>; FLUSH_SLICES] {
    [IoSlice::new(&[]); FLUSH_SLICES]
}

fn same(list: &Gather<'_, '_>, gathered: u64, expected: &[u8]) {
    let slices: Vec<&[u8]> = list.slices().iter().map(|slice| &**slice).collect();
    assert!(slices.concat() == expected, "gathers other bytes");
    assert_eq!((list.bytes(), gathered), (expected.len(), expected.len() as u64));
    assert!(slices.iter().all(|slice| !slice.is_empty()), "an empty slice takes a place");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_is_a_vector_with_a_front_that_goes(
        ops in vec(op(), 1..60),
        places in vec(any::<u8>(), 6),
    ) {
        let mut pair = Pair::new();
        for op in ops {
            pair.apply(op);
            pair.compare(&places);
        }
        let Pair { mut pool, tail, mut window, leavers, .. } = pair;
        drop((tail, leavers));
        for segment in window.drain() {
            pool.give_back(segment);
        }
        // Every segment comes back once nobody reads it.
        let ever = pool.allocated.get();
        let taken: Vec<Tail> = (0..ever).map(|_| pool.take(Position::ZERO)).collect();
        prop_assert_eq!(pool.allocated.get(), ever);
        drop(taken);
    }
}

#[test]
fn a_full_list_takes_no_more() {
    let mut pool = Pool::default();
    let mut window = Window::default();
    let count = FLUSH_SLICES + 3;
    for n in 0..count {
        let mut tail = pool.take(Position(n as u64));
        tail.space()[0] = n as u8;
        tail.fill(1);
        window.push(tail.reader());
        let end = Position(n as u64 + 1);
        tail.commit(
            1,
            std::iter::once(Frame { end, arrival: Instant::ZERO, waited: 0, leave: true }),
        );
        drop(tail.seal());
    }
    let mut slices = room();
    let mut list = Gather::over(&mut slices);
    let gathered = window.gather(Position::ZERO, window.head(), &mut list);
    assert_eq!(gathered, FLUSH_SLICES as u64, "as far as there was room");
    assert_eq!((list.room(), list.bytes()), (0, gathered as usize));
    assert!(!list.push(b"one more") && list.push(b""), "an empty slice needs no room");
}

#[test]
fn frames_are_indexed_until_the_index_is_full() {
    let mut pool = Pool::default();
    let mut tail = pool.take(Position::ZERO);
    tail.fill(SEGMENT_FRAMES);
    let frames =
        (1..=SEGMENT_FRAMES as u64).map(|end| Frame { end: Position(end), ..Frame::default() });
    tail.commit(SEGMENT_FRAMES, frames);
    assert_eq!(tail.frame_room(), 0);
    assert_eq!(tail.reader().frames().len(), SEGMENT_FRAMES);
}

#[test]
fn a_segment_within_a_frame_is_as_old_as_the_frame() {
    let mut pool = Pool::default();
    let mut window = Window::default();
    let mut tail = pool.take(Position::ZERO);
    window.push(tail.reader());
    for n in 1..=3u64 {
        tail.fill(100);
        tail.commit(100, std::iter::empty());
        let next = pool.take(Position(100 * n));
        window.push(next.reader());
        drop(std::mem::replace(&mut tail, next).seal());
    }
    assert_eq!(window.oldest_arrival(), None, "its frame is still arriving");
    tail.fill(1);
    let (end, arrival) = (Position(301), Instant::from_nanos(9));
    tail.commit(1, std::iter::once(Frame { end, arrival, waited: 0, leave: true }));
    assert_eq!(window.oldest_arrival(), Some(arrival));
}
