//! Ring → subscriber sockets: for each stream with something new, everybody
//! who is at its head; then those that the kernel takes bytes from again;
//! then those with a burst to catch up on. One write path, `serve`.

use super::close;
use super::conn::{Conn, Role, Standing};
use super::slab::{Key, Slab};
use super::streams::{Fanout, Origin, Streams};
use super::turn::{Alarm, Turn};
use super::udp::Ports;
use crate::base::{Counter, Instant, Position};
use crate::framing::Kind;
use crate::limits::{
    CATCHUP_SENDS, CLOCK_SENDS, FANOUT_SENDS, FANOUT_TIME, FLUSH_SLICES, LAG_TICK, PLAIN_SLICES,
    UDP_TIME,
};
use crate::protocol::{response, websocket};
use crate::relay::{Subscriber, Verdict};
use crate::report::Phase;
use crate::ring::Gather;
use crate::sys::socket::Socket;
use std::io::{self, IoSlice};

/// What is left of a phase's bound on sends and time.
struct Budget {
    sends: usize,
    /// Counts from the first look at the clock: the turn's own is as old as
    /// its ingest was long.
    until: Option<Instant>,
}

impl Budget {
    const fn new(sends: usize) -> Self {
        Self { sends, until: None }
    }

    /// Whether another send may be made; counts it.
    fn take(&mut self, turn: &mut Turn) -> bool {
        if self.sends == 0 || self.until.is_some_and(|until| turn.now > until) {
            return false;
        }
        self.sends -= 1;
        if self.sends.is_multiple_of(CLOCK_SENDS) {
            turn.read_clock();
            self.until.get_or_insert(turn.now + FANOUT_TIME);
        }
        true
    }
}

/// Where serving a subscriber has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It has everything.
    AtHead,
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

/// The live fan-out: streams with something new, subscribers at their head.
pub fn live<S: Socket>(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    ports: &mut Ports,
) {
    let mut budget = Budget::new(FANOUT_SENDS);
    let datagrams_until = turn.now + UDP_TIME;
    // The stream that the budget ran out in: it comes after those that had none
    // of it, or one that never gets done would keep all the others waiting.
    let mut cut = None;
    for _ in 0..turn.ready.dirty.len() {
        let Some(key) = turn.ready.dirty.pop_front() else {
            break;
        };
        streams.follow(key, turn);
        let Some(fan) = streams.fanouts.get_mut(key) else {
            continue;
        };
        wake_waiting(fan, turn, conns);
        if fan.is_udp_due {
            turn.recorder.mark(Phase::Fanout);
            fan.is_udp_due = !ports.send(fan, turn, datagrams_until);
            turn.recorder.mark(Phase::UdpFanout);
            if fan.is_udp_due {
                turn.exhaust(Phase::UdpFanout);
            }
        }
        let is_sent = !fan.is_udp_due;
        let is_complete = pass(key, &mut budget, turn, streams, conns);
        // Not before: whoever keeps up gets all, however little is kept.
        trim(key, turn, streams, conns);
        if let Some(fan) = streams.fanouts.get_mut(key).filter(|_| is_complete) {
            // Whoever was first is last next time.
            fan.live.rotate_left(usize::from(!fan.live.is_empty()));
        } else {
            turn.exhaust(Phase::Fanout);
        }
        if !is_complete || !is_sent {
            match cut {
                None => cut = Some(key),
                Some(_) => turn.ready.dirty.push_back(key),
            }
            continue;
        }
        if let Some(fan) = streams.fanouts.get_mut(key) {
            fan.is_dirty = false;
            if let Some(stream) = fan.stream() {
                stream.warm_up();
            }
        }
        streams.reap(key);
    }
    turn.ready.dirty.extend(cut);
}

/// Serves what is left of a pass over a stream's live subscribers; answers
/// whether it is complete.
fn pass<S: Socket>(
    key: Key,
    budget: &mut Budget,
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
) -> bool {
    loop {
        let Some(fan) = streams.fanouts.get_mut(key) else {
            return true;
        };
        if fan.left == 0 {
            return true;
        }
        if !budget.take(turn) {
            return false;
        }
        fan.left -= 1;
        let Some(conn) = fan.live.pop_front() else {
            return true;
        };
        step(conn, turn, streams, conns);
    }
}

