//! Connections that this server makes itself, to pull or push a stream.
//!
//! ```text
//! dialer's thread ─ look up, connect, ask ─▶ Control::Adopt ─▶ a conn like any other
//!        ▲                                                          │ freed
//!        └────────────── Call: why it has ended ────────────────────┘
//! ```
//!
//! What takes long or may stand still is done on a thread of its own; the shard
//! gets a socket that is connected. The conn carries a [`Dialed`], which tells
//! the dialer why it has ended, however it does.

use super::ingest::Read;
use crate::framing::Kind;
use crate::protocol::{Answer, LAST_CHUNK, Refusal, response};
use crate::report::DialFailure;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

/// How a connection that we made has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The stream that it pushed is over, and all of it is sent.
    Done,
    /// The stream that it was to push was over before, or is none that it can
    /// push: there is nothing to try again for before the next one.
    Missed,
    /// It was refused, or broke.
    Failed(DialFailure, String),
}

/// One connection, as its dialer sees it.
#[derive(Debug)]
pub struct Call {
    dialer: Thread,
    ended: Mutex<Option<Ended>>,
}

impl Call {
    /// One that the calling thread waits for.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { dialer: thread::current(), ended: Mutex::default() })
    }

    /// How it has ended. The thread is unparked when it does.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a conn that we made has beside others.
#[derive(Debug)]
pub struct Dialed {
    call: Arc<Call>,
    ended: Option<Ended>,
    /// The head of the request that a push over HTTP is the body of, without
    /// its content type and the line break at its end; empty for others.
    request: String,
    /// What the server has answered so far.
    heard: Vec<u8>,
}

impl Dialed {
    /// A connection of that dialer's.
    pub fn new(call: Arc<Call>, request: String) -> Self {
        Self { call, ended: None, request, heard: Vec::new() }
    }

    /// Whether the other end is a server that takes a request's body.
    pub fn is_upload(&self) -> bool {
        !self.request.is_empty()
    }

    /// The head of the request, for a stream of that kind. The first chunk
    /// brings its last line break.
    pub(super) fn request(&self, kind: Kind) -> Vec<u8> {
        format!("{}Content-Type: {}\r\n", self.request, response::content_type(kind)).into_bytes()
    }

    /// All of the stream is sent; what is to say so, behind a request that
    /// `is_out`.
    pub(super) fn done(&mut self, is_out: bool) -> Option<&'static [u8]> {
        self.ended.get_or_insert(Ended::Done);
        (self.is_upload() && is_out).then_some(LAST_CHUNK)
    }

    /// Says why it ends. What was said first holds.
    pub(super) fn fail(&mut self, why: DialFailure, text: impl Into<String>) {
        self.ended.get_or_insert_with(|| Ended::Failed(why, text.into()));
    }

    /// This server refuses it; what the other end refuses goes through `fail`.
    pub(super) fn refuse(&mut self, why: Refusal, text: &str) {
        if why == Refusal::NotFound {
            self.ended.get_or_insert(Ended::Missed);
        }
        self.fail(DialFailure::Refused, text);
    }

    /// What the other end of a push says. Bytes on raw TCP mean nothing; a
    /// server's answer that is a refusal ends it, whatever was said before.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Read {
        if !self.is_upload() {
            return Read::More;
        }
        self.heard.extend_from_slice(bytes);
        loop {
            let answer = match Answer::read(&self.heard) {
                Ok(None) => return Read::More,
                Ok(Some(answer)) => answer,
                Err(why) => {
                    self.fail(DialFailure::Answer, format!("no HTTP response: {why}"));
                    return Read::Drop;
                }
            };
            let length = answer.length;
            match answer.status {
                // Another follows an interim one.
                ..200 => drop(self.heard.drain(..length)),
                // What follows a final one is no news.
                200..300 => {
                    self.heard.truncate(length);
                    return Read::More;
                }
                300.. => {
                    let text = format!("the server answered {}", answer.words());
                    self.ended = Some(Ended::Failed(DialFailure::Refused, text));
                    return Read::Drop;
                }
            }
        }
    }
}

impl Drop for Dialed {
    fn drop(&mut self) {
        self.fail(DialFailure::Broken, "the connection was closed");
        *self.call.ended.lock().unwrap_or_else(PoisonError::into_inner) = self.ended.take();
        self.call.dialer.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload() -> (Arc<Call>, Dialed) {
        let call = Call::new();
        let dialed = Dialed::new(Arc::clone(&call), "POST /a HTTP/1.1\r\n".to_owned());
        (call, dialed)
    }

    fn after(answer: &str, step: usize) -> (bool, Option<Ended>) {
        let (call, mut dialed) = upload();
        let mut pieces = answer.as_bytes().chunks(step);
        let goes_on = pieces.all(|piece| dialed.hear(piece) == Read::More);
        assert!(dialed.heard.len() <= 2 * crate::limits::HTTP_HEAD_BYTES);
        assert_eq!(call.ended(), None, "it is still there");
        drop(dialed);
        (goes_on, call.ended())
    }

    #[test]
    fn a_refusal_ends_an_upload_and_a_welcome_does_not_in_any_split() {
        let broken = Ended::Failed(DialFailure::Broken, "the connection was closed".to_owned());
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
        for step in [1, 2, 7, 1000] {
            let welcome = format!("{interim}HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}", "x".repeat(50_000));
            assert_eq!(after(&welcome, step), (true, Some(broken.clone())), "{step}");
            let text = "the server answered 409 Conflict".to_owned();
            let refused = Ended::Failed(DialFailure::Refused, text);
            let refusal = format!("{interim}HTTP/1.1 409 Conflict\r\n\r\nbusy");
            assert_eq!(after(&refusal, step), (false, Some(refused)), "{step}");
            let (goes_on, ended) = after("220 mail.example.org ESMTP\r\n", step);
            assert!(!goes_on && matches!(ended, Some(Ended::Failed(DialFailure::Answer, _))));
        }
    }

    #[test]
    fn what_was_said_first_holds_but_for_a_refusal() {
        let (call, mut dialed) = upload();
        assert_eq!(dialed.done(true), Some(LAST_CHUNK));
        dialed.fail(DialFailure::Broken, "later");
        drop(dialed);
        assert_eq!(call.ended(), Some(Ended::Done));
        let (call, mut dialed) = upload();
        assert_eq!(dialed.done(false), None);
        dialed.hear(b"HTTP/1.0 507 Full\r\n\r\n");
        drop(dialed);
        assert!(matches!(call.ended(), Some(Ended::Failed(DialFailure::Refused, _))));
    }
}
