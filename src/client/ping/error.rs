//! Why one kind of ping could not be had, or ended, in words that say what to
//! do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::units::format_duration;
use crate::sys::icmp::IcmpError;

use super::complaint::Complaint;
use super::{Kind, Refusal};

/// Why one kind of ping could not be had, or ended.
#[derive(Debug)]
pub enum PingError {
    /// The name has no address.
    Resolve {
        /// As it was given.
        name: String,
        /// The resolver's or our reason.
        why: String,
    },
    /// ICMP is not permitted; the text says how to permit it.
    Permission(Box<Refusal>),
    /// This host has no route to the address, or its family is off here.
    Unreachable(io::Error),
    /// The machine answers, and nothing listens on the port.
    Refused(SocketAddr),
    /// No answer to the connection request.
    Timeout {
        /// Where.
        address: SocketAddr,
        /// How long we waited.
        after: Duration,
    },
    /// The peer closed the connection.
    Closed(SocketAddr),
    /// The port sends back something that is not what was sent.
    NotEcho(SocketAddr),
    /// The server's answers can't be timed.
    NotHttp {
        /// Where.
        address: SocketAddr,
        /// What is wrong with them.
        why: String,
    },
    /// The server does not take what is published there.
    NoPublisher(SocketAddr),
    /// The peer takes nothing more: it does not read.
    Stuck(SocketAddr),
    /// There is no `ping` to run.
    NotInstalled,
    /// There is a `ping` that we can't read; what it says to `-V`.
    UnknownPing(String),
    /// The system's `ping` complained and gave up; its words.
    System(String),
    /// Any other failure of a call, and which.
    Io {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
}

impl PingError {
    /// Whether the user has something to set right (exit code 2), as against a
    /// target that doesn't answer (exit code 1).
    pub fn is_setup(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::NotInstalled
            | Self::UnknownPing(_)
            | Self::Permission(_)
            | Self::Unreachable(_) => true,
            Self::System(words) => Complaint::of(words).is_setup(),
            Self::Refused(_)
            | Self::Timeout { .. }
            | Self::Closed(_)
            | Self::NotEcho(_)
            | Self::NotHttp { .. }
            | Self::NoPublisher(_)
            | Self::Stuck(_)
            | Self::Io { .. } => false,
        }
    }

    /// Whether it is a permission that is missing.
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Permission(_) => true,
            Self::System(words) => Complaint::of(words) == Complaint::NotPermitted,
            Self::Resolve { .. }
            | Self::NotInstalled
            | Self::UnknownPing(_)
            | Self::Unreachable(_)
            | Self::Refused(_)
            | Self::Timeout { .. }
            | Self::Closed(_)
            | Self::NotEcho(_)
            | Self::NotHttp { .. }
            | Self::NoPublisher(_)
            | Self::Stuck(_)
            | Self::Io { .. } => false,
        }
    }

    /// Why there is no ICMP socket.
    pub(super) fn icmp(error: IcmpError) -> Self {
        match error {
            IcmpError::Refused { v6, raw, datagram } => {
                Self::Permission(Box::new(Refusal::new(v6, raw.as_ref(), datagram.as_ref())))
            }
            IcmpError::Unreachable(error) => Self::Unreachable(error),
        }
    }

    /// What failed when connecting to `address`, told apart.
    pub(super) fn connecting(address: SocketAddr, after: Duration, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            Self::Refused(address)
        } else if error.kind() == io::ErrorKind::TimedOut {
            Self::Timeout { address, after }
        } else if is_no_way(&error) {
            Self::Unreachable(error)
        } else {
            Self::Io { what: "connect", error }
        }
    }

    /// What ended a connection to `address`.
    pub(super) fn writing(address: SocketAddr, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::OutOfMemory {
            Self::Stuck(address)
        } else {
            Self::Closed(address)
        }
    }

    /// What it is in a word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Permission(_) => "permission",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Timeout { .. } => "timeout",
            Self::Closed(_) => "closed",
            Self::NotEcho(_) => "not_echo",
            Self::NotHttp { .. } => "not_http",
            Self::NoPublisher(_) => "no_publisher",
            Self::Stuck(_) => "stuck",
            Self::NotInstalled => "not_installed",
            Self::UnknownPing(_) => "unknown_ping",
            Self::System(words) => Complaint::of(words).word(),
            Self::Io { .. } => "io",
        }
    }

    /// The error of running `ping` at all.
    pub(super) fn spawning(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            return Self::NotInstalled;
        }
        if error.kind() == io::ErrorKind::PermissionDenied {
            // execve(2) refuses a file whose capabilities the process can't
            // have, with the same number as any other permission.
            return Self::System(
                "permission denied to run it: either the file can't be executed, or its \
                 capability cap_net_raw is not to be had here (in a container: --cap-add NET_RAW)"
                    .to_owned(),
            );
        }
        Self::Io { what: "run ping", error }
    }

    /// How to start what a kind of echo needs, as a line of advice.
    pub const fn advice(kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Tcp | Kind::Udp | Kind::Echo => Some(
                "to measure echo too, run `nearlight serve` there (echo is on loopback, port \
                 7007), or name a port that echoes: HOST:PORT",
            ),
            Kind::System | Kind::Icmp | Kind::Relay | Kind::App | Kind::Stamp => None,
        }
    }
}

