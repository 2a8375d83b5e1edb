//! `lightmeter ping`: one kind of ping alone, or all of them side by side.
//!
//! The probes have a thread to themselves, which never prints. What happens
//! goes to the main thread through a bounded queue that wakes nobody; when that
//! is full, lines are dropped and counted, and the measurement goes on.

mod compat;
pub(crate) mod doc;
pub(crate) mod lines;
pub(crate) mod options;
pub(crate) mod save;
mod show;
pub(crate) mod stream;
pub(crate) mod text;

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use nearlight::client::ping::{Event, PingError, Pinger, Plan, Series};
use nearlight::limits::PING_EVENTS;
use nearlight::sys::affinity::pin_to;
use nearlight::sys::clock::Clock;

use crate::host::Before;
use crate::live::Live;
use crate::output::Run;
use crate::stop::{LOOK, Stop};
use crate::{DONE, FAILED, INVALID, USAGE, out};
use lines::Probe;
use options::{Asked, Options};
use save::Save;
use show::{Lines, Show};

/// Runs it with the words after `ping`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json" || word == "--json-lines");
    let options = match options::parse(words) {
        Ok(Asked::Help) => {
            out::text(options::HELP);
            return DONE;
        }
        Ok(Asked::Stream(words)) => return stream::main(words),
        Ok(Asked::Ping(options)) => options,
        Err(error) => return refuse(wants_json, "usage", &error),
    };
    let stop = Stop::new();
    let save = options.save.as_deref().map(Save::create).transpose();
    let save = match options.output.create().and(save) {
        Ok(save) => save,
        Err(error) => return refuse(wants_json, "save", &error),
    };
    let options = Arc::new(options);
    let asked = Arc::clone(&options);
    let looked_up = stop.unless(move || {
        let before = Clock::now();
        (asked.plan(), Clock::now().since(before))
    });
    match looked_up {
        Some((Ok(plan), lookup)) => match options.compat {
            Some(looks) => compat::measure(plan, looks, &stop),
            None => measure(&options, &Arc::new(plan), lookup, &stop, save),
        },
        Some((Err((word, error)), _)) => refuse(wants_json, word, &error),
        None => stopped(wants_json),
    }
}

fn refuse(wants_json: bool, word: &str, error: &str) -> u8 {
    if wants_json {
        out::json(&doc::of_failure(word, error));
    }
    eprintln!("lightmeter ping: {error}");
    USAGE
}

fn stopped(wants_json: bool) -> u8 {
    refuse(wants_json, "stopped", "stopped before anything was measured");
    FAILED
}

/// What the measuring thread and the one that prints tell each other.
#[derive(Default)]
struct Shared {
    /// All sockets are open.
    started: AtomicBool,
    /// Events that there was no room for.
    dropped: AtomicU64,
}

fn measure(
    options: &Options,
    plan: &Arc<Plan>,
    lookup: Duration,
    stop: &Stop,
    save: Option<Save>,
) -> u8 {
    let text = !options.json && !options.json_lines;
    if text {
        let nothing = doc::of_run(options, plan, &[], crate::host::Host::default(), lookup);
        out::line(text::header(&nothing));
    }
    let before = Before::look();
    let lines = match (options.json_lines, text && !options.quiet && options.kind.is_some()) {
        (true, _) => Lines::Json,
        (false, true) => Lines::Text,
        (false, false) => Lines::None,
    };
    let live = Live::new(!options.quiet && lines == Lines::None);
    let (sender, receiver) = sync_channel(PING_EVENTS);
    let shared = Arc::new(Shared::default());
    let cpu = options.cpu;
    let probes = {
        let (plan, flag, shared) = (Arc::clone(plan), stop.flag(), Arc::clone(&shared));
        thread::spawn(move || {
            let pinger = Pinger::start(&plan);
            shared.started.store(true, Ordering::Relaxed);
            // After the start, for the system's ping would inherit it.
            let pinned = cpu.map(pin_to);
            if let Some(Err(error)) = pinned {
                // It was checked: somebody has just taken the core away.
                eprintln!("lightmeter ping: {error}");
            }
            run(pinger, &sender, &flag, &shared.dropped)
        })
    };
    let mut show = Show::new(plan, lines, live, Clock::now());
    if !follow(&receiver, stop, &mut show, &shared, || probes.is_finished()) {
        show.end();
        return stopped(!text);
    }
    let Ok(series) = probes.join() else {
        eprintln!("lightmeter ping: the measuring thread panicked; please report it");
        return FAILED;
    };
    show.end();
    let mut doc = doc::of_run(options, plan, &series, before.after(), lookup);
    doc.lines_dropped = shared.dropped.load(Ordering::Relaxed);
    // First, for nobody may be there any more to be told.
    let saved = save.map_or(Ok(()), |save| save.write(save::probes(plan, &series), &doc));
    tell(options, &doc);
    let kept = keep(options, plan, &series, &doc);
    if let Err(error) = saved.and(kept) {
        eprintln!("lightmeter ping: {error}");
        return FAILED;
    }
    exit_code(plan, &series, doc.validity.is_some_and(|v| !v.invalid.is_empty()))
}

