//! The server's own pages, made from a snapshot.

use super::{Counters, Snapshot, StreamSnapshot, SubscriberSnapshot, Turns, subscribers, trace};
use crate::base::Histogram;
use crate::protocol::Name;
use crate::protocol::http::Page;
use std::collections::BTreeMap;
use std::fmt::Write;

const JSON: &str = "application/json";

/// The media type and the text of a page, from what every shard says; `None`:
/// there is no such stream.
pub fn render(page: &Page, shards: &[Snapshot], turns: &[Turns]) -> Option<(&'static str, String)> {
    Some(match page {
        Page::Turns => (JSON, trace(turns)),
        Page::Healthz => ("text/plain; charset=utf-8", "ok\n".to_owned()),
        Page::Metrics => ("text/plain; version=0.0.4; charset=utf-8", metrics(shards)),
        Page::Streams => (JSON, list(&merged(shards))),
        Page::Stream(name) => (JSON, one(name, shards)?),
        Page::Root => ("text/plain; charset=utf-8", root(&merged(shards))),
    })
}

/// Each stream once, by name: its own shard knows what came in, and the
/// subscribers of all shards are its subscribers.
fn merged(shards: &[Snapshot]) -> Vec<StreamSnapshot> {
    let mut streams: BTreeMap<&Name, StreamSnapshot> = BTreeMap::new();
    for stream in shards.iter().flat_map(|shard| &shard.streams) {
        match streams.get_mut(&stream.name) {
            Some(known) => known.merge(stream),
            None => drop(streams.insert(&stream.name, stream.clone())),
        }
    }
    streams.into_values().collect()
}

/// `GET /`: what lives, for people.
fn root(streams: &[StreamSnapshot]) -> String {
    let mut text = String::from("nearlight\n\nlive streams:\n");
    for stream in streams {
        let _ = writeln!(text, "  /{} ({} subscribers)", stream.name, stream.subscribers);
    }
    text.push_str("\nsee /api/streams, /metrics, /healthz\n");
    text
}

/// `GET /api/streams`: an array of the live streams, by name. Names need no
/// escaping: their grammar has no quote, backslash or control character.
fn list(streams: &[StreamSnapshot]) -> String {
    let mut text = String::from("[");
    for (n, stream) in streams.iter().enumerate() {
        text.push_str(if n == 0 { "{" } else { ",{" });
        fields(&mut text, stream);
        text.push('}');
    }
    text.push_str("]\n");
    text
}

/// `GET /api/streams/NAME`: the stream, and who gets it.
fn one(name: &Name, shards: &[Snapshot]) -> Option<String> {
    let stream = merged(shards).into_iter().find(|stream| stream.name == *name)?;
    let mut text = String::from("{");
    fields(&mut text, &stream);
    text.push_str(",\"subscriber_list\":");
    let all: Vec<SubscriberSnapshot> =
        shards.iter().flat_map(|shard| shard.subscribers.iter().cloned()).collect();
    subscribers::list(&mut text, &all, stream.position);
    text.push_str("}\n");
    Some(text)
}

/// What is said of a stream.
fn fields(text: &mut String, stream: &StreamSnapshot) {
    let age = stream.newest_frame_age.map(|age| age.as_nanos());
    let _ = write!(
        text,
        "\"name\":\"{}\",\"epoch\":{},\"framing\":\"{}\",\"subscribers\":{},\
             \"waiting\":{},\"behind\":{},\"position\":{},\"window_bytes\":{},\
             \"received_bytes\":{},\"moved_bytes\":{},\"newest_frame_age_ns\":{},\
             \"continuity_errors\":{},\"skipped_bytes\":{},\"residence_from\":\"{}\",\
             \"residence_ns\":{}",
        stream.name,
        stream.epoch,
        stream.kind.label(),
        stream.subscribers,
        stream.waiting,
        stream.behind,
        stream.position,
        stream.window_bytes,
        stream.received_bytes,
        stream.moved_bytes,
        age.map_or("null".to_owned(), |age| age.to_string()),
        stream.continuity_errors,
        stream.skipped_bytes,
        if stream.is_stamped { "kernel" } else { "ingest" },
        quantiles(&stream.residence),
    );
}

/// An object of spans in nanoseconds; one without the samples for it is null.
pub(super) fn quantiles(residence: &Histogram) -> String {
    let mut text = format!("{{\"count\":{}", residence.count());
    for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
        let span = residence.quantile(q);
        let nanos = span.map_or("null".to_owned(), |span| span.as_nanos().to_string());
        let _ = write!(text, ",\"{name}\":{nanos}");
    }
    text.push('}');
    text
}

