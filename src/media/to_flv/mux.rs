//! The tags of the FLV, in the order in which they come: file header,
//! `onMetaData`, and then what there is.
//!
//! Where the programme has video, audio that comes before the first picture is
//! held a while, so that a player is told of both before it gets any, and the
//! beginning is the same for both.

use super::audio::AudioCodec;
use super::flv::{self, TagType, Value};
use super::timeline::{Line, Stamp, Timeline, Times, distance, ticks};
use super::video::VideoCodec;
use crate::limits::{MEDIA_HELD_BYTES, MEDIA_HELD_TIME};

/// `VideoTagHeader`, E.4.3.1: frame types, in the high four bits ...
const KEY: u8 = 1 << 4;
const INTER: u8 = 2 << 4;
/// ... and the codec in the low four.
const AVC: u8 = 7;
/// `ExVideoTagHeader`: in the high bit that it is one, in the low four the
/// packet type, then the codec's name.
const EXTENDED: u8 = 0x80;
const HVC1: [u8; 4] = *b"hvc1";
/// Packet types of both: the decoder configuration, or a picture with its
/// composition time.
const START: u8 = 0;
const CODED: u8 = 1;
/// `SoundFormat`, E.4.2.1.
const MP3: u8 = 2;
const AAC: u8 = 10;
const MP3_8K: u8 = 14;

/// What a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VideoFormat {
    pub(super) codec: VideoCodec,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// What a frame of audio is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AudioFormat {
    pub(super) codec: AudioCodec,
    /// Samples a second.
    pub(super) rate: u32,
    pub(super) channels: u8,
    /// AudioSpecificConfig, of AAC.
    pub(super) config: [u8; 2],
}

/// What `onMetaData` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Facts {
    video: Option<VideoFormat>,
    /// What is known of the audio before its first frame ...
    audio_codec: Option<AudioCodec>,
    /// ... and from then on.
    audio: Option<AudioFormat>,
}

/// What the PMT promises. Of MPEG audio it doesn't tell the layer, and players
/// wait for audio that a file header announces: so that alone is no promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) video: bool,
    pub(super) audio: Option<AudioCodec>,
}

/// Writes the FLV.
#[derive(Debug, Default)]
pub(super) struct Mux {
    promise: Promise,
    /// The file header has been written.
    begun: bool,
    timeline: Timeline,
    facts: Facts,
    written: Facts,
    held: Held,
}

/// Audio that waits for the first picture: bodies of tags, one after the other.
#[derive(Debug, Default)]
struct Held {
    tags: Vec<(AudioFormat, u64, usize)>,
    bytes: Vec<u8>,
}

impl Held {
    fn push(&mut self, format: AudioFormat, pts: u64, front: &[u8], data: &[u8]) {
        self.tags.push((format, pts, front.len() + data.len()));
        self.bytes.extend(front);
        self.bytes.extend(data);
    }

    /// Whether a tag more, of `pts`, is one too many.
    fn is_full(&self, pts: u64, more: usize) -> bool {
        let first = self.tags.first().map_or(pts, |tag| tag.1);
        distance(first, pts).abs() >= ticks(MEDIA_HELD_TIME)
            || self.bytes.len() + more > MEDIA_HELD_BYTES
    }
}

impl Mux {
    /// What the programme consists of from here on.
    pub(super) fn promise(&mut self, promise: Promise, out: &mut Vec<u8>) {
        self.promise = promise;
        self.facts.audio_codec = promise.audio;
        self.facts.audio = self.facts.audio.filter(|known| Some(known.codec) == promise.audio);
        if !promise.video {
            self.release(out);
        }
    }

