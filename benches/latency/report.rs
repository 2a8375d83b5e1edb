//! Tables: as text, as Markdown, as JSON.

use crate::child::{self, Usage};
use crate::rows::{Arm, Outcome, QUANTILES, Setup};
use crate::stats::Ratio;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

/// How a table is written on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Columns of blanks.
    Text,
    /// Columns of bars.
    Markdown,
}

const HEADS: [&str; 9] = [
    "row",
    "floor p50 / p90 / p99 us",
    "server p50 / p90 / p99 us",
    "server/floor p50",
    "server/floor p90",
    "server/floor p99",
    "floor/floor p50",
    "CPU us/frame floor, server",
    "verdict on p50",
];

/// Alternations below which nothing is said about a difference.
const LEAST_ROUNDS: usize = 5;

/// A table that is written as its rows come.
pub(crate) struct Report {
    setup: Setup,
    format: Format,
    stolen: (u64, u64),
    outcomes: Vec<Outcome>,
}

impl Report {
    /// An empty one.
    pub(crate) fn new(setup: &Setup, format: Format) -> Self {
        Self { setup: setup.clone(), format, stolen: child::stolen(), outcomes: Vec::new() }
    }

    /// Writes what comes before the rows.
    pub(crate) fn begin(&self) {
        let Setup { load_cpu, server_cpu, cc, rounds, pace } = &self.setup;
        println!(
            "load on CPU {load_cpu}, server and floor on CPU {server_cpu}, cc={cc}, {:.0} frames/s, \
             {rounds} rounds of floor-server-floor, {} frames each after {} of warm-up",
            1.0 / pace.interval.as_secs_f64(),
            pace.frames,
            pace.warm_up,
        );
        println!();
        println!("{}", line(self.format, &HEADS.map(str::to_owned)));
        if self.format == Format::Markdown {
            println!("|{}", "---|".repeat(HEADS.len()));
        }
    }

    /// Writes a row.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        println!("{}", line(self.format, &cells(&outcome, self.setup.rounds)));
        self.outcomes.push(outcome);
    }

    /// Writes what comes after the rows.
    pub(crate) fn end(&self) {
        println!();
        println!("{}", self.note());
    }

    fn note(&self) -> String {
        let missing: u64 = self.outcomes.iter().map(|o| o.floor.missing + o.server.missing).sum();
        format!(
            "Ratios: median over rounds [95 % interval of it]. 'not resolved': the interval meets \
             that of floor/floor. Frames missing: {missing}.\n\
             Other programs had the CPU for {:.2} % of the time of the load, for {:.2} % of that \
             of server and floor; the host took {:.2} %. Slower quantiles than that are theirs.",
            100.0 * self.waited(|arm| arm.load),
            100.0 * self.waited(|arm| arm.usage),
            100.0 * self.steal()
        )
    }

    /// Share of the time of all runs spent waiting for a CPU.
    fn waited(&self, of: impl Fn(&Arm) -> Usage) -> f64 {
        let arms = || self.outcomes.iter().flat_map(|outcome| [&outcome.floor, &outcome.server]);
        let waited: f64 = arms().map(|arm| of(arm).waited.as_secs_f64()).sum();
        let frames: u64 = arms().map(|arm| arm.frames).sum();
        waited / (self.setup.pace.interval.as_secs_f64() * frames.max(1) as f64)
    }

    fn steal(&self) -> f64 {
        let (stolen, all) = child::stolen();
        (stolen - self.stolen.0) as f64 / (all - self.stolen.1).max(1) as f64
    }

    /// Everything, for programs. Times in nanoseconds.
    pub(crate) fn json(&self) -> String {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut out = String::new();
        let _infallible = write!(
            out,
            "{{\n  \"kernel\": \"{}\",\n  \"cc\": \"{}\",\n  \"rounds\": {},\n  \"frames\": {},\n  \
             \"interval_ns\": {},\n  \"steal\": {:.5},\n  \
             \"waited_load\": {:.5},\n  \"waited_server\": {:.5},\n  \"rows\": [",
            kernel.trim(),
            self.setup.cc,
            self.setup.rounds,
            self.setup.pace.frames,
            self.setup.pace.interval.as_nanos(),
            self.steal(),
            self.waited(|arm| arm.load),
            self.waited(|arm| arm.usage)
        );
        for (n, outcome) in self.outcomes.iter().enumerate() {
            let Outcome { row, floor, server, server_to_floor, floor_to_floor } = outcome;
            let _infallible = write!(
                out,
                "{}\n    {{\"row\": \"{}\", \"idle\": \"{}\", \"key\": \"{}\", \"floor\": {}, \"server\": {}, \
                 \"server_to_floor\": {}, \"floor_to_floor\": {}}}",
                if n == 0 { "" } else { "," },
                row.service.title(),
                row.idle.word(),
                row.key,
                arm_json(floor),
                arm_json(server),
                ratios_json(server_to_floor),
                ratios_json(floor_to_floor),
            );
        }
        out.push_str("\n  ]\n}\n");
        out
    }
}

