//! What a probe carries: whose it is and which. Never when it was sent: that
//! is kept here, so that no reply can lie about it.

use crate::client::random;
use crate::limits::PROBE_BYTES;

/// The 64-bit random number that tells this session's probes from those of
/// others, and from replies that somebody made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(pub(super) u64);

impl Token {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(random())
    }
}

/// Fills `probe` (16 bytes or more): token, sequence, both big-endian, and a
/// fixed pattern that shows up in a packet capture.
pub(super) fn write(probe: &mut [u8], token: Token, sequence: u64) {
    let (head, padding) = probe.split_at_mut(PROBE_BYTES);
    head[..8].copy_from_slice(&token.0.to_be_bytes());
    head[8..].copy_from_slice(&sequence.to_be_bytes());
    for (byte, letter) in padding.iter_mut().zip((b'a'..=b'w').cycle()) {
        *byte = letter;
    }
}

/// The sequence number, if these bytes begin like a probe of `token`.
pub(super) fn read(probe: &[u8], token: Token) -> Option<u64> {
    let theirs = u64::from_be_bytes(probe.get(..8)?.try_into().ok()?);
    let sequence = u64::from_be_bytes(probe.get(8..16)?.try_into().ok()?);
    (theirs == token.0).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_by_its_owner_alone() {
        let mut probe = [0u8; 56];
        write(&mut probe, Token(7), 1 << 40);
        assert_eq!(read(&probe, Token(7)), Some(1 << 40));
        assert_eq!(read(&probe, Token(8)), None);
        for cut in 0..16 {
            assert_eq!(read(&probe[..cut], Token(7)), None);
        }
    }

    #[test]
    fn tokens_differ() {
        assert_ne!(Token::random(), Token::random());
    }
}
