//! What `lightmeter ping` shows to people: a line per reply or a status line
//! while it runs, then a table and a sentence.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use nearlight::base::Instant;
use nearlight::base::units::format_duration;
use nearlight::client::ping::{Answer, Event, Kind, Outcome, PingError, Plan, Series, Verdict};
use nearlight::client::report::format_latency;

use crate::out;

/// A status line is redrawn at most this often.
const REDRAW: Duration = Duration::from_millis(250);
/// Printed where there are too few samples for a quantile.
const NOTHING: &str = "—";

/// The first line.
pub(super) fn header(plan: &Plan) -> String {
    let kinds: Vec<_> = plan.kinds.iter().map(|kind| kind.name()).collect();
    let count = match plan.count {
        Some(1) => "1 probe".to_owned(),
        Some(count) => format!("{count} probes"),
        None => "probes until Ctrl-C".to_owned(),
    };
    let each = if kinds.len() > 1 { " of each kind" } else { "" };
    let host = plan.target.host();
    let name = if plan.target.name.starts_with(&host) {
        plan.target.name.clone()
    } else {
        format!("{} ({host})", plan.target.name)
    };
    format!(
        "ping {} {name}: {count}{each}, every {}, {} bytes",
        kinds.join(" "),
        format_duration(plan.interval),
        plan.size,
    )
}

/// Shows events as they come.
pub(super) struct Show<'a> {
    plan: &'a Plan,
    lines: bool,
    live: bool,
    next_draw: Instant,
    /// Replies so far and the last round-trip time, by the kind's name.
    seen: BTreeMap<&'static str, (u64, Option<Duration>)>,
}

impl<'a> Show<'a> {
    /// One line for each event if `lines`, a status line if `live`.
    pub(super) fn new(plan: &'a Plan, lines: bool, live: bool) -> Self {
        Self { plan, lines, live, next_draw: Instant::ZERO, seen: BTreeMap::new() }
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Event::Reply(answer) = event {
            let seen = self.seen.entry(answer.kind.name()).or_default();
            *seen = (seen.0 + 1, answer.rtt);
        }
        if let Some(line) = line(self.plan, event).filter(|_| self.lines) {
            out::line(line);
        }
    }

    /// Redraws the status line if it is time to.
    pub(super) fn refresh(&mut self, now: Instant) {
        if !self.live || now < self.next_draw {
            return;
        }
        self.next_draw = now + REDRAW;
        let mut line = String::new();
        for kind in &self.plan.kinds {
            let (replies, last) = self.seen.get(kind.name()).copied().unwrap_or_default();
            let last = last.map_or_else(|| NOTHING.to_owned(), format_latency);
            let _ = write!(line, "  {kind} {replies} {last}");
        }
        // Cut rather than wrapped at the right edge, then wiped to its end.
        out::text(format_args!("\r\x1b[?7l{line}\x1b[K\x1b[?7h"));
    }

    /// Wipes the status line; says how many lines there was no time to print.
    pub(super) fn end(&self, dropped: u64) {
        if self.live {
            out::text("\r\x1b[K");
        } else if dropped > 0 {
            out::line(format_args!("({dropped} lines more than there was time to print)"));
        }
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
    let from = match answer.kind {
        Kind::System | Kind::Icmp => plan.target.host(),
        Kind::Tcp | Kind::Udp => plan.target.address.to_string(),
    };
    let mut line = format!("{} bytes from {from}: seq={}", answer.bytes, answer.sequence);
    if let Some(ttl) = answer.ttl {
        let _ = write!(line, " ttl={ttl}");
    }
    if let Some(rtt) = answer.rtt {
        let _ = write!(line, " time={}", format_latency(rtt));
    }
    line.push_str(match (answer.sequence, answer.outcome) {
        (0, Outcome::InTime) => " (warm-up)",
        (_, Outcome::InTime) => "",
        (_, Outcome::Late) => " (late)",
        (_, Outcome::Duplicate) => " (duplicate)",
    });
    line
}

/// The table, what else is worth a line, and the sentence.
pub(super) fn summary(plan: &Plan, series: &[Series], verdict: &Verdict) -> String {
    let mut text = String::new();
    table(&mut text, series);
    notes(&mut text, plan, series);
    if plan.kinds.len() > 1 {
        let _ = writeln!(text, "\n{}", verdict.sentence);
        if verdict.network.is_some_and(|(kind, _)| kind == Kind::System)
            && !verdict.echoes.is_empty()
        {
            let _ = writeln!(
                text,
                "(ping stops its clock when the kernel has the reply; an echo's includes waking \
                 this program up)"
            );
        }
        if verdict.echoes.is_empty() {
            let advice = PingError::advice(Kind::Tcp).unwrap_or_default();
            let _ = writeln!(text, "{advice}");
        }
    }
    text
}

fn table(text: &mut String, series: &[Series]) {
    // A port where nothing listens has no row, whether TCP or UDP found out.
    let heard = |s: &&Series| s.counts.sent > s.counts.errors || s.counts.received > 0;
    let tried: Vec<_> = series.iter().filter(heard).collect();
    if tried.is_empty() {
        return;
    }
    let _ = write!(text, "{:<7}{:>6}{:>10}{:>6}", "kind", "sent", "received", "lost");
    for name in ["min", "p50", "p90", "p99", "max"] {
        let _ = write!(text, "{name:>9}");
    }
    text.push_str("  by\n");
    for series in tried {
        let counts = &series.counts;
        let _ = write!(
            text,
            "{:<7}{:>6}{:>10}{:>6}",
            series.kind, counts.sent, counts.received, counts.lost
        );
        let q = counts.rtt.quantiles();
        for value in [q.min, q.p50, q.p90, q.p99, q.max] {
            let cell = value.map_or_else(|| NOTHING.to_owned(), format_latency);
            let _ = write!(text, "{cell:>9}");
        }
        let _ = writeln!(text, "  {}", series.how);
    }
}

fn notes(text: &mut String, plan: &Plan, series: &[Series]) {
    let firsts: Vec<_> = series
        .iter()
        .filter_map(|s| Some(format!("{} {}", s.kind, format_latency(s.counts.first?))))
        .collect();
    if !firsts.is_empty() {
        let _ = writeln!(text, "first, not counted: {}", firsts.join(", "));
    }
    for series in series {
        let counts = &series.counts;
        let rare: Vec<_> = [
            (counts.late, "late"),
            (counts.duplicates, "duplicate"),
            (counts.reordered, "reordered"),
            (counts.foreign, "foreign"),
            (counts.pending, "still out at the end"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
        if !rare.is_empty() {
            let _ = writeln!(text, "{}: {}", series.kind, rare.join(", "));
        }
        let lateness = counts.lateness.quantiles().max.unwrap_or_default();
        if lateness > plan.interval {
            let _ = writeln!(
                text,
                "{}: this machine fell behind: probes were sent up to {} late",
                series.kind,
                format_latency(lateness)
            );
        }
        if let Some(trouble) = &series.trouble {
            let refused = counts.errors;
            let _ = writeln!(text, "{}: {refused} refused: {trouble}", series.kind);
        }
        if let Some(failure) = &series.failure {
            let _ = writeln!(text, "{}: {failure}", series.kind);
        }
    }
}
