//! RTMP (Adobe, "Real Time Messaging Protocol 1.0", 2012): a connection as FLV
//! tags in and FLV tags out, on the server's side and on the client's.
//!
//! ```text
//! bytes ─▶ handshake ─▶ chunk ─▶ wire ─┬─ control, acknowledgements: answered
//!                      headers         ├─ commands ─▶ amf ─▶ Session, Caller
//!                                      └─ media ─▶ tags ─▶ Media(&[u8]) ...
//! tags ─▶ egress ─▶ a header each, the tag's data as it lies in the ring
//! ```
//!
//! Media is never looked into, so whatever an FLV tag can hold passes: the codecs
//! of enhanced RTMP (Veovera, v1 and v2) too. Its payload is passed on as it
//! arrives, where it lies in the input.
//!
//! A connection carries one stream: `createStream` always answers 1, and that is
//! the message stream of all that is sent. What [`Session::output`] holds may go
//! out between two messages only, for each message is one chunk.

#[cfg(not(feature = "rtmp"))]
mod absent;
#[cfg(feature = "rtmp")]
mod amf;
#[cfg(feature = "rtmp")]
mod caller;
#[cfg(feature = "rtmp")]
mod chunk;
mod egress;
#[cfg(feature = "rtmp")]
mod handshake;
#[cfg(feature = "rtmp")]
mod kind;
#[cfg(feature = "rtmp")]
mod path;
#[cfg(feature = "rtmp")]
mod session;
mod tag;
#[cfg(feature = "rtmp")]
mod tags;
#[cfg(feature = "rtmp")]
#[cfg(test)]
mod tests;
#[cfg(feature = "rtmp")]
mod wire;

#[cfg(not(feature = "rtmp"))]
pub use absent::{Caller, Session};
#[cfg(feature = "rtmp")]
pub use caller::Caller;
pub use egress::{HEAD_BYTES, message_head, messages, publish_messages};
#[cfg(feature = "rtmp")]
pub use session::Session;

use super::{Ask, Name, Refusal};

/// Whether this build speaks RTMP (feature `rtmp`); without it nobody can make
/// a [`Session`] or a [`Caller`].
pub const IS_BUILT_IN: bool = cfg!(feature = "rtmp");

/// Why a peer is refused, and the text that says so.
type Denied = (Refusal, String);

/// What a client's bytes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// It wants to publish: answer with [`Session::publish_granted`] or
    /// [`Session::refused`]. Until then no more bytes are used.
    Publish {
        /// The stream.
        name: Name,
        /// The stream keys of the query behind it.
        ask: Ask,
    },
    /// It wants to play: answer with [`Session::play_granted`] or
    /// [`Session::refused`]. Until then no more bytes are used.
    Play {
        /// The stream.
        name: Name,
        /// The stream keys of the query behind it.
        ask: Ask,
    },
    /// The next bytes of the published stream. All of them, one behind the
    /// other, are whole FLV tags, each with its size behind it.
    Media(&'a [u8]),
    /// It has stopped publishing or playing, and nothing it sends is used any
    /// more: it closes by itself, or is closed by [`Session::poll_timeout`].
    End,
}

/// What a [`Caller`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To publish a stream of ours there.
    Publish,
    /// To play a stream of theirs.
    Play,
}

/// What a server's bytes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It is ready: media may go, or will come.
    Granted,
    /// The next bytes of the stream that is played, as [`Event::Media`].
    Media(&'a [u8]),
    /// The stream has ended there.
    End,
}
