//! The server's own pages, made from a snapshot.

use super::{
    Over, PublisherSnapshot, Server, Snapshot, StreamSnapshot, Turns, metrics, subscribers, trace,
};
use crate::base::{Bucket, Histogram};
use crate::protocol::Name;
use crate::protocol::http::Page;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

const JSON: &str = "application/json";

/// The media type and the text of a page, from what every shard says; `None`:
/// there is no such stream.
pub fn render(
    page: &Page,
    shards: &[Snapshot],
    turns: &[Turns],
    server: &Server,
) -> Option<(&'static str, String)> {
    Some(match page {
        Page::Turns => (JSON, trace(turns)),
        Page::Healthz => ("text/plain; charset=utf-8", "ok\n".to_owned()),
        Page::Metrics => {
            ("text/plain; version=0.0.4; charset=utf-8", metrics::text(shards, server))
        }
        Page::Streams => (JSON, list(shards, false)),
        Page::Subscribers => (JSON, list(shards, true)),
        Page::Stream(name) => (JSON, one(name, shards)?),
        Page::Root => ("text/plain; charset=utf-8", root(&merged(shards))),
        Page::File { .. } => return None,
    })
}

/// Each stream once, by name: its own shard knows what came in, and the
/// subscribers of all shards are its subscribers.
pub(super) fn merged(shards: &[Snapshot]) -> Vec<StreamSnapshot> {
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

/// `GET /api/streams`: an array of the live streams, by name, each with who gets
/// it if that was asked. Names need no escaping: their grammar has no quote,
/// backslash or control character.
fn list(shards: &[Snapshot], tells_who: bool) -> String {
    let mut text = String::from("[");
    for (n, stream) in merged(shards).iter().enumerate() {
        text.push_str(if n == 0 { "{" } else { ",{" });
        fields(&mut text, stream);
        if tells_who {
            who(&mut text, stream, shards);
        }
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
    who(&mut text, &stream, shards);
    text.push_str("}\n");
    Some(text)
}

/// The subscribers that the shards have told of.
fn who(text: &mut String, stream: &StreamSnapshot, shards: &[Snapshot]) {
    text.push_str(",\"subscriber_list\":");
    let all = shards.iter().flat_map(|shard| &shard.subscribers);
    subscribers::list(text, all, &stream.name);
}

/// What is said of a stream.
fn fields(text: &mut String, stream: &StreamSnapshot) {
    let rate = stream.recent.and_then(|(bytes, span)| subscribers::rate(bytes, span));
    let StreamSnapshot { delivered, .. } = stream;
    let _ = write!(
        text,
        "\"name\":\"{}\",\"epoch\":{},\"framing\":\"{}\",\"subscribers\":{},\
         \"udp_subscribers\":{},\"waiting\":{},\"behind\":{},\"worst_lag_ns\":{},\
         \"position\":{},\"window_bytes\":{},\"frames\":{},\"received_bytes\":{},\
         \"rate_bytes_per_s\":{},\"rate_span_ns\":{},\"moved_bytes\":{},\
         \"newest_frame_age_ns\":{},\"continuity_errors\":{},\"garbage_bytes\":{}",
        stream.name,
        stream.epoch,
        stream.kind.label(),
        stream.subscribers,
        stream.by_transport[Over::Udp as usize],
        stream.waiting,
        stream.behind,
        stream.worst_lag.as_nanos(),
        stream.position,
        stream.window_bytes,
        stream.frames,
        stream.received_bytes,
        or_null(rate),
        nanos(stream.recent.map(|(_, span)| span)),
        stream.moved_bytes,
        nanos(stream.newest_frame_age),
        stream.continuity_errors,
        stream.garbage_bytes,
    );
    let _ = write!(
        text,
        ",\"sent_bytes\":{},\"datagrams_sent\":{},\"datagrams_sent_bytes\":{},\
         \"datagrams_dropped\":{},\"skips\":{},\"skipped_bytes\":{},\"skipped_ns\":{},\
         \"lag_closes\":{},\"residence_from\":\"{}\",\"residence_ns\":{},\"publisher\":",
        delivered.sent_bytes,
        delivered.datagrams,
        delivered.datagram_bytes,
        delivered.dropped_datagrams,
        delivered.skips,
        delivered.skipped_bytes,
        delivered.skipped_time.as_nanos(),
        delivered.lag_closes,
        if stream.is_stamped { "kernel" } else { "ingest" },
        quantiles(&stream.residence),
    );
    publisher(text, stream.publisher);
}

/// Who sends a stream; null if its shard is not heard of.
fn publisher(text: &mut String, publisher: Option<PublisherSnapshot>) {
    let _ = match publisher {
        Some(PublisherSnapshot { peer, over, age }) => write!(
            text,
            "{{\"peer\":\"{peer}\",\"transport\":\"{}\",\"age_ns\":{}}}",
            over.label(),
            age.as_nanos()
        ),
        None => write!(text, "null"),
    };
}

/// A span in nanoseconds; one that is not known is null.
pub(super) fn nanos(span: Option<Duration>) -> String {
    or_null(span.map(|span| span.as_nanos()))
}

/// A number; one that is not known is null.
pub(super) fn or_null(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "null".to_owned(), |number| number.to_string())
}

/// An object of spans in nanoseconds; one without the samples for it is null.
pub(super) fn quantiles(residence: &Histogram<impl Bucket>) -> String {
    let mut text = format!("{{\"count\":{}", residence.count());
    for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
        let _ = write!(text, ",\"{name}\":{}", nanos(residence.quantile(q)));
    }
    text.push('}');
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::{Position, Totals};
    use crate::framing::Kind;
    use crate::report::Delivered;

    pub(in crate::report) fn stream(
        name: &str,
        epoch: u64,
        is_here: bool,
        subscribers: usize,
    ) -> StreamSnapshot {
        StreamSnapshot {
            name: Name::parse(name).unwrap(),
            epoch,
            is_here,
            kind: Kind::Ts,
            publisher: None,
            subscribers,
            by_transport: [subscribers, 0, 0, 0, 0],
            worst_lag: Duration::ZERO,
            recent: None,
            frames: 0,
            delivered: Delivered::default(),
            waiting: 1,
            behind: 2,
            position: Position(if is_here { 100 } else { 90 }),
            window_bytes: 10,
            received_bytes: if is_here { 200 } else { 0 },
            moved_bytes: 0,
            newest_frame_age: Some(Duration::from_nanos(5)),
            continuity_errors: 0,
            garbage_bytes: 0,
            residence: Totals::default(),
            is_stamped: false,
        }
    }

    #[test]
    fn what_shards_count_of_a_stream_is_told_apart_and_summed_where_it_is_now() {
        let shard = |shard: usize, is_here: bool| {
            let mut stream = stream("a", 1, is_here, 1);
            let n = shard as u64 + 1;
            stream.delivered = Delivered { sent_bytes: n, skips: 10 * n, ..stream.delivered };
            stream.worst_lag = Duration::from_millis(n);
            Snapshot { shard, streams: vec![stream], ..Snapshot::default() }
        };
        let shards = [shard(0, false), shard(1, true)];
        let all = merged(&shards);
        let Delivered { sent_bytes, skips, .. } = all[0].delivered;
        assert_eq!((sent_bytes, skips, all[0].worst_lag), (3, 30, Duration::from_millis(2)));
        let (_, text) = render(&Page::Metrics, &shards, &[], &Server::default()).unwrap();
        for line in [
            "nearlight_stream_skips_total{stream=\"a\",shard=\"0\"} 10\n",
            "nearlight_stream_skips_total{stream=\"a\",shard=\"1\"} 20\n",
            "nearlight_stream_received_bytes_total{stream=\"a\"} 200\n",
            "nearlight_worst_lag_seconds{stream=\"a\"} 0.002\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        // Nobody knows what comes in but the stream's own shard: without it nothing is
        // said, for zero would look like a restart.
        let (_, text) = render(&Page::Metrics, &shards[..1], &[], &Server::default()).unwrap();
        assert!(!text.contains("nearlight_stream_received_bytes_total{"), "{text}");
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
        let (_, text) = render(&Page::Metrics, &shards, &[], &Server::default()).unwrap();
        let line = "nearlight_subscribers{stream=\"a\",transport=\"tcp\"} 7\n";
        assert!(text.contains(line), "{text}");
    }
}
