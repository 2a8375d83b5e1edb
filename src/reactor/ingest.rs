//! Sockets → sessions and rings. A publisher's bytes are received straight
//! into the free tail of its stream's ring.

use super::close;
use super::conn::{Conn, Echoed, Publisher, Role};
use super::hot::Source;
use super::live;
use super::plan::Service;
use super::session::{self, Desk};
use super::site::Sites;
use super::slab::{Key, Slab};
use super::streams::{Ingest, Streams};
use super::turn::Turn;
use crate::limits::{INGEST_BYTES, INGEST_CALLS, QUEUED_BYTES};
use crate::protocol::websocket::{self, Inbound};
use crate::protocol::{Refusal, Sniff, response, wrong_protocol};
use crate::relay::stream::IngestError;
use crate::report::{DialFailure, Phase};
use crate::sys::socket::Socket;
use std::io;

/// Where reading a connection has left it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing more for now.
    Idle,
    /// There may be more.
    More,
    /// It is to be ended after what is queued for it.
    Finish,
    /// It is to be ended at once.
    Drop,
}

/// Reads every connection that has something, each within its budget.
pub fn tcp<S: Socket>(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
) {
    turn.begin_ingest();
    for nth in 1..=turn.ready.readable.len() {
        if !turn.may_ingest(nth, Phase::TcpIngest) {
            return;
        }
        let Some(key) = turn.ready.readable.pop_front() else {
            return;
        };
        let Some(conn) = conns.get_mut(key).filter(|conn| !conn.is_closing) else {
            continue;
        };
        conn.is_listed = false;
        let read = read(key, conn, turn, streams, sites).unwrap_or_else(|why| {
            close::tell(conn, &why);
            Read::Drop
        });
        match read {
            Read::Idle => {}
            Read::More => conn.list(key, turn),
            Read::Finish => close::finish(key, conn, turn, streams),
            Read::Drop => close::drop_now(key, conn, turn, streams),
        }
    }
}

fn read<S: Socket>(
    key: Key,
    conn: &mut Conn<S>,
    turn: &mut Turn,
    streams: &mut Streams,
    sites: &Sites,
) -> io::Result<Read> {
    if conn.rtmp.is_some() && !matches!(conn.role, Role::Claiming(_) | Role::Closing { .. }) {
        return Desk { turn, streams, sites }.read_rtmp(key, conn);
    }
    match &mut conn.role {
        Role::Publisher(_) => pump(key, conn, turn, streams, sites),
        Role::Subscriber(_) => listen(conn, turn, sites),
        Role::Viewer(_) => live::listen(conn, turn),
        Role::Echo(echo) => Ok(match echo.turn(&mut conn.socket, &mut turn.scratch)? {
            Echoed::Idle if conn.is_read_closed => Read::More,
            Echoed::Idle | Echoed::Blocked => Read::Idle,
            Echoed::Sent => {
                turn.hot.saw(Source::Conn(key), turn.now);
                if conn.is_read_closed { Read::More } else { Read::Idle }
            }
            Echoed::More => Read::More,
            Echoed::Done => Read::Finish,
        }),
        Role::Head { .. } | Role::Greeting(_) | Role::Rtmp => {
            Desk { turn, streams, sites }.read(key, conn)
        }
        // Its bytes wait in the kernel until it has its answer.
        Role::Claiming(_) | Role::Asking(_) => Ok(Read::Idle),
        Role::Awaiting(_) => Ok(match conn.socket.recv(&mut turn.scratch) {
            Ok(0) => Read::Drop,
            Ok(len) if is_lost(conn, len, turn, sites) => Read::Drop,
            Ok(_) => Read::More,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Read::Idle,
            Err(why) => return Err(why),
        }),
        Role::Closing { .. } => close::linger(conn, turn),
    }
}

