//! WebSocket frames, RFC 6455: what a subscriber is sent, and what it may send.
//!
//! Towards the client, one binary message is one frame of the stream; its
//! header is built here and the payload is sent from the ring. From the client
//! little is wanted: control frames are answered, short text is told of (open
//! pages send some), and other data is passed over without being kept.

use crate::limits::WEBSOCKET_IN_BYTES;

/// Largest payload of a control frame, RFC 6455 5.5.
const CONTROL_BYTES: usize = 125;
/// Status code of a broken frame, RFC 6455 7.4.1.
pub const PROTOCOL_ERROR: u16 = 1002;
/// Status code of a message too big, RFC 6455 7.4.1.
pub const TOO_BIG: u16 = 1009;
/// Status code of a stream that has ended, RFC 6455 7.4.1.
pub const GOING_AWAY: u16 = 1001;
/// Status code of a purpose fulfilled, RFC 6455 7.4.1.
pub const NORMAL: u16 = 1000;
/// Status code of a server with too many already, RFC 6455 11.7 and IANA's
/// registry of close codes.
pub const TRY_AGAIN_LATER: u16 = 1013;

const FIN: u8 = 0x80;
const MASK: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The header of an unmasked, unfragmented binary message of `payload` bytes
/// (RFC 6455 5.2), and how many of the ten bytes it takes.
pub fn header(payload: usize) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    bytes[0] = FIN | BINARY;
    if let Ok(short) = u8::try_from(payload)
        && usize::from(short) <= CONTROL_BYTES
    {
        bytes[1] = short;
        (bytes, 2)
    } else if let Ok(medium) = u16::try_from(payload) {
        bytes[1] = 126;
        bytes[2..4].copy_from_slice(&medium.to_be_bytes());
        (bytes, 4)
    } else {
        bytes[1] = 127;
        bytes[2..].copy_from_slice(&(payload as u64).to_be_bytes());
        (bytes, 10)
    }
}

/// An unmasked, unfragmented text message.
pub fn text(payload: &str) -> Vec<u8> {
    let (mut head, len) = header(payload.len());
    head[0] = FIN | TEXT;
    [&head[..len], payload.as_bytes()].concat()
}

/// A Close frame with a status code (RFC 6455 5.5.1).
pub const fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [FIN | CLOSE, 2, high, low]
}

/// The Pong that answers a Ping (RFC 6455 5.5.3).
pub fn pong(ping: &Payload) -> Vec<u8> {
    let mut frame = Vec::with_capacity(2 + ping.as_slice().len());
    frame.extend_from_slice(&[FIN | PONG, ping.len]);
    frame.extend_from_slice(ping.as_slice());
    frame
}

/// The payload of a control frame, or of a text message as short, unmasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    bytes: [u8; CONTROL_BYTES],
    len: u8,
}

impl Payload {
    const EMPTY: Self = Self { bytes: [0; CONTROL_BYTES], len: 0 };

    /// The bytes, at most 125.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.len)] = byte;
        self.len += 1;
    }
}

/// What a client's frame asks of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answer with [`pong`] of the same payload.
    Ping(Payload),
    /// A text message of one frame, short enough for a control frame; whether
    /// it is UTF-8 is not looked at.
    Text(Payload),
    /// Answer with [`close_frame`] of the same code ([`NORMAL`] if it gave
    /// none), then close. What comes after it is passed over.
    Close(Option<u16>),
}

/// Reads the frames of one client.
#[derive(Clone, Debug)]
pub struct Inbound {
    state: State,
    /// A fragmented message has begun and not ended.
    in_message: bool,
    kept: Payload,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Collecting the header: two bytes, extended length, mask.
    Header { bytes: [u8; 14], len: usize },
    /// In the payload, which is kept or passed over.
    Payload { opcode: u8, is_kept: bool, mask: [u8; 4], at: usize, left: usize },
    /// A Close frame came, or a broken one; `Some` is the code to close with.
    Over(Option<u16>),
}

