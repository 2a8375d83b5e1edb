//! The options that `ab` and `sweep` have in common, and the plan they make.

use std::net::IpAddr;
use std::time::Duration;

use lexopt::Arg;
use lexopt::prelude::{Long, Short};
use nearlight::base::units::{format_duration, parse_size};
use nearlight::client::compare::{PROBES, ROUNDS, rounds_needed};
use nearlight::client::hist::samples_needed;
use nearlight::client::random;
use nearlight::limits::{COMPARE_ROUNDS, PING_INTERVAL_MIN, PING_INTERVAL_PUBLIC, PROBE_BYTES};

use crate::args;
use crate::args::is_own_network;
use crate::server;

use super::place::Place;
use super::probe::{Kind, Pace};
use super::{Arm, Metric, Plan};

/// Bytes of a probe, unless asked for others; those of ping(8) on the wire.
const SIZE: usize = 64;
/// Between two probes on loopback: often enough that the processor does not
/// fall asleep in between, which is what makes times vary most.
const INTERVAL: Duration = Duration::from_micros(250);
/// A larger probe takes longer, so one more of these for each of its
const STEP: usize = 16 * 1024;
/// bytes. And between two probes that leave this machine:
const INTERVAL_AWAY: Duration = Duration::from_millis(10);
/// A run of probes that leave this machine, unless asked for more, is over
/// in about so long.
const RUN_AWAY: Duration = Duration::from_secs(60);
/// Probes of an arm in a round are never fewer.
const FEWEST: u64 = 5;

/// Options as they were given.
#[derive(Debug, Default)]
pub(crate) struct Common {
    rounds: Option<u64>,
    probes: Option<u64>,
    interval: Option<Duration>,
    size: Option<usize>,
    kind: Option<Kind>,
    metric: Option<Metric>,
    seed: Option<u64>,
    server: Option<String>,
    server_cpu: Option<usize>,
    probe_cpu: Option<usize>,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

/// An option that is one of these, free of the parser that it came from.
pub(crate) enum Flag {
    Rounds,
    Probes,
    Interval,
    Size,
    Kind,
    Metric,
    Seed,
    Server,
    ServerCpu,
    Cpu,
    Json,
    Quiet,
}

impl Flag {
    /// Which it is, if it is any.
    pub(crate) fn of(argument: &Arg<'_>) -> Option<Self> {
        Some(match argument {
            Long("rounds") => Self::Rounds,
            Long("probes") | Short('c') | Long("count") => Self::Probes,
            Short('i') | Long("interval") => Self::Interval,
            Short('s') | Long("size") => Self::Size,
            Long("kind") => Self::Kind,
            Long("metric") => Self::Metric,
            Long("seed") => Self::Seed,
            Long("server") => Self::Server,
            Long("server-cpu") => Self::ServerCpu,
            Long("cpu") => Self::Cpu,
            Long("json") => Self::Json,
            Short('q') | Long("quiet") => Self::Quiet,
            Short(_) | Long(_) | Arg::Value(_) => return None,
        })
    }
}

impl Common {
    /// Takes an option, with its value from `parser`.
    ///
    /// # Errors
    /// Names the option, and says what was expected.
    pub(crate) fn take(&mut self, flag: Flag, parser: &mut lexopt::Parser) -> Result<(), String> {
        match flag {
            Flag::Rounds => self.rounds = Some(args::value(parser, "--rounds", rounds)?),
            Flag::Probes => self.probes = Some(args::value(parser, "--probes", args::count)?),
            Flag::Interval => self.interval = Some(args::value(parser, "-i", interval)?),
            Flag::Size => self.size = Some(args::value(parser, "-s", size)?),
            Flag::Kind => self.kind = Some(args::value(parser, "--kind", kind)?),
            Flag::Metric => self.metric = Some(args::value(parser, "--metric", metric)?),
            Flag::Seed => self.seed = Some(args::value(parser, "--seed", number)?),
            Flag::Server => {
                self.server = Some(args::value(parser, "--server", |text| Ok(text.to_owned()))?);
            }
            Flag::ServerCpu => self.server_cpu = Some(args::value(parser, "--server-cpu", number)?),
            Flag::Cpu => self.probe_cpu = Some(args::value(parser, "--cpu", number)?),
            Flag::Json => self.json = true,
            Flag::Quiet => self.quiet = true,
        }
        Ok(())
    }

