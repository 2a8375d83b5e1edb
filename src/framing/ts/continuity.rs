//! Continuity counters, ISO/IEC 13818-1 2.4.3.3.
//!
//! One byte for each of the 8192 PIDs there can be: no search, no bound to
//! exceed, nothing to evict when a peer invents PIDs; and of the 8 KiB only the
//! cache lines of the few PIDs in use are ever touched.

use super::packet::{NULL_PID, PIDS, Packet};

/// The PID has been seen; without it the byte is zero.
const SEEN: u8 = 0x10;
/// The last packet had a payload and was no repetition, so it may come again.
const MAY_REPEAT: u8 = 0x20;

/// The last counter of every PID.
#[derive(Debug)]
pub(crate) struct Continuity {
    last: [u8; PIDS],
}

/// How a packet follows those of its PID before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not to be looked at: null packet, transport error, reserved.
    Ignored,
    /// In order; the first of its PID too.
    Next,
    /// The one repetition that is allowed; nothing in it is new.
    Repeat,
    /// Announced by `discontinuity_indicator`.
    Announced,
    /// Something is missing.
    Broken,
}

impl Continuity {
    pub(crate) const fn new() -> Self {
        Self { last: [0; PIDS] }
    }

    /// Judges a packet, which [`Self::note`] then takes up.
    pub(crate) fn judge(&self, packet: &Packet<'_>) -> Verdict {
        if packet.error || packet.reserved || packet.pid == NULL_PID {
            return Verdict::Ignored;
        }
        let last = self.last[usize::from(packet.pid)];
        let step = packet.counter.wrapping_sub(last) & 0x0F;
        if last == 0 {
            Verdict::Next
        } else if packet.discontinuity {
            Verdict::Announced
        } else if step == u8::from(packet.has_payload) {
            Verdict::Next
        } else if step == 0 && last & MAY_REPEAT != 0 {
            Verdict::Repeat
        } else {
            Verdict::Broken
        }
    }

    /// Remembers a packet that has been judged.
    pub(crate) fn note(&mut self, packet: &Packet<'_>, verdict: Verdict) {
        let repeatable = match verdict {
            Verdict::Ignored => return,
            Verdict::Repeat => 0,
            Verdict::Next | Verdict::Announced | Verdict::Broken if packet.has_payload => {
                MAY_REPEAT
            }
            Verdict::Next | Verdict::Announced | Verdict::Broken => 0,
        };
        self.last[usize::from(packet.pid)] = SEEN | repeatable | packet.counter;
    }

    /// The last counter of `pid`, if there was any.
    pub(crate) fn last(&self, pid: u16) -> Option<u8> {
        let last = self.last[usize::from(pid) % PIDS];
        (last != 0).then_some(last & 0x0F)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{self, Bytes, SYNC};
    use super::*;
    use crate::limits::TS_PACKET;

    fn payload(pid: u16, counter: u8) -> Bytes {
        let mut bytes = [0; TS_PACKET];
        let [high, low] = pid.to_be_bytes();
        bytes[..4].copy_from_slice(&[SYNC, high, low, 0x10 | counter]);
        bytes
    }

    fn field_only(counter: u8) -> Bytes {
        let mut bytes = packet::discontinuity(100, counter);
        bytes[5] = 0;
        bytes
    }

    fn verdicts(packets: &[Bytes]) -> Vec<Verdict> {
        let mut continuity = Continuity::new();
        packets
            .iter()
            .map(|bytes| {
                let packet = Packet::parse(bytes);
                let verdict = continuity.judge(&packet);
                continuity.note(&packet, verdict);
                verdict
            })
            .collect()
    }

    #[test]
    fn counters_wrap_and_only_payload_counts() {
        use Verdict::{Broken, Next};
        let packets = [
            payload(100, 14),
            payload(100, 15),
            payload(100, 0),
            field_only(0),
            payload(100, 1),
            field_only(2),
            payload(100, 3),
            payload(100, 5),
            payload(100, 6),
        ];
        assert_eq!(verdicts(&packets), [Next, Next, Next, Next, Next, Broken, Next, Broken, Next]);
    }

    #[test]
    fn one_repetition_is_allowed_and_only_right_behind() {
        use Verdict::{Broken, Next, Repeat};
        let (five, six) = (payload(100, 5), payload(100, 6));
        assert_eq!(
            verdicts(&[five, five, five, six, six, payload(100, 7)]),
            [Next, Repeat, Broken, Next, Repeat, Next]
        );
        assert_eq!(verdicts(&[five, field_only(5), five]), [Next, Next, Broken]);
    }

    #[test]
    fn an_announced_jump_is_none() {
        use Verdict::{Announced, Broken, Next};
        let packets =
            [payload(100, 5), packet::discontinuity(100, 11), payload(100, 12), payload(100, 14)];
        assert_eq!(verdicts(&packets), [Next, Announced, Next, Broken]);
    }

    #[test]
    fn null_and_erroneous_packets_are_ignored() {
        let mut broken = payload(100, 9);
        broken[1] |= 0x80;
        let packets = [
            payload(NULL_PID, 3),
            payload(NULL_PID, 3),
            payload(NULL_PID, 9),
            payload(100, 1),
            broken,
            payload(100, 2),
        ];
        use Verdict::{Ignored, Next};
        assert_eq!(verdicts(&packets), [Ignored, Ignored, Ignored, Next, Ignored, Next]);
    }
}
