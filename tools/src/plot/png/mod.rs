//! A scene as PNG, painted and encoded here: the strokes, letters and masks are
//! a page each, and what a general renderer would bring (fonts, paths, filters)
//! is not needed. Deflate comes from the crate that the interval log already
//! needs.

mod glyphs;
mod pen;
mod raster;

use self::raster::{Ends, Raster};
use super::palette::{Theme, pattern};
use super::scene::{Anchor, Ink, Item, Point, Scene};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Write};

/// Pixels to a pixel of the scene.
const SCALE: f64 = 2.0;
/// A letter's line, for each pixel of its size.
const PEN: f64 = 0.088;
const BOLD_PEN: f64 = 0.132;
/// Between a legend's name and what stands behind it, as in the SVG.
const ASIDE: f64 = 6.0;

/// The file's bytes.
pub(super) fn encode(scene: &Scene, theme: Theme) -> io::Result<Vec<u8>> {
    let (width, height) = ((scene.width * SCALE) as usize, (scene.height * SCALE) as usize);
    let mut raster = Raster::new(width, height, theme.paper());
    for item in &scene.items {
        paint(&mut raster, item, theme);
    }
    file(width, height, &raster.pixels)
}

fn scaled(point: Point) -> Point {
    Point { x: point.x * SCALE, y: point.y * SCALE }
}

fn all_scaled(points: &[Point]) -> Vec<Point> {
    points.iter().map(|point| scaled(*point)).collect()
}

fn paint(raster: &mut Raster, item: &Item, theme: Theme) {
    match item {
        Item::Lines { parts, ink, width, dashed } => {
            let dashes: Vec<f64> = match ink {
                Ink::Series(index) if *dashed => {
                    pattern(*index).iter().map(|length| length * SCALE).collect()
                }
                Ink::Series(_) | Ink::Text | Ink::Faint | Ink::Axis | Ink::Grid | Ink::Lost => {
                    Vec::new()
                }
            };
            for part in parts {
                for dash in pen::dashes(&all_scaled(part), &dashes) {
                    raster.stroke(&dash, width * SCALE, Ends::Flat);
                }
            }
            raster.lay(theme.colour(*ink), 1.0);
        }
        Item::Areas { parts, ink, opacity } => {
            for (upper, lower) in parts.iter().flatten() {
                raster.rectangle(scaled(*upper), scaled(*lower));
            }
            raster.lay(theme.colour(*ink), *opacity);
        }
        Item::Dots { centres, radius, ink, hollow } => {
            for centre in centres {
                let line = hollow.then_some(1.7 * SCALE);
                raster.disc(scaled(*centre), radius * SCALE, line);
            }
            raster.lay(theme.colour(*ink), 1.0);
        }
        Item::Text { words, at, style } => {
            let width = pen::width(words, style.size);
            let shift = match style.anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
            let at = Point { x: at.x - shift, y: at.y };
            write(raster, words, at, style.size, style.bold);
            raster.lay(theme.colour(style.ink), 1.0);
        }
        Item::Entry { words, aside, at, size } => {
            write(raster, words, *at, *size, true);
            let behind = Point { x: at.x + pen::width(words, *size) + ASIDE, y: at.y };
            write(raster, aside, behind, *size, false);
            raster.lay(theme.colour(Ink::Text), 1.0);
        }
    }
}

fn write(raster: &mut Raster, words: &str, at: Point, size: f64, bold: bool) {
    let pen = if bold { BOLD_PEN } else { PEN };
    for stroke in pen::strokes(words, scaled(at), size * SCALE) {
        raster.stroke(&stroke, size * SCALE * pen, Ends::Round);
    }
}

/// Pixels as a PNG file (W3C Portable Network Graphics, 3rd edition, §5 and
/// §11): three bytes a pixel, rows unfiltered, for flat colours deflate well.
fn file(width: usize, height: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = |pixels: usize| u32::try_from(pixels).map_err(io::Error::other);
    let mut header = Vec::new();
    header.extend(side(width)?.to_be_bytes());
    header.extend(side(height)?.to_be_bytes());
    // Eight bits a channel, true colour; deflate, adaptive filters, no interlace.
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut file, b"IHDR", &header)?;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in pixels.chunks_exact(width * 3) {
        packed.write_all(&[0])?;
        packed.write_all(row)?;
    }
    chunk(&mut file, b"IDAT", &packed.finish()?)?;
    chunk(&mut file, b"IEND", &[])?;
    Ok(file)
}

/// A length, a name, the bytes, and the checksum of name and bytes.
fn chunk(file: &mut Vec<u8>, name: &[u8; 4], bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut checksum = Crc::new();
    checksum.update(name);
    checksum.update(bytes);
    file.extend(length.to_be_bytes());
    file.extend(name);
    file.extend(bytes);
    file.extend(checksum.sum().to_be_bytes());
    Ok(())
}