/// `GET /metrics`: Prometheus text format 0.0.4.
fn metrics(shards: &[Snapshot]) -> String {
    let mut text = String::new();
    let mut counters = Counters::default();
    shards.iter().for_each(|shard| counters.add(&shard.counters));
    for (name, help, count) in counters.rows() {
        let _ = writeln!(
            text,
            "# HELP nearlight_{name}_total {help}.\n# TYPE nearlight_{name}_total counter\n\
             nearlight_{name}_total {count}"
        );
    }
    let reasons = counters.refusals().map(|(why, count)| (why.label().to_owned(), count));
    family(&mut text, "refused_total", "Peers and requests refused", "reason", reasons);
    let phases = counters.exhausted().map(|(phase, count)| (phase.label().to_owned(), count));
    family(&mut text, "budget_exhausted_total", "Budgets used up", "phase", phases);
    let mut calls: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (name, made, empty) in shards.iter().flat_map(|shard| &shard.calls) {
        let sum = calls.entry(name).or_default();
        *sum = (sum.0 + made, sum.1 + empty);
    }
    let made = calls.iter().map(|(name, (made, _))| ((*name).to_owned(), *made));
    family(&mut text, "calls_total", "System calls", "call", made);
    let empty = calls.iter().map(|(name, (_, empty))| ((*name).to_owned(), *empty));
    family(&mut text, "calls_empty_total", "System calls in vain (EAGAIN)", "call", empty);
    let streams = merged(shards);
    let counts = streams.iter().map(|one| (one.name.to_string(), one.subscribers as u64));
    family(&mut text, "subscribers", "Subscribers on connections", "stream", counts);
    residence(&mut text, &streams);
    text
}

/// How long frames stayed, as a histogram for each stream that has delivered
/// any.
fn residence(text: &mut String, streams: &[StreamSnapshot]) {
    let name = "nearlight_residence_seconds";
    let help = "From the arrival of a frame to after the send that a subscriber got it by";
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} histogram");
    for stream in streams.iter().filter(|stream| stream.residence.count() > 0) {
        let (label, count) = (&stream.name, stream.residence.count());
        // Every second power of two: enough to see an order of magnitude.
        for (end, below) in stream.residence.octaves().step_by(2) {
            let end = end.as_secs_f64();
            let _ = writeln!(text, "{name}_bucket{{stream=\"{label}\",le=\"{end}\"}} {below}");
        }
        let _ = writeln!(text, "{name}_bucket{{stream=\"{label}\",le=\"+Inf\"}} {count}");
        let sum = stream.residence.sum().as_secs_f64();
        let _ = writeln!(text, "{name}_sum{{stream=\"{label}\"}} {sum}");
        let _ = writeln!(text, "{name}_count{{stream=\"{label}\"}} {count}");
    }
}

/// One metric with a label.
fn family(
    text: &mut String,
    name: &str,
    help: &str,
    label: &str,
    rows: impl IntoIterator<Item = (String, u64)>,
) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    let _ = writeln!(text, "# HELP nearlight_{name} {help}.\n# TYPE nearlight_{name} {kind}");
    for (value, count) in rows {
        let _ = writeln!(text, "nearlight_{name}{{{label}=\"{value}\"}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Position;
    use crate::framing::Kind;
    use std::time::Duration;

    fn stream(name: &str, epoch: u64, is_here: bool, subscribers: usize) -> StreamSnapshot {
        StreamSnapshot {
            name: Name::parse(name).unwrap(),
            epoch,
            is_here,
            kind: Kind::Ts,
            subscribers,
            waiting: 1,
            behind: 2,
            position: Position(if is_here { 100 } else { 90 }),
            window_bytes: 10,
            received_bytes: if is_here { 200 } else { 0 },
            moved_bytes: 0,
            newest_frame_age: Some(Duration::from_nanos(5)),
            continuity_errors: 0,
            skipped_bytes: 0,
            residence: Histogram::default(),
            is_stamped: false,
        }
    }

    #[test]
    fn a_stream_of_several_shards_is_listed_once() {
        let shard = |streams: Vec<StreamSnapshot>| Snapshot { streams, ..Snapshot::default() };
        let shards = [
            shard(vec![stream("a", 1, false, 3), stream("b", 2, true, 1)]),
            shard(vec![stream("a", 1, true, 4)]),
            // It has not heard yet that this life of it is over.
            shard(vec![stream("b", 1, false, 7)]),
        ];
        let found = merged(&shards);
        let brief = |one: &StreamSnapshot| {
            (one.name.to_string(), one.subscribers, one.waiting, one.position.0, one.received_bytes)
        };
        let wanted = [("a".to_owned(), 7, 2, 100, 200), ("b".to_owned(), 1, 1, 100, 200)];
        assert_eq!(found.iter().map(brief).collect::<Vec<_>>(), wanted);
        let (_, text) = render(&Page::Metrics, &shards, &[]).unwrap();
        assert!(text.contains("nearlight_subscribers{stream=\"a\"} 7\n"), "{text}");
    }
}
