//! The client's side of a connection: publishes a stream of ours on another
//! server, or plays one of theirs.
//!
//! The commands and their order are those of OBS and ffmpeg, which every server
//! is tried with.

use super::amf::{Command, Reader, Writer};
use super::chunk::bad;
use super::wire::{Got, Wire, event};
use super::{Answer, Denied, Purpose, handshake, kind};
use crate::base::Instant;
use crate::limits::{CLIENT_STALL, RTMP_PUSH_CHUNK_BYTES, RTMP_WINDOW};
use crate::protocol::Refusal;
use crate::protocol::response::printable;

/// Transactions, by which answers are known.
const CONNECT: f64 = 1.0;
const RELEASE: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE: f64 = 4.0;
const START: f64 = 5.0;
const LEAVE: f64 = 6.0;
/// What a player says to hold at most, in ms: as little as programs say.
const BUFFER_MS: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshake,
    /// `connect` was sent.
    Connecting,
    /// `createStream` was sent.
    Creating,
    /// `publish` or `play` was sent.
    Asking,
    Live,
    Over,
}

/// The client's side of one connection.
///
/// Send what [`Self::output`] holds, from the start; feed it what comes; when it
/// answers [`Answer::Granted`], send tags by `message_head` and
/// `publish_messages`, or take its media. What comes while publishing is to be
/// fed to it too, and answered between two messages.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Caller {
    wire: Wire,
    state: State,
    purpose: Purpose,
    url: String,
    app: String,
    key: String,
    /// The message stream that the server gave out.
    stream: u32,
    deadline: Instant,
}

impl Caller {
    /// A caller on a connection that was made just now: for
    /// `rtmp://host:port/app/key`, `url` is `rtmp://host:port/app`. `None` if
    /// the build has no RTMP.
    pub fn new(purpose: Purpose, url: &str, app: &str, key: &str, now: Instant) -> Option<Self> {
        let mut wire = Wire::new(false);
        handshake::hello(&mut wire.sender.output);
        Some(Self {
            wire,
            state: State::Handshake,
            purpose,
            url: url.to_owned(),
            app: app.to_owned(),
            key: key.to_owned(),
            stream: 0,
            deadline: now + CLIENT_STALL,
        })
    }

