//! Recognises a client that speaks another protocol than a raw TCP publish
//! listener takes, so that it is told at once instead of its handshake being
//! relayed as a stream.

/// What the first bytes of a connection look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// Too few bytes to tell. Nobody should wait for more than
    /// `limits::AUTO_HOLD`: what never decides is clean.
    Undecided,
    /// None of the protocols known here.
    Clean,
    /// Another protocol; the text says which, and what to use instead.
    Wrong(&'static str),
}

const TLS: &str = "this is a TLS handshake; the listener takes plain TCP, so connect without TLS";
const RTMP: &str = "this is an RTMP handshake; the listener takes the bare stream, such as ffmpeg -f mpegts tcp://";
const HTTP: &str =
    "this is an HTTP request; use the http:// listener, or send the bare stream here";

/// Largest length field of a TLS record, RFC 8446 5.2 (TLS 1.2 allows more,
/// but no handshake begins with such a record).
const TLS_RECORD_BYTES: usize = (1 << 14) + 256;

/// Judges the first bytes that a client sent. The answer for a longer prefix
/// of the same bytes differs only if this one is [`Sniff::Undecided`].
pub fn wrong_protocol(first: &[u8]) -> Sniff {
    match first.first() {
        None => Sniff::Undecided,
        Some(0x16) => tls(first),
        Some(0x03) => rtmp(first),
        Some(_) => http(first),
    }
}

/// TLS record header, RFC 8446 5.1: type 22 (handshake), version 3.0 to 3.4,
/// a length that a handshake can have.
fn tls(first: &[u8]) -> Sniff {
    match *first {
        [_] | [_, 3] | [_, 3, 0..=4] | [_, 3, 0..=4, _] => Sniff::Undecided,
        [_, 3, 0..=4, high, low, ..]
            if (1..=TLS_RECORD_BYTES).contains(&usize::from(u16::from_be_bytes([high, low]))) =>
        {
            Sniff::Wrong(TLS)
        }
        _ => Sniff::Clean,
    }
}

/// RTMP C0 and the head of C1, RTMP 1.0 5.2.2 and 5.2.3: version 3, four bytes
/// of time, then four zero bytes; or, where the Flash player's digest
/// handshake is spoken, the player's version. ffmpeg always says 9.0.124.2.
fn rtmp(first: &[u8]) -> Sniff {
    match first.get(5..9) {
        None => Sniff::Undecided,
        Some([0, 0, 0, 0] | [9, 0, 124, 2]) => Sniff::Wrong(RTMP),
        Some(_) => Sniff::Clean,
    }
}

/// A verb that HTTP clients use, and the start of a request target
/// (RFC 9112 3.2), so that a line of text may begin with the word.
fn http(first: &[u8]) -> Sniff {
    let verbs: [&[u8]; 6] = [b"GET ", b"PUT ", b"POST ", b"HEAD ", b"OPTIONS ", b"SOURCE "];
    for verb in verbs {
        let common = verb.len().min(first.len());
        if first[..common] != verb[..common] {
            continue;
        }
        return match first.get(verb.len()) {
            None => Sniff::Undecided,
            Some(b'/' | b'*' | b'h') => Sniff::Wrong(HTTP),
            Some(_) => Sniff::Clean,
        };
    }
    Sniff::Clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_is_named_as_soon_as_it_is_certain() {
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];
        let obs = [3, 0, 0, 0, 9, 0, 0, 0, 0, 0x41];
        let ffmpeg = [3, 0, 0, 0, 0, 9, 0, 124, 2, 0x41];
        for (bytes, decided, message) in [
            (&hello[..], 5, TLS),
            (&obs, 9, RTMP),
            (&ffmpeg, 9, RTMP),
            (b"GET / HTTP/1.1", 5, HTTP),
            (b"PUT /live/a HTTP/1.1", 5, HTTP),
            (b"POST http://h/a HTTP/1.1", 6, HTTP),
            (b"HEAD /a HTTP/1.0", 6, HTTP),
            (b"OPTIONS * HTTP/1.1", 9, HTTP),
            (b"SOURCE /live ICE/1.0", 8, HTTP),
        ] {
            for n in 0..decided {
                assert_eq!(wrong_protocol(&bytes[..n]), Sniff::Undecided, "{bytes:?} {n}");
            }
            for n in decided..=bytes.len() {
                assert_eq!(wrong_protocol(&bytes[..n]), Sniff::Wrong(message), "{bytes:?} {n}");
            }
        }
    }

    #[test]
    fn streams_are_clean() {
        for bytes in [
            &[0x47, 0x40, 0, 0x10][..],
            b"FLV\x01",
            b"GETTING warmer\n",
            b"GET well soon\n",
            b"GEX",
            b"hello\n",
            &[0x16, 3, 5],
            &[0x16, 2],
            &[0x16, 3, 1, 0x41, 1],
            &[0x16, 3, 1, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 0, 0, 5],
        ] {
            assert_eq!(wrong_protocol(bytes), Sniff::Clean, "{bytes:?}");
        }
    }

    #[test]
    fn more_bytes_never_change_a_decision() {
        let mut seed = 0x2545_f491_4f6c_dd1du64;
        let alphabet = [0x16, 3, 0, 1, 2, 9, 124, b'G', b'E', b'T', b' ', b'/', b'P', b'U', 0x47];
        for _ in 0..50_000 {
            let mut bytes = [0u8; 12];
            for byte in &mut bytes {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                *byte = alphabet[(seed % alphabet.len() as u64) as usize];
            }
            let mut last = Sniff::Undecided;
            for n in 0..=bytes.len() {
                let now = wrong_protocol(&bytes[..n]);
                assert!(last == Sniff::Undecided || last == now, "{bytes:?} at {n}");
                last = now;
            }
        }
    }
}
