//! What a server is asked to do, as types: the command line and the
//! configuration file are parsed into this once, and nothing is parsed later.

use crate::options::SocketOptions;
use crate::protocol::{Ask, Container, Name};
use crate::report::Over;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Everything that `nearlight serve` was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Listeners, in the order given.
    pub listeners: Vec<Listen>,
    /// Streams to push over UDP, whether or not anyone asks.
    pub pushes: Vec<Push>,
    /// Streams to pull, and to push over connections.
    pub dials: Vec<Dial>,
    /// Cores to pin one shard each to; empty: one shard, not pinned.
    pub cpus: Vec<usize>,
    /// What a shard does with no work.
    pub idle: Idle,
    /// Values of `Host` accepted beside the addresses listened on.
    pub allow_hosts: Vec<String>,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The URL as given; with the real port it is printed on stdout.
    pub url: String,
    /// Where to bind; port 0 lets the kernel choose.
    pub addr: SocketAddr,
    /// What it does.
    pub service: Service,
    /// Stream keys, the global flags merged in.
    pub ask: Ask,
    /// Socket options, the defaults and the global flags merged in.
    pub socket: SocketOptions,
}

/// What a listener does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// `tcp://..?publish=NAME`
    TcpPublish {
        /// The stream that clients publish.
        name: Name,
    },
    /// `tcp://..?subscribe=NAME`
    TcpSubscribe {
        /// The stream that clients get.
        name: Name,
    },
    /// `tcp://..?echo`
    TcpEcho,
    /// `udp://..?echo`
    UdpEcho,
    /// `udp://..?stamp`
    UdpStamp,
    /// `udp://..?publish=NAME`
    UdpPublish {
        /// The stream that the datagrams are.
        name: Name,
        /// `group=`: multicast group to join.
        group: Option<IpAddr>,
        /// `iface=`: interface, by name or address, to join it on.
        iface: Option<String>,
    },
    /// `udp://..?subscribe=NAME`
    UdpSubscribe {
        /// The stream that joiners get.
        name: Name,
        /// False with `handshake=off`: no token is asked for.
        handshake: bool,
    },
    /// `http://..`
    Http,
    /// `rtmp://..`
    Rtmp,
    /// `--pull` or `--push` over a connection that we make: nothing listens.
    Dial(Over),
}

impl Service {
    /// Whether what comes in on it can be a stream.
    pub const fn publishes(&self) -> bool {
        match self {
            Self::TcpPublish { .. } | Self::UdpPublish { .. } | Self::Http | Self::Rtmp => true,
            Self::TcpSubscribe { .. } | Self::UdpSubscribe { .. } | Self::Dial(_) => false,
            Self::TcpEcho | Self::UdpEcho | Self::UdpStamp => false,
        }
    }

    /// By what a stream comes in or goes out there, unless it is upgraded.
    pub const fn over(&self) -> Over {
        match self {
            Self::TcpPublish { .. } | Self::TcpSubscribe { .. } | Self::TcpEcho => Over::Tcp,
            Self::UdpPublish { .. } | Self::UdpSubscribe { .. } => Over::Udp,
            Self::UdpEcho | Self::UdpStamp => Over::Udp,
            Self::Http => Over::Http,
            Self::Rtmp => Over::Rtmp,
            Self::Dial(over) => *over,
        }
    }

    /// Whether it is served over TCP.
    pub const fn is_tcp(&self) -> bool {
        match self {
            Self::TcpPublish { .. } | Self::TcpSubscribe { .. } | Self::TcpEcho => true,
            Self::Http | Self::Rtmp | Self::Dial(_) => true,
            Self::UdpEcho | Self::UdpStamp => false,
            Self::UdpPublish { .. } | Self::UdpSubscribe { .. } => false,
        }
    }
}

/// One `--push udp://A:P?stream=NAME`.
#[derive(Clone, Debug)]
pub struct Push {
    /// The URL as given.
    pub url: String,
    /// Where to send: unicast, or a multicast group.
    pub to: SocketAddr,
    /// The stream to send.
    pub name: Name,
    /// `iface=`: interface, by name or address, to send multicast on.
    pub iface: Option<String>,
    /// Stream keys.
    pub ask: Ask,
    /// Socket options; `ttl` is one of them.
    pub socket: SocketOptions,
}

/// One `--pull URL`, or `--push URL` over a connection that we make.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The URL as given, but for its password.
    pub url: String,
    /// Which way the stream goes.
    pub way: Way,
    /// Whom to connect to.
    pub target: Target,
    /// What the stream is called here.
    pub name: Name,
    /// Stream keys.
    pub ask: Ask,
    /// Socket options.
    pub socket: SocketOptions,
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From there: it is published here.
    Pull,
    /// There, as to a subscriber.
    Push,
}

/// Whom a dialer connects to, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub via: Via,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query of the request, nothing of ours in it; `/` on TCP.
    pub path: String,
    /// `user:password`.
    pub login: Option<String>,
}

/// How a dialer speaks to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The stream's bytes and nothing else.
    Tcp,
    /// `GET`, or such a request with a body in chunks.
    Http {
        /// `PUT` pushes, rather than `POST`.
        put: bool,
    },
    /// `play`, or `publish`.
    Rtmp,
}

impl Via {
    /// What a stream goes over then.
    pub const fn over(self) -> Over {
        match self {
            Self::Tcp => Over::Tcp,
            Self::Http { .. } => Over::Http,
            Self::Rtmp => Over::Rtmp,
        }
    }
}

impl Target {
    /// The container that is pushed there: the path of a request may name one.
    pub fn container(&self) -> Option<Container> {
        let path = self.path.split('?').next().unwrap_or_default();
        match self.via {
            Via::Http { .. } if path.ends_with(".ts") => Some(Container::Ts),
            Via::Http { .. } if path.ends_with(".flv") => Some(Container::Flv),
            Via::Http { .. } | Via::Tcp => None,
            Via::Rtmp => Some(Container::Flv),
        }
    }

    /// What the path of an RTMP target says: the application, and the stream's key
    /// with what is behind it.
    pub fn app_and_key(&self) -> (&str, &str) {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let end = path.find('?').unwrap_or(path.len());
        match path[..end].rfind('/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..end], &path[end..]),
        }
    }

    /// `host:port` as in a URL and in HTTP's `Host`.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}

/// What a shard does with no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Sleep in the kernel until something happens.
    Block,
    /// Never sleep: poll again and again.
    Spin,
    /// Spin for this long after the last work, then sleep.
    Adaptive(Duration),
}
