//! Where a stream's bytes may be cut: framings find the boundaries.
//!
//! Sans-IO: a framing is shown the bytes that arrived, in place, and answers
//! how many to throw away, how many to keep, and where frames end. It never
//! copies payload and accepts any split of its input.
//!
//! # Contract
//!
//! The ring's tail looks like this; `input` is everything not yet committed:
//!
//! ```text
//! committed │ skip │ keep │ held for the next call │ free
//!           ^ at          (input ends here)        ^
//! ```
//!
//! [`Framing::step`] is called until it answers [`Step::HOLD`], each time with
//! what is left. Bytes held are shown again, with more behind them. Positions
//! in [`Marks`] count kept bytes alone: the first kept byte of a step stands
//! at `at`.
//!
//! Datagrams have boundaries of their own: each is shown once to
//! [`Framing::datagram`] and nothing of it is held.

mod auto;
pub(crate) mod find;
pub mod flv;
mod len32;
mod lines;
mod raw;
mod rtp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod ts;

use crate::base::{Instant, Position};
use auto::{Auto, Guess};
use flv::Flv;
use len32::Len32;
use lines::Lines;
use std::fmt;
use std::sync::Arc;
use ts::Ts;
pub use ts::crc32;

/// How a stream's frames are found, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Decide on the first bytes: `ts`, `flv` or `raw` (in datagrams: `ts` or
    /// `datagram`).
    #[default]
    Auto,
    /// One receive is one frame; no join points.
    Raw,
    /// MPEG-TS, plain or, in datagrams, in RTP.
    Ts,
    /// Flash Video, with or without its file header; a frame is one tag.
    Flv,
    /// Text lines; the newline belongs to the frame.
    Lines,
    /// A 4-byte big-endian length, then as many bytes; the prefix belongs to
    /// the frame.
    Len32,
    /// One datagram is one frame.
    Datagram,
}

impl Kind {
    /// Its name in URLs and in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Raw => "raw",
            Self::Ts => "ts",
            Self::Flv => "flv",
            Self::Lines => "lines",
            Self::Len32 => "len32",
            Self::Datagram => "datagram",
        }
    }
}

/// A container, as the suffix of an HTTP path asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.ts`: MPEG-TS.
    Ts,
    /// `.flv`: Flash Video.
    Flv,
}

/// What to do with the front of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes at the front that are no part of the stream.
    pub skip: usize,
    /// Bytes after those that are, and are final.
    pub keep: usize,
}

impl Step {
    /// Nothing to do until more bytes arrive.
    pub const HOLD: Self = Self { skip: 0, keep: 0 };
}

/// The end of a frame that this step completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMark {
    /// Position just past the frame's last byte. A frame starts where the one
    /// before it ended.
    pub end: Position,
    /// A subscriber may leave the stream, to skip ahead, just before this
    /// frame: its first byte begins a video PES (in a TS), or nothing binds it
    /// to the frame before (elsewhere).
    pub leave: bool,
}

/// Where a subscriber can start, once that is known.
#[derive(Clone, Debug)]
pub struct JoinMark {
    /// The first byte to send; always the start of a frame marked `leave`
    /// (audio-only TS: of any marked frame).
    pub position: Position,
    /// Sent first to a subscriber that starts here: for a TS the PAT and PMT,
    /// for an FLV its file header, metadata and sequence headers.
    pub fresh: Arc<[u8]>,
    /// Sent first to a subscriber that skips to here: for a TS one
    /// adaptation-only packet per PID with `discontinuity_indicator`, then the
    /// PAT and PMT (`ARCHITECTURE.md`, Frames); for an FLV the sequence headers.
    pub resume: Arc<[u8]>,
}

/// What one step found. The caller owns it, drains it and hands it back, so
/// that marking allocates nothing once it has grown.
#[derive(Debug, Default)]
pub struct Marks {
    /// Frames that may still be marked; each one marked takes one off. A
    /// framing stops (keeps no more) when it is used up.
    pub room: usize,
    /// Ends of frames, in order.
    pub frames: Vec<FrameMark>,
    /// Join points that became known, in order of position; each may lie in
    /// bytes kept long before.
    pub joins: Vec<JoinMark>,
}

impl Marks {
    /// Marks the end of a frame; the framing has made sure that there is room.
    fn frame(&mut self, end: Position, leave: bool) {
        debug_assert!(self.room > 0, "a frame marked beyond the room");
        self.room = self.room.saturating_sub(1);
        self.frames.push(FrameMark { end, leave });
    }
}

