//! What is drawn: a planar 4:2:0 picture in BT.709 video range, with the
//! clock, the bar that fills once a second, and the project's name.

use super::font::{self, Glyph};

/// Pixels across.
pub(super) const WIDTH: usize = 128;
/// Pixels down.
pub(super) const HEIGHT: usize = 96;
/// Macroblocks (16 x 16 pixels) across.
pub(super) const MB_COLS: usize = WIDTH / 16;
/// Macroblocks of the picture.
pub(super) const MACROBLOCKS: usize = MB_COLS * (HEIGHT / 16);
/// Samples of a macroblock: 256 of luma, then 64 each of Cb and Cr, the order
/// in which I_PCM wants them.
pub(super) const MB_SAMPLES: usize = 384;

const CHROMA_WIDTH: usize = WIDTH / 2;
const CHROMA_SAMPLES: usize = WIDTH * HEIGHT / 4;

/// A colour: luma 16..=235, Cb and Cr 16..=240. No sample is ever zero, so
/// emulation prevention has next to nothing to do in the pictures.
#[derive(Clone, Copy)]
struct Colour(u8, u8, u8);

const PANEL: Colour = Colour(18, 136, 124);
const WHITE: Colour = Colour(235, 128, 128);
const TRACK: Colour = Colour(62, 138, 122);
const AMBER: Colour = Colour(170, 48, 166);
const SKY: Colour = Colour(150, 158, 104);

/// Where the bar's track lies: x, y, width, height.
const BAR: (usize, usize, usize, usize) = (4, 68, 120, 8);
/// Top of the clock's digits.
const CLOCK_TOP: usize = 38;

/// One picture's samples.
#[derive(Clone)]
pub(super) struct Canvas {
    luma: Box<[u8; WIDTH * HEIGHT]>,
    cb: Box<[u8; CHROMA_SAMPLES]>,
    cr: Box<[u8; CHROMA_SAMPLES]>,
}

impl Canvas {
    /// What never changes: background, name, panel, the bar's ticks.
    pub(super) fn backdrop() -> Self {
        let mut canvas = Self {
            luma: Box::new([16; WIDTH * HEIGHT]),
            cb: Box::new([128; CHROMA_SAMPLES]),
            cr: Box::new([128; CHROMA_SAMPLES]),
        };
        for y in 0..HEIGHT {
            let shade = 26 + (y / 6) as u8;
            canvas.fill((0, y, WIDTH, 1), Colour(shade, 144, 120));
        }
        let mut x = (WIDTH - font::NAME.len() * 12 + 2) / 2;
        for &c in font::NAME {
            canvas.glyph(font::letter(c), (x, 10), 2, SKY);
            x += 12;
        }
        canvas.fill((0, 32, WIDTH, 32), PANEL);
        let (left, top, width, height) = BAR;
        for tick in 0..=10 {
            let long = if tick % 5 == 0 { 6 } else { 3 };
            let x = (left + tick * width / 10).min(left + width - 1);
            canvas.fill((x, top + height + 2, 1, long), SKY);
        }
        canvas
    }

    /// Draws the picture of `clock_ms` over `backdrop`.
    pub(super) fn draw(&mut self, backdrop: &Self, clock_ms: u64) {
        self.luma.copy_from_slice(backdrop.luma.as_slice());
        self.cb.copy_from_slice(backdrop.cb.as_slice());
        self.cr.copy_from_slice(backdrop.cr.as_slice());
        let mut x = 1;
        for c in clock_text(clock_ms) {
            let glyph = font::clock_glyph(c);
            self.glyph(glyph, (x, CLOCK_TOP), 1, WHITE);
            x += glyph[0].len() + 2;
        }
        let (left, top, width, height) = BAR;
        let done = (clock_ms % 1000) as usize * (width - 4) / 1000;
        self.fill((left, top, width, height), TRACK);
        self.fill((left, top, done, height), AMBER);
        self.fill((left + done, top, 4, height), WHITE);
    }

    /// The samples of one macroblock, in the order of I_PCM.
    pub(super) fn macroblock(&self, index: usize, into: &mut [u8; MB_SAMPLES]) {
        let (x, y) = (index % MB_COLS * 16, index / MB_COLS * 16);
        let (luma, chroma) = into.split_at_mut(256);
        for (row, line) in luma.chunks_exact_mut(16).enumerate() {
            let at = (y + row) * WIDTH + x;
            line.copy_from_slice(&self.luma[at..at + 16]);
        }
        let planes = [&self.cb, &self.cr];
        for (plane, block) in planes.into_iter().zip(chroma.chunks_exact_mut(64)) {
            for (row, line) in block.chunks_exact_mut(8).enumerate() {
                let at = (y / 2 + row) * CHROMA_WIDTH + x / 2;
                line.copy_from_slice(&plane[at..at + 8]);
            }
        }
    }

    /// Paints a rectangle: x, y, width, height.
    fn fill(&mut self, (x, y, width, height): (usize, usize, usize, usize), colour: Colour) {
        for row in y..y + height {
            for column in x..x + width {
                self.dot(column, row, colour);
            }
        }
    }

    /// Paints the ink of a glyph with its top left corner at `(x, y)`, every
    /// dot `scale` pixels wide and high.
    fn glyph<const ROWS: usize>(
        &mut self,
        glyph: &Glyph<ROWS>,
        (x, y): (usize, usize),
        scale: usize,
        colour: Colour,
    ) {
        for (row, line) in glyph.iter().enumerate() {
            for (column, _) in line.bytes().enumerate().filter(|&(_, ink)| ink == b'#') {
                let place = (x + column * scale, y + row * scale, scale, scale);
                self.fill(place, colour);
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize, Colour(luma, cb, cr): Colour) {
        self.luma[y * WIDTH + x] = luma;
        let chroma = y / 2 * CHROMA_WIDTH + x / 2;
        self.cb[chroma] = cb;
        self.cr[chroma] = cr;
    }
}

/// `HH:MM:SS.mmm`; the hours start over after 99.
fn clock_text(ms: u64) -> [u8; 12] {
    let mut text = *b"00:00:00.000";
    let seconds = ms / 1000;
    let parts = [
        (0, seconds / 3600 % 100, 2),
        (3, seconds / 60 % 60, 2),
        (6, seconds % 60, 2),
        (9, ms % 1000, 3),
    ];
    for (at, mut value, digits) in parts {
        for place in text[at..at + digits].iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_reads_hours_minutes_seconds_and_milliseconds() {
        assert_eq!(&clock_text(0), b"00:00:00.000");
        assert_eq!(&clock_text(12 * 3_600_000 + 34 * 60_000 + 56_789), b"12:34:56.789");
        assert_eq!(&clock_text(100 * 3_600_000 + 1), b"00:00:00.001");
    }

    #[test]
    fn macroblocks_hold_each_sample_once() {
        let mut canvas = Canvas::backdrop();
        canvas.draw(&Canvas::backdrop(), 86_399_999);
        let mut block = [0; MB_SAMPLES];
        let mut sum = 0u64;
        for index in 0..MACROBLOCKS {
            canvas.macroblock(index, &mut block);
            sum += block.iter().map(|&s| u64::from(s)).sum::<u64>();
            assert!(block.iter().all(|&s| s >= 16));
        }
        let planes = canvas.luma.iter().chain(&*canvas.cb).chain(&*canvas.cr);
        assert_eq!(sum, planes.map(|&s| u64::from(s)).sum::<u64>());
    }
}
