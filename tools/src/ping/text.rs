//! What `lightmeter ping` says to people when it is done: a table, what else is
//! worth a line, a sentence. All of it from the document, so that a saved run
//! says the same again.

use std::fmt::Write as _;
use std::time::Duration;

use nearlight::base::units::format_duration;
use nearlight::client::report::format_latency;

use super::doc::{AroundDoc, Config, Doc, OneWayDoc, SeriesDoc, Times};

/// Printed where there are too few samples for a quantile.
const NOTHING: &str = "—";
/// Columns of the kind and the counts.
const KIND: usize = 9;

/// The first line.
pub(crate) fn header(doc: &Doc) -> String {
    let Some(config) = &doc.config else {
        return String::new();
    };
    let count = match config.count {
        Some(1) => "1 probe".to_owned(),
        Some(count) => format!("{count} probes"),
        None => "probes until Ctrl-C".to_owned(),
    };
    let each = if config.kinds.len() * config.hosts.len() > 1 { " of each" } else { "" };
    let lookup =
        if doc.target.as_ref().is_some_and(|target| is_named(&target.name, &target.address)) {
            format!(", looked up in {}", latency(config.lookup_ns))
        } else {
            String::new()
        };
    format!(
        "ping {} {}: {count}{each}, every {}, {} bytes, {}{lookup}",
        config.kinds.join(" "),
        hosts(doc, config),
        format_duration(Duration::from_nanos(config.interval_ns)),
        config.size,
        waiting(config),
    )
}

fn hosts(doc: &Doc, config: &Config) -> String {
    match (config.hosts.as_slice(), &doc.target) {
        ([one], Some(target)) if is_named(one, &target.address) => {
            format!("{one} ({})", target.address)
        }
        (all, _) => all.join(" "),
    }
}

fn is_named(name: &str, address: &str) -> bool {
    !name.trim_start_matches('[').starts_with(address)
}

fn waiting(config: &Config) -> String {
    let how = match config.pace.as_str() {
        "sleep" => "asleep in between",
        "hybrid" => "awake to send",
        _ => "spinning",
    };
    config.cpu.map_or_else(|| how.to_owned(), |cpu| format!("{how}, on core {cpu}"))
}

/// What a run says of itself at its beginning and at its end.
pub(crate) fn whole(doc: &Doc) -> String {
    match header(doc) {
        header if header.is_empty() => summary(doc),
        header => format!("{header}\n{}", summary(doc)),
    }
}

/// Everything after the run.
pub(crate) fn summary(doc: &Doc) -> String {
    let mut text = String::new();
    let Some(config) = &doc.config else {
        return doc.error.as_ref().map_or(text, |error| format!("{}\n", error.message));
    };
    let full = config.verbose || doc.series.len() == 1;
    table(&mut text, doc, config, full);
    for series in &doc.series {
        notes(&mut text, series, doc, full);
    }
    if let Some(validity) = &doc.validity {
        for reason in &validity.degraded {
            let _ = writeln!(text, "note: {reason}");
        }
    }
    busy(&mut text, doc);
    let is_tried = |series: &SeriesDoc| series.sent > 0 || series.error.is_some();
    if !doc.series.is_empty() && !doc.series.iter().any(is_tried) {
        text.push_str("no probe was counted: it ended while warming up\n");
    }
    words(&mut text, doc);
    text
}

/// A port where nothing listens has no row, whether TCP or UDP found out.
fn is_heard(series: &&SeriesDoc) -> bool {
    series.sent > series.errors || series.received > 0
}

fn table(text: &mut String, doc: &Doc, config: &Config, full: bool) {
    let tried: Vec<_> = doc.series.iter().filter(is_heard).collect();
    if tried.is_empty() {
        return;
    }
    let far = tried.iter().any(|series| series.rtt.p999_ns.is_some());
    let several = config.hosts.len() > 1 && config.kinds.iter().all(|kind| kind != "relay");
    let _ = write!(text, "{:KIND$}{:>6}{:>10}{:>6}", "kind", "sent", "received", "lost");
    let names = ["min", "p50", "p90", "p99"].into_iter().chain(far.then_some("p99.9"));
    for name in names.chain(["max"]) {
        let _ = write!(text, "{name:>9}");
    }
    text.push_str("  by\n");
    for series in tried {
        let _ = write!(
            text,
            "{:KIND$}{:>6}{:>10}{:>6}",
            series.kind, series.sent, series.received, series.lost
        );
        cells(text, &series.rtt, far);
        let host = if several { format!("{}, ", series.host) } else { String::new() };
        let _ = writeln!(text, "  {host}{}", series.how);
        for (name, times, by) in [
            ("network", &series.network_rtt, source(series)),
            ("as ping", &series.ping_rtt, "from the send call to the kernel's receipt"),
            ("host", &series.host_overhead, "what this host adds"),
            ("response", &series.response_time, "from when it was due"),
        ] {
            let spared = match name {
                "as ping" => series.kind != "icmp",
                "response" => !full,
                _ => false,
            };
            if times.n == 0 || spared {
                continue;
            }
            let _ = write!(text, "  {name:<width$}", width = KIND + 20);
            cells(text, times, far);
            let _ = writeln!(text, "  {by}");
        }
    }
}

