//! What other programs' `ping` says, line by line: iputils, busybox, inetutils,
//! and macOS with the BSDs. No process here.
//!
//! Lines are matched on their keys (`icmp_seq=`, `time=`), never on how they
//! begin: sizes, `-D` stamps and names vary. A number that can't be read for
//! certain makes the line [`Line::Other`], never a wrong number. Lines are those
//! of the C locale, in which pings are run here; of other languages' lines only
//! those are read that have the same words.
//!
//! How the dialects differ, by their sources and by what is in `recorded/`:
//!
//! | | header | reply | errors | rtt line |
//! |---|---|---|---|---|
//! | iputils | `A (A) 56(84) bytes of data.` | `icmp_seq=` from 1 | `From A icmp_seq=1 ...` | `rtt min/avg/max/mdev` |
//! | busybox | `A (A): 56 data bytes` | `seq=` from 0 | none | `round-trip min/avg/max` |
//! | inetutils | the same | `icmp_seq=` from 0 | `36 bytes from A: ...` | `.../stddev` |
//! | macOS, BSD | the same; IPv6 `PING6(56=40+8+8 bytes) A --> A` | the same; IPv6 `A, icmp_seq=` | the same | `.../stddev`, IPv6 `/std-dev` |

use std::fmt;
use std::time::Duration;

use crate::limits::PING_LINE_BYTES;

/// Whose ping it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Of most Linux distributions.
    Iputils,
    /// Of Alpine, of routers.
    Busybox,
    /// GNU's.
    Inetutils,
    /// Of macOS and the BSDs.
    Bsd,
}

/// What an exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There were replies.
    Replies,
    /// There were none, or not as many as were asked for.
    NoReply,
    /// It could not ping, and says why.
    Failed,
}

impl Dialect {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iputils => "iputils",
            Self::Busybox => "busybox",
            Self::Inetutils => "inetutils",
            Self::Bsd => "bsd",
        }
    }

    /// What its exit code means. busybox and inetutils say 1 for anything, and
    /// mean a failure if they complained; macOS, FreeBSD and NetBSD say 2 for no
    /// reply, OpenBSD 1, and all of them a number of sysexits(3) for failures.
    pub const fn ended(self, code: i32) -> Ended {
        match (self, code) {
            (_, 0) => Ended::Replies,
            (_, 1) | (Self::Bsd, 2) => Ended::NoReply,
            _ => Ended::Failed,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a header is worded, as far as numbers depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// iputils's: its probes count from 1.
    FromOne,
    /// All others': theirs count from 0.
    FromZero,
}

/// One line of output, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The first line.
    Header(Header),
    /// A reply to a probe.
    Reply(Reply<'a>),
    /// The reply of the line before has other contents, or another length,
    /// than was sent.
    Damage,
    /// An ICMP error in answer to a probe.
    Trouble {
        /// As printed: the low 16 bits of the probe's number. Only iputils
        /// tells it.
        sequence: Option<u16>,
        /// Who reported it.
        from: &'a str,
        /// What, such as `Destination Host Unreachable`.
        what: &'a str,
    },
    /// A probe had no answer when the next was due: `-O` of iputils, `Request
    /// timeout` of macOS. It may still be answered.
    Outstanding {
        /// As printed, 16 bits.
        sequence: u16,
    },
    /// The totals.
    Summary(Totals),
    /// The line below the totals.
    Times(Times),
    /// `ping: ...`, a complaint.
    Complaint(&'a str),
    /// Anything else.
    Other,
}

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// As printed: the low 16 bits of the probe's number.
    pub sequence: u16,
    /// Bytes of the ICMP message.
    pub bytes: u64,
    /// Who replied; with a name, `name (address)`.
    pub from: &'a str,
    /// Time to live or hop limit.
    pub ttl: Option<u8>,
    /// Round-trip time, absent where the probe has no room for a time stamp,
    /// and in what iputils says of a truncated reply.
    pub time: Option<Duration>,
    /// A second copy of a reply.
    pub duplicate: bool,
    /// Its checksum is wrong.
    pub corrupt: bool,
    /// It is shorter than what was sent.
    pub truncated: bool,
    /// It came from another address than the one pinged.
    pub elsewhere: bool,
}

/// The totals at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Probes sent.
    pub sent: u64,
    /// Replies, copies left out.
    pub received: u64,
    /// Copies.
    pub duplicates: u64,
    /// Replies with a wrong checksum; they are in none of the others.
    pub corrupted: u64,
    /// ICMP errors; only iputils counts them.
    pub errors: u64,
    /// Replies after the time to wait, which macOS and FreeBSD count as
    /// received and don't print.
    pub out_of_time: u64,
}

