//! MPEG-TS made into FLV, for players that know no other container: the first
//! H.264 or H.265 and the first AAC or MP3 of the first programme.
//!
//! ```text
//! bytes ─▶ packets ─▶ PAT, PMT ─▶ programme
//!                └──▶ PES ─▶ pictures, frames of audio ─▶ tags
//!                                           timeline ──┘
//! ```
//!
//! A picture goes out with its last byte, wherever that can be told: see
//! `pes.rs`. Nothing goes out that a decoder can't start with, and no unit that
//! is known to be incomplete. What is held is bounded: a packet, a unit of each
//! of the two, and at the beginning a few seconds of audio.

mod adts;
mod annexb;
mod audio;
mod avc;
mod bits;
mod flv;
#[cfg(test)]
mod fuzz;
mod hevc;
mod mp3;
mod mux;
mod pes;
mod sets;
mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timeline;
mod video;

use crate::framing::ts::packet::{self, Bytes, Packet, SYNC};
use crate::limits::TS_PACKET;
use audio::Audio;
use mux::{Mux, Promise};
use pes::{Pes, Progress, Unit};
use tables::{News, Tables};
use video::Video;

/// Makes the packets of an MPEG-TS into one FLV.
#[derive(Debug)]
pub struct ToFlv {
    /// The front of a packet that is not whole yet.
    held: Bytes,
    have: usize,
    tables: Tables,
    unsupported: Vec<u8>,
    video: Option<Track<Video>>,
    audio: Option<Track<Audio>>,
    mux: Mux,
    dropped: u64,
}

/// An elementary stream that is carried.
#[derive(Debug)]
struct Track<T> {
    pid: u16,
    pes: Pes,
    content: T,
}

/// What makes units into tags.
trait Content {
    /// Something is missing before the next unit.
    fn lost(&mut self);
    /// Takes a unit. False if it, or a part of it, is left out.
    fn take(&mut self, unit: &Unit<'_>, mux: &mut Mux, out: &mut Vec<u8>) -> bool;
}

impl ToFlv {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self {
            held: [0; TS_PACKET],
            have: 0,
            tables: Tables::new(),
            unsupported: Vec::new(),
            video: None,
            audio: None,
            mux: Mux::default(),
            dropped: 0,
        }
    }

