//! Arms that take turns, each in a process of its own, and what comes of their
//! rounds. The first and the last arm are the same floor: the others lie
//! between two runs of what they are compared with, and the two tell how well
//! this machine can tell equals apart.

use super::crowd::{Crowd, Layout, Run};
use super::floors::Bare;
use crate::child::Process;
use crate::load::Pace;
use crate::rows::{self, Setup};
use crate::stats::Ratio;
use std::error::Error;
use std::time::Duration;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) enum Arm {
    /// A least program.
    Floor(Bare),
    /// The server, with these arguments.
    Server(Vec<String>),
}

/// Arguments of a server of one shard that listens at `urls` and sleeps when it
/// has nothing to do.
pub(crate) fn server(urls: &[String], setup: &Setup) -> Arm {
    server_on(&setup.server_cpu.to_string(), urls)
}

/// The same with a shard on each of some cores.
pub(crate) fn server_on(cpus: &str, urls: &[String]) -> Arm {
    let mut args: Vec<String> = ["serve", "-q", "-q", "--idle", "block"].map(str::to_owned).into();
    args.extend(["--cpus".to_owned(), cpus.to_owned()]);
    args.extend(urls.iter().flat_map(|url| ["--listen".to_owned(), url.clone()]));
    Arm::Server(args)
}

/// Starts an arm's process.
pub(crate) fn start(arm: &Arm, setup: &Setup) -> Result<Process, Box<dyn Error>> {
    match arm {
        Arm::Server(args) => Process::server(args),
        Arm::Floor(bare) => {
            Process::start(&std::env::current_exe()?, &bare.args(setup.server_cpu, &setup.cc))
        }
    }
}

/// One run in a fresh process.
pub(crate) fn run(
    arm: &Arm,
    layout: Layout,
    pace: Pace,
    setup: &Setup,
) -> Result<Run, Box<dyn Error>> {
    let process = start(arm, setup)?;
    let outcome = rows::loaded(setup, || {
        Crowd::connect(layout, &process.addrs, &setup.cc)?.run(pace, &process)
    });
    outcome.map_err(|why| format!("{arm:?}, {layout:?}: {why}").into())
}

/// Every arm in every round, forwards and backwards in turn; by arm, then by
/// round.
pub(crate) fn alternate(
    arms: &[Arm],
    layout: Layout,
    pace: Pace,
    setup: &Setup,
) -> Result<Vec<Vec<Run>>, Box<dyn Error>> {
    let mut runs = vec![Vec::new(); arms.len()];
    for round in 0..setup.rounds {
        let mut order: Vec<usize> = (0..arms.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for arm in order {
            runs[arm].push(run(&arms[arm], layout, pace, setup)?);
        }
    }
    Ok(runs)
}

/// Frames so far apart that `arm`, the dearest one, keeps its core busy for
/// about half of the time, found by trying; so many that they take `span`.
pub(crate) fn pace(
    arm: &Arm,
    layout: Layout,
    span: Duration,
    setup: &Setup,
) -> Result<Pace, Box<dyn Error>> {
    const LEAST: u64 = 5;
    let guess = Duration::from_micros(20 * layout.copies() as u64 * layout.burst as u64);
    let interval = guess.max(Duration::from_millis(2));
    let slow = Pace { interval, warm_up: 1, frames: LEAST };
    let cost = run(arm, layout, slow, setup)?.cpu_per_frame();
    let interval = Duration::from_secs_f64(cost * 2e-6).max(Duration::from_micros(1000));
    let frames = (span.as_secs_f64() / interval.as_secs_f64()) as u64;
    Ok(Pace { interval, warm_up: (frames / 10).max(2), frames: frames.max(LEAST) })
}

/// Of each round, one arm's value over another's.
pub(crate) fn ratio(over: &[Run], under: &[Run], value: impl Fn(&Run) -> f64) -> Option<Ratio> {
    Ratio::of(over.iter().zip(under).map(|(over, under)| value(over) / value(under)).collect())
}

/// The same over the mean of two.
pub(crate) fn ratio_to_both(
    over: &[Run],
    (one, other): (&[Run], &[Run]),
    value: impl Fn(&Run) -> f64,
) -> Option<Ratio> {
    let floors = one.iter().zip(other).map(|(one, other)| (value(one) + value(other)) / 2.0);
    Ratio::of(over.iter().zip(floors).map(|(over, floor)| value(over) / floor).collect())
}

/// The middle of a value over rounds.
pub(crate) fn middle(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    Ratio::of(runs.iter().map(value).collect()).map_or(f64::NAN, |ratio| ratio.mid)
}

/// All runs of one size, by arm and round.
pub(crate) struct Size {
    /// Receivers.
    pub(crate) count: usize,
    /// What [`alternate`] answered.
    pub(crate) runs: Vec<Vec<Run>>,
}

/// What one receiver more costs an arm: of each round, the slope of CPU per
/// frame over receivers.
pub(crate) fn slopes(sizes: &[Size], arm: usize) -> Vec<f64> {
    let rounds = sizes.first().map_or(0, |size| size.runs[arm].len());
    let points = |round: usize| {
        let point = |size: &Size| (size.count as f64, size.runs[arm][round].cpu_per_frame());
        sizes.iter().map(point).collect::<Vec<_>>()
    };
    (0..rounds).map(|round| slope(&points(round))).collect()
}

/// Of each round, `over` divided by the mean of the others.
pub(crate) fn quotient(over: &[f64], under: &[&[f64]]) -> Option<Ratio> {
    let mean = |n: usize| under.iter().map(|one| one[n]).sum::<f64>() / under.len() as f64;
    Ratio::of(over.iter().enumerate().map(|(n, over)| over / mean(n)).collect())
}

/// The middle of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    Ratio::of(values.to_vec()).map_or(f64::NAN, |ratio| ratio.mid)
}

/// Slope of the least-squares line through points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        (above + (point.0 - x) * (point.1 - y), below + (point.0 - x).powi(2))
    });
    above / below
}
