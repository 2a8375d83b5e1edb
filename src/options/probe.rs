//! What this kernel grants: every option tried on throw-away sockets, for
//! `nearlight options`. Nothing is sent, and nobody can connect.

use super::apply::Socket;
use super::table::{Opt, Row, TABLE};
use super::value::Value;
use super::{Granted, OptionError, SocketOptions, Transport};
use socket2::{Domain, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

/// One option and what became of it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The option.
    pub row: &'static Row,
    /// On a TCP listener.
    pub tcp: Trial,
    /// On a UDP socket, if those have it.
    pub udp: Option<Trial>,
}

/// One option tried on one socket.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What an untouched socket has; empty if that can't be read.
    pub untouched: String,
    /// What was asked for (the default, or a typical value) and granted.
    pub outcome: Result<Granted, OptionError>,
}

/// Tries every option on sockets made for it.
///
/// # Errors
/// No socket can be made.
pub fn describe() -> io::Result<Vec<Probe>> {
    TABLE
        .iter()
        .map(|row| {
            Ok(Probe {
                row,
                tcp: trial(row, Transport::Tcp)?,
                udp: row.udp.then(|| trial(row, Transport::Udp)).transpose()?,
            })
        })
        .collect()
}

fn trial(row: &'static Row, transport: Transport) -> io::Result<Trial> {
    let kind = match transport {
        Transport::Tcp => Type::STREAM,
        Transport::Udp => Type::DGRAM,
    };
    let socket = socket2::Socket::new(Domain::IPV4, kind.cloexec(), None)?;
    let default = match transport {
        Transport::Tcp => row.default_tcp,
        Transport::Udp => row.default_udp,
    };
    let text = if default.is_empty() { row.sample } else { default };
    let value = Value::parse(row, Some(text)).expect("a test parses every default and sample");
    if row.opt == Opt::Backlog {
        let options = SocketOptions::one(row, value);
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(libc::SOMAXCONN)?;
        let untouched = read_untouched(&socket, row);
        socket.listen(options.backlog())?;
        let outcome = options.confirm_listening(socket.as_fd());
        return Ok(Trial { untouched, outcome: outcome.map(|mut granted| granted.remove(0)) });
    }
    Ok(Trial {
        untouched: read_untouched(&socket, row),
        outcome: Socket::of(&socket).and_then(|socket| socket.grant(row, &value)),
    })
}

fn read_untouched(socket: &socket2::Socket, row: &Row) -> String {
    Socket::of(socket).ok().and_then(|socket| socket.read_text(row).ok()).unwrap_or_default()
}

impl SocketOptions {
    /// One option alone.
    pub(super) fn one(row: &Row, value: Value) -> Self {
        let mut options = Self::default();
        options.values[row.opt as usize] = Some(value);
        options
    }
}
