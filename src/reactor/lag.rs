//! Who is too far behind: the tick that looks at lags, and those that are still
//! in a part of a stream that is being dropped.

use super::close;
use super::conn::{Conn, Role, Standing};
use super::slab::{Key, Slab};
use super::streams::{Fanout, Origin, Streams};
use super::turn::{Alarm, Turn};
use crate::base::{Instant, Position};
use crate::limits::LAG_TICK;
use crate::relay::Verdict;
use crate::report::Delivered;
use crate::sys::socket::Socket;
use std::time::Duration;

/// Counts what a look at a subscriber's lag decided.
pub(super) fn count(verdict: Verdict, delivered: &mut Delivered, turn: &mut Turn) -> Verdict {
    match verdict {
        // Who is crowded goes on until another has made room.
        Verdict::Fine | Verdict::Crowded { .. } => {}
        Verdict::Skips { .. } => {
            turn.counters.skips.bump();
            delivered.skips += 1;
        }
        Verdict::Close { .. } => {
            turn.counters.lag_closes.bump();
            delivered.lag_closes += 1;
        }
    }
    verdict
}

/// Drops what the stream need not keep; subscribers that were still there
/// leave first.
pub(super) fn trim<S: Socket>(
    key: Key,
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
) {
    loop {
        let Some(fan) = streams.fanouts.get_mut(key) else {
            return;
        };
        let Some(floor) = fan.view.outdated(turn.now) else {
            return;
        };
        let cut = fan.view.cut();
        let mut lost = Vec::new();
        // Where frames gather, everybody may have some of them still to get, and of
        // another shard's stream what has come since the pass began.
        let is_apart = fan.flush != Instant::NEVER || matches!(fan.origin, Origin::There { .. });
        let left = if is_apart { fan.roster.live.len() } else { fan.roster.left };
        let unserved = fan.roster.live.iter().take(left);
        for (nth, &one) in fan.roster.behind.iter().chain(unserved).enumerate() {
            let Some(conn) = conns.get_mut(one).filter(|conn| !conn.is_closing) else {
                continue;
            };
            let Role::Subscriber(subscribed) = &mut conn.role else {
                continue;
            };
            if nth >= fan.roster.behind.len() && subscribed.is_behind {
                // It is on both lists, and has been looked at.
                continue;
            }
            let subscriber = &mut subscribed.subscriber;
            if subscriber.position() < floor {
                let verdict =
                    subscriber.evict(fan.view.window(), cut, &mut fan.roster.held, turn.now);
                match count(verdict, &mut fan.roster.delivered, turn) {
                    Verdict::Close { .. } => lost.push(one),
                    Verdict::Fine | Verdict::Skips { .. } | Verdict::Crowded { .. } => {}
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
    for &key in fan.roster.live.iter().chain(&fan.roster.behind) {
        let Some(conn) = conns.get_mut(key).filter(|conn| !conn.is_closing) else {
            continue;
        };
        let Role::Subscriber(subscribed) = &mut conn.role else { continue };
        let subscriber = &mut subscribed.subscriber;
        if subscriber.position() >= floor {
            continue;
        }
        let verdict = subscriber.lapse(fan.view.window(), cut, &mut fan.roster.held, turn.now);
        match count(verdict, &mut fan.roster.delivered, turn) {
            Verdict::Close { .. } => lost.push(key),
            Verdict::Fine | Verdict::Skips { .. } | Verdict::Crowded { .. } => {}
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
        fan.roster.worst_lag = Duration::ZERO;
        if fan.roster.behind.is_empty() {
            continue;
        }
        let mut lost = Vec::new();
        let mut behind = std::mem::take(&mut fan.roster.behind);
        behind.retain(|conn| look(*conn, fan, turn, conns, &mut lost));
        fan.roster.behind = behind;
        if std::mem::take(&mut fan.roster.held.is_crowded) {
            make_room(fan, turn, conns, &mut lost);
        }
        streams.is_watching |= !fan.roster.behind.is_empty();
        close::drop_all(lost, turn, streams, conns);
    }
    if streams.is_watching {
        turn.timers.arm(turn.now + LAG_TICK, Alarm::Lag);
    }
}

/// Others need the segments that are held: who has been leaving for longest is
/// ended, with all who stand still in the same one.
fn make_room<S>(fan: &mut Fanout, turn: &mut Turn, conns: &Slab<Conn<S>>, lost: &mut Vec<Key>) {
    let leaving = |key: &Key| {
        let Role::Subscriber(one) = &conns.get(*key)?.role else { return None };
        one.subscriber.leaving()
    };
    let Some((_, base)) = fan.roster.behind.iter().filter_map(leaving).min() else { return };
    let in_base = |key: &&Key| leaving(key).is_some_and(|(_, at)| at == base);
    let before = lost.len();
    for &key in fan.roster.behind.iter().filter(in_base) {
        if !lost[..before].contains(&key) {
            turn.counters.lag_closes.bump();
            lost.push(key);
        }
    }
    let ended = lost.len() - before;
    fan.roster.delivered.lag_closes += ended as u64;
    log::info!("{}: {ended} subscribers ended that take nothing", fan.view.name);
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
    let lag = subscriber.lag(window, unacked, turn.now);
    fan.roster.worst_lag = fan.roster.worst_lag.max(lag);
    let verdict = subscriber.check(window, cut, unacked, &mut fan.roster.held, turn.now);
    let is_overdue = fan.ended.is_some_and(|at| turn.now.since(at) > fan.view.settings.max_lag);
    match count(verdict, &mut fan.roster.delivered, turn) {
        Verdict::Close { lag } => {
            log::info!("subscriber {} of {} ended: {lag:?} behind", conn.peer, fan.view.name);
            lost.push(key);
        }
        Verdict::Skips { lag } => {
            log::debug!("subscriber {} of {} skips: {lag:?} behind", conn.peer, fan.view.name);
        }
        // It goes on meanwhile.
        Verdict::Fine | Verdict::Crowded { .. } => {}
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
