//! One turn of an arm: a block of probes over a connection of its own. All
//! that comparing knows of the ping engine is here.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nearlight::client::ping::{self, Event, Family, Outcome, Pinger, Plan, Quantiles, Target, Way};
use nearlight::limits::{PING_BACKLOG, PING_SIZE_MAX};
use nearlight::sys::clock::Clock;

use crate::server::Doors;
use crate::stop::LOOK;

/// A probe without a reply for this long is lost.
const WAIT: Duration = Duration::from_secs(1);

/// How probes go and come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stream: published by TCP, until it is heard as a subscriber.
    Relay,
    /// Echo on one TCP connection.
    Echo,
    /// Making a TCP connection.
    Tcp,
    /// Echo of datagrams.
    Udp,
    /// ICMP echo; answered by the kernel.
    Icmp,
}

impl Kind {
    /// All of them.
    const ALL: [Self; 5] = [Self::Relay, Self::Echo, Self::Tcp, Self::Udp, Self::Icmp];

    /// On the command line and in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Echo => "echo",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// Reads its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether what it measures is a stream through the server.
    pub(crate) const fn is_stream(self) -> bool {
        match self {
            Self::Relay => true,
            Self::Echo | Self::Tcp | Self::Udp | Self::Icmp => false,
        }
    }

    /// The most bytes that a probe may have.
    pub(crate) const fn size_max(self) -> usize {
        match self {
            // More than that unread, and the connection is given up.
            Self::Relay | Self::Echo => PING_BACKLOG,
            Self::Tcp | Self::Udp | Self::Icmp => PING_SIZE_MAX,
        }
    }

    const fn engine(self) -> ping::Kind {
        match self {
            Self::Relay => ping::Kind::Relay,
            Self::Echo => ping::Kind::Echo,
            Self::Tcp => ping::Kind::Tcp,
            Self::Udp => ping::Kind::Udp,
            Self::Icmp => ping::Kind::Icmp,
        }
    }
}

/// Whom, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// How.
    pub(crate) kind: Kind,
    /// The address; of a relay, where its stream is subscribed to.
    pub(crate) target: Target,
    /// Where a relay's stream is published.
    publish: Option<SocketAddr>,
}

impl Route {
    /// Reads `HOST[:PORT]`, with a kind and a colon in front; without, it is
    /// `kind`. Blocks for the resolver.
    ///
    /// # Errors
    /// There is no such host.
    pub(crate) fn resolve(text: &str, kind: Kind) -> Result<Self, String> {
        let named = text.split_once(':').and_then(|(name, rest)| Some((Kind::named(name)?, rest)));
        let (kind, host) = named.unwrap_or((kind, text));
        let target = Target::resolve(host, Family::Any).map_err(|error| error.to_string())?;
        if kind == Kind::Relay {
            return Err(format!("{text}: a stream has two addresses: compare settings instead"));
        }
        Ok(Self { kind, target, publish: None })
    }

    /// To a private server.
    pub(crate) fn to(doors: &Doors, kind: Kind) -> Self {
        let address: SocketAddr = match kind {
            Kind::Relay => doors.subscribe,
            Kind::Echo | Kind::Tcp | Kind::Icmp => doors.echo,
            Kind::Udp => doors.udp_echo,
        };
        let target = Target { name: address.to_string(), address };
        Self { kind, target, publish: (kind == Kind::Relay).then_some(doors.publish) }
    }
}

/// How probes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Time between two probes; none is skipped.
    pub(crate) interval: Duration,
    /// Bytes in a probe.
    pub(crate) size: usize,
}

/// What came of a block of probes.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Round-trip times of replies in time, in nanoseconds.
    pub(crate) times: Vec<u64>,
    /// Probes sent, one that warms up not counted.
    pub(crate) sent: u64,
    /// How far behind its schedule half of the probes were sent, and more.
    pub(crate) late: Duration,
    /// By what means, in the engine's words.
    pub(crate) how: String,
    /// Why a probe was refused on its way, the last one that was.
    pub(crate) trouble: Option<String>,
}

/// Sends `count` probes and waits for their replies, or until `stop`.
///
/// # Errors
/// Why nothing, or nothing more, could be measured.
pub(crate) fn block(
    route: &Route,
    count: u64,
    pace: Pace,
    stop: &AtomicBool,
) -> Result<Block, String> {
    let way = Way::to(route.kind.engine(), route.target.clone());
    let mut pinger = Pinger::start(&Plan {
        count: Some(count),
        interval: pace.interval,
        size: pace.size,
        wait: WAIT,
        // What is compared is what a program feels.
        stamps: false,
        ..Plan::new(vec![Way { publish: route.publish, ..way }])
    });
    let mut times = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    loop {
        if stop.load(Ordering::Relaxed) {
            pinger.stop();
        }
        match pinger.next(Clock::now() + LOOK) {
            Event::Reply(reply) if reply.outcome == Outcome::InTime && !reply.warm_up => {
                times.extend(reply.rtt.map(|rtt| rtt.as_nanos() as u64));
            }
            Event::Done => break,
            Event::Reply(_) | Event::Lost { .. } | Event::Trouble { .. } => {}
            Event::Failed { .. } | Event::Quiet => {}
        }
    }
    let series = pinger.finish().into_iter().next();
    let series = series.ok_or_else(|| "the ping engine has no series".to_owned())?;
    if let Some(failure) = series.failure {
        return Err(failure.to_string());
    }
    let late = Quantiles::of(&series.counts.lateness).p50.unwrap_or_default();
    let (how, trouble) = (series.how, series.trouble);
    Ok(Block { times, sent: series.counts.sent, late, how, trouble })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_may_stand_before_the_host() {
        for (text, kind, address) in [
            ("127.0.0.1", Kind::Echo, "127.0.0.1:7007"),
            ("udp:127.0.0.1:9", Kind::Udp, "127.0.0.1:9"),
            ("icmp:127.0.0.1", Kind::Icmp, "127.0.0.1:7007"),
            ("tcp:127.0.0.1:9", Kind::Tcp, "127.0.0.1:9"),
            ("echo:[::1]:9", Kind::Echo, "[::1]:9"),
            ("::1", Kind::Echo, "[::1]:7007"),
        ] {
            let route = Route::resolve(text, Kind::Echo).expect(text);
            assert_eq!((route.kind, route.target.address.to_string().as_str()), (kind, address));
        }
        let error = Route::resolve("sctp:127.0.0.1", Kind::Echo).expect_err("no such kind");
        assert!(error.contains("sctp"), "{error}");
    }
}
