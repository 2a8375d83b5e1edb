//! Who may ask: the checks of `Host` and `Origin` that keep web pages from
//! using a server on the visitor's own machine or network.
//!
//! A page may send requests to any address that the visitor's browser reaches.
//! What it can't do is choose `Host` and `Origin`. So whatever changes or tells
//! something about the server asks for a `Host` that is an address of this
//! server (a DNS name that was pointed at it, *DNS rebinding*, is refused) and,
//! where the browser names one, an `Origin` that is this server itself.

use super::Denied;
use crate::protocol::Refusal;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The port of `http://`, RFC 9110 4.2.1.
const HTTP_PORT: u16 = 80;
/// The port of `https://`, RFC 9110 4.2.2.
const HTTPS_PORT: u16 = 443;

/// Which values of `Host` name this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Accepted beside the addresses listened on: `name`, good for any port,
    /// or `name:port`.
    pub allow_hosts: Vec<String>,
    /// The addresses listened on, with their real ports. `0.0.0.0` and `[::]`
    /// stand for every address literal; `localhost` is always one.
    pub listen: Vec<SocketAddr>,
}

/// `host [ ":" port ]` of a `Host` field, a target or an origin
/// (RFC 3986 3.2.2, 3.2.3; user information is not allowed there).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    /// In lower case.
    Name(String),
}

impl Authority {
    /// Reads an authority; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            return Some(Self {
                host: Host::Ip(IpAddr::V6(address.parse().ok()?).to_canonical()),
                port: read_port(port)?,
            });
        }
        let end = text.find(':').unwrap_or(text.len());
        let (host, port) = text.split_at(end);
        let host = match host.parse() {
            Ok(v4) => Host::Ip(IpAddr::V4(v4)),
            Err(_) if !host.is_empty() && host.bytes().all(is_name_byte) => {
                Host::Name(host.to_ascii_lowercase())
            }
            Err(_) => return None,
        };
        Some(Self { host, port: read_port(port)? })
    }

    /// Names the same host and port, if `http://` or `https://` stands before
    /// both.
    fn is_same(&self, other: &Self, default_port: u16) -> bool {
        self.host == other.host
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// `""`, `":"` or `":port"`.
fn read_port(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Some(None),
        None => None,
        Some("") => Some(None),
        // `parse` would take a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().map(Some)
        }
        Some(_) => None,
    }
}

/// What a `reg-name` is made of, RFC 3986 3.2.2, percent-encoding left out: no
/// name in use has any.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V4(v4)) => write!(f, "{v4}")?,
            Host::Ip(IpAddr::V6(v6)) => write!(f, "[{v6}]")?,
            Host::Name(name) => write!(f, "{name}")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Rules {
    /// Checks what `--allow-host` was given.
    ///
    /// # Errors
    /// Says what is accepted.
    pub fn check_allow_host(text: &str) -> Result<(), String> {
        match Authority::parse(text) {
            Some(_) => Ok(()),
            None => Err(format!(
                "'{text}' is no host; write a name or an address, alone or with :port, such as cam.example"
            )),
        }
    }

    /// Checks a request that is for this server's own pages and friends alone.
    ///
    /// # Errors
    /// [`Refusal::Host`] or [`Refusal::Origin`], and what to do about it.
    pub(super) fn check(&self, host: Option<&Authority>, origins: &[&str]) -> Result<(), Denied> {
        let Some(host) = host else {
            return Err((
                Refusal::Host,
                "this request needs a Host field that names the server".to_owned(),
            ));
        };
        let allowed = self.allows(host);
        if !allowed && !self.listens_on(host) {
            // `--allow-host` takes no port: a name is good for any.
            let name = Authority { port: None, ..host.clone() };
            return Err((
                Refusal::Host,
                format!(
                    "Host '{host}' is no address that this server listens on (DNS rebinding?); \
                     ask by address, or start the server with --allow-host {name}"
                ),
            ));
        }
        match origins {
            [] => Ok(()),
            [origin] if is_own(origin, host, allowed) => Ok(()),
            _ => Err((
                Refusal::Origin,
                "Origin is another site than this server; only its own pages may do this"
                    .to_owned(),
            )),
        }
    }

    /// A listener's own address. The port may be left out: a browser never
    /// does so for a port other than 80, so it tells nothing about rebinding,
    /// and simple clients do it.
    fn listens_on(&self, host: &Authority) -> bool {
        self.listen.iter().any(|listen| {
            let right_host = match &host.host {
                Host::Ip(ip) => listen.ip().is_unspecified() || listen.ip().to_canonical() == *ip,
                Host::Name(name) => name == "localhost",
            };
            right_host && host.port.is_none_or(|port| port == listen.port())
        })
    }

    /// Named by `--allow-host`.
    fn allows(&self, host: &Authority) -> bool {
        self.allow_hosts.iter().any(|text| {
            Authority::parse(text).is_some_and(|allowed| {
                allowed.host == host.host
                    && allowed.port.is_none_or(|port| port == host.port.unwrap_or(HTTP_PORT))
            })
        })
    }
}

/// The origin (RFC 6454 6.2) is the server that `Host` names. An `https`
/// origin is a proxy in front that ends TLS, so its name must have been
/// allowed. `null`, a page without a name, is nobody's own.
fn is_own(origin: &str, host: &Authority, allowed: bool) -> bool {
    let (rest, port) = match (strip_scheme(origin, "http://"), strip_scheme(origin, "https://")) {
        (Some(rest), _) => (rest, HTTP_PORT),
        (_, Some(rest)) if allowed => (rest, HTTPS_PORT),
        _ => return false,
    };
    Authority::parse(rest).is_some_and(|origin| origin.is_same(host, port))
}

/// Strips a scheme, which is alike in both cases (RFC 3986 3.1).
pub(super) fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let head = text.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
}
