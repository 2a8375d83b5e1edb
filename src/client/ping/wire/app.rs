//! Requests to an HTTP server on one warm connection: from a request to the
//! last byte of its answer. Requests that are due while others are out go
//! behind them; answers come in their order (RFC 9112 9.3.2).

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use crate::base::Instant;
use crate::client::http;
use crate::client::target::Target as Url;
use crate::limits::CLIENT_BYTES;
use crate::protocol::{Answer, Body};
use crate::sys::clock::{Clock, Stamp};
use crate::sys::stamps;

use super::bytes::{connected, write_some};
use super::{Heard, Numbers, Which, is_passing};
use crate::client::ping::ledger::Receipt;
use crate::client::ping::{PingError, Plan};

/// Requests that may wait for room in the kernel.
const BACKLOG: usize = 1024;

#[derive(Debug)]
pub(in crate::client::ping) struct App {
    stream: TcpStream,
    peer: SocketAddr,
    path: String,
    request: Box<[u8]>,
    unsent: Vec<u8>,
    buffer: Box<[u8]>,
    filled: usize,
    /// The answer that is coming: its body, once its head is here, and its
    /// bytes so far.
    body: Option<Body>,
    bytes: usize,
    /// The probe that it answers.
    oldest: u64,
    numbers: Numbers,
}

impl App {
    pub(super) fn open(peer: SocketAddr, url: &Url, plan: &Plan) -> Result<Self, PingError> {
        let stream = connected(peer, plan)?;
        let request: Box<[u8]> = http::request("GET", url, "").into_bytes().into();
        Ok(Self {
            numbers: Numbers::start(stream.as_fd(), request.len(), plan.stamps),
            stream,
            peer,
            path: url.path().to_owned(),
            unsent: Vec::with_capacity(2 * request.len()),
            request,
            buffer: vec![0; CLIENT_BYTES].into(),
            filled: 0,
            body: None,
            bytes: 0,
            oldest: 0,
        })
    }

    pub(super) fn describe(&self) -> String {
        format!("GET {}, port {}", self.path, self.peer.port())
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn send(&mut self, sequence: u64) -> (Instant, io::Result<()>) {
        self.unsent.extend_from_slice(&self.request);
        self.numbers.sent(sequence);
        let most = BACKLOG * self.request.len();
        let now = Clock::now();
        (now, write_some(&self.stream, &mut self.unsent, most))
    }

    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), PingError> {
        if !self.unsent.is_empty() {
            let most = BACKLOG * self.request.len();
            let written = write_some(&self.stream, &mut self.unsent, most);
            written.map_err(|error| PingError::writing(self.peer, &error))?;
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let received = stamps::receive(self.stream.as_fd(), room);
        let now = Clock::now();
        // Error queues tell of no more than stamps here.
        let _ = self.numbers.told(self.stream.as_fd(), |_| Some(Which::Oldest), heard);
        let arrived = match received {
            Ok(Some(arrived)) if arrived.bytes == 0 => return Err(PingError::Closed(self.peer)),
            Ok(Some(arrived)) => arrived,
            Ok(None) => return Ok(()),
            Err(error) if is_passing(&error) => return Ok(()),
            Err(_) => return Err(PingError::Closed(self.peer)),
        };
        self.filled += arrived.bytes;
        self.read(now, arrived.stamp, heard)
    }

    /// Reads as many answers as are whole.
    fn read(
        &mut self,
        at: Instant,
        came: Option<Stamp>,
        heard: &mut VecDeque<Heard>,
    ) -> Result<(), PingError> {
        let mut taken = 0;
        while taken < self.filled {
            let here = self.buffer.get_mut(taken..self.filled).unwrap_or_default();
            let Some(body) = &mut self.body else {
                let Some(head) = read_head(here, self.peer)? else {
                    break;
                };
                taken += head.length;
                self.bytes = head.length;
                self.body = (head.status >= 200).then_some(head.body).flatten();
                if self.body.as_ref().is_some_and(Body::is_done) {
                    self.whole(at, came, heard);
                }
                continue;
            };
            let decoded =
                body.decode(here).map_err(|_| no_http(self.peer, "its chunks are broken"))?;
            if decoded.consumed == 0 {
                break;
            }
            taken += decoded.consumed;
            self.bytes += decoded.consumed;
            if body.is_done() {
                self.whole(at, came, heard);
            }
        }
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        if self.filled == self.buffer.len() {
            return Err(no_http(self.peer, "its head is too long"));
        }
        Ok(())
    }

    /// The answer is whole.
    fn whole(&mut self, at: Instant, came: Option<Stamp>, heard: &mut VecDeque<Heard>) {
        let receipt = Receipt { at, came, told: None };
        let (sequence, bytes) = (self.oldest, self.bytes);
        heard.push_back(Heard::Reply { sequence, receipt, bytes, ttl: None });
        self.oldest += 1;
        self.body = None;
    }
}

fn no_http(peer: SocketAddr, why: &str) -> PingError {
    PingError::NotHttp { address: peer, why: why.to_owned() }
}

/// A whole head of an answer that leaves the connection open.
fn read_head(bytes: &[u8], peer: SocketAddr) -> Result<Option<Answer<'_>>, PingError> {
    let head = http::head(bytes).map_err(|error| no_http(peer, &error.to_string()))?;
    let Some(head) = head else { return Ok(None) };
    if head.status >= 400 {
        return Err(no_http(peer, &format!("it refuses the request with {}", head.status)));
    }
    if head.status >= 200 && head.body.is_none() {
        let why = "its answer ends with the connection, which can't stay warm";
        return Err(no_http(peer, why));
    }
    Ok(Some(head))
}
