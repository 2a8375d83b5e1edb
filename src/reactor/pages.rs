//! Requests for the server's own pages: ordered, waited for, answered.

use super::conn::{Asking, Conn, Role};
use super::ingest::Read;
use super::office::{Errand, Order};
use super::session::{Acted, Desk, arm};
use super::slab::Key;
use super::snapshot;
use crate::limits;
use crate::protocol::Refusal;
use crate::protocol::http::{Http, Page};
use crate::report::Server;
use crate::sys::socket::Socket;

impl Desk<'_> {
    /// Has a page made. That the server is well is said at once, whatever others
    /// are busy with.
    pub(super) fn order<S: Socket>(
        &mut self,
        conn: &mut Conn<S>,
        order: Order,
        held: Option<Key>,
        rest: &[u8],
    ) -> Acted {
        match self.sites.office.as_ref().filter(|_| order.page != Page::Healthz) {
            None => {
                let shards = [snapshot::take(self.turn, self.streams, None, None)];
                let turns = [self.turn.recorder.turns(self.streams.shard)];
                let (text, keep_alive) = order.answer(&shards, &turns, &Server::default());
                self.respond(conn, text, keep_alive)
            }
            Some(office) if office.try_send(Errand::Page(order)).is_err() => {
                self.release(held);
                Acted::Ends(self.refuse(conn, Refusal::Full, "too many ask for pages; try again"))
            }
            Some(_) => {
                // Those before it may have had to do without a shard, too.
                let until = self.turn.now + 3 * limits::PAGE_TIME;
                let asking = Asking { held, early: rest.to_vec(), until };
                conn.role = Role::Asking(Box::new(asking));
                Acted::Ends(Read::Idle)
            }
        }
    }

    /// A page is made.
    pub(super) fn answered<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        text: Vec<u8>,
        keep_alive: bool,
    ) {
        let Role::Asking(asking) = &mut conn.role else { return };
        let (held, early) = (asking.held, std::mem::take(&mut asking.early));
        conn.role = Role::Head { http: Box::new(Http::new(self.turn.now)), held };
        let read = match self.respond(conn, text, keep_alive) {
            Acted::Next(_) => self.feed(key, conn, &early),
            Acted::Ends(read) => read,
        };
        self.go_on(key, conn, read);
        arm(key, conn, self.turn, self.streams);
    }

    pub(super) fn respond<S: Socket>(
        &mut self,
        conn: &mut Conn<S>,
        text: Vec<u8>,
        keep_alive: bool,
    ) -> Acted {
        conn.queue_page(text);
        if !keep_alive {
            return Acted::Ends(Read::Finish);
        }
        if let Role::Head { http, .. } = &mut conn.role {
            http.next_request(self.turn.now);
        }
        match conn.send_queued() {
            Ok(true) => Acted::Next(0),
            // What it pipelined behind an answer that it doesn't read is lost.
            Ok(false) => Acted::Ends(Read::Finish),
            Err(_broken) => Acted::Ends(Read::Drop),
        }
    }
}
