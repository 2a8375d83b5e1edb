//! The one write path: a subscriber's next bytes, from the ring to its socket.

use super::close;
use super::conn::{Conn, Role};
use super::lag;
use super::residence::Delivery;
use super::roster::Roster;
use super::slab::{Key, Slab};
use super::streams::{Fanout, Streams};
use super::turn::Turn;
use crate::base::{Instant, Position};
use crate::framing::Kind;
use crate::limits::{FLUSH_SLICES, PLAIN_SLICES};
use crate::protocol::{response, websocket};
use crate::relay::egress::{Messages, flush_end};

use crate::relay::{Subscriber, Verdict, View};
use crate::ring::{Gather, Window};
use crate::sys::socket::Socket;
use std::io::{self, IoSlice};

/// Where serving a subscriber has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It has everything.
    AtHead,
    /// More is to gather before it is sent.
    Gathering,
    /// The kernel takes no more.
    Blocked,
    /// There is more to send.
    More,
    /// It waits for a join point.
    Waiting,
    /// The stream is over, and it has the rest.
    Over,
    /// It is too far behind, or broken.
    Lost,
}

/// A pass over subscribers of one stream: one send for each.
pub(super) struct Pass<'a> {
    view: &'a View,
    /// Where what there is ends. Another shard's stream may have gone on since:
    /// that is for the next pass.
    head: Position,
    ended: Option<Instant>,
    pub(super) roster: &'a mut Roster,
    common: Common<'a>,
    /// Those that are served no more.
    ends: Vec<(Key, Served)>,
    /// Somebody is behind.
    is_behind: bool,
    /// What gathers for somebody is sent then.
    flush: Instant,
    /// Bytes sent by listener `site` that are in no count yet: most subscribers of a
    /// stream come by the same.
    sent: u64,
    site: usize,
}

impl<'a> Pass<'a> {
    pub(super) fn over(fan: &'a mut Fanout) -> Self {
        let Fanout { view, ended, roster, .. } = fan;
        let (common, head) = (Common::new(), view.window().head());
        let (ends, flush) = (Vec::new(), Instant::NEVER);
        Self {
            view,
            head,
            ended: *ended,
            roster,
            common,
            ends,
            is_behind: false,
            flush,
            sent: 0,
            site: 0,
        }
    }

    /// Serves one subscriber once, and puts it where it then belongs; answers
    /// where that has left it.
    pub(super) fn serve<S: Socket>(
        &mut self,
        key: Key,
        conns: &mut Slab<Conn<S>>,
        turn: &mut Turn,
    ) -> Option<Served> {
        let conn = conns.get_mut(key).filter(|conn| !conn.is_closing)?;
        let served = self.send(key, conn, turn).unwrap_or_else(|why| {
            close::tell(conn, &why);
            Served::Lost
        });
        let Role::Subscriber(subscribed) = &mut conn.role else {
            return None;
        };
        self.roster.settle(key, served, subscribed, turn);
        match served {
            Served::Over | Served::Lost => self.ends.push((key, served)),
            Served::Blocked | Served::More => self.is_behind = true,
            Served::AtHead | Served::Gathering | Served::Waiting => {}
        }
        Some(served)
    }

    /// Counts what has been sent, for the stream and for the listener.
    fn book(&mut self, turn: &mut Turn) {
        let sent = std::mem::take(&mut self.sent);
        self.roster.delivered.sent_bytes += sent;
        turn.at_listener(self.site, |counts| counts.sent_bytes.add(sent));
    }

    /// What is left to do once the pass no longer borrows the stream.
    pub(super) fn end(mut self, turn: &mut Turn) -> After {
        self.book(turn);
        After { ends: self.ends, is_behind: self.is_behind, flush: self.flush }
    }

