//! Access units of H.264 and H.265 made into what FLV tags hold: parameter
//! sets apart, NAL units with their length before them.
//!
//! After a loss, pictures are left out up to the next key frame. Decoders in
//! browsers take a missing picture's successors for damage and may give up for
//! good; a picture that stands still for a moment is the lesser evil. Encoders
//! that never send another key frame are believed after `TS_NO_KEY`.

use super::mux::{Mux, VideoFormat};
use super::pes::Unit;
use super::sets::{Nal, Parameters, Sets};
use super::timeline::{Times, distance, later, ticks};
use super::{Content, annexb, avc, hevc};
use crate::limits::{MEDIA_SEAM, TS_NO_KEY};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VideoCodec {
    H264,
    H265,
}

/// The video of a programme.
#[derive(Debug)]
pub(super) struct Video {
    codec: VideoCodec,
    sets: [Sets; 3],
    parameters: Option<Parameters>,
    /// The sequence header is to be written before the next picture.
    announce: bool,
    wait: Wait,
    /// The newest decoding time, and ticks from the one before.
    last: Option<(u64, i64)>,
    /// NAL units of the picture at hand; kept for its memory.
    body: Vec<u8>,
}

/// What has to come before pictures are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Nothing,
    /// A key frame.
    Key,
    /// A key frame, or `TS_NO_KEY` since the first picture that was left out.
    Recovery(Option<u64>),
}

/// What an access unit holds.
#[derive(Default)]
struct Found {
    slice: bool,
    key: bool,
    changed: bool,
}

impl VideoCodec {
    fn classify(self, nal: &[u8]) -> Nal {
        match self {
            Self::H264 => avc::classify(nal),
            Self::H265 => hevc::classify(nal),
        }
    }

    fn id(self, kind: usize, nal: &[u8]) -> Option<u32> {
        match self {
            Self::H264 => avc::id(kind, nal),
            Self::H265 => hevc::id(kind, nal),
        }
    }

    fn parameters(self, sets: &[Sets; 3]) -> Option<Parameters> {
        match self {
            Self::H264 => avc::parameters(sets),
            Self::H265 => hevc::parameters(sets),
        }
    }
}

impl Video {
    pub(super) fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            sets: <[Sets; 3]>::default(),
            parameters: None,
            announce: true,
            wait: Wait::Key,
            last: None,
            body: Vec::new(),
        }
    }

    pub(super) fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// The next unit is where somebody jumps to, who has to be told again.
    pub(super) fn gap(&mut self) {
        self.lost();
        self.announce = true;
    }

    /// Sorts the NAL units: parameter sets are taken up, what belongs to the
    /// picture goes into the body.
    fn read(&mut self, data: &[u8]) -> Found {
        let mut found = Found::default();
        self.body.clear();
        for nal in annexb::nal_units(data) {
            match self.codec.classify(nal) {
                Nal::Idle => continue,
                Nal::Set(kind) => {
                    let id = self.codec.id(kind, nal);
                    found.changed |= id.is_some_and(|id| self.sets[kind].take(id, nal));
                    continue;
                }
                Nal::Slice { key } => {
                    found.slice = true;
                    found.key |= key;
                }
                Nal::Other => {}
            }
            self.body.extend((nal.len() as u32).to_be_bytes());
            self.body.extend(nal);
        }
        found
    }

    /// The unit's times; one without any is as far from the one before as that
    /// was from its own.
    fn times(&mut self, unit: &Unit<'_>) -> Times {
        let (last, step) = self.last.unwrap_or((0, ticks(MEDIA_SEAM)));
        let times = unit.times.unwrap_or_else(|| {
            let dts = later(last, step);
            Times { pts: dts, dts }
        });
        let step = if unit.times.is_some() && self.last.is_some() {
            distance(last, times.dts).clamp(0, ticks(MEDIA_SEAM))
        } else {
            step
        };
        self.last = Some((times.dts, step));
        times
    }
}

impl Content for Video {
    fn lost(&mut self) {
        if self.wait == Wait::Nothing {
            self.wait = Wait::Recovery(None);
        }
    }

    fn take(&mut self, unit: &Unit<'_>, mux: &mut Mux, out: &mut Vec<u8>) -> bool {
        let times = self.times(unit);
        let found = self.read(unit.data);
        if found.changed {
            self.parameters = self.codec.parameters(&self.sets);
            self.announce = true;
        }
        if !found.slice {
            return true;
        }
        let key = found.key || unit.random_access;
        let Some(parameters) = &self.parameters else {
            self.lost();
            return false;
        };
        if !key && !self.wait.is_over(times.dts) {
            mux.pass_over(times);
            return false;
        }
        self.wait = Wait::Nothing;
        let format =
            VideoFormat { codec: self.codec, width: parameters.width, height: parameters.height };
        if std::mem::take(&mut self.announce) {
            mux.video_start(format, &parameters.record, times, out);
        }
        mux.picture(format, key, times, &self.body, out);
        true
    }
}

impl Wait {
    /// Whether a picture that is no key frame may be passed on.
    fn is_over(&mut self, dts: u64) -> bool {
        match self {
            Self::Nothing => true,
            Self::Key => false,
            Self::Recovery(since) => distance(*since.get_or_insert(dts), dts) >= ticks(TS_NO_KEY),
        }
    }
}
