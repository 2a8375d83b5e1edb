//! The rounds themselves. The main thread starts and ends servers, shows how
//! far it is and hears signals; a thread of its own, pinned, sends and hears
//! the probes of one round.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nearlight::client::compare::{self, PASSES, Shuffle, compare};
use nearlight::client::hist::{Hist, samples_needed};
use nearlight::sys::affinity::pin_to;
use nearlight::sys::clock::Clock;

use crate::server::Server;
use crate::stop::{LOOK, Stop};

use super::doc::{Figures, RoundDoc};
use super::place::Place;
use super::probe::{self, Block, Kind, Pace, Route};
use super::progress::Progress;
use super::text::percent;
use super::{Arm, Metric, Plan, letter};

/// The shortest turn, in probes: the first of a connection are not like those
/// after them.
const TURN: u64 = 20;
/// Probes that see whether an arm answers at all.
const TRIAL: u64 = 3;

/// What became of all rounds.
#[derive(Debug)]
pub(crate) struct Run {
    /// One for each pace.
    pub(crate) groups: Vec<GroupRun>,
    /// A signal ended it.
    pub(crate) is_interrupted: bool,
    /// Why it ended early, if not by a signal.
    pub(crate) trouble: Option<String>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// What was measured at one pace.
#[derive(Debug)]
pub(crate) struct GroupRun {
    /// How.
    pub(crate) pace: Pace,
    /// Complete rounds.
    pub(crate) rounds: Vec<RoundDoc>,
    /// By place.
    pub(crate) totals: Vec<Total>,
}

/// All rounds of a place together.
#[derive(Clone)]
pub(crate) struct Total {
    /// Every time.
    pub(crate) hist: Hist,
    /// Probes sent.
    pub(crate) sent: u64,
    /// Turns it had.
    pub(crate) turns: u64,
    /// Turns in which half of the probes were sent more than an interval late.
    pub(crate) late_turns: u64,
    /// By what means.
    pub(crate) how: String,
}

impl Default for Total {
    fn default() -> Self {
        // Differences of a percent are told: within 0.1 %.
        let hist = Hist::fine();
        Self { hist, sent: 0, turns: 0, late_turns: 0, how: String::new() }
    }
}

impl std::fmt::Debug for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} by {}", self.hist.count(), self.sent, self.how)
    }
}

/// What a place got in one round, at one pace.
#[derive(Default)]
struct Yield {
    times: Vec<u64>,
    sent: u64,
    late_turns: u64,
    how: String,
}

/// What is measured in a place of a round.
enum Door {
    Ours(Box<Server>, Route),
    Theirs(Route),
}

impl Door {
    fn open(arm: &Arm, plan: &Plan) -> Result<Self, String> {
        match (arm, &plan.program) {
            (Arm::Peer(_, route), _) => Ok(Self::Theirs(route.clone())),
            (Arm::Server(_), None) => Err("there is no server to start".to_owned()),
            (Arm::Server(setting), Some(program)) => start(program, setting, plan.place, plan.kind),
        }
    }

    /// Measures one turn, while all others rest.
    fn turn(&self, count: u64, pace: Pace, stop: &AtomicBool) -> Result<Block, String> {
        match self {
            Self::Theirs(route) => probe::block(route, count, pace, stop),
            Self::Ours(server, route) => {
                server.go_on();
                let block = probe::block(route, count, pace, stop);
                server.rest();
                block
            }
        }
    }

    /// What a server said last, behind `why`.
    fn blame(&mut self, why: String) -> String {
        let words = match self {
            Self::Ours(server, _) => server.last_words(),
            Self::Theirs(_) => None,
        };
        words.map_or_else(|| why.clone(), |words| format!("{why}; the server said: {words}"))
    }
}

fn start(
    program: &Path,
    setting: &super::setting::Setting,
    place: Place,
    kind: Kind,
) -> Result<Door, String> {
    let mut flags = setting.flags();
    if let Some(cpu) = place.server.filter(|_| !setting.has("cpus")) {
        flags.push(format!("--cpus={cpu}"));
    }
    let server = Server::start(program, &flags)?;
    server.rest();
    let route = Route::to(&server.doors, kind);
    Ok(Door::Ours(Box::new(server), route))
}

