//! The parser against what real pings printed, and against each form of line
//! by itself.

use super::*;
use crate::client::ping::recorded::{RECORDED, runs};
use std::fmt::Write as _;

/// Everything that was read, in the words of the `=` lines.
#[derive(Default)]
struct Read {
    header: Option<Header>,
    replies: u64,
    copies: u64,
    sequences: u64,
    nanos: u128,
    untimed: u64,
    corrupt: u64,
    truncated: u64,
    elsewhere: u64,
    damage: u64,
    errors: u64,
    outstanding: u64,
    complaints: u64,
    totals: Option<Totals>,
    times: Option<Times>,
}

impl Read {
    fn of(lines: &[&str]) -> Self {
        let mut read = Self::default();
        for line in lines {
            match read_line(line) {
                Line::Header(header) => read.header = Some(header),
                Line::Reply(reply) => read.reply(&reply),
                Line::Damage => read.damage += 1,
                Line::Trouble { .. } => read.errors += 1,
                Line::Outstanding { .. } => read.outstanding += 1,
                Line::Summary(totals) => read.totals = Some(totals),
                Line::Times(times) => read.times = Some(times),
                Line::Complaint(_) => read.complaints += 1,
                Line::Other => {}
            }
        }
        read
    }

    fn reply(&mut self, reply: &Reply<'_>) {
        if reply.duplicate {
            self.copies += 1;
        } else {
            self.replies += 1;
        }
        self.sequences += u64::from(reply.sequence);
        self.nanos += reply.time.map_or(0, |time| time.as_nanos());
        self.untimed += u64::from(reply.time.is_none());
        self.corrupt += u64::from(reply.corrupt);
        self.truncated += u64::from(reply.truncated);
        self.elsewhere += u64::from(reply.elsewhere);
    }

    fn words(&self) -> String {
        let mut text = match self.header {
            Some(Header::FromOne) => "from one",
            Some(Header::FromZero) => "from zero",
            None => "from none",
        }
        .to_owned();
        for (name, number) in [
            ("replies", u128::from(self.replies)),
            ("copies", self.copies.into()),
            ("sequences", self.sequences.into()),
            ("ns", self.nanos),
            ("untimed", self.untimed.into()),
            ("corrupt", self.corrupt.into()),
            ("truncated", self.truncated.into()),
            ("elsewhere", self.elsewhere.into()),
            ("damage", self.damage.into()),
            ("errors", self.errors.into()),
            ("outstanding", self.outstanding.into()),
            ("complaints", self.complaints.into()),
        ] {
            if number > 0 {
                write!(text, ", {name} {number}").unwrap();
            }
        }
        if let Some(Totals { sent, received, duplicates, corrupted, errors, out_of_time }) =
            self.totals
        {
            let numbers = [sent, received, duplicates, corrupted, errors, out_of_time];
            write!(text, ", totals {}", numbers.map(|n| n.to_string()).join("/")).unwrap();
        }
        if let Some(Times { min, avg, max, deviation }) = self.times {
            let times = [Some(min), Some(avg), Some(max), deviation];
            let times: Vec<_> =
                times.iter().flatten().map(|time| time.as_nanos().to_string()).collect();
            write!(text, ", times {}", times.join("/")).unwrap();
        }
        text
    }
}

#[test]
fn every_recorded_run_is_read_as_it_should_be() {
    let (mut count, mut read_whole) = (0, 0);
    for (name, text) in RECORDED {
        for run in runs(text) {
            assert_eq!(Read::of(&run.output).words(), run.expected, "{name}: {}", run.command);
            count += 1;
            read_whole += u32::from(run.expected.contains("totals"));
        }
    }
    assert!(count >= 580 && read_whole >= 400, "{count} runs, {read_whole} with totals");
}

