//! Pulls and pushes over connections: a thread each, which looks up, connects and
//! asks, hands the connection to a shard, waits for its end, and tries again.
//!
//! ```text
//!  ┌▶ (push: wait until the stream lives) ─▶ look up, connect, ask ─▶ the shard's ─▶ over ┐
//!  └──────────── pause: DIAL_PAUSE, doubled up to DIAL_PAUSE_MAX ◀── failed ◀─────────────┘
//! ```
//!
//! The loop never waits for any of it. A push connects when its stream begins and
//! ends with it, over TCP as over HTTP: a POST without a body would be timed out by
//! its server, a raw connection without bytes too (ours ends one after
//! `PUBLISHER_SILENCE`), and the end of a stream is told by the end of the
//! connection. What that costs is the time to connect, after which the stream is
//! sent from its first join point on that is no older than max-lag.

mod backoff;
mod connect;
mod http;
mod rtmp;

use crate::base::Instant;
use crate::framing::Kind;
use crate::limits::CLIENT_BYTES;
use crate::options::Granted;
use crate::protocol::rtmp::Purpose;
use crate::protocol::{Body, Container, response::printable};
use crate::reactor::conn::{Awaiting, Claiming};
use crate::reactor::control::{Adopted, Control, Wish};
use crate::reactor::dial::{Call, Dialed, Ended};
use crate::reactor::peers::Peers;
use crate::reactor::plan::{Dial, Plan, Via, Way};
use crate::reactor::rtmp::Rtmp;
use crate::relay::{Directory, Form, Found, Settings, ShardId};
use crate::report::DialFailure;
use crate::sys::clock::Clock;
use crate::sys::process::random_bytes;
use crate::sys::socket::Tcp;
use backoff::Backoff;
use connect::{Connected, connect};
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Every dialer of a server. They end with the process at the latest: one may
/// stand in a call that nothing but its other end ends.
pub(super) struct Dialers {
    threads: Vec<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

impl Dialers {
    /// Starts one for each pull and push of `plan`, whose sites come behind its
    /// listeners'.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(
        plan: &Plan,
        peers: &Arc<Peers>,
        directory: &Arc<Directory>,
    ) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (number, dial) in plan.dials.iter().enumerate() {
            let dialer = Dialer {
                settings: Settings::of(&dial.ask),
                dial: dial.clone(),
                site: plan.listeners.len() + number,
                home: number % peers.ids().count().max(1),
                peers: Arc::clone(peers),
                directory: Arc::clone(directory),
                is_over: Arc::clone(&is_over),
                backoff: Backoff::default(),
                told: None,
            };
            let thread = thread::Builder::new().name(format!("dial{number}"));
            threads.push(thread.spawn(move || dialer.run())?);
        }
        Ok(Self { threads, is_over })
    }

    /// Nothing new is dialled from here on.
    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.iter().for_each(|thread| thread.thread().unpark());
    }
}

/// Why there is no connection.
#[derive(Debug)]
struct Failure {
    kind: DialFailure,
    why: String,
}

impl Failure {
    /// `why` may quote the other end, and goes to a log.
    fn new(kind: DialFailure, why: impl AsRef<str>) -> Self {
        Self { kind, why: printable(why.as_ref()) }
    }
}

/// A connection on which a stream comes.
struct Pulled {
    made: Connected,
    /// What came of it with the answer.
    early: Vec<u8>,
    /// Where it ends; `None`: with the connection.
    body: Option<Body>,
    /// What it was said to be.
    kind: Kind,
    /// Its session, which has those bytes that came with the answer.
    rtmp: Option<Box<Rtmp>>,
}

/// A life of the stream that is to be pushed.
struct Life {
    owner: ShardId,
    epoch: u64,
    /// When we saw it, if it began while we waited for it.
    began: Option<Instant>,
}

/// One pull or push.
struct Dialer {
    dial: Dial,
    settings: Settings,
    site: usize,
    /// The shard of what is pulled.
    home: ShardId,
    peers: Arc<Peers>,
    directory: Arc<Directory>,
    is_over: Arc<AtomicBool>,
    backoff: Backoff,
    /// The kind of failure that was last told aloud, until a connection lasts.
    told: Option<DialFailure>,
}

impl Dialer {
    fn run(mut self) {
        match self.dial.way {
            Way::Pull => self.pull(),
            Way::Push => self.push(),
        }
    }

