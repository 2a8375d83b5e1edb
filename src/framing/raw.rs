//! `raw` and `datagram`: what one receive brought is one frame. There is
//! nothing to find, so nothing is held and nothing is looked at.

use super::{Marks, Step};
use crate::base::Position;

/// Keeps all of `input` as one frame, if there is room to mark it.
pub(super) fn step(input: &[u8], at: Position, marks: &mut Marks) -> Step {
    if input.is_empty() || marks.room == 0 {
        return Step::HOLD;
    }
    marks.frame(at + input.len() as u64, true);
    Step { skip: 0, keep: input.len() }
}
