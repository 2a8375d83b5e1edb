//! One run of probes, cut into the time before, under and after the load.

use std::time::Duration;

use nearlight::base::Instant;
use nearlight::client::hist::Hist;
use nearlight::client::ping::{Fate, Quantiles, Record, Series};

use super::doc::{Added, Part, Phase, Rpm};
use crate::ping::doc::{Times, whole};

/// A phase's name, and the times between which its probes were due.
pub(super) type Span = (&'static str, Instant, Instant);

/// One kind of probe in one phase.
struct Cut {
    sent: u64,
    lost: u64,
    rtt: Hist,
    network: Hist,
    response: Hist,
    times: Vec<u64>,
}

/// All phases of all kinds, and what is to be said about them.
pub(super) struct Cuts {
    pub(super) phases: Vec<Phase>,
    pub(super) added: Vec<Added>,
    pub(super) rpm: Rpm,
}

/// Cuts `all`, but for the first `warm_up` probes, at `spans`, of which the first
/// is idle, the second loaded, the third after. What was still out at the end is
/// left out.
pub(super) fn cut(all: &[&Series], warm_up: u64, spans: &[Span]) -> Cuts {
    let kinds: Vec<(&str, Vec<Cut>)> = all
        .iter()
        .map(|series| {
            let cuts = spans.iter().map(|span| Cut::of(series, warm_up, *span)).collect();
            (series.way.kind.name(), cuts)
        })
        .collect();
    let phases = spans
        .iter()
        .enumerate()
        .map(|(at, (name, ..))| Phase {
            name: (*name).to_owned(),
            series: kinds
                .iter()
                .filter_map(|(kind, cuts)| Some(cuts.get(at)?.part(kind)))
                .collect(),
        })
        .collect();
    let added = kinds.iter().filter_map(|(kind, cuts)| added(kind, cuts)).collect();
    let rpm_at = |at: usize| {
        let of = |wanted: &str| {
            let (_, cuts) = kinds.iter().find(|(kind, _)| *kind == wanted)?;
            per_minute(cuts.get(at)?)
        };
        // A server that echoes over UDP alone has no handshake to count.
        let (tcp, echo) = (of("tcp")?, of("echo").or_else(|| of("udp"))?);
        Some(u64::midpoint(tcp, echo))
    };
    Cuts { phases, added, rpm: Rpm { idle: rpm_at(0), loaded: rpm_at(1), after: rpm_at(2) } }
}

impl Cut {
    fn of(series: &Series, warm_up: u64, (_, from, to): Span) -> Self {
        let mut cut = Self {
            sent: 0,
            lost: 0,
            rtt: Hist::fine(),
            network: Hist::fine(),
            response: Hist::fine(),
            times: Vec::new(),
        };
        let counts = |record: &&Record| {
            from <= record.intended
                && record.intended < to
                && record.sequence >= warm_up
                && record.fate != Fate::Waiting
        };
        for record in series.records.iter().filter(counts) {
            cut.take(record);
        }
        cut.times.sort_unstable();
        cut
    }

    fn take(&mut self, record: &Record) {
        self.sent += 1;
        match record.fate {
            Fate::Answered => {
                let Some(user) = record.user() else {
                    return;
                };
                self.rtt.record(user);
                self.times.push(whole(user));
                self.response.record(record.response().unwrap_or(user));
                if let Some(network) = record.network() {
                    self.network.record(network);
                }
            }
            Fate::Waiting | Fate::Lost | Fate::Late | Fate::Failed => self.lost += 1,
        }
    }

    fn part(&self, kind: &str) -> Part {
        Part {
            kind: kind.to_owned(),
            sent: self.sent,
            received: self.rtt.count(),
            lost: self.lost,
            rtt: Times::of(&self.rtt),
            network_rtt: Times::of(&self.network),
            response_time: Times::of(&self.response),
            trimmed_mean_ns: self.trimmed_mean(),
        }
    }

    /// Mean of the fastest 95 %.
    fn trimmed_mean(&self) -> Option<u64> {
        let kept = (self.times.len() * 95).div_ceil(100);
        let sum: u64 = self.times.get(..kept)?.iter().sum();
        sum.checked_div(kept as u64)
    }
}

fn per_minute(cut: &Cut) -> Option<u64> {
    const MINUTE: u64 = Duration::from_secs(60).as_nanos() as u64;
    MINUTE.checked_div(cut.trimmed_mean()?)
}

fn added(kind: &str, cuts: &[Cut]) -> Option<Added> {
    let [idle, loaded, after @ ..] = cuts else {
        return None;
    };
    if idle.rtt.count() == 0 || loaded.rtt.count() == 0 {
        return None;
    }
    let p50 = difference(idle, loaded);
    // The intervals of the two tails must not meet.
    let (before, under) = (Quantiles::of(&idle.rtt), Quantiles::of(&loaded.rtt));
    let p99 = before.intervals[2].zip(under.intervals[2]).and_then(|(a, b)| {
        let apart = a.1 < b.0 || b.1 < a.0;
        let [a, b] = [before.p99?, under.p99?].map(|p99| whole(p99).cast_signed());
        apart.then_some(b - a)
    });
    let after = after.first().filter(|after| after.rtt.count() > 0);
    let back = after.filter(|_| p50.is_some_and(|p50| p50 > 0)).map(|after| {
        let left = difference(idle, after).unwrap_or(0);
        // Less than a tenth of what the load added is as good as gone.
        10 * left < p50.unwrap_or(0)
    });
    Some(Added { kind: kind.to_owned(), p50_ns: p50, p99_ns: p99, back })
}

/// How far the second median is above the first, if their intervals of 95 %
/// don't meet.
fn difference(first: &Cut, second: &Cut) -> Option<i64> {
    let (first, second) = (Quantiles::of(&first.rtt), Quantiles::of(&second.rtt));
    let (a, b) = (first.intervals[0]?, second.intervals[0]?);
    let apart = a.1 < b.0 || b.1 < a.0;
    let [a, b] = [first.p50?, second.p50?].map(|p50| whole(p50).cast_signed());
    apart.then_some(b - a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearlight::client::ping::{Counts, Family, Kind, Target, Way};

    /// Probes a millisecond apart, `us` of round trip each; `None` is lost.
    fn series(kind: Kind, us: impl Fn(u64) -> Option<u64>, n: u64) -> Series {
        let at = |nanos| Instant::from_nanos(nanos);
        let target = Target::resolve("127.0.0.1", Family::V4).expect("an address");
        let records = (0..n).map(|i| {
            let due = i * 1_000_000;
            let received = us(i).map(|us| at(due + us * 1_000));
            Record {
                sequence: i,
                intended: at(due),
                sent: at(due),
                left: None,
                came: None,
                received,
                told: None,
                fate: if received.is_some() { Fate::Answered } else { Fate::Lost },
            }
        });
        Series {
            way: Way::to(kind, target),
            how: String::new(),
            counts: Counts::default(),
            records: records.collect(),
            stride: 1,
            scheduled: n,
            start: at(0),
            clock_stepped: 0,
            reflected: None,
            trouble: None,
            failure: None,
        }
    }

    fn spans() -> [Span; 3] {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        [("idle", at(0), at(1000)), ("loaded", at(1000), at(2000)), ("after", at(2000), at(3000))]
    }

    #[test]
    fn what_the_load_adds_is_told_per_kind_and_goes_away() {
        let load = |i: u64| (1000..2000).contains(&i);
        let slow = |i| Some(100 + i % 7 + if load(i) { 50 } else { 0 });
        let (tcp, echo) =
            (series(Kind::Tcp, slow, 3000), series(Kind::Echo, |i| Some(200 + i % 7), 3000));
        let cuts = cut(&[&tcp, &echo], 10, &spans());
        let added: Vec<_> =
            cuts.added.iter().map(|a| (a.p50_ns.map(|n| n / 1000), a.back)).collect();
        assert_eq!(added, [(Some(50), Some(true)), (None, None)]);
        assert_eq!(cuts.phases[1].series[0].sent, 1000);
        assert_eq!(cuts.phases[0].series[0].sent, 990, "without those that warm up");
        // 60 s over 103 and 203 µs, a hair less for the slowest left out.
        let rpm = cuts.rpm.idle.expect("both");
        assert!((430_000..450_000).contains(&rpm), "{rpm}");
        assert!(cuts.rpm.loaded.expect("both") < rpm);
    }

    #[test]
    fn a_run_that_ends_under_load_still_tells_what_it_adds() {
        let slow = |i: u64| Some(100 + i % 7 + if i >= 1000 { 50 } else { 0 });
        let mut one = series(Kind::Udp, slow, 2000);
        one.records[1999].fate = Fate::Waiting;
        let cuts = cut(&[&one], 0, &spans()[..2]);
        let added = &cuts.added[0];
        assert_eq!((added.p50_ns.map(|n| n / 1000), added.back), (Some(50), None));
        let loaded = &cuts.phases[1].series[0];
        assert_eq!((loaded.sent, loaded.lost), (999, 0), "what is still out is not lost");
    }

    #[test]
    fn what_stays_after_the_load_is_told() {
        let slow = |i: u64| Some(100 + i % 7 + if i >= 1000 { 50 } else { 0 });
        let cuts = cut(&[&series(Kind::Udp, slow, 3000)], 0, &spans());
        assert_eq!(cuts.added[0].back, Some(false));
        let lost = cut(&[&series(Kind::Udp, |i| (i < 1000).then_some(100), 3000)], 0, &spans());
        assert_eq!((lost.added.len(), lost.phases[1].series[0].lost), (0, 1000));
        assert_eq!(lost.rpm.idle, None);
    }
}
