//! The body of an HTTP request, decoded where it lies.
//!
//! A publisher's bytes are received straight into the ring. With
//! `Content-Length` they are payload as they come. With the chunked coding the
//! framing between the chunks has to go before the bytes are committed: one
//! pass moves each payload byte at most once, towards the front.

use super::Refusal;
use super::percent::hex;
use crate::limits::{HTTP_CHUNK_LINE, HTTP_HEAD_BYTES};

/// What is still to come of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    state: State,
}

/// Bytes of the longest header that [`chunk_head`] makes.
pub const CHUNK_HEAD: usize = 2 + 16 + 2;
/// Ends a body in the chunked coding, and the chunk before.
pub const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// What goes before `bytes` bytes, which are at least one, to make a chunk of
/// them (RFC 9112 7.1). The line break that it begins with ends the chunk before
/// or, before the first one, the head of the message, whose own is left out: so
/// nothing has to follow a chunk.
pub fn chunk_head(bytes: u64) -> ([u8; CHUNK_HEAD], usize) {
    let mut head = [0; CHUNK_HEAD];
    let mut at = CHUNK_HEAD;
    let mut put = |byte| {
        at -= 1;
        head[at] = byte;
    };
    put(b'\n');
    put(b'\r');
    let mut left = bytes;
    loop {
        put(b"0123456789abcdef"[(left % 16) as usize]);
        left /= 16;
        if left == 0 {
            break;
        }
    }
    put(b'\n');
    put(b'\r');
    head.copy_within(at.., 0);
    (head, CHUNK_HEAD - at)
}

/// What one call decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Payload bytes; they now lie at the front of the input.
    pub payload: usize,
    /// Bytes of the input that belong to this body. What lies behind them, and
    /// it lies where it was, is the next request.
    pub consumed: usize,
    /// Bytes that were moved, for the counter of copies.
    pub moved: usize,
    /// The body is complete.
    pub done: bool,
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `Content-Length`: so many payload bytes are left.
    Length(u64),
    /// In the digits of a chunk's size; `line` bytes of its line have come.
    Size { size: u64, line: usize },
    /// Behind the size, in extensions that mean nothing to us.
    Extension { size: u64, line: usize },
    /// The LF of the size line is next.
    SizeLf { size: u64 },
    /// So many bytes of the chunk are left.
    Data(u64),
    /// The CR behind the chunk is next.
    DataCr,
    /// The LF behind the chunk is next.
    DataLf,
    /// In the trailer section; `total` bytes of it have come.
    Trailer { total: usize, line_empty: bool },
    /// The LF of a trailer line is next.
    TrailerLf { total: usize, line_empty: bool },
    /// Nothing more belongs to this body.
    Done,
    /// The framing was broken; nothing after it can be trusted.
    Broken(Refusal),
}

impl Body {
    /// A body of `bytes` bytes, as `Content-Length` said (RFC 9112 6.2).
    pub const fn length(bytes: u64) -> Self {
        Self {
            state: match bytes {
                0 => State::Done,
                left => State::Length(left),
            },
        }
    }

    /// A body in the chunked transfer coding (RFC 9112 7.1).
    pub const fn chunked() -> Self {
        Self { state: State::Size { size: 0, line: 0 } }
    }

    /// Nothing more is to come.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes freshly received bytes in place. The input may be split
    /// anywhere; each byte of it is shown once.
    ///
    /// # Errors
    /// The chunked framing is broken, a size line is longer than
    /// [`HTTP_CHUNK_LINE`] ([`Refusal::BadRequest`]) or the trailers are longer
    /// than [`HTTP_HEAD_BYTES`] ([`Refusal::HeadTooLarge`]). The publisher is
    /// to be ended; later calls fail alike.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Refusal> {
        let mut decoded = Decoded::default();
        while decoded.consumed < bytes.len() && !self.is_done() {
            let at = decoded.consumed;
            if let State::Length(left) | State::Data(left) = self.state {
                let here = at_most(left, bytes.len() - at);
                if decoded.payload != at {
                    bytes.copy_within(at..at + here, decoded.payload);
                    decoded.moved += here;
                }
                decoded.payload += here;
                decoded.consumed += here;
                self.state = self.state.after_payload(left - here as u64);
            } else {
                self.state = self.state.after_byte(bytes[at]);
                if let State::Broken(why) = self.state {
                    return Err(why);
                }
                decoded.consumed += 1;
            }
        }
        decoded.done = self.is_done();
        Ok(decoded)
    }
}

