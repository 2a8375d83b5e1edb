//! Where the payload of an RTP packet lies (RFC 3550 5.1): enough to take
//! MPEG-TS out of it (RFC 2250, payload type 33). Sequence numbers are not
//! looked at; what the network lost shows in the TS continuity counters.

use std::ops::Range;

/// Payload type of MPEG-TS, RFC 3551 table 5.
pub(super) const MP2T: u8 = 33;

/// An RTP packet, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rtp {
    /// Payload type.
    pub(super) kind: u8,
    /// Where the payload lies: after CSRC list and extension, before padding.
    pub(super) payload: Range<usize>,
}

/// Reads the header of a datagram that may be RTP version 2.
pub(super) fn parse(datagram: &[u8]) -> Option<Rtp> {
    let header = datagram.first_chunk::<12>()?;
    if header[0] & 0xC0 != 0x80 {
        return None;
    }
    let mut start = 12 + 4 * usize::from(header[0] & 0x0F);
    if header[0] & 0x10 != 0 {
        let extension = datagram.get(start..)?.first_chunk::<4>()?;
        let words = u16::from_be_bytes([extension[2], extension[3]]);
        start += 4 + 4 * usize::from(words);
    }
    let mut end = datagram.len();
    if header[0] & 0x20 != 0 {
        let padding = usize::from(*datagram.last()?);
        if padding == 0 {
            return None;
        }
        end = end.checked_sub(padding)?;
    }
    (start <= end).then_some(Rtp { kind: header[1] & 0x7F, payload: start..end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(first: u8) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        bytes[0] = first;
        bytes[1] = 0x80 | MP2T;
        bytes
    }

    #[test]
    fn csrc_extension_and_padding_are_no_payload() {
        let mut bytes = header(0x80 | 0x20 | 0x10 | 2);
        bytes.extend_from_slice(&[0xAA; 8]);
        bytes.extend_from_slice(&[0xBE, 0xDE, 0, 1, 1, 2, 3, 4]);
        bytes.extend_from_slice(b"payload");
        bytes.extend_from_slice(&[0, 0, 3]);
        let rtp = parse(&bytes).expect("a valid packet");
        assert_eq!(rtp.kind, MP2T);
        assert_eq!(&bytes[rtp.payload], b"payload");
    }

    #[test]
    fn headers_that_claim_more_than_there_is_are_refused() {
        assert_eq!(parse(&header(0x80)[..11]), None);
        assert_eq!(parse(&header(0x40)), None, "version 1");
        assert_eq!(parse(&header(0x81)), None, "one CSRC, cut off");
        assert_eq!(parse(&header(0x90)), None, "extension, cut off");
        assert_eq!(parse(&header(0xA0)), None, "padding of no bytes");
        let mut bytes = header(0xA0);
        bytes.push(2);
        assert_eq!(parse(&bytes), None, "padding reaches into the header");
        assert_eq!(parse(&header(0x80)).map(|rtp| rtp.payload), Some(12..12));
    }
}
