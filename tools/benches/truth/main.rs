//! How true lightmeter's figures are: what it reports against what is known.
//!
//! ```text
//! cargo bench -p lightmeter --bench truth                 all of it, 25 minutes
//! cargo bench -p lightmeter --bench truth -- slope law    these alone
//!     slope    reported round-trip time against the time a probe was held
//!     step     a step of 650 us, beside ping and fping, and the noise of it all
//!     law      quantiles of a known mixture of holds
//!     faults   lost, doubled, overtaken, late, forged and refused: every count
//!     crowd    hundreds of sessions, some with the same ICMP identifier
//!     stall    a responder that stands still 200 ms of every 2 s
//!     pace     when probes are sent, against when they were due
//!     ping     beside the system's ping on loopback, in alternating blocks
//!     --repeats N --quick
//! ```
//!
//! A responder that holds each probe for a known time (`tests/rig`) has one core
//! and the prober another, in a network namespace of their own: root or user
//! namespaces are needed, without them it says so and ends. Without `--bench`,
//! which cargo bench gives and cargo test does not, it only shows that it works.

mod agree;
mod crowd;
mod faults;
mod law;
mod others;
mod pace;
#[allow(dead_code, unused_imports, reason = "its tests run with the test that has them all")]
#[path = "../../tests/rig/mod.rs"]
mod rig;
mod slope;
mod stall;
mod step;

use std::ffi::OsString;
use std::process::ExitCode;

use nearlight::sys::affinity::allowed_cpus;
use rig::place::{self, Place};

/// How to run.
#[derive(Debug)]
struct Options {
    parts: Vec<String>,
    repeats: usize,
    /// Few probes: to see that it works.
    quick: bool,
    prober: usize,
    responder: usize,
}

type Part = (&'static str, fn(&Options) -> Result<(), String>);

const PARTS: [Part; 8] = [
    ("slope", slope::run),
    ("step", step::run),
    ("law", law::run),
    ("faults", faults::run),
    ("crowd", crowd::run),
    ("stall", stall::run),
    ("pace", pace::run),
    ("ping", agree::run),
];

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let options = match parse(&words) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("truth: {why}");
            return ExitCode::from(2);
        }
    };
    match place::enter(words, true) {
        Place::Within => {}
        Place::Done(output) => return ExitCode::from(u8::from(!output.status.success())),
        Place::Nowhere(why) => {
            println!("skipped: {why}");
            return ExitCode::SUCCESS;
        }
    }
    let mut failed = false;
    for (name, run) in PARTS {
        if options.parts.is_empty() || options.parts.iter().any(|part| part == name) {
            println!("\n== {name}");
            if let Err(why) = run(&options) {
                println!("FAILED {name}: {why}");
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// `None`: there is nothing to do.
fn parse(words: &[OsString]) -> Result<Option<Options>, String> {
    let cpus = allowed_cpus().map_err(|why| why.to_string())?;
    let [prober, .., responder] = cpus[..] else {
        return Err("two cores are needed: one for the prober, one for the responder".to_owned());
    };
    let mut options = Options { parts: Vec::new(), repeats: 3, quick: true, prober, responder };
    let (mut quick, mut words) = (false, words.iter());
    while let Some(word) = words.next().map(|word| word.to_string_lossy()) {
        match word.as_ref() {
            "--bench" => options.quick = false,
            "--test" => options.quick = true,
            "--list" => return Ok(None),
            "--quick" => quick = true,
            "--repeats" => {
                let number = words.next().and_then(|word| word.to_str()?.parse().ok());
                options.repeats =
                    number.filter(|n| *n > 0).ok_or("--repeats needs a number from 1")?;
            }
            part if PARTS.iter().any(|(name, _)| *name == part) => {
                options.parts.push(part.to_owned());
            }
            other => return Err(format!("{other}: unknown; the file's head says what there is")),
        }
    }
    options.quick |= quick;
    if options.quick {
        options.repeats = 1;
    }
    Ok(Some(options))
}

impl Options {
    /// Of so many probes as many as there is time for.
    fn probes(&self, many: u64) -> u64 {
        if self.quick { (many / 20).max(50) } else { many }
    }
}

/// The word behind a figure that has a goal.
const fn met(is: bool) -> &'static str {
    if is { "met" } else { "MISSED" }
}

/// Nanoseconds as microseconds.
fn us(nanos: f64) -> String {
    format!("{:.2}", nanos / 1e3)
}
