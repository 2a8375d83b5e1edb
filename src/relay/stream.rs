//! One live stream on its publisher's shard: bytes in, frames and join points
//! out.

use super::branch::Branches;
use super::settings::Settings;
use super::subscriber::Cut;
use super::view::View;
use crate::base::{Instant, Position};
use crate::framing::{
    FrameMark, Framing, FramingError, FramingStats, JoinMark, Marks, Step, Transport,
};
use crate::limits::{
    DATAGRAM_SPACE, INGEST_FRAMES, PAGE_BYTES, RECEIVE_BYTES, TS_PACKET, WARM_BYTES,
};
use crate::protocol::{Body, Name, Refusal};
use crate::ring::{Frame, Item, JoinPoint, Pool, Tail};
use std::fmt;
use std::time::Duration;

/// A tail with less free memory than this is sealed before a receive: small
/// receives cost more than the memory left behind.
const LEAST_SPACE: usize = 16 * 1024;

/// Counts of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Bytes received from the publisher, before framing.
    pub received_bytes: u64,
    /// Bytes moved or copied in user space up to the segment at hand; see
    /// [`Stream::moved_bytes`].
    moved_bytes: u64,
    /// Datagrams that were no part of the stream.
    pub dropped_datagrams: u64,
    /// The kernel says when it had its bytes.
    pub is_stamped: bool,
}

/// Why a publisher's bytes were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestError {
    /// They can't be framed.
    Framing(FramingError),
    /// Their transfer coding is broken.
    Body(Refusal),
}

impl fmt::Display for IngestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing(why) => why.fmt(f),
            Self::Body(why) => write!(f, "broken request body ({})", why.label()),
        }
    }
}

impl std::error::Error for IngestError {}

impl IngestError {
    /// As a refusal, for the counter.
    pub const fn reason(self) -> Refusal {
        match self {
            Self::Framing(_) => Refusal::BadFrame,
            Self::Body(why) => why,
        }
    }
}

/// A stream's writing side: what arrives goes through it into a [`View`].
pub struct Stream {
    /// Counts.
    pub stats: StreamStats,
    /// The other shards that follow it.
    pub branches: Branches,
    /// How long the kernel had had what is about to be received, in
    /// nanoseconds; 0: not known.
    pub waited: u32,
    framing: Framing,
    marks: Marks,
    tail: Tail,
    /// Everything before this has been touched, in the tail's memory.
    warm: Position,
    /// How many bytes to receive at a time, so that framing them takes no longer
    /// than it should.
    appetite: usize,
    /// Frames committed.
    frames: usize,
}

impl Stream {
    /// A stream without a byte, and its view. `lag` is the largest max-lag that
    /// any subscriber may have.
    pub fn new(
        name: Name,
        epoch: u64,
        settings: Settings,
        transport: Transport,
        lag: Duration,
        pool: &mut Pool,
    ) -> (Self, View) {
        let tail = pool.take(Position::ZERO);
        let framing = Framing::new(settings.framing, transport);
        let mut view = View::new(name, epoch, settings, &framing, lag);
        view.window.push(tail.reader());
        let stream = Self {
            stats: StreamStats::default(),
            branches: Branches::default(),
            waited: 0,
            framing,
            marks: Marks::default(),
            tail,
            warm: Position::ZERO,
            appetite: LEAST_SPACE,
            frames: 0,
        };
        (stream, view)
    }

    /// Counts of its framing.
    pub fn framing_stats(&self) -> FramingStats {
        self.framing.stats()
    }

    /// Frames since it began.
    pub const fn frames(&self) -> u64 {
        self.frames as u64
    }

