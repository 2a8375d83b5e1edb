//! Residence: from the kernel's receipt of a frame's last byte, or our own
//! where it says nothing of it, to after the send that accepted it, for each
//! subscriber and stream. Bursts are left out: they are old when they are
//! asked for.
//!
//! The clock is read every few sends and when a phase ends, not for each
//! frame: sends between two reads are taken to have been equally long.

use super::conn::{Conn, Role};
use super::slab::{Key, Slab};
use super::streams::Streams;
use super::turn::Turn;
use crate::base::{Bucket, Histogram, Instant, Place, Position, Totals};
use crate::limits::{WALL_DOUBT, WALL_PAUSE, WALL_TIME};
use crate::relay::View;
use crate::sys::clock::{Clock, Stamp};

/// What one send has brought to a subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// To whom.
    pub conn: Key,
    /// Of which stream.
    pub stream: Key,
    /// The first byte.
    pub from: Position,
    /// Just past the last one.
    pub to: Position,
}

/// The sends of a phase.
#[derive(Debug, Default)]
pub struct Deliveries {
    list: Vec<(Delivery, Instant)>,
    /// How many of them have their time.
    timed: usize,
    /// When the first of the others began.
    since: Instant,
    stays: Stays,
}

impl Deliveries {
    /// A send has been made; `now` is when the clock was last read.
    pub fn push(&mut self, delivery: Delivery, now: Instant) {
        if self.timed == self.list.len() {
            self.since = now;
        }
        self.list.push((delivery, now));
    }

    /// The clock has been read.
    pub(super) fn tell(&mut self, now: Instant) {
        let open = &mut self.list[self.timed..];
        let (span, count) = (now.nanos_since(self.since), open.len() as u64);
        for (n, (_, at)) in (1..).zip(open) {
            *at = Instant::from_nanos(self.since.as_nanos() + span.saturating_mul(n) / count);
        }
        self.timed = self.list.len();
    }
}

/// A phase is over: what it has delivered is counted.
pub fn settle<S>(turn: &mut Turn, streams: &mut Streams, conns: &mut Slab<Conn<S>>) {
    if turn.deliveries.list.is_empty() {
        return;
    }
    turn.read_clock();
    let Deliveries { list, timed, stays, .. } = &mut turn.deliveries;
    let mut of = None;
    for (Delivery { conn, stream, from, to }, at) in list.drain(..) {
        let Some(fan) = streams.fanouts.get_mut(stream) else { continue };
        // Those who keep up are sent the same.
        if of.replace((stream, from, to)) != Some((stream, from, to)) {
            stays.note(&fan.view, from, to);
        }
        let own = match conns.get_mut(conn).map(|conn| &mut conn.role) {
            Some(Role::Subscriber(one)) if one.stream == stream => {
                Some(&mut **one.residence.get_or_insert_default())
            }
            _ => None,
        };
        stays.record_one(at, &mut fan.residence, own);
    }
    *timed = 0;
}

/// The kernel's stamps, on this shard's clock.
#[derive(Debug, Default)]
pub struct Wall {
    /// How far the one is ahead of the other, in nanoseconds.
    lead: u64,
    /// When that was looked at. Who sets the time changes it.
    looked: Instant,
}

impl Wall {
    /// How long the kernel had had by `now` what it stamped then, in
    /// nanoseconds; 0: not known.
    pub(super) fn waited(&mut self, stamp: Option<Stamp>, now: Instant) -> u32 {
        let Some(stamp) = stamp else { return 0 };
        let mut at = stamp.at(self.lead);
        // Far from now: who knows whether the time has been set.
        let is_strange = now.nanos_since(at).max(at.nanos_since(now)) > WALL_DOUBT;
        if now.since(self.looked) > if is_strange { WALL_PAUSE } else { WALL_TIME } {
            self.lead = Clock::lead();
            self.looked = now;
            at = stamp.at(self.lead);
        } else if is_strange && at > now {
            // Nothing comes from the future: the clock was set a moment ago.
            return 0;
        }
        u32::try_from(now.nanos_since(at)).map_or(0, |waited| waited.max(1))
    }
}

/// When the frames of a stretch arrived, and how many did at once.
#[derive(Debug, Default)]
pub(super) struct Stays(Vec<(Instant, u32)>);