impl fmt::Display for PingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { name, why } => write!(f, "can't find host '{name}': {why}"),
            Self::Permission(refusal) => refusal.fmt(f),
            Self::Unreachable(error) => {
                write!(f, "no way from here to the target: {}; ", io_text(error))?;
                f.write_str(way_there(error))
            }
            Self::Refused(address) => {
                write!(f, "nothing listens on {address} (connection refused)")
            }
            Self::Timeout { address, after } => write!(
                f,
                "{address} does not answer within {}: it is down, or a firewall drops packets \
                 to this port",
                format_duration(*after)
            ),
            Self::Closed(address) => write!(f, "{address} closed the connection"),
            Self::NotEcho(address) => write!(
                f,
                "{address} answers, but not with what was sent: it is no echo port (RFC 862)"
            ),
            Self::NotHttp { address, why } => {
                write!(f, "{address}: HTTP on one connection can't be timed: {why}")
            }
            Self::NoPublisher(address) => write!(
                f,
                "{address} closed the connection that publishes: it takes no stream, or another \
                 publisher has the name"
            ),
            Self::Stuck(address) => write!(f, "{address} does not read what is sent to it"),
            Self::NotInstalled => f.write_str(
                "ping is not installed: apt-get install iputils-ping (dnf install iputils, \
                 apk add iputils)",
            ),
            Self::UnknownPing(answer) => write!(
                f,
                "the installed ping is none of iputils, busybox, inetutils and BSD, which can be \
                 read (ping -V says: {answer}): apt-get install iputils-ping"
            ),
            Self::System(complaint) => write!(f, "the system's ping says: {complaint}"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for PingError {}

/// Whether this host itself finds no way: no route, no address, no such family.
fn is_no_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NetworkUnreachable
        || error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// How to find a way.
fn way_there(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        // Over IPv4 this is a route that is missing.
        Some(libc::EADDRNOTAVAIL) => {
            "no interface that is up has an IPv6 address to send from (`ip -6 address`): `sudo \
             sysctl -w net.ipv6.conf.all.disable_ipv6=0` if it is off, or -4 without it"
        }
        Some(libc::EAFNOSUPPORT) => {
            "this kernel runs without that kind of address: choose the other by -4 or -6"
        }
        Some(_) | None => {
            "`ip link` shows whether an interface is down (`sudo ip link set lo up` for \
             loopback), `ip route get ADDRESS` whether a route is missing"
        }
    }
}

/// The error's words, without "(os error N)".
pub(super) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
