//! How frames become a subscriber's bytes.
//!
//! `Plain` sends slices of the ring. `WebSocket` and `Rtmp` put a header before
//! each frame and leave out what is not payload (a line's newline, a length
//! prefix, a tag's header); `Chunked` makes a chunk of each frame as it is.
//! Datagrams are cut by the reactor's UDP side, from the same frames.

use crate::base::{Instant, Position};
use crate::framing::{Trim, flv};
use crate::limits::FLUSH_BYTES;
use crate::protocol::{CHUNK_HEAD, chunk_head, rtmp, websocket};
use crate::ring::{self, Gather, SegRef, Window};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

/// The form of a subscriber's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The stream's bytes and nothing else.
    #[default]
    Plain,
    /// One binary WebSocket message per frame (RFC 6455).
    WebSocket,
    /// One RTMP message, in one chunk, per FLV tag; to a server that is published
    /// to, or to a player.
    Rtmp(rtmp::Purpose),
    /// One chunk of a request's body per frame (RFC 9112 7.1).
    Chunked,
}

impl Form {
    /// What of a frame is no payload in this form.
    pub(super) fn trim(self, cut: Trim) -> Trim {
        match self {
            Self::Plain | Self::WebSocket => cut,
            Self::Rtmp(_) => Trim { front: flv::HEAD_BYTES, back: flv::TAIL_BYTES },
            Self::Chunked => Trim::default(),
        }
    }

    /// What goes before `payload` bytes of the frame at `at`.
    fn head(self, source: Source<'_>, at: Position, payload: u64) -> ([u8; HEAD_BYTES], usize) {
        match self {
            Self::Plain => ([0; HEAD_BYTES], 0),
            Self::WebSocket => {
                let (head, len) = websocket::header(payload as usize);
                let mut bytes = [0; HEAD_BYTES];
                bytes[..head.len()].copy_from_slice(&head);
                (bytes, len)
            }
            Self::Rtmp(_) => {
                let (head, len) = rtmp::message_head(&source.read(at));
                let mut bytes = [0; HEAD_BYTES];
                bytes[..head.len()].copy_from_slice(&head);
                (bytes, len)
            }
            Self::Chunked => chunk_head(payload),
        }
    }

    /// What a subscriber is sent first, in this form.
    pub(super) fn first(self, bytes: Arc<[u8]>) -> Arc<[u8]> {
        match self {
            Self::Plain => bytes,
            Self::WebSocket => {
                let (head, len) = websocket::header(bytes.len());
                head[..len].iter().chain(&*bytes).copied().collect()
            }
            Self::Rtmp(rtmp::Purpose::Play) => rtmp::messages(&bytes).into(),
            Self::Rtmp(rtmp::Purpose::Publish) => rtmp::publish_messages(&bytes).into(),
            Self::Chunked => {
                let (head, len) = chunk_head(bytes.len() as u64);
                head[..len].iter().chain(&*bytes).copied().collect()
            }
        }
    }
}

/// The longest header of a message.
const HEAD_BYTES: usize = if CHUNK_HEAD > rtmp::HEAD_BYTES { CHUNK_HEAD } else { rtmp::HEAD_BYTES };

/// Messages in one flush: each takes a header slice and one or two of payload.
const MESSAGES: usize = 20;

