//! Latency under load as a document, and its text. Its schema is
//! `tools/schemas/load.json`.

use std::fmt::Write as _;
use std::time::Duration;

use nearlight::client::report::format_latency;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::ping::doc::{Failure, Times, ValidityDoc};

/// Name and version of the document.
pub(crate) const SCHEMA: &str = "nearlight.lightmeter.load/1";

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doc {
    pub(crate) schema: String,
    pub(crate) tool: String,
    pub(crate) host: Option<Host>,
    pub(crate) config: Option<Config>,
    /// `idle`, `loaded`, `after`.
    pub(crate) phases: Vec<Phase>,
    pub(crate) stream: Option<Stream>,
    /// Of each kind of probe, what the load adds.
    pub(crate) added: Vec<Added>,
    /// Round trips a minute.
    pub(crate) rpm: Rpm,
    pub(crate) sentence: Option<String>,
    pub(crate) validity: Option<ValidityDoc>,
    pub(crate) error: Option<Failure>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) target: String,
    /// The command line of the private server, where there was none to load.
    pub(crate) server: Option<String>,
    pub(crate) publish: String,
    pub(crate) subscribe: String,
    pub(crate) subscribers: usize,
    pub(crate) bytes_per_second: u64,
    pub(crate) frame_bytes: usize,
    pub(crate) frames_per_second: u32,
    pub(crate) idle_ns: u64,
    pub(crate) loaded_ns: u64,
    /// Of a phase's beginning, what is left out: the load gets going or ends.
    pub(crate) settle_ns: u64,
    pub(crate) interval_ns: u64,
    pub(crate) size: usize,
    pub(crate) pace: String,
    pub(crate) cpu: Option<usize>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) series: Vec<Part>,
}

/// One kind of probe in one phase.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) kind: String,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) rtt: Times,
    pub(crate) network_rtt: Times,
    pub(crate) response_time: Times,
    /// Mean of the fastest 95 % of round trips, the trimmed mean of the
    /// responsiveness draft.
    pub(crate) trimmed_mean_ns: Option<u64>,
}

