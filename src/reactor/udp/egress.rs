//! Datagrams out: a UDP socket that sends a stream to those who ask, or to one
//! address whether it asks or not.
//!
//! There is no socket and no buffer for each subscriber: a cursor and an
//! address. Those at the same cursor are sent the same datagrams in one call,
//! a call at a time, until the phase's time is up; the rest go first in the
//! next turn. What the kernel has no room for is dropped and counted. They
//! start at the next join point, never with a burst that would overrun their
//! buffer; whoever comes to be past max-lag, because this server has more to
//! send than time for it, skips as others do.

use super::audience::{Audience, Before, Member};
use super::loop_bounded;
use crate::base::{Instant, Position, Totals};
use crate::limits::{
    CLOCK_SENDS, DATAGRAM_BATCH, DATAGRAM_BYTES, FLUSH_SLICES, INGEST_READS, UDP_CALL, UDP_PIECES,
    UDP_SILENCE,
};
use crate::protocol::udp_join::{self, Answer, Joiner};
use crate::protocol::{Name, Refusal};
use crate::reactor::residence::Stays;
use crate::reactor::streams::Streams;
use crate::reactor::turn::{Alarm, Turn};
use crate::relay::datagrams::{self, Run};
use crate::relay::egress::gathers_until;
use crate::relay::subscriber::Cut;
use crate::relay::{Settings, View};
use crate::report::{Over, SubscriberSnapshot};
use crate::ring::{Gather, Window};
use crate::sys::datagram::{Datagram, Gso, Outgoing, Received, Sent};
use crate::sys::socket::Udp;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that make a full flush: one stretch.
const FULL: usize = UDP_PIECES * DATAGRAM_BYTES;

/// A stream that goes out in datagrams.
pub struct Egress {
    pub(super) name: Name,
    joiner: Joiner,
    handshake: bool,
    settings: Settings,
    /// The kernel cuts runs into datagrams for us.
    has_gso: bool,
    audience: Audience,
    /// The stream's life that cursors are in.
    epoch: u64,
    /// Up to where the audience has been told that there is something.
    head: Position,
    /// What was there before somebody came is too much at once: who joins now
    /// starts here or later.
    next: Position,
    is_watched: bool,
    /// The shard knows that there are subscribers.
    is_counted: bool,
    /// What gathers is sent then.
    pub(super) flush: Instant,
}

/// What sends need, from one to the next.
#[derive(Default)]
pub(super) struct Loads {
    runs: Vec<Run>,
    gso: Vec<Option<Gso>>,
    outgoing: Outgoing,
    stays: Stays,
}

impl Egress {
    /// Sends `name` to those who ask.
    pub(super) fn new(name: Name, joiner: Joiner, handshake: bool, settings: Settings) -> Self {
        Self {
            name,
            joiner,
            handshake,
            settings,
            flush: Instant::NEVER,
            has_gso: false,
            audience: Audience::default(),
            epoch: 0,
            head: Position::ZERO,
            next: Position::ZERO,
            is_watched: false,
            is_counted: false,
        }
    }

    /// Tells the shard whether anybody here wants the stream.
    pub(super) fn report(&mut self, streams: &mut Streams, turn: &mut Turn) {
        let is_wanted = !self.audience.is_empty();
        if is_wanted != self.is_counted {
            self.is_counted = is_wanted;
            // While nobody was here the stream may have gone on unseen.
            self.epoch = 0;
            streams.crowd(&self.name, is_wanted, turn);
        }
    }

    /// Sends to `address`, too, which need not ask.
    pub(super) fn push_to(&mut self, address: SocketAddr) {
        let member = Member { is_fixed: true, ..Member::new(address, 0, Instant::ZERO) };
        self.audience.join(address, member);
    }

    /// Says what the socket can do.
    pub(super) fn set_gso(&mut self, has_gso: bool) {
        self.has_gso = has_gso;
    }

