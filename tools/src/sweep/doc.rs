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
        let mut commands: Vec<String> =
            outcomes.iter().filter_map(|outcome| outcome.command.clone()).collect();
        commands.dedup();
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
