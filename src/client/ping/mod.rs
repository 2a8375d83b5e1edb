//! The measuring engine: ICMP, TCP connections, TCP and UDP echo, a stream
//! through the server, and the system's own `ping`, each alone or all
//! interleaved from one thread, to one host or several.
//!
//! ```text
//! Plan ──▶ Pinger ──next()──▶ Event, Event, ...      what happened, as it happens
//!             │
//!             └──finish()──▶ [Series] ──▶ verdict()  what became of the probes; one sentence
//! ```
//!
//! Read in this order: [`pinger`](Pinger) (the loop), `lane` (schedule), `ledger`
//! (what became of each probe), `wire` (sockets), `system` (the child),
//! `installed` (which that is), `dialect` (what it prints), `complaint` (what it
//! complains of) and `printed` (whether its lines and its totals agree).
//!
//! What is measured: open loop, probe `i` due at `start + i * interval`, late
//! ones sent at once and none skipped. For each probe:
//!
//! ```text
//! intended    sent        left ─── network ─── came     received
//!    ├─lateness─┤           ├──────────────────────┤        │
//!    │          ├─────────────────── user RTT ───────────────┤
//!    ├──────────────────────── response time ───────────────┤
//! ```
//!
//! `sent` and `received` are readings of `CLOCK_MONOTONIC` just before the send
//! call and just after the receive call; `left` and `came` are the kernel's own
//! stamps, of `CLOCK_REALTIME`: the two are never subtracted from each other.
//! User RTT less network RTT is host overhead. All are kept here under the
//! probe's number; replies carry a random token, that number and a pattern back,
//! and no time that could be believed. For a probe that is sent and answered nothing
//! is allocated; errors have text, and what a peer does not take is queued.

mod complaint;
mod dialect;
mod echo;
mod error;
mod installed;
mod jitter;
mod lane;
mod ledger;
pub mod oneway;
mod payload;
mod pinger;
mod printed;
mod quantiles;
mod record;
mod refusal;
pub mod stamp;
mod system;
mod target;
mod validity;
mod verdict;
mod wire;
mod words;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::Instant;

pub use crate::client::pace::Wait;
use crate::client::target::Target as Url;
pub use crate::sys::icmp::IcmpDoor;
pub use dialect::{Dialect, Ended, Header, Line, Reply, Times, Totals, read_line};
pub use error::PingError;
pub use jitter::Jitter;
pub use ledger::Counts;
pub use pinger::Pinger;
pub use quantiles::Quantiles;
pub use record::{Fate, Record};
pub use refusal::Refusal;
pub use target::{ECHO_PORT, Family, Target};
pub use validity::{Validity, validity};
pub use verdict::{Other, Verdict, meaning, verdict};

/// What a probe goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The system's `ping`, as a child.
    System,
    /// ICMP echo on a socket of ours.
    Icmp,
    /// Making a TCP connection: from its first packet to the answer.
    Tcp,
    /// Echo of UDP datagrams, RFC 862.
    Udp,
    /// Echo on one TCP connection, RFC 862.
    Echo,
    /// A stream: what is published by TCP, until it is heard as a subscriber.
    Relay,
    /// Requests to an HTTP server on one connection.
    App,
    /// STAMP, RFC 8762: a reflector that tells the ways apart.
    Stamp,
}

impl Kind {
    /// Those that need nothing but a host, in the order of the report: nearest
    /// the network first.
    pub const OF_HOST: [Self; 5] = [Self::System, Self::Icmp, Self::Tcp, Self::Udp, Self::Echo];

    /// Those that need more, or a server of their own.
    const OTHERS: [Self; 3] = [Self::Relay, Self::App, Self::Stamp];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Echo => "echo",
            Self::Relay => "relay",
            Self::App => "app",
            Self::Stamp => "stamp",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::OF_HOST.into_iter().chain(Self::OTHERS).find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One way to ping one host: a row of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// By what.
    pub kind: Kind,
    /// Whom, and at which port. Of a relay: where its stream is subscribed to.
    pub target: Target,
    /// Where a relay's stream is published.
    pub publish: Option<SocketAddr>,
    /// What is asked for of an HTTP server.
    pub url: Option<Url>,
}

