//! The files that other programs read, as they read them: each is compared with
//! what it was when it was last looked at, and read back by other code.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "golden/mod.rs"]
mod golden;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use lightmeter::export::csv::{self, Row};
use lightmeter::export::hgrm::{self, Unit};
use lightmeter::export::hlog::{self, Interval};
use lightmeter::plot::Values;
use nearlight::client::hist::samples_needed;
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

/// Latencies around 20 µs with a tail up to 2 ms, the same in every run.
fn latencies(n: u64) -> Vec<u64> {
    let mix = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    (0..n).map(|i| 18_000 + mix(i) % 9_000 + if i % 97 == 0 { mix(i * 7) * 2 } else { 0 }).collect()
}

/// The rows of a `.hgrm`: value, percentile, count, rarity.
fn rows(text: &str) -> Vec<(f64, f64, u64, Option<f64>)> {
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = text.lines().skip(2).take_while(|line| !line.starts_with('#'));
    lines
        .map(fields)
        .map(|f| {
            let rarity = f.get(3).map(|rarity| rarity.parse().unwrap());
            (f[0].parse().unwrap(), f[1].parse().unwrap(), f[2].parse().unwrap(), rarity)
        })
        .collect()
}

#[test]
fn hgrm_is_what_it_was() {
    let values = Values::new("udp", latencies(1_000));
    golden::check("udp.hgrm", &hgrm::text(&values, Unit::Millis).unwrap());
}

#[test]
fn hgrm_rows_are_quantiles_that_n_supports_and_the_largest() {
    for n in [1, 4, 5, 300, 5_000, 200_000] {
        let values = Values::new("udp", latencies(n));
        let sorted = values.sorted();
        let text = hgrm::text(&values, Unit::Micros).unwrap();
        let rows = rows(&text);
        let (largest, inner) = rows.split_last().unwrap();
        let max = *sorted.last().unwrap() as f64;
        assert_eq!(*largest, (max / 1e3, 1.0, n, None), "{n}");
        for (value, q, count, rarity) in inner {
            assert!(samples_needed(*q).unwrap() <= n, "{q} of {n}");
            let rank = ((q * n as f64 - 1e-6).ceil() as usize).clamp(1, n as usize);
            // The crate adds up its steps, so a rank may be the next one's.
            let [low, high] =
                [rank - 1, rank.min(n as usize - 1)].map(|at| sorted[at] as f64 / 1e3);
            assert!(*value >= low - 1e-3, "{q} of {n}: {value} {low}");
            assert!(*value <= high * 1.001 + 1e-3, "{q} of {n}: {value} {high}");
            let below = sorted.partition_point(|ns| *ns as f64 <= value * 1e3 + 0.5);
            assert_eq!(*count, below as u64, "{q} of {n}");
            assert!((rarity.unwrap() - 1.0 / (1.0 - q)).abs() < 0.01, "{q} of {n}");
        }
        assert!(inner.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 < w[1].1));
        let end: Vec<&str> = text.lines().rev().take(3).collect();
        assert!(end[2].starts_with("#[Mean    =") && end[1].starts_with("#[Max     ="));
        assert!(end[1].contains(&format!("Total count    = {n:>12}]")), "{}", end[1]);
        assert!(end[0].ends_with("SubBuckets     =         2048]"), "{}", end[0]);
    }
    assert_eq!(rows(&hgrm::text(&Values::new("", Vec::new()), Unit::Nanos).unwrap()), []);
}

fn intervals(ns: &[u64]) -> Vec<Interval<'_>> {
    let seconds = ns.chunks(250).enumerate();
    seconds
        .map(|(second, ns)| Interval {
            series: if second % 2 == 0 { "udp 127.0.0.1:7" } else { "icmp" },
            start: Duration::from_secs(second as u64),
            length: Duration::from_secs(1),
            ns,
        })
        .collect()
}

fn log(intervals: &[Interval<'_>]) -> String {
    let mut out = Vec::new();
    let start = UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    hlog::write(&mut out, start, "lightmeter ping\nudp", intervals).unwrap();
    String::from_utf8(out).unwrap()
}

/// The intervals of a log: tag, start, length, histogram.
fn read(log: &str) -> Vec<(Option<String>, Duration, Duration, Histogram<u64>)> {
    let mut deserializer = Deserializer::new();
    let mut found = Vec::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let bytes = base64(interval.encoded_histogram());
            let histogram = deserializer.deserialize(&mut bytes.as_slice()).unwrap();
            let tag = interval.tag().map(|tag| tag.as_str().to_owned());
            found.push((tag, interval.start_timestamp(), interval.duration(), histogram));
        }
    }
    found
}

