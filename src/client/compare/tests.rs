//! The comparison in virtual time: arms whose truth is known, under noise of
//! laws that are no kinder than a shared machine's.
//!
//! What that machine (two cores, others compiling on them) was seen to do, a
//! TCP echo pinned apart from its prober, 200 probes an arm and round at 4000
//! a second: within a block of 25 probes the logarithm of a time varies by
//! 0.14 to 0.21; the median drifts by 0.10 to 0.16 from one tenth of a second
//! to the next, with an autocorrelation of 0.7, between two levels 1.5 apart;
//! and of a round's ratio of two processes of one setting, the turns being
//! short, half are within 1.4 %, nine tenths within 7.7 %.

use super::*;

/// Simulated runs of each kind.
const RUNS: u64 = 100;

/// Numbers of any law, from a seed.
struct Noise {
    draws: Shuffle,
    spare: Option<f64>,
}

impl Noise {
    fn new(seed: u64) -> Self {
        Self { draws: Shuffle::new(seed), spare: None }
    }

    /// Between 0 and 1.
    fn even(&mut self) -> f64 {
        (self.draws.below(1 << 52) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Normal, two at a time by Box and Muller.
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let length = (-2.0 * self.even().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.even()).sin_cos();
        self.spare = Some(length * sin);
        length * cos
    }
}

/// What a time is drawn from, as logarithms.
#[derive(Clone, Copy, Debug)]
enum Law {
    /// One mode, the width of what was seen.
    LogNormal,
    /// Three of ten take 1.8 times as long.
    Bimodal,
    /// One of five has a tail without variance; the level drifts, and jumps
    /// between two.
    HeavyTail,
}

const LAWS: [Law; 3] = [Law::LogNormal, Law::Bimodal, Law::HeavyTail];

/// A machine, probe by probe.
struct World {
    noise: Noise,
    law: Law,
    /// An autoregressive drift, and whether the slow level is on.
    drift: f64,
    slow: bool,
}

impl World {
    fn new(law: Law, seed: u64) -> Self {
        Self { noise: Noise::new(seed), law, drift: 0.0, slow: false }
    }

    /// One probe of an arm whose times are `arm` times as long, in
    /// nanoseconds.
    fn probe(&mut self, arm: f64) -> u64 {
        let noise = &mut self.noise;
        let (level, width) = match self.law {
            Law::LogNormal => (0.0, 0.2),
            Law::Bimodal => (if noise.even() < 0.3 { 0.59 } else { 0.0 }, 0.1),
            Law::HeavyTail => (self.drift + if self.slow { 0.4 } else { 0.0 }, 0.15),
        };
        let mut log = level + width * noise.normal();
        if matches!(self.law, Law::HeavyTail) && noise.even() < 0.2 {
            log += 0.5 * noise.even().powf(-0.6);
        }
        (60_000.0 * arm * log.exp()) as u64
    }

    /// What goes by while a block of probes does: 16 of them are a tenth of a
    /// second.
    fn pass_by(&mut self) {
        self.drift = self.drift * 0.978 + 0.021 * self.noise.normal();
        if self.noise.even() < 1.0 / 24.0 {
            self.slow = !self.slow;
        }
    }

