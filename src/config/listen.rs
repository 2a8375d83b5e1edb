//! What a listener's or a push's URL asks for: the service, the stream keys and
//! the socket options, each refused where it has no meaning.

use super::suggest::hint;
use super::url::{Host, Scheme, Url};
use crate::framing::Kind;
use crate::options::{SocketOptions, TABLE, Transport};
use crate::protocol::{Ask, Name, Policy};
use crate::reactor::plan::Service;
use std::net::IpAddr;

/// The keys that [`Ask::set`] knows; a test holds the two together.
pub(super) const STREAM_KEYS: [&str; 9] = [
    "framing",
    "join",
    "max_lag",
    "policy",
    "window",
    "window_bytes",
    "timeout",
    "wait",
    "coalesce",
];
/// The keys that say what a listener or push does.
const SERVICE_KEYS: [&str; 8] =
    ["publish", "subscribe", "echo", "stamp", "group", "iface", "handshake", "stream"];

/// Which keys have a meaning: decided by transport and role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    TcpPublish,
    TcpSubscribe,
    TcpEcho,
    UdpPublish,
    UdpSubscribe,
    UdpEcho,
    UdpStamp,
    Http,
    Rtmp,
    Push,
}

impl Scope {
    pub(super) const fn of(service: &Service) -> Self {
        match service {
            Service::TcpPublish { .. } => Self::TcpPublish,
            // Nothing listens, but what is sent is a subscriber's.
            Service::TcpSubscribe { .. } | Service::Dial(_) => Self::TcpSubscribe,
            Service::TcpEcho => Self::TcpEcho,
            Service::UdpPublish { .. } => Self::UdpPublish,
            Service::UdpSubscribe { .. } => Self::UdpSubscribe,
            Service::UdpEcho => Self::UdpEcho,
            Service::UdpStamp => Self::UdpStamp,
            Service::Http => Self::Http,
            Service::Rtmp => Self::Rtmp,
        }
    }

    pub(super) const fn transport(self) -> Transport {
        match self {
            Self::TcpPublish | Self::TcpSubscribe | Self::TcpEcho => Transport::Tcp,
            Self::Http | Self::Rtmp => Transport::Tcp,
            Self::UdpPublish | Self::UdpSubscribe | Self::Push => Transport::Udp,
            Self::UdpEcho | Self::UdpStamp => Transport::Udp,
        }
    }

    /// The part of `ask` that has a meaning here: global flags go no further.
    pub(super) fn applicable(self, ask: &Ask) -> Ask {
        let mut kept = ask.clone();
        match self {
            Self::TcpEcho | Self::UdpEcho | Self::UdpStamp => return Ask::default(),
            Self::TcpSubscribe | Self::UdpSubscribe | Self::Push => {
                // The stream decides these, where it is published.
                kept.framing = None;
                kept.window = None;
                kept.window_bytes = None;
            }
            // FLV has tags of any length, and loses none of them.
            Self::UdpPublish if kept.framing == Some(Kind::Flv) => kept.framing = None,
            // RTMP has a framing of its own.
            Self::Rtmp => kept.framing = None,
            Self::TcpPublish | Self::UdpPublish | Self::Http => {}
        }
        let can_wait = matches!(self, Self::TcpPublish | Self::Http);
        if kept.policy == Some(Policy::Wait) && !can_wait {
            kept.policy = None;
        }
        kept
    }

    /// Refuses stream keys that have no meaning here.
    fn check_ask(self, ask: &Ask) -> Result<(), String> {
        let kept = given(&self.applicable(ask));
        let Some(key) = given(ask).into_iter().find(|key| !kept.contains(key)) else {
            return Ok(());
        };
        Err(if key == "policy" {
            "policy=wait: only on tcp://..?publish=NAME and http://, whose owner lets it hold \
             back the publisher; here it is skip or close"
                .to_owned()
        } else if key == "framing" && self == Self::UdpPublish {
            "framing=flv: FLV doesn't go over UDP; publish it over tcp:// or http://".to_owned()
        } else if matches!(self, Self::TcpEcho | Self::UdpEcho) {
            format!("{key}: an echo has no stream")
        } else if self == Self::UdpStamp {
            format!("{key}: a STAMP reflector has no stream")
        } else if self == Self::Rtmp {
            format!("{key}: RTMP has a framing of its own")
        } else {
            format!("{key}: belongs where the stream is published")
        })
    }

    /// Refuses socket options that such a socket does not have.
    fn check_socket(self, socket: &SocketOptions) -> Result<(), String> {
        if self.transport() == Transport::Udp {
            let kept = socket.only_for(Transport::Udp);
            let lost =
                socket.asked().find(|(row, _)| kept.asked().all(|(kept, _)| kept.name != row.name));
            if let Some((row, value)) = lost {
                let value = if row.udp { format!("={value}") } else { String::new() };
                return Err(format!("{}{value}: is for TCP, and this is UDP", row.name));
            }
        }
        self.check_merged(socket)
    }

