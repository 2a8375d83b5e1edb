//! What `lightmeter doctor` shows to people: the worst first, with what it
//! means and what to do; what is fine in a line each; a sentence.

use std::fmt::Write as _;

use super::Report;
use super::finding::{Finding, Place, Verdict};

/// Width of a verdict and of a topic, with the blanks behind them.
const VERDICT: usize = 7;
const TOPIC: usize = 20;

/// All of it; without colours if `is_plain`.
pub(super) fn report(report: &Report, is_plain: bool) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        write(&mut text, finding, report.place, is_plain);
    }
    let _ = writeln!(text, "\n{}", report.sentence());
    text
}

fn write(text: &mut String, finding: &Finding, place: Place, is_plain: bool) {
    let word = format!("{:<VERDICT$}", finding.verdict.word());
    match colour(finding.verdict).filter(|_| !is_plain) {
        Some(number) => {
            let _ = write!(text, "\x1b[{number}m{word}\x1b[0m");
        }
        None => text.push_str(&word),
    }
    let Finding { topic, value, meaning, .. } = finding;
    if finding.verdict == Verdict::Ok {
        let _ = writeln!(text, "{topic:<TOPIC$}{value}: {meaning}");
        return;
    }
    let _ = writeln!(text, "{topic:<TOPIC$}{value}");
    let indent = VERDICT + TOPIC;
    let _ = writeln!(text, "{:indent$}{meaning}", "");
    if let Some(fix) = &finding.fix {
        let _ = writeln!(text, "{:indent$}fix: {}", "", fix.line(place));
    }
}

/// The terminal's number of a colour, ECMA-48 SGR: red and yellow.
const fn colour(verdict: Verdict) -> Option<u8> {
    match verdict {
        Verdict::Limit => Some(31),
        Verdict::Note => Some(33),
        Verdict::Ok => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Fix;
    use super::super::measure::Measured;
    use super::*;

    #[test]
    fn what_is_wrong_has_lines_of_its_own() {
        let findings = vec![
            Finding::limit("loopback", "down", "nothing can be measured")
                .fix(Fix::Here("sudo ip link set lo up".to_owned())),
            Finding::ok("ipv6", "on", "both can be measured"),
        ];
        let found = Report { place: Place::default(), findings, measured: Measured::default() };
        let plain = "\
limit  loopback            down
                           nothing can be measured
                           fix: sudo ip link set lo up
ok     ipv6                on: both can be measured

1 thing limits what can be measured here: loopback, down
";
        assert_eq!(report(&found, true), plain);
        let coloured = report(&found, false);
        assert!(coloured.starts_with("\x1b[31mlimit  \x1b[0mloopback"), "{coloured}");
    }
}
