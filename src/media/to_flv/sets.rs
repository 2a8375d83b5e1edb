//! Parameter sets, kept out of band: FLV has them in a sequence header, once
//! and again when they change.

use crate::limits::{MEDIA_SET_BYTES, MEDIA_SETS};

/// Kinds of parameter sets, by their place in a row of three.
pub(super) const VPS: usize = 0;
pub(super) const SPS: usize = 1;
pub(super) const PPS: usize = 2;

/// What a NAL unit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nal {
    /// Not for FLV, or broken: left out.
    Idle,
    /// A parameter set.
    Set(usize),
    /// Part of a picture; `key`: of one that needs no other.
    Slice { key: bool },
    /// Passed on, but no picture.
    Other,
}

/// What a decoder must know first, and a viewer may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    /// The decoder configuration record.
    pub(super) record: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The sets of one kind, one for each identifier, the newest at the end.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: Vec<(u32, Vec<u8>)>,
}

impl Sets {
    /// Takes a set up. True if it says something new. What is more than is kept
    /// of a kind, in sets or in bytes, drives the oldest out.
    pub(super) fn take(&mut self, id: u32, nal: &[u8]) -> bool {
        let old = self.sets.iter().position(|set| set.0 == id);
        let same = old.is_some_and(|at| self.sets[at].1 == nal);
        if same || nal.len() > MEDIA_SET_BYTES {
            return false;
        }
        if let Some(at) = old {
            self.sets.remove(at);
        }
        let bytes: usize = self.sets.iter().map(|set| set.1.len()).sum();
        let mut over = (bytes + nal.len()).saturating_sub(MEDIA_SET_BYTES);
        let mut left = self.sets.len();
        self.sets.retain(|(_, set)| {
            let stays = over == 0 && left < MEDIA_SETS;
            if !stays {
                over = over.saturating_sub(set.len());
                left -= 1;
            }
            stays
        });
        self.sets.push((id, nal.to_vec()));
        true
    }

    pub(super) fn newest(&self) -> Option<&[u8]> {
        self.sets.last().map(|set| &set.1[..])
    }

    /// How many there are; `MEDIA_SETS` at most.
    pub(super) fn count(&self) -> u8 {
        self.sets.len() as u8
    }

    /// Appends each with its length before it, of 16 bits.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (_, nal) in &self.sets {
            out.extend((nal.len() as u16).to_be_bytes());
            out.extend(nal);
        }
    }
}

const _: () = assert!(MEDIA_SETS < 32 && MEDIA_SET_BYTES <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_replaces_its_own_identifier() {
        let mut sets = Sets::default();
        assert!(sets.take(0, b"a") && sets.take(1, b"b"));
        assert!(!sets.take(0, b"a"));
        assert!(sets.take(0, b"c"));
        let mut out = Vec::new();
        sets.write(&mut out);
        assert_eq!((sets.count(), &out[..]), (2, &b"\0\x01b\0\x01c"[..]));
        assert_eq!(sets.newest(), Some(&b"c"[..]));
    }

    #[test]
    fn sets_are_bounded() {
        let mut sets = Sets::default();
        assert!(!sets.take(0, &[0; MEDIA_SET_BYTES + 1]));
        for id in 0..100 {
            assert!(sets.take(id, b"a"));
        }
        assert_eq!(usize::from(sets.count()), MEDIA_SETS);
        assert_eq!(sets.sets.last().map(|set| set.0), Some(99));
        // In bytes too: the oldest go, as few as have to.
        let half = [1; MEDIA_SET_BYTES / 2];
        assert!(sets.take(100, &half) && sets.take(101, &half[2..]));
        let ids = |sets: &Sets| sets.sets.iter().map(|set| set.0).collect::<Vec<_>>();
        assert_eq!(ids(&sets), [98, 99, 100, 101]);
        assert!(sets.take(98, &half[2..]));
        assert_eq!(ids(&sets), [101, 98]);
    }
}
