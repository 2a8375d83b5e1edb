//! From a publisher on one shard to a subscriber on another, through real
//! sockets, both shards spinning on a core each. There are two cores, so the
//! probe has none: it looks at its sockets between two turns of the publisher's
//! shard. The floor is two threads with the same sockets: one receives and
//! stores with Release, the other sees that with Acquire and sends; the first
//! has the probe between two receives.

use crate::floor;
use crate::frame::{self, Shape};
use nearlight::base::Instant;
use nearlight::client::hist::Hist;
use nearlight::framing::Kind;
use nearlight::options::{SocketOptions, Transport};
use nearlight::protocol::http::Rules;
use nearlight::protocol::{Ask, Name};
use nearlight::reactor::plan::{Idle, Listen, Service};
use nearlight::reactor::seat::Seat;
use nearlight::reactor::site::Site;
use nearlight::ring::Pool;
use nearlight::sys::affinity;
use nearlight::sys::calls;
use nearlight::sys::clock::Clock;
use nearlight::sys::socket::TcpListener;
use std::error::Error;
use std::hint::spin_loop;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Frames of a run, fewer than a segment holds, and those that don't count.
const FRAMES: usize = 2_000;
const WARM_UP: usize = 200;
/// From the receipt of one to the send of the next.
const GAP: Duration = Duration::from_micros(50);
/// Until there is an answer, asks are so far apart.
const AGAIN: Duration = Duration::from_millis(20);
/// No answer for so long is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a frame, waits for it, and sends the next.
struct Probe {
    publisher: TcpStream,
    subscriber: TcpStream,
    space: Vec<u8>,
    /// Bytes that have come of the frame under way.
    got: usize,
    sent: Option<Instant>,
    received: Instant,
    start: Instant,
    is_settled: bool,
    trips: Vec<Duration>,
    failure: Option<io::Error>,
}

impl Probe {
    fn connect(publish: SocketAddr, subscribe: SocketAddr, cc: &str) -> io::Result<Self> {
        let subscriber = super::crowd::tcp(subscribe, cc)?;
        let publisher = super::crowd::tcp(publish, cc)?;
        subscriber.set_nonblocking(true)?;
        let now = Clock::now();
        Ok(Self {
            publisher,
            subscriber,
            space: vec![0; 64 * 1024],
            got: 0,
            sent: None,
            received: now,
            start: now,
            is_settled: false,
            trips: Vec::new(),
            failure: None,
        })
    }

    /// One look; answers whether it has all it wants.
    fn is_over(&mut self) -> bool {
        if let Err(why) = self.look() {
            self.failure = Some(why);
        }
        self.failure.is_some() || self.trips.len() >= WARM_UP + FRAMES
    }

    fn look(&mut self) -> io::Result<()> {
        let size = Shape::Small.len();
        match self.subscriber.read(&mut self.space) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => self.got += len,
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) => return Err(why),
        }
        let now = Clock::now();
        if self.got >= size {
            self.received = now;
            if self.is_settled {
                self.got -= size;
                self.trips.extend(self.sent.take().map(|sent| now.since(sent)));
            } else {
                // Others may be under way: once it is quiet, it counts.
                self.got = 0;
                self.sent = None;
                self.is_settled = true;
                self.received = now + AGAIN;
            }
        }
        let is_due = match self.sent {
            None => now >= self.received + GAP,
            Some(sent) => !self.is_settled && now.since(sent) > AGAIN,
        };
        if is_due {
            // What is left of asking.
            if self.trips.is_empty() {
                self.got = 0;
            }
            let mut bytes = Vec::new();
            frame::write(Shape::Small, 0, &mut bytes);
            self.sent = Some(Clock::now());
            self.publisher.write_all(&bytes)?;
        }
        if now.since(self.start) > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn hist(self) -> io::Result<Hist> {
        if let Some(why) = self.failure {
            return Err(why);
        }
        let mut hist = Hist::new();
        self.trips.iter().skip(WARM_UP).for_each(|trip| hist.record(*trip));
        Ok(hist)
    }
}

