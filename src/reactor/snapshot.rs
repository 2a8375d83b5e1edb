//! What a shard says of itself when asked.

use super::conn::{Conn, Role, Standing, Subscribed};
use super::plan::Service;
use super::roster::Roster;
use super::site::Sites;
use super::slab::Slab;
use super::streams::{Fanout, Origin, Streams};
use super::turn::Turn;
use super::udp::Ports;
use crate::limits::SUBSCRIBERS_TOLD;
use crate::protocol::Name;
use crate::report::{Counts, Snapshot, StreamSnapshot, SubscriberSnapshot};
use crate::sys::calls::{self, Call};
use std::net::SocketAddr;

/// Everything that the server's own pages tell: of all streams, or of one.
pub(super) fn take(turn: &Turn, streams: &Streams, of: Option<&Name>) -> Snapshot {
    let keys: &mut dyn Iterator<Item = _> = match of {
        Some(name) => &mut streams.names.get(name).into_iter(),
        None => &mut streams.names.values(),
    };
    let live = keys.filter_map(|key| streams.fanouts.get(*key));
    let mut counters = turn.counters.clone();
    counters.segments_allocated = streams.pool.allocated;
    let calls = Call::ALL.iter().zip(calls::counts());
    Snapshot {
        counters,
        calls: calls.map(|(call, count)| (call.label(), count.made, count.empty)).collect(),
        streams: live.map(|fan| stream(fan, turn)).collect(),
        subscribers: Vec::new(),
    }
}

fn stream(fan: &Fanout, turn: &Turn) -> StreamSnapshot {
    let Fanout { view, origin, .. } = fan;
    let window = view.window();
    let stream = match origin {
        Origin::Here(stream) => Some(stream),
        Origin::There { .. } | Origin::Nowhere => None,
    };
    let framing = stream.map(|stream| stream.framing_stats()).unwrap_or_default();
    StreamSnapshot {
        name: view.name.clone(),
        epoch: view.epoch,
        is_here: stream.is_some(),
        kind: view.cut().kind,
        subscribers: fan.roster.count,
        waiting: fan.roster.waiting.len(),
        behind: fan.roster.behind.len(),
        position: window.head(),
        window_bytes: window.len(),
        received_bytes: stream.map_or(0, |stream| stream.stats.received_bytes),
        moved_bytes: stream.map_or(0, |stream| stream.moved_bytes()),
        newest_frame_age: window.newest_arrival().map(|at| turn.now.since(at)),
        continuity_errors: framing.continuity_errors,
        skipped_bytes: framing.skipped_bytes,
        residence: fan.residence.clone(),
        is_stamped: stream.is_some_and(|stream| stream.stats.is_stamped),
    }
}

/// Who gets a stream here, those that are behind first.
pub(super) fn subscribers<S>(
    name: &Name,
    turn: &Turn,
    streams: &Streams,
    conns: &Slab<Conn<S>>,
    ports: &Ports,
    sites: &Sites,
) -> Vec<SubscriberSnapshot> {
    let Some(fan) = streams.names.get(name).and_then(|key| streams.fanouts.get(*key)) else {
        return Vec::new();
    };
    let Roster { live, waiting, behind, .. } = &fan.roster;
    let over_connections = behind.iter().chain(waiting).chain(live).filter_map(|key| {
        let conn = conns.get(*key)?;
        let Role::Subscriber(one) = &conn.role else { return None };
        let over = match sites.list[conn.site()].service == Service::Http {
            true if one.inbound.is_some() => "websocket",
            true => "http",
            false => "tcp",
        };
        Some(subscriber((conn.peer, over), one, fan, turn))
    });
    over_connections.chain(ports.subscribers(fan, turn.now)).take(SUBSCRIBERS_TOLD).collect()
}

fn subscriber(
    (peer, over): (SocketAddr, &'static str),
    one: &Subscribed,
    fan: &Fanout,
    turn: &Turn,
) -> SubscriberSnapshot {
    let subscriber = &one.subscriber;
    let stats = subscriber.stats();
    SubscriberSnapshot {
        peer,
        over,
        state: match one.standing {
            Standing::Live => "live",
            _ if subscriber.is_skipping() => "skipping",
            Standing::Waiting => "waiting",
            Standing::Listed | Standing::Blocked => "behind",
        },
        position: subscriber.position(),
        lag: subscriber.lag(fan.view.window(), 0, turn.now),
        counts: Some(Counts {
            sent_bytes: stats.sent_bytes,
            skips: stats.skips,
            skipped_bytes: stats.skipped_bytes,
            skipped_time: stats.skipped_time,
        }),
        residence: one.residence.clone(),
    }
}