/// Receives a publisher's bytes into its stream.
fn pump<S: Socket>(
    key: Key,
    conn: &mut Conn<S>,
    turn: &mut Turn,
    streams: &mut Streams,
    sites: &Sites,
) -> io::Result<Read> {
    let (number, site) = (conn.site(), &sites.list[conn.site()]);
    let Role::Publisher(publisher) = &mut conn.role else {
        return Ok(Read::Drop);
    };
    let stream = publisher.stream;
    let (mut bytes, mut calls) = (0, 0);
    let outcome = loop {
        if calls > 0 {
            turn.read_clock();
        }
        if turn.now > turn.ingest_until || bytes >= INGEST_BYTES || calls >= INGEST_CALLS {
            turn.exhaust(Phase::TcpIngest);
            break Pumped::More;
        }
        let Some(mut ingest) = streams.ingest(stream) else {
            return Ok(Read::Drop);
        };
        let space = ingest.space();
        let room = space.len();
        let received = match site.is_stamped {
            true => conn.socket.recv_stamped(space),
            false => conn.socket.recv(space).map(|len| (len, None)),
        };
        let (len, stamp) = match received {
            Ok((0, _)) => break Pumped::End,
            Ok(received) => received,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => break Pumped::Idle,
            Err(why) => return Err(why),
        };
        ingest.stream.waited = turn.wall.waited(stamp, turn.now);
        (bytes, calls) = (bytes + len, calls + 1);
        if site.quickack {
            conn.socket.acknowledge();
        }
        match take(publisher, len, number, turn, streams) {
            Taken::Goes if len < room && !conn.is_read_closed => break Pumped::Idle,
            Taken::Goes => {}
            Taken::Done(rest) => break Pumped::Done(rest),
            Taken::Broken(why) => break Pumped::Broken(why),
        }
    };
    if bytes > 0 {
        conn.last_seen = turn.now;
        turn.hot.saw(Source::Conn(key), turn.now);
        turn.counters.receives.add(calls as u64);
        streams.mark_dirty(stream, turn);
    }
    Ok(match outcome {
        Pumped::Idle => Read::Idle,
        Pumped::More => Read::More,
        Pumped::End => Read::Finish,
        Pumped::Broken(why) => broken(conn, why),
        Pumped::Done(rest) => {
            let mut desk = Desk { turn, streams, sites };
            let read = match desk.published(conn) {
                Some(read) => read,
                None => desk.feed(key, conn, &rest),
            };
            // Part of a head is due sooner than a publisher's next bytes.
            session::arm(key, conn, turn, streams);
            read
        }
    })
}

enum Pumped {
    Idle,
    More,
    End,
    Broken(IngestError),
    Done(Vec<u8>),
}

/// What became of bytes in a stream's space.
pub(super) enum Taken {
    /// More may follow.
    Goes,
    /// The request's body is complete; these bytes came after it.
    Done(Vec<u8>),
    /// They can't be taken.
    Broken(IngestError),
}

/// Ends a publisher whose bytes can't be taken; over HTTP it is told why.
pub(super) fn broken<S>(conn: &mut Conn<S>, why: IngestError) -> Read {
    conn.fail(DialFailure::Broken, why.to_string());
    let Role::Publisher(publisher) = &conn.role else { return Read::Drop };
    if publisher.body.is_none() || conn.dialed.is_some() {
        return Read::Drop;
    }
    conn.queue(&response::refusal(why.reason(), &why.to_string()));
    Read::Finish
}

