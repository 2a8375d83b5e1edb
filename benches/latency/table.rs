//! Tables of several contenders: as text, as Markdown, as JSON.

use crate::contest::{Arm, Contender, Metric, Outcome};
use crate::report::{self, Format};
use crate::rows::Setup;
use crate::stats::Ratio;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

/// Share of a core from which on CPU per gigabit says little: the process
/// may have been held up, and gathered.
pub(crate) const BUSY: f64 = 0.7;
/// Rounds below which nothing is said about a difference.
const LEAST_ROUNDS: usize = 5;

/// A table that is written as its events come.
pub(crate) struct Table {
    setup: Setup,
    format: Format,
    /// What is compared: the first decides the verdict.
    metrics: [Metric; 2],
    outcomes: Vec<Outcome>,
}

impl Table {
    /// An empty one, whose head is written.
    pub(crate) fn begin(setup: &Setup, format: Format, metrics: [Metric; 2]) -> Self {
        let [one, other] = metrics.map(Metric::word);
        let heads = [
            "load".to_owned(),
            "under it".to_owned(),
            "p50 / p99 us".to_owned(),
            format!("{one} to floor"),
            format!("{other} to floor"),
            format!("{one} to nearlight"),
            format!("{other} to nearlight"),
            "CPU: core, us/frame, s/Gbit".to_owned(),
            format!("verdict on {one}"),
        ];
        println!("{}", line(format, &heads));
        if format == Format::Markdown {
            println!("|{}", "---|".repeat(heads.len()));
        }
        Self { setup: setup.clone(), format, metrics, outcomes: Vec::new() }
    }

    /// Writes an event: a line for each contender.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        for arm in &outcome.arms {
            println!("{}", line(self.format, &self.cells(&outcome, arm)));
        }
        self.outcomes.push(outcome);
    }

    /// Writes what must be known to read it, a paragraph each.
    pub(crate) fn end(&self, notes: &[String]) {
        println!();
        println!(
            "Medians over {} rounds; ratios are taken within rounds, and the bracket holds their \
             median with 95 %. 'not resolved': the interval meets that of floor again to floor. \
             nearlight is the one that sleeps, where two are shown. '*': more than {:.0} % of the \
             core, so CPU per Gbit says little.",
            self.setup.rounds,
            100.0 * BUSY
        );
        for outcome in &self.outcomes {
            for arm in &outcome.arms {
                let who = format!("{}, {}", outcome.event.title, arm.contender.name());
                if let Some(why) = &arm.failure {
                    println!("{who}: FAILED: {why}");
                }
                if arm.missing() > 0 {
                    println!("{who}: {} frames did not come", arm.missing());
                }
            }
        }
        for note in notes {
            println!("{note}");
        }
    }

    fn cells(&self, outcome: &Outcome, arm: &Arm) -> [String; 9] {
        let floor = outcome.arm(Contender::Floor);
        let server = outcome.arm(Contender::SERVER);
        let against = |under: &Arm| {
            let is_same = under.contender == arm.contender;
            self.metrics.map(|metric| arm.ratio(under, metric).filter(|_| !is_same))
        };
        let (floors, servers) = (against(floor), against(server));
        let pace = outcome.event.pace;
        let share = arm.share(pace);
        let cpu = arm.median(Metric::Cpu).map_or("-".to_owned(), |per_gigabit| {
            let mark = if share > BUSY { "*" } else { "" };
            let per_frame = arm.cpu_per_frame(pace);
            format!("{:.0} %{mark}, {per_frame:.0}, {:.3}", 100.0 * share, per_gigabit.mid)
        });
        [
            outcome.event.title.clone(),
            arm.contender.name(),
            format!("{} / {}", micros(arm, Metric::P50), micros(arm, Metric::P99)),
            report::ratio(floors[0]),
            report::ratio(floors[1]),
            report::ratio(servers[0]),
            report::ratio(servers[1]),
            cpu,
            self.verdict(outcome, arm, servers[0]),
        ]
    }

    /// Of a contender against the server; of the server against the floor.
    fn verdict(&self, outcome: &Outcome, arm: &Arm, to_server: Option<Ratio>) -> String {
        let floor = outcome.arm(Contender::Floor);
        let metric = self.metrics[0];
        let is_server = arm.contender == Contender::SERVER;
        let (found, whom) = match arm.contender {
            _ if arm.failure.is_some() => return "failed".to_owned(),
            Contender::Floor | Contender::FloorAgain => return "-".to_owned(),
            Contender::Server { .. } if is_server => (arm.ratio(floor, metric), "the floor"),
            Contender::Server { .. } | Contender::Peer(_) => (to_server, "nearlight"),
        };
        let noise = outcome.arm(Contender::FloorAgain).ratio(floor, metric);
        match (found, noise) {
            _ if arm.rounds.len() < LEAST_ROUNDS => "too few rounds".to_owned(),
            (Some(found), Some(noise)) if found.overlaps(&noise) => "not resolved".to_owned(),
            (Some(found), Some(_)) if found.mid > 1.0 => format!("more than {whom}"),
            (Some(_), Some(_)) => format!("LESS than {whom}"),
            _ => "too few frames".to_owned(),
        }
    }

    /// Everything, for programs. Times in nanoseconds.
    pub(crate) fn json(&self) -> String {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let events: Vec<String> = self.outcomes.iter().map(event_json).collect();
        format!(
            "{{\n  \"kernel\": \"{}\",\n  \"cc\": \"{}\",\n  \"rounds\": {},\n  \"loads\": [\n{}\n  ]\n}}",
            kernel.trim(),
            self.setup.cc,
            self.setup.rounds,
            events.join(",\n")
        )
    }
}

/// One line, of columns wide enough for these heads and names.
fn line(format: Format, cells: &[String; 9]) -> String {
    if format == Format::Markdown {
        return report::line(format, cells);
    }
    let widths = [27, 21, 17, 17, 17, 17, 17, 26, 0];
    let columns = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    columns.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// Microseconds of a median.
fn micros(arm: &Arm, metric: Metric) -> String {
    let median = arm.median(metric).map(|ratio| Duration::from_nanos(ratio.mid as u64));
    report::micros(median)
}

fn event_json(outcome: &Outcome) -> String {
    let event = &outcome.event;
    let mut out = format!(
        "    {{\"load\": \"{}\", \"bytes\": {}, \"subscribers\": {}, \"interval_ns\": {}, \
         \"frames\": {}, \"under_it\": [",
        event.title,
        event.layout.len(),
        event.subscribers,
        event.pace.interval.as_nanos(),
        event.pace.frames
    );
    for (n, arm) in outcome.arms.iter().enumerate() {
        let list = |metric| {
            let rounds = arm.rounds.iter().map(|round| {
                round.get(metric).map_or("null".to_owned(), |value| format!("{value:.6}"))
            });
            rounds.collect::<Vec<_>>().join(", ")
        };
        let failure = serde_json::Value::from(arm.failure.as_deref());
        let _infallible = write!(
            out,
            "{}\n      {{\"name\": \"{}\", \"p50\": [{}], \"p99\": [{}], \
             \"cpu_s_per_gbit\": [{}], \"core\": {:.4}, \"missing\": {}, \"failure\": {failure}}}",
            if n == 0 { "" } else { "," },
            arm.contender.name(),
            list(Metric::P50),
            list(Metric::P99),
            list(Metric::Cpu),
            arm.share(event.pace),
            arm.missing(),
        );
    }
    out.push_str("\n    ]}");
    out
}
