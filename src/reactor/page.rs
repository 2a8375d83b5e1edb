//! The server's own pages: health, metrics, the list of streams.

use super::counters::Counters;
use super::streams::{Fanout, Streams};
use super::turn::Turn;
use crate::protocol::http::Page;
use crate::protocol::response;
use std::fmt::Write;

/// The response for a page.
pub(super) fn answer(
    page: Page,
    head_only: bool,
    keep_alive: bool,
    turn: &Turn,
    streams: &Streams,
) -> Vec<u8> {
    let (content_type, body) = match page {
        Page::Healthz => ("text/plain; charset=utf-8", "ok\n".to_owned()),
        Page::Metrics => ("text/plain; version=0.0.4; charset=utf-8", metrics(turn, streams)),
        Page::Streams => ("application/json", list(turn, streams)),
        Page::Root => ("text/plain; charset=utf-8", root(streams)),
    };
    response::page(content_type, body.as_bytes(), keep_alive, head_only)
}

fn fans(streams: &Streams) -> impl Iterator<Item = &Fanout> {
    streams.names.values().filter_map(|key| streams.fanouts.get(*key))
}

/// `GET /`: what lives, for people.
fn root(streams: &Streams) -> String {
    let mut text = String::from("nearlight\n\nlive streams:\n");
    for fan in fans(streams) {
        let _ = writeln!(text, "  /{} ({} subscribers)", fan.stream.name, fan.subscribers);
    }
    text.push_str("\nsee /api/streams, /metrics, /healthz\n");
    text
}

/// `GET /api/streams`: an array of the live streams, by name. Names need no
/// escaping: their grammar has no quote, backslash or control character.
fn list(turn: &Turn, streams: &Streams) -> String {
    let mut text = String::from("[");
    for (n, fan) in fans(streams).enumerate() {
        let stream = &fan.stream;
        let window = stream.window();
        let age = window.newest_arrival().map(|at| turn.now.since(at).as_nanos());
        let _ = write!(
            text,
            "{}{{\"name\":\"{}\",\"epoch\":{},\"framing\":\"{}\",\"subscribers\":{},\
             \"waiting\":{},\"behind\":{},\"position\":{},\"window_bytes\":{},\
             \"received_bytes\":{},\"moved_bytes\":{},\"newest_frame_age_ns\":{},\
             \"continuity_errors\":{},\"skipped_bytes\":{}}}",
            if n == 0 { "" } else { "," },
            stream.name,
            stream.epoch,
            stream.kind().label(),
            fan.subscribers,
            fan.waiting.len(),
            fan.behind.len(),
            window.head(),
            window.len(),
            stream.stats.received_bytes,
            stream.moved_bytes(),
            age.map_or("null".to_owned(), |age| age.to_string()),
            stream.framing_stats().continuity_errors,
            stream.framing_stats().skipped_bytes,
        );
    }
    text.push_str("]\n");
    text
}

/// `GET /metrics`: Prometheus text format 0.0.4.
fn metrics(turn: &Turn, streams: &Streams) -> String {
    let mut text = String::new();
    totals(&mut text, &turn.counters, streams);
    let reasons = turn.counters.refusals().map(|(why, count)| (why.label().to_owned(), count));
    family(&mut text, "refused_total", "Peers and requests refused", "reason", reasons);
    let phases = turn.counters.exhausted.rows().map(|(phase, count)| (phase.to_owned(), count));
    family(&mut text, "budget_exhausted_total", "Budgets used up", "phase", phases);
    let counts = fans(streams).map(|fan| (fan.stream.name.to_string(), fan.subscribers as u64));
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

/// The counters without a label.
fn totals(text: &mut String, counters: &Counters, streams: &Streams) {
    let rows = [
        ("turns", "Turns of the loop", counters.turns),
        ("accepted", "Connections accepted", counters.accepted),
        ("closed", "Connections freed", counters.closed),
        ("accept_failures", "Accepts without descriptor or memory", counters.accept_failures),
        ("receives", "Receive calls on publishers", counters.receives),
        ("received_bytes", "Bytes received from publishers", counters.received_bytes),
        ("sends", "Send calls for TCP subscribers", counters.sends),
        ("sent_bytes", "Bytes sent to TCP subscribers", counters.sent_bytes),
        ("datagrams_sent", "Datagrams sent", counters.datagrams_sent),
        ("datagrams_dropped", "Datagrams the kernel did not take", counters.datagrams_dropped),
        ("udp_tokens", "Tokens sent to those who ask to join", counters.udp_tokens),
        ("udp_ignored", "Datagrams too short to ask for anything", counters.udp_ignored),
        ("frames_too_large", "Frames larger than a datagram", counters.frames_too_large),
        ("kernel_drops", "Datagrams lost before they were read", counters.kernel_drops),
        ("skips", "Jumps forward of subscribers", counters.skips),
        ("lag_closes", "Subscribers ended for their lag", counters.lag_closes),
        ("segments_allocated", "Ring segments allocated", streams.pool.allocated),
    ];
    for (name, help, counter) in rows {
        let count = counter.get();
        let _ = writeln!(
            text,
            "# HELP nearlight_{name}_total {help}.\n# TYPE nearlight_{name}_total counter\n\
             nearlight_{name}_total {count}"
        );
    }
}
