//! What must hold of a transport stream that a subscriber received, checked
//! from the bytes alone and apart from the server's own parser: ISO/IEC
//! 13818-1 2.4.3 (packets, continuity) and 2.4.4 (tables).

use crate::program::Outcome;
use std::collections::BTreeMap;

const PACKET: usize = 188;
const NULL_PID: u16 = 0x1fff;

/// One 188-byte packet.
#[derive(Clone, Copy)]
struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    fn pid(self) -> u16 {
        u16::from_be_bytes([self.0[1] & 0x1f, self.0[2]])
    }

    fn starts_unit(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    fn counter(self) -> u8 {
        self.0[3] & 0x0f
    }

    fn has_payload(self) -> bool {
        self.0[3] & 0x10 != 0
    }

    /// Flags of the adaptation field, zero where there is none.
    fn flags(self) -> u8 {
        let there = self.0[3] & 0x20 != 0 && self.0[4] > 0;
        if there { self.0[5] } else { 0 }
    }

    fn discontinuity(self) -> bool {
        self.flags() & 0x80 != 0
    }

    fn random_access(self) -> bool {
        self.flags() & 0x40 != 0
    }

    /// The section that begins in this packet, from `table_id` on.
    fn section(self) -> &'a [u8] {
        let adaptation = if self.0[3] & 0x20 != 0 { 1 + usize::from(self.0[4]) } else { 0 };
        let payload = self.0.get(4 + adaptation..).unwrap_or(&[]);
        let pointer = payload.first().map_or(0, |skip| 1 + usize::from(*skip));
        payload.get(pointer..).unwrap_or(&[])
    }
}

fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    bytes.chunks_exact(PACKET).map(Packet)
}

fn pid_at(section: &[u8], at: usize) -> Option<u16> {
    let bytes = section.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0] & 0x1f, bytes[1]]))
}

/// PID of the first programme's PMT.
fn pmt_pid(pat: &[u8]) -> Option<u16> {
    let programmes = pat.get(8..)?.chunks_exact(4);
    programmes.filter(|entry| entry[..2] != [0, 0]).find_map(|entry| pid_at(entry, 2))
}

/// PID of the first H.264 stream.
fn video_pid(pmt: &[u8]) -> Option<u16> {
    let mut at = 12 + usize::from(pid_at(pmt, 10)? & 0x0fff);
    let end = 3 + usize::from(pid_at(pmt, 1)? & 0x0fff) - 4;
    while at + 5 <= end {
        if *pmt.get(at)? == 0x1b {
            return pid_at(pmt, at + 1);
        }
        at += 5 + usize::from(pid_at(pmt, at + 3)? & 0x0fff);
    }
    None
}

/// Whole packets, each with its sync byte, no error flagged, and every PID's
/// continuity counter in order: one more with each payload, once repeated at
/// most, or a discontinuity announced.
pub(crate) fn continuous(bytes: &[u8]) -> Outcome {
    if bytes.is_empty() || !bytes.len().is_multiple_of(PACKET) {
        return Err(format!("{} bytes are no whole TS packets", bytes.len()));
    }
    let mut seen: BTreeMap<u16, (u8, bool)> = BTreeMap::new();
    for (index, packet) in packets(bytes).enumerate() {
        if packet.0[0] != 0x47 {
            return Err(format!("packet {index} has no sync byte"));
        }
        if packet.0[1] & 0x80 != 0 {
            return Err(format!("packet {index} is flagged as damaged"));
        }
        let (pid, counter) = (packet.pid(), packet.counter());
        if pid == NULL_PID {
            continue;
        }
        let mut repeated = false;
        if let Some(&(last, was_repeated)) = seen.get(&pid) {
            repeated = packet.has_payload() && counter == last && !was_repeated;
            let next = if packet.has_payload() { (last + 1) & 0x0f } else { last };
            if counter != next && !repeated && !packet.discontinuity() {
                return Err(format!("packet {index}: PID {pid:#x} counts {counter} after {last}"));
            }
        }
        seen.insert(pid, (counter, repeated));
    }
    Ok(())
}

