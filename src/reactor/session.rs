//! What a peer asks for, carried out: greetings and requests in; claims,
//! subscriptions, pages and refusals out.

use super::close;
use super::conn::{Awaiting, Claiming, Conn, HttpAnswer, Publisher, Role};
use super::control::{Claimer, Control};
use super::ingest::{self, Read, Taken};
use super::office::Order;
use super::plan::Service;
use super::site::{Site, Sites};
use super::slab::Key;
use super::streams::Streams;
use super::turn::{Alarm, Turn};
use crate::base::Instant;
use crate::framing::{Kind, Transport};
use crate::limits;
use crate::protocol::http::{Http, HttpAsk, Timeout};
use crate::protocol::{Body, Refusal, Sniff, response, wrong_protocol};
use crate::relay::{Claim, Form};
use crate::report::DialFailure;
use crate::sys::socket::Socket;
use std::io;

/// The role of a connection that a listener has just accepted.
pub fn role(site: &Site, now: Instant) -> Role {
    match &site.service {
        Service::Http => Role::Head { http: Box::new(Http::new(now)), held: None },
        Service::TcpEcho => Role::Echo(Box::default()),
        Service::TcpSubscribe { name } => Role::Awaiting(Box::new(Awaiting {
            name: name.clone(),
            settings: site.settings.clone(),
            form: Form::Plain,
            http: None,
            until: None,
            container: None,
            is_early: false,
        })),
        Service::Rtmp => Role::Rtmp,
        Service::TcpPublish { .. }
        | Service::UdpEcho
        | Service::UdpStamp
        | Service::UdpPublish { .. }
        | Service::UdpSubscribe { .. }
        | Service::Dial(_) => Role::Greeting(Box::default()),
    }
}

/// What a session's wishes touch.
pub struct Desk<'a> {
    /// The turn.
    pub turn: &'a mut Turn,
    /// The streams.
    pub streams: &'a mut Streams,
    /// The listeners.
    pub sites: &'a Sites,
}

pub(super) enum Acted {
    /// The next request may follow, behind so many bytes of the body.
    Next(usize),
    /// The connection is something else now.
    Ends(Read),
}

