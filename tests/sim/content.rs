//! What publishers publish, and the record of it that the judge goes by.

use crate::clock;
use crate::rng::Rng;
use crate::ts::{Mark, Muxer, PACKET};
use nearlight::base::Instant;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ts,
    Lines,
    Len32,
    Raw,
}

impl Kind {
    /// Its name in a query.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Lines => "lines",
            Self::Len32 => "len32",
            Self::Raw => "raw",
        }
    }
}

/// One life of a stream: all that was published of it.
pub(crate) struct Epoch {
    pub(crate) kind: Kind,
    /// Which stream of the story it is.
    pub(crate) stream: usize,
    pub(crate) bytes: Vec<u8>,
    /// Where frames end (`lines`, `len32`).
    pub(crate) ends: Vec<usize>,
    /// Where a PES of the stream that is cut at starts (`ts`).
    pub(crate) starts: Vec<usize>,
    /// And a decoder can start.
    pub(crate) keys: Vec<usize>,
    /// When the bytes up to a position had reached the server's kernel.
    pub(crate) arrivals: Vec<(usize, Instant)>,
    /// When each key had.
    last_key: Option<Instant>,
    /// The longest time from one key to the next.
    longest_gop: Duration,
    /// Keys of which it is known when they arrived.
    keys_arrived: usize,
    /// The publisher was reset: the server may not have read everything.
    pub(crate) was_cut: bool,
    pub(crate) is_over: bool,
}

impl Epoch {
    pub(crate) fn new(kind: Kind, stream: usize) -> Self {
        Self {
            kind,
            stream,
            bytes: Vec::new(),
            ends: Vec::new(),
            starts: Vec::new(),
            keys: Vec::new(),
            arrivals: Vec::new(),
            last_key: None,
            longest_gop: Duration::ZERO,
            keys_arrived: 0,
            was_cut: false,
            is_over: false,
        }
    }

    /// The bytes up to `end` have reached the server's kernel.
    pub(crate) fn arrived(&mut self, end: usize) {
        let now = clock::now();
        if self.arrivals.last().is_some_and(|(upto, _)| *upto >= end) {
            return;
        }
        self.arrivals.push((end, now));
        while self.keys.get(self.keys_arrived).is_some_and(|key| *key < end) {
            self.longest_gop = self.gop(now);
            self.last_key = Some(now);
            self.keys_arrived += 1;
        }
    }

    /// The longest time without a key that anybody can have seen by `at`.
    pub(crate) fn gop(&self, at: Instant) -> Duration {
        let open = self.last_key.map_or(Duration::ZERO, |key| at.since(key));
        self.longest_gop.max(open)
    }

    /// When the byte before `end` reached the server's kernel.
    pub(crate) fn arrival(&self, end: usize) -> Option<Instant> {
        let at = self.arrivals.partition_point(|(upto, _)| *upto < end);
        self.arrivals.get(at).map(|(_, at)| *at)
    }

    /// Just past the last byte that subscribers can get.
    pub(crate) fn whole(&self) -> usize {
        match self.kind {
            Kind::Ts => self.bytes.len() / PACKET * PACKET,
            Kind::Lines | Kind::Len32 => self.ends.last().copied().unwrap_or(0),
            Kind::Raw => self.bytes.len(),
        }
    }
}

/// Makes a stream's bytes, a picture's worth at a time.
pub(crate) enum Source {
    Ts(Box<Muxer>),
    Frames { kind: Kind, rng: Rng, id: u64, next: u64, mean: usize },
}

impl Source {
    /// `mean`: bytes of a picture or frame, about.
    pub(crate) fn new(kind: Kind, id: u64, mean: usize, mut rng: Rng) -> Self {
        match kind {
            Kind::Ts => Self::Ts(Box::new(Muxer::new(rng.fork(), id, (mean / PACKET).max(1)))),
            Kind::Lines | Kind::Len32 | Kind::Raw => Self::Frames { kind, rng, id, next: 0, mean },
        }
    }

    /// Appends the next piece to `epoch`.
    pub(crate) fn next(&mut self, epoch: &mut Epoch) {
        match self {
            Self::Ts(muxer) => {
                for (packet, mark) in muxer.picture() {
                    let at = epoch.bytes.len();
                    if mark != Mark::Plain {
                        epoch.starts.push(at);
                    }
                    if mark == Mark::Key {
                        epoch.keys.push(at);
                    }
                    epoch.bytes.extend_from_slice(&packet);
                }
            }
            Self::Frames { kind, rng, id, next, mean } => {
                let size = match rng.below(8) {
                    0 => rng.below(3),
                    1 => rng.below(*mean * 6),
                    _ => rng.between(*mean / 2, *mean * 2),
                };
                let frame = frame(*kind, rng, (*id, *next), size);
                epoch.bytes.extend_from_slice(&frame);
                epoch.ends.push(epoch.bytes.len());
                *next += 1;
            }
        }
    }
}

fn frame(kind: Kind, rng: &mut Rng, (id, number): (u64, u64), size: usize) -> Vec<u8> {
    match kind {
        Kind::Lines => {
            let mut line = format!("{id}.{number} ").into_bytes();
            line.resize(line.len() + size, b'a' + (number % 26) as u8);
            line.push(b'\n');
            line
        }
        Kind::Len32 => {
            let mut body = Vec::with_capacity(size + 20);
            if size > 0 || number == 0 {
                body.extend_from_slice(&id.to_be_bytes());
                body.extend_from_slice(&number.to_be_bytes());
                body.resize(16 + size, number as u8);
            }
            let mut frame = (body.len() as u32).to_be_bytes().to_vec();
            frame.extend_from_slice(&body);
            frame
        }
        // No two places look alike, and no first byte looks like a protocol.
        Kind::Raw | Kind::Ts => {
            let words = size / 8 + 1;
            (0..words).flat_map(|_| (rng.next() | 0x80 << 56).to_be_bytes()).collect()
        }
    }
}
