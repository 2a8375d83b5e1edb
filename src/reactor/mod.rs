//! The event loop: one shard is one thread, one poll, one core.
//!
//! [`Shard::run`] is the whole server on one screen. Events only put names on
//! lists; the phases work the lists off, each within a budget from `limits`.
//! What is left over stays on its list, and the next poll does not sleep,
//! because edge-triggered readiness is told once.

pub mod accept;
pub mod alarms;
pub mod close;
pub mod conn;
pub mod control;
mod derive;
pub mod dial;
pub mod fanout;
pub mod hot;
pub mod ingest;
mod join;
pub mod lag;
pub mod links;
pub mod live;
pub mod office;
mod pages;
pub mod peers;
pub mod plan;
pub mod recorder;
pub mod residence;
pub mod roster;
pub mod rtmp;
pub mod seat;
pub mod serve;
pub mod session;
pub mod site;
pub mod slab;
mod snapshot;
pub mod streams;
pub mod turn;
pub mod udp;

use crate::sys::wait::wait_on;
use accept::Listeners;
use conn::{Conn, Role, Standing};
use mio::event::Event;
use mio::{Events, Poll};
use peers::Peers;
use plan::Idle;
use site::Sites;
use slab::{Key, Slab};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use streams::Streams;
use turn::Turn;
use udp::Ports;

use crate::base::Instant;
use crate::limits::BELL_LOOKS;
use crate::relay::ShardId;
use crate::report::Phase;
use crate::sys::socket::Tcp;

/// One thread's share of the server.
pub struct Shard {
    id: ShardId,
    poll: Poll,
    events: Events,
    turn: Turn,
    streams: Streams,
    conns: Slab<Conn<Tcp>>,
    sites: Sites,
    listeners: Listeners,
    ports: Ports,
    peers: Arc<Peers>,
    idle: Idle,
    /// When there was last something to do.
    worked: Instant,
}

impl Shard {
    /// Runs until the server is told to stop and is empty.
    ///
    /// # Errors
    /// The poll is broken.
    pub fn run(&mut self) -> io::Result<()> {
        self.run_until(|| false)
    }

    /// The same, or until `is_over`, which is asked before each turn: so who
    /// measures a shard that spins need not have a core of its own.
    ///
    /// # Errors
    /// The poll is broken.
    pub fn run_until(&mut self, mut is_over: impl FnMut() -> bool) -> io::Result<()> {
        while !self.is_done() && !is_over() {
            self.wait()?;
            let Self { turn, streams, conns, sites, listeners, ports, poll, .. } = self;
            let before = turn.counters.traffic();
            if !turn.ready.udp.is_empty() {
                ports.ingest(turn, streams);
                turn.recorder.mark(Phase::UdpIngest);
            }
            if !turn.ready.readable.is_empty() {
                ingest::tcp(turn, streams, conns, sites);
                turn.recorder.mark(Phase::TcpIngest);
            }
            if !turn.ready.dirty.is_empty() {
                fanout::live(turn, streams, conns, ports);
                turn.recorder.mark(Phase::Fanout);
            }
            if !turn.ready.writable.is_empty() {
                fanout::resumed(turn, streams, conns);
                turn.recorder.mark(Phase::Writers);
            }
            if !turn.ready.catchup.is_empty() {
                fanout::catchup(turn, streams, conns);
                turn.recorder.mark(Phase::Catchup);
            }
            if !turn.ready.control.is_empty() {
                let registry = Some(poll.registry());
                control::handle(turn, streams, conns, sites, ports, listeners, registry);
                turn.recorder.mark(Phase::Control);
            }
            if !turn.ready.accepts.is_empty() {
                accept::pump(turn, streams, conns, sites, listeners, poll.registry());
                turn.recorder.mark(Phase::Accepts);
            }
            if alarms::are_due(turn, streams) {
                alarms::fire(turn, streams, conns, sites, ports, listeners);
                turn.recorder.mark(Phase::Timers);
            }
            if !turn.ready.reap.is_empty() {
                close::reap(turn, conns);
                turn.recorder.mark(Phase::Reap);
            }
            turn.finish(before);
        }
        Ok(())
    }

    /// Finds out what there is to do and puts it on the turn's lists; sleeps
    /// only if there is nothing.
    fn wait(&mut self) -> io::Result<()> {
        let is_spinning = self.is_spinning();
        if is_spinning && self.turn.ready.is_empty() && self.turn.hot.is_next() {
            self.turn.read_clock();
            self.worked = self.worked.max(self.turn.hot.last());
            hot::list(&mut self.turn, &mut self.conns, &mut self.ports);
            self.turn.recorder.begin(0);
        } else {
            self.poll(is_spinning)?;
            self.turn.recorder.begin(self.events.iter().count());
            if !self.turn.ready.is_empty() {
                self.worked = self.turn.now;
            }
        }
        self.turn.began = self.turn.now;
        self.turn.counters.turns.bump();
        self.answer_bell();
        Ok(())
    }