fn source(series: &SeriesDoc) -> &'static str {
    match series.stamps.source.as_deref() {
        Some("tcp_info") => "the kernel's handshake time",
        _ => "between the kernel's stamps",
    }
}

fn cells(text: &mut String, times: &Times, far: bool) {
    let quantiles = [times.min_ns, times.p50_ns, times.p90_ns, times.p99_ns];
    let more = far.then_some(times.p999_ns);
    for value in quantiles.into_iter().chain(more).chain([times.max_ns]) {
        let cell = value.map_or_else(|| NOTHING.to_owned(), latency);
        let _ = write!(text, "{cell:>9}");
    }
}

fn latency(nanos: u64) -> String {
    format_latency(Duration::from_nanos(nanos))
}

fn notes(text: &mut String, series: &SeriesDoc, doc: &Doc, full: bool) {
    let name = if doc.series.iter().filter(|s| s.kind == series.kind).count() > 1 {
        format!("{} {}", series.kind, series.host)
    } else {
        series.kind.clone()
    };
    let rare: Vec<_> = [
        (series.late, "late"),
        (series.duplicates, "duplicate"),
        (series.reordered, "reordered"),
        (series.forged, "forged or foreign"),
        (series.dropped_here, "dropped here"),
        (series.pending, "still out at the end"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, name)| format!("{count} {name}"))
    .collect();
    if !rare.is_empty() {
        let _ = writeln!(text, "{name}: {}", rare.join(", "));
    }
    if series.loss_run > 1 && series.lost > 0 {
        let _ = writeln!(text, "{name}: the longest run of lost probes is {}", series.loss_run);
    }
    sure(text, &name, series);
    if full && series.received > 0 {
        details(text, &name, series);
        let warm_up = doc.config.as_ref().is_some_and(|config| config.warm_up > 0);
        if let Some(first) = series.first_ns.filter(|_| warm_up) {
            let _ = writeln!(text, "{name}: the first reply, not counted: {}", latency(first));
        }
    }
    if let Some(ways) = &series.one_way {
        each_way(text, &name, ways);
    }
    if let Some(trouble) = &series.last_refusal {
        let _ = match series.errors {
            0 => writeln!(text, "{name}: refused while warming up: {trouble}"),
            errors => writeln!(text, "{name}: {errors} refused: {trouble}"),
        };
    }
    if let Some(failure) = &series.error {
        let _ = writeln!(text, "{name}: {}", failure.message);
    }
}

/// What the figures in the table may be off by.
fn sure(text: &mut String, name: &str, series: &SeriesDoc) {
    let ci = &series.rtt.ci95;
    let sure: Vec<_> = [("p50", ci.p50_ns), ("p99", ci.p99_ns), ("p99.9", ci.p999_ns)]
        .into_iter()
        .filter_map(|(name, ends)| {
            let (low, high) = ends?;
            Some(format!("{name} {} to {}", latency(low), latency(high)))
        })
        .collect();
    if !sure.is_empty() {
        let _ = writeln!(text, "{name}: 95 % sure: {}", sure.join(", "));
    }
}

fn details(text: &mut String, name: &str, series: &SeriesDoc) {
    let jitter = &series.jitter;
    let varies: Vec<_> = [
        ("|ipdv|", jitter.ipdv_ns),
        ("pdv p99", jitter.pdv_p99_ns),
        ("rfc3550", jitter.rfc3550_ns),
        ("mdev", jitter.mdev_ns),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("{name} {}", latency(value?))))
    .collect();
    if !varies.is_empty() {
        let _ = writeln!(text, "{name}: variation: {}", varies.join(", "));
    }
    let late = &series.send_lateness;
    if let (Some(p50), Some(max)) = (late.p50_ns, late.max_ns) {
        let p99 = late.p99_ns.map_or_else(String::new, |p99| format!(", p99 {}", latency(p99)));
        let _ = writeln!(
            text,
            "{name}: sent after its time: p50 {}{p99}, max {}",
            latency(p50),
            latency(max)
        );
    }
}

