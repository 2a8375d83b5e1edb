//! `lightmeter load`: latency while streaming. Probes run all the time, at one
//! pace; in the middle of it a stream goes through the server to many
//! subscribers. What differs is the load's.

pub(crate) mod doc;
mod options;
mod phases;

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nearlight::base::Instant;
use nearlight::client::load::{Load, LoadPlan, Loaded};
use nearlight::client::ping::{Event, Pinger, Plan, Series, validity};
use nearlight::sys::affinity::pin_to;
use nearlight::sys::clock::Clock;
use nearlight::sys::wait::wake_exactly;

use crate::host::{Before, Host};
use crate::live::{Live, progress};
use crate::ping::doc::{Failure, TOOL, Times, ValidityDoc, nanos, whole};
use crate::stop::{LOOK, Stop};
use crate::{DONE, FAILED, INVALID, USAGE, out};
use doc::{Doc, Rpm, Stream};
use options::{Options, Site};

/// Of each phase, the beginning that is left out: at most this, and a tenth.
const SETTLE: Duration = Duration::from_millis(500);

/// What the run came to.
struct Run {
    series: Vec<Series>,
    loaded: Option<Loaded>,
    /// How long the load was on.
    lasted: Duration,
    spans: Vec<phases::Span>,
    error: Option<String>,
}

/// Runs it with the words after `load`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json");
    let options = match options::parse(words) {
        Ok(Some(options)) => options,
        Ok(None) => {
            out::text(options::HELP);
            return DONE;
        }
        Err(error) => return refuse(wants_json, "usage", &error),
    };
    // A private server inherits the mask: it is not to end before this does.
    let stop = Stop::new();
    let site = match options.site() {
        Ok(site) => site,
        Err((word, error)) => return refuse(wants_json, word, &error),
    };
    let (plan, load) = options.plans(&site);
    let mut doc = empty(&options, &site, &plan, &load);
    if !options.json {
        out::line(doc::header(&doc));
    }
    let before = Before::look();
    let Some(run) = run(&options, site.cpu, &plan, &load, &stop) else {
        refuse(wants_json, "stopped", "stopped before anything was measured");
        return FAILED;
    };
    fill(&mut doc, &options, &plan, &run, before.after());
    if options.json {
        out::json(&doc);
    } else {
        out::text(doc::text(&doc));
    }
    let received = run.series.iter().any(|series| series.counts.received > 0);
    match (&run.error, received) {
        (Some(_), _) | (None, false) => FAILED,
        // It was ended before there was a load.
        (None, true) if run.loaded.is_none() => INVALID,
        (None, true) if doc.validity.is_some_and(|v| !v.invalid.is_empty()) => INVALID,
        (None, true) => DONE,
    }
}

fn refuse(wants_json: bool, word: &str, error: &str) -> u8 {
    if wants_json {
        out::json(&failed(word, error));
    }
    eprintln!("lightmeter load: {error}");
    USAGE
}

/// Probes in a thread of their own; this one starts and ends the load. `None`: it
/// was to end before all were connected.
fn run(
    options: &Options,
    cpu: Option<usize>,
    plan: &Plan,
    load: &LoadPlan,
    stop: &Stop,
) -> Option<Run> {
    let mut live = Live::new(!options.json && !options.quiet);
    let planned = plan.clone();
    let pinger = stop.unless(move || Pinger::start(&planned))?;
    let over = Arc::new(AtomicBool::new(false));
    let probes = {
        let over = Arc::clone(&over);
        thread::spawn(move || probe(pinger, cpu, &over))
    };
    let start = Clock::now();
    let whole = 2 * options.idle + options.seconds;
    let mut wait = |until: Instant, busy: Option<&Load>| {
        while Clock::now() < until && busy.is_none_or(Load::is_running) {
            if stop.is_set() || probes.is_finished() {
                return false;
            }
            live.draw(Clock::now(), || {
                let what = if busy.is_some() { "loaded" } else { "idle" };
                format!("{}  {what}", progress(Clock::now().since(start), Some(whole)))
            });
            thread::park_timeout(LOOK);
        }
        true
    };
    let mut spans: Vec<phases::Span> = vec![("idle", start, Clock::now())];
    let mut error = None;
    let (mut loaded, mut lasted) = (None, Duration::ZERO);
    let mut go_on = wait(start + options.idle, None);
    spans[0].2 = Clock::now();
    if go_on {
        match Load::start(load) {
            Ok(load) => {
                let begun = Clock::now();
                go_on = wait(begun + options.seconds, Some(&load));
                let ended = Clock::now();
                let finished = load.finish();
                spans.push(("loaded", settled(begun, options.seconds), ended));
                lasted = ended.since(begun);
                error = finished.error.as_ref().map(|why| format!("the load failed: {why}"));
                loaded = Some(finished);
            }
            Err(why) => error = Some(format!("the load can't be made: {why}")),
        }
    }
    if go_on && error.is_none() {
        let begun = Clock::now();
        wait(begun + options.idle, None);
        spans.push(("after", settled(begun, options.idle), Clock::now()));
    }
    over.store(true, Ordering::Relaxed);
    let series = probes.join().unwrap_or_default();
    live.wipe();
    Some(Run { series, loaded, lasted, spans, error })
}

/// When a phase that has begun counts.
fn settled(begun: Instant, lasts: Duration) -> Instant {
    begun + SETTLE.min(lasts / 10)
}

