//! Pixels. What is painted is first collected in a mask of how much of each
//! pixel it covers, then laid on in one go, so that a line doesn't darken where
//! it crosses or meets itself.

use crate::plot::palette::Colour;
use crate::plot::scene::Point;

/// A picture of red, green and blue bytes, row by row.
pub(super) struct Raster {
    width: usize,
    height: usize,
    pub(super) pixels: Vec<u8>,
    mask: Vec<f32>,
    /// The part of the mask that isn't empty: left, top, right, bottom.
    dirty: Option<[usize; 4]>,
}

/// How a line ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// At its last point.
    Flat,
    /// Half its width after that.
    Round,
}

impl Raster {
    pub(super) fn new(width: usize, height: usize, paper: Colour) -> Self {
        let pixels = paper.repeat(width * height);
        Self { width, height, pixels, mask: vec![0.0; width * height], dirty: None }
    }

    /// The pixels that something between two corners may touch.
    fn touch(&mut self, from: Point, to: Point) -> [usize; 4] {
        let clip = |value: f64, most: usize| value.clamp(0.0, most as f64) as usize;
        let area = [
            clip(from.x.floor(), self.width),
            clip(from.y.floor(), self.height),
            clip(to.x.ceil(), self.width),
            clip(to.y.ceil(), self.height),
        ];
        let [left, top, right, bottom] = self.dirty.unwrap_or(area);
        self.dirty =
            Some([left.min(area[0]), top.min(area[1]), right.max(area[2]), bottom.max(area[3])]);
        area
    }

    /// Covers each pixel of an area by what `covered` says of its middle, if it
    /// isn't covered more already.
    fn cover(&mut self, from: Point, to: Point, covered: impl Fn(Point) -> f64) {
        let [left, top, right, bottom] = self.touch(from, to);
        for y in top..bottom {
            for x in left..right {
                let part = covered(Point { x: x as f64 + 0.5, y: y as f64 + 0.5 });
                let cell = &mut self.mask[y * self.width + x];
                *cell = cell.max(part.clamp(0.0, 1.0) as f32);
            }
        }
    }

