//! What a shard has others do for it, because it takes longer than a turn may:
//! making text of many streams, or of several shards, and tidying the heap.

use super::slab::Key;
use crate::protocol::http::Page;
use crate::protocol::{Refusal, response};
use crate::relay::ShardId;
use crate::report::{self, Server, Snapshot, Turns};
use std::sync::mpsc::SyncSender;

/// Where errands go.
pub type Office = SyncSender<Errand>;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A page is to be made.
    Page(Order),
    /// Many streams have ended: what they leave free is to go back to the
    /// kernel.
    Tidy,
}

/// A page that a connection waits for. It is answered by
/// `Control::Answer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which.
    pub page: Page,
    /// Whose connection.
    pub shard: ShardId,
    /// The connection.
    pub conn: Key,
    /// Its head alone.
    pub head_only: bool,
    /// The connection takes another request.
    pub keep_alive: bool,
}

impl Order {
    /// The response, and whether the connection takes another request.
    pub fn answer(&self, shards: &[Snapshot], turns: &[Turns], server: &Server) -> (Vec<u8>, bool) {
        match report::render(&self.page, shards, turns, server) {
            Some((media_type, body)) => {
                let body = body.as_bytes();
                (response::page(media_type, body, self.keep_alive, self.head_only), self.keep_alive)
            }
            None => (response::refusal(Refusal::NotFound, "there is no such stream now"), false),
        }
    }
}
