//! `--ping-compat`: what ping(8) of iputils would print, to the letter, so that
//! programs made to read that can read this. A pure formatter: it is told what
//! happened and gives the text. `show` drives it from the engine.
//!
//! The words are those of iputils 20231222 and later. Before, an IPv6 header had
//! no space before the address in brackets. Names are not looked up backwards:
//! it is as with `-n`. `time` counts to the last probe as it was planned, not as
//! it was sent. A reply from another address than the one pinged is none here.

mod show;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use nearlight::client::ping::Kind;

pub(super) use show::measure;

/// What of ping's own options shows in the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looks {
    /// `-D`: the time before each line.
    pub(crate) stamps: bool,
    /// `-O`: a line for a probe without reply when the next one is due.
    pub(crate) outstanding: bool,
    /// `-q`: no lines but the first and the last.
    pub(crate) quiet: bool,
}

impl Looks {
    /// These, if `wanted`, with what else was asked for: no lines, or `more`.
    ///
    /// # Errors
    /// Says what does not go together.
    pub(crate) fn of(
        self,
        wanted: bool,
        quiet: bool,
        more: bool,
        kind: Option<Kind>,
    ) -> Result<Option<Self>, String> {
        match (wanted, kind) {
            (false, _) if self != Self::default() => {
                Err("-O and -D are of --ping-compat".to_owned())
            }
            (false, _) => Ok(None),
            (true, _) if more => {
                Err("--ping-compat prints lines alone: no JSON, no pictures, no files".to_owned())
            }
            (true, None | Some(Kind::Icmp)) => Ok(Some(Self { quiet, ..self })),
            (true, Some(kind)) => Err(format!("ping has no {kind}: --ping-compat is for icmp")),
        }
    }
}

/// What is pinged, and how.
#[derive(Clone, Debug)]
struct Setup {
    name: String,
    address: IpAddr,
    size: usize,
    interval: Duration,
    count: Option<u64>,
    looks: Looks,
}

/// A reply to probe `sequence`, counted from 1.
#[derive(Clone, Copy, Debug)]
struct Answered {
    sequence: u64,
    bytes: usize,
    from: IpAddr,
    ttl: Option<u8>,
    rtt: Duration,
    duplicate: bool,
}

/// The totals that the engine knows better: a busy printer misses events.
#[derive(Clone, Copy, Debug)]
struct Sums {
    sent: u64,
    received: u64,
}

/// Wall-clock time, nanoseconds since 1970 began.
type Wall = u64;

/// One run, under way.
struct Compat {
    setup: Setup,
    /// Probes sent, as far as is known.
    sent: u64,
    /// Those of the newest probes that have a reply.
    answered: BTreeSet<u64>,
    copies: u64,
    errors: u64,
    /// The most probes that were out at once.
    pipe: u64,
    times: Times,
}

impl Compat {
    fn new(setup: Setup) -> Self {
        let times = Times::default();
        Self { setup, sent: 0, answered: BTreeSet::new(), copies: 0, errors: 0, pipe: 0, times }
    }

    /// The first line.
    fn header(&self) -> String {
        let Setup { name, address, size, .. } = &self.setup;
        match address {
            IpAddr::V4(_) => {
                format!("PING {name} ({address}) {size}({}) bytes of data.\n", size + 28)
            }
            IpAddr::V6(_) => format!("PING {name} ({address}) {size} data bytes\n"),
        }
    }

    /// Takes note that `count` probes have been due by now, and so were sent;
    /// gives the lines of those that have no reply when the next one goes out.
    fn due(&mut self, now: Wall, count: u64) -> String {
        let count = self.setup.count.map_or(count, |all| count.min(all));
        let mut text = String::new();
        while self.sent < count {
            if self.setup.looks.outstanding && self.sent > 0 && !self.answered.contains(&self.sent)
            {
                let stamp = self.stamp(now);
                let _ = writeln!(text, "{stamp}no answer yet for icmp_seq={}", self.sent % 0x10000);
            }
            self.sent += 1;
            let kept = self.sent;
            self.answered.retain(|&sequence| sequence >= kept);
        }
        text
    }

    /// The line of a reply. The probes that were due while it was on its way
    /// were sent before it came.
    fn reply(&mut self, now: Wall, reply: &Answered) -> String {
        let behind = reply.rtt.as_nanos() / self.setup.interval.as_nanos().max(1);
        let behind = u64::try_from(behind).unwrap_or(u64::MAX);
        let mut text = self.due(now, reply.sequence.saturating_add(behind));
        self.acknowledge(reply.sequence);
        if reply.sequence >= self.sent {
            self.answered.insert(reply.sequence);
        }
        self.copies += u64::from(reply.duplicate);
        let micros = u64::try_from(reply.rtt.as_micros()).unwrap_or(u64::MAX);
        self.times.add(micros);
        if self.setup.looks.quiet {
            return text;
        }
        let Answered { sequence, bytes, from, ttl, duplicate, .. } = *reply;
        let stamp = self.stamp(now);
        let _ = write!(text, "{stamp}{bytes} bytes from {from}: icmp_seq={}", sequence % 0x10000);
        if let Some(ttl) = ttl {
            let _ = write!(text, " ttl={ttl}");
        }
        let _ = write!(text, " time={} ms", time(micros));
        text.push_str(if duplicate { " (DUP!)" } else { "" });
        text.push_str(if from == self.setup.address { "\n" } else { " (DIFFERENT ADDRESS!)\n" });
        text
    }

