//! A publisher's program: makes a stream and sends it, over raw TCP or HTTP,
//! in pieces that arrive as a network pleases.

use crate::clock;
use crate::content::{Epoch, Source};
use crate::link::Link;
use crate::rng::Rng;
use nearlight::base::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How the stream is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Raw,
    /// One PUT of a length that is never reached.
    Length,
    /// One PUT in chunks.
    Chunked,
    /// A PUT for every piece, one behind the other.
    Puts,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Orderly,
    Reset,
}

/// A connection on which an epoch is published.
pub(crate) struct Publisher {
    pub(crate) link: Link,
    pub(crate) epoch: usize,
    via: Via,
    target: String,
    source: Source,
    /// What is under way.
    queue: VecDeque<Piece>,
    /// It waits for `100 Continue`.
    waits: bool,
    answers: Vec<u8>,
    requests: usize,
    next: Instant,
    every: Duration,
    pub(crate) is_over: bool,
    rng: Rng,
}

/// A piece of the stream, with what HTTP puts around it.
struct Piece {
    bytes: Vec<u8>,
    /// How many of them have arrived.
    gone: usize,
    /// How many stand before the payload.
    head: usize,
    /// Where the payload stands in the stream.
    start: usize,
    end: usize,
}

impl Piece {
    /// Up to where the stream has arrived with what is gone.
    fn arrived(&self) -> usize {
        (self.start + self.gone.saturating_sub(self.head)).min(self.end)
    }
}

/// What a publisher publishes, and how.
pub(crate) struct Show {
    pub(crate) epoch: usize,
    pub(crate) via: Via,
    /// Path and query, on HTTP.
    pub(crate) target: String,
    pub(crate) source: Source,
    /// From one picture to the next.
    pub(crate) every: Duration,
}

impl Publisher {
    pub(crate) fn new(link: Link, show: Show, mut rng: Rng) -> Self {
        let Show { epoch, via, target, source, every } = show;
        let mut publisher = Self {
            link,
            epoch,
            via,
            target,
            source,
            queue: VecDeque::new(),
            waits: false,
            answers: Vec::new(),
            requests: 0,
            next: clock::now(),
            every,
            is_over: false,
            rng: rng.fork(),
        };
        publisher.begin();
        publisher
    }

    fn begin(&mut self) {
        let expects = self.rng.one_in(3);
        let body = match self.via {
            Via::Raw | Via::Puts => return,
            Via::Length => "Content-Length: 1000000000000\r\n",
            Via::Chunked => "Transfer-Encoding: chunked\r\n",
        };
        let expect = if expects { "Expect: 100-continue\r\n" } else { "" };
        let head =
            format!("PUT {} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n{body}{expect}\r\n", self.target);
        self.requests = 1;
        self.waits = expects;
        if expects {
            self.link.borrow_mut().push(head.as_bytes());
        } else {
            let bytes = head.into_bytes();
            self.queue.push_back(Piece { gone: 0, head: bytes.len(), bytes, start: 0, end: 0 });
        }
    }

    /// Makes what is due and lets some of it arrive.
    pub(crate) fn act(&mut self, makes: bool, epoch: &mut Epoch) -> Result<(), String> {
        self.listen()?;
        let now = clock::now();
        if !makes {
            self.next = now;
        }
        while makes && self.next <= now {
            self.next = self.next + self.every;
            self.make(epoch);
        }
        // Most often all of it has arrived; now and then a part.
        let partly = self.rng.one_in(4);
        let mut budget = if partly { self.rng.below(3000) } else { usize::MAX };
        while !self.waits && budget > 0 {
            let Some(piece) = self.queue.front_mut() else { break };
            let here = budget.min(piece.bytes.len() - piece.gone);
            budget -= here;
            self.link.borrow_mut().push(&piece.bytes[piece.gone..piece.gone + here]);
            piece.gone += here;
            epoch.arrived(piece.arrived());
            if piece.gone == piece.bytes.len() {
                self.queue.pop_front();
            }
        }
        Ok(())
    }

    fn make(&mut self, epoch: &mut Epoch) {
        let start = epoch.bytes.len();
        self.source.next(epoch);
        let mut at = start;
        while at < epoch.bytes.len() {
            let left = epoch.bytes.len() - at;
            let here = if self.rng.one_in(2) { left } else { self.rng.between(1, left) };
            let piece = &epoch.bytes[at..at + here];
            let start = at;
            at += here;
            let mut head = 0;
            let mut bytes = Vec::with_capacity(here + 100);
            match self.via {
                Via::Raw | Via::Length => bytes.extend_from_slice(piece),
                Via::Chunked => {
                    bytes.extend_from_slice(format!("{here:x}\r\n").as_bytes());
                    head = bytes.len();
                    bytes.extend_from_slice(piece);
                    bytes.extend_from_slice(b"\r\n");
                }
                Via::Puts => {
                    let request = format!(
                        "PUT {} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: {here}\r\n\r\n",
                        self.target
                    );
                    self.requests += 1;
                    bytes.extend_from_slice(request.as_bytes());
                    head = bytes.len();
                    bytes.extend_from_slice(piece);
                }
            }
            self.queue.push_back(Piece { bytes, gone: 0, head, start, end: at });
        }
    }

    /// Reads what the server answers.
    fn listen(&mut self) -> Result<(), String> {
        while let Some((bytes, _)) = self.link.borrow_mut().read(usize::MAX) {
            self.answers.extend_from_slice(&bytes);
        }
        while let Some(end) = self.answers.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = self.answers.drain(..end + 4).collect();
            match &head[..12] {
                b"HTTP/1.1 100" if self.waits => self.waits = false,
                b"HTTP/1.1 200" if self.requests > 0 => self.requests -= 1,
                _ => return Err(format!("answered {}", String::from_utf8_lossy(&head))),
            }
        }
        let wire = self.link.borrow();
        if (wire.shut || wire.closed) && !self.is_over {
            return Err("the server has ended a publisher".to_owned());
        }
        Ok(())
    }

    /// Ends; everything made has been sent before, or is lost.
    pub(crate) fn end(&mut self, how: Ending, epoch: &mut Epoch) {
        self.is_over = true;
        epoch.is_over = true;
        let mut wire = self.link.borrow_mut();
        match how {
            Ending::Orderly if !self.waits => {
                for piece in self.queue.drain(..) {
                    wire.push(&piece.bytes[piece.gone..]);
                    epoch.arrived(piece.end);
                }
                if self.via == Via::Chunked && self.rng.one_in(2) {
                    wire.push(b"0\r\n\r\n");
                }
                wire.end();
            }
            Ending::Orderly | Ending::Reset => {
                epoch.was_cut = true;
                wire.reset();
            }
        }
    }
}