    /// Hears who wants to join, stay or leave; answers whether more may wait.
    pub(super) fn listen(&mut self, number: usize, socket: &Udp, turn: &mut Turn) -> bool {
        loop_bounded(turn, INGEST_READS, |turn| match socket.recv(&mut turn.scratch) {
            Ok(received) => {
                self.hear(number, received, socket, turn);
                true
            }
            // ICMP's answer to something sent: the next receive may be well.
            Err(why) => why.kind() == io::ErrorKind::ConnectionRefused,
        })
    }

    fn hear(&mut self, number: usize, received: Received, socket: &Udp, turn: &mut Turn) {
        let from = received.from;
        let known = self.audience.find(from);
        let joined = known.as_ref().map(|one| one.token_epoch);
        let epoch = udp_join::epoch(turn.now);
        let bytes = &turn.scratch[..received.len];
        let answer = self.joiner.handle_datagram(bytes, from, epoch, joined);
        let answer = match answer {
            _ if self.handshake => answer,
            // Nobody is given a token: an address is enough.
            _ if udp_join::is_bye(bytes) => Answer::Leave,
            Answer::SendToken(_) if known.is_some() => Answer::KeepAlive,
            Answer::SendToken(_) => Answer::Join { epoch },
            Answer::Ignore
            | Answer::Join { .. }
            | Answer::KeepAlive
            | Answer::Leave
            | Answer::Refused(_) => answer,
        };
        match answer {
            Answer::Ignore => turn.counters.udp_ignored.bump(),
            Answer::SendToken(token) => {
                turn.counters.udp_tokens.bump();
                let _lost = socket.send_to(&token, from);
            }
            Answer::Join { epoch } => self.join(number, from, epoch, turn),
            Answer::KeepAlive => {
                if let Some(known) = known {
                    known.last_seen = turn.now;
                }
            }
            Answer::Leave => self.audience.leave(from),
            Answer::Refused(why) => turn.counters.refuse(why),
        }
    }

    fn join(&mut self, number: usize, address: SocketAddr, token_epoch: u64, turn: &mut Turn) {
        let member = Member { cursor: self.next, ..Member::new(address, token_epoch, turn.now) };
        if !self.audience.join(address, member) {
            turn.counters.refuse(Refusal::Full);
            return;
        }
        log::info!("{address} joins {} over UDP", self.name);
        if !self.is_watched {
            self.is_watched = true;
            turn.timers.arm(turn.now + UDP_SILENCE, Alarm::Udp(number));
        }
    }

    /// Lets the silent go; answers when to look again.
    pub(super) fn expire(&mut self, turn: &Turn) -> Option<Instant> {
        let since = Instant::ZERO + turn.now.since(Instant::ZERO + UDP_SILENCE);
        let next = self.audience.expire(since).map(|seen| seen + UDP_SILENCE);
        self.is_watched = next.is_some();
        next
    }

    /// Sends what is new to everybody, until then; answers whether all have it.
    pub(super) fn send(
        &mut self,
        (view, residence, gathers): (&View, &mut Totals, bool),
        socket: &Udp,
        loads: &mut Loads,
        turn: &mut Turn,
        until: Instant,
    ) -> bool {
        // Those who gathered until now are looked at again.
        if std::mem::replace(&mut self.flush, Instant::NEVER) != Instant::NEVER {
            self.audience.renew();
        }
        if view.epoch < self.epoch {
            // What is left of a life before.
            return true;
        }
        let (window, cut) = (view.window(), view.cut());
        self.follow(window, cut, view.epoch, turn.now);
        let mut rounds = 0usize;
        let mut longest = Duration::ZERO;
        let span = if gathers { self.settings.gathers(&view.settings) } else { Duration::ZERO };
        while let Some(front) = self.audience.front() {
            rounds += 1;
            // One call takes as long as another, about: the last one ends in time.
            if turn.now + longest >= until {
                return false;
            }
            if front.is_current
                && let Some(due) = gathers_until(window, front.cursor, FULL, span, turn.now)
            {
                self.flush = self.flush.min(due);
                self.audience.set_aside();
                continue;
            }
            match course(front, window, cut, self.settings.max_lag, turn.now) {
                Course::Send { to, prefix } => {
                    let range = (front.cursor, to);
                    let gso = self.has_gso && front.has_gso;
                    let before = turn.now;
                    let end = self.load(loads, (window, cut), (range, gso), prefix, socket, turn);
                    turn.read_clock();
                    longest = longest.max(turn.now.since(before));
                    loads.stays.note(view, range.0, end);
                    let current = self.audience.count(&loads.stays, turn.now);
                    loads.stays.record(turn.now, current, residence);
                    self.audience.served(end, window.head());
                }
                Course::Skip { to } => {
                    turn.counters.skips.bump();
                    self.audience.skip(to, !cut.anywhere, turn.now);
                    if rounds.is_multiple_of(CLOCK_SENDS) {
                        turn.read_clock();
                    }
                }
            }
        }
        true
    }

