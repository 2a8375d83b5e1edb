//! What the tests of RTMP share: a peer's bytes made by hand from the
//! specification, and a session driven with them in any split.

mod commands;
mod hostile;
mod media;
mod pair;

use super::amf::{Command, Writer};
use super::wire::{Got, Wire};
use super::*;
use crate::base::Instant;

const NOW: Instant = Instant::from_nanos(5);

/// A chunk header of type 0 to 3 (the first of `form`'s fields that it has).
fn chunk_head(form: u8, stream: u32, time: u32, length: usize, kind: u8) -> Vec<u8> {
    let mut head = match stream {
        2..64 => vec![form << 6 | stream as u8],
        64..320 => vec![form << 6, (stream - 64) as u8],
        _ => vec![form << 6 | 1, (stream - 64) as u8, ((stream - 64) >> 8) as u8],
    };
    let short = time.min(0xff_ffff).to_be_bytes();
    if form < 3 {
        head.extend(&short[1..]);
    }
    if form < 2 {
        head.extend(&(length as u32).to_be_bytes()[1..]);
        head.push(kind);
    }
    if form == 0 {
        head.extend([1, 0, 0, 0]);
    }
    if form < 3 && time >= 0xff_ffff {
        head.extend(time.to_be_bytes());
    }
    head
}

/// A message in chunks of `size` behind each other, the first of type 0.
fn message(stream: u32, time: u32, kind: u8, payload: &[u8], size: usize) -> Vec<u8> {
    chunks(0, stream, time, kind, payload, size).concat()
}

/// The chunks of a message; those of type 3 repeat the extended timestamp.
fn chunks(form: u8, stream: u32, time: u32, kind: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    let mut head = chunk_head(form, stream, time, payload.len(), kind);
    let again = if time >= 0xff_ffff { time.to_be_bytes().to_vec() } else { Vec::new() };
    if payload.is_empty() {
        return vec![head];
    }
    for piece in payload.chunks(size) {
        head.extend(piece);
        made.push(head);
        head = [chunk_head(3, stream, 0, 0, 0), again.clone()].concat();
    }
    made
}

fn command(writer: Writer) -> Vec<u8> {
    message(3, 0, kind::COMMAND, &writer.bytes(), 128)
}

/// Version, packet, and 1536 bytes for ours.
fn handshake() -> Vec<u8> {
    let mut bytes = vec![3, 0, 0, 0, 9, 0, 0, 0, 0];
    bytes.extend((8..2 * 1536).map(|at| (at % 251) as u8));
    bytes
}

fn connect() -> Vec<u8> {
    command(Writer::command("connect", 1.0).object().key("app").string("live").end())
}

/// Up to where media may go; the chunk size is then `size`.
fn opening(wish: &str, key: &str, size: usize) -> Vec<u8> {
    let mut bytes = handshake();
    bytes.extend(connect());
    bytes.extend(command(Writer::command("releaseStream", 2.0).null().string(key)));
    bytes.extend(command(Writer::command("FCPublish", 3.0).null().string(key)));
    bytes.extend(command(Writer::command("createStream", 4.0).null()));
    bytes.extend(command(Writer::command(wish, 5.0).null().string(key).string("live")));
    bytes.extend(message(2, 0, kind::SET_CHUNK_SIZE, &(size as u32).to_be_bytes(), 128));
    bytes
}

/// An FLV tag with its size behind it, from the specification's words.
fn tag(kind: u8, time: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_be_bytes();
    let stamp = time.to_be_bytes();
    let mut bytes = vec![kind, length[1], length[2], length[3]];
    bytes.extend([stamp[1], stamp[2], stamp[3], stamp[0], 0, 0, 0]);
    bytes.extend(data);
    bytes.extend((11 + data.len() as u32).to_be_bytes());
    bytes
}

fn bytes_of(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

/// What a session made of what it was fed; all that it asks is granted.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    events: Vec<String>,
    tags: Vec<u8>,
    output: Vec<u8>,
    refused: Option<Denied>,
}

/// Feeds a new session, in pieces of those sizes over and over.
fn drive(bytes: &[u8], sizes: &[usize]) -> Heard {
    let mut session = Session::new(NOW).unwrap();
    let mut heard = Heard::default();
    feed(&mut session, bytes, sizes, &mut heard);
    heard
}

fn feed(session: &mut Session, bytes: &[u8], sizes: &[usize], heard: &mut Heard) {
    let mut sizes = sizes.iter().cycle();
    let mut left = bytes;
    while !left.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, left.len());
        let (mut piece, rest) = left.split_at(size);
        left = rest;
        loop {
            let answer = session.handle_bytes(piece, NOW);
            let (used, event) = match answer {
                Ok((used, event)) => (used, event),
                Err(denied) => {
                    session.refused(denied.0, &denied.1);
                    heard.output.append(session.output());
                    heard.refused = Some(denied);
                    return;
                }
            };
            assert!(used <= piece.len());
            piece = &piece[used..];
            let over = event.is_none();
            match event {
                None => assert!(piece.is_empty(), "stopped without a word"),
                Some(Event::Media(bytes)) => {
                    assert!(!bytes.is_empty());
                    heard.tags.extend(bytes);
                }
                Some(Event::Publish { name, .. }) => {
                    assert_eq!(session.handle_bytes(piece, NOW), Ok((0, None)), "undecided");
                    session.publish_granted();
                    heard.events.push(format!("publish {name}"));
                }
                Some(Event::Play { name, .. }) => {
                    session.play_granted();
                    heard.events.push(format!("play {name}"));
                }
                Some(Event::End) => heard.events.push("end".to_owned()),
            }
            heard.output.append(session.output());
            if over {
                break;
            }
        }
    }
}

/// What a publisher with that media is heard to say: the same whole, byte by
/// byte, and cut in two anywhere (if there is not too much of it).
fn published(media: &[u8], size: usize) -> Heard {
    let opening = opening("publish", "a", size);
    let bytes = [opening.as_slice(), media].concat();
    let whole = drive(&bytes, &[bytes.len()]);
    assert_eq!(drive(&bytes, &[1]), whole, "byte by byte");
    if media.len() < 1000 {
        for at in opening.len()..bytes.len() {
            assert_eq!(drive(&bytes, &[at, bytes.len()]), whole, "cut at {at}");
        }
    }
    whole
}

/// The messages in what a side has sent, as text: commands with transaction
/// and code or argument.
fn said(output: &[u8]) -> Vec<String> {
    let mut wire = Wire::new(false);
    let (mut used, mut said) = (0, Vec::new());
    while let Some(got) = wire.step(output, &mut used).unwrap() {
        if let Got::Command(bytes) = got {
            let command = Command::parse(&bytes).unwrap();
            let mut arguments = command.arguments;
            let code = arguments.field("code").and_then(|mut value| value.string());
            let number = arguments.number().map(|number| format!(" {number}"));
            let code = code.map(|code| format!(" {code}"));
            let argument = code.or(number).unwrap_or_default();
            said.push(format!("{} {}{argument}", command.name, command.id));
        }
    }
    assert_eq!(used, output.len());
    said
}
