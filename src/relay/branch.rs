//! A stream on its way to other shards: what its own shard hands on, and how
//! another follows it. See `ring::link` for what may go wrong.

use super::directory::ShardId;
use super::subscriber::Cut;
use super::view::View;
use crate::ring::{self, Item, Next};

/// The end of a link that another shard reads.
pub type Inlet = ring::Inlet<Cut>;

/// Another shard that follows a stream.
pub struct Branch {
    /// Which.
    pub shard: ShardId,
    /// The slot of its doorbell that the stream has there.
    pub slot: usize,
    /// None once it is lapped or gone: it is rung for once more.
    outlet: Option<ring::Outlet<Cut>>,
}

/// Every shard that follows a stream.
#[derive(Default)]
pub struct Branches(Vec<Branch>);

impl Branches {
    /// Lets `shard` follow from now on. It must have a clone of the view as of
    /// now.
    pub fn grow(&mut self, shard: ShardId, slot: usize) -> Inlet {
        self.cut_off(shard, slot);
        let (outlet, inlet) = ring::link();
        self.0.push(Branch { shard, slot, outlet: Some(outlet) });
        inlet
    }

    /// `shard` follows no longer.
    pub fn cut_off(&mut self, shard: ShardId, slot: usize) {
        self.0.retain(|branch| (branch.shard, branch.slot) != (shard, slot));
    }

    /// Hands something on to everybody. Who has no room for it is lapped.
    pub(super) fn hand_on(&mut self, item: impl Fn() -> Item<Cut>) {
        for branch in &mut self.0 {
            if branch.outlet.as_ref().is_some_and(|outlet| !outlet.push(item())) {
                branch.outlet = None;
            }
        }
    }

    /// The stream is over.
    pub fn end(&mut self) {
        for branch in &mut self.0 {
            branch.outlet.take().into_iter().for_each(ring::Outlet::end);
        }
    }

    /// Calls for each shard that has something to look at. Those that follow no
    /// longer are told this once.
    pub fn ring(&mut self, mut ring: impl FnMut(ShardId, usize)) {
        self.0.retain(|branch| {
            ring(branch.shard, branch.slot);
            branch.outlet.is_some()
        });
    }

    /// How many shards follow.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if none does.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What following a link has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// More will come.
    Goes,
    /// It was too slow: what it has is all that it gets through this link.
    Lapped,
    /// The stream is over, and it has all of it.
    Ended,
}

impl View {
    /// Takes over what has come through a link.
    pub fn follow(&mut self, inlet: &mut Inlet) -> Followed {
        loop {
            match inlet.take() {
                Next::Item(Item::Segment(segment)) => self.window.push(segment),
                Next::Item(Item::Join(join)) => self.window.push_join(join),
                Next::Item(Item::Note(cut)) => self.cut = cut,
                Next::Nothing => return Followed::Goes,
                Next::Lapped => return Followed::Lapped,
                Next::Ended => return Followed::Ended,
            }
        }
    }
}