/// The lines of a run agree with the totals below them, whatever the dialect.
#[test]
fn recorded_replies_agree_with_the_totals_below_them() {
    let mut compared = 0;
    for (name, text) in RECORDED.into_iter().filter(|(name, _)| !name.contains("locales")) {
        for run in runs(text) {
            let read = Read::of(&run.output);
            let quiet = run.command.contains(" -q ") || run.command.contains(" -f ");
            let Some(totals) = read.totals.filter(|_| !quiet && !name.starts_with("toybox")) else {
                continue;
            };
            let at = format!("{name}: {}", run.command);
            let good = read.replies - read.corrupt + totals.out_of_time;
            assert_eq!((good, read.copies), (totals.received, totals.duplicates), "{at}");
            if name.starts_with("iputils") {
                assert_eq!((read.errors, read.corrupt), (totals.errors, totals.corrupted), "{at}");
            }
            let Some(times) = read.times.filter(|_| totals.out_of_time + read.untimed == 0) else {
                continue;
            };
            let timed = read.replies + read.copies - read.corrupt;
            let mean = read.nanos / u128::from(timed);
            // iputils prints three digits in the lines, and all of them below;
            // a corrupt reply's time is in none of its totals.
            let off = mean.abs_diff(times.avg.as_nanos());
            assert!(read.corrupt > 0 || off <= 1_000 + mean / 100, "{at}: {mean} {times:?}");
            compared += 1;
        }
    }
    assert!(compared >= 250, "{compared}");
}

/// What is passed over is known, line by line.
#[test]
fn no_recorded_line_that_matters_is_passed_over() {
    let harmless = [
        "---",
        "WARNING",
        "PATTERN: ",
        "#16\t",
        "#48\t",
        "RR: ",
        "TS: ",
        "\t",
        "NOP",
        "unknown op",
        "Vr HL TOS",
        " 4  5  00 0054 ",
        "cp:",
        "dp:",
        "IP Hdr Dump:",
        " 4500",
        "ICMP: type 8",
        "From 192.0.2.254: icmp_seq=",
        "36 bytes from 192.0.2.254: Redirect",
        "pipe ",
        ".\u{8}",
        "3/4 packets, ",
        "connect: ",
        "64 bytes to 192.0.2.2",
        "ai->ai_family",
        "Try 'ping",
        "Try 'ping6",
        "  ",
    ];
    for (name, text) in RECORDED {
        if name.contains("locales") || name.starts_with("toybox") {
            continue;
        }
        for run in runs(text).iter().filter(|run| run.code != 64) {
            let mut usage = false;
            for line in run.output.iter().map(|line| line.trim_start_matches('\r')) {
                usage |= line.starts_with("BusyBox v") || line == "Usage";
                let known = line.is_empty() || harmless.iter().any(|start| line.starts_with(start));
                if !usage && !known {
                    assert_ne!(read_line(line), Line::Other, "{name}: {}: {line}", run.command);
                }
            }
        }
    }
}

#[test]
fn exit_codes_mean_what_they_mean_to_each() {
    let dialect = |name: &str| match name.split('-').next() {
        Some("iputils") => Some(Dialect::Iputils),
        Some("busybox") => Some(Dialect::Busybox),
        Some("inetutils") => Some(Dialect::Inetutils),
        Some("macos" | "bsd") => Some(Dialect::Bsd),
        _ => None,
    };
    let mut seen = [0; 3];
    for (name, text) in RECORDED {
        let Some(dialect) = dialect(name) else { continue };
        for run in runs(text).iter().filter(|run| run.code != 124) {
            let read = Read::of(&run.output);
            let received = read.totals.map(|totals| totals.received);
            let ended = dialect.ended(run.code);
            let fits = match ended {
                Ended::Replies => read.totals.is_none() || received > Some(0),
                // Fewer than asked for in time; or it complained.
                Ended::NoReply => {
                    received == Some(0)
                        || read.complaints > 0
                        || run.command.contains("-w 1")
                        || run.output.iter().any(|line| line.contains("Usage"))
                }
                Ended::Failed => received.is_none(),
            };
            let translated = name.contains("locales");
            assert!(fits || translated, "{name}: {}: {} {ended:?}", run.command, run.code);
            seen[ended as usize] += 1;
        }
    }
    assert!(seen.iter().all(|&n| n > 20), "{seen:?}");
}

