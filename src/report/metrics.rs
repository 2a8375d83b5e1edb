//! `GET /metrics`: the Prometheus text format, 0.0.4. `METRICS.md` says what each
//! is, and a test holds it to that.
//!
//! What shards count of a stream's subscribers has the label `shard`: a shard with
//! nobody left who wants the stream forgets what it counted, and in a sum over
//! shards that would look like a restart. Who asks sums them, after the rate.

use super::page::merged;
use super::{Counters, Delivered, ListenerCounts, Over, Server, Snapshot, StreamSnapshot, Vitals};
use crate::base::Totals;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// All of them.
pub(super) fn text(shards: &[Snapshot], server: &Server) -> String {
    let mut page = Page(String::new());
    page.family("build_info", "gauge", "Always 1; the label says which version runs");
    page.sample("build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    process(&mut page, server.vitals.as_ref());
    counters(&mut page, shards);
    turns(&mut page, shards);
    listeners(&mut page, shards, &server.listeners);
    let streams = merged(shards);
    let here: Vec<&StreamSnapshot> = streams.iter().filter(|one| one.is_here).collect();
    publishers(&mut page, &here);
    subscribers(&mut page, &streams);
    delivered(&mut page, shards);
    residence(&mut page, shards);
    page.0
}

/// The text so far.
struct Page(String);

/// What a sample is of: names and values, in the order they are printed.
type Labels<'a> = &'a [(&'a str, &'a dyn Display)];

impl Page {
    /// A metric begins; its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP nearlight_{name} {help}.\n# TYPE nearlight_{name} {kind}\n");
    }

    /// One value. Labels need no escaping: names of streams, addresses and words of
    /// ours have no quote, backslash or line end.
    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let _ = write!(self.0, "nearlight_{name}");
        for (n, (label, of)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{of}\"", if n == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A counter with a value for each of a list.
    fn each<T: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        rows: impl IntoIterator<Item = (T, u64)>,
    ) {
        self.family(name, "counter", help);
        for (of, count) in rows {
            self.sample(name, &[(label, &of)], count);
        }
    }

    /// A histogram of spans, in seconds: every second power of two is enough to see
    /// an order of magnitude.
    fn histogram(&mut self, name: &str, labels: Labels<'_>, spans: &Totals) {
        let bucket = format!("{name}_bucket");
        let mut put = |end: &dyn Display, below: u64| {
            self.sample(&bucket, &[labels, &[("le", end)]].concat(), below);
        };
        for (end, below) in spans.octaves().step_by(2) {
            put(&end.as_secs_f64(), below);
        }
        put(&"+Inf", spans.count());
        self.sample(&format!("{name}_sum"), labels, spans.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, spans.count());
    }
}

/// The process, under the names that every Prometheus client gives these.
fn process(page: &mut Page, vitals: Option<&Vitals>) {
    let Some(vitals) = vitals else { return };
    let seconds = |nanos: u64| Some(nanos as f64 / 1e9);
    let number = |count: Option<u64>| count.map(|count| count as f64);
    let rows = [
        (
            "start_time_seconds",
            "gauge",
            "When the process began, unix time",
            seconds(vitals.started),
        ),
        ("cpu_seconds_total", "counter", "Processor time used", Some(vitals.cpu.as_secs_f64())),
        ("resident_memory_bytes", "gauge", "Memory in RAM", number(vitals.resident_bytes)),
        ("open_fds", "gauge", "Open file descriptors", number(vitals.open_fds)),
        ("max_fds", "gauge", "Most file descriptors that may be open", number(vitals.max_fds)),
    ];
    for (name, kind, help, value) in rows {
        let Some(value) = value else { continue };
        let _ = write!(
            page.0,
            "# HELP process_{name} {help}.\n# TYPE process_{name} {kind}\nprocess_{name} {value}\n"
        );
    }
}

