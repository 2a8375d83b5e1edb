//! The object that `lightmeter sweep --json` prints, schema
//! `nearlight.lightmeter.sweep/1`: all that the text says, and every round.

use serde::{Deserialize, Serialize};

use nearlight::client::compare::{Round, Verdict, compare};

use crate::paired::doc::{Config, Failure, Group, Word, config, groups, notes, reasons};
use crate::paired::run::Run;
use crate::paired::text::{interval, share};
use crate::paired::{Arm, Metric, Plan};

use super::{DONE, INVALID, USAGE};

/// Name and version of the document.
pub(crate) const SCHEMA: &str = "nearlight.lightmeter.sweep/1";

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
    /// What was measured, for each size and interval.
    pub(crate) groups: Vec<Group>,
    /// What each of them comes to.
    pub(crate) outcomes: Vec<Outcome>,
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
    /// What starts the winner; several, where groups have different ones.
    pub(crate) commands: Vec<String>,
    /// Of the process.
    pub(crate) exit_code: u8,
}

/// Who wins in a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    /// In the list of arms; null where no setting differs, or nothing can be
    /// said.
    pub(crate) winner: Option<usize>,
    /// Those that can't be told from it.
    pub(crate) ties: Vec<usize>,
    /// In words.
    pub(crate) sentence: String,
    /// What starts the winner.
    pub(crate) command: Option<String>,
}

impl Doc {
    /// Of a run.
    pub(super) fn new(plan: &Plan, run: &Run) -> Self {
        let groups = groups(plan, run);
        let outcomes: Vec<Outcome> = groups.iter().map(|group| outcome(plan, group)).collect();
        let reasons = reasons(&groups, run.trouble.as_deref());
        let mut commands: Vec<String> = Vec::new();
        for command in outcomes.iter().filter_map(|outcome| outcome.command.as_ref()) {
            if !commands.contains(command) {
                commands.push(command.clone());
            }
        }
        let is_said = groups.iter().all(|group| !group.has_too_few());
        Self {
            config: Some(config(plan, None)),
            sentence: Some(sentence(&groups, &outcomes)),
            notes: notes(&groups),
            exit_code: if is_said && reasons.is_empty() { DONE } else { INVALID },
            took_ns: Some(run.took.as_nanos() as u64),
            interrupted: run.is_interrupted,
            groups,
            outcomes,
            reasons,
            commands,
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
            groups: Vec::new(),
            outcomes: Vec::new(),
            took_ns: None,
            interrupted: false,
            reasons: Vec::new(),
            notes: Vec::new(),
            sentence: None,
            commands: Vec::new(),
            exit_code: DONE,
        }
    }