/// Starts every arm once and sends it some probes of each pace: what is wrong
/// is found before anything is measured.
///
/// # Errors
/// Names the arm, and says what is wrong with it in the server's words.
pub(crate) fn try_all(plan: &Plan) -> Result<(), String> {
    let never = AtomicBool::new(false);
    for arm in &plan.arms {
        let wrong = |why: String| format!("{arm}: {why}");
        let mut door = Door::open(arm, plan).map_err(wrong)?;
        for &pace in &plan.paces {
            match door.turn(TRIAL, pace, &never) {
                Ok(block) if block.times.is_empty() => {
                    let why =
                        block.trouble.unwrap_or_else(|| format!("no reply to {TRIAL} probes"));
                    return Err(wrong(door.blame(why)));
                }
                Ok(_) => {}
                Err(why) => return Err(wrong(door.blame(why))),
            }
        }
    }
    Ok(())
}

/// Measures all rounds, or those until a signal.
pub(crate) fn measure(plan: &Plan, stop: &Stop, is_quiet: bool) -> Run {
    let start = Clock::now();
    let mut progress = Progress::new(plan.rounds, is_quiet, start);
    let mut shuffle = Shuffle::new(plan.seed);
    let totals = vec![Total::default(); plan.slots()];
    let group = |&pace| GroupRun { pace, rounds: Vec::new(), totals: totals.clone() };
    let mut groups: Vec<GroupRun> = plan.paces.iter().map(group).collect();
    let (mut trouble, mut so_far) = (None, String::new());
    let flag = stop.flag();
    for done in 0..plan.rounds {
        let order = shuffle.order(plan.slots());
        let result = round(plan, &order, &mut shuffle, stop, || {
            progress.show(Clock::now(), done, &so_far);
        });
        stop.look();
        // A round that was cut short is none.
        if flag.load(Ordering::Relaxed) {
            break;
        }
        match result {
            Ok(yields) => keep(plan, &mut groups, &order, yields),
            Err(why) => {
                trouble = Some(format!("round {}: {why}", done + 1));
                break;
            }
        }
        so_far = estimate(plan, &groups);
    }
    progress.end();
    let is_interrupted = flag.load(Ordering::Relaxed);
    Run { groups, is_interrupted, trouble, took: Clock::now().since(start) }
}

/// One round: every arm started, measured in turns, ended.
fn round(
    plan: &Plan,
    order: &[usize],
    shuffle: &mut Shuffle,
    stop: &Stop,
    mut show: impl FnMut(),
) -> Result<Vec<Vec<Yield>>, String> {
    let name = |slot: usize| format!("{} ({})", letter(slot), plan.arm(slot));
    let mut doors: Vec<Option<Door>> = (0..plan.slots()).map(|_| None).collect();
    for &slot in order {
        let door = Door::open(plan.arm(slot), plan);
        doors[slot] = Some(door.map_err(|why| format!("{}: {why}", name(slot)))?);
    }
    let mut doors: Vec<Door> = doors.into_iter().flatten().collect();
    let flag = stop.flag();
    let main = thread::current();
    let result = thread::scope(|scope| {
        let doors = &doors;
        let prober = scope.spawn(move || {
            let yields = take_turns(plan, doors, shuffle, &flag);
            main.unpark();
            yields
        });
        while !prober.is_finished() {
            thread::park_timeout(LOOK);
            stop.look();
            show();
        }
        prober.join()
    });
    let result = match result {
        Ok(result) => result,
        Err(_) => Err((0, "the measuring thread panicked; please report it".to_owned())),
    };
    let result = result.map_err(|(slot, why)| match doors.get_mut(slot) {
        Some(door) => format!("{}: {}", name(slot), door.blame(why)),
        None => why,
    });
    for door in &doors {
        if let Door::Ours(server, _) = door {
            server.say_goodbye();
        }
    }
    result
}