/// Counts of what a framing met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramingStats {
    /// Bytes thrown away: garbage before sync, RTP headers, cut packets.
    pub skipped_bytes: u64,
    /// Times that a TS lost its sync.
    pub sync_losses: u64,
    /// TS packets whose continuity counter was not the expected one.
    pub continuity_errors: u64,
    /// TS packets with `transport_error_indicator`.
    pub transport_errors: u64,
}

/// A publisher's bytes that can't be framed; the publisher is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// A `lines` or `len32` frame is longer than `limits::FRAME_BYTES`.
    FrameTooLong {
        /// What the frame claims, or how much of it has come.
        bytes: u64,
    },
    /// An FLV tag is longer than `limits::FLV_TAG_BYTES`.
    TagTooLong {
        /// What its header claims, that and the size behind it included.
        bytes: u64,
    },
    /// Where an FLV's tag should begin is none.
    NoTag {
        /// Which tag that would be, from 1.
        tag: u64,
        /// The byte there.
        found: u8,
    },
    /// An FLV's file header says that it is shorter than one can be, or longer
    /// than `limits::FLV_HEADER_BYTES`.
    BadFileHeader {
        /// What it claims.
        bytes: u64,
    },
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooLong { bytes } => write!(
                f,
                "frame of {bytes} bytes; at most {} are taken",
                crate::limits::FRAME_BYTES
            ),
            Self::TagTooLong { bytes } => write!(
                f,
                "FLV tag of {bytes} bytes; at most {} are taken, what one RTMP message carries \
                 everywhere",
                crate::limits::FLV_TAG_BYTES
            ),
            Self::NoTag { tag, found } => write!(
                f,
                "byte {found:#04x} where FLV tag {tag} begins, which is of no type (8 audio, \
                 9 video, 18 script data); publish an unbroken FLV"
            ),
            Self::BadFileHeader { bytes } => write!(
                f,
                "FLV file header of {bytes} bytes; it has 9, and at most {} are taken",
                crate::limits::FLV_HEADER_BYTES
            ),
        }
    }
}

impl std::error::Error for FramingError {}

/// How a publisher's bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In order and without boundaries: TCP, HTTP. [`Framing::step`] is called.
    Bytes,
    /// In datagrams: UDP. [`Framing::datagram`] is called.
    Datagrams,
}

/// Bytes of every frame that are not payload: dropped where the transport has
/// boundaries of its own (datagrams, WebSocket messages).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trim {
    /// Bytes at the front: the prefix of `len32`.
    pub front: usize,
    /// Bytes at the end: the newline of `lines`.
    pub back: usize,
}

/// The framing of one publisher's bytes, from its first byte to its last.
#[derive(Debug)]
pub struct Framing {
    transport: Transport,
    state: State,
    /// A datagram has been looked at.
    has_begun: bool,
    /// Bytes that a framing other than `ts` threw away; `ts` counts its own.
    skipped_bytes: u64,
}

#[derive(Debug)]
enum State {
    Auto(Auto),
    Raw,
    Datagram,
    Ts(Box<Ts>),
    Flv(Box<Flv>),
    Lines(Lines),
    Len32(Len32),
}

impl Framing {
    /// A framing for one publisher. `Kind::Datagram` over
    /// [`Transport::Bytes`] is the same as `Kind::Raw`: there one receive is
    /// the only boundary.
    pub fn new(kind: Kind, transport: Transport) -> Self {
        let state = match kind {
            Kind::Auto => State::Auto(Auto::default()),
            Kind::Raw => State::Raw,
            Kind::Datagram => State::Datagram,
            Kind::Ts => State::Ts(Box::new(Ts::new(None))),
            Kind::Flv => State::Flv(Box::default()),
            Kind::Lines => State::Lines(Lines::default()),
            Kind::Len32 => State::Len32(Len32::default()),
        };
        Self { transport, state, has_begun: false, skipped_bytes: 0 }
    }

    /// Looks at `input`, all bytes that are not yet committed, the first of
    /// which would stand at `at`. Call it after every receive, and when
    /// [`Self::poll_timeout`] has passed, until it answers [`Step::HOLD`]; give
    /// it room for a mark each time, for without any it holds everything.
    ///
    /// # Errors
    /// The publisher's bytes can't be framed: it is to be ended. What was
    /// marked before stays valid.
    pub fn step(
        &mut self,
        input: &[u8],
        at: Position,
        now: Instant,
        marks: &mut Marks,
    ) -> Result<Step, FramingError> {
        debug_assert_eq!(self.transport, Transport::Bytes);
        if let State::Auto(auto) = &mut self.state {
            self.state = match auto.guess(input, now) {
                Guess::Wait => return Ok(Step::HOLD),
                Guess::Raw => State::Raw,
                Guess::Flv => State::Flv(Box::default()),
                Guess::Ts { since } => State::Ts(Box::new(Ts::new(Some(since)))),
            };
        }
        match &mut self.state {
            State::Auto(_) | State::Raw | State::Datagram => Ok(raw::step(input, at, marks)),
            State::Ts(ts) => Ok(ts.step(input, at, now, marks)),
            State::Flv(flv) => flv.step(input, at, marks),
            State::Lines(lines) => lines.step(input, at, marks),
            State::Len32(len32) => len32.step(input, at, marks),
        }
    }