    /// On one line.
    pub(super) fn json(&self) -> String {
        // Strings, numbers and lists of them: nothing that JSON lacks.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn outcome(plan: &Plan, group: &Group) -> Outcome {
    let winner = winner(group);
    let ties = winner.map_or_else(Vec::new, |winner| ties(group, winner, plan.metric));
    let command = winner.and_then(|winner| match plan.arm(winner) {
        Arm::Server(setting) => Some(setting.command()),
        Arm::Peer(..) => None,
    });
    Outcome { sentence: group_sentence(group, winner, &ties, plan.metric), winner, ties, command }
}

/// The fastest of those that differ from A, or A where all that differ are
/// slower; none where none does.
fn winner(group: &Group) -> Option<usize> {
    if group.has_too_few() || group.comparisons.iter().all(|c| c.verdict == Word::NoDifference) {
        return None;
    }
    let ratio = |arm: &crate::paired::doc::ComparisonDoc| arm.ratio.map_or(1.0, |ratio| ratio.mid);
    let faster = group.comparisons.iter().filter(|c| c.verdict == Word::Faster);
    let fastest = faster.min_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    Some(fastest.map_or(0, |comparison| comparison.arm))
}

/// Those that are not slower than the winner by more than A is than itself.
fn ties(group: &Group, winner: usize, metric: Metric) -> Vec<usize> {
    let floor = group.floor.unwrap_or_default();
    let is_slower = |arm: usize| {
        let rounds: Vec<Round> = group
            .rounds
            .iter()
            .filter_map(|round| round.pair(winner, arm, metric))
            .map(|(a, b)| Round { a, again: a, b })
            .collect();
        let comparison = compare(&rounds, group.comparisons.len());
        comparison.verdict == Verdict::Slower
            && comparison.ratio.is_some_and(|ratio| ratio.mid > 1.0 + floor)
    };
    let others = (0..group.arms.len()).filter(|&arm| arm != winner && arm != 1);
    others.filter(|&arm| !is_slower(arm)).collect()
}

fn group_sentence(group: &Group, winner: Option<usize>, ties: &[usize], metric: Metric) -> String {
    let name = |arm: usize| group.arms.get(arm).map_or("", |arm| arm.what.as_str());
    let floor = share(group.floor.unwrap_or_default());
    let Some(winner) = winner else {
        return if group.has_too_few() {
            format!("too few rounds to say anything: {} are complete", group.rounds.len())
        } else {
            format!("no setting differs beyond the A/A floor ({floor})")
        };
    };
    let mut text = format!("{} wins", name(winner));
    let won = group.comparisons.iter().find(|comparison| comparison.arm == winner);
    if let Some(ratio) = won.and_then(|comparison| comparison.ratio) {
        text = format!("{text}: {} {} to {}", metric.name(), interval(&ratio), name(0));
    }
    if !ties.is_empty() {
        let names: Vec<&str> = ties.iter().map(|&arm| name(arm)).collect();
        text = format!("{text}; not told from it: {}", names.join(" and "));
    }
    format!("{text} (A/A floor {floor})")
}

/// What all groups come to.
fn sentence(groups: &[Group], outcomes: &[Outcome]) -> String {
    if let [outcome] = outcomes {
        return outcome.sentence.clone();
    }
    if groups.iter().any(Group::has_too_few) {
        return "too few rounds to say anything".to_owned();
    }
    let won = outcomes.iter().filter(|outcome| outcome.winner.is_some()).count();
    let mut winners: Vec<usize> = outcomes.iter().filter_map(|outcome| outcome.winner).collect();
    winners.dedup();
    let floor = groups.iter().filter_map(|group| group.floor).fold(0.0, f64::max);
    match winners[..] {
        [] => format!("no setting differs beyond the A/A floor ({})", share(floor)),
        [one] => {
            let what = groups.iter().find_map(|group| group.arms.get(one));
            let what = what.map_or("", |arm| arm.what.as_str());
            if won == groups.len() {
                format!("{what} wins throughout")
            } else {
                format!("{what} wins in {won} of {}, and nowhere is another faster", groups.len())
            }
        }
        _ => "which setting wins depends on how it is measured".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::testing;
    use crate::sweep::text::text;

    const SETTINGS: [&str; 3] = ["nodelay=0", "nodelay=1", "nodelay=1,idle=spin"];

    fn doc(groups: usize, rounds: usize, arms: [u64; 4]) -> Doc {
        let plan = testing::plan(&SETTINGS, groups);
        Doc::new(&plan, &testing::run(&plan, rounds, &arms))
    }

    #[test]
    fn the_fastest_wins_and_its_line_is_given() {
        let doc = doc(1, 20, [50_000, 50_000, 40_000, 30_000]);
        let outcome = &doc.outcomes[0];
        assert_eq!((outcome.winner, &outcome.ties[..]), (Some(3), &[][..]));
        assert_eq!(doc.commands, ["nearlight serve --nodelay=1 --idle=spin"]);
        assert!(outcome.sentence.starts_with("nodelay=1,idle=spin wins: p50 -40."));
        assert!(text(&doc).ends_with("\n  nearlight serve --nodelay=1 --idle=spin\n"));
        assert_eq!(doc.exit_code, DONE);
    }

    #[test]
    fn who_can_not_be_told_from_the_winner_is_named() {
        let doc = doc(1, 20, [50_000, 50_000, 30_010, 30_000]);
        assert_eq!((doc.outcomes[0].winner, &doc.outcomes[0].ties[..]), (Some(3), &[2][..]));
        assert!(doc.outcomes[0].sentence.contains("not told from it: nodelay=1 ("));
    }

    #[test]
    fn the_first_wins_where_others_are_slower() {
        let doc = doc(1, 20, [50_000, 50_000, 50_000, 60_000]);
        assert_eq!((doc.outcomes[0].winner, &doc.outcomes[0].ties[..]), (Some(0), &[2][..]));
        assert_eq!(doc.commands, ["nearlight serve --nodelay=0"]);
    }

    #[test]
    fn without_a_difference_there_is_no_winner() {
        let doc = doc(2, 20, [50_000, 50_200, 50_000, 50_000]);
        let sentence = doc.sentence.clone().unwrap_or_default();
        assert!(sentence.starts_with("no setting differs beyond the A/A floor (0."), "{sentence}");
        assert_eq!((doc.commands.len(), doc.exit_code), (0, DONE));
    }

    #[test]
    fn groups_are_summed_up() {
        let doc = doc(2, 20, [50_000, 50_000, 40_000, 30_000]);
        assert_eq!(doc.sentence.as_deref(), Some("nodelay=1,idle=spin wins throughout"));
        assert_eq!(doc.commands.len(), 1);
        // Two comparisons at two sizes are four: no interval below 8 rounds.
        let plan = testing::plan(&SETTINGS, 2);
        let few = Doc::new(&plan, &testing::run(&plan, 7, &[50_000, 50_000, 40_000, 30_000]));
        assert_eq!((few.exit_code, few.commands.len()), (INVALID, 0));
        let mut mixed = testing::run(&plan, 20, &[50_000, 50_000, 40_000, 30_000]);
        mixed.groups[1].rounds =
            testing::run(&plan, 20, &[50_000, 50_000, 30_000, 40_000]).groups[1].rounds.clone();
        let mixed = Doc::new(&plan, &mixed);
        assert_eq!(mixed.commands.len(), 2);
        assert!(mixed.sentence.is_some_and(|text| text.contains("depends on how")));
    }

    #[test]
    fn a_saved_document_is_shown_again_exactly() {
        for doc in [
            doc(2, 20, [50_000, 50_100, 43_210, 57_777]),
            doc(1, 3, [50_000; 4]),
            Doc::failed("start", "it can't"),
        ] {
            let again: Doc = serde_json::from_str(&doc.json()).expect("a document");
            assert_eq!(text(&again), text(&doc));
        }
    }
}