    /// Takes bytes of the MPEG-TS, cut anywhere, and appends what has become
    /// of them: the FLV's header before the first tag, then whole tags. Bytes
    /// between packets are left out.
    pub fn handle_bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.have == 0 {
                let Some(start) = rest.iter().position(|&byte| byte == SYNC) else {
                    return;
                };
                rest = &rest[start..];
                if let Some((packet, after)) = rest.split_first_chunk() {
                    self.packet(packet, out);
                    rest = after;
                    continue;
                }
            }
            let (now, later) = rest.split_at(rest.len().min(TS_PACKET - self.have));
            self.held[self.have..self.have + now.len()].copy_from_slice(now);
            self.have += now.len();
            rest = later;
            if self.have == TS_PACKET {
                self.have = 0;
                let packet = self.held;
                self.packet(&packet, out);
            }
        }
    }

    /// The next bytes come after a jump, at a join point: what is held is
    /// dropped, decoders are told again what they must know, and video begins
    /// with a key frame. Time goes on.
    pub fn gap(&mut self) {
        self.have = 0;
        self.tables.gap();
        if let Some(track) = &mut self.video {
            track.pes.abandon();
            track.content.gap();
        }
        if let Some(track) = &mut self.audio {
            track.pes.abandon();
            track.content.gap();
        }
    }

    /// The source has ended: appends what waited for more.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.have = 0;
        if let Some(track) = &mut self.video {
            self.dropped += track.close(&mut self.mux, out);
        }
        if let Some(track) = &mut self.audio {
            self.dropped += track.close(&mut self.mux, out);
        }
        self.mux.release(out);
    }

    /// `stream_type` (ISO/IEC 13818-1 table 2-34) of the programme's elementary
    /// streams that FLV can't hold, and are left out.
    pub fn unsupported(&self) -> &[u8] {
        &self.unsupported
    }

    /// Units left out so far: incomplete, too large, not decodable without one
    /// that was.
    pub fn dropped_units(&self) -> u64 {
        self.dropped
    }

    fn packet(&mut self, bytes: &Bytes, out: &mut Vec<u8>) {
        if !packet::plausible(bytes) {
            return;
        }
        let packet = Packet::parse(bytes);
        let gap = match self.tables.take(bytes, &packet) {
            News::Nothing => return,
            News::Programme => return self.tune(out),
            News::Packet { gap } => gap,
        };
        if let Some(track) = &mut self.video
            && track.pid == packet.pid
        {
            self.dropped += track.packet(bytes, &packet, gap, &mut self.mux, out);
        } else if let Some(track) = &mut self.audio
            && track.pid == packet.pid
        {
            self.dropped += track.packet(bytes, &packet, gap, &mut self.mux, out);
            if track.content.is_foreign() {
                self.leave_out_audio(out);
            }
        }
    }

    /// Follows the programme. A stream that stays what it was goes on.
    fn tune(&mut self, out: &mut Vec<u8>) {
        let programme = self.tables.programme();
        self.unsupported = programme.unsupported;
        let stays = self.video.as_ref().map(|track| (track.pid, track.content.codec()));
        if stays != programme.video {
            self.video = programme.video.map(|(pid, codec)| Track::new(pid, Video::new(codec)));
        }
        let stays = self.audio.as_ref().map(|track| (track.pid, track.content.codec()));
        if stays != programme.audio {
            self.audio = programme.audio.map(|(pid, codec)| Track::new(pid, Audio::new(codec)));
        }
        self.promise(out);
    }

    /// MPEG audio that turns out to be of another layer, and the like.
    fn leave_out_audio(&mut self, out: &mut Vec<u8>) {
        let codec = self.audio.take().map(|track| track.content.codec());
        self.unsupported.extend(codec.map(audio::AudioCodec::stream_type));
        self.promise(out);
    }

    fn promise(&mut self, out: &mut Vec<u8>) {
        let audio = self.audio.as_ref().and_then(|track| track.content.promised());
        let promise = Promise { video: self.video.is_some(), audio };
        self.mux.promise(promise, out);
    }
}

impl Default for ToFlv {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Content> Track<T> {
    fn new(pid: u16, content: T) -> Self {
        Self { pid, pes: Pes::new(), content }
    }

    /// Takes a packet and says how many units were lost over it.
    fn packet(
        &mut self,
        bytes: &Bytes,
        packet: &Packet<'_>,
        gap: bool,
        mux: &mut Mux,
        out: &mut Vec<u8>,
    ) -> u64 {
        let mut dropped = 0;
        let encrypted = packet.scrambled && packet.has_payload;
        if gap || encrypted {
            self.pes.abandon();
            self.content.lost();
            dropped += 1;
        }
        if encrypted || packet.payload.is_empty() {
            return dropped;
        }
        if packet.unit_start {
            dropped += self.close(mux, out);
            self.pes.open(packet.random_access);
        }
        let progress = self.pes.append(packet.payload, packet::is_stuffed(bytes));
        dropped + self.follow(progress, mux, out)
    }

    /// Nothing more comes of the unit at hand.
    fn close(&mut self, mux: &mut Mux, out: &mut Vec<u8>) -> u64 {
        let progress = self.pes.close();
        self.follow(progress, mux, out)
    }

    fn follow(&mut self, progress: Progress, mux: &mut Mux, out: &mut Vec<u8>) -> u64 {
        let unit = match progress {
            Progress::More => return 0,
            Progress::Lost => None,
            Progress::Whole => self.pes.unit(),
        };
        if let Some(unit) = unit {
            return u64::from(!self.content.take(&unit, mux, out));
        }
        self.content.lost();
        1
    }
}