/// The times at the end; every copy's is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The least.
    pub min: Duration,
    /// The mean.
    pub avg: Duration,
    /// The largest.
    pub max: Duration,
    /// The standard deviation; busybox has none.
    pub deviation: Option<Duration>,
}

/// Reads one line, without its end.
pub fn read_line(line: &str) -> Line<'_> {
    let line = after_stamp(line.trim_end());
    if let Some(complaint) = ["ping: ", "ping6: "].iter().find_map(|name| line.strip_prefix(name)) {
        return Line::Complaint(complaint);
    }
    if line.starts_with("wrong data byte ") || line.starts_with("wrong total length ") {
        return Line::Damage;
    }
    read_header(line)
        .or_else(|| read_outstanding(line))
        .or_else(|| read_summary(line))
        .or_else(|| read_times(line))
        .or_else(|| read_trouble(line))
        .or_else(|| read_reply(line))
        .unwrap_or(Line::Other)
}

/// What follows the `[seconds.micros] ` of `ping -D`.
fn after_stamp(line: &str) -> &str {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .filter(|(stamp, _)| stamp.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        .map_or(line, |(_, rest)| rest)
}

fn read_header(line: &str) -> Option<Line<'_>> {
    let of_bsd = line.starts_with("PING6(") || line.starts_with("PING(");
    if of_bsd && line.contains(" bytes) ") && line.contains(" --> ") {
        return Some(Line::Header(Header::FromZero));
    }
    let rest = line.strip_prefix("PING ")?;
    if rest.contains(" bytes of data.") {
        return Some(Line::Header(Header::FromOne));
    }
    // `, id 0x5ab2 = 23218` is inetutils's with `-v`.
    let rest = rest.split_once(", id 0x").map_or(rest, |(before, _)| before);
    let addresses = rest.strip_suffix(" data bytes")?.rsplit_once(": ");
    // A colon ends the addresses of all but iputils, which has one of its own
    // where it names a source: `from 2001:db8::1 eth0: 56 data bytes`, two words.
    let source = addresses.map(|(before, _)| before.split_once(" from ").unwrap_or_default().1);
    Some(Line::Header(match source {
        Some(source) if !source.contains(' ') => Header::FromZero,
        Some(_) | None => Header::FromOne,
    }))
}

/// `no answer yet for icmp_seq=1`, `Request timeout for icmp_seq 0`, and of
/// ping6 `Request timeout for seq 0`.
fn read_outstanding(line: &str) -> Option<Line<'_>> {
    let sequence = match line.strip_prefix("no answer yet for icmp_seq=") {
        Some(sequence) => sequence,
        None => {
            let (_, rest) = line.split_once("Request timeout for ")?;
            rest.strip_prefix("icmp_seq ").or_else(|| rest.strip_prefix("seq "))?
        }
    };
    Some(Line::Outstanding { sequence: whole(sequence)? })
}

