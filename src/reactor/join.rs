//! Subscribers on connections: each joins its stream, waits for it to come, or
//! for news of what it is.

use super::conn::{Awaiting, Conn, HttpAnswer, Role, Standing, Subscribed};
use super::derive::{self, Found};
use super::ingest::Read;
use super::links::Sought;
use super::session::{Desk, arm};
use super::slab::{Key, Slab};
use crate::base::Instant;
use crate::limits;
use crate::protocol::websocket::Inbound;
use crate::protocol::{Name, Refusal, response};
use crate::relay::Subscriber;
use crate::report::Over;
use crate::sys::socket::Socket;

impl Desk<'_> {
    /// Joins a subscriber to its stream, or lets it wait for one.
    pub(super) fn subscribe<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        mut awaiting: Awaiting,
    ) -> Read {
        if self.streams.is_draining {
            return self.refuse(conn, Refusal::Draining, "the server is going down");
        }
        let is_patient = awaiting.until.is_none_or(|until| until > self.turn.now);
        match self.streams.seek(&awaiting.name, is_patient) {
            Sought::Here(stream) => {
                return self.join(key, conn, awaiting, stream);
            }
            Sought::Full => {
                return self.refuse(conn, Refusal::Full, "too many streams are asked for");
            }
            Sought::Absent if !is_patient => {
                let text = format!(
                    "no stream '{}' is live; ?wait=10s waits for one, /api/streams lists them",
                    awaiting.name
                );
                return self.refuse(conn, Refusal::NotFound, &text);
            }
            Sought::Absent => awaiting.is_early = true,
            Sought::Coming => {}
        }
        self.wait(key, conn, awaiting)
    }

    /// Lets a subscriber wait for news of a name.
    fn wait<S>(&mut self, key: Key, conn: &mut Conn<S>, awaiting: Awaiting) -> Read {
        self.streams.awaited.entry(awaiting.name.clone()).or_default().push(key);
        conn.role = Role::Awaiting(Box::new(awaiting));
        arm(key, conn, self.turn, self.streams);
        Read::More
    }

    /// Makes a connection a subscriber of a live stream.
    fn join<S: Socket>(
        &mut self,
        key: Key,
        conn: &mut Conn<S>,
        mut awaiting: Awaiting,
        stream: Key,
    ) -> Read {
        let stream = match self.streams.in_container(stream, awaiting.container) {
            Found::AsIs => stream,
            Found::Derived(container) if awaiting.http == Some(HttpAnswer::HeadOnly) => {
                let media_type = response::content_type(derive::kind(container));
                conn.queue(&response::stream_head(media_type));
                return Read::Finish;
            }
            Found::Derived(container) => match self.streams.derive(stream, container, self.turn) {
                Some(derived) => derived,
                None => return Read::Drop,
            },
            Found::Undecided => {
                // It is told by its first bytes, or by its end.
                awaiting.until = Some(self.turn.now + limits::PUBLISHER_SILENCE);
                self.streams.awaits(stream);
                return self.wait(key, conn, awaiting);
            }
            Found::Never(kind) => {
                let text =
                    format!("{} is {}: there is no flv of that", awaiting.name, kind.label());
                return self.refuse(conn, Refusal::NotFound, &text);
            }
        };
        let Some(fan) = self.streams.fanouts.get_mut(stream) else {
            return Read::Drop;
        };
        let kind = fan.view.cut().kind;
        match &awaiting.http {
            Some(HttpAnswer::WebSocket(accept)) => conn.queue(&response::websocket_head(accept)),
            Some(HttpAnswer::HeadOnly) => {
                conn.queue(&response::stream_head(response::content_type(kind)));
                return Read::Finish;
            }
            // Its content type is known with the first frames.
            Some(HttpAnswer::Media) | None => {}
        }
        if let Some(rtmp) = &mut conn.rtmp {
            rtmp.play_granted();
            conn.queue_rtmp();
        }
        let enter = if awaiting.is_early { Subscriber::early } else { Subscriber::new };
        let mut subscriber = enter(&awaiting.settings, awaiting.form, self.turn.now);
        subscriber.set_coalesce(awaiting.settings.gathers(&fan.view.settings));
        let inbound =
            matches!(awaiting.http, Some(HttpAnswer::WebSocket(_))).then(Box::<Inbound>::default);
        let over = match inbound {
            Some(_) => Over::WebSocket,
            None => self.sites.list[conn.site()].service.over(),
        };
        fan.roster.enter(over);
        conn.role = Role::Subscriber(Box::new(Subscribed {
            residence: None,
            stream,
            subscriber,
            inbound,
            is_unanswered: awaiting.http == Some(HttpAnswer::Media) || conn.is_upload(),
            standing: Standing::Listed,
            is_behind: false,
            over,
            joined: self.turn.now,
        }));
        conn.alarm = Instant::NEVER;
        self.turn.ready.catchup.push_back(key);
        Read::More
    }

    /// A stream that subscribers here wait for is live; or it is not, though the
    /// directory said so: then they ask again.
    pub(super) fn announced<S: Socket>(
        &mut self,
        name: &Name,
        stream: Option<Key>,
        conns: &mut Slab<Conn<S>>,
    ) {
        if let Some(fan) = stream.and_then(|key| self.streams.fanouts.get_mut(key)) {
            // Who must wait on says so again.
            fan.is_awaited = false;
        }
        for key in self.streams.awaited.remove(name).unwrap_or_default() {
            let Some(conn) = conns.get_mut(key).filter(|conn| !conn.is_closing) else {
                continue;
            };
            if let Some(awaiting) = conn.take_awaiting() {
                let live = stream.filter(|key| self.streams.fanouts.get(*key).is_some());
                let mut read = match live {
                    Some(stream) => self.join(key, conn, awaiting, stream),
                    None => self.subscribe(key, conn, awaiting),
                };
                if read == Read::More && conn.rtmp.is_some() {
                    // What it has said meanwhile comes in no read again.
                    read = self.feed(key, conn, &[]);
                }
                self.go_on(key, conn, read);
            }
        }
        if let Some(key) = stream {
            self.streams.reap(key);
        }
    }
}