#[test]
fn headers_tell_from_where_probes_are_counted() {
    for (line, header) in [
        ("PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.", Header::FromOne),
        ("PING a (1.2.3.4) from 5.6.7.8 eth0: 56(84) bytes of data.", Header::FromOne),
        ("PING ::1(::1) 56 data bytes", Header::FromOne),
        ("PING ::1 (::1) 56 data bytes", Header::FromOne),
        ("PING fe80::1%eth0(fe80::1%eth0) 56 data bytes", Header::FromOne),
        ("PING ::1(::1) from ::1 lo: 56 data bytes", Header::FromOne),
        ("PING ::1(::1) from ::1 : 56 data bytes", Header::FromOne),
        ("PING 127.0.0.1 (127.0.0.1): 56 data bytes", Header::FromZero),
        ("PING ::1 (::1): 56 data bytes", Header::FromZero),
        ("PING a (1.2.3.4) from 5.6.7.8: 56 data bytes", Header::FromZero),
        ("PING a (1.2.3.4): 56 data bytes, id 0x5ab2 = 23218", Header::FromZero),
        ("PING 1.2.3.4 (1.2.3.4): (8 ... 24) data bytes", Header::FromZero),
        ("PING6(56=40+8+8 bytes) ::1 --> ::1", Header::FromZero),
        ("PING(56=40+8+8 bytes) ::1 --> ::1", Header::FromZero),
    ] {
        assert_eq!(read_line(line), Line::Header(header), "{line}");
    }
    for line in ["PING ", "PING", "PING a", "PING6 a", "PING 1.2.3.4 (1.2.3.4): 56 Datenbytes"] {
        assert_eq!(read_line(line), Line::Other, "{line}");
    }
}

#[test]
fn every_part_of_a_reply() {
    let plain = Reply {
        sequence: 3,
        bytes: 64,
        from: "fe80::1%eth0",
        ttl: Some(64),
        time: Some(Duration::from_micros(1030)),
        duplicate: false,
        corrupt: false,
        truncated: false,
        elsewhere: false,
    };
    for (line, reply) in [
        ("64 bytes from fe80::1%eth0: icmp_seq=3 ttl=64 time=1.03 ms", plain),
        (
            "[1795399874.912382] 64 bytes from fe80::1%eth0: icmp_seq=3 ttl=64 time=1.03 ms (DUP!)",
            Reply { duplicate: true, ..plain },
        ),
        (
            "64 bytes from fe80::1%eth0: icmp_seq=3 ttl=64 time=1.03 ms (BAD CHECKSUM!)",
            Reply { corrupt: true, ..plain },
        ),
        (
            "64 bytes from fe80::1%eth0: icmp_seq=3 ttl=64 time=1.03 ms (DUP!) (DIFFERENT ADDRESS!)",
            Reply { duplicate: true, elsewhere: true, ..plain },
        ),
        (
            "38 bytes from fe80::1%eth0: icmp_seq=3 ttl=64 (truncated)",
            Reply { bytes: 38, time: None, truncated: true, ..plain },
        ),
        ("64 bytes from fe80::1%eth0, icmp_seq=3 hlim=64 time=1.030 ms", plain),
        (
            "64 bytes from fe80::1%eth0, icmp_seq=3 hlim=64 time=1.030 ms(DUP!)",
            Reply { duplicate: true, ..plain },
        ),
        ("64 bytes from fe80::1%eth0: icmp_seq=3 ident=77 ttl=64 time=1.03 ms\u{7}", plain),
        ("64 bytes from fe80::1%eth0: icmp_seq=3 time=1.03 ms", Reply { ttl: None, ..plain }),
    ] {
        assert_eq!(read_line(line), Line::Reply(reply), "{line}");
    }
}

#[test]
fn times_of_all_lengths() {
    for (time, nanos) in [
        ("0.004", 4_000),
        ("0.0421", 42_100),
        ("0.133512", 133_512),
        ("9.83", 9_830_000),
        ("12.5", 12_500_000),
        ("100", 100_000_000),
        ("104", 104_000_000),
        ("1025", 1_025_000_000),
    ] {
        let line = format!("64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time={time} ms");
        let Line::Reply(reply) = read_line(&line) else {
            panic!("{line}");
        };
        assert_eq!(reply.time, Some(Duration::from_nanos(nanos)));
    }
}

