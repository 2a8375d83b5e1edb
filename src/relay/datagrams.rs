//! How frames become datagrams: `ts` in sevens of packets, `raw` as many
//! bytes at a time, of the rest one frame each, without what is no payload.
//!
//! What a stretch of a stream is cut into is the same for everybody who is
//! sent it, so it is worked out once. Datagrams of equal size that follow one
//! another are a [`Run`], which the kernel can take in one piece.

use super::subscriber::Cut;
use crate::base::Position;
use crate::framing::Kind;
use crate::limits::{DATAGRAM_BYTES, DATAGRAM_MAX, GSO_STRIDE, UDP_PIECES};
use crate::ring::{Gather, Window};
use std::ops::Range;

/// Slices that one datagram can take: its bytes lie in two segments at most,
/// and a few more are kept free so that none is ever cut short.
const SLICES: usize = 4;

/// Datagrams of one size in a row, the last perhaps shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which slices of the gather list they are.
    pub slices: Range<usize>,
    /// Bytes of each but the last.
    pub stride: usize,
    /// Bytes of all.
    pub bytes: usize,
}

impl Run {
    /// How many datagrams they are; an empty run is an empty datagram.
    pub fn datagrams(&self) -> usize {
        self.bytes.div_ceil(self.stride.max(1)).max(1)
    }

    /// Whether one of `len` bytes can be the next: only the last is shorter.
    fn takes(&self, len: usize) -> bool {
        let are_whole = self.stride > 0 && self.bytes.is_multiple_of(self.stride);
        let fits = self.stride <= GSO_STRIDE && self.bytes + len <= DATAGRAM_MAX;
        are_whole && fits && 0 < len && len <= self.stride
    }
}

/// A stretch of a stream as datagrams.
#[derive(Debug)]
pub struct Flight {
    /// Where it ends.
    pub end: Position,
    /// Frames left out because no datagram can hold them.
    pub too_large: u64,
}

/// Cuts `[from, to)` into datagrams, as far as `list` and [`UDP_PIECES`] go:
/// their bytes are appended to `list`, and what they are to `runs`. Without
/// `merges` each is a run of its own.
pub fn cut<'a>(
    window: &'a Window,
    cut: Cut,
    (from, to): (Position, Position),
    merges: bool,
    list: &mut Gather<'a, '_>,
    runs: &mut Vec<Run>,
) -> Flight {
    let mut flight = Flight { end: from, too_large: 0 };
    // Bytes of the last run that are not on the list yet: neighbours in the
    // ring are one slice.
    let mut due = from..from;
    let mut pieces = 0;
    while pieces < UDP_PIECES && flight.end < to && list.room() >= SLICES {
        let (piece, next) = piece(window, cut, flight.end, to);
        flight.end = next;
        let len = piece.end.since(piece.start) as usize;
        if len > DATAGRAM_MAX {
            flight.too_large += 1;
            continue;
        }
        pieces += 1;
        let joins = merges && runs.last().is_some_and(|run| pieces > 1 && run.takes(len));
        if !joins || piece.start != due.end {
            gather(window, &due, list, runs);
            due = piece.start..piece.start;
        }
        if !joins {
            let at = list.slices().len();
            runs.push(Run { slices: at..at, stride: len, bytes: 0 });
        }
        if let Some(run) = runs.last_mut() {
            run.bytes += len;
        }
        due.end = piece.end;
    }
    gather(window, &due, list, runs);
    flight
}

/// Puts what is due of the last run on the list.
fn gather<'a>(
    window: &'a Window,
    due: &Range<Position>,
    list: &mut Gather<'a, '_>,
    runs: &mut [Run],
) {
    if let Some(run) = runs.last_mut()
        && due.start < due.end
    {
        window.gather(due.start, due.end, list);
        run.slices.end = list.slices().len();
    }
}

