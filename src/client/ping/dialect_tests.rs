//! The parser against what real pings printed (`recorded/`), against lines
//! of versions that are not at hand, and against damage.

use super::*;

const IPUTILS: &str = include_str!("recorded/iputils-20221126.txt");
const BUSYBOX: &str = include_str!("recorded/busybox-1.35.txt");

fn ms(text: &str) -> Duration {
    milliseconds(text).expect("a number")
}

/// Replies without copies, and the totals, of one recorded run.
fn tally(run: &str) -> (Vec<Duration>, Option<(u64, u64)>) {
    let (mut times, mut totals) = (Vec::new(), None);
    for line in run.lines() {
        match read_line(line) {
            Line::Reply { time: Some(time), duplicate: false, .. } => times.push(time),
            Line::Summary { sent, received, .. } => totals = Some((sent, received)),
            Line::Reply { .. }
            | Line::Header(_)
            | Line::Trouble { .. }
            | Line::Outstanding { .. }
            | Line::Complaint(_)
            | Line::Other => {}
        }
    }
    (times, totals)
}

#[test]
fn recorded_replies_agree_with_the_totals_below_them() {
    let mut compared = 0;
    for run in IPUTILS.split("$ ").chain(BUSYBOX.split("$ ")) {
        let quiet = run.contains(" -q ") || run.contains("-s 8 ");
        let (times, totals) = tally(run);
        let Some((_, received)) = totals.filter(|_| !quiet) else {
            continue;
        };
        assert_eq!(times.len() as u64, received, "{run}");
        let Some((_, numbers)) = run.split_once("min/avg/max") else {
            continue;
        };
        let numbers = numbers.split_once(" = ").expect("numbers").1;
        let mut numbers = numbers.split(['/', ' ']);
        let least = ms(numbers.next().expect("min"));
        let largest = ms(numbers.nth(1).expect("max"));
        assert_eq!(times.iter().min(), Some(&least), "{run}");
        assert_eq!(times.iter().max(), Some(&largest), "{run}");
        compared += 1;
    }
    assert!(compared >= 9, "{compared}");
}

#[test]
fn no_recorded_line_that_matters_is_passed_over() {
    for line in IPUTILS.lines().chain(BUSYBOX.lines()) {
        let plain = line.is_empty()
            || line.starts_with("$ ")
            || line.starts_with("$? ")
            || line.starts_with("--- ")
            || line.starts_with("rtt ")
            || line.starts_with("round-trip ")
            || line.starts_with("pipe ")
            || line.starts_with("WARNING");
        assert_eq!(read_line(line) == Line::Other, plain, "{line}");
    }
}

#[test]
fn headers_tell_the_dialect() {
    for (line, dialect) in [
        ("PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.", Dialect::Iputils),
        ("PING a (1.2.3.4) from 5.6.7.8 eth0: 56(84) bytes of data.", Dialect::Iputils),
        ("PING ::1(::1) 56 data bytes", Dialect::Iputils),
        ("PING ::1 (::1) 56 data bytes", Dialect::Iputils),
        ("PING fe80::1%eth0(fe80::1%eth0) 56 data bytes", Dialect::Iputils),
        ("PING 127.0.0.1 (127.0.0.1): 56 data bytes", Dialect::Busybox),
        ("PING ::1 (::1): 56 data bytes", Dialect::Busybox),
    ] {
        assert_eq!(read_line(line), Line::Header(dialect), "{line}");
    }
}

#[test]
fn every_part_of_a_reply() {
    let line =
        "[1795399874.912382] 64 bytes from fe80::1%eth0: icmp_seq=3 ttl=64 time=1.03 ms (DUP!)";
    assert_eq!(
        read_line(line),
        Line::Reply {
            sequence: 3,
            bytes: 64,
            from: "fe80::1%eth0",
            ttl: Some(64),
            time: Some(Duration::from_micros(1030)),
            duplicate: true,
            corrupt: false,
        }
    );
}

