//! Where an FLV stream can be joined, and what goes before: the file header
//! and the newest of the tags without which nothing can be decoded.
//!
//! Sequence headers get the timestamp of the tag that is joined at, so that a
//! player's clock starts there and not when the publisher's did. The metadata is
//! at 0, as at the start of a file: libavformat takes it for a stream of its own
//! elsewhere.
//!
//! So each join point has a copy of what is kept, and a key picture can be much
//! smaller than that. No more bytes are copied than have come, but for a few: a
//! key picture that comes too early is no join point, and the next one is.

use super::tag::{HEAD_BYTES, Role, Slot, TagHead, TagKind, set_timestamp};
use crate::base::Position;
use crate::framing::{JoinMark, Marks};
use crate::limits::{FLV_KEPT_BYTES, FLV_KEPT_TAGS, FLV_OWED_BYTES, FLV_SOUND_JOINS, TS_NO_KEY};
use std::sync::Arc;

/// `FLV`, version 1; its flags; its own size; `PreviousTagSize0`.
const FILE_HEADER: [u8; 13] = [b'F', b'L', b'V', 1, 0, 0, 0, 0, 9, 0, 0, 0, 0];
/// Where the flags are ...
pub(super) const FLAGS: usize = 4;
/// ... and what they say.
const HAS_VIDEO: u8 = 0x01;
const HAS_AUDIO: u8 = 0x04;

/// What is known of a stream so far.
#[derive(Debug, Default)]
pub(super) struct Joins {
    /// By slot, in order.
    kept: Vec<(Slot, Vec<u8>)>,
    /// Where the tag at hand goes when it is complete, and what there is of it.
    taking: Option<Slot>,
    taken: Vec<u8>,
    /// What has been seen, as a file header's flags.
    flags: u8,
    /// What the source's own file header announced.
    announced: u8,
    /// When the newest video was to be decoded.
    video_at: u32,
    /// When the newest sound that can be joined at was to be decoded.
    sound_at: Option<u32>,
    /// Bytes copied for join points, less those of the stream since.
    owed: usize,
    scratch: Vec<u8>,
}

impl Joins {
    /// Of a source whose file header has these flags.
    pub(super) fn announced(flags: u8) -> Self {
        Self { announced: flags & (HAS_VIDEO | HAS_AUDIO), ..Self::default() }
    }

    /// A tag begins, at `position`; `data` is what is there of its data.
    pub(super) fn begin(
        &mut self,
        head: &TagHead,
        data: &[u8],
        position: Position,
        marks: &mut Marks,
    ) {
        match head.kind {
            TagKind::Video => {
                self.flags |= HAS_VIDEO;
                self.video_at = head.timestamp;
            }
            TagKind::Audio => self.flags |= HAS_AUDIO,
            TagKind::Script => {}
        }
        match Role::of(head, data) {
            Role::Kept(slot) => self.take(slot, head),
            Role::Key => self.publish(position, head.timestamp, marks),
            Role::Sound if self.sounds_alone(head.timestamp) => {
                self.sound_at = Some(head.timestamp);
                self.publish(position, head.timestamp, marks);
            }
            Role::Sound | Role::Other => {}
        }
    }

    /// The next bytes of the tag at hand, its header included.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.owed = self.owed.saturating_sub(bytes.len());
        if self.taking.is_some() {
            self.taken.extend_from_slice(bytes);
        }
    }

    /// The tag at hand is complete.
    pub(super) fn end(&mut self) {
        let Some(slot) = self.taking.take() else { return };
        match self.kept.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(at) => std::mem::swap(&mut self.kept[at].1, &mut self.taken),
            Err(at) if self.kept.len() < FLV_KEPT_TAGS => {
                self.kept.insert(at, (slot, std::mem::take(&mut self.taken)));
            }
            Err(_) => {}
        }
    }

    /// Takes down a tag that replaces one; one for which there is no room leaves
    /// nothing in its place, for what went before is no longer true. Metadata
    /// makes room for headers, without which nothing is seen.
    fn take(&mut self, slot: Slot, head: &TagHead) {
        let fits =
            |joins: &Self| head.whole() + joins.bytes(|other| other != slot) <= FLV_KEPT_BYTES;
        if slot.is_header() && !fits(self) {
            self.kept.retain(|(other, _)| other.is_header());
        }
        if !fits(self) {
            self.kept.retain(|(other, _)| *other != slot);
            return;
        }
        self.taken.clear();
        self.taking = Some(slot);
    }

    /// Whether a sound can be joined at: there is no video, or none any more,
    /// and the last such sound is long enough ago.
    fn sounds_alone(&self, timestamp: u32) -> bool {
        let since_video = timestamp.wrapping_sub(self.video_at).cast_signed();
        let has_video = self.flags & HAS_VIDEO != 0;
        let since_sound = self.sound_at.map(|at| timestamp.wrapping_sub(at));
        !(has_video && i64::from(since_video) <= TS_NO_KEY.as_millis() as i64)
            && since_sound.is_none_or(|ms| u128::from(ms) >= FLV_SOUND_JOINS.as_millis())
    }

    /// Bytes of the wanted ones of the kept tags.
    fn bytes(&self, wanted: impl Fn(Slot) -> bool) -> usize {
        let tags = self.kept.iter().filter(|(slot, _)| wanted(*slot));
        tags.map(|(_, tag)| tag.len()).sum()
    }

    fn publish(&mut self, position: Position, timestamp: u32, marks: &mut Marks) {
        if self.owed > FLV_OWED_BYTES {
            return;
        }
        let mut header = FILE_HEADER;
        // The first key picture may come before any sound.
        header[FLAGS] = self.flags | self.announced;
        let fresh = self.replay(&header, timestamp, |_| true);
        let resume = self.replay(&[], timestamp, Slot::is_header);
        self.owed += fresh.len() + resume.len();
        marks.joins.push(JoinMark { position, fresh, resume });
    }

    /// `before` and the wanted ones of the kept tags, headers at `timestamp`.
    fn replay(&mut self, before: &[u8], timestamp: u32, wanted: fn(Slot) -> bool) -> Arc<[u8]> {
        self.scratch.clear();
        self.scratch.extend_from_slice(before);
        for (slot, tag) in self.kept.iter().filter(|(slot, _)| wanted(*slot)) {
            let at = self.scratch.len();
            self.scratch.extend_from_slice(tag);
            let timestamp = if slot.is_header() { timestamp } else { 0 };
            set_timestamp(&mut self.scratch[at..], timestamp);
        }
        debug_assert!(self.kept.iter().all(|(_, tag)| tag.len() >= HEAD_BYTES));
        Arc::from(self.scratch.as_slice())
    }
}
