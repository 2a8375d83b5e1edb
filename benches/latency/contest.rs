//! Several processes under one load, in alternation: in each round every
//! contender runs once, in a fresh process on the same core, between two runs
//! of the floor; every other round goes backwards. All are spoken to by the
//! same generator, in the words of each.
//!
//! A peer that fails is left out from then on, with its reason; the server and
//! the floor must not fail.

use crate::child::{Process, Usage};
use crate::frame::{Layout, Shape};
use crate::load::{Load, Pace, Sample};
use crate::peer::dial::Door;
use crate::peer::start::{self, Started};
use crate::peer::wire::Wire;
use crate::peer::{self, Peer};
use crate::rows::{self, Setup};
use crate::service::{Idle, Service};
use crate::stats::Ratio;
use nearlight::client::hist::Hist;
use std::error::Error;

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// The least a program can do; sleeping.
    Floor,
    /// The same again, at the other end of the round.
    FloorAgain,
    /// The server of this build.
    Server {
        /// How it waits.
        idle: Idle,
        /// Another key for its publish listener, as `coalesce=1ms`, or none.
        key: &'static str,
    },
    /// Somebody else's.
    Peer(Peer),
}

impl Contender {
    /// What others are compared with.
    pub(crate) const SERVER: Self = Self::Server { idle: Idle::Block, key: "" };

    /// In a table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Floor => "floor".to_owned(),
            Self::FloorAgain => "floor again".to_owned(),
            Self::Server { idle, key: "" } => format!("nearlight, {}", idle.word()),
            Self::Server { key, .. } => format!("nearlight, {key}"),
            Self::Peer(peer) => peer.name().to_owned(),
        }
    }
}

/// One load, and who is put under it.
pub(crate) struct Event {
    /// In a table.
    pub(crate) title: String,
    /// What its frames look like.
    pub(crate) layout: Layout,
    /// How many get them.
    pub(crate) subscribers: usize,
    /// How fast, how long.
    pub(crate) pace: Pace,
    /// In the order of a round.
    pub(crate) contenders: Vec<Contender>,
}

impl Event {
    /// Floor, the server sleeping, `others`, floor.
    pub(crate) fn between_floors(mut self, others: &[Contender]) -> Self {
        self.contenders = vec![Contender::Floor, Contender::SERVER];
        self.contenders.extend(others);
        self.contenders.push(Contender::FloorAgain);
        self
    }

    const fn service(&self) -> Service {
        Service::Relay { shape: self.layout.shape, subscribers: self.subscribers }
    }

    /// Arguments of the server.
    pub(crate) fn server_args(&self, idle: Idle, key: &str, setup: &Setup) -> Vec<String> {
        self.service().server_args(idle, key, setup.server_cpu, &setup.cc)
    }
}

/// What can be compared between two contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Median latency.
    P50,
    /// Its 99th percentile.
    P99,
    /// CPU time per delivered gigabit.
    Cpu,
}

impl Metric {
    /// In a table's head.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Cpu => "CPU",
        }
    }
}

/// One run.
pub(crate) struct Round {
    hist: Hist,
    usage: Usage,
    missing: u64,
    gigabits: f64,
}

impl Round {
    /// In nanoseconds, or seconds per gigabit; none where the samples say
    /// nothing about it.
    pub(crate) fn get(&self, metric: Metric) -> Option<f64> {
        let nanos = |q| self.hist.quantile(q).map(|time| time.as_nanos() as f64);
        match metric {
            Metric::P50 => nanos(0.5),
            Metric::P99 => nanos(0.99),
            Metric::Cpu => {
                (self.gigabits > 0.0).then(|| self.usage.cpu.as_secs_f64() / self.gigabits)
            }
        }
    }
}

/// All runs of one contender.
pub(crate) struct Arm {
    /// Whose.
    pub(crate) contender: Contender,
    /// In order; all of them, unless it has failed.
    pub(crate) rounds: Vec<Round>,
    /// Why it has none, or no more.
    pub(crate) failure: Option<String>,
}

impl Arm {
    /// The median over rounds, with its interval.
    pub(crate) fn median(&self, metric: Metric) -> Option<Ratio> {
        Ratio::of(self.rounds.iter().filter_map(|round| round.get(metric)).collect())
    }

    /// Round by round over another's, then as [`Self::median`].
    pub(crate) fn ratio(&self, under: &Self, metric: Metric) -> Option<Ratio> {
        let pairs = self.rounds.iter().zip(&under.rounds);
        let quotient =
            |(over, under): (&Round, &Round)| Some(over.get(metric)? / under.get(metric)?);
        Ratio::of(pairs.filter_map(quotient).collect())
    }

