//! Load: a stream through a server at a rate, to many subscribers, while
//! something else is measured. Frames end with a probe stamp, which the first
//! subscriber reads; the others only take what comes.

use super::error::{ClientError, ClientResult};
use super::pace::{Wait, sleep_until};
use super::probe::Stamp;
use super::publish::{Published, Publisher};
use super::subscribe::{Event, Subscriber};
use super::target::Target;
use super::watch::Watch;
use super::{ClientOptions, random};
use crate::base::Instant;
use crate::limits::CLIENT_STOP;
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Where the stream is published.
    pub publish: Target,
    /// Where it is subscribed to.
    pub subscribe: Target,
    /// By how many.
    pub subscribers: usize,
    /// Bytes a second of the stream.
    pub rate: u64,
    /// Frames a second.
    pub frames: u32,
    /// A silence of this length is a stall.
    pub stall: Duration,
}

impl LoadPlan {
    /// Bytes of a frame: at least a stamp.
    pub fn frame_bytes(&self) -> usize {
        let bytes = self.rate / u64::from(self.frames.max(1));
        usize::try_from(bytes).unwrap_or(usize::MAX).max(Stamp::BYTES)
    }
}

/// Load that is being made, by two threads.
pub struct Load {
    /// Of the subscribers, and of the publisher: they leave first, so that who
    /// is closed on was so by the load.
    stop: [Arc<AtomicBool>; 2],
    publisher: JoinHandle<ClientResult<Published>>,
    readers: JoinHandle<Readers>,
}

/// What the load came to.
pub struct Loaded {
    /// The stream as its first subscriber had it.
    pub watch: Watch,
    /// Bytes that all subscribers got.
    pub bytes: u64,
    /// Subscribers that were closed on before the end.
    pub closed: usize,
    /// What was published; `None` if that failed.
    pub published: Option<Published>,
    /// What went wrong first.
    pub error: Option<ClientError>,
}

struct Readers {
    watch: Watch,
    bytes: u64,
    closed: usize,
    error: Option<ClientError>,
}

impl Load {
    /// Connects the subscribers, then the publisher, and begins.
    ///
    /// # Errors
    /// As [`Subscriber::open`] and [`Publisher::open`]; a thread can't be
    /// started.
    pub fn start(plan: &LoadPlan) -> ClientResult<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let options = ClientOptions::default();
        let open = |_| Subscriber::open(&plan.subscribe, &options, &stop);
        // Where a subscriber has to wait for the stream, as over HTTP, the
        // publisher must come first; where it may come first, it gets all.
        let waits = matches!(plan.subscribe.scheme(), super::Scheme::Http | super::Scheme::Ws);
        let (mut publisher, mut subscribers) = (None, Vec::new());
        if waits {
            publisher = Some(Publisher::open(&plan.publish, &options, &stop)?);
        } else {
            subscribers = (0..plan.subscribers).map(open).collect::<ClientResult<Vec<_>>>()?;
        }
        let mut publisher = match publisher {
            Some(publisher) => publisher,
            None => Publisher::open(&plan.publish, &options, &stop)?,
        };
        if waits {
            // A name exists from the first byte on, at some servers.
            publisher.send(&frame(plan, Clock::now(), (random(), 0)), &stop)?;
            subscribers = (0..plan.subscribers).map(open).collect::<ClientResult<Vec<_>>>()?;
        }
        let thread_failed = |error| ClientError::io("start a thread", error);
        let leave = Arc::new(AtomicBool::new(false));
        let (flag, load) = (Arc::clone(&stop), plan.clone());
        let publisher = thread::Builder::new()
            .name("load-publish".to_owned())
            .spawn(move || publish(&load, publisher, &flag))
            .map_err(thread_failed)?;
        let (flag, stall) = (Arc::clone(&leave), plan.stall);
        let readers = thread::Builder::new()
            .name("load-subscribe".to_owned())
            .spawn(move || read(subscribers, stall, &flag))
            .map_err(thread_failed)?;
        Ok(Self { stop: [leave, stop], publisher, readers })
    }

    /// Whether both ends still work.
    pub fn is_running(&self) -> bool {
        !self.publisher.is_finished() && !self.readers.is_finished()
    }

    /// Ends it.
    pub fn finish(self) -> Loaded {
        let [leave, stop] = &self.stop;
        let panicked = || ClientError::io("a thread of the load", io::Error::other("it panicked"));
        leave.store(true, Ordering::Relaxed);
        let readers = self.readers.join().unwrap_or_else(|_| Readers {
            watch: Watch::new(Duration::MAX),
            bytes: 0,
            closed: 0,
            error: Some(panicked()),
        });
        stop.store(true, Ordering::Relaxed);
        let published = self.publisher.join().unwrap_or_else(|_| Err(panicked()));
        let (published, error) = match published {
            Ok(published) => (Some(published), None),
            Err(ClientError::Stopped) => (None, None),
            Err(error) => (None, Some(error)),
        };
        Loaded {
            watch: readers.watch,
            bytes: readers.bytes,
            closed: readers.closed,
            published,
            error: error.or(readers.error),
        }
    }
}