/// Subscribers that the kernel takes bytes from again.
pub fn resumed<S: Socket>(turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    let mut budget = Budget::new(FANOUT_SENDS);
    for _ in 0..turn.ready.writable.len() {
        if !budget.take(turn) {
            turn.exhaust(Phase::Writers);
            return;
        }
        let Some(key) = turn.ready.writable.pop_front() else {
            return;
        };
        step(key, turn, streams, conns);
    }
}

/// Bursts: joiners and those that had fallen behind, a piece each.
pub fn catchup<S: Socket>(turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    let mut budget = Budget::new(CATCHUP_SENDS);
    for _ in 0..turn.ready.catchup.len() {
        if !budget.take(turn) {
            turn.exhaust(Phase::Catchup);
            return;
        }
        let Some(key) = turn.ready.catchup.pop_front() else {
            return;
        };
        step(key, turn, streams, conns);
    }
}

/// Serves one subscriber once and puts it where it then belongs.
fn step<S: Socket>(key: Key, turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    let Some(conn) = conns.get_mut(key).filter(|conn| !conn.is_closing) else {
        return;
    };
    let Role::Subscriber(subscribed) = &conn.role else {
        return;
    };
    let is_websocket = subscribed.inbound.is_some();
    let Some(fan) = streams.fanouts.get_mut(subscribed.stream) else {
        return;
    };
    let served = serve(conn, fan, turn).unwrap_or_else(|why| {
        log::debug!("subscriber {} of {}: {why}", conn.peer, fan.view.name);
        Served::Lost
    });
    settle(key, served, conn, fan, turn);
    match served {
        Served::Over => {
            if is_websocket {
                conn.queue(&websocket::close_frame(websocket::GOING_AWAY));
            }
            close::finish(key, conn, turn, streams);
        }
        Served::Lost => close::drop_now(key, conn, turn, streams),
        Served::Blocked | Served::More => streams.watch(turn),
        Served::AtHead | Served::Waiting => {}
    }
}

/// Notes where a subscriber now stands.
fn settle<S>(key: Key, served: Served, conn: &mut Conn<S>, fan: &mut Fanout, turn: &mut Turn) {
    let Role::Subscriber(subscribed) = &mut conn.role else {
        return;
    };
    let is_behind = matches!(served, Served::Blocked | Served::More);
    if is_behind && !subscribed.is_behind {
        subscribed.is_behind = true;
        fan.behind.push(key);
    }
    subscribed.standing = match served {
        Served::AtHead => {
            fan.live.push_back(key);
            Standing::Live
        }
        Served::Waiting => {
            fan.waiting.push(key);
            Standing::Waiting
        }
        Served::More => {
            turn.ready.catchup.push_back(key);
            Standing::Listed
        }
        Served::Blocked | Served::Over | Served::Lost => Standing::Blocked,
    };
}

/// Hands a subscriber's next bytes to the kernel: one call.
fn serve<S: Socket>(conn: &mut Conn<S>, fan: &mut Fanout, turn: &mut Turn) -> io::Result<Served> {
    answer(conn, fan);
    if conn.out.is_some() && conn.at_boundary() && !conn.send_queued()? {
        return Ok(Served::Blocked);
    }
    let Role::Subscriber(subscribed) = &mut conn.role else {
        return Ok(Served::Lost);
    };
    let subscriber = &mut subscribed.subscriber;
    if subscriber.minds_queue(turn.now)
        && let Some(served) = mind_queue(&mut conn.socket, subscriber, fan, turn)?
    {
        return Ok(served);
    }
    let (window, cut) = (fan.view.window(), fan.view.cut());
    if !subscriber.begin(window, cut, turn.now) {
        return Ok(if fan.ended.is_some() { Served::Over } else { Served::Waiting });
    }
    subscriber.plan(window, cut, &mut turn.messages);
    let (mut few, mut many);
    let slices = if subscriber.flush_slices() <= PLAIN_SLICES {
        few = [IoSlice::new(&[]); PLAIN_SLICES];
        &mut few[..]
    } else {
        many = [IoSlice::new(&[]); FLUSH_SLICES];
        &mut many[..]
    };
    let mut list = Gather::over(slices);
    subscriber.gather(window, &turn.messages, &mut list);
    let wanted = list.bytes();
    if wanted > 0 {
        let sent = match conn.socket.send(list.slices()) {
            Ok(sent) => sent,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Served::Blocked),
            Err(why) => return Err(why),
        };
        turn.counters.sends.bump();
        turn.counters.sent_bytes.add(sent as u64);
        let held = subscriber.held_segments();
        subscriber.sent(sent, &turn.messages);
        fan.held -= held - subscriber.held_segments();
        if sent < wanted {
            return Ok(Served::Blocked);
        }
    }
    // Words that waited for the end of a message are next.
    if !subscriber.is_at(window.head()) || conn.out.is_some() {
        return Ok(Served::More);
    }
    subscriber.reached_head();
    Ok(if fan.ended.is_some() { Served::Over } else { Served::AtHead })
}

