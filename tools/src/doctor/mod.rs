//! `lightmeter doctor`: what limits measuring on this host, and the one line
//! that mends it.
//!
//! ```text
//! /proc, /sys, a few calls ──look()──▶ texts and numbers ──▶ pure judges ──▶ Finding, ...
//! a second of measuring    ──measure()──▶ Measured ────────▶    "            "
//! ```
//!
//! Each file knows one theme; what reads a host and what judges it are apart,
//! so that hosts nobody has here are judged in tests from what they tell.
//! Nothing is changed: the doctor prints what to do and does none of it.

mod clock;
mod cores;
mod finding;
mod host;
mod json;
mod machine;
mod measure;
mod network;
mod permission;
mod quota;
mod text;

use std::cmp::Reverse;
use std::ffi::OsString;
use std::io::IsTerminal;

use lexopt::prelude::{Long, Short, Value};
use nearlight::sys::affinity::allowed_cpus;
use nearlight::sys::clock::Clock;

use crate::stop::Stop;
use crate::{DONE, FAILED, USAGE, out};
use finding::{Finding, Place, Verdict};
use host::{Who, read};
use machine::Ticks;
use measure::{Measured, measure};

const HELP: &str = "\
lightmeter doctor [--json]

Says what limits measuring on this host: permissions, the network stack, clock
and timers, cores and who else uses them. Takes about a second, sends one ping
to 127.0.0.1 and a few datagrams to itself, and changes nothing.

  limit    it makes measuring worse, or impossible
  note     it is to be known when reading the numbers
  ok       it stands in nobody's way

Each limit and note comes with what it means for a measurement and, where there
is one, the line that mends it. Such a line lasts until the next boot.

  --json   one object instead of text; times are integers of nanoseconds

Exit codes: 0 every kind of measurement can be had, 1 some kind can't, 2 usage.
";

/// What the doctor found.
struct Report {
    place: Place,
    /// The worst first.
    findings: Vec<Finding>,
    measured: Measured,
}

/// Runs it with the words after `doctor`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json");
    match parse(words) {
        Ok(Asked::Help) => {
            out::text(HELP);
            return DONE;
        }
        Ok(Asked::Examination) => {}
        Err(error) => {
            if wants_json {
                out::line(json::failure("usage", &error));
            }
            eprintln!("lightmeter doctor: {error}");
            return USAGE;
        }
    }
    // It takes a second or two, and Ctrl-C cuts no object short.
    let _stop = Stop::new();
    let report = examine();
    if wants_json {
        out::line(json::report(&report));
    } else {
        let is_plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
        out::text(text::report(&report, is_plain));
    }
    if report.prevented().is_empty() { DONE } else { FAILED }
}

enum Asked {
    Help,
    Examination,
}

fn parse(words: Vec<OsString>) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Long("json") => {}
            other @ (Short(_) | Long(_) | Value(_)) => {
                return Err(format!("{}; there is --json", other.unexpected()));
            }
        }
    }
    Ok(Asked::Examination)
}

/// Asks, measures and judges everything, which takes a second or two.
fn examine() -> Report {
    let text = |path: &str| read(path).unwrap_or_default();
    let who = Who::read(&text("/proc/self/status"));
    let place = who.place(&text("/proc/self/uid_map"), &text("/proc/self/mountinfo"));
    let place = Place { owns_network: host::owns_network(), ..place };
    let cores = allowed_cpus().map_or(1, |allowed| allowed.len());
    // Before we make some ourselves.
    let mut machine = machine::look();
    let (start, before) = (Clock::now(), Ticks::now());
    let mut findings = network::look();
    findings.extend(permission::look(&who, place));
    let measured = measure();
    findings.push(quota::look(place.seal, cores));
    findings.extend(cores::look(quota::granted().as_deref()));
    findings.push(machine::steal(before, Ticks::now(), Clock::now().since(start)));
    findings.append(&mut machine);
    findings.extend(clock::look(&measured));
    // Stable: of equal weight, the order above says which is larger.
    findings.sort_by_key(|finding| (finding.verdict, Reverse(finding.prevents.is_some())));
    Report { place, findings, measured }
}

impl Report {
    /// The kinds of measurement that can't be had, each once.
    fn prevented(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.findings.iter().filter_map(|f| f.prevents).collect();
        kinds.dedup();
        kinds
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// What it all comes to.
    fn sentence(&self) -> String {
        let notes = match self.count(Verdict::Note) {
            0 => String::new(),
            1 => "; 1 thing is to be known".to_owned(),
            many => format!("; {many} things are to be known"),
        };
        let Some(largest) = self.findings.first().filter(|f| f.verdict == Verdict::Limit) else {
            return format!("nothing limits what can be measured here{notes}");
        };
        let limits = match self.count(Verdict::Limit) {
            1 => "1 thing limits what can be measured here: ".to_owned(),
            many => format!("{many} things limit what can be measured here; the largest: "),
        };
        let cannot = match self.prevented().as_slice() {
            [] => String::new(),
            kinds => format!("; can't be had: {}", kinds.join(", ")),
        };
        format!("{limits}{}, {}{cannot}", largest.topic, largest.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn report(findings: Vec<Finding>) -> Report {
        Report { place: Place::default(), findings, measured: Measured::default() }
    }

    #[test]
    fn the_sentence_counts_and_names_the_largest() {
        let note = Finding::note("ipv6", "disabled", "m");
        let limit = Finding::limit("load", "9.00 on 2 cores", "m");
        let refused = Finding::limit("icmp", "refused", "m").prevents("icmp");
        assert_eq!(report(vec![]).sentence(), "nothing limits what can be measured here");
        assert_eq!(
            report(vec![note.clone(), note]).sentence(),
            "nothing limits what can be measured here; 2 things are to be known"
        );
        assert_eq!(
            report(vec![limit.clone()]).sentence(),
            "1 thing limits what can be measured here: load, 9.00 on 2 cores"
        );
        let both = report(vec![refused, limit]);
        assert_eq!(
            both.sentence(),
            "2 things limit what can be measured here; the largest: icmp, refused; can't be had: \
             icmp"
        );
        assert_eq!(both.prevented(), ["icmp"]);
    }

    #[test]
    fn usage() {
        let asked = |words: &[&str]| parse(words.iter().map(OsString::from).collect());
        assert!(matches!(asked(&["--json"]), Ok(Asked::Examination)));
        assert!(matches!(asked(&["-h"]), Ok(Asked::Help)));
        for wrong in [&["localhost"][..], &["--fix"], &["--json=x"]] {
            assert!(asked(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_are_integers_and_unknown_is_null() {
        let object = json::report(&report(vec![Finding::ok("ipv6", "on", "m")]));
        assert!(object["measured"]["oversleep_p99_ns"].is_null());
        assert_eq!(object["measured"]["clock_read_p50_ns"], 0);
        assert!(object["findings"][0]["fix"].is_null());
        assert!(!object.to_string().contains('\n'));
    }
}
