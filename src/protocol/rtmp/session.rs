//! The server's side of a connection: what clients ask for by commands, and
//! what they are told (RTMP 1.0, 7.2; the rest is what OBS, ffmpeg and GStreamer
//! send and wait for).
//!
//! ```text
//! handshake ─▶ greeted ─connect─▶ connected ─publish, play─▶ asked ─granted─▶ live ─stops─▶ left
//!                                                              └─refused─▶ over ◀─┘
//! ```

use super::amf::{Command, Writer};
use super::chunk::bad;
use super::wire::{Got, Wire, event};
use super::{Denied, Event, kind, path};
use crate::base::Instant;
use crate::limits::{
    PUBLISHER_SILENCE, RTMP_CHUNK_BYTES, RTMP_FOURCC_BYTES, RTMP_STEP_TIME, RTMP_WINDOW,
};
use crate::protocol::Refusal;
use crate::protocol::http::Side;
use crate::protocol::response::printable;
use std::mem;

/// The message stream of every connection.
const STREAM: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The handshake, and then the command `connect`, is to come.
    Greeted,
    /// `publish` or `play` is to come.
    Connected,
    /// Whoever owns the session decides.
    Asked(Wish),
    /// Publishing or playing.
    Live(Wish),
    /// It has stopped, and is to close; nothing it says matters any more.
    Left,
    /// Nothing the client says matters any more.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Publish,
    Play,
}

/// The server's side of one connection.
///
/// Feed it by [`Self::handle_bytes`], send what [`Self::output`] holds after
/// each call (a player gets it between two messages of media), answer what it
/// asks, and wake it when [`Self::poll_timeout`] has passed, by ending it with
/// [`Self::refused`].
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Session {
    wire: Wire,
    state: State,
    /// The application that the client connected to.
    app: String,
    deadline: Instant,
}

impl Session {
    /// A session of a connection that was made just now; `None` if the build
    /// has no RTMP.
    pub fn new(now: Instant) -> Option<Self> {
        Some(Self {
            wire: Wire::new(true),
            state: State::Greeted,
            app: String::new(),
            deadline: now + RTMP_STEP_TIME,
        })
    }