    /// Hands a subscriber's next bytes to the kernel: one call.
    fn send<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        turn: &mut Turn,
    ) -> io::Result<Served> {
        self.answer(conn);
        if conn.out.is_some() && conn.at_boundary() && !conn.send_queued()? {
            return Ok(Served::Blocked);
        }
        let site = conn.site();
        let Role::Subscriber(subscribed) = &mut conn.role else {
            return Ok(Served::Lost);
        };
        let subscriber = &mut subscribed.subscriber;
        if subscriber.minds_queue(turn.now)
            && let Some(served) = self.mind_queue(&mut conn.socket, subscriber, turn)?
        {
            return Ok(served);
        }
        let (window, cut) = (self.view.window(), self.view.cut());
        if subscriber.is_waiting() && !self.begin(subscriber, turn.now) {
            return Ok(if self.ended.is_some() { Served::Over } else { Served::Waiting });
        }
        // The request that its bytes are the body of goes first, and not before
        // there are any: a server waits for the rest of a head but so long.
        if subscribed.is_unanswered
            && !subscriber.is_at(self.head)
            && let Some(dialed) = &conn.dialed
        {
            subscribed.is_unanswered = false;
            let request = dialed.request(cut.kind);
            conn.queue(&request);
            return Ok(Served::More);
        }
        if self.ended.is_none()
            && let Some(due) = subscriber.gathers_until(window, turn.now)
        {
            self.flush = self.flush.min(due);
            return Ok(Served::Gathering);
        }
        subscriber.plan(window, cut, &mut turn.messages);
        let handed = if subscriber.takes_plain() {
            let list = self.common.at(subscriber.position(), self.head, window);
            hand_over(&mut conn.socket, list)?
        } else {
            hand_over_own(&mut conn.socket, subscriber, window, &turn.messages)?
        };
        match handed {
            Handed::Nothing => {}
            Handed::Refused => return Ok(Served::Blocked),
            Handed::Taken { sent, is_all } => {
                self.count(sent as u64, site, turn);
                let from = subscriber.position();
                let free = subscriber.sent(sent, &turn.messages);
                if subscriber.is_current() {
                    let (stream, to) = (subscribed.stream, subscriber.position());
                    turn.deliveries.push(Delivery { conn: key, stream, from, to }, turn.now);
                }
                self.roster.held.give_back(&free);
                if !is_all {
                    return Ok(Served::Blocked);
                }
            }
        }
        // Words that waited for the end of a message are next.
        if !subscriber.is_at(self.head) || conn.out.is_some() {
            return Ok(Served::More);
        }
        subscriber.reached_head();
        Ok(if self.ended.is_some() { Served::Over } else { Served::AtHead })
    }

    /// Counts a send to a connection of that site.
    fn count(&mut self, sent: u64, site: usize, turn: &mut Turn) {
        turn.counters.sends.bump();
        turn.counters.sent_bytes.add(sent);
        if site != self.site {
            self.book(turn);
            self.site = site;
        }
        self.sent += sent;
    }

    /// Starts or resumes one that waits, if it can, and counts what it has missed by
    /// then; answers whether it has something to send to.
    fn begin(&mut self, subscriber: &mut Subscriber, now: Instant) -> bool {
        let before = subscriber.stats();
        let has_begun = subscriber.begin(self.view.window(), self.view.cut(), now);
        let after = subscriber.stats();
        let delivered = &mut self.roster.delivered;
        delivered.skipped_bytes += after.skipped_bytes - before.skipped_bytes;
        delivered.skipped_time += after.skipped_time - before.skipped_time;
        has_begun
    }

    /// Queues the head of an HTTP response once it is known what the stream is.
    fn answer<S>(&self, conn: &mut Conn<S>) {
        let Role::Subscriber(subscribed) = &mut conn.role else { return };
        let kind = self.view.cut().kind;
        if conn.dialed.is_none()
            && subscribed.is_unanswered
            && (kind != Kind::Auto || self.ended.is_some())
        {
            subscribed.is_unanswered = false;
            conn.queue(&response::stream_head(response::content_type(kind)));
        }
    }

    /// Looks at what the kernel still has for a subscriber; answers if nothing
    /// may be put behind it now.
    fn mind_queue<S: Socket>(
        &mut self,
        socket: &mut S,
        subscriber: &mut Subscriber,
        turn: &mut Turn,
    ) -> io::Result<Option<Served>> {
        let (window, cut) = (self.view.window(), self.view.cut());
        let unacked = socket.unacked()?;
        let verdict = subscriber.check(window, cut, unacked, &mut self.roster.held, turn.now);
        if matches!(lag::count(verdict, &mut self.roster.delivered, turn), Verdict::Close { .. }) {
            return Ok(Some(Served::Lost));
        }
        if !subscriber.is_held_back(window, unacked, turn.now) {
            return Ok(None);
        }
        // The tick looks when it may go on.
        Ok(Some(if self.ended.is_some() { Served::Over } else { Served::Blocked }))
    }
}

