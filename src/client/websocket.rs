//! The client's side of WebSocket, RFC 6455, as far as a subscriber needs it:
//! whole messages in, a few control frames out.

use super::error::{ClientError, ClientResult};
use crate::limits::WEBSOCKET_MESSAGE;
use crate::protocol::http::base64;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Longest header of a frame that is not masked.
const HEADER: usize = 10;
/// Longest payload of a control frame, 5.5.
const CONTROL_BYTES: u64 = 125;

/// What a frame completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A message: [`Messages::message`].
    Message,
    /// A ping to be answered: [`Messages::control`].
    Ping,
    /// The server is done.
    Close,
}

/// Puts messages together.
#[derive(Default)]
pub(super) struct Messages {
    header: [u8; HEADER],
    held: usize,
    /// Payload bytes of the frame that are still to come; `None`: in a header.
    left: Option<u64>,
    message: Vec<u8>,
    /// A message has begun and has fragments to come (5.4).
    fragmented: bool,
    /// The message was handed out; the next frame starts another.
    handed: bool,
    control: Vec<u8>,
}

impl Messages {
    /// Takes bytes, split anywhere, up to the end of the first frame that
    /// completes something; answers how many, and what.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) -> ClientResult<(usize, Option<Incoming>)> {
        let mut taken = 0;
        loop {
            if self.left.is_none() {
                while self.held < self.header_length() {
                    let Some(&byte) = bytes.get(taken) else {
                        return Ok((taken, None));
                    };
                    self.header[self.held] = byte;
                    self.held += 1;
                    taken += 1;
                }
                self.left = Some(self.begin()?);
            }
            let left = self.left.unwrap_or(0);
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - taken);
            let payload = &bytes[taken..taken + here];
            if self.opcode() >= CLOSE {
                self.control.extend_from_slice(payload);
            } else {
                self.message.extend_from_slice(payload);
            }
            taken += here;
            self.left = Some(left - here as u64);
            if left > here as u64 {
                return Ok((taken, None));
            }
            let done = self.finish();
            if done.is_some() || taken == bytes.len() {
                return Ok((taken, done));
            }
        }
    }

    /// The message that was completed last, until more bytes are handled.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The payload of the control frame that was completed last.
    pub(super) fn control(&self) -> &[u8] {
        &self.control
    }

    const fn opcode(&self) -> u8 {
        self.header[0] & 15
    }

    const fn is_last(&self) -> bool {
        self.header[0] & 0x80 != 0
    }

    /// 5.2, as far as the header is known.
    fn header_length(&self) -> usize {
        match self.header[1] & 127 {
            _ if self.held < 2 => 2,
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    /// Judges a complete header; answers the length of the payload.
    fn begin(&mut self) -> ClientResult<u64> {
        let length = match self.header[1] & 127 {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => self.header[2..].iter().fold(0, |n, &b| n << 8 | u64::from(b)),
            short => u64::from(short),
        };
        if std::mem::take(&mut self.handed) {
            self.message.clear();
        }
        if self.header[0] & 0x70 != 0 {
            return Err(broken("an extension nobody asked for"));
        }
        if self.header[1] & 0x80 != 0 {
            return Err(broken("a masked frame"));
        }
        match self.opcode() {
            CONTINUATION if !self.fragmented => return Err(broken("a continuation of nothing")),
            TEXT | BINARY if self.fragmented => return Err(broken("a message within a message")),
            CONTINUATION | TEXT | BINARY => {
                if length.saturating_add(self.message.len() as u64) > WEBSOCKET_MESSAGE {
                    return Err(broken("a message that is too long"));
                }
                self.fragmented = !self.is_last();
            }
            CLOSE | PING | PONG if length <= CONTROL_BYTES && self.is_last() => {
                self.control.clear();
            }
            _ => return Err(broken("a frame of no kind")),
        }
        Ok(length)
    }

    /// The frame is complete.
    fn finish(&mut self) -> Option<Incoming> {
        self.left = None;
        self.held = 0;
        match self.opcode() {
            CLOSE => Some(Incoming::Close),
            PING => Some(Incoming::Ping),
            PONG => None,
            _ if self.is_last() => {
                self.handed = true;
                Some(Incoming::Message)
            }
            _ => None,
        }
    }
}

/// The pong that answers a ping of `payload`, 5.5.3, masked with `mask`.
pub(super) fn pong(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    control(PONG, payload, mask)
}

/// A close of code 1000, 7.4.1, masked with `mask`.
pub(super) fn close(mask: [u8; 4]) -> Vec<u8> {
    control(CLOSE, &1000u16.to_be_bytes(), mask)
}

/// A control frame, 5.5; a client's frames are masked, 5.3.
fn control(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The value of `Sec-WebSocket-Key`, 4.1, from 16 random bytes.
pub(super) fn key(random: [u64; 2]) -> String {
    base64(&random.map(u64::to_be_bytes).concat())
}

fn broken(what: &str) -> ClientError {
    ClientError::protocol(format!("WebSocket: the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let (mut header, length) = crate::protocol::websocket::header(payload.len());
        header[0] = first;
        [&header[..length], payload].concat()
    }

    /// All that `input` completes, shown in pieces of `step` bytes.
    fn run(input: &[u8], step: usize) -> ClientResult<Vec<(Incoming, Vec<u8>)>> {
        let mut messages = Messages::default();
        let mut found = Vec::new();
        for mut piece in input.chunks(step) {
            while !piece.is_empty() {
                let (taken, done) = messages.handle_bytes(piece)?;
                piece = &piece[taken..];
                found.extend(done.map(|done| {
                    let payload = match done {
                        Incoming::Message => messages.message(),
                        Incoming::Ping | Incoming::Close => messages.control(),
                    };
                    (done, payload.to_vec())
                }));
            }
        }
        Ok(found)
    }

    #[test]
    fn messages_fragments_and_control_frames_in_any_split() {
        let long = vec![7; 70_000];
        let input = [
            frame(0x82, b""),
            frame(0x82, &long[..126]),
            frame(0x82, &long),
            frame(0x02, b"one "),
            frame(0x89, b"are you there"),
            frame(0x00, b"two "),
            frame(0x8a, b"unasked"),
            frame(0x80, b"three"),
            frame(0x81, b"text"),
            frame(0x88, &[3, 233]),
        ]
        .concat();
        let expected = vec![
            (Incoming::Message, Vec::new()),
            (Incoming::Message, long[..126].to_vec()),
            (Incoming::Message, long.clone()),
            (Incoming::Ping, b"are you there".to_vec()),
            (Incoming::Message, b"one two three".to_vec()),
            (Incoming::Message, b"text".to_vec()),
            (Incoming::Close, vec![3, 233]),
        ];
        for step in [1, 2, 3, 7, 100, 1000, input.len()] {
            assert_eq!(run(&input, step).expect("well formed"), expected, "{step}");
        }
    }

    #[test]
    fn what_a_server_may_not_send() {
        for (wrong, why) in [
            (vec![0x82, 0x80, 0, 0, 0, 0], "masked"),
            (vec![0xc2, 0], "extension"),
            (vec![0x80, 0], "continuation"),
            (vec![0x02, 0, 0x82, 0], "within"),
            (vec![0x09, 0], "no kind"),
            (vec![0x89, 126, 0, 126], "no kind"),
            (vec![0x83, 0], "no kind"),
            (vec![0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255], "too long"),
        ] {
            let error = run(&wrong, 1).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_server_side_understands_what_is_sent() {
        let mut inbound = crate::protocol::websocket::Inbound::new();
        let mask = [1, 2, 3, 4];
        let (_, nothing) = inbound.handle_bytes(&pong(b"payload", mask)).expect("masked well");
        assert_eq!(nothing, None);
        let (_, event) = inbound.handle_bytes(&close(mask)).expect("masked well");
        let closed = crate::protocol::websocket::Event::Close(Some(1000));
        assert_eq!(event, Some(closed));
        assert_eq!(key([0; 2]), "AAAAAAAAAAAAAAAAAAAAAA==");
    }
}
