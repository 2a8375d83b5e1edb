//! The rows: server against floor, in alternation. Within a round three runs
//! follow one another, floor, server, floor, or the same backwards, so that
//! the server lies between two runs of what it is compared with, and the two
//! floors tell how well this machine can tell equals apart.

use crate::child::{Process, Usage};
use crate::frame::Shape;
use crate::load::{Load, Pace, Sample};
use crate::service::{Idle, Service};
use crate::stats::Ratio;
use nearlight::client::hist::Hist;
use nearlight::sys::affinity;
use std::error::Error;
use std::thread;

/// Where, how often and how long.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The load generator's core.
    pub(crate) load_cpu: usize,
    /// The core of what is measured.
    pub(crate) server_cpu: usize,
    /// Congestion control of both ends.
    pub(crate) cc: String,
    /// Alternations.
    pub(crate) rounds: usize,
    /// Speed and length of a run.
    pub(crate) pace: Pace,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// What is asked.
    pub(crate) service: Service,
    /// How both wait.
    pub(crate) idle: Idle,
    /// One more key of the server's listener that takes what is sent.
    pub(crate) key: &'static str,
}

impl Row {
    /// In a table.
    pub(crate) fn title(self) -> String {
        let comma = if self.key.is_empty() { "" } else { ", " };
        format!("{}, {}{comma}{}", self.service.title(), self.idle.word(), self.key)
    }
}

/// Every row.
pub(crate) fn rows() -> Vec<Row> {
    let relay = |shape, subscribers| Service::Relay { shape, subscribers };
    let spin = [
        Service::TcpEcho,
        Service::UdpEcho,
        relay(Shape::Small, 1),
        relay(Shape::Small, 10),
        relay(Shape::Ts, 1),
        relay(Shape::Ts, 10),
    ];
    let block =
        [Service::TcpEcho, Service::UdpEcho, relay(Shape::Small, 1), relay(Shape::Small, 10)];
    // What residence costs that begins in the kernel: the same without.
    let bare = [relay(Shape::Small, 1), relay(Shape::Small, 10)];
    let row = |idle, key| move |service| Row { service, idle, key };
    let spin = spin.into_iter().map(row(Idle::Spin, ""));
    let bare = bare.into_iter().map(row(Idle::Spin, "timestamp=off"));
    let block = block.into_iter().map(row(Idle::Block, ""));
    spin.chain(bare).chain(block).collect()
}

/// The quantiles that are compared.
pub(crate) const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// All runs of one arm.
#[derive(Clone, Default)]
pub(crate) struct Arm {
    /// All rounds together.
    pub(crate) hist: Hist,
    /// Of the process under test while frames were counted.
    pub(crate) usage: Usage,
    /// Of the load generator meanwhile.
    pub(crate) load: Usage,
    /// Frames counted, copies not.
    pub(crate) frames: u64,
    /// Copies that did not come.
    pub(crate) missing: u64,
    /// Of each of [`QUANTILES`], its value in every round.
    rounds: [Vec<f64>; 3],
}

impl Arm {
    fn add(&mut self, sample: &Sample, (usage, load): (Usage, Usage), frames: u64) {
        for (values, q) in self.rounds.iter_mut().zip(QUANTILES) {
            values.extend(sample.hist.quantile(q).map(|value| value.as_nanos() as f64));
        }
        self.hist.merge(&sample.hist);
        self.usage = self.usage + usage;
        self.load = self.load + load;
        self.frames += frames;
        self.missing += sample.missing;
    }

    /// Counts the runs of another arm of the same kind; rounds stay its own.
    fn merge(&mut self, other: &Self) {
        self.hist.merge(&other.hist);
        self.usage = self.usage + other.usage;
        self.load = self.load + other.load;
        self.frames += other.frames;
        self.missing += other.missing;
    }

    /// CPU time per frame, in microseconds.
    pub(crate) fn cpu_per_frame(&self) -> f64 {
        self.usage.cpu.as_secs_f64() * 1e6 / self.frames.max(1) as f64
    }
}

/// What a row has come to.
pub(crate) struct Outcome {
    /// Which row.
    pub(crate) row: Row,
    /// Both floor runs of each round.
    pub(crate) floor: Arm,
    /// The server's runs.
    pub(crate) server: Arm,
    /// Server to the mean of the floors around it, by [`QUANTILES`].
    pub(crate) server_to_floor: [Option<Ratio>; 3],
    /// Second floor run to first.
    pub(crate) floor_to_floor: [Option<Ratio>; 3],
}

/// Measures one row.
///
/// # Errors
/// A process that doesn't start, or a connection that breaks.
pub(crate) fn measure(row: Row, setup: &Setup) -> Result<Outcome, Box<dyn Error>> {
    let (mut first, mut second, mut server) = (Arm::default(), Arm::default(), Arm::default());
    for round in 0..setup.rounds {
        let is_forward = round % 2 == 0;
        let (before, after) =
            if is_forward { (&mut first, &mut second) } else { (&mut second, &mut first) };
        run(row, false, setup, before)?;
        run(row, true, setup, &mut server)?;
        run(row, false, setup, after)?;
    }
    let floor_to_floor =
        std::array::from_fn(|n| Ratio::of(quotients(&second.rounds[n], &first.rounds[n])));
    let server_to_floor = std::array::from_fn(|n| {
        let floors = means(&first.rounds[n], &second.rounds[n]);
        Ratio::of(quotients(&server.rounds[n], &floors))
    });
    let mut floor = first;
    floor.merge(&second);
    Ok(Outcome { row, floor, server, server_to_floor, floor_to_floor })
}

fn quotients(over: &[f64], under: &[f64]) -> Vec<f64> {
    over.iter().zip(under).map(|(over, under)| over / under).collect()
}

fn means(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(one, other)| (one + other) / 2.0).collect()
}

/// One run in a fresh process: layouts and hash seeds differ from run to run,
/// and so must not decide.
fn run(row: Row, is_server: bool, setup: &Setup, arm: &mut Arm) -> Result<(), Box<dyn Error>> {
    let process = start(row, is_server, setup)?;
    let used = || (process.usage(), Usage::of_this_thread());
    let (sample, usage) = loaded(setup, || {
        let mut load = Load::connect(row.service, &process.addrs, &setup.cc)?;
        let mut before = used();
        let sample = load.run(setup.pace, || before = used())?;
        let after = used();
        Ok((sample, (after.0.since(before.0), after.1.since(before.1))))
    })?;
    arm.add(&sample, usage, setup.pace.frames);
    Ok(())
}

/// Starts the server, or the floor of a row.
pub(crate) fn start(row: Row, is_server: bool, setup: &Setup) -> Result<Process, Box<dyn Error>> {
    let Row { service, idle, key } = row;
    if is_server {
        return Process::server(&service.server_args(idle, key, setup.server_cpu, &setup.cc));
    }
    let args = service.floor_args(idle, setup.server_cpu, &setup.cc);
    Process::start(&std::env::current_exe()?, &args)
}

/// Runs `work` in a thread that has the load generator's core to itself. A
/// thread of its own, because children inherit what their parent is pinned to.
pub(crate) fn loaded<T: Send>(
    setup: &Setup,
    work: impl FnOnce() -> std::io::Result<T> + Send,
) -> Result<T, Box<dyn Error>> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            affinity::pin_to(setup.load_cpu).map_err(std::io::Error::other)?;
            work()
        });
        worker.join().map_err(|_| "the load generator panicked")?.map_err(Into::into)
    })
}
