//! A scene as SVG 1.1 with a style sheet, written by hand: the same bytes for
//! the same figure everywhere, no font and no script inside, light or dark as
//! the reader's screen is, and words for those who listen to it.
//!
//! Coordinates have one decimal, so that platforms whose logarithms differ in
//! the last bit write the same.

use super::data::SERIES;
use super::palette::{Colour, Theme, pattern};
use super::scene::{Anchor, Ink, Item, Point, Scene, Style};
use std::fmt::Write as _;

const INKS: [(Ink, &str); 5] = [
    (Ink::Text, "text"),
    (Ink::Faint, "faint"),
    (Ink::Axis, "axis"),
    (Ink::Grid, "grid"),
    (Ink::Lost, "lost"),
];

/// The whole document.
pub(super) fn document(scene: &Scene) -> String {
    let mut body = String::new();
    for item in &scene.items {
        write_item(&mut body, item);
    }
    let (width, height) = (scene.width, scene.height);
    let (title, summary) = (escaped(&scene.title), escaped(&scene.summary));
    // Several pictures in one page must not share names.
    let id = format!("lightmeter-{:08x}", hash(&[&title, &summary, &body]));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lightmeter\" role=\"img\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{title}</title>\n\
         <desc id=\"{id}-desc\">{summary}</desc>\n\
         <style>\n{}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
         {body}</svg>\n",
        style()
    )
}

fn style() -> String {
    let mut style = String::new();
    style.push_str(
        ".lightmeter text{font-family:system-ui,sans-serif;font-variant-numeric:tabular-nums}\n\
         .lightmeter .bold{font-weight:600}\n\
         .lightmeter .aside{font-weight:400}\n\
         .lightmeter .line{fill:none;stroke-linejoin:round;stroke-linecap:butt}\n",
    );
    for index in 0..SERIES {
        let dashes: Vec<String> = pattern(index).iter().map(|length| short(*length)).collect();
        if !dashes.is_empty() {
            let dashes = dashes.join(" ");
            let _ = writeln!(style, ".lightmeter .dash{index}{{stroke-dasharray:{dashes}}}");
        }
    }
    write_colours(&mut style, Theme::Light);
    style.push_str("@media (prefers-color-scheme:dark){\n");
    write_colours(&mut style, Theme::Dark);
    style.push_str("}\n");
    style
}

fn write_colours(style: &mut String, theme: Theme) {
    let series: Vec<(Ink, String)> =
        (0..SERIES).map(|index| (Ink::Series(index), class(Ink::Series(index)))).collect();
    let others = INKS.iter().map(|(ink, name)| (*ink, (*name).to_owned()));
    let _ = writeln!(style, ".lightmeter .paper{{fill:{}}}", hex(theme.paper()));
    for (ink, name) in others.chain(series) {
        let colour = hex(theme.colour(ink));
        let _ = writeln!(
            style,
            ".lightmeter .{name}{{fill:{colour}}}.lightmeter .{name}.line{{fill:none;stroke:{colour}}}"
        );
    }
}

fn class(ink: Ink) -> String {
    match ink {
        Ink::Series(index) => format!("s{}", index % SERIES),
        Ink::Text | Ink::Faint | Ink::Axis | Ink::Grid | Ink::Lost => {
            let found = INKS.iter().find(|(known, _)| *known == ink);
            found.map_or("text", |(_, name)| name).to_owned()
        }
    }
}

fn hex([r, g, b]: Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn write_item(out: &mut String, item: &Item) {
    let _ = match item {
        Item::Lines { parts, ink, width, dashed } => {
            let dash = match ink {
                Ink::Series(index) if *dashed && !pattern(*index).is_empty() => {
                    format!(" dash{}", index % SERIES)
                }
                Ink::Series(_) | Ink::Text | Ink::Faint | Ink::Axis | Ink::Grid | Ink::Lost => {
                    String::new()
                }
            };
            let (class, width) = (class(*ink), short(*width));
            let path: String = parts.iter().map(|part| path(part)).collect();
            writeln!(
                out,
                "<path class=\"line {class}{dash}\" stroke-width=\"{width}\" d=\"{path}\"/>"
            )
        }
        Item::Areas { parts, ink, opacity } => {
            let path: String = parts.iter().map(|part| outline(part)).collect();
            writeln!(out, "<path class=\"{}\" opacity=\"{opacity}\" d=\"{path}\"/>", class(*ink))
        }
        Item::Dots { centres, radius, ink, hollow } => centres.iter().try_for_each(|centre| {
            let (x, y, r) = (short(centre.x), short(centre.y), short(*radius));
            let line = if *hollow { "line " } else { "" };
            let stroke = if *hollow { " stroke-width=\"1.7\"" } else { "" };
            let class = class(*ink);
            writeln!(
                out,
                "<circle class=\"{line}{class}\"{stroke} cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>"
            )
        }),
        Item::Text { words, at, style } => writeln!(out, "{}", text(words, *at, *style)),
        Item::Entry { words, aside, at, size } => {
            let (x, y, size) = (short(at.x), short(at.y), short(*size));
            let (words, aside) = (escaped(words), escaped(aside));
            writeln!(
                out,
                "<text class=\"text bold\" x=\"{x}\" y=\"{y}\" font-size=\"{size}\">{words}\
                 <tspan class=\"aside\" dx=\"6\">{aside}</tspan></text>"
            )
        }
    };
}

fn text(words: &str, at: Point, style: Style) -> String {
    let anchor = match style.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let bold = if style.bold { " bold" } else { "" };
    let (class, x, y) = (class(style.ink), short(at.x), short(at.y));
    let (size, words) = (short(style.size), escaped(words));
    format!(
        "<text class=\"{class}{bold}\" x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}>\
                 {words}</text>"
    )
}

/// Straight lines from point to point.
fn path(points: &[Point]) -> String {
    let mut path = String::new();
    for (at, point) in points.iter().enumerate() {
        let step = if at == 0 { "M" } else { "L" };
        path.push_str(&format!("{step}{} {}", short(point.x), short(point.y)));
    }
    path
}

/// Around bars that touch: along their heads to the right, along their feet
/// back.
fn outline(bars: &[(Point, Point)]) -> String {
    let Some((first, _)) = bars.first() else {
        return String::new();
    };
    let mut path = format!("M{} {}", short(first.x), short(first.y));
    for (upper, lower) in bars {
        path.push_str(&format!("V{}H{}", short(upper.y), short(lower.x)));
    }
    for (upper, lower) in bars.iter().rev() {
        path.push_str(&format!("V{}H{}", short(lower.y), short(upper.x)));
    }
    path.push('Z');
    path
}

/// A number with at most one decimal.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A text between tags.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// FNV-1a.
fn hash(texts: &[&str]) -> u32 {
    let bytes = texts.iter().flat_map(|text| text.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        assert_eq!(short(1.0), "1");
        assert_eq!(short(1.25), "1.2");
        assert_eq!(short(-0.04), "0");
        assert_eq!(short(-12.34), "-12.3");
    }

    #[test]
    fn an_area_goes_there_and_back() {
        let at = |x, y| Point { x, y };
        let bars = [(at(0.0, 5.0), at(1.0, 9.0)), (at(1.0, 4.0), at(2.0, 8.0))];
        assert_eq!(outline(&bars), "M0 5V5H1V4H2V8H1V9H0Z");
        assert_eq!(outline(&[]), "");
    }
}
