//! What a paired run comes to, as the JSON documents of `ab` and `sweep` hold
//! it and their texts say it: all rounds, and all that is printed.
//!
//! Times are integers of nanoseconds in keys that end in `_ns`. Ratios have six
//! decimals, so that they are read back as they were written.

use serde::{Deserialize, Serialize};

use nearlight::client::compare::{self, Comparison, Ratio, Verdict, compare};
use nearlight::client::hist::Hist;

use super::run::{GroupRun, Run, Total};
use super::{Metric, Plan, letter};

/// Of more lost probes than this, those that came say little of all.
const LOSS: f64 = 0.01;
/// In more turns than this was half of the probes sent late: worth a note,
const LATE: f64 = 0.1;
/// and in more than this: what was measured is what else the machine does.
const TOO_LATE: f64 = 0.5;

/// What a run was asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The quantile that is compared.
    pub(crate) metric: Metric,
    /// Rounds that were asked for.
    pub(crate) rounds: usize,
    /// Probes of an arm in a round.
    pub(crate) probes: u64,
    /// In so many turns of each arm.
    pub(crate) passes: u64,
    /// What the orders were drawn from.
    pub(crate) seed: u64,
    /// How private servers were measured.
    pub(crate) kind: String,
    /// The server's binary, where there were private ones.
    pub(crate) server: Option<String>,
    /// The core of the servers.
    pub(crate) server_cpu: Option<usize>,
    /// The core of the probes.
    pub(crate) probe_cpu: Option<usize>,
    /// The same in words.
    pub(crate) place: String,
    /// A difference that has to be seen, 0.05 being 5 %.
    pub(crate) resolve: Option<f64>,
}

/// What went wrong before anything was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    /// In a word.
    pub(crate) kind: String,
    /// In full.
    pub(crate) message: String,
}

/// What an arm got in a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figures {
    /// Probes.
    pub(crate) sent: u64,
    /// Replies in time.
    pub(crate) received: u64,
    /// Their median,
    pub(crate) p50_ns: Option<u64>,
    /// 90 %,
    pub(crate) p90_ns: Option<u64>,
    /// and 99 %; null of too few.
    pub(crate) p99_ns: Option<u64>,
}

impl Figures {
    const fn get(&self, metric: Metric) -> Option<u64> {
        match metric {
            Metric::P50 => self.p50_ns,
            Metric::P90 => self.p90_ns,
            Metric::P99 => self.p99_ns,
        }
    }
}

/// A complete round.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundDoc {
    /// In which order the arms were started.
    pub(crate) order: Vec<usize>,
    /// What each got: A, A again, B, ...
    pub(crate) arms: Vec<Figures>,
}

impl RoundDoc {
    /// For the comparison of arm `b`; none where one has no such quantile.
    pub(crate) fn of(&self, b: usize, metric: Metric) -> Option<compare::Round> {
        let (a, b) = self.pair(0, b, metric)?;
        Some(compare::Round { a, again: self.pair(0, 1, metric)?.1, b })
    }

    /// What two arms got.
    pub(crate) fn pair(&self, one: usize, other: usize, metric: Metric) -> Option<(u64, u64)> {
        let at = |arm: usize| self.arms.get(arm)?.get(metric);
        at(one).zip(at(other))
    }
}

/// An arm over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArmDoc {
    /// A, A again, B, ...
    pub(crate) name: String,
    /// The setting, or the target as it was written.
    pub(crate) what: String,
    /// The kind of its probes.
    pub(crate) kind: String,
    /// By what means, in words.
    pub(crate) how: String,
    /// Probes.
    pub(crate) sent: u64,
    /// Replies in time.
    pub(crate) received: u64,
    /// Turns it had,
    pub(crate) turns: u64,
    /// and those in which half of the probes were sent more than an interval
    /// late.
    pub(crate) late_turns: u64,
    /// Median of all replies,
    pub(crate) p50_ns: Option<u64>,
    /// 90 %,
    pub(crate) p90_ns: Option<u64>,
    /// and 99 %; null of too few.
    pub(crate) p99_ns: Option<u64>,
    /// 0 %, 1 %, ... 100 % of all replies, for a plot; within 1 %.
    pub(crate) percentiles_ns: Vec<u64>,
}

