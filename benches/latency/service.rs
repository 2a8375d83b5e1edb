//! What is measured: a service, asked of the server by its command line and
//! of a floor by an argument.

use crate::frame::Shape;

/// What the process under test does with no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// It asks again and again.
    Spin,
    /// It sleeps in the kernel.
    Block,
}

impl Idle {
    /// As `--idle` has it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Block => "block",
        }
    }
}

/// What is asked of the process under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// 64 bytes come back over TCP.
    TcpEcho,
    /// 64 bytes come back over UDP.
    UdpEcho,
    /// Frames go from one TCP publisher to some TCP subscribers.
    Relay {
        /// What a frame looks like.
        shape: Shape,
        /// How many get it.
        subscribers: usize,
    },
}

impl Service {
    /// What its frames look like.
    pub(crate) const fn shape(self) -> Shape {
        match self {
            Self::TcpEcho | Self::UdpEcho => Shape::Small,
            Self::Relay { shape, .. } => shape,
        }
    }

    /// Frames delivered for each one sent.
    pub(crate) const fn copies(self) -> usize {
        match self {
            Self::TcpEcho | Self::UdpEcho => 1,
            Self::Relay { subscribers, .. } => subscribers,
        }
    }

    /// In a table.
    pub(crate) fn title(self) -> String {
        match self {
            Self::TcpEcho => "TCP echo 64 B".to_owned(),
            Self::UdpEcho => "UDP echo 64 B".to_owned(),
            Self::Relay { shape, subscribers } => {
                format!("relay {} B 1->{subscribers}", shape.len())
            }
        }
    }

    /// Arguments of `nearlight` for it; `key` is one more of the listener that
    /// takes what is sent.
    pub(crate) fn server_args(self, idle: Idle, key: &str, cpu: usize, cc: &str) -> Vec<String> {
        let mut urls = match self {
            Self::TcpEcho => vec![format!("tcp://127.0.0.1:0?echo&cc={cc}")],
            Self::UdpEcho => vec!["udp://127.0.0.1:0?echo".to_owned()],
            Self::Relay { shape, .. } => vec![
                format!("tcp://127.0.0.1:0?publish=bench&cc={cc}&{}", shape.keys()),
                format!("tcp://127.0.0.1:0?subscribe=bench&cc={cc}&join=live"),
            ],
        };
        if !key.is_empty() {
            urls[0].extend(["&", key]);
        }
        let mut args = vec!["serve".to_owned(), "-q".to_owned()];
        args.extend(["--cpus".to_owned(), cpu.to_string()]);
        args.extend(["--idle".to_owned(), idle.word().to_owned()]);
        args.extend(urls.into_iter().flat_map(|url| ["--listen".to_owned(), url]));
        args
    }

    /// Arguments of this program for its floor.
    pub(crate) fn floor_args(self, idle: Idle, cpu: usize, cc: &str) -> Vec<String> {
        let name = match self {
            Self::TcpEcho => "tcp-echo".to_owned(),
            Self::UdpEcho => "udp-echo".to_owned(),
            Self::Relay { shape: Shape::Small, subscribers } => format!("small-{subscribers}"),
            Self::Relay { shape: Shape::Ts, subscribers } => format!("ts-{subscribers}"),
        };
        vec!["--floor".to_owned(), name, idle.word().to_owned(), cpu.to_string(), cc.to_owned()]
    }

    /// What [`Self::floor_args`] wrote.
    pub(crate) fn of_floor_args(args: &[String]) -> Option<(Self, Idle, usize, &str)> {
        let [name, idle, cpu, cc] = args else {
            return None;
        };
        let service = match name.split_once('-')? {
            ("tcp", _) => Self::TcpEcho,
            ("udp", _) => Self::UdpEcho,
            ("small", n) => Self::Relay { shape: Shape::Small, subscribers: n.parse().ok()? },
            ("ts", n) => Self::Relay { shape: Shape::Ts, subscribers: n.parse().ok()? },
            _ => return None,
        };
        let idle = if idle == Idle::Spin.word() { Idle::Spin } else { Idle::Block };
        Some((service, idle, cpu.parse().ok()?, cc))
    }
}
