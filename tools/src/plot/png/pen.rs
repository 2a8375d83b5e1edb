//! Text and lines as strokes: glyphs become polylines, polylines become dashes.

use super::glyphs::{CAPITAL, SPACE, glyph};
use crate::plot::scene::Point;

/// Height of a capital in a font of size 1.
const CAPITAL_EM: f64 = 0.72;
/// Straight pieces of a curve: at the sizes used, each is about a pixel.
const PIECES: u32 = 8;

/// How wide a text is in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let units: f64 = text.chars().map(|c| glyph(c).0 + SPACE).sum();
    (units - if text.is_empty() { 0.0 } else { SPACE }) * unit(size)
}

/// Pixels of a glyph's unit.
fn unit(size: f64) -> f64 {
    size * CAPITAL_EM / CAPITAL
}

/// The strokes of a text that starts at `at` on its baseline.
pub(super) fn strokes(text: &str, at: Point, size: f64) -> Vec<Vec<Point>> {
    let unit = unit(size);
    let mut strokes = Vec::new();
    let mut x = at.x;
    for c in text.chars() {
        let (width, drawn) = glyph(c);
        for stroke in drawn.split('/').filter(|stroke| !stroke.is_empty()) {
            let points = flatten(stroke);
            let placed = points.iter().map(|p| Point { x: x + p.x * unit, y: at.y - p.y * unit });
            strokes.push(placed.collect());
        }
        x += (width + SPACE) * unit;
    }
    strokes
}

/// The points of a stroke, its curves as straight pieces.
fn flatten(stroke: &str) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let mut pull = None;
    for word in stroke.split_whitespace() {
        let (pulls, place) = word.strip_prefix('~').map_or((false, word), |rest| (true, rest));
        let Some((x, y)) = place.split_once(',') else { continue };
        let (Ok(x), Ok(y)) = (x.parse(), y.parse()) else { continue };
        let to = Point { x, y };
        if pulls {
            pull = Some(to);
            continue;
        }
        let from = points.last().copied();
        match (from, pull.take()) {
            (Some(from), Some(pull)) => {
                points.extend((1..=PIECES).map(|piece| {
                    let t = f64::from(piece) / f64::from(PIECES);
                    let (a, b, c) = ((1.0 - t).powi(2), 2.0 * t * (1.0 - t), t * t);
                    Point {
                        x: a * from.x + b * pull.x + c * to.x,
                        y: a * from.y + b * pull.y + c * to.y,
                    }
                }));
            }
            (Some(_), None) | (None, _) => points.push(to),
        }
    }
    points
}

/// A line cut into dashes: lengths inked and left out, in turn.
pub(super) fn dashes(line: &[Point], pattern: &[f64]) -> Vec<Vec<Point>> {
    let sum: f64 = pattern.iter().sum();
    if pattern.is_empty() || sum <= 0.0 {
        return vec![line.to_vec()];
    }
    let mut dashes = Vec::new();
    let mut lengths = pattern.iter().copied().cycle();
    let (mut inked, mut left) = (true, lengths.next().unwrap_or(sum));
    let mut dash: Vec<Point> = line.first().copied().into_iter().collect();
    for ends in line.windows(2) {
        let (mut from, to) = (ends[0], ends[1]);
        loop {
            let length = (to.x - from.x).hypot(to.y - from.y);
            if length <= left {
                left -= length;
                if inked {
                    dash.push(to);
                }
                break;
            }
            let part = left / length;
            from = Point { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
            if inked {
                dash.push(from);
                dashes.push(std::mem::take(&mut dash));
            } else {
                dash = vec![from];
            }
            inked = !inked;
            left = lengths.next().unwrap_or(sum);
        }
    }
    if dash.len() > 1 {
        dashes.push(dash);
    }
    dashes
}

#[cfg(test)]
mod tests {
    use super::super::glyphs::{GLYPHS, UNKNOWN};
    use super::*;

    #[test]
    fn every_printed_character_has_strokes_of_its_own_inside_its_width() {
        let missing: String =
            (' '..='~').filter(|c| !GLYPHS.iter().any(|(known, _, _)| known == c)).collect();
        assert_eq!(missing, "");
        for (at, (c, width, drawn)) in GLYPHS.iter().enumerate() {
            assert!(*c == ' ' || !drawn.is_empty(), "{c}");
            assert!(GLYPHS[at + 1..].iter().all(|(other, _, d)| other != c && d != drawn), "{c}");
            for stroke in drawn.split('/').filter(|stroke| !stroke.is_empty()) {
                let words = stroke.split_whitespace().count();
                let curves = stroke.matches('~').count();
                let points = flatten(stroke);
                assert_eq!(points.len(), words - 2 * curves + curves * PIECES as usize, "{c}");
                for p in points {
                    assert!((-0.4..=width + 0.4).contains(&p.x), "{c}: {p:?}");
                    assert!((-4.0..=16.0).contains(&p.y), "{c}: {p:?}");
                }
            }
        }
        assert_eq!(glyph('語'), UNKNOWN);
    }

    #[test]
    fn text_is_no_wider_than_the_layout_takes_it_to_be() {
        for text in
            ["round-trip time", "0123456789", "MWmw@%", "icmp n 1,000 · p99.9 58.1 µs", "語"]
        {
            assert!(width(text, 1.0) <= crate::plot::text::width(text), "{text}");
        }
        assert_eq!(width("", 12.0), 0.0);
    }

    #[test]
    fn dashes_have_the_lengths_of_the_pattern() {
        let line: Vec<Point> = [(0.0, 0.0), (3.0, 0.0), (3.0, 4.0), (3.0, 4.0), (10.0, 4.0)]
            .map(|(x, y)| Point { x, y })
            .into();
        let cut = dashes(&line, &[5.0, 1.0]);
        let lengths: Vec<f64> = cut
            .iter()
            .map(|dash| dash.windows(2).map(|w| (w[1].x - w[0].x).hypot(w[1].y - w[0].y)).sum())
            .collect();
        assert_eq!(lengths, [5.0, 5.0, 2.0]);
        assert_eq!(dashes(&line, &[]), std::slice::from_ref(&line));
        assert!(dashes(&[], &[5.0, 1.0]).is_empty());
    }
}