impl State {
    /// The state once all but `left` bytes of a run of payload have come.
    const fn after_payload(self, left: u64) -> Self {
        match (self, left) {
            (Self::Length(_), 0) => Self::Done,
            (Self::Length(_), _) => Self::Length(left),
            (_, 0) => Self::DataCr,
            (_, _) => Self::Data(left),
        }
    }

    /// The state after one byte of framing. Only CRLF ends a line: that a bare
    /// LF might, and to whom, is what request smuggling is made of
    /// (RFC 9112 11.2).
    const fn after_byte(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Size { size, line }, _) => size_line(size, line, byte),
            (Self::Extension { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Extension { size, line }, _) if is_line_byte(byte) && line < HTTP_CHUNK_LINE => {
                Self::Extension { size, line: line + 1 }
            }
            (Self::SizeLf { size: 0 }, b'\n') => Self::Trailer { total: 0, line_empty: true },
            (Self::SizeLf { size }, b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, line: 0 },
            (Self::Trailer { total, .. }, _) if total >= HTTP_HEAD_BYTES => {
                Self::Broken(Refusal::HeadTooLarge)
            }
            (Self::Trailer { total, line_empty }, b'\r') => {
                Self::TrailerLf { total: total + 1, line_empty }
            }
            (Self::Trailer { total, .. }, _) if is_line_byte(byte) => {
                Self::Trailer { total: total + 1, line_empty: false }
            }
            (Self::TrailerLf { line_empty: true, .. }, b'\n') => Self::Done,
            (Self::TrailerLf { total, .. }, b'\n') => {
                Self::Trailer { total: total + 1, line_empty: true }
            }
            (Self::Done, _) => Self::Done,
            (Self::Broken(why), _) => Self::Broken(why),
            (_, _) => Self::Broken(Refusal::BadRequest),
        }
    }
}

/// One byte of a chunk's size (RFC 9112 7.1: at least one hexadecimal digit)
/// or the first one behind it.
const fn size_line(size: u64, line: usize, byte: u8) -> State {
    const BROKEN: State = State::Broken(Refusal::BadRequest);
    if let Some(digit) = hex(byte) {
        // Leading zeros don't overflow but are bounded as part of the line.
        if size >> 60 != 0 || line >= HTTP_CHUNK_LINE {
            return BROKEN;
        }
        return State::Size { size: size << 4 | digit as u64, line: line + 1 };
    }
    match byte {
        _ if line == 0 => BROKEN,
        b'\r' => State::SizeLf { size },
        b';' | b' ' | b'\t' if line < HTTP_CHUNK_LINE => State::Extension { size, line: line + 1 },
        _ => BROKEN,
    }
}

/// What a field line may hold, RFC 9110 5.5: no control character but the tab.
const fn is_line_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=0x7e | 0x80..)
}

