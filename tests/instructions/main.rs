//! How many instructions the parts of the data path take, counted by valgrind:
//! a number that is the same in every run, so that a few in a hundred more are
//! seen, which no clock shows.
//!
//! ```text
//! cargo test --release --test instructions               compares with the baseline
//! cargo test --release --test instructions -- fan-out    what has that in its title
//! cargo test --release --test instructions -- --bless    the new baseline
//! ```
//!
//! The parts are those of `benches/micro.rs`, and datagrams. Each runs alone in a
//! process of its own, once for a while and once for twice as long: what the
//! second takes beyond the first is the part without its start. Time is made
//! up, and no hash has a seed.
//!
//! The baseline is what one compiler makes of the code. With another one the
//! check is skipped, and says so: bless it there, in a commit of
//! its own that changes nothing else. Whoever blesses says in the commit why
//! there are more.

mod baseline;
mod callgrind;
#[path = "../gate.rs"]
mod gate;
#[path = "../../benches/parts.rs"]
mod parts;
mod udp;

use baseline::Baseline;
use gate::{Tally, Verdict};
use nearlight::base::Instant;
use parts::{PARTS, Part};
use std::cell::Cell;
use std::process::ExitCode;

/// Calls of a part's work in the shorter run: several rounds of a ring, so that
/// what is done once in a segment has its share.
const CALLS: u64 = 4096;
/// More than so many parts of the baseline are a regression; so much less is
/// worth a new baseline.
const TOLERANCE: f64 = 0.03;
/// What a look at the clock adds to the time.
const STEP: u64 = 10_000;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
}

/// A time that depends on nothing but how often it is asked for.
fn clock() -> Instant {
    NOW.set(NOW.get() + STEP);
    Instant::from_nanos(NOW.get())
}

fn parts() -> impl Iterator<Item = &'static Part> {
    PARTS.iter().chain(udp::PARTS)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, title, calls] = &arguments[..]
        && word == callgrind::RUN
    {
        return run(title, calls);
    }
    let chosen = parts().filter(|part| gate::is_chosen(part.title, &arguments));
    if arguments.iter().any(|word| word == "--list") {
        chosen.for_each(|part| println!("{}", part.title));
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|word| word == "--bless") {
        return bless();
    }
    let baseline = Baseline::read();
    let mut tally = Tally::default();
    chosen.for_each(|part| tally.add(part.title, judge(part, &baseline)));
    tally.finish()
}

/// What a counted process does: the part, so often.
fn run(title: &str, calls: &str) -> ExitCode {
    let part = parts().find(|part| part.title == title).expect("its own title");
    let calls: u64 = calls.parse().expect("a number");
    let mut work = (part.make)(clock);
    let units: u64 = (0..calls).map(|_| work()).sum();
    println!("{units}");
    ExitCode::SUCCESS
}

/// Instructions for a unit of a part.
fn measure(part: &Part) -> Result<f64, String> {
    let (once, twice) =
        (callgrind::count(part.title, CALLS)?, callgrind::count(part.title, 2 * CALLS)?);
    let instructions = twice.instructions.saturating_sub(once.instructions);
    Ok(instructions as f64 / (twice.units - once.units) as f64)
}

fn judge(part: &Part, baseline: &Baseline) -> Verdict {
    const BLESS: &str = "cargo test --release --test instructions -- --bless";
    if !callgrind::is_there() {
        return Verdict::Skipped("valgrind is absent".to_owned());
    }
    if let Err(why) = baseline.fits() {
        return Verdict::Moot(format!("{why}; bless it: {BLESS}"));
    }
    let found = match measure(part) {
        Ok(found) => found,
        Err(why) => return Verdict::Failed(why),
    };
    let Some(before) = baseline.of(part.title) else {
        return Verdict::Failed(format!("{found:.1}, and no baseline; bless it: {BLESS}"));
    };
    let change = found / before - 1.0;
    let text = format!(
        "{found:.1} per {}, {before:.1} in the baseline ({:+.2} %)",
        part.unit,
        100.0 * change
    );
    if change > TOLERANCE {
        return Verdict::Failed(format!("{text}; if it must be so: {BLESS}"));
    }
    if change < -TOLERANCE {
        return Verdict::Passed(format!("{text}; better: bless it: {BLESS}"));
    }
    Verdict::Passed(text)
}

/// Measures everything and writes it down.
fn bless() -> ExitCode {
    let mut found = Vec::new();
    for part in parts() {
        match measure(part) {
            Ok(count) => found.push((part.title, count)),
            Err(why) => {
                eprintln!("{}: {why}", part.title);
                return ExitCode::FAILURE;
            }
        }
    }
    Baseline::write(&found);
    ExitCode::SUCCESS
}
