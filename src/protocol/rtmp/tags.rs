//! From messages to FLV tags (FLV 10.1, annex E.4): what a tag has around its
//! data, the few messages whose data changes, and the order in which the pieces
//! of interleaved messages come out.
//!
//! One message at a time is passed on as it comes: the head of its tag, its
//! payload from the input, the tag's size. Others that begin meanwhile are held
//! (in `Stream::held`, head first) and come out whole behind it.

use super::chunk::Message;
use super::kind;
use super::tag::{SET_DATA_FRAME, TAG_HEAD, TAG_TAIL, split_tag, time_of};
use std::mem;
use std::ops::Range;

/// Data messages by which servers speak to players, as AMF0 strings: they are no
/// part of the stream.
const SERVERS_OWN: [&[u8]; 2] = [b"\x02\x00\x11|RtmpSampleAccess", b"\x02\x00\x08onStatus"];

/// Where the next bytes of the stream of tags are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// In [`Tags::head`].
    Head,
    /// In the input.
    Input(Range<usize>),
    /// In [`Tags::again`]: so many.
    Again(usize),
    /// In [`Tags::tail`].
    Tail,
    /// In [`Tags::held`].
    Held,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// No message is being passed on.
    #[default]
    Idle,
    /// The head of one is next; of what was held of it, if it was.
    Head { was_held: bool },
    /// Payload of chunk stream's message.
    Body,
    /// The size is next.
    Tail,
}

/// The tags of one connection.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Tags {
    phase: Phase,
    /// The index of the stream whose message is being passed on.
    stream: usize,
    pub(super) head: [u8; TAG_HEAD],
    pub(super) tail: [u8; TAG_TAIL],
    pub(super) again: [u8; 4],
    /// Whole tags that wait.
    ready: Vec<u8>,
    /// Those, or the beginning of one, that come out now.
    pub(super) held: Vec<u8>,
}

impl Tags {
    /// Bytes in memory.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.ready.capacity() + self.held.capacity()
    }

    /// Bytes held back.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.held.len()
    }

    /// What comes out without any input.
    pub(super) fn next(&mut self) -> Option<Piece> {
        match self.phase {
            Phase::Idle => {
                self.held = mem::take(&mut self.ready);
                (!self.held.is_empty()).then_some(Piece::Held)
            }
            Phase::Head { was_held } => {
                self.phase = Phase::Body;
                Some(if was_held { Piece::Held } else { Piece::Head })
            }
            Phase::Body => None,
            Phase::Tail => {
                self.phase = Phase::Idle;
                Some(Piece::Tail)
            }
        }
    }

    /// Whether the message of stream `index` is the one that is passed on; it
    /// becomes it if there is none. `held` is what has come of it before.
    pub(super) fn passes(&mut self, index: usize, message: &Message, held: &mut Vec<u8>) -> bool {
        if self.phase == Phase::Idle {
            self.phase = Phase::Head { was_held: !held.is_empty() };
            self.stream = index;
            self.head = head(message);
            self.held = mem::take(held);
        }
        self.is_passing(index)
    }

    /// Whether a part of stream `index`'s message has been passed on.
    pub(super) fn is_passing(&self, index: usize) -> bool {
        self.phase != Phase::Idle && self.stream == index
    }

    /// True when the payload's turn has come.
    pub(super) fn takes_payload(&self) -> bool {
        self.phase == Phase::Body
    }

    /// The message that is passed on is complete.
    pub(super) fn ends(&mut self, message: &Message) {
        self.tail = tail(message.length);
        self.held = Vec::new();
        self.phase = Phase::Tail;
    }

    /// A message that was held, head first, is complete.
    pub(super) fn completed(&mut self, message: &Message, held: &[u8]) {
        let payload = held.get(TAG_HEAD..).unwrap_or_default();
        match message.kind {
            kind::AGGREGATE => unpack(message.time, payload, &mut self.ready),
            kind::DATA | kind::DATA_AMF3 => {
                let data = plain_data(message.kind, payload);
                if SERVERS_OWN.iter().any(|text| data.starts_with(text)) {
                    return;
                }
                let plain = Message { kind: kind::DATA, length: data.len(), ..*message };
                put(&plain, data, &mut self.ready);
            }
            _ => {
                self.ready.extend(held);
                self.ready.extend(tail(message.length));
            }
        }
    }
}

/// The head of the tag that a message becomes.
pub(super) fn head(message: &Message) -> [u8; TAG_HEAD] {
    let [_, l2, l1, l0] = u32::try_from(message.length).unwrap_or(0).to_be_bytes();
    let [t3, t2, t1, t0] = message.time.to_be_bytes();
    [message.kind, l2, l1, l0, t2, t1, t0, t3, 0, 0, 0]
}

fn tail(length: usize) -> [u8; TAG_TAIL] {
    u32::try_from(TAG_HEAD + length).unwrap_or(0).to_be_bytes()
}

fn put(message: &Message, data: &[u8], out: &mut Vec<u8>) {
    out.extend(head(message));
    out.extend(data);
    out.extend(tail(message.length));
}

/// The data of a tag: without the byte that AMF3 messages begin with, and
/// without what was meant for the server.
fn plain_data(kind: u8, payload: &[u8]) -> &[u8] {
    let data = match (kind, payload) {
        (kind::DATA_AMF3, [_, rest @ ..]) => rest,
        _ => payload,
    };
    data.strip_prefix(SET_DATA_FRAME).unwrap_or(data)
}

/// The tags in an aggregate message (RTMP 1.0, 7.1.6; they are tags as in a
/// file, which the text doesn't say). Their times count from the first, whose
/// own is the message's. What is cut off at the end is left out.
fn unpack(time: u32, mut packed: &[u8], out: &mut Vec<u8>) {
    let mut first = None;
    while let Some((tag, data, rest)) = split_tag(packed) {
        let own = time_of(tag);
        let time = time.wrapping_add(own.wrapping_sub(*first.get_or_insert(own)));
        let kind = tag[0];
        if matches!(kind, kind::AUDIO | kind::VIDEO | kind::DATA) {
            let data = plain_data(kind, data);
            put(&Message { kind, length: data.len(), time }, data, out);
        }
        packed = rest;
    }
}
