//! What a shard has others do for it, because making text of many streams, or of
//! several shards, takes longer than a turn may.

use super::slab::Key;
use crate::protocol::http::Page;
use crate::protocol::{Refusal, response};
use crate::relay::ShardId;
use crate::report::{self, Snapshot, Turns};
use std::sync::mpsc::SyncSender;

/// Where orders go.
pub type Office = SyncSender<Order>;

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
    pub fn answer(&self, shards: &[Snapshot], turns: &[Turns]) -> (Vec<u8>, bool) {
        match report::render(&self.page, shards, turns) {
            Some((media_type, body)) => {
                let body = body.as_bytes();
                (response::page(media_type, body, self.keep_alive, self.head_only), self.keep_alive)
            }
            None => (response::refusal(Refusal::NotFound, "there is no such stream now"), false),
        }
    }
}
