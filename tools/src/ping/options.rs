//! The arguments of `lightmeter ping`: ping(8)'s letters where it has them.

use std::ffi::OsString;
use std::time::Duration;

use nearlight::base::units::format_duration;
use nearlight::client::Target as Url;
use nearlight::client::ping::{ECHO_PORT, Family, IcmpDoor, Kind, Plan, Target, Wait, Way};
use nearlight::limits::{PING_HOSTS, PING_INTERVAL_PUBLIC};
use nearlight::protocol::stamp;

use super::compat::Looks;
use crate::args::{self, Given};
use crate::output::Output;

pub(crate) const HELP: &str = "\
lightmeter ping [system|icmp|tcp|udp|echo|stamp] HOST[:PORT]... [options]
lightmeter ping relay tcp://PUBLISH tcp://SUBSCRIBE [options]
lightmeter ping app http://HOST:PORT/PATH... [options]
lightmeter ping stream URL [options]

Without a kind: the first five, interleaved, to the same address, compared in
one sentence at the end. PORT is by default 7007, where `nearlight serve`
echoes. With a kind: one host or several, interleaved.

  system   the installed ping, its output read
  icmp     our own echo requests, on a raw socket, or a datagram socket where
           raw is refused
  tcp      making a connection, once for each probe
  udp      echo of datagrams (RFC 862)
  echo     echo on one TCP connection (RFC 862)
  stamp    STAMP (RFC 8762), port 862: delay and loss of each way
  relay    through a server: published by TCP, until it is heard as a subscriber
  app      a request to an HTTP server and its answer, on one warm connection
  stream   a live stream as it comes: time to first byte, gaps, stalls, and the
           one-way latency of its probe stamps (lightmeter ping stream --help)

Each probe is timed twice: user RTT, from before the send call to after the
receive call, and network RTT, between the kernel's own stamps. Their difference
is this host's: waking up, system calls. Response time counts from when a probe
was due, late or not.

  -c N        probes, after those that warm up (400 of each kind; one kind alone:
              until Ctrl-C)
  -i DUR      time between probes of one way (30ms; one kind alone: 1s)
  -w DUR      end after this long, whatever is still out
  -W DUR      a probe without reply for this long is lost (2s)
  -s SIZE     bytes of data in a probe, from 16 (56)
  -4, -6      IPv4 or IPv6 alone
  --warm-up N probes that are not counted (1, or those of the first 100 ms; 0
              where -w leaves no time for them)
  --pace P    sleep (asleep between probes, as most programs), hybrid (awake in
              time to send), spin (never asleep; a whole core)
  --cpu N     pin the probes to this core
  --timestamp kernel|user   user: do without the kernel's stamps
  --icmp-socket auto|raw|dgram
  -q          no line per reply, the summary alone
  -v          all times of all kinds in the summary
  --json      one object instead of text; times are integers of nanoseconds
  --json-lines   an object for each probe as it is known, then that one
  --plot, --svg FILE, --png FILE   a picture of the run
  --csv FILE, --hgrm FILE, --hlog FILE   every probe; user RTT as HdrHistogram's text and log
  --figure F     which: timeline, percentiles, ecdf or histogram; --ascii without braille
  --save FILE    the run as JSON lines, for `lightmeter report FILE`
  --ping-compat  what ping of iputils would print, to the letter (icmp alone; with -O, a
                 line for each probe without reply when the next is due, and with -D, the
                 time before each line)

Durations: 500us, 20ms, 2s; a plain number is seconds. Exit codes: 0 replies
came, 1 none (or fewer than -c within -w), 2 usage, no such host, not permitted,
3 replies came and the measurement is not valid: it says why.
";

/// What the words ask for.
pub(crate) enum Asked {
    Help,
    Ping(Options),
    /// The words behind `stream`.
    Stream(Vec<OsString>),
}

/// The options, defaults filled in.
#[derive(Debug)]
pub(crate) struct Options {
    /// `None`: all that need no more than a host.
    pub(crate) kind: Option<Kind>,
    pub(crate) hosts: Vec<String>,
    pub(crate) count: Option<u64>,
    pub(crate) interval: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) wait: Duration,
    pub(crate) size: usize,
    pub(crate) family: Family,
    pub(crate) warm_up: u64,
    pub(crate) pace: Wait,
    pub(crate) cpu: Option<usize>,
    pub(crate) stamps: bool,
    pub(crate) door: Option<IcmpDoor>,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) json: bool,
    pub(crate) json_lines: bool,
    pub(crate) save: Option<String>,
    pub(crate) output: Output,
    /// ping's own words instead of ours.
    pub(crate) compat: Option<Looks>,
}