    /// How many are sent it.
    pub(super) fn count_members(&self) -> usize {
        self.audience.len()
    }

    /// Who is sent it.
    pub(super) fn subscribers<'a>(
        &'a self,
        view: &'a View,
        now: Instant,
    ) -> impl Iterator<Item = SubscriberSnapshot> + 'a {
        let head = view.window().head();
        self.audience.members().map(move |one| {
            let arrived = view.window().arrival(one.cursor).unwrap_or(one.since).max(one.since);
            let is_behind = one.cursor < head;
            SubscriberSnapshot {
                stream: view.name.clone(),
                peer: one.to.address(),
                over: Over::Udp.label(),
                state: match (one.is_current, is_behind) {
                    (true, false) => "live",
                    (true, true) => "behind",
                    (false, _) => "waiting",
                },
                behind_bytes: head.since(one.cursor),
                lag: if is_behind { now.since(arrived) } else { Duration::ZERO },
                age: None,
                rtt: None,
                counts: None,
                residence: one.residence.clone(),
            }
        })
    }

    /// Notes what has become of the stream since the last time.
    fn follow(&mut self, window: &Window, cut: Cut, epoch: u64, now: Instant) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.head = window.floor();
            self.audience.start_over(|since| first(window, cut, since));
        }
        let before = std::mem::replace(&mut self.head, window.head());
        if self.head > before {
            self.audience.renew();
        }
        if cut.anywhere {
            self.audience.wake_all(now);
            self.next = self.head;
            return;
        }
        let newest = window.newest_join().map(|join| join.position);
        if let Some(at) = newest {
            self.audience.wake(at, now);
        }
        self.next = newest.map_or(Position::ZERO, |at| at + 1);
    }

    /// Sends a stretch, as far as a call goes, to the front and those with it;
    /// answers where that ends.
    fn load(
        &mut self,
        loads: &mut Loads,
        (window, cut): (&Window, Cut),
        (range, has_gso): ((Position, Position), bool),
        prefix: Option<Arc<[u8]>>,
        socket: &Udp,
        turn: &mut Turn,
    ) -> Position {
        let mut slices = [IoSlice::new(&[]); FLUSH_SLICES];
        let mut list = Gather::over(&mut slices);
        loads.runs.clear();
        loads.put_before(prefix.as_deref().unwrap_or_default(), has_gso, &mut list);
        let flight = datagrams::cut(window, cut, range, has_gso, &mut list, &mut loads.runs);
        self.audience.gather(loads.receivers());
        let sent = loads.send(socket, list.slices(), &self.audience);
        // It is the way to that one which is too narrow, or can't be cut for.
        for nth in sent.uncut {
            self.audience.refuse_gso(nth / loads.runs.len().max(1));
        }
        turn.counters.frames_too_large.add(flight.too_large);
        turn.counters.datagrams_sent.add(sent.sent as u64);
        turn.counters.datagrams_sent_bytes.add(sent.bytes as u64);
        turn.counters.datagrams_dropped.add((sent.failed + sent.untried) as u64);
        flight.end
    }
}

