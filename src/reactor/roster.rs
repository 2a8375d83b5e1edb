//! The subscribers of a stream on connections of one shard, and where each
//! stands.

use super::conn::{Standing, Subscribed};
use super::serve::Served;
use super::slab::Key;
use super::turn::Turn;
use crate::relay::Held;
use crate::report::{Delivered, Over};
use std::collections::VecDeque;
use std::time::Duration;

/// Who gets a stream.
///
/// A subscriber's key is on exactly one of `live`, `waiting`, the turn's list
/// of bursts, or none while the kernel takes no more from it. `behind` lists
/// those, beside, whose lag must be looked at.
#[derive(Debug, Default)]
pub struct Roster {
    /// Subscribers that have everything up to the head, or will have before
    /// this pass ends; the next to be served first.
    pub live: VecDeque<Key>,
    /// How many of `live`, from the front, this pass has still to serve.
    pub left: usize,
    /// Subscribers that wait for a join point.
    pub waiting: Vec<Key>,
    /// Subscribers that are not at the head.
    pub behind: Vec<Key>,
    /// The largest lag of those, at the last tick.
    pub worst_lag: Duration,
    /// Segments held for subscribers that leave.
    pub held: Held,
    /// Subscribers, wherever they stand.
    pub count: usize,
    /// The same by transport, in the order of [`Over::ALL`].
    pub by_transport: [usize; Over::ALL.len()],
    /// What all of them got and missed, those over UDP and those gone included.
    pub delivered: Delivered,
}

impl Roster {
    /// Counts a subscriber that has come.
    pub fn enter(&mut self, over: Over) {
        self.count += 1;
        self.by_transport[over as usize] += 1;
    }

    /// There is something new: a pass over all who are live begins.
    pub fn renew(&mut self) {
        self.left = self.live.len();
    }

    /// Takes the next subscriber of this pass off its list.
    pub fn take_next(&mut self) -> Option<Key> {
        self.left = self.left.checked_sub(1)?;
        self.live.pop_front()
    }

    /// A pass is complete: whoever was first is last next time.
    pub fn rotate(&mut self) {
        self.live.rotate_left(usize::from(!self.live.is_empty()));
    }

    /// Notes where a subscriber stands that is on no list.
    pub fn settle(&mut self, key: Key, served: Served, one: &mut Subscribed, turn: &mut Turn) {
        let is_behind = matches!(served, Served::Blocked | Served::More);
        if is_behind && !one.is_behind {
            one.is_behind = true;
            self.behind.push(key);
        }
        one.standing = match served {
            // What gathers is sent in the pass that is due then.
            Served::AtHead | Served::Gathering => {
                self.live.push_back(key);
                Standing::Live
            }
            Served::Waiting => {
                self.waiting.push(key);
                Standing::Waiting
            }
            Served::More => {
                turn.ready.catchup.push_back(key);
                Standing::Listed
            }
            Served::Blocked | Served::Over | Served::Lost => Standing::Blocked,
        };
    }

    /// A subscriber is gone, or has become something else.
    pub fn detach(&mut self, key: Key, one: &Subscribed) {
        self.count -= 1;
        self.by_transport[one.over as usize] -= 1;
        self.held.give_back(one.subscriber.held());
        match one.standing {
            Standing::Live => {
                if let Some(at) = self.live.iter().position(|live| *live == key) {
                    self.live.remove(at);
                    self.left -= usize::from(at < self.left);
                }
            }
            Standing::Waiting => self.waiting.retain(|waiting| *waiting != key),
            // The turn's lists and `behind` drop keys that name nothing.
            Standing::Listed | Standing::Blocked => {}
        }
    }
}
