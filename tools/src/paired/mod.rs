//! Paired measuring: what `lightmeter ab` and `lightmeter sweep` have in common.
//!
//! ```text
//! Plan ──▶ run::measure() ──▶ Run ──▶ doc::groups() ──▶ Group ──▶ text
//!              │                               │
//!              └─ server, probe, place          └─ nearlight::client::compare
//! ```
//!
//! In a round each arm gets a server of its own, started afresh, and the first
//! arm gets two: A, A again, B, ... All are alive for the round, and all but one
//! at rest, stopped by the kernel, so that one that spins can't take the core
//! from the others. The arms take short turns, [`nearlight::client::compare`]
//! says why.

pub(crate) mod doc;
pub(crate) mod options;
pub(crate) mod place;
pub(crate) mod probe;
mod progress;
pub(crate) mod run;
pub(crate) mod setting;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use place::Place;
use probe::{Kind, Pace, Route};
use setting::Setting;

/// The quantile that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Metric {
    /// The median.
    P50,
    /// 90 %.
    P90,
    /// 99 %.
    P99,
}

impl Metric {
    const ALL: [Self; 3] = [Self::P50, Self::P90, Self::P99];

    /// On the command line and in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
        }
    }

    /// As a share.
    pub(crate) const fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P99 => 0.99,
        }
    }
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    /// A private server with a setting.
    Server(Setting),
    /// Somebody else's, as it was written.
    Peer(String, Route),
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(setting) => setting.fmt(f),
            Self::Peer(text, _) => f.write_str(text),
        }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Each once; the first is what the others are compared with.
    pub(crate) arms: Vec<Arm>,
    /// How private servers are measured.
    pub(crate) kind: Kind,
    /// How probes are sent, one group of results for each.
    pub(crate) paces: Vec<Pace>,
    /// How often every arm is started and measured.
    pub(crate) rounds: usize,
    /// Probes of an arm in a round, of each pace.
    pub(crate) probes: u64,
    /// Of them is compared.
    pub(crate) metric: Metric,
    /// What the orders are drawn from.
    pub(crate) seed: u64,
    /// Where all runs.
    pub(crate) place: Place,
    /// The server's binary, where servers are compared.
    pub(crate) program: Option<PathBuf>,
}

impl Plan {
    /// Places in a round: the first arm has two.
    pub(crate) fn slots(&self) -> usize {
        self.arms.len() + 1
    }

    /// The arm of a place: A, A again, B, ...
    pub(crate) fn arm(&self, slot: usize) -> &Arm {
        &self.arms[slot.saturating_sub(1)]
    }

    /// How it is measured.
    pub(crate) fn kind_of(&self, slot: usize) -> Kind {
        match self.arm(slot) {
            Arm::Server(_) => self.kind,
            Arm::Peer(_, route) => route.kind,
        }
    }
}

/// What a place is called.
pub(crate) fn letter(slot: usize) -> String {
    match slot {
        0 => "A".to_owned(),
        1 => "A again".to_owned(),
        _ => u32::try_from(slot - 1)
            .ok()
            .and_then(|n| char::from_u32(u32::from('A') + n))
            .unwrap_or('?')
            .to_string(),
    }
}
