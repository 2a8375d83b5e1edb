//! What a shard says of itself when asked.

use super::streams::{Fanout, Origin, Streams};
use super::turn::Turn;
use crate::report::{Snapshot, StreamSnapshot};
use crate::sys::calls::{self, Call};

/// Everything that the server's own pages tell.
pub(super) fn take(turn: &Turn, streams: &Streams) -> Snapshot {
    let live = streams.names.values().filter_map(|key| streams.fanouts.get(*key));
    let mut counters = turn.counters.clone();
    counters.segments_allocated = streams.pool.allocated;
    let calls = Call::ALL.iter().zip(calls::counts());
    Snapshot {
        counters,
        calls: calls.map(|(call, count)| (call.label(), count.made, count.empty)).collect(),
        streams: live.map(|fan| stream(fan, turn)).collect(),
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
    }
}
