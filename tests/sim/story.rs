//! The plot of a seed: streams and their publishers, subscribers that come,
//! read, stall and go, and the end, when nothing may be left.

use crate::clock;
use crate::content::{Epoch, Kind, Source};
use crate::judge::{Judge, Promise};
use crate::link::{Link, Shape};
use crate::publisher::{Ending, Publisher, Show, Via};
use crate::reader::{Form, Pace, Reader, State, patience, trouble};
use crate::rng::Rng;
use crate::world::{HTTP, World, publish_site, subscribe_site};
use nearlight::base::Instant;
use nearlight::framing;
use nearlight::protocol::{Ask, Join, Policy};
use std::time::Duration;

/// Bytes of a send buffer that no reader here fills.
const DEEP: usize = 1 << 24;

/// A stream of the story.
struct Plot {
    kind: Kind,
    ask: Ask,
    via: Via,
    /// Bytes of a picture, about, and time from one to the next.
    mean: usize,
    every: Duration,
    /// When its publisher comes, or comes again.
    begins: Option<Instant>,
    ends: Instant,
    /// A reader that keeps up misses nothing.
    is_roomy: bool,
}

impl Plot {
    /// Bytes a millisecond.
    fn rate(&self) -> usize {
        self.mean / (self.every.as_millis() as usize).max(1) + 1
    }
}

struct Story {
    rng: Rng,
    world: World,
    plots: Vec<Plot>,
    epochs: Vec<Epoch>,
    publishers: Vec<Publisher>,
    readers: Vec<Reader>,
    /// How many ask and go, again and again.
    restless: usize,
    flits: Vec<Link>,
    /// Shards with UDP subscribers, and for which stream.
    crowds: Vec<(usize, usize)>,
    /// Readers still to come.
    coming: usize,
    max_lag: Duration,
    aloud: bool,
    /// What happened, in words.
    tale: Vec<String>,
}

type Outcome = Result<(), String>;

/// Plays one seed.
pub(crate) fn play(seed: u64, aloud: bool) -> Outcome {
    Story::new(seed, aloud).play()
}

/// What happens in a seed.
pub(crate) fn tell(seed: u64) -> Vec<String> {
    let mut story = Story::new(seed, false);
    let outcome = story.play();
    story.say(|| format!("{outcome:?}"));
    story.tale
}

impl Story {
    fn new(seed: u64, aloud: bool) -> Self {
        clock::reset();
        let mut rng = Rng::new(seed);
        let max_lag = rng.millis(100, 500);
        let plots: Vec<Plot> = (0..rng.between(1, 3)).map(|_| plot(&mut rng, max_lag)).collect();
        let asks: Vec<_> =
            plots.iter().map(|plot| (framing_of(plot, &mut rng), plot.ask.clone())).collect();
        let wait = Some(Duration::from_secs(10));
        let http = Ask { max_lag: Some(max_lag), wait, ..Ask::default() };
        let shards = rng.pick(&[1, 1, 2, 3]);
        let world = World::new(shards, &asks, &http, rng.fork());
        let coming = rng.between(1, 20);
        let restless = rng.pick(&[0, 1, 2, 5]);
        Self {
            rng,
            world,
            plots,
            epochs: Vec::new(),
            publishers: Vec::new(),
            readers: Vec::new(),
            restless,
            flits: Vec::new(),
            crowds: Vec::new(),
            coming,
            max_lag,
            aloud,
            tale: Vec::new(),
        }
    }

    fn say(&mut self, text: impl FnOnce() -> String) {
        let text = format!("{} {}", clock::now(), text());
        if self.aloud {
            eprintln!("{text}");
        }
        self.tale.push(text);
    }

    fn play(&mut self) -> Outcome {
        let lasts = self.rng.millis(600, 1800);
        let end = clock::now() + lasts;
        while clock::now() < end {
            self.step(true, true)?;
        }
        self.calm()?;
        self.compare()?;
        self.crowds_follow()?;
        let end = clock::now() + Duration::from_millis(100);
        while clock::now() < end {
            self.step(true, true)?;
        }
        self.finish()
    }

