//! Frames of AAC in ADTS and of MP3, cut out of PES packets.
//!
//! A PES holds several frames, and a frame may begin in one and end in the
//! next. The time stamp is that of the first frame that *begins* in the PES
//! (ISO/IEC 13818-1 2.4.3.7); those behind it follow at a frame's length each,
//! counted in samples, so that nothing is lost to rounding.

use super::mux::{AudioFormat, Mux};
use super::pes::Unit;
use super::timeline::later;
use super::{Content, adts, mp3};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudioCodec {
    Aac,
    Mp3,
}

/// What stands at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// Too little to say.
    Short,
    /// No frame.
    Nothing,
    /// A frame.
    Frame(Frame),
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of the frame, and those at its front that FLV leaves out.
    pub(super) bytes: usize,
    pub(super) header: usize,
    pub(super) samples: u32,
    /// FLV can't carry it.
    pub(super) is_foreign: bool,
    pub(super) format: AudioFormat,
}

/// The audio of a programme.
#[derive(Debug)]
pub(super) struct Audio {
    codec: AudioCodec,
    /// What is not yet cut: the beginning of a frame, between units.
    bytes: Vec<u8>,
    clock: Option<Clock>,
    /// What was announced.
    format: Option<AudioFormat>,
    is_foreign: bool,
    /// The next byte begins a frame.
    in_step: bool,
}

/// A time stamp, and what has been played since.
#[derive(Clone, Copy, Debug)]
struct Clock {
    anchor: u64,
    samples: u64,
    rate: u32,
}

impl Clock {
    fn now(self) -> u64 {
        let ticks = self.samples * 90_000 / u64::from(self.rate.max(1));
        later(self.anchor, ticks.cast_signed())
    }

    /// After one more frame. The anchor moves on with each change of the rate,
    /// and before numbers grow large.
    fn after(self, frame: &Frame) -> Self {
        let rate = frame.format.rate;
        let fresh = self.samples == 0 || (self.rate == rate && self.samples < 1 << 32);
        let (anchor, before) = if fresh { (self.anchor, self.samples) } else { (self.now(), 0) };
        Self { anchor, samples: before + u64::from(frame.samples), rate }
    }
}

impl Audio {
    pub(super) fn new(codec: AudioCodec) -> Self {
        Self {
            codec,
            bytes: Vec::new(),
            clock: None,
            format: None,
            is_foreign: false,
            in_step: false,
        }
    }

    pub(super) fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// The codec, if it is sure: the PMT doesn't tell one layer of MPEG audio
    /// from another.
    pub(super) fn promised(&self) -> Option<AudioCodec> {
        let is_sure = self.codec == AudioCodec::Aac || self.format.is_some();
        is_sure.then_some(self.codec)
    }

    /// The next unit is where somebody jumps to, who has to be told again.
    pub(super) fn gap(&mut self) {
        self.lost();
        self.format = None;
    }

    /// Frames came that FLV can't carry: MPEG audio other than layer III, AAC
    /// without a plain channel configuration.
    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Hands a frame on; without any time stamp so far it has no place.
    fn pass(&mut self, frame: &Frame, data: &[u8], mux: &mut Mux, out: &mut Vec<u8>) {
        let Some(clock) = self.clock else {
            return;
        };
        if self.format != Some(frame.format) {
            self.format = Some(frame.format);
            mux.audio_start(frame.format, clock.now(), out);
        }
        mux.sound(frame.format, clock.now(), data, out);
        self.clock = Some(clock.after(frame));
    }
}

impl Content for Audio {
    fn lost(&mut self) {
        self.bytes.clear();
        self.in_step = false;
    }

    fn take(&mut self, unit: &Unit<'_>, mux: &mut Mux, out: &mut Vec<u8>) -> bool {
        let begun_before = self.bytes.len();
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.extend_from_slice(unit.data);
        let mut stamp = unit.times.map(|times| times.pts);
        let (mut at, mut skipped) = (0, false);
        while !self.is_foreign {
            let rest = &bytes[at..];
            let frame = match self.codec.front(rest) {
                Front::Short => break,
                Front::Frame(frame) if frame.bytes > rest.len() => break,
                Front::Frame(frame) if self.in_step || self.codec.goes_on(&frame, rest) => frame,
                Front::Frame(_) | Front::Nothing => {
                    skipped = true;
                    self.in_step = false;
                    at += 1;
                    continue;
                }
            };
            self.in_step = true;
            self.is_foreign = frame.is_foreign;
            if at >= begun_before
                && let Some(anchor) = stamp.take()
            {
                self.clock = Some(Clock { anchor, samples: 0, rate: frame.format.rate });
            }
            if !self.is_foreign {
                self.pass(&frame, &rest[frame.header..frame.bytes], mux, out);
            }
            at += frame.bytes;
        }
        bytes.drain(..at);
        self.bytes = bytes;
        !skipped && !self.is_foreign
    }
}

impl AudioCodec {
    /// `stream_type` of it, one of those it may have.
    pub(super) const fn stream_type(self) -> u8 {
        match self {
            Self::Aac => 0x0F,
            Self::Mp3 => 0x03,
        }
    }

    /// Whether another frame may follow this one: chance makes one header
    /// easily, two in step hardly ever.
    fn goes_on(self, frame: &Frame, bytes: &[u8]) -> bool {
        self.front(bytes.get(frame.bytes..).unwrap_or(&[])) != Front::Nothing
    }

    fn front(self, bytes: &[u8]) -> Front {
        match self {
            Self::Aac => adts::front(bytes),
            Self::Mp3 => mp3::front(bytes),
        }
    }
}
