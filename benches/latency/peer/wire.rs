//! How a frame is wrapped on its way to another server, and how it is found
//! again in what that server's subscribers get. What is found is whole: every
//! byte that a piece is known by is looked at, and a frame cut, mixed or
//! doubled is an error and no sample.
//!
//! ```text
//! bare     frame
//! redis    PUBLISH bench <frame>            ->  message bench <frame>, RESP arrays
//! nats     PUB bench LEN <frame>            ->  MSG bench 1 LEN <frame>
//! icecast  frame                            ->  an HTTP head, then from anywhere on
//! ```

use crate::frame::{Layout, Shape};
use std::io;

/// Room of a receiver: some bursts' worth.
const ROOM: usize = 256 * 1024;
/// What redis puts before the length of a message.
const REDIS_HEAD: &[u8] = b"*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$";
/// What nats puts before the length of a message.
const NATS_HEAD: &[u8] = b"MSG bench 1 ";
/// What nats says now and then; nobody need answer within minutes.
const NATS_PING: &[u8] = b"PING\r\n";
const END_OF_LINE: &[u8] = b"\r\n";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// Digits of a length, at most.
const DIGITS: usize = 8;

/// A way of wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// None: bytes go in, the same bytes come out.
    Bare,
    /// RESP 2, one message a frame.
    Redis,
    /// The text protocol of NATS, one message a frame.
    Nats,
    /// HTTP with a body that never ends; a listener starts within a frame.
    Icecast,
}

impl Wire {
    /// Every one.
    const ALL: [Self; 4] = [Self::Bare, Self::Redis, Self::Nats, Self::Icecast];

    /// Whether a frame's last bytes may stay inside until others follow.
    pub(crate) const fn gathers(self) -> bool {
        matches!(self, Self::Icecast)
    }

    /// Frame `number` as a publisher sends it.
    pub(crate) fn write(self, layout: Layout, number: u64, out: &mut Vec<u8>) {
        out.clear();
        let len = layout.len();
        match self {
            Self::Bare | Self::Icecast => return layout.append(number, out),
            Self::Redis => out.extend_from_slice(
                format!("*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n${len}\r\n").as_bytes(),
            ),
            Self::Nats => out.extend_from_slice(format!("PUB bench {len}\r\n").as_bytes()),
        }
        layout.append(number, out);
        out.extend_from_slice(END_OF_LINE);
    }

    /// What a message's own head is: how long, or that more must come.
    fn head(self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let (fixed, is_message) = match self {
            Self::Bare | Self::Icecast => return Ok(Some(0)),
            Self::Nats if bytes.first() == NATS_PING.first() => (NATS_PING, false),
            Self::Nats => (NATS_HEAD, true),
            Self::Redis => (REDIS_HEAD, true),
        };
        let shared = fixed.len().min(bytes.len());
        if bytes[..shared] != fixed[..shared] {
            return Err(strange(bytes));
        }
        if shared < fixed.len() || !is_message {
            return Ok((shared == fixed.len()).then_some(shared));
        }
        let end = bytes.iter().skip(shared).take(DIGITS).position(|byte| *byte == b'\r');
        let end = end.map(|len| shared + len);
        if end.is_none() && bytes.len() > shared + DIGITS {
            return Err(strange(bytes));
        }
        Ok(end.map(|end| end + END_OF_LINE.len()).filter(|len| *len <= bytes.len()))
    }
}

fn strange(bytes: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    io::Error::other(format!("a peer says {text:?}"))
}

/// Finds frames in what one subscriber gets.
pub(crate) struct Decoder {
    wire: Wire,
    layout: Layout,
    bytes: Box<[u8]>,
    filled: usize,
    /// An HTTP head is still to come.
    in_head: bool,
    /// Where a frame starts is known.
    in_step: bool,
}

impl Decoder {
    /// One that has seen nothing yet.
    pub(crate) fn new(wire: Wire, layout: Layout) -> Self {
        let is_http = wire == Wire::Icecast;
        let bytes = vec![0; ROOM].into_boxed_slice();
        Self { wire, layout, bytes, filled: 0, in_head: is_http, in_step: !is_http }
    }