fn at_most(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::Random;

    /// Feeds `input` in pieces of the lengths that `piece` gives; answers the
    /// payload, how much was consumed, whether it is done, or the error.
    fn run(
        body: &mut Body,
        input: &[u8],
        mut piece: impl FnMut() -> usize,
    ) -> (Vec<u8>, usize, Result<bool, Refusal>) {
        let mut payload = Vec::new();
        let mut at = 0;
        while at < input.len() && !body.is_done() {
            let end = (at + piece().max(1)).min(input.len());
            let mut bytes = input[at..end].to_vec();
            let tail = bytes.clone();
            match body.decode(&mut bytes) {
                Ok(decoded) => {
                    assert!(decoded.consumed <= bytes.len());
                    assert!(decoded.payload <= decoded.consumed);
                    assert!(decoded.moved <= decoded.payload);
                    assert!(decoded.done || decoded.consumed == bytes.len());
                    assert_eq!(bytes[decoded.consumed..], tail[decoded.consumed..]);
                    payload.extend_from_slice(&bytes[..decoded.payload]);
                    at += decoded.consumed;
                }
                Err(why) => return (payload, at, Err(why)),
            }
        }
        (payload, at, Ok(body.is_done()))
    }

    fn whole(input: &[u8]) -> (Vec<u8>, usize, Result<bool, Refusal>) {
        run(&mut Body::chunked(), input, || usize::MAX / 2)
    }

    #[test]
    fn content_length_moves_nothing_and_leaves_the_next_request() {
        let mut body = Body::length(5);
        let mut bytes = *b"helloGET /";
        let decoded = body.decode(&mut bytes).unwrap();
        assert_eq!((decoded.payload, decoded.consumed, decoded.moved), (5, 5, 0));
        assert!(decoded.done);
        assert_eq!(&bytes, b"helloGET /");
        assert!(Body::length(0).is_done());
        assert_eq!(body.decode(&mut bytes).unwrap(), Decoded { done: true, ..Decoded::default() });
    }

    #[test]
    fn a_length_beyond_memory_is_only_a_number() {
        let mut body = Body::length(u64::MAX);
        let decoded = body.decode(&mut [0; 100]).unwrap();
        assert_eq!((decoded.payload, decoded.done), (100, false));
    }

    #[test]
    fn each_byte_moves_once_at_most() {
        let mut bytes = b"3\r\nabc\r\n4;x=\"y\"\r\ndefg\r\n0\r\n\r\nPUT /".to_vec();
        let mut body = Body::chunked();
        let decoded = body.decode(&mut bytes).unwrap();
        assert_eq!(&bytes[..decoded.payload], b"abcdefg");
        assert_eq!(decoded.moved, 7);
        assert_eq!(&bytes[decoded.consumed..], b"PUT /");
        assert!(decoded.done);
        // In the middle of a chunk there is no framing, so nothing moves.
        let mut body = Body::chunked();
        body.decode(&mut b"ff\r\n".to_vec()).unwrap();
        assert_eq!(body.decode(&mut [0; 200]).unwrap().moved, 0);
    }

    #[test]
    fn what_is_coded_in_chunks_is_decoded_again() {
        let mut coded = Vec::new();
        let mut plain = Vec::new();
        for len in [1, 9, 10, 15, 16, 255, 4096, 70_000] {
            let (head, head_len) = chunk_head(len);
            coded.extend_from_slice(&head[..head_len]);
            coded.resize(coded.len() + len as usize, b'x');
            plain.resize(plain.len() + len as usize, b'x');
        }
        coded.extend_from_slice(LAST_CHUNK);
        // The first line break is the head's.
        let body = &coded[2..];
        assert_eq!(whole(body), (plain, body.len(), Ok(true)));
        let (head, len) = chunk_head(u64::MAX);
        assert_eq!(&head[..len], b"\r\nffffffffffffffff\r\n");
    }

    #[test]
    fn sizes_extensions_and_trailers() {
        for (input, payload) in [
            (&b"0\r\n\r\n"[..], &b""[..]),
            (b"000\r\n\r\n", b""),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"1 ;a\r\nx\r\n0;last\r\n\r\n", b"x"),
            (b"1\r\nx\r\n0\r\nTrailer: a\r\nB: \xe4\r\n\r\n", b"x"),
        ] {
            assert_eq!(whole(input), (payload.to_vec(), input.len(), Ok(true)));
        }
        for wrong in [
            &b"\r\n"[..],
            b";x\r\n",
            b" 1\r\nx\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\nx\r\n",
            b"1\nx\r\n",
            b"1;a\nx\r\n",
            b"1\rx",
            b"1\r\nxx",
            b"1\r\nx\n",
            b"1\r\nx\rx",
            b"1;\0\r\nx",
            b"1;a\rb\r\n",
            b"10000000000000000\r\n",
            b"fffffffffffffffff\r\n",
            b"0\r\n\n",
            b"0\r\na: b\n\n",
            b"0\r\n\0\r\n\r\n",
            b"0\r\n\rx",
        ] {
            assert_eq!(whole(wrong).2, Err(Refusal::BadRequest), "{wrong:?}");
        }
        assert_eq!(whole(b"ffffffffffffffff\r\nx").2, Ok(false));
    }

    #[test]
    fn framing_is_bounded() {
        let fits = [&b"1"[..], &[b' '; HTTP_CHUNK_LINE - 1], b"\r\nx"].concat();
        assert_eq!(whole(&fits).2, Ok(false));
        let long = [&b"1"[..], &[b' '; HTTP_CHUNK_LINE], b"\r\nx"].concat();
        assert_eq!(whole(&long).2, Err(Refusal::BadRequest));
        assert_eq!(whole(&[b'0'; HTTP_CHUNK_LINE + 1]).2, Err(Refusal::BadRequest));
        let trailers =
            [&b"0\r\n"[..], &b"a: b\r\n".repeat(HTTP_HEAD_BYTES / 6 + 1), b"\r\n"].concat();
        assert_eq!(whole(&trailers).2, Err(Refusal::HeadTooLarge));
    }

    #[test]
    fn an_error_is_final() {
        let mut body = Body::chunked();
        assert!(body.decode(&mut b"zz".to_vec()).is_err());
        assert!(body.decode(&mut b"1\r\nx\r\n".to_vec()).is_err());
    }

    #[test]
    fn any_split_gives_the_same() {
        let mut random = Random::new(7);
        for _ in 0..2_000 {
            let mut input = Vec::new();
            let mut expected = Vec::new();
            for _ in 0..random.below(6) {
                let chunk: Vec<u8> = (0..=random.below(300)).map(|_| random.next() as u8).collect();
                input.extend_from_slice(format!("{:x}", chunk.len()).as_bytes());
                input.extend_from_slice([&b""[..], b";a=b", b" "][random.below(3)]);
                input.extend_from_slice(b"\r\n");
                input.extend_from_slice(&chunk);
                input.extend_from_slice(b"\r\n");
                expected.extend_from_slice(&chunk);
            }
            input.extend_from_slice([&b"0\r\n\r\n"[..], b"0\r\nX: y\r\n\r\n"][random.below(2)]);
            let end = input.len();
            input.extend_from_slice(b"GET / HTTP/1.1\r\n");
            let wanted = (expected, end, Ok(true));
            assert_eq!(whole(&input), wanted);
            assert_eq!(run(&mut Body::chunked(), &input, || 1), wanted);
            assert_eq!(run(&mut Body::chunked(), &input, || random.below(40)), wanted);
        }
    }

    #[test]
    fn fuzz_chunked() {
        let corpus: [&[u8]; 4] = [
            b"5\r\nhello\r\n0\r\n\r\n",
            b"1;ext=\"v\"\r\nx\r\nA\r\n0123456789\r\n0\r\nT: u\r\n\r\n",
            b"ffffffffffffffff\r\nabc",
            b"0000000000000000000\r\n\r\n",
        ];
        let mut random = Random::new(11);
        for _ in 0..250_000 {
            let seed = corpus[random.below(corpus.len())];
            let input = random.mutate(seed);
            let a = whole(&input);
            let b = run(&mut Body::chunked(), &input, || 1);
            // On an error, the payload before it in the same call is dropped.
            assert_eq!(a.2, b.2, "{input:?}");
            if a.2.is_ok() {
                assert_eq!(a, b, "{input:?}");
            } else {
                assert!(b.0.starts_with(&a.0));
            }
        }
    }
}