/// One frame: letters, then a stamp.
fn frame(plan: &LoadPlan, intended: Instant, (token, seq): (u64, u64)) -> Vec<u8> {
    let mut bytes = vec![b'x'; plan.frame_bytes() - Stamp::BYTES];
    Stamp { token, seq, intended, sent: Clock::now() }.write_bytes(&mut bytes);
    bytes
}

/// The publishing thread: open loop.
fn publish(
    plan: &LoadPlan,
    mut publisher: Publisher,
    stop: &AtomicBool,
) -> ClientResult<Published> {
    let mut published = Published::default();
    let token = random();
    let start = Clock::now();
    let interval = Duration::from_secs(1).as_nanos() as u64 / u64::from(plan.frames.max(1));
    let mut bytes = frame(plan, start, (token, 0));
    let body = bytes.len() - Stamp::BYTES;
    for seq in 0.. {
        let intended = Instant::from_nanos(start.as_nanos().saturating_add(seq * interval));
        if !sleep_until(intended, Wait::Sleep, stop) {
            break;
        }
        let sent = Clock::now();
        bytes.truncate(body);
        Stamp { token, seq, intended, sent }.write_bytes(&mut bytes);
        published.late.record(sent.since(intended));
        match publisher.send(&bytes, stop) {
            Ok(()) => {}
            Err(ClientError::Stopped) => break,
            Err(error) => return Err(error),
        }
        published.sends += 1;
        published.bytes += bytes.len() as u64;
    }
    // Whether the server confirms is nothing of the load's.
    let _ = publisher.finish();
    Ok(published)
}

/// The subscribing thread.
fn read(mut subscribers: Vec<Subscriber>, stall: Duration, stop: &AtomicBool) -> Readers {
    let mut readers = Readers { watch: Watch::new(stall), bytes: 0, closed: 0, error: None };
    let mut poll = Poll::with_room(subscribers.len());
    let whole = subscribers.first().is_some_and(Subscriber::is_datagram);
    let mut watched = true;
    while !stop.load(Ordering::Relaxed) && !subscribers.is_empty() {
        poll.clear();
        for subscriber in &subscribers {
            poll.read(subscriber.as_fd());
        }
        if let Err(error) = poll.wait(CLIENT_STOP) {
            readers.error = Some(ClientError::io("poll", error));
            break;
        }
        // From behind, so that those that end can be taken out.
        for place in (0..subscribers.len()).rev().filter(|place| poll.is_ready(*place)) {
            let outcome = subscribers[place].receive();
            let ended = match outcome {
                Ok(Event::Bytes(bytes)) => {
                    readers.bytes += bytes.len() as u64;
                    if watched && place == 0 {
                        readers.watch.handle(bytes, whole, Clock::now());
                    }
                    false
                }
                Ok(Event::Idle) => false,
                Ok(Event::End) => true,
                Err(error) => {
                    readers.error.get_or_insert(error);
                    true
                }
            };
            if ended {
                readers.closed += 1;
                watched &= place != 0;
                drop(subscribers.remove(place));
            }
        }
    }
    readers.watch.handle_end(Clock::now());
    for subscriber in subscribers {
        // Who leaves in a hurry is found out by the server.
        let _ = subscriber.leave();
    }
    readers
}
