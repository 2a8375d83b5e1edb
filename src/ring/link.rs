//! How the rest of a stream's ring comes to another shard: references to its
//! segments, its join points and what else must be known, through a bounded
//! queue with one sender and one receiver. The bytes themselves are not handed
//! on: their segment says how far it has got.
//!
//! The sender never waits. If the queue is full the receiver has been *lapped*:
//! the sender lets go of the link, and the receiver, once it has what was in
//! the queue, asks for another, which begins with all that is kept.

use super::segment::SegRef;
use super::sync::{Arc, AtomicBool, Ordering, Receiver, SyncSender, TryRecvError, sync_channel};
use super::window::JoinPoint;
use crate::limits::LINK_ITEMS;
use std::fmt;

/// What goes through a link. `N` is what the ring knows nothing of.
pub enum Item<N> {
    /// The stream goes on in this segment.
    Segment(SegRef),
    /// A join point became known.
    Join(JoinPoint),
    /// Something else did.
    Note(N),
}

/// The sending end, on the stream's shard.
pub struct Outlet<N> {
    queue: SyncSender<Item<N>>,
    has_ended: Arc<AtomicBool>,
}

/// The receiving end, on another shard.
pub struct Inlet<N> {
    queue: Receiver<Item<N>>,
    has_ended: Arc<AtomicBool>,
}

/// What comes next out of a link.
pub enum Next<N> {
    /// This.
    Item(Item<N>),
    /// Nothing for now.
    Nothing,
    /// Nothing ever: the receiver was too slow, and must ask for another link.
    Lapped,
    /// Nothing ever: the stream is over, and all of its segments have come.
    Ended,
}

/// A link.
pub fn link<N>() -> (Outlet<N>, Inlet<N>) {
    let (sender, receiver) = sync_channel(LINK_ITEMS);
    let has_ended = Arc::new(AtomicBool::new(false));
    let outlet = Outlet { queue: sender, has_ended: Arc::clone(&has_ended) };
    (outlet, Inlet { queue: receiver, has_ended })
}

impl<N> fmt::Debug for Inlet<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inlet")
    }
}

impl<N> Outlet<N> {
    /// Hands something on; false if the receiver is lapped or gone. Then the
    /// outlet is of no more use.
    pub fn push(&self, item: Item<N>) -> bool {
        self.queue.try_send(item).is_ok()
    }

    /// The stream is over: everything is committed, and nothing will follow.
    pub fn end(self) {
        self.has_ended.store(true, Ordering::Release);
    }
}

impl<N> Inlet<N> {
    /// What comes next.
    pub fn take(&mut self) -> Next<N> {
        match self.queue.try_recv() {
            Ok(item) => Next::Item(item),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) if self.has_ended.load(Ordering::Acquire) => {
                Next::Ended
            }
            Err(TryRecvError::Disconnected) => Next::Lapped,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn all_comes_in_order_and_then_the_end() {
        let (outlet, mut inlet) = link();
        assert!(matches!(inlet.take(), Next::Nothing));
        for n in 0..3 {
            assert!(outlet.push(Item::Note(n)));
        }
        outlet.end();
        for n in 0..3 {
            assert!(matches!(inlet.take(), Next::Item(Item::Note(found)) if found == n));
        }
        assert!(matches!(inlet.take(), Next::Ended));
    }

    #[test]
    fn who_is_lapped_gets_what_was_there_and_is_told() {
        let (outlet, mut inlet) = link();
        assert_eq!((0..).take_while(|n| outlet.push(Item::Note(*n))).count(), LINK_ITEMS);
        drop(outlet);
        for _ in 0..LINK_ITEMS {
            assert!(matches!(inlet.take(), Next::Item(_)));
        }
        assert!(matches!(inlet.take(), Next::Lapped));
    }

    #[test]
    fn nothing_is_handed_to_one_that_is_gone() {
        let (outlet, inlet) = link();
        drop(inlet);
        assert!(!outlet.push(Item::Note(())));
    }
}