    fn pull(&mut self) {
        while !self.is_over() {
            let ended = self.find_pull().map(|(pulled, kind)| {
                let Pulled { made, early, body, rtmp, .. } = pulled;
                // RTMP has no form of its own.
                let container = rtmp.as_ref().map(|_| Container::Ts);
                let settings = self.settings.clone().framed(kind, container);
                let wish = Wish::Publish(Claiming {
                    name: self.dial.name.clone(),
                    settings,
                    body,
                    range: None,
                    early,
                    expects_continue: false,
                    keeps_alive: false,
                });
                self.hand_over(made, self.home, wish, (String::new(), rtmp))
            });
            self.settle(ended.and_then(for_pull));
        }
    }

    /// A connection on which the stream comes, and what it is.
    fn find_pull(&mut self) -> Result<(Pulled, Kind), Failure> {
        let Dial { target, socket, name, ask, .. } = &self.dial;
        if let Found::Live { .. } = self.directory.find(name, self.home, None) {
            let text = format!("{name} has a live publisher here already");
            return Err(Failure::new(DialFailure::Refused, text));
        }
        let pulled = match target.via {
            Via::Tcp => first_bytes(connect(target, socket)?)?,
            Via::Http { .. } => http::pull(target, socket, self.settings.timeout)?,
            Via::Rtmp => {
                let (made, rtmp) = rtmp::call(target, socket, Purpose::Play)?;
                let rtmp = Some(rtmp);
                let pulled = Pulled { made, early: Vec::new(), body: None, kind: Kind::Flv, rtmp };
                return Ok((pulled, Kind::Flv));
            }
        };
        let kind = ask.framing.unwrap_or(pulled.kind);
        Ok((pulled, kind))
    }

    fn push(&mut self) {
        self.directory.watch(&self.dial.name);
        // The last life of which nothing more is to be sent.
        let mut done = 0;
        let mut began = None;
        while let Some(life) = self.wait_for_life(done, &mut began) {
            let ended = self.find_push().map(|(made, request, rtmp)| {
                let now = Clock::now();
                let is_early = life.began.is_some_and(|at| now.since(at) <= self.settings.max_lag);
                let form = match self.dial.target.via {
                    Via::Tcp => Form::Plain,
                    Via::Http { .. } => Form::Chunked,
                    Via::Rtmp => Form::Rtmp(Purpose::Publish),
                };
                let wish = Wish::Subscribe(Awaiting {
                    name: self.dial.name.clone(),
                    settings: self.settings.clone(),
                    form,
                    container: self.dial.target.container(),
                    http: None,
                    // If it is over meanwhile, the next one is waited for here.
                    until: Some(Instant::ZERO),
                    is_early,
                });
                self.hand_over(made, life.owner, wish, (request, rtmp))
            });
            if matches!(ended, Ok(Ended::Done | Ended::Missed)) {
                done = life.epoch;
            }
            // What was sent of this life is not sent again.
            began = ended.is_err().then_some(life.began).flatten();
            self.settle(ended);
        }
    }

    fn find_push(&self) -> Result<(Connected, String, Option<Box<Rtmp>>), Failure> {
        let Dial { target, socket, .. } = &self.dial;
        let request = match target.via {
            Via::Tcp => String::new(),
            Via::Http { put } => http::push_head(target, put),
            Via::Rtmp => {
                let (made, rtmp) = rtmp::call(target, socket, Purpose::Publish)?;
                return Ok((made, String::new(), Some(rtmp)));
            }
        };
        Ok((connect(target, socket)?, request, None))
    }

    /// Waits until the stream lives, in another life than the one that is `done`.
    /// None: the server goes down.
    fn wait_for_life(&self, done: u64, began: &mut Option<Instant>) -> Option<Life> {
        // All of the life before was sent, or there was none: this one is new.
        let mut waited = self.backoff.failures() == 0;
        loop {
            if self.is_over() {
                return None;
            }
            match self.directory.find(&self.dial.name, self.home, None) {
                Found::Live { owner, epoch } if epoch != done => {
                    let began = began.take().or_else(|| waited.then(Clock::now));
                    return Some(Life { owner, epoch, began });
                }
                Found::Live { .. } | Found::Absent | Found::Full => {}
            }
            waited = true;
            *began = None;
            thread::park();
        }
    }

    /// Hands a connection to a shard, and waits for its end.
    fn hand_over(
        &mut self,
        made: Connected,
        shard: ShardId,
        wish: Wish,
        (request, rtmp): (String, Option<Box<Rtmp>>),
    ) -> Ended {
        let Connected { stream, peer, granted } = made;
        let socket = match Tcp::try_from(stream) {
            Ok(socket) => socket,
            Err(why) => return Ended::Failed(DialFailure::Broken, why.to_string()),
        };
        self.say_connected(peer, granted);
        let call = Call::new();
        let dialed = Dialed::new(Arc::clone(&call), request);
        let adopted = Adopted::dialed(socket, peer, self.site, wish, dialed, rtmp);
        let since = Clock::now();
        self.peers.send(shard, Control::Adopt(adopted));
        let ended = loop {
            match call.ended() {
                Some(ended) => break ended,
                None => thread::park(),
            }
        };
        self.backoff.lasted(Clock::now().since(since));
        if self.backoff.failures() == 0 {
            self.told = None;
        }
        ended
    }

