//! The thread that makes the server's own pages: it asks every shard for a
//! snapshot, makes text of them, and sends that to the shard whose connection
//! waits for it. A shard that stands still is left out after a while.

use crate::limits::{PAGE_ORDERS, PAGE_TIME};
use crate::protocol::http::Page;
use crate::protocol::response;
use crate::reactor::control::Control;
use crate::reactor::office::{Office, Order};
use crate::reactor::peers::Peers;
use crate::report::{self, Snapshot};
use crate::sys::clock::Clock;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Starts the thread; it ends when every shard has.
///
/// # Errors
/// No thread can be started.
pub(super) fn open(peers: Arc<Peers>) -> io::Result<Office> {
    let (office, orders) = sync_channel(PAGE_ORDERS);
    thread::Builder::new().name("office".to_owned()).spawn(move || run(&peers, &orders))?;
    Ok(office)
}

fn run(peers: &Peers, orders: &Receiver<Order>) {
    while let Ok(first) = orders.recv() {
        // One look at the shards serves all who wait.
        let waiting: Vec<Order> = std::iter::once(first).chain(orders.try_iter()).collect();
        let shards = snapshots(peers);
        let mut made: Vec<(Page, (&str, String))> = Vec::new();
        for Order { page, shard, conn, head_only, keep_alive } in waiting {
            if made.iter().all(|(known, _)| *known != page) {
                made.push((page, report::render(page, &shards)));
            }
            let Some((_, (media_type, body))) = made.iter().find(|(known, _)| *known == page)
            else {
                continue;
            };
            let text = response::page(media_type, body.as_bytes(), keep_alive, head_only);
            peers.send(shard, Control::Answer { conn, text, keep_alive });
        }
    }
}

/// What every shard says of itself, in time.
fn snapshots(peers: &Peers) -> Vec<Snapshot> {
    let (reply, replies) = sync_channel(peers.ids().count());
    for shard in peers.ids() {
        peers.send(shard, Control::Snapshot { reply: reply.clone() });
    }
    drop(reply);
    let until = Clock::now() + PAGE_TIME;
    let mut shards = Vec::new();
    while let Ok(snapshot) = replies.recv_timeout(until.since(Clock::now())) {
        shards.push(snapshot);
    }
    shards
}