    /// The kind of probes that was asked for, or the usual.
    pub(crate) fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Echo)
    }

    /// The kind of probes to private servers: a stream, unless another was
    /// asked for; to others an echo.
    fn kind_for(&self, has_server: bool) -> Kind {
        if has_server { self.kind.unwrap_or(Kind::Relay) } else { self.kind() }
    }

    /// How probes are sent, where nothing else is said.
    pub(crate) fn pace(&self, arms: &[Arm]) -> Pace {
        let size = self.size.unwrap_or(SIZE);
        let usual = if is_here(arms) { usual_interval(size) } else { INTERVAL_AWAY };
        Pace { interval: self.interval.unwrap_or(usual), size }
    }

    /// The same, of a size or an interval of its own.
    pub(crate) fn pace_with(&self, size: Option<usize>, interval: Option<Duration>) -> Pace {
        let size = size.or(self.size).unwrap_or(SIZE);
        Pace { interval: interval.or(self.interval).unwrap_or_else(|| usual_interval(size)), size }
    }

    /// The plan, checked.
    ///
    /// # Errors
    /// Says what does not go together, or is not to be had here.
    pub(crate) fn plan(&self, arms: Vec<Arm>, paces: Vec<Pace>) -> Result<Plan, String> {
        let rounds = self.rounds.unwrap_or(ROUNDS as u64);
        let metric = self.metric.unwrap_or(Metric::P50);
        let probes = self.probes.unwrap_or_else(|| usual_probes(&arms, &paces, rounds, metric));
        let needed = samples_needed(metric.share()).unwrap_or(1);
        if probes < needed {
            let name = metric.name();
            return Err(format!("--probes: {name} of a round takes at least {needed}"));
        }
        check_rounds(rounds, (arms.len() - 1) * paces.len())?;
        let has_server = arms.iter().any(|arm| matches!(arm, Arm::Server(_)));
        let kind = self.kind_for(has_server);
        for arm in &arms {
            check(arm, kind, &paces)?;
        }
        let program = if has_server { Some(server::find(self.server.as_deref())?) } else { None };
        Ok(Plan {
            place: Place::choose(self.server_cpu, self.probe_cpu, has_server)?,
            arms,
            kind,
            paces,
            rounds: usize::try_from(rounds).unwrap_or(usize::MAX),
            probes,
            metric,
            // Short enough to be typed again.
            seed: self.seed.unwrap_or_else(|| random() >> 40),
            program,
        })
    }
}

/// Refuses what can't be measured as it is asked for.
fn check(arm: &Arm, kind: Kind, paces: &[Pace]) -> Result<(), String> {
    let kind = match arm {
        Arm::Server(setting) => {
            if let Some(key) = setting.of_streams().filter(|_| !kind.is_stream()) {
                let name = kind.name();
                return Err(format!("{arm}: {key} is of streams, and --kind {name} has none"));
            }
            kind
        }
        Arm::Peer(_, route) => route.kind,
    };
    for pace in paces {
        let (most, name) = (kind.size_max(), kind.name());
        if pace.size > most {
            return Err(format!("size {}: {most} is the most for {name}", pace.size));
        }
        if let Arm::Peer(text, route) = arm
            && pace.interval < PING_INTERVAL_PUBLIC
            && !is_own_network(route.target.ip())
        {
            return Err(format!(
                "{text} is a public address, and those get a probe every {} at most: use -i {0}",
                format_duration(PING_INTERVAL_PUBLIC)
            ));
        }
    }
    Ok(())
}

fn check_rounds(rounds: u64, comparisons: usize) -> Result<(), String> {
    let fewest = rounds_needed(comparisons) as u64;
    if rounds >= fewest {
        return Ok(());
    }
    Err(format!("--rounds: {rounds} are too few to say anything: {fewest} are the fewest here"))
}

