//! A connection: a socket, and what its peer is to us.

use super::dial::Dialed;
use super::rtmp::Rtmp;
use super::slab::Key;
use super::turn::Turn;
use crate::base::{Histogram, Instant};
use crate::protocol::http::Http;
use crate::protocol::websocket::Inbound;
use crate::protocol::{Body, Container, Name};
use crate::relay::{Form, Settings, Subscriber};
use crate::report::{DialFailure, Over};
use crate::sys::socket::Socket;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

/// A socket and its role. Nothing here decides; the phases do.
#[derive(Debug)]
pub struct Conn<S> {
    /// The socket.
    pub socket: S,
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Which listener accepted it.
    site: u32,
    /// What it is to us now.
    pub role: Role,
    /// Bytes to send before anything else: responses, control frames.
    pub out: Option<Box<VecDeque<u8>>>,
    /// When bytes last came from it.
    pub last_seen: Instant,
    /// On the list of readable connections.
    pub is_listed: bool,
    /// The peer has shut its side: reads must go on to the end.
    pub is_read_closed: bool,
    /// When the alarm is due that will next look at its deadline; `NEVER`: there
    /// is none.
    pub alarm: Instant,
    /// On the list to be freed.
    pub is_closing: bool,
    /// We have made it; its dialer waits for its end.
    pub dialed: Option<Box<Dialed>>,
    /// It speaks RTMP, whatever its role.
    pub rtmp: Option<Box<Rtmp>>,
}

/// What a connection is to us.
#[derive(Debug)]
pub enum Role {
    /// The head of an HTTP request is being read. `held` is the stream that
    /// the last request on it published: the next PUT of that name goes on.
    Head {
        /// The session.
        http: Box<Http>,
        /// The stream it may go on publishing.
        held: Option<Key>,
    },
    /// An RTMP peer that has not said what it wants.
    Rtmp,
    /// A page is being made for it.
    Asking(Box<Asking>),
    /// A raw TCP publisher whose first bytes are being looked at.
    Greeting(Box<Greeting>),
    /// A publisher that waits for the directory's answer.
    Claiming(Box<Claiming>),
    /// A publisher of a live stream.
    Publisher(Box<Publisher>),
    /// A subscriber of a stream that is not there yet.
    Awaiting(Box<Awaiting>),
    /// A subscriber.
    Subscriber(Box<Subscribed>),
    /// An open page: what it says, as a WebSocket.
    Viewer(Box<Inbound>),
    /// RFC 862: what comes in goes out.
    Echo(Box<Echo>),
    /// It gets what is in `out`, then the end of the stream; what it still
    /// sends is thrown away until it closes or the time is up.
    Closing {
        /// When it began.
        since: Instant,
        /// When the time is up, unless the peer takes something before.
        until: Instant,
        /// Our side is shut down.
        is_shut: bool,
    },
}

impl Role {
    /// What a connection is while it becomes something else.
    const BETWEEN: Self =
        Self::Closing { since: Instant::ZERO, until: Instant::ZERO, is_shut: false };
}

/// A raw TCP publisher that may be something else.
#[derive(Debug, Default)]
pub struct Greeting {
    /// Its first bytes.
    pub early: Vec<u8>,
}

/// A client that waits for a page of the server's own.
#[derive(Debug)]
pub struct Asking {
    /// The stream that its last request published, which its next may continue.
    pub held: Option<Key>,
    /// What it sent behind its request.
    pub early: Vec<u8>,
    /// When it waits no longer.
    pub until: Instant,
}

/// A publisher that waits for the directory's answer.
#[derive(Debug)]
pub struct Claiming {
    /// What it publishes.
    pub name: Name,
    /// How.
    pub settings: Settings,
    /// Its request's body; none on raw TCP.
    pub body: Option<Body>,
    /// Where in a stream of several requests the body begins.
    pub range: Option<u64>,
    /// Bytes of the stream that came with the greeting or head.
    pub early: Vec<u8>,
    /// It wants `100 Continue` before it sends.
    pub expects_continue: bool,
    /// Another request may follow on this connection.
    pub keeps_alive: bool,
}