/// The measuring thread.
fn probe(mut pinger: Pinger, cpu: Option<usize>, over: &AtomicBool) -> Vec<Series> {
    wake_exactly();
    if let Some(Err(error)) = cpu.map(pin_to) {
        eprintln!("lightmeter load: {error}");
    }
    loop {
        if over.load(Ordering::Relaxed) {
            pinger.stop();
        }
        if matches!(pinger.next(Clock::now() + LOOK), Event::Done) {
            return pinger.finish();
        }
    }
}

/// The document before anything is measured.
fn empty(options: &Options, site: &Site, plan: &Plan, load: &LoadPlan) -> Doc {
    Doc {
        config: Some(doc::Config {
            target: site.name.clone(),
            server: site.command.clone(),
            publish: load.publish.to_string(),
            subscribe: load.subscribe.to_string(),
            subscribers: load.subscribers,
            bytes_per_second: load.rate,
            frame_bytes: load.frame_bytes(),
            frames_per_second: load.frames,
            idle_ns: whole(options.idle),
            loaded_ns: whole(options.seconds),
            settle_ns: whole(SETTLE.min(options.seconds / 10)),
            interval_ns: whole(plan.interval),
            size: plan.size,
            pace: plan.pace.name().to_owned(),
            cpu: site.cpu,
        }),
        error: None,
        ..failed("", "")
    }
}

/// The document where there was no measurement.
fn failed(word: &str, why: &str) -> Doc {
    Doc {
        schema: doc::SCHEMA.to_owned(),
        tool: TOOL.to_owned(),
        host: None,
        config: None,
        phases: Vec::new(),
        stream: None,
        added: Vec::new(),
        rpm: Rpm::default(),
        sentence: None,
        validity: None,
        error: Some(Failure { kind: word.to_owned(), message: why.to_owned() }),
    }
}

fn fill(doc: &mut Doc, options: &Options, plan: &Plan, run: &Run, host: Host) {
    doc.host = Some(host);
    // A kind that nobody answers here has nothing to say.
    let answered: Vec<_> = run.series.iter().filter(|s| s.counts.received > 0).collect();
    let silent = run.series.iter().filter(|s| s.counts.received == 0);
    let cuts = phases::cut(&answered, plan.warm_up, &run.spans);
    (doc.phases, doc.added, doc.rpm) = (cuts.phases, cuts.added, cuts.rpm);
    doc.stream = run.loaded.as_ref().map(|loaded| stream(run.lasted, loaded));
    let mut found = validity(plan, &run.series);
    found.degraded.extend(silent.map(|series| {
        let why = series.failure.as_ref().map(ToString::to_string).or(series.trouble.clone());
        format!("{}: no reply: {}", series.way.kind, why.unwrap_or_else(|| "lost".to_owned()))
    }));
    found.degraded.extend(run.loaded.as_ref().and_then(|loaded| weak(options, run, loaded)));
    if run.spans.len() < 3 && run.error.is_none() {
        found.degraded.push("it was ended early: not all phases were measured".to_owned());
    }
    doc.validity = Some(ValidityDoc {
        state: found.word().to_owned(),
        invalid: found.invalid,
        degraded: found.degraded,
    });
    doc.error = run
        .error
        .as_ref()
        .map(|message| Failure { kind: "load".to_owned(), message: message.clone() });
    doc.sentence = sentence(doc);
}

/// Why the load was less than what was asked for.
fn weak(options: &Options, run: &Run, loaded: &Loaded) -> Option<String> {
    /// Of the rate that was asked for.
    const ENOUGH: f64 = 0.95;
    if loaded.closed > 0 {
        let closed = loaded.closed;
        return Some(format!("{closed} subscribers were closed on: the load was not what it says"));
    }
    let published = loaded.published.as_ref().map_or(0, |published| published.bytes);
    let wanted = options.rate() as f64 * run.lasted.as_secs_f64();
    (wanted > 0.0 && (published as f64) < ENOUGH * wanted).then(|| {
        format!(
            "{:.0} % of the rate was published: no more got through",
            100.0 * published as f64 / wanted
        )
    })
}

fn stream(lasted: Duration, loaded: &Loaded) -> Stream {
    let (stalls, stalled) = loaded.watch.stalls();
    let published = loaded.published.as_ref();
    let seconds = lasted.as_secs_f64();
    Stream {
        published_bytes: published.map_or(0, |published| published.bytes),
        frames: published.map_or(0, |published| published.sends),
        late_max_ns: nanos(published.and_then(|published| published.late.max())),
        received_bytes: loaded.bytes,
        received_bits_per_second: (seconds > 0.0)
            .then(|| (8.0 * loaded.bytes as f64 / seconds) as u64),
        closed: loaded.closed,
        stalls,
        stalled_ns: whole(stalled),
        latency: Times::of(loaded.watch.probe().hist()),
        lost: loaded.watch.probe().tally().lost,
        error: loaded.error.as_ref().map(ToString::to_string),
    }
}

/// What the load does, in a sentence, by the probe nearest to the stream.
fn sentence(doc: &Doc) -> Option<String> {
    let wanted = ["echo", "udp", "tcp", "icmp"];
    let added =
        wanted.iter().find_map(|kind| doc.added.iter().find(|added| added.kind == *kind))?;
    let (name, p50) = (&added.kind, added.p50_ns);
    let latency = |nanos: i64| {
        nearlight::client::report::format_latency(Duration::from_nanos(nanos.unsigned_abs()))
    };
    Some(match p50 {
        None => {
            format!("the load adds nothing to the median of {name} that these samples can show")
        }
        Some(more) if more > 0 => {
            format!("the load adds {} to the median of {name}", latency(more))
        }
        Some(less) => format!(
            "under load the median of {name} is {} shorter: a server that is busy need not be woken",
            latency(less)
        ),
    })
}
