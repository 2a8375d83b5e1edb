//! The arguments of `lightmeter load`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use nearlight::base::units::parse_size;
use nearlight::client::load::LoadPlan;
use nearlight::client::ping::{Family, Kind, Plan, Target, Wait, Way};
use nearlight::client::{ClientError, Scheme, Target as Url};
use nearlight::limits::{LOAD_SUBSCRIBERS, PING_RECORDS};

use crate::args::{self, Given};
use crate::paired::place::Place;
use crate::paired::setting::Setting;
use crate::server::{self, Server};

pub(super) const HELP: &str = "\
lightmeter load [HOST[:ECHO_PORT]] [options]

Latency while streaming: probes run all the time, and in the middle of it a
stream goes through the server to many subscribers. Without HOST it is done to a
private `nearlight serve` on loopback. Told for each kind of probe
that is answered (icmp, tcp connect, udp echo, tcp echo): latency idle, loaded and
after, and what the load adds; for the stream itself its one-way latency; and
responsiveness in round trips a minute.

  --publish URL      where the stream is published (tcp://HOST:9000)
  --subscribe URL    where it is subscribed to (tcp://HOST:9001)
  --subscribers N    how many subscribers (20)
  --rate SIZE        bytes a second of the stream (1M)
  --frames N         frames a second (200)
  --seconds DUR      how long under load (10s)
  --idle DUR         how long before and after (5s)
  -i DUR             time between probes of one kind (5ms)
  -s SIZE            bytes of data in a probe (56)
  --pace P           sleep, hybrid or spin
  --cpu N            pin the probes to this core
  --server PATH      of a private server: the nearlight binary (beside lightmeter, or in
                     $PATH)
  --server-cpu N     its core
  --set KEY=V,KEY=V  its settings, as for `nearlight serve`: idle=spin, coalesce=1ms
  -4, -6             IPv4 or IPv6 alone
  -q                 no status line
  --json             one object; times are integers of nanoseconds

Exit codes: 0 done, 1 no reply, or the load could not be made, 2 wrong usage, 3 the
measurement is not valid: it says why.
";

/// The options, defaults filled in.
#[derive(Debug)]
pub(super) struct Options {
    /// `None`: a private server.
    target: Option<String>,
    server: Option<String>,
    server_cpu: Option<usize>,
    setting: Setting,
    publish: Option<String>,
    subscribe: Option<String>,
    subscribers: usize,
    rate: u64,
    frames: u32,
    pub(super) seconds: Duration,
    pub(super) idle: Duration,
    interval: Duration,
    size: usize,
    pace: Wait,
    pub(super) cpu: Option<usize>,
    family: Family,
    pub(super) quiet: bool,
    pub(super) json: bool,
}

/// Reads the words after `load`; `None`: help is wanted.
///
/// # Errors
/// Says which is wrong, and what was expected.
pub(super) fn parse(words: Vec<OsString>) -> Result<Option<Options>, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut options = Options {
        target: None,
        server: None,
        server_cpu: None,
        setting: Setting::default(),
        publish: None,
        subscribe: None,
        subscribers: 20,
        rate: 1024 * 1024,
        frames: 200,
        seconds: Duration::from_secs(10),
        idle: Duration::from_secs(5),
        interval: Duration::from_millis(5),
        size: 56,
        pace: Wait::Sleep,
        cpu: None,
        family: Family::Any,
        quiet: false,
        json: false,
    };
    while let Some(argument) = args::next(&mut parser)? {
        match argument {
            Given::Option(option) if option == "-h" || option == "--help" => return Ok(None),
            Given::Option(option) => options.take(&option, &mut parser)?,
            Given::Name(name) if options.target.is_none() => {
                options.target = Some(name.to_string_lossy().into_owned());
            }
            Given::Name(name) => {
                return Err(format!("'{}' is one name too many", name.display()));
            }
        }
    }
    let of_server = options.server.is_some()
        || options.server_cpu.is_some()
        || options.setting != Setting::default();
    if options.target.is_some() && of_server {
        let why = "--server, --server-cpu and --set are of a private server: leave HOST out";
        return Err(why.to_owned());
    }
    let whole = (2 * options.idle + options.seconds).as_nanos();
    if whole / options.interval.as_nanos().max(1) > PING_RECORDS as u128 / 2 {
        let most = PING_RECORDS / 2;
        return Err(format!("more than {most} probes of each kind are too many: a longer -i"));
    }
    if options.target.is_none() && (options.publish.is_some() || options.subscribe.is_some()) {
        return Err("--publish and --subscribe are of a HOST: name it".to_owned());
    }
    Ok(Some(options))
}

impl Options {
    fn take(&mut self, option: &str, parser: &mut lexopt::Parser) -> Result<(), String> {
        match option {
            "--publish" => self.publish = Some(args::value(parser, option, args::text)?),
            "--subscribe" => self.subscribe = Some(args::value(parser, option, args::text)?),
            "--subscribers" => self.subscribers = args::value(parser, option, subscribers)?,
            "--rate" => self.rate = args::value(parser, option, rate)?,
            "--frames" => self.frames = args::value(parser, option, frames)?,
            "--seconds" => self.seconds = args::value(parser, option, args::span)?,
            "--idle" => self.idle = args::value(parser, option, args::span)?,
            "-i" | "--interval" => {
                self.interval = args::value(parser, option, args::interval)?;
            }
            "-s" | "--size" => self.size = args::value(parser, option, args::probe_size)?,
            "--pace" => self.pace = args::value(parser, option, args::pace)?,
            "--cpu" => self.cpu = Some(args::value(parser, option, args::cpu)?),
            "--server" => self.server = Some(args::value(parser, option, args::text)?),
            "--server-cpu" => self.server_cpu = Some(args::value(parser, option, args::cpu)?),
            "--set" => self.setting = args::value(parser, option, Setting::parse)?,
            "-4" => self.family = Family::V4,
            "-6" => self.family = Family::V6,
            "-q" | "--quiet" => self.quiet = true,
            "--json" => self.json = true,
            _ => {
                return Err(format!(
                    "there is no option '{option}'; lightmeter load --help lists them"
                ));
            }
        }
        Ok(())
    }

    /// Bytes a second of the stream.
    pub(super) const fn rate(&self) -> u64 {
        self.rate
    }

    /// Whom to load.
    ///
    /// # Errors
    /// There is no such host, it is not one's own, or no server can be started.
    pub(super) fn site(&self) -> Result<Site, (&'static str, String)> {
        let usage = |error: String| ("usage", error);
        let Some(name) = &self.target else {
            let program = server::find(self.server.as_deref()).map_err(usage)?;
            let place = Place::choose(self.server_cpu, self.cpu, true).map_err(usage)?;
            let mut flags = self.setting.flags();
            flags.extend(place.server.map(|cpu| format!("--cpus={cpu}")));
            let server = Server::start(&program, &flags).map_err(usage)?;
            return Ok(Site::private(server, place, self.setting.command()));
        };
        let target = Target::resolve(name, self.family)
            .map_err(|error| (error.word(), error.to_string()))?;
        if !args::is_own_network(target.ip()) {
            let why = format!(
                "{name} is a public address: a load is made to hosts of one's own network alone"
            );
            return Err(("usage", why));
        }
        let url = |given: &Option<String>, port: u16| {
            let mut address = target.address;
            address.set_port(port);
            let url = given.clone().unwrap_or_else(|| format!("tcp://{address}"));
            url.parse::<Url>().map_err(|error: ClientError| usage(error.to_string()))
        };
        Ok(Site {
            name: name.clone(),
            publish: url(&self.publish, 9000)?,
            subscribe: url(&self.subscribe, 9001)?,
            echoes: [Kind::Icmp, Kind::Tcp, Kind::Udp, Kind::Echo]
                .map(|kind| Way::to(kind, target.clone())),
            cpu: self.cpu,
            command: None,
            server: None,
        })
    }

    /// What to probe, and what load to make.
    pub(super) fn plans(&self, site: &Site) -> (Plan, LoadPlan) {
        let load = LoadPlan {
            publish: site.publish.clone(),
            subscribe: site.subscribe.clone(),
            subscribers: self.subscribers,
            rate: self.rate,
            frames: self.frames,
            stall: Duration::from_millis(500),
        };
        let plan = Plan {
            interval: self.interval,
            size: self.size,
            pace: self.pace,
            warm_up: 20,
            ..Plan::new(site.echoes.to_vec())
        };
        (plan, load)
    }
}

/// A server to load, and what it can be probed by.
pub(super) struct Site {
    pub(super) name: String,
    publish: Url,
    subscribe: Url,
    echoes: [Way; 4],
    /// The core of the probes.
    pub(super) cpu: Option<usize>,
    /// What would start such a server, if this one is private.
    pub(super) command: Option<String>,
    /// It ends with this.
    #[expect(dead_code, reason = "kept to be dropped")]
    server: Option<Server>,
}

impl Site {
    fn private(server: Server, place: Place, command: String) -> Self {
        let doors = server.doors;
        let at = |address: SocketAddr| Target { name: address.to_string(), address };
        Self {
            name: doors.echo.to_string(),
            publish: Url::at(Scheme::Tcp, doors.publish),
            subscribe: Url::at(Scheme::Tcp, doors.subscribe),
            echoes: [
                Way::to(Kind::Icmp, at(doors.echo)),
                Way::to(Kind::Tcp, at(doors.echo)),
                Way::to(Kind::Udp, at(doors.udp_echo)),
                Way::to(Kind::Echo, at(doors.echo)),
            ],
            cpu: place.probes,
            command: Some(command),
            server: Some(server),
        }
    }
}

fn subscribers(text: &str) -> Result<usize, String> {
    let number = usize::try_from(args::count(text)?).unwrap_or(usize::MAX);
    if number > LOAD_SUBSCRIBERS {
        return Err(format!("{number} are too many: {LOAD_SUBSCRIBERS} at most"));
    }
    Ok(number)
}

fn rate(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("no load is none: more than 0 bytes a second".to_owned()),
        rate => Ok(rate),
    }
}

