//! What both sides of a connection do alike: handshake, chunk stream, protocol
//! control, and media as pieces of FLV tags. Commands come out whole.

use super::chunk::{Chunk, Chunks, Message, Sender, bad};
use super::handshake::Handshake;
use super::tag::uint32;
use super::tags::{Piece, Tags, head};
use super::{Denied, kind};
use crate::limits::{
    QUEUED_BYTES, RTMP_COMMAND_BYTES, RTMP_CONTROL_BYTES, RTMP_HELD_BYTES, RTMP_HELD_IDLE,
    RTMP_WINDOW, RTMP_WINDOW_MIN,
};
use std::mem;

/// User control events, RTMP 1.0 section 7.1.7.
pub(super) mod event {
    pub(in super::super) const STREAM_BEGIN: u16 = 0;
    pub(in super::super) const STREAM_EOF: u16 = 1;
    pub(in super::super) const SET_BUFFER_LENGTH: u16 = 3;
    pub(in super::super) const PING: u16 = 6;
    pub(in super::super) const PONG: u16 = 7;
}

/// What some bytes came to.
#[derive(Debug)]
pub(super) enum Got {
    /// The handshake is over.
    Shaken,
    /// More of the tags.
    Media(Piece),
    /// A command in AMF0.
    Command(Vec<u8>),
    /// The server says that the stream has ended.
    StreamEof,
}

/// One connection.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Wire {
    is_server: bool,
    handshake: Handshake,
    chunks: Chunks,
    tags: Tags,
    pub(super) sender: Sender,
    /// Media is wanted; else it is passed over.
    pub(super) takes_media: bool,
    /// Bytes that have come, and those of them that were acknowledged.
    received: u64,
    acknowledged: u64,
    /// Bytes after which the peer wants to hear.
    window: u32,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    /// Passed on as it comes.
    Media,
    /// Held, head of a tag in front: its data changes.
    Data,
    /// Held and acted upon.
    Order,
    /// Passed over.
    Nowhere,
}

impl Wire {
    pub(super) fn new(is_server: bool) -> Self {
        Self {
            is_server,
            handshake: Handshake::default(),
            chunks: Chunks::new(),
            tags: Tags::default(),
            sender: Sender::new(),
            takes_media: false,
            received: 0,
            acknowledged: 0,
            window: RTMP_WINDOW,
        }
    }

    pub(super) const fn is_shaken(&self) -> bool {
        self.handshake.is_over()
    }

    /// The bytes of a piece; `input` is what [`Self::step`] was given.
    pub(super) fn bytes<'a>(&'a self, piece: Piece, input: &'a [u8]) -> &'a [u8] {
        let tags = &self.tags;
        match piece {
            Piece::Head => &tags.head,
            Piece::Input(range) => input.get(range).unwrap_or_default(),
            Piece::Again(count) => tags.again.get(..count).unwrap_or_default(),
            Piece::Tail => &tags.tail,
            Piece::Held => &tags.held,
        }
    }

    /// Takes bytes of `input` from `used` on, which it moves, up to the first
    /// that come to something; `None` when all are used.
    pub(super) fn step(&mut self, input: &[u8], used: &mut usize) -> Result<Option<Got>, Denied> {
        if !self.handshake.is_over() {
            let rest = input.get(*used..).unwrap_or_default();
            let output = &mut self.sender.output;
            let count = self.handshake.handle_bytes(rest, output, self.is_server)?;
            self.took(count, used);
            return Ok(self.handshake.is_over().then_some(Got::Shaken));
        }
        loop {
            if let Some(piece) = self.tags.next() {
                return Ok(Some(Got::Media(piece)));
            }
            if self.sender.output.len() > QUEUED_BYTES {
                return Err(bad("asks on and on without reading what is answered".to_owned()));
            }
            let Some(chunk) = self.chunks.current() else {
                let rest = input.get(*used..).unwrap_or_default();
                let count = self.chunks.read_head(rest)?;
                self.took(count, used);
                if self.chunks.current().is_none() {
                    return Ok(None);
                }
                continue;
            };
            let is_starved = *used == input.len() && self.chunks.again().1 == 0;
            if is_starved && chunk.left > 0 {
                return Ok(None);
            }
            if let Some(got) = self.payload(chunk, input, used)? {
                return Ok(Some(got));
            }
        }
    }

    /// Counts bytes as used, and acknowledges them when a window is full.
    fn took(&mut self, count: usize, used: &mut usize) {
        *used += count;
        self.received += count as u64;
        while self.received - self.acknowledged >= u64::from(self.window) {
            self.acknowledged += u64::from(self.window);
            // 32 bits of it, RTMP 1.0 section 5.4.3.
            self.sender.control(kind::ACKNOWLEDGEMENT, self.acknowledged as u32);
        }
    }

