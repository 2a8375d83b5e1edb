//! The syntax of listener and push URLs: `scheme://addr:port[?key=value&...]`.
//!
//! This is not RFC 3986: there are no paths, users or fragments, a key may
//! stand alone, and what is wrong is said in the words of the person who typed
//! it. Percent-encoding is the RFC's (section 2.1); `+` is a plus.

use super::suggest::hint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// The first part of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Tcp,
    Udp,
    Http,
    Rtmp,
}

/// An address that is not yet looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Left out: `--host` or loopback.
    Default,
    Ip(IpAddr),
    /// A name, letters as given.
    Name(String),
}

/// A URL taken apart; keys and values percent-decoded, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) query: Vec<(String, Option<String>)>,
}

impl Scheme {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Rtmp => "rtmp",
        }
    }
}

impl Url {
    /// Takes `text` apart. Looks nothing up.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("not a URL: write scheme://address:port?key=value, \
                        such as tcp://127.0.0.1:9000?publish=live"
                .to_owned());
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Scheme::Tcp,
            "udp" => Scheme::Udp,
            "http" => Scheme::Http,
            "rtmp" if cfg!(feature = "rtmp") => Scheme::Rtmp,
            "rtmp" => {
                return Err(
                    "rtmp:// is not in this build: it was made without feature rtmp".to_owned()
                );
            }
            _ => {
                return Err(format!(
                    "unknown scheme '{scheme}'{}: write tcp://, udp://, http:// or rtmp://",
                    hint(scheme, ["tcp", "udp", "http", "rtmp"])
                ));
            }
        };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, query),
            None => (rest, ""),
        };
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains('/') {
            return Err("a listener has no path: name the stream in the query (publish=NAME, \
                 subscribe=NAME); on http and rtmp each request names it"
                .to_owned());
        }
        let (host, port) = parse_place(place)?;
        Ok(Self { scheme, host, port, query: parse_query(query)? })
    }
}

pub(super) fn parse_place(place: &str) -> Result<(Host, u16), String> {
    let example = "write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000";
    // The colons of an address in brackets are none of ours.
    let address_end = place.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = place[address_end..].rfind(':') else {
        return Err(format!("'{place}' has no port: {example}"));
    };
    let (host, port) = place.split_at(address_end + colon);
    let port = &port[1..];
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("'{port}' is not a port: {example}"));
    }
    let port =
        port.parse().map_err(|_| format!("port {port} is too large: the largest is 65535"))?;
    Ok((Host::parse(host)?, port))
}

impl Host {
    /// Reads an address or name; IPv6 in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Default);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let ip = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            return ip.map(|ip| Self::Ip(ip.into())).ok_or_else(|| {
                format!("'{text}' is not an IPv6 address in brackets, such as [::1]")
            });
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(format!("write the IPv6 address in brackets: [{text}]"));
        }
        check_host_name(text)?;
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::Ip(Ipv4Addr::LOCALHOST.into()));
        }
        Ok(Self::Name(text.to_owned()))
    }

    /// The address, looked up if it is a name: the first one counts. `default`
    /// stands for an address left out.
    pub(super) fn resolve(&self, port: u16, default: IpAddr) -> Result<SocketAddr, String> {
        match self {
            Self::Default => Ok(SocketAddr::new(default, port)),
            Self::Ip(ip) => Ok(SocketAddr::new(*ip, port)),
            Self::Name(name) => (name.as_str(), port)
                .to_socket_addrs()
                .map_err(|error| format!("the name '{name}' can't be looked up: {error}"))?
                .next()
                .ok_or_else(|| format!("the name '{name}' has no address")),
        }
    }
}

/// Letters, digits, `-`, `_` and dots between labels of 1 to 63 bytes; a last
/// label of digits alone is a mistyped IPv4 address.
pub(super) fn check_host_name(text: &str) -> Result<(), String> {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let named = text.strip_suffix('.').unwrap_or(text);
    let last = named.rsplit('.').next().unwrap_or_default();
    let plain = named.len() <= 253 && named.split('.').all(label_ok);
    if !plain || last.bytes().all(|b| b.is_ascii_digit()) {
        let all =
            if text == "*" { "; every address of the machine is 0.0.0.0 or [::]" } else { "" };
        return Err(format!("'{text}' is neither an address nor a name{all}"));
    }
    Ok(())
}

fn parse_query(query: &str) -> Result<Vec<(String, Option<String>)>, String> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let mut pairs: Vec<(String, Option<String>)> = Vec::new();
    for pair in query.split('&') {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) => (key, Some(percent_decode(value)?)),
            None => (pair, None),
        };
        let key = percent_decode(key)?.replace('-', "_");
        if key.is_empty() {
            return Err("a key is missing beside '&' or '=': write ?key=value&key=value".to_owned());
        }
        if pairs.iter().any(|(seen, _)| *seen == key) {
            return Err(format!("{key}: given twice"));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

pub(super) fn percent_decode(text: &str) -> Result<String, String> {
    let wrong = |what: &str| format!("'{text}': {what}");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            rest.next()
                .and_then(|b| char::from(b).to_digit(16))
                .ok_or_else(|| wrong("after % come two hexadecimal digits; % itself is %25"))
        };
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| wrong("not UTF-8 once decoded"))
}

