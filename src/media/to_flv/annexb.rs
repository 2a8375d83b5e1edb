//! NAL units out of a byte stream (ITU-T H.264 and H.265 annex B).

use crate::framing::find::through;

/// The NAL units of an access unit, none of them empty. What stands before the
/// first start code is left out, and so are zeros behind each unit.
pub(super) fn nal_units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = next_start(bytes).map(|at| &bytes[at..]);
    std::iter::from_fn(move || {
        let unit = rest?;
        rest = next_start(unit).map(|at| &unit[at..]);
        let end = unit.len() - rest.map_or(0, |rest| rest.len() + START_CODE);
        Some(trimmed(&unit[..end]))
    })
    .filter(|unit| !unit.is_empty())
}

/// Bytes of a start code: 00 00 01. One with a zero more begins with a zero
/// behind the unit before.
const START_CODE: usize = 3;

/// Where the first start code ends.
fn next_start(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(used) = through(1, &bytes[at..]) {
        at += used;
        if bytes[..at].ends_with(&[0, 0, 1]) {
            return Some(at);
        }
    }
    None
}

fn trimmed(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(bytes: &[u8]) -> Vec<&[u8]> {
        nal_units(bytes).collect()
    }

    #[test]
    fn units_stand_between_start_codes() {
        let bytes =
            b"junk\0\0\0\x01\x09\x10\0\0\x01\x67\x01\0\x01\0\0\0\x01\0\0\x01\x65\0\x02\0\0\0";
        assert_eq!(units(bytes), [&b"\x09\x10"[..], b"\x67\x01\0\x01", b"\x65\0\x02"]);
        assert_eq!(units(b""), [&b""[..]; 0]);
        assert_eq!(units(b"\0\0"), [&b""[..]; 0]);
        assert_eq!(units(b"\0\0\x01"), [&b""[..]; 0]);
        assert_eq!(units(b"\0\0\x01\x01\x01"), [b"\x01\x01"]);
        assert_eq!(units(b"\x01\0\x01\0\x01"), [&b""[..]; 0]);
    }
}
