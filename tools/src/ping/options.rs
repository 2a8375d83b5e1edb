//! The arguments of `lightmeter ping`: ping(8)'s letters where it has them.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value};
use nearlight::base::units::{format_duration, parse_size};
use nearlight::client::ping::{Family, Kind, Target};
use nearlight::limits::{PING_INTERVAL_MIN, PING_INTERVAL_PUBLIC, PING_SIZE_MAX, PROBE_BYTES};

use crate::args;

pub(crate) const HELP: &str = "\
lightmeter ping [system|icmp|tcp|udp] HOST[:PORT] [options]

Without a kind: all four, interleaved, to the same address, compared in one
sentence at the end. PORT is that of TCP and UDP echo (RFC 862), by default
7007, where `nearlight serve` echoes.

  system   the installed ping, its output read
  icmp     our own echo requests, on a raw socket, or a datagram socket where
           raw is refused
  tcp      echo on one connection
  udp      echo of datagrams

  -c N     probes, after one that warms up and is reported apart
           (50 of each kind; one kind alone: until Ctrl-C)
  -i DUR   time between probes of one kind (200ms; one kind alone: 1s)
  -w DUR   end after this long, whatever is still out
  -W DUR   a probe without reply for this long is lost (2s)
  -s SIZE  bytes of data in a probe, from 16 (56)
  -4, -6   IPv4 or IPv6 alone
  -q       no line per reply, the summary alone
  --json   one object instead of text; times are integers of nanoseconds

Durations: 500us, 20ms, 2s; a plain number is seconds. Exit codes: 0 replies
came, 1 none (or fewer than -c within -w), 2 usage, no such host, not permitted.
";

/// What the words ask for.
pub(crate) enum Asked {
    Help,
    Ping(Options),
}

/// The options, defaults filled in.
#[derive(Debug)]
pub(crate) struct Options {
    /// `None`: all.
    pub(crate) kind: Option<Kind>,
    pub(crate) host: String,
    pub(crate) count: Option<u64>,
    pub(crate) interval: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) wait: Duration,
    pub(crate) size: usize,
    pub(crate) family: Family,
    pub(crate) quiet: bool,
    pub(crate) json: bool,
}

/// Reads the words after `ping`.
///
/// # Errors
/// Says which is wrong, and what was expected.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let (mut names, mut count, mut interval) = (Vec::new(), None, None);
    let (mut deadline, mut wait, mut size) = (None, Duration::from_secs(2), 56);
    let (mut family, mut quiet, mut json) = (Family::Any, false, false);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Short('c') | Long("count") => {
                count = Some(args::value(&mut parser, "-c", args::count)?)
            }
            Short('i') | Long("interval") => {
                interval = Some(args::value(&mut parser, "-i", read_interval)?);
            }
            Short('w') | Long("deadline") => {
                deadline = Some(args::value(&mut parser, "-w", some_time)?);
            }
            Short('W') | Long("wait") => wait = args::value(&mut parser, "-W", some_time)?,
            Short('s') | Long("size") => size = args::value(&mut parser, "-s", read_size)?,
            Short('4') => family = Family::V4,
            Short('6') => family = Family::V6,
            Short('q') | Long("quiet") => quiet = true,
            // ping's "numeric": nothing here looks names up backwards.
            Short('n') => {}
            Long("json") => json = true,
            Value(word) => names.push(word.to_string_lossy().into_owned()),
            Short(_) | Long(_) => {
                let error = argument.unexpected();
                return Err(format!("{error}; lightmeter ping --help lists the options"));
            }
        }
    }
    let (kind, host) = kind_and_host(names)?;
    let alone = kind.is_some();
    Ok(Asked::Ping(Options {
        kind,
        host,
        count: count.or((!alone).then_some(50)),
        interval: interval.unwrap_or(Duration::from_millis(if alone { 1000 } else { 200 })),
        deadline,
        wait,
        size,
        family,
        quiet,
        json,
    }))
}

fn kind_and_host(names: Vec<String>) -> Result<(Option<Kind>, String), String> {
    let named = |name: &str| Kind::ALL.into_iter().find(|kind| kind.name() == name);
    match names.as_slice() {
        [] => Err("whom? lightmeter ping HOST, or --help".to_owned()),
        [host] if named(host).is_some() => {
            Err(format!("whom? lightmeter ping {host} HOST, or --help"))
        }
        [host] => Ok((None, host.clone())),
        [kind, host] => match named(kind) {
            Some(kind) => Ok((Some(kind), host.clone())),
            None => {
                Err(format!("'{kind}' is not a kind of ping: there are system, icmp, tcp and udp"))
            }
        },
        [_, _, extra, ..] => Err(format!("'{extra}' is one name too many: one host at a time")),
    }
}

