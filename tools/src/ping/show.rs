//! What `lightmeter ping` shows while it runs: a line for each reply, or a
//! status line.

use std::fmt::Write as _;
use std::time::Duration;

use nearlight::base::Instant;
use nearlight::base::units::format_duration;
use nearlight::client::ping::{Answer, Event, Kind, Outcome, Plan};
use nearlight::client::report::format_latency;

use super::lines::Probe;
use crate::live::{Live, progress};
use crate::out;

/// What to print for each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Nothing.
    None,
    /// As ping(8) has it.
    Text,
    /// An object.
    Json,
}

/// Shows events as they come.
pub(crate) struct Show<'a> {
    plan: &'a Plan,
    lines: Lines,
    live: Live,
    started: Instant,
    whole: Option<Duration>,
    /// Of each way: replies so far and the last round-trip time.
    seen: Vec<(u64, Option<Duration>)>,
}

impl<'a> Show<'a> {
    pub(crate) fn new(plan: &'a Plan, lines: Lines, live: Live, started: Instant) -> Self {
        // More than there are numbers for is without end.
        let probes = plan.probes().and_then(|probes| u32::try_from(probes).ok());
        let scheduled = probes.and_then(|probes| plan.interval.checked_mul(probes));
        let whole = [scheduled, plan.deadline].into_iter().flatten().min();
        Self { plan, lines, live, started, whole, seen: vec![(0, None); plan.ways.len()] }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::Reply(answer) = event
            && let Some(seen) = self.seen.get_mut(answer.way)
        {
            *seen = (seen.0 + 1, answer.rtt);
        }
        let line = match self.lines {
            Lines::None => None,
            Lines::Text => line(self.plan, event),
            Lines::Json => {
                Probe::of(self.plan, event).and_then(|probe| serde_json::to_string(&probe).ok())
            }
        };
        if let Some(line) = line {
            self.live.wipe();
            out::line(line);
        }
    }

    /// Redraws the status line if it is time to.
    pub(crate) fn refresh(&mut self, now: Instant) {
        let Self { plan, live, started, whole, seen, .. } = self;
        live.draw(now, || {
            let mut line = progress(now.since(*started), *whole);
            for (way, (replies, last)) in plan.ways.iter().zip(seen) {
                let last = last.map_or_else(|| "—".to_owned(), format_latency);
                let _ = write!(line, "  {} {replies} {last}", way.kind);
            }
            line
        });
    }

    /// Wipes the status line.
    pub(crate) fn end(&mut self) {
        self.live.wipe();
    }
}

/// One event as ping(8) would have it.
fn line(plan: &Plan, event: &Event) -> Option<String> {
    match event {
        Event::Reply(answer) => Some(reply_line(plan, answer)),
        Event::Lost { sequence, .. } => {
            Some(format!("no reply to seq={sequence} within {}", format_duration(plan.wait)))
        }
        Event::Trouble { sequence, from, what, .. } => {
            let from = from.map_or_else(|| "here".to_owned(), |from| from.to_string());
            Some(format!("from {from}: seq={sequence} {what}"))
        }
        Event::Failed { .. } | Event::Quiet | Event::Done => None,
    }
}

fn reply_line(plan: &Plan, answer: &Answer) -> String {
    let Some(way) = plan.ways.get(answer.way) else {
        return String::new();
    };
    let mut line = match way.kind {
        Kind::System | Kind::Icmp => {
            format!("{} bytes from {}: seq={}", answer.bytes, way.target.host(), answer.sequence)
        }
        Kind::Udp | Kind::Echo | Kind::Relay | Kind::App | Kind::Stamp => {
            format!("{} bytes from {}: seq={}", answer.bytes, way.target.address, answer.sequence)
        }
        Kind::Tcp => format!("connected to {}: seq={}", way.target.address, answer.sequence),
    };
    if let Some(ttl) = answer.ttl {
        let _ = write!(line, " ttl={ttl}");
    }
    if let Some(rtt) = answer.rtt {
        let _ = write!(line, " time={}", format_latency(rtt));
    }
    let record = answer.record.filter(|_| answer.outcome == Outcome::InTime);
    let parts = record.and_then(|record| record.network().zip(record.overhead()));
    if let Some((network, host)) = parts {
        let _ = write!(line, " network={} host={}", format_latency(network), format_latency(host));
    }
    line.push_str(match answer.outcome {
        Outcome::InTime if answer.warm_up => " (warm-up)",
        Outcome::InTime => "",
        Outcome::Late => " (late)",
        Outcome::Duplicate => " (duplicate)",
    });
    line
}
