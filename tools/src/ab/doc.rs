//! The object that `lightmeter ab --json` prints, schema
//! `nearlight.lightmeter.ab/1`: all that the text says, and every round.

use serde::{Deserialize, Serialize};

use nearlight::client::compare::rounds_for;
use nearlight::limits::COMPARE_ROUNDS;

use crate::paired::doc::{Config, Failure, Group, Word, config, groups, notes, reasons};
use crate::paired::run::Run;
use crate::paired::text::{interval, share};

use super::options::Options;
use super::{DONE, FAILED, INVALID, USAGE};

/// Name and version of the document.
pub(crate) const SCHEMA: &str = "nearlight.lightmeter.ab/1";
/// A difference that most people would want to see, if they don't say;
const USUAL: f64 = 0.05;
/// and one that no run may miss that says there is none.
const LEAST: f64 = 0.2;

/// The document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doc {
    /// What this is.
    pub(crate) schema: String,
    /// What made it.
    pub(crate) tool: String,
    /// Why there is nothing else.
    pub(crate) error: Option<Failure>,
    /// What was asked for.
    pub(crate) config: Option<Config>,
    /// What was measured.
    pub(crate) result: Option<Group>,
    /// How long that took.
    pub(crate) took_ns: Option<u64>,
    /// A signal ended it before its time.
    pub(crate) interrupted: bool,
    /// Why it is not valid; valid, if there is nothing.
    pub(crate) reasons: Vec<String>,
    /// What else there is to know.
    pub(crate) notes: Vec<String>,
    /// What it comes to.
    pub(crate) sentence: Option<String>,
    /// How to have it surer.
    pub(crate) advice: Option<String>,
    /// Of the process.
    pub(crate) exit_code: u8,
}

impl Doc {
    /// Of a run.
    pub(super) fn new(asked: &Options, run: &Run) -> Self {
        let config = config(&asked.plan, Some(asked.resolve.unwrap_or(LEAST)));
        let result = groups(&asked.plan, run).into_iter().next();
        let mut reasons = reasons(result.as_slice(), run.trouble.as_deref());
        reasons.extend(result.as_ref().and_then(|group| missed(asked, group)));
        let exit_code = match result.as_ref().and_then(|group| group.comparisons.first()) {
            _ if !reasons.is_empty() => INVALID,
            None => INVALID,
            Some(comparison) => match comparison.verdict {
                Word::Faster | Word::NoDifference => DONE,
                Word::Slower => FAILED,
                Word::TooFewRounds => INVALID,
            },
        };
        Self {
            sentence: result.as_ref().map(|group| sentence(&config, group)),
            advice: result.as_ref().and_then(|group| advice(asked, group)),
            config: Some(config),
            notes: notes(result.as_slice()),
            result,
            took_ns: Some(run.took.as_nanos() as u64),
            interrupted: run.is_interrupted,
            reasons,
            exit_code,
            ..Self::empty()
        }
    }

    /// Where nothing was measured.
    pub(super) fn failed(kind: &str, message: &str) -> Self {
        let error = Failure { kind: kind.to_owned(), message: message.to_owned() };
        Self { error: Some(error), exit_code: USAGE, ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            tool: concat!("lightmeter ", env!("CARGO_PKG_VERSION")).to_owned(),
            error: None,
            config: None,
            result: None,
            took_ns: None,
            interrupted: false,
            reasons: Vec::new(),
            notes: Vec::new(),
            sentence: None,
            advice: None,
            exit_code: DONE,
        }
    }