/// Where a subscriber's bytes come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// The stream's window.
    Window(&'a Window),
    /// Segments kept for a subscriber that is leaving.
    Held(&'a [SegRef]),
}

impl<'a> Source<'a> {
    pub(super) fn gather(self, from: Position, to: Position, list: &mut Gather<'a, '_>) -> u64 {
        match self {
            Self::Window(window) => window.gather(from, to, list),
            Self::Held(held) => ring::gather(held.iter(), from, to, list),
        }
    }

    /// A few bytes at `from`, which are there.
    fn read<const N: usize>(self, from: Position) -> [u8; N] {
        let mut bytes = [0; N];
        let mut slices = [IoSlice::new(&[]); 2];
        let mut list = Gather::over(&mut slices);
        self.gather(from, from + N as u64, &mut list);
        for (to, byte) in bytes.iter_mut().zip(list.slices().iter().flat_map(|slice| &**slice)) {
            *to = *byte;
        }
        bytes
    }

    /// Calls for the ends of the frames after `from`, in order, until it has
    /// enough.
    fn ends(self, from: Position, mut wants_more: impl FnMut(Position) -> bool) {
        match self {
            Self::Window(window) => {
                let _enough = window.spans(from).all(|span| wants_more(span.end));
            }
            Self::Held(held) => {
                let frames = held.iter().flat_map(|segment| segment.frames());
                let _enough =
                    frames.filter(|frame| frame.end > from).all(|frame| wants_more(frame.end));
            }
        }
    }
}

/// Where a flush of plain bytes ends that begins at `from`.
pub fn flush_end(from: Position, head: Position) -> Position {
    head.min(from + FLUSH_BYTES as u64)
}

/// Until when what lies behind `from` may gather for `span`; `None`: it is to be
/// sent, for its time is up, or as much as `full` is there, or nothing; or nothing
/// came before it for so long that nothing more is likely to in time.
pub fn gathers_until(
    window: &Window,
    from: Position,
    full: usize,
    span: Duration,
    now: Instant,
) -> Option<Instant> {
    if span.is_zero() || !(1..full as u64).contains(&window.head().since(from)) {
        return None;
    }
    let arrival = window.arrival(from)?;
    let pause = arrival.since(window.arrival(from - 1)?);
    let due = arrival + span;
    (pause <= span && due > now).then_some(due)
}

/// One frame as a message: header, payload, and where the next frame starts.
#[derive(Clone, Copy, Default)]
struct Message {
    head: [u8; HEAD_BYTES],
    head_len: usize,
    from: Position,
    to: Position,
    next: Position,
}

/// Where a subscriber stands inside a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Within {
    /// Header bytes sent of the message at the cursor.
    head_sent: u8,
    /// The header is out; the cursor is in the payload.
    in_body: bool,
}

impl Within {
    pub(super) fn at_boundary(self) -> bool {
        self == Self::default()
    }
}

/// The messages of one flush.
#[derive(Default)]
pub struct Messages {
    list: [Message; MESSAGES],
    used: usize,
}

impl Messages {
    /// Lists the frames from `cursor` up to `target`.
    pub(super) fn plan(
        &mut self,
        source: Source<'_>,
        cursor: Position,
        target: Position,
        within: Within,
        (form, trim): (Form, Trim),
    ) {
        self.used = 0;
        let mut at = cursor;
        let mut in_body = within.in_body;
        source.ends(cursor, |end| {
            if end > target || self.used == MESSAGES || at.since(cursor) > FLUSH_BYTES as u64 {
                return false;
            }
            let to = (end - trim.back as u64).max(at);
            let message = if in_body {
                Message { from: at, to, next: end, ..Message::default() }
            } else {
                let from = (at + trim.front as u64).min(to);
                let (head, head_len) = form.head(source, at, to.since(from));
                Message { head, head_len, from, to, next: end }
            };
            self.list[self.used] = message;
            self.used += 1;
            in_body = false;
            at = end;
            true
        });
    }

    pub(super) fn gather<'a>(
        &'a self,
        source: Source<'a>,
        within: Within,
        list: &mut Gather<'a, '_>,
    ) {
        for (n, message) in self.list[..self.used].iter().enumerate() {
            let sent = if n == 0 { usize::from(within.head_sent) } else { 0 };
            // A slice for the header, and one per segment of the payload.
            if list.room() < 3 && n > 0 {
                break;
            }
            let head = message.head.get(sent..message.head_len).unwrap_or_default();
            if !list.push(head) {
                break;
            }
            let wanted = message.to.since(message.from);
            if source.gather(message.from, message.to, list) < wanted {
                break;
            }
        }
    }

    /// Moves `cursor` and `within` past `sent` bytes of what was gathered.
    pub(super) fn advance(&self, mut sent: u64, cursor: &mut Position, within: &mut Within) {
        for message in &self.list[..self.used] {
            if !within.in_body {
                let head = (message.head_len - usize::from(within.head_sent)) as u64;
                if sent < head {
                    within.head_sent += sent as u8;
                    return;
                }
                sent -= head;
                *cursor = message.from.max(*cursor);
                *within = Within { head_sent: 0, in_body: message.head_len > 0 || within.in_body };
            }
            let body = message.to.since(*cursor);
            if sent < body {
                *cursor += sent;
                return;
            }
            sent -= body;
            *cursor = message.next;
            *within = Within::default();
            if sent == 0 {
                return;
            }
        }
    }
}
