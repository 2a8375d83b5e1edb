//! What a shard has others do for it, because making text of many streams, or of
//! several shards, takes longer than a turn may.

use super::slab::Key;
use crate::protocol::http::Page;
use crate::relay::ShardId;
use std::sync::mpsc::SyncSender;

/// Where orders go.
pub type Office = SyncSender<Order>;

/// A page that a connection waits for. It is answered by
/// `Control::Answer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
