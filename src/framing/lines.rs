//! `lines`: a frame is what a newline ends, the newline included.
//!
//! Bytes are kept as they come, so a long line flows into the ring while it is
//! being written; only its end is marked late.

use super::find::through;
use super::{FramingError, Marks, Step, Trim};
use crate::base::Position;
use crate::limits::FRAME_BYTES;

/// The newline is no payload; a carriage return before it is.
pub(super) const TRIM: Trim = Trim { front: 0, back: 1 };

/// The state between two receives: how long the line at hand is so far.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: usize,
}

impl Lines {
    /// Keeps everything and marks each newline, as far as there is room. A line
    /// that is too long fails the step that has nothing else to keep, so the
    /// frames before it are never lost, however the input is split.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        at: Position,
        marks: &mut Marks,
    ) -> Result<Step, FramingError> {
        let mut keep = 0;
        while marks.room > 0 && keep < input.len() {
            let rest = &input[keep..];
            let (bytes, complete) = match through(b'\n', rest) {
                Some(bytes) => (bytes, true),
                None => (rest.len(), false),
            };
            if self.begun + bytes > FRAME_BYTES {
                if keep == 0 {
                    return Err(FramingError::FrameTooLong { bytes: (self.begun + bytes) as u64 });
                }
                break;
            }
            keep += bytes;
            self.begun += bytes;
            if complete {
                self.begun = 0;
                marks.frame(at + keep as u64, true);
            }
        }
        Ok(Step { skip: 0, keep })
    }
}

/// Keeps the whole lines of a datagram. What follows the last newline is no
/// frame: a subscriber over TCP could not tell it from the next line.
pub(super) fn datagram(input: &[u8], at: Position, marks: &mut Marks) -> Step {
    let mut keep = 0;
    while marks.room > 0
        && let Some(bytes) = through(b'\n', &input[keep..])
    {
        keep += bytes;
        marks.frame(at + keep as u64, true);
    }
    Step { skip: 0, keep }
}
