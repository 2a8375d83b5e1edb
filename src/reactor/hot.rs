//! Sockets that are asked without being told: while a shard spins, those that
//! had something lately are received from directly, turn after turn, and the
//! poll is asked now and then for the rest. A poll that answers costs more than
//! a microsecond, a receive that finds nothing a fraction of that.
//!
//! It pays for a few sockets. Where more have something within a moment, each
//! would wait for the empty receives on all the others, and the poll alone is
//! asked.

use super::conn::Conn;
use super::slab::{Key, Slab};
use super::turn::Turn;
use super::udp::Ports;
use crate::base::Instant;
use crate::limits::{HOT_POLLS, HOT_SOCKETS, HOT_TIME};

/// A socket that can be received from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A connection.
    Conn(Key),
    /// A UDP socket.
    Port(usize),
}

/// The sockets that had something last.
#[derive(Debug, Default)]
pub struct Hot {
    sources: Vec<(Source, Instant)>,
    /// Turns since the poll was asked.
    turns: usize,
    /// There were too many; not before this.
    cools: Instant,
}

impl Hot {
    /// A socket had something.
    pub fn saw(&mut self, source: Source, now: Instant) {
        if let Some((_, seen)) = self.sources.iter_mut().find(|(known, _)| *known == source) {
            *seen = now;
            return;
        }
        if now < self.cools {
            return;
        }
        self.sources.retain(|(_, seen)| now.since(*seen) < HOT_TIME);
        if self.sources.len() < HOT_SOCKETS {
            self.sources.push((source, now));
        } else {
            self.sources.clear();
            self.cools = now + HOT_TIME;
        }
    }

    /// When one of them last had something.
    pub fn last(&self) -> Instant {
        self.sources.iter().map(|(_, seen)| *seen).max().unwrap_or_default()
    }

    /// Whether this turn begins without the poll.
    pub fn is_next(&mut self) -> bool {
        self.turns += 1;
        if self.sources.is_empty() || self.turns > HOT_POLLS {
            self.turns = 0;
            return false;
        }
        true
    }
}

/// Lists the hot sockets as if the poll had told of them.
pub(super) fn list<S>(turn: &mut Turn, conns: &mut Slab<Conn<S>>, ports: &mut Ports) {
    let mut sources = std::mem::take(&mut turn.hot.sources);
    let now = turn.now;
    sources.retain(|(source, seen)| {
        match source {
            Source::Port(number) => ports.readable(*number, turn),
            Source::Conn(key) => match conns.get_mut(*key) {
                Some(conn) => conn.list(*key, turn),
                None => return false,
            },
        }
        now.since(*seen) < HOT_TIME
    });
    turn.hot.sources = sources;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(1_000_000_000 + 1000 * micros)
    }

    #[test]
    fn a_few_are_asked_directly_and_the_poll_now_and_then() {
        let mut hot = Hot::default();
        assert!(!hot.is_next());
        hot.saw(Source::Port(1), at(0));
        assert_eq!((0..).take_while(|_| hot.is_next()).count(), HOT_POLLS);
        assert_eq!((0..).take_while(|_| hot.is_next()).count(), HOT_POLLS);
    }

    #[test]
    fn too_many_at_once_are_left_to_the_poll_for_a_while() {
        let mut hot = Hot::default();
        (0..HOT_SOCKETS).for_each(|n| hot.saw(Source::Port(n), at(n as u64)));
        assert!(hot.is_next());
        hot.saw(Source::Port(0), at(20));
        hot.saw(Source::Port(HOT_SOCKETS), at(21));
        assert!(!hot.is_next());
        hot.saw(Source::Port(0), at(22));
        assert!(!hot.is_next());
        let later = at(21) + HOT_TIME;
        hot.saw(Source::Port(0), later);
        assert!(hot.is_next());
    }

    #[test]
    fn who_has_nothing_for_long_makes_room() {
        let mut hot = Hot::default();
        (0..HOT_SOCKETS).for_each(|n| hot.saw(Source::Port(n), at(0)));
        hot.saw(Source::Port(9), at(0) + HOT_TIME);
        assert!(hot.is_next());
        assert_eq!(hot.sources.len(), 1);
    }
}
