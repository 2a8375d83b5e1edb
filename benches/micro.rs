//! What the parts of the data path cost by themselves, without a kernel:
//!
//! ```text
//! cargo bench --bench micro                 everything, in 10 s
//! cargo bench --bench micro -- fan-out      what has that in its title
//! ```
//!
//! Each part runs in batches of about a millisecond; the fastest batch and the
//! median one are given. The fastest says what the code costs, the median what
//! this machine made of it. All of it is warm: in the server there is a system
//! call between two frames, and caches have other things to hold.

mod parts;

use nearlight::sys::clock::Clock;
use parts::{PARTS, Part};
use std::time::Duration;

const BATCH: Duration = Duration::from_millis(1);

/// Which parts, and for how long each.
struct Bench {
    only: Option<String>,
    span: Duration,
}

impl Bench {
    /// Does a part's work again and again.
    fn part(&self, Part { title, unit, make }: &Part) {
        if self.only.as_ref().is_some_and(|only| !title.contains(only)) {
            return;
        }
        let mut work = make(Clock::now);
        let mut batches = Vec::new();
        let start = Clock::now();
        while Clock::now().since(start) < self.span || batches.is_empty() {
            let from = Clock::now();
            let mut units = 0;
            let span = loop {
                units += work();
                let span = Clock::now().since(from);
                if span >= BATCH {
                    break span;
                }
            };
            batches.push(span.as_nanos() as f64 / units as f64);
        }
        batches.sort_by(f64::total_cmp);
        let (best, median) = (batches[0], batches[batches.len() / 2]);
        println!("{title:<44}{best:9.1} ns{median:9.1} ns   per {unit}");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return;
    }
    // cargo test gives no --bench: a look at whether it works.
    let is_bench = args.iter().any(|arg| arg == "--bench");
    let bench = Bench {
        only: args.into_iter().find(|arg| !arg.starts_with("--")),
        span: Duration::from_millis(if is_bench { 700 } else { 2 }),
    };
    println!("{:<44}{:>12}{:>12}", "", "fastest", "median");
    PARTS.iter().for_each(|part| bench.part(part));
}
