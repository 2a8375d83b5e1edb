//! The header of one TS packet, ISO/IEC 13818-1 2.4.3.2 and 2.4.3.4.

use crate::limits::TS_PACKET;

/// The first byte of every packet.
pub(crate) const SYNC: u8 = 0x47;
/// PID of the programme association table.
pub(crate) const PAT_PID: u16 = 0;
/// PID of the packets that only fill a constant rate.
pub(crate) const NULL_PID: u16 = 0x1FFF;
/// How many PIDs there are.
pub(crate) const PIDS: usize = 0x2000;

/// The bytes of a packet.
pub(crate) type Bytes = [u8; TS_PACKET];

/// What the header says. Nothing here is trusted: a payload that the header
/// puts outside the packet is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    /// Packet identifier.
    pub(crate) pid: u16,
    /// Continuity counter.
    pub(crate) counter: u8,
    /// `transport_error_indicator`: the rest may be anything.
    pub(crate) error: bool,
    /// `payload_unit_start_indicator`.
    pub(crate) unit_start: bool,
    /// The payload is encrypted; the header is not.
    pub(crate) scrambled: bool,
    /// `adaptation_field_control` 00 is reserved: decoders drop the packet.
    pub(crate) reserved: bool,
    /// Whether the packet counts in its PID's continuity.
    pub(crate) has_payload: bool,
    /// `discontinuity_indicator`: the counter starts anew.
    pub(crate) discontinuity: bool,
    /// `random_access_indicator`: a decoder can start here.
    pub(crate) random_access: bool,
    /// What follows header and adaptation field.
    pub(crate) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the header of a packet that begins with the sync byte.
    pub(crate) fn parse(bytes: &'a Bytes) -> Self {
        let control = bytes[3] >> 4;
        let has_payload = control & 0b01 != 0;
        let has_field = control & 0b10 != 0;
        let field = usize::from(bytes[4]);
        let flags = if has_field && field > 0 { bytes[5] } else { 0 };
        let start = if has_field { 5 + field } else { 4 };
        let payload = match bytes.get(start..) {
            Some(payload) if has_payload => payload,
            _ => &[],
        };
        Self {
            pid: u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]]),
            counter: bytes[3] & 0x0F,
            error: bytes[1] & 0x80 != 0,
            unit_start: bytes[1] & 0x40 != 0,
            scrambled: bytes[3] & 0xC0 != 0,
            reserved: control & 0b11 == 0,
            has_payload,
            discontinuity: flags & 0x80 != 0,
            random_access: flags & 0x40 != 0,
            payload,
        }
    }
}

/// Whether these first bytes of a packet, five at least, can be those of one:
/// no reserved value, and an adaptation field that fits.
pub(crate) fn plausible(bytes: &[u8]) -> bool {
    let Some(&[sync, _, _, control, field]) = bytes.first_chunk::<5>() else {
        return false;
    };
    let field_fits = match (control >> 4) & 0b11 {
        0b01 => true,
        0b10 => field == 183,
        0b11 => field <= 182,
        _ => false,
    };
    sync == SYNC && control >> 6 != 0b01 && field_fits
}

/// Whether the adaptation field is longer than what it says (2.4.3.5): so a
/// multiplexer fills the packet in which a PES ends.
pub(crate) fn is_stuffed(bytes: &Bytes) -> bool {
    const PCR: u8 = 0x10;
    const OPCR: u8 = 0x08;
    const SPLICE: u8 = 0x04;
    const PRIVATE: u8 = 0x02;
    const EXTENSION: u8 = 0x01;
    let length = usize::from(bytes[4]);
    if bytes[3] & 0x20 == 0 || 5 + length > TS_PACKET {
        return false;
    }
    let Some((&flags, fields)) = bytes[5..5 + length].split_first() else {
        return true;
    };
    let mut said = 0;
    for (flag, size) in [(PCR, 6), (OPCR, 6), (SPLICE, 1)] {
        said += if flags & flag != 0 { size } else { 0 };
    }
    for flag in [PRIVATE, EXTENSION] {
        if flags & flag != 0 {
            said += 1 + fields.get(said).map_or(0, |&size| usize::from(size));
        }
    }
    flags == 0 || fields.len() > said
}

/// A packet without payload that announces a discontinuity of `pid`: the next
/// packet with payload is expected to count `counter` + 1.
pub(crate) fn discontinuity(pid: u16, counter: u8) -> Bytes {
    let mut bytes = [0xFF; TS_PACKET];
    let [high, low] = (pid & 0x1FFF).to_be_bytes();
    bytes[..6].copy_from_slice(&[SYNC, high, low, 0x20 | (counter & 0x0F), 183, 0x80]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discontinuity_packet_reads_as_one() {
        let bytes = discontinuity(0x1ABC, 16 + 5);
        let packet = Packet::parse(&bytes);
        assert_eq!((packet.pid, packet.counter), (0x1ABC, 5));
        assert!(packet.discontinuity && !packet.has_payload && !packet.random_access);
        assert!(!packet.unit_start && !packet.error && !packet.scrambled);
        assert!(packet.payload.is_empty());
        assert!(plausible(&bytes));
    }

    #[test]
    fn stuffing_is_what_the_field_does_not_say() {
        let stuffed = |field: &[u8]| {
            let mut bytes = [0xFF; TS_PACKET];
            bytes[..4].copy_from_slice(&[SYNC, 0x41, 0x00, 0x30]);
            bytes[4] = field.len() as u8;
            bytes[5..5 + field.len()].copy_from_slice(field);
            is_stuffed(&bytes)
        };
        assert!(stuffed(&[]) && stuffed(&[0]) && stuffed(&[0, 0xFF]));
        assert!(!stuffed(&[0x40]) && stuffed(&[0x40, 0xFF]));
        assert!(!stuffed(&[0x50, 1, 2, 3, 4, 5, 6]) && stuffed(&[0x50, 1, 2, 3, 4, 5, 6, 0xFF]));
        assert!(!stuffed(&[0x02, 2, 9, 9]) && stuffed(&[0x02, 2, 9, 9, 0xFF]));
        assert!(!stuffed(&[0x03, 1, 9, 1, 9]) && !stuffed(&[0x02, 200]));
        assert!(!is_stuffed(&[0x10; TS_PACKET]), "no field");
        let mut beyond = [0xFF; TS_PACKET];
        beyond[3] = 0x30;
        assert!(!is_stuffed(&beyond), "no packet");
    }

    #[test]
    fn an_adaptation_field_beyond_the_packet_leaves_no_payload() {
        for field in 0..=255 {
            let mut bytes = [0xFF; TS_PACKET];
            bytes[..6].copy_from_slice(&[SYNC, 0x41, 0x00, 0x37, field, 0x40]);
            let packet = Packet::parse(&bytes);
            let expected = (TS_PACKET - 5).saturating_sub(usize::from(field));
            assert_eq!(packet.payload.len(), expected);
            assert_eq!(packet.random_access, field > 0, "flags need a byte");
            assert_eq!(plausible(&bytes), field <= 182);
        }
    }
}
