//! Percent-encoding of request targets, RFC 3986 2.1.

use std::borrow::Cow;

/// Replaces each `%XX` by the byte it stands for. `+` stays a plus: it means a
/// space in HTML forms alone, and nothing here is one.
///
/// # Errors
/// Names the `%` that two hexadecimal digits don't follow.
pub(super) fn decode(text: &str) -> Result<Cow<'_, [u8]>, String> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            decoded.push(bytes[at]);
            at += 1;
            continue;
        }
        let byte = match bytes.get(at + 1..at + 3) {
            Some(&[high, low]) => hex(high).zip(hex(low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        decoded.push(byte.ok_or_else(|| {
            format!("'%' at byte {at} needs two hexadecimal digits after it (%25 is a '%')")
        })?);
        at += 3;
    }
    Ok(Cow::Owned(decoded))
}

/// The value of one hexadecimal digit.
pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_encoded_and_nothing_else() {
        assert_eq!(decode("a+b").unwrap().as_ref(), b"a+b");
        assert_eq!(decode("%41%7a%2F").unwrap().as_ref(), b"Az/");
        assert_eq!(decode("%2541").unwrap().as_ref(), b"%41");
        assert_eq!(decode("%00%ff").unwrap().as_ref(), b"\x00\xff");
        for wrong in ["%", "%4", "a%4", "%G1", "%1G", "%%41", "%+1"] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
    }
}
