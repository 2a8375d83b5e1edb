//! Probes and answers to them, whole packets or the data of a datagram alone,
//! and every way to spoil an answer. RFC 791, 792, 768, 8200, 4443.

use std::net::SocketAddr;

/// IP protocol numbers.
const ICMP: u8 = 1;
const UDP: u8 = 17;
const ICMP6: u8 = 58;
/// ICMP types.
const UNREACHABLE: u8 = 3;
const UNREACHABLE6: u8 = 1;
/// Bytes of an ICMP or UDP header.
const HEADER: usize = 8;
/// Bytes of the session's token and of a probe's number.
const HEAD: usize = 16;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// The token of another session.
    Token,
    /// The number of a probe that was never sent.
    Unsent,
    /// One byte of the pattern is another.
    Altered,
    /// The last byte is missing.
    Cut,
    /// There is a byte too many.
    Longer,
    /// ICMP's own sequence number is that of another probe.
    Header,
    /// ICMP's identifier, or the UDP port, is another's.
    Stranger,
    /// The checksum is wrong.
    Checksum,
}

impl Forgery {
    /// Those that no kernel stops, over any transport.
    pub(crate) const OF_DATA: [Self; 5] =
        [Self::Token, Self::Unsent, Self::Altered, Self::Cut, Self::Longer];
    /// Those that a packet can have.
    pub(crate) const OF_PACKET: [Self; 8] = [
        Self::Token,
        Self::Unsent,
        Self::Altered,
        Self::Cut,
        Self::Longer,
        Self::Header,
        Self::Stranger,
        Self::Checksum,
    ];
}

/// A probe, or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
    /// Bytes of the IP header, and the protocol it names; `None` is data alone.
    ip: Option<(usize, u8)>,
    /// Where data alone came from, and goes back to.
    pub(crate) from: Option<SocketAddr>,
}

impl Packet {
    /// A datagram's data.
    pub(crate) fn bare(data: &[u8], from: SocketAddr) -> Self {
        Self { bytes: data.to_vec(), ip: None, from: Some(from) }
    }

