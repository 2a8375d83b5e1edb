//! How one shard tells another that there is something to do: one word, rung
//! by anybody, answered by its shard.
//!
//! ```text
//! word   SLEEPING │ MAIL │ one bit for each group with a slot that was rung
//! groups 62 × 64 slots, a bit each
//! ```
//!
//! A shard that spins looks at the word, a plain load of a line that stays in
//! its cache until somebody rings: no system call on either side. A shard that
//! is about to sleep puts SLEEPING into a word that is otherwise zero, which
//! fails if it was rung meanwhile; who then finds the word to be SLEEPING and
//! nothing else is the one who has to wake it, so that there is one wake-up for
//! a sleep at most.
//!
//! Ringing is a read-modify-write even if the bit is set already: it is what
//! orders the bytes committed before it against the look that the shard takes
//! after answering. A plain check first would lose updates.

use super::sync::{AtomicU64, Ordering};
use crate::limits::LINKS;

const SLEEPING: u64 = 1 << 63;
const MAIL: u64 = 1 << 62;
const BITS: usize = u64::BITS as usize;
const GROUPS: usize = LINKS / BITS;

const _: () = assert!(LINKS.is_multiple_of(BITS) && GROUPS <= 62);

/// A doorbell. The word has cache lines of its own, or what lies beside it
/// would cost whoever spins on it.
#[derive(Debug)]
#[repr(align(128))]
pub struct Doorbell {
    word: AtomicU64,
    groups: Groups,
}

#[derive(Debug)]
#[repr(align(128))]
struct Groups([AtomicU64; GROUPS]);

impl Default for Doorbell {
    fn default() -> Self {
        let groups = std::array::from_fn(|_| AtomicU64::new(0));
        Self { word: AtomicU64::new(0), groups: Groups(groups) }
    }
}

impl Doorbell {
    /// There is something new in `slot`; answers whether the shard sleeps and
    /// is to be woken.
    pub fn ring(&self, slot: usize) -> bool {
        let (group, bit) = (slot / BITS % GROUPS, slot % BITS);
        self.groups.0[group].fetch_or(1 << bit, Ordering::Release);
        self.word.fetch_or(1 << group, Ordering::AcqRel) == SLEEPING
    }

    /// There is mail; answers whether the shard sleeps and is to be woken.
    pub fn ring_for_mail(&self) -> bool {
        self.word.fetch_or(MAIL, Ordering::AcqRel) == SLEEPING
    }

    /// Whether it has been rung: a look that costs nothing while it has not.
    pub fn is_rung(&self) -> bool {
        self.word.load(Ordering::Relaxed) != 0
    }

    /// Says that its shard goes to sleep; false if it was rung and must not.
    pub fn sleep(&self) -> bool {
        self.word.compare_exchange(0, SLEEPING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The shard is awake: calls for each slot that was rung, and answers
    /// whether there is mail.
    pub fn answer(&self, mut rung: impl FnMut(usize)) -> bool {
        let word = self.word.swap(0, Ordering::AcqRel);
        for group in bits(word & !(SLEEPING | MAIL)) {
            let slots = self.groups.0[group].swap(0, Ordering::AcqRel);
            bits(slots).for_each(|bit| rung(group * BITS + bit));
        }
        word & MAIL != 0
    }
}

/// The places of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < BITS).then_some(bit)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn answered(bell: &Doorbell) -> (Vec<usize>, bool) {
        let mut slots = Vec::new();
        let mail = bell.answer(|slot| slots.push(slot));
        (slots, mail)
    }

    #[test]
    fn every_slot_is_told_once() {
        let bell = Doorbell::default();
        assert!(!bell.is_rung());
        for slot in [LINKS - 1, 0, 63, 64, 0] {
            assert!(!bell.ring(slot), "nobody sleeps");
        }
        assert!(bell.is_rung());
        assert_eq!(answered(&bell), (vec![0, 63, 64, LINKS - 1], false));
        bell.ring_for_mail();
        assert_eq!(answered(&bell), (vec![], true));
        assert_eq!(answered(&bell), (vec![], false));
    }

    #[test]
    fn one_who_rings_wakes_a_sleeper_and_nobody_sleeps_through_a_ring() {
        let bell = Doorbell::default();
        assert!(bell.sleep());
        assert!(bell.ring(7), "the first is to wake it");
        assert!(!bell.ring(8) && !bell.ring_for_mail(), "the others need not");
        assert_eq!(answered(&bell), (vec![7, 8], true));
        bell.ring(3);
        assert!(!bell.sleep());
        assert_eq!(answered(&bell), (vec![3], false));
        assert!(bell.sleep());
    }
}