impl Way {
    /// A way that needs nothing but a host.
    pub const fn to(kind: Kind, target: Target) -> Self {
        Self { kind, target, publish: None, url: None }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In which ways; each gets its own place within the interval.
    pub ways: Vec<Way>,
    /// Probes of each way, not counting those that warm up; `None` until
    /// stopped.
    pub count: Option<u64>,
    /// Probes that warm up, before those that count.
    pub warm_up: u64,
    /// Time between two probes of one way.
    pub interval: Duration,
    /// Bytes of data in a probe, at least [`crate::limits::PROBE_BYTES`].
    pub size: usize,
    /// A probe without a reply for this long is lost.
    pub wait: Duration,
    /// Stop after this long, whatever is still out.
    pub deadline: Option<Duration>,
    /// How the sender waits for the next probe's time, and for replies.
    pub pace: Wait,
    /// Whether the kernel is asked for its stamps.
    pub stamps: bool,
    /// Which kind of ICMP socket; `None`: raw, or datagram where raw is
    /// refused.
    pub door: Option<IcmpDoor>,
}

impl Plan {
    /// Probes of 56 bytes once a second until stopped, one to warm up, lost
    /// after two seconds; asleep in between, with the kernel's stamps.
    pub const fn new(ways: Vec<Way>) -> Self {
        Self {
            ways,
            count: None,
            warm_up: 1,
            interval: Duration::from_secs(1),
            size: 56,
            wait: Duration::from_secs(2),
            deadline: None,
            pace: Wait::Sleep,
            stamps: true,
            door: None,
        }
    }

    /// All probes of one way; `None` until stopped.
    pub fn probes(&self) -> Option<u64> {
        self.count.map(|count| count.saturating_add(self.warm_up))
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A reply came.
    Reply(Answer),
    /// A probe was given up.
    Lost {
        /// The place of its way in the plan, here and below.
        way: usize,
        /// Its number, from 0.
        sequence: u64,
        /// All that is known of it, here and below; nothing of the system's.
        record: Option<Record>,
    },
    /// A probe was refused, here or on its way.
    Trouble {
        /// Whose.
        way: usize,
        /// Its number, from 0.
        sequence: u64,
        /// Its record.
        record: Option<Record>,
        /// Who refused it, if not this machine.
        from: Option<IpAddr>,
        /// Why.
        what: String,
    },
    /// A way ended early; [`Series::failure`] will say why.
    Failed {
        /// Which.
        way: usize,
    },
    /// Nothing, until the moment that was given.
    Quiet,
    /// All probes are accounted for.
    Done,
}

/// A reply.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The place of its way in the plan.
    pub way: usize,
    /// The number of its probe, from 0.
    pub sequence: u64,
    /// Its probe was one to warm up, and is not counted.
    pub warm_up: bool,
    /// Its bytes: of the ICMP message, of the datagram, of the echoed record.
    pub bytes: usize,
    /// Its time to live or hop limit, where known.
    pub ttl: Option<u8>,
    /// Its round-trip time; the system's `ping` may print none.
    pub rtt: Option<Duration>,
    /// All that is known of its probe, if it was ours.
    pub record: Option<Record>,
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

/// What a STAMP reflector has told.
#[derive(Clone, Debug)]
pub struct Reflected {
    /// Both ends have one clock: they are on one host.
    pub one_clock: bool,
    /// Delays of each way, or why nothing can be said of them.
    pub ways: Result<oneway::OneWay, oneway::Unclear>,
    /// Losses of each way, where the reflector counts its replies.
    pub losses: Option<stamp::Split>,
}

/// What became of the probes of one way.
#[derive(Debug)]
pub struct Series {
    /// The way.
    pub way: Way,
    /// By what means: the kind of socket, the port, the dialect of `ping`.
    pub how: String,
    /// The counts and the times.
    pub counts: Counts,
    /// Its probes in order, those that warmed up among them, or an even choice
    /// of them; none of the system's ping.
    pub records: Vec<Record>,
    /// Of how many probes one is in `records`.
    pub stride: u64,
    /// Probes that were due before it ended, all counted ones; the same as
    /// [`Counts::sent`], or the schedule was broken.
    pub scheduled: u64,
    /// When its first probe was due.
    pub start: Instant,
    /// By how many nanoseconds the clock of the kernel's stamps was set while
    /// it ran, forward or back.
    pub clock_stepped: i64,
    /// What a STAMP reflector has told of the ways there and back.
    pub reflected: Option<Reflected>,
    /// Why a probe was refused, the last one that was.
    pub trouble: Option<String>,
    /// Why it could not be had, or ended early.
    pub failure: Option<PingError>,
}

impl Series {
    /// Of a way that could not be had.
    fn failed(way: Way, failure: PingError) -> Self {
        Self {
            way,
            how: String::new(),
            counts: Counts::default(),
            records: Vec::new(),
            stride: 1,
            scheduled: 0,
            start: Instant::ZERO,
            clock_stepped: 0,
            reflected: None,
            trouble: None,
            failure: Some(failure),
        }
    }

    /// By what its probes went.
    pub const fn kind(&self) -> Kind {
        self.way.kind
    }
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod system_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod ways_tests;