/// A ratio with its interval.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RatioDoc {
    /// The median over rounds.
    pub(crate) mid: f64,
    /// The interval's lower end.
    pub(crate) low: f64,
    /// Its upper end.
    pub(crate) high: f64,
}

impl From<Ratio> for RatioDoc {
    fn from(ratio: Ratio) -> Self {
        Self { mid: rounded(ratio.mid), low: rounded(ratio.low), high: rounded(ratio.high) }
    }
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// It takes less than A.
    Faster,
    /// It takes more.
    Slower,
    /// None that could be seen.
    NoDifference,
    /// Nothing can be said.
    TooFewRounds,
}

/// An arm against A.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparisonDoc {
    /// Which, in the list of arms.
    pub(crate) arm: usize,
    /// To A; null of too few rounds.
    pub(crate) ratio: Option<RatioDoc>,
    /// What that means.
    pub(crate) verdict: Word,
    /// Where no difference was seen: a larger one would have been.
    pub(crate) larger_than: Option<f64>,
    /// Where there are too few rounds: the fewest that will do.
    pub(crate) rounds_needed: Option<usize>,
}

/// All that was measured at one pace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Bytes of a probe.
    pub(crate) size: usize,
    /// Time between two probes.
    pub(crate) interval_ns: u64,
    /// A, A again, B, ...
    pub(crate) arms: Vec<ArmDoc>,
    /// Every complete round.
    pub(crate) rounds: Vec<RoundDoc>,
    /// A again to A.
    pub(crate) again: Option<RatioDoc>,
    /// The smallest effect that is told from nothing.
    pub(crate) floor: Option<f64>,
    /// B and those after it.
    pub(crate) comparisons: Vec<ComparisonDoc>,
}

impl Group {
    /// Whether nothing can be said of it.
    pub(crate) fn has_too_few(&self) -> bool {
        self.comparisons.iter().any(|comparison| comparison.verdict == Word::TooFewRounds)
    }
}

/// Six decimals.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// What was asked for.
pub(crate) fn config(plan: &Plan, resolve: Option<f64>) -> Config {
    let (passes, count) = super::run::turns(plan.probes);
    Config {
        metric: plan.metric,
        rounds: plan.rounds,
        probes: passes * count,
        passes,
        seed: plan.seed,
        kind: plan.kind.name().to_owned(),
        server: plan.program.as_ref().map(|path| path.display().to_string()),
        server_cpu: plan.place.server,
        probe_cpu: plan.place.probes,
        place: plan.place.describe(),
        resolve,
    }
}

/// What the rounds come to; the comparisons of all groups count together.
pub(crate) fn groups(plan: &Plan, run: &Run) -> Vec<Group> {
    let comparisons = (plan.arms.len() - 1) * run.groups.len();
    run.groups.iter().map(|measured| group(plan, measured, comparisons)).collect()
}

fn group(plan: &Plan, measured: &GroupRun, comparisons: usize) -> Group {
    let arms = measured.totals.iter().enumerate().map(|(slot, total)| arm(plan, slot, total));
    let all =
        (2..plan.slots()).map(|b| (b, against(&measured.rounds, b, plan.metric, comparisons)));
    let all: Vec<(usize, Comparison)> = all.collect();
    let first = all.first().map(|(_, comparison)| comparison);
    Group {
        size: measured.pace.size,
        interval_ns: measured.pace.interval.as_nanos() as u64,
        arms: arms.collect(),
        rounds: measured.rounds.clone(),
        again: first.and_then(|comparison| comparison.again).map(RatioDoc::from),
        floor: first.and_then(|comparison| comparison.floor).map(rounded),
        comparisons: all.iter().map(|(b, comparison)| comparison_doc(*b, comparison)).collect(),
    }
}

fn against(rounds: &[RoundDoc], b: usize, metric: Metric, comparisons: usize) -> Comparison {
    let rounds: Vec<_> = rounds.iter().filter_map(|round| round.of(b, metric)).collect();
    compare(&rounds, comparisons)
}