    /// On one line.
    pub(super) fn json(&self) -> String {
        // Strings, numbers and lists of them: nothing that JSON lacks.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The difference that could have been missed, where none was seen.
fn unseen(group: &Group) -> Option<f64> {
    group.comparisons.first()?.larger_than
}

/// That what had to be seen could have been missed.
fn missed(asked: &Options, group: &Group) -> Option<String> {
    let (unseen, wanted) = (unseen(group)?, asked.resolve.unwrap_or(LEAST));
    (unseen > wanted).then(|| format!("a difference of {} could have been missed", share(wanted)))
}

fn sentence(config: &Config, group: &Group) -> String {
    let metric = config.metric.name();
    let floor = share(group.floor.unwrap_or_default());
    let Some(comparison) = group.comparisons.first() else {
        return "nothing was compared".to_owned();
    };
    let effect = comparison.ratio.as_ref().map_or_else(String::new, interval);
    match comparison.verdict {
        Word::Slower => {
            format!("B is slower than A: {metric} {effect}, beyond the A/A floor of {floor}")
        }
        Word::Faster => {
            format!("B is faster than A: {metric} {effect}, beyond the A/A floor of {floor}")
        }
        Word::NoDifference => {
            let larger = share(comparison.larger_than.unwrap_or_default());
            format!("no difference in {metric} larger than {larger} (A/A floor {floor})")
        }
        Word::TooFewRounds => format!(
            "too few rounds to say anything: {} complete, {} are the fewest",
            group.rounds.len(),
            comparison.rounds_needed.unwrap_or_default()
        ),
    }
}

/// How many rounds it would take, where fewer than those that may be asked for.
fn advice(asked: &Options, group: &Group) -> Option<String> {
    let (unseen, wanted) = (unseen(group)?, asked.resolve.unwrap_or(USUAL));
    if unseen <= wanted {
        return None;
    }
    let rounds = rounds_for(wanted, group.rounds.len(), unseen);
    let wanted = share(wanted);
    Some(if rounds as u64 <= COMPARE_ROUNDS {
        format!("to see one of {wanted} takes about {rounds} rounds here: --rounds {rounds}")
    } else {
        format!("to see one of {wanted} takes a quieter machine than this one is now")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ab::text::text;
    use crate::output::Output;
    use crate::paired::testing;

    fn doc(rounds: usize, arms: [u64; 3], resolve: Option<f64>) -> Doc {
        let plan = testing::plan(&["default", "nodelay=0"], 1);
        let run = testing::run(&plan, rounds, &arms);
        Doc::new(
            &Options { plan, resolve, is_json: true, is_quiet: true, output: Output::default() },
            &run,
        )
    }

    #[test]
    fn verdicts_have_exit_codes_and_sentences() {
        for (rounds, arms, resolve, code, part) in [
            (20, [50_000, 50_000, 60_000], None, 1, "B is slower than A: p50 +20.0 % (+19."),
            (20, [50_000, 50_000, 40_000], None, 0, "B is faster than A: p50 -20.0 % (-20."),
            (20, [50_000, 50_000, 50_000], None, 0, "no difference in p50 larger than 0.40 %"),
            (20, [50_000, 50_000, 50_000], Some(0.05), 0, "no difference in p50"),
            (20, [50_000, 50_000, 50_000], Some(0.001), 3, "no difference in p50"),
            (20, [50_000, 56_000, 53_000], None, 0, "no difference in p50 larger than 12."),
            (20, [50_000, 65_000, 53_000], None, 3, "no difference in p50 larger than 30."),
            (5, [50_000, 50_000, 60_000], None, 3, "5 complete, 6 are the fewest"),
            (0, [50_000; 3], None, 3, "0 complete, 6 are the fewest"),
        ] {
            let doc = doc(rounds, arms, resolve);
            let sentence = doc.sentence.clone().unwrap_or_default();
            assert!(sentence.contains(part), "{arms:?}: {sentence}");
            assert_eq!(doc.exit_code, code, "{sentence}");
            assert!(text(&doc).contains(&sentence));
        }
        assert_eq!(doc(20, [50_000; 3], Some(0.001)).reasons.len(), 1);
        let noisy = doc(20, [50_000, 56_000, 53_000], None);
        assert!(noisy.advice.is_some_and(|advice| advice.contains("--rounds 1")));
    }

    #[test]
    fn a_run_that_broke_is_not_valid() {
        let plan = testing::plan(&["default", "nodelay=0"], 1);
        let mut run = testing::run(&plan, 20, &[50_000, 50_000, 60_000]);
        run.groups[0].totals[2].sent += 10;
        let asked = Options {
            plan,
            resolve: None,
            is_json: true,
            is_quiet: true,
            output: Output::default(),
        };
        let doc = Doc::new(&asked, &run);
        assert_eq!((doc.exit_code, doc.reasons.len()), (INVALID, 1));
        assert!(doc.reasons[0].starts_with("B lost 4.8 %"), "{:?}", doc.reasons);
        run.groups[0].totals[2].sent -= 10;
        // Of 60 turns of all three arms.
        for (late, code, notes) in [(5, FAILED, 0), (20, FAILED, 1), (31, INVALID, 0)] {
            run.groups[0].totals[0].late_turns = late;
            let doc = Doc::new(&asked, &run);
            assert_eq!((doc.exit_code, doc.notes.len()), (code, notes), "{late} late");
        }
        run.groups[0].totals[0].late_turns = 0;
        run.trouble = Some("round 21: B: it went away".to_owned());
        let doc = Doc::new(&asked, &run);
        assert_eq!(doc.exit_code, INVALID);
        assert!(text(&doc).contains("not valid: round 21: B: it went away\n"));
    }

    #[test]
    fn a_saved_document_is_shown_again_exactly() {
        for doc in [
            doc(20, [50_000, 50_100, 57_777], Some(0.07)),
            doc(3, [50_000; 3], None),
            Doc::failed("usage", "what?"),
        ] {
            let again: Doc = serde_json::from_str(&doc.json()).expect("a document");
            assert_eq!(text(&again), text(&doc));
        }
    }
}