/// A publisher of a live stream.
#[derive(Debug)]
pub struct Publisher {
    /// Its stream.
    pub stream: Key,
    /// Its request's body; none on raw TCP.
    pub body: Option<Body>,
    /// Another request may follow on this connection.
    pub keeps_alive: bool,
}

/// A subscriber of a stream that is not there yet.
#[derive(Debug)]
pub struct Awaiting {
    /// What it wants.
    pub name: Name,
    /// How.
    pub settings: Settings,
    /// In which form.
    pub form: Form,
    /// In which container; `None`: as it is.
    pub container: Option<Container>,
    /// What it is answered on success; `None` on raw TCP.
    pub http: Option<HttpAnswer>,
    /// When it is told that there is no such stream; none on raw TCP.
    pub until: Option<Instant>,
    /// It was here before the stream.
    pub is_early: bool,
}

/// What an HTTP subscriber is answered once its stream is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAnswer {
    /// A response that the stream's bytes follow.
    Media,
    /// The head of that response alone.
    HeadOnly,
    /// A WebSocket, with this `Sec-WebSocket-Accept`.
    WebSocket(String),
}

/// A subscriber of a live stream.
#[derive(Debug)]
pub struct Subscribed {
    /// Its stream.
    pub stream: Key,
    /// Its place in it.
    pub subscriber: Subscriber,
    /// How long frames stayed for it, from the first that was not a burst's.
    pub residence: Option<Box<Histogram>>,
    /// What a WebSocket says to us.
    pub inbound: Option<Box<Inbound>>,
    /// It has not been sent the head of its response.
    pub is_unanswered: bool,
    /// On which list it is.
    pub standing: Standing,
    /// On the stream's list of those that are behind, too.
    pub is_behind: bool,
    /// By what it gets the stream.
    pub over: Over,
    /// When it came.
    pub joined: Instant,
}

/// Where a subscriber stands between turns; it is on one list at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has everything: on the stream's `live`.
    Live,
    /// It waits for a join point: on the stream's `waiting`.
    Waiting,
    /// It has more to send, and the kernel may take it: on a list of the turn.
    Listed,
    /// The kernel takes nothing: on none until it is writable.
    Blocked,
}

/// What an echo could not send back yet. A peer that reads what it is sent
/// costs no memory.
#[derive(Debug, Default)]
pub struct Echo {
    rest: Vec<u8>,
}

/// How an echo's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echoed {
    /// The peer has said nothing more.
    Idle,
    /// What it said has been sent back, and that was all.
    Sent,
    /// There may be more to read.
    More,
    /// The peer takes nothing now.
    Blocked,
    /// It has closed, and has everything back.
    Done,
}

impl Echo {
    /// Reads once, by way of `scratch`, and sends it back.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn turn<S: Socket>(&mut self, socket: &mut S, scratch: &mut [u8]) -> io::Result<Echoed> {
        if !self.rest.is_empty() {
            let sent = send_some(socket, &self.rest)?;
            self.rest.drain(..sent);
            // What came while the peer took nothing was told of then, and once.
            return Ok(if self.rest.is_empty() { Echoed::More } else { Echoed::Blocked });
        }
        let len = match socket.recv(scratch) {
            Ok(0) => return Ok(Echoed::Done),
            Ok(len) => len,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Echoed::Idle),
            Err(why) => return Err(why),
        };
        let sent = send_some(socket, &scratch[..len])?;
        self.rest = scratch[sent..len].to_vec();
        if !self.rest.is_empty() {
            return Ok(Echoed::Blocked);
        }
        // A short read drained the socket: the next byte is a new event.
        Ok(if len == scratch.len() { Echoed::More } else { Echoed::Sent })
    }
}

