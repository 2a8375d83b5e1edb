//! `ts`: MPEG-TS (ISO/IEC 13818-1). A frame is the run of whole packets that
//! one receive completed, cut before every PES start of the video (without
//! video of the audio, without either of data), so that a subscriber can leave and join there.
//!
//! ```text
//! bytes ─▶ lock ─▶ packets ─▶ continuity ─▶ PAT, PMT ─▶ programme
//!                                      └──▶ PES starts ─▶ cuts, join points
//! ```
//!
//! Every packet is passed on as it is, damaged ones too: decoders know better
//! what to do with them. What is skipped is what is no packet.

pub(crate) mod continuity;
mod joins;
#[cfg(test)]
mod muxer;
pub(crate) mod packet;
pub(crate) mod programme;
#[cfg(test)]
mod properties;
mod scan;
pub(crate) mod table;
#[cfg(test)]
mod tests;

pub(super) use packet::{SYNC, plausible};
pub use table::crc32;

use super::{FramingStats, Marks, Step, rtp};
use crate::base::{Instant, Position};
use crate::limits::{AUTO_HOLD, TS_NO_KEY, TS_PACKET, TS_SYNC_PACKETS};
use continuity::{Continuity, Verdict};
use joins::{Before, Joins};
use packet::{Bytes, Packet};
use programme::{Cut, Programme};
use std::ops::Range;
use table::Table;

/// Bytes with which sync is sure: whole packets and the next sync byte.
const SYNC_BYTES: usize = (TS_SYNC_PACKETS - 1) * TS_PACKET + 1;

/// The state of one MPEG-TS.
#[derive(Debug)]
pub(super) struct Ts {
    lock: Lock,
    continuity: Continuity,
    pat: Table,
    pmt: Table,
    /// Where the PMT of the first programme comes, once a PAT has said so.
    pmt_pid: Option<u16>,
    /// What the PMT says; known only while PAT and PMT are.
    programme: Option<Programme>,
    joins: Joins,
    /// Since when packets have come without a programme that can be cut.
    aimless: Option<Instant>,
    stats: FramingStats,
}

/// Whether packets of a byte stream are known to begin where they seem to.
#[derive(Debug)]
enum Lock {
    /// Looking for the first packet. Bytes held begin with one that may be it.
    Hunting {
        /// When that one was first seen; `None` if nothing is held.
        since: Option<Instant>,
        /// Whether a whole packet is held: enough to decide when time is up.
        whole: bool,
    },
    /// The next byte is the first of a packet.
    Held,
}

/// What is the case at the front of the input of a hunt.
enum Hunt {
    /// A packet begins after so many bytes.
    Found(usize),
    /// One may begin after so many bytes.
    Candidate(usize),
    /// There is no sync byte that may be one.
    Nothing,
}

impl Ts {
    /// A stream that begins. `since`: when its first byte was seen, if it has
    /// been held already.
    pub(super) fn new(since: Option<Instant>) -> Self {
        Self {
            lock: Lock::Hunting { since, whole: false },
            continuity: Continuity::new(),
            pat: Table::new(table::PAT),
            pmt: Table::new(table::PMT),
            pmt_pid: None,
            programme: None,
            joins: Joins::new(),
            aimless: None,
            stats: FramingStats::default(),
        }
    }

