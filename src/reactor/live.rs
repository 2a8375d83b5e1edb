//! Open pages: what they ask is answered by the loop at once, for it is about
//! time; what they are told comes from the office, the same bytes for all that
//! show the same.

use super::close;
use super::conn::{Conn, Role};
use super::ingest::{self, Read};
use super::office::{Errand, Viewer};
use super::session::Desk;
use super::slab::{Key, Slab};
use super::turn::Turn;
use crate::limits::QUEUED_BYTES;
use crate::protocol::websocket;
use crate::protocol::{Name, Refusal, response};
use crate::sys::socket::Socket;
use std::io;
use std::sync::Arc;

/// What open pages are told, all of them the same.
#[derive(Clone, Debug)]
pub struct News {
    /// Whose connections.
    pub to: Vec<Key>,
    /// A WebSocket frame.
    pub frame: Arc<[u8]>,
    /// Nothing comes after it.
    pub is_last: bool,
}

impl Desk<'_> {
    /// Makes a connection that of an open page.
    pub(super) fn view<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        stream: Option<Name>,
        accept: &str,
    ) -> Read {
        let viewer = Viewer { shard: self.streams.shard, conn: key, stream };
        let office = self.sites.office.as_ref();
        if office.is_none_or(|office| office.try_send(Errand::View(viewer)).is_err()) {
            return self.refuse(conn, Refusal::Full, "too many ask for pages; try again");
        }
        conn.queue(&response::websocket_head(accept));
        conn.role = Role::Viewer(Box::default());
        match conn.send_queued() {
            Ok(_sent) => Read::More,
            Err(_broken) => Read::Drop,
        }
    }

    /// Passes news on. Who has read none of those before is dropped; who has gone
    /// gets no more.
    pub(super) fn spread<S: Socket>(&mut self, news: &News, conns: &mut Slab<Conn<S>>) {
        for key in &news.to {
            let viewer = conns.get_mut(*key);
            let viewer = viewer.filter(|conn| matches!(conn.role, Role::Viewer(_)));
            let Some(conn) = viewer.filter(|conn| !conn.is_closing) else {
                // If there is no room for this now, there is when it comes up again.
                let office = self.sites.office.as_ref();
                let shard = self.streams.shard;
                office.map(|office| office.try_send(Errand::Leave { shard, conn: *key }).ok());
                continue;
            };
            conn.queue(&news.frame);
            let broken = conn.queued() > QUEUED_BYTES || conn.send_queued().is_err();
            if broken {
                close::drop_now(*key, conn, self.turn, self.streams);
            } else if news.is_last {
                close::finish(*key, conn, self.turn, self.streams);
            }
        }
    }
}

/// Reads what a page asks.
pub(super) fn listen<S: Socket>(conn: &mut Conn<S>, turn: &mut Turn) -> io::Result<Read> {
    conn.send_queued()?;
    let len = match conn.socket.recv(&mut turn.scratch) {
        Ok(0) => return Ok(Read::Drop),
        Ok(len) => len,
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Idle),
        Err(why) => return Err(why),
    };
    turn.read_clock();
    let received = turn.now.as_nanos() / 1000;
    let Role::Viewer(inbound) = &mut conn.role else { return Ok(Read::Drop) };
    let now = || (turn.clock)().as_nanos() / 1000;
    let (words, ends) =
        ingest::hear(inbound, &turn.scratch[..len], |text| pong(text, received, now));
    conn.queue(&words);
    if conn.queued() > QUEUED_BYTES {
        return Ok(Read::Drop);
    }
    conn.send_queued()?;
    Ok(if ends { Read::Finish } else { Read::More })
}

/// What is answered to a ping. `received` and `sent` are the monotonic clock's, in
/// microseconds: script is exact to 2^53.
fn pong(text: &[u8], received: u64, sent: impl Fn() -> u64) -> Option<Vec<u8>> {
    let (ping, sent) = (ping(text)?, sent());
    let text = format!("{{\"pong\":{ping},\"received_us\":{received},\"sent_us\":{sent}}}");
    Some(websocket::text(&text))
}

/// The number of `{"ping":NUMBER}`; whatever else a page says is passed over.
fn ping(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    text.strip_prefix("{\"ping\":")?.strip_suffix('}')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_have_a_number_and_nothing_else() {
        assert_eq!(ping(b"{\"ping\":0}"), Some(0));
        assert_eq!(ping(b"{\"ping\":4294967295}"), Some(u32::MAX));
        for wrong in ["", "{\"ping\":}", "{\"ping\":-1}", "{\"ping\":1", "{\"ping\":4294967296}"] {
            assert_eq!(ping(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(ping(b"{\"ping\":\xff}"), None);
    }
}
