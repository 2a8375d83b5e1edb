//! What a shard says of itself when asked.

use super::conn::{Conn, Role, Standing, Subscribed};
use super::roster::Roster;
use super::slab::{Key, Slab};
use super::streams::{Fanout, Origin, Streams};
use super::turn::Turn;
use super::udp::Ports;
use crate::limits::SUBSCRIBERS_TOLD;
use crate::protocol::Name;
use crate::relay::View;
use crate::report::{
    Counts, Over, PublisherSnapshot, Snapshot, StreamSnapshot, SubscriberSnapshot,
};
use crate::sys::calls::{self, Call};
use crate::sys::socket::Socket;
use std::time::Duration;

/// Who is there.
pub(super) struct Room<'a, S> {
    pub(super) conns: &'a Slab<Conn<S>>,
    pub(super) ports: &'a Ports,
}

impl<S> Room<'_, S> {
    fn subscriber(&self, key: Key) -> Option<(&Conn<S>, &Subscribed)> {
        let conn = self.conns.get(key)?;
        let Role::Subscriber(one) = &conn.role else { return None };
        Some((conn, one))
    }
}

/// Everything that the server's own pages tell: of all streams, or of one.
pub(super) fn take<S>(
    turn: &Turn,
    streams: &Streams,
    room: Option<&Room<'_, S>>,
    of: Option<&Name>,
) -> Snapshot {
    let mut counters = turn.counters.clone();
    counters.segments_allocated = streams.pool.allocated;
    let calls = Call::ALL.iter().zip(calls::counts());
    Snapshot {
        shard: streams.shard,
        is_stale: false,
        counters,
        calls: calls.map(|(call, count)| (call.label(), count.made, count.empty)).collect(),
        listeners: turn.listeners.clone(),
        turn_times: turn.recorder.times().clone(),
        streams: fanouts(streams, of).map(|fan| stream(fan, turn, room)).collect(),
        subscribers: Vec::new(),
    }
}

/// The live streams here, or one of them.
fn fanouts<'a>(streams: &'a Streams, of: Option<&Name>) -> impl Iterator<Item = &'a Fanout> {
    let one = of.map(|name| streams.names.get(name));
    let all = streams.names.values().filter(move |_| one.is_none());
    one.flatten().into_iter().chain(all).filter_map(|key| streams.fanouts.get(*key))
}

fn stream<S>(fan: &Fanout, turn: &Turn, room: Option<&Room<'_, S>>) -> StreamSnapshot {
    let Fanout { view, origin, roster, .. } = fan;
    let window = view.window();
    let stream = match origin {
        Origin::Here(stream) => Some(stream),
        Origin::There { .. } | Origin::Nowhere => None,
    };
    let framing = stream.map(|stream| stream.framing_stats()).unwrap_or_default();
    let publisher = fan.publisher.map(|(peer, over, since)| PublisherSnapshot {
        peer,
        over,
        age: turn.now.since(since),
    });
    let mut by_transport = roster.by_transport;
    by_transport[Over::Udp as usize] = room.map_or(0, |room| room.ports.count(fan));
    StreamSnapshot {
        name: view.name.clone(),
        epoch: view.epoch,
        is_here: stream.is_some(),
        kind: view.cut().kind,
        publisher,
        subscribers: roster.count,
        by_transport,
        waiting: roster.waiting.len(),
        behind: roster.behind.len(),
        worst_lag: room.map(|room| worst_lag(fan, turn, room)),
        position: window.head(),
        window_bytes: window.len(),
        recent: recent(view, turn),
        frames: stream.map_or(0, |stream| stream.frames()),
        received_bytes: stream.map_or(0, |stream| stream.stats.received_bytes),
        moved_bytes: stream.map_or(0, |stream| stream.moved_bytes()),
        newest_frame_age: window.newest_arrival().map(|at| turn.now.since(at)),
        continuity_errors: framing.continuity_errors,
        garbage_bytes: framing.skipped_bytes,
        delivered: roster.delivered,
        residence: fan.residence.clone(),
        is_stamped: stream.is_some_and(|stream| stream.stats.is_stamped),
    }
}

/// The largest lag of a stream's subscribers on connections. Only those that are
/// behind have one, and the tick looks at them all far more often than this.
fn worst_lag<S>(fan: &Fanout, turn: &Turn, room: &Room<'_, S>) -> Duration {
    let behind = fan.roster.behind.iter().filter_map(|key| room.subscriber(*key));
    let lags = behind.map(|(_, one)| one.subscriber.lag(fan.view.window(), 0, turn.now));
    lags.max().unwrap_or_default()
}

/// What has come since the oldest frame kept, and how long ago that came.
fn recent(view: &View, turn: &Turn) -> Option<(u64, Duration)> {
    let window = view.window();
    let oldest = window.spans(window.floor()).next()?;
    Some((window.head().since(oldest.end), turn.now.since(oldest.arrival)))
}

/// Who gets a stream here, or all of them: those that are behind first. At most
/// `SUBSCRIBERS_TOLD`.
pub(super) fn subscribers<S: Socket>(
    turn: &Turn,
    streams: &Streams,
    room: &Room<'_, S>,
    of: Option<&Name>,
) -> Vec<SubscriberSnapshot> {
    let tell = |key: &Key, fan| {
        let (conn, one) = room.subscriber(*key)?;
        Some(subscriber(conn, one, fan, turn))
    };
    let behind = fanouts(streams, of)
        .flat_map(|fan| fan.roster.behind.iter().filter_map(move |key| tell(key, fan)));
    let others = fanouts(streams, of).flat_map(|fan| {
        let Roster { live, waiting, .. } = &fan.roster;
        let rest = waiting.iter().chain(live).filter_map(move |key| {
            // Who was told of as one of those behind may have caught up since the tick.
            let (conn, one) = room.subscriber(*key).filter(|(_, one)| !one.is_behind)?;
            Some(subscriber(conn, one, fan, turn))
        });
        rest.chain(room.ports.subscribers(fan, turn.now))
    });
    behind.chain(others).take(SUBSCRIBERS_TOLD).collect()
}

fn subscriber<S: Socket>(
    conn: &Conn<S>,
    one: &Subscribed,
    fan: &Fanout,
    turn: &Turn,
) -> SubscriberSnapshot {
    let subscriber = &one.subscriber;
    let stats = subscriber.stats();
    SubscriberSnapshot {
        stream: fan.view.name.clone(),
        peer: conn.peer,
        over: one.over.label(),
        state: match one.standing {
            Standing::Live => "live",
            _ if subscriber.is_skipping() => "skipping",
            Standing::Waiting => "waiting",
            Standing::Listed | Standing::Blocked => "behind",
        },
        position: subscriber.position(),
        lag: subscriber.lag(fan.view.window(), 0, turn.now),
        age: Some(turn.now.since(one.joined)),
        rtt: conn.socket.round_trip(),
        counts: Some(Counts {
            sent_bytes: stats.sent_bytes,
            skips: stats.skips,
            skipped_bytes: stats.skipped_bytes,
            skipped_time: stats.skipped_time,
        }),
        residence: one.residence.clone(),
    }
}
