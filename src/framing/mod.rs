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

use crate::base::Position;
use std::fmt;
use std::sync::Arc;

/// How a stream's frames are found, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Decide on the first bytes: `ts` or `raw` (in datagrams: `ts` or
    /// `datagram`).
    #[default]
    Auto,
    /// One receive is one frame; no join points.
    Raw,
    /// MPEG-TS, plain or, in datagrams, in RTP.
    Ts,
    /// Text lines; the newline belongs to the frame.
    Lines,
    /// A 4-byte big-endian length, then as many bytes; the prefix belongs to
    /// the frame.
    Len32,
    /// One datagram is one frame.
    Datagram,
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
    /// Sent first to a subscriber that starts here: for a TS the PAT and PMT.
    pub fresh: Arc<[u8]>,
    /// Sent first to a subscriber that skips to here: for a TS one
    /// adaptation-only packet per PID with `discontinuity_indicator`, then the
    /// PAT and PMT (DESIGN §4).
    pub resume: Arc<[u8]>,
}

/// What one step found. The caller owns it, drains it and hands it back, so
/// that marking allocates nothing once it has grown.
#[derive(Debug, Default)]
pub struct Marks {
    /// Frames that may still be marked in this step; a framing stops (keeps no
    /// more) when it is used up.
    pub room: usize,
    /// Ends of frames, in order.
    pub frames: Vec<FrameMark>,
    /// Join points that became known, in order of position; each may lie in
    /// bytes kept long before.
    pub joins: Vec<JoinMark>,
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
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooLong { bytes } => write!(
                f,
                "frame of {bytes} bytes; at most {} are taken",
                crate::limits::FRAME_BYTES
            ),
        }
    }
}

impl std::error::Error for FramingError {}