    /// When its framing must decide about held bytes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.framing.poll_timeout()
    }

    /// Memory to receive a byte stream into.
    pub fn space(&mut self, view: &mut View, pool: &mut Pool) -> &mut [u8] {
        if self.tail.free() < LEAST_SPACE {
            self.roll(view, pool);
        }
        let space = self.tail.space();
        let len = space.len().min(self.appetite);
        &mut space[..len]
    }

    /// Memory to receive a batch of datagrams into.
    pub fn datagram_space(&mut self, view: &mut View, pool: &mut Pool) -> &mut [u8] {
        if self.tail.free() < DATAGRAM_SPACE {
            self.roll(view, pool);
        }
        self.tail.space()
    }

    /// Touches the memory in which the next bytes will arrive. Fresh memory
    /// has no pages yet, and the kernel would have to make them in the middle
    /// of a receive; call this when everything has been sent.
    pub fn warm_up(&mut self) {
        let filled = self.tail.position() + self.tail.held().len() as u64;
        let space = self.tail.space();
        let until = filled + space.len().min(WARM_BYTES) as u64;
        let from = self.warm.max(filled);
        if until.since(from) < PAGE_BYTES as u64 {
            return;
        }
        let cold = from.since(filled) as usize..until.since(filled) as usize;
        for byte in space[cold].iter_mut().step_by(PAGE_BYTES) {
            *byte = 0;
        }
        self.warm = until;
    }

    /// `len` bytes of payload have arrived in [`Self::space`]. Learns how small
    /// the stream's frames are.
    ///
    /// # Errors
    /// The framing can't take them; the publisher is to be ended.
    pub fn received(
        &mut self,
        len: usize,
        now: Instant,
        view: &mut View,
        pool: &mut Pool,
    ) -> Result<(), IngestError> {
        self.stats.received_bytes += len as u64;
        self.tail.fill(len);
        let before = self.frames;
        self.frame(now, view, pool)?;
        let frames = self.frames - before;
        self.appetite = if frames > INGEST_FRAMES {
            (len * INGEST_FRAMES / frames).max(PAGE_BYTES)
        } else {
            (2 * self.appetite).min(RECEIVE_BYTES)
        };
        Ok(())
    }

    /// `len` bytes of an HTTP body have arrived in [`Self::space`]; answers
    /// whether it is complete. What lies behind it is appended to `rest`.
    ///
    /// # Errors
    /// Broken transfer coding or framing; the publisher is to be ended.
    pub fn received_body(
        &mut self,
        len: usize,
        body: &mut Body,
        rest: &mut Vec<u8>,
        now: Instant,
        view: &mut View,
        pool: &mut Pool,
    ) -> Result<bool, IngestError> {
        let raw = &mut self.tail.space()[..len];
        let decoded = body.decode(raw).map_err(IngestError::Body)?;
        rest.extend_from_slice(&raw[decoded.consumed..]);
        self.stats.moved_bytes += decoded.moved as u64;
        self.received(decoded.payload, now, view, pool)?;
        Ok(decoded.done)
    }

    /// Copies bytes that arrived elsewhere, behind a request's head, into
    /// [`Self::space`]; answers how many fit.
    pub fn copy_in(&mut self, bytes: &[u8], view: &mut View, pool: &mut Pool) -> usize {
        self.space(view, pool);
        let space = self.tail.space();
        let len = bytes.len().min(space.len());
        space[..len].copy_from_slice(&bytes[..len]);
        self.stats.moved_bytes += len as u64;
        len
    }

    /// The same, behind `filled` bytes that are there already.
    pub fn copy_behind(
        &mut self,
        filled: usize,
        bytes: &[u8],
        view: &mut View,
        pool: &mut Pool,
    ) -> usize {
        if filled == 0 {
            return self.copy_in(bytes, view, pool);
        }
        let space = &mut self.tail.space()[filled..];
        let len = bytes.len().min(space.len());
        space[..len].copy_from_slice(&bytes[..len]);
        self.stats.moved_bytes += len as u64;
        len
    }

    /// `len` bytes have arrived in [`Self::datagram_space`]: datagrams of
    /// `stride` bytes each, the last perhaps shorter.
    pub fn received_datagrams(
        &mut self,
        len: usize,
        stride: usize,
        now: Instant,
        view: &mut View,
        pool: &mut Pool,
    ) {
        self.stats.received_bytes += len as u64;
        self.tail.fill(len);
        let held = self.tail.held();
        let first = held.len() - len;
        let first = first..first + len.min(stride);
        if self.framing.joins_datagrams(&held[first]) {
            // An MPEG-TS takes whatever comes.
            let _taken = self.frame(now, view, pool);
            return;
        }
        let mut rest = len;
        while rest > 0 {
            let size = rest.min(stride.max(1));
            if self.tail.frame_room() <= size / TS_PACKET {
                self.roll(view, pool);
            }
            let at = self.tail.position();
            self.marks.room = self.tail.frame_room();
            let step = self.framing.datagram(&self.tail.held()[..size], at, now, &mut self.marks);
            if step.keep == 0 {
                self.stats.dropped_datagrams += 1;
            }
            self.apply(step, now, view);
            let beyond = size - step.skip - step.keep;
            self.tail.skip(beyond);
            rest -= size;
        }
    }

    /// The time named by [`Self::poll_timeout`] has come.
    ///
    /// # Errors
    /// As [`Self::received`].
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        view: &mut View,
        pool: &mut Pool,
    ) -> Result<(), IngestError> {
        self.waited = 0;
        self.frame(now, view, pool)
    }

    /// Whether its datagrams are pieces of a byte stream, whose packets they cut.
    pub fn joins_datagrams(&self) -> bool {
        self.framing.transport() == Transport::Bytes
    }

    /// The stream is over: its memory goes back.
    pub fn dissolve(self, view: View, pool: &mut Pool) {
        drop(self.tail);
        view.dissolve(pool);
    }

    /// Lets the framing look at what is held until it wants more.
    fn frame(&mut self, now: Instant, view: &mut View, pool: &mut Pool) -> Result<(), IngestError> {
        loop {
            if self.tail.frame_room() == 0 {
                self.roll(view, pool);
            }
            let at = self.tail.position();
            self.marks.room = self.tail.frame_room();
            let step = self
                .framing
                .step(self.tail.held(), at, now, &mut self.marks)
                .map_err(IngestError::Framing)?;
            self.apply(step, now, view);
            if step == Step::HOLD {
                return Ok(());
            }
        }
    }

    /// Carries a step out: skips, commits, publishes join points.
    fn apply(&mut self, step: Step, now: Instant, view: &mut View) {
        self.tail.skip(step.skip);
        let (waited, frames) = (self.waited, &mut self.marks.frames);
        self.stats.is_stamped |= waited > 0;
        self.frames += frames.len();
        let frame =
            |mark: &FrameMark| Frame { end: mark.end, arrival: now, waited, leave: mark.leave };
        self.tail.commit(step.keep, frames.iter().map(frame));
        frames.clear();
        for mark in std::mem::take(&mut self.marks.joins) {
            let arrival = view.window.arrival(mark.position).unwrap_or(now);
            let JoinMark { position, fresh, resume } = mark;
            let join = JoinPoint { position, arrival, fresh, resume };
            self.branches.hand_on(|| Item::Join(join.clone()));
            view.window.push_join(join);
        }
        if self.framing.kind() != view.cut.kind {
            view.cut = Cut::of(&self.framing);
            self.branches.hand_on(|| Item::Note(view.cut));
        }
    }

    /// Seals the tail and goes on in a fresh segment; held bytes move along.
    fn roll(&mut self, view: &mut View, pool: &mut Pool) {
        let mut next = pool.take(self.tail.position());
        let held = self.tail.held();
        next.space()[..held.len()].copy_from_slice(held);
        let len = held.len();
        next.fill(len);
        self.stats.moved_bytes += len as u64 + self.tail.moved();
        view.window.push(next.reader());
        self.branches.hand_on(|| Item::Segment(next.reader()));
        drop(std::mem::replace(&mut self.tail, next).seal());
        self.warm = self.tail.position();
    }

    /// Bytes that were moved or copied in user space.
    pub const fn moved_bytes(&self) -> u64 {
        self.stats.moved_bytes + self.tail.moved()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Kind;
    use crate::protocol::Ask;
    use crate::ring::Gather;
    use std::io::IoSlice;

    /// A TS in datagrams that cut its packets, one of them lost: what it held is
    /// missing and one packet behind it, and nothing else.
    #[test]
    fn packets_that_datagrams_cut_are_put_together() {
        const CUT: usize = 1472;
        let settings = Settings::of(&Ask::default());
        let name = Name::parse("cam").unwrap();
        let (mut pool, lag) = (Pool::default(), settings.max_lag);
        let (mut stream, mut view) =
            Stream::new(name, 1, settings, Transport::Datagrams, lag, &mut pool);
        let packets: Vec<u8> = (0..2000u32)
            .flat_map(|n| {
                let mut packet = [0xFF; TS_PACKET];
                packet[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
                packet[4..8].copy_from_slice(&n.to_be_bytes());
                packet
            })
            .collect();
        let start = 100;
        for (n, datagram) in packets[start..].chunks(CUT).enumerate().filter(|(n, _)| *n != 50) {
            let space = stream.datagram_space(&mut view, &mut pool);
            space[..datagram.len()].copy_from_slice(datagram);
            let now = Instant::from_nanos(n as u64);
            stream.received_datagrams(datagram.len(), CUT, now, &mut view, &mut pool);
        }
        assert!(stream.joins_datagrams());
        let mut slices = [IoSlice::new(&[]); 8];
        let mut list = Gather::over(&mut slices);
        let window = view.window();
        window.gather(window.floor(), window.head(), &mut list);
        let kept: Vec<u8> = list.slices().iter().flat_map(|slice| slice.iter().copied()).collect();
        let numbers: Vec<u32> = kept
            .chunks(TS_PACKET)
            .map(|packet| u32::from_be_bytes(packet[4..8].try_into().unwrap()))
            .collect();
        // The first packet that is in it, and the first behind it: what looked like
        // a packet across the gap took a piece of that.
        let lost = (start + 50 * CUT) / TS_PACKET..(start + 51 * CUT) / TS_PACKET + 2;
        let wanted = (1..2000).filter(|n| !lost.contains(n)).map(|n| n as u32);
        let torn = u32::MAX;
        assert!(numbers.into_iter().filter(|n| *n != torn).eq(wanted));
        assert_eq!(stream.framing_stats().sync_losses, 1);
    }

    /// Pieces of all sizes, over several segments, with a warm-up after each:
    /// it must leave alone what has arrived, what is held included.
    #[test]
    fn warming_up_touches_nothing_that_has_arrived() {
        let settings = Settings::of(&Ask { framing: Some(Kind::Ts), ..Ask::default() });
        let name = Name::parse("cam").unwrap();
        let (mut pool, lag) = (Pool::default(), settings.max_lag);
        let (mut stream, mut view) =
            Stream::new(name, 1, settings, Transport::Bytes, lag, &mut pool);
        let mut sent = Vec::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        while sent.len() < 700_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            // Packets, which are held until they are whole; nothing in them is
            // zero but the PID's first byte.
            let byte = |at: usize| match at % TS_PACKET {
                0 => 0x47,
                1 => 0,
                3 => 0x10,
                _ => 1 + (at % 250) as u8,
            };
            let piece: Vec<u8> =
                (sent.len()..sent.len() + (seed % 9000) as usize).map(byte).collect();
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let len = stream.copy_in(rest, &mut view, &mut pool);
                stream.received(len, Instant::ZERO, &mut view, &mut pool).unwrap();
                stream.warm_up();
                rest = &rest[len..];
            }
            sent.extend_from_slice(&piece);
        }
        let mut slices = [IoSlice::new(&[]); 8];
        let mut list = Gather::over(&mut slices);
        let window = view.window();
        window.gather(window.floor(), window.head(), &mut list);
        let kept: Vec<u8> = list.slices().iter().flat_map(|slice| slice.iter().copied()).collect();
        assert!(kept.len() > 600_000, "{}", kept.len());
        assert_eq!(kept, sent[..kept.len()]);
    }
}
