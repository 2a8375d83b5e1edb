//! A test picture made from nothing: an MPEG-TS stream that any player shows,
//! with no file and no other program. It draws a running clock, so the delay
//! of a whole chain can be read off two screens side by side.
//!
//! 128 x 96 pixels, 25 frames a second, H.264 constrained baseline made of
//! I_PCM macroblocks: no transform and no entropy coder worth the name, and
//! every decoder takes it.

mod canvas;
mod font;
mod h264;
mod mux;
#[cfg(test)]
mod tests;

use canvas::{Canvas, MACROBLOCKS, MB_SAMPLES};
use mux::{Mux, Times};
use std::time::Duration;

/// 90 kHz units of one frame.
const FRAME_TICKS: u64 = 90_000 / 25;
/// PCR of frame 0, in 90 kHz units: one second, so that nothing is near zero.
const FIRST_PCR: u64 = 90_000;
/// From a frame's PCR to its PTS. The last byte of a frame arrives, at a
/// constant rate, just before the next frame's PCR; so one frame is the
/// shortest delay with which a decoder has it in time.
const PTS_DELAY: u64 = FRAME_TICKS;
/// Frames from one PAT and PMT to the next: 80 ms.
const TABLE_FRAMES: u64 = 2;
/// PCR base and PTS have 33 bits.
const PCR_MASK: u64 = (1 << 33) - 1;

/// How much of the picture each frame sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// All of it, always: an even rate of about 4 Mbit/s.
    #[default]
    Full,
    /// What changed since the frame before, and all of it once a second: about
    /// 0.7 Mbit/s, for many streams at once.
    Changes,
}

/// Generates the stream, frame by frame. What comes out depends on nothing but
/// what went in.
pub struct Picture {
    detail: Detail,
    backdrop: Canvas,
    now: Canvas,
    before: Canvas,
    mux: Mux,
    /// The access unit being built; kept for its memory.
    unit: Vec<u8>,
    /// Frames since the last IDR; `None` before the first frame.
    since_idr: Option<u64>,
    idr_pic_id: u32,
}

impl Picture {
    /// Pixels across.
    pub const WIDTH: usize = canvas::WIDTH;
    /// Pixels down.
    pub const HEIGHT: usize = canvas::HEIGHT;
    /// Time from one frame to the next: 25 a second.
    pub const FRAME_TIME: Duration = Duration::from_millis(40);
    /// Frames from one IDR, where a player can start, to the next.
    pub const IDR_FRAMES: u64 = h264::GOP;

    /// A generator that has made nothing yet; its first frame is an IDR.
    pub fn new(detail: Detail) -> Self {
        let backdrop = Canvas::backdrop();
        Self {
            detail,
            now: backdrop.clone(),
            before: backdrop.clone(),
            backdrop,
            mux: Mux::new(),
            unit: Vec::with_capacity(MACROBLOCKS * (MB_SAMPLES + 2) + 128),
            since_idr: None,
            idr_pic_id: 0,
        }
    }

    /// Appends the TS packets of frame `n`, whose time is `n` times
    /// [`Self::FRAME_TIME`], with `clock_text_ms` milliseconds on its clock.
    ///
    /// Frames are to be asked for in order. Every [`Self::IDR_FRAMES`]-th is
    /// an IDR, and so is the first. Allocates nothing once `out` has room.
    pub fn frame(&mut self, n: u64, clock_text_ms: u64, out: &mut Vec<u8>) {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.draw(&self.backdrop, clock_text_ms);
        let since = match self.since_idr {
            Some(frames) if !n.is_multiple_of(h264::GOP) && frames + 1 < h264::GOP => frames + 1,
            _ => 0,
        };
        self.since_idr = Some(since);
        if since.is_multiple_of(TABLE_FRAMES) {
            self.mux.tables(out);
        }
        self.unit.clear();
        if since == 0 {
            self.idr_pic_id ^= 1;
            h264::idr(&self.now, self.idr_pic_id, &mut self.unit);
        } else {
            let coded = self.coded();
            h264::predicted(&self.now, since as u32, &coded, &mut self.unit);
        }
        let pcr = n.wrapping_mul(FRAME_TICKS).wrapping_add(FIRST_PCR);
        let times = Times { pcr: pcr & PCR_MASK, pts: pcr.wrapping_add(PTS_DELAY) & PCR_MASK };
        self.mux.picture(&self.unit, times, since == 0, out);
    }

    /// The macroblocks to send in a P picture.
    fn coded(&self) -> h264::Coded {
        let mut coded = [true; MACROBLOCKS];
        if self.detail == Detail::Changes {
            let (mut new, mut old) = ([0; MB_SAMPLES], [0; MB_SAMPLES]);
            for (index, sent) in coded.iter_mut().enumerate() {
                self.now.macroblock(index, &mut new);
                self.before.macroblock(index, &mut old);
                *sent = new != old;
            }
        }
        coded
    }
}
