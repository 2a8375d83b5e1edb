//! The sentence at the end: what the network takes, what making a connection
//! adds, what the server adds, and what this host does.
//!
//! Where the kernel's stamps are there, network RTTs are compared, in which
//! neither end's program has a part but the one that answers; else user RTTs.
//! A difference of medians is spoken of when it is larger than what chance
//! makes of so many samples: 1.96 standard errors of the difference, where a
//! median's standard error is `0.93 * (p75 - p25) / sqrt(n)` (1.25 standard
//! deviations over the root of n, with the spread between the quartiles as the
//! robust measure of deviation).

use std::time::Duration;

use crate::client::hist::Hist;
use crate::client::report::format_latency;

use super::{Kind, Quantiles, Series};

/// Samples below which no difference is spoken of.
const LEAST: u64 = 5;

/// The network's time, what comes on top, and both in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The median by ICMP, our own if it could be had, else the system's.
    pub network: Option<(Kind, Duration)>,
    /// The other kinds against it.
    pub others: Vec<Other>,
    /// Median of what this host's waking and system calls add to a reply of the
    /// kind in `network`, or of the first other.
    pub host: Option<Duration>,
    /// The sentence.
    pub sentence: String,
}

/// One kind against the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Which.
    pub kind: Kind,
    /// Its median.
    pub p50: Duration,
    /// Nanoseconds by which its median is above the network's; `None` where
    /// these samples can't show a difference.
    pub adds_nanos: Option<i64>,
}

/// Compares the series of one measurement.
pub fn verdict(all: &[Series]) -> Verdict {
    let first = all.first().map(|series| series.way.target.address.ip());
    if all.iter().any(|series| Some(series.way.target.address.ip()) != first) {
        return hosts(all);
    }
    let answered = |kind: Kind| {
        let series = all.iter().find(|series| series.way.kind == kind)?;
        (series.counts.rtt.count() > 0).then_some((kind, series))
    };
    let base = answered(Kind::Icmp).or_else(|| answered(Kind::System));
    let others: Vec<_> = [Kind::Tcp, Kind::Udp, Kind::Echo, Kind::Relay, Kind::App, Kind::Stamp]
        .into_iter()
        .filter_map(answered)
        .collect();
    let stamped = |(_, series): &(Kind, &Series)| series.counts.network.count() > 0;
    let by_kernel = base.iter().chain(&others).all(stamped);
    let times = |series: &Series| {
        let counts = &series.counts;
        Quantiles::of(if by_kernel { &counts.network } else { &counts.rtt })
    };
    let network = base.and_then(|(kind, series)| Some((kind, times(series).p50?, times(series))));
    let measured: Vec<_> = others
        .iter()
        .filter_map(|(kind, series)| Some((*kind, times(series).p50?, times(series))))
        .collect();
    let unit = unit_for(network.or_else(|| measured.first().copied()).map(|(_, p50, _)| p50));
    let mut parts = Vec::new();
    if let Some((kind, p50, _)) = network {
        let by = if kind == Kind::System { "ping" } else { "icmp" };
        parts.push(format!("network {} by {by}", unit.write(p50)));
    }
    let mut compared = Vec::new();
    for (kind, p50, of) in measured {
        let (adds_nanos, words) = match network {
            Some((_, base, of_network)) => compare(kind, (base, of_network), (p50, of), unit),
            None => (None, String::new()),
        };
        parts.push(format!("{} {}{words}", name(kind), unit.write(p50)));
        compared.push(Other { kind, p50, adds_nanos });
    }
    let host = base
        .or_else(|| others.first().copied())
        .and_then(|(kind, series)| Some((kind, Quantiles::of(&series.counts.overhead).p50?)));
    let mut sentence = match (parts.is_empty(), network, compared.is_empty()) {
        (true, _, _) => "no reply of any kind".to_owned(),
        (false, None, false) => format!("{}; the network alone was not measured", parts.join("; ")),
        _ => join(&parts),
    };
    if let Some((kind, host)) = host {
        sentence.push_str(&format!("; this host adds {} to {kind}", unit.write(host)));
    }
    let network = network.map(|(kind, p50, _)| (kind, p50));
    let host = host.map(|(_, p50)| p50);
    Verdict { network, others: compared, host, sentence }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Tcp => "tcp connect",
        Kind::Udp => "udp echo",
        Kind::Echo => "tcp echo",
        Kind::Relay => "stream",
        Kind::App => "http",
        Kind::Stamp => "stamp",
        Kind::Icmp | Kind::System => "ping",
    }
}