/// `64 bytes from 192.0.2.1: icmp_seq=1 ttl=57 time=9.83 ms (DUP!)`, and of the
/// BSDs' IPv6 `16 bytes from ::1, icmp_seq=0 hlim=64 time=0.036 ms(DUP!)`.
fn read_reply(line: &str) -> Option<Line<'_>> {
    let (before, rest) = line.split_once(" bytes from ")?;
    // An IPv6 address has colons of its own; the one that ends it has a space.
    let (from, fields) = rest.split_once(": ").or_else(|| rest.split_once(", "))?;
    let sequence = value(fields, "icmp_seq=").or_else(|| value(fields, "seq="))?;
    let ttl = match value(fields, "ttl=").or_else(|| value(fields, "hlim=")) {
        Some(number) => Some(whole(number)?),
        None => None,
    };
    let time = match fields.split_once(" time=") {
        Some((_, rest)) => Some(reply_time(rest)?),
        None if fields.contains("time") => return None,
        None => None,
    };
    Some(Line::Reply(Reply {
        sequence: whole(sequence)?,
        // macOS has `--apple-time`, which stands before.
        bytes: whole(before.rsplit(' ').next()?)?,
        from,
        ttl,
        time,
        // NetBSD leaves the brackets out.
        duplicate: fields.contains("DUP!"),
        corrupt: fields.contains("(BAD CHECKSUM!)"),
        truncated: fields.contains("(truncated)") || fields.contains("(TRUNC!)"),
        elsewhere: fields.contains("(DIFFERENT ADDRESS!)"),
    }))
}

/// `9.83 ms`, with whatever may follow that word.
fn reply_time(text: &str) -> Option<Duration> {
    let (number, rest) = text.split_once(' ')?;
    let rest = rest.strip_prefix("ms")?;
    if rest.starts_with(char::is_alphanumeric) {
        return None;
    }
    // iputils rounds to three digits, and so to whole milliseconds from 100 on.
    // toybox does always: its 0 may be anything below 1.
    let time = milliseconds(number)?;
    (number.contains('.') || time >= Duration::from_millis(100)).then_some(time)
}

/// `From 192.0.2.1 icmp_seq=1 Destination Host Unreachable`, with a colon after
/// the address in some versions, and of the others `36 bytes from 192.0.2.1:
/// Destination Host Unreachable`. A redirect is none: the probe goes on.
fn read_trouble(line: &str) -> Option<Line<'_>> {
    let (sequence, from, what) = match line.strip_prefix("From ") {
        Some(rest) => {
            let (from, rest) = rest.split_once(" icmp_seq=")?;
            let (sequence, what) = rest.split_once(' ')?;
            (Some(whole(sequence)?), from.trim_end_matches(':'), what)
        }
        None => {
            let (before, rest) = line.split_once(" bytes from ")?;
            whole::<u64>(before.rsplit(' ').next()?)?;
            let (from, what) = rest.split_once(": ")?;
            // No more than a word with a number that can't be read makes a reply
            // look like this.
            let of_reply = ["seq=", "ttl=", "hlim=", "time="].iter().any(|key| what.contains(key));
            (None, from, (!of_reply).then_some(what)?)
        }
    };
    let passing =
        ["Redirect", "Source Quench", "Echo Re"].iter().any(|word| what.starts_with(word));
    (!passing && !what.is_empty()).then_some(Line::Trouble { sequence, from, what })
}

/// `4 packets transmitted, 3 received, +1 duplicates, 25% packet loss, ...`,
/// `3 packets received` in other dialects.
fn read_summary(line: &str) -> Option<Line<'_>> {
    let (sent, rest) = line.split_once(" packets transmitted, ")?;
    let mut totals = Totals { sent: whole(sent)?, ..Totals::default() };
    let mut received = None;
    for part in rest.split(", ") {
        let (number, what) = part.split_once(' ')?;
        let plain = number.strip_prefix('+').unwrap_or(number);
        match what {
            "received" | "packets received" => received = Some(whole(number)?),
            "duplicates" => totals.duplicates = whole(plain)?,
            "corrupted" => totals.corrupted = whole(plain)?,
            "errors" => totals.errors = whole(plain)?,
            "packets out of wait time" => totals.out_of_time = whole(number)?,
            _ => {}
        }
    }
    totals.received = received?;
    Some(Line::Summary(totals))
}