impl Desk<'_> {
    /// Reads a greeting or the head of a request.
    pub(super) fn read<S: Socket>(&mut self, key: Key, conn: &mut Conn<S>) -> io::Result<Read> {
        if conn.out.is_some() && !conn.send_queued()? {
            // A client that pipelines requests and reads no answers waits.
            return Ok(Read::Idle);
        }
        // A head's worth: who pipelines requests gets no more than a few done
        // before others have their turn.
        let mut scratch = std::mem::take(&mut self.turn.scratch);
        let space = &mut scratch[..limits::HTTP_HEAD_BYTES];
        let outcome = match conn.socket.recv(space) {
            Ok(0) => Ok(Read::Drop),
            Ok(len) => {
                conn.last_seen = self.turn.now;
                let is_drained = len < space.len() && !conn.is_read_closed;
                let read = self.feed(key, conn, &space[..len]);
                Ok(if read == Read::More && is_drained { Read::Idle } else { read })
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(Read::Idle),
            Err(why) => Err(why),
        };
        self.turn.scratch = scratch;
        arm(key, conn, self.turn, self.streams);
        outcome
    }

    /// Gives a session bytes, however they came.
    pub(super) fn feed<S: Socket>(&mut self, key: Key, conn: &mut Conn<S>, bytes: &[u8]) -> Read {
        if conn.rtmp.is_some() {
            return self.hear_rtmp(key, conn, bytes, 0);
        }
        let mut rest = bytes;
        loop {
            let (http, held) = match &mut conn.role {
                Role::Greeting(_) => return self.greet(key, conn, rest),
                Role::Head { http, held } => (http, *held),
                Role::Rtmp
                | Role::Asking(_)
                | Role::Claiming(_)
                | Role::Publisher(_)
                | Role::Awaiting(_)
                | Role::Subscriber(_)
                | Role::Viewer(_)
                | Role::Echo(_)
                | Role::Closing { .. } => return Read::More,
            };
            let (used, ask) = http.handle_bytes(rest, &self.sites.rules, self.turn.now);
            rest = &rest[used..];
            let Some(ask) = ask else { return Read::More };
            match self.act(key, conn, ask, held, rest) {
                Acted::Next(used) => rest = &rest[used..],
                Acted::Ends(read) => return read,
            }
            if rest.is_empty() {
                return Read::More;
            }
        }
    }

    /// Carries a request out; `rest` came after its head.
    fn act<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        ask: HttpAsk,
        held: Option<Key>,
        rest: &[u8],
    ) -> Acted {
        let site = &self.sites.list[conn.site()];
        match ask {
            HttpAsk::Publish { name, kind, mut ask, body, range, expect_continue, keep_alive } => {
                ask.framing = Some(if kind == Kind::Auto { site.settings.framing } else { kind });
                let claiming = Claiming {
                    settings: site.settings.lowered(&ask),
                    name,
                    body: Some(body),
                    range,
                    early: Vec::new(),
                    expects_continue: expect_continue,
                    keeps_alive: keep_alive,
                };
                self.claim(key, conn, claiming, held, rest)
            }
            HttpAsk::Subscribe { name, container, ask, head_only, websocket } => {
                self.release(held);
                let form = if websocket.is_some() { Form::WebSocket } else { Form::Plain };
                let http = match websocket {
                    Some(accept) => HttpAnswer::WebSocket(accept),
                    None if head_only => HttpAnswer::HeadOnly,
                    None => HttpAnswer::Media,
                };
                let settings = site.settings.lowered(&ask);
                let until = Some(self.turn.now + settings.wait);
                let http = Some(http);
                let is_early = false;
                let awaiting = Awaiting { name, settings, form, container, http, until, is_early };
                Acted::Ends(self.subscribe(key, conn, awaiting))
            }
            HttpAsk::Page { page, head_only, keep_alive } => {
                let shard = self.streams.shard;
                let order = Order { page, shard, conn: key, head_only, keep_alive };
                self.order(conn, order, held, rest)
            }
            HttpAsk::Preflight { media, keep_alive } => {
                self.respond(conn, response::preflight(media, keep_alive), keep_alive)
            }
            HttpAsk::Live { stream, websocket } => {
                self.release(held);
                Acted::Ends(self.view(key, conn, stream, &websocket))
            }
            HttpAsk::Refused { why, text } => {
                self.release(held);
                Acted::Ends(self.refuse(conn, why, &text))
            }
        }
    }

    /// Answers a refusal over HTTP and RTMP, and ends the connection when the
    /// answer is out. On raw TCP there are no bytes but a stream's.
    pub(super) fn refuse<S>(&mut self, conn: &mut Conn<S>, why: Refusal, text: &str) -> Read {
        self.turn.counters.refuse(why);
        // It may quote the peer, and goes to a log.
        let text = &response::printable(text);
        if let Some(dialed) = &mut conn.dialed {
            dialed.refuse(why, text);
            return Read::Drop;
        }
        log::info!("{} refused: {text}", conn.peer);
        if self.sites.list[conn.site()].service == Service::Http {
            conn.queue(&response::refusal(why, text));
        }
        if let Some(rtmp) = &mut conn.rtmp {
            rtmp.refused(why, text);
            conn.queue_rtmp();
        }
        Read::Finish
    }

    /// Ends the wait of an HTTP client: the server is going down.
    pub(super) fn turn_out<S>(&mut self, key: Key, conn: &mut Conn<S>) {
        let read = self.refuse(conn, Refusal::Draining, "the server is going down");
        self.go_on(key, conn, read);
    }

    /// A stream that the connection's last request published ends here.
    pub(super) fn release(&mut self, held: Option<Key>) {
        let Some(stream) = held else { return };
        if self.streams.fanouts.get(stream).is_some_and(|fan| fan.resting.is_some()) {
            self.streams.end(stream, self.turn);
        }
    }

    /// The first bytes of a raw TCP publisher: another protocol on the wrong
    /// port is told from a stream before the name is claimed.
    fn greet<S: Socket>(&mut self, key: Key, conn: &mut Conn<S>, bytes: &[u8]) -> Read {
        let site = &self.sites.list[conn.site()];
        let Role::Greeting(greeting) = &mut conn.role else {
            return Read::Drop;
        };
        let early = &mut greeting.early;
        early.extend_from_slice(bytes);
        if matches!(site.settings.framing, Kind::Auto | Kind::Ts) {
            match wrong_protocol(early) {
                Sniff::Wrong(what) => {
                    self.turn.counters.refuse(Refusal::WrongProtocol);
                    log::info!("{} refused: {what}; {} takes a raw stream", conn.peer, site.url);
                    return Read::Drop;
                }
                // Nothing more came in time: then it is no other protocol.
                Sniff::Undecided if early.len() < limits::GREETING_BYTES && !bytes.is_empty() => {
                    return Read::More;
                }
                Sniff::Undecided | Sniff::Clean => {}
            }
        }
        let Service::TcpPublish { name } = &site.service else {
            return Read::Drop;
        };
        let claiming = Claiming {
            name: name.clone(),
            settings: site.settings.clone(),
            body: None,
            range: None,
            early: Vec::new(),
            expects_continue: false,
            keeps_alive: false,
        };
        let early = std::mem::take(early);
        match self.claim(key, conn, claiming, None, &early) {
            Acted::Ends(read) => read,
            Acted::Next(_) => Read::More,
        }
    }

    /// Asks the directory for a name; the answer comes as a message. `early`
    /// came behind the request.
    pub(super) fn claim<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        mut claiming: Claiming,
        held: Option<Key>,
        early: &[u8],
    ) -> Acted {
        if let Some(stream) = held {
            let fan = self.streams.fanouts.get(stream);
            let is_it = fan.is_some_and(|fan| fan.view.name == claiming.name);
            if is_it && self.streams.wake(stream) {
                return self.publish(conn, claiming, early, stream);
            }
            self.release(held);
        }
        let (name, peer) = (claiming.name.clone(), conn.peer.ip());
        if let Some(stream) = self.streams.resume(&name, peer, claiming.range, self.turn) {
            return self.publish(conn, claiming, early, stream);
        }
        if self.streams.is_draining {
            let text = "the server is going down";
            return Acted::Ends(self.refuse(conn, Refusal::Draining, text));
        }
        claiming.early = early.to_vec();
        let claim = self.streams.directory.claim(&name, self.streams.shard, peer);
        conn.role = Role::Claiming(Box::new(claiming));
        let claimer = Claimer::Conn(key);
        self.turn.ready.control.push_back(Control::Claimed { claimer, name, claim });
        Acted::Ends(Read::Idle)
    }

    /// A publisher has come from another shard, to continue a stream of this
    /// one.
    pub(super) fn adopted<S: Socket>(&mut self, key: Key, conn: &mut Conn<S>) {
        let Some(mut claiming) = conn.take_claiming() else { return };
        let early = std::mem::take(&mut claiming.early);
        let read = match self.claim(key, conn, claiming, None, &early) {
            Acted::Next(used) => self.feed(key, conn, &early[used..]),
            Acted::Ends(read) => read,
        };
        self.go_on(key, conn, read);
        arm(key, conn, self.turn, self.streams);
    }

    /// The directory has answered a publisher.
    pub(super) fn claimed<S: Socket>(&mut self, key: Key, conn: &mut Conn<S>, claim: Claim) {
        let Some(mut claiming) = conn.take_claiming() else { return };
        let read = match claim {
            Claim::Granted { epoch, waiters } => {
                let name = claiming.name.clone();
                log::info!("{} publishes {name} (epoch {epoch})", conn.peer);
                let stream = self.streams.open(&name, epoch, &claiming.settings, Transport::Bytes);
                let over = self.sites.list[conn.site()].service.over();
                self.streams.credit(stream, conn.peer, over, self.turn.now);
                self.streams.announce(&name, stream, &waiters, self.turn);
                let early = std::mem::take(&mut claiming.early);
                match self.publish(conn, claiming, &early, stream) {
                    Acted::Next(used) => self.feed(key, conn, &early[used..]),
                    Acted::Ends(read) => read,
                }
            }
            // One that rests elsewhere is handed over before it comes to this.
            Claim::Busy | Claim::Resting { .. } => {
                let text = format!("{} has a live publisher already", claiming.name);
                self.refuse(conn, Refusal::Busy, &text)
            }
            Claim::Full => {
                let text = format!("{} streams are live already", limits::STREAMS);
                self.refuse(conn, Refusal::Full, &text)
            }
        };
        self.go_on(key, conn, read);
        arm(key, conn, self.turn, self.streams);
    }

    /// Does with a connection what reading it has come to.
    pub(super) fn go_on<S>(&mut self, key: Key, conn: &mut Conn<S>, read: Read) {
        match read {
            Read::Idle => {}
            Read::More => conn.list(key, self.turn),
            Read::Finish => close::finish(key, conn, self.turn, self.streams),
            Read::Drop => close::drop_now(key, conn, self.turn, self.streams),
        }
    }

    /// Makes a connection the publisher of a stream, and takes of the bytes that
    /// came with its request what is the body's.
    fn publish<S: Socket>(
        &mut self,
        conn: &mut Conn<S>,
        claiming: Claiming,
        early: &[u8],
        stream: Key,
    ) -> Acted {
        let Claiming { body, expects_continue, keeps_alive, .. } = claiming;
        let mut is_done = body.as_ref().is_some_and(Body::is_done);
        if expects_continue && early.is_empty() && !is_done {
            conn.queue(response::CONTINUE);
        }
        let mut publisher = Box::new(Publisher { stream, body, keeps_alive });
        if let Some(rtmp) = &mut conn.rtmp {
            rtmp.publish_granted();
            conn.role = Role::Publisher(publisher);
            return Acted::Next(0);
        }
        let mut rest = early;
        while !rest.is_empty() && !is_done {
            let Some(mut ingest) = self.streams.ingest(stream) else {
                return Acted::Ends(Read::Drop);
            };
            // Who knows when the kernel had what came behind a head.
            ingest.stream.waited = 0;
            // A head's worth: of many small requests in one piece, each would
            // else copy all that come after it.
            let len = ingest.copy_in(&rest[..rest.len().min(limits::HTTP_HEAD_BYTES)]);
            let beyond =
                match ingest::take(&mut publisher, len, conn.site(), self.turn, self.streams) {
                    Taken::Goes => 0,
                    Taken::Done(beyond) => {
                        is_done = true;
                        beyond.len()
                    }
                    Taken::Broken(why) => {
                        conn.role = Role::Publisher(publisher);
                        return Acted::Ends(ingest::broken(conn, why));
                    }
                };
            rest = &rest[len - beyond..];
        }
        conn.role = Role::Publisher(publisher);
        if is_done {
            return match self.published(conn) {
                Some(read) => Acted::Ends(read),
                None => Acted::Next(early.len() - rest.len()),
            };
        }
        self.streams.mark_dirty(stream, self.turn);
        match conn.send_queued() {
            Ok(_sent) => Acted::Ends(Read::More),
            Err(_broken) => Acted::Ends(Read::Drop),
        }
    }

    /// A publish request is complete; `None`: another may follow. The stream
    /// lives on while the connection does, for the next may continue it.
    pub(super) fn published<S: Socket>(&mut self, conn: &mut Conn<S>) -> Option<Read> {
        let Role::Publisher(publisher) = &mut conn.role else {
            return Some(Read::Drop);
        };
        let (stream, keeps_alive) = (publisher.stream, publisher.keeps_alive);
        self.streams.mark_dirty(stream, self.turn);
        if conn.dialed.is_some() {
            return Some(Read::Finish);
        }
        conn.queue(&response::published(keeps_alive));
        if !keeps_alive {
            return Some(Read::Finish);
        }
        self.streams.pause(stream, conn.peer.ip(), self.turn);
        let http = Box::new(Http::new(self.turn.now));
        conn.role = Role::Head { http, held: Some(stream) };
        match conn.send_queued() {
            Ok(_sent) => None,
            Err(_broken) => Some(Read::Drop),
        }
    }

    /// A connection's deadline has come.
    pub(super) fn timed_out<S: Socket>(&mut self, key: Key, conn: &mut Conn<S>) {
        let now = self.turn.now;
        let read = match &mut conn.role {
            Role::Head { http, .. } => match http.handle_timeout(now) {
                Some(Timeout::Head) => {
                    let text = "the request's head was not complete in time";
                    self.refuse(conn, Refusal::Timeout, text)
                }
                Some(Timeout::Idle) => Read::Finish,
                None => Read::Idle,
            },
            Role::Rtmp if conn.rtmp.as_ref().is_some_and(|rtmp| rtmp.has_left()) => Read::Finish,
            Role::Rtmp => {
                let text = "it has not said in time what it wants";
                self.refuse(conn, Refusal::Timeout, text)
            }
            Role::Greeting(greeting) if greeting.early.is_empty() => Read::Drop,
            Role::Greeting(_) => self.greet(key, conn, &[]),
            Role::Publisher(publisher) => {
                let fan = self.streams.fanouts.get(publisher.stream);
                let name = fan.map(|fan| fan.view.name.to_string()).unwrap_or_default();
                log::warn!("publisher {} of {name} is ended: silent for too long", conn.peer);
                self.turn.counters.refuse(Refusal::Timeout);
                conn.fail(DialFailure::Broken, "nothing came from there for too long");
                Read::Finish
            }
            Role::Awaiting(awaiting) => {
                let name = awaiting.name.clone();
                self.streams.forget(&name, key);
                self.refuse(conn, Refusal::NotFound, &format!("no stream '{name}' came"))
            }
            Role::Asking(asking) => {
                let held = asking.held;
                self.release(held);
                self.refuse(conn, Refusal::Full, "no page was made in time; try again")
            }
            Role::Closing { .. } => Read::Drop,
            Role::Claiming(_) | Role::Subscriber(_) | Role::Viewer(_) | Role::Echo(_) => Read::Idle,
        };
        self.go_on(key, conn, read);
        arm(key, conn, self.turn, self.streams);
    }
}