    /// Refuses what global flags may not bring in either.
    pub(super) fn check_merged(self, socket: &SocketOptions) -> Result<(), String> {
        if self == Self::TcpSubscribe {
            socket.check_subscribe().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The stream keys that `ask` has a value for.
fn given(ask: &Ask) -> Vec<&'static str> {
    // Without `..`, so that a new key can't be forgotten here.
    let Ask { framing, join, max_lag, policy, window, window_bytes, timeout, wait, coalesce } = ask;
    [
        framing.is_some(),
        join.is_some(),
        max_lag.is_some(),
        policy.is_some(),
        window.is_some(),
        window_bytes.is_some(),
        timeout.is_some(),
        wait.is_some(),
        coalesce.is_some(),
    ]
    .into_iter()
    .zip(STREAM_KEYS)
    .filter_map(|(is_given, key)| is_given.then_some(key))
    .collect()
}

/// Fills what is unset in `ask` from `lower`.
pub(super) fn fill(ask: &mut Ask, lower: &Ask) {
    // Without `..`, so that a new key can't be forgotten here.
    let Ask { framing, join, max_lag, policy, window, window_bytes, timeout, wait, coalesce } = ask;
    *framing = framing.or(lower.framing);
    *join = join.or(lower.join);
    *max_lag = max_lag.or(lower.max_lag);
    *policy = policy.or(lower.policy);
    *window = window.or(lower.window);
    *window_bytes = window_bytes.or(lower.window_bytes);
    *timeout = timeout.or(lower.timeout);
    *wait = wait.or(lower.wait);
    *coalesce = coalesce.or(lower.coalesce);
}

/// A listener as its URL has it: nothing merged in, no name looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) service: Service,
    pub(super) ask: Ask,
    pub(super) socket: SocketOptions,
}

/// A push over UDP as its URL has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) name: Name,
    pub(super) iface: Option<String>,
    pub(super) ask: Ask,
    pub(super) socket: SocketOptions,
}

/// The keys of a query by what they are about.
#[derive(Default)]
struct Keys {
    publish: Option<Name>,
    subscribe: Option<Name>,
    echo: bool,
    stamp: bool,
    group: Option<IpAddr>,
    iface: Option<String>,
    handshake: Option<bool>,
    stream: Option<Name>,
    ask: Ask,
    socket: SocketOptions,
}

impl Keys {
    fn read(query: &[(String, Option<String>)]) -> Result<Self, String> {
        let mut keys = Self::default();
        for (key, value) in query {
            let value = value.as_deref();
            match key.as_str() {
                "publish" => keys.publish = Some(stream_name(key, value)?),
                "subscribe" => keys.subscribe = Some(stream_name(key, value)?),
                "stream" => keys.stream = Some(stream_name(key, value)?),
                "echo" => keys.echo = switch(key, value)?,
                "stamp" => keys.stamp = switch(key, value)?,
                "handshake" => keys.handshake = Some(switch(key, value)?),
                "group" => keys.group = Some(group(value)?),
                "iface" => keys.iface = Some(interface(value)?),
                _ if keys.ask.set(key, value)? || keys.socket.set(key, value)? => {}
                _ => {
                    let known = SERVICE_KEYS
                        .into_iter()
                        .chain(STREAM_KEYS)
                        .chain(TABLE.iter().map(|row| row.name));
                    return Err(format!("unknown key '{key}'{}", or_help(&hint(key, known))));
                }
            }
        }
        Ok(keys)
    }

    /// The service that these keys make of a listener.
    fn service(&self, scheme: Scheme, host: &Host) -> Result<Service, String> {
        let roles = usize::from(self.publish.is_some())
            + usize::from(self.subscribe.is_some())
            + usize::from(self.echo)
            + usize::from(self.stamp);
        if self.stream.is_some() {
            return Err("stream: belongs to --pull and --push; a listener says publish=NAME or \
                        subscribe=NAME"
                .to_owned());
        }
        let wanted = usize::from(!matches!(scheme, Scheme::Http | Scheme::Rtmp));
        if roles != wanted {
            return Err(if wanted == 0 {
                format!(
                    "publish, subscribe, echo and stamp are not for {}, where each request \
                     names its stream",
                    scheme.name()
                )
            } else {
                format!(
                    "{} of publish=NAME, subscribe=NAME{}: a {} listener does exactly one",
                    if roles == 0 { "none" } else { "more than one" },
                    if scheme == Scheme::Udp { ", echo and stamp" } else { " and echo" },
                    scheme.name()
                )
            });
        }
        let service = match (scheme, &self.publish, &self.subscribe) {
            (Scheme::Http, _, _) => Service::Http,
            (Scheme::Rtmp, _, _) => Service::Rtmp,
            (Scheme::Tcp, Some(name), _) => Service::TcpPublish { name: name.clone() },
            (Scheme::Tcp, None, Some(name)) => Service::TcpSubscribe { name: name.clone() },
            (Scheme::Tcp, None, None) if self.stamp => {
                return Err(
                    "stamp: STAMP (RFC 8762) goes over UDP: udp://address:port?stamp".to_owned()
                );
            }
            (Scheme::Tcp, None, None) => Service::TcpEcho,
            (Scheme::Udp, Some(name), _) => Service::UdpPublish {
                name: name.clone(),
                group: self.group.or(multicast(host)),
                iface: self.iface.clone(),
            },
            (Scheme::Udp, None, Some(name)) => Service::UdpSubscribe {
                name: name.clone(),
                handshake: self.handshake.unwrap_or(true),
            },
            (Scheme::Udp, None, None) if self.stamp => Service::UdpStamp,
            (Scheme::Udp, None, None) => Service::UdpEcho,
        };
        self.check_places(&service, host)?;
        Ok(service)
    }

