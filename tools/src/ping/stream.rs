//! `lightmeter ping stream`: a live stream as its subscriber has it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value};
use nearlight::base::Instant;
use nearlight::base::units::format_duration;
use nearlight::client::report::format_latency;
use nearlight::client::watch::Watch;
use nearlight::client::{ClientError, ClientOptions, Event, Subscriber, Target};
use nearlight::sys::affinity::pin_to;
use nearlight::sys::clock::Clock;
use serde::{Deserialize, Serialize};

use super::doc::{Failure, TOOL, Times, whole};
use crate::host::{Before, Host};
use crate::live::{Live, progress};
use crate::stop::Stop;
use crate::{DONE, FAILED, USAGE, args, out};

const HELP: &str = "\
lightmeter ping stream URL [options]

Subscribes to tcp://ADDR:PORT, udp://ADDR:PORT, http://ADDR:PORT/NAME or
ws://ADDR:PORT/NAME and tells how the stream comes: time to first byte, gaps
between receives, stalls; and if it carries probe stamps (`lightmeter publish
URL --demo` sends some, on this host) their one-way latency, loss and order.

  --seconds DUR  how long (10s)
  --stall DUR    a silence of this length is a stall (500ms)
  --cpu N        pin the subscriber to this core
  -q             no status line
  --json         one object; times are integers of nanoseconds

Exit codes: 0 the stream came, 1 it did not, or broke off, 2 wrong usage.
";

/// Name and version of the document.
pub(crate) const SCHEMA: &str = "nearlight.lightmeter.stream/1";

struct Options {
    target: Target,
    seconds: Duration,
    stall: Duration,
    cpu: Option<usize>,
    quiet: bool,
    json: bool,
}

/// A stream as it came. Its schema is `tools/schemas/stream.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doc {
    pub(crate) schema: String,
    pub(crate) tool: String,
    pub(crate) host: Option<Host>,
    pub(crate) url: Option<String>,
    pub(crate) stall_ns: Option<u64>,
    pub(crate) took_ns: u64,
    /// From before connecting to the first bytes.
    pub(crate) first_byte_ns: Option<u64>,
    /// The same to when the stream was promised: connected, and answered where
    /// there is an answer.
    pub(crate) opened_ns: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) receives: u64,
    pub(crate) bits_per_second: Option<u64>,
    /// The server ended it.
    pub(crate) ended: bool,
    pub(crate) gaps: Times,
    pub(crate) stalls: u64,
    pub(crate) stalled_ns: u64,
    /// One-way, of probe stamps: from when a stamp was due to be sent.
    pub(crate) latency: Times,
    pub(crate) stamps: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) reordered: u64,
    pub(crate) error: Option<Failure>,
}

/// What the watching thread has to tell.
struct Watched {
    watch: Watch,
    start: Instant,
    opened: Option<Instant>,
    end: Instant,
    ended: bool,
    error: Option<ClientError>,
}

/// Runs it with the words after `stream`; returns the exit code.
pub(super) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json");
    let options = match parse(words) {
        Ok(Some(options)) => options,
        Ok(None) => {
            out::text(HELP);
            return DONE;
        }
        Err(error) => {
            if wants_json {
                out::json(&failed("usage", &error));
            }
            eprintln!("lightmeter ping stream: {error}");
            return USAGE;
        }
    };
    let before = Before::look();
    let stop = Stop::new();
    let flag = stop.flag();
    let start = Clock::now();
    let mut live = Live::new(!options.quiet && !options.json);
    let (target, stall, cpu) = (options.target.clone(), options.stall, options.cpu);
    let thread = thread::spawn(move || {
        if let Some(Err(error)) = cpu.map(pin_to) {
            eprintln!("lightmeter ping stream: {error}");
        }
        watch(&target, stall, &flag)
    });
    let watched = stop.wait_showing(thread, Some(start + options.seconds), |now| {
        live.draw(now, || progress(now.since(start), Some(options.seconds)));
    });
    live.wipe();
    let Some(watched) = watched else {
        return FAILED;
    };
    let doc = doc(&options, &watched, before.after());
    if options.json {
        out::json(&doc);
    } else {
        out::text(text(&doc));
    }
    match &watched.error {
        Some(ClientError::Target(_)) => USAGE,
        Some(_) => FAILED,
        None if watched.watch.bytes() == 0 => FAILED,
        None => DONE,
    }
}