/// Looks at what the kernel still has for a subscriber; answers if nothing may
/// be put behind it now.
fn mind_queue<S: Socket>(
    socket: &mut S,
    subscriber: &mut Subscriber,
    fan: &mut Fanout,
    turn: &mut Turn,
) -> io::Result<Option<Served>> {
    let (window, cut) = (fan.view.window(), fan.view.cut());
    let unacked = socket.unacked()?;
    let verdict = subscriber.check(window, cut, unacked, &mut fan.held, turn.now);
    let verdict = count(verdict, &mut turn.counters.skips, &mut turn.counters.lag_closes);
    if matches!(verdict, Verdict::Close { .. }) {
        return Ok(Some(Served::Lost));
    }
    if !subscriber.is_held_back(window, unacked, turn.now) {
        return Ok(None);
    }
    // The tick looks when it may go on.
    Ok(Some(if fan.ended.is_some() { Served::Over } else { Served::Blocked }))
}

/// Queues the head of an HTTP response once it is known what the stream is.
fn answer<S>(conn: &mut Conn<S>, fan: &Fanout) {
    let Role::Subscriber(subscribed) = &mut conn.role else { return };
    let kind = fan.view.cut().kind;
    if subscribed.is_unanswered && (kind != Kind::Auto || fan.ended.is_some()) {
        subscribed.is_unanswered = false;
        conn.queue(&response::stream_head(response::content_type(kind)));
    }
}

fn count(verdict: Verdict, skips: &mut Counter, closes: &mut Counter) -> Verdict {
    match verdict {
        Verdict::Fine => {}
        Verdict::Skips { .. } => skips.bump(),
        Verdict::Close { .. } => closes.bump(),
    }
    verdict
}

/// Starts those that wait, if there is something for them.
fn wake_waiting<S>(fan: &mut Fanout, turn: &mut Turn, conns: &mut Slab<Conn<S>>) {
    let newest = fan.view.window().newest_join().map(|join| join.position);
    let has_news = newest != fan.joined || fan.view.cut().anywhere || fan.ended.is_some();
    if !has_news {
        return;
    }
    fan.joined = newest;
    for key in fan.waiting.drain(..) {
        if let Some(conn) = conns.get_mut(key)
            && let Role::Subscriber(subscribed) = &mut conn.role
        {
            subscribed.standing = Standing::Listed;
            turn.ready.catchup.push_back(key);
        }
    }
}

/// Drops what the stream need not keep; subscribers that were still there
/// leave first.
fn trim<S: Socket>(key: Key, turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    loop {
        let Some(fan) = streams.fanouts.get_mut(key) else {
            return;
        };
        let Some(floor) = fan.view.outdated(turn.now) else {
            return;
        };
        let cut = fan.view.cut();
        let mut lost = Vec::new();
        let unserved = fan.live.iter().take(fan.left);
        for (nth, &one) in fan.behind.iter().chain(unserved).enumerate() {
            let Some(conn) = conns.get_mut(one).filter(|conn| !conn.is_closing) else {
                continue;
            };
            let Role::Subscriber(subscribed) = &mut conn.role else {
                continue;
            };
            if nth >= fan.behind.len() && subscribed.is_behind {
                // It is on both lists, and has been looked at.
                continue;
            }
            let subscriber = &mut subscribed.subscriber;
            if subscriber.position() < floor {
                let verdict = subscriber.evict(fan.view.window(), cut, &mut fan.held, turn.now);
                match count(verdict, &mut turn.counters.skips, &mut turn.counters.lag_closes) {
                    Verdict::Close { .. } => lost.push(one),
                    Verdict::Fine | Verdict::Skips { .. } => {}
                }
            }
        }
        // That of another shard is given back there.
        if let Some(segment) = fan.view.trim()
            && let Origin::Here(_) = fan.origin
        {
            streams.pool.give_back(segment);
        }
        close::drop_all(lost, turn, streams, conns);
    }
}