    /// Where to receive to.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// `len` bytes have arrived; calls for the number of each frame completed.
    ///
    /// # Errors
    /// The bytes are not what was sent.
    pub(crate) fn filled(&mut self, len: usize, mut found: impl FnMut(u64)) -> io::Result<()> {
        self.filled += len;
        let mut at = 0;
        while let Some(used) = self.next(at, &mut found)? {
            at += used;
        }
        self.bytes.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// Takes in what starts at `at`; how many bytes that were, or none yet.
    fn next(&mut self, at: usize, found: &mut impl FnMut(u64)) -> io::Result<Option<usize>> {
        let bytes = &self.bytes[at..self.filled];
        if self.in_head {
            let ends = bytes.windows(END_OF_HEAD.len()).position(|bytes| bytes == END_OF_HEAD);
            self.in_head = ends.is_none();
            if ends.is_some() && !bytes.starts_with(b"HTTP/1.0 200 ") {
                return Err(strange(bytes));
            }
            return Ok(ends.map(|at| at + END_OF_HEAD.len()));
        }
        if !self.in_step {
            let start = self.layout.start(bytes);
            self.in_step = start.is_some();
            return Ok(start);
        }
        let Some(head) = self.wire.head(bytes)?.filter(|_| !bytes.is_empty()) else {
            return Ok(None);
        };
        if head == NATS_PING.len() {
            return Ok(Some(head));
        }
        let tail = if head == 0 { &[][..] } else { END_OF_LINE };
        let (start, end) = (head, head + self.layout.len());
        if bytes.len() < end + tail.len() {
            return Ok(None);
        }
        if head > 0
            && bytes[..start - 2].rsplit(|byte| !byte.is_ascii_digit()).next()
                != Some(self.layout.len().to_string().as_bytes())
            || &bytes[end..end + tail.len()] != tail
        {
            return Err(strange(bytes));
        }
        found(self.layout.read(&bytes[start..end])?);
        Ok(Some(end + tail.len()))
    }
}

/// Fails if a decoder doesn't find what its peer wraps, however it is split,
/// or finds what is not there.
pub(crate) fn verify() -> Result<(), String> {
    let layouts = [Layout::of(Shape::Small), Layout::of(Shape::Ts), Layout::packets(107)];
    for wire in Wire::ALL {
        for layout in layouts {
            let stream = delivered(wire, layout, 9);
            for split in [1, 2, 3, 7, 64, 187, 1316, 1400, 4096, stream.len()] {
                let found = decode(wire, layout, &stream, split);
                let first = u64::from(wire == Wire::Icecast);
                if found != Ok((first..9).collect()) {
                    return Err(format!("{wire:?} {layout:?} by {split}: {found:?}"));
                }
            }
            // A piece's first byte, near the end: what follows can't be whole.
            let mut torn = stream.clone();
            let at = torn.len() - layout.len();
            torn.remove(at);
            if decode(wire, layout, &torn, 1000).is_ok_and(|found| found.contains(&8)) {
                return Err(format!("{wire:?} {layout:?}: a torn frame was taken for whole"));
            }
        }
    }
    Ok(())
}

/// What a subscriber gets of frames 0 to `frames`.
fn delivered(wire: Wire, layout: Layout, frames: u64) -> Vec<u8> {
    let mut out = match wire {
        Wire::Icecast => b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n".to_vec(),
        Wire::Nats => NATS_PING.to_vec(),
        Wire::Bare | Wire::Redis => Vec::new(),
    };
    for number in 0..frames {
        match wire {
            Wire::Redis => out.extend_from_slice(REDIS_HEAD),
            Wire::Nats => out.extend_from_slice(NATS_HEAD),
            Wire::Bare | Wire::Icecast => {}
        }
        if matches!(wire, Wire::Redis | Wire::Nats) {
            out.extend_from_slice(format!("{}\r\n", layout.len()).as_bytes());
        }
        let start = out.len();
        layout.append(number, &mut out);
        match wire {
            Wire::Redis | Wire::Nats => out.extend_from_slice(END_OF_LINE),
            // A listener comes in the middle of the first.
            Wire::Icecast if number == 0 => drop(out.drain(start..start + 21)),
            Wire::Bare | Wire::Icecast => {}
        }
    }
    out
}

fn decode(wire: Wire, layout: Layout, stream: &[u8], split: usize) -> Result<Vec<u64>, String> {
    let mut decoder = Decoder::new(wire, layout);
    let mut found = Vec::new();
    for part in stream.chunks(split) {
        decoder.space()[..part.len()].copy_from_slice(part);
        decoder.filled(part.len(), |number| found.push(number)).map_err(|why| why.to_string())?;
    }
    Ok(found)
}
