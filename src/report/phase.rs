//! The phases of a turn, in their order.

/// One phase of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Receives on UDP sockets.
    UdpIngest,
    /// Receives on connections: publishers, requests, echoes.
    TcpIngest,
    /// The live fan-out over UDP.
    UdpFanout,
    /// The live fan-out to connections.
    Fanout,
    /// Subscribers that the kernel takes bytes from again.
    Writers,
    /// Bursts to catch up.
    Catchup,
    /// Control messages.
    Control,
    /// New connections.
    Accepts,
    /// Deadlines.
    Timers,
    /// Connections freed.
    Reap,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 10] = [
        Self::UdpIngest,
        Self::TcpIngest,
        Self::UdpFanout,
        Self::Fanout,
        Self::Writers,
        Self::Catchup,
        Self::Control,
        Self::Accepts,
        Self::Timers,
        Self::Reap,
    ];

    /// In metrics and traces.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UdpIngest => "udp_ingest",
            Self::TcpIngest => "tcp_ingest",
            Self::UdpFanout => "udp_fanout",
            Self::Fanout => "fanout",
            Self::Writers => "writers",
            Self::Catchup => "catchup",
            Self::Control => "control",
            Self::Accepts => "accepts",
            Self::Timers => "timers",
            Self::Reap => "reap",
        }
    }
}
