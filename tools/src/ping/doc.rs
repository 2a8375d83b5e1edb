//! A measurement as a document: what `lightmeter ping --json` prints, what a
//! saved run ends with, and what the text is made of. Its schema, shipped, is
//! `tools/schemas/ping.json`.
//!
//! Keys that end in `_ns` are integers of nanoseconds, `null` where unknown or
//! where there are too few samples. At the top, `sent`, `received`, `lost` and
//! `rtt` are those of the first series of the kind named in `kind`: the one
//! asked for, or the network's yardstick among all. `rtt` is user RTT; the
//! system's `ping` has its own definition, and its series says
//! `"clock": "system_ping"`.

use std::time::Duration;

use nearlight::client::hist::Hist;
use nearlight::client::ping::oneway::{Around, Delays};
use nearlight::client::ping::{
    Counts, Kind, PingError, Plan, Quantiles, Reflected, Series, meaning, validity, verdict,
};
use serde::{Deserialize, Serialize};

use super::options::Options;
use crate::host::Host;

/// Name and version of the document.
pub(crate) const SCHEMA: &str = "nearlight.lightmeter.ping/1";
/// Who made it.
pub(crate) const TOOL: &str = concat!("lightmeter ", env!("CARGO_PKG_VERSION"));

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doc {
    pub(crate) schema: String,
    pub(crate) tool: String,
    /// Where and how busy; `null` where nothing was measured, as the next ones.
    pub(crate) host: Option<Host>,
    pub(crate) target: Option<TargetDoc>,
    pub(crate) config: Option<Config>,
    pub(crate) kind: Option<String>,
    pub(crate) sent: Option<u64>,
    pub(crate) received: Option<u64>,
    pub(crate) lost: Option<u64>,
    pub(crate) rtt: Option<Times>,
    pub(crate) error: Option<Failure>,
    pub(crate) series: Vec<SeriesDoc>,
    pub(crate) verdict: Option<VerdictDoc>,
    pub(crate) validity: Option<ValidityDoc>,
    /// Lines that there was no time to print.
    pub(crate) lines_dropped: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetDoc {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) echo_port: u16,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) kinds: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) count: Option<u64>,
    pub(crate) warm_up: u64,
    pub(crate) interval_ns: u64,
    pub(crate) size: usize,
    pub(crate) wait_ns: u64,
    pub(crate) deadline_ns: Option<u64>,
    pub(crate) pace: String,
    pub(crate) cpu: Option<usize>,
    pub(crate) kernel_stamps: bool,
    /// What looking the hosts up took, before anything was measured.
    pub(crate) lookup_ns: u64,
    /// All times of all kinds are shown.
    pub(crate) verbose: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// Quantiles, within 0.1 %.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Times {
    pub(crate) n: u64,
    pub(crate) min_ns: Option<u64>,
    pub(crate) mean_ns: Option<u64>,
    pub(crate) p25_ns: Option<u64>,
    pub(crate) p50_ns: Option<u64>,
    pub(crate) p75_ns: Option<u64>,
    pub(crate) p90_ns: Option<u64>,
    pub(crate) p99_ns: Option<u64>,
    pub(crate) p999_ns: Option<u64>,
    pub(crate) p9999_ns: Option<u64>,
    pub(crate) max_ns: Option<u64>,
    /// Both ends of intervals of 95 %.
    pub(crate) ci95: Intervals,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intervals {
    pub(crate) p50_ns: Option<(u64, u64)>,
    pub(crate) p90_ns: Option<(u64, u64)>,
    pub(crate) p99_ns: Option<(u64, u64)>,
    pub(crate) p999_ns: Option<(u64, u64)>,
    pub(crate) p9999_ns: Option<(u64, u64)>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesDoc {
    pub(crate) kind: String,
    pub(crate) host: String,
    pub(crate) address: String,
    pub(crate) how: String,
    /// Whose times `rtt` has: `user` or `system_ping`.
    pub(crate) clock: String,
    pub(crate) scheduled: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) duplicates: u64,
    pub(crate) reordered: u64,
    pub(crate) reorder_extent: u64,
    pub(crate) errors: u64,
    pub(crate) forged: u64,
    pub(crate) dropped_here: u64,
    pub(crate) pending: u64,
    pub(crate) loss_run: u64,
    pub(crate) first_ns: Option<u64>,
    pub(crate) rtt: Times,
    pub(crate) network_rtt: Times,
    /// From before the send call to the kernel's receipt, as ping(8) has it.
    pub(crate) ping_rtt: Times,
    pub(crate) host_overhead: Times,
    pub(crate) response_time: Times,
    pub(crate) send_lateness: Times,
    pub(crate) late_rtt: Times,
    pub(crate) jitter: JitterDoc,
    pub(crate) stamps: Stamps,
    /// What a STAMP reflector has told.
    pub(crate) one_way: Option<OneWayDoc>,
    /// User RTT: the largest value of each bucket, and how many there were.
    pub(crate) rtt_histogram: Vec<(u64, u64)>,
    pub(crate) last_refusal: Option<String>,
    pub(crate) error: Option<Failure>,
}

