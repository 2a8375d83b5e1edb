//! What the tests of the sessions share: a seeded source of randomness and of
//! mutated input.

/// xorshift64*: small, seeded, the same on every machine.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number in `0..n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// `seed` with a few bytes changed, dropped, doubled or put in, or (one
    /// time in eight) bytes of no meaning at all.
    pub(super) fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        if self.below(8) == 0 {
            return (0..self.below(64)).map(|_| self.next() as u8).collect();
        }
        const TELLING: &[u8] = b"\r\n\0\t :;,/%?&=.0129afFGP\x03\x16\x7f\x80\xff";
        let mut bytes = seed.to_vec();
        for _ in 0..self.below(5) {
            let at = self.below(bytes.len() + 1);
            let byte = match self.below(3) {
                0 => self.next() as u8,
                _ => TELLING[self.below(TELLING.len())],
            };
            match self.below(5) {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at),
                _ => {
                    let end = (at + self.below(24)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
        bytes
    }
}