    /// Asks the poll, and sorts what it tells.
    fn poll(&mut self, is_spinning: bool) -> io::Result<()> {
        let mut patience = self.patience(is_spinning);
        if patience != Some(Duration::ZERO)
            && let Some(at) = self.turn.timers.next_exact()
        {
            wait_on(&self.poll, at.since(self.turn.now))?;
            patience = Some(Duration::ZERO);
        }
        self.turn.counters.polls.bump();
        match self.poll.poll(&mut self.events, patience) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
        let Self { turn, conns, listeners, ports, .. } = self;
        turn.read_clock();
        for event in &self.events {
            match Key::of(event.token()) {
                Some(key) => note(key, Told::of(event), conns, turn),
                None => match seat::source(event.token()) {
                    seat::Source::Waker => {}
                    seat::Source::Listener(n) => listeners.readable(n, turn),
                    seat::Source::Port(n) => ports.readable(n, turn),
                },
            }
        }
        Ok(())
    }

    /// Sees what other shards have rung for.
    fn answer_bell(&mut self) {
        let Self { turn, streams, .. } = self;
        let bell = self.peers.bell(self.id);
        if !bell.is_rung() {
            return;
        }
        if bell.answer(|slot| streams.rung(slot, turn)) {
            self.peers.collect(self.id, &mut turn.ready.control);
        }
        if !turn.ready.is_empty() {
            self.worked = turn.now;
        }
    }

    /// Whether the shard stays awake though it has nothing to do.
    fn is_spinning(&self) -> bool {
        match self.idle {
            Idle::Block => false,
            Idle::Spin => true,
            Idle::Adaptive(span) => self.turn.now.since(self.worked) < span,
        }
    }

    /// How long the poll may sleep. A shard that spins and follows streams of
    /// others looks at its bell for a moment before it asks.
    fn patience(&self, is_spinning: bool) -> Option<Duration> {
        let bell = self.peers.bell(self.id);
        if !self.turn.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        if is_spinning {
            let looks = if self.streams.follows() { BELL_LOOKS } else { 0 };
            for _ in 0..looks {
                if bell.is_rung() {
                    break;
                }
                std::hint::spin_loop();
            }
            return Some(Duration::ZERO);
        }
        if !bell.sleep() {
            return Some(Duration::ZERO);
        }
        self.turn.timers.next().map(|at| at.since(self.turn.now))
    }

    fn is_done(&self) -> bool {
        self.turn.is_over || (self.streams.is_draining && self.conns.is_empty())
    }
}

/// What the poll says of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// There is something to read: bytes, an end or an error.
    pub readable: bool,
    /// The kernel takes bytes.
    pub writable: bool,
    /// The peer has shut its side.
    pub read_closed: bool,
}

impl Told {
    fn of(event: &Event) -> Self {
        let read_closed = event.is_read_closed();
        Self {
            readable: event.is_readable() || read_closed || event.is_error(),
            writable: event.is_writable(),
            read_closed,
        }
    }
}

/// An event of a connection. A writable one does not write: it puts a blocked
/// subscriber back on its list, so that there is one write path.
pub fn note<S>(key: Key, told: Told, conns: &mut Slab<Conn<S>>, turn: &mut Turn) {
    let Some(conn) = conns.get_mut(key) else {
        return;
    };
    conn.is_read_closed |= told.read_closed;
    if told.readable {
        conn.list(key, turn);
    }
    if told.writable {
        let has_words = conn.out.is_some() && conn.is_idle();
        let owes_rtmp = conn.out.is_some() && conn.rtmp.is_some();
        match &mut conn.role {
            Role::Subscriber(subscribed) if subscribed.standing == Standing::Blocked => {
                subscribed.standing = Standing::Listed;
                turn.ready.writable.push_back(key);
            }
            Role::Subscriber(_) if has_words => conn.list(key, turn),
            Role::Publisher(_) | Role::Awaiting(_) if owes_rtmp => conn.list(key, turn),
            Role::Subscriber(_)
            | Role::Publisher(_)
            | Role::Claiming(_)
            | Role::Asking(_)
            | Role::Awaiting(_) => {}
            Role::Echo(_) | Role::Closing { .. } => conn.list(key, turn),
            Role::Head { .. } | Role::Greeting(_) | Role::Rtmp | Role::Viewer(_) => {
                if conn.out.is_some() {
                    conn.list(key, turn);
                }
            }
        }
    }
}
