//! The other shards, as one shard sees them: a doorbell and a letter box each.

use super::control::Control;
use crate::limits::MAIL;
use crate::relay::ShardId;
use crate::ring::Doorbell;
use mio::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Every shard of the server.
#[derive(Default)]
pub struct Peers(Vec<Peer>);

#[derive(Default)]
struct Peer {
    bell: Doorbell,
    /// None in simulations, where nobody sleeps.
    waker: Option<Waker>,
    /// Touched when a peer, a stream or a link starts or ends, never for a
    /// frame.
    mail: Mutex<VecDeque<Control>>,
}

impl Peers {
    /// Shards that these wake up.
    pub fn new(wakers: impl IntoIterator<Item = Waker>) -> Arc<Self> {
        let peer = |waker| Peer { waker: Some(waker), ..Peer::default() };
        Arc::new(Self(wakers.into_iter().map(peer).collect()))
    }

    /// As many shards that never sleep.
    pub fn sleepless(count: usize) -> Arc<Self> {
        Arc::new(Self((0..count).map(|_| Peer::default()).collect()))
    }

    /// Every shard.
    pub fn ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        0..self.0.len()
    }

    /// The doorbell of a shard.
    pub fn bell(&self, shard: ShardId) -> &Doorbell {
        &self.0[shard].bell
    }

    /// Tells a shard that there is something new in a slot.
    pub fn ring(&self, shard: ShardId, slot: usize) {
        if let Some(peer) = self.0.get(shard)
            && peer.bell.ring(slot)
        {
            peer.wake();
        }
    }

    /// Sends a shard a message. One that has stood still until its letter box
    /// was full gets no more.
    pub fn send(&self, shard: ShardId, message: Control) {
        let Some(peer) = self.0.get(shard) else { return };
        let mut mail = peer.mail();
        if mail.len() >= MAIL {
            drop(mail);
            log::error!("shard {shard} stands still: a message to it is lost");
            return;
        }
        mail.push_back(message);
        drop(mail);
        if peer.bell.ring_for_mail() {
            peer.wake();
        }
    }

    /// Takes what a shard was sent.
    pub fn collect(&self, shard: ShardId, into: &mut VecDeque<Control>) {
        into.append(&mut self.0[shard].mail());
    }
}

impl Peer {
    fn mail(&self) -> MutexGuard<'_, VecDeque<Control>> {
        // Whoever panicked with it in hand had done no more than push or append.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker
            && let Err(why) = waker.wake()
        {
            log::error!("a shard can't be woken: {why}");
        }
    }
}