/// As they are given.
#[derive(Default)]
struct Words {
    names: Vec<String>,
    count: Option<u64>,
    interval: Option<Duration>,
    deadline: Option<Duration>,
    wait: Option<Duration>,
    size: Option<usize>,
    family: Family,
    warm_up: Option<u64>,
    pace: Wait,
    cpu: Option<usize>,
    user: bool,
    door: Option<IcmpDoor>,
    quiet: bool,
    verbose: bool,
    json: bool,
    json_lines: bool,
    save: Option<String>,
    output: Output,
    compat: bool,
    looks: Looks,
}

/// Reads the words after `ping`.
///
/// # Errors
/// Says which is wrong, and what was expected.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Asked, String> {
    if words.first().is_some_and(|word| word == "stream") {
        return Ok(Asked::Stream(words.into_iter().skip(1).collect()));
    }
    let mut parser = lexopt::Parser::from_args(words);
    let mut given = Words::default();
    while let Some(argument) = args::next(&mut parser)? {
        match argument {
            Given::Option(option) if option == "-h" || option == "--help" => {
                return Ok(Asked::Help);
            }
            Given::Option(option) => given.take(&option, &mut parser)?,
            Given::Name(name) => given.names.push(name.to_string_lossy().into_owned()),
        }
    }
    given.options().map(Asked::Ping)
}

impl Words {
    fn take(&mut self, option: &str, parser: &mut lexopt::Parser) -> Result<(), String> {
        match option {
            "-c" | "--count" => self.count = Some(args::value(parser, "-c", args::count)?),
            "-i" | "--interval" => self.interval = Some(args::value(parser, "-i", args::interval)?),
            "-w" | "--deadline" => self.deadline = Some(args::value(parser, "-w", args::span)?),
            "-W" | "--wait" => self.wait = Some(args::value(parser, "-W", args::span)?),
            "-s" | "--size" => self.size = Some(args::value(parser, "-s", args::probe_size)?),
            "-4" => self.family = Family::V4,
            "-6" => self.family = Family::V6,
            "-q" | "--quiet" => self.quiet = true,
            "-v" | "--verbose" => self.verbose = true,
            // ping's "numeric": nothing here looks names up backwards.
            "-n" => {}
            "--warm-up" | "--warmup" => {
                self.warm_up = Some(args::value(parser, "--warm-up", read_warm_up)?);
            }
            "--pace" => self.pace = args::value(parser, option, args::pace)?,
            "--cpu" => self.cpu = Some(args::value(parser, option, args::cpu)?),
            "--timestamp" => self.user = args::value(parser, option, read_stamp)?,
            "--icmp-socket" => self.door = args::value(parser, option, read_door)?,
            "--json" => self.json = true,
            "--ping-compat" => self.compat = true,
            "-O" => self.looks.outstanding = true,
            "-D" => self.looks.stamps = true,
            "--json-lines" => self.json_lines = true,
            "--save" => self.save = Some(args::value(parser, option, args::text)?),
            _ if Output::knows(option) => self.output.take(option, parser)?,
            _ => {
                return Err(format!(
                    "there is no option '{option}'; lightmeter ping --help lists them"
                ));
            }
        }
        Ok(())
    }

    fn options(self) -> Result<Options, String> {
        let (kind, hosts) = kind_and_hosts(self.names)?;
        let more = self.json || self.json_lines || self.save.is_some() || self.output.is_wanted();
        let compat = self.looks.of(self.compat, self.quiet, more, kind)?;
        let kind = if compat.is_some() { Some(Kind::Icmp) } else { kind };
        if compat.is_some() && hosts.len() > 1 {
            return Err("ping has one host: --ping-compat with several can't be".to_owned());
        }
        let alone = kind.is_some();
        let interval =
            self.interval.unwrap_or(Duration::from_millis(if alone { 1000 } else { 30 }));
        if self.json && self.json_lines {
            return Err("either --json or --json-lines".to_owned());
        }
        let count = self.count.or((!alone).then_some(ALL_COUNT));
        let warm_up = match self.deadline {
            Some(deadline) => warm_up_before(deadline, interval, count),
            None => warm_up(interval),
        };
        Ok(Options {
            kind,
            hosts,
            count,
            interval,
            deadline: self.deadline,
            wait: self.wait.unwrap_or(Duration::from_secs(2)),
            size: self.size.unwrap_or(56),
            family: self.family,
            warm_up: self.warm_up.unwrap_or(warm_up),
            pace: self.pace,
            cpu: self.cpu,
            stamps: !self.user,
            door: self.door,
            quiet: self.quiet,
            verbose: self.verbose,
            json: self.json,
            json_lines: self.json_lines,
            save: self.save,
            output: self.output,
            compat,
        })
    }
}