/// Pictures, and files of other formats.
fn keep(options: &Options, plan: &Plan, series: &[Series], doc: &doc::Doc) -> Result<(), String> {
    if !options.output.is_wanted() {
        return Ok(());
    }
    let probes: Vec<Probe> = save::probes(plan, series).collect();
    let stride = series.iter().map(|series| series.stride).max().unwrap_or(1);
    let run = output_run(doc, &probes, stride);
    if options.output.is_plotted() && !options.json && !options.json_lines {
        out::text(format_args!("\n{}", options.output.pictures(&run)));
    }
    options.output.write(&run)
}

/// A run for pictures and files: its first line is the title of the one, and
/// what a figure is worth nothing without the caption. Of a long run one probe in
/// `stride` is here, and it says so.
pub(crate) fn output_run<'a>(doc: &doc::Doc, probes: &'a [Probe], stride: u64) -> Run<'a> {
    let header = text::header(doc);
    let (title, what) = header.split_once(": ").unwrap_or((&header, ""));
    let cores = doc.host.as_ref().map_or("", |host| &host.cores);
    Run {
        title: title.to_owned(),
        caption: if stride > 1 {
            format!("one probe in {stride} of a long run; {what}; cores {cores}")
        } else {
            format!("{what}; cores {cores}")
        },
        started: doc.host.as_ref().map_or(0, |host| host.started),
        probes,
    }
}

fn tell(options: &Options, doc: &doc::Doc) {
    if options.json || options.json_lines {
        return out::json(doc);
    }
    if doc.lines_dropped > 0 && options.kind.is_some() && !options.quiet {
        let dropped = doc.lines_dropped;
        out::line(format_args!("({dropped} lines more than there was time to print)"));
    }
    out::text(text::summary(doc));
}

/// The measuring thread.
fn run(
    mut pinger: Pinger,
    sender: &SyncSender<Event>,
    stop: &AtomicBool,
    dropped: &AtomicU64,
) -> Vec<Series> {
    loop {
        if stop.load(Ordering::Relaxed) {
            pinger.stop();
        }
        let event = pinger.next(Clock::now() + LOOK);
        match event {
            Event::Done => return pinger.finish(),
            Event::Quiet => {}
            Event::Reply(_) | Event::Lost { .. } | Event::Trouble { .. } | Event::Failed { .. } => {
                if sender.try_send(event).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Shows what happens until the measuring thread has ended; `false` if it is to
/// end before it could begin. It looks, and is not woken: a sender that wakes
/// somebody makes a system call.
fn follow(
    receiver: &Receiver<Event>,
    stop: &Stop,
    show: &mut Show<'_>,
    shared: &Shared,
    is_finished: impl Fn() -> bool,
) -> bool {
    loop {
        // Asked first: what it sent before it ended is taken after.
        let finished = is_finished();
        while let Ok(event) = receiver.try_recv() {
            show.event(&event);
        }
        if finished {
            return true;
        }
        if stop.is_set() && !shared.started.load(Ordering::Relaxed) {
            return false;
        }
        show.refresh(Clock::now());
        thread::park_timeout(LOOK);
    }
}

/// 0 if there were replies (enough of them, if both a count and a deadline were
/// given); 2 if nothing could be tried for want of something to set right; 3 if
/// there were and the measurement is not valid.
fn exit_code(plan: &Plan, series: &[Series], invalid: bool) -> u8 {
    let received: u64 = series.iter().map(|series| series.counts.received).sum();
    let wanted = match (plan.count, plan.deadline, plan.ways.len()) {
        (Some(count), Some(_), 1) => count,
        _ => 1,
    };
    let untried = |series: &Series| {
        let failure = series.failure.as_ref();
        failure.is_some_and(PingError::is_setup)
    };
    if received >= wanted {
        if invalid { INVALID } else { DONE }
    } else if received == 0 && series.iter().all(untried) {
        USAGE
    } else {
        FAILED
    }
}