const START: State = State::Header { bytes: [0; 14], len: 0 };

impl Default for Inbound {
    fn default() -> Self {
        Self::new()
    }
}

impl Inbound {
    /// Before the first frame.
    pub const fn new() -> Self {
        Self { state: START, in_message: false, kept: Payload::EMPTY }
    }

    /// Takes bytes, split anywhere, up to the end of the first frame that asks
    /// for something; answers how many it took. Call it again with the rest.
    ///
    /// # Errors
    /// The status code to close with (RFC 6455 7.4.1): [`PROTOCOL_ERROR`] for
    /// a frame that is broken or not masked (5.1), [`TOO_BIG`] for one longer
    /// than [`WEBSOCKET_IN_BYTES`]. Later calls fail alike.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(usize, Option<Event>), u16> {
        let mut taken = 0;
        while taken < bytes.len() {
            match &mut self.state {
                State::Over(None) => return Ok((bytes.len(), None)),
                State::Over(Some(code)) => return Err(*code),
                State::Header { bytes: held, len } => {
                    held[*len] = bytes[taken];
                    *len += 1;
                    taken += 1;
                    let header = Header::read(&held[..*len]);
                    if let Some(header) = header.map_err(|code| self.fail(code))? {
                        self.begin(header)?;
                    }
                }
                State::Payload { is_kept, mask, at, left, .. } => {
                    let here = (*left).min(bytes.len() - taken);
                    if *is_kept {
                        for (i, byte) in bytes[taken..taken + here].iter().enumerate() {
                            self.kept.push(byte ^ mask[(*at + i) % 4]);
                        }
                    }
                    *at += here;
                    *left -= here;
                    taken += here;
                }
            }
            if let Some(event) = self.finish()? {
                return Ok((taken, Some(event)));
            }
        }
        Ok((taken, None))
    }

    /// Checks a header against what came before it and goes on to its payload.
    fn begin(&mut self, header: Header) -> Result<(), u16> {
        // Fragments, RFC 6455 5.4: control frames may stand between them.
        match header.opcode {
            CONTINUATION if !self.in_message => return Err(self.fail(PROTOCOL_ERROR)),
            TEXT | BINARY if self.in_message => return Err(self.fail(PROTOCOL_ERROR)),
            CONTINUATION | TEXT | BINARY => self.in_message = !header.fin,
            _ => {}
        }
        self.kept = Payload::EMPTY;
        let is_short_text = header.opcode == TEXT && header.fin && header.payload <= CONTROL_BYTES;
        self.state = State::Payload {
            opcode: header.opcode,
            is_kept: header.opcode >= CLOSE || is_short_text,
            mask: header.mask,
            at: 0,
            left: header.payload,
        };
        Ok(())
    }

    /// Ends the frame if its payload is complete; answers what it asks for.
    fn finish(&mut self) -> Result<Option<Event>, u16> {
        let State::Payload { opcode, is_kept, left: 0, .. } = self.state else {
            return Ok(None);
        };
        self.state = START;
        match opcode {
            PING => Ok(Some(Event::Ping(self.kept))),
            TEXT if is_kept => Ok(Some(Event::Text(self.kept))),
            CLOSE => {
                let code = close_code(self.kept.as_slice()).map_err(|code| self.fail(code))?;
                self.state = State::Over(None);
                Ok(Some(Event::Close(code)))
            }
            _ => Ok(None),
        }
    }

    const fn fail(&mut self, code: u16) -> u16 {
        self.state = State::Over(Some(code));
        code
    }
}

/// A complete frame header.
struct Header {
    fin: bool,
    opcode: u8,
    payload: usize,
    mask: [u8; 4],
}