    /// Takes bytes, split anywhere; answers how many were used and what they
    /// came to. Call it with the rest until all are used and nothing comes.
    ///
    /// # Errors
    /// The server refuses, in its words, or is no RTMP server: close.
    pub fn handle_bytes<'a>(
        &'a mut self,
        input: &'a [u8],
        now: Instant,
    ) -> Result<(usize, Option<Answer<'a>>), Denied> {
        let mut used = 0;
        while self.state != State::Over {
            match self.wire.step(input, &mut used)? {
                None => return Ok((used, None)),
                Some(Got::Shaken) => self.connect(now),
                Some(Got::StreamEof) if self.purpose == Purpose::Publish => {}
                Some(Got::StreamEof) => {
                    self.state = State::Over;
                    return Ok((used, Some(Answer::End)));
                }
                Some(Got::Media(piece)) => {
                    return Ok((used, Some(Answer::Media(self.wire.bytes(piece, input)))));
                }
                Some(Got::Command(bytes)) => {
                    if let Some(answer) = self.command(&bytes, now)? {
                        return Ok((used, Some(answer)));
                    }
                }
            }
        }
        Ok((input.len(), None))
    }

    /// When a server that doesn't answer is to be given up; none once it has
    /// granted what was asked.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Handshake | State::Connecting | State::Creating | State::Asking => {
                Some(self.deadline)
            }
            State::Live | State::Over => None,
        }
    }

    /// What is to be sent, in the order in which it was made; whoever sends it
    /// takes it out.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.wire.sender.output
    }

    /// Says that we leave. Send the output and close.
    pub fn finish(&mut self) {
        if self.state == State::Live {
            if self.purpose == Purpose::Publish {
                let leave = Writer::command("FCUnpublish", LEAVE).null().string(&self.key);
                self.wire.sender.command(kind::COMMAND, 0, &leave.bytes());
            }
            let delete = Writer::command("deleteStream", 0.0).null();
            let delete = delete.number(f64::from(self.stream)).bytes();
            self.wire.sender.command(kind::COMMAND, 0, &delete);
        }
        self.state = State::Over;
    }

    fn send(&mut self, on: u32, command: Writer) {
        self.wire.sender.command(kind::COMMAND, on, &command.bytes());
    }

    fn moves_to(&mut self, state: State, now: Instant) {
        self.state = state;
        self.deadline = now + CLIENT_STALL;
    }

    fn connect(&mut self, now: Instant) {
        self.moves_to(State::Connecting, now);
        let connect = Writer::command("connect", CONNECT).object().key("app").string(&self.app);
        let connect = match self.purpose {
            Purpose::Publish => {
                self.wire.sender.set_size(RTMP_PUSH_CHUNK_BYTES);
                // What ingest servers know an encoder by.
                connect
                    .key("type")
                    .string("nonprivate")
                    .key("flashVer")
                    .string("FMLE/3.0 (compatible; nearlight)")
            }
            // All codecs that there are, as ffmpeg says it.
            Purpose::Play => connect
                .key("flashVer")
                .string("LNX 9,0,124,2")
                .key("fpad")
                .boolean(false)
                .key("capabilities")
                .number(15.0)
                .key("audioCodecs")
                .number(4071.0)
                .key("videoCodecs")
                .number(252.0)
                .key("videoFunction")
                .number(1.0),
        };
        let connect = connect.key("tcUrl").string(&self.url);
        let codecs = ["av01", "vp09", "hvc1", "avc1", "mp4a", "Opus", "ac-3", "ec-3", "fLaC"];
        self.send(0, connect.key("fourCcList").strings(&codecs).end());
    }

    fn command(&mut self, bytes: &[u8], now: Instant) -> Result<Option<Answer<'static>>, Denied> {
        let Some(command) = Command::parse(bytes) else {
            return Err(bad("a command that is no AMF0".to_owned()));
        };
        let mut arguments = command.arguments;
        match (command.name, self.state) {
            ("_result", State::Connecting) if command.id == CONNECT => self.create(now),
            ("_result", State::Creating) if command.id == CREATE => {
                let stream = arguments.number().unwrap_or(0.0);
                self.start(stream, now)?;
            }
            ("_error", _) if command.id == CONNECT || command.id == CREATE => {
                return Err(refusal(self.purpose, arguments));
            }
            ("onStatus", _) => return self.status(arguments),
            _ => {}
        }
        Ok(None)
    }

    fn create(&mut self, now: Instant) {
        self.moves_to(State::Creating, now);
        match self.purpose {
            Purpose::Publish => {
                let release = Writer::command("releaseStream", RELEASE).null().string(&self.key);
                self.send(0, release);
                let announce = Writer::command("FCPublish", FC_PUBLISH).null().string(&self.key);
                self.send(0, announce);
            }
            Purpose::Play => self.wire.sender.control(kind::WINDOW, RTMP_WINDOW),
        }
        self.send(0, Writer::command("createStream", CREATE).null());
    }

    fn start(&mut self, stream: f64, now: Instant) -> Result<(), Denied> {
        self.moves_to(State::Asking, now);
        // A cast that goes no further than the type does.
        self.stream = stream as u32;
        match self.purpose {
            Purpose::Publish if self.stream != 1 => {
                Err(bad(format!("it gives out message stream {stream}; only 1 can be used")))
            }
            Purpose::Publish => {
                let publish = Writer::command("publish", START).null().string(&self.key);
                self.send(self.stream, publish.string("live"));
                Ok(())
            }
            Purpose::Play => {
                // -2: the live stream of that name, section 7.2.2.1.
                let play = Writer::command("play", START).null().string(&self.key).number(-2.0);
                self.send(self.stream, play);
                let mut buffer = self.stream.to_be_bytes().to_vec();
                buffer.extend(BUFFER_MS.to_be_bytes());
                self.wire.sender.user_control(event::SET_BUFFER_LENGTH, &buffer);
                Ok(())
            }
        }
    }

    fn status(&mut self, info: Reader<'_>) -> Result<Option<Answer<'static>>, Denied> {
        let text = |key| info.field(key).and_then(|mut value| value.string());
        let is_play = self.purpose == Purpose::Play;
        match text("code").unwrap_or("") {
            "NetStream.Publish.Start" | "NetStream.Play.Start" if self.state == State::Asking => {
                self.state = State::Live;
                self.wire.takes_media = is_play;
                Ok(Some(Answer::Granted))
            }
            "NetStream.Play.UnpublishNotify"
            | "NetStream.Play.Stop"
            | "NetStream.Play.Complete"
            | "NetConnection.Connect.Closed"
                if text("level") != Some("error") =>
            {
                self.state = State::Over;
                Ok(Some(Answer::End))
            }
            _ if text("level") == Some("error") => Err(refusal(self.purpose, info)),
            _ => Ok(None),
        }
    }

    /// Bytes of memory that the server's doings take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.wire.memory()
    }
}

/// What a server says when it refuses.
fn refusal(purpose: Purpose, info: Reader<'_>) -> Denied {
    let text = |key| info.field(key).and_then(|mut value| value.string()).unwrap_or("");
    let (code, description) = (text("code"), text("description"));
    let why = match (purpose, code) {
        (Purpose::Publish, "NetStream.Publish.BadName") => Refusal::Busy,
        (Purpose::Play, "NetStream.Play.StreamNotFound") => Refusal::NotFound,
        _ => Refusal::BadRequest,
    };
    (why, printable(&format!("the server refuses: {code}: {description}")))
}