/// Variation of user RTT, by name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JitterDoc {
    /// RFC 3393: mean difference of neighbours.
    pub(crate) ipdv_ns: Option<u64>,
    /// RFC 5481: the 99th percentile less the minimum.
    pub(crate) pdv_p99_ns: Option<u64>,
    /// RFC 3550 section 6.4.1.
    pub(crate) rfc3550_ns: Option<u64>,
    /// Standard deviation, as ping(8) has it.
    pub(crate) mdev_ns: Option<u64>,
}

/// Delays of each way by a reflector's times.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneWayDoc {
    /// Both ends have one clock; else a bound is the network's own.
    pub(crate) one_clock: bool,
    pub(crate) up: Option<WayDoc>,
    pub(crate) down: Option<WayDoc>,
    /// How far the reflector's clock is ahead.
    pub(crate) offset: Option<AroundDoc>,
    pub(crate) n: u64,
    /// Why there are no delays.
    pub(crate) unclear: Option<String>,
    /// Where the reflector counts its replies.
    pub(crate) lost_up: Option<u64>,
    pub(crate) lost_down: Option<u64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WayDoc {
    pub(crate) min: Option<AroundDoc>,
    pub(crate) p50: Option<AroundDoc>,
    pub(crate) p90: Option<AroundDoc>,
    pub(crate) p99: Option<AroundDoc>,
    pub(crate) p999: Option<AroundDoc>,
    pub(crate) max: Option<AroundDoc>,
}

/// A time, and how far it may be off.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AroundDoc {
    pub(crate) about_ns: i64,
    pub(crate) within_ns: u64,
}

