//! The object that `lightmeter ping --json` prints, schema
//! `nearlight.lightmeter.ping/1`.
//!
//! Keys that end in `_ns` are integers of nanoseconds, `null` where unknown or
//! where there are too few samples. `series` has one entry for each kind. At the
//! top, `sent`, `received`, `lost` and `rtt` are those of the kind named in
//! `kind`: the one asked for, or the network's yardstick among all. `rtt` is
//! from before the send call to after the receive call, in user space; the
//! system's `ping` has its own definition, and its series says
//! `"clock": "system_ping"`.

use nearlight::client::ping::{Kind, Plan, Quantiles, Series, Verdict};
use serde_json::{Value, json};
use std::time::Duration;

use super::options::Options;

const SCHEMA: &str = "nearlight.lightmeter.ping/1";

/// The object after a measurement, on one line.
pub(super) fn report(
    options: &Options,
    plan: &Plan,
    series: &[Series],
    verdict: &Verdict,
) -> Value {
    let yardstick = verdict
        .network
        .map(|(kind, _)| kind)
        .or_else(|| verdict.echoes.first().map(|echo| echo.kind))
        .unwrap_or(Kind::Icmp);
    let kind = options.kind.unwrap_or(yardstick);
    let all: Vec<Value> = series.iter().map(one).collect();
    let main = series.iter().position(|series| series.kind == kind).and_then(|at| all.get(at));
    let of_main = |key: &str| main.map_or(Value::Null, |main| main[key].clone());
    json!({
        "schema": SCHEMA,
        "tool": concat!("lightmeter ", env!("CARGO_PKG_VERSION")),
        "target": {
            "name": plan.target.name,
            "address": plan.target.host(),
            "echo_port": plan.target.address.port(),
        },
        "config": {
            "kinds": plan.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
            "count": plan.count,
            "interval_ns": nanos(Some(plan.interval)),
            "size": plan.size,
            "wait_ns": nanos(Some(plan.wait)),
            "deadline_ns": nanos(plan.deadline),
        },
        "kind": kind.name(),
        "sent": of_main("sent"),
        "received": of_main("received"),
        "lost": of_main("lost"),
        "rtt": of_main("rtt"),
        "error": of_main("error"),
        "series": all,
        "verdict": {
            "sentence": verdict.sentence,
            "network_kind": verdict.network.map(|(kind, _)| kind.name()),
            "network_ns": nanos(verdict.network.map(|(_, p50)| p50)),
            "echoes": verdict.echoes.iter().map(|echo| json!({
                "kind": echo.kind.name(),
                "p50_ns": nanos(Some(echo.p50)),
                "adds_ns": echo.adds_nanos,
            })).collect::<Vec<_>>(),
        },
    })
}

/// The object where there was no measurement.
pub(super) fn failure(word: &str, why: &str) -> Value {
    json!({
        "schema": SCHEMA,
        "tool": concat!("lightmeter ", env!("CARGO_PKG_VERSION")),
        "rtt": null,
        "series": [],
        "error": { "kind": word, "message": why },
    })
}

fn one(series: &Series) -> Value {
    let counts = &series.counts;
    let lateness = counts.lateness.quantiles();
    let clock = if series.kind == Kind::System { "system_ping" } else { "user" };
    json!({
        "kind": series.kind.name(),
        "how": series.how,
        "clock": clock,
        "sent": counts.sent,
        "received": counts.received,
        "lost": counts.lost,
        "late": counts.late,
        "duplicates": counts.duplicates,
        "reordered": counts.reordered,
        "errors": counts.errors,
        "foreign": counts.foreign,
        "pending": counts.pending,
        "first_ns": nanos(counts.first),
        "rtt": quantiles(&counts.rtt.quantiles()),
        "send_lateness": {
            "p50_ns": nanos(lateness.p50),
            "max_ns": nanos(lateness.max),
        },
        "last_refusal": series.trouble,
        "error": series.failure.as_ref().map(|error| json!({
            "kind": error.word(),
            "message": error.to_string(),
        })),
    })
}

fn quantiles(of: &Quantiles) -> Value {
    json!({
        "n": of.count,
        "min_ns": nanos(of.min),
        "p25_ns": nanos(of.p25),
        "p50_ns": nanos(of.p50),
        "p75_ns": nanos(of.p75),
        "p90_ns": nanos(of.p90),
        "p99_ns": nanos(of.p99),
        "p999_ns": nanos(of.p999),
        "max_ns": nanos(of.max),
    })
}

fn nanos(span: Option<Duration>) -> Option<u64> {
    span.map(|span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearlight::client::ping::{Counts, Family, PingError, Target, verdict};

    #[test]
    fn numbers_are_integers_and_unknown_is_null() {
        let mut counts = Counts { sent: 3, received: 2, lost: 1, ..Counts::default() };
        counts.rtt.record(Duration::from_nanos(1234));
        counts.rtt.record(Duration::from_nanos(5678));
        let series = [
            Series {
                kind: Kind::Udp,
                how: "echo, port 7".to_owned(),
                counts,
                trouble: None,
                failure: None,
            },
            Series {
                kind: Kind::System,
                how: String::new(),
                counts: Counts::default(),
                trouble: None,
                failure: Some(PingError::NotInstalled),
            },
        ];
        let plan = Plan {
            target: Target::resolve("127.0.0.1:7", Family::Any).expect("an address"),
            kinds: vec![Kind::System, Kind::Udp],
            count: Some(3),
            interval: Duration::from_millis(1),
            size: 56,
            wait: Duration::from_secs(1),
            deadline: None,
        };
        let words = ["127.0.0.1:7"].map(std::ffi::OsString::from).to_vec();
        let Ok(super::super::options::Asked::Ping(options)) = super::super::options::parse(words)
        else {
            panic!("right usage");
        };
        let object = report(&options, &plan, &series, &verdict(&series));
        assert_eq!(object["kind"], "udp");
        assert_eq!(object["rtt"]["p50_ns"], 1234);
        assert_eq!(object["rtt"]["p99_ns"], Value::Null);
        assert_eq!(object["config"]["interval_ns"], 1_000_000);
        assert_eq!(object["config"]["deadline_ns"], Value::Null);
        assert_eq!(object["series"][1]["error"]["kind"], "not_installed");
        assert_eq!(object["verdict"]["network_ns"], Value::Null);
        assert!(!object.to_string().contains('\n'));
    }

    #[test]
    fn errors_are_objects_too() {
        let object = failure("resolve", "can't find host 'x'");
        assert_eq!(object["schema"], SCHEMA);
        assert_eq!(object["error"]["kind"], "resolve");
    }
}