fn read_interval(text: &str) -> Result<Duration, String> {
    let interval = args::duration(text)?;
    if interval < PING_INTERVAL_MIN {
        let least = format_duration(PING_INTERVAL_MIN);
        return Err(format!("{text} is too short: {least} is the least"));
    }
    Ok(interval)
}

fn some_time(text: &str) -> Result<Duration, String> {
    let span = args::duration(text)?;
    if span.is_zero() {
        return Err("it must be longer than 0".to_owned());
    }
    Ok(span)
}

fn read_size(text: &str) -> Result<usize, String> {
    let size = usize::try_from(parse_size(text)?).unwrap_or(usize::MAX);
    if size < PROBE_BYTES {
        return Err(format!(
            "{size} is too small: the first {PROBE_BYTES} bytes are what a reply is known by"
        ));
    }
    if size > PING_SIZE_MAX {
        return Err(format!("{size} is too large: {PING_SIZE_MAX} is what a datagram holds"));
    }
    Ok(size)
}

impl Options {
    /// The kinds to run.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind])
    }

    /// Refuses to send faster to strangers than ping(8) lets everybody.
    ///
    /// # Errors
    /// Says what the least interval is.
    pub(crate) fn polite(&self, target: &Target) -> Result<(), String> {
        if self.interval >= PING_INTERVAL_PUBLIC || is_own_network(target.ip()) {
            return Ok(());
        }
        Err(format!(
            "{} is a public address, and those get a probe every {} at most: use -i {1}",
            target.name,
            format_duration(PING_INTERVAL_PUBLIC)
        ))
    }
}

/// Loopback, link-local and the ranges of RFC 1918 and RFC 4193, and those for
/// documentation and benchmarks, which lead nowhere else.
fn is_own_network(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_documentation()
                || (first == 198 && (18..20).contains(&second))
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(
            || {
                v6 == Ipv6Addr::LOCALHOST
                    || v6.is_unspecified()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
            },
            |v4| is_own_network(IpAddr::V4(v4)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Result<Options, String> {
        match parse(words.split_whitespace().map(OsString::from).collect())? {
            Asked::Ping(options) => Ok(options),
            Asked::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn all_kinds_end_by_themselves_and_one_does_not() {
        let all = options("example.org").expect("right");
        assert_eq!((all.kind, all.count), (None, Some(50)));
        assert_eq!(all.interval, Duration::from_millis(200));
        let one = options("udp [::1]:9 -i 500us -c9 -s 1316 -w 3 -q").expect("right");
        assert_eq!((one.kind, one.count), (Some(Kind::Udp), Some(9)));
        assert_eq!(one.host, "[::1]:9");
        assert_eq!(one.interval, Duration::from_micros(500));
        assert_eq!(one.deadline, Some(Duration::from_secs(3)));
        assert!(one.quiet && !one.json && one.size == 1316);
        assert_eq!(options("tcp host").expect("right").count, None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, part) in [
            ("", "whom?"),
            ("tcp", "lightmeter ping tcp HOST"),
            ("sctp host", "there are system, icmp, tcp and udp"),
            ("tcp a b", "'b' is one name too many"),
            ("host -c 0", "-c: '0' is not"),
            ("host -i 1us", "10us is the least"),
            ("host -i soon", "-i: 'soon' is not a duration"),
            ("host -s 8", "16 bytes"),
            ("host -s 70000", "65507"),
            ("host -W 0", "-W: it must"),
            ("host --flood", "--flood"),
            ("host -c", "-c: missing"),
        ] {
            let error = options(words).expect_err(words);
            assert!(error.contains(part), "{words}: {error}");
        }
    }

    #[test]
    fn strangers_are_spared() {
        let fast = options("host -i 1ms").expect("right");
        for (host, polite) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("::1", true),
            ("fd00::1", true),
            ("8.8.8.8", false),
            ("2600::1", false),
        ] {
            let target = Target::resolve(host, Family::Any).expect(host);
            assert_eq!(fast.polite(&target).is_ok(), polite, "{host}");
        }
    }
}