    /// A packet with its IP header, if it is an echo request or a UDP datagram.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let (header, protocol) = match first >> 4 {
            4 => (usize::from(first & 0xf) * 4, *bytes.get(9)?),
            6 => (40, *bytes.get(6)?),
            _ => return None,
        };
        let kind = *bytes.get(header)?;
        let is_probe = matches!((protocol, kind), (ICMP, 8) | (ICMP6, 128) | (UDP, _));
        let whole = is_probe && bytes.len() >= header + HEADER;
        whole.then(|| Self { bytes: bytes.to_vec(), ip: Some((header, protocol)), from: None })
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn data_at(&self) -> usize {
        self.ip.map_or(0, |(header, _)| header + HEADER)
    }

    fn word(&self, at: usize) -> u64 {
        let at = self.data_at() + at;
        let bytes = self.bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(u64::MAX, u64::from_be_bytes)
    }

    /// Whose it is.
    pub(crate) fn token(&self) -> u64 {
        self.word(0)
    }

    /// Which one it is.
    pub(crate) fn sequence(&self) -> u64 {
        self.word(8)
    }

    /// ICMP's identifier; of UDP two bytes of its header that say nothing.
    pub(crate) fn identifier(&self) -> u16 {
        let at = self.ip.map_or(0, |(header, _)| header + 4);
        self.bytes.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]))
    }

    /// The answer to it: the same, from there to here.
    pub(crate) fn reply(&self) -> Self {
        let mut reply = self.clone();
        let Some((header, protocol)) = self.ip else {
            return reply;
        };
        let (source, length) = if reply.bytes[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
        let (left, right) = reply.bytes.split_at_mut(source + length);
        left[source..].swap_with_slice(&mut right[..length]);
        match protocol {
            ICMP => reply.bytes[header] = 0,
            ICMP6 => reply.bytes[header] = 129,
            _ => {
                let (left, right) = reply.bytes.split_at_mut(header + 2);
                left[header..].swap_with_slice(&mut right[..2]);
            }
        }
        reply.seal();
        reply
    }

    /// Spoils an answer in one way, with everything else as it should be.
    pub(crate) fn spoil(mut self, forgery: Forgery) -> Self {
        let data = self.data_at();
        match forgery {
            Forgery::Token => self.bytes[data + 3] ^= 1,
            // Far ahead, and the same in the bits that ICMP's header has.
            Forgery::Unsent => self.bytes[data + 10] ^= 1,
            Forgery::Altered => self.bytes[data + HEAD] ^= 1,
            Forgery::Cut => drop(self.bytes.pop()),
            Forgery::Longer => self.bytes.push(b'x'),
            Forgery::Header => self.bytes[data - 1] ^= 1,
            Forgery::Stranger => {
                // The port it goes to, or the identifier.
                let (header, protocol) = self.ip.unwrap_or_default();
                self.bytes[header + if protocol == UDP { 2 } else { 4 }] ^= 1;
            }
            Forgery::Checksum => {
                let at = self.checksum_at();
                self.bytes[at] ^= 1;
                return self;
            }
        }
        self.seal();
        self
    }

    /// What a router says that can't reach the target: RFC 792's and RFC 4443's
    /// destination unreachable, host or address, with `quoted` bytes of this probe
    /// behind its IP header.
    pub(crate) fn unreachable(&self, quoted: usize) -> Option<Self> {
        let (header, protocol) = self.ip?;
        let mut error = self.reply();
        let v4 = error.bytes[0] >> 4 == 4;
        // From next door to the target.
        let source = if v4 { 15 } else { 23 };
        error.bytes[source] ^= 1;
        let (kind, code) = if v4 { (UNREACHABLE, 1) } else { (UNREACHABLE6, 3) };
        error.bytes.truncate(header);
        error.bytes.extend([kind, code, 0, 0, 0, 0, 0, 0]);
        error.bytes.extend(self.bytes.iter().take(header + quoted));
        let named = if v4 { 9 } else { 6 };
        let ours = if v4 { ICMP } else { ICMP6 };
        error.bytes[named] = ours;
        error.ip = Some((header, ours));
        debug_assert!(protocol != 0, "it was read");
        error.seal();
        Some(error)
    }

    fn checksum_at(&self) -> usize {
        let (header, protocol) = self.ip.unwrap_or_default();
        header + if protocol == UDP { 6 } else { 2 }
    }

    /// Makes lengths and checksums right.
    fn seal(&mut self) {
        let Some((header, protocol)) = self.ip else {
            return;
        };
        let (all, rest) = (self.bytes.len() as u16, (self.bytes.len() - header) as u16);
        let pseudo = if self.bytes[0] >> 4 == 4 {
            self.put(2, all);
            self.put(10, 0);
            let sum = checksum(0, &self.bytes[..header]);
            self.put(10, sum);
            sum_of(&self.bytes[12..20])
        } else {
            self.put(4, rest);
            sum_of(&self.bytes[8..40])
        };
        if protocol == UDP {
            self.put(header + 4, rest);
        }
        let at = self.checksum_at();
        self.put(at, 0);
        let pseudo =
            if protocol == ICMP { 0 } else { pseudo + u64::from(protocol) + u64::from(rest) };
        let sum = checksum(pseudo, &self.bytes[header..]);
        self.put(at, sum);
    }

    fn put(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

fn sum_of(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|two| u64::from(two[0]) << 8 | two.get(1).map_or(0, |b| u64::from(*b)))
        .sum()
}

/// The internet checksum, RFC 1071, of `bytes` behind what adds up to `before`.
fn checksum(before: u64, bytes: &[u8]) -> u16 {
    let mut sum = before + sum_of(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // In UDP, zero says that there is none; both are the same number.
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo request as Linux sends it: 10.0.0.1 to 10.0.0.2.
    fn request() -> Packet {
        let mut bytes =
            vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, ICMP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend([8, 0, 0, 0, 0x12, 0x34, 0, 9]);
        bytes.extend(7u64.to_be_bytes());
        bytes.extend(9u64.to_be_bytes());
        bytes.extend(b"abcd");
        let mut packet = Packet::read(&bytes).unwrap();
        packet.seal();
        packet
    }

    fn is_sealed(packet: &Packet) -> bool {
        let (header, _) = packet.ip.unwrap();
        let zero = |sum: u16| sum == 0xffff;
        zero(checksum(0, &packet.bytes[..header])) && zero(checksum(0, &packet.bytes[header..]))
    }

    #[test]
    fn an_answer_goes_back_with_the_same_data() {
        let request = request();
        let reply = request.reply();
        assert_eq!((reply.token(), reply.sequence(), reply.identifier()), (7, 9, 0x1234));
        assert_eq!(reply.bytes[12..20], [10, 0, 0, 2, 10, 0, 0, 1]);
        assert_eq!(reply.bytes[20], 0);
        assert!(is_sealed(&request) && is_sealed(&reply));
        assert_eq!(Packet::read(&reply.bytes), None, "an answer is no probe");
    }

    #[test]
    fn each_forgery_spoils_what_it_says_and_nothing_else() {
        let good = request().reply();
        for forgery in Forgery::OF_PACKET {
            let bad = good.clone().spoil(forgery);
            assert_ne!(bad.bytes, good.bytes, "{forgery:?}");
            assert_eq!(is_sealed(&bad), forgery != Forgery::Checksum, "{forgery:?}");
            let kept = (bad.token() == 7, bad.sequence() == 9, bad.identifier() == 0x1234);
            let wanted = match forgery {
                Forgery::Token => (false, true, true),
                Forgery::Unsent => (true, false, true),
                Forgery::Stranger => (true, true, false),
                Forgery::Altered
                | Forgery::Cut
                | Forgery::Longer
                | Forgery::Header
                | Forgery::Checksum => (true, true, true),
            };
            assert_eq!(kept, wanted, "{forgery:?}");
        }
        assert_eq!(good.clone().spoil(Forgery::Unsent).sequence() as u16, 9);
    }

    #[test]
    fn an_error_quotes_the_probe() {
        let request = request();
        let error = request.unreachable(24).unwrap();
        assert!(is_sealed(&error));
        assert_eq!(error.bytes[12..20], [10, 0, 0, 3, 10, 0, 0, 1]);
        assert_eq!(error.bytes[20..22], [UNREACHABLE, 1]);
        assert_eq!(error.bytes[28..], request.bytes[..44]);
    }
}