fn cells(outcome: &Outcome, rounds: usize) -> [String; HEADS.len()] {
    let Outcome { row, floor, server, server_to_floor, floor_to_floor } = outcome;
    let verdict = match (&server_to_floor[0], &floor_to_floor[0]) {
        _ if rounds < LEAST_ROUNDS => "too few rounds",
        (Some(server), Some(floors)) if server.overlaps(floors) => "not resolved",
        (Some(server), Some(_)) if server.mid > 1.0 => "server is slower",
        (Some(_), Some(_)) => "server is faster",
        _ => "too few frames",
    };
    [
        row.title(),
        times(floor),
        times(server),
        ratio(server_to_floor[0]),
        ratio(server_to_floor[1]),
        ratio(server_to_floor[2]),
        ratio(floor_to_floor[0]),
        format!("{:.1}, {:.1}", floor.cpu_per_frame(), server.cpu_per_frame()),
        verdict.to_owned(),
    ]
}

/// Every quantile, or a dash where the samples say nothing about it.
fn times(arm: &Arm) -> String {
    QUANTILES.map(|q| micros(arm.hist.quantile(q))).join(" / ")
}

/// A time in microseconds.
pub(crate) fn micros(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1e6))
}

/// A ratio and its interval.
pub(crate) fn ratio(ratio: Option<Ratio>) -> String {
    ratio.map_or("-".to_owned(), |r| format!("{:.2} [{:.2}-{:.2}]", r.mid, r.low, r.high))
}

/// One line of a table.
pub(crate) fn line<const N: usize>(format: Format, cells: &[String; N]) -> String {
    match format {
        Format::Markdown => format!("| {} |", cells.join(" | ")),
        Format::Text => {
            let widths = [27, 26, 27, 19, 19, 19, 19, 28];
            let mut out = String::new();
            for (n, cell) in cells.iter().enumerate() {
                let width = widths.get(n).copied().unwrap_or(0);
                let _infallible = write!(out, "{cell:width$}");
            }
            out.trim_end().to_owned()
        }
    }
}

fn arm_json(arm: &Arm) -> String {
    let nanos = |q| {
        let value = arm.hist.quantile(q);
        value.map_or("null".to_owned(), |value| value.as_nanos().to_string())
    };
    format!(
        "{{\"p50\": {}, \"p90\": {}, \"p99\": {}, \"p999\": {}, \"count\": {}, \"missing\": {}, \
         \"cpu_ns_per_frame\": {:.0}}}",
        nanos(0.5),
        nanos(0.9),
        nanos(0.99),
        nanos(0.999),
        arm.hist.count(),
        arm.missing,
        1000.0 * arm.cpu_per_frame()
    )
}

/// Of p50, p90 and p99: median, lower and upper end.
fn ratios_json(ratios: &[Option<Ratio>; 3]) -> String {
    let one = |ratio: Option<Ratio>| {
        ratio.map_or("null".to_owned(), |r| format!("[{:.4}, {:.4}, {:.4}]", r.mid, r.low, r.high))
    };
    format!("[{}]", ratios.map(one).join(", "))
}
