//! The server's own books, audited between turns: who is on which list, what
//! is held for whom, what is kept.

use crate::link::FakeSocket;
use nearlight::base::Instant;
use nearlight::limits::{INGEST_BYTES, LEAVING_SEGMENTS, SEGMENT_BYTES};
use nearlight::reactor::conn::{Conn, Role, Standing, Subscribed};
use nearlight::reactor::slab::{Key, Slab};
use nearlight::reactor::streams::{Fanout, Streams};
use nearlight::reactor::turn::Turn;
use nearlight::ring::SegRef;
use std::collections::{BTreeMap, BTreeSet};

type Audit = Result<(), String>;

/// Audits everything.
pub(crate) fn audit(turn: &Turn, streams: &Streams, conns: &Slab<Conn<FakeSocket>>) -> Audit {
    let listed = count(turn.ready.catchup.iter().chain(&turn.ready.writable));
    let readable = count(turn.ready.readable.iter());
    let dirty = count(turn.ready.dirty.iter());
    for key in conns.keys() {
        let conn = conns.get(key).ok_or("a key without a connection")?;
        let times = readable.get(&key).copied().unwrap_or(0);
        expect(times == usize::from(conn.is_listed), || {
            format!("{} is {times} times on the list of readers", conn.peer)
        })?;
        if let Role::Subscriber(subscribed) = &conn.role
            && !conn.is_closing
        {
            subscriber(key, subscribed, streams, &listed)
                .map_err(|why| format!("{}: {why}", conn.peer))?;
        }
    }
    for key in streams.fanouts.keys() {
        let fan = streams.fanouts.get(key).ok_or("a key without a stream")?;
        let times = dirty.get(&key).copied().unwrap_or(0);
        expect(times == usize::from(fan.is_dirty), || format!("is {times} times dirty"))
            .and_then(|()| fanout(key, fan, conns))
            .map_err(|why| format!("{}: {why}", fan.view.name))?;
    }
    Ok(())
}

fn count<'a>(keys: impl Iterator<Item = &'a Key>) -> BTreeMap<Key, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(*key).or_insert(0) += 1;
    }
    counts
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Audit {
    if holds { Ok(()) } else { Err(what()) }
}

/// A subscriber is on exactly the list that its standing says.
fn subscriber(
    key: Key,
    subscribed: &Subscribed,
    streams: &Streams,
    listed: &BTreeMap<Key, usize>,
) -> Audit {
    let fan =
        streams.fanouts.get(subscribed.stream).ok_or("subscribes to a stream that is gone")?;
    let on = |list: &mut dyn Iterator<Item = &Key>| list.filter(|one| **one == key).count();
    let found = (
        on(&mut fan.roster.live.iter()),
        on(&mut fan.roster.waiting.iter()),
        listed.get(&key).copied().unwrap_or(0),
        on(&mut fan.roster.behind.iter()),
    );
    let (live, waiting, queued) = match subscribed.standing {
        Standing::Live => (1, 0, 0),
        Standing::Waiting => (0, 1, 0),
        Standing::Listed => (0, 0, 1),
        Standing::Blocked => (0, 0, 0),
    };
    let wanted = (live, waiting, queued, usize::from(subscribed.is_behind));
    expect(found == wanted, || {
        format!("{:?} and on {found:?} (live, waiting, queued, behind)", subscribed.standing)
    })?;
    let is_watched = subscribed.standing != Standing::Blocked || subscribed.is_behind;
    expect(is_watched, || "blocked, and nobody looks at its lag".to_owned())
}

/// A stream's sums are those of its subscribers, and its lists name no others.
fn fanout(key: Key, fan: &Fanout, conns: &Slab<Conn<FakeSocket>>) -> Audit {
    let (mut subscribers, mut held) = (0, BTreeSet::new());
    for conn in conns.iter().filter(|conn| !conn.is_closing) {
        if let Role::Subscriber(subscribed) = &conn.role
            && subscribed.stream == key
        {
            subscribers += 1;
            held.extend(subscribed.subscriber.held().iter().map(SegRef::base));
        }
    }
    expect(subscribers == fan.roster.count, || {
        format!("counts {} subscribers, has {subscribers}", fan.roster.count)
    })?;
    let held = held.len();
    expect(held == fan.roster.held.len(), || {
        format!("counts {} segments held, has {held}", fan.roster.held.len())
    })?;
    expect(held <= LEAVING_SEGMENTS, || format!("{held} segments held"))?;
    expect(fan.roster.left <= fan.roster.live.len(), || "more to serve than there are".to_owned())?;
    for one in fan.roster.live.iter().chain(&fan.roster.waiting) {
        expect(conns.get(*one).is_some(), || "lists a connection that is gone".to_owned())?;
    }
    let kept = fan.view.window().len();
    let cap = fan.view.settings.window_bytes + (INGEST_BYTES + 2 * SEGMENT_BYTES) as u64;
    expect(kept <= cap, || format!("keeps {kept} bytes"))
}

/// After a stream's turn nothing is kept that need not be.
pub(crate) fn trimmed(streams: &Streams, at: Instant) -> Audit {
    for fan in streams.fanouts.iter().filter(|fan| !fan.is_dirty) {
        let newest = fan.view.window().newest_arrival();
        if newest.is_some_and(|newest| newest >= at) {
            expect(fan.view.outdated(at).is_none(), || {
                format!("{} keeps {} bytes", fan.view.name, fan.view.window().len())
            })?;
        }
    }
    Ok(())
}