fn parse(words: Vec<OsString>) -> Result<Option<Options>, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut url = None;
    let (mut seconds, mut stall) = (Duration::from_secs(10), Duration::from_millis(500));
    let (mut cpu, mut quiet, mut json) = (None, false, false);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("seconds") => seconds = args::value(&mut parser, "--seconds", args::duration)?,
            Long("stall") => stall = args::value(&mut parser, "--stall", args::duration)?,
            Long("cpu") => cpu = Some(args::value(&mut parser, "--cpu", args::cpu)?),
            Short('q') | Long("quiet") => quiet = true,
            Long("json") => json = true,
            Value(word) if url.is_none() => url = Some(word.to_string_lossy().into_owned()),
            Value(word) => return Err(format!("'{}' is one name too many", word.display())),
            Short(_) | Long(_) => {
                let error = argument.unexpected();
                return Err(format!("{error}; lightmeter ping stream --help lists the options"));
            }
        }
    }
    let url = url.ok_or("which? lightmeter ping stream URL, or --help")?;
    let target = url.parse().map_err(|error: ClientError| error.to_string())?;
    Ok(Some(Options { target, seconds, stall, cpu, quiet, json }))
}

/// The watching thread.
fn watch(target: &Target, stall: Duration, stop: &AtomicBool) -> Watched {
    let start = Clock::now();
    let mut watched = Watched {
        watch: Watch::new(stall),
        start,
        opened: None,
        end: start,
        ended: false,
        error: None,
    };
    let outcome =
        Subscriber::open(target, &ClientOptions::default(), stop).and_then(|mut stream| {
            watched.opened = Some(Clock::now());
            let whole = stream.is_datagram();
            while !stop.load(Ordering::Relaxed) {
                let event = stream.receive()?;
                let now = Clock::now();
                match event {
                    Event::Bytes(bytes) => watched.watch.handle(bytes, whole, now),
                    Event::Idle => {}
                    Event::End => {
                        watched.ended = true;
                        break;
                    }
                }
            }
            stream.leave()
        });
    watched.end = Clock::now();
    watched.watch.handle_end(watched.end);
    watched.error = outcome.err().filter(|error| !matches!(error, ClientError::Stopped));
    watched
}

fn doc(options: &Options, watched: &Watched, host: Host) -> Doc {
    let Watched { watch, start, end, .. } = watched;
    let since = |at: Instant| whole(at.since(*start));
    let tally = watch.probe().tally();
    let span = watch.first().zip(watch.last()).map(|(first, last)| last.since(first));
    let rate = span
        .filter(|span| !span.is_zero())
        .map(|span| (8.0 * watch.bytes() as f64 / span.as_secs_f64()) as u64);
    let (stalls, stalled) = watch.stalls();
    Doc {
        schema: SCHEMA.to_owned(),
        tool: TOOL.to_owned(),
        host: Some(host),
        url: Some(options.target.to_string()),
        stall_ns: Some(whole(options.stall)),
        took_ns: since(*end),
        first_byte_ns: watch.first().map(since),
        opened_ns: watched.opened.map(since),
        bytes: watch.bytes(),
        receives: watch.receives(),
        bits_per_second: rate,
        ended: watched.ended,
        gaps: Times::of(watch.gaps()),
        stalls,
        stalled_ns: whole(stalled),
        latency: Times::of(watch.probe().hist()),
        stamps: tally.received,
        lost: tally.lost,
        duplicates: tally.duplicates,
        reordered: tally.reordered,
        error: watched
            .error
            .as_ref()
            .map(|error| Failure { kind: "stream".to_owned(), message: error.to_string() }),
    }
}

