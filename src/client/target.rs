//! Where a client publishes to or subscribes from: `tcp://A:P`, `udp://A:P`,
//! `http://A:P/NAME`, `ws://A:P/NAME`.

use super::error::{ClientError, ClientResult};
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// How to speak to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Payload bytes alone.
    Tcp,
    /// Datagrams.
    Udp,
    /// `PUT` or `GET`.
    Http,
    /// WebSocket, binary messages.
    Ws,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Ws => "ws",
        }
    }
}

/// A parsed URL. [`fmt::Display`] writes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    /// IPv4 or IPv6 address or name; IPv6 without brackets.
    host: String,
    port: u16,
    /// `/NAME?query`; empty for TCP and UDP.
    path: String,
}

impl Target {
    /// A TCP or UDP target at `addr`.
    pub fn at(scheme: Scheme, addr: SocketAddr) -> Self {
        let path = match scheme {
            Scheme::Tcp | Scheme::Udp => String::new(),
            Scheme::Http | Scheme::Ws => "/".to_owned(),
        };
        Self { scheme, host: addr.ip().to_string(), port: addr.port(), path }
    }

    /// Reads `http://ADDR:PORT/PATH` of any server; the path may be empty.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn of_server(url: &str) -> ClientResult<Self> {
        let target = parse(url, false).and_then(|target| match target.scheme {
            Scheme::Http => Ok(target),
            Scheme::Tcp | Scheme::Udp | Scheme::Ws => Err("another scheme"),
        });
        target.map_err(|why| {
            ClientError::Target(format!("'{url}': {why}; write http://ADDR:PORT/PATH"))
        })
    }

    /// How to speak to it.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Address or name, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The request target, query included; empty for TCP and UDP.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `host:port` as in a URL and in HTTP's `Host`.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The addresses that it stands for; a name is looked up, which takes as
    /// long as the resolver takes.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn addrs(&self) -> ClientResult<Vec<SocketAddr>> {
        let failed = |source| ClientError::io(format!("look up {}", self.host), source);
        let addrs: Vec<_> =
            (self.host.as_str(), self.port).to_socket_addrs().map_err(failed)?.collect();
        if addrs.is_empty() {
            let why = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(failed(why));
        }
        Ok(addrs)
    }
}

impl FromStr for Target {
    type Err = ClientError;

    fn from_str(url: &str) -> ClientResult<Self> {
        parse(url, true).map_err(|why| {
            ClientError::Target(format!(
                "'{url}': {why}; write tcp://ADDR:PORT, udp://ADDR:PORT, http://ADDR:PORT/NAME or ws://ADDR:PORT/NAME"
            ))
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority(), self.path)
    }
}

/// `named`: an HTTP path is the name of a stream, so there has to be one.
fn parse(url: &str, named: bool) -> Result<Target, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let schemes = [Scheme::Tcp, Scheme::Udp, Scheme::Http, Scheme::Ws];
    let scheme = schemes
        .into_iter()
        .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
        .ok_or("no such scheme")?;
    // RFC 9112 3.2: a request target has neither spaces nor control
    // characters, and a line break in it would begin a header.
    if !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("characters that must be percent-encoded");
    }
    if rest.contains('#') {
        return Err("a fragment means nothing here");
    }
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let path = match scheme {
        Scheme::Tcp | Scheme::Udp if path.is_empty() || path == "/" => "",
        Scheme::Tcp | Scheme::Udp => return Err("a path or query means nothing here"),
        Scheme::Http | Scheme::Ws if named && (path.len() < 2 || path.starts_with('?')) => {
            return Err("the stream's name is missing");
        }
        Scheme::Http | Scheme::Ws if path.is_empty() => "/",
        Scheme::Http | Scheme::Ws => path,
    };
    let (host, port) = host_and_port(authority)?;
    Ok(Target { scheme, host: host.to_owned(), port, path: path.to_owned() })
}

fn host_and_port(authority: &str) -> Result<(&str, u16), &'static str> {
    if authority.contains('@') {
        return Err("user and password are not sent");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("no ']' after the address")?;
            let port = port.strip_prefix(':').ok_or("no port")?;
            host.parse::<Ipv6Addr>().map_err(|_| "no IPv6 address in the brackets")?;
            (host, port)
        }
        None => authority.rsplit_once(':').ok_or("no port")?,
    };
    if host.is_empty() {
        return Err("no address");
    }
    if !authority.starts_with('[') && host.contains(':') {
        return Err("an IPv6 address needs brackets");
    }
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().map_err(|_| "no such port")?;
    if !digits {
        return Err("no such port");
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written_back() {
        let right = [
            ("tcp://127.0.0.1:9000", Scheme::Tcp, "127.0.0.1", 9000, ""),
            ("udp://[::1]:0", Scheme::Udp, "::1", 0, ""),
            (
                "http://localhost:8080/live/cam.ts?wait=10s",
                Scheme::Http,
                "localhost",
                8080,
                "/live/cam.ts?wait=10s",
            ),
            ("ws://[fe80::1]:65535/a", Scheme::Ws, "fe80::1", 65535, "/a"),
        ];
        for (url, scheme, host, port, path) in right {
            let target: Target = url.parse().expect(url);
            let found = (target.scheme(), target.host(), target.port(), target.path());
            assert_eq!(found, (scheme, host, port, path));
            assert_eq!(target.to_string(), url);
        }
        let slash: Target = "TCP://a:1/".parse().expect("a lone slash is no path");
        assert_eq!(slash.to_string(), "tcp://a:1");
        let addr = "[::1]:7".parse().expect("address");
        assert_eq!(Target::at(Scheme::Tcp, addr).to_string(), "tcp://[::1]:7");
        assert_eq!(Target::at(Scheme::Tcp, addr).addrs().expect("no look-up"), [addr]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, why) in [
            ("127.0.0.1:9000", "no scheme"),
            ("rtmp://a:1", "no such scheme"),
            ("tcp://a", "no port"),
            ("tcp://:1", "no address"),
            ("tcp://a:65536", "no such port"),
            ("tcp://a:+1", "no such port"),
            ("tcp://a:", "no such port"),
            ("tcp://::1:9000", "needs brackets"),
            ("tcp://[::1]", "no port"),
            ("tcp://[::1", "no ']'"),
            ("tcp://[a]:1", "no IPv6 address"),
            ("tcp://a:1/x", "path"),
            ("udp://a:1?x", "path"),
            ("http://a:1", "name is missing"),
            ("http://a:1/", "name is missing"),
            ("http://a:1?x", "name is missing"),
            ("http://u:p@a:1/x", "user"),
            ("http://a:1/x#y", "fragment"),
            ("http://a:1/x y", "percent-encoded"),
            ("http://a:1/x\r\nHost: b", "percent-encoded"),
        ] {
            let error = url.parse::<Target>().expect_err(url).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
