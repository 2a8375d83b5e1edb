//! The thread that makes the server's own pages: it asks every shard for a
//! snapshot, makes text of them, and sends that to the shard whose connection
//! waits for it. A shard that stands still is left out after a while.

use crate::limits::{PAGE_ORDERS, PAGE_TIME};
use crate::protocol::http::Page;
use crate::protocol::response;
use crate::reactor::control::Control;
use crate::reactor::office::{Office, Order};
use crate::reactor::peers::Peers;
use crate::report::{self, Snapshot, Turns};
use crate::sys::clock::Clock;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{env, io, process, thread};

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
        let is_about_turns = |order: &Order| order.page == Page::Turns;
        let turns = if waiting.iter().any(is_about_turns) { turns(peers) } else { Vec::new() };
        let shards = if waiting.iter().all(is_about_turns) { Vec::new() } else { snapshots(peers) };
        let mut made: Vec<(Page, (&str, String))> = Vec::new();
        for Order { page, shard, conn, head_only, keep_alive } in waiting {
            if made.iter().all(|(known, _)| *known != page) {
                made.push((page, report::render(page, &shards, &turns)));
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

/// Writes the trace of every shard's last turns to a file in the folder for
/// such things; answers where.
///
/// # Errors
/// It can't be written.
pub(super) fn dump_turns(peers: &Peers) -> io::Result<PathBuf> {
    let name = format!("nearlight-turns-{}-{}.json", process::id(), Clock::now().as_nanos());
    let path = env::temp_dir().join(name);
    // Never over a file, or through a link, that somebody else has put there.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    file.write_all(report::trace(&turns(peers)).as_bytes())?;
    Ok(path)
}

/// What every shard says of itself, in time.
fn snapshots(peers: &Peers) -> Vec<Snapshot> {
    ask(peers, |reply| Control::Snapshot { reply })
}

/// What every shard's last turns did.
fn turns(peers: &Peers) -> Vec<Turns> {
    let mut turns = ask(peers, |reply| Control::Turns { reply });
    turns.sort_by_key(|turns| turns.shard);
    turns
}

/// Asks every shard; one that stands still is left out.
fn ask<T>(peers: &Peers, question: impl Fn(SyncSender<T>) -> Control) -> Vec<T> {
    let (reply, replies) = sync_channel(peers.ids().count());
    for shard in peers.ids() {
        peers.send(shard, question(reply.clone()));
    }
    drop(reply);
    let until = Clock::now() + PAGE_TIME;
    let mut answers = Vec::new();
    while let Ok(answer) = replies.recv_timeout(until.since(Clock::now())) {
        answers.push(answer);
    }
    answers
}
