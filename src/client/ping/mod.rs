//! The ping engine: ICMP, TCP echo, UDP echo and the system's own `ping`, each
//! alone or all interleaved from one thread, to one address.
//!
//! ```text
//! Plan ──▶ Pinger ──next()──▶ Event, Event, ...      what happened, as it happens
//!             │
//!             └──finish()──▶ [Series] ──▶ verdict()  what became of the probes; one sentence
//! ```
//!
//! Read in this order: [`pinger`](Pinger) (the loop), `lane` (schedule), `ledger`
//! (what became of each probe), `wire` (sockets), `system` (the child) and
//! `dialect` (what it prints).
//!
//! What is measured: open loop, probe `i` due at `start + i * interval`, late
//! ones sent at once and none skipped. A round-trip time runs from just before
//! the send call to just after the receive call, by clock readings that are
//! kept here under the probe's number; replies carry a random token and that
//! number back, and no time that could be believed.

mod dialect;
mod echo;
mod error;
mod lane;
mod ledger;
mod payload;
mod pinger;
mod refusal;
mod samples;
mod system;
mod target;
mod verdict;
mod wire;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use dialect::{Dialect, Line, read_line};
pub use error::PingError;
pub use ledger::Counts;
pub use pinger::Pinger;
pub use refusal::Refusal;
pub use samples::{Quantiles, Samples};
pub use target::{ECHO_PORT, Family, Target};
pub use verdict::{Verdict, verdict};

/// One way to ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The system's `ping`, as a child.
    System,
    /// ICMP echo on a socket of ours.
    Icmp,
    /// Echo on one TCP connection.
    Tcp,
    /// Echo of UDP datagrams.
    Udp,
}

impl Kind {
    /// All of them, in the order of the report: nearest the network first.
    pub const ALL: [Self; 4] = [Self::System, Self::Icmp, Self::Tcp, Self::Udp];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom, and at which port of TCP and UDP.
    pub target: Target,
    /// In which ways; each gets its own place within the interval.
    pub kinds: Vec<Kind>,
    /// Probes of each kind, not counting the one that warms up; `None` until
    /// stopped.
    pub count: Option<u64>,
    /// Time between two probes of one kind.
    pub interval: Duration,
    /// Bytes of data in a probe, at least [`crate::limits::PROBE_BYTES`].
    pub size: usize,
    /// A probe without a reply for this long is lost.
    pub wait: Duration,
    /// Stop after this long, whatever is still out.
    pub deadline: Option<Duration>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A reply came.
    Reply(Answer),
    /// A probe was given up.
    Lost {
        /// Its kind.
        kind: Kind,
        /// Its number; 0 is the warm-up.
        sequence: u64,
    },
    /// A probe was refused, here or on its way.
    Trouble {
        /// Its kind.
        kind: Kind,
        /// Its number; 0 is the warm-up.
        sequence: u64,
        /// Who refused it, if not this machine.
        from: Option<IpAddr>,
        /// Why.
        what: String,
    },
    /// A kind ended early; [`Series::failure`] will say why.
    Failed {
        /// Which.
        kind: Kind,
    },
    /// Nothing, until the moment that was given.
    Quiet,
    /// All probes are accounted for.
    Done,
}

/// A reply.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The kind of its probe.
    pub kind: Kind,
    /// The number of its probe; 0 is the warm-up.
    pub sequence: u64,
    /// Its bytes: of the ICMP message, of the datagram, of the echoed record.
    pub bytes: usize,
    /// Its time to live or hop limit, where known.
    pub ttl: Option<u8>,
    /// Its round-trip time; the system's `ping` may print none.
    pub rtt: Option<Duration>,
    /// Whether it counts.
    pub outcome: Outcome,
}

/// What a reply was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first, and in time.
    InTime,
    /// After its probe was given up.
    Late,
    /// A copy.
    Duplicate,
}

/// What became of the probes of one kind.
#[derive(Debug)]
pub struct Series {
    /// The kind.
    pub kind: Kind,
    /// By what means: the kind of socket, the port, the dialect of `ping`.
    pub how: String,
    /// The counts and the times.
    pub counts: Counts,
    /// Why a probe was refused, the last one that was.
    pub trouble: Option<String>,
    /// Why it could not be had, or ended early.
    pub failure: Option<PingError>,
}

#[cfg(test)]
mod tests;
