//! What a shard says of itself when asked.

use super::streams::{Fanout, Streams};
use super::turn::Turn;
use crate::report::{Snapshot, StreamSnapshot};

/// Everything that the server's own pages tell.
pub(super) fn take(turn: &Turn, streams: &Streams) -> Snapshot {
    let live = streams.names.values().filter_map(|key| streams.fanouts.get(*key));
    Snapshot {
        counters: turn.counters.clone(),
        segments_allocated: streams.pool.allocated,
        streams: live.map(|fan| stream(fan, turn)).collect(),
    }
}

fn stream(fan: &Fanout, turn: &Turn) -> StreamSnapshot {
    let Fanout { view, stream, .. } = fan;
    let (window, framing) = (view.window(), stream.framing_stats());
    StreamSnapshot {
        name: view.name.clone(),
        epoch: view.epoch,
        kind: view.cut().kind,
        subscribers: fan.subscribers,
        waiting: fan.waiting.len(),
        behind: fan.behind.len(),
        position: window.head(),
        window_bytes: window.len(),
        received_bytes: stream.stats.received_bytes,
        moved_bytes: stream.moved_bytes(),
        newest_frame_age: window.newest_arrival().map(|at| turn.now.since(at)),
        continuity_errors: framing.continuity_errors,
        skipped_bytes: framing.skipped_bytes,
    }
}
