//! What the system's `ping` says, line by line: iputils and busybox, with the
//! BSD family's replies understood where they are the same. No process here.
//!
//! Lines are matched on their keys (`icmp_seq=`, `time=`), never on how they
//! begin: sizes, `-D` stamps and names vary. A number that can't be read for
//! certain makes the line [`Line::Other`], never a wrong number.

use std::time::Duration;

use crate::limits::PING_LINE_BYTES;

/// Whose ping it is, as far as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// iputils: `56(84) bytes of data.`, `icmp_seq=` from 1.
    Iputils,
    /// busybox: `: 56 data bytes`, `seq=` from 0.
    Busybox,
}

/// One line of output, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The first line.
    Header(Dialect),
    /// A reply to probe `sequence`.
    Reply {
        /// As printed: iputils counts from 1, busybox from 0.
        sequence: u64,
        /// Bytes of the reply.
        bytes: u64,
        /// Who replied.
        from: &'a str,
        /// Time to live or hop limit.
        ttl: Option<u8>,
        /// Round-trip time, absent with fewer than 16 bytes of data.
        time: Option<Duration>,
        /// A second copy of a reply.
        duplicate: bool,
        /// Its checksum or contents are wrong.
        corrupt: bool,
    },
    /// An ICMP error in answer to probe `sequence`.
    Trouble {
        /// As printed.
        sequence: u64,
        /// Who reported it.
        from: &'a str,
        /// What, such as `Destination Host Unreachable`.
        what: &'a str,
    },
    /// Probe `sequence` had no answer when the next was due (`-O`).
    Outstanding {
        /// As printed.
        sequence: u64,
    },
    /// The totals.
    Summary {
        /// Probes sent.
        sent: u64,
        /// Replies, copies left out.
        received: u64,
        /// Copies.
        duplicates: u64,
        /// ICMP errors.
        errors: u64,
    },
    /// `ping: ...`, a complaint.
    Complaint(&'a str),
    /// Anything else.
    Other,
}

/// Reads one line, without its end.
pub fn read_line(line: &str) -> Line<'_> {
    let line = after_stamp(line.trim_end());
    if let Some(rest) = line.strip_prefix("PING ") {
        return read_header(rest);
    }
    for name in ["ping: ", "ping6: "] {
        if let Some(complaint) = line.strip_prefix(name) {
            return Line::Complaint(complaint);
        }
    }
    if let Some(sequence) = line.strip_prefix("no answer yet for icmp_seq=") {
        return sequence.parse().map_or(Line::Other, |sequence| Line::Outstanding { sequence });
    }
    if line.contains(" packets transmitted, ") {
        return read_summary(line).unwrap_or(Line::Other);
    }
    if let Some(rest) = line.strip_prefix("From ") {
        return read_trouble(rest).unwrap_or(Line::Other);
    }
    read_reply(line).unwrap_or(Line::Other)
}

/// What follows the `[seconds.micros]` of `ping -D`.
fn after_stamp(line: &str) -> &str {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .filter(|(stamp, _)| stamp.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        .map_or(line, |(_, rest)| rest)
}

fn read_header(rest: &str) -> Line<'_> {
    if rest.contains("): ") && rest.ends_with(" data bytes") {
        Line::Header(Dialect::Busybox)
    } else if rest.contains(" bytes of data.") || rest.ends_with(" data bytes") {
        Line::Header(Dialect::Iputils)
    } else {
        Line::Other
    }
}

/// `64 bytes from 192.0.2.1: icmp_seq=1 ttl=57 time=9.83 ms (DUP!)`.
fn read_reply(line: &str) -> Option<Line<'_>> {
    let (bytes, rest) = line.split_once(" bytes from ")?;
    // An IPv6 address has colons of its own; the one that ends it has a space.
    let (from, fields) = rest.split_once(": ")?;
    let sequence = value(fields, "icmp_seq=").or_else(|| value(fields, "seq="))?;
    let ttl = value(fields, "ttl=").map(str::parse).transpose().ok()?;
    let time = match value(fields, "time=").or_else(|| value(fields, "time<")) {
        Some(number) => {
            let unit = fields.split_once("time")?.1.split_once(' ')?.1;
            Some(milliseconds(number).filter(|_| unit.split(' ').next() == Some("ms"))?)
        }
        None => None,
    };
    Some(Line::Reply {
        sequence: sequence.parse().ok()?,
        bytes: bytes.parse().ok()?,
        from,
        ttl,
        time,
        duplicate: fields.contains("(DUP!)"),
        corrupt: fields.contains("(BAD CHECKSUM!)") || fields.contains("wrong data byte"),
    })
}

/// `192.0.2.1 icmp_seq=1 Destination Host Unreachable`, with a colon after the
/// address in newer versions.
fn read_trouble(rest: &str) -> Option<Line<'_>> {
    let (from, rest) = rest.split_once(" icmp_seq=")?;
    let (sequence, what) = rest.split_once(' ')?;
    Some(Line::Trouble { sequence: sequence.parse().ok()?, from: from.trim_end_matches(':'), what })
}

/// `4 packets transmitted, 3 received, +1 duplicates, 25% packet loss, ...`,
/// `3 packets received` in other dialects.
fn read_summary(line: &str) -> Option<Line<'_>> {
    let (sent, rest) = line.split_once(" packets transmitted, ")?;
    let (mut received, mut duplicates, mut errors) = (None, 0, 0);
    for part in rest.split(", ") {
        let (number, what) = part.split_once(' ')?;
        match what {
            "received" | "packets received" => received = Some(number.parse().ok()?),
            "duplicates" => duplicates = number.strip_prefix('+')?.parse().ok()?,
            "errors" => errors = number.strip_prefix('+')?.parse().ok()?,
            _ => {}
        }
    }
    Some(Line::Summary { sent: sent.parse().ok()?, received: received?, duplicates, errors })
}

/// The word that follows `key`, where `key` begins a word of `fields`.
fn value<'a>(fields: &'a str, key: &str) -> Option<&'a str> {
    fields.split(' ').find_map(|word| word.strip_prefix(key))
}

/// A decimal number of milliseconds, to the nanosecond. A decimal comma, which
/// some locales print, is refused: `30,406` is not thirty seconds.
fn milliseconds(number: &str) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let nanos: u64 = fraction.parse().ok()?;
    let nanos = nanos * 10u64.pow(6 - fraction.len() as u32);
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(nanos).map(Duration::from_nanos)
}

/// Cuts bytes as they come from a pipe into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// Takes bytes; whole lines are then in [`Self::pop`].
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line, or the first [`PING_LINE_BYTES`] of a longer one.
    pub(super) fn pop(&mut self) -> Option<String> {
        let end = self.held.iter().position(|&b| b == b'\n');
        let (line, used) = match end {
            Some(end) => (end.min(PING_LINE_BYTES), end + 1),
            None if self.held.len() > PING_LINE_BYTES => (PING_LINE_BYTES, PING_LINE_BYTES),
            None => return None,
        };
        let text = String::from_utf8_lossy(self.held.get(..line)?).into_owned();
        self.held.drain(..used);
        Some(text)
    }

    /// What is left at the end of the pipe, a line without its end.
    pub(super) fn rest(&mut self) -> Option<String> {
        let left = std::mem::take(&mut self.held);
        (!left.is_empty()).then(|| String::from_utf8_lossy(&left).into_owned())
    }
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