/// What all shards have counted together.
fn counters(page: &mut Page, shards: &[Snapshot]) {
    let mut counters = Counters::default();
    shards.iter().for_each(|shard| counters.add(&shard.counters));
    for (name, help, count) in counters.rows() {
        let name = format!("{name}_total");
        page.family(&name, "counter", help);
        page.sample(&name, &[], count);
    }
    let reasons = counters.refusals().map(|(why, count)| (why.label(), count));
    page.each("refused_total", "Peers and requests refused", "reason", reasons);
    let failures = counters.dial_failures().map(|(why, count)| (why.label(), count));
    page.each("dial_failures_total", "Pulls and pushes that failed", "reason", failures);
    let phases = counters.exhausted().map(|(phase, count)| (phase.label(), count));
    page.each("budget_exhausted_total", "Budgets used up", "phase", phases);
    let mut calls: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (name, made, empty) in shards.iter().flat_map(|shard| &shard.calls) {
        let sum = calls.entry(name).or_default();
        *sum = (sum.0 + made, sum.1 + empty);
    }
    let made = calls.iter().map(|(name, (made, _))| (name, *made));
    page.each("calls_total", "System calls", "call", made);
    let empty = calls.iter().map(|(name, (_, empty))| (name, *empty));
    page.each("calls_empty_total", "System calls in vain (EAGAIN)", "call", empty);
}

/// How busy each shard is.
fn turns(page: &mut Page, shards: &[Snapshot]) {
    page.family("shard_up", "gauge", "Whether the shard said so in time; 0: it stands still");
    for Snapshot { shard, is_stale, .. } in shards {
        page.sample("shard_up", &[("shard", shard)], u8::from(!is_stale));
    }
    let name = "busy_seconds_total";
    page.family(name, "counter", "Time in turns that did anything, not waiting for events");
    for Snapshot { shard, turn_times, .. } in shards {
        page.sample(name, &[("shard", shard)], turn_times.sum().as_secs_f64());
    }
    let name = "turn_seconds";
    page.family(name, "histogram", "How long turns took that did anything");
    for Snapshot { shard, turn_times, .. } in shards {
        page.histogram(name, &[("shard", shard)], turn_times);
    }
}

/// What came and went by each listener.
fn listeners(page: &mut Page, shards: &[Snapshot], labels: &[String]) {
    let mut sums = vec![ListenerCounts::default(); labels.len()];
    for shard in shards {
        sums.iter_mut().zip(&shard.listeners).for_each(|(sum, more)| sum.add(more));
    }
    type Of = fn(&ListenerCounts) -> u64;
    let rows: [(_, _, Of); 4] = [
        ("listener_accepted_total", "Connections accepted", |one| one.accepted.get()),
        ("listener_connections", "Connections open", |one| one.open()),
        ("listener_received_bytes_total", "Bytes of streams received", |one| {
            one.received_bytes.get()
        }),
        ("listener_sent_bytes_total", "Bytes of streams sent", |one| one.sent_bytes.get()),
    ];
    for (name, help, of) in rows {
        page.family(name, kind(name), help);
        for (listener, counts) in labels.iter().zip(&sums) {
            page.sample(name, &[("listener", listener)], of(counts));
        }
    }
}

/// Counters have names that say so.
fn kind(name: &str) -> &'static str {
    if name.ends_with("_total") { "counter" } else { "gauge" }
}