/// What a pass leaves to be done.
pub(super) struct After {
    ends: Vec<(Key, Served)>,
    is_behind: bool,
    flush: Instant,
}

impl After {
    pub(super) fn settle<S: Socket>(
        self,
        stream: Key,
        turn: &mut Turn,
        streams: &mut Streams,
        conns: &mut Slab<Conn<S>>,
    ) {
        streams.flush_at(stream, self.flush, turn);
        if self.is_behind {
            streams.watch(turn);
        }
        for (key, served) in self.ends {
            let Some(conn) = conns.get_mut(key) else { continue };
            if served == Served::Lost {
                close::drop_now(key, conn, turn, streams);
                continue;
            }
            if is_websocket(conn) {
                conn.queue(&websocket::close_frame(websocket::GOING_AWAY));
            }
            if let Some(rtmp) = &mut conn.rtmp {
                rtmp.ended();
                conn.queue_rtmp();
            }
            let is_out = is_answered(conn);
            if let Some(words) = conn.dialed.as_mut().and_then(|dialed| dialed.done(is_out)) {
                conn.queue(words);
            }
            close::finish(key, conn, turn, streams);
        }
    }
}

fn is_websocket<S>(conn: &Conn<S>) -> bool {
    matches!(&conn.role, Role::Subscriber(subscribed) if subscribed.inbound.is_some())
}

/// Whether what goes before a stream's bytes is said.
fn is_answered<S>(conn: &Conn<S>) -> bool {
    matches!(&conn.role, Role::Subscriber(subscribed) if !subscribed.is_unanswered)
}

/// What subscribers at one cursor are sent, gathered once for them all.
struct Common<'a> {
    from: Option<Position>,
    slices: [IoSlice<'a>; PLAIN_SLICES],
    used: usize,
    bytes: usize,
}

impl<'a> Common<'a> {
    fn new() -> Self {
        Self { from: None, slices: [IoSlice::new(&[]); PLAIN_SLICES], used: 0, bytes: 0 }
    }

    /// The slices of a flush from `from` on, and their bytes.
    fn at(
        &mut self,
        from: Position,
        head: Position,
        window: &'a Window,
    ) -> (&[IoSlice<'a>], usize) {
        if self.from != Some(from) {
            let mut list = Gather::over(&mut self.slices);
            window.gather(from, flush_end(from, head), &mut list);
            (self.used, self.bytes) = (list.slices().len(), list.bytes());
            self.from = Some(from);
        }
        (&self.slices[..self.used], self.bytes)
    }
}

/// How a send went.
enum Handed {
    /// There was nothing to send.
    Nothing,
    /// The kernel takes nothing.
    Refused,
    /// It took so many bytes.
    Taken { sent: usize, is_all: bool },
}

fn hand_over<S: Socket>(
    socket: &mut S,
    (slices, wanted): (&[IoSlice<'_>], usize),
) -> io::Result<Handed> {
    if wanted == 0 {
        return Ok(Handed::Nothing);
    }
    match socket.send(slices) {
        Ok(sent) => Ok(Handed::Taken { sent, is_all: sent == wanted }),
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(Handed::Refused),
        Err(why) => Err(why),
    }
}

/// The same for a subscriber that has a list of its own: messages, or something
/// to be sent first, or the way out of the stream.
fn hand_over_own<S: Socket>(
    socket: &mut S,
    subscriber: &Subscriber,
    window: &Window,
    messages: &Messages,
) -> io::Result<Handed> {
    let (mut few, mut many);
    let slices = if subscriber.flush_slices() <= PLAIN_SLICES {
        few = [IoSlice::new(&[]); PLAIN_SLICES];
        &mut few[..]
    } else {
        many = [IoSlice::new(&[]); FLUSH_SLICES];
        &mut many[..]
    };
    let mut list = Gather::over(slices);
    subscriber.gather(window, messages, &mut list);
    hand_over(socket, (list.slices(), list.bytes()))
}
