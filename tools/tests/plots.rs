//! Figures as their readers get them: byte for byte what they were when they
//! were last looked at, well-formed whatever the data, bounded in size.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "golden/mod.rs"]
mod golden;

use lightmeter::plot::{Charset, Figure, Labels, Sample, Screen, Series, Values};
use lightmeter::plot::{svg, terminal};
use proptest::prelude::*;

fn labels() -> Labels {
    Labels {
        title: "ping udp & tcp <127.0.0.1>".to_owned(),
        quantity: "round-trip time".to_owned(),
        caption: "open loop every 100 ms, 64 bytes, cores 1 → 0".to_owned(),
    }
}

/// A number that looks random, from 0 to 1, without any state.
fn noise(i: u64) -> f64 {
    (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64
}

/// `n` probes 100 ms apart around `typical` nanoseconds, with a tail; those
/// whose number `lost` picks have no answer.
fn series(name: &str, n: u64, typical: f64, lost: impl Fn(u64) -> bool) -> Series {
    let sample = |i: u64| {
        let tail = if i % 31 == 7 { 12.0 * noise(i + 5) } else { 0.3 * noise(i) };
        let ns = (!lost(i)).then_some((typical * (1.0 + tail)) as u64);
        Sample { at: i as f64 * 0.1, ns }
    };
    Series { name: name.to_owned(), samples: (0..n).map(sample).collect() }
}

fn two() -> [Series; 2] {
    [
        series("udp", 120, 21_000.0, |i| (40..44).contains(&i)),
        series("tcp", 120, 34_000.0, |i| i % 50 == 49),
    ]
}

fn values() -> Vec<Values> {
    let many = |name: &str, n, typical| Values::from(&series(name, n, typical, |_| false));
    vec![many("A", 4_000, 21_000.0), many("B", 400, 24_000.0)]
}

fn screen(charset: Charset, colour: bool) -> Screen {
    Screen { columns: 80, rows: 22, charset, colour }
}

#[test]
fn figures_are_what_they_were() {
    let (two, values, labels) = (two(), values(), labels());
    for (name, figure) in [
        ("timeline", Figure::Timeline(&two)),
        ("percentiles", Figure::Percentiles(&values)),
        ("ecdf", Figure::Ecdf(&values)),
        ("histogram", Figure::Histogram(&values)),
    ] {
        golden::check(&format!("{name}.svg"), &svg(figure, &labels));
        let unicode = terminal(figure, &labels, &screen(Charset::Unicode, false));
        golden::check(&format!("{name}.txt"), &unicode);
        let ascii = terminal(figure, &labels, &screen(Charset::Ascii, false));
        assert!(ascii.is_ascii());
        golden::check(&format!("{name}.ascii.txt"), &ascii);
    }
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let two = two();
    let figure = Figure::Timeline(&two);
    for charset in [Charset::Unicode, Charset::Ascii] {
        let plain = terminal(figure, &labels(), &screen(charset, false));
        let coloured = terminal(figure, &labels(), &screen(charset, true));
        assert!(!plain.contains('\x1b') && coloured.contains("\x1b[31m"));
        let stripped: Vec<&str> = coloured
            .split('\x1b')
            .enumerate()
            .map(|(at, part)| if at == 0 { part } else { part.split_once('m').unwrap().1 })
            .collect();
        assert_eq!(stripped.concat(), plain);
        for line in coloured.lines() {
            let begun = line.matches("\x1b[").count();
            assert_eq!(line.matches("\x1b[0m").count() * 2, begun, "{line:?}");
        }
    }
}

/// The points of a path, sorted into its parts.
fn parts(path: &str) -> Vec<Vec<(f64, f64)>> {
    let point = |text: &str| {
        let (x, y) = text.split_once(' ').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    path.split('M').skip(1).map(|part| part.split('L').map(point).collect()).collect()
}

/// The `d` of every path whose class begins so.
fn paths<'a>(svg: &'a str, class: &str) -> Vec<&'a str> {
    let head = format!("<path class=\"line {class}");
    let lines = svg.lines().filter(|line| line.starts_with(&head));
    lines.map(|line| line.split(" d=\"").nth(1).unwrap().split('"').next().unwrap()).collect()
}

