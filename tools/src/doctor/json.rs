//! The object that `lightmeter doctor --json` prints, schema
//! `nearlight.lightmeter.doctor/1`, described by `tools/schemas/doctor.json`.
//! Keys that end in `_ns` are integers of nanoseconds, `null` where unknown.

use std::time::Duration;

use serde_json::{Value, json};

use super::Report;
use super::finding::Verdict;

const SCHEMA: &str = "nearlight.lightmeter.doctor/1";
const TOOL: &str = concat!("lightmeter ", env!("CARGO_PKG_VERSION"));

/// The object after an examination, on one line.
pub(super) fn report(report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "topic": finding.topic,
                "verdict": finding.verdict.word(),
                "value": finding.value,
                "meaning": finding.meaning,
                "fix": finding.fix.as_ref().map(|fix| fix.line(report.place)),
            })
        })
        .collect();
    let measured = &report.measured;
    let late = measured.exact.late;
    json!({
        "schema": SCHEMA,
        "tool": TOOL,
        "findings": findings,
        "limits": report.count(Verdict::Limit),
        "notes": report.count(Verdict::Note),
        "impossible": report.prevented(),
        "measured": {
            "clock_read_p50_ns": nanos(Some(measured.spin.cost.p50)),
            "clock_read_p99_ns": nanos(measured.spin.cost.p99),
            "clock_step_ns": nanos(measured.spin.step),
            "spin_ns": nanos(Some(measured.spin.lasted)),
            "away_ns": nanos(Some(measured.spin.away)),
            "away_max_ns": nanos(Some(measured.spin.longest)),
            "timer_slack_ns": nanos(measured.given.slack),
            "timer_slack_exact_ns": nanos(measured.exact.slack),
            "oversleep_given_p50_ns": nanos(measured.given.late.map(|late| late.p50)),
            "oversleep_p50_ns": nanos(late.map(|late| late.p50)),
            "oversleep_p99_ns": nanos(late.and_then(|late| late.p99)),
            "oversleep_max_ns": nanos(late.map(|late| late.max)),
        },
        "sentence": report.sentence(),
        "error": null,
    })
}

/// The object where there was no examination.
pub(super) fn failure(word: &str, why: &str) -> Value {
    json!({
        "schema": SCHEMA,
        "tool": TOOL,
        "findings": [],
        "error": { "kind": word, "message": why },
    })
}

fn nanos(span: Option<Duration>) -> Option<u64> {
    span.map(|span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}
