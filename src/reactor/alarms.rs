//! Deadlines that have come.

use super::accept::Listeners;
use super::conn::Conn;
use super::lag;
use super::office::Errand;
use super::session::{self, Desk};
use super::site::Sites;
use super::slab::{Key, Slab};
use super::streams::{Ingest, Streams};
use super::turn::{Alarm, Turn};
use super::udp::Ports;
use crate::base::Instant;
use crate::limits::TIMERS;
use crate::report::Phase;
use crate::sys::socket::Socket;

/// Whether there is anything to do for [`fire`].
pub fn are_due(turn: &Turn, streams: &Streams) -> bool {
    turn.timers.next().is_some_and(|at| at <= turn.now) || streams.pool.is_overstocked()
}

/// Wakes whoever is due. Entries may be early: a connection that has done
/// something since is armed again for the rest of its time.
pub fn fire<S: Socket>(
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
    ports: &mut Ports,
    listeners: &mut Listeners,
) {
    streams.watch_pool(turn);
    for _ in 0..TIMERS {
        let Some(alarm) = turn.timers.pop(turn.now) else {
            return;
        };
        match alarm {
            Alarm::Conn(key) => wake_conn(key, turn, streams, conns, sites),
            Alarm::Stream(key) => wake_stream(key, turn, streams),
            Alarm::Flush(key) => streams.flush(key, turn),
            Alarm::Rest(key) => streams.expire(key, turn),
            Alarm::Udp(port) => ports.wake(port, turn, streams),
            Alarm::Accept(listener) => listeners.resume(listener, turn),
            Alarm::Lag => lag::watch(turn, streams, conns),
            Alarm::Pool => {
                if streams.rest_pool(turn)
                    && let Some(office) = &sites.office
                {
                    // A full office has others to serve; there is a next time.
                    let _full = office.try_send(Errand::Tidy);
                }
            }
            Alarm::Drain => turn.is_over = true,
        }
    }
    turn.exhaust(Phase::Timers);
}

fn wake_conn<S: Socket>(
    key: Key,
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
    sites: &Sites,
) {
    let Some(conn) = conns.get_mut(key).filter(|conn| !conn.is_closing) else {
        return;
    };
    if conn.alarm != Instant::NEVER && conn.alarm > turn.now {
        // A later deadline became a sooner one, and this is what was left: were
        // it armed again, there would be one more each time.
        return;
    }
    conn.alarm = Instant::NEVER;
    match session::deadline(conn, streams) {
        Some(at) if at <= turn.now => Desk { turn, streams, sites }.timed_out(key, conn),
        Some(_later) => session::arm(key, conn, turn, streams),
        None => {}
    }
}

/// A framing that holds bytes must decide about them.
fn wake_stream(key: Key, turn: &mut Turn, streams: &mut Streams) {
    if let Some(fan) = streams.fanouts.get_mut(key) {
        fan.alarm = None;
    }
    let Some(Ingest { stream, view, pool }) = streams.ingest(key) else {
        return;
    };
    if let Err(why) = stream.handle_timeout(turn.now, view, pool) {
        log::warn!("stream {}: {why}", view.name);
    }
    streams.mark_dirty(key, turn);
}
