//! HTTP/1.1, the server's side (RFC 9110, RFC 9112): finds the head of a
//! request in the bytes that arrive and says what it asks for.
//!
//! Only heads pass through here. A publisher's body goes straight into the
//! ring, where [`super::Body`] decodes it; what is sent back comes from
//! [`super::response`].
//!
//! ```text
//! new ─▶ idle ──first byte──▶ head ──blank line──▶ taken ─┐
//!         ▲                     └─▶ 408                    │ next_request
//!         └────────────────────────────────────────────────┘
//! ```

mod guard;
mod head;
mod target;
#[cfg(test)]
mod tests;
mod upgrade;

pub use guard::Rules;
#[cfg(feature = "rtmp")]
pub(super) use target::{Side, read_query};
pub(crate) use upgrade::{accept, base64};

use super::response::printable;
use super::{Ask, Body, Container, Name, Refusal};
use crate::base::Instant;
use crate::framing::Kind;
use crate::limits::{HTTP_HEAD_BYTES, HTTP_HEAD_TIME, HTTP_IDLE_TIME};
use std::borrow::Cow;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAsk {
    /// `PUT` or `POST`: the body is a stream.
    Publish {
        /// The stream.
        name: Name,
        /// How its frames are found, everything in the request considered.
        kind: Kind,
        /// The stream keys of the query.
        ask: Ask,
        /// Decodes the body.
        body: Body,
        /// Where `Content-Range` says that the body begins: it continues a
        /// stream whose parts come in requests of their own.
        range: Option<u64>,
        /// The client waits for `response::CONTINUE` before it sends the body.
        expect_continue: bool,
        /// Once the body is complete the connection takes another request.
        keep_alive: bool,
    },
    /// `GET` or `HEAD` of a stream; the connection closes with the stream.
    Subscribe {
        /// The stream.
        name: Name,
        /// The container that the path's suffix asks for.
        container: Option<Container>,
        /// The stream keys of the query.
        ask: Ask,
        /// `HEAD`: the head of the response alone.
        head_only: bool,
        /// Set if the stream is to be sent as WebSocket messages: the value of
        /// `Sec-WebSocket-Accept` for `response::websocket_head`.
        websocket: Option<String>,
    },
    /// `GET` or `HEAD` of a page of the server's own.
    Page {
        /// Which.
        page: Page,
        /// `HEAD`: the head of the response alone.
        head_only: bool,
        /// The connection takes another request.
        keep_alive: bool,
    },
    /// `GET` of `/api/live` or `/api/live/NAME` as a WebSocket: an open page,
    /// which wants to be told what the server does.
    Live {
        /// The stream that it shows.
        stream: Option<Name>,
        /// The value of `Sec-WebSocket-Accept` for `response::websocket_head`.
        websocket: String,
    },
    /// `OPTIONS`: what may be done here; a browser asks before some requests
    /// to another origin.
    Preflight {
        /// A stream's path, which any origin may `GET`.
        media: bool,
        /// The connection takes another request.
        keep_alive: bool,
    },
    /// Not granted. The connection is of no use any more.
    Refused {
        /// Why, as a label.
        why: Refusal,
        /// Why, for the person at the other end: what, where, what to do. It
        /// may quote the request; it has no control characters.
        text: String,
    },
}

/// The server's own pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/healthz`
    Healthz,
    /// `/metrics`
    Metrics,
    /// `/api/streams`
    Streams,
    /// `/api/streams?subscribers`
    Subscribers,
    /// `/api/streams/NAME`
    Stream(Name),
    /// `/api/turns`
    Turns,
    /// `/`, for who doesn't ask for HTML
    Root,
    /// A file of the web page: `/` and `/watch/NAME` for browsers, and what lies
    /// under `/api/page/`.
    File {
        /// Its name; there may be no such file.
        name: String,
        /// What the client has of it: `If-None-Match`.
        known: Option<String>,
    },
}

/// What became of a client that said too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// No request began: close, there is nobody to tell.
    Idle,
    /// A head began and did not end: [`Refusal::Timeout`].
    Head,
}

/// The session of one HTTP connection.
#[derive(Debug)]
pub struct Http {
    state: State,
    scan: Scan,
    /// The part of the head that came before these bytes. Empty, and without
    /// memory, in the usual case of a head that arrives whole.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No byte of a request has come; closed at this time.
    Idle(Instant),
    /// In a head that must be complete at this time.
    Head(Instant),
    /// The request is the caller's until `next_request`.
    Taken,
}

/// Why a request is not granted.
type Denied = (Refusal, String);

impl Http {
    /// A connection accepted `now`.
    pub fn new(now: Instant) -> Self {
        Self { state: State::Idle(now + HTTP_IDLE_TIME), scan: Scan::default(), held: Vec::new() }
    }