/// `network ..., tcp ...; udp ...`: a comma before the first comparison, then
/// semicolons, for each comparison has a colon of its own.
fn join(parts: &[String]) -> String {
    match parts {
        [network, first, rest @ ..] => {
            let mut sentence = format!("{network}, {first}");
            for part in rest {
                sentence.push_str("; ");
                sentence.push_str(part);
            }
            sentence
        }
        parts => parts.concat(),
    }
}

/// Several hosts, the nearest first.
fn hosts(all: &[Series]) -> Verdict {
    // Like with like: where one has no stamps, all are as a program feels them.
    let answered = || all.iter().filter(|series| series.counts.rtt.count() > 0);
    let by_kernel = answered().all(|series| series.counts.network.count() > 0);
    let network = |series: &Series| {
        let counts = &series.counts;
        Quantiles::of(if by_kernel { &counts.network } else { &counts.rtt })
    };
    let mut found: Vec<_> = all
        .iter()
        .filter_map(|series| Some((network(series).p50?, &series.way.target.name)))
        .collect();
    found.sort();
    let unit = unit_for(found.first().map(|(p50, _)| *p50));
    let words: Vec<_> =
        found.iter().map(|(p50, name)| format!("{name} {}", unit.write(*p50))).collect();
    let sentence = match words.as_slice() {
        [] => "no reply of any kind".to_owned(),
        _ => format!("nearest first, by median: {}", words.join(", ")),
    };
    Verdict { sentence, ..Verdict::default() }
}

type Median = (Duration, Quantiles);

fn compare(
    kind: Kind,
    (base, of_network): Median,
    (p50, of): Median,
    unit: Unit,
) -> (Option<i64>, String) {
    let least = of_network.count.min(of.count);
    let difference = nanos(p50) - nanos(base);
    let unseen = || {
        let plural = if least == 1 { "" } else { "s" };
        format!(": no difference that {least} sample{plural} can show")
    };
    match standard_error(&of_network).zip(standard_error(&of)) {
        Some((a, b)) if least >= LEAST && (difference as f64).abs() > 1.96 * a.hypot(b) => {
            let size = Duration::from_nanos(difference.unsigned_abs());
            let who = if kind == Kind::Tcp { "the handshake" } else { "the server" };
            let words = if difference > 0 {
                format!(": {who} adds {}", unit.write(size))
            } else {
                format!(": {} less, so ping is not answered as fast as data here", unit.write(size))
            };
            (Some(difference), words)
        }
        _ => (None, unseen()),
    }
}