/// When a connection must be looked at, if nothing happens on it.
pub(super) fn deadline<S>(conn: &Conn<S>, streams: &Streams) -> Option<Instant> {
    match &conn.role {
        Role::Head { http, .. } => Some(http.poll_timeout()),
        Role::Rtmp => conn.rtmp.as_ref().and_then(|rtmp| rtmp.poll_timeout()),
        Role::Greeting(greeting) if greeting.early.is_empty() => {
            Some(conn.last_seen + limits::PUBLISHER_SILENCE)
        }
        Role::Greeting(_) => Some(conn.last_seen + limits::AUTO_HOLD),
        Role::Publisher(publisher) => {
            let fan = streams.fanouts.get(publisher.stream)?;
            Some(conn.last_seen + fan.view.settings.timeout)
        }
        // An owner answers soon, and only then is it known.
        Role::Awaiting(awaiting) if streams.is_coming(&awaiting.name) => None,
        Role::Awaiting(awaiting) => awaiting.until,
        Role::Asking(asking) => Some(asking.until),
        Role::Closing { until, .. } => Some(*until),
        Role::Claiming(_) | Role::Subscriber(_) | Role::Viewer(_) | Role::Echo(_) => None,
    }
}

/// Arms a connection's deadline, unless an alarm comes before it anyway.
pub(super) fn arm<S>(key: Key, conn: &mut Conn<S>, turn: &mut Turn, streams: &Streams) {
    let Some(at) = deadline(conn, streams).filter(|_| !conn.is_closing) else {
        return;
    };
    if conn.alarm > at {
        conn.alarm = at;
        turn.timers.arm(at, Alarm::Conn(key));
    }
}
