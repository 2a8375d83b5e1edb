//! One FLV tag, read from its first bytes: its header, and what its data is to
//! somebody who joins.
//!
//! Adobe Flash Video File Format 10.1, annex E.4; Enhanced RTMP v2, *Enhanced
//! Audio* and *Enhanced Video*, for the tags that name their codec by FourCC.

/// Bytes of a tag's header.
pub const HEAD_BYTES: usize = 11;
/// Bytes behind a tag's data: `PreviousTagSize`, the tag's own size.
pub const TAIL_BYTES: usize = 4;

/// What a tag holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// Type 8.
    Audio,
    /// Type 9.
    Video,
    /// Type 18: script data.
    Script,
}

impl TagKind {
    /// Of a tag's first byte, whose third bit is the filter's and whose first
    /// two are zero; `None`: it is no tag's.
    pub const fn of(first: u8) -> Option<Self> {
        match first & !FILTER {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            18 => Some(Self::Script),
            _ => None,
        }
    }
}

/// The bit of a tag's first byte that says that its data is encrypted.
const FILTER: u8 = 0x20;

/// A tag's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagHead {
    /// What it holds.
    pub kind: TagKind,
    /// Its data is encrypted: a filter's header stands before it (annex F).
    pub is_filtered: bool,
    /// Bytes of data, at most 2²⁴ − 1.
    pub size: usize,
    /// Decoding time in milliseconds; wraps after 2³².
    pub timestamp: u32,
}

impl TagHead {
    /// Reads a header; `None`: the first byte is no tag's.
    pub fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let [first, s2, s1, s0, t2, t1, t0, t3, ..] = *bytes;
        Some(Self {
            kind: TagKind::of(first)?,
            is_filtered: first & FILTER != 0,
            size: u32::from_be_bytes([0, s2, s1, s0]) as usize,
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
        })
    }

    /// Writes the header, with stream ID 0.
    pub const fn bytes(&self) -> [u8; HEAD_BYTES] {
        let kind = match self.kind {
            TagKind::Audio => 8,
            TagKind::Video => 9,
            TagKind::Script => 18,
        };
        let filter = if self.is_filtered { FILTER } else { 0 };
        let [_, s2, s1, s0] = (self.size as u32).to_be_bytes();
        let [t3, t2, t1, t0] = self.timestamp.to_be_bytes();
        [kind | filter, s2, s1, s0, t2, t1, t0, t3, 0, 0, 0]
    }

    /// Bytes that show what the tag is: its header and the start of its data.
    pub(super) const fn looked_at(&self) -> usize {
        HEAD_BYTES + if self.size < LOOK_BYTES { self.size } else { LOOK_BYTES }
    }

    /// Bytes of the whole tag, `PreviousTagSize` included.
    pub const fn whole(&self) -> usize {
        HEAD_BYTES + self.size + TAIL_BYTES
    }
}

/// Appends a tag whose data is `parts`, one after the other; its size is what
/// they have together.
pub fn put_tag(out: &mut Vec<u8>, kind: TagKind, timestamp: u32, parts: &[&[u8]]) {
    let size = parts.iter().map(|part| part.len()).sum();
    let head = TagHead { kind, is_filtered: false, size, timestamp };
    out.extend_from_slice(&head.bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(&((HEAD_BYTES + size) as u32).to_be_bytes());
}

/// Writes another timestamp into a whole tag.
pub(super) fn set_timestamp(tag: &mut [u8], timestamp: u32) {
    let [t3, t2, t1, t0] = timestamp.to_be_bytes();
    if let Some(place) = tag.get_mut(4..8) {
        place.copy_from_slice(&[t2, t1, t0, t3]);
    }
}

/// What a tag is to somebody who joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What is needed to understand all that follows.
    Kept(Slot),
    /// A picture of the main track that can be decoded on its own.
    Key,
    /// Sound.
    Sound,
    /// Anything else.
    Other,
}

/// What a tag that is needed later replaces: the newest of each is what counts.
/// In the order in which they are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `onMetaData`.
    Metadata,
    /// The video's sequence header, of a track.
    Video(u8),
    /// The video's colours (`colorInfo`), of a track.
    Colours(u8),
    /// The audio's sequence header, of a track.
    Audio(u8),
    /// Which channel of the audio is which speaker's, of a track.
    Channels(u8),
}

impl Slot {
    /// Whether it goes to decoders: all but the metadata.
    pub const fn is_header(self) -> bool {
        match self {
            Self::Metadata => false,
            Self::Video(_) | Self::Colours(_) | Self::Audio(_) | Self::Channels(_) => true,
        }
    }
}

/// Bytes of data that are looked at: `onMetaData` with what stands before it,
/// or an extended header with a modifier or two.
pub(super) const LOOK_BYTES: usize = 32;