    /// Copies that did not come.
    pub(crate) fn missing(&self) -> u64 {
        self.rounds.iter().map(|round| round.missing).sum()
    }

    /// Share of its core that it used, over all rounds.
    pub(crate) fn share(&self, pace: Pace) -> f64 {
        let used: f64 = self.rounds.iter().map(|round| round.usage.cpu.as_secs_f64()).sum();
        let span = pace.interval.as_secs_f64() * pace.frames as f64;
        used / (span * self.rounds.len().max(1) as f64)
    }

    /// CPU time per frame, copies and all, in microseconds.
    pub(crate) fn cpu_per_frame(&self, pace: Pace) -> f64 {
        self.share(pace) * pace.interval.as_secs_f64() * 1e6
    }
}

/// What an event has come to.
pub(crate) struct Outcome {
    /// Which.
    pub(crate) event: Event,
    /// In the order of its contenders.
    pub(crate) arms: Vec<Arm>,
}

impl Outcome {
    /// Whose runs others are compared with.
    pub(crate) fn arm(&self, contender: Contender) -> &Arm {
        let found = self.arms.iter().find(|arm| arm.contender == contender);
        found.expect("floor and server are in every event")
    }
}

/// Runs every contender in every round.
///
/// # Errors
/// The server's or the floor's.
pub(crate) fn hold(event: Event, setup: &Setup) -> Result<Outcome, Box<dyn Error>> {
    let arm =
        |contender: &Contender| Arm { contender: *contender, rounds: Vec::new(), failure: None };
    let mut arms: Vec<Arm> = event.contenders.iter().map(arm).collect();
    for number in 0..setup.rounds {
        let mut order: Vec<usize> = (0..arms.len()).collect();
        if number % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let arm = &mut arms[at];
            if arm.failure.is_some() {
                continue;
            }
            match run(&event, arm.contender, setup) {
                Ok(round) => arm.rounds.push(round),
                Err(why) if matches!(arm.contender, Contender::Peer(_)) => {
                    arm.failure = Some(why.to_string());
                }
                Err(why) => return Err(format!("{}: {why}", arm.contender.name()).into()),
            }
        }
    }
    Ok(Outcome { event, arms })
}

/// One run in a fresh process.
fn run(event: &Event, contender: Contender, setup: &Setup) -> Result<Round, Box<dyn Error>> {
    let process = match contender {
        Contender::Peer(peer) => return run_peer(event, peer, setup),
        Contender::Server { idle, key } => Process::server(&event.server_args(idle, key, setup))?,
        Contender::Floor | Contender::FloorAgain => {
            let row = rows::Row { service: event.service(), idle: Idle::Block, key: "" };
            rows::start(row, false, setup)?
        }
    };
    let [publish, subscribe] = process.addrs[..] else {
        return Err("two listeners were asked for".into());
    };
    let door = Door { wire: Wire::Bare, publish, subscribe, cc: &setup.cc };
    measure(event, &process, door, setup)
}

fn run_peer(event: &Event, peer: Peer, setup: &Setup) -> Result<Round, Box<dyn Error>> {
    let started = start::start(peer, setup.server_cpu)?;
    let Started { process, publish, subscribe, .. } = &started;
    let (wire, cc) = (peer.wire(), &setup.cc);
    let door = Door { wire, publish: *publish, subscribe: *subscribe, cc };
    measure(event, process, door, setup)
        .map_err(|why| format!("{why}; it said: {}", started.last_words()).into())
}

fn measure(
    event: &Event,
    process: &Process,
    door: Door<'_>,
    setup: &Setup,
) -> Result<Round, Box<dyn Error>> {
    let (Sample { hist, missing }, usage) = rows::loaded(setup, || {
        let mut load = Load::over(door.open(event.subscribers)?, event.layout)?;
        let mut before = process.usage();
        let sample = load.run(event.pace, || before = process.usage())?;
        Ok((sample, process.usage().since(before)))
    })?;
    let bits = 8 * event.layout.len() as u64 * hist.count();
    Ok(Round { hist, usage, missing, gigabits: bits as f64 / 1e9 })
}

/// Every peer that is here.
pub(crate) fn peers() -> Vec<Contender> {
    peer::present().into_iter().map(Contender::Peer).collect()
}

/// A shape, and how often a second it is sent.
pub(crate) fn relay(shape: Shape, subscribers: usize, pace: Pace) -> Event {
    let hertz = 1.0 / pace.interval.as_secs_f64();
    Event {
        title: format!("{} B 1->{subscribers}, {hertz:.0}/s", shape.len()),
        layout: Layout::of(shape),
        subscribers,
        pace,
        contenders: Vec::new(),
    }
}