    /// Takes bytes of a head, split anywhere. Answers how many of them belong
    /// to it, and what is asked once it is complete or can't be granted. The
    /// bytes behind it (a body, another request) are the caller's.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
        now: Instant,
    ) -> (usize, Option<HttpAsk>) {
        if bytes.is_empty() || self.state == State::Taken {
            return (0, None);
        }
        if let State::Idle(_) = self.state {
            self.state = State::Head(now + HTTP_HEAD_TIME);
        }
        let mut taken = 0;
        let answer = loop {
            let (n, found) = self.scan.next(&bytes[taken..]);
            taken += n;
            match found {
                Found::Nothing => {
                    self.held.extend_from_slice(&bytes[..taken]);
                    return (taken, None);
                }
                Found::RequestLine => {
                    if let Err(denied) = head::check_line(&joined(&self.held, &bytes[..taken])) {
                        break Err(denied);
                    }
                }
                Found::End => break head::read(&joined(&self.held, &bytes[..taken]), rules),
                Found::TooLarge => {
                    break Err((
                        Refusal::HeadTooLarge,
                        format!("the request's head is larger than {HTTP_HEAD_BYTES} bytes"),
                    ));
                }
                Found::Foreign(first) => break Err(foreign(first)),
            }
        };
        self.state = State::Taken;
        self.held = Vec::new();
        let ask =
            answer.unwrap_or_else(|(why, text)| HttpAsk::Refused { why, text: printable(&text) });
        (taken, Some(ask))
    }

    /// When [`Self::handle_timeout`] wants to be called. While a request is
    /// the caller's, never.
    pub const fn poll_timeout(&self) -> Instant {
        match self.state {
            State::Idle(at) | State::Head(at) => at,
            State::Taken => Instant::from_nanos(u64::MAX),
        }
    }

    /// Says what a client that was too slow gets; `None` if it is not yet.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        if now < self.poll_timeout() {
            return None;
        }
        let timeout = match self.state {
            State::Idle(_) => Timeout::Idle,
            State::Head(_) => Timeout::Head,
            State::Taken => return None,
        };
        self.state = State::Taken;
        self.held = Vec::new();
        Some(timeout)
    }

    /// The request is answered and its body, if any, done: the connection
    /// takes another one.
    pub fn next_request(&mut self, now: Instant) {
        *self = Self::new(now);
    }
}

/// The head so far, in one piece; copied only if it came in several.
fn joined<'a>(held: &[u8], bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if held.is_empty() { Cow::Borrowed(bytes) } else { Cow::Owned([held, bytes].concat()) }
}

/// What to tell a client whose first byte can't begin a request.
fn foreign(first: u8) -> Denied {
    match first {
        0x16 => (
            Refusal::WrongProtocol,
            "TLS on a plain HTTP port; use http:// instead of https://".to_owned(),
        ),
        0x03 => (
            Refusal::WrongProtocol,
            "RTMP on an HTTP port; use the rtmp:// listener's (1935 unless told otherwise)"
                .to_owned(),
        ),
        other => (Refusal::BadRequest, format!("byte {other:#04x} begins no HTTP request")),
    }
}

/// Finds the end of a head, looking at each byte once however it is split.
///
/// The parser proper runs at most twice per head, on the request line as soon
/// as that is complete, so that garbage is answered early, and on the whole.
/// A client that drips its head byte by byte costs no more than another.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    /// Bytes seen so far.
    seen: usize,
    /// Bytes of the line that has not ended yet.
    line: usize,
    /// The last byte seen was the only one of its line, and a CR.
    lone_cr: bool,
    /// A line with something on it has ended.
    in_fields: bool,
}

/// What a scan came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing; the input is used up.
    Nothing,
    /// The end of the request line.
    RequestLine,
    /// The end of the head.
    End,
    /// No end within the bound.
    TooLarge,
    /// A first byte that begins no request.
    Foreign(u8),
}

impl Scan {
    /// Scans to the next find; answers how many bytes that took.
    fn next(&mut self, bytes: &[u8]) -> (usize, Found) {
        if let (0, Some(&first)) = (self.seen, bytes.first())
            && !begins_request(first)
        {
            return (1, Found::Foreign(first));
        }
        let mut at = 0;
        loop {
            let rest = &bytes[at..bytes.len().min(at + HTTP_HEAD_BYTES - self.seen)];
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let line = &rest[..newline.unwrap_or(rest.len())];
            self.lone_cr = match self.line {
                0 => line == b"\r",
                _ => self.lone_cr && line.is_empty(),
            };
            self.line += line.len();
            let step = line.len() + usize::from(newline.is_some());
            self.seen += step;
            at += step;
            let found = newline.and_then(|_| self.end_line());
            if let Some(found) = found {
                return (at, found);
            }
            if self.seen == HTTP_HEAD_BYTES {
                return (at, Found::TooLarge);
            }
            if newline.is_none() {
                return (at, Found::Nothing);
            }
        }
    }

    /// A line has ended; says what that means for the head. Empty lines before
    /// the request line mean nothing (RFC 9112 2.2).
    fn end_line(&mut self) -> Option<Found> {
        let empty = self.line == 0 || self.lone_cr;
        self.line = 0;
        self.lone_cr = false;
        match (empty, self.in_fields) {
            (true, true) => Some(Found::End),
            (false, false) => {
                self.in_fields = true;
                Some(Found::RequestLine)
            }
            _ => None,
        }
    }
}

/// A method's first character (a token, RFC 9110 9.1) or an empty line.
const fn begins_request(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'\r' | b'\n')
}
