//! What a shard has others do for it, because it takes longer than a turn may:
//! making text of many streams, or of several shards, telling open pages what
//! is new, and tidying the heap.

use super::slab::Key;
use crate::limits::KEPT_PAGE_BYTES;
use crate::page;
use crate::protocol::http::Page;
use crate::protocol::{Name, Refusal, response};
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
    /// A page is open, and is to be told what is new until it is closed.
    View(Viewer),
    /// A connection is that of an open page no longer.
    Leave {
        /// Whose connection.
        shard: ShardId,
        /// The connection.
        conn: Key,
    },
    /// Many streams have ended: what they leave free is to go back to the
    /// kernel.
    Tidy,
}

/// An open page. It is told by `Control::News`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Whose connection.
    pub shard: ShardId,
    /// The connection.
    pub conn: Key,
    /// The stream that it shows.
    pub stream: Option<Name>,
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
        if let Page::File { name, known } = &self.page {
            return self.file(name, known.as_deref());
        }
        match report::render(&self.page, shards, turns, server) {
            Some((media_type, body)) => {
                let body = body.as_bytes();
                (response::page(media_type, body, self.keep_alive, self.head_only), self.keep_alive)
            }
            None => (response::refusal(Refusal::NotFound, "there is no such stream now"), false),
        }
    }

    /// The same for a file of the web page. A connection ends with a large one: it
    /// takes no other request until all is sent.
    fn file(&self, name: &str, known: Option<&str>) -> (Vec<u8>, bool) {
        let respond = |keep_alive| page::respond(name, known, self.head_only, keep_alive);
        match respond(self.keep_alive) {
            Some(text) if text.len() <= KEPT_PAGE_BYTES => (text, self.keep_alive),
            Some(_) => (respond(false).unwrap_or_default(), false),
            None => (response::refusal(Refusal::NotFound, "the page has no such file"), false),
        }
    }
}