    /// Skips to the first packet and keeps whole packets. Holds less than one
    /// packet, and while looking for sync less than `TS_SYNC_PACKETS`.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        at: Position,
        now: Instant,
        marks: &mut Marks,
    ) -> Step {
        if let Lock::Held = self.lock
            && input.first().is_some_and(|&byte| byte != SYNC)
        {
            self.stats.sync_losses += 1;
            self.lock = Lock::Hunting { since: None, whole: false };
        }
        let skip = match self.lock {
            Lock::Held => 0,
            Lock::Hunting { since, .. } => match self.hunt(input, since, now) {
                (skip, true) => skip,
                (skip, false) => return Step { skip, keep: 0 },
            },
        };
        let (packets, _) = input[skip..].as_chunks::<TS_PACKET>();
        let keep = self.run(packets, at, now, marks) * TS_PACKET;
        Step { skip, keep }
    }

    /// Takes the packets out of one datagram: out of its RTP payload, or from
    /// the first place where packets follow one another.
    pub(super) fn datagram(
        &mut self,
        input: &[u8],
        at: Position,
        now: Instant,
        marks: &mut Marks,
    ) -> Step {
        let span = payload(input);
        let start = match hunt(&input[span.clone()]) {
            Hunt::Found(offset) | Hunt::Candidate(offset) => span.start + offset,
            Hunt::Nothing => span.end,
        };
        let (packets, cut) = input[start..span.end].as_chunks::<TS_PACKET>();
        let keep = self.run(packets, at, now, marks) * TS_PACKET;
        let whole = span.end - start - cut.len();
        if start > span.start || (keep < whole && input[start + keep] != SYNC) {
            self.stats.sync_losses += 1;
        }
        // With nothing to keep, everything is beyond it.
        let skip = if keep == 0 { 0 } else { start };
        self.stats.skipped_bytes += (input.len() - keep) as u64;
        Step { skip, keep }
    }

    /// When a packet that is held may be taken for one without more proof.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.lock {
            Lock::Hunting { since: Some(since), whole: true } => Some(since + AUTO_HOLD),
            Lock::Hunting { .. } | Lock::Held => None,
        }
    }

    /// What has been met so far.
    pub(super) fn stats(&self) -> FramingStats {
        self.stats
    }

    /// Looks for the first packet. Answers how much to skip, and whether what
    /// follows is in sync: sure after `TS_SYNC_PACKETS` sync bytes, believed
    /// after one packet of a stream so slow that no more came in `AUTO_HOLD`.
    fn hunt(&mut self, input: &[u8], since: Option<Instant>, now: Instant) -> (usize, bool) {
        let (skip, found, since) = match hunt(input) {
            Hunt::Found(skip) => (skip, true, None),
            Hunt::Candidate(0) => {
                let since = since.unwrap_or(now);
                let late = now >= since + AUTO_HOLD;
                (0, late && input.len() >= TS_PACKET, Some(since))
            }
            Hunt::Candidate(skip) => (skip, false, Some(now)),
            Hunt::Nothing => (input.len(), false, None),
        };
        self.stats.skipped_bytes += skip as u64;
        self.lock = if found {
            Lock::Held
        } else {
            Lock::Hunting { since, whole: input.len() - skip >= TS_PACKET }
        };
        (skip, found)
    }

    /// Takes packets up to the first that is none, as far as there is room for
    /// marks, and says how many those were.
    fn run(&mut self, packets: &[Bytes], at: Position, now: Instant, marks: &mut Marks) -> usize {
        let mut count = 0;
        let mut end = at;
        let mut leave = false;
        for bytes in packets {
            if bytes[0] != SYNC {
                break;
            }
            let packet = Packet::parse(bytes);
            let verdict = self.continuity.judge(&packet);
            let start = self.starts_unit(&packet, verdict);
            if count == 0 {
                if marks.room == 0 {
                    return 0;
                }
                leave = start.is_some() || self.is_lost(end, now, marks);
            } else if start.is_some() {
                // One for the frame that ends here, one for the next.
                if marks.room < 2 {
                    break;
                }
                marks.frame(end, leave);
                leave = true;
            }
            if let Some(cut) = start {
                self.begin_unit((&packet, cut), end, now, marks);
            }
            self.take(bytes, &packet, verdict, now, marks);
            count += 1;
            end += TS_PACKET as u64;
        }
        if count > 0 {
            marks.frame(end, leave);
        }
        count
    }

    /// Whether the stream has gone on for `TS_NO_KEY` without saying where it
    /// may be cut. Then it may be joined and left before whatever comes.
    fn is_lost(&mut self, at: Position, now: Instant, marks: &mut Marks) -> bool {
        if self.programme.is_some_and(|programme| programme.cut.is_some()) {
            self.aimless = None;
            return false;
        }
        let is_lost = now.since(*self.aimless.get_or_insert(now)) >= TS_NO_KEY;
        if is_lost {
            self.joins.anywhere(at, marks);
        }
        is_lost
    }

    /// The stream to cut at, if this packet starts a PES of it. A packet that
    /// comes twice starts only one.
    fn starts_unit(&self, packet: &Packet<'_>, verdict: Verdict) -> Option<Cut> {
        let cut = self.programme.as_ref()?.cut?;
        let starts = packet.pid == cut.pid
            && packet.unit_start
            && packet.has_payload
            && !matches!(verdict, Verdict::Ignored | Verdict::Repeat);
        starts.then_some(cut)
    }

    fn begin_unit(
        &mut self,
        start: (&Packet<'_>, Cut),
        position: Position,
        now: Instant,
        marks: &mut Marks,
    ) {
        let (Some(programme), Some(pmt_pid)) = (&self.programme, self.pmt_pid) else {
            return;
        };
        let before = Before {
            continuity: &self.continuity,
            pat: self.pat.packets(),
            pmt: self.pmt.packets(),
            pmt_pid,
            pids: programme.pids(),
        };
        self.joins.begin(start, position, &before, now, marks);
    }

    /// Takes up what a packet says.
    fn take(
        &mut self,
        bytes: &Bytes,
        packet: &Packet<'_>,
        verdict: Verdict,
        now: Instant,
        marks: &mut Marks,
    ) {
        self.stats.transport_errors += u64::from(packet.error);
        self.stats.continuity_errors += u64::from(verdict == Verdict::Broken);
        if matches!(verdict, Verdict::Ignored) {
            return;
        }
        self.continuity.note(packet, verdict);
        if verdict == Verdict::Repeat {
            return;
        }
        let gap = matches!(verdict, Verdict::Broken | Verdict::Announced);
        if packet.pid == packet::PAT_PID {
            if self.pat.feed(bytes, packet, gap) {
                self.take_pat(now);
            }
        } else if self.pmt_pid == Some(packet.pid) {
            if self.pmt.feed(bytes, packet, gap) {
                self.take_pmt(packet.pid, now);
            }
        } else if self.cuts_at(packet.pid) {
            if verdict == Verdict::Broken && !packet.unit_start {
                self.joins.give_up();
            }
            self.joins.scan(packet.payload, now, marks);
        }
    }

    fn cuts_at(&self, pid: u16) -> bool {
        self.programme
            .as_ref()
            .and_then(|programme| programme.cut)
            .is_some_and(|cut| cut.pid == pid)
    }

    /// A PAT that says something new: if the first programme is another, or
    /// its PMT is elsewhere, that has to be seen first.
    fn take_pat(&mut self, now: Instant) {
        let first = programme::first_programme(self.pat.entries());
        let number = first.map(|(number, _)| number);
        let pmt_pid = first.map(|(_, pid)| pid);
        if pmt_pid != self.pmt_pid || number != self.pmt.extension() {
            self.pmt.reset(number);
            self.pmt_pid = pmt_pid;
            self.programme = None;
            self.joins.restart(now);
        }
    }

    /// A PMT that says something new. If only descriptors have changed, the
    /// programme is the same.
    fn take_pmt(&mut self, pmt_pid: u16, now: Instant) {
        let programme = Programme::parse(self.pmt.entries(), pmt_pid);
        if self.programme != Some(programme) {
            self.programme = Some(programme);
            self.joins.restart(now);
        }
    }
}

/// Finds the first byte at which packets follow one another, as far as can be
/// seen, for up to `TS_SYNC_PACKETS`.
fn hunt(input: &[u8]) -> Hunt {
    for (offset, &byte) in input.iter().enumerate() {
        if byte != SYNC {
            continue;
        }
        let rest = &input[offset..];
        let mut starts = rest.iter().step_by(TS_PACKET).take(TS_SYNC_PACKETS);
        if starts.all(|&start| start == SYNC) {
            return if rest.len() >= SYNC_BYTES {
                Hunt::Found(offset)
            } else {
                Hunt::Candidate(offset)
            };
        }
    }
    Hunt::Nothing
}

/// Where the packets of a datagram should be: all of it, or the RTP payload.
fn payload(datagram: &[u8]) -> Range<usize> {
    match rtp::parse(datagram) {
        Some(rtp)
            if rtp.kind == rtp::MP2T || datagram[rtp.payload.clone()].first() == Some(&SYNC) =>
        {
            rtp.payload
        }
        _ => 0..datagram.len(),
    }
}