/// What a stream's own shard knows of it.
fn publishers(page: &mut Page, streams: &[&StreamSnapshot]) {
    page.family("stream_info", "gauge", "Always 1; the labels say what the stream is");
    for one in streams {
        let over = one.publisher.map_or("", |publisher| publisher.over.label());
        let labels: Labels<'_> =
            &[("stream", &one.name), ("framing", &one.kind.label()), ("publisher", &over)];
        page.sample("stream_info", labels, 1);
    }
    type Of = fn(&StreamSnapshot) -> Option<f64>;
    let rows: [(_, _, Of); 8] = [
        ("stream_received_bytes_total", "Bytes received from the publisher", |one| {
            Some(one.received_bytes as f64)
        }),
        ("stream_frames_total", "Frames received", |one| Some(one.frames as f64)),
        ("stream_moved_bytes_total", "Bytes moved or copied in user space", |one| {
            Some(one.moved_bytes as f64)
        }),
        ("stream_garbage_bytes_total", "Bytes received that were no part of the stream", |one| {
            Some(one.garbage_bytes as f64)
        }),
        ("stream_continuity_errors_total", "Packets that did not follow the one before", |one| {
            Some(one.continuity_errors as f64)
        }),
        ("stream_age_seconds", "For how long the stream has been live", |one| {
            Some(one.publisher?.age.as_secs_f64())
        }),
        ("stream_newest_frame_age_seconds", "How long ago the newest frame arrived", |one| {
            Some(one.newest_frame_age?.as_secs_f64())
        }),
        ("stream_window_bytes", "Bytes of the stream that are kept", |one| {
            Some(one.window_bytes as f64)
        }),
    ];
    for (name, help, of) in rows {
        page.family(name, kind(name), help);
        for one in streams {
            if let Some(value) = of(one) {
                page.sample(name, &[("stream", &one.name)], value);
            }
        }
    }
}

/// Who gets a stream, of all shards together.
fn subscribers(page: &mut Page, streams: &[StreamSnapshot]) {
    page.family("subscribers", "gauge", "Subscribers of the stream");
    for one in streams {
        for (over, count) in Over::ALL.iter().zip(one.by_transport) {
            let labels: Labels<'_> = &[("stream", &one.name), ("transport", &over.label())];
            page.sample("subscribers", labels, count);
        }
    }
    type Of = fn(&StreamSnapshot) -> f64;
    let rows: [(_, _, Of); 3] = [
        ("subscribers_waiting", "Subscribers on connections that wait for a join point", |one| {
            one.waiting as f64
        }),
        ("subscribers_behind", "Subscribers on connections that are not at the head", |one| {
            one.behind as f64
        }),
        ("worst_lag_seconds", "The largest lag of a subscriber on a connection", |one| {
            one.worst_lag.as_secs_f64()
        }),
    ];
    for (name, help, of) in rows {
        page.family(name, "gauge", help);
        for one in streams {
            page.sample(name, &[("stream", &one.name)], of(one));
        }
    }
}

/// What each shard's subscribers of a stream got and missed.
fn delivered(page: &mut Page, shards: &[Snapshot]) {
    type Of = fn(&Delivered) -> f64;
    let rows: [(_, _, Of); 8] = [
        ("stream_sent_bytes_total", "Bytes sent on connections", |all| all.sent_bytes as f64),
        ("stream_datagrams_sent_total", "Datagrams sent", |all| all.datagrams as f64),
        ("stream_datagrams_sent_bytes_total", "Bytes of datagrams sent", |all| {
            all.datagram_bytes as f64
        }),
        ("stream_datagrams_dropped_total", "Datagrams the kernel did not take", |all| {
            all.dropped_datagrams as f64
        }),
        ("stream_skips_total", "Jumps forward of subscribers", |all| all.skips as f64),
        ("stream_skipped_bytes_total", "Bytes jumped over, on connections", |all| {
            all.skipped_bytes as f64
        }),
        ("stream_skipped_seconds_total", "Stream time jumped over, on connections", |all| {
            all.skipped_time.as_secs_f64()
        }),
        ("stream_lag_closes_total", "Subscribers ended for their lag", |all| all.lag_closes as f64),
    ];
    for (name, help, of) in rows {
        page.family(name, "counter", help);
        for Snapshot { shard, streams, .. } in shards {
            for one in streams {
                let labels: Labels<'_> = &[("stream", &one.name), ("shard", shard)];
                page.sample(name, labels, of(&one.delivered));
            }
        }
    }
}

/// How long frames stayed, of each stream that has delivered any.
fn residence(page: &mut Page, shards: &[Snapshot]) {
    let name = "residence_seconds";
    let help = "From the arrival of a frame to after the send that a subscriber got it by";
    page.family(name, "histogram", help);
    for Snapshot { shard, streams, .. } in shards {
        for one in streams.iter().filter(|one| one.residence.count() > 0) {
            page.histogram(name, &[("stream", &one.name), ("shard", shard)], &one.residence);
        }
    }
}