    /// A little time passes.
    fn step(&mut self, makes: bool, moves: bool) -> Outcome {
        clock::advance(Duration::from_micros(self.rng.between(100, 4000) as u64));
        self.publish(makes)?;
        if moves {
            self.come_and_go();
            self.flit()?;
        }
        for reader in &mut self.readers {
            reader.act(&self.epochs).map_err(|why| format!("{}: {why}", reader.name))?;
        }
        let to_the_end = !makes || self.rng.one_in(2);
        self.world.run(to_the_end)
    }

    fn publish(&mut self, makes: bool) -> Outcome {
        let now = clock::now();
        for n in 0..self.plots.len() {
            if makes && self.plots[n].begins.is_some_and(|at| at <= now) {
                self.plots[n].begins = None;
                self.open(n);
            }
        }
        for publisher in &mut self.publishers {
            let epoch = &mut self.epochs[publisher.epoch];
            let ends = self.plots[epoch.stream].ends;
            if publisher.is_over {
                continue;
            }
            publisher.act(makes, epoch).map_err(|why| format!("publisher: {why}"))?;
            if makes && now >= ends {
                let how = if self.rng.one_in(4) { Ending::Reset } else { Ending::Orderly };
                publisher.end(how, epoch);
                let text = format!("{now} s{} ends: {how:?}", epoch.stream);
                if self.aloud {
                    eprintln!("{text}");
                }
                self.tale.push(text);
                self.plots[epoch.stream].begins = Some(now + self.rng.millis(30, 300));
                self.plots[epoch.stream].ends = now + self.rng.millis(400, 2000);
            }
        }
        Ok(())
    }

    fn open(&mut self, n: usize) {
        let plot = &self.plots[n];
        let id = self.epochs.len();
        let source = Source::new(plot.kind, id as u64, plot.mean, self.rng.fork());
        let show =
            Show { epoch: id, via: plot.via, target: target(n, plot), source, every: plot.every };
        self.epochs.push(Epoch::new(plot.kind, n));
        let site = if plot.via == Via::Raw { publish_site(n) } else { HTTP };
        let text = format!("s{n} is published over {:?}: {:?}", plot.via, plot.kind);
        self.say(|| text);
        let shape = Shape { sndbuf: 1 << 16, window: 1 << 16, short: 0 };
        let (_key, link) = self.world.connect(site, shape);
        let rng = self.rng.fork();
        self.publishers.push(Publisher::new(link, show, rng));
    }

    fn come_and_go(&mut self) {
        if self.coming > 0 && self.rng.one_in(20) {
            self.coming -= 1;
            self.subscribe();
        }
        let now = clock::now();
        for n in 0..self.readers.len() {
            let reader = &mut self.readers[n];
            if reader.state != State::Over && reader.leaves.is_some_and(|at| at <= now) {
                reader.state = State::Over;
                let resets = self.rng.one_in(2);
                let mut wire = reader.link.borrow_mut();
                if resets {
                    wire.reset()
                } else {
                    wire.close()
                }
                drop(wire);
                let text = format!("{} leaves", self.readers[n].name);
                self.say(|| text);
            }
        }
    }