impl Header {
    /// Reads a header as soon as it is complete, and refuses a broken one as
    /// soon as that is certain.
    fn read(bytes: &[u8]) -> Result<Option<Self>, u16> {
        let first = bytes[0];
        let opcode = first & 0x0f;
        let fin = first & FIN != 0;
        // No extension was agreed on, so the reserved bits are zero (5.2).
        let known = matches!(opcode, CONTINUATION..=BINARY | CLOSE..=PONG);
        if first & 0x70 != 0 || !known || (opcode >= CLOSE && !fin) {
            return Err(PROTOCOL_ERROR);
        }
        let Some(second) = bytes.get(1) else {
            return Ok(None);
        };
        let short = usize::from(second & !MASK);
        if second & MASK == 0 || (opcode >= CLOSE && short > CONTROL_BYTES) {
            return Err(PROTOCOL_ERROR);
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(length) = bytes.get(2..2 + extended) else {
            return Ok(None);
        };
        let payload = match length.len() {
            0 => short as u64,
            _ => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        // The shortest form is a must, and the top bit is zero (5.2).
        let least = match extended {
            2 => 126,
            8 => 1 << 16,
            _ => 0,
        };
        if payload < least || payload >> 63 != 0 {
            return Err(PROTOCOL_ERROR);
        }
        let payload = usize::try_from(payload).map_err(|_| TOO_BIG)?;
        if payload > WEBSOCKET_IN_BYTES {
            return Err(TOO_BIG);
        }
        Ok(bytes
            .get(2 + extended..)
            .and_then(|mask| Some(Self { fin, opcode, payload, mask: mask.try_into().ok()? })))
    }
}

/// The status code of a Close frame, RFC 6455 5.5.1 and 7.4: none, or one that
/// may stand in a frame, with a reason in UTF-8 behind it.
fn close_code(payload: &[u8]) -> Result<Option<u16>, u16> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        [_] => return Err(PROTOCOL_ERROR),
    };
    let may_stand = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !may_stand || std::str::from_utf8(reason).is_err() {
        return Err(PROTOCOL_ERROR);
    }
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::Random;

