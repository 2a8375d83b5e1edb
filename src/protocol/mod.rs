//! Sessions: the sans-IO state of one peer.
//!
//! # Contract
//!
//! A session has no socket and no clock. Bytes and time go in (`handle_*`),
//! actions come out (`poll_*` or the return value), and where one needs to be
//! woken it names its next deadline (`poll_timeout`). Input may be split
//! anywhere; it is the peer's, so it is bounded by `limits`, never trusted,
//! and answered with a [`Refusal`] that says what is wrong.

mod answer;
pub mod ask;
mod body;
pub mod http;
mod name;
mod percent;
pub mod response;
pub mod rtmp;
mod sniff;
pub mod stamp;
#[cfg(test)]
mod testing;
pub mod udp_join;
pub mod websocket;

pub use crate::framing::Container;
pub use answer::Answer;
pub use ask::{Ask, Join, Policy};
pub use body::{Body, CHUNK_HEAD, Decoded, LAST_CHUNK, chunk_head};
pub use name::Name;
pub use sniff::{Sniff, wrong_protocol};

/// Why a peer's request is not granted, in words and as a counter's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Malformed request (400).
    BadRequest,
    /// A stream name outside the grammar, or a reserved one (400).
    BadName,
    /// A query key or value that is unknown or not allowed here (400).
    BadOption,
    /// Foreign `Origin` (403).
    Origin,
    /// `Host` that is neither listened on nor allowed (421).
    Host,
    /// No such stream or page (404).
    NotFound,
    /// A method that the resource does not have (405).
    Method,
    /// The request was not complete in time (408).
    Timeout,
    /// The name has a live publisher already (409).
    Busy,
    /// A body without `Content-Length` or chunked coding (411).
    LengthRequired,
    /// A container or content coding that is not taken (415).
    MediaType,
    /// A WebSocket version other than 13 (426).
    WebSocketVersion,
    /// Head larger than `limits::HTTP_HEAD_BYTES` (431).
    HeadTooLarge,
    /// `Expect` other than `100-continue` (417).
    Expectation,
    /// A transfer coding other than `chunked` (501).
    Coding,
    /// A protocol that this listener does not speak: RTMP, TLS (400 where
    /// HTTP is spoken).
    WrongProtocol,
    /// A limit of the process is reached (503).
    Full,
    /// The server is going down (503).
    Draining,
    /// A UDP datagram that leaves with a token that is not the one given out
    /// (403 where HTTP is spoken).
    BadToken,
    /// A datagram of a stream that belongs to another source (403 where HTTP
    /// is spoken).
    ForeignSource,
    /// Bytes that the stream's framing can't take (400).
    BadFrame,
}

impl Refusal {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 21] = [
        Self::BadRequest,
        Self::BadName,
        Self::BadOption,
        Self::Origin,
        Self::Host,
        Self::NotFound,
        Self::Method,
        Self::Timeout,
        Self::Busy,
        Self::LengthRequired,
        Self::MediaType,
        Self::WebSocketVersion,
        Self::HeadTooLarge,
        Self::Expectation,
        Self::Coding,
        Self::WrongProtocol,
        Self::Full,
        Self::Draining,
        Self::BadToken,
        Self::ForeignSource,
        Self::BadFrame,
    ];

    /// The counter's label: `refused_total{reason="..."}`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::BadName => "bad_name",
            Self::BadOption => "bad_option",
            Self::Origin => "origin",
            Self::Host => "host",
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::LengthRequired => "length_required",
            Self::MediaType => "media_type",
            Self::WebSocketVersion => "websocket_version",
            Self::HeadTooLarge => "head_too_large",
            Self::Expectation => "expectation",
            Self::Coding => "coding",
            Self::WrongProtocol => "wrong_protocol",
            Self::Full => "full",
            Self::Draining => "draining",
            Self::BadToken => "bad_token",
            Self::ForeignSource => "foreign_source",
            Self::BadFrame => "bad_frame",
        }
    }
}