    /// Some ask and go, perhaps before there can be an answer; crowds gather and
    /// scatter.
    fn flit(&mut self) -> Outcome {
        let n = self.rng.below(self.plots.len());
        // One goes and another comes, and the shards hear of both at once.
        if !self.flits.is_empty() && self.rng.one_in(2) {
            let at = self.rng.below(self.flits.len());
            self.flits.swap_remove(at).borrow_mut().close();
        }
        if self.flits.len() < self.restless {
            let shape = Shape { sndbuf: 1 << 16, window: 1 << 16, short: 0 };
            let (_key, link) = self.world.connect(HTTP, shape);
            let asks = Ask { wait: Some(Duration::from_secs(10)), ..Ask::default() };
            link.borrow_mut().push(request(n, Form::Http, &asks).as_bytes());
            self.flits.push(link);
        }
        if self.rng.one_in(4) {
            self.world.run(false)?;
        }
        if self.rng.one_in(30) {
            let crowd = (self.rng.below(self.world.shards()), n);
            let known = self.crowds.iter().position(|known| *known == crowd);
            match known {
                Some(at) => drop(self.crowds.remove(at)),
                None => self.crowds.push(crowd),
            }
            self.world.crowd(crowd.0, &format!("s{n}"), known.is_none());
        }
        Ok(())
    }

    /// Every shard with UDP subscribers has their stream, if there is one.
    fn crowds_follow(&self) -> Outcome {
        for (shard, n) in &self.crowds {
            let name = format!("s{n}");
            let lives = (0..self.world.shards()).any(|id| self.world.has(id, &name));
            if lives && !self.world.has(*shard, &name) {
                return Err(format!(
                    "shard {shard} has a crowd for {name}, and does not follow it"
                ));
            }
        }
        Ok(())
    }

    fn subscribe(&mut self) {
        let n = self.rng.below(self.plots.len());
        let rng = &mut self.rng;
        let form = rng.pick(&[Form::Tcp, Form::Http, Form::WebSocket]);
        let plot = &self.plots[n];
        let mut settings = plot.ask.clone();
        let mut pace = if rng.one_in(2) { Pace::Fast } else { trouble(rng, plot.rate()) };
        if form != Form::Tcp {
            settings.max_lag = Some(rng.millis(60, 500).min(self.max_lag));
            settings.join = rng.pick(&[
                None,
                Some(Join::Auto),
                Some(Join::LastKey),
                Some(Join::NextKey),
                Some(Join::Live),
            ]);
            settings.policy =
                rng.pick(&[None, Some(Policy::Skip), Some(Policy::Skip), Some(Policy::Close)]);
        }
        let shape = match pace {
            Pace::Fast => Shape { sndbuf: 1 << 20, window: 1 << 20, short: rng.pick(&[0, 0, 5]) },
            Pace::Even(_) | Pace::Stalls { .. } | Pace::Dead => Shape {
                // Now and then a kernel that takes whatever it is given.
                sndbuf: if rng.one_in(4) { DEEP } else { rng.between(500, 60_000) },
                window: rng.between(500, 60_000),
                short: rng.pick(&[0, 0, 4]),
            },
        };
        if !plot.is_roomy && matches!(pace, Pace::Fast) {
            pace = Pace::Even(1 << 20);
        }
        let max_lag = settings.max_lag.unwrap_or(self.max_lag);
        // Lag counts from the last skip: what is older then may be as old again
        // before the next, which comes within a quarter.
        let queue = max_lag * 9 / 4 + Duration::from_millis(50);
        let promise = Promise {
            max_lag,
            queue: (shape.sndbuf == DEEP && form != Form::WebSocket).then_some(queue),
            last_key: settings.join == Some(Join::LastKey),
            live: settings.join == Some(Join::Live),
            fast: matches!(pace, Pace::Fast),
            joined: clock::now(),
        };
        let judge = Judge::new(plot.kind, promise);
        let name =
            format!("reader {} of s{n} ({form:?}, {pace:?}, {:?})", self.readers.len(), settings);
        let fork = rng.fork();
        let leaves = rng.one_in(4).then(|| clock::now() + rng.millis(10, 1000));
        let site = if form == Form::Tcp { subscribe_site(n) } else { HTTP };
        let (key, link) = self.world.connect(site, shape);
        if form != Form::Tcp {
            link.borrow_mut().push(request(n, form, &settings).as_bytes());
        }
        self.say(|| format!("{name} comes"));
        let mut reader = Reader::new((name, key, link), (form, pace), judge, fork);
        reader.leaves = leaves;
        self.readers.push(reader);
    }