    /// A client's frame: masked, length in its shortest form.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let (mut head, len) = header(payload.len());
        head[0] = first;
        head[1] |= MASK;
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = [&head[..len], &mask].concat();
        bytes.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
        bytes
    }

    fn run(input: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<Event>, Option<u16>) {
        let mut inbound = Inbound::new();
        let mut events = Vec::new();
        let mut at = 0;
        while at < input.len() {
            let end = (at + piece().max(1)).min(input.len());
            match inbound.handle_bytes(&input[at..end]) {
                Ok((taken, event)) => {
                    assert!(taken > 0 && taken <= end - at, "no progress");
                    events.extend(event);
                    at += taken;
                }
                Err(code) => {
                    assert_eq!(inbound.handle_bytes(b"x"), Err(code), "final");
                    return (events, Some(code));
                }
            }
        }
        (events, None)
    }

    fn whole(input: &[u8]) -> (Vec<Event>, Option<u16>) {
        run(input, || 1 << 20)
    }

    fn kept(bytes: &[u8]) -> Payload {
        let mut payload = Payload::EMPTY;
        bytes.iter().for_each(|byte| payload.push(*byte));
        payload
    }

    fn ping(payload: &[u8]) -> Event {
        Event::Ping(kept(payload))
    }

    #[test]
    fn headers_take_the_shortest_form() {
        for (n, expected) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (1316, &[0x82, 126, 5, 36]),
            (65_535, &[0x82, 126, 255, 255]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (bytes, len) = header(n);
            assert_eq!(&bytes[..len], expected);
        }
    }

    #[test]
    fn control_frames_are_answered_between_fragments() {
        let input = [
            frame(TEXT, b"Hel"),
            frame(FIN | PING, b"beat"),
            frame(CONTINUATION, b""),
            frame(FIN | CONTINUATION, b"lo"),
            frame(FIN | PONG, b"unasked"),
            frame(FIN | BINARY, &[7; WEBSOCKET_IN_BYTES]),
            frame(FIN | PING, &[1; 125]),
            frame(FIN | CLOSE, &[&1000u16.to_be_bytes()[..], "tschüß".as_bytes()].concat()),
            b"what comes after is passed over".to_vec(),
        ]
        .concat();
        let wanted = (vec![ping(b"beat"), ping(&[1; 125]), Event::Close(Some(1000))], None);
        assert_eq!(whole(&input), wanted);
        assert_eq!(run(&input, || 1), wanted);
        let Event::Ping(payload) = ping(b"beat") else { unreachable!() };
        assert_eq!(pong(&payload), b"\x8a\x04beat");
        assert_eq!(whole(&frame(FIN | CLOSE, b"")), (vec![Event::Close(None)], None));
        assert_eq!(close_frame(1002), [0x88, 2, 3, 0xea]);
    }

    #[test]
    fn short_text_is_told_of_and_longer_or_fragmented_text_passed_over() {
        let input = [
            frame(FIN | TEXT, b"hi"),
            frame(FIN | TEXT, &[b'a'; 126]),
            frame(TEXT, b"in "),
            frame(FIN | CONTINUATION, b"two"),
            frame(FIN | BINARY, b"no text"),
            frame(FIN | TEXT, b""),
            frame(FIN | TEXT, &[b'b'; 125]),
        ]
        .concat();
        let wanted = [&b"hi"[..], b"", &[b'b'; 125]].map(|text| Event::Text(kept(text)));
        assert_eq!(whole(&input), (wanted.to_vec(), None));
        assert_eq!(run(&input, || 1), (wanted.to_vec(), None));
        assert_eq!(text("hi"), b"\x81\x02hi");
    }

    #[test]
    fn broken_frames_are_refused() {
        let unmasked = vec![FIN | TEXT, 1, b'x'];
        let long_form = [&[FIN | BINARY, MASK | 126, 0, 5, 1, 2, 3, 4][..], b"hello"].concat();
        let longer_form =
            [&[FIN | BINARY, MASK | 127][..], &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]].concat();
        for wrong in [
            unmasked,
            long_form,
            longer_form,
            frame(FIN | 0x40 | TEXT, b""),
            frame(FIN | 0x3, b""),
            frame(FIN | 0xb, b""),
            frame(PING, b""),
            frame(FIN | PING, &[0; 126]),
            frame(FIN | CONTINUATION, b""),
            [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(),
            frame(FIN | CLOSE, &[3]),
            frame(FIN | CLOSE, &1005u16.to_be_bytes()),
            frame(FIN | CLOSE, &999u16.to_be_bytes()),
            frame(FIN | CLOSE, &[3, 0xe8, 0xff]),
        ] {
            assert_eq!(whole(&wrong).1, Some(PROTOCOL_ERROR), "{wrong:?}");
        }
        assert_eq!(whole(&frame(FIN | BINARY, &[0; WEBSOCKET_IN_BYTES + 1])).1, Some(TOO_BIG));
    }

    #[test]
    fn fuzz_any_split_gives_the_same_without_panic() {
        let corpus = [
            frame(FIN | PING, b"0123456789"),
            [frame(TEXT, b"abc"), frame(FIN | CONTINUATION, b"def")].concat(),
            [frame(FIN | BINARY, &[9; 300]), frame(FIN | PING, b"")].concat(),
            [frame(FIN | PING, b"x"), frame(FIN | CLOSE, &1001u16.to_be_bytes())].concat(),
        ];
        let mut random = Random::new(3);
        for _ in 0..250_000 {
            let seed = &corpus[random.below(corpus.len())];
            let input = random.mutate(seed);
            let wanted = whole(&input);
            assert_eq!(run(&input, || 1), wanted, "{input:?}");
            assert_eq!(run(&input, || random.below(9)), wanted, "{input:?}");
        }
    }
}