/// Times through two threads that do the least.
pub(super) fn bare(cpus: [usize; 2], cc: &str) -> Result<Hist, Box<dyn Error>> {
    let (publish, subscribe) = (floor::listen(cc)?, floor::listen(cc)?);
    let mut probe = Probe::connect(publish.local_addr()?, subscribe.local_addr()?, cc)?;
    let (mut from, mut to) = (publish.accept()?.0, subscribe.accept()?.0);
    from.set_nonblocking(true)?;
    let mut tail = Pool::default().take(nearlight::base::Position::ZERO);
    let reader = tail.reader();
    let is_over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let second = scope.spawn(|| {
            affinity::pin_to(cpus[1]).map_err(io::Error::other)?;
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                let end = reader.end().since(reader.base()) as usize;
                if end > sent {
                    to.write_all(reader.bytes(sent, end))?;
                    sent = end;
                }
                spin_loop();
            }
            Ok::<_, io::Error>(())
        });
        let first = scope.spawn(|| {
            affinity::pin_to(cpus[0]).map_err(io::Error::other)?;
            while !probe.is_over() {
                match from.read(tail.space()) {
                    Ok(len) => {
                        tail.fill(len);
                        tail.commit(len, std::iter::empty());
                    }
                    Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                    Err(why) => return Err(why),
                }
            }
            is_over.store(true, Ordering::Relaxed);
            probe.hist()
        });
        let first = first.join();
        is_over.store(true, Ordering::Relaxed);
        (first, second.join())
    });
    outcome.1.map_err(|_| "the second thread panicked")??;
    Ok(outcome.0.map_err(|_| "the first thread panicked")??)
}

/// Times through two shards, and the calls that the second has made on its
/// sockets for each frame.
pub(super) fn shards(cpus: [usize; 2], cc: &str) -> Result<(Hist, f64), Box<dyn Error>> {
    let (seats, [publish, subscribe]) = seats(cc)?;
    let Ok([first, second]) = <[Seat; 2]>::try_from(seats) else {
        return Err("not two seats".into());
    };
    let mut probe = Probe::connect(publish, subscribe, cc)?;
    let is_over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let second = scope.spawn(|| {
            affinity::pin_to(cpus[1]).map_err(io::Error::other)?;
            let mut shard = second.take().map_err(io::Error::other)?;
            shard.run_until(|| is_over.load(Ordering::Relaxed))?;
            let made: u64 = calls::counts().iter().map(|count| count.made).sum();
            Ok::<_, io::Error>(made)
        });
        let first = scope.spawn(|| {
            affinity::pin_to(cpus[0]).map_err(io::Error::other)?;
            let mut shard = first.take().map_err(io::Error::other)?;
            shard.run_until(|| probe.is_over())?;
            probe.hist()
        });
        let first = first.join();
        is_over.store(true, Ordering::Relaxed);
        (first, second.join())
    });
    let made = outcome.1.map_err(|_| "the second shard panicked")??;
    let hist = outcome.0.map_err(|_| "the first shard panicked")??;
    Ok((hist, made as f64 / (WARM_UP + FRAMES) as f64))
}

/// A shard with a publish listener and one with a subscribe listener.
fn seats(cc: &str) -> Result<(Vec<Seat>, [SocketAddr; 2]), Box<dyn Error>> {
    let rules = Rules { allow_hosts: Vec::new(), listen: Vec::new() };
    let mut seats = Seat::row(2, &rules, Duration::from_millis(500), Idle::Spin)?;
    let name = Name::parse("bench")?;
    let services = [Service::TcpPublish { name: name.clone() }, Service::TcpSubscribe { name }];
    let ask = Ask { framing: Some(Kind::Len32), ..Ask::default() };
    let mut addrs = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 2];
    for (number, service) in services.into_iter().enumerate() {
        let mut options = SocketOptions::default();
        options.set("cc", Some(cc))?;
        options.merge_under(&SocketOptions::defaults(Transport::Tcp, service.publishes()));
        let mut prepared = Ok(Vec::new());
        let listener = TcpListener::bind(addrs[number], false, 16, |fd| {
            prepared = options.prepare_listener(fd);
            Ok(())
        })?;
        prepared?;
        addrs[number] = listener.local_addr()?;
        let site = Site::of(&Listen {
            url: format!("tcp://{}", addrs[number]),
            addr: addrs[number],
            service,
            ask: ask.clone(),
            socket: options.clone(),
        });
        seats[number].add_listener(listener, number, options);
        seats.iter_mut().for_each(|seat| seat.add_site(site.clone()));
    }
    Ok((seats, addrs))
}