/// `ScriptDataValue` of type String, `onMetaData`.
const ON_META_DATA: &[u8] = b"\x02\0\x0AonMetaData";

impl Role {
    /// Of a tag that begins with `head`, and its data with `data`.
    pub fn of(head: &TagHead, data: &[u8]) -> Self {
        if head.is_filtered {
            return Self::Other;
        }
        match head.kind {
            TagKind::Script if data.starts_with(ON_META_DATA) => Self::Kept(Slot::Metadata),
            TagKind::Script => Self::Other,
            TagKind::Video => video(data).unwrap_or(Self::Other),
            TagKind::Audio => audio(data).unwrap_or(Self::Sound),
        }
    }
}

fn video(data: &[u8]) -> Option<Role> {
    let first = *data.first()?;
    let is_key = matches!(first >> 4 & 7, 1 | 4);
    let key = if is_key { Role::Key } else { Role::Other };
    if first & 0x80 == 0 {
        return Some(match (first & 0x0F, data.get(1)?) {
            // Command frames, whatever the codec.
            _ if first >> 4 == 5 => Role::Other,
            // H.264, and H.265 as it was carried before there was a FourCC.
            (7 | 12, 0) => Role::Kept(Slot::Video(0)),
            (7 | 12, 1) => key,
            (7 | 12, _) => Role::Other,
            _ => key,
        });
    }
    let extended = Extended::parse(data, 6)?;
    let track = extended.track;
    Some(match extended.packet {
        4 => Role::Kept(Slot::Colours(track)),
        _ if first >> 4 & 7 == 5 => Role::Other,
        0 | 5 => Role::Kept(Slot::Video(track)),
        1 | 3 if track == 0 => key,
        _ => Role::Other,
    })
}

fn audio(data: &[u8]) -> Option<Role> {
    match data.first()? >> 4 {
        10 if *data.get(1)? == 0 => Some(Role::Kept(Slot::Audio(0))),
        9 => {
            let extended = Extended::parse(data, 5)?;
            Some(match extended.packet {
                0 => Role::Kept(Slot::Audio(extended.track)),
                4 => Role::Kept(Slot::Channels(extended.track)),
                _ => Role::Sound,
            })
        }
        _ => Some(Role::Sound),
    }
}

/// The start of an extended header, modifiers and multitrack undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// `VideoPacketType` or `AudioPacketType`: 0 sequence start, 1 coded frames,
    /// 2 sequence end, 3 (video) coded frames whose composition time is 0.
    pub packet: u8,
    /// The codec.
    pub fourcc: [u8; 4],
    /// Which track; of several in one tag the first.
    pub track: u8,
    /// The tag says how long each track's part of it is.
    pub has_sizes: bool,
    /// Where what comes next begins in the data.
    pub rest: usize,
}

impl Extended {
    /// The data of the first track, behind all headers.
    pub fn body<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        let rest = data.get(self.rest..)?;
        if !self.has_sizes {
            return Some(rest);
        }
        let [hi, mid, lo] = *data.get(self.rest - 3..)?.first_chunk()?;
        rest.get(..u32::from_be_bytes([0, hi, mid, lo]) as usize)
    }
}

/// The packet type that says that modifiers stand before the real one.
const MOD_EX: u8 = 7;
/// The multitrack type of one track alone.
const ONE_TRACK: u8 = 0;

impl Extended {
    /// Reads the data of a tag whose first byte says that it is extended;
    /// `multitrack` is the packet type that means so: 6 in video, 5 in audio.
    /// `None` if what is there of the data does not reach as far.
    pub fn parse(data: &[u8], multitrack: u8) -> Option<Self> {
        let mut packet = data.first()? & 0x0F;
        let mut at = 1;
        while packet == MOD_EX {
            let mut size = usize::from(*data.get(at)?) + 1;
            at += 1;
            if size == 256 {
                size = usize::from(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?])) + 1;
                at += 2;
            }
            packet = data.get(at + size)? & 0x0F;
            at += size + 1;
        }
        if packet != multitrack {
            let fourcc = *data.get(at..)?.first_chunk()?;
            return Some(Self { packet, fourcc, track: 0, has_sizes: false, rest: at + 4 });
        }
        // Whether the codec is named for all tracks or for each, it comes first.
        let (tracks, packet) = (data.get(at)? >> 4, data.get(at)? & 0x0F);
        let fourcc = *data.get(at + 1..)?.first_chunk()?;
        let track = *data.get(at + 5)?;
        let has_sizes = tracks != ONE_TRACK;
        let rest = at + 6 + if has_sizes { 3 } else { 0 };
        Some(Self { packet, fourcc, track, has_sizes, rest })
    }
}
