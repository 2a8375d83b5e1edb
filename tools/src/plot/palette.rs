//! Colours and line patterns. The six colours of each theme were searched for:
//! the least difference between any two, as seen with each of the three common
//! colour blindnesses, is as large as it gets with enough contrast to the
//! paper. Patterns tell the series apart without any colour.

use super::data::SERIES;
use super::scene::Ink;

/// A picture's paper: light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark ink on white.
    #[default]
    Light,
    /// Light ink on nearly black.
    Dark,
}

/// Red, green and blue, as a screen takes them (sRGB).
pub(super) type Colour = [u8; 3];

struct Colours {
    paper: Colour,
    text: Colour,
    faint: Colour,
    axis: Colour,
    grid: Colour,
    lost: Colour,
    series: [Colour; SERIES],
}

const LIGHT: Colours = Colours {
    paper: [0xff, 0xff, 0xff],
    text: [0x1b, 0x1f, 0x24],
    faint: [0x4a, 0x52, 0x5c],
    axis: [0x6b, 0x74, 0x80],
    grid: [0xe3, 0xe6, 0xea],
    lost: [0xc4, 0x00, 0x1f],
    series: [
        [0x30, 0x4b, 0xd3],
        [0xde, 0x74, 0x00],
        [0x00, 0x9c, 0x6a],
        [0xc6, 0x6c, 0xba],
        [0x68, 0x44, 0x00],
        [0x28, 0x2d, 0x32],
    ],
};

const DARK: Colours = Colours {
    paper: [0x14, 0x17, 0x1c],
    text: [0xec, 0xef, 0xf3],
    faint: [0xa9, 0xb1, 0xbc],
    axis: [0x7d, 0x87, 0x94],
    grid: [0x2b, 0x31, 0x39],
    lost: [0xff, 0x5d, 0x66],
    series: [
        [0x5e, 0x8f, 0xf2],
        [0xed, 0x5d, 0x2b],
        [0x4e, 0xea, 0x96],
        [0xbd, 0x68, 0x99],
        [0xff, 0xd9, 0x12],
        [0xd4, 0xe9, 0xff],
    ],
};

/// Lengths of dashes and of the gaps after them, in widths of a thin line.
const PATTERNS: [&[f64]; SERIES] = [
    &[],
    &[8.0, 3.0],
    &[2.5, 2.5],
    &[9.0, 3.0, 2.0, 3.0],
    &[14.0, 4.0],
    &[9.0, 3.0, 2.0, 3.0, 2.0, 3.0],
];

impl Theme {
    const fn colours(self) -> &'static Colours {
        match self {
            Self::Light => &LIGHT,
            Self::Dark => &DARK,
        }
    }

    pub(super) const fn paper(self) -> Colour {
        self.colours().paper
    }

    pub(super) const fn colour(self, ink: Ink) -> Colour {
        let colours = self.colours();
        match ink {
            Ink::Text => colours.text,
            Ink::Faint => colours.faint,
            Ink::Axis => colours.axis,
            Ink::Grid => colours.grid,
            Ink::Lost => colours.lost,
            Ink::Series(index) => colours.series[index % SERIES],
        }
    }
}

/// The pattern of a series' line: dashes and gaps in turn, none if it is whole.
pub(super) const fn pattern(index: usize) -> &'static [f64] {
    PATTERNS[index % SERIES]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen with protanopia, deuteranopia, tritanopia, and without, in
    /// linear light: Machado, Oliveira and Fernandes, "A Physiologically-based
    /// Model for Simulation of Color Vision Deficiency" (2009), severity 1.
    const SIGHTS: [[[f64; 3]; 3]; 4] = [
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    ];

    fn linear(colour: Colour) -> [f64; 3] {
        colour.map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(matrix: &[[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
    }

    /// The contrast ratio of WCAG 2.2.
    fn contrast(a: Colour, b: Colour) -> f64 {
        let luminance = |c| {
            let [r, g, b] = linear(c);
            0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
        };
        let (a, b) = (luminance(a), luminance(b));
        a.max(b) / a.min(b)
    }

    /// CIE 1976 L*a*b* under D65.
    fn lab(linear: [f64; 3]) -> [f64; 3] {
        let to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
        let xyz = times(&to_xyz, linear.map(|c| c.clamp(0.0, 1.0)));
        let root = |t: f64| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let (x, y, z) = (root(xyz[0] / 0.95047), root(xyz[1]), root(xyz[2] / 1.08883));
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn everything_can_be_read_on_its_paper() {
        for theme in [Theme::Light, Theme::Dark] {
            let on_paper = |ink| contrast(theme.paper(), theme.colour(ink));
            for text in [Ink::Text, Ink::Faint, Ink::Lost] {
                assert!(on_paper(text) >= 4.5, "{theme:?} {text:?} {}", on_paper(text));
            }
            assert!(on_paper(Ink::Axis) >= 3.0);
            for series in (0..SERIES).map(Ink::Series) {
                assert!(on_paper(series) >= 3.0, "{theme:?} {series:?} {}", on_paper(series));
            }
        }
    }

    #[test]
    fn series_differ_for_those_who_see_fewer_colours() {
        for theme in [Theme::Light, Theme::Dark] {
            for (kind, sight) in SIGHTS.iter().enumerate() {
                let seen: Vec<_> = (0..SERIES)
                    .map(|i| lab(times(sight, linear(theme.colour(Ink::Series(i))))))
                    .collect();
                for (i, a) in seen.iter().enumerate() {
                    for (j, b) in seen.iter().enumerate().skip(i + 1) {
                        let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                        let apart = squares.sqrt();
                        assert!(apart >= 25.0, "{theme:?}, sight {kind}: {i} and {j}: {apart}");
                    }
                }
            }
        }
    }

    #[test]
    fn patterns_differ_and_are_pairs() {
        for (i, one) in PATTERNS.iter().enumerate() {
            assert!(one.len().is_multiple_of(2) && one.iter().all(|length| *length > 0.0));
            assert!(PATTERNS[i + 1..].iter().all(|other| other != one));
        }
    }
}
