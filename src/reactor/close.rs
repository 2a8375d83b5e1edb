//! How a connection ends: its ties are cut here, its socket is freed by
//! [`reap`] at the end of the turn, and nowhere else.

use super::conn::{Conn, Role};
use super::slab::{Key, Slab};
use super::streams::Streams;
use super::turn::{Alarm, Turn};
use crate::limits::{CLOSING_TIME, REAPS};
use crate::sys::socket::Socket;

/// Ends a connection at once.
pub fn drop_now<S>(key: Key, conn: &mut Conn<S>, turn: &mut Turn, streams: &mut Streams) {
    if conn.is_closing {
        return;
    }
    conn.is_closing = true;
    detach(key, conn, turn, streams);
    turn.ready.reap.push(key);
}

/// Ends a connection after what is queued for it: the peer sees an orderly
/// end of the stream.
pub fn finish<S>(key: Key, conn: &mut Conn<S>, turn: &mut Turn, streams: &mut Streams) {
    if conn.is_closing {
        return;
    }
    detach(key, conn, turn, streams);
    let until = turn.now + CLOSING_TIME;
    conn.role = Role::Closing { until, is_shut: false };
    turn.timers.arm(until, Alarm::Conn(key));
    conn.alarm = Some(until);
    conn.list(key, turn);
}

/// Cuts a connection's ties to streams.
fn detach<S>(key: Key, conn: &mut Conn<S>, turn: &mut Turn, streams: &mut Streams) {
    match &conn.role {
        Role::Subscriber(subscribed) => streams.detach(key, subscribed),
        Role::Publisher(publisher) => streams.end(publisher.stream, turn),
        Role::Head { held: Some(stream), .. } => streams.rest(*stream, conn.peer.ip(), turn),
        Role::Awaiting(awaiting) => streams.forget(&awaiting.name, key),
        Role::Head { held: None, .. }
        | Role::Greeting { .. }
        | Role::Claiming(_)
        | Role::Echo(_)
        | Role::Closing { .. } => {}
    }
}

/// Frees what was ended in this turn.
pub fn reap<S: Socket>(turn: &mut Turn, conns: &mut Slab<Conn<S>>) {
    if turn.ready.reap.len() > REAPS {
        turn.counters.exhausted.reap.bump();
    }
    for _ in 0..turn.ready.reap.len().min(REAPS) {
        let Some(key) = turn.ready.reap.pop() else {
            return;
        };
        if conns.remove(key).is_some() {
            turn.counters.closed.bump();
        }
    }
}
