//! Ring → subscriber sockets: for each stream with something new, everybody
//! who is at its head; then those that the kernel takes bytes from again;
//! then those with a burst to catch up on. One write path, `Pass::serve`.

use super::conn::{Conn, Role, Standing};
use super::lag;
use super::residence;
use super::serve::{Pass, Served};
use super::slab::{Key, Slab};
use super::streams::{Fanout, Streams};
use super::turn::Turn;
use super::udp::Ports;
use crate::base::Instant;
use crate::limits::{
    CATCHUP_SENDS, CLOCK_BYTES, CLOCK_SENDS, FANOUT_SENDS, FANOUT_TIME, TURN_TIME, UDP_TIME,
};
use crate::report::Phase;
use crate::sys::socket::Socket;
use std::time::Duration;

/// What is left of a phase's bound on sends and time.
struct Budget {
    sends: usize,
    /// Subscribers looked at, those that are sent nothing too.
    looks: usize,
    /// What it gets from the first look at the clock on, however late it is.
    least: Duration,
    /// Counts from the first look at the clock: the turn's own is as old as
    /// its ingest was long.
    until: Option<Instant>,
    /// Bytes that had been sent at the last look.
    seen: u64,
}

impl Budget {
    const fn new(sends: usize, least: Duration, turn: &Turn) -> Self {
        Self { sends, looks: 0, least, until: None, seen: turn.counters.sent_bytes.get() }
    }

    /// Whether another send may be made; counts it.
    fn take(&mut self, turn: &mut Turn) -> bool {
        if self.sends == 0 || self.until.is_some_and(|until| turn.now > until) {
            return false;
        }
        self.sends -= 1;
        self.looks += 1;
        let sent = turn.counters.sent_bytes.get();
        if self.looks.is_multiple_of(CLOCK_SENDS) || sent - self.seen >= CLOCK_BYTES {
            self.seen = sent;
            turn.read_clock();
            let end = turn.until(FANOUT_TIME, TURN_TIME, self.least);
            return turn.now <= *self.until.get_or_insert(end);
        }
        true
    }
}