fn comparison_doc(arm: usize, comparison: &Comparison) -> ComparisonDoc {
    let (verdict, larger_than, rounds_needed) = match comparison.verdict {
        Verdict::Faster => (Word::Faster, None, None),
        Verdict::Slower => (Word::Slower, None, None),
        Verdict::NoDifference { larger_than } => {
            (Word::NoDifference, Some(rounded(larger_than)), None)
        }
        Verdict::TooFewRounds { needed } => (Word::TooFewRounds, None, Some(needed)),
    };
    let ratio = comparison.ratio.map(RatioDoc::from);
    ComparisonDoc { arm, ratio, verdict, larger_than, rounds_needed }
}

fn arm(plan: &Plan, slot: usize, total: &Total) -> ArmDoc {
    let at = |metric: Metric| nanos(&total.hist, metric.share());
    let percentiles = (0..=100).map_while(|percent| nanos(&total.hist, f64::from(percent) / 100.0));
    ArmDoc {
        name: letter(slot),
        what: plan.arm(slot).to_string(),
        kind: plan.kind_of(slot).name().to_owned(),
        how: total.how.clone(),
        sent: total.sent,
        received: total.hist.count(),
        turns: total.turns,
        late_turns: total.late_turns,
        p50_ns: at(Metric::P50),
        p90_ns: at(Metric::P90),
        p99_ns: at(Metric::P99),
        percentiles_ns: if at(Metric::P99).is_some() { percentiles.collect() } else { Vec::new() },
    }
}

fn nanos(hist: &Hist, share: f64) -> Option<u64> {
    hist.quantile(share).map(|time| time.as_nanos() as u64)
}

/// Reasons for which a run is not valid, whatever its verdict.
pub(crate) fn reasons(groups: &[Group], trouble: Option<&str>) -> Vec<String> {
    let mut reasons: Vec<String> = trouble.map(str::to_owned).into_iter().collect();
    for arm in groups.iter().flat_map(|group| &group.arms) {
        let lost = arm.sent - arm.received.min(arm.sent);
        if lost as f64 > LOSS * arm.sent as f64 {
            let share = 100.0 * lost as f64 / arm.sent as f64;
            reasons.push(format!(
                "{} lost {share:.1} % of its probes: those that came back say little of all",
                arm.name
            ));
        }
    }
    let (late, turns) = late_turns(groups);
    if late as f64 > TOO_LATE * turns as f64 {
        reasons.push(format!("{}: it is too busy to measure anything", lateness(late, turns)));
    }
    reasons
}

/// What else the reader of a report should know.
pub(crate) fn notes(groups: &[Group]) -> Vec<String> {
    let (late, turns) = late_turns(groups);
    let is_noted = (LATE..=TOO_LATE).contains(&(late as f64 / turns.max(1) as f64));
    let note = format!("{}: its other work makes the floor higher", lateness(late, turns));
    is_noted.then_some(note).into_iter().collect()
}

fn late_turns(groups: &[Group]) -> (u64, u64) {
    let arms = groups.iter().flat_map(|group| &group.arms);
    arms.fold((0, 0), |(late, turns), arm| (late + arm.late_turns, turns + arm.turns))
}

fn lateness(late: u64, turns: u64) -> String {
    format!(
        "this machine sent half of the probes more than an interval late in {late} of {turns} turns"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(p50_ns: u64) -> Figures {
        Figures { sent: 10, received: 10, p50_ns: Some(p50_ns), p90_ns: None, p99_ns: None }
    }

    #[test]
    fn a_round_without_the_quantile_is_not_compared() {
        let arms = vec![figures(10), figures(11), figures(12)];
        let round = RoundDoc { order: vec![0, 1, 2], arms };
        let wanted = compare::Round { a: 10, again: 11, b: 12 };
        assert_eq!(round.of(2, Metric::P50), Some(wanted));
        assert_eq!(round.of(2, Metric::P90), None);
        assert_eq!(round.of(3, Metric::P50), None);
    }

    #[test]
    fn ratios_are_read_back_as_they_were_written() {
        let mut shuffle = compare::Shuffle::new(1);
        for number in shuffle.order(10_000) {
            let ratio = rounded(0.5 + number as f64 / 7e3);
            let text = serde_json::to_string(&ratio).expect("a number");
            assert_eq!(serde_json::from_str::<f64>(&text).expect("a number"), ratio);
        }
    }
}
