//! `lightmeter ping`: one kind of ping alone, or all of them side by side.
//!
//! The probes have a thread to themselves, which never prints. What happens
//! goes to the main thread through a bounded queue; when that is full, lines
//! are dropped and counted, and the measurement goes on.

mod json;
mod options;
mod text;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use nearlight::client::ping::{Event, PingError, Pinger, Plan, Series, Target, verdict};
use nearlight::limits::PING_EVENTS;
use nearlight::sys::clock::Clock;

use crate::stop::{LOOK, Stop};
use crate::{DONE, FAILED, USAGE, out};
use options::{Asked, Options};

/// Runs it with the words after `ping`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json");
    let options = match options::parse(words) {
        Ok(Asked::Help) => {
            out::text(options::HELP);
            return DONE;
        }
        Ok(Asked::Ping(options)) => options,
        Err(error) => {
            if wants_json {
                out::line(json::failure("usage", &error));
            }
            eprintln!("lightmeter ping: {error}");
            return USAGE;
        }
    };
    match plan(&options) {
        Ok(plan) => measure(&options, &plan),
        Err((word, error)) => {
            if wants_json {
                out::line(json::failure(word, &error));
            }
            eprintln!("lightmeter ping: {error}");
            USAGE
        }
    }
}

/// What to measure; or what is wrong, in a word and in full.
fn plan(options: &Options) -> Result<Plan, (&'static str, String)> {
    let target = Target::resolve(&options.host, options.family)
        .map_err(|error| (error.word(), error.to_string()))?;
    options.polite(&target).map_err(|error| ("usage", error))?;
    Ok(Plan {
        target,
        kinds: options.kinds(),
        count: options.count,
        interval: options.interval,
        size: options.size,
        wait: options.wait,
        deadline: options.deadline,
    })
}

fn measure(options: &Options, plan: &Plan) -> u8 {
    if !options.json {
        out::line(text::header(plan));
    }
    // Started here, for the system's ping must not inherit blocked signals.
    let pinger = Pinger::start(plan);
    let stop = Stop::new();
    let lines = !options.json && !options.quiet && plan.kinds.len() == 1;
    let live =
        !options.json && !options.quiet && plan.kinds.len() > 1 && std::io::stdout().is_terminal();
    let (sender, receiver) = sync_channel(PING_EVENTS);
    let dropped = Arc::new(AtomicU64::new(0));
    let probes = {
        let (flag, dropped) = (stop.flag(), Arc::clone(&dropped));
        let sender = (lines || live).then_some(sender);
        thread::spawn(move || run(pinger, sender, &flag, &dropped))
    };
    let mut show = text::Show::new(plan, lines, live);
    follow(&receiver, &stop, &mut show, || probes.is_finished());
    let Ok(series) = probes.join() else {
        eprintln!("lightmeter ping: the measuring thread panicked; please report it");
        return FAILED;
    };
    show.end(dropped.load(Ordering::Relaxed));
    let verdict = verdict(&series);
    if options.json {
        out::line(json::report(options, plan, &series, &verdict));
    } else {
        out::text(text::summary(plan, &series, &verdict));
    }
    exit_code(plan, &series)
}

/// The measuring thread.
fn run(
    mut pinger: Pinger,
    sender: Option<SyncSender<Event>>,
    stop: &AtomicBool,
    dropped: &AtomicU64,
) -> Vec<Series> {
    loop {
        if stop.load(Ordering::Relaxed) {
            pinger.stop();
        }
        let event = pinger.next(Clock::now() + LOOK);
        if matches!(event, Event::Done) {
            return pinger.finish();
        }
        if matches!(event, Event::Quiet) {
            continue;
        }
        if sender.as_ref().is_some_and(|s| s.try_send(event).is_err()) {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Shows what happens until the measuring thread has ended.
fn follow(
    receiver: &Receiver<Event>,
    stop: &Stop,
    show: &mut text::Show<'_>,
    is_finished: impl Fn() -> bool,
) {
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(event) => show.event(&event),
            Err(RecvTimeoutError::Timeout) => {}
            // Nothing is to be shown, or all has been.
            Err(RecvTimeoutError::Disconnected) if is_finished() => return,
            Err(RecvTimeoutError::Disconnected) => thread::park_timeout(LOOK),
        }
        stop.look();
        show.refresh(Clock::now());
    }
}

/// 0 if there were replies (enough of them, if both a count and a deadline were
/// given); 2 if nothing could be tried for want of something to set right.
fn exit_code(plan: &Plan, series: &[Series]) -> u8 {
    let received: u64 = series.iter().map(|series| series.counts.received).sum();
    let wanted = match (plan.count, plan.deadline, plan.kinds.len()) {
        (Some(count), Some(_), 1) => count,
        _ => 1,
    };
    let untried = |series: &Series| {
        let failure = series.failure.as_ref();
        failure.is_some_and(PingError::is_setup)
    };
    if received >= wanted {
        DONE
    } else if received == 0 && series.iter().all(untried) {
        USAGE
    } else {
        FAILED
    }
}
