//! How a gate reports: the verdict of each of its checks in a line, and the
//! count of all as `tests/run` adds them up. A check that lacks a program is
//! skipped, and fails where `CI` is set: there, what isn't checked isn't so.

use std::env;
use std::process::ExitCode;

/// What came of a check; the text goes behind its name.
pub(crate) enum Verdict {
    /// It holds.
    Passed(String),
    /// It doesn't.
    Failed(String),
    /// It can't be told here.
    #[allow(dead_code, reason = "one of the gates has no such check")]
    Skipped(String),
    /// What it would be held against is not of this machine's tools.
    #[allow(dead_code, reason = "one of the gates has no such check")]
    Moot(String),
}

/// How many passed, failed and were skipped.
#[derive(Default)]
pub(crate) struct Tally([usize; 3]);

impl Tally {
    /// Prints a verdict and counts it.
    pub(crate) fn add(&mut self, name: &str, verdict: Verdict) {
        let is_strict = env::var_os("CI").is_some_and(|value| !value.is_empty());
        let (count, line) = match verdict {
            Verdict::Passed(what) => (0, format!("ok {name}: {what}")),
            Verdict::Failed(why) => (1, format!("FAILED {name}: {why}")),
            Verdict::Skipped(why) if is_strict => {
                (1, format!("FAILED {name}: {why}, and CI is set"))
            }
            Verdict::Moot(why) | Verdict::Skipped(why) => (2, format!("skipped {name}: {why}")),
        };
        println!("{line}");
        self.0[count] += 1;
    }

    /// Prints the last line.
    pub(crate) fn finish(self) -> ExitCode {
        let [passed, failed, skipped] = self.0;
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        ExitCode::from(u8::from(failed > 0))
    }
}

/// Whether the words of the command line choose what is called `name`.
pub(crate) fn is_chosen(name: &str, arguments: &[String]) -> bool {
    let mut words = arguments.iter().filter(|word| !word.starts_with("--"));
    words.clone().next().is_none() || words.any(|word| name.contains(word.as_str()))
}
