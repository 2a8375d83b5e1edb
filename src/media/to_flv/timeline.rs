//! From the 33-bit 90 kHz clock of an MPEG-TS to the milliseconds of FLV.
//!
//! Audio and video share one line of time, which begins at zero and only goes
//! forward. A clock that jumps starts a new *epoch*: its first time stamp is
//! put right behind all that was written, and whatever else jumps to the same
//! clock follows at its own distance. Time is kept in ticks and rounded stamp
//! by stamp, so errors never add up.

use crate::limits::{MEDIA_JITTER, MEDIA_JUMP, MEDIA_SEAM};
use std::time::Duration;

/// Ticks of a millisecond.
const TICKS: i64 = 90;
/// Largest composition time that 24 bits with a sign hold.
const OFFSET_MAX: i64 = 0x7F_FFFF;

/// Which of the two a time stamp belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Video,
    Audio,
}

/// Presentation and decoding time on a clock of 33 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) pts: u64,
    pub(super) dts: u64,
}

/// Times as FLV has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Milliseconds, modulo 2^32.
    pub(super) ms: u32,
    /// Composition time: milliseconds from decoding to presentation.
    pub(super) offset: i32,
}

/// Ticks from one time of a 33-bit clock to another, the shorter way round.
pub(super) fn distance(from: u64, to: u64) -> i64 {
    (to.wrapping_sub(from) << 31).cast_signed() >> 31
}

/// A time of the clock `ticks` later.
pub(super) fn later(clock: u64, ticks: i64) -> u64 {
    clock.wrapping_add_signed(ticks) & ((1 << 33) - 1)
}

/// Ticks that a duration lasts.
pub(super) fn ticks(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).map_or(i64::MAX, |millis| millis.saturating_mul(TICKS))
}

/// Where a time of the clock lies on the line.
#[derive(Clone, Copy, Debug)]
struct Point {
    clock: u64,
    ticks: i64,
    epoch: u64,
}

/// The line of time, and how far video and audio have come on it.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// The furthest time of the newest epoch.
    newest: Option<Point>,
    /// The furthest time of all, in ticks.
    furthest: i64,
    last: [Option<Point>; 2],
    /// Milliseconds written last.
    written: [i64; 2],
}

impl Timeline {
    /// Puts the line's zero at `clock`.
    pub(super) fn begin(&mut self, clock: u64) {
        self.newest = Some(Point { clock, ticks: 0, epoch: 0 });
    }

    /// The times of what comes next of `line`, never before what came last.
    pub(super) fn stamp(&mut self, line: Line, times: Times) -> Stamp {
        let ticks = self.place(line, times.dts);
        let written = &mut self.written[line as usize];
        let ms = millis(ticks).max(*written);
        *written = ms;
        let shown = millis(ticks.saturating_add(distance(times.dts, times.pts)));
        let offset = (shown - ms).clamp(-OFFSET_MAX, OFFSET_MAX);
        // The field has 32 bits and wraps after 49 days.
        Stamp { ms: ms as u32, offset: offset as i32 }
    }

    /// The latest time written.
    pub(super) fn furthest_ms(&self) -> u32 {
        self.written[0].max(self.written[1]) as u32
    }

    fn place(&mut self, line: Line, clock: u64) -> i64 {
        let last = self.last[line as usize];
        let steady = last.and_then(|last| follow(last, clock, -ticks(MEDIA_JITTER)));
        let point = steady.or_else(|| self.join(last, clock)).unwrap_or_else(|| self.jump(clock));
        self.last[line as usize] = Some(point);
        self.furthest = self.furthest.max(point.ticks);
        let is_newest = |newest: Point| newest.epoch == point.epoch && point.ticks > newest.ticks;
        if self.newest.is_none_or(is_newest) {
            self.newest = Some(point);
        }
        point.ticks
    }

    /// The place in the newest epoch, if this may be of its clock: it is near,
    /// and not behind what came before in the very same epoch.
    fn join(&self, last: Option<Point>, clock: u64) -> Option<Point> {
        let newest = self.newest?;
        let is_loop =
            last.is_some_and(|last| last.epoch == newest.epoch && distance(last.clock, clock) < 0);
        if is_loop { None } else { follow(newest, clock, -ticks(MEDIA_JUMP)) }
    }

    /// The first place of a new epoch.
    fn jump(&mut self, clock: u64) -> Point {
        let epoch = self.newest.map_or(0, |newest| newest.epoch + 1);
        let point = Point { clock, ticks: self.furthest + ticks(MEDIA_SEAM), epoch };
        self.newest = Some(point);
        point
    }
}

/// Where `clock` lies in the epoch of `from`, if it is near enough.
fn follow(from: Point, clock: u64, least: i64) -> Option<Point> {
    let step = distance(from.clock, clock);
    (least..=ticks(MEDIA_JUMP)).contains(&step).then_some(Point {
        clock,
        ticks: from.ticks + step,
        epoch: from.epoch,
    })
}

