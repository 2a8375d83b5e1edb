//! What stands in a tag's data, as far as it can be carried over.
//!
//! Adobe Flash Video File Format 10.1, annex E.4.2 and E.4.3; codec 12 is what
//! programs used for H.265 before Enhanced RTMP gave it a FourCC.

use super::video::Codec;
use crate::framing::flv::{Extended, TagHead, TagKind};
use crate::limits::TS_SETS_BYTES;
use std::fmt;

/// What a tag brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    VideoHeader(Codec, &'a [u8]),
    Picture(Picture<'a>),
    AacHeader(&'a [u8]),
    Aac(&'a [u8]),
    Mp3(&'a [u8]),
    /// What can't be carried over.
    Foreign(Foreign),
    /// Nothing to carry over.
    Nothing,
}

/// A coded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture<'a> {
    pub(super) codec: Codec,
    pub(super) is_key: bool,
    /// From decoding to showing it, in milliseconds.
    pub(super) composition: i32,
    pub(super) data: &'a [u8],
}

/// A codec that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    FourCc([u8; 4]),
    Video(u8),
    Sound(u8),
    /// AAC of a kind that ADTS can't tell of.
    Aac,
    /// A header with more parameter sets than can go before each key picture.
    Sets(Codec),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FourCc(name) => write!(f, "{}", name.escape_ascii()),
            Self::Video(codec) => write!(f, "FLV video codec {codec}"),
            Self::Sound(format) => write!(f, "FLV sound format {format}"),
            Self::Aac => write!(f, "AAC that has no ADTS header"),
            Self::Sets(codec) => {
                let name = match codec {
                    Codec::H264 => "H.264",
                    Codec::H265 => "H.265",
                };
                write!(f, "{name} with more than {TS_SETS_BYTES} bytes of parameter sets")
            }
        }
    }
}

impl<'a> Content<'a> {
    /// Of a tag.
    pub(super) fn of(head: &TagHead, data: &'a [u8]) -> Self {
        if head.is_filtered {
            return Self::Nothing;
        }
        match head.kind {
            TagKind::Video => video(data),
            TagKind::Audio => audio(data),
            TagKind::Script => None,
        }
        .unwrap_or(Self::Nothing)
    }
}

fn video(data: &[u8]) -> Option<Content<'_>> {
    let first = *data.first()?;
    let frame = first >> 4 & 7;
    // Key pictures, also those that a server made.
    let is_key = matches!(frame, 1 | 4);
    let picture =
        |codec, composition, data| Content::Picture(Picture { codec, is_key, composition, data });
    if first & 0x80 == 0 {
        let codec = match first & 0x0F {
            7 => Codec::H264,
            12 => Codec::H265,
            other => return Some(Content::Foreign(Foreign::Video(other))),
        };
        let (composition, body) = (composition(data.get(2..)?)?, data.get(5..)?);
        return match data.get(1)? {
            0 => Some(Content::VideoHeader(codec, body)),
            1 if frame != 5 => Some(picture(codec, composition, body)),
            _ => None,
        };
    }
    let extended = Extended::parse(data, 6)?;
    if extended.track != 0 {
        return None;
    }
    let codec = match &extended.fourcc {
        b"avc1" => Codec::H264,
        b"hvc1" => Codec::H265,
        other => return Some(Content::Foreign(Foreign::FourCc(*other))),
    };
    let body = extended.body(data)?;
    match extended.packet {
        0 => Some(Content::VideoHeader(codec, body)),
        1 if frame != 5 => Some(picture(codec, composition(body)?, body.get(3..)?)),
        3 if frame != 5 => Some(picture(codec, 0, body)),
        _ => None,
    }
}

/// A signed number of 24 bits.
fn composition(bytes: &[u8]) -> Option<i32> {
    let [hi, mid, lo] = *bytes.first_chunk()?;
    Some(i32::from_be_bytes([hi, mid, lo, 0]) >> 8)
}

fn audio(data: &[u8]) -> Option<Content<'_>> {
    match data.first()? >> 4 {
        2 => Some(Content::Mp3(data.get(1..)?)),
        10 => match data.get(1)? {
            0 => Some(Content::AacHeader(data.get(2..)?)),
            1 => Some(Content::Aac(data.get(2..)?)),
            _ => None,
        },
        9 => {
            let extended = Extended::parse(data, 5).filter(|extended| extended.track == 0)?;
            let body = extended.body(data)?;
            match (&extended.fourcc, extended.packet) {
                (b"mp4a", 0) => Some(Content::AacHeader(body)),
                (b"mp4a", 1) => Some(Content::Aac(body)),
                (b".mp3", 1) => Some(Content::Mp3(body)),
                (b"mp4a" | b".mp3", _) => None,
                (other, _) => Some(Content::Foreign(Foreign::FourCc(*other))),
            }
        }
        other => Some(Content::Foreign(Foreign::Sound(other))),
    }
}