/// Hands `len` bytes that arrived in the stream's space, by listener `site`, to
/// its framing.
pub(super) fn take(
    publisher: &mut Publisher,
    len: usize,
    site: usize,
    turn: &mut Turn,
    streams: &mut Streams,
) -> Taken {
    let Some(Ingest { stream, view, pool }) = streams.ingest(publisher.stream) else {
        return Taken::Broken(IngestError::Body(Refusal::Draining));
    };
    turn.counters.received_bytes.add(len as u64);
    turn.at_listener(site, |counts| counts.received_bytes.add(len as u64));
    let mut rest = Vec::new();
    let taken = match &mut publisher.body {
        None => stream.received(len, turn.now, view, pool).map(|()| false),
        Some(body) => stream.received_body(len, body, &mut rest, turn.now, view, pool),
    };
    match taken {
        Ok(false) => Taken::Goes,
        Ok(true) => Taken::Done(rest),
        Err(why) => {
            log::warn!("publisher of {} is ended: {why}", view.name);
            turn.counters.refuse(why.reason());
            Taken::Broken(why)
        }
    }
}

/// Whether the first `len` bytes of the scratch, which a subscriber on raw TCP
/// has sent, show that it takes the port for one of another protocol.
fn is_lost<S>(conn: &Conn<S>, len: usize, turn: &mut Turn, sites: &Sites) -> bool {
    let site = &sites.list[conn.site()];
    let Service::TcpSubscribe { .. } = site.service else { return false };
    let Sniff::Wrong(what) = wrong_protocol(&turn.scratch[..len]) else { return false };
    turn.counters.refuse(Refusal::WrongProtocol);
    log::info!("{} refused: {what}; {} sends a raw stream", conn.peer, site.url);
    true
}

/// Reads what a subscriber says: a WebSocket's control frames; of others,
/// nothing that matters.
fn listen<S: Socket>(conn: &mut Conn<S>, turn: &mut Turn, sites: &Sites) -> io::Result<Read> {
    say(conn)?;
    let is_upload = conn.is_upload();
    let Role::Subscriber(subscribed) = &mut conn.role else {
        return Ok(Read::Drop);
    };
    let len = match conn.socket.recv(&mut turn.scratch) {
        Ok(0) if subscribed.inbound.is_some() || is_upload => return Ok(Read::Drop),
        // It may have shut its side alone; a send will tell.
        Ok(0) => return Ok(Read::Idle),
        Ok(len) => len,
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Idle),
        Err(why) => return Err(why),
    };
    if let Some(dialed) = &mut conn.dialed {
        return Ok(dialed.hear(&turn.scratch[..len]));
    }
    let Some(inbound) = &mut subscribed.inbound else {
        let lost = is_lost(conn, len, turn, sites);
        return Ok(if lost { Read::Drop } else { Read::More });
    };
    let (words, ends) = hear(inbound, &turn.scratch[..len], |_| None);
    if !words.is_empty() {
        conn.queue(&words);
    }
    if conn.queued() > QUEUED_BYTES {
        return Ok(Read::Drop);
    }
    if ends {
        return Ok(Read::Finish);
    }
    say(conn)?;
    Ok(Read::More)
}

/// Our answers to what a WebSocket says, and whether it is to end then; `reply` is
/// what is answered to a text.
pub(super) fn hear(
    inbound: &mut Inbound,
    mut said: &[u8],
    reply: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> (Vec<u8>, bool) {
    let mut words = Vec::new();
    while !said.is_empty() {
        let (used, event) = match inbound.handle_bytes(said) {
            Ok(answer) => answer,
            Err(code) => {
                words.extend(websocket::close_frame(code));
                return (words, true);
            }
        };
        said = &said[used..];
        match event {
            Some(websocket::Event::Text(text)) => {
                words.extend(reply(text.as_slice()).unwrap_or_default());
            }
            Some(websocket::Event::Ping(payload)) => words.extend(websocket::pong(&payload)),
            Some(websocket::Event::Close(code)) => {
                words.extend(websocket::close_frame(code.unwrap_or(websocket::NORMAL)));
                return (words, true);
            }
            None => {}
        }
    }
    (words, false)
}

/// Sends what is queued for a subscriber to which no flush may come soon. It
/// is between messages.
fn say<S: Socket>(conn: &mut Conn<S>) -> io::Result<()> {
    if conn.is_idle() {
        conn.send_queued()?;
    }
    Ok(())
}
