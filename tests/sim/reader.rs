//! A subscriber's program: asks, reads at its own pace, and hands what it gets
//! to its judge.

use crate::clock;
use crate::content::Epoch;
use crate::judge::Judge;
use crate::link::{Handed, Link};
use crate::rng::Rng;
use crate::world::Place;
use nearlight::base::Instant;
use nearlight::protocol::websocket;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Tcp,
    Http,
    WebSocket,
}

/// How a program reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Whatever is there, at once.
    Fast,
    /// So many bytes a millisecond.
    Even(usize),
    /// At once, but for a while not at all.
    Stalls { from: Instant, to: Instant },
    /// Never.
    Dead,
}

/// What the other end of a connection has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The head of the response is being read.
    Head,
    /// The stream is.
    Body,
    /// It was told that there is no such stream.
    Refused,
    /// It has ended, or been ended.
    Over,
}

pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) key: Place,
    pub(crate) link: Link,
    pub(crate) form: Form,
    pub(crate) pace: Pace,
    pub(crate) state: State,
    pub(crate) judge: Judge,
    /// When it goes of itself.
    pub(crate) leaves: Option<Instant>,
    /// Bytes of heads and control frames that it was sent.
    pub(crate) apart: u64,
    pub(crate) pings: u64,
    pub(crate) pongs: u64,
    /// The code of a WebSocket's Close.
    farewell: u16,
    buffer: Vec<u8>,
    last: Instant,
    rng: Rng,
}

impl Reader {
    pub(crate) fn new(
        (name, key, link): (String, Place, Link),
        (form, pace): (Form, Pace),
        judge: Judge,
        rng: Rng,
    ) -> Self {
        let state = if form == Form::Tcp { State::Body } else { State::Head };
        Self {
            name,
            key,
            link,
            form,
            pace,
            state,
            judge,
            leaves: None,
            apart: 0,
            pings: 0,
            pongs: 0,
            farewell: 0,
            buffer: Vec::new(),
            last: clock::now(),
            rng,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.pace, Pace::Dead)
    }

    /// Reads what its pace allows, and judges it.
    pub(crate) fn act(&mut self, epochs: &[Epoch]) -> Result<(), String> {
        let now = clock::now();
        let mut budget = match self.pace {
            Pace::Fast => usize::MAX,
            Pace::Even(rate) => now.since(self.last).as_micros() as usize * rate / 1000,
            Pace::Stalls { from, to } if from <= now && now < to => 0,
            Pace::Stalls { .. } => usize::MAX,
            Pace::Dead => 0,
        };
        self.last = now;
        while budget > 0 && self.state != State::Over {
            let Some((bytes, handed)) = self.link.borrow_mut().read(budget) else { break };
            budget -= bytes.len();
            self.take(&bytes, handed, epochs)?;
        }
        if self.form == Form::WebSocket && self.state == State::Body && self.rng.one_in(40) {
            self.ping();
        }
        let (is_over, was_shut) = {
            let wire = self.link.borrow();
            (wire.is_over(), wire.shut && !wire.torn)
        };
        if is_over && self.state != State::Over {
            if was_shut && self.state == State::Body {
                self.judge.over(epochs)?;
                if self.form == Form::WebSocket && self.farewell != websocket::GOING_AWAY {
                    return Err("no farewell".to_owned());
                }
            }
            self.state = State::Over;
            self.link.borrow_mut().close();
        }
        Ok(())
    }

    fn ping(&mut self) {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        let mut frame = vec![0x89, 0x88, 1, 2, 3, 4];
        frame.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(a, b)| a ^ b));
        self.link.borrow_mut().push(&frame);
    }

    fn take(&mut self, bytes: &[u8], handed: Handed, epochs: &[Epoch]) -> Result<(), String> {
        if self.state == State::Head || self.form == Form::WebSocket {
            self.buffer.extend_from_slice(bytes);
        }
        if self.state == State::Head {
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(());
            };
            let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
            self.apart += head.len() as u64;
            self.state = match &head[..12] {
                b"HTTP/1.1 200" | b"HTTP/1.1 101" => State::Body,
                b"HTTP/1.1 404" => State::Refused,
                _ => return Err(format!("answered {}", String::from_utf8_lossy(&head))),
            };
            if self.form == Form::Http && self.state == State::Body {
                let rest = std::mem::take(&mut self.buffer);
                return self.judge.bytes(&rest, handed, epochs);
            }
        }
        match (self.state, self.form) {
            (State::Body, Form::WebSocket) => self.messages(handed, epochs),
            (State::Body, Form::Tcp | Form::Http) => self.judge.bytes(bytes, handed, epochs),
            (State::Head | State::Refused | State::Over, _) => Ok(()),
        }
    }

    fn messages(&mut self, handed: Handed, epochs: &[Epoch]) -> Result<(), String> {
        let all = std::mem::take(&mut self.buffer);
        let mut rest = all.as_slice();
        while let Some((head, len)) = message(rest) {
            let payload = &rest[head..head + len];
            match rest[0] {
                0x82 => self.judge.message(payload, handed, epochs)?,
                0x8A => {
                    self.pongs += 1;
                    self.apart += (head + len) as u64;
                    if payload != self.pongs.to_be_bytes() {
                        return Err(format!("pong {} says {payload:?}", self.pongs));
                    }
                }
                0x88 => {
                    self.apart += (head + len) as u64;
                    self.farewell = u16::from_be_bytes([payload[0], payload[1]]);
                }
                other => return Err(format!("a message of type {other:#x}")),
            }
            rest = &rest[head + len..];
        }
        self.buffer = rest.to_vec();
        Ok(())
    }

    /// Whether a message or head has been read in part.
    pub(crate) fn is_within(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// Bytes of the header and of the payload of the message at the front, if it
/// is complete. From a server, nothing is masked.
fn message(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, len) = match bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(*short)),
    };
    (bytes.len() >= head + len).then_some((head, len))
}

/// A pace that has trouble with a stream of `rate` bytes a millisecond.
pub(crate) fn trouble(rng: &mut Rng, rate: usize) -> Pace {
    let now = clock::now();
    match rng.below(6) {
        0 => Pace::Dead,
        1 | 2 => Pace::Even((rate / 2).max(1)),
        3 => Pace::Even(rate * 9 / 10 + 1),
        _ => {
            let from = now + rng.millis(0, 600);
            Pace::Stalls { from, to: from + rng.millis(50, 1200) }
        }
    }
}

/// The longest that a program which stalls may need to be done stalling.
pub(crate) fn patience(pace: Pace, now: Instant) -> Duration {
    match pace {
        Pace::Stalls { to, .. } => to.since(now),
        Pace::Fast | Pace::Even(_) | Pace::Dead => Duration::ZERO,
    }
}
