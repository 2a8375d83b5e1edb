//! What the system's ping printed about single replies, held against the totals
//! that it prints in the end: lines that were misread, or got lost on their way
//! through the pipe, show here.

use std::time::Duration;

use super::dialect::{Reply, Times, Totals};

/// Replies as they were printed; copies among them, corrupt ones not, as in
/// the totals of all pings.
#[derive(Debug, Default)]
pub(super) struct Printed {
    replies: u64,
    copies: u64,
    least: Option<Duration>,
    largest: Option<Duration>,
    /// Without a time, which may be in the totals all the same.
    untimed: u64,
}

impl Printed {
    /// Takes one reply.
    pub(super) fn add(&mut self, reply: &Reply<'_>) {
        if reply.corrupt {
            return;
        }
        if reply.duplicate {
            self.copies += 1;
        } else {
            self.replies += 1;
        }
        match reply.time {
            Some(time) => {
                self.least = Some(self.least.map_or(time, |least| least.min(time)));
                self.largest = self.largest.max(Some(time));
            }
            None => self.untimed += 1,
        }
    }

    /// How the totals differ from the lines, in words.
    pub(super) fn differs(&self, totals: &Totals, times: Option<&Times>) -> Option<String> {
        // macOS counts what came too late, and prints no line about it.
        let told = totals.received.saturating_sub(totals.out_of_time);
        if told != self.replies || totals.duplicates != self.copies {
            return Some(format!(
                "its totals count {told} replies and {} copies, its lines {} and {}",
                totals.duplicates, self.replies, self.copies
            ));
        }
        let times = times.filter(|_| self.untimed + totals.out_of_time == 0)?;
        let (least, largest) = (self.least?, self.largest?);
        if is_about(times.min, least) && is_about(times.max, largest) {
            return None;
        }
        Some(format!(
            "its totals give times from {:?} to {:?}, its lines from {least:?} to {largest:?}",
            times.min, times.max
        ))
    }
}

/// Whether a time of the totals can be the one of a line: iputils rounds that
/// to three digits, others print both to the microsecond.
fn is_about(total: Duration, line: Duration) -> bool {
    total.abs_diff(line) <= total / 100 + Duration::from_micros(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ping::dialect::{Line, read_line};

    /// The totals of a run against its lines.
    fn differs(run: &str) -> Option<String> {
        let (mut printed, mut totals, mut times) = (Printed::default(), None, None);
        for line in run.lines() {
            match read_line(line) {
                Line::Reply(reply) => printed.add(&reply),
                Line::Summary(read) => totals = Some(read),
                Line::Times(read) => times = Some(read),
                Line::Header(_)
                | Line::Damage
                | Line::Trouble { .. }
                | Line::Outstanding { .. }
                | Line::Complaint(_)
                | Line::Other => {}
            }
        }
        printed.differs(&totals?, times.as_ref())
    }

    #[test]
    fn recorded_lines_agree_with_recorded_totals() {
        let mut compared = 0;
        for text in [
            include_str!("recorded/bsd-by-source.txt"),
            include_str!("recorded/busybox-1.35.txt"),
            include_str!("recorded/inetutils-2.4.txt"),
            include_str!("recorded/iputils-20121221.txt"),
            include_str!("recorded/iputils-20221126.txt"),
            include_str!("recorded/iputils-20250605.txt"),
            include_str!("recorded/macos-14.txt"),
        ] {
            let loud = |run: &&str| !run.contains(" -q ") && !run.contains(" -f ");
            for run in text.split("\n$ ").filter(loud) {
                assert_eq!(differs(run), None, "{run}");
                compared += 1;
            }
        }
        assert!(compared > 250, "{compared}");
    }

    #[test]
    fn a_lost_line_and_a_wrong_time_are_noticed() {
        let run = "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=9.83 ms\n\
                   64 bytes from 1.1.1.1: icmp_seq=2 ttl=57 time=12.5 ms\n\
                   2 packets transmitted, 2 received, 0% packet loss, time 1001ms\n\
                   rtt min/avg/max/mdev = 9.829/11.144/12.460/1.315 ms\n";
        assert_eq!(differs(run), None);
        for (from, to, part) in [
            ("icmp_seq=2", "icmp_seq=x", "its totals count 2 replies and 0 copies, its lines 1"),
            ("time=12.5", "time=1.25", "from 9.829ms to 12.46ms, its lines from 1.25ms to 9.83ms"),
            ("time=9.83", "time=98.3", "to 98.3ms"),
        ] {
            let text = differs(&run.replace(from, to)).expect(to);
            assert!(text.contains(part), "{text}");
        }
    }
}
