//! FLV tags into MPEG-TS (ISO/IEC 13818-1).
//!
//! A tag that is complete is written out at once, as one PES, in the order in
//! which it came. PTS and DTS are the tag's own times and a constant; 2³² ms are
//! a whole number of turns of a clock of 33 bits and 90 kHz, so both wrap
//! together and there is nothing to unwrap. The PCR follows the video's decoding
//! times, or without video the audio's.

mod audio;
mod packets;
mod source;
#[cfg(test)]
mod tests;
mod video;

use crate::framing::flv::{Front, HEAD_BYTES, TAIL_BYTES, TagHead};
use crate::limits::{
    REMUX_SPARE, TS_CLOCK, TS_CLOCK_JUMP, TS_CLOCK_LEAD, TS_OWED_BYTES, TS_TABLES,
};
use audio::Aac;
use packets::{Field, PES_SPACE, Packets, Part, Programme, Times};
use source::{Content, Foreign, Picture};
use video::{Codec, Config};

/// Units of 90 kHz in a millisecond.
const UNITS: u64 = 90;
/// Timestamps have 33 bits.
const STAMP: u64 = (1 << 33) - 1;
const TABLES: i32 = TS_TABLES.as_millis() as i32;
const CLOCK: u32 = TS_CLOCK.as_millis() as u32;
const JUMP: i32 = TS_CLOCK_JUMP.as_millis() as i32;
const LEAD: u64 = TS_CLOCK_LEAD.as_millis() as u64;
/// `stream_type` of AAC with ADTS headers.
const ADTS: u8 = 0x0F;

/// The state of one derived stream.
#[derive(Debug, Default)]
pub(super) struct ToTs {
    /// The tag at hand, as far as it has come.
    tag: Vec<u8>,
    /// Bytes of a file header yet to be skipped.
    to_skip: usize,
    /// What came is no FLV: nothing is until the next gap.
    is_lost: bool,
    mux: Mux,
}

impl ToTs {
    /// Takes the next bytes of the source.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_lost {
            if self.to_skip > 0 {
                let skipped = self.to_skip.min(rest.len());
                self.to_skip -= skipped;
                rest = &rest[skipped..];
                continue;
            }
            // A header first, so that its length is known.
            let wanted = match Front::of(&self.tag, 0) {
                Ok(Front::Short) => self.tag.len() + 1,
                Ok(Front::Tag(head)) => head.whole(),
                Ok(Front::File(size)) => {
                    self.to_skip = size - self.tag.len();
                    self.tag.clear();
                    continue;
                }
                Err(_) => {
                    self.is_lost = true;
                    return;
                }
            };
            let taken = (wanted - self.tag.len()).min(rest.len());
            self.tag.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            self.take_tag(out);
        }
    }

    /// The tag at hand, if it is complete.
    fn take_tag(&mut self, out: &mut Vec<u8>) {
        let Some(head) = self.tag.first_chunk().and_then(TagHead::parse) else { return };
        if self.tag.len() < head.whole() {
            return;
        }
        if let Some(data) = self.tag.get(HEAD_BYTES..self.tag.len() - TAIL_BYTES) {
            self.mux.take(&head, data, out);
        }
        self.tag.clear();
        self.tag.shrink_to(REMUX_SPARE);
    }

    /// What comes next begins afresh.
    pub(super) fn gap(&mut self) {
        self.tag.clear();
        self.to_skip = 0;
        self.is_lost = false;
        self.mux.gap();
    }

    /// The newest codec that was left out.
    pub(super) fn unsupported(&self) -> Option<String> {
        self.mux.foreign.map(|foreign| foreign.to_string())
    }
}

/// Whole tags into packets.
#[derive(Debug, Default)]
struct Mux {
    video: Option<Config>,
    aac: Option<Aac>,
    foreign: Option<Foreign>,
    programme: Programme,
    packets: Packets,
    /// When PAT and PMT were written last; `None`: they are due.
    tables_at: Option<u32>,
    /// The newest PCR, in milliseconds.
    clock_at: Option<u32>,
    /// The next PCR is that of another clock.
    jumped: bool,
    /// Bytes of parameter sets that were put in, less those of the tags since.
    owed: usize,
    /// A PES as it is put together.
    unit: Vec<u8>,
}

impl Mux {
    fn take(&mut self, head: &TagHead, data: &[u8], out: &mut Vec<u8>) {
        let at = head.timestamp;
        self.owed = self.owed.saturating_sub(head.whole());
        match Content::of(head, data) {
            Content::VideoHeader(codec, record) => self.video_header(codec, record),
            Content::Picture(picture) => self.picture(at, &picture, out),
            Content::AacHeader(config) => {
                self.aac = Aac::parse(config);
                match self.aac {
                    Some(_) => self.has_sound(ADTS),
                    None => self.foreign = Some(Foreign::Aac),
                }
            }
            Content::Aac(frame) => {
                self.begin_unit();
                if self.aac.is_some_and(|aac| aac.put(frame, &mut self.unit)) {
                    self.sound(at, out);
                }
            }
            Content::Mp3(frame) => {
                if let Some(kind) = audio::mp3_stream_type(frame) {
                    self.has_sound(kind);
                    self.begin_unit();
                    self.unit.extend_from_slice(frame);
                    self.sound(at, out);
                }
            }
            Content::Foreign(foreign) => self.foreign = Some(foreign),
            Content::Nothing => {}
        }
    }

