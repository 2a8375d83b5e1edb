//! Join points of a TS: where they are, and what a subscriber that starts or
//! resumes there is sent first.
//!
//! Whether a PES is a join point may be known only packets after it began.
//! What is sent first has to be as of its beginning, so that is copied then,
//! into a place of fixed size, and allocated when the point is published.

use super::continuity::Continuity;
use super::packet::{self, Bytes, Packet};
use super::programme::Cut;
use super::scan::{Found, Scan};
use crate::base::{Instant, Position};
use crate::framing::{JoinMark, Marks};
use crate::limits::{TS_NO_KEY, TS_PACKET, TS_PIDS, TS_TABLE_PACKETS};
use std::sync::Arc;

/// PIDs below this carry tables of the whole stream: CAT, NIT, SDT, EIT, TDT
/// (ISO/IEC 13818-1 table 2-3, ETSI EN 300 468 table 1).
const TABLE_PIDS: u16 = 0x20;
/// PAT and PMT, the programme's PIDs, and the other tables'.
const COUNTERS: usize = 2 + TS_PIDS + TABLE_PIDS as usize;

/// Finds join points and publishes them.
#[derive(Debug)]
pub(super) struct Joins {
    /// The PES that is being looked at.
    unit: Option<Unit>,
    snapshot: Snapshot,
    /// When the last real random-access point was, at first: when looking for
    /// one began.
    key_at: Instant,
    /// What the last join point sends first; most often the next does too.
    fresh: Arc<[u8]>,
    /// Where `resume` is put together.
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Unit {
    position: Position,
    published: bool,
    scan: Scan,
}

/// The tables and counters that a PES start finds: what stands before it in
/// the stream, as a subscriber needs it.
pub(super) struct Before<'a> {
    pub(super) continuity: &'a Continuity,
    pub(super) pat: &'a [Bytes],
    pub(super) pmt: &'a [Bytes],
    pub(super) pmt_pid: u16,
    /// PCR PID and elementary PIDs.
    pub(super) pids: &'a [u16],
}

impl Joins {
    pub(super) fn new() -> Self {
        Self {
            unit: None,
            snapshot: Snapshot::new(),
            key_at: Instant::ZERO,
            fresh: Arc::default(),
            scratch: Vec::new(),
        }
    }

    /// The programme has changed: nothing begun under the old one counts.
    pub(super) fn restart(&mut self, now: Instant) {
        self.unit = None;
        self.key_at = now;
    }

