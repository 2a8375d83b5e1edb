//! `flv`: Flash Video, as files have it and as RTMP's messages become it. A
//! frame is one tag: its header, its data, and the size that stands behind it.
//!
//! ```text
//! bytes ─▶ file header: skipped
//!       └▶ tag ─▶ kept for those who join (metadata, sequence headers)
//!              └▶ join points (key pictures; sound where there is no video)
//! ```
//!
//! The stream in the ring is tags alone, so that one that was put together from
//! several files is like any other; who joins gets a file header of ours. A tag
//! is passed on as it comes, and held back is only what it takes to know what it
//! is. `PreviousTagSize` is not looked at: some programs write zero.

mod joins;
mod tag;
#[cfg(test)]
mod tests;

pub use tag::{Extended, HEAD_BYTES, Role, Slot, TAIL_BYTES, TagHead, TagKind, put_tag};

use super::{FramingError, FramingStats, Marks, Step};
use crate::base::Position;
use crate::limits::{FLV_HEADER_BYTES, FLV_TAG_BYTES};
use joins::Joins;

/// What a file begins with: signature and version.
pub(super) const SIGNATURE: &[u8] = b"FLV\x01";
/// Bytes up to `DataOffset`, that included.
const FILE_HEADER_BYTES: usize = 9;
/// Bytes of `PreviousTagSize0` behind a file's header.
const NO_TAG_BYTES: usize = 4;

/// The state between two receives.
#[derive(Debug, Default)]
pub(super) struct Flv {
    /// Bytes of a file header yet to be skipped.
    to_skip: usize,
    /// Bytes of the tag at hand yet to come.
    to_come: usize,
    /// Tags that have begun.
    tags: u64,
    joins: Joins,
    skipped_bytes: u64,
}

/// What stands where a tag may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Too few bytes to say.
    Short,
    /// A file header of so many bytes, `PreviousTagSize0` included.
    File(usize),
    /// A tag.
    Tag(TagHead),
}

impl Front {
    /// Looks at the front of what is left, where the tag of this number begins.
    ///
    /// # Errors
    /// It is neither a file header nor a tag, or one that is too long.
    pub fn of(rest: &[u8], tag: u64) -> Result<Self, FramingError> {
        let shown = rest.len().min(SIGNATURE.len());
        if rest[..shown] == SIGNATURE[..shown] {
            let Some(&[.., o3, o2, o1, o0]) = rest.first_chunk::<FILE_HEADER_BYTES>() else {
                return Ok(Self::Short);
            };
            let size = u32::from_be_bytes([o3, o2, o1, o0]) as usize;
            return if (FILE_HEADER_BYTES..=FLV_HEADER_BYTES).contains(&size) {
                Ok(Self::File(size + NO_TAG_BYTES))
            } else {
                Err(FramingError::BadFileHeader { bytes: size as u64 })
            };
        }
        match rest {
            &[found, ..] if TagKind::of(found).is_none() => Err(FramingError::NoTag { tag, found }),
            _ => match rest.first_chunk().and_then(TagHead::parse) {
                Some(head) if head.whole() > FLV_TAG_BYTES => {
                    Err(FramingError::TagTooLong { bytes: head.whole() as u64 })
                }
                Some(head) => Ok(Self::Tag(head)),
                None => Ok(Self::Short),
            },
        }
    }
}

impl Flv {
    /// Skips file headers, keeps everything else as it comes and marks each tag
    /// that is complete, as far as there is room.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        at: Position,
        marks: &mut Marks,
    ) -> Result<Step, FramingError> {
        if self.to_skip > 0 {
            return Ok(self.skip(input.len()));
        }
        let mut keep = 0;
        while marks.room > 0 && keep < input.len() {
            let rest = &input[keep..];
            if self.to_come == 0 {
                match Front::of(rest, self.tags + 1) {
                    Ok(Front::Tag(head)) if rest.len() >= head.looked_at() => {
                        self.begin(&head, rest, at + keep as u64, marks);
                    }
                    Ok(Front::File(bytes)) if keep == 0 => {
                        self.joins = Joins::announced(rest.get(joins::FLAGS).copied().unwrap_or(0));
                        self.to_skip = bytes;
                        return Ok(self.skip(input.len()));
                    }
                    Err(error) if keep == 0 => return Err(error),
                    Ok(Front::Short | Front::Tag(_) | Front::File(_)) | Err(_) => break,
                }
            }
            let bytes = self.to_come.min(rest.len());
            self.joins.feed(&rest[..bytes]);
            self.to_come -= bytes;
            keep += bytes;
            if self.to_come == 0 {
                self.joins.end();
                marks.frame(at + keep as u64, true);
            }
        }
        Ok(Step { skip: 0, keep })
    }

    /// What has been met so far.
    pub(super) fn stats(&self) -> FramingStats {
        FramingStats { skipped_bytes: self.skipped_bytes, ..FramingStats::default() }
    }

    fn skip(&mut self, available: usize) -> Step {
        let skip = self.to_skip.min(available);
        self.to_skip -= skip;
        self.skipped_bytes += skip as u64;
        Step { skip, keep: 0 }
    }

    fn begin(&mut self, head: &TagHead, rest: &[u8], position: Position, marks: &mut Marks) {
        self.tags += 1;
        self.to_come = head.whole();
        let data = &rest[HEAD_BYTES..rest.len().min(HEAD_BYTES + head.size)];
        self.joins.begin(head, data, position, marks);
    }
}
