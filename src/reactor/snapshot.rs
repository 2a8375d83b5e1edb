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
use std::net::SocketAddr;
use std::time::Duration;

/// Everything that the server's own pages tell: of all streams, or of one.
pub(super) fn take(
    turn: &Turn,
    streams: &Streams,
    ports: Option<&Ports>,
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
        streams: fanouts(streams, of).map(|fan| whole(fan, turn, streams, ports)).collect(),
        subscribers: Vec::new(),
    }
}

/// The live streams here, or one of them.
fn fanouts<'a>(streams: &'a Streams, of: Option<&Name>) -> impl Iterator<Item = &'a Fanout> {
    let one = of.map(|name| streams.names.get(name));
    let all = streams.names.values().filter(move |_| one.is_none());
    one.flatten().into_iter().chain(all).filter_map(|key| streams.fanouts.get(*key))
}

/// A stream with the subscribers of what it becomes.
fn whole(fan: &Fanout, turn: &Turn, streams: &Streams, ports: Option<&Ports>) -> StreamSnapshot {
    let mut whole = stream(fan, turn, ports);
    if let Some(derived) = derived(fan, streams) {
        whole.merge(&StreamSnapshot { is_here: false, ..stream(derived, turn, ports) });
    }
    whole
}

/// What a stream becomes in another container.
fn derived<'a>(fan: &Fanout, streams: &'a Streams) -> Option<&'a Fanout> {
    streams.fanouts.get(fan.derived.as_ref()?.stream)
}

fn stream(fan: &Fanout, turn: &Turn, ports: Option<&Ports>) -> StreamSnapshot {
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
    by_transport[Over::Udp as usize] = ports.map_or(0, |ports| ports.count(fan));
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
        worst_lag: roster.worst_lag,
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

/// What has come since the oldest frame kept, and how long ago that came.
fn recent(view: &View, turn: &Turn) -> Option<(u64, Duration)> {
    let window = view.window();
    let oldest = window.spans(window.floor()).next()?;
    Some((window.head().since(oldest.end), turn.now.since(oldest.arrival)))
}

/// Who gets a stream here, or all of them: those that are behind first. At most
/// `SUBSCRIBERS_TOLD`, for the kernel is asked twice for each.
pub(super) fn subscribers<S: Socket>(
    turn: &Turn,
    streams: &Streams,
    conns: &mut Slab<Conn<S>>,
    ports: &Ports,
    of: Option<&Name>,
) -> Vec<SubscriberSnapshot> {
    let mut told = Vec::new();
    for is_behind in [true, false] {
        for fan in fanouts(streams, of).flat_map(|fan| [Some(fan), derived(fan, streams)]).flatten()
        {
            let Roster { live, waiting, behind, .. } = &fan.roster;
            let keys: &mut dyn Iterator<Item = &Key> = match is_behind {
                true => &mut behind.iter(),
                false => &mut waiting.iter().chain(live),
            };
            for key in keys {
                if told.len() >= SUBSCRIBERS_TOLD {
                    return told;
                }
                let Some(conn) = conns.get_mut(*key) else { continue };
                let Role::Subscriber(one) = &conn.role else { continue };
                // Who has caught up since the tick is on two lists.
                if one.is_behind == is_behind {
                    told.push(subscriber(&mut conn.socket, conn.peer, one, fan, turn));
                }
            }
            if !is_behind {
                let left = SUBSCRIBERS_TOLD - told.len();
                told.extend(ports.subscribers(fan, turn.now).take(left));
            }
        }
    }
    told
}

fn subscriber<S: Socket>(
    socket: &mut S,
    peer: SocketAddr,
    one: &Subscribed,
    fan: &Fanout,
    turn: &Turn,
) -> SubscriberSnapshot {
    let subscriber = &one.subscriber;
    let stats = subscriber.stats();
    let unacked = socket.unacked().unwrap_or(0);
    SubscriberSnapshot {
        stream: fan.view.name.clone(),
        peer,
        over: one.over.label(),
        state: match one.standing {
            Standing::Live => "live",
            _ if subscriber.is_skipping() => "skipping",
            Standing::Waiting => "waiting",
            Standing::Listed | Standing::Blocked => "behind",
        },
        behind_bytes: fan.view.window().head().since(subscriber.position()),
        lag: subscriber.lag(fan.view.window(), unacked, turn.now),
        age: Some(turn.now.since(one.joined)),
        rtt: socket.round_trip(),
        counts: Some(Counts {
            sent_bytes: stats.sent_bytes,
            skips: stats.skips,
            skipped_bytes: stats.skipped_bytes,
            skipped_time: stats.skipped_time,
        }),
        residence: one.residence.clone(),
    }
}