/// Whether no probe leaves this machine.
fn is_here(arms: &[Arm]) -> bool {
    arms.iter().all(|arm| match arm {
        Arm::Server(_) => true,
        Arm::Peer(_, route) => is_loopback(route.target.ip()),
    })
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn usual_interval(size: usize) -> Duration {
    INTERVAL * u32::try_from(size / STEP + 1).unwrap_or(u32::MAX)
}

/// As many as the quantile takes; on this machine, where they cost little,
/// enough to be steady, elsewhere what a run has time for.
fn usual_probes(arms: &[Arm], paces: &[Pace], rounds: u64, metric: Metric) -> u64 {
    let needed = samples_needed(metric.share()).unwrap_or(1).max(FEWEST);
    let many = PROBES.max(3 * needed);
    if is_here(arms) {
        return many;
    }
    let each: Duration = paces.iter().map(|pace| pace.interval).sum();
    let all = each.saturating_mul(u32::try_from(rounds * (arms.len() as u64 + 1)).unwrap_or(1));
    let fit = RUN_AWAY.as_nanos() / all.as_nanos().max(1);
    u64::try_from(fit).unwrap_or(many).clamp(needed, many)
}

fn rounds(text: &str) -> Result<u64, String> {
    match args::count(text)? {
        rounds if rounds > COMPARE_ROUNDS => Err(format!("{rounds}: {COMPARE_ROUNDS} is the most")),
        rounds => Ok(rounds),
    }
}

/// Reads the time between two probes.
///
/// # Errors
/// It is none, or too short.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let interval = args::duration(text)?;
    if interval < PING_INTERVAL_MIN {
        let least = format_duration(PING_INTERVAL_MIN);
        return Err(format!("{text} is too short: {least} is the least"));
    }
    Ok(interval)
}

/// Reads the size of a probe.
///
/// # Errors
/// It is none, or too small.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let size = usize::try_from(parse_size(text)?).unwrap_or(usize::MAX);
    if size < PROBE_BYTES {
        return Err(format!(
            "{size} is too small: the first {PROBE_BYTES} bytes are what a reply is known by"
        ));
    }
    Ok(size)
}

fn kind(text: &str) -> Result<Kind, String> {
    match Kind::named(text) {
        Some(kind @ (Kind::Relay | Kind::Echo | Kind::Tcp | Kind::Udp)) => Ok(kind),
        Some(Kind::Icmp) => Err("icmp never reaches a server: the kernel answers".to_owned()),
        None => Err(format!("'{text}' is none of relay, echo, tcp and udp")),
    }
}

fn metric(text: &str) -> Result<Metric, String> {
    let found = Metric::ALL.into_iter().find(|metric| metric.name() == text);
    found.ok_or_else(|| format!("'{text}' is not p50, p90 or p99"))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::probe::Route;

    fn peers(host: &str) -> Vec<Arm> {
        let route = Route::resolve(host, Kind::Echo).expect(host);
        vec![Arm::Peer(host.to_owned(), route); 2]
    }

    #[test]
    fn probes_are_as_many_as_there_is_time_for() {
        let common = Common::default();
        let arms = peers("127.0.0.1:7");
        let pace = common.pace(&arms);
        assert_eq!((pace.interval, pace.size), (INTERVAL, SIZE));
        assert_eq!(usual_probes(&arms, &[pace], 60, Metric::P50), 200);
        assert_eq!(usual_probes(&arms, &[pace], 60, Metric::P99), 897);
        let arms = peers("192.0.2.1:7");
        let pace = common.pace(&arms);
        assert_eq!(pace.interval, INTERVAL_AWAY);
        // 60 rounds of 3 arms, 33 probes each 10 ms: a minute.
        assert_eq!(usual_probes(&arms, &[pace], 60, Metric::P50), 33);
        assert_eq!(usual_probes(&arms, &[pace], 60, Metric::P99), 299);
        assert_eq!(usual_interval(65_536), INTERVAL * 5);
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        let plan = |common: Common, arms: Vec<Arm>| {
            let pace = common.pace(&arms);
            common.plan(arms, vec![pace]).map(|_| ())
        };
        let short = Common { interval: Some(Duration::from_millis(1)), ..Common::default() };
        let few = Common { rounds: Some(5), ..Common::default() };
        let thin = Common { probes: Some(298), metric: Some(Metric::P99), ..Common::default() };
        let big = Common { size: Some(70_000), kind: Some(Kind::Udp), ..Common::default() };
        for (common, host, part) in [
            (short, "8.8.8.8:7", "public address"),
            (few, "127.0.0.1:7", "6 are the fewest"),
            (thin, "127.0.0.1:7", "at least 299"),
            (big, "udp:127.0.0.1:7", "the most for udp"),
        ] {
            let error = plan(common, peers(host)).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(plan(Common::default(), peers("127.0.0.1:7")), Ok(()));
    }
}
