//! The engine's events in ping's words, as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use nearlight::base::Instant;
use nearlight::client::ping::{Event, Outcome, PingError, Pinger, Plan, Series};
use nearlight::limits::PING_EVENTS;
use nearlight::sys::clock::Clock;

use super::{Answered, Compat, Looks, Setup, Sums};
use crate::stop::{LOOK, Stop};
use crate::{FAILED, USAGE, out};

/// Measures, prints what ping would print, and returns its exit code.
pub(in crate::ping) fn measure(mut plan: Plan, looks: Looks, stop: &Stop) -> u8 {
    // ping counts all that it sends.
    plan.warm_up = 0;
    let plan = &plan;
    let Some(way) = plan.ways.first() else {
        return FAILED;
    };
    let mut compat = Compat::new(Setup {
        name: way.target.name.clone(),
        address: way.target.ip(),
        size: plan.size,
        interval: plan.interval,
        count: plan.count,
        looks,
    });
    let pinger = Pinger::start(plan);
    let start = Clock::now();
    let (sender, receiver) = sync_channel(PING_EVENTS);
    let dropped = Arc::new(AtomicU64::new(0));
    let probes = {
        let (flag, dropped) = (stop.flag(), Arc::clone(&dropped));
        thread::spawn(move || super::super::run(pinger, &sender, &flag, &dropped))
    };
    let mut header = Some(compat.header());
    follow(&receiver, stop, |event| {
        // ping complains first where it can't even begin.
        if let Some(header) = header.take_if(|_| !matches!(event, Some(Event::Failed { .. }))) {
            out::text(header);
        }
        out::text(match event {
            Some(event) => line(&mut compat, event),
            None => compat.due(wall(), probes_due(plan, start)),
        });
    });
    let Ok(series) = probes.join() else {
        eprintln!("ping: the measuring thread panicked; please report it");
        return FAILED;
    };
    let Some(series) = series.first() else {
        return FAILED;
    };
    if let Some(failure) = &series.failure {
        complain(failure);
        return USAGE;
    }
    let missed = dropped.load(Ordering::Relaxed);
    if missed > 0 {
        eprintln!("ping: WARNING: {missed} lines more than there was time to print");
    }
    out::text(compat.summary(&sums(series)));
    super::super::exit_code(plan, std::slice::from_ref(series), false)
}

/// Hands over each event, and nothing whenever there has been none for a while;
/// the thread that measures is not made to wake this one.
fn follow(receiver: &Receiver<Event>, stop: &Stop, mut show: impl FnMut(Option<&Event>)) {
    loop {
        match receiver.try_recv() {
            Ok(event) => show(Some(&event)),
            Err(TryRecvError::Empty) => {
                show(None);
                stop.look();
                thread::park_timeout(LOOK);
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

fn line(compat: &mut Compat, event: &Event) -> String {
    match event {
        Event::Reply(answer) => compat.reply(
            wall(),
            &Answered {
                sequence: answer.sequence + 1,
                bytes: answer.bytes,
                from: compat.setup.address,
                ttl: answer.ttl,
                // As ping has it: to the kernel's receipt.
                rtt: answer
                    .record
                    .and_then(|record| record.as_ping(Clock::lead()))
                    .or(answer.rtt)
                    .unwrap_or_default(),
                duplicate: answer.outcome == Outcome::Duplicate,
            },
        ),
        Event::Trouble { sequence, from: Some(from), what, .. } => {
            compat.trouble(wall(), *from, *sequence + 1, what)
        }
        Event::Trouble { from: None, what, .. } => {
            eprintln!("ping: sendmsg: {what}");
            String::new()
        }
        Event::Lost { .. } | Event::Failed { .. } | Event::Quiet | Event::Done => String::new(),
    }
}

/// How many probes were due by now.
fn probes_due(plan: &Plan, start: Instant) -> u64 {
    let interval = plan.interval.as_nanos().max(1);
    u64::try_from(Clock::now().since(start).as_nanos() / interval + 1).unwrap_or(u64::MAX)
}

fn sums(series: &Series) -> Sums {
    let counts = &series.counts;
    // ping knows no late replies: what came, came.
    Sums { sent: counts.sent, received: counts.received + counts.late }
}

/// An error before anything was measured, as ping has it.
fn complain(error: &PingError) {
    if let PingError::Unreachable(error) = error {
        let text = error.to_string();
        eprintln!("ping: connect: {}", text.split(" (os error").next().unwrap_or_default());
    } else if matches!(error, PingError::Permission(_)) {
        eprintln!(
            "ping: socktype: SOCK_RAW\nping: socket: Operation not permitted\n\
             ping: => missing cap_net_raw+p capability or setuid?"
        );
    } else {
        eprintln!("ping: {error}");
    }
}

fn wall() -> u64 {
    Clock::now().as_nanos() + Clock::lead()
}