/// Rounded, half up; what lies before the beginning is put there.
fn millis(ticks: i64) -> i64 {
    ticks.saturating_add(TICKS / 2).div_euclid(TICKS).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 90_000;

    fn begun(clock: u64) -> Timeline {
        let mut timeline = Timeline::default();
        timeline.begin(clock);
        timeline
    }

    fn ms(timeline: &mut Timeline, line: Line, clock: u64) -> u32 {
        timeline.stamp(line, Times { pts: clock, dts: clock }).ms
    }

    #[test]
    fn distance_goes_the_shorter_way_round() {
        let top = (1 << 33) - 1;
        assert_eq!(distance(top, 0), 1);
        assert_eq!(distance(0, top), -1);
        assert_eq!(distance(5, 905), 900);
        assert_eq!(later(top, 2), 1);
        assert_eq!(later(0, -1), top);
    }

    #[test]
    fn rounding_does_not_add_up_over_a_wrap() {
        // 30000/1001 frames a second: 3003 ticks, 33.3667 ms.
        let start = (1u64 << 33) - 100 * 3003;
        let mut timeline = begun(start);
        for n in 0..100_000u64 {
            let clock = later(start, (n * 3003) as i64);
            let expected = ((n * 3003) as f64 / 90.0).round() as u32;
            assert!(ms(&mut timeline, Line::Video, clock).abs_diff(expected) <= 1);
            let exact = (n * 3003) as f64 / 90.0;
            let got = f64::from(timeline.written[0] as u32);
            assert!((got - exact).abs() <= 0.5, "{n}: {got} for {exact}");
        }
    }

    #[test]
    fn milliseconds_wrap_after_49_days() {
        let mut timeline = begun(0);
        let step = 4 * SECOND;
        let steps = (1u64 << 32) / 4000;
        for n in 0..=steps {
            let clock = later(0, (n * step as u64) as i64);
            let expected = (n * 4000) as u32;
            assert_eq!(ms(&mut timeline, Line::Video, clock), expected);
        }
        let clock = later(0, ((steps + 1) * step as u64) as i64);
        assert_eq!(ms(&mut timeline, Line::Video, clock), ((steps + 1) * 4000) as u32);
        assert!((steps + 1) * 4000 > 1 << 32);
    }

    #[test]
    fn what_was_before_the_beginning_is_put_there() {
        let mut timeline = begun(1000);
        assert_eq!(ms(&mut timeline, Line::Audio, 0), 0);
        assert_eq!(ms(&mut timeline, Line::Video, 1000), 0);
        assert_eq!(ms(&mut timeline, Line::Audio, 1900), 10);
    }

    #[test]
    fn presentation_is_rounded_on_its_own() {
        let mut timeline = begun(0);
        let stamp = timeline.stamp(Line::Video, Times { dts: 3003, pts: 3003 + 6006 });
        assert_eq!(stamp, Stamp { ms: 33, offset: 67 }, "100.1 ms is 100 ms");
        let stamp = timeline.stamp(Line::Video, Times { dts: 6006, pts: 3003 });
        assert_eq!(stamp, Stamp { ms: 67, offset: -34 });
    }

    #[test]
    fn a_loop_goes_on_behind_itself_and_both_stay_together() {
        let mut timeline = begun(0);
        for n in 0..50 {
            ms(&mut timeline, Line::Video, n * 3600);
            ms(&mut timeline, Line::Audio, n * 3600 + 90);
        }
        // Two seconds back; audio is still busy with the end of the first round.
        let again = ms(&mut timeline, Line::Video, 0);
        assert_eq!(again, 49 * 40 + 1 + 40);
        assert_eq!(ms(&mut timeline, Line::Audio, 50 * 3600 + 90), 50 * 40 + 1);
        assert_eq!(ms(&mut timeline, Line::Video, 3600), again + 40);
        assert_eq!(ms(&mut timeline, Line::Audio, 3600 + 90), again + 41);
        assert_eq!(ms(&mut timeline, Line::Video, 7200), again + 80);
    }

    #[test]
    fn jumps_either_way_go_on_and_a_pause_is_none() {
        for jump in [6 * SECOND, 1 << 32, -SECOND, -20 * SECOND] {
            let mut timeline = begun(1 << 20);
            assert_eq!(ms(&mut timeline, Line::Video, 1 << 20), 0);
            let clock = later(1 << 20, jump);
            assert_eq!(ms(&mut timeline, Line::Video, clock), 40, "{jump}");
            assert_eq!(ms(&mut timeline, Line::Audio, later(clock, 90)), 41, "{jump}");
        }
        let mut timeline = begun(0);
        ms(&mut timeline, Line::Video, 0);
        for n in 0..1000 {
            assert_eq!(ms(&mut timeline, Line::Audio, n * 1800), n as u32 * 20);
        }
        let late = ms(&mut timeline, Line::Video, 20 * 90_000);
        assert_eq!(late, 20_000, "the clock is the audio's");
    }

    #[test]
    fn disorder_is_no_jump() {
        let mut timeline = begun(0);
        for (clock, expected) in [(9000, 100), (5400, 100), (12_600, 140), (10_800, 140)] {
            assert_eq!(ms(&mut timeline, Line::Video, clock), expected);
        }
    }
}
