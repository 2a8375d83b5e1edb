//! `len32`: a frame is a 4-byte big-endian length and as many bytes, the
//! length not counting itself.
//!
//! Payload is kept as it comes; held back is nothing but a prefix of which
//! fewer than 4 bytes have arrived.

use super::{FramingError, Marks, Step, Trim};
use crate::base::Position;
use crate::limits::FRAME_BYTES;

/// The prefix is no payload.
pub(super) const TRIM: Trim = Trim { front: 4, back: 0 };

/// The state between two receives: bytes of the frame at hand yet to come.
#[derive(Debug, Default)]
pub(super) struct Len32 {
    to_come: u64,
}

impl Len32 {
    /// Keeps everything but a cut prefix and marks each frame that is complete,
    /// as far as there is room. A prefix that claims too much fails the step
    /// that has nothing else to keep.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        at: Position,
        marks: &mut Marks,
    ) -> Result<Step, FramingError> {
        let mut keep = 0;
        while marks.room > 0 && keep < input.len() {
            let rest = &input[keep..];
            if self.to_come == 0 {
                let Some(bytes) = frame(rest) else { break };
                if bytes > FRAME_BYTES as u64 {
                    if keep == 0 {
                        return Err(FramingError::FrameTooLong { bytes });
                    }
                    break;
                }
                self.to_come = bytes;
            }
            let bytes = self.to_come.min(rest.len() as u64);
            self.to_come -= bytes;
            keep += bytes as usize;
            if self.to_come == 0 {
                marks.frame(at + keep as u64, true);
            }
        }
        Ok(Step { skip: 0, keep })
    }
}

/// Keeps the whole frames at the front of a datagram.
pub(super) fn datagram(input: &[u8], at: Position, marks: &mut Marks) -> Step {
    let mut keep = 0;
    while marks.room > 0
        && let Some(bytes) = frame(&input[keep..])
        && bytes <= (input.len() - keep) as u64
    {
        keep += bytes as usize;
        marks.frame(at + keep as u64, true);
    }
    Step { skip: 0, keep }
}

/// Bytes of the frame at the front, its prefix included, once that is known.
fn frame(bytes: &[u8]) -> Option<u64> {
    let prefix = bytes.first_chunk::<4>()?;
    Some(4 + u64::from(u32::from_be_bytes(*prefix)))
}
