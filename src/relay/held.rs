//! Segments kept for subscribers on their way out of a part that they skip.

use crate::base::Position;
use crate::limits::LEAVING_SEGMENTS;
use crate::ring::SegRef;

/// The segments of one stream that are kept so, each once, however many
/// subscribers are in it.
#[derive(Debug, Default)]
pub struct Held {
    /// Where a segment begins, and for how many it is kept.
    list: Vec<(Position, usize)>,
    /// Somebody who is late waits for room: one of those who have it must go.
    pub is_crowded: bool,
}

impl Held {
    /// Keeps segments for one more; false, and nothing has changed, if that
    /// would be more than `LEAVING_SEGMENTS`.
    pub fn take(&mut self, segments: &[SegRef]) -> bool {
        let is_new = |segment: &&SegRef| self.list.iter().all(|(base, _)| *base != segment.base());
        if self.list.len() + segments.iter().filter(is_new).count() > LEAVING_SEGMENTS {
            return false;
        }
        for segment in segments {
            match self.list.iter_mut().find(|(base, _)| *base == segment.base()) {
                Some((_, holders)) => *holders += 1,
                None => self.list.push((segment.base(), 1)),
            }
        }
        true
    }

    /// One of those for whom they were kept needs them no longer.
    pub fn give_back(&mut self, segments: &[SegRef]) {
        for segment in segments {
            if let Some((_, holders)) =
                self.list.iter_mut().find(|(base, _)| *base == segment.base())
            {
                *holders -= 1;
            }
        }
        self.list.retain(|(_, holders)| *holders > 0);
    }

    /// How many segments are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
