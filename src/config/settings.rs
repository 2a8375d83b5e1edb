//! What flags and file have in common: values by name, each remembering where
//! it came from, and how they settle into a [`Plan`].
//!
//! Precedence: a listener's URL, then flags, then the file, then the defaults.
//! A list given by flags replaces the file's: nothing listens or is sent that
//! the nearer source did not name.

use super::dial::{self, DialUrl};
use super::listen::{Listener, STREAM_KEYS, Scope, Target, fill};
use super::url::{Host, check_host_name};
use crate::base::units::parse_duration;
use crate::limits;
use crate::options::{SocketOptions, TABLE, Transport};
use crate::protocol::{Ask, Policy};
use crate::reactor::plan::{Dial, Idle, Listen, Plan, Push, Service, Way};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The settings that are neither stream keys nor socket options.
const SERVER_KEYS: [&str; 7] = ["host", "listen", "pull", "push", "cpus", "idle", "allow_host"];

/// Every setting's name, `_` between words: of flags and in the file.
pub(super) fn known_keys() -> impl Iterator<Item = &'static str> {
    SERVER_KEYS.into_iter().chain(STREAM_KEYS).chain(TABLE.iter().map(|row| row.name))
}

/// A value and where it stands: `--listen`, or `near.toml:3: listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sourced {
    pub(super) text: String,
    pub(super) from: String,
}

impl Sourced {
    /// What is wrong with it, and where.
    fn wrong(&self, why: impl std::fmt::Display) -> String {
        format!("{} '{}': {why}", self.from, self.text)
    }
}

/// One source of settings: the flags, or the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) host: Option<Sourced>,
    pub(super) listen: Vec<Sourced>,
    pub(super) pull: Vec<Sourced>,
    pub(super) push: Vec<Sourced>,
    pub(super) cpus: Option<Vec<usize>>,
    pub(super) idle: Option<Idle>,
    pub(super) allow_hosts: Vec<String>,
    pub(super) ask: Ask,
    pub(super) socket: SocketOptions,
}

impl Settings {
    /// Takes one setting by name (`_` between words) from `from`. Answers
    /// whether it is a setting at all.
    ///
    /// What is wrong with a value is said after its name: `cpus: '3-1' ...`.
    pub(super) fn set(
        &mut self,
        key: &str,
        value: Option<&str>,
        from: &str,
    ) -> Result<bool, String> {
        let text = value.unwrap_or_default();
        let sourced = || Sourced { text: text.to_owned(), from: from.to_owned() };
        match key {
            "host" => self.host = Some(sourced()),
            "listen" => self.listen.push(sourced()),
            "pull" => self.pull.push(sourced()),
            "push" => self.push.push(sourced()),
            "cpus" => self.cpus = Some(parse_cpus(text)?),
            "idle" => self.idle = Some(parse_idle(text)?),
            "allow_host" => self.allow_hosts.push(parse_allow_host(text)?),
            _ => return Ok(self.ask.set(key, value)? || self.socket.set(key, value)?),
        }
        Ok(true)
    }

    /// Fills what is unset here from `lower`.
    fn merge_under(&mut self, lower: Self) {
        self.host = self.host.take().or(lower.host);
        self.cpus = self.cpus.take().or(lower.cpus);
        self.idle = self.idle.or(lower.idle);
        for (mine, theirs) in [
            (&mut self.listen, lower.listen),
            (&mut self.pull, lower.pull),
            (&mut self.push, lower.push),
        ] {
            if mine.is_empty() {
                *mine = theirs;
            }
        }
        if self.allow_hosts.is_empty() {
            self.allow_hosts = lower.allow_hosts;
        }
        fill(&mut self.ask, &lower.ask);
        self.socket.merge_under(&lower.socket);
    }