/// As many as a p99 with its interval takes (368), and a few for loss.
const ALL_COUNT: u64 = 400;

/// Probes of the first 100 ms, one at least and a hundred at most.
fn warm_up(interval: Duration) -> u64 {
    let tenth = Duration::from_millis(100).as_nanos();
    u64::try_from(tenth / interval.as_nanos().max(1)).unwrap_or(1).clamp(1, 100)
}

/// The same, or none where a deadline leaves time for the probes that were asked
/// for but not for these, or for hardly anything else.
fn warm_up_before(deadline: Duration, interval: Duration, count: Option<u64>) -> u64 {
    let in_time = deadline.as_nanos().div_ceil(interval.as_nanos().max(1));
    let (warm_up, wanted) = (warm_up(interval), u128::from(count.unwrap_or(1)));
    let is_spare = if wanted <= in_time {
        wanted + u128::from(warm_up) <= in_time
    } else {
        2 * u128::from(warm_up) <= in_time
    };
    if is_spare { warm_up } else { 0 }
}

fn kind_and_hosts(names: Vec<String>) -> Result<(Option<Kind>, Vec<String>), String> {
    let mut names = names.into_iter();
    let first = names.next().ok_or("whom? lightmeter ping HOST, or --help")?;
    let rest: Vec<String> = names.collect();
    match (Kind::named(&first), rest.as_slice()) {
        (Some(Kind::Relay), [_, _]) => Ok((Some(Kind::Relay), rest)),
        (Some(Kind::Relay), _) => {
            Err("where? lightmeter ping relay tcp://PUBLISH tcp://SUBSCRIBE, \
             of `nearlight serve` tcp://HOST:9000 tcp://HOST:9001"
                .to_owned())
        }
        (Some(kind), []) => Err(format!("whom? lightmeter ping {kind} HOST, or --help")),
        (Some(_), many) if many.len() > PING_HOSTS => {
            Err(format!("{} hosts are too many: {PING_HOSTS} at most", many.len()))
        }
        (Some(kind), _) => Ok((Some(kind), rest)),
        (None, []) => Ok((None, vec![first])),
        (None, _) => Err(format!(
            "'{first}' is not a kind of ping: there are system, icmp, tcp, udp, echo, \
             stamp, relay, app and stream; several hosts need one"
        )),
    }
}

fn read_warm_up(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a whole number"))
}

fn read_stamp(text: &str) -> Result<bool, String> {
    match text {
        "kernel" | "auto" => Ok(false),
        "user" => Ok(true),
        _ => Err(format!("'{text}' is none of kernel and user")),
    }
}

fn read_door(text: &str) -> Result<Option<IcmpDoor>, String> {
    match text {
        "auto" => Ok(None),
        "raw" => Ok(Some(IcmpDoor::Raw)),
        "dgram" | "datagram" => Ok(Some(IcmpDoor::Datagram)),
        _ => Err(format!("'{text}' is none of auto, raw and dgram")),
    }
}

impl Options {
    /// What to measure; names are looked up, which takes as long as the
    /// resolver takes.
    ///
    /// # Errors
    /// What is wrong, in a word and in full.
    pub(crate) fn plan(&self) -> Result<Plan, (&'static str, String)> {
        let ways = match self.kind {
            Some(Kind::Relay) => vec![self.relay().map_err(|error| ("usage", error))?],
            Some(Kind::App) => {
                let ways = self.hosts.iter().map(|url| self.app(url));
                ways.collect::<Result<Vec<_>, _>>().map_err(|error| ("usage", error))?
            }
            kind => {
                let mut ways = Vec::new();
                for host in &self.hosts {
                    let port = if kind == Some(Kind::Stamp) { stamp::PORT } else { ECHO_PORT };
                    let target = Target::resolve_at(host, port, self.family)
                        .map_err(|error| (error.word(), error.to_string()))?;
                    self.polite(&target).map_err(|error| ("usage", error))?;
                    let kinds = kind.map_or_else(|| Kind::OF_HOST.to_vec(), |kind| vec![kind]);
                    ways.extend(kinds.into_iter().map(|kind| Way::to(kind, target.clone())));
                }
                ways
            }
        };
        Ok(Plan {
            ways,
            count: self.count,
            warm_up: self.warm_up,
            interval: self.interval,
            size: self.size,
            wait: self.wait,
            deadline: self.deadline,
            pace: self.pace,
            stamps: self.stamps,
            door: self.door,
        })
    }