    /// Refuses keys of one service on another.
    fn check_places(&self, service: &Service, host: &Host) -> Result<(), String> {
        let scope = Scope::of(service);
        if scope != Scope::UdpPublish {
            if self.group.is_some() {
                return Err("group: only on udp://..?publish=NAME".to_owned());
            }
            if self.iface.is_some() {
                return Err("iface: only on udp://..?publish=NAME and --push".to_owned());
            }
            if let Some(ip) = multicast(host) {
                return Err(format!(
                    "{ip} is a multicast group: only udp://..?publish=NAME can join one"
                ));
            }
        }
        if scope != Scope::UdpSubscribe && self.handshake.is_some() {
            return Err("handshake: only on udp://..?subscribe=NAME".to_owned());
        }
        if let Service::UdpPublish { group, iface, .. } = service {
            if group.is_none() && iface.is_some() {
                return Err("iface: says where to join a group, so group= is needed too".to_owned());
            }
            if let (Some(group), Host::Ip(ip)) = (group, host)
                && group.is_ipv4() != ip.is_ipv4()
            {
                return Err(format!("group: {group} and {ip} are not of the same IP version"));
            }
        }
        scope.check_ask(&self.ask)?;
        scope.check_socket(&self.socket)
    }
}

impl Listener {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)?;
        let keys = Keys::read(&url.query)?;
        Ok(Self {
            service: keys.service(url.scheme, &url.host)?,
            host: url.host,
            port: url.port,
            ask: keys.ask,
            socket: keys.socket,
        })
    }
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)?;
        let keys = Keys::read(&url.query)?;
        if keys.publish.is_some() || keys.subscribe.is_some() || keys.echo || keys.stamp {
            return Err("publish, subscribe, echo and stamp are for --listen; \
                        a push says stream=NAME"
                .to_owned());
        }
        let Some(name) = keys.stream else {
            return Err("which stream? write udp://address:port?stream=NAME".to_owned());
        };
        if keys.group.is_some() || keys.handshake.is_some() {
            return Err("group and handshake are for --listen; \
                        a push to a group has the group as its address"
                .to_owned());
        }
        let nowhere = matches!(&url.host, Host::Ip(ip) if ip.is_unspecified());
        if url.host == Host::Default || nowhere {
            return Err("where to? write udp://address:port?stream=NAME".to_owned());
        }
        if url.port == 0 {
            return Err("port 0 can't be sent to: write the receiver's port".to_owned());
        }
        Scope::Push.check_ask(&keys.ask)?;
        Scope::Push.check_socket(&keys.socket)?;
        Ok(Self {
            host: url.host,
            port: url.port,
            name,
            iface: keys.iface,
            ask: keys.ask,
            socket: keys.socket,
        })
    }
}

/// A hint, or where to look if there is none.
pub(super) fn or_help(hint: &str) -> &str {
    if hint.is_empty() { ": nearlight serve --help lists them" } else { hint }
}

fn multicast(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ip(ip) if ip.is_multicast() => Some(*ip),
        Host::Ip(_) | Host::Name(_) | Host::Default => None,
    }
}

fn switch(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("on" | "1") => Ok(true),
        Some("off" | "0") => Ok(false),
        Some(text) => Err(format!("{key}: '{text}' is not on, off, 1 or 0")),
    }
}

fn group(value: Option<&str>) -> Result<IpAddr, String> {
    let text = value.unwrap_or_default();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match inner.parse::<IpAddr>() {
        Ok(ip) if ip.is_multicast() => Ok(ip),
        Ok(_) | Err(_) => Err(format!(
            "group: '{text}' is not a multicast address (224.0.0.0/4 or ff00::/8), \
             such as 239.1.1.1"
        )),
    }
}

/// An interface's name (1 to 15 bytes, IFNAMSIZ in netdevice(7)) or address.
fn interface(value: Option<&str>) -> Result<String, String> {
    let text = value.unwrap_or_default();
    let named = (1..=15).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
    if named || text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!("iface: '{text}' is neither an interface's name nor its address, such as eth0"))
}

pub(super) fn stream_name(key: &str, value: Option<&str>) -> Result<Name, String> {
    let Some(name) = value else {
        return Err(format!("{key}: which stream? write {key}=NAME"));
    };
    Name::parse(name).map_err(|why| format!("{key}: {why}"))
}