/// `rtt min/avg/max/mdev = 0.045/0.117/0.262/0.102 ms`, `round-trip min/avg/max
/// = 0.1/0.2/0.3 ms`, with `/stddev` or `/std-dev` in some.
fn read_times(line: &str) -> Option<Line<'_>> {
    let rest = line.strip_prefix("rtt ").or_else(|| line.strip_prefix("round-trip "))?;
    let (names, rest) = rest.split_once(" = ")?;
    let deviates = match names.strip_prefix("min/avg/max")? {
        "" => false,
        "/mdev" | "/stddev" | "/std-dev" => true,
        _ => return None,
    };
    let (numbers, rest) = rest.split_once(' ')?;
    if rest != "ms" && !rest.starts_with("ms, ") {
        return None;
    }
    let mut numbers = numbers.split('/').map(|number| {
        // toybox's whole milliseconds are refused here too.
        number.contains('.').then(|| milliseconds(number)).flatten()
    });
    let times = Times {
        min: numbers.next()??,
        avg: numbers.next()??,
        max: numbers.next()??,
        deviation: if deviates { Some(numbers.next()??) } else { None },
    };
    numbers.next().is_none().then_some(Line::Times(times))
}

/// The word that follows `key`, where `key` begins a word of `fields`.
fn value<'a>(fields: &'a str, key: &str) -> Option<&'a str> {
    fields.split([' ', '\t']).find_map(|word| word.strip_prefix(key))
}

/// A whole number, of digits alone and within its type.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A decimal number of milliseconds, to the nanosecond. A decimal comma, which
/// some locales print, is refused: `30,406` is not thirty seconds.
fn milliseconds(number: &str) -> Option<Duration> {
    let (millis, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.len() > 6 {
        return None;
    }
    let nanos = whole::<u64>(fraction)? * 10u64.pow(6 - fraction.len() as u32);
    let millis: u64 = whole(millis)?;
    millis.checked_mul(1_000_000)?.checked_add(nanos).map(Duration::from_nanos)
}

/// Cuts bytes as they come from a pipe into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    /// Inside a line that was too long.
    skipping: bool,
}

impl Lines {
    /// Takes bytes; whole lines are then in [`Self::pop`].
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line. One longer than [`PING_LINE_BYTES`] is left out: no
    /// ping prints such, and half of one could be misread.
    pub(super) fn pop(&mut self) -> Option<String> {
        loop {
            let end = self.held.iter().position(|&b| b == b'\n');
            let too_long = end.unwrap_or(self.held.len()) > PING_LINE_BYTES;
            let Some(end) = end else {
                if too_long || self.skipping {
                    self.held.clear();
                    self.skipping = true;
                }
                return None;
            };
            let line = self.held.get(..end).unwrap_or_default();
            let text =
                (!too_long && !self.skipping).then(|| String::from_utf8_lossy(line).into_owned());
            self.held.drain(..=end);
            self.skipping = false;
            if text.is_some() {
                return text;
            }
        }
    }

    /// Whether the line to come is there already and says that the one before
    /// is of a damaged reply: pings print the two together.
    pub(super) fn tell_of_damage(&self) -> bool {
        self.held.starts_with(b"wrong data byte ") || self.held.starts_with(b"wrong total length ")
    }

    /// What is left at the end of the pipe, a line without its end.
    pub(super) fn rest(&mut self) -> Option<String> {
        let left = std::mem::take(&mut self.held);
        (!left.is_empty() && !self.skipping).then(|| String::from_utf8_lossy(&left).into_owned())
    }
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "dialect_fuzz.rs"]
mod fuzz;