/// Where somebody may start who has been here since then: at the first join
/// point that came later. The window of a stream of another shard begins with
/// what came before it was asked for.
fn first(window: &Window, cut: Cut, since: Instant) -> Position {
    let floor = window.floor();
    let is_later = window.arrival(floor).is_none_or(|arrival| arrival >= since);
    if is_later {
        return floor;
    }
    if !cut.anywhere {
        let newest = window.newest_join().map(|join| join.position);
        let is_later = |at: &Position| window.arrival(*at).is_some_and(|then| then >= since);
        return newest.map_or(floor, |at| if is_later(&at) { at } else { at + 1 });
    }
    if window.newest_arrival().is_none_or(|arrival| arrival < since) {
        return window.head();
    }
    let later = window.spans(floor).find(|span| span.arrival >= since);
    later.map_or(window.head(), |span| span.start)
}

/// What becomes of a member.
enum Course {
    /// It is sent what lies before `to`.
    Send { to: Position, prefix: Option<Arc<[u8]>> },
    /// It leaves the stream where it is, and goes on there or, if that is not
    /// known yet, at the next join point.
    Skip { to: Option<Position> },
}

/// The next step of a member.
fn course(one: &Member, window: &Window, cut: Cut, max_lag: Duration, now: Instant) -> Course {
    let (at, head) = (one.cursor, window.head());
    let is_gone = at < window.floor();
    let arrived = window.arrival(at).unwrap_or(one.since).max(one.since);
    let is_late = at < head && (is_gone || now.since(arrived) > max_lag);
    let leaves = if cut.anywhere { Some(at) } else { window.leave_from(at) };
    if is_late && (is_gone || leaves == Some(at)) {
        let join = window.newest_join().filter(|join| join.position > at);
        let to = if cut.anywhere { Some(head) } else { join.map(|join| join.position) };
        return Course::Skip { to };
    }
    let join = window.join_from(at).filter(|join| join.position == at);
    let prefix = match one.before {
        Before::Nothing => None,
        Before::Fresh => join.map(|join| &join.fresh),
        Before::Resume => join.map(|join| &join.resume),
    };
    let to = leaves.filter(|_| is_late).unwrap_or(head);
    Course::Send { to, prefix: prefix.map(Arc::clone) }
}

impl Loads {
    /// The runs of what is sent before the stream's bytes: whole packets.
    fn put_before<'a>(&mut self, bytes: &'a [u8], has_gso: bool, list: &mut Gather<'a, '_>) {
        let size = if has_gso { bytes.len().max(1) } else { DATAGRAM_BYTES };
        for part in bytes.chunks(size) {
            let at = list.slices().len();
            list.push(part);
            self.runs.push(Run { slices: at..at + 1, stride: DATAGRAM_BYTES, bytes: part.len() });
        }
    }

    /// How many can be sent what is loaded in one call.
    fn receivers(&self) -> usize {
        let datagrams: usize = self.runs.iter().map(Run::datagrams).sum();
        let by_headers = DATAGRAM_BATCH / self.runs.len().max(1);
        by_headers.min(UDP_CALL / datagrams.max(1)).max(1)
    }

    /// Sends what is loaded to each of the group.
    fn send(&mut self, socket: &Udp, slices: &[IoSlice<'_>], audience: &Audience) -> Sent {
        let Self { runs, gso, outgoing, .. } = self;
        gso.clear();
        gso.extend(runs.iter().map(|run| Gso::new(run.stride, run.bytes)));
        let datagrams = audience.group().flat_map(|to| {
            runs.iter().zip(&*gso).map(move |(run, gso)| Datagram {
                to,
                slices: &slices[run.slices.clone()],
                gso: gso.as_ref(),
            })
        });
        outgoing.send(socket, datagrams)
    }
}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