    fn gap(&mut self) {
        self.tables_at = None;
        self.jumped |= self.clock_at.take().is_some();
    }

    /// One that can't be read changes nothing; after one that can't be carried
    /// over there are no pictures up to the next.
    fn video_header(&mut self, codec: Codec, record: &[u8]) {
        let Some(config) = Config::parse(codec, record) else { return };
        if config.is_too_large() {
            self.video = None;
            self.foreign = Some(Foreign::Sets(codec));
            return;
        }
        self.video = Some(config);
        self.becomes(Programme { video: Some(codec.stream_type()), ..self.programme });
    }

    fn has_sound(&mut self, kind: u8) {
        self.becomes(Programme { audio: Some(kind), ..self.programme });
    }

    /// Announces a programme that has changed before its next picture or sound.
    fn becomes(&mut self, programme: Programme) {
        if self.programme == programme {
            return;
        }
        if self.tables_at.take().is_some() {
            self.packets.renew();
        }
        if self.programme.clock() != programme.clock() {
            self.clock_at = None;
        }
        self.programme = programme;
    }

    fn begin_unit(&mut self) {
        self.unit.clear();
        self.unit.shrink_to(REMUX_SPARE);
        self.unit.resize(PES_SPACE, 0);
    }

    fn picture(&mut self, at: u32, picture: &Picture<'_>, out: &mut Vec<u8>) {
        self.begin_unit();
        let config = self.video.as_ref().filter(|config| config.codec == picture.codec);
        let may_start = self.owed <= TS_OWED_BYTES;
        let Some(added) = config
            .and_then(|config| config.put(picture.data, picture.is_key, may_start, &mut self.unit))
        else {
            return;
        };
        self.owed += added;
        let starts = picture.is_key && may_start;
        if starts {
            self.tables_at = None;
        }
        self.write(Part::Video, at, picture.composition, starts, out);
    }

    fn sound(&mut self, at: u32, out: &mut Vec<u8>) {
        let alone = self.programme.clock() == Part::Audio;
        self.write(Part::Audio, at, 0, alone, out);
    }

    /// Writes the unit at hand, and before it what is due.
    fn write(&mut self, part: Part, at: u32, composition: i32, starts: bool, out: &mut Vec<u8>) {
        let since = |then: u32| at.wrapping_sub(then).cast_signed();
        if self.tables_at.is_none_or(|then| !(-JUMP..TABLES).contains(&since(then))) {
            self.packets.tables(self.programme, out);
            self.tables_at = Some(at);
        }
        let mut field = Field { random_access: starts, ..Field::default() };
        let clock = self.programme.clock();
        match self.clock_at.map(since) {
            None if part != clock => {}
            // Another part says when it is, if the clock's own is late with it.
            Some(since) if part != clock => {
                if (CLOCK.cast_signed() / 2..=JUMP).contains(&since) {
                    self.run_clock(at, out);
                    let pcr = self.set_clock(at);
                    self.packets.clock(clock, pcr, out);
                }
            }
            Some(since) if (-JUMP..=JUMP).contains(&since) => {
                self.run_clock(at, out);
                let Field { discontinuity, pcr, .. } = self.set_clock(at);
                field = Field { discontinuity, pcr, ..field };
            }
            first_or_far => {
                self.jumped |= first_or_far.is_some();
                self.clock_at = None;
                let Field { discontinuity, pcr, .. } = self.set_clock(at);
                field = Field { discontinuity, pcr, ..field };
            }
        }
        let dts = ((u64::from(at) + LEAD) * UNITS) & STAMP;
        let pts = dts.wrapping_add_signed(i64::from(composition) * UNITS.cast_signed()) & STAMP;
        self.packets.pes(part, Times { dts, pts }, field, &mut self.unit, out);
    }

    /// Writes the PCRs that should have been between the newest and `at`.
    fn run_clock(&mut self, at: u32, out: &mut Vec<u8>) {
        while let Some(then) = self.clock_at
            && at.wrapping_sub(then).cast_signed() > CLOCK.cast_signed()
        {
            let pcr = self.set_clock(then.wrapping_add(CLOCK));
            self.packets.clock(self.programme.clock(), pcr, out);
        }
    }

    /// What the next PCR is at `at`: one never goes back.
    fn set_clock(&mut self, at: u32) -> Field {
        let newest = self.clock_at.filter(|then| at.wrapping_sub(*then).cast_signed() < 0);
        let at = newest.unwrap_or(at);
        self.clock_at = Some(at);
        Field {
            discontinuity: std::mem::take(&mut self.jumped),
            random_access: false,
            pcr: Some((u64::from(at) * UNITS) & STAMP),
        }
    }
}
