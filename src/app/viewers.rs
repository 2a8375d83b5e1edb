//! The open pages, as the office knows them: who they are, and what they are
//! told. One look at the shards, and one text for each stream that is shown,
//! serve them all.

use super::office::Memory;
use crate::base::Instant;
use crate::limits::{NEWS_SENDS, NEWS_TIME, VIEWERS};
use crate::protocol::{Name, websocket};
use crate::reactor::control::Control;
use crate::reactor::live::News;
use crate::reactor::office::Viewer;
use crate::reactor::peers::Peers;
use crate::reactor::plan::Service;
use crate::reactor::site::Site;
use crate::reactor::slab::Key;
use crate::relay::ShardId;
use crate::report::Live;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What people need to know of listeners to use them, an array of JSON: where
/// they are, and what they take or give. Names need no escaping.
pub(super) fn listeners(sites: &[Site]) -> String {
    let told = sites.iter().filter_map(|site| {
        let scheme = site.url.split("://").next().filter(|scheme| !scheme.contains('"'))?;
        let what = match &site.service {
            Service::Http | Service::Rtmp => String::new(),
            Service::TcpPublish { name } | Service::UdpPublish { name, .. } => {
                format!(",\"publish\":\"{name}\"")
            }
            Service::TcpSubscribe { name } => format!(",\"subscribe\":\"{name}\""),
            Service::UdpSubscribe { .. }
            | Service::TcpEcho
            | Service::UdpEcho
            | Service::UdpStamp
            | Service::Dial(_) => return None,
        };
        Some(format!("{{\"scheme\":\"{scheme}\",\"port\":{}{what}}}", site.addr.port()))
    });
    format!("[{}]", told.collect::<Vec<_>>().join(","))
}

/// Every open page.
pub(super) struct Viewers {
    /// The server's listeners, an array of JSON.
    listeners: String,
    all: Vec<Viewer>,
    live: Live,
    due: Instant,
}

impl Viewers {
    /// None yet, of a server that listens there.
    pub(super) fn of(listeners: String) -> Self {
        Self { live: Live::of(&listeners), listeners, all: Vec::new(), due: Instant::ZERO }
    }

    /// How long it is to the next news; `None` while nobody is there to tell.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        (!self.all.is_empty()).then(|| self.due.since(now))
    }

    /// A page is open; one too many is told to come back later.
    pub(super) fn enter(&mut self, viewer: Viewer, peers: &Peers) {
        if self.all.len() < VIEWERS {
            return self.all.push(viewer);
        }
        let frame = websocket::close_frame(websocket::TRY_AGAIN_LATER).as_slice().into();
        let news = News { to: vec![viewer.conn], frame, is_last: true };
        peers.send(viewer.shard, Control::News(news));
    }

    /// A page is closed.
    pub(super) fn leave(&mut self, shard: ShardId, conn: Key) {
        self.all.retain(|viewer| (viewer.shard, viewer.conn) != (shard, conn));
        if self.all.is_empty() {
            // What it remembers would have a hole in it.
            self.live = Live::of(&self.listeners);
        }
    }

    /// Tells all what is new, if it is time.
    pub(super) fn tell(&mut self, peers: &Peers, memory: &mut Memory, now: Instant) {
        if self.all.is_empty() || now < self.due {
            return;
        }
        // One that has come late to this one is not told twice for it.
        self.due = (self.due + NEWS_TIME).max(now + NEWS_TIME / 2);
        self.live.look(&memory.look(peers), now);
        let mut groups: BTreeMap<Option<&Name>, BTreeMap<ShardId, Vec<Key>>> = BTreeMap::new();
        for viewer in &self.all {
            let group = groups.entry(viewer.stream.as_ref()).or_default();
            group.entry(viewer.shard).or_default().push(viewer.conn);
        }
        for (stream, shards) in groups {
            let frame: Arc<[u8]> = websocket::text(&self.live.message(stream)).into();
            for (shard, all) in shards {
                for to in all.chunks(NEWS_SENDS) {
                    let (to, frame) = (to.to_vec(), Arc::clone(&frame));
                    peers.send(shard, Control::News(News { to, frame, is_last: false }));
                }
            }
        }
    }
}
