//! One live stream, as a shard tells of it.

use crate::base::{Position, Totals};
use crate::framing::Kind;
use crate::protocol::Name;
use std::net::SocketAddr;
use std::time::Duration;

/// By what a stream comes in or goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A raw TCP connection.
    Tcp,
    /// An HTTP request or response.
    Http,
    /// A WebSocket.
    WebSocket,
    /// RTMP messages.
    Rtmp,
    /// Datagrams.
    Udp,
}

impl Over {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Http, Self::WebSocket, Self::Rtmp, Self::Udp];

    /// In metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::Rtmp => "rtmp",
            Self::Udp => "udp",
        }
    }
}

/// Who sends a stream.
#[derive(Clone, Copy, Debug)]
pub struct PublisherSnapshot {
    /// The address that began it.
    pub peer: SocketAddr,
    /// How it sends.
    pub over: Over,
    /// For how long the stream has been live.
    pub age: Duration,
}

/// What a shard has counted of one stream's subscribers, those gone included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Bytes sent on connections, headers included.
    pub sent_bytes: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Bytes of those.
    pub datagram_bytes: u64,
    /// Datagrams that the kernel did not take.
    pub dropped_datagrams: u64,
    /// Jumps forward.
    pub skips: u64,
    /// Stream bytes jumped over, on connections.
    pub skipped_bytes: u64,
    /// Stream time jumped over, on connections.
    pub skipped_time: Duration,
    /// Subscribers ended for their lag.
    pub lag_closes: u64,
}

impl Delivered {
    /// Counts what has gone out over UDP, in the order of `Counters::datagrams`.
    pub fn add_datagrams(&mut self, [sent, bytes, dropped, skips]: [u64; 4]) {
        self.datagrams += sent;
        self.datagram_bytes += bytes;
        self.dropped_datagrams += dropped;
        self.skips += skips;
    }

    /// Counts what another shard has counted, too.
    pub fn add(&mut self, other: &Self) {
        self.sent_bytes += other.sent_bytes;
        self.datagrams += other.datagrams;
        self.datagram_bytes += other.datagram_bytes;
        self.dropped_datagrams += other.dropped_datagrams;
        self.skips += other.skips;
        self.skipped_bytes += other.skipped_bytes;
        self.skipped_time += other.skipped_time;
        self.lag_closes += other.lag_closes;
    }
}

/// One live stream, at one moment.
#[derive(Clone, Debug)]
pub struct StreamSnapshot {
    /// Its name.
    pub name: Name,
    /// Number of this life of it.
    pub epoch: u64,
    /// Its publisher is on this shard.
    pub is_here: bool,
    /// How its frames are found.
    pub kind: Kind,
    /// Who sends it; only its own shard knows.
    pub publisher: Option<PublisherSnapshot>,
    /// Subscribers on connections.
    pub subscribers: usize,
    /// All subscribers, by how they get it, in the order of [`Over::ALL`].
    pub by_transport: [usize; Over::ALL.len()],
    /// Those on connections that wait for a join point.
    pub waiting: usize,
    /// Those on connections that are not at its head.
    pub behind: usize,
    /// The largest lag of those.
    pub worst_lag: Duration,
    /// End of its newest frame.
    pub position: Position,
    /// Bytes kept.
    pub window_bytes: u64,
    /// Bytes of frames that arrived in a span that ends now, and that span: about
    /// as far back as it is kept.
    pub recent: Option<(u64, Duration)>,
    /// Frames since it began.
    pub frames: u64,
    /// Bytes received from its publisher.
    pub received_bytes: u64,
    /// Bytes moved or copied in user space.
    pub moved_bytes: u64,
    /// How long ago its newest frame arrived.
    pub newest_frame_age: Option<Duration>,
    /// Packets that did not follow the one before on their PID.
    pub continuity_errors: u64,
    /// Bytes that were no part of the stream.
    pub garbage_bytes: u64,
    /// What its subscribers got and missed.
    pub delivered: Delivered,
    /// How long frames stayed, for every subscriber.
    pub residence: Totals,
    /// That counts from the kernel's receipt, not from the server's.
    pub is_stamped: bool,
}

impl StreamSnapshot {
    /// Takes in what another shard says of the same stream, or of another life
    /// of it: the later one counts.
    pub fn merge(&mut self, other: &Self) {
        if other.epoch != self.epoch {
            if other.epoch > self.epoch {
                self.clone_from(other);
            }
            return;
        }
        let mut more = other.clone();
        if other.is_here {
            std::mem::swap(self, &mut more);
        }
        self.subscribers += more.subscribers;
        self.waiting += more.waiting;
        self.behind += more.behind;
        self.worst_lag = self.worst_lag.max(more.worst_lag);
        self.delivered.add(&more.delivered);
        self.residence.add(&more.residence);
        for (mine, theirs) in self.by_transport.iter_mut().zip(more.by_transport) {
            *mine += theirs;
        }
    }
}
