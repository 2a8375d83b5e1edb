//! The server of the simulation: what a `Shard` owns, over fake sockets, and
//! its loop, phase by phase.

use crate::books;
use crate::clock;
use crate::link::{self, FakeSocket, Link, Shape};
use crate::rng::Rng;
use nearlight::framing::Kind;
use nearlight::protocol::http::Rules;
use nearlight::protocol::{Ask, Name};
use nearlight::reactor::accept::{self, Listeners};
use nearlight::reactor::conn::{Conn, Role};
use nearlight::reactor::plan::Service;
use nearlight::reactor::site::{Site, Sites};
use nearlight::reactor::slab::{Key, Slab};
use nearlight::reactor::streams::Streams;
use nearlight::reactor::turn::Turn;
use nearlight::reactor::udp::Ports;
use nearlight::reactor::{alarms, close, control, fanout, ingest, note, session};
use nearlight::relay::subscriber::SubscriberStats;
use nearlight::relay::{Directory, Settings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// More turns than any backlog here needs with nothing new coming in.
const TURNS: usize = 2000;

/// The site that speaks HTTP; those of streams come behind it.
pub(crate) const HTTP: usize = 0;

/// The site on which stream `n` is published over raw TCP.
pub(crate) fn publish_site(n: usize) -> usize {
    1 + 2 * n
}

/// The site on which it is subscribed to over raw TCP.
pub(crate) fn subscribe_site(n: usize) -> usize {
    2 + 2 * n
}

/// The server.
pub(crate) struct World {
    pub(crate) turn: Turn,
    pub(crate) streams: Streams,
    pub(crate) conns: Slab<Conn<FakeSocket>>,
    pub(crate) sites: Sites,
    listeners: Listeners,
    ports: Ports,
    links: BTreeMap<Key, Link>,
    rng: Rng,
    port: u16,
}

impl World {
    /// A server for streams named `s0`, `s1`, …; `asks` holds the stream keys
    /// of each, the last one those of HTTP.
    pub(crate) fn new(asks: &[(Kind, Ask)], http: &Ask, rng: Rng) -> Self {
        let addr: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let site = |service: Service, ask: &Ask| Site {
            url: "sim".to_owned(),
            addr,
            service,
            settings: Settings::of(ask),
            quickack: false,
        };
        let mut list = vec![site(Service::Http, http)];
        for (n, (kind, ask)) in asks.iter().enumerate() {
            let name = Name::parse(&format!("s{n}")).expect("a name");
            let mut publish = ask.clone();
            publish.framing = Some(*kind);
            list.push(site(Service::TcpPublish { name: name.clone() }, &publish));
            list.push(site(Service::TcpSubscribe { name }, ask));
        }
        let lag = list.iter().map(|site| site.settings.max_lag).max().expect("a site");
        Self {
            turn: Turn::new(clock::now),
            streams: Streams::new(Arc::new(Directory::default()), 0, lag),
            conns: Slab::default(),
            sites: Sites { list, rules: Rules { allow_hosts: Vec::new(), listen: vec![addr] } },
            listeners: Listeners::default(),
            ports: Ports::default(),
            links: BTreeMap::new(),
            rng,
            port: 10_000,
        }
    }

    /// A client connects.
    pub(crate) fn connect(&mut self, site: usize, shape: Shape) -> (Key, Link) {
        let (socket, link) = link::pair(shape, self.rng.fork());
        self.port += 1;
        let peer = SocketAddr::from(([127, 0, 0, 1], self.port));
        self.turn.read_clock();
        let role = session::role(&self.sites.list[site], self.turn.now);
        let key = self.conns.insert(Conn::new(socket, peer, site, role, self.turn.now));
        accept::begin(key, &mut self.turn, &mut self.streams, &mut self.conns, &self.sites);
        self.links.insert(key, Link::clone(&link));
        (key, link)
    }

    /// Polls, and does what there is to do: one turn, or all of them.
    pub(crate) fn run(&mut self, to_the_end: bool) -> Result<(), String> {
        self.poll();
        self.one_turn()?;
        let mut turns = 1;
        while to_the_end && !self.turn.ready.is_empty() {
            self.one_turn()?;
            turns += 1;
            if turns > TURNS {
                return Err(format!("busy with nothing to do: {}", self.busy()));
            }
        }
        self.links.retain(|key, _| self.conns.get(*key).is_some());
        Ok(())
    }

    fn poll(&mut self) {
        self.turn.read_clock();
        let mut told: Vec<_> = self
            .links
            .iter()
            .filter_map(|(key, link)| Some((*key, link.borrow_mut().poll()?)))
            .collect();
        // The kernel's order is its own.
        for n in (1..told.len()).rev() {
            told.swap(n, self.rng.below(n + 1));
        }
        for (key, told) in told {
            note(key, told, &mut self.conns, &mut self.turn);
        }
    }

    /// As `Shard::run`, but for listeners.
    fn one_turn(&mut self) -> Result<(), String> {
        let Self { turn, streams, conns, sites, listeners, ports, .. } = self;
        turn.read_clock();
        let began = turn.now;
        ports.ingest(turn, streams);
        ingest::tcp(turn, streams, conns, sites);
        fanout::live(turn, streams, conns, ports);
        books::trimmed(streams, began)?;
        fanout::resumed(turn, streams, conns);
        fanout::catchup(turn, streams, conns);
        control::handle(turn, streams, conns, sites, ports, listeners);
        alarms::fire(turn, streams, conns, sites, ports, listeners);
        close::reap(turn, conns);
        books::audit(turn, streams, conns)
    }

    /// What it is busy with.
    fn busy(&self) -> String {
        let ready = &self.turn.ready;
        let roles = ready.catchup.iter().chain(&ready.writable).chain(&ready.readable);
        let roles = roles.filter_map(|key| Some(&self.conns.get(*key)?.role));
        let windows = self.streams.fanouts.iter().map(|fan| fan.view.window());
        let windows: Vec<_> = windows.map(|w| (w.floor(), w.head(), w.len())).collect();
        format!("{ready:?} {windows:?} {:?}", roles.collect::<Vec<_>>())
    }

    /// A subscriber's counts and its place, while it is one.
    pub(crate) fn stats(&self, key: Key) -> Option<(SubscriberStats, usize)> {
        let Role::Subscriber(subscribed) = &self.conns.get(key)?.role else {
            return None;
        };
        let subscriber = &subscribed.subscriber;
        Some((subscriber.stats, subscriber.position().0 as usize))
    }

    /// Takes every segment that the pool has; answers how many it allocated and
    /// did not give back to the kernel, and how many it has.
    pub(crate) fn segments(&mut self) -> (u64, u64) {
        let ever = self.streams.pool.allocated.get();
        let mut idle = Vec::new();
        while self.streams.pool.allocated.get() == ever {
            idle.push(self.streams.pool.take(nearlight::base::Position::ZERO));
        }
        (ever - self.streams.pool.released.get(), idle.len() as u64 - 1)
    }
}
