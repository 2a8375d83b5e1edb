//! The chunk stream (RTMP 1.0, 5.3): messages, each cut into chunks, the chunks
//! of several interleaved. Finds the headers, says which message the payload
//! behind one belongs to, and writes our own messages.
//!
//! Payload is not touched here: whoever calls takes it from the input.

use super::tag::{uint24, uint32};
use super::{Denied, kind};
use crate::limits::RTMP_CHUNK_STREAMS;
use crate::protocol::Refusal;

/// The chunk size until another one is set, section 5.4.1.
const FIRST_SIZE: usize = 128;
/// Says that the timestamp takes 32 bits, which follow.
const EXTENDED: u32 = 0xff_ffff;
/// The longest header: basic 3, message 11, extended timestamp 4.
const HEAD_MAX: usize = 18;

/// What a message's header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    /// Bytes of its payload, 24 bits.
    pub(super) length: usize,
    /// Milliseconds; wraps.
    pub(super) time: u32,
}

/// What is known of one chunk stream.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Stream {
    id: u32,
    /// The newest message.
    pub(super) message: Message,
    /// The timestamp or difference of its header.
    step: u32,
    /// That took 32 bits.
    is_extended: bool,
    /// Bytes of the message that have come.
    pub(super) taken: usize,
    /// There is more of the message to come.
    is_open: bool,
    /// The part of the message that is held until it is whole.
    pub(super) held: Vec<u8>,
}

/// The chunk whose payload comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Index of its stream.
    pub(super) stream: usize,
    /// Bytes of its payload that are still to come.
    pub(super) left: usize,
}