#[test]
fn what_can_be_misread_is_not_read() {
    for line in [
        // A decimal comma, and other units.
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30,406 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406 s",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406 sec",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406 us",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406 msec",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=1e3 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=-1.0 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=+1.0 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time<1 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=99999999999999999999 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=1.2.3 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=.5 ms",
        // Whole milliseconds, where 0 may be 0.99.
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=0 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=14 ms",
        // Sequence numbers have 16 bits, and no sign.
        "64 bytes from 1.1.1.1: icmp_seq=x ttl=57 time=1.0 ms",
        "64 bytes from 1.1.1.1: icmp_seq=+1 ttl=57 time=1.0 ms",
        "64 bytes from 1.1.1.1: icmp_seq=65536 ttl=57 time=1.0 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=999 time=1.0 ms",
        "6,4 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=1.0 ms",
        // Other languages.
        "64 Bytes von 1.1.1.1: icmp_seq=1 ttl=57 Zeit=1 ms",
        "64 octets de 127.0.0.1 : icmp_seq=1 ttl=64 temps=0.012 ms",
        "From 1.1.1.1 icmp_seq= Destination Host Unreachable",
        "From 1.1.1.1 icmp_seq=1 Redirect Host(New nexthop: 1.1.1.2)",
        "36 bytes from 1.1.1.1: Redirect Host(New addr: 1.1.1.2)",
        "3 packets transmitted, many received",
        "3 packets transmitted, +3 received, 0% packet loss",
        "three packets transmitted, 3 received",
        "rtt min/avg/max/mdev = 0,045/0,117/0,262/0,102 ms",
        "rtt min/avg/max/mdev = 0.045/0.117/0.262 ms",
        "rtt min/avg/max = 0.045/0.117/0.262/0.102 ms",
        "rtt min/avg/ewma/max = 0.045/0.117/0.262/0.102 ms",
        "round-trip min/avg/max = 0/0/1 ms",
        "round-trip min/avg/max = 0.045/0.117/0.262 s",
        "round-trip (ms)  min/avg/max = 1.0/2.0/3.0",
        "\r3/4 packets, 25% loss, min/avg/ewma/max = 1.408/1.471/1.429/1.568 ms",
        "no answer yet for icmp_seq=70000",
        "Request timeout for icmp_seq x",
        "",
        "[",
        "[x] 64",
    ] {
        assert_eq!(read_line(line), Line::Other, "{line}");
    }
}

#[test]
fn errors_and_totals() {
    for (line, sequence, from, what) in [
        (
            "From 192.0.2.1 icmp_seq=2 Destination Host Unreachable",
            Some(2),
            "192.0.2.1",
            "Destination Host Unreachable",
        ),
        (
            "From 2001:db8::1: icmp_seq=5 Time exceeded: Hop limit",
            Some(5),
            "2001:db8::1",
            "Time exceeded: Hop limit",
        ),
        (
            "From gate (192.0.2.1) icmp_seq=65535 Packet filtered",
            Some(65535),
            "gate (192.0.2.1)",
            "Packet filtered",
        ),
        (
            "92 bytes from gate (192.0.2.1): Destination Host Unreachable",
            None,
            "gate (192.0.2.1)",
            "Destination Host Unreachable",
        ),
        (
            "64 bytes from 2001:db8::fe: Destination unreachable: Address unreachable",
            None,
            "2001:db8::fe",
            "Destination unreachable: Address unreachable",
        ),
    ] {
        assert_eq!(read_line(line), Line::Trouble { sequence, from, what });
    }
    let totals =
        Totals { sent: 9, received: 5, duplicates: 2, corrupted: 1, errors: 3, out_of_time: 0 };
    let line = "9 packets transmitted, 5 received, +2 duplicates, +1 corrupted, +3 errors, \
                44.4444% packet loss, time 805ms";
    assert_eq!(read_line(line), Line::Summary(totals));
    let line = "9 packets transmitted, 10 packets received, -- somebody's printing up packets!";
    let amplified = Totals { sent: 9, received: 10, ..Totals::default() };
    assert_eq!(read_line(line), Line::Summary(amplified));
    let times = Times {
        min: Duration::from_micros(3),
        avg: Duration::from_micros(4),
        max: Duration::from_micros(14),
        deviation: Some(Duration::ZERO),
    };
    let line = "rtt min/avg/max/mdev = 0.003/0.004/0.014/0.000 ms, pipe 2, ipg/ewma 0.008/0.004 ms";
    assert_eq!(read_line(line), Line::Times(times));
    assert_eq!(
        read_line("ping6: permission denied (are you root?)"),
        Line::Complaint("permission denied (are you root?)")
    );
}

#[test]
fn a_line_without_end_is_bounded_and_left_out() {
    let mut lines = Lines::default();
    for _ in 0..100 {
        lines.push(&[b'x'; 1000]);
        assert_eq!(lines.pop(), None);
        assert!(lines.held.len() <= PING_LINE_BYTES);
    }
    lines.push(b"64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=1.0 ms\nlast");
    assert_eq!(lines.pop(), None);
    assert_eq!(lines.rest().as_deref(), Some("last"));
}

#[test]
fn damage_is_seen_with_the_reply_it_is_of() {
    let mut lines = Lines::default();
    lines.push(b"64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=1.0 ms\nwrong data byte #36 should");
    assert!(lines.pop().is_some());
    assert!(lines.tell_of_damage());
}