    /// The plan that these settings make, with those of the file under them.
    /// Looks names up.
    pub(super) fn settle(mut self, file: Self) -> Result<Plan, String> {
        self.merge_under(file);
        let host = match &self.host {
            Some(host) => Host::parse(&host.text)
                .and_then(|parsed| parsed.resolve(0, Ipv4Addr::LOCALHOST.into()))
                .map_err(|why| host.wrong(why))?
                .ip(),
            None => Ipv4Addr::LOCALHOST.into(),
        };
        let urls = if self.listen.is_empty() {
            default_listeners(host)
        } else {
            std::mem::take(&mut self.listen)
        };
        let mut listeners = Vec::with_capacity(urls.len());
        for url in urls {
            let listen = self.listener(&url, host).map_err(|why| url.wrong(why))?;
            if listen.socket.wants_own_cpu() && self.cpus.as_ref().is_none_or(Vec::is_empty) {
                let why =
                    "incoming_cpu=own: shards have no cores of their own: say which with --cpus";
                return Err(url.wrong(why.to_owned()));
            }
            if let Some(twin) = listeners.iter().find(|other| same_place(other, &listen)) {
                return Err(url.wrong(format!("'{}' listens there already", twin.url)));
            }
            listeners.push(listen);
        }
        let (mut pushes, mut dials) = (Vec::new(), Vec::new());
        let pulled = self.pull.iter().map(|url| (url, Way::Pull));
        for (url, way) in pulled.chain(self.push.iter().map(|url| (url, Way::Push))) {
            if way == Way::Pull || dial::is_dialed(&url.text) {
                dials.push(self.dial(url, way).map_err(|why| url.wrong(why))?);
            } else {
                pushes.push(self.target(url).map_err(|why| url.wrong(why))?);
            }
            if dials.len() > limits::DIALS {
                return Err(url.wrong(format!("at most {} may be made", limits::DIALS)));
            }
        }
        Ok(Plan {
            listeners,
            pushes,
            dials,
            cpus: self.cpus.unwrap_or_default(),
            idle: self.idle.unwrap_or(Idle::Block),
            allow_hosts: self.allow_hosts,
        })
    }

    fn listener(&self, url: &Sourced, host: IpAddr) -> Result<Listen, String> {
        let mut parsed = Listener::parse(&url.text)?;
        let scope = Scope::of(&parsed.service);
        let transport = scope.transport();
        fill(&mut parsed.ask, &scope.applicable(&self.ask));
        parsed.socket.merge_under(&self.socket.only_for(transport));
        scope.check_merged(&parsed.socket)?;
        check_policy(&parsed.ask)?;
        let hears = parsed.service.publishes() || parsed.service == Service::UdpStamp;
        parsed.socket.merge_under(&SocketOptions::defaults(transport, hears));
        Ok(Listen {
            url: url.text.clone(),
            addr: parsed.host.resolve(parsed.port, host)?,
            service: parsed.service,
            ask: parsed.ask,
            socket: parsed.socket,
        })
    }

    fn dial(&self, url: &Sourced, way: Way) -> Result<Dial, String> {
        let mut parsed = DialUrl::parse(&url.text, way)?;
        fill(&mut parsed.ask, &dial::applicable(way, &self.ask));
        parsed.socket.merge_under(&self.socket);
        let defaults = SocketOptions::defaults(Transport::Tcp, way == Way::Pull);
        parsed.socket.merge_under(&defaults);
        Ok(Dial {
            url: parsed.shown,
            way,
            target: parsed.target,
            name: parsed.name,
            ask: parsed.ask,
            socket: parsed.socket.only_for_calls(),
        })
    }

    fn target(&self, url: &Sourced) -> Result<Push, String> {
        let mut parsed = Target::parse(&url.text)?;
        fill(&mut parsed.ask, &Scope::Push.applicable(&self.ask));
        // The defaults of UDP are for receiving, and a push only sends.
        parsed.socket.merge_under(&self.socket.only_for(Transport::Udp));
        let nowhere = Ipv4Addr::UNSPECIFIED.into();
        Ok(Push {
            url: url.text.clone(),
            to: parsed.host.resolve(parsed.port, nowhere)?,
            name: parsed.name,
            iface: parsed.iface,
            ask: parsed.ask,
            socket: parsed.socket,
        })
    }
}