    /// A PES of the stream to cut at begins with `packet`, at `position`.
    pub(super) fn begin(
        &mut self,
        (packet, cut): (&Packet<'_>, Cut),
        position: Position,
        before: &Before<'_>,
        now: Instant,
        marks: &mut Marks,
    ) {
        self.unit = None;
        if !self.snapshot.take(before, packet) {
            return;
        }
        let key = packet.random_access || cut.codec.starts_anywhere();
        let any = now.since(self.key_at) >= TS_NO_KEY;
        if key {
            self.key_at = now;
        }
        if key || any {
            self.publish(position, marks);
        }
        if !key && !packet.scrambled {
            self.unit = Some(Unit { position, published: any, scan: Scan::new(cut.codec) });
        }
    }

    /// Nobody has said for long what the packets are: one place is as good as
    /// another, and there is nothing to send first.
    pub(super) fn anywhere(&self, position: Position, marks: &mut Marks) {
        let nothing: Arc<[u8]> = Arc::default();
        marks.joins.push(JoinMark { position, fresh: Arc::clone(&nothing), resume: nothing });
    }

    /// The PES at hand has lost packets: what it is can't be told any more.
    pub(super) fn give_up(&mut self) {
        self.unit = None;
    }

    /// Looks at the next payload of the PES at hand.
    pub(super) fn scan(&mut self, payload: &[u8], now: Instant, marks: &mut Marks) {
        let Some(unit) = &mut self.unit else { return };
        let (position, published) = (unit.position, unit.published);
        match unit.scan.feed(payload) {
            Found::Nothing => return,
            Found::Other => {}
            Found::Key => {
                self.key_at = now;
                if !published {
                    self.publish(position, marks);
                }
            }
        }
        self.unit = None;
    }

    fn publish(&mut self, position: Position, marks: &mut Marks) {
        let snapshot = &self.snapshot;
        if *self.fresh != *snapshot.fresh() {
            self.fresh = Arc::from(snapshot.fresh());
        }
        self.scratch.clear();
        for &(pid, counter) in snapshot.counters() {
            self.scratch.extend_from_slice(&packet::discontinuity(pid, counter));
        }
        self.scratch.extend_from_slice(snapshot.fresh());
        marks.joins.push(JoinMark {
            position,
            fresh: Arc::clone(&self.fresh),
            resume: Arc::from(self.scratch.as_slice()),
        });
    }
}

/// What to send first at one PES start, copied.
#[derive(Debug)]
struct Snapshot {
    /// PAT, then PMT.
    tables: [Bytes; 2 * TS_TABLE_PACKETS],
    table_count: usize,
    /// PID, and the counter that its next packet comes after.
    counters: [(u16, u8); COUNTERS],
    counter_count: usize,
}

impl Snapshot {
    const fn new() -> Self {
        Self {
            tables: [[0; TS_PACKET]; 2 * TS_TABLE_PACKETS],
            table_count: 0,
            counters: [(0, 0); COUNTERS],
            counter_count: 0,
        }
    }

    /// Copies what stands before the PES that `start` begins; false if PAT or
    /// PMT have not been seen.
    fn take(&mut self, before: &Before<'_>, start: &Packet<'_>) -> bool {
        self.table_count = 0;
        self.counter_count = 0;
        let tables = [(packet::PAT_PID, before.pat), (before.pmt_pid, before.pmt)];
        for (pid, packets) in tables {
            let Some(last) = before.continuity.last(pid) else {
                return false;
            };
            if packets.is_empty() {
                return false;
            }
            self.add_table(pid, packets, last);
        }
        for &pid in before.pids {
            // The counter of the PES itself is known better than from the
            // packet before it, which may have been lost.
            let last = before.continuity.last(pid).map(|last| {
                if pid == start.pid { start.counter.wrapping_sub(1) & 0x0F } else { last }
            });
            self.add_counter(pid, last);
        }
        for pid in 1..TABLE_PIDS {
            let last = before.continuity.last(pid);
            if last.is_some() && pid != before.pmt_pid && !before.pids.contains(&pid) {
                self.add_counter(pid, last);
            }
        }
        true
    }

    /// Adds a table's packets, numbered so that the next of their PID follows
    /// them. Most often that is how they were; but other packets of the PID
    /// may have come since.
    fn add_table(&mut self, pid: u16, packets: &[Bytes], last: u8) {
        let before_first = last.wrapping_sub(packets.len() as u8);
        self.add_counter(pid, Some(before_first & 0x0F));
        let places = &mut self.tables[self.table_count..][..packets.len()];
        places.copy_from_slice(packets);
        for (place, counter) in places.iter_mut().zip(1..) {
            place[3] = place[3] & 0xF0 | (before_first.wrapping_add(counter) & 0x0F);
        }
        self.table_count += packets.len();
    }

    fn add_counter(&mut self, pid: u16, last: Option<u8>) {
        if let (Some(last), Some(place)) = (last, self.counters.get_mut(self.counter_count)) {
            *place = (pid, last);
            self.counter_count += 1;
        }
    }

    /// PAT and PMT packets.
    fn fresh(&self) -> &[u8] {
        self.tables[..self.table_count].as_flattened()
    }

    fn counters(&self) -> &[(u16, u8)] {
        &self.counters[..self.counter_count]
    }
}
