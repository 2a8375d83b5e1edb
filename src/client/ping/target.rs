//! Who is pinged: `HOST` or `HOST:PORT`, looked up once, before anything is
//! measured, so that every kind of ping goes to the same address and no name
//! server is ever inside a round-trip time.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::PingError;

/// Which addresses of a name will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// The first that the resolver gives.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// A host to ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was given.
    pub name: String,
    /// Its address, with the port of TCP and UDP echo.
    pub address: SocketAddr,
}

/// Port of TCP and UDP echo that `nearlight serve` listens on by default.
pub const ECHO_PORT: u16 = 7007;

impl Target {
    /// Finds the address of `HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6
    /// address; without a port, [`ECHO_PORT`]. Blocks for the resolver.
    ///
    /// # Errors
    /// [`PingError::Resolve`], naming what could not be found and why.
    pub fn resolve(text: &str, family: Family) -> Result<Self, PingError> {
        Self::resolve_at(text, ECHO_PORT, family)
    }

    /// The same with another port where none is given.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_at(text: &str, port: u16, family: Family) -> Result<Self, PingError> {
        let wrong = |why: String| PingError::Resolve { name: text.to_owned(), why };
        let (host, port) = split(text, port).map_err(wrong)?;
        let fits = |address: &SocketAddr| match family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        };
        let found: Vec<SocketAddr> = (host, port)
            .to_socket_addrs()
            .map_err(|error| {
                let why = error.to_string();
                let marker = "failed to lookup address information: ";
                wrong(why.strip_prefix(marker).unwrap_or(&why).to_owned())
            })?
            .collect();
        let address = found.iter().copied().find(fits);
        address.map_or_else(
            || {
                Err(wrong(match family {
                    Family::V4 => "it has no IPv4 address; leave -4 out".to_owned(),
                    Family::V6 => "it has no IPv6 address; leave -6 out".to_owned(),
                    Family::Any => "it has no address".to_owned(),
                }))
            },
            |address| Ok(Self { name: text.to_owned(), address }),
        )
    }

    /// The address without its port.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// The address without its port as `ping` takes it: a link-local IPv6
    /// address has its scope behind a `%`.
    pub fn host(&self) -> String {
        match self.address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                format!("{}%{}", v6.ip(), v6.scope_id())
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => self.ip().to_string(),
        }
    }
}

fn split(text: &str, usual: u16) -> Result<(&str, u16), String> {
    let wrong_port = |port: &str| format!("'{port}' is not a port: write a number from 1 to 65535");
    let port = |digits: &str| match digits.parse::<u16>() {
        Ok(0) | Err(_) => Err(wrong_port(digits)),
        Ok(port) => Ok(port),
    };
    if text.is_empty() {
        return Err("the name of the host is empty".to_owned());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("'[' without ']': write [IPv6]:PORT")?;
        return match rest.strip_prefix(':') {
            Some(digits) => Ok((host, port(digits)?)),
            None if rest.is_empty() => Ok((host, usual)),
            None => Err("after ']' comes ':PORT' or nothing".to_owned()),
        };
    }
    let scopeless = text.split('%').next().unwrap_or(text);
    if scopeless.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, usual));
    }
    match text.split_once(':') {
        Some((host, digits)) => Ok((host, port(digits)?)),
        None => Ok((text, usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:7007"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("::1", "[::1]:7007"),
            ("[::1]", "[::1]:7007"),
            ("[::1]:9", "[::1]:9"),
        ] {
            let target = Target::resolve(text, Family::Any).expect(text);
            assert_eq!(target.address.to_string(), address);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, family, part) in [
            ("", Family::Any, "empty"),
            ("127.0.0.1:0", Family::Any, "not a port"),
            ("127.0.0.1:http", Family::Any, "not a port"),
            ("[::1", Family::Any, "without ']'"),
            ("[::1]9", Family::Any, "after ']'"),
            ("127.0.0.1", Family::V6, "no IPv6"),
            ("::1", Family::V4, "no IPv4"),
        ] {
            let error = Target::resolve(text, family).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