    /// Publishers pause until everybody who reads has read everything.
    fn calm(&mut self) -> Outcome {
        self.say(|| "calm".to_owned());
        let now = clock::now();
        let stalls = self.readers.iter().map(|reader| patience(reader.pace, now));
        let longest = stalls.max().unwrap_or_default() + Duration::from_secs(3);
        let deadline = now + longest;
        let mut drained = 0;
        while clock::now() < deadline && drained < 40 {
            self.step(false, false)?;
            let mut awake = self.readers.iter().filter(|reader| !reader.is_dead());
            let is_calm = awake
                .all(|reader| reader.state == State::Over || reader.link.borrow().is_drained());
            drained = if is_calm { drained + 1 } else { 0 };
        }
        Ok(())
    }

    /// The server's counts are those of what was read.
    fn compare(&mut self) -> Outcome {
        for reader in &self.readers {
            let Some((stats, at)) = self.world.stats(reader.key) else { continue };
            let wire = reader.link.borrow();
            let judge = &reader.judge;
            if reader.state != State::Body || !wire.is_drained() || reader.is_dead() {
                continue;
            }
            let mismatch = |what: &str, server: u64, seen: u64| {
                Err(format!("{}: {what}: server counts {server}, seen {seen}", reader.name))
            };
            if stats.sent_bytes + reader.apart != wire.handed {
                return mismatch("bytes sent", stats.sent_bytes, wire.handed - reader.apart);
            }
            // Where streams are joined anywhere, a jump shows with the next byte.
            let unseen = judge.epoch.map_or(0, |_| at.saturating_sub(judge.known()));
            let (jumps, gaps) = (stats.skips, judge.gaps + u64::from(unseen > 0));
            let is_blind = jumps > gaps && stats.skipped_bytes > judge.skipped;
            if judge.epoch.is_some()
                && !is_blind
                && stats.skipped_bytes != judge.skipped + unseen as u64
            {
                return mismatch("bytes skipped", stats.skipped_bytes, judge.skipped);
            }
            let is_ts = judge.epoch.is_some_and(|epoch| self.epochs[epoch].kind == Kind::Ts);
            if unseen > 0 && is_ts {
                return mismatch("place", at as u64, judge.known() as u64);
            }
            // Two jumps with no byte between them look like one; one before
            // the first byte is not seen at all.
            if jumps < gaps {
                return mismatch("skips", jumps, gaps);
            }
            if reader.pings != reader.pongs {
                return mismatch("pings", reader.pings, reader.pongs);
            }
            if reader.is_within() {
                return Err(format!("{}: part of a message, and no more", reader.name));
            }
            let whole = judge.epoch.map(|epoch| &self.epochs[epoch]);
            let whole = whole.filter(|epoch| !epoch.was_cut).map(Epoch::whole);
            if matches!(reader.pace, Pace::Fast)
                && whole.is_some_and(|whole| judge.known() != whole)
            {
                return Err(format!("{}: stands at {} of {whole:?}", reader.name, judge.at));
            }
        }
        Ok(())
    }

    /// Everything ends, and nothing is left.
    fn finish(&mut self) -> Outcome {
        self.say(|| "the end".to_owned());
        for publisher in self.publishers.iter_mut().filter(|publisher| !publisher.is_over) {
            let how = if self.rng.one_in(4) { Ending::Reset } else { Ending::Orderly };
            publisher.end(how, &mut self.epochs[publisher.epoch]);
        }
        self.flits.drain(..).for_each(|link| link.borrow_mut().close());
        for (shard, n) in std::mem::take(&mut self.crowds) {
            self.world.crowd(shard, &format!("s{n}"), false);
        }
        let deadline = clock::now() + Duration::from_secs(4);
        while clock::now() < deadline && self.world.counts()[1].1 > 0 {
            self.step(false, false)?;
        }
        for _ in 0..20 {
            self.step(false, false)?;
        }
        for reader in self.readers.iter_mut().filter(|reader| reader.state != State::Over) {
            let is_waiting = reader.judge.epoch.is_none();
            if !is_waiting
                && !reader.is_dead()
                && !reader.link.borrow().closed
                && reader.link.borrow().is_drained()
            {
                return Err(format!("{}: never told of the end", reader.name));
            }
            reader.state = State::Over;
            reader.link.borrow_mut().close();
        }
        let deadline = clock::now() + Duration::from_secs(2);
        while clock::now() < deadline && self.world.counts()[0].1 > 0 {
            self.step(false, false)?;
        }
        self.leftovers()
    }