/// The load as it went.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    pub(crate) published_bytes: u64,
    pub(crate) frames: u64,
    /// Frames that left late, by how much.
    pub(crate) late_max_ns: Option<u64>,
    /// What all subscribers got.
    pub(crate) received_bytes: u64,
    pub(crate) received_bits_per_second: Option<u64>,
    /// Subscribers that were closed on.
    pub(crate) closed: usize,
    pub(crate) stalls: u64,
    pub(crate) stalled_ns: u64,
    /// One-way, of the first subscriber: from when a frame was due to be sent
    /// to its last byte.
    pub(crate) latency: Times,
    pub(crate) lost: u64,
    pub(crate) error: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Added {
    pub(crate) kind: String,
    /// Loaded less idle, of user RTT; `null` where these samples show none.
    pub(crate) p50_ns: Option<i64>,
    /// The same; `null` too where there are too few samples for it.
    pub(crate) p99_ns: Option<i64>,
    /// Whether it is gone after: the median is back within what chance makes.
    pub(crate) back: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rpm {
    pub(crate) idle: Option<u64>,
    pub(crate) loaded: Option<u64>,
    pub(crate) after: Option<u64>,
}

/// What a run says of itself at its beginning and at its end.
pub(crate) fn whole(doc: &Doc) -> String {
    match header(doc) {
        header if header.is_empty() => text(doc),
        header => format!("{header}\n{}", text(doc)),
    }
}

/// The document for people.
pub(crate) fn text(doc: &Doc) -> String {
    let mut text = String::new();
    let Some(config) = &doc.config else {
        return doc.error.as_ref().map_or(text, |error| format!("{}\n", error.message));
    };
    if let Some(error) = &doc.error {
        let _ = writeln!(text, "{}", error.message);
    }
    let _ = writeln!(
        text,
        "{:<9}{:<8}{:>8}{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "kind", "phase", "sent", "lost", "min", "p50", "p90", "p99", "max"
    );
    for kind in kinds(doc) {
        for phase in &doc.phases {
            for part in phase.series.iter().filter(|part| part.kind == kind) {
                row(&mut text, &kind, &phase.name, part);
            }
        }
    }
    if let Some(stream) = &doc.stream {
        load(&mut text, config, stream);
    }
    for added in &doc.added {
        text.push_str(&added_line(added));
    }
    let rpm = &doc.rpm;
    if let (Some(idle), Some(loaded)) = (rpm.idle, rpm.loaded) {
        let _ = writeln!(
            text,
            "responsiveness: {idle} round trips a minute idle, {loaded} loaded (RPM, of a TCP \
             handshake and an echo, without TLS and HTTP)"
        );
    }
    if let Some(validity) = &doc.validity {
        validity.degraded.iter().for_each(|why| text.push_str(&format!("note: {why}\n")));
    }
    if let Some(sentence) = &doc.sentence {
        let _ = writeln!(text, "\n{sentence}");
    }
    if let Some(validity) = &doc.validity {
        validity.invalid.iter().for_each(|why| text.push_str(&format!("NOT VALID: {why}\n")));
    }
    text
}

/// The first line.
pub(crate) fn header(doc: &Doc) -> String {
    let Some(config) = &doc.config else {
        return String::new();
    };
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    let who = match &config.server {
        Some(command) => format!("a private `{command}`"),
        None => config.target.clone(),
    };
    format!(
        "load {who}: {:.0} s idle, {:.0} s of {} to {} subscribers, {:.0} s after; probes every {}, \
         {} bytes",
        seconds(config.idle_ns),
        seconds(config.loaded_ns),
        mbit(config.bytes_per_second.saturating_mul(8)),
        config.subscribers,
        seconds(config.idle_ns),
        nearlight::base::units::format_duration(Duration::from_nanos(config.interval_ns)),
        config.size,
    )
}

fn kinds(doc: &Doc) -> Vec<String> {
    let first = doc.phases.first();
    first.map_or_else(Vec::new, |phase| phase.series.iter().map(|p| p.kind.clone()).collect())
}

fn row(text: &mut String, kind: &str, phase: &str, part: &Part) {
    let _ = write!(text, "{kind:<9}{phase:<8}{:>8}{:>6}", part.sent, part.lost);
    let of = &part.rtt;
    for value in [of.min_ns, of.p50_ns, of.p90_ns, of.p99_ns, of.max_ns] {
        let _ = write!(text, "{:>9}", span(value));
    }
    text.push('\n');
}

fn load(text: &mut String, config: &Config, stream: &Stream) {
    let of = &stream.latency;
    let _ = write!(text, "{:<9}{:<8}{:>8}{:>6}", "stream", "loaded", of.n, stream.lost);
    for value in [of.min_ns, of.p50_ns, of.p90_ns, of.p99_ns, of.max_ns] {
        let _ = write!(text, "{:>9}", span(value));
    }
    text.push('\n');
    let _ = writeln!(
        text,
        "load: {} to {} subscribers of {}, {} frames of {} bytes published{}{}",
        mbit(stream.received_bits_per_second.unwrap_or(0)),
        config.subscribers,
        mbit(config.bytes_per_second.saturating_mul(8)),
        stream.frames,
        config.frame_bytes,
        if stream.closed > 0 {
            format!(", {} subscribers closed on", stream.closed)
        } else {
            String::new()
        },
        if stream.stalls > 0 {
            format!(", {} stalls, {} in all", stream.stalls, span(Some(stream.stalled_ns)))
        } else {
            String::new()
        },
    );
    if let Some(error) = &stream.error {
        let _ = writeln!(text, "load: {error}");
    }
}

fn added_line(added: &Added) -> String {
    let signed = |nanos: i64| {
        let size = format_latency(Duration::from_nanos(nanos.unsigned_abs()));
        if nanos < 0 { format!("{size} less") } else { format!("{size} more") }
    };
    let p50 = added.p50_ns.map_or_else(|| "no difference".to_owned(), signed);
    let p99 = added.p99_ns.map_or_else(String::new, |p99| format!(", p99 {}", signed(p99)));
    let back = match added.back {
        Some(false) => "; not back to idle after it",
        Some(true) | None => "",
    };
    format!("{}: under load p50 {p50}{p99}{back}\n", added.kind)
}

fn span(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| "—".to_owned(), |nanos| format_latency(Duration::from_nanos(nanos)))
}

fn mbit(bits: u64) -> String {
    format!("{:.1} Mbit/s", bits as f64 / 1e6)
}
