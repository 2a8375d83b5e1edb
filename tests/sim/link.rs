//! A fake TCP connection. The server has a [`FakeSocket`], the test the other
//! end; both share the [`Wire`], which keeps to what Linux does:
//!
//! ```text
//! server ─send─▶ sndq (sndbuf) ─▶ peer (its window) ─read─▶ test
//!                └── unacked ──┘
//! server ◀─recv─ inbound ◀─push── test
//! ```
//!
//! A receive takes all that is there, as tcp_recvmsg does; splits come from
//! how the bytes arrive. Readiness is told once, at its edge. A send that was
//! not taken whole is followed by a writable edge when a third of the buffer
//! is free. Closing with input unread resets, and what was queued is lost.

use crate::clock;
use crate::rng::Rng;
use nearlight::base::Instant;
use nearlight::reactor::Told;
use nearlight::sys::socket::Socket;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What a call into the kernel costs: budgets of time run out, too.
const CALL: Duration = Duration::from_micros(6);

/// How a wire carries bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes that the server's kernel queues.
    pub(crate) sndbuf: usize,
    /// Bytes that the peer's kernel queues.
    pub(crate) window: usize,
    /// One send in so many is cut short without need; 0: none.
    pub(crate) short: usize,
}

/// How bytes were handed over to the server's kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handed {
    pub(crate) at: Instant,
    /// How long the oldest byte of the kernel's queue had been there then.
    pub(crate) behind: Duration,
}

/// Both directions of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    shape: Shape,
    rng: Rng,
    inbound: VecDeque<u8>,
    /// The peer's FIN has arrived.
    in_end: bool,
    /// The peer has reset the connection.
    reset: bool,
    /// The peer has closed: what is sent is answered by a reset.
    gone: bool,
    sndq: VecDeque<u8>,
    peer: VecDeque<u8>,
    /// A send was not taken whole.
    nospace: bool,
    edge: bool,
    /// The server has shut its side down.
    pub(crate) shut: bool,
    /// The server has closed the socket.
    pub(crate) closed: bool,
    /// It did so with input unread, or the peer did.
    pub(crate) torn: bool,
    /// Bytes that `send` took, ever.
    pub(crate) handed: u64,
    /// When they were: up to which count, and how.
    log: VecDeque<(u64, Handed)>,
    /// Bytes that the test has read.
    taken: u64,
}

/// The test's hold on a wire. Sockets may go from thread to thread, though no
/// second thread is ever here.
#[derive(Clone, Debug)]
pub(crate) struct Link(Arc<Mutex<Wire>>);

impl Link {
    pub(crate) fn borrow(&self) -> MutexGuard<'_, Wire> {
        self.borrow_mut()
    }

    pub(crate) fn borrow_mut(&self) -> MutexGuard<'_, Wire> {
        self.0.try_lock().expect("one borrow at a time")
    }
}

/// The server's end.
#[derive(Debug)]
pub(crate) struct FakeSocket(Link);

/// A connection: the server's end, and the test's.
pub(crate) fn pair(shape: Shape, rng: Rng) -> (FakeSocket, Link) {
    let wire = Wire {
        shape,
        rng,
        inbound: VecDeque::new(),
        in_end: false,
        reset: false,
        gone: false,
        sndq: VecDeque::new(),
        peer: VecDeque::new(),
        nospace: false,
        // A new connection is writable, and epoll says so once.
        edge: true,
        shut: false,
        closed: false,
        torn: false,
        handed: 0,
        log: VecDeque::new(),
        taken: 0,
    };
    let link = Link(Arc::new(Mutex::new(wire)));
    (FakeSocket(link.clone()), link)
}

impl FakeSocket {
    /// It is watched by another poll now, which tells what is the case.
    pub(crate) fn watched(&self) -> Link {
        self.0.borrow_mut().edge = true;
        self.0.clone()
    }
}