    /// There will be nothing to wait for.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) {
        if let Some(&(_, pts, _)) = self.held.tags.first() {
            self.begin(pts, out);
            self.flush(out);
        }
    }

    /// The decoder configuration of the pictures that follow.
    pub(super) fn video_start(
        &mut self,
        format: VideoFormat,
        record: &[u8],
        times: Times,
        out: &mut Vec<u8>,
    ) {
        self.begin(times.dts, out);
        let stamp = self.timeline.stamp(Line::Video, times);
        self.facts.video = Some(format);
        self.tell(out);
        let (front, length) = front(format.codec, KEY, START, Stamp { offset: 0, ..stamp });
        let front = if format.codec == VideoCodec::H265 { &front[..5] } else { &front[..length] };
        flv::tag(TagType::Video, stamp.ms, front, record, out);
        self.flush(out);
    }

    /// A picture, its NAL units with their lengths.
    pub(super) fn picture(
        &mut self,
        format: VideoFormat,
        key: bool,
        times: Times,
        data: &[u8],
        out: &mut Vec<u8>,
    ) {
        let stamp = self.timeline.stamp(Line::Video, times);
        let frame = if key { KEY } else { INTER };
        let (front, length) = front(format.codec, frame, CODED, stamp);
        flv::tag(TagType::Video, stamp.ms, &front[..length], data, out);
    }

    /// A picture that is left out: time goes by all the same.
    pub(super) fn pass_over(&mut self, times: Times) {
        if self.begun {
            self.timeline.stamp(Line::Video, times);
        }
    }

    /// What decoders must know of the audio that follows.
    pub(super) fn audio_start(&mut self, format: AudioFormat, pts: u64, out: &mut Vec<u8>) {
        match format.codec {
            AudioCodec::Aac => {
                self.audio(format, pts, &[sound(format), START], &format.config, out)
            }
            AudioCodec::Mp3 => {}
        }
    }

    /// A frame of audio.
    pub(super) fn sound(&mut self, format: AudioFormat, pts: u64, data: &[u8], out: &mut Vec<u8>) {
        let front = [sound(format), CODED];
        let front = match format.codec {
            AudioCodec::Aac => &front[..],
            AudioCodec::Mp3 => &front[..1],
        };
        self.audio(format, pts, front, data, out);
    }

    fn audio(
        &mut self,
        format: AudioFormat,
        pts: u64,
        front: &[u8],
        data: &[u8],
        out: &mut Vec<u8>,
    ) {
        if !self.begun && self.promise.video {
            if !self.held.is_full(pts, front.len() + data.len()) {
                return self.held.push(format, pts, front, data);
            }
            self.release(out);
        }
        self.facts.audio_codec = Some(format.codec);
        self.begin(pts, out);
        self.write_audio(format, pts, front, data, out);
    }

    fn write_audio(
        &mut self,
        format: AudioFormat,
        pts: u64,
        front: &[u8],
        data: &[u8],
        out: &mut Vec<u8>,
    ) {
        let stamp = self.timeline.stamp(Line::Audio, Times { pts, dts: pts });
        self.facts.audio_codec = Some(format.codec);
        self.facts.audio = Some(format);
        self.tell(out);
        flv::tag(TagType::Audio, stamp.ms, front, data, out);
    }

    /// Writes what has been held.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let mut rest = &held.bytes[..];
        for (format, pts, length) in held.tags {
            let (body, next) = rest.split_at(length);
            self.write_audio(format, pts, &[], body, out);
            rest = next;
        }
    }

    /// Writes the file header, once; time begins with the earliest of what is
    /// there then.
    fn begin(&mut self, clock: u64, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let earlier = |first: u64| (-ticks(MEDIA_HELD_TIME)..0).contains(&distance(clock, first));
        let first = self.held.tags.first().map(|tag| tag.1).filter(|&first| earlier(first));
        self.timeline.begin(first.unwrap_or(clock));
        if let Some(held) = self.held.tags.first().map(|tag| tag.0) {
            self.facts.audio_codec = Some(held.codec);
            self.facts.audio = Some(held);
        }
        let audio = self.facts.audio_codec.is_some();
        flv::header(audio, self.promise.video, out);
    }

    /// Writes `onMetaData`, whenever it says something new.
    fn tell(&mut self, out: &mut Vec<u8>) {
        if self.written == self.facts {
            return;
        }
        self.written = self.facts;
        let mut values = Vec::new();
        if let Some(video) = self.facts.video {
            values.push(("width", Value::Number(f64::from(video.width))));
            values.push(("height", Value::Number(f64::from(video.height))));
            let id = match video.codec {
                VideoCodec::H264 => u32::from(AVC),
                VideoCodec::H265 => u32::from_be_bytes(HVC1),
            };
            values.push(("videocodecid", Value::Number(f64::from(id))));
        }
        if let Some(codec) = self.facts.audio_codec {
            let id = match codec {
                AudioCodec::Aac => AAC,
                AudioCodec::Mp3 => MP3,
            };
            values.push(("audiocodecid", Value::Number(f64::from(id))));
        }
        if let Some(audio) = self.facts.audio {
            values.push(("audiosamplerate", Value::Number(f64::from(audio.rate))));
            values.push(("stereo", Value::Boolean(audio.channels > 1)));
        }
        values.push(("encoder", Value::Text("nearlight")));
        let ms = self.timeline.furthest_ms();
        flv::tag(TagType::Script, ms, &flv::metadata(&values), &[], out);
    }
}

/// The first bytes of a video tag's data, and how many they are.
fn front(codec: VideoCodec, frame: u8, packet: u8, stamp: Stamp) -> ([u8; 8], usize) {
    let [a, b, c] = flv::composition(stamp);
    let [h, v, c1, one] = HVC1;
    match codec {
        VideoCodec::H264 => ([frame | AVC, packet, a, b, c, 0, 0, 0], 5),
        VideoCodec::H265 => ([EXTENDED | frame | packet, h, v, c1, one, a, b, c], 8),
    }
}

/// The first byte of an audio tag's data, E.4.2.1: format, rate, 16 bits,
/// stereo. For AAC the rest is fixed; players read rates from the frames.
fn sound(format: AudioFormat) -> u8 {
    const BITS_16: u8 = 1 << 1;
    let rate = match format.rate {
        44_100.. => 3,
        22_050.. => 2,
        11_025.. => 1,
        _ => 0,
    };
    let stereo = u8::from(format.channels > 1);
    match format.codec {
        AudioCodec::Aac => AAC << 4 | 3 << 2 | BITS_16 | 1,
        AudioCodec::Mp3 if format.rate == 8000 => MP3_8K << 4 | BITS_16 | stereo,
        AudioCodec::Mp3 => MP3 << 4 | rate << 2 | BITS_16 | stereo,
    }
}