    fn leftovers(&mut self) -> Outcome {
        for (what, count) in self.world.counts() {
            if count > 0 {
                return Err(format!("{count} {what} left at the end"));
            }
        }
        let (owned, idle) = self.world.segments();
        if idle != owned {
            return Err(format!("{idle} segments came back of {owned}"));
        }
        Ok(())
    }
}

fn plot(rng: &mut Rng, max_lag: Duration) -> Plot {
    let kind = rng.pick(&[Kind::Ts, Kind::Ts, Kind::Ts, Kind::Lines, Kind::Len32, Kind::Raw]);
    // Now and then a stream large enough to fill segments.
    let mean = if rng.one_in(6) { rng.between(20_000, 60_000) } else { rng.between(200, 6000) };
    let window_bytes = match rng.below(4) {
        0 => Some(rng.between(1, 800_000) as u64),
        _ => None,
    };
    let via = rng.pick(&[Via::Raw, Via::Raw, Via::Length, Via::Chunked, Via::Puts]);
    let policy = rng.pick(&[None, None, Some(Policy::Skip), Some(Policy::Close)]);
    let coalesce = if rng.one_in(4) { Some(rng.millis(1, 20)) } else { None };
    let ask = Ask { max_lag: Some(max_lag), window_bytes, policy, coalesce, ..Ask::default() };
    Plot {
        kind,
        ask,
        via,
        mean,
        every: rng.millis(10, 40),
        begins: Some(clock::now() + rng.millis(0, 200)),
        ends: clock::now() + rng.millis(500, 4000),
        is_roomy: window_bytes.is_none(),
    }
}

/// How the publish listener frames the stream: as it is, or as it is guessed.
fn framing_of(plot: &Plot, rng: &mut Rng) -> framing::Kind {
    match plot.kind {
        Kind::Ts if rng.one_in(2) => framing::Kind::Auto,
        Kind::Ts => framing::Kind::Ts,
        Kind::Lines => framing::Kind::Lines,
        Kind::Len32 => framing::Kind::Len32,
        Kind::Raw if rng.one_in(2) => framing::Kind::Auto,
        Kind::Raw => framing::Kind::Raw,
    }
}

/// Where it is published on HTTP.
fn target(n: usize, plot: &Plot) -> String {
    let cap = plot.ask.window_bytes.map(|bytes| format!("&window_bytes={bytes}"));
    format!("/s{n}?framing={}{}", plot.kind.label(), cap.unwrap_or_default())
}

fn request(n: usize, form: Form, ask: &Ask) -> String {
    let mut query = format!("max_lag={}ms&wait=10s", ask.max_lag.unwrap_or_default().as_millis());
    let join = ask.join.map(|join| match join {
        Join::Auto => "auto",
        Join::LastKey => "last-key",
        Join::NextKey => "next-key",
        Join::Live => "live",
    });
    let policy = ask.policy.map(|policy| if policy == Policy::Close { "close" } else { "skip" });
    for (key, value) in [("join", join), ("policy", policy)] {
        if let Some(value) = value {
            query.push_str(&format!("&{key}={value}"));
        }
    }
    let upgrade = if form == Form::WebSocket {
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    } else {
        ""
    };
    format!("GET /s{n}?{query} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n{upgrade}\r\n")
}
