//! ICMP echo messages, made and read: RFC 792 for IPv4, RFC 4443 section 4
//! for IPv6. No socket here; `sys::icmp` has those.

/// Bytes of the header: type, code, checksum, identifier, sequence number.
pub(super) const HEADER: usize = 8;

const REQUEST: u8 = 8;
const REPLY: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;
/// IP protocol number of ICMP.
const PROTOCOL: u8 = 1;

/// How a socket hands over what it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// With the IPv4 header in front and the checksum unverified.
    RawV4,
    /// The ICMP message alone, verified by the kernel.
    V4,
    /// The ICMPv6 message alone, verified by the kernel.
    V6,
}

/// An echo reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    /// The low 16 bits of the probe's sequence number.
    pub(super) sequence: u16,
    /// What the request carried.
    pub(super) data: &'a [u8],
    /// Time to live, where the IP header was there to read.
    pub(super) ttl: Option<u8>,
}

/// Completes `message`, whose bytes from [`HEADER`] on are the data, into an
/// echo request. The kernel computes ICMPv6's checksum, which covers addresses.
pub(super) fn complete_request(message: &mut [u8], v6: bool, identifier: u16, sequence: u16) {
    message[0] = if v6 { REQUEST_V6 } else { REQUEST };
    message[1..4].fill(0);
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    if !v6 {
        let sum = checksum(message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Reads an echo reply; `None` for anything else, cut off or corrupt.
pub(super) fn read_reply(packet: &[u8], shape: Shape) -> Option<Reply<'_>> {
    let (message, ttl) = match shape {
        Shape::RawV4 => {
            let first = *packet.first()?;
            let header = usize::from(first & 0x0f) * 4;
            if first >> 4 != 4 || header < 20 || *packet.get(9)? != PROTOCOL {
                return None;
            }
            let message = packet.get(header..)?;
            if checksum(message) != 0 {
                return None;
            }
            (message, packet.get(8).copied())
        }
        Shape::V4 | Shape::V6 => (packet, None),
    };
    let wanted = if shape == Shape::V6 { REPLY_V6 } else { REPLY };
    let header = message.get(..HEADER)?;
    if header[0] != wanted || header[1] != 0 {
        return None;
    }
    Some(Reply {
        sequence: u16::from_be_bytes([header[6], header[7]]),
        data: message.get(HEADER..)?,
        ttl,
    })
}

/// The internet checksum, RFC 1071: zero over a message that includes its own.
fn checksum(message: &[u8]) -> u16 {
    let mut sum = 0u64;
    let mut pairs = message.chunks_exact(2);
    for pair in &mut pairs {
        sum += u64::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    if let [last] = pairs.remainder() {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply with an IPv4 header of `words` 32-bit words in front.
    fn raw_reply(words: u8, data: &[u8]) -> Vec<u8> {
        let mut message = vec![0u8; HEADER];
        message.extend(data);
        complete_request(&mut message, false, 0x1234, 0xfffe);
        message[0] = REPLY;
        message[2..4].fill(0);
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut packet = vec![0u8; usize::from(words) * 4];
        packet[0] = 0x40 | words;
        packet[8] = 57;
        packet[9] = PROTOCOL;
        packet.extend(message);
        packet
    }

    #[test]
    fn the_checksum_of_the_rfc() {
        // RFC 1071 section 3.
        let sum = checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum, !0xddf2);
        assert_eq!(checksum(&[0xab]), !0xab00);
    }

    #[test]
    fn replies_are_read_behind_headers_with_and_without_options() {
        for words in [5, 6, 15] {
            let packet = raw_reply(words, b"sixteen bytes...");
            let reply = read_reply(&packet, Shape::RawV4).expect("valid");
            assert_eq!(reply.sequence, 0xfffe);
            assert_eq!(reply.data, b"sixteen bytes...");
            assert_eq!(reply.ttl, Some(57));
        }
    }

    #[test]
    fn no_cut_and_no_flipped_bit_passes_for_a_reply() {
        let packet = raw_reply(5, b"some data");
        for cut in 0..packet.len() {
            assert_eq!(read_reply(&packet[..cut], Shape::RawV4), None, "{cut}");
        }
        for bit in 20 * 8..packet.len() * 8 {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_reply(&bad, Shape::RawV4), None, "{bit}");
        }
    }

    #[test]
    fn our_own_request_is_not_a_reply() {
        let mut message = vec![0u8; HEADER + 16];
        for (v6, shape) in [(false, Shape::V4), (true, Shape::V6)] {
            complete_request(&mut message, v6, 1, 2);
            assert_eq!(read_reply(&message, shape), None);
        }
        message[0] = REPLY_V6;
        assert!(read_reply(&message, Shape::V6).is_some());
    }

    #[test]
    fn noise_never_panics() {
        let mut x = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            let mut packet = [0u8; 96];
            for byte in &mut packet {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                *byte = x as u8;
            }
            let length = (x >> 32) as usize % packet.len();
            for shape in [Shape::RawV4, Shape::V4, Shape::V6] {
                let _ = read_reply(&packet[..length], shape);
            }
        }
    }
}