/// Standard error of the median, in nanoseconds.
fn standard_error(of: &Quantiles) -> Option<f64> {
    let spread = nanos(of.p75?) - nanos(of.p25?);
    Some(0.93 * spread as f64 / (of.count as f64).sqrt())
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// One unit for the whole sentence, so that its numbers can be subtracted.
#[derive(Clone, Copy)]
struct Unit {
    per: f64,
    decimals: usize,
    name: &'static str,
}

fn unit_for(network: Option<Duration>) -> Unit {
    let nanos = network.map_or(0, nanos);
    let (per, decimals, name) = match nanos {
        0..100_000 => (1e3, 1, "µs"),
        100_000..10_000_000 => (1e6, 2, "ms"),
        _ => (1e6, 1, "ms"),
    };
    Unit { per, decimals, name }
}

impl Unit {
    fn write(self, span: Duration) -> String {
        let value = span.as_nanos() as f64 / self.per;
        format!("{value:.*} {}", self.decimals, self.name)
    }
}

/// What the quantiles of one series mean, for people who have not met them.
pub fn meaning(rtt: &Hist) -> Option<String> {
    let of = Quantiles::of(rtt);
    let mut text = format!("half of the replies came within {}", format_latency(of.p50?));
    if let Some(p99) = of.p99 {
        text.push_str(&format!(", 99 of 100 within {}", format_latency(p99)));
        if let Some((low, high)) = of.intervals[2] {
            text.push_str(&format!(
                " (the true figure is between {} and {} with 95 % confidence)",
                format_latency(low),
                format_latency(high)
            ));
        }
    } else {
        let plural = if of.count == 1 { "" } else { "s" };
        text.push_str(&format!("; {} sample{plural} can't show a p99: that takes 299", of.count));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ping::{Family, PingError, Target, Way};

    /// `n` round-trip times around `us`, `spread` apart from end to end.
    fn series(kind: Kind, n: u64, us: u64, spread: u64) -> Series {
        let target = Target::resolve("127.0.0.1", Family::V4).unwrap();
        let mut series = Series::failed(Way::to(kind, target), PingError::NotInstalled);
        series.failure = None;
        for i in 0..n {
            let offset = spread * i / n.max(1);
            series.counts.rtt.record(Duration::from_micros(us - spread / 2 + offset));
        }
        series
    }

    /// The same, of which the host took `host` microseconds.
    fn stamped(kind: Kind, us: u64, host: u64) -> Series {
        let mut series = series(kind, 50, us, 4);
        series.counts.network = series_hist(us - host);
        for _ in 0..50 {
            series.counts.overhead.record(Duration::from_micros(host));
        }
        series
    }

    fn series_hist(us: u64) -> Hist {
        series(Kind::Icmp, 50, us, 4).counts.rtt
    }

    #[test]
    fn what_the_server_adds() {
        let all = [series(Kind::System, 50, 210, 20), series(Kind::Echo, 50, 260, 20)];
        let verdict = verdict(&all);
        assert_eq!(
            verdict.sentence,
            "network 0.21 ms by ping, tcp echo 0.26 ms: the server adds 0.05 ms"
        );
        assert!(verdict.others[0].adds_nanos.unwrap().abs_diff(50_000) < 500);
    }

    #[test]
    fn our_own_icmp_is_the_better_yardstick() {
        let all = [
            series(Kind::System, 50, 20, 4),
            series(Kind::Icmp, 50, 40, 4),
            series(Kind::Tcp, 50, 46, 4),
            series(Kind::Udp, 50, 50, 4),
            series(Kind::Echo, 50, 60, 4),
        ];
        assert_eq!(
            verdict(&all).sentence,
            "network 39.0 µs by icmp, tcp connect 45.0 µs: the handshake adds 6.0 µs; \
             udp echo 49.0 µs: the server adds 10.0 µs; tcp echo 59.0 µs: the server adds 20.0 µs"
        );
    }

    #[test]
    fn where_the_kernel_stamps_it_is_asked() {
        let all = [stamped(Kind::Icmp, 40, 30), stamped(Kind::Udp, 60, 40)];
        let verdict = verdict(&all);
        assert_eq!(
            verdict.sentence,
            "network 9.0 µs by icmp, udp echo 19.0 µs: the server adds 10.0 µs; \
             this host adds 30.0 µs to icmp"
        );
        let mixed = [stamped(Kind::Icmp, 40, 30), series(Kind::Udp, 50, 60, 4)];
        assert!(super::verdict(&mixed).sentence.starts_with("network 39.0 µs"));
    }

    #[test]
    fn noise_is_not_called_a_difference() {
        for (n, spread) in [(50, 900), (4, 2), (1, 0)] {
            let all = [series(Kind::Icmp, n, 1000, spread), series(Kind::Udp, n, 1010, spread)];
            let verdict = verdict(&all);
            assert_eq!(verdict.others[0].adds_nanos, None);
            let plural = if n == 1 { "" } else { "s" };
            let end = format!("no difference that {n} sample{plural} can show");
            assert!(verdict.sentence.ends_with(&end), "{}", verdict.sentence);
        }
    }

    #[test]
    fn one_side_alone_is_said_without_a_comparison() {
        let alone = verdict(&[series(Kind::Icmp, 9, 20_000, 10)]);
        assert_eq!(alone.sentence, "network 20.0 ms by icmp");
        let echo = verdict(&[series(Kind::Echo, 9, 20_000, 10)]);
        assert_eq!(echo.sentence, "tcp echo 20.0 ms; the network alone was not measured");
        assert_eq!(verdict(&[]).sentence, "no reply of any kind");
    }

    #[test]
    fn several_hosts_are_put_in_order() {
        let far = series(Kind::Icmp, 9, 20_000, 10);
        let mut near = series(Kind::Icmp, 9, 400, 10);
        near.way.target = Target::resolve("127.0.0.2", Family::V4).unwrap();
        let sentence = verdict(&[far, near]).sentence;
        assert_eq!(sentence, "nearest first, by median: 127.0.0.2 0.40 ms, 127.0.0.1 20.00 ms");
    }

    #[test]
    fn what_the_figures_mean_is_said_with_what_they_can_show() {
        let few = meaning(&series(Kind::Icmp, 50, 40, 4).counts.rtt).unwrap();
        assert_eq!(
            few,
            "half of the replies came within 39.0 µs; 50 samples can't show a p99: that takes 299"
        );
        let many = meaning(&series(Kind::Icmp, 1_000, 40, 20).counts.rtt).unwrap();
        assert!(many.contains("99 of 100 within 49.0 µs (the true"), "{many}");
        assert_eq!(meaning(&Hist::fine()), None);
    }
}