    /// Takes payload of the current chunk.
    fn payload(
        &mut self,
        chunk: Chunk,
        input: &[u8],
        used: &mut usize,
    ) -> Result<Option<Got>, Denied> {
        let Some(stream) = self.chunks.streams.get_mut(chunk.stream) else {
            return Err(bad("no such chunk stream".to_owned()));
        };
        let message = stream.message;
        let is_under_way = stream.taken > 0;
        let is_known = !stream.held.is_empty() || self.tags.is_passing(chunk.stream);
        let route = match route(&message)? {
            // What began before media was wanted is passed over to its end.
            Route::Media | Route::Data if !self.takes_media || is_under_way && !is_known => {
                Route::Nowhere
            }
            route @ (Route::Media | Route::Data | Route::Order | Route::Nowhere) => route,
        };
        let is_passed =
            route == Route::Media && self.tags.passes(chunk.stream, &message, &mut stream.held);
        if is_passed && !self.tags.takes_payload() {
            return Ok(None);
        }
        let (again, again_len) = self.chunks.again();
        let rest = match again_len {
            0 => input.get(*used..).unwrap_or_default(),
            _ => again.get(..again_len).unwrap_or_default(),
        };
        let count = rest.len().min(chunk.left);
        let bytes = rest.get(..count).unwrap_or_default();
        if !is_passed {
            self.hold(chunk.stream, route, &message, bytes)?;
        }
        let piece = match again_len {
            0 => Piece::Input(*used..*used + count),
            _ => Piece::Again(count),
        };
        self.tags.again = again;
        match again_len {
            0 => self.took(count, used),
            _ => self.chunks.read_again(count),
        }
        let ends = self.chunks.advance(count);
        if is_passed {
            if ends {
                self.tags.ends(&message);
            }
            return Ok((count > 0).then_some(Got::Media(piece)));
        }
        if ends { self.whole(chunk.stream, route, &message) } else { Ok(None) }
    }

    /// Holds a part of a message.
    fn hold(
        &mut self,
        index: usize,
        route: Route,
        message: &Message,
        bytes: &[u8],
    ) -> Result<(), Denied> {
        let most = if self.takes_media { RTMP_HELD_BYTES } else { RTMP_HELD_IDLE };
        if route != Route::Nowhere && self.held() + bytes.len() > most {
            return Err(bad(format!("more than {most} bytes of messages begun and not ended")));
        }
        if let Some(stream) = self.chunks.streams.get_mut(index) {
            match route {
                Route::Media | Route::Data => {
                    if stream.held.is_empty() {
                        stream.held.extend(head(message));
                    }
                    stream.held.extend(bytes);
                }
                Route::Order => stream.held.extend(bytes),
                Route::Nowhere => {}
            }
        }
        Ok(())
    }

    /// A message that was held is complete.
    fn whole(
        &mut self,
        index: usize,
        route: Route,
        message: &Message,
    ) -> Result<Option<Got>, Denied> {
        let stream = self.chunks.streams.get_mut(index);
        let held = stream.map(|stream| mem::take(&mut stream.held)).unwrap_or_default();
        match route {
            Route::Media | Route::Data => self.tags.completed(message, &held),
            Route::Order => return self.order(message.kind, held),
            Route::Nowhere => {}
        }
        Ok(None)
    }

    /// Acts upon a message of the protocol's own; commands are passed on.
    fn order(&mut self, kind: u8, mut bytes: Vec<u8>) -> Result<Option<Got>, Denied> {
        let number = || match bytes.get(..4) {
            Some(number) => Ok(uint32(number)),
            None => Err(bad(format!("protocol control message {kind} is too short"))),
        };
        match kind {
            kind::SET_CHUNK_SIZE => self.chunks.set_size(number()?)?,
            kind::ABORT => {
                let stream = self.chunks.abort(number()?);
                if stream.is_some_and(|index| self.tags.is_passing(index)) {
                    return Err(bad("aborts a message that was passed on already".to_owned()));
                }
            }
            kind::WINDOW => {
                self.window = number()?.max(RTMP_WINDOW_MIN);
                self.acknowledged = self.received;
            }
            kind::USER_CONTROL => match *bytes.as_slice() {
                [0, event, ref data @ ..] if u16::from(event) == event::PING => {
                    self.sender.user_control(event::PONG, data);
                }
                [0, event, ..] if u16::from(event) == event::STREAM_EOF => {
                    return Ok(Some(Got::StreamEof));
                }
                _ => {}
            },
            kind::COMMAND => return Ok(Some(Got::Command(bytes))),
            // AMF0 all the same, behind a byte that says so.
            kind::COMMAND_AMF3 if !bytes.is_empty() => {
                drop(bytes.drain(..1));
                return Ok(Some(Got::Command(bytes)));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Bytes of messages that are held.
    fn held(&self) -> usize {
        let streams = self.chunks.streams.iter().map(|stream| stream.held.len());
        streams.sum::<usize>() + self.tags.waiting()
    }

    /// Bytes of memory that the peer's doings take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let streams = self.chunks.streams.iter().map(|stream| stream.held.capacity());
        streams.sum::<usize>() + self.tags.memory() + self.sender.output.capacity()
    }
}

/// What becomes of a message of such a type.
///
/// # Errors
/// It is longer than any of its type.
fn route(message: &Message) -> Result<Route, Denied> {
    let (route, most) = match message.kind {
        kind::AUDIO | kind::VIDEO => (Route::Media, usize::MAX),
        kind::DATA | kind::DATA_AMF3 | kind::AGGREGATE => (Route::Data, usize::MAX),
        kind::COMMAND | kind::COMMAND_AMF3 => (Route::Order, RTMP_COMMAND_BYTES),
        kind::SET_CHUNK_SIZE
        | kind::ABORT
        | kind::ACKNOWLEDGEMENT
        | kind::USER_CONTROL
        | kind::WINDOW
        | kind::BANDWIDTH => (Route::Order, RTMP_CONTROL_BYTES),
        _ => (Route::Nowhere, usize::MAX),
    };
    if message.length > most {
        let (kind, length) = (message.kind, message.length);
        return Err(bad(format!(
            "a message of type {kind} has {length} bytes; at most {most} are taken"
        )));
    }
    Ok(route)
}