impl Stays {
    /// Notes those that end after `from`, and not after `to`.
    pub(super) fn note(&mut self, view: &View, from: Position, to: Position) {
        self.0.clear();
        for span in view.window().spans(from).take_while(|span| span.end <= to) {
            let received = span.received();
            match self.0.last_mut() {
                Some((known, count)) if *known == received => *count += 1,
                _ => self.0.push((received, 1)),
            }
        }
    }

    /// Counts that as many subscribers had them at `at`.
    pub(super) fn record(&self, at: Instant, subscribers: u32, into: &mut Histogram<impl Bucket>) {
        for (place, count) in self.places(at) {
            into.put(place, count.saturating_mul(subscribers));
        }
    }

    /// Counts that one subscriber had them at `at`, for its stream and for itself.
    fn record_one(&self, at: Instant, stream: &mut Totals, mut own: Option<&mut Histogram>) {
        for (place, count) in self.places(at) {
            stream.put(place, count);
            if let Some(own) = &mut own {
                own.put(place, count);
            }
        }
    }

    /// Where in a histogram what was had at `at` is counted, and how often.
    fn places(&self, at: Instant) -> impl Iterator<Item = (Place, u32)> {
        self.0.iter().map(move |(received, count)| (Place::of(at.nanos_since(*received)), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Kind, Transport};
    use crate::protocol::{Ask, Name};
    use crate::reactor::conn::{Standing, Subscribed};
    use crate::reactor::fanout;
    use crate::reactor::udp::Ports;
    use crate::relay::{Form, Settings, Subscriber};
    use crate::report::Over;
    use crate::sys::socket::Socket;
    use std::cell::Cell;
    use std::io::{self, IoSlice};
    use std::time::Duration;

    /// What every look at the clock takes.
    const STEP: Duration = Duration::from_micros(40);

    thread_local! {
        static NOW: Cell<Instant> = const { Cell::new(Instant::from_nanos(1_000_000_000)) };
    }

    fn clock() -> Instant {
        NOW.set(NOW.get() + STEP);
        NOW.get()
    }

    /// Takes everything.
    #[derive(Debug)]
    struct Sink;

    impl Socket for Sink {
        fn recv(&mut self, _space: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            Ok(slices.iter().map(|slice| slice.len()).sum())
        }

        fn unacked(&mut self) -> io::Result<usize> {
            Ok(0)
        }

        fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A stream of lines and who is sent it.
    struct Rig {
        turn: Turn,
        streams: Streams,
        conns: Slab<Conn<Sink>>,
        stream: Key,
        keys: Vec<Key>,
    }

    impl Rig {
        fn new() -> Self {
            let settings = Settings::of(&Ask { framing: Some(Kind::Lines), ..Ask::default() });
            let mut streams = Streams::alone(settings.max_lag);
            let name = Name::parse("cam").unwrap();
            let stream = streams.open(&name, 1, &settings, Transport::Bytes);
            let (turn, conns) = (Turn::new(clock), Slab::default());
            Self { turn, streams, conns, stream, keys: Vec::new() }
        }

        /// A subscriber that starts with what is kept of the stream.
        fn join(&mut self) {
            let settings = Settings::of(&Ask::default());
            let role = Role::Subscriber(Box::new(Subscribed {
                stream: self.stream,
                subscriber: Subscriber::early(&settings, Form::Plain, self.turn.now),
                residence: None,
                inbound: None,
                is_unanswered: false,
                standing: Standing::Listed,
                is_behind: false,
                over: Over::Tcp,
                joined: self.turn.now,
            }));
            let peer = ([127, 0, 0, 1], 9).into();
            let key = self.conns.insert(Conn::new(Sink, peer, 0, role, self.turn.now));
            self.streams.fanouts.get_mut(self.stream).unwrap().roster.enter(Over::Tcp);
            self.turn.ready.catchup.push_back(key);
            self.keys.push(key);
        }

        fn publish(&mut self, bytes: &[u8]) {
            let mut ingest = self.streams.ingest(self.stream).unwrap();
            let len = ingest.copy_in(bytes);
            ingest.received(len, self.turn.now).unwrap();
            self.streams.mark_dirty(self.stream, &mut self.turn);
        }

        /// A line that the kernel has had for so long.
        fn publish_late(&mut self, bytes: &[u8], waited: Duration) {
            let nanos = waited.as_nanos() as u32;
            self.streams.ingest(self.stream).unwrap().stream.waited = nanos;
            self.publish(bytes);
        }

        fn fan_out(&mut self) {
            let Self { turn, streams, conns, .. } = self;
            fanout::live(turn, streams, conns, &mut Ports::default());
            fanout::catchup(turn, streams, conns);
        }

        /// What is counted for a subscriber alone.
        fn own(&self, key: Key) -> Option<&Histogram> {
            let Role::Subscriber(one) = &self.conns.get(key).unwrap().role else { return None };
            one.residence.as_deref()
        }

        /// How many frames each subscriber has been counted for, and all.
        fn counts(&self) -> (Vec<u64>, u64) {
            let of = |key: &Key| self.own(*key).map_or(0, Histogram::count);
            let fan = self.streams.fanouts.get(self.stream).unwrap();
            (self.keys.iter().map(of).collect(), fan.residence.count())
        }
    }

    #[test]
    fn each_frame_counts_for_each_subscriber_and_bursts_do_not() {
        let mut rig = Rig::new();
        (0..3).for_each(|_| rig.join());
        rig.fan_out();
        rig.publish(b"one\ntwo\n");
        rig.fan_out();
        assert_eq!(rig.counts(), (vec![2, 2, 2], 6));
        rig.join();
        rig.fan_out();
        assert_eq!(rig.counts(), (vec![2, 2, 2, 0], 6), "what was there before");
        rig.publish(b"three\n");
        rig.fan_out();
        assert_eq!(rig.counts(), (vec![3, 3, 3, 1], 10));
    }

    #[test]
    fn what_the_kernel_had_for_long_has_stayed_for_long() {
        let mut rig = Rig::new();
        rig.join();
        rig.fan_out();
        for late in [Duration::ZERO, Duration::from_millis(3), Duration::from_millis(500)] {
            let before = rig.own(rig.keys[0]).map_or(Duration::ZERO, Histogram::sum);
            rig.turn.read_clock();
            rig.publish_late(b"line\n", late);
            rig.fan_out();
            let stayed = rig.own(rig.keys[0]).unwrap().sum() - before;
            assert_eq!(stayed, late + STEP);
        }
    }

    #[test]
    fn stamps_are_told_on_our_clock_and_a_set_clock_is_not_believed() {
        let mut wall = Wall::default();
        let now = Clock::now();
        let stamp = |ago: Duration| {
            let at = now.as_nanos() + Clock::lead() - ago.as_nanos() as u64;
            Some(Stamp::from_nanos(at))
        };
        let waited = wall.waited(stamp(Duration::from_millis(7)), now);
        assert!((6_900_000..7_100_000).contains(&waited), "{waited}");
        assert_eq!(wall.waited(None, now), 0);
        assert_eq!(wall.waited(stamp(Duration::from_secs(3600)), now), 0);
        // It was known as it was before somebody set the time, by two seconds.
        for lead in [Clock::lead() - 2_000_000_000, Clock::lead() + 2_000_000_000] {
            (wall.lead, wall.looked) = (lead, Instant::ZERO);
            let waited = wall.waited(stamp(Duration::from_millis(7)), now);
            assert!((6_900_000..7_100_000).contains(&waited), "{waited}");
        }
        assert!(wall.waited(stamp(Duration::ZERO), now) < 100_000, "known, and next to nothing");
    }

    #[test]
    fn sends_between_two_looks_at_the_clock_were_equally_long() {
        let mut rig = Rig::new();
        (0..4).for_each(|_| rig.join());
        rig.fan_out();
        rig.turn.read_clock();
        rig.publish(b"one\n");
        rig.fan_out();
        let mut wanted = Totals::default();
        (1..=4).for_each(|n| wanted.record(STEP * n / 4));
        assert_eq!(rig.streams.fanouts.get(rig.stream).unwrap().residence, wanted);
        let mut wanted = Histogram::default();
        wanted.record(STEP);
        assert_eq!(rig.own(rig.keys[3]), Some(&wanted));
    }
}