/// The document where there was no measurement.
pub(crate) fn failed(word: &str, why: &str) -> Doc {
    let nothing = nearlight::client::hist::Hist::new();
    Doc {
        schema: SCHEMA.to_owned(),
        tool: TOOL.to_owned(),
        host: None,
        url: None,
        stall_ns: None,
        took_ns: 0,
        first_byte_ns: None,
        opened_ns: None,
        bytes: 0,
        receives: 0,
        bits_per_second: None,
        ended: false,
        gaps: Times::of(&nothing),
        stalls: 0,
        stalled_ns: 0,
        latency: Times::of(&nothing),
        stamps: 0,
        lost: 0,
        duplicates: 0,
        reordered: 0,
        error: Some(Failure { kind: word.to_owned(), message: why.to_owned() }),
    }
}

/// The document for people.
pub(crate) fn text(doc: &Doc) -> String {
    let mut text = String::new();
    let Some(url) = &doc.url else {
        return doc.error.as_ref().map_or(text, |error| format!("{}\n", error.message));
    };
    let seconds = doc.took_ns as f64 / 1e9;
    let _ = write!(text, "stream {url}: {seconds:.1} s");
    let _ = writeln!(text, "{}", if doc.ended { ", ended by the server" } else { "" });
    if let Some(error) = &doc.error {
        let _ = writeln!(text, "{}", error.message);
    }
    if doc.bytes == 0 {
        if doc.error.is_none() {
            text.push_str("nothing came: is the stream being published?\n");
        }
        return text;
    }
    let _ = writeln!(
        text,
        "first byte after {}, {} of it until the server had agreed; {} bytes in {} receives, {:.2} \
         Mbit/s",
        span(doc.first_byte_ns),
        span(doc.opened_ns),
        doc.bytes,
        doc.receives,
        doc.bits_per_second.unwrap_or(0) as f64 / 1e6,
    );
    let _ = writeln!(
        text,
        "{:<9}{:>8}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "n", "min", "p50", "p90", "p99", "max"
    );
    for (name, times) in [("gaps", &doc.gaps), ("one-way", &doc.latency)] {
        if times.n > 0 {
            let _ = write!(text, "{name:<9}{:>8}", times.n);
            for value in [times.min_ns, times.p50_ns, times.p90_ns, times.p99_ns, times.max_ns] {
                let _ = write!(text, "{:>9}", span(value));
            }
            text.push('\n');
        }
    }
    let stall = format_duration(Duration::from_nanos(doc.stall_ns.unwrap_or(0)));
    let stalls = match doc.stalls {
        0 => format!("no stall: it never was silent for {stall}"),
        1 => format!("1 stall of {}", span(Some(doc.stalled_ns))),
        many => format!("{many} stalls of {stall} or more, {} in all", span(Some(doc.stalled_ns))),
    };
    let _ = writeln!(text, "{stalls}");
    stamps(&mut text, doc);
    text
}

fn stamps(text: &mut String, doc: &Doc) {
    match (doc.stamps, doc.latency.p50_ns) {
        (0, _) | (_, None) => text.push_str(
            "no probe stamps in this stream, so no one-way latency: `lightmeter publish URL --demo` \
             sends some\n",
        ),
        (stamps, p50) => {
            let tail = doc.latency.p99_ns.map_or_else(String::new, |p99| {
                format!(", 99 of 100 within {}", span(Some(p99)))
            });
            let _ = writeln!(
                text,
                "half of {stamps} stamps came within {} of when they were due{tail}; {} lost, {} \
                 reordered (what a join brings of the past is counted too)",
                span(p50),
                doc.lost,
                doc.reordered
            );
        }
    }
}

fn span(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| "—".to_owned(), |n| format_latency(Duration::from_nanos(n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_come_is_said() {
        let words = ["tcp://127.0.0.1:1"].map(OsString::from).to_vec();
        let Ok(Some(options)) = parse(words) else { panic!("right usage") };
        assert_eq!((options.seconds, options.stall.as_millis()), (Duration::from_secs(10), 500));
        let mut doc = failed("stream", "no such stream");
        assert_eq!(text(&doc), "no such stream\n");
        doc.url = Some("tcp://127.0.0.1:1".to_owned());
        assert_eq!(text(&doc), "stream tcp://127.0.0.1:1: 0.0 s\nno such stream\n");
        doc.error = None;
        assert!(text(&doc).ends_with("nothing came: is the stream being published?\n"));
    }
}
