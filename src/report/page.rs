//! The server's own pages, made from a snapshot.

use super::{Counters, Snapshot, StreamSnapshot};
use crate::protocol::http::Page;
use std::fmt::Write;

/// The media type and the text of a page.
pub fn render(page: Page, snapshot: &Snapshot) -> (&'static str, String) {
    match page {
        Page::Healthz => ("text/plain; charset=utf-8", "ok\n".to_owned()),
        Page::Metrics => ("text/plain; version=0.0.4; charset=utf-8", metrics(snapshot)),
        Page::Streams => ("application/json", list(&snapshot.streams)),
        Page::Root => ("text/plain; charset=utf-8", root(&snapshot.streams)),
    }
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
fn metrics(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let counters = &snapshot.counters;
    totals(&mut text, counters, snapshot);
    let reasons = counters.refusals().map(|(why, count)| (why.label().to_owned(), count));
    family(&mut text, "refused_total", "Peers and requests refused", "reason", reasons);
    let phases = counters.exhausted.rows().map(|(phase, count)| (phase.to_owned(), count));
    family(&mut text, "budget_exhausted_total", "Budgets used up", "phase", phases);
    let streams = snapshot.streams.iter();
    let counts = streams.map(|stream| (stream.name.to_string(), stream.subscribers as u64));
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
fn totals(text: &mut String, counters: &Counters, snapshot: &Snapshot) {
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
        ("segments_allocated", "Ring segments allocated", snapshot.segments_allocated),
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