fn frames(text: &str) -> Result<u32, String> {
    match u32::try_from(args::count(text)?) {
        Ok(number @ 1..=10_000) => Ok(number),
        Ok(_) | Err(_) => Err(format!("{text} is too many: 10000 a second at most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Result<Option<Options>, String> {
        parse(words.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn where_the_stream_goes_follows_the_host() {
        let given = options("127.0.0.1 --rate 500K --subscribers 3").expect("right").expect("some");
        let (plan, load) = given.plans(&given.site().expect("addresses"));
        assert_eq!(load.publish.to_string(), "tcp://127.0.0.1:9000");
        assert_eq!(load.subscribe.to_string(), "tcp://127.0.0.1:9001");
        assert_eq!((load.subscribers, load.frame_bytes()), (3, 512_000 / 200));
        assert_eq!(plan.ways.len(), 4);
        assert!(options("--help").expect("right").is_none());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, part) in [
            ("a --set idle=spin", "leave HOST out"),
            ("--publish tcp://a:1", "are of a HOST"),
            ("--server /no/such/file --set idle", "'idle' is not a setting"),
            ("a -i 50us", "a longer -i"),
            ("a b", "'b' is one name too many"),
            ("a --loud", "no option '--loud'"),
            ("a --subscribers 100000", "too many"),
            ("a --rate 0", "--rate: no load"),
            ("a --frames 0", "--frames: '0'"),
            ("a --seconds 0", "longer than 0"),
        ] {
            let error = options(words).expect_err(words);
            assert!(error.contains(part), "{words}: {error}");
        }
        for (words, part) in
            [("8.8.8.8", "one's own network"), ("--server /no/such/file", "no file")]
        {
            let site = options(words).expect("right").expect("some").site();
            let (_, error) = site.err().expect(words);
            assert!(error.contains(part), "{error}");
        }
    }
}
