//! What a probe carries: whose it is, which, and a pattern. Never when it was
//! sent: that is kept here, so that no reply can lie about it.

use crate::client::random;
use crate::limits::PROBE_BYTES;

/// The 64-bit random number that tells this session's probes from those of
/// others, and from replies that somebody made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(pub(super) u64);

impl Token {
    /// A new one. Its first byte is none that a stream of video begins with:
    /// a server would wait for more to tell what it is.
    pub(super) fn random() -> Self {
        Self(random() | 1 << 63)
    }
}

/// Letters behind token and number, which show up in a packet capture.
fn pattern() -> impl Iterator<Item = u8> {
    (b'a'..=b'w').cycle()
}

/// Fills `probe` (16 bytes or more) but for its number: token, a place for
/// that, the pattern.
pub(super) fn prepare(probe: &mut [u8], token: Token) {
    let (head, padding) = probe.split_at_mut(PROBE_BYTES);
    head[..8].copy_from_slice(&token.0.to_be_bytes());
    for (byte, letter) in padding.iter_mut().zip(pattern()) {
        *byte = letter;
    }
}

/// Writes the number of a probe that was prepared, big-endian.
pub(super) fn number(probe: &mut [u8], sequence: u64) {
    probe[8..PROBE_BYTES].copy_from_slice(&sequence.to_be_bytes());
}

/// The sequence number, if these bytes are a probe of `token`, every one.
pub(super) fn read(probe: &[u8], token: Token) -> Option<u64> {
    let sequence = read_head(probe, token)?;
    let padding = probe.get(PROBE_BYTES..)?;
    padding.iter().zip(pattern()).all(|(byte, letter)| *byte == letter).then_some(sequence)
}

/// The sequence number, if these bytes begin like a probe of `token`.
pub(super) fn read_head(probe: &[u8], token: Token) -> Option<u64> {
    let theirs = u64::from_be_bytes(probe.get(..8)?.try_into().ok()?);
    let sequence = u64::from_be_bytes(probe.get(8..PROBE_BYTES)?.try_into().ok()?);
    (theirs == token.0).then_some(sequence)
}

/// Where the next probe of `token` begins, or could: the last bytes may be the
/// first of a token. Not at 0.
pub(super) fn find(bytes: &[u8], token: Token) -> Option<usize> {
    let wanted = token.0.to_be_bytes();
    (1..bytes.len()).find(|&at| {
        let rest = bytes.get(at..at + 8).or_else(|| bytes.get(at..)).unwrap_or_default();
        wanted.starts_with(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_by_its_owner_alone() {
        let mut probe = [0u8; 56];
        prepare(&mut probe, Token(7));
        number(&mut probe, 1 << 40);
        assert_eq!(read(&probe, Token(7)), Some(1 << 40));
        assert_eq!(read(&probe, Token(8)), None);
        for cut in 0..16 {
            assert_eq!(read(&probe[..cut], Token(7)), None);
        }
        for spoilt in 16..56 {
            probe[spoilt] ^= 1;
            assert_eq!(read(&probe, Token(7)), None, "byte {spoilt}");
            assert_eq!(read_head(&probe, Token(7)), Some(1 << 40));
            probe[spoilt] ^= 1;
        }
    }

    #[test]
    fn the_next_probe_is_found_in_the_middle() {
        let token = Token(0x8001_0203_0405_0607);
        let mut bytes = vec![b'x'; 30];
        assert_eq!(find(&bytes, token), None);
        bytes.extend(token.0.to_be_bytes());
        bytes.extend([0; 8]);
        assert_eq!(find(&bytes, token), Some(30));
        assert_eq!(find(&bytes[..33], token), Some(30), "perhaps");
    }

    #[test]
    fn tokens_differ() {
        assert_ne!(Token::random(), Token::random());
    }
}