/// How many of `received` the kernel stamped.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamps {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Replies with a network RTT.
    pub(crate) both: u64,
    /// What `network_rtt` is from: `kernel_stamps`, `tcp_info` or `null`.
    pub(crate) source: Option<String>,
    pub(crate) clock_stepped_ns: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerdictDoc {
    pub(crate) sentence: String,
    /// What the quantiles of the first series mean, in words.
    pub(crate) meaning: Option<String>,
    pub(crate) network_kind: Option<String>,
    pub(crate) network_ns: Option<u64>,
    pub(crate) host_ns: Option<u64>,
    pub(crate) echoes: Vec<EchoDoc>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EchoDoc {
    pub(crate) kind: String,
    pub(crate) p50_ns: u64,
    pub(crate) adds_ns: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValidityDoc {
    /// `ok`, `degraded` or `invalid`.
    pub(crate) state: String,
    pub(crate) invalid: Vec<String>,
    pub(crate) degraded: Vec<String>,
}

/// The document after a measurement.
pub(crate) fn of_run(
    options: &Options,
    plan: &Plan,
    all: &[Series],
    host: Host,
    lookup: Duration,
) -> Doc {
    let verdict = verdict(all);
    let yardstick = verdict
        .network
        .map(|(kind, _)| kind)
        .or_else(|| verdict.others.first().map(|other| other.kind))
        .unwrap_or(Kind::Icmp);
    let kind = options.kind.unwrap_or(yardstick);
    let main = all.iter().find(|series| series.kind() == kind);
    let counts = main.map(|main| &main.counts);
    let validity = validity(plan, all);
    let target = plan.ways.first().map(|way| &way.target);
    Doc {
        schema: SCHEMA.to_owned(),
        tool: TOOL.to_owned(),
        host: Some(host),
        target: target.map(|target| TargetDoc {
            name: target.name.clone(),
            address: target.host(),
            echo_port: target.address.port(),
        }),
        config: Some(config(options, plan, lookup)),
        kind: Some(kind.name().to_owned()),
        sent: counts.map(|counts| counts.sent),
        received: counts.map(|counts| counts.received),
        lost: counts.map(|counts| counts.lost),
        rtt: counts.map(|counts| Times::of(&counts.rtt)),
        error: main.and_then(Failure::of_all),
        series: all.iter().map(SeriesDoc::of).collect(),
        validity: Some(ValidityDoc {
            state: validity.word().to_owned(),
            invalid: validity.invalid,
            degraded: validity.degraded,
        }),
        verdict: Some(VerdictDoc {
            sentence: verdict.sentence,
            meaning: main.and_then(|main| meaning(&main.counts.rtt)),
            network_kind: verdict.network.map(|(kind, _)| kind.name().to_owned()),
            network_ns: nanos(verdict.network.map(|(_, p50)| p50)),
            host_ns: nanos(verdict.host),
            echoes: verdict
                .others
                .iter()
                .map(|other| EchoDoc {
                    kind: other.kind.name().to_owned(),
                    p50_ns: whole(other.p50),
                    adds_ns: other.adds_nanos,
                })
                .collect(),
        }),
        lines_dropped: 0,
    }
}

/// The document where there was no measurement.
pub(crate) fn of_failure(word: &str, why: &str) -> Doc {
    Doc {
        schema: SCHEMA.to_owned(),
        tool: TOOL.to_owned(),
        host: None,
        target: None,
        config: None,
        kind: None,
        sent: None,
        received: None,
        lost: None,
        rtt: None,
        error: Some(Failure { kind: word.to_owned(), message: why.to_owned() }),
        series: Vec::new(),
        verdict: None,
        validity: None,
        lines_dropped: 0,
    }
}

fn config(options: &Options, plan: &Plan, lookup: Duration) -> Config {
    let mut kinds: Vec<String> = Vec::new();
    let mut hosts: Vec<String> = Vec::new();
    for way in &plan.ways {
        for (list, name) in [(&mut kinds, way.kind.name()), (&mut hosts, &way.target.name)] {
            if !list.iter().any(|known| known == name) {
                list.push(name.to_owned());
            }
        }
    }
    Config {
        kinds,
        hosts,
        count: plan.count,
        warm_up: plan.warm_up,
        interval_ns: whole(plan.interval),
        size: plan.size,
        wait_ns: whole(plan.wait),
        deadline_ns: nanos(plan.deadline),
        pace: plan.pace.name().to_owned(),
        cpu: options.cpu,
        kernel_stamps: plan.stamps,
        lookup_ns: whole(lookup),
        verbose: options.verbose,
    }
}

impl Failure {
    /// Why a series has no figures, or fewer than it should.
    fn of_all(series: &Series) -> Option<Self> {
        let counts = &series.counts;
        let all_refused = counts.errors > 0 && counts.errors == counts.sent;
        let refusal = series.trouble.as_ref().filter(|_| all_refused);
        series
            .failure
            .as_ref()
            .map(Self::of)
            .or_else(|| Some(Self { kind: "refused".to_owned(), message: refusal?.clone() }))
    }

    fn of(error: &PingError) -> Self {
        Self { kind: error.word().to_owned(), message: error.to_string() }
    }
}

impl Times {
    /// Of what a histogram has counted.
    pub(crate) fn of(hist: &Hist) -> Self {
        let of = Quantiles::of(hist);
        let [p50, p90, p99, p999, p9999] =
            of.intervals.map(|ends| ends.map(|(low, high)| (whole(low), whole(high))));
        Self {
            n: of.count,
            min_ns: nanos(of.min),
            mean_ns: nanos(of.mean),
            p25_ns: nanos(of.p25),
            p50_ns: nanos(of.p50),
            p75_ns: nanos(of.p75),
            p90_ns: nanos(of.p90),
            p99_ns: nanos(of.p99),
            p999_ns: nanos(of.p999),
            p9999_ns: nanos(of.p9999),
            max_ns: nanos(of.max),
            ci95: Intervals {
                p50_ns: p50,
                p90_ns: p90,
                p99_ns: p99,
                p999_ns: p999,
                p9999_ns: p9999,
            },
        }
    }
}

impl SeriesDoc {
    fn of(series: &Series) -> Self {
        let counts = &series.counts;
        let system = series.kind() == Kind::System;
        Self {
            kind: series.kind().name().to_owned(),
            host: series.way.target.name.clone(),
            address: series.way.target.host(),
            how: series.how.clone(),
            clock: if system { "system_ping" } else { "user" }.to_owned(),
            scheduled: series.scheduled,
            sent: counts.sent,
            received: counts.received,
            lost: counts.lost,
            late: counts.late,
            duplicates: counts.duplicates,
            reordered: counts.reordered,
            reorder_extent: counts.reorder_extent,
            errors: counts.errors,
            forged: counts.forged,
            dropped_here: counts.dropped_here,
            pending: counts.pending,
            loss_run: counts.loss_run,
            first_ns: nanos(counts.first),
            rtt: Times::of(&counts.rtt),
            network_rtt: Times::of(&counts.network),
            ping_rtt: Times::of(&counts.as_ping),
            host_overhead: Times::of(&counts.overhead),
            response_time: Times::of(&counts.response),
            send_lateness: Times::of(&counts.lateness),
            late_rtt: Times::of(&counts.late_rtt),
            jitter: JitterDoc::of(counts),
            stamps: Stamps::of(series),
            one_way: series.reflected.as_ref().map(OneWayDoc::of),
            rtt_histogram: counts.rtt.buckets().map(|(value, n)| (whole(value), n)).collect(),
            last_refusal: series.trouble.clone(),
            error: series.failure.as_ref().map(Failure::of),
        }
    }
}

impl JitterDoc {
    fn of(counts: &Counts) -> Self {
        let pdv = counts.rtt.quantile(0.99).zip(counts.rtt.min());
        Self {
            ipdv_ns: nanos(counts.jitter.ipdv()),
            pdv_p99_ns: nanos(pdv.map(|(p99, min)| p99.saturating_sub(min))),
            rfc3550_ns: nanos(counts.jitter.rfc3550()),
            mdev_ns: nanos(counts.jitter.mdev()),
        }
    }
}

impl OneWayDoc {
    fn of(reflected: &Reflected) -> Self {
        let ways = reflected.ways.as_ref().ok();
        Self {
            one_clock: reflected.one_clock,
            up: ways.map(|ways| WayDoc::of(&ways.up)),
            down: ways.map(|ways| WayDoc::of(&ways.down)),
            offset: ways.map(|ways| AroundDoc::of(ways.offset)),
            n: ways.map_or(0, |ways| ways.count),
            unclear: reflected.ways.as_ref().err().map(ToString::to_string),
            lost_up: reflected.losses.map(|losses| losses.up),
            lost_down: reflected.losses.map(|losses| losses.down),
        }
    }
}

impl WayDoc {
    fn of(delays: &Delays) -> Self {
        let around = |around: Option<Around>| around.map(AroundDoc::of);
        Self {
            min: around(delays.min),
            p50: around(delays.p50),
            p90: around(delays.p90),
            p99: around(delays.p99),
            p999: around(delays.p999),
            max: around(delays.max),
        }
    }
}

impl AroundDoc {
    const fn of(around: Around) -> Self {
        Self { about_ns: around.nanos, within_ns: around.within }
    }
}

impl Stamps {
    fn of(series: &Series) -> Self {
        let counts = &series.counts;
        let source = match (counts.network.count(), series.kind()) {
            (0, _) => None,
            (_, Kind::Tcp) => Some("tcp_info"),
            (_, _) => Some("kernel_stamps"),
        };
        Self {
            sent: counts.stamped_sent,
            received: counts.stamped_received,
            both: counts.network.count(),
            source: source.map(str::to_owned),
            clock_stepped_ns: series.clock_stepped,
        }
    }
}

/// Nanoseconds, saturating.
pub(crate) fn whole(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The same of what may be unknown.
pub(crate) fn nanos(span: Option<Duration>) -> Option<u64> {
    span.map(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ping::options::{Asked, parse};

    /// A measurement of a port where nothing listens, and of a missing ping.
    pub(crate) fn measured(words: &str) -> (Options, Plan) {
        let words = words.split_whitespace().map(std::ffi::OsString::from).collect();
        let Ok(Asked::Ping(options)) = parse(words) else { panic!("right usage") };
        let plan = options.plan().expect("an address");
        (options, plan)
    }

    #[test]
    fn numbers_are_integers_and_unknown_is_null() {
        let (options, plan) = measured("127.0.0.1:7 -i 1ms");
        let mut counts = Counts { sent: 3, received: 2, lost: 1, ..Counts::default() };
        counts.rtt.record(Duration::from_nanos(1234));
        counts.rtt.record(Duration::from_nanos(5678));
        let way = |kind| plan.ways.iter().find(|way| way.kind == kind).cloned().expect("there");
        let series = |kind, counts, failure| Series {
            way: way(kind),
            how: String::new(),
            counts,
            records: Vec::new(),
            stride: 1,
            scheduled: 3,
            start: nearlight::base::Instant::ZERO,
            clock_stepped: 0,
            reflected: None,
            trouble: None,
            failure,
        };
        let all = [
            series(Kind::System, Counts::default(), Some(PingError::NotInstalled)),
            series(Kind::Udp, counts, None),
        ];
        let doc = of_run(&options, &plan, &all, Host::default(), Duration::ZERO);
        let object = serde_json::to_value(&doc).expect("JSON");
        assert_eq!(object["kind"], "udp");
        assert_eq!(object["rtt"]["p50_ns"], 1234);
        assert_eq!(object["rtt"]["p99_ns"], serde_json::Value::Null);
        assert_eq!(object["config"]["interval_ns"], 1_000_000);
        assert_eq!(object["config"]["deadline_ns"], serde_json::Value::Null);
        assert_eq!(object["series"][0]["error"]["kind"], "not_installed");
        assert_eq!(object["verdict"]["network_ns"], serde_json::Value::Null);
        let again: Doc = serde_json::from_value(object).expect("the same");
        assert_eq!(again.series[1].rtt_histogram.len(), 2);
    }
}
