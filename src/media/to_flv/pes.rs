//! PES packets put together (ISO/IEC 13818-1 2.4.3.6), and where each ends.
//!
//! A PES that states its length ends there. One that does not, as most video,
//! is over for sure when the next begins, a picture's time later. But nearly
//! every multiplexer fills the last packet of a PES with stuffing, and no
//! other. Whether this one does is learnt: after `MEDIA_STUFFED_UNITS` units
//! that ended so, a stuffed packet is an end at once; the first that was none
//! ends that belief for good. So does a wrong length the belief in lengths.
//! A unit that fills its last packet to the brim waits for the next all the
//! same.

use super::timeline::Times;
use crate::limits::{MEDIA_STUFFED_UNITS, MEDIA_UNIT_BYTES};

/// Bytes up to and including `PES_packet_length`.
const PREFIX: usize = 6;
/// Bytes up to and including `PES_header_data_length`.
const FIXED: usize = 9;

/// One elementary stream's PES on their way in.
#[derive(Debug)]
pub(super) struct Pes {
    bytes: Vec<u8>,
    state: State,
    /// The newest packet of the unit was stuffed.
    stuffed: bool,
    random_access: bool,
    ends: Ends,
    trusts_length: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until a unit starts, nothing is wanted.
    Idle,
    /// A unit is coming in.
    Open,
    /// The unit has been given out; nothing more of it should come.
    Done { stated: bool },
}

/// What a packet brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to do.
    More,
    /// [`Pes::unit`] is whole.
    Whole,
    /// A unit is lost, or was given out incomplete.
    Lost,
}

/// One PES: usually a picture, or some frames of audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit<'a> {
    /// `None` if the header has no time stamp.
    pub(super) times: Option<Times>,
    /// `random_access_indicator` stood before it.
    pub(super) random_access: bool,
    pub(super) data: &'a [u8],
}

impl Pes {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            state: State::Idle,
            stuffed: false,
            random_access: false,
            ends: Ends::default(),
            trusts_length: true,
        }
    }

    /// Packets are missing: what there is of a unit is worth nothing.
    pub(super) fn abandon(&mut self) {
        self.state = State::Idle;
    }

    /// Another unit begins, or none will: whatever came is the whole unit.
    pub(super) fn close(&mut self) -> Progress {
        let before = std::mem::replace(&mut self.state, State::Idle);
        let unbounded = self.stated().is_none();
        match before {
            State::Idle => Progress::More,
            State::Done { stated } => {
                self.ends.confirm(!stated && self.stuffed);
                Progress::More
            }
            State::Open if unbounded => {
                self.ends.confirm(self.stuffed);
                Progress::Whole
            }
            State::Open => {
                self.trusts_length = false;
                Progress::Lost
            }
        }
    }

    /// A unit begins with the next payload.
    pub(super) fn open(&mut self, random_access: bool) {
        self.bytes.clear();
        self.random_access = random_access;
        self.stuffed = false;
        self.state = State::Open;
    }

    /// Takes a packet's payload.
    pub(super) fn append(&mut self, payload: &[u8], stuffed: bool) -> Progress {
        match self.state {
            State::Idle => return Progress::More,
            State::Done { stated } => {
                if stated {
                    self.trusts_length = false;
                } else {
                    self.ends.refute();
                }
                self.state = State::Idle;
                return Progress::Lost;
            }
            State::Open => {}
        }
        if self.stuffed {
            self.ends.refute();
        }
        if self.bytes.len() + payload.len() > MEDIA_UNIT_BYTES {
            self.state = State::Idle;
            return Progress::Lost;
        }
        self.bytes.extend_from_slice(payload);
        self.stuffed = stuffed;
        let stated = match self.stated() {
            Some(length) if self.bytes.len() < length => return Progress::More,
            Some(length) => {
                self.bytes.truncate(length);
                true
            }
            None if stuffed && self.ends.are_believed() => false,
            None => return Progress::More,
        };
        self.state = State::Done { stated };
        Progress::Whole
    }

    /// Bytes of the whole PES, if its header says so and may be believed.
    fn stated(&self) -> Option<usize> {
        let prefix = self.bytes.first_chunk::<PREFIX>().filter(|_| self.trusts_length)?;
        let length = u16::from_be_bytes([prefix[4], prefix[5]]);
        (length != 0).then_some(PREFIX + usize::from(length))
    }

    /// The unit that is whole; `None` if it is none that can be read.
    pub(super) fn unit(&self) -> Option<Unit<'_>> {
        let fixed = self.bytes.first_chunk::<FIXED>()?;
        let is_pes = fixed[..3] == [0, 0, 1] && fixed[6] >> 6 == 0b10;
        let scrambled = fixed[6] & 0x30 != 0;
        let (header, data) = self.bytes[FIXED..].split_at_checked(usize::from(fixed[8]))?;
        (is_pes && !scrambled).then(|| Unit {
            times: times(fixed[7] >> 6, header),
            random_access: self.random_access,
            data,
        })
    }
}