/// The live fan-out: streams with something new, subscribers at their head.
pub fn live<S: Socket>(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    ports: &mut Ports,
) {
    // However long the ingest was, this gets a quarter of its time: who floods a stream
    // of its own must not keep all others from theirs.
    let mut budget = Budget::new(FANOUT_SENDS, FANOUT_TIME / 4, turn);
    let mut datagrams_until = None;
    // The stream that the budget ran out in: it comes after those that had none
    // of it, or one that never gets done would keep all the others waiting.
    let mut cut = None;
    for _ in 0..turn.ready.dirty.len() {
        let Some(key) = turn.ready.dirty.pop_front() else {
            break;
        };
        streams.follow(key, turn);
        streams.learn(key, turn);
        let Some(fan) = streams.fanouts.get_mut(key) else {
            continue;
        };
        wake_waiting(fan, turn, conns);
        let (mut is_sent, mut flush) = (true, Instant::NEVER);
        if fan.is_udp_due {
            turn.recorder.mark(Phase::Fanout);
            let until = *datagrams_until.get_or_insert_with(|| {
                turn.read_clock();
                turn.until(UDP_TIME, TURN_TIME, UDP_TIME / 2)
            });
            (is_sent, flush) = ports.send(fan, turn, until);
            fan.is_udp_due = !is_sent;
            turn.recorder.mark(Phase::UdpFanout);
            if !is_sent {
                turn.exhaust(Phase::UdpFanout);
            }
        }
        streams.flush_at(key, flush, turn);
        let is_complete = pass(key, &mut budget, turn, streams, conns);
        // Not before: whoever keeps up gets all, however little is kept.
        lag::trim(key, turn, streams, conns);
        if let Some(fan) = streams.fanouts.get_mut(key).filter(|_| is_complete) {
            fan.roster.rotate();
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
    residence::settle(turn, streams, conns);
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
    let Some(fan) = streams.fanouts.get_mut(key) else {
        return true;
    };
    let mut pass = Pass::over(fan);
    let is_complete = loop {
        if pass.roster.left == 0 {
            break true;
        }
        if !budget.take(turn) {
            break false;
        }
        let Some(conn) = pass.roster.take_next() else {
            break true;
        };
        if pass.serve(conn, conns, turn) == Some(Served::Gathering) {
            budget.sends += 1;
        }
    };
    pass.end(turn).settle(key, turn, streams, conns);
    is_complete
}

/// Subscribers that the kernel takes bytes from again.
pub fn resumed<S: Socket>(turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    let mut budget = Budget::new(FANOUT_SENDS, Duration::ZERO, turn);
    for _ in 0..turn.ready.writable.len() {
        if !budget.take(turn) {
            turn.exhaust(Phase::Writers);
            break;
        }
        let Some(key) = turn.ready.writable.pop_front() else {
            break;
        };
        step(key, turn, streams, conns);
    }
    residence::settle(turn, streams, conns);
}

/// Bursts: joiners and those that had fallen behind, a piece each.
pub fn catchup<S: Socket>(turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    let mut budget = Budget::new(CATCHUP_SENDS, Duration::ZERO, turn);
    for _ in 0..turn.ready.catchup.len() {
        if !budget.take(turn) {
            turn.exhaust(Phase::Catchup);
            break;
        }
        let Some(key) = turn.ready.catchup.pop_front() else {
            break;
        };
        step(key, turn, streams, conns);
    }
    residence::settle(turn, streams, conns);
}

/// Serves one subscriber once.
fn step<S: Socket>(key: Key, turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    let Some(Role::Subscriber(subscribed)) = conns.get_mut(key).map(|conn| &conn.role) else {
        return;
    };
    let stream = subscribed.stream;
    let Some(fan) = streams.fanouts.get_mut(stream) else {
        return;
    };
    let mut pass = Pass::over(fan);
    pass.serve(key, conns, turn);
    pass.end(turn).settle(stream, turn, streams, conns);
}

/// Starts those that wait, if there is something for them.
fn wake_waiting<S>(fan: &mut Fanout, turn: &mut Turn, conns: &mut Slab<Conn<S>>) {
    let newest = fan.view.window().newest_join().map(|join| join.position);
    let has_news = newest != fan.joined || fan.view.cut().anywhere || fan.ended.is_some();
    if !has_news {
        return;
    }
    fan.joined = newest;
    for key in fan.roster.waiting.drain(..) {
        if let Some(conn) = conns.get_mut(key)
            && let Role::Subscriber(subscribed) = &mut conn.role
        {
            subscribed.standing = Standing::Listed;
            turn.ready.catchup.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
    }

    /// Every send takes five microseconds.
    fn clock() -> Instant {
        NOW.set(NOW.get() + 5_000 * CLOCK_SENDS as u64);
        Instant::from_nanos(NOW.get())
    }

    #[test]
    fn a_long_ingest_leaves_a_quarter_of_the_time_to_send() {
        let sends = |ingest: Duration, least| {
            let mut turn = Turn::new(clock);
            turn.began = turn.now;
            NOW.set(NOW.get() + ingest.as_nanos() as u64);
            let mut budget = Budget::new(FANOUT_SENDS, least, &turn);
            (0..).take_while(|_| budget.take(&mut turn)).count()
        };
        let (short, long) = (Duration::ZERO, Duration::from_millis(5));
        assert_eq!(sends(short, FANOUT_TIME / 4), FANOUT_SENDS);
        // Looks come 40 us apart, and the third is beyond 62.
        assert_eq!(sends(long, FANOUT_TIME / 4), 3 * CLOCK_SENDS - 1);
        assert_eq!(sends(long, Duration::ZERO), 2 * CLOCK_SENDS - 1);
    }

    #[test]
    fn the_clock_is_read_for_those_who_gather_too_and_not_for_each() {
        thread_local! {
            static READS: Cell<usize> = const { Cell::new(0) };
        }
        for sent in [0, 7] {
            let mut turn = Turn::new(|| {
                READS.set(READS.get() + 1);
                Instant::ZERO
            });
            let mut budget = Budget::new(FANOUT_SENDS, Duration::ZERO, &turn);
            (0..sent).for_each(|_| assert!(budget.take(&mut turn)));
            READS.set(0);
            for _ in 0..1000 {
                assert!(budget.take(&mut turn));
                budget.sends += 1;
            }
            assert_eq!(READS.get(), 1000 / CLOCK_SENDS);
        }
    }
}
