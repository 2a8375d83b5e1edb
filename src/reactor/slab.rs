//! A slab whose keys carry a generation: an event for a connection that is
//! gone finds nothing, even if its place was taken within the same turn.

use mio::Token;

/// Names one entry for its whole life and nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key as a poll token. Generation 0 is never used, so tokens below
    /// 2^32 are free for fixed sources.
    pub const fn token(self) -> Token {
        Token(((self.generation as usize) << 32) | self.index as usize)
    }

    /// The key of a token, if it is not one of a fixed source.
    pub const fn of(token: Token) -> Option<Self> {
        let generation = (token.0 >> 32) as u32;
        if generation == 0 {
            return None;
        }
        Some(Self { index: token.0 as u32, generation })
    }
}

/// Entries by generational key.
#[derive(Debug)]
pub struct Slab<T> {
    slots: slab::Slab<(u32, T)>,
    generation: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: slab::Slab::new(), generation: 0 }
    }
}

impl<T> Slab<T> {
    /// Takes an entry in.
    pub fn insert(&mut self, entry: T) -> Key {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        let index = self.slots.insert((self.generation, entry));
        Key { index: index as u32, generation: self.generation }
    }

    /// The entry, if it still lives.
    pub fn get(&self, key: Key) -> Option<&T> {
        let (generation, entry) = self.slots.get(key.index as usize)?;
        (*generation == key.generation).then_some(entry)
    }

    /// The entry, if it still lives.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, entry) = self.slots.get_mut(key.index as usize)?;
        (*generation == key.generation).then_some(entry)
    }

    /// Takes an entry out, if it still lives.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        Some(self.slots.remove(key.index as usize).1)
    }

    /// How many entries live.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True if none does.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The keys of all entries.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.slots
            .iter()
            .map(|(index, (generation, _))| Key { index: index as u32, generation: *generation })
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, (_, entry))| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::default();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(old.index, new.index, "the place was taken again");
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&"new"));
    }

    #[test]
    fn tokens_and_keys_convert_and_fixed_tokens_are_no_keys() {
        let mut slab = Slab::default();
        let key = slab.insert(());
        assert_eq!(Key::of(key.token()), Some(key));
        assert_eq!(Key::of(Token(17)), None);
    }
}