    /// The line of an ICMP error.
    fn trouble(&mut self, now: Wall, from: IpAddr, sequence: u64, what: &str) -> String {
        let mut text = self.due(now, sequence);
        self.errors += 1;
        // ICMPv6's are not acknowledged there.
        if self.setup.address.is_ipv4() {
            self.acknowledge(sequence);
        }
        if !self.setup.looks.quiet {
            let stamp = self.stamp(now);
            let sequence = sequence % 0x10000;
            let _ = writeln!(text, "{stamp}From {from} icmp_seq={sequence} {what}");
        }
        text
    }

    /// What stands at the end.
    fn summary(&self, sums: &Sums) -> String {
        let Sums { sent, received } = *sums;
        let mut text = format!("\n--- {} ping statistics ---\n", self.setup.name);
        let _ = write!(text, "{sent} packets transmitted, {received} received");
        for (number, name) in [(self.copies, "duplicates"), (self.errors, "errors")] {
            if number > 0 {
                let _ = write!(text, ", +{number} {name}");
            }
        }
        if sent > 0 {
            let lost = sent.saturating_sub(received) as f64 * 100.0 / sent as f64;
            let took = self.setup.interval.as_millis() * u128::from(sent - 1);
            let _ = write!(text, ", {}% packet loss, time {took}ms", general(lost));
        }
        text.push('\n');
        let times = if received > 0 { self.times.line() } else { String::new() };
        text.push_str(&times);
        if self.pipe > 1 {
            let comma = if times.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}pipe {}", self.pipe);
        }
        text.push('\n');
        text
    }

    fn acknowledge(&mut self, sequence: u64) {
        self.pipe = self.pipe.max((self.sent + 1).saturating_sub(sequence));
    }

    fn stamp(&self, now: Wall) -> String {
        if !self.setup.looks.stamps {
            return String::new();
        }
        format!("[{}.{:06}] ", now / 1_000_000_000, now % 1_000_000_000 / 1000)
    }
}

/// Sums of round-trip times in microseconds, copies among them.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    count: u64,
    least: u64,
    largest: u64,
    sum: u64,
    /// Of squares. A float, as in iputils: the deviation is cut the same way.
    squares: f64,
}

impl Times {
    fn add(&mut self, micros: u64) {
        self.least = if self.count == 0 { micros } else { self.least.min(micros) };
        self.largest = self.largest.max(micros);
        self.count += 1;
        self.sum = self.sum.saturating_add(micros);
        self.squares += (u128::from(micros) * u128::from(micros)) as f64;
    }

    /// `rtt min/avg/max/mdev = ...`, cut to microseconds everywhere.
    fn line(&self) -> String {
        if self.count == 0 {
            return String::new();
        }
        let mean = self.sum / self.count;
        let variance = if self.sum < i32::MAX as u64 {
            let of_mean = u128::from(self.sum) * u128::from(self.sum) / u128::from(self.count);
            (self.squares - of_mean as f64) / self.count as f64
        } else {
            self.squares / self.count as f64 - (u128::from(mean) * u128::from(mean)) as f64
        };
        // A negative one comes of rounding.
        let deviation = (variance.max(0.0) as u64).isqrt();
        let numbers = [self.least, mean, self.largest, deviation];
        let [least, mean, largest, deviation] =
            numbers.map(|micros| format!("{}.{:03}", micros / 1000, micros % 1000));
        format!("rtt min/avg/max/mdev = {least}/{mean}/{largest}/{deviation} ms")
    }
}

/// A round-trip time in milliseconds: three digits, and all of them below 1.
fn time(micros: u64) -> String {
    let cut = |step: u64| (micros + step / 2) / step * step;
    match micros {
        0..1_000 => format!("0.{micros:03}"),
        1_000..9_995 => format!("{}.{:02}", cut(10) / 1000, cut(10) % 1000 / 10),
        9_995..99_950 => format!("{}.{}", cut(100) / 1000, cut(100) % 1000 / 100),
        _ => (cut(1000) / 1000).to_string(),
    }
}

/// A percentage as C's `%g` has it: six digits, no zeros behind, and a power of
/// ten below 0.0001. First cut to the 24 bits that iputils keeps of it.
fn general(percent: f64) -> String {
    let percent = f64::from(percent as f32);
    let short = |number: &str| match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => number.to_owned(),
    };
    let scientific = format!("{percent:.5e}");
    let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match power.parse().unwrap_or(0) {
        _ if percent == 0.0 => "0".to_owned(),
        power @ ..-4 => format!("{}e-{:02}", short(digits), -power),
        power => short(&format!("{percent:.*}", usize::try_from(5 - power).unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests;
