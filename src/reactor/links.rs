//! Streams of other shards: asked for while somebody here wants them, followed
//! through a link, and let go.
//!
//! ```text
//! here      somebody wants a name ─▶ directory: it lives ─▶ Link ──▶ owner
//!                                    directory: it does not ─▶ a waiter with
//!                                    a slot, whom its owner will find there
//! owner     grows a branch, clones its view ─▶ Linked ──▶ here
//! here      a fan-out of its own, fed by the link; the bell says when
//! ```
//!
//! A shard that is lapped keeps what it has, asks for another link, and goes on
//! in what that brings.

use super::close;
use super::conn::Conn;
use super::control::Control;
use super::lag;
use super::slab::{Key, Slab};
use super::streams::{Fanout, Origin, Streams};
use super::turn::Turn;
use crate::limits::{LINKS, WAITED_STREAMS};
use crate::protocol::Name;
use crate::relay::{Followed, Found, Inlet, ShardId, View, Waiter};
use crate::sys::socket::Socket;
use std::collections::BTreeMap;

/// What the owner of a stream answers: its view as of now, and how it goes on.
#[derive(Debug)]
pub struct Offer {
    /// What is kept of the stream.
    pub view: View,
    /// What comes.
    pub inlet: Inlet,
    /// Whose it is.
    pub owner: ShardId,
}

/// Where a name that is wanted is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Here.
    Here(Key),
    /// On another shard, which has been asked.
    Coming,
    /// Nowhere yet.
    Absent,
    /// There are too many streams.
    Full,
}

/// The slots of this shard's doorbell, and what has been asked for.
#[derive(Debug, Default)]
pub struct Links {
    /// Who has each slot; none while it is not there yet.
    slots: slab::Slab<Option<Holder>>,
    asked: BTreeMap<Name, Asked>,
}

/// A stream of another shard.
#[derive(Clone, Copy, Debug)]
struct Holder {
    owner: ShardId,
    stream: Key,
}

/// A name that is not there yet.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The slot that it will have.
    slot: usize,
    /// It is nowhere: who claims it will say so. Or else its owner has been
    /// asked.
    waits: bool,
}

impl Streams {
    /// Looks for a name that somebody here wants; if it is on another shard,
    /// asks for it. `waits`: if it is nowhere, this shard is to be told.
    pub fn seek(&mut self, name: &Name, waits: bool) -> Sought {
        if let Some(key) = self.names.get(name) {
            return Sought::Here(*key);
        }
        let asked = self.links.asked.get(name);
        if asked.is_some_and(|asked| !asked.waits) {
            return Sought::Coming;
        }
        let is_told = asked.is_some();
        let is_full = self.links.slots.len() >= LINKS;
        // Names that nobody publishes must not keep the live ones out, nor those
        // that a listener has.
        let most = (WAITED_STREAMS / self.peers.ids().count().max(1)).min(LINKS / 2);
        let is_stranger = !self.listed.contains(name);
        let waits_too_long = is_full || (is_stranger && self.links.asked.len() >= most);
        let slot = (waits && !is_told && !waits_too_long).then(|| self.links.slots.insert(None));
        let found = self.directory.find(name, self.shard, slot);
        let asked = match (found, slot) {
            (Found::Live { owner, .. }, _) if owner != self.shard => {
                if is_told {
                    // Its owner knows, and will say so.
                    return Sought::Coming;
                }
                if is_full {
                    return Sought::Full;
                }
                let slot = slot.unwrap_or_else(|| self.links.slots.insert(None));
                self.peers
                    .send(owner, Control::Link { name: name.clone(), from: self.shard, slot });
                Asked { slot, waits: false }
            }
            (Found::Absent, Some(slot)) => Asked { slot, waits: true },
            (Found::Live { .. } | Found::Absent | Found::Full, _) => {
                slot.map(|slot| self.links.slots.remove(slot));
                let is_refused = found == Found::Full || (waits && !is_told && waits_too_long);
                return if is_refused { Sought::Full } else { Sought::Absent };
            }
        };
        let sought = if asked.waits { Sought::Absent } else { Sought::Coming };
        self.links.asked.insert(name.clone(), asked);
        sought
    }

    /// Nobody here waits for a name any more.
    pub(super) fn unseek(&mut self, name: &Name) {
        let Some(asked) = self.links.asked.get_mut(name).filter(|asked| asked.waits) else {
            return;
        };
        if self.directory.forget(name, self.shard) {
            self.unask(name);
        } else {
            // It has been claimed meanwhile, and its owner has the slot: it is
            // coming, wanted or not.
            asked.waits = false;
        }
    }

    /// The slot that a name would have had is free.
    fn unask(&mut self, name: &Name) {
        if let Some(asked) = self.links.asked.remove(name) {
            self.links.slots.try_remove(asked.slot);
        }
    }

    /// Whether this shard follows a stream of another.
    pub fn follows(&self) -> bool {
        !self.links.slots.is_empty()
    }

    /// Whether a name has been asked for on another shard.
    pub fn is_coming(&self, name: &Name) -> bool {
        self.links.asked.get(name).is_some_and(|asked| !asked.waits)
    }

    /// Hands a stream that has just begun to the shards that wait for it.
    pub(super) fn offer_to(&mut self, name: &Name, waiters: &[Waiter]) {
        for (shard, slot) in waiters {
            if *shard == self.shard {
                self.unask(name);
            } else {
                self.offer(name.clone(), *shard, *slot);
            }
        }
    }

