//! RTMP connections. The session belongs to the connection as long as that
//! lives, whatever its role: commands, acknowledgements and a stream come in
//! one flow of chunks, so all that it reads goes through the session.

use super::close;
use super::conn::{Awaiting, Claiming, Conn, Role};
use super::hot::Source;
use super::ingest::Read;
use super::session::{Acted, Desk, arm};
use super::slab::Key;
use super::streams::Streams;
use crate::base::Instant;
use crate::framing::Kind;
use crate::limits::{INGEST_BYTES, INGEST_CALLS, QUEUED_BYTES};
use crate::protocol::rtmp::{Answer, Caller, Event, Purpose, Session};
use crate::protocol::{Ask, Container, Name, Refusal};
use crate::relay::Form;
use crate::relay::stream::IngestError;
use crate::report::{DialFailure, Phase};
use crate::sys::socket::Socket;
use std::io;

/// The RTMP side of a connection.
#[derive(Debug)]
pub struct Rtmp {
    side: Side,
    /// What came behind a wish that has no answer yet.
    early: Vec<u8>,
}

#[derive(Debug)]
enum Side {
    /// A client's, who has connected to us.
    Server(Session),
    /// Ours, to a server that has granted what we asked for.
    Client(Caller),
}

impl Rtmp {
    /// Of a client that has just connected; `None` if the build has no RTMP.
    pub(super) fn answering(now: Instant) -> Option<Self> {
        Some(Self { side: Side::Server(Session::new(now)?), early: Vec::new() })
    }

    /// Of a server that has granted what we asked for; `early` came behind that.
    pub const fn calling(caller: Caller, early: Vec<u8>) -> Self {
        Self { side: Side::Client(caller), early }
    }

    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        match &mut self.side {
            Side::Server(session) => session.output(),
            Side::Client(caller) => caller.output(),
        }
    }

    pub(super) fn publish_granted(&mut self) {
        if let Side::Server(session) = &mut self.side {
            session.publish_granted();
        }
    }

    pub(super) fn play_granted(&mut self) {
        if let Side::Server(session) = &mut self.side {
            session.play_granted();
        }
    }

    pub(super) fn refused(&mut self, why: Refusal, text: &str) {
        match &mut self.side {
            Side::Server(session) => session.refused(why, text),
            Side::Client(caller) => caller.finish(),
        }
    }

    /// All of the stream that it gets is sent.
    pub(super) fn ended(&mut self) {
        match &mut self.side {
            Side::Server(session) => session.play_ended(),
            Side::Client(caller) => caller.finish(),
        }
    }

    /// A client that has stopped, and is to close by itself.
    pub(super) const fn has_left(&self) -> bool {
        match &self.side {
            Side::Server(session) => session.has_left(),
            Side::Client(_) => false,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.side {
            Side::Server(session) => session.poll_timeout(),
            Side::Client(caller) => caller.poll_timeout(),
        }
    }

    fn handle_bytes<'a>(
        &'a mut self,
        input: &'a [u8],
        now: Instant,
    ) -> Result<(usize, Option<Event<'a>>), (Refusal, String)> {
        match &mut self.side {
            Side::Server(session) => session.handle_bytes(input, now),
            Side::Client(caller) => {
                let (used, answer) = caller.handle_bytes(input, now)?;
                let event = match answer {
                    Some(Answer::Media(bytes)) => Some(Event::Media(bytes)),
                    Some(Answer::End) => Some(Event::End),
                    // It has been by now.
                    Some(Answer::Granted) => return Ok((used, Some(Event::Media(&[])))),
                    None => None,
                };
                Ok((used, event))
            }
        }
    }
}

/// What a session's bytes have come to.
enum Heard {
    /// It goes on.
    Goes,
    /// It wants to publish.
    Publish(Name, Ask),
    /// It wants to play.
    Play(Name, Ask),
    /// It ends.
    Ends,
    /// It can't be understood or taken.
    Broken(Refusal, String),
}

