//! How a connection ends: its ties are cut here, its socket is freed by
//! [`reap`] at the end of the turn, and nowhere else.

use super::conn::{Conn, Role};
use super::ingest::Read;
use super::slab::{Key, Slab};
use super::streams::Streams;
use super::turn::{Alarm, Turn};
use crate::limits::{CLOSING_MAX, CLOSING_TIME, REAPS};
use crate::report::{DialFailure, Phase};
use crate::sys::socket::Socket;
use std::io;

/// Says that a connection is broken; aloud if the kernel gave it up, which its
/// peer may not know why.
pub(super) fn tell<S>(conn: &mut Conn<S>, why: &io::Error) {
    let peer = conn.peer;
    conn.fail(DialFailure::Broken, why.to_string());
    if why.kind() == io::ErrorKind::TimedOut {
        log::info!(
            "{peer} ended: it has acknowledged or taken nothing for too long (user_timeout, keepalive)"
        );
    } else {
        log::debug!("connection {peer}: {why}");
    }
}

/// Ends a connection at once.
pub fn drop_now<S>(key: Key, conn: &mut Conn<S>, turn: &mut Turn, streams: &mut Streams) {
    if conn.is_closing {
        return;
    }
    conn.is_closing = true;
    detach(key, conn, turn, streams);
    turn.ready.reap.push(key);
}

/// Ends each of these at once.
pub fn drop_all<S>(
    keys: Vec<Key>,
    turn: &mut Turn,
    streams: &mut Streams,
    conns: &mut Slab<Conn<S>>,
) {
    for key in keys {
        if let Some(conn) = conns.get_mut(key) {
            drop_now(key, conn, turn, streams);
        }
    }
}

/// Ends a connection after what is queued for it: the peer sees an orderly
/// end of the stream. Inside a message those words would be payload: there the
/// end says it.
pub fn finish<S>(key: Key, conn: &mut Conn<S>, turn: &mut Turn, streams: &mut Streams) {
    if conn.is_closing {
        return;
    }
    if !conn.at_boundary() {
        conn.out = None;
    }
    detach(key, conn, turn, streams);
    let until = turn.now + CLOSING_TIME;
    conn.role = Role::Closing { since: turn.now, until, is_shut: false };
    turn.timers.arm(until, Alarm::Conn(key));
    conn.alarm = until;
    conn.list(key, turn);
}

/// A closing connection: sends what is queued, shuts its side, and throws
/// away what still comes, so that the peer reads our last words before a reset.
pub(super) fn linger<S: Socket>(conn: &mut Conn<S>, turn: &mut Turn) -> io::Result<Read> {
    let queued = conn.queued();
    if !conn.send_queued()? {
        let has_taken = conn.queued() < queued;
        if let Role::Closing { since, until, .. } = &mut conn.role
            && has_taken
        {
            *until = (turn.now + CLOSING_TIME).min(*since + CLOSING_MAX);
        }
        return Ok(Read::Idle);
    }
    // Servers take the end of our side, when all is said, for the end of our
    // interest in their answer.
    let is_upload = conn.is_upload();
    if let Role::Closing { is_shut, .. } = &mut conn.role
        && !std::mem::replace(is_shut, true)
        && !is_upload
    {
        conn.socket.shutdown()?;
    }
    match conn.socket.recv(&mut turn.scratch) {
        Ok(0) => Ok(Read::Drop),
        Ok(len) => Ok(match &mut conn.dialed {
            Some(dialed) => dialed.hear(&turn.scratch[..len]),
            None => Read::More,
        }),
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(Read::Idle),
        Err(why) => Err(why),
    }
}

/// Cuts a connection's ties to streams.
pub(super) fn detach<S>(key: Key, conn: &mut Conn<S>, turn: &mut Turn, streams: &mut Streams) {
    match &conn.role {
        Role::Subscriber(subscribed) => streams.detach(key, subscribed),
        Role::Publisher(publisher) => streams.end(publisher.stream, turn),
        Role::Head { held: Some(stream), .. } => streams.rest(*stream, conn.peer.ip(), turn),
        Role::Asking(asking) => {
            if let Some(stream) = asking.held {
                streams.rest(stream, conn.peer.ip(), turn);
            }
        }
        Role::Awaiting(awaiting) => streams.forget(&awaiting.name, key),
        Role::Head { held: None, .. }
        | Role::Greeting(_)
        | Role::Rtmp
        | Role::Claiming(_)
        | Role::Viewer(_)
        | Role::Echo(_)
        | Role::Closing { .. } => {}
    }
}

/// Frees what was ended in this turn.
pub fn reap<S: Socket>(turn: &mut Turn, conns: &mut Slab<Conn<S>>) {
    if turn.ready.reap.len() > REAPS {
        turn.exhaust(Phase::Reap);
    }
    for _ in 0..turn.ready.reap.len().min(REAPS) {
        let Some(key) = turn.ready.reap.pop() else {
            return;
        };
        free(key, turn, conns);
    }
}

/// Frees a connection, and counts it if it was accepted.
pub(super) fn free<S>(key: Key, turn: &mut Turn, conns: &mut Slab<Conn<S>>) {
    if let Some(conn) = conns.remove(key).filter(|conn| conn.dialed.is_none()) {
        turn.closed(conn.site());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Instant;
    use std::io::IoSlice;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    /// A peer that takes so many bytes at a time, and says nothing.
    struct Slow(usize);

    impl Socket for Slow {
        fn recv(&mut self, _space: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            match std::mem::take(&mut self.0).min(wanted) {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                taken => Ok(taken),
            }
        }

        fn unacked(&mut self) -> io::Result<usize> {
            Ok(0)
        }

        fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn last_words_have_time_while_they_are_read_but_not_for_ever() {
        let mut turn = Turn::new(|| Instant::from_nanos(1_000_000_000));
        let start = turn.now;
        let until = start + CLOSING_TIME;
        let role = Role::Closing { since: start, until, is_shut: false };
        let mut conn = Conn::new(Slow(0), (Ipv4Addr::LOCALHOST, 9).into(), 0, role, start);
        conn.queue(&[b'x'; 100]);
        let mut after = |millis: u64, takes: usize| {
            turn.now = start + Duration::from_millis(millis);
            conn.socket.0 = takes;
            assert_eq!(linger(&mut conn, &mut turn).unwrap(), Read::Idle);
            let Role::Closing { until, .. } = conn.role else { panic!("it closes") };
            until.since(start)
        };
        assert_eq!(after(500, 0), CLOSING_TIME);
        assert_eq!(after(900, 1), CLOSING_TIME + Duration::from_millis(900));
        assert_eq!(after(29_900, 1), CLOSING_MAX);
        assert_eq!(after(29_950, 98), CLOSING_MAX, "and all is out");
    }
}
