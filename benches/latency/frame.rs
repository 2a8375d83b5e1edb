//! The frames that the load generator sends, of a fixed size, each with its
//! number in it, and how a receiver finds them again.
//!
//! ```text
//! len32  length:4  last:1  0:3  number:8  filler
//! ts     7 x ( 0x47 pid:2 cc:1  last:1  0:3  number:8  filler )
//! ```
//! `last` marks the piece that completes a frame, so that one receiver reads
//! both.

use std::io;

const LAST_AT: usize = 4;
const NUMBER_AT: usize = 8;
const TS_PACKET: usize = 188;
const TS_PACKETS: usize = 7;
/// A PID of nothing that the server knows.
const PID: u16 = 0x1abc;
const FILLER: u8 = 0x55;
/// What `framing=len32` wants before 60 bytes.
const SMALL_HEAD: [u8; 4] = (Shape::Small.len() as u32 - 4).to_be_bytes();

/// What a frame looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 64 bytes, `framing=len32`.
    Small,
    /// 1316 bytes, seven packets, `framing=ts`.
    Ts,
}

impl Shape {
    /// Bytes of a frame.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Small => 64,
            Self::Ts => TS_PACKETS * TS_PACKET,
        }
    }

    /// Bytes of a piece; a frame is one or several.
    const fn piece(self) -> usize {
        match self {
            Self::Small => 64,
            Self::Ts => TS_PACKET,
        }
    }

    /// Keys of a listener that takes such frames.
    pub(crate) const fn keys(self) -> &'static str {
        match self {
            Self::Small => "framing=len32",
            Self::Ts => "framing=ts&join=live",
        }
    }
}

/// Frame `number` of a shape, with a continuity counter that goes on.
pub(crate) fn write(shape: Shape, number: u64, out: &mut Vec<u8>) {
    out.clear();
    Layout::of(shape).append(number, out);
}

/// Frames of a shape, with as many pieces as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What a piece looks like.
    pub(crate) shape: Shape,
    pieces: usize,
}

impl Layout {
    /// A shape's own.
    pub(crate) const fn of(shape: Shape) -> Self {
        Self { shape, pieces: shape.len() / shape.piece() }
    }

    /// Frames of `packets` packets of MPEG-TS.
    pub(crate) const fn packets(packets: usize) -> Self {
        Self { shape: Shape::Ts, pieces: packets }
    }

    /// Bytes of a frame.
    pub(crate) const fn len(self) -> usize {
        self.pieces * self.shape.piece()
    }

    /// Writes frame `number` behind what is there.
    pub(crate) fn append(self, number: u64, out: &mut Vec<u8>) {
        for n in 0..self.pieces {
            let start = out.len();
            match self.shape {
                Shape::Small => out.extend_from_slice(&SMALL_HEAD),
                Shape::Ts => {
                    let [high, low] = PID.to_be_bytes();
                    let counter = number.wrapping_mul(self.pieces as u64).wrapping_add(n as u64);
                    out.extend_from_slice(&[0x47, high, low, 0x10 | (counter & 15) as u8]);
                }
            }
            out.extend_from_slice(&[u8::from(n + 1 == self.pieces), 0, 0, 0]);
            out.extend_from_slice(&number.to_be_bytes());
            out.resize(start + self.shape.piece(), FILLER);
        }
    }

    /// The number of the frame that `bytes` hold, and nothing else.
    ///
    /// # Errors
    /// They don't: a piece is missing, cut, or of another frame.
    pub(crate) fn read(self, bytes: &[u8]) -> io::Result<u64> {
        let piece = self.shape.piece();
        let mut number = None;
        for (n, piece) in bytes.chunks(piece).enumerate() {
            let (is_last, its) = self.read_piece(piece).ok_or_else(|| not_ours(piece))?;
            if *number.get_or_insert(its) != its || is_last != (n + 1 == self.pieces) {
                return Err(io::Error::other(format!("frame {its} is not whole")));
            }
        }
        number.filter(|_| bytes.len() == self.len()).ok_or_else(|| not_ours(bytes))
    }

    /// Where the first frame starts of which nothing is missing: behind the
    /// last piece of another, or at its only piece.
    pub(crate) fn start(self, bytes: &[u8]) -> Option<usize> {
        let piece = self.shape.piece();
        let ends = |window| matches!(self.read_piece(window), Some((true, _)));
        let last = bytes.windows(piece).position(ends)?;
        Some(if self.pieces == 1 { last } else { last + piece })
    }

    /// Whether it is a frame's last, and that frame's number.
    fn read_piece(self, piece: &[u8]) -> Option<(bool, u64)> {
        let (head, rest) = piece.split_at_checked(LAST_AT)?;
        let is_ours = piece.len() == self.shape.piece()
            && match self.shape {
                Shape::Small => head == SMALL_HEAD,
                Shape::Ts => head[0] == 0x47 && head[1..3] == PID.to_be_bytes(),
            }
            && rest[0] <= 1
            && rest[1..4] == [0; 3]
            && piece.last() == Some(&FILLER);
        let number = piece.get(NUMBER_AT..NUMBER_AT + 8)?.try_into().ok()?;
        is_ours.then_some((rest[0] == 1, u64::from_be_bytes(number)))
    }
}

fn not_ours(bytes: &[u8]) -> io::Error {
    io::Error::other(format!("not our frame: {:02x?}", &bytes[..bytes.len().min(16)]))
}

/// Finds frames in what one receiver gets.
pub(crate) struct Finder {
    shape: Shape,
    bytes: Box<[u8]>,
    filled: usize,
}

impl Finder {
    /// A finder with room for a socket buffer's worth.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, bytes: vec![0; 256 * 1024].into_boxed_slice(), filled: 0 }
    }

    /// Where to receive to.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// `len` bytes have arrived; calls for the number of each frame completed.
    ///
    /// # Errors
    /// The bytes are not what was sent.
    pub(crate) fn filled(&mut self, len: usize, mut found: impl FnMut(u64)) -> io::Result<()> {
        self.filled += len;
        let piece = self.shape.piece();
        let whole = self.filled / piece * piece;
        for piece in self.bytes[..whole].chunks_exact(piece) {
            let is_ours = match self.shape {
                Shape::Small => piece[..4] == (self.shape.len() as u32 - 4).to_be_bytes(),
                Shape::Ts => piece[0] == 0x47 && piece[1..3] == PID.to_be_bytes(),
            };
            if !is_ours {
                return Err(io::Error::other(format!("not our frame: {:02x?}", &piece[..16])));
            }
            if piece[LAST_AT] == 1 {
                let number = piece[NUMBER_AT..NUMBER_AT + 8].try_into().expect("eight bytes");
                found(u64::from_be_bytes(number));
            }
        }
        self.bytes.copy_within(whole..self.filled, 0);
        self.filled -= whole;
        Ok(())
    }
}
