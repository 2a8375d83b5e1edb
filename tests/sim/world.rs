//! The server of the simulation: what each `Shard` owns, over fake sockets, and
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
use nearlight::reactor::peers::Peers;
use nearlight::reactor::plan::Service;
use nearlight::reactor::site::{Site, Sites};
use nearlight::reactor::slab::{Key, Slab};
use nearlight::reactor::streams::Streams;
use nearlight::reactor::turn::Turn;
use nearlight::reactor::udp::Ports;
use nearlight::reactor::{alarms, close, control, fanout, ingest, note, session};
use nearlight::relay::subscriber::SubscriberStats;
use nearlight::relay::{Directory, Settings};
use nearlight::report::Counters;
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

/// A connection: which shard serves it, and its key there.
pub(crate) type Place = (usize, Key);

/// A shard, without its poll.
struct Shard {
    turn: Turn,
    streams: Streams,
    conns: Slab<Conn<FakeSocket>>,
    listeners: Listeners,
    ports: Ports,
}

/// The server.
pub(crate) struct World {
    shards: Vec<Shard>,
    peers: Arc<Peers>,
    sites: Sites,
    links: BTreeMap<Place, Link>,
    rng: Rng,
    port: u16,
}

impl World {
    /// A server of `shards` shards for streams named `s0`, `s1`, …; `asks` holds
    /// the stream keys of each, the last one those of HTTP.
    pub(crate) fn new(shards: usize, asks: &[(Kind, Ask)], http: &Ask, rng: Rng) -> Self {
        let addr: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let site = |service: Service, ask: &Ask| Site {
            url: "sim".to_owned(),
            addr,
            service,
            settings: Settings::of(ask),
            quickack: false,
            is_stamped: false,
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
        let (peers, directory) = (Peers::sleepless(shards), Arc::new(Directory::default()));
        let shard = |id| Shard {
            turn: Turn::new(clock::now),
            streams: Streams::new(Arc::clone(&directory), Arc::clone(&peers), id, lag),
            conns: Slab::default(),
            listeners: Listeners::default(),
            ports: Ports::default(),
        };
        let rules = Rules { allow_hosts: Vec::new(), listen: vec![addr] };
        Self {
            shards: peers.ids().map(shard).collect(),
            peers,
            sites: Sites { list, rules, office: None },
            links: BTreeMap::new(),
            rng,
            port: 10_000,
        }
    }

    /// A client connects; the kernel chooses the shard.
    pub(crate) fn connect(&mut self, site: usize, shape: Shape) -> (Place, Link) {
        let id = self.rng.below(self.shards.len());
        self.connect_to(id, site, shape)
    }

    /// A client connects to a shard.
    pub(crate) fn connect_to(&mut self, id: usize, site: usize, shape: Shape) -> (Place, Link) {
        let (socket, link) = link::pair(shape, self.rng.fork());
        self.port += 1;
        let peer = SocketAddr::from(([127, 0, 0, 1], self.port));
        let Shard { turn, streams, conns, .. } = &mut self.shards[id];
        turn.read_clock();
        let role = session::role(&self.sites.list[site], turn.now);
        let key = conns.insert(Conn::new(socket, peer, site, role, turn.now));
        accept::begin(key, turn, streams, conns, &self.sites);
        self.links.insert((id, key), link.clone());
        ((id, key), link)
    }

    /// Polls, and does what there is to do: a turn of each shard, or all of
    /// them.
    pub(crate) fn run(&mut self, to_the_end: bool) -> Result<(), String> {
        self.poll();
        self.round()?;
        let mut turns = 1;
        while to_the_end && self.is_busy() {
            self.round()?;
            turns += 1;
            if turns > TURNS {
                return Err(format!("busy with nothing to do: {}", self.busy()));
            }
        }
        self.watch();
        Ok(())
    }

    /// Connections that have gone are watched no longer, those that have gone
    /// from one shard to another are watched there.
    fn watch(&mut self) {
        let shards = &self.shards;
        self.links.retain(|(id, key), _| shards[*id].conns.get(*key).is_some());
        for (id, shard) in shards.iter().enumerate() {
            for key in shard.conns.keys() {
                if let Some(conn) = shard.conns.get(key) {
                    self.links.entry((id, key)).or_insert_with(|| conn.socket.watched());
                }
            }
        }
    }

    /// A turn of one shard, while the others stand still.
    pub(crate) fn run_alone(&mut self, id: usize) -> Result<(), String> {
        self.poll();
        self.one_turn(id)
    }

    /// A UDP socket of a shard has subscribers for a name, or no longer.
    pub(crate) fn crowd(&mut self, id: usize, name: &str, is_here: bool) {
        let name = Name::parse(name).expect("a name");
        let Shard { turn, streams, .. } = &mut self.shards[id];
        streams.crowd(&name, is_here, turn);
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Whether a stream of that name is on a shard.
    pub(crate) fn has(&self, id: usize, name: &str) -> bool {
        let name = Name::parse(name).expect("a name");
        self.shards[id].streams.names.contains_key(&name)
    }

    /// What a shard has counted.
    pub(crate) fn counters(&self, id: usize) -> &Counters {
        &self.shards[id].turn.counters
    }

    /// What the kernel tells of connections goes on the shards' lists.
    pub(crate) fn poll(&mut self) {
        let mut told: Vec<_> = self
            .links
            .iter()
            .filter_map(|(place, link)| Some((*place, link.borrow_mut().poll()?)))
            .collect();
        self.rng.shuffle(&mut told);
        for ((id, key), told) in told {
            let Shard { turn, conns, .. } = &mut self.shards[id];
            note(key, told, conns, turn);
        }
    }

    /// A turn of each shard; which comes first is the kernel's affair, and
    /// whether one of several has any.
    fn round(&mut self) -> Result<(), String> {
        let mut order: Vec<usize> = self.peers.ids().collect();
        self.rng.shuffle(&mut order);
        if order.len() > 1 && self.rng.one_in(3) {
            order.pop();
        }
        order.into_iter().try_for_each(|id| self.one_turn(id))
    }

    /// As `Shard::run`, but for listeners.
    pub(crate) fn one_turn(&mut self, id: usize) -> Result<(), String> {
        let Self { shards, peers, sites, .. } = self;
        let Shard { turn, streams, conns, listeners, ports } = &mut shards[id];
        turn.read_clock();
        turn.began = turn.now;
        if peers.bell(id).answer(|slot| streams.rung(slot, turn)) {
            peers.collect(id, &mut turn.ready.control);
        }
        let began = turn.now;
        ports.ingest(turn, streams);
        ingest::tcp(turn, streams, conns, sites);
        fanout::live(turn, streams, conns, ports);
        books::trimmed(streams, began)?;
        fanout::resumed(turn, streams, conns);
        fanout::catchup(turn, streams, conns);
        control::handle(turn, streams, conns, sites, ports, listeners, None);
        alarms::fire(turn, streams, conns, sites, ports, listeners);
        close::reap(turn, conns);
        books::audit(turn, streams, conns)
    }

    fn is_busy(&self) -> bool {
        let is_rung = self.peers.ids().any(|id| self.peers.bell(id).is_rung());
        is_rung || self.shards.iter().any(|shard| !shard.turn.ready.is_empty())
    }

    /// What it is busy with.
    fn busy(&self) -> String {
        let of = |shard: &Shard| {
            let ready = &shard.turn.ready;
            let roles = ready.catchup.iter().chain(&ready.writable).chain(&ready.readable);
            let roles = roles.filter_map(|key| Some(&shard.conns.get(*key)?.role));
            let windows = shard.streams.fanouts.iter().map(|fan| fan.view.window());
            let windows: Vec<_> = windows.map(|w| (w.floor(), w.head(), w.len())).collect();
            format!("{ready:?} {windows:?} {:?}", roles.collect::<Vec<_>>())
        };
        self.shards.iter().map(of).collect::<Vec<_>>().join("\n")
    }

    /// A subscriber's counts and its place, while it is one.
    pub(crate) fn stats(&self, (id, key): Place) -> Option<(SubscriberStats, usize)> {
        let Role::Subscriber(subscribed) = &self.shards[id].conns.get(key)?.role else {
            return None;
        };
        let subscriber = &subscribed.subscriber;
        Some((subscriber.stats(), subscriber.position().0 as usize))
    }

    /// How many connections, streams, names and waited-for names there are.
    pub(crate) fn counts(&self) -> [(&'static str, usize); 4] {
        let sum = |of: fn(&Shard) -> usize| self.shards.iter().map(of).sum();
        [
            ("connections", sum(|shard| shard.conns.len())),
            ("streams", sum(|shard| shard.streams.fanouts.len())),
            ("names", sum(|shard| shard.streams.names.len())),
            ("waited-for names", sum(|shard| shard.streams.awaited.len())),
        ]
    }

    /// Takes every segment that the pools have; answers how many they allocated
    /// and did not give back to the kernel, and how many they have.
    pub(crate) fn segments(&mut self) -> (u64, u64) {
        let (mut owned, mut idle) = (0, 0);
        for shard in &mut self.shards {
            let pool = &mut shard.streams.pool;
            let ever = pool.allocated.get();
            let mut taken = Vec::new();
            while pool.allocated.get() == ever {
                taken.push(pool.take(nearlight::base::Position::ZERO));
            }
            owned += ever - pool.released.get();
            idle += taken.len() as u64 - 1;
        }
        (owned, idle)
    }
}
