//! An RTMP peer of the tests: the project's own client side over a socket, with
//! all that came kept, so that it can be looked at afterwards.

use crate::wire;
use nearlight::protocol::Refusal;
use nearlight::protocol::rtmp::{Answer, Caller, Purpose, publish_messages};
use nearlight::sys::clock::Clock;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One connection and what it has come to.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    caller: Caller,
    /// Everything that the server has sent.
    pub(crate) heard: Vec<u8>,
    /// The stream that it has sent: FLV tags.
    pub(crate) tags: Vec<u8>,
    pub(crate) is_granted: bool,
    /// It was told that the stream is over.
    pub(crate) is_over: bool,
    pub(crate) refusal: Option<(Refusal, String)>,
    /// The server has closed.
    pub(crate) is_closed: bool,
}

impl Peer {
    /// Says what it wants; the answer may take its time.
    pub(crate) fn asks(addr: SocketAddr, purpose: Purpose, stream: &str) -> Self {
        Self::asks_on(wire::connect(addr), purpose, stream)
    }

    /// The same on a connection of one's own.
    pub(crate) fn asks_on(socket: TcpStream, purpose: Purpose, stream: &str) -> Self {
        let (app, key) = stream.rsplit_once('/').expect("app/key");
        let url = format!("rtmp://{}/{app}", socket.peer_addr().expect("connected"));
        let caller = Caller::new(purpose, &url, app, key, Clock::now()).expect("it has RTMP");
        let mut peer = Self {
            socket,
            caller,
            heard: Vec::new(),
            tags: Vec::new(),
            is_granted: false,
            is_over: false,
            refusal: None,
            is_closed: false,
        };
        peer.say();
        // The answer to createStream, its fourth: then it asks.
        peer.until("a message stream", |peer| {
            peer.has_heard(b"_result\0\x40\x10\0\0\0\0\0\0") || peer.refusal.is_some()
        });
        peer
    }

    /// A publisher that may begin.
    pub(crate) fn publishes(addr: SocketAddr, stream: &str) -> Self {
        let mut peer = Self::asks(addr, Purpose::Publish, stream);
        peer.until("it may publish", |peer| peer.is_granted);
        peer
    }

    /// A player that waits, or has begun.
    pub(crate) fn plays(addr: SocketAddr, stream: &str) -> Self {
        Self::asks(addr, Purpose::Play, stream)
    }

    /// One that is refused: why, and in which words.
    pub(crate) fn refused(addr: SocketAddr, purpose: Purpose, stream: &str) -> (Refusal, String) {
        let mut peer = Self::asks(addr, purpose, stream);
        peer.until("it is refused", |peer| peer.refusal.is_some());
        peer.until_closed();
        assert!(!peer.is_granted);
        peer.refusal.take().expect("just seen")
    }

    /// Sends whole tags, each as one message.
    pub(crate) fn send(&mut self, tags: &[u8]) {
        let whole: usize = crate::tags::tags(tags).iter().map(|(head, _)| head.whole()).sum();
        assert_eq!(whole, tags.len(), "a torn tag");
        self.write(&publish_messages(tags));
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("it is read");
    }

    /// Says that it leaves, and leaves the connection open.
    pub(crate) fn finish(&mut self) {
        self.caller.finish();
        self.say();
    }

    pub(crate) fn has_heard(&self, bytes: &[u8]) -> bool {
        self.heard.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Reads until something is so, as far as that takes.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Clock::now() + wire::PATIENCE;
        while !is_so(self) {
            assert!(!self.is_closed, "closed before: {what}; {:?}", self.refusal);
            assert!(Clock::now() < deadline, "in vain: {what}");
            self.read();
        }
    }

    /// Reads until so many bytes of the stream have come.
    pub(crate) fn until_tags(&mut self, len: usize) {
        self.until(&format!("{len} bytes of tags"), |peer| peer.tags.len() >= len);
    }

    /// Reads to the end of the stream and of the connection; answers its tags.
    pub(crate) fn into_tags(mut self) -> Vec<u8> {
        self.until("the stream's end", |peer| peer.is_over);
        self.until_closed();
        // StreamEOF (event 1) of user control (4), and the status.
        assert!(self.has_heard(b"\x06\x04\0\0\0\0\0\x01\0\0\0\x01"), "no StreamEOF");
        assert!(self.has_heard(b"NetStream.Play.UnpublishNotify"));
        self.tags
    }

    pub(crate) fn until_closed(&mut self) {
        let deadline = Clock::now() + wire::PATIENCE;
        while !self.is_closed {
            assert!(Clock::now() < deadline, "still open");
            self.read();
        }
    }

    /// Reads once.
    pub(crate) fn read(&mut self) {
        let mut bytes = vec![0; 1 << 16];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.is_closed = true,
            Ok(len) => self.hear(&bytes[..len]),
            Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => self.is_closed = true,
            Err(why) => panic!("nothing came: {why}"),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        let mut rest = bytes;
        loop {
            let (used, answer) = match self.caller.handle_bytes(rest, Clock::now()) {
                Ok(answer) => answer,
                Err(why) => {
                    self.refusal.get_or_insert(why);
                    break;
                }
            };
            rest = &rest[used..];
            match answer {
                Some(Answer::Media(bytes)) => self.tags.extend_from_slice(bytes),
                Some(Answer::Granted) => self.is_granted = true,
                Some(Answer::End) => self.is_over = true,
                None => break,
            }
        }
        self.say();
    }

    /// Sends what its session has to say; where the server has gone, nothing.
    fn say(&mut self) {
        let words = std::mem::take(self.caller.output());
        let _gone = self.socket.write_all(&words);
    }
}

/// A command in one chunk: its name, its transaction, null, and more AMF0.
pub(crate) fn command(name: &str, id: f64, more: &[u8]) -> Vec<u8> {
    let text = |text: &str| [&[2, 0, text.len() as u8], text.as_bytes()].concat();
    let body = [&text(name)[..], &[0], &id.to_be_bytes(), &[5], more].concat();
    assert!(body.len() <= 128, "the first chunk size");
    message(3, 20, &body, 128)
}

/// A message of time 0 and message stream 1 as chunks of `size` bytes.
pub(crate) fn message(stream: u8, kind: u8, body: &[u8], size: usize) -> Vec<u8> {
    let [_, l2, l1, l0] = (body.len() as u32).to_be_bytes();
    let mut bytes = vec![stream, 0, 0, 0, l2, l1, l0, kind, 1, 0, 0, 0];
    for (n, piece) in body.chunks(size).enumerate() {
        if n > 0 {
            bytes.push(0xC0 | stream);
        }
        bytes.extend_from_slice(piece);
    }
    bytes
}