impl Desk<'_> {
    /// Reads an RTMP connection, within the budget of a publisher.
    pub(super) fn read_rtmp<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
    ) -> io::Result<Read> {
        if conn.queued() > QUEUED_BYTES {
            // It asks and asks, and reads no answers.
            return Ok(Read::Drop);
        }
        let mut scratch = std::mem::take(&mut self.turn.scratch);
        let outcome = self.pump_rtmp(key, conn, &mut scratch);
        self.turn.scratch = scratch;
        let read = outcome?;
        if conn.at_boundary() && !matches!(conn.role, Role::Subscriber(_)) || conn.is_idle() {
            conn.send_queued()?;
        }
        arm(key, conn, self.turn, self.streams);
        Ok(read)
    }

    fn pump_rtmp<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        scratch: &mut [u8],
    ) -> io::Result<Read> {
        let site = &self.sites.list[conn.site()];
        let (mut bytes, mut calls) = (0, 0);
        loop {
            if calls > 0 {
                self.turn.read_clock();
            }
            let is_late = self.turn.now > self.turn.ingest_until;
            if is_late || bytes >= INGEST_BYTES || calls >= INGEST_CALLS {
                self.turn.exhaust(Phase::TcpIngest);
                return Ok(Read::More);
            }
            let received = match site.is_stamped {
                true => conn.socket.recv_stamped(scratch),
                false => conn.socket.recv(scratch).map(|len| (len, None)),
            };
            let (len, stamp) = match received {
                Ok((0, _)) if matches!(conn.role, Role::Publisher(_)) => return Ok(Read::Finish),
                Ok((0, _)) => return Ok(Read::Drop),
                Ok(received) => received,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Idle),
                Err(why) => return Err(why),
            };
            (bytes, calls) = (bytes + len, calls + 1);
            conn.last_seen = self.turn.now;
            if site.quickack {
                conn.socket.acknowledge();
            }
            if matches!(conn.role, Role::Publisher(_)) {
                self.turn.hot.saw(Source::Conn(key), self.turn.now);
                self.turn.counters.receives.bump();
            }
            let waited = self.turn.wall.waited(stamp, self.turn.now);
            match self.hear_rtmp(key, conn, &scratch[..len], waited) {
                Read::More if len < scratch.len() && !conn.is_read_closed => return Ok(Read::Idle),
                Read::More => {}
                read @ (Read::Idle | Read::Finish | Read::Drop) => return Ok(read),
            }
        }
    }

    /// Gives the session bytes, and does what they ask for.
    pub(super) fn hear_rtmp<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        input: &[u8],
        waited: u32,
    ) -> Read {
        let Some(rtmp) = &mut conn.rtmp else { return Read::Drop };
        let mut early = std::mem::take(&mut rtmp.early);
        let is_early = !early.is_empty();
        let input = if is_early {
            early.extend_from_slice(input);
            &early
        } else {
            input
        };
        let mut used = 0;
        let read = loop {
            let (len, heard) = take(conn, &input[used..], waited, self.turn.now, self.streams);
            used += len;
            if let Some(stream) = conn.published() {
                self.turn.counters.received_bytes.add(len as u64);
                self.turn.at_listener(conn.site(), |counts| counts.received_bytes.add(len as u64));
                self.streams.mark_dirty(stream, self.turn);
            }
            conn.queue_rtmp();
            let read = match heard {
                Heard::Goes => break Read::More,
                Heard::Ends if conn.dialed.is_some() => Read::Finish,
                Heard::Ends => self.stop_rtmp(key, conn),
                // Whoever refuses us is not refused by us: it's a failed attempt.
                Heard::Broken(_, text) if conn.dialed.is_some() => {
                    conn.fail(DialFailure::Refused, text);
                    Read::Drop
                }
                Heard::Broken(why, text) => self.refuse(conn, why, &text),
                // It has a stream already; a second one is not for this connection.
                Heard::Publish(..) | Heard::Play(..) if !matches!(conn.role, Role::Rtmp) => {
                    Read::More
                }
                Heard::Publish(name, ask) => self.publish_rtmp(key, conn, name, &ask),
                Heard::Play(name, ask) => self.play_rtmp(key, conn, name, &ask),
            };
            if read != Read::More {
                break read;
            }
        };
        if input.len() - used > QUEUED_BYTES && matches!(read, Read::More | Read::Idle) {
            return self.refuse(conn, Refusal::BadRequest, "it doesn't wait for an answer");
        }
        // What the session will use once it has its answer.
        if is_early {
            early.drain(..used);
        } else {
            early = input[used..].to_vec();
        }
        if let Some(rtmp) = &mut conn.rtmp {
            rtmp.early = early;
        }
        read
    }

    /// It publishes or plays no longer, and has the time that its session says to
    /// close by itself (GStreamer calls it an error if we do). Inside a message
    /// there is nothing left to say to it but the end.
    fn stop_rtmp<S: Socket>(&mut self, key: Key, conn: &mut Conn<S>) -> Read {
        if !conn.at_boundary() {
            return Read::Finish;
        }
        close::detach(key, conn, self.turn, self.streams);
        conn.role = Role::Rtmp;
        Read::More
    }

    fn publish_rtmp<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        name: Name,
        ask: &Ask,
    ) -> Read {
        let settings = self.sites.list[conn.site()].settings.lowered(ask);
        let claiming = Claiming {
            name,
            settings: settings.framed(Kind::Flv, Some(Container::Ts)),
            body: None,
            range: None,
            early: Vec::new(),
            expects_continue: false,
            keeps_alive: false,
        };
        match self.claim(key, conn, claiming, None, &[]) {
            Acted::Ends(read) => read,
            Acted::Next(_) => Read::More,
        }
    }

    fn play_rtmp<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        name: Name,
        ask: &Ask,
    ) -> Read {
        let settings = self.sites.list[conn.site()].settings.lowered(ask);
        let awaiting = Awaiting {
            name,
            until: Some(self.turn.now + settings.wait),
            settings,
            form: Form::Rtmp(Purpose::Play),
            container: Some(Container::Flv),
            http: None,
            is_early: false,
        };
        self.subscribe(key, conn, awaiting)
    }
}