#[test]
fn a_lost_probe_is_a_gap_in_the_line_and_a_tick_at_its_time() {
    let one = [series("udp", 101, 20_000.0, |i| i == 50 || (80..83).contains(&i))];
    let picture = svg(Figure::Timeline(&one), &labels());
    // The swatch in the legend is the first, the samples are the second.
    let lines = parts(paths(&picture, "s0")[1]);
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [50, 29, 18]);
    let (left, right) = (lines[0][0].0, lines[2][17].0);
    let x = |i: f64| left + (right - left) * i / 100.0;
    let ticks: Vec<f64> = parts(paths(&picture, "lost")[0]).iter().map(|tick| tick[0].0).collect();
    assert_eq!(ticks.len(), 4);
    for (tick, i) in ticks.iter().zip([50.0, 80.0, 81.0, 82.0]) {
        assert!((tick - x(i)).abs() < 0.11, "{tick} for {i}");
    }
    let screen = screen(Charset::Unicode, false);
    let text = terminal(Figure::Timeline(&one), &labels(), &screen);
    let row = text.lines().find(|line| line.trim_start().starts_with("lost")).unwrap();
    assert!(row.matches('╹').count() >= 3, "{row}");
}

#[test]
fn a_smaller_latency_is_lower_in_the_picture() {
    let one = [series("udp", 100, 20_000.0, |_| false)];
    let picture = svg(Figure::Timeline(&one), &labels());
    let drawn = &parts(paths(&picture, "s0")[1])[0];
    for (a, b) in one[0].samples.windows(2).map(|w| (w[0].ns, w[1].ns)).zip(drawn.windows(2)) {
        assert!((a.0 < a.1) == (b[0].1 > b[1].1) || (b[0].1 - b[1].1).abs() < 0.11, "{a:?} {b:?}");
    }
}

/// The tags of a document match, its text is escaped, its attributes quoted.
fn assert_well_formed(document: &str) {
    let mut open = Vec::new();
    let mut rest = document;
    while let Some((text, tail)) = rest.split_once('<') {
        for entity in text.split('&').skip(1) {
            let name = entity.split_once(';').expect("an entity that ends").0;
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "&{name};");
        }
        let (tag, after) = tail.split_once('>').expect("a tag that ends");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else {
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = after;
    }
    assert!(open.is_empty() && rest == "\n", "{open:?} {rest:?}");
    let allowed = |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
    assert!(document.chars().all(allowed));
}

fn check_everywhere(figure: Figure<'_>, labels: &Labels, screen: &Screen) {
    let picture = svg(figure, labels);
    assert_well_formed(&picture);
    assert!(picture.len() < 1_000_000, "{} bytes", picture.len());
    assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    let text = terminal(figure, labels, screen);
    let plain = |c: char| c == '\n' || (c == '\x1b' && screen.colour) || !c.is_control();
    assert!(text.chars().all(plain), "{text:?}");
    assert!(text.lines().count() <= screen.rows.clamp(60, 260), "{text}");
    if screen.charset == Charset::Ascii && !screen.colour {
        assert!(text.is_ascii());
        let columns = screen.columns.clamp(40, 400);
        assert!(text.lines().all(|line| line.len() <= columns), "{columns}:\n{text}");
    }
}

fn figures<'a>(series: &'a [Series], values: &'a [Values]) -> [Figure<'a>; 4] {
    [
        Figure::Timeline(series),
        Figure::Percentiles(values),
        Figure::Ecdf(values),
        Figure::Histogram(values),
    ]
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let times = prop_oneof![4 => 0.0..100.0f64, 1 => any::<f64>()];
    let latencies = prop_oneof![
        1 => Just(None),
        2 => (15_000..90_000u64).prop_map(Some),
        1 => any::<Option<u64>>(),
        1 => Just(Some(0)),
        1 => Just(Some(60_000_000_000)),
    ];
    (times, latencies).prop_map(|(at, ns)| Sample { at, ns })
}

