//! A byte in a slice, found with `memchr`, which the standard library keeps to
//! itself: `BufRead::skip_until` is the door to it.

use std::io::BufRead;

/// Bytes up to and including the first `wanted`, if there is one.
pub(crate) fn through(wanted: u8, bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let length = rest.skip_until(wanted).expect("reading a slice can't fail");
    (bytes[..length].last() == Some(&wanted)).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_counts() {
        assert_eq!(through(1, &[]), None);
        assert_eq!(through(1, &[0, 2]), None);
        assert_eq!(through(1, &[1, 1]), Some(1));
        assert_eq!(through(1, &[0, 2, 1]), Some(3));
    }
}