/// `url` with the real port in place of the one given: what `listening` lines
/// show when port 0 let the kernel choose. `url` must be one that was parsed.
pub fn with_port(url: &str, port: u16) -> String {
    let query = url.find('?').unwrap_or(url.len());
    let (place, query) = url.split_at(query);
    match place.rfind(':') {
        Some(colon) => {
            let slash = if place.ends_with('/') { "/" } else { "" };
            format!("{}:{port}{slash}{query}", &place[..colon])
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn urls_are_taken_apart() {
        let url = parsed("tcp://127.0.0.1:9000?publish=live%2Fcam&no-delay&x=");
        assert_eq!(url.scheme, Scheme::Tcp);
        assert_eq!(url.host, Host::Ip(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(url.port, 9000);
        assert_eq!(
            url.query,
            [
                ("publish".to_owned(), Some("live/cam".to_owned())),
                ("no_delay".to_owned(), None),
                ("x".to_owned(), Some(String::new())),
            ]
        );
        assert_eq!(parsed("http://:0").host, Host::Default);
        assert_eq!(parsed("HTTP://:8080/").scheme, Scheme::Http);
        assert_eq!(parsed("udp://[::1]:5?echo").host, Host::Ip(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(parsed("udp://localhost:5").host, Host::Ip(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(
            parsed("udp://cam-1.example.org:65535").host,
            Host::Name("cam-1.example.org".to_owned())
        );
        assert_eq!(parsed("tcp://:1?a=b?c=d").query[0].1.as_deref(), Some("b?c=d"));
        assert_eq!(parsed("tcp://:1?").query, []);
        assert_eq!(parsed("tcp://:1?a=1+1").query[0].1.as_deref(), Some("1+1"));
    }

    const WRONG: &[(&str, &str)] = &[
        (
            "127.0.0.1:9000",
            "not a URL: write scheme://address:port?key=value, such as \
                 tcp://127.0.0.1:9000?publish=live",
        ),
        (
            "htp://:80",
            "unknown scheme 'htp'; did you mean 'http'?: write tcp://, udp://, http:// or rtmp://",
        ),
        ("gopher://:70", "unknown scheme 'gopher': write tcp://, udp://, http:// or rtmp://"),
        (
            "tcp://127.0.0.1",
            "'127.0.0.1' has no port: write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000",
        ),
        (
            "tcp://",
            "'' has no port: write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000",
        ),
        (
            "tcp://[::1]",
            "'[::1]' has no port: write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000",
        ),
        (
            "tcp://:",
            "'' is not a port: write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000",
        ),
        (
            "tcp://:+80",
            "'+80' is not a port: write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000",
        ),
        (
            "tcp://:80#x",
            "'80#x' is not a port: write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000",
        ),
        ("tcp://:65536", "port 65536 is too large: the largest is 65535"),
        ("tcp://::1:80", "write the IPv6 address in brackets: [::1]"),
        ("tcp://[::1:80", "'[::1' is not an IPv6 address in brackets, such as [::1]"),
        ("tcp://[::g]:80", "'[::g]' is not an IPv6 address in brackets, such as [::1]"),
        (
            "tcp://*:80",
            "'*' is neither an address nor a name; every address of the machine is \
                 0.0.0.0 or [::]",
        ),
        ("tcp://127.0.0.256:80", "'127.0.0.256' is neither an address nor a name"),
        ("tcp://me@host:80", "'me@host' is neither an address nor a name"),
        (
            "http://:80/live",
            "a listener has no path: name the stream in the query (publish=NAME, \
                 subscribe=NAME); on http and rtmp each request names it",
        ),
        ("tcp://:80?a&&b", "a key is missing beside '&' or '=': write ?key=value&key=value"),
        ("tcp://:80?max_lag=1s&max-lag=2s", "max_lag: given twice"),
        ("tcp://:80?a=%4", "'%4': after % come two hexadecimal digits; % itself is %25"),
        ("tcp://:80?a=%+4", "'%+4': after % come two hexadecimal digits; % itself is %25"),
        ("tcp://:80?a=%ff", "'%ff': not UTF-8 once decoded"),
    ];

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in WRONG {
            assert_eq!(Url::parse(text).expect_err(text), *expected, "{text}");
        }
    }

    #[test]
    fn the_real_port_takes_the_place_of_the_one_given() {
        for (url, expected) in [
            ("http://:0", "http://:7"),
            ("http://:0/", "http://:7/"),
            ("tcp://[::1]:0?publish=a", "tcp://[::1]:7?publish=a"),
            ("udp://h:9?group=[ff02::1]&a=:5", "udp://h:7?group=[ff02::1]&a=:5"),
        ] {
            assert_eq!(with_port(url, 7), expected);
        }
    }

    #[test]
    fn addresses_left_out_are_the_default() {
        let default = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(Host::Default.resolve(5, default), Ok(SocketAddr::from(([10, 0, 0, 1], 5))));
        assert_eq!(
            Host::Ip(Ipv4Addr::LOCALHOST.into()).resolve(0, default),
            Ok(SocketAddr::from(([127, 0, 0, 1], 0)))
        );
    }
}