/// PAT, then PMT, then a random-access point of the video: what a decoder
/// needs to start at once.
pub(crate) fn starts_clean(bytes: &[u8]) -> Outcome {
    let mut all = packets(bytes);
    let (pat, pmt) = (all.next(), all.next());
    let pat = pat.filter(|packet| packet.pid() == 0 && packet.starts_unit());
    let pmt_wanted = pat.and_then(|packet| pmt_pid(packet.section()));
    let pmt = pmt.filter(|packet| Some(packet.pid()) == pmt_wanted && packet.starts_unit());
    let Some(video) = pmt.and_then(|packet| video_pid(packet.section())) else {
        let pids: Vec<String> =
            packets(bytes).take(4).map(|packet| format!("{:#x}", packet.pid())).collect();
        return Err(format!("starts with PIDs {pids:?}, not with PAT and PMT"));
    };
    let first = all.find(|packet| packet.pid() == video);
    if first.is_some_and(|packet| packet.random_access() && packet.starts_unit()) {
        return Ok(());
    }
    Err("the first video packet is not a random-access point".to_owned())
}

/// Packets of PAT and PMT at the front.
fn leading_tables(bytes: &[u8]) -> usize {
    let pmt = packets(bytes).next().and_then(|pat| pmt_pid(pat.section()));
    packets(bytes).take_while(|packet| packet.pid() == 0 || Some(packet.pid()) == pmt).count()
}

/// Offset in `sent` where `got`, less the tables at its front, stands: from
/// there to the end of `sent` they must be the same.
pub(crate) fn joined_at(got: &[u8], sent: &[u8]) -> Outcome<usize> {
    let tables = leading_tables(got);
    for skipped in 0..=tables {
        let rest = &got[skipped * PACKET..];
        if !rest.is_empty() && sent.ends_with(rest) {
            return Ok(sent.len() - rest.len());
        }
    }
    let rest = &got[tables * PACKET..];
    let probe = &rest[..rest.len().min(4 * PACKET)];
    let start = (0..sent.len())
        .step_by(PACKET)
        .find(|at| !probe.is_empty() && sent[*at..].starts_with(probe));
    let Some(start) = start else {
        return Err(format!(
            "{} bytes received begin nowhere in the {} sent",
            got.len(),
            sent.len()
        ));
    };
    let same = rest.iter().zip(&sent[start..]).take_while(|(a, b)| a == b).count();
    Err(format!(
        "received {} bytes, {tables} packets of tables first; from offset {start} of {} sent \
         they agree for {same} bytes",
        got.len(),
        sent.len()
    ))
}

/// Shows the rules above streams that break each of them.
pub(crate) fn notices_what_is_wrong() -> Outcome {
    let packet = |pid: u8, counter: u8| {
        let mut bytes = vec![0xff; PACKET];
        bytes[..4].copy_from_slice(&[0x47, 0, pid, 0x10 | counter]);
        bytes
    };
    let stream = |counters: &[u8]| -> Vec<u8> {
        counters.iter().flat_map(|counter| packet(9, *counter)).collect()
    };
    let good = stream(&[14, 15, 0, 0, 1]);
    continuous(&good)?;
    let mut damaged = good.clone();
    damaged[PACKET] = 0;
    let wrong = [
        ("a gap", stream(&[1, 3])),
        ("a packet three times", stream(&[1, 1, 1])),
        ("a lost sync byte", damaged),
        ("a cut packet", good[1..].to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, bytes) in wrong {
        if continuous(&bytes).is_ok() {
            return Err(format!("{what} goes unnoticed"));
        }
    }
    if joined_at(&good[PACKET..], &good) != Ok(PACKET) {
        return Err("a join at the second packet is not found".to_owned());
    }
    for (what, got) in
        [("a missing end", &good[..3 * PACKET]), ("a strange beginning", &stream(&[7, 1])[..])]
    {
        if joined_at(got, &good).is_ok() {
            return Err(format!("{what} goes unnoticed"));
        }
    }
    match starts_clean(&good) {
        Ok(()) => Err("a start without tables goes unnoticed".to_owned()),
        Err(_) => Ok(()),
    }
}