type Turns = Result<Vec<Vec<Yield>>, (usize, String)>;

/// The measuring thread of a round. Passes go there and back, so that a steady
/// drift hits all alike.
fn take_turns(plan: &Plan, doors: &[Door], shuffle: &mut Shuffle, stop: &AtomicBool) -> Turns {
    if let Some(cpu) = plan.place.probes {
        pin_to(cpu).map_err(|why| (usize::MAX, why.to_string()))?;
    }
    let (passes, count) = turns(plan.probes);
    let mut groups = Vec::with_capacity(plan.paces.len());
    for &pace in &plan.paces {
        let mut yields: Vec<Yield> = doors.iter().map(|_| Yield::default()).collect();
        let mut order = Vec::new();
        for pass in 0..passes {
            if pass % 2 == 0 {
                order = shuffle.order(doors.len());
            } else {
                order.reverse();
            }
            for &slot in &order {
                if stop.load(Ordering::Relaxed) {
                    return Ok(groups);
                }
                let block = doors[slot].turn(count, pace, stop).map_err(|why| (slot, why))?;
                let got = &mut yields[slot];
                got.times.extend(block.times);
                got.sent += block.sent;
                got.late_turns += u64::from(block.late > pace.interval);
                got.how = block.how;
            }
        }
        groups.push(yields);
    }
    Ok(groups)
}

/// How many passes, and probes in each turn of one.
pub(crate) fn turns(probes: u64) -> (u64, u64) {
    let passes = (probes / TURN).clamp(1, PASSES);
    (passes, probes.div_ceil(passes))
}

/// Keeps what a complete round has yielded.
fn keep(plan: &Plan, groups: &mut [GroupRun], order: &[usize], yields: Vec<Vec<Yield>>) {
    let (passes, _) = turns(plan.probes);
    for (group, yields) in groups.iter_mut().zip(yields) {
        let mut arms = Vec::with_capacity(yields.len());
        for (total, mut got) in group.totals.iter_mut().zip(yields) {
            got.times.iter().for_each(|&nanos| total.hist.record(Duration::from_nanos(nanos)));
            total.sent += got.sent;
            total.turns += passes;
            total.late_turns += got.late_turns;
            arms.push(figures(&mut got));
            total.how = got.how;
        }
        group.rounds.push(RoundDoc { order: order.to_vec(), arms });
    }
}

fn figures(got: &mut Yield) -> Figures {
    got.times.sort_unstable();
    let received = got.times.len() as u64;
    let at = |metric: Metric| quantile(&got.times, metric.share());
    Figures {
        sent: got.sent,
        received,
        p50_ns: at(Metric::P50),
        p90_ns: at(Metric::P90),
        p99_ns: at(Metric::P99),
    }
}

/// By nearest rank, of sorted times, where there are enough of them for it.
fn quantile(sorted: &[u64], share: f64) -> Option<u64> {
    let needed = samples_needed(share)?;
    let rank = (sorted.len() as f64 * share - 1e-6).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().filter(|_| sorted.len() as u64 >= needed)
}

/// How B looks so far, where there is one B.
fn estimate(plan: &Plan, groups: &[GroupRun]) -> String {
    let ([group], [_, _]) = (groups, &plan.arms[..]) else {
        return String::new();
    };
    let rounds: Vec<compare::Round> =
        group.rounds.iter().filter_map(|round| round.of(2, plan.metric)).collect();
    let ratio = compare(&rounds, 1).ratio;
    ratio.map_or_else(String::new, |ratio| format!("B to A {}", percent(ratio.mid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_spread_over_passes() {
        assert_eq!(turns(200), (8, 25));
        assert_eq!(turns(1000), (8, 125));
        assert_eq!(turns(100), (5, 20));
        assert_eq!(turns(30), (1, 30));
        assert_eq!(turns(5), (1, 5));
    }

    #[test]
    fn no_quantile_without_the_samples_for_it() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!(quantile(&times, 0.5), Some(100));
        assert_eq!(quantile(&times, 0.9), Some(180));
        assert_eq!(quantile(&times, 0.99), None);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
