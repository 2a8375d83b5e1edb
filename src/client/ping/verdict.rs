//! The sentence at the end: what the network takes, and what the server adds.
//!
//! A difference of medians is spoken of when it is larger than what chance
//! makes of so many samples: 1.96 standard errors of the difference, where a
//! median's standard error is `0.93 * (p75 - p25) / sqrt(n)` (1.25 standard
//! deviations over the root of n, with the spread between the quartiles as the
//! robust measure of deviation).

use std::time::Duration;

use super::samples::Quantiles;
use super::{Kind, Series};

/// Samples below which no difference is spoken of.
const LEAST: u64 = 5;

/// The network's time, what each echo adds to it, and both in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The median by ICMP, our own if it could be had, else the system's.
    pub network: Option<(Kind, Duration)>,
    /// The medians of the echoes.
    pub echoes: Vec<Echo>,
    /// The sentence.
    pub sentence: String,
}

/// One echo against the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Over TCP or UDP.
    pub kind: Kind,
    /// Its median.
    pub p50: Duration,
    /// Nanoseconds by which its median is above the network's; `None` where
    /// these samples can't show a difference.
    pub adds_nanos: Option<i64>,
}

/// Compares the series of one measurement.
pub fn verdict(all: &[Series]) -> Verdict {
    let answered = |kind: Kind| {
        let series = all.iter().find(|series| series.kind == kind)?;
        let quantiles = series.counts.rtt.quantiles();
        Some((kind, quantiles.p50?, quantiles))
    };
    let network = answered(Kind::Icmp).or_else(|| answered(Kind::System));
    let echoes: Vec<_> = [Kind::Tcp, Kind::Udp].into_iter().filter_map(answered).collect();
    let unit = unit_for(network.or_else(|| echoes.first().copied()).map(|(_, p50, _)| p50));
    let mut parts = Vec::new();
    if let Some((kind, p50, _)) = network {
        let by = if kind == Kind::System { "ping" } else { "icmp ping" };
        parts.push(format!("network {} by {by}", unit.write(p50)));
    }
    let mut compared = Vec::new();
    for &(kind, p50, quantiles) in &echoes {
        let (adds_nanos, words) = match network {
            Some((_, base, of_network)) => compare(base, &of_network, p50, &quantiles, unit),
            None => (None, String::new()),
        };
        parts.push(format!("{kind} echo {}{words}", unit.write(p50)));
        compared.push(Echo { kind, p50, adds_nanos });
    }
    let sentence = match (parts.is_empty(), network, echoes.is_empty()) {
        (true, _, _) => "no reply of any kind".to_owned(),
        (false, None, false) => format!("{}; the network alone was not measured", parts.join(", ")),
        _ => join(&parts),
    };
    Verdict { network: network.map(|(kind, p50, _)| (kind, p50)), echoes: compared, sentence }
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

fn compare(
    base: Duration,
    of_network: &Quantiles,
    p50: Duration,
    of_echo: &Quantiles,
    unit: Unit,
) -> (Option<i64>, String) {
    let least = of_network.count.min(of_echo.count);
    let difference = nanos(p50) - nanos(base);
    let unseen = || {
        let plural = if least == 1 { "" } else { "s" };
        format!(": no difference that {least} sample{plural} can show")
    };
    match standard_error(of_network).zip(standard_error(of_echo)) {
        Some((a, b)) if least >= LEAST && (difference as f64).abs() > 1.96 * a.hypot(b) => {
            let size = Duration::from_nanos(difference.unsigned_abs());
            let words = if difference > 0 {
                format!(": the server adds {}", unit.write(size))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ping::Counts;

    /// `n` round-trip times around `us`, `spread` apart from end to end.
    fn series(kind: Kind, n: u64, us: u64, spread: u64) -> Series {
        let mut counts = Counts::default();
        for i in 0..n {
            let offset = spread * i / n.max(1);
            counts.rtt.record(Duration::from_micros(us - spread / 2 + offset));
        }
        Series { kind, how: String::new(), counts, trouble: None, failure: None }
    }

    #[test]
    fn what_the_server_adds() {
        let all = [series(Kind::System, 50, 210, 20), series(Kind::Tcp, 50, 260, 20)];
        let verdict = verdict(&all);
        assert_eq!(
            verdict.sentence,
            "network 0.21 ms by ping, tcp echo 0.26 ms: the server adds 0.05 ms"
        );
        assert_eq!(verdict.echoes[0].adds_nanos, Some(50_000));
    }

    #[test]
    fn our_own_icmp_is_the_better_yardstick() {
        let all = [
            series(Kind::System, 50, 20, 4),
            series(Kind::Icmp, 50, 40, 4),
            series(Kind::Tcp, 50, 60, 4),
            series(Kind::Udp, 50, 50, 4),
        ];
        assert_eq!(
            verdict(&all).sentence,
            "network 39.0 µs by icmp ping, tcp echo 59.0 µs: the server adds 20.0 µs; \
             udp echo 49.0 µs: the server adds 10.0 µs"
        );
    }

    #[test]
    fn noise_is_not_called_a_difference() {
        for (n, spread) in [(50, 900), (4, 2), (1, 0)] {
            let all = [series(Kind::Icmp, n, 1000, spread), series(Kind::Udp, n, 1010, spread)];
            let verdict = verdict(&all);
            assert_eq!(verdict.echoes[0].adds_nanos, None);
            let plural = if n == 1 { "" } else { "s" };
            let end = format!("no difference that {n} sample{plural} can show");
            assert!(verdict.sentence.ends_with(&end), "{}", verdict.sentence);
        }
    }

    #[test]
    fn one_side_alone_is_said_without_a_comparison() {
        let alone = verdict(&[series(Kind::Icmp, 9, 20_000, 10)]);
        assert_eq!(alone.sentence, "network 20.0 ms by icmp ping");
        let echo = verdict(&[series(Kind::Tcp, 9, 20_000, 10)]);
        assert_eq!(echo.sentence, "tcp echo 20.0 ms; the network alone was not measured");
        assert_eq!(verdict(&[]).sentence, "no reply of any kind");
    }
}