    fn relay(&self) -> Result<Way, String> {
        let [publish, subscribe] = self.hosts.as_slice() else {
            return Err("two addresses are needed".to_owned());
        };
        let address = |url: &String| {
            let bare = url.strip_prefix("tcp://").ok_or_else(|| {
                format!("'{url}' is not tcp://HOST:PORT, and a relay is measured over TCP")
            })?;
            if !bare.contains(':') {
                return Err(format!("'{url}' has no port: write tcp://HOST:PORT"));
            }
            Target::resolve(bare, self.family).map_err(|error| error.to_string())
        };
        let publish = address(publish)?;
        let target = address(subscribe)?;
        Ok(Way { publish: Some(publish.address), ..Way::to(Kind::Relay, target) })
    }

    fn app(&self, text: &str) -> Result<Way, String> {
        let url = Url::of_server(text).map_err(|error| error.to_string())?;
        let target = Target::resolve(&url.authority(), self.family);
        let mut target = target.map_err(|error| error.to_string())?;
        self.polite(&target)?;
        text.clone_into(&mut target.name);
        Ok(Way { url: Some(url), ..Way::to(Kind::App, target) })
    }

    /// Refuses to send faster to strangers than ping(8) lets everybody.
    ///
    /// # Errors
    /// Says what the least interval is.
    pub(crate) fn polite(&self, target: &Target) -> Result<(), String> {
        if self.interval >= PING_INTERVAL_PUBLIC || args::is_own_network(target.ip()) {
            return Ok(());
        }
        Err(format!(
            "{} is a public address, and those get a probe every {} at most: use -i {1}",
            target.name,
            format_duration(PING_INTERVAL_PUBLIC)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Result<Options, String> {
        match parse(words.split_whitespace().map(OsString::from).collect())? {
            Asked::Ping(options) => Ok(options),
            Asked::Help | Asked::Stream(_) => Err("no ping".to_owned()),
        }
    }

    #[test]
    fn all_kinds_end_by_themselves_and_one_does_not() {
        let all = options("example.org").expect("right");
        assert_eq!((all.kind, all.count), (None, Some(400)));
        assert_eq!((all.interval, all.warm_up), (Duration::from_millis(30), 3));
        let one = options("udp [::1]:9 -i 500us -c9 -s 1316 -w 3 -q").expect("right");
        assert_eq!((one.kind, one.count), (Some(Kind::Udp), Some(9)));
        assert_eq!(one.hosts, ["[::1]:9"]);
        assert_eq!((one.interval, one.warm_up), (Duration::from_micros(500), 100));
        assert_eq!(one.deadline, Some(Duration::from_secs(3)));
        assert!(one.quiet && !one.json && one.size == 1316);
        assert_eq!(options("tcp host").expect("right").count, None);
        let hosts = options("icmp a b c --pace spin --timestamp user").expect("right");
        assert_eq!((hosts.hosts.len(), hosts.pace, hosts.stamps), (3, Wait::Spin, false));
    }

    #[test]
    fn a_deadline_leaves_time_for_what_was_asked_for() {
        for (words, wanted) in [
            ("icmp host -c 1 -w 1", 0),
            ("icmp host -c 3 -w 3", 0),
            ("icmp host -c 3 -w 4", 1),
            ("icmp host -w 1", 0),
            ("icmp host -w 2", 1),
            ("icmp host -c 9 -w 2", 1),
            ("icmp host -c 1 -w 1 --warm-up 1", 1),
            ("udp host -c 100 -i 1ms -w 150ms", 0),
            ("udp host -c 100 -i 1ms -w 200ms", 100),
            ("udp host -c 1000 -i 1ms -w 300ms", 100),
            ("udp host -i 10us -w 5124095h", 100),
        ] {
            assert_eq!(options(words).expect(words).warm_up, wanted, "{words}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, part) in [
            ("", "whom?"),
            ("tcp", "lightmeter ping tcp HOST"),
            ("sctp host", "there are system, icmp, tcp, udp, echo"),
            ("relay a", "tcp://PUBLISH tcp://SUBSCRIBE"),
            ("host --pace run", "--pace: 'run' is none of"),
            ("host --cpu 60000", "--cpu: "),
            ("host --icmp-socket stream", "none of auto, raw and dgram"),
            ("host --json --json-lines", "either --json or"),
            ("--ping-compat icmp a b", "ping has one host"),
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