/// Delays and losses there and back, by a reflector's times.
fn each_way(text: &mut String, name: &str, ways: &OneWayDoc) {
    for (way, delays) in [("there", &ways.up), ("back", &ways.down)] {
        let Some(delays) = delays else {
            continue;
        };
        let all = [
            ("min", &delays.min),
            ("p50", &delays.p50),
            ("p99", &delays.p99),
            ("max", &delays.max),
        ];
        let known: Vec<_> = all
            .into_iter()
            .filter_map(|(quantile, around)| {
                Some(format!("{quantile} {}", about(around.as_ref()?)))
            })
            .collect();
        let _ = writeln!(text, "{name}: {way}: {}", known.join(", "));
    }
    if let Some(unclear) = &ways.unclear {
        let _ = writeln!(text, "{name}: nothing to say of each way: {unclear}");
    } else if !ways.one_clock {
        let offset = ways.offset.as_ref().map_or_else(String::new, about);
        let _ = writeln!(
            text,
            "{name}: the clocks are {offset} apart, found from the fastest probes: that is what \
             the ± is"
        );
    }
    if let (Some(up), Some(down)) = (ways.lost_up, ways.lost_down) {
        let _ = writeln!(text, "{name}: {up} lost there, {down} lost on the way back");
    }
}

fn about(around: &AroundDoc) -> String {
    let sign = if around.about_ns < 0 { "-" } else { "" };
    format!("{sign}{} ± {}", latency(around.about_ns.unsigned_abs()), latency(around.within_ns))
}

/// What else the host did, where it may have mattered.
fn busy(text: &mut String, doc: &Doc) {
    let Some(host) = &doc.host else {
        return;
    };
    if let Some(steal) = host.steal_percent.filter(|steal| *steal >= 1.0) {
        let _ = writeln!(
            text,
            "note: the hypervisor gave {steal} % of the cores' time to others meanwhile"
        );
    }
    if let Some(source) = host.clock_source.as_deref().filter(|source| *source != "tsc") {
        let _ = writeln!(
            text,
            "note: the clock source is {source}: reading it takes {} ns; `lightmeter doctor` \
             says more",
            host.clock_ns
        );
    }
}

fn words(text: &mut String, doc: &Doc) {
    let Some(verdict) = &doc.verdict else {
        return;
    };
    let answered = doc.series.iter().any(|series| series.received > 0);
    if doc.series.len() > 1 {
        let _ = writeln!(text, "\n{}", verdict.sentence);
        let by_system = verdict.network_kind.as_deref() == Some("system");
        if by_system && !verdict.echoes.is_empty() {
            let _ = writeln!(
                text,
                "(ping stops its clock when the kernel has the reply; an echo's includes waking \
                 this program up)"
            );
        }
        let alone = doc.series.iter().any(|series| series.kind == "echo");
        if alone && !verdict.echoes.iter().any(|echo| echo.kind != "tcp") {
            let advice =
                nearlight::client::ping::PingError::advice(nearlight::client::ping::Kind::Echo);
            let _ = writeln!(text, "{}", advice.unwrap_or_default());
        }
    } else if answered {
        if let Some(meaning) = &verdict.meaning {
            let _ = writeln!(text, "\n{meaning}");
        }
        if let (Some(network), Some(host)) = (main_network(doc), verdict.host_ns) {
            let _ = writeln!(
                text,
                "of the median {} took {}, and this host {}",
                who(doc),
                latency(network),
                latency(host)
            );
        }
    }
    if let Some(validity) = &doc.validity {
        for reason in &validity.invalid {
            let _ = writeln!(text, "NOT VALID: {reason}");
        }
    }
}

/// What has a part in a network RTT of the first series.
fn who(doc: &Doc) -> &'static str {
    match doc.series.first().map(|series| series.kind.as_str()) {
        Some("icmp" | "tcp") => "the network",
        _ => "the network and the server",
    }
}

fn main_network(doc: &Doc) -> Option<u64> {
    doc.series.first().and_then(|series| series.network_rtt.p50_ns)
}
