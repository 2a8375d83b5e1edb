//! Words in a picture: names made harmless, numbers made short, and how wide
//! they will be.

use nearlight::client::report::format_latency;
use std::time::Duration;

/// Characters of a series' name that are shown.
pub(super) const NAME: usize = 48;
/// Characters of a title that are shown.
pub(super) const TITLE: usize = 120;
/// Characters of a caption that are shown.
pub(super) const CAPTION: usize = 600;

/// A text of other people's making as one line of at most `most` characters:
/// without what moves a terminal's cursor, turns the direction of writing, or
/// may not stand in XML.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut characters = text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c });
    let mut clean: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// XML 1.0 §2.2 allows no control character but three, nor the last two of the
/// plane; Unicode's bidirectional controls would reorder what follows.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Three significant digits and a unit.
pub(super) fn latency(ns: u64) -> String {
    format_latency(Duration::from_nanos(ns))
}

/// A count with its thousands set apart: `12,345`.
pub(super) fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// A number with so many decimals and its thousands set apart.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // Nothing is minus zero.
    let text = if text.trim_matches(['-', '0', '.']).is_empty() {
        text.trim_start_matches('-')
    } else {
        text.as_str()
    };
    grouped(text)
}

fn grouped(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let whole = rest.find('.').unwrap_or(rest.len());
    let mut grouped = sign.to_owned();
    for (at, digit) in rest.char_indices() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// About how wide a text is in a sans-serif font of size 1: from above, for
/// nobody knows the reader's font.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(em).sum()
}

fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '·' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '-' | '/' | '[' | ']' => 0.44,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '—' => 0.98,
        'A'..='Z' => 0.76,
        ' '..='\u{2e7f}' => 0.64,
        _ => 1.0,
    }
}

/// How many cells of a terminal a character takes: two in the scripts of East
/// Asia and in pictures (Unicode annex 11), none if it joins the one before.
pub(super) fn cells(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// How texts are made to fit.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    /// How wide a text is.
    pub(super) size: fn(&str) -> f64,
    /// What stands where the rest of a text was cut off.
    pub(super) cut: &'static str,
}

/// In a font of size 1.
pub(super) const FONT: Fit = Fit { size: width, cut: "…" };

/// A text in lines no wider than `most`, broken between words, in at most
/// `lines` lines; what doesn't fit is cut off.
pub(super) fn wrap(text: &str, most: f64, lines: usize, fit: Fit) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if let Some(line) = wrapped.last_mut() {
            let longer = format!("{line} {word}");
            if (fit.size)(&longer) <= most {
                *line = longer;
                continue;
            }
            if wrapped.len() == lines {
                let line = wrapped.pop().unwrap_or_default();
                wrapped.push(shorten(&format!("{line} {word}"), most, fit));
                return wrapped;
            }
        }
        wrapped.push(shorten(word, most, fit));
    }
    wrapped
}

/// A text cut to be no wider than `most`.
pub(super) fn shorten(text: &str, most: f64, fit: Fit) -> String {
    if (fit.size)(text) <= most {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while short.pop().is_some() {
        let cut = format!("{}{}", short.trim_end(), fit.cut);
        if (fit.size)(&cut) <= most {
            return cut;
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_do_no_harm() {
        assert_eq!(clean("a\x1b[31mb\nc", 20), "a\u{fffd}[31mb\u{fffd}c");
        assert_eq!(clean("\u{202e}abc\u{ffff}", 20), "\u{fffd}abc\u{fffd}");
        assert_eq!(clean("abcdef", 4), "abc…");
        assert_eq!(clean("abcd", 4), "abcd");
        assert_eq!(clean("", 4), "");
    }

    #[test]
    fn numbers_are_grouped_before_the_point_alone() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(number(12_345.678_9, 3), "12,345.679");
        assert_eq!(number(-1_234.0, 0), "-1,234");
        assert_eq!(number(-0.001, 1), "0.0");
    }

    #[test]
    fn a_wrapped_text_loses_nothing_unless_it_says_so() {
        let wide = Fit { size: |text| text.chars().count() as f64, cut: "…" };
        assert_eq!(wrap("one two three", 7.0, 3, wide), ["one two", "three"]);
        assert_eq!(wrap("one two three four", 7.0, 2, wide), ["one two", "three…"]);
        assert_eq!(wrap("incomprehensible", 5.0, 2, wide), ["inco…"]);
        assert!(wrap("", 5.0, 2, wide).is_empty());
        assert_eq!(shorten("ab", 0.0, wide), "");
    }
}