    /// Takes bytes, split anywhere; answers how many were used and what they
    /// came to. Call it with the rest until all are used and nothing comes, or
    /// until it has asked: then it uses none before it is answered.
    ///
    /// # Errors
    /// The client can't go on. Call [`Self::refused`] with the error, send the
    /// output, close.
    pub fn handle_bytes<'a>(
        &'a mut self,
        input: &'a [u8],
        now: Instant,
    ) -> Result<(usize, Option<Event<'a>>), Denied> {
        let mut used = 0;
        loop {
            match self.state {
                State::Asked(_) => return Ok((used, None)),
                State::Left | State::Over => return Ok((input.len(), None)),
                State::Greeted | State::Connected | State::Live(_) => {}
            }
            match self.wire.step(input, &mut used)? {
                None => return Ok((used, None)),
                Some(Got::Shaken) => self.deadline = now + RTMP_STEP_TIME,
                Some(Got::StreamEof) => {}
                Some(Got::Media(piece)) => {
                    return Ok((used, Some(Event::Media(self.wire.bytes(piece, input)))));
                }
                Some(Got::Command(bytes)) => {
                    if let Some(event) = self.command(&bytes, now)? {
                        return Ok((used, Some(event)));
                    }
                }
            }
        }
    }

    /// When a client that hasn't said enough is to be refused with
    /// [`Refusal::Timeout`], or closed, if it [has left](Self::has_left); none
    /// while it waits for us, or is live.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Greeted | State::Connected | State::Left => Some(self.deadline),
            State::Asked(_) | State::Live(_) | State::Over => None,
        }
    }

    /// It has stopped publishing or playing, and is to close by itself within
    /// `limits::PUBLISHER_SILENCE` of that, whatever it still sends.
    pub const fn has_left(&self) -> bool {
        matches!(self.state, State::Left)
    }

    /// What is to be sent, in the order in which it was made; whoever sends it
    /// takes it out. A client that makes it grow past `limits::QUEUED_BYTES` is
    /// refused.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.wire.sender.output
    }

    /// The client may publish.
    pub fn publish_granted(&mut self) {
        self.state = State::Live(Wish::Publish);
        self.wire.takes_media = true;
        self.begin();
        self.status("NetStream.Publish.Start", "the stream is live");
    }

    /// The client may play; media may follow what is queued here.
    pub fn play_granted(&mut self) {
        self.state = State::Live(Wish::Play);
        self.begin();
        self.status("NetStream.Play.Reset", "the stream begins anew");
        self.status("NetStream.Play.Start", "the stream begins");
        let access = Writer::default().string("|RtmpSampleAccess").boolean(true).boolean(true);
        self.wire.sender.command(kind::DATA, STREAM, &access.bytes());
    }

    /// The client is refused, or what it was granted ends here; the text says
    /// why. Send the output and close.
    pub fn refused(&mut self, why: Refusal, text: &str) {
        let text = printable(text);
        match mem::replace(&mut self.state, State::Over) {
            State::Greeted if self.wire.is_shaken() => {
                let code = "NetConnection.Connect.Rejected";
                let answer = Writer::command("_error", 1.0).null();
                let answer = info(answer, "error", code, &text).bytes();
                self.wire.sender.command(kind::COMMAND, 0, &answer);
            }
            State::Greeted | State::Left | State::Over => {}
            State::Connected => self.tell(0, "error", "NetConnection.Connect.Closed", &text),
            State::Asked(wish) | State::Live(wish) => {
                let code = match (wish, why) {
                    (Wish::Publish, Refusal::Busy) => "NetStream.Publish.BadName",
                    (Wish::Publish, _) => "NetStream.Publish.Denied",
                    (Wish::Play, Refusal::NotFound) => "NetStream.Play.StreamNotFound",
                    (Wish::Play, _) => "NetStream.Play.Failed",
                };
                self.tell(STREAM, "error", code, &text);
            }
        }
    }

    /// The stream that the client plays has ended. Send the output and close.
    pub fn play_ended(&mut self) {
        self.state = State::Over;
        self.wire.sender.user_control(event::STREAM_EOF, &STREAM.to_be_bytes());
        self.status("NetStream.Play.UnpublishNotify", "the stream has ended");
    }

    fn begin(&mut self) {
        self.wire.sender.user_control(event::STREAM_BEGIN, &STREAM.to_be_bytes());
    }

    fn status(&mut self, code: &str, text: &str) {
        self.tell(STREAM, "status", code, text);
    }

    fn tell(&mut self, on: u32, level: &str, code: &str, text: &str) {
        let status = info(Writer::command("onStatus", 0.0).null(), level, code, text);
        self.wire.sender.command(kind::COMMAND, on, &status.bytes());
    }

    /// Answers a call that wants an answer.
    fn result(&mut self, id: f64, answer: impl FnOnce(Writer) -> Writer) {
        if id != 0.0 {
            let result = answer(Writer::command("_result", id)).bytes();
            self.wire.sender.command(kind::COMMAND, 0, &result);
        }
    }

    fn command(&mut self, bytes: &[u8], now: Instant) -> Result<Option<Event<'static>>, Denied> {
        let Some(command) = Command::parse(bytes) else {
            return Err(bad("a command that is no AMF0".to_owned()));
        };
        let is_greeted = self.state == State::Greeted;
        if is_greeted != (command.name == "connect") {
            let when = if is_greeted { "before" } else { "after" };
            let name = printable(command.name);
            return Err(bad(format!("the command '{name}' comes {when} 'connect'")));
        }
        match command.name {
            "connect" => self.connect(&command, now),
            "createStream" => {
                self.result(command.id, |answer| answer.null().number(f64::from(STREAM)));
            }
            "publish" => return self.ask(&command, Wish::Publish).map(Some),
            "play" => return self.ask(&command, Wish::Play).map(Some),
            "deleteStream" | "closeStream" | "FCUnpublish" | "FCUnsubscribe" => {
                return Ok(self.leave(now));
            }
            _ => self.call(&command),
        }
        Ok(None)
    }

    /// Commands that change nothing here, but are answered.
    fn call(&mut self, command: &Command<'_>) {
        let id = command.id;
        match command.name {
            "getStreamLength" => self.result(id, |answer| answer.null().number(0.0)),
            "releaseStream" | "_checkbw" => self.result(id, Writer::null),
            "FCPublish" | "FCSubscribe" => {
                self.result(id, Writer::null);
                let (name, code) = match command.name {
                    "FCPublish" => ("onFCPublish", "NetStream.Publish.Start"),
                    _ => ("onFCSubscribe", "NetStream.Play.Start"),
                };
                let answer = Writer::command(name, 0.0).null();
                let answer = info(answer, "status", code, "go on").bytes();
                self.wire.sender.command(kind::COMMAND, 0, &answer);
            }
            // Live streams go on; whoever waits to hear of it hears of it.
            "pause" => {
                let mut arguments = command.arguments;
                let code = match arguments.boolean() {
                    Some(false) => "NetStream.Unpause.Notify",
                    Some(true) | None => "NetStream.Pause.Notify",
                };
                self.status(code, "a live stream does not stop");
            }
            "seek" => self.status("NetStream.Seek.Notify", "a live stream stays live"),
            "receiveAudio" | "receiveVideo" => {}
            // Answers to what we never ask.
            "_result" | "_error" | "onStatus" => {}
            name if id != 0.0 => {
                let text = format!("there is no command '{}'", printable(name));
                let answer = Writer::command("_error", id).null();
                let answer = info(answer, "error", "NetConnection.Call.Failed", &text).bytes();
                self.wire.sender.command(kind::COMMAND, 0, &answer);
            }
            _ => {}
        }
    }

    fn connect(&mut self, command: &Command<'_>, now: Instant) {
        let app = command.object.field("app").and_then(|mut value| value.string());
        self.app = app.unwrap_or("").to_owned();
        self.state = State::Connected;
        self.deadline = now + RTMP_STEP_TIME;
        let sender = &mut self.wire.sender;
        sender.control(kind::WINDOW, RTMP_WINDOW);
        sender.bandwidth(RTMP_WINDOW);
        sender.set_size(RTMP_CHUNK_BYTES);
        let answer = Writer::command("_result", command.id)
            .object()
            .key("fmsVer")
            .string("FMS/3,0,1,123")
            .key("capabilities")
            .number(31.0);
        let answer = info(
            enhanced(answer, command).end(),
            "status",
            "NetConnection.Connect.Success",
            "connected",
        );
        sender.command(kind::COMMAND, 0, &answer.bytes());
    }

    fn ask(&mut self, command: &Command<'_>, wish: Wish) -> Result<Event<'static>, Denied> {
        if let State::Live(_) = self.state {
            return Err(bad("a connection carries one stream; make another".to_owned()));
        }
        self.state = State::Asked(wish);
        let mut arguments = command.arguments;
        let Some(key) = arguments.string() else {
            return Err(bad(format!("'{}' without a stream's name", command.name)));
        };
        match wish {
            Wish::Publish => {
                let (name, ask) = path::read(&self.app, key, Side::Publisher)?;
                Ok(Event::Publish { name, ask })
            }
            Wish::Play => {
                let (name, ask) = path::read(&self.app, key, Side::Subscriber)?;
                Ok(Event::Play { name, ask })
            }
        }
    }

    /// Clients say so before they begin, too, to be rid of an earlier stream.
    fn leave(&mut self, now: Instant) -> Option<Event<'static>> {
        let State::Live(wish) = self.state else { return None };
        self.state = State::Left;
        self.deadline = now + PUBLISHER_SILENCE;
        if wish == Wish::Publish {
            self.status("NetStream.Unpublish.Success", "the stream has ended");
        }
        Some(Event::End)
    }

    /// Bytes of memory that the client's doings take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.wire.memory() + self.app.capacity()
    }
}

/// The object that says how something went.
fn info(writer: Writer, level: &str, code: &str, text: &str) -> Writer {
    writer
        .object()
        .key("level")
        .string(level)
        .key("code")
        .string(code)
        .key("description")
        .string(text)
        .end()
}

/// What an enhanced client said of itself is answered in kind (Enhanced RTMP
/// v2, "Enhancing NetConnection connect Command"): every codec is passed on.
fn enhanced(mut writer: Writer, command: &Command<'_>) -> Writer {
    let said = |key| command.object.field(key).and_then(|mut value| value.value());
    if let Some(list) = said("fourCcList").filter(|list| list.len() <= RTMP_FOURCC_BYTES) {
        writer = writer.key("fourCcList").value(list);
    }
    for key in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
        if said(key).is_some() {
            // 4: can forward.
            writer = writer.key(key).object().key("*").number(4.0).end();
        }
    }
    if said("capsEx").is_some() {
        // Multitrack 2, ModEx 4, TimestampNanoOffset 8: in the tags, unlike
        // Reconnect 1, which would be for us to do.
        writer = writer.key("capsEx").number(14.0);
    }
    writer
}