/// PTS and DTS; without a DTS both are the same.
fn times(flags: u8, header: &[u8]) -> Option<Times> {
    if flags & 0b10 == 0 {
        return None;
    }
    let (pts, rest) = header.split_first_chunk::<5>()?;
    let pts = stamp(pts);
    let dts = if flags == 0b11 { stamp(rest.first_chunk()?) } else { pts };
    Some(Times { pts, dts })
}

/// 33 bits, with marker bits between them.
fn stamp(bytes: &[u8; 5]) -> u64 {
    let [a, b, c, d, e] = bytes.map(u64::from);
    (a >> 1 & 0x07) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
}

/// Whether stuffing tells the end of a unit.
#[derive(Debug, Default)]
struct Ends {
    confirmed: u32,
    refuted: bool,
}

impl Ends {
    fn are_believed(&self) -> bool {
        !self.refuted && self.confirmed >= MEDIA_STUFFED_UNITS
    }

    /// A unit ended, with stuffing or, which says nothing, without.
    fn confirm(&mut self, stuffed: bool) {
        if stuffed {
            self.confirmed = self.confirmed.saturating_add(1);
        }
    }

    /// A unit went on behind stuffing.
    fn refute(&mut self) {
        self.refuted = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; 14] = [0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];

    /// Feeds a unit of two packets, the second stuffed or not; says what the
    /// start made of the unit before, and what each packet brought.
    fn two(pes: &mut Pes, stuffed: bool) -> [Progress; 3] {
        let closed = pes.close();
        pes.open(false);
        [closed, pes.append(&HEADER, false), pes.append(b"data", stuffed)]
    }

    #[test]
    fn stuffing_is_believed_after_so_many_units() {
        use Progress::{Lost, More, Whole};
        let mut pes = Pes::new();
        assert_eq!(two(&mut pes, true), [More, More, More]);
        for _ in 1..=MEDIA_STUFFED_UNITS {
            assert!(!pes.ends.are_believed());
            assert_eq!(two(&mut pes, true)[0], Whole);
        }
        assert_eq!(two(&mut pes, true)[1..], [More, Whole]);
        assert_eq!(two(&mut pes, false), [More, More, More], "full to the brim");
        assert_eq!(two(&mut pes, true), [Whole, More, Whole]);
        assert_eq!(pes.append(b"more", false), Lost, "a counterexample");
        assert_eq!(pes.append(b"more", false), More);
        for _ in 0..100 {
            assert_eq!(two(&mut pes, true)[2], More, "for good");
        }
    }

    #[test]
    fn stuffing_within_a_unit_is_no_end_ever() {
        let mut pes = Pes::new();
        pes.open(false);
        pes.append(&HEADER, true);
        pes.append(b"data", true);
        for _ in 0..100 {
            assert_ne!(two(&mut pes, true)[2], Progress::Whole);
        }
    }

    #[test]
    fn a_stated_length_is_an_end_until_it_lies() {
        use Progress::{Lost, More, Whole};
        let mut bytes = HEADER;
        bytes[5] = 8 + 4;
        for (data, progress) in [(&b"data"[..], Whole), (b"data and", Whole), (b"dat", More)] {
            let mut pes = Pes::new();
            pes.open(true);
            assert_eq!(pes.append(&bytes, true), More);
            assert_eq!(pes.append(data, false), progress);
            let late = if progress == Whole { pes.append(b"more", false) } else { pes.close() };
            assert_eq!(late, Lost);
            pes.open(true);
            assert_eq!(pes.append(&bytes, false), More);
            assert_eq!(pes.append(b"data and more", false), More);
            assert_eq!(pes.close(), Whole);
            let unit = pes.unit().expect("a unit");
            assert_eq!((unit.data, unit.random_access), (&b"data and more"[..], true));
        }
    }

    #[test]
    fn units_that_grow_too_large_are_dropped() {
        let mut pes = Pes::new();
        pes.open(false);
        pes.append(&HEADER, false);
        let piece = vec![1; 1 << 20];
        let progress: Vec<_> = (0..9).map(|_| pes.append(&piece, false)).collect();
        assert_eq!(progress.iter().filter(|&&p| p == Progress::Lost).count(), 1);
        assert!(pes.bytes.len() <= MEDIA_UNIT_BYTES);
        assert_eq!(pes.close(), Progress::More);
    }

    #[test]
    fn headers_are_read() {
        let read = |bytes: &[u8]| {
            let mut pes = Pes::new();
            pes.open(false);
            pes.append(bytes, false);
            pes.unit().map(|unit| (unit.times, unit.data.to_vec()))
        };
        let both = [0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 10, 0x3F, 255, 255, 255, 255]
            .into_iter()
            .chain([0x11, 0, 3, 0, 5, 7, 8]);
        let both: Vec<u8> = both.collect();
        let times = Times { pts: (1 << 33) - 1, dts: 1 << 15 | 2 };
        assert_eq!(read(&both), Some((Some(times), vec![7, 8])));
        assert_eq!(read(&both[..18]), None, "cut in the header");
        let mut none = HEADER;
        none[7] = 0;
        assert_eq!(read(&none), Some((None, vec![])));
        for (at, byte) in [(2, 2), (6, 0x00), (6, 0x90)] {
            let mut bad = HEADER;
            bad[at] = byte;
            assert_eq!(read(&bad), None);
        }
    }
}
