//! The server's own pages, made from a snapshot.

use super::{Counters, Snapshot, StreamSnapshot, Turns, trace};
use crate::protocol::Name;
use crate::protocol::http::Page;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The media type and the text of a page, from what every shard says.
pub fn render(page: Page, shards: &[Snapshot], turns: &[Turns]) -> (&'static str, String) {
    match page {
        Page::Turns => ("application/json", trace(turns)),
        Page::Healthz => ("text/plain; charset=utf-8", "ok\n".to_owned()),
        Page::Metrics => ("text/plain; version=0.0.4; charset=utf-8", metrics(shards)),
        Page::Streams => ("application/json", list(&merged(shards))),
        Page::Root => ("text/plain; charset=utf-8", root(&merged(shards))),
    }
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
        let age = stream.newest_frame_age.map(|age| age.as_nanos());
        let _ = write!(
            text,
            "{}{{\"name\":\"{}\",\"epoch\":{},\"framing\":\"{}\",\"subscribers\":{},\
             \"waiting\":{},\"behind\":{},\"position\":{},\"window_bytes\":{},\
             \"received_bytes\":{},\"moved_bytes\":{},\"newest_frame_age_ns\":{},\
             \"continuity_errors\":{},\"skipped_bytes\":{}}}",
            if n == 0 { "" } else { "," },
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
        );
    }
    text.push_str("]\n");
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
    text
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
        let (_, text) = render(Page::Metrics, &shards, &[]);
        assert!(text.contains("nearlight_subscribers{stream=\"a\"} 7\n"), "{text}");
    }
}