/// Takes bytes up to the next thing to be done, and says how many; what is of a
/// stream goes into its ring.
fn take<S>(
    conn: &mut Conn<S>,
    input: &[u8],
    waited: u32,
    now: Instant,
    streams: &mut Streams,
) -> (usize, Heard) {
    let mut ingest = conn.published().and_then(|stream| streams.ingest(stream));
    let Some(rtmp) = &mut conn.rtmp else { return (0, Heard::Ends) };
    if let Some(ingest) = &mut ingest {
        ingest.stream.waited = waited;
    }
    let (mut used, mut filled) = (0, 0);
    let heard = loop {
        let (len, event) = match rtmp.handle_bytes(&input[used..], now) {
            Ok(answer) => answer,
            Err((why, text)) => break Heard::Broken(why, text),
        };
        used += len;
        match event {
            None if used == input.len() || len == 0 => break Heard::Goes,
            None => {}
            Some(Event::Media(bytes)) => {
                let Some(ingest) = &mut ingest else { continue };
                if let Err(why) = ingest.append(&mut filled, bytes, now) {
                    break broken(why);
                }
            }
            Some(Event::Publish { name, ask }) => break Heard::Publish(name, ask),
            Some(Event::Play { name, ask }) => break Heard::Play(name, ask),
            Some(Event::End) => break Heard::Ends,
        }
    };
    match ingest.filter(|_| filled > 0).map(|mut ingest| ingest.received(filled, now)) {
        Some(Err(why)) => (used, broken(why)),
        Some(Ok(())) | None => (used, heard),
    }
}

fn broken(why: IngestError) -> Heard {
    Heard::Broken(why.reason(), why.to_string())
}