/// The reading side of one connection.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Chunks {
    size: usize,
    pub(super) streams: Vec<Stream>,
    current: Option<Chunk>,
    head: [u8; HEAD_MAX],
    head_len: usize,
    /// Bytes that were taken for the beginning of an extended timestamp and
    /// are none: they come before the input.
    again: [u8; 4],
    again_len: usize,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self {
            size: FIRST_SIZE,
            streams: Vec::new(),
            current: None,
            head: [0; HEAD_MAX],
            head_len: 0,
            again: [0; 4],
            again_len: 0,
        }
    }

    /// The chunk whose payload comes next, if its header is complete.
    pub(super) const fn current(&self) -> Option<Chunk> {
        self.current
    }

    /// Bytes to be read before the input, and how many.
    pub(super) const fn again(&self) -> ([u8; 4], usize) {
        (self.again, self.again_len)
    }

    /// Takes so many of them off.
    pub(super) fn read_again(&mut self, count: usize) {
        self.again.rotate_left(count.min(4));
        self.again_len = self.again_len.saturating_sub(count);
    }

    /// Reads a header up to its end, or up to the input's; answers how many
    /// bytes of the input it took.
    ///
    /// # Errors
    /// The header can't be, or asks for more than is given.
    pub(super) fn read_head(&mut self, input: &[u8]) -> Result<usize, Denied> {
        let mut used = 0;
        while self.current.is_none() {
            let next = match self.again_len {
                0 => input.get(used),
                _ => self.again.first(),
            };
            let Some(&byte) = next else { break };
            if !self.wants(byte)? {
                self.begin()?;
                continue;
            }
            if let Some(free) = self.head.get_mut(self.head_len) {
                *free = byte;
            }
            self.head_len += 1;
            match self.again_len {
                0 => used += 1,
                _ => self.read_again(1),
            }
            if self.is_complete() {
                self.begin()?;
            }
        }
        Ok(used)
    }

    /// Bytes of the basic header, known from its first byte.
    fn basic(&self) -> usize {
        match self.head[0] & 0x3f {
            0 => 2,
            1 => 3,
            _ => 1,
        }
    }

    /// Bytes of basic and message header without an extended timestamp.
    fn plain(&self) -> usize {
        self.basic() + [11, 7, 3, 0][usize::from(self.head[0] >> 6)]
    }

    fn is_type_3(&self) -> bool {
        self.head[0] >> 6 == 3
    }

    /// The three bytes of the header behind the basic one, from `at` on.
    fn field(&self, at: usize) -> u32 {
        let at = self.basic() + at;
        self.head.get(at..at + 3).map_or(0, uint24)
    }

    /// Where the extended timestamp is to come, if the header has one.
    fn expected(&self) -> Option<[u8; 4]> {
        let id = self.id();
        let stream = self.streams.iter().find(|stream| stream.id == id)?;
        stream.is_extended.then(|| stream.step.to_be_bytes())
    }

    /// Whether the header goes on and `byte` belongs to it.
    ///
    /// A chunk of type 3 repeats the extended timestamp of the one before, and
    /// old senders leave it out. So it is one only if it has the same bytes;
    /// those that began alike go before the input again.
    fn wants(&mut self, byte: u8) -> Result<bool, Denied> {
        let plain = self.plain();
        if self.head_len == 0 || self.head_len < plain || !self.is_type_3() {
            return Ok(true);
        }
        let seen = self.head_len - plain;
        let alike = self.expected().is_some_and(|bytes| bytes.get(seen) == Some(&byte));
        if !alike {
            self.again.rotate_right(seen);
            for (at, free) in self.again.iter_mut().take(seen).enumerate() {
                *free = self.head.get(plain + at).copied().unwrap_or(0);
            }
            self.again_len += seen;
            self.head_len = plain;
        }
        Ok(alike)
    }

    fn is_complete(&self) -> bool {
        let plain = self.plain();
        if self.head_len < plain {
            return false;
        }
        let extended = match self.is_type_3() {
            true => self.expected().is_some(),
            false => self.field(0) == EXTENDED,
        };
        self.head_len == plain + if extended { 4 } else { 0 }
    }

    /// The chunk stream's id, section 5.3.1.1.
    fn id(&self) -> u32 {
        match self.basic() {
            1 => u32::from(self.head[0] & 0x3f),
            2 => 64 + u32::from(self.head[1]),
            _ => 64 + u32::from(self.head[1]) + 256 * u32::from(self.head[2]),
        }
    }

    /// The index of the header's stream, which is made if it is new.
    fn stream(&mut self) -> Result<usize, Denied> {
        let id = self.id();
        if let Some(found) = self.streams.iter().position(|stream| stream.id == id) {
            return Ok(found);
        }
        if self.streams.len() == RTMP_CHUNK_STREAMS {
            return Err(bad(format!("more than {RTMP_CHUNK_STREAMS} chunk streams")));
        }
        // Some begin one with type 1 (librtmp's pings): as if after zeros.
        if self.head[0] >> 6 > 1 {
            return Err(bad(format!("chunk stream {id} begins without a message header")));
        }
        self.streams.push(Stream { id, ..Stream::default() });
        Ok(self.streams.len() - 1)
    }

    /// The header is complete: its chunk is the current one.
    fn begin(&mut self) -> Result<(), Denied> {
        let index = self.stream()?;
        let (form, plain) = (self.head[0] >> 6, self.plain());
        let field = self.field(0);
        let (length, kind) = (self.field(3), self.head.get(self.basic() + 6).copied());
        let long = self.head.get(plain..plain + 4).map_or(0, uint32);
        let size = self.size;
        let Some(stream) = self.streams.get_mut(index) else {
            return Err(bad("no such chunk stream".to_owned()));
        };
        if stream.is_open && form != 3 {
            let id = stream.id;
            return Err(bad(format!("chunk stream {id}: a message begins inside another")));
        }
        if form < 3 {
            stream.is_extended = field == EXTENDED;
            stream.step = if stream.is_extended { long } else { field };
        }
        if form < 2 {
            stream.message.length = length as usize;
            stream.message.kind = kind.unwrap_or(0);
        }
        if !stream.is_open {
            let before = if form == 0 { 0 } else { stream.message.time };
            stream.message.time = before.wrapping_add(stream.step);
            stream.is_open = true;
            stream.taken = 0;
        }
        let left = (stream.message.length - stream.taken).min(size);
        self.current = Some(Chunk { stream: index, left });
        self.head_len = 0;
        Ok(())
    }

    /// `count` bytes of the current chunk's payload have been taken; answers
    /// whether its message is complete.
    pub(super) fn advance(&mut self, count: usize) -> bool {
        let Some(chunk) = &mut self.current else { return false };
        chunk.left = chunk.left.saturating_sub(count);
        let Some(stream) = self.streams.get_mut(chunk.stream) else { return false };
        stream.taken += count;
        let ends = stream.taken >= stream.message.length;
        stream.is_open = !ends;
        if chunk.left == 0 {
            self.current = None;
        }
        ends
    }

    /// Set Chunk Size.
    pub(super) fn set_size(&mut self, size: u32) -> Result<(), Denied> {
        if size == 0 || size > i32::MAX as u32 {
            return Err(bad(format!("chunk size {size}; it is 1 to {}", i32::MAX)));
        }
        self.size = size as usize;
        Ok(())
    }

    /// Abort Message: the stream's index, if a message is open there, which is
    /// given up.
    pub(super) fn abort(&mut self, id: u32) -> Option<usize> {
        let index = self.streams.iter().position(|stream| stream.id == id && stream.is_open)?;
        let stream = self.streams.get_mut(index)?;
        stream.is_open = false;
        stream.held = Vec::new();
        Some(index)
    }
}