/// Sends what the kernel takes, which may be nothing.
fn send_some<S: Socket>(socket: &mut S, bytes: &[u8]) -> io::Result<usize> {
    match socket.send(&[IoSlice::new(bytes)]) {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}

impl<S> Conn<S> {
    /// A connection just accepted.
    pub fn new(socket: S, peer: SocketAddr, site: usize, role: Role, now: Instant) -> Self {
        let is_rtmp = matches!(role, Role::Rtmp);
        let rtmp = is_rtmp.then(|| Rtmp::answering(now)).flatten().map(Box::new);
        Self {
            socket,
            peer,
            site: u32::try_from(site).unwrap_or(u32::MAX),
            role,
            out: None,
            last_seen: now,
            is_listed: false,
            is_read_closed: false,
            alarm: Instant::NEVER,
            is_closing: false,
            rtmp,
            dialed: None,
        }
    }

    /// The number of its listener.
    pub const fn site(&self) -> usize {
        self.site as usize
    }

    /// Takes the wish of a subscriber that waits; its next role comes at once.
    pub fn take_awaiting(&mut self) -> Option<Awaiting> {
        if !matches!(self.role, Role::Awaiting(_)) {
            return None;
        }
        let Role::Awaiting(awaiting) = std::mem::replace(&mut self.role, Role::BETWEEN) else {
            return None;
        };
        Some(*awaiting)
    }

    /// Takes the wish of a publisher that claims; its next role comes at once.
    pub fn take_claiming(&mut self) -> Option<Claiming> {
        if !matches!(self.role, Role::Claiming(_)) {
            return None;
        }
        let Role::Claiming(claiming) = std::mem::replace(&mut self.role, Role::BETWEEN) else {
            return None;
        };
        Some(*claiming)
    }

    /// Says to the dialer why this ends, if we have made it.
    pub fn fail(&mut self, why: DialFailure, text: impl Into<String>) {
        if let Some(dialed) = &mut self.dialed {
            dialed.fail(why, text);
        }
    }

    /// True of a push over HTTP: the other end is a server that will answer.
    pub fn is_upload(&self) -> bool {
        self.dialed.as_ref().is_some_and(|dialed| dialed.is_upload())
    }

    /// True where other bytes may be sent: a subscriber is between messages.
    pub fn at_boundary(&self) -> bool {
        if let Role::Subscriber(subscribed) = &self.role {
            return subscribed.subscriber.at_boundary();
        }
        true
    }

    /// True of a subscriber that has all there is for it: nothing will be sent
    /// to it until its stream goes on.
    pub fn is_idle(&self) -> bool {
        let Role::Subscriber(subscribed) = &self.role else {
            return false;
        };
        matches!(subscribed.standing, Standing::Live | Standing::Waiting)
    }

    /// True for an HTTP client that was promised to be told of a stream.
    pub fn awaits_answer(&self) -> bool {
        let is_rtmp = self.rtmp.is_some();
        matches!(&self.role, Role::Awaiting(awaiting) if awaiting.http.is_some() || is_rtmp)
    }

    /// The stream that it publishes.
    pub fn published(&self) -> Option<Key> {
        let Role::Publisher(publisher) = &self.role else { return None };
        Some(publisher.stream)
    }

    /// Queues what its RTMP session has to say.
    pub fn queue_rtmp(&mut self) {
        if let Some(rtmp) = &mut self.rtmp
            && !rtmp.output().is_empty()
        {
            self.out.get_or_insert_default().extend(rtmp.output().drain(..));
        }
    }

    /// Puts it on the list of readable connections.
    pub fn list(&mut self, key: Key, turn: &mut Turn) {
        if !self.is_listed {
            self.is_listed = true;
            turn.ready.readable.push_back(key);
        }
    }

    /// Bytes queued to be sent before anything else.
    pub fn queued(&self) -> usize {
        self.out.as_ref().map_or(0, |out| out.len())
    }

    /// Queues the bytes of a page, which may be many, without a copy.
    pub fn queue_page(&mut self, bytes: Vec<u8>) {
        match &mut self.out {
            Some(out) => out.extend(bytes),
            None => self.out = Some(Box::new(bytes.into())),
        }
    }

    /// Queues bytes to be sent before anything else.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.out.get_or_insert_default().extend(bytes);
    }
}

impl<S: Socket> Conn<S> {
    /// Sends what is queued; answers whether nothing is left.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send_queued(&mut self) -> io::Result<bool> {
        while let Some(out) = &mut self.out {
            let (front, back) = out.as_slices();
            match self.socket.send(&[IoSlice::new(front), IoSlice::new(back)]) {
                Ok(n) => drop(out.drain(..n)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(why) => return Err(why),
            }
            if out.is_empty() {
                self.out = None;
            }
        }
        Ok(true)
    }
}