#[test]
fn times_of_all_lengths() {
    for (time, nanos) in [
        ("0.004", 4_000),
        ("0.0421", 42_100),
        ("9.83", 9_830_000),
        ("12.5", 12_500_000),
        ("104", 104_000_000),
        ("1025", 1_025_000_000),
    ] {
        let line = format!("64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time={time} ms");
        let Line::Reply { time, .. } = read_line(&line) else {
            panic!("{line}");
        };
        assert_eq!(time, Some(Duration::from_nanos(nanos)));
    }
}

#[test]
fn what_can_be_misread_is_not_read() {
    for line in [
        // A decimal comma, and other units.
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30,406 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406 s",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=30.406",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=1e3 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=-1 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=99999999999999999999 ms",
        "64 bytes from 1.1.1.1: icmp_seq=x ttl=57 time=1 ms",
        "64 bytes from 1.1.1.1: icmp_seq=1 ttl=999 time=1 ms",
        "64 Bytes von 1.1.1.1: icmp_seq=1 ttl=57 Zeit=1 ms",
        "From 1.1.1.1 icmp_seq= Destination Host Unreachable",
        "3 packets transmitted, many received",
        "",
        "[",
        "[x] 64",
    ] {
        assert_eq!(read_line(line), Line::Other, "{line}");
    }
}

#[test]
fn errors_and_totals() {
    assert_eq!(
        read_line("From 192.0.2.1 icmp_seq=2 Destination Host Unreachable"),
        Line::Trouble { sequence: 2, from: "192.0.2.1", what: "Destination Host Unreachable" }
    );
    assert_eq!(
        read_line("From 2001:db8::1: icmp_seq=5 Time exceeded: Hop limit"),
        Line::Trouble { sequence: 5, from: "2001:db8::1", what: "Time exceeded: Hop limit" }
    );
    assert_eq!(
        read_line(
            "9 packets transmitted, 5 received, +2 duplicates, +1 corrupted, +3 errors, 44.4444% packet loss, time 805ms"
        ),
        Line::Summary { sent: 9, received: 5, duplicates: 2, errors: 3 }
    );
    assert_eq!(
        read_line("ping: permission denied (are you root?)"),
        Line::Complaint("permission denied (are you root?)")
    );
}

#[test]
fn damage_never_panics_and_never_invents_a_time() {
    let lines: Vec<&str> = IPUTILS.lines().chain(BUSYBOX.lines()).collect();
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as usize
    };
    for _ in 0..200_000 {
        let mut bytes = lines[next() % lines.len()].as_bytes().to_vec();
        for _ in 0..1 + next() % 3 {
            if bytes.is_empty() {
                break;
            }
            let at = next() % bytes.len();
            match next() % 4 {
                0 => bytes[at] = next() as u8,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b" .:=,0(\n\xff"[next() % 9]),
                _ => bytes.truncate(at),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Line::Reply { time: Some(time), .. } = read_line(&text) {
            assert!(text.contains("time") && text.contains(" ms"), "{text}");
            assert!(time < Duration::from_secs(1_000_000_000), "{text}");
        }
    }
}

#[test]
fn lines_are_whole_whatever_the_split() {
    let whole: Vec<&str> = IPUTILS.lines().collect();
    for step in [1, 2, 3, 7, 64, 4096] {
        let (mut lines, mut got) = (Lines::default(), Vec::new());
        for part in IPUTILS.as_bytes().chunks(step) {
            lines.push(part);
            got.extend(std::iter::from_fn(|| lines.pop()));
        }
        assert_eq!(got, whole, "step {step}");
    }
}

#[test]
fn a_line_without_end_is_bounded() {
    let mut lines = Lines::default();
    for _ in 0..100 {
        lines.push(&[b'x'; 1000]);
        while let Some(line) = lines.pop() {
            assert!(line.len() <= PING_LINE_BYTES);
        }
        assert!(lines.held.len() <= PING_LINE_BYTES);
    }
    lines.push(b"\nlast");
    assert!(lines.pop().is_some());
    assert_eq!(lines.rest().as_deref(), Some("last"));
}
