//! The first programme of an MPEG-TS, as its PAT and PMT have it: the framing's
//! reading of both, asked for the elementary streams that FLV can carry.

use super::audio::AudioCodec;
use super::video::VideoCodec;
use crate::framing::ts::continuity::{Continuity, Verdict};
use crate::framing::ts::packet::{Bytes, PAT_PID, Packet};
use crate::framing::ts::programme::{elementary_streams, first_programme};
use crate::framing::ts::table::{self, Table};
use crate::limits::TS_PIDS;

/// PAT, PMT and the packets' order.
#[derive(Debug)]
pub(super) struct Tables {
    continuity: Continuity,
    pat: Table,
    pmt: Table,
    pmt_pid: Option<u16>,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing new: damaged, repeated, or of a table that says what it said.
    Nothing,
    /// The programme has changed.
    Programme,
    /// Of some PID, perhaps of an elementary stream.
    Packet {
        /// Packets of it are missing before.
        gap: bool,
    },
}

/// The elementary streams to carry: the first video and the first audio that
/// FLV can hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Programme {
    pub(super) video: Option<(u16, VideoCodec)>,
    pub(super) audio: Option<(u16, AudioCodec)>,
    /// `stream_type` of those it can't.
    pub(super) unsupported: Vec<u8>,
}

impl Tables {
    pub(super) const fn new() -> Self {
        Self {
            continuity: Continuity::new(),
            pat: Table::new(table::PAT),
            pmt: Table::new(table::PMT),
            pmt_pid: None,
        }
    }

    /// The next packet comes after a jump.
    pub(super) fn gap(&mut self) {
        self.continuity = Continuity::new();
    }

    /// Takes up what a packet says.
    pub(super) fn take(&mut self, bytes: &Bytes, packet: &Packet<'_>) -> News {
        let verdict = self.continuity.judge(packet);
        self.continuity.note(packet, verdict);
        let broken = match verdict {
            Verdict::Ignored | Verdict::Repeat => return News::Nothing,
            Verdict::Next => false,
            // Announced before a unit, it is no loss: the one before is whole.
            Verdict::Announced => !(packet.unit_start && packet.has_payload),
            Verdict::Broken => true,
        };
        let gap = broken || verdict == Verdict::Announced;
        let changed = if packet.pid == PAT_PID {
            self.pat.feed(bytes, packet, gap) && self.take_pat()
        } else if self.pmt_pid == Some(packet.pid) {
            self.pmt.feed(bytes, packet, gap)
        } else {
            return News::Packet { gap: broken };
        };
        if changed { News::Programme } else { News::Nothing }
    }

    /// A PAT that says something new. True if the first programme is another.
    fn take_pat(&mut self) -> bool {
        let first = first_programme(self.pat.entries());
        let (number, pid) = first.unzip();
        if pid == self.pmt_pid && number == self.pmt.extension() {
            return false;
        }
        self.pmt.reset(number);
        self.pmt_pid = pid;
        true
    }

    /// What the PMT says; nothing until there is one.
    pub(super) fn programme(&self) -> Programme {
        let mut programme = Programme::default();
        for stream in elementary_streams(self.pmt.entries()).take(TS_PIDS) {
            match stream.kind {
                0x1B => video(&mut programme, stream.pid, VideoCodec::H264),
                0x24 => video(&mut programme, stream.pid, VideoCodec::H265),
                0x0F => audio(&mut programme, stream.pid, AudioCodec::Aac),
                0x03 | 0x04 => audio(&mut programme, stream.pid, AudioCodec::Mp3),
                other => programme.unsupported.push(other),
            }
        }
        programme
    }
}

fn video(programme: &mut Programme, pid: u16, codec: VideoCodec) {
    programme.video.get_or_insert((pid, codec));
}

fn audio(programme: &mut Programme, pid: u16, codec: AudioCodec) {
    programme.audio.get_or_insert((pid, codec));
}
