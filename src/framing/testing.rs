//! For tests: a publisher's ring without a ring. It shows a framing its input
//! as the contract says and checks the framing's side of it at every step.

use super::{Framing, FramingError, JoinMark, Kind, Marks, Step, Transport};
use crate::base::{Instant, Position};

/// Seeded random numbers (xorshift64*).
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound
    }

    pub(super) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn byte(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

/// A frame as it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) leave: bool,
}

/// A framing being fed, and all that came out of it.
pub(super) struct Feed {
    pub(super) framing: Framing,
    pub(super) now: Instant,
    /// Room for marks in each step.
    pub(super) room: usize,
    pub(super) held: Vec<u8>,
    pub(super) most_held: usize,
    pub(super) kept: Vec<u8>,
    pub(super) frames: Vec<Frame>,
    pub(super) joins: Vec<JoinMark>,
    pub(super) error: Option<FramingError>,
    marks: Marks,
}

/// What must not depend on how the input was split.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) kept: Vec<u8>,
    pub(super) leaves: Vec<u64>,
    pub(super) joins: Vec<(u64, Vec<u8>, Vec<u8>)>,
    pub(super) error: bool,
}

impl Feed {
    pub(super) fn new(kind: Kind, transport: Transport) -> Self {
        Self {
            framing: Framing::new(kind, transport),
            now: Instant::from_nanos(1_000_000_000),
            room: 1000,
            held: Vec::new(),
            most_held: 0,
            kept: Vec::new(),
            frames: Vec::new(),
            joins: Vec::new(),
            error: None,
            marks: Marks::default(),
        }
    }

    pub(super) fn bytes(kind: Kind) -> Self {
        Self::new(kind, Transport::Bytes)
    }

    pub(super) fn datagrams(kind: Kind) -> Self {
        Self::new(kind, Transport::Datagrams)
    }

    /// One receive of a byte stream; without bytes, a timeout.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while self.error.is_none() {
            self.marks.room = self.room;
            let at = Position(self.kept.len() as u64);
            let step = match self.framing.step(&self.held, at, self.now, &mut self.marks) {
                Ok(step) => step,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            };
            self.take(step);
            self.held.drain(..step.skip + step.keep);
            if step == Step::HOLD {
                break;
            }
        }
        self.most_held = self.most_held.max(self.held.len());
    }

    /// One datagram.
    pub(super) fn datagram(&mut self, bytes: &[u8]) -> Step {
        self.held = bytes.to_vec();
        self.marks.room = self.room;
        let at = Position(self.kept.len() as u64);
        let step = self.framing.datagram(bytes, at, self.now, &mut self.marks);
        self.take(step);
        step
    }

    /// Commits what a step keeps and checks what it marked.
    fn take(&mut self, step: Step) {
        assert!(step.skip + step.keep <= self.held.len(), "{step:?}");
        let kept = &self.held[step.skip..step.skip + step.keep];
        self.kept.extend_from_slice(kept);
        let end = self.kept.len() as u64;
        assert_eq!(self.marks.frames.len() + self.marks.room, self.room);
        for mark in self.marks.frames.drain(..) {
            let start = self.frames.last().map_or(0, |frame| frame.end);
            assert!(start < mark.end.0 && mark.end.0 <= end, "{mark:?}");
            self.frames.push(Frame { start, end: mark.end.0, leave: mark.leave });
        }
        for mark in self.marks.joins.drain(..) {
            let before = self.joins.last().map(|join| join.position);
            assert!(before < Some(mark.position), "out of order");
            assert!(mark.position.0 < end);
            self.joins.push(mark);
        }
    }

    /// Where frames start that may be left at.
    pub(super) fn leaves(&self) -> Vec<u64> {
        let leaves = self.frames.iter().filter(|frame| frame.leave);
        leaves.map(|frame| frame.start).collect()
    }

    pub(super) fn join_positions(&self) -> Vec<u64> {
        self.joins.iter().map(|join| join.position.0).collect()
    }

    pub(super) fn outcome(&self) -> Outcome {
        let join = |join: &JoinMark| (join.position.0, join.fresh.to_vec(), join.resume.to_vec());
        Outcome {
            kept: self.kept.clone(),
            leaves: self.leaves(),
            joins: self.joins.iter().map(join).collect(),
            error: self.error.is_some(),
        }
    }
}

/// Feeds `input` in random pieces with random room, and byte by byte; what
/// comes out must be what came out of one receive, which it returns. Of `raw`
/// only the bytes are compared: there each receive is a frame.
pub(super) fn any_split(kind: Kind, input: &[u8], seeds: u64) -> Outcome {
    let mut whole = Feed::bytes(kind);
    whole.receive(input);
    let expected = whole.outcome();
    for seed in 0..seeds {
        let mut rng = Rng::new(seed);
        let mut feed = Feed::bytes(kind);
        let largest = match seed {
            0 => 1,
            _ => 1 + rng.below(1 << (1 + seed % 13)),
        };
        let mut rest = input;
        while !rest.is_empty() {
            feed.room = 1 + rng.below(4);
            let (piece, next) = rest.split_at(rest.len().min(1 + rng.below(largest)));
            feed.receive(piece);
            rest = next;
        }
        let found = feed.outcome();
        assert_eq!(feed.framing.kind(), whole.framing.kind(), "seed {seed}");
        if whole.framing.kind() == Kind::Raw {
            assert_eq!(found.kept, expected.kept, "seed {seed}");
        } else {
            assert_eq!(found, expected, "seed {seed}");
            assert_eq!(feed.held, whole.held, "seed {seed}");
            assert_eq!(feed.framing.stats(), whole.framing.stats(), "seed {seed}");
        }
    }
    expected
}
