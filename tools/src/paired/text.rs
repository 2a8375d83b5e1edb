//! The parts of a report that `ab` and `sweep` have in common, made of the
//! document alone, so that a saved one is shown again exactly.

use std::fmt::Write as _;
use std::time::Duration;

use nearlight::base::units::format_duration;
use nearlight::client::report::format_latency;

use super::doc::{ArmDoc, ComparisonDoc, Config, Group, RatioDoc, Word};

/// Where there is nothing to show.
const NOTHING: &str = "—";

/// A ratio as what it adds: 1.052 is `+5.2 %`, two decimals below 1 %.
pub(crate) fn percent(ratio: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    let text =
        if percent.abs() < 0.995 { format!("{percent:+.2}") } else { format!("{percent:+.1}") };
    format!("{text} %")
}

/// The same without a sign, of an effect: 0.052 is `5.2 %`.
pub(crate) fn share(effect: f64) -> String {
    percent(1.0 + effect).trim_start_matches(['+', '-']).to_owned()
}

/// `+5.2 % (+4.1 % to +6.0 %)`
pub(crate) fn interval(ratio: &RatioDoc) -> String {
    format!("{} ({} to {})", percent(ratio.mid), percent(ratio.low), percent(ratio.high))
}

/// `60 rounds of 200 probes, every 250us, 64 bytes`, and where.
pub(crate) fn conditions(config: &Config, rounds: usize) -> String {
    let done = if rounds == config.rounds {
        format!("{rounds} rounds")
    } else {
        format!("{rounds} of {} rounds", config.rounds)
    };
    let fresh = if config.server.is_some() {
        "a fresh server for each arm and round"
    } else {
        "fresh connections"
    };
    format!(
        "{done} of {} probes of each arm, in {} turns; {fresh}; {}; seed {}\n",
        config.probes, config.passes, config.place, config.seed
    )
}

/// `size 64, every 250us`
pub(crate) fn pace(group: &Group) -> String {
    let interval = format_duration(Duration::from_nanos(group.interval_ns));
    format!("{} bytes every {interval}", group.size)
}

fn cell(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| NOTHING.to_owned(), |n| format_latency(Duration::from_nanos(n)))
}

/// The widest column of names.
const WIDEST: usize = 200;

/// A row for each arm, and behind it what `more` says of it.
pub(crate) fn table(group: &Group, more: impl Fn(usize) -> String) -> String {
    let width = |of: fn(&ArmDoc) -> &str, least: usize| {
        let widths = group.arms.iter().map(|arm| of(arm).chars().count());
        // A saved document may be somebody else's.
        widths.max().unwrap_or_default().clamp(least, WIDEST)
    };
    let (name, what) = (width(|arm| &arm.name, 3), width(|arm| &arm.what, 4));
    let mut text = format!("{:name$}  {:what$}", "arm", "what");
    for head in ["received", "lost", "p50", "p90", "p99"] {
        let _ = write!(text, "  {head:>8}");
    }
    text.push('\n');
    for (at, arm) in group.arms.iter().enumerate() {
        let lost = arm.sent - arm.received.min(arm.sent);
        let _ =
            write!(text, "{:name$}  {:what$}  {:>8}  {lost:>8}", arm.name, arm.what, arm.received);
        for nanos in [arm.p50_ns, arm.p90_ns, arm.p99_ns] {
            let _ = write!(text, "  {:>8}", cell(nanos));
        }
        let more = more(at);
        let gap = if more.is_empty() { "" } else { "  " };
        let _ = writeln!(text, "{gap}{more}");
    }
    text
}

/// What a comparison means, in a few words.
pub(crate) fn verdict(comparison: &ComparisonDoc) -> String {
    match (comparison.verdict, comparison.larger_than, comparison.rounds_needed) {
        (Word::Faster, _, _) => "faster".to_owned(),
        (Word::Slower, _, _) => "slower".to_owned(),
        (Word::NoDifference, Some(larger), _) => {
            format!("no difference larger than {}", share(larger))
        }
        (Word::TooFewRounds, _, Some(needed)) => {
            format!("too few rounds to say: {needed} are the fewest")
        }
        (Word::NoDifference, None, _) => "no difference".to_owned(),
        (Word::TooFewRounds, _, None) => "too few rounds to say".to_owned(),
    }
}

/// What makes a run worth less, and what else there is to know.
pub(crate) fn remarks(is_interrupted: bool, reasons: &[String], notes: &[String]) -> String {
    let mut text = String::new();
    if is_interrupted {
        text.push_str("interrupted: this is of the rounds that were complete\n");
    }
    for reason in reasons {
        let _ = writeln!(text, "not valid: {reason}");
    }
    for note in notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_told_as_what_they_add() {
        for (ratio, text) in [
            (1.052, "+5.2 %"),
            (0.948, "-5.2 %"),
            (1.0031, "+0.31 %"),
            (0.99999, "-0.00 %"),
            (1.00994, "+0.99 %"),
            (1.00996, "+1.0 %"),
            (2.5, "+150.0 %"),
        ] {
            assert_eq!(percent(ratio), text);
        }
        assert_eq!(share(0.018), "1.8 %");
        assert_eq!(share(0.0), "0.00 %");
    }
}