/// Decodes base64 (RFC 4648 §4).
fn base64(text: &str) -> Vec<u8> {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for c in text.trim_end_matches('=').chars() {
        bits = bits << 6 | digits.find(c).unwrap() as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

#[test]
fn hlog_is_what_it_was_but_for_how_it_is_deflated() {
    let ns = latencies(1_000);
    let log = log(&intervals(&ns));
    // The last field is compressed, which another version may do otherwise.
    let lines = log.lines().map(|line| match line.rsplit_once(",HISTFAAAA") {
        Some((head, _)) => format!("{head},HISTFAAAA...\n"),
        None => format!("{line}\n"),
    });
    golden::check("ping.hlog.txt", &lines.collect::<String>());
}

#[test]
fn hlog_is_read_back_by_the_crate() {
    let ns = latencies(1_000);
    let found = read(&log(&intervals(&ns)));
    assert_eq!(found.len(), 4);
    for (second, (tag, start, length, histogram)) in found.iter().enumerate() {
        let wanted = if second % 2 == 0 { "udp_127.0.0.1:7" } else { "icmp" };
        assert_eq!(tag.as_deref(), Some(wanted));
        assert_eq!(start.as_secs(), second as u64);
        assert_eq!(length.as_secs(), 1);
        let mut sorted = ns[second * 250..second * 250 + 250].to_vec();
        sorted.sort_unstable();
        assert_eq!(histogram.len(), 250);
        for q in [0.0, 0.5, 0.9, 1.0] {
            let exact = sorted[((q * 250.0) as usize).max(1) - 1];
            assert!(histogram.equivalent(histogram.value_at_quantile(q), exact), "{second} {q}");
        }
    }
    let (low, high) = (found[0].3.low(), found[0].3.high());
    assert!(found.iter().all(|(_, _, _, h)| (h.low(), h.high()) == (low, high)));
}

#[test]
fn csv_is_what_it_was() {
    let answered = Row {
        series: "udp",
        seq: 0,
        intended_ns: Some(0),
        sent_ns: Some(1_200),
        tx_kernel_ns: Some(4_100),
        rx_kernel_ns: Some(19_900),
        received_ns: Some(25_300),
        rtt_ns: Some(24_100),
        network_ns: Some(15_800),
        status: "reply",
    };
    let lost = Row { seq: 1, intended_ns: Some(10_000_000), status: "lost", ..Row::default() };
    let odd = Row { series: "a,\"b\"\n<c>", seq: u64::MAX, status: "reply", ..answered };
    let mut out = Vec::new();
    csv::write(&mut out, [answered, lost, odd]).unwrap();
    golden::check("probes.csv", &String::from_utf8(out).unwrap());
}

/// The fields of an RFC 4180 text, record by record.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut characters) = (false, text.chars().peekable());
    while let Some(c) = characters.next() {
        match (quoted, c) {
            (true, '"') if characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => record.push(std::mem::take(&mut field)),
            (false, '\r') => {
                assert_eq!(characters.next(), Some('\n'));
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            (_, c) => field.push(c),
        }
    }
    assert!(!quoted && field.is_empty() && record.is_empty());
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_latencies_make_a_readable_hgrm(ns in prop::collection::vec(any::<u64>(), 0..40)) {
        let values = Values::new("x", ns.clone());
        for unit in [Unit::Nanos, Unit::Micros, Unit::Millis] {
            let rows = rows(&hgrm::text(&values, unit).unwrap());
            prop_assert_eq!(rows.last().map_or(0, |row| row.2), ns.len() as u64);
        }
    }

    #[test]
    fn any_intervals_make_a_readable_hlog(
        parts in prop::collection::vec((".{0,12}", prop::collection::vec(any::<u64>(), 0..20)), 0..4),
        start in 0..u64::from(u32::MAX),
    ) {
        let intervals: Vec<Interval<'_>> = parts.iter().map(|(series, ns)| Interval {
            series,
            start: Duration::from_nanos(start),
            length: Duration::from_secs(start),
            ns,
        }).collect();
        let found = read(&log(&intervals));
        prop_assert_eq!(found.len(), intervals.len());
        for ((tag, _, _, histogram), interval) in found.iter().zip(&intervals) {
            let tag = tag.as_deref().unwrap_or_default();
            prop_assert_eq!(tag.chars().count(), interval.series.chars().count());
            prop_assert_eq!(histogram.len(), interval.ns.len() as u64);
            let most = interval.ns.iter().map(|ns| (*ns).min(i64::MAX as u64)).max();
            if let Some(most) = most {
                prop_assert!(histogram.equivalent(histogram.max(), most));
            }
        }
    }

    #[test]
    fn any_row_is_read_back_from_csv(
        series in any::<String>(),
        status in any::<String>(),
        seq in any::<u64>(),
        rtt_ns in any::<Option<u64>>(),
    ) {
        let row = Row { series: &series, status: &status, seq, rtt_ns, ..Row::default() };
        let mut out = Vec::new();
        csv::write(&mut out, [row, row]).unwrap();
        let records = records(&String::from_utf8(out).unwrap());
        prop_assert_eq!(records.len(), 3);
        prop_assert_eq!(records[0].join(","), csv::HEAD);
        for record in &records[1..] {
            prop_assert_eq!(record.len(), 10);
            prop_assert_eq!(&record[0], &series);
            prop_assert_eq!(&record[1], &seq.to_string());
            prop_assert_eq!(&record[7], &rtt_ns.map_or_else(String::new, |ns| ns.to_string()));
            prop_assert_eq!(&record[9], &status);
        }
    }
}