    /// One round of [`PROBES`] an arm, as it is measured: each in a process of
    /// its own, which has an offset of its own of up to 2 %, in turns.
    fn round(&mut self, arms: &[f64]) -> Vec<u64> {
        let slots = self.noise.draws.order(arms.len());
        let mut times = vec![Vec::new(); arms.len()];
        let offsets: Vec<f64> =
            arms.iter().map(|_| 1.0 + 0.04 * (self.noise.even() - 0.5)).collect();
        for _ in 0..PASSES {
            for &slot in &slots {
                self.pass_by();
                for _ in 0..PROBES / PASSES {
                    let time = self.probe(arms[slot] * offsets[slot]);
                    times[slot].push(time);
                }
            }
        }
        times.iter_mut().map(|times| median(times)).collect()
    }
}

fn median(times: &mut [u64]) -> u64 {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A run of [`ROUNDS`]; the arms after the second are each compared with the
/// first.
fn run(law: Law, seed: u64, arms: &[f64]) -> Vec<Comparison> {
    let mut world = World::new(law, seed);
    let rounds: Vec<Vec<u64>> = (0..ROUNDS).map(|_| world.round(arms)).collect();
    let of = |b: usize| -> Vec<Round> {
        rounds.iter().map(|r| Round { a: r[0], again: r[1], b: r[b] }).collect()
    };
    (2..arms.len()).map(|b| compare(&of(b), arms.len() - 2)).collect()
}

fn is_none(comparison: &Comparison) -> bool {
    matches!(comparison.verdict, Verdict::NoDifference { .. })
}

#[test]
fn identical_arms_are_said_to_be() {
    for law in LAWS {
        let right = (0..RUNS).filter(|&seed| is_none(&run(law, seed, &[1.0; 3])[0])).count();
        assert!(right >= 95, "{law:?}: {right} of {RUNS}");
    }
}

#[test]
fn five_percent_are_found_both_ways() {
    let (slower, faster) = ((1.05, Verdict::Slower), (1.0 / 1.05, Verdict::Faster));
    let ways = [(Law::LogNormal, slower), (Law::Bimodal, faster), (Law::HeavyTail, slower)];
    for (law, (truth, wanted)) in ways {
        let found = |seed: &u64| run(law, 1000 + seed, &[1.0, 1.0, truth])[0].verdict == wanted;
        let found = (0..RUNS).filter(found).count();
        assert!(found >= 90, "{law:?}, {truth}: {found} of {RUNS}");
    }
}

#[test]
fn the_interval_holds_the_truth() {
    let truth = 1.02;
    let holds = |seed: &u64| {
        let comparison = run(Law::HeavyTail, 2000 + seed, &[1.0, 1.0, truth])[0];
        comparison.ratio.is_some_and(|ratio| ratio.low <= truth && truth <= ratio.high)
    };
    let held = (0..RUNS).filter(holds).count();
    assert!(held >= 95, "{held} of {RUNS}");
}

#[test]
fn of_many_identical_arms_none_is_picked_out() {
    let is_right = |seed: &u64| run(Law::HeavyTail, 3000 + seed, &[1.0; 6]).iter().all(is_none);
    let right = (0..RUNS).filter(is_right).count();
    assert!(right >= 95, "{right} of {RUNS}");
}

/// What skews a mean of two As: disturbances that hit one way, more often two
/// arms than one. Fifty times as many runs, to see one in a hundred.
#[test]
fn disturbances_that_hit_one_way_make_no_difference() {
    let mut noise = Noise::new(7);
    let mut figure = || {
        let hit = if noise.even() < 0.15 { 0.6 * noise.even() } else { 0.0 };
        (60_000.0 * (0.02 * noise.normal() + hit).exp()) as u64
    };
    let mut wrong = 0;
    for _ in 0..50 * RUNS {
        let rounds: Vec<Round> =
            (0..ROUNDS).map(|_| Round { a: figure(), again: figure(), b: figure() }).collect();
        wrong += u64::from(!is_none(&compare(&rounds, 1)));
    }
    assert!(wrong <= RUNS / 2, "{wrong} of {}", 50 * RUNS);
}

#[test]
fn intervals_are_those_of_the_sign_test() {
    // Of n rounds, how many to leave out at each end: tables of the sign test.
    for (n, out) in
        [(6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (20, 5), (25, 7), (60, 21), (100, 39)]
    {
        assert_eq!(cut(n, 1), Some(out), "{n}");
    }
    assert_eq!(cut(5, 1), None);
    // Surer for several: 0.05 / 5 takes 8 rounds.
    assert_eq!((cut(7, 5), cut(8, 5), cut(60, 5)), (None, Some(0), Some(19)));
    assert_eq!((rounds_needed(1), rounds_needed(5), rounds_needed(30)), (6, 8, 11));
    // The longest run that may be asked for still has one.
    assert!(cut(crate::limits::COMPARE_ROUNDS as usize, 32).is_some_and(|cut| cut > 400));
}

#[test]
fn rounds_without_noise_are_told_exactly() {
    let rounds = [Round { a: 1000, again: 1000, b: 1050 }; 6];
    let comparison = compare(&rounds, 1);
    let ratio = comparison.ratio.expect("six rounds are enough");
    for end in [ratio.low, ratio.mid, ratio.high] {
        assert!((end - 1.05).abs() < 1e-9, "{ratio:?}");
    }
    assert_eq!(comparison.floor, Some(0.0));
    assert_eq!(comparison.verdict, Verdict::Slower);
    let swapped = rounds.map(|round| Round { a: 1050, again: 1050, b: round.a });
    assert_eq!(compare(&swapped, 1).verdict, Verdict::Faster);
    let few = compare(&rounds[..5], 1);
    assert_eq!((few.ratio, few.verdict), (None, Verdict::TooFewRounds { needed: 6 }));
    assert_eq!(compare(&[], 3).verdict, Verdict::TooFewRounds { needed: 7 });
}

#[test]
fn nothing_is_found_below_what_a_does_to_itself() {
    // A again is off by 4 % in every round: so is the set-up.
    let rounds = [Round { a: 1000, again: 1040, b: 1041 }; 20];
    let comparison = compare(&rounds, 1);
    assert!(comparison.floor.is_some_and(|floor| (floor - 0.04).abs() < 1e-9));
    assert!(is_none(&comparison), "{comparison:?}");
    let Verdict::NoDifference { larger_than } = comparison.verdict else { return };
    assert!((larger_than - 0.041).abs() < 1e-9, "{larger_than}");
    assert_eq!(rounds_for(0.05, 20, 0.05), 20);
    assert_eq!(rounds_for(0.05, 20, 0.1025), 80);
}

#[test]
fn orders_are_drawn_evenly_and_the_same_from_the_same_seed() {
    let orders = |seed| {
        let mut shuffle = Shuffle::new(seed);
        (0..6000).map(|_| shuffle.order(3)).collect::<Vec<_>>()
    };
    assert_eq!(orders(1), orders(1));
    assert_ne!(orders(1), orders(2));
    let mut counts = std::collections::BTreeMap::new();
    for order in orders(3) {
        *counts.entry(order).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    assert_eq!(Shuffle::new(1).order(0), Vec::<usize>::new());
}