    /// A line through points. What is thinner than a pixel is fainter.
    pub(super) fn stroke(&mut self, points: &[Point], width: f64, ends: Ends) {
        let half = width / 2.0;
        let last = points.len().saturating_sub(2);
        for (at, pair) in points.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            let flat = ends == Ends::Flat;
            let (flat_start, flat_end) = (flat && at == 0, flat && at == last);
            let length = (to.x - from.x).hypot(to.y - from.y);
            let (dx, dy) = if length > 0.0 {
                ((to.x - from.x) / length, (to.y - from.y) / length)
            } else {
                (1.0, 0.0)
            };
            let reach = half + 1.0;
            let upper = Point { x: from.x.min(to.x) - reach, y: from.y.min(to.y) - reach };
            let lower = Point { x: from.x.max(to.x) + reach, y: from.y.max(to.y) + reach };
            self.cover(upper, lower, |p| {
                let (x, y) = (p.x - from.x, p.y - from.y);
                let along = x * dx + y * dy;
                let across = (y * dx - x * dy).abs();
                let beyond = (-along).max(along - length);
                let is_flat = (along < 0.0 && flat_start) || (along > length && flat_end);
                let side = |distance: f64| (half + 0.5 - distance).min(width.min(1.0));
                if beyond <= 0.0 {
                    side(across)
                } else if is_flat {
                    side(across).min(0.5 - beyond)
                } else {
                    side(across.hypot(beyond))
                }
            });
        }
    }

    /// A disc, or a ring whose line is `hollow` wide.
    pub(super) fn disc(&mut self, centre: Point, radius: f64, hollow: Option<f64>) {
        let reach = radius + hollow.unwrap_or(0.0) + 1.0;
        let upper = Point { x: centre.x - reach, y: centre.y - reach };
        let lower = Point { x: centre.x + reach, y: centre.y + reach };
        self.cover(upper, lower, |p| {
            let distance = (p.x - centre.x).hypot(p.y - centre.y);
            match hollow {
                Some(width) => width / 2.0 + 0.5 - (distance - radius).abs(),
                None => radius + 0.5 - distance,
            }
        });
    }

    /// An upright rectangle. Those that touch add up, so that no seam is seen.
    pub(super) fn rectangle(&mut self, upper: Point, lower: Point) {
        let [left, top, right, bottom] = self.touch(upper, lower);
        let overlap = |at: usize, from: f64, to: f64| {
            (to.min(at as f64 + 1.0) - from.max(at as f64)).clamp(0.0, 1.0)
        };
        for y in top..bottom {
            let high = overlap(y, upper.y, lower.y);
            for x in left..right {
                let cell = &mut self.mask[y * self.width + x];
                *cell = (*cell + (high * overlap(x, upper.x, lower.x)) as f32).min(1.0);
            }
        }
    }

    /// Lays what was collected onto the picture.
    pub(super) fn lay(&mut self, colour: Colour, opacity: f64) {
        let Some([left, top, right, bottom]) = self.dirty.take() else { return };
        for y in top..bottom {
            for x in left..right {
                let at = y * self.width + x;
                let part = std::mem::take(&mut self.mask[at]) * opacity as f32;
                if part > 0.0 {
                    let pixel = &mut self.pixels[at * 3..at * 3 + 3];
                    for (old, new) in pixel.iter_mut().zip(colour) {
                        let mixed = f32::from(*old) * (1.0 - part) + f32::from(new) * part;
                        *old = mixed.round() as u8;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Colour = [255; 3];
    const BLACK: Colour = [0; 3];

    /// The darkness of all pixels together, in pixels.
    fn ink(raster: &Raster) -> f64 {
        raster.pixels.iter().map(|byte| 1.0 - f64::from(*byte) / 255.0).sum::<f64>() / 3.0
    }

    #[test]
    fn a_line_has_its_area_in_ink_wherever_it_lies() {
        for turn in 0..16 {
            let angle = f64::from(turn) * 0.41;
            let mut raster = Raster::new(100, 100, WHITE);
            let middle = Point { x: 50.2, y: 49.7 };
            let to = Point { x: 50.2 + 40.0 * angle.cos(), y: 49.7 + 40.0 * angle.sin() };
            raster.stroke(&[middle, to], 3.0, Ends::Flat);
            raster.lay(BLACK, 1.0);
            assert!((ink(&raster) - 120.0).abs() < 4.0, "{angle}: {}", ink(&raster));
        }
    }

    #[test]
    fn touching_rectangles_show_no_seam_and_crossing_lines_no_knot() {
        let mut raster = Raster::new(20, 10, WHITE);
        let corner = |x, y| Point { x, y };
        raster.rectangle(corner(1.0, 2.0), corner(7.3, 8.0));
        raster.rectangle(corner(7.3, 2.0), corner(15.0, 8.0));
        raster.lay(BLACK, 0.5);
        assert!((ink(&raster) - 0.5 * 14.0 * 6.0).abs() < 0.6, "{}", ink(&raster));
        assert!((1..15).all(|x| raster.pixels[(5 * 20 + x) * 3] == 128));

        let mut raster = Raster::new(20, 20, WHITE);
        raster.stroke(&[corner(2.0, 10.0), corner(18.0, 10.0)], 2.0, Ends::Flat);
        raster.stroke(&[corner(10.0, 2.0), corner(10.0, 18.0)], 2.0, Ends::Flat);
        raster.lay(BLACK, 0.5);
        assert!(raster.pixels.iter().all(|byte| *byte == 255 || *byte == 128));
    }

    #[test]
    fn what_lies_outside_does_not_matter() {
        let mut raster = Raster::new(4, 4, WHITE);
        let far = |x, y| Point { x, y };
        raster.stroke(&[far(-1e9, -1e9), far(-1e8, -1e9)], 2.0, Ends::Round);
        raster.rectangle(far(10.0, 10.0), far(1e12, 1e12));
        raster.disc(far(f64::NAN, 0.0), 3.0, None);
        raster.lay(BLACK, 1.0);
        assert_eq!(ink(&raster), 0.0);
    }
}