/// A refusal of bytes that are not what RTMP sends.
pub(super) fn bad(text: String) -> Denied {
    (Refusal::BadRequest, text)
}

/// The writing side of one connection: our own, small messages.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Sender {
    size: usize,
    /// What is to be sent, in the order in which it was made.
    pub(super) output: Vec<u8>,
}

/// Chunk stream of protocol control and user control, sections 5.4 and 6.2.
const CONTROL_STREAM: u8 = 2;
/// Chunk stream of our commands.
const COMMAND_STREAM: u8 = 3;

impl Sender {
    pub(super) const fn new() -> Self {
        Self { size: FIRST_SIZE, output: Vec::new() }
    }

    /// A protocol control message of one number.
    pub(super) fn control(&mut self, kind: u8, number: u32) {
        self.message(CONTROL_STREAM, kind, 0, &number.to_be_bytes());
    }

    /// Set Chunk Size, and from now on that size.
    pub(super) fn set_size(&mut self, size: usize) {
        self.control(kind::SET_CHUNK_SIZE, u32::try_from(size).unwrap_or(u32::MAX >> 1));
        self.size = size;
    }

    /// Set Peer Bandwidth, limit type dynamic.
    pub(super) fn bandwidth(&mut self, window: u32) {
        let [a, b, c, d] = window.to_be_bytes();
        self.message(CONTROL_STREAM, kind::BANDWIDTH, 0, &[a, b, c, d, 2]);
    }

    /// A user control message, section 6.2: the event and its data.
    pub(super) fn user_control(&mut self, event: u16, data: &[u8]) {
        let mut payload = event.to_be_bytes().to_vec();
        payload.extend(data);
        self.message(CONTROL_STREAM, kind::USER_CONTROL, 0, &payload);
    }

    /// A command or data message of message stream `on`.
    pub(super) fn command(&mut self, kind: u8, on: u32, payload: &[u8]) {
        self.message(COMMAND_STREAM, kind, on, payload);
    }

    fn message(&mut self, stream: u8, kind: u8, on: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap_or(EXTENDED).to_be_bytes();
        self.output.extend([stream, 0, 0, 0, length[1], length[2], length[3], kind]);
        self.output.extend(on.to_le_bytes());
        for (at, piece) in payload.chunks(self.size).enumerate() {
            if at > 0 {
                self.output.push(0xc0 | stream);
            }
            self.output.extend(piece);
        }
    }
}