    /// Whether the publisher cuts the packets of an MPEG-TS anywhere, as programs
    /// do that know nothing of packets: then its datagrams are pieces of a byte
    /// stream, and [`Self::step`] is to be called. Its first one tells.
    pub fn joins_datagrams(&mut self, datagram: &[u8]) -> bool {
        let may_be_ts = matches!(self.state, State::Auto(_) | State::Ts(_));
        if !datagram.is_empty()
            && !std::mem::replace(&mut self.has_begun, true)
            && may_be_ts
            && auto::datagram_is_cut_ts(datagram)
        {
            self.transport = Transport::Bytes;
            self.state = State::Ts(Box::new(Ts::new(None)));
        }
        self.transport == Transport::Bytes
    }

    /// How bytes are taken: [`Transport::Bytes`] where datagrams are joined.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Looks at one datagram (of a GRO batch: at one of its segments), whose
    /// first kept byte will stand at `at`. Nothing is held: what lies beyond
    /// `skip + keep` is to be thrown away, and has been counted.
    ///
    /// `marks.room` should be at least one for a `raw` or `datagram` stream
    /// and one per 188 bytes (per line, per prefix) elsewhere; frames that find
    /// none are thrown away with the rest.
    pub fn datagram(
        &mut self,
        input: &[u8],
        at: Position,
        now: Instant,
        marks: &mut Marks,
    ) -> Step {
        debug_assert_eq!(self.transport, Transport::Datagrams);
        if input.is_empty() {
            return Step::HOLD;
        }
        if let State::Auto(_) = self.state {
            self.state = if auto::datagram_is_ts(input) {
                State::Ts(Box::new(Ts::new(None)))
            } else {
                State::Datagram
            };
        }
        let step = match &mut self.state {
            State::Ts(ts) => return ts.datagram(input, at, now, marks),
            State::Auto(_) | State::Raw | State::Datagram => raw::step(input, at, marks),
            // No program sends FLV so.
            State::Flv(_) => Step::HOLD,
            State::Lines(_) => lines::datagram(input, at, marks),
            State::Len32(_) => len32::datagram(input, at, marks),
        };
        self.skipped_bytes += (input.len() - step.keep) as u64;
        step
    }

    /// When bytes held must be decided about even if no more arrive: call
    /// [`Self::step`] then, with the same input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Auto(auto) => auto.poll_timeout(),
            State::Ts(ts) => ts.poll_timeout(),
            State::Raw | State::Datagram | State::Flv(_) | State::Lines(_) | State::Len32(_) => {
                None
            }
        }
    }

    /// The kind of the stream; `Kind::Auto` while undecided.
    pub fn kind(&self) -> Kind {
        match self.state {
            State::Auto(_) => Kind::Auto,
            State::Raw => Kind::Raw,
            State::Datagram => Kind::Datagram,
            State::Ts(_) => Kind::Ts,
            State::Flv(_) => Kind::Flv,
            State::Lines(_) => Kind::Lines,
            State::Len32(_) => Kind::Len32,
        }
    }

    /// True if the stream has no join points, so that a subscriber may join
    /// and skip at any frame; false while undecided.
    pub fn joins_anywhere(&self) -> bool {
        match self.state {
            State::Auto(_) | State::Ts(_) | State::Flv(_) => false,
            State::Raw | State::Datagram | State::Lines(_) | State::Len32(_) => true,
        }
    }

    /// What to leave out of each frame where the transport keeps boundaries.
    pub fn trim(&self) -> Trim {
        match self.state {
            State::Lines(_) => lines::TRIM,
            State::Len32(_) => len32::TRIM,
            State::Auto(_) | State::Raw | State::Datagram | State::Ts(_) | State::Flv(_) => {
                Trim::default()
            }
        }
    }

    /// What has been met so far.
    pub fn stats(&self) -> FramingStats {
        match &self.state {
            State::Ts(ts) => ts.stats(),
            State::Flv(flv) if self.transport == Transport::Bytes => flv.stats(),
            State::Auto(_)
            | State::Raw
            | State::Datagram
            | State::Flv(_)
            | State::Lines(_)
            | State::Len32(_) => {
                FramingStats { skipped_bytes: self.skipped_bytes, ..FramingStats::default() }
            }
        }
    }
}