impl Wire {
    /// The peer sends.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.closed && !bytes.is_empty() {
            self.inbound.extend(bytes);
            self.edge = true;
        }
    }

    /// The peer ends its side; it goes on reading.
    pub(crate) fn end(&mut self) {
        self.in_end = true;
        self.edge = true;
    }

    /// The peer closes: it reads no more.
    pub(crate) fn close(&mut self) {
        self.end();
        self.gone = true;
        self.sndq.clear();
        self.peer.clear();
    }

    /// The peer resets: nothing arrives any more, in either direction.
    pub(crate) fn reset(&mut self) {
        self.reset = true;
        self.torn = true;
        self.edge = true;
        self.inbound.clear();
        self.sndq.clear();
        self.peer.clear();
    }

    /// The peer's program reads up to `most` bytes; answers them with the time
    /// at which they were handed to the server's kernel.
    pub(crate) fn read(&mut self, most: usize) -> Option<(Vec<u8>, Handed)> {
        self.flow();
        let &(end, handed) = self.log.front()?;
        let here = (end - self.taken).min(self.peer.len() as u64).min(most as u64) as usize;
        if here == 0 {
            return None;
        }
        let bytes: Vec<u8> = self.peer.drain(..here).collect();
        self.taken += here as u64;
        if self.taken == end {
            self.log.pop_front();
        }
        self.flow();
        Some((bytes, handed))
    }

    /// Whether the peer has read everything up to an end of the stream.
    pub(crate) fn is_over(&self) -> bool {
        self.torn || ((self.shut || self.closed) && self.is_drained())
    }

    /// Whether the peer has read everything that was sent so far.
    pub(crate) fn is_drained(&self) -> bool {
        self.sndq.is_empty() && self.peer.is_empty()
    }

    /// Whether the server has read everything.
    pub(crate) fn is_read(&self) -> bool {
        self.inbound.is_empty()
    }

    /// What epoll tells now, if anything.
    pub(crate) fn poll(&mut self) -> Option<Told> {
        let writable = self.room() >= self.shape.sndbuf.div_ceil(3) || self.reset;
        if self.closed || !(self.edge || (self.nospace && writable)) {
            return None;
        }
        self.edge = false;
        self.nospace &= !writable;
        let read_closed = self.in_end || self.reset;
        let readable = !self.inbound.is_empty() || read_closed;
        Some(Told { readable, writable, read_closed })
    }

    fn room(&self) -> usize {
        self.shape.sndbuf - self.sndq.len()
    }

    /// The network: what fits the peer's window is acknowledged.
    fn flow(&mut self) {
        let here = self.sndq.len().min(self.shape.window - self.peer.len());
        if here > 0 {
            self.peer.extend(self.sndq.drain(..here));
        }
    }

    /// For how long the oldest byte of the server's queue has been there.
    fn queue_age(&self) -> Duration {
        let acked = self.handed - self.sndq.len() as u64;
        let at = self.log.partition_point(|(end, _)| *end <= acked);
        self.log.get(at).map_or(Duration::ZERO, |(_, handed)| clock::now().since(handed.at))
    }

    fn take(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        clock::advance(CALL);
        assert!(!self.shut, "sends after its own shutdown");
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(wanted > 0, "a send of nothing");
        if self.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.gone {
            self.reset();
            return Ok(wanted);
        }
        let mut taken = wanted.min(self.room());
        if self.shape.short > 0 && taken > 1 && self.rng.one_in(self.shape.short) {
            taken = self.rng.between(1, taken - 1);
        }
        self.nospace |= taken < wanted;
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let behind = self.queue_age();
        let mut rest = taken;
        for slice in slices {
            let here = rest.min(slice.len());
            self.sndq.extend(&slice[..here]);
            rest -= here;
        }
        self.handed += taken as u64;
        self.log.push_back((self.handed, Handed { at: clock::now(), behind }));
        self.flow();
        Ok(taken)
    }
}

impl Socket for FakeSocket {
    fn recv(&mut self, space: &mut [u8]) -> io::Result<usize> {
        clock::advance(CALL);
        let wire = &mut *self.0.borrow_mut();
        assert!(!space.is_empty(), "a receive into nothing");
        if wire.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let here = space.len().min(wire.inbound.len());
        if here == 0 {
            return if wire.in_end { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let (front, back) = wire.inbound.as_slices();
        let from_front = here.min(front.len());
        space[..from_front].copy_from_slice(&front[..from_front]);
        space[from_front..here].copy_from_slice(&back[..here - from_front]);
        wire.inbound.drain(..here);
        Ok(here)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.borrow_mut().take(slices)
    }

    fn unacked(&mut self) -> io::Result<usize> {
        Ok(self.0.borrow().sndq.len())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        let wire = &mut *self.0.borrow_mut();
        assert!(!wire.shut, "shuts down twice");
        wire.shut = true;
        if wire.reset {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(())
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        let wire = &mut *self.0.borrow_mut();
        wire.closed = true;
        if !wire.inbound.is_empty() {
            wire.torn = true;
            wire.sndq.clear();
        }
    }
}