    /// Another shard asks for a stream of this one.
    pub fn offer(&mut self, name: Name, from: ShardId, slot: usize) {
        let key = self.names.get(&name).copied();
        let fan = key.and_then(|key| self.fanouts.get_mut(key));
        let offer = match fan {
            Some(Fanout { view, origin: Origin::Here(stream), .. }) => {
                let inlet = stream.branches.grow(from, slot);
                Some(Box::new(Offer { view: view.clone(), inlet, owner: self.shard }))
            }
            Some(_) | None => None,
        };
        self.peers.send(from, Control::Linked { name, slot, offer });
    }

    /// Another shard follows a stream of this one no longer.
    pub fn cut_off(&mut self, name: &Name, epoch: u64, from: ShardId, slot: usize) {
        let key = self.names.get(name).copied();
        if let Some(fan) = key.and_then(|key| self.fanouts.get_mut(key))
            && fan.view.epoch == epoch
            && let Origin::Here(stream) = &mut fan.origin
        {
            stream.branches.cut_off(from, slot);
        }
    }

    /// An owner has answered. The stream that is followed from now on, if there
    /// is one.
    pub fn linked<S: Socket>(
        &mut self,
        name: &Name,
        slot: usize,
        offer: Option<Box<Offer>>,
        turn: &mut Turn,
        conns: &mut Slab<Conn<S>>,
    ) -> Option<Key> {
        let is_asked = self.links.asked.get(name).is_some_and(|asked| asked.slot == slot);
        let held = self.links.slots.get(slot).copied().flatten().filter(|_| is_asked);
        let before = held.map(|holder| holder.stream);
        let is_here = self.names.get(name).is_some_and(|key| Some(*key) != before);
        let offer = offer.map(|offer| *offer);
        if !is_asked || is_here {
            // Nobody waits any more, or a later life of it has begun here.
            if let Some(Offer { view, owner, .. }) = offer {
                self.leave(name.clone(), view.epoch, owner, slot);
            }
            if is_asked {
                self.unask(name);
                if let Some(lapped) = before {
                    self.finish(lapped, turn);
                }
            }
            return None;
        }
        self.links.asked.remove(name);
        let Some(Offer { view, inlet, owner }) = offer else {
            // It is over. What a lapped one has is all that it gets.
            match before {
                Some(key) => self.finish(key, turn),
                None => {
                    self.links.slots.try_remove(slot);
                    self.seek_again(name);
                }
            }
            return None;
        };
        let inlet = Some(inlet);
        if let Some(key) = before
            && let Some(fan) = self.fanouts.get_mut(key)
        {
            if fan.view.epoch == view.epoch {
                let lost = lag::lapse(fan, view.window().floor(), turn, conns);
                fan.view = view;
                fan.origin = Origin::There { slot, inlet };
                close::drop_all(lost, turn, self, conns);
                self.mark_dirty(key, turn);
                return Some(key);
            }
            // The one that was followed ended meanwhile; the slot is kept.
            fan.origin = Origin::Nowhere;
        }
        let key = self.insert(view, Origin::There { slot, inlet });
        if let Some(held) = self.links.slots.get_mut(slot) {
            *held = Some(Holder { owner, stream: key });
        }
        if let Some(ended) = before {
            self.finish(ended, turn);
        }
        self.mark_dirty(key, turn);
        Some(key)
    }

    /// The bell was rung for a slot.
    pub fn rung(&mut self, slot: usize, turn: &mut Turn) {
        if let Some(Some(Holder { stream, .. })) = self.links.slots.get(slot) {
            self.mark_dirty(*stream, turn);
        }
    }

    /// Takes over what has come of a stream of another shard.
    pub fn follow(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else { return };
        let Origin::There { slot, inlet } = &mut fan.origin else { return };
        let Some(link) = inlet else { return };
        match fan.view.follow(link) {
            Followed::Goes => {}
            Followed::Ended => {
                *inlet = None;
                self.finish(key, turn);
            }
            Followed::Lapped => {
                *inlet = None;
                let (slot, name) = (*slot, fan.view.name.clone());
                turn.counters.lapped.bump();
                log::warn!("shard {} was too slow for {name}, and asks for it again", self.shard);
                if let Some(Some(Holder { owner, .. })) = self.links.slots.get(slot) {
                    self.links.asked.insert(name.clone(), Asked { slot, waits: false });
                    self.peers.send(*owner, Control::Link { name, from: self.shard, slot });
                }
            }
        }
    }

    /// A stream of another shard is over: subscribers get the rest and then the
    /// end.
    fn finish(&mut self, key: Key, turn: &mut Turn) {
        let Some(fan) = self.fanouts.get_mut(key) else { return };
        fan.ended.get_or_insert(turn.now);
        if let Origin::There { slot, .. } = std::mem::replace(&mut fan.origin, Origin::Nowhere) {
            self.links.slots.try_remove(slot);
        }
        let name = fan.view.name.clone();
        self.unname(&name, key);
        self.mark_dirty(key, turn);
        self.end_derived(key, turn);
    }

    /// Lets a stream of another shard go, for nobody here wants it.
    pub(super) fn let_go(&mut self, key: Key) {
        let Some(fan) = self.fanouts.get(key) else { return };
        let Origin::There { slot, .. } = fan.origin else { return };
        let (name, epoch) = (fan.view.name.clone(), fan.view.epoch);
        if self.crowds.contains_key(&name) || self.is_coming(&name) {
            return;
        }
        if let Some(Some(Holder { owner, .. })) = self.links.slots.try_remove(slot) {
            self.leave(name.clone(), epoch, owner, slot);
        }
        self.fanouts.remove(key);
        self.unname(&name, key);
    }

    fn leave(&self, name: Name, epoch: u64, owner: ShardId, slot: usize) {
        self.peers.send(owner, Control::CutOff { name, epoch, from: self.shard, slot });
    }
}