/// True if both would take the same packets: the kernel would not mind, since
/// shards share their ports, and would deal clients out between the two.
fn same_place(a: &Listen, b: &Listen) -> bool {
    let transport = |listen: &Listen| Scope::of(&listen.service).transport();
    let group = |listen: &Listen| match &listen.service {
        Service::UdpPublish { group, .. } => *group,
        Service::TcpPublish { .. }
        | Service::TcpSubscribe { .. }
        | Service::TcpEcho
        | Service::UdpEcho
        | Service::UdpStamp
        | Service::UdpSubscribe { .. }
        | Service::Http
        | Service::Rtmp
        | Service::Dial(_) => None,
    };
    a.addr.port() != 0 && a.addr == b.addr && transport(a) == transport(b) && group(a) == group(b)
}

/// What listens when nobody said what should; echo never leaves the machine.
fn default_listeners(host: IpAddr) -> Vec<Sourced> {
    let at = |host: IpAddr, port: u16| SocketAddr::new(host, port);
    let loopback = Ipv4Addr::LOCALHOST.into();
    let rtmp = cfg!(feature = "rtmp").then(|| format!("rtmp://{}", at(host, 1935)));
    [
        format!("http://{}", at(host, 8080)),
        format!("tcp://{}?publish=live", at(host, 9000)),
        format!("tcp://{}?subscribe=live", at(host, 9001)),
        format!("udp://{}?publish=live", at(host, 9000)),
        format!("tcp://{}?echo", at(loopback, 7007)),
        format!("udp://{}?echo", at(loopback, 7007)),
    ]
    .into_iter()
    .chain(rtmp)
    .map(|text| Sourced { text, from: "default listener".to_owned() })
    .collect()
}

/// `2,3` or `0-3` or both: one shard per core, in the order given.
fn parse_cpus(text: &str) -> Result<Vec<usize>, String> {
    let wrong =
        || format!("cpus: '{text}' is not a list of CPU numbers: write 2,3 or 0-3, each CPU once");
    let number = |digits: &str| {
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let cpu = digits.parse::<usize>().ok().filter(|_| plain);
        // The kernel's cpu_set_t holds this many (sched_setaffinity(2)).
        cpu.filter(|cpu| *cpu < libc::CPU_SETSIZE as usize).ok_or_else(wrong)
    };
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last || (first..=last).any(|cpu| cpus.contains(&cpu)) {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// `block`, `spin`, `adaptive` or `adaptive:100` (microseconds, or a duration).
fn parse_idle(text: &str) -> Result<Idle, String> {
    let wrong = || {
        format!(
            "idle: '{text}' is not block, spin, adaptive or adaptive:MICROSECONDS (1 to {})",
            limits::IDLE_SPIN_MAX.as_micros()
        )
    };
    let span = match text {
        "block" => return Ok(Idle::Block),
        "spin" => return Ok(Idle::Spin),
        "adaptive" => limits::IDLE_SPIN,
        _ => {
            let span = text.strip_prefix("adaptive:").ok_or_else(wrong)?;
            let micros = span.parse::<u64>().map(Duration::from_micros);
            micros.or_else(|_| parse_duration(span)).map_err(|_| wrong())?
        }
    };
    if span.is_zero() || span > limits::IDLE_SPIN_MAX {
        return Err(wrong());
    }
    Ok(Idle::Adaptive(span))
}

/// A name or address as `Host` headers carry it, without a port.
fn parse_allow_host(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let is_address = matches!(Host::parse(&name), Ok(Host::Ip(_)));
    if is_address || check_host_name(&name).is_ok() {
        return Ok(name);
    }
    Err(format!(
        "allow_host: '{text}' is not a name or address: write it as in the browser's address \
         line, without http:// and port"
    ))
}

/// What the command line has a word for and the server does not do yet is
/// refused, rather than read and forgotten.
fn check_policy(ask: &Ask) -> Result<(), String> {
    match ask.policy {
        Some(Policy::Wait) => Err("policy=wait is not there yet; leave it out".to_owned()),
        Some(Policy::Skip | Policy::Close) | None => Ok(()),
    }
}