/// The next datagram's bytes, and where the one after it begins.
fn piece(window: &Window, cut: Cut, at: Position, to: Position) -> (Range<Position>, Position) {
    if matches!(cut.kind, Kind::Ts | Kind::Raw | Kind::Auto) {
        let end = to.min(at + DATAGRAM_BYTES as u64);
        return (at..end, end);
    }
    let Some(span) = window.spans(at).next() else {
        return (at..at, to);
    };
    let start = (span.start + cut.trim.front as u64).min(span.end);
    let end = (span.end - cut.trim.back as u64).max(start);
    (start..end, span.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Instant;
    use crate::framing::Trim;
    use crate::ring::{Frame, Pool};
    use std::io::IoSlice;

    const NONE: Trim = Trim { front: 0, back: 0 };

    /// A window of frames of these lengths; a new segment after each `roll`.
    fn window(lens: &[usize], roll: usize) -> Window {
        let mut pool = Pool::default();
        let mut window = Window::default();
        let mut tail = pool.take(Position::ZERO);
        window.push(tail.reader());
        let mut byte = 0u8;
        for (n, &len) in lens.iter().enumerate() {
            if n > 0 && n % roll == 0 {
                let next = pool.take(tail.position());
                window.push(next.reader());
                drop(std::mem::replace(&mut tail, next).seal());
            }
            for space in &mut tail.space()[..len] {
                byte = byte.wrapping_add(1);
                *space = byte;
            }
            tail.fill(len);
            let end = tail.position() + len as u64;
            tail.commit(
                len,
                std::iter::once(Frame { end, arrival: Instant::ZERO, waited: 0, leave: true }),
            );
        }
        window
    }

    /// The sizes of the datagrams, run by run, and all their bytes.
    fn datagrams(
        window: &Window,
        kind: Kind,
        trim: Trim,
        merges: bool,
    ) -> (Vec<Vec<usize>>, Vec<u8>) {
        let (mut sizes, mut bytes) = (Vec::new(), Vec::new());
        let mut from = window.floor();
        while from < window.head() {
            let mut slices = [IoSlice::new(&[]); 64];
            let mut list = Gather::over(&mut slices);
            let mut runs = Vec::new();
            let how = Cut { kind, anywhere: true, trim };
            let flight = cut(window, how, (from, window.head()), merges, &mut list, &mut runs);
            assert!(flight.end > from, "it gets on");
            from = flight.end;
            for run in runs {
                let mut one: Vec<u8> = Vec::new();
                list.slices()[run.slices.clone()].iter().for_each(|slice| one.extend(&**slice));
                assert_eq!(one.len(), run.bytes, "{run:?}");
                sizes.push(one.chunks(run.stride.max(1)).map(<[u8]>::len).collect());
                bytes.extend(one);
            }
        }
        (sizes, bytes)
    }

    #[test]
    fn packets_go_in_sevens_and_the_kernel_cuts_them() {
        let window = window(&[1316, 1316, 1316, 188, 1316], 2);
        let (sizes, bytes) = datagrams(&window, Kind::Ts, NONE, true);
        assert_eq!(sizes, [vec![1316, 1316, 1316, 1316, 188]]);
        assert_eq!(bytes.len(), 4 * 1316 + 188);
        let (sizes, same) = datagrams(&window, Kind::Ts, NONE, false);
        assert_eq!(sizes, [[1316], [1316], [1316], [1316], [188]]);
        assert_eq!(same, bytes);
    }

    #[test]
    fn frames_of_one_size_are_a_run_and_a_shorter_one_ends_it() {
        let window = window(&[50, 50, 50, 20, 20, 60, 60, 1500, 1500], 4);
        let (sizes, bytes) = datagrams(&window, Kind::Datagram, NONE, true);
        // What exceeds a path's packets is not for the kernel to cut.
        let runs: [&[usize]; 5] = [&[50, 50, 50, 20], &[20], &[60, 60], &[1500], &[1500]];
        assert_eq!(sizes, runs);
        let (trimmed, less) = datagrams(&window, Kind::Lines, Trim { front: 0, back: 1 }, true);
        let runs: [&[usize]; 5] = [&[49, 49, 49, 19], &[19], &[59, 59], &[1499], &[1499]];
        assert_eq!(trimmed, runs);
        assert_eq!(less.len(), bytes.len() - 9);
    }

    #[test]
    fn an_empty_frame_is_an_empty_datagram() {
        let window = window(&[1, 1, 5, 1], 9);
        let (sizes, bytes) = datagrams(&window, Kind::Lines, Trim { front: 0, back: 1 }, true);
        let runs: [&[usize]; 4] = [&[], &[], &[4], &[]];
        assert_eq!((sizes, bytes.len()), (runs.map(<[usize]>::to_vec).to_vec(), 4));
    }

    #[test]
    fn a_frame_that_no_datagram_holds_is_left_out_and_counted() {
        let window = window(&[10, DATAGRAM_MAX + 1, 10], 1);
        let mut slices = [IoSlice::new(&[]); 64];
        let (mut list, mut runs) = (Gather::over(&mut slices), Vec::new());
        let how = Cut { kind: Kind::Datagram, anywhere: true, trim: NONE };
        let all = (window.floor(), window.head());
        let flight = cut(&window, how, all, true, &mut list, &mut runs);
        assert_eq!((flight.end, flight.too_large), (window.head(), 1));
        let bytes: Vec<usize> = runs.iter().map(|run| run.bytes).collect();
        assert_eq!(bytes.iter().sum::<usize>(), 20);
        assert_eq!(list.bytes(), 20);
    }
}