fn any_series() -> impl Strategy<Value = Series> {
    let odd = prop::collection::vec(any::<char>(), 0..60).prop_map(String::from_iter);
    let hostile = Just("udp <a> & \"b\"\x1b[31m\r\n\u{202e}".to_owned());
    let names = prop_oneof![hostile, odd, any::<String>()];
    let samples = prop_oneof![
        3 => prop::collection::vec(any_sample(), 0..40),
        1 => (any_sample(), 0..3_000usize).prop_map(|(one, n)| vec![one; n]),
    ];
    (names, samples).prop_map(|(name, samples)| Series { name, samples })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_makes_a_picture(
        series in prop::collection::vec(any_series(), 0..9),
        (title, quantity, caption) in any::<(String, String, String)>(),
        (columns, rows) in prop_oneof![(20..130usize, 5..60usize), any::<(usize, usize)>()],
        (unicode, colour) in any::<(bool, bool)>(),
    ) {
        let charset = if unicode { Charset::Unicode } else { Charset::Ascii };
        let screen = Screen { columns, rows, charset, colour };
        let labels = Labels { title, quantity, caption };
        let values: Vec<Values> = series.iter().map(Values::from).collect();
        for figure in figures(&series, &values) {
            check_everywhere(figure, &labels, &screen);
        }
    }
}

#[test]
fn nothing_and_little_are_said_to_be_so() {
    let screen = screen(Charset::Ascii, false);
    for figure in figures(&[], &[]) {
        check_everywhere(figure, &labels(), &screen);
        assert!(svg(figure, &labels()).contains(">no samples</text>"));
        assert!(terminal(figure, &labels(), &screen).contains("no samples"));
    }
    let lost = [series("udp", 9, 1.0, |_| true)];
    let picture = svg(Figure::Timeline(&lost), &labels());
    assert!(picture.contains(">every probe was lost</text>") && picture.contains("9 lost"));
    for ns in [0, 1, 21_000, 60_000_000_000, u64::MAX] {
        for n in [1, 2, 400] {
            let same =
                [Series { name: "s".into(), samples: vec![Sample { at: 1.0, ns: Some(ns) }; n] }];
            let values = [Values::from(&same[0])];
            for figure in figures(&same, &values) {
                check_everywhere(figure, &labels(), &screen);
                assert!(!svg(figure, &labels()).contains("no samples"), "{ns} {n}");
            }
        }
    }
}

#[test]
fn more_series_than_colours_are_counted_not_drawn() {
    let nine: Vec<Series> = (0..9).map(|i| series(&format!("n{i}"), 9, 1e4, |_| false)).collect();
    let picture = svg(Figure::Timeline(&nine), &labels());
    assert!(picture.contains("3 more series are not drawn."));
    assert!(picture.contains(">n5<") && !picture.contains(">n6<"));
}

#[test]
fn a_million_samples_are_a_bounded_picture() {
    let far = |i: u64| 10f64.powf(3.0 + 7.7 * noise(i)) as u64;
    let million: Vec<Series> = (0..6)
        .map(|s| Series {
            name: format!("series {s} with a name of some length <&\">"),
            samples: (0..170_000)
                .map(|i| {
                    // Every second pixel of the picture loses all.
                    let ns = (i / 102 % 2 == 0).then(|| far(i * 7 + s));
                    Sample { at: i as f64 * 1e-3, ns }
                })
                .collect(),
        })
        .collect();
    let values: Vec<Values> = million.iter().map(Values::from).collect();
    for figure in figures(&million, &values) {
        check_everywhere(figure, &labels(), &screen(Charset::Unicode, true));
    }
    // The most that is still drawn one by one, all of it alone.
    let alone: Vec<Series> = (0..6).map(|_| series("udp", 2_000, 2e4, |i| i % 2 == 0)).collect();
    check_everywhere(Figure::Timeline(&alone), &labels(), &screen(Charset::Unicode, true));
}

#[test]
fn a_screen_reader_is_told_what_the_figure_shows() {
    let picture = svg(Figure::Percentiles(&values()), &labels());
    assert!(picture.contains("role=\"img\""));
    let title = "ping udp &amp; tcp &lt;127.0.0.1&gt;</title>";
    assert!(picture.contains(title));
    let (_, rest) = picture.split_once("<desc id=\"").unwrap();
    let desc = rest.split_once("</desc>").unwrap().0;
    for part in ["open loop every 100 ms", "A: n 4,000 · p99.9", "B: n 400 · p99 ", "max "] {
        assert!(desc.contains(part), "{part} in {desc}");
    }
    assert!(picture.contains("@media (prefers-color-scheme:dark)"));
}