    /// Says that there is a connection; softly, where the last ones came to
    /// nothing.
    fn say_connected(&self, peer: SocketAddr, granted: Vec<Granted>) {
        let Dial { url, name, way, .. } = &self.dial;
        let what = if *way == Way::Pull { "is pulled" } else { "is pushed" };
        let is_news = !matches!(self.told, Some(DialFailure::Refused | DialFailure::Broken));
        let level = if is_news { log::Level::Info } else { log::Level::Debug };
        log::log!(level, "{url}: connected to {peer}: {name} {what}");
        if is_news {
            super::bind::report(url, granted);
        }
    }

    /// Says how it went, and waits before the next attempt.
    fn settle(&mut self, ended: Result<Ended, Failure>) {
        let Failure { kind, why } = match ended {
            Ok(over @ (Ended::Done | Ended::Missed)) => {
                let how =
                    if over == Ended::Done { "all of it is sent" } else { "too soon to be sent" };
                log::info!("{}: {} has ended, {how}", self.dial.url, self.dial.name);
                self.backoff.reset();
                self.told = None;
                return;
            }
            Ok(Ended::Failed(kind, why)) => Failure::new(kind, why),
            Err(failure) => failure,
        };
        if self.is_over() {
            return;
        }
        self.peers.send(self.home, Control::DialFailed(kind));
        let pause = self.backoff.fail(draw());
        let count = self.backoff.failures();
        let (url, ms) = (&self.dial.url, pause.as_millis());
        if self.told == Some(kind) {
            log::debug!("{url}: {why} ({count} failures in a row; again in {ms} ms)");
        } else {
            self.told = Some(kind);
            log::warn!("{url}: {why}; trying again, from {ms} ms on");
        }
        self.pause(pause);
    }

    fn pause(&self, span: Duration) {
        let until = Clock::now() + span;
        while !self.is_over() {
            let left = until.since(Clock::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// How a pull has ended. It has no life of a stream to wait for, as a push has,
/// so whatever ends it is a failure, after which it pauses.
fn for_pull(ended: Ended) -> Result<Ended, Failure> {
    match ended {
        Ended::Failed(..) => Ok(ended),
        Ended::Done | Ended::Missed => {
            Err(Failure::new(DialFailure::Broken, "the connection was closed"))
        }
    }
}

/// Waits for the first bytes of a stream on raw TCP, as long as its connection
/// stands: a source may have none yet, and until then the name here is free.
fn first_bytes(mut made: Connected) -> Result<Pulled, Failure> {
    let mut early = vec![0; CLIENT_BYTES];
    loop {
        match made.stream.read(&mut early) {
            Ok(0) => {
                return Err(Failure::new(DialFailure::Broken, "it closed without a byte"));
            }
            Ok(len) => {
                early.truncate(len);
                return Ok(Pulled { made, early, body: None, kind: Kind::Auto, rtmp: None });
            }
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(Failure::new(DialFailure::Broken, why.to_string())),
        }
    }
}

/// Receives once, behind what has been heard.
fn hear(made: &mut Connected, heard: &mut Vec<u8>, until: Instant) -> Result<(), Failure> {
    let late = || Failure::new(DialFailure::Answer, "it takes connections and does not answer");
    let failed = |why: io::Error| Failure::new(DialFailure::Answer, why.to_string());
    let left = until.since(Clock::now());
    if left.is_zero() {
        return Err(late());
    }
    made.stream.set_read_timeout(Some(left)).map_err(failed)?;
    let mut space = [0; CLIENT_BYTES];
    match made.stream.read(&mut space) {
        Ok(0) => Err(Failure::new(DialFailure::Answer, "it closed without an answer")),
        Ok(len) => {
            heard.extend_from_slice(&space[..len]);
            Ok(())
        }
        Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(late())
        }
        Err(why) if why.kind() == ErrorKind::Interrupted => Ok(()),
        Err(why) => Err(failed(why)),
    }
}

/// A number drawn; without a source of them the same for all, which is no harm.
fn draw() -> u32 {
    let mut bytes = [0; 4];
    match random_bytes(&mut bytes) {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_none) => u32::MAX,
    }
}
