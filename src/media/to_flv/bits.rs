//! Bits of a parameter set, Exp-Golomb codes included (ITU-T H.264 9.1,
//! ITU-T H.265 9.2), with emulation prevention bytes left out on the way.

/// Reads bits from the front. Beyond the end there are none.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The byte at hand, its unread bits at the front.
    byte: u8,
    left: u8,
    /// Zero bytes right before the next one.
    zeros: u8,
}

impl<'a> Bits<'a> {
    /// `nal`: a NAL unit, or what follows its header.
    pub(super) fn new(nal: &'a [u8]) -> Self {
        Self { bytes: nal, byte: 0, left: 0, zeros: 0 }
    }

    fn next_byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        if self.zeros >= 2 && byte == 3 {
            self.zeros = 0;
            return self.next_byte();
        }
        self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        Some(byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.byte = self.next_byte()?;
            self.left = 8;
        }
        self.left -= 1;
        let bit = self.byte >> 7 != 0;
        self.byte <<= 1;
        Some(bit)
    }

    /// An unsigned number of up to 32 bits.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        (0..bits).try_fold(0, |number: u32, _| Some(number << 1 | u32::from(self.flag()?)))
    }

    /// Leaves out bits, however many.
    pub(super) fn skip(&mut self, bits: u32) -> Option<()> {
        (0..bits).try_for_each(|_| self.flag().map(drop))
    }

    /// `ue(v)`.
    pub(super) fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.number(zeros)?)
    }

    /// `se(v)`.
    pub(super) fn signed(&mut self) -> Option<i32> {
        let code = self.unsigned()?;
        let half = (code / 2).cast_signed();
        Some(if code % 2 == 1 { half + 1 } else { -half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_standards_tables() {
        // 1 010 011 00100 00101 00110 00111
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1001_1000, 0b1110_0000]);
        let numbers: Vec<_> = (0..7).map_while(|_| bits.unsigned()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1001_1000, 0b1110_0000]);
        let numbers: Vec<_> = (0..7).map_while(|_| bits.signed()).collect();
        assert_eq!(numbers, [0, 1, -1, 2, -2, 3, -3]);
    }

    #[test]
    fn emulation_prevention_is_left_out() {
        let mut bits = Bits::new(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]);
        assert_eq!(bits.number(24), Some(1));
        assert_eq!(bits.number(32), Some(0));
        assert_eq!(bits.number(8), Some(3));
        assert_eq!(bits.flag(), None);
    }

    #[test]
    fn codes_that_never_end_are_none() {
        assert_eq!(Bits::new(&[0; 20]).unsigned(), None);
        assert_eq!(Bits::new(&[0, 0]).unsigned(), None);
        assert_eq!(Bits::new(&[0, 0, 3, 0, 1, 255, 255, 255, 254]).unsigned(), Some(u32::MAX - 1));
        assert_eq!(Bits::new(&[0, 0, 3, 0, 1, 255, 255, 255, 254]).signed(), Some(-0x7FFF_FFFF));
    }
}