#[test]
fn the_locale_decides_the_charset() {
    for (variables, wanted) in [
        ([Some("de_DE.UTF-8"), None, None], Charset::Unicode),
        ([Some(""), Some("C.utf8"), Some("C")], Charset::Unicode),
        ([Some("C"), Some("C.utf8"), Some("C.utf8")], Charset::Ascii),
        ([None, None, Some("de_DE@euro")], Charset::Ascii),
        ([None, None, None], Charset::Ascii),
    ] {
        assert_eq!(Charset::of_locale(variables), wanted, "{variables:?}");
    }
}

#[cfg(feature = "png")]
mod png {
    use super::*;
    use flate2::read::ZlibDecoder;
    use lightmeter::plot::{Theme, png};
    use std::io::Read;

    /// Width, height and the bytes of an 8-bit RGB file; its checksums are
    /// right.
    fn decode(file: &[u8]) -> (usize, usize, Vec<u8>) {
        let mut rest = file.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
        let (mut size, mut packed) = ((0, 0), Vec::new());
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        while !rest.is_empty() {
            let length = number(&rest[..4]) as usize;
            let (name, data) = (&rest[4..8], &rest[8..8 + length]);
            let mut checksum = flate2::Crc::new();
            checksum.update(&rest[4..8 + length]);
            assert_eq!(checksum.sum(), number(&rest[8 + length..12 + length]));
            match name {
                b"IHDR" => size = (number(&data[..4]) as usize, number(&data[4..8]) as usize),
                b"IDAT" => packed.extend_from_slice(data),
                _ => assert_eq!(name, b"IEND"),
            }
            rest = &rest[12 + length..];
        }
        let mut bytes = Vec::new();
        ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
        let rows = bytes.chunks(size.0 * 3 + 1).inspect(|row| assert_eq!(row[0], 0));
        let pixels: Vec<u8> = rows.flat_map(|row| row[1..].to_vec()).collect();
        assert_eq!(pixels.len(), size.0 * size.1 * 3);
        (size.0, size.1, pixels)
    }

    #[test]
    fn a_png_shows_what_the_svg_does() {
        let one = [series("udp", 101, 20_000.0, |i| i == 50)];
        let figure = Figure::Timeline(&one);
        let picture = svg(figure, &labels());
        let tick = parts(paths(&picture, "lost")[0])[0][0];
        for (theme, paper, red) in [
            (Theme::Light, [255; 3], [0xc4, 0, 0x1f]),
            (Theme::Dark, [0x14, 0x17, 0x1c], [0xff, 0x5d, 0x66]),
        ] {
            let file = png(figure, &labels(), theme).unwrap();
            assert!(file.len() < 1_000_000);
            let (width, height, pixels) = decode(&file);
            assert!(picture.contains(&format!("viewBox=\"0 0 {} {}\"", width / 2, height / 2)));
            let at = |x: f64, y: f64| {
                let first = ((y * 2.0) as usize * width + (x * 2.0) as usize) * 3;
                [pixels[first], pixels[first + 1], pixels[first + 2]]
            };
            assert_eq!(at(1.0, 1.0), paper);
            assert_eq!(at(tick.0, tick.1 + 3.0), red, "{theme:?}");
            assert_ne!(at(tick.0 + 20.0, tick.1 + 3.0), red);
            let inked = pixels.chunks(3).filter(|pixel| **pixel != paper).count();
            assert!((20_000..400_000).contains(&inked), "{inked} pixels");
        }
    }

    #[test]
    fn odd_figures_make_a_png_too() {
        let odd = [
            Series { name: "\u{1f600}<&\">語\x07".into(), samples: Vec::new() },
            Series {
                name: String::new(),
                samples: vec![Sample { at: f64::MAX, ns: Some(u64::MAX) }],
            },
            series("all lost", 5, 1.0, |_| true),
        ];
        let values: Vec<Values> = odd.iter().map(Values::from).collect();
        for figure in figures(&odd, &values).into_iter().chain(figures(&[], &[])) {
            decode(&png(figure, &labels(), Theme::Dark).unwrap());
        }
    }
}