/// This shard was lapped: after what it has of the stream comes a gap, up to
/// `floor`. Who is before it leaves, with as much of the rest as makes whole
/// frames. Answers who is lost.
pub(super) fn lapse<S>(
    fan: &mut Fanout,
    floor: Position,
    turn: &mut Turn,
    conns: &mut Slab<Conn<S>>,
) -> Vec<Key> {
    let mut lost = Vec::new();
    let cut = fan.view.cut();
    for &key in fan.live.iter().chain(&fan.behind) {
        let Some(conn) = conns.get_mut(key).filter(|conn| !conn.is_closing) else {
            continue;
        };
        let Role::Subscriber(subscribed) = &mut conn.role else { continue };
        let subscriber = &mut subscribed.subscriber;
        if subscriber.position() >= floor {
            continue;
        }
        let verdict = subscriber.lapse(fan.view.window(), cut, &mut fan.held, turn.now);
        match count(verdict, &mut turn.counters.skips, &mut turn.counters.lag_closes) {
            Verdict::Close { .. } => lost.push(key),
            Verdict::Fine | Verdict::Skips { .. } => {}
        }
    }
    lost
}

/// The tick: looks at the lag of everybody who is behind.
pub fn watch<S: Socket>(turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    streams.is_watching = false;
    let keys: Vec<Key> = streams.fanouts.keys().collect();
    for key in keys {
        let Some(fan) = streams.fanouts.get_mut(key) else {
            continue;
        };
        if fan.behind.is_empty() {
            continue;
        }
        let mut lost = Vec::new();
        let mut behind = std::mem::take(&mut fan.behind);
        behind.retain(|conn| look(*conn, fan, turn, conns, &mut lost));
        fan.behind = behind;
        streams.is_watching |= !fan.behind.is_empty();
        close::drop_all(lost, turn, streams, conns);
    }
    if streams.is_watching {
        turn.timers.arm(turn.now + LAG_TICK, Alarm::Lag);
    }
}

/// Looks at one subscriber's lag; answers whether it is still behind.
fn look<S: Socket>(
    key: Key,
    fan: &mut Fanout,
    turn: &mut Turn,
    conns: &mut Slab<Conn<S>>,
    lost: &mut Vec<Key>,
) -> bool {
    let Some(conn) = conns.get_mut(key).filter(|conn| !conn.is_closing) else {
        return false;
    };
    let Role::Subscriber(subscribed) = &mut conn.role else {
        return false;
    };
    if matches!(subscribed.standing, Standing::Live | Standing::Waiting) {
        subscribed.is_behind = false;
        return false;
    }
    let unacked = conn.socket.unacked().unwrap_or(0);
    let subscriber = &mut subscribed.subscriber;
    let window = fan.view.window();
    let cut = fan.view.cut();
    let verdict = subscriber.check(window, cut, unacked, &mut fan.held, turn.now);
    let is_overdue = fan.ended.is_some_and(|at| turn.now.since(at) > fan.view.settings.max_lag);
    match count(verdict, &mut turn.counters.skips, &mut turn.counters.lag_closes) {
        Verdict::Close { lag } => {
            log::info!("subscriber {} of {} ended: {lag:?} behind", conn.peer, fan.view.name);
            lost.push(key);
        }
        Verdict::Skips { lag } => {
            log::debug!("subscriber {} of {} skips: {lag:?} behind", conn.peer, fan.view.name);
        }
        Verdict::Fine => {}
    }
    let may_go_on = fan.ended.is_some() || !subscriber.is_held_back(window, unacked, turn.now);
    if subscriber.has_left() && may_go_on && subscribed.standing == Standing::Blocked {
        subscribed.standing = Standing::Listed;
        turn.ready.catchup.push_back(key);
    }
    if is_overdue {
        lost.push(key);
    }
    true
}
