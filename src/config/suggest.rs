//! "Did you mean ...?": the known word nearest to a misspelt one.

/// The candidate nearest to `word`, if it is near enough to be what was meant:
/// at most two slips, and fewer than half of the letters.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Nobody misspells a key at this length, and the distance is quadratic.
    if word.len() > 40 {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .map(|known| (slips(&word, &known.replace('_', "-")), known))
        .filter(|(slips, known)| *slips <= 2 && slips * 2 < known.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}

/// `; did you mean 'x'?`, or nothing.
pub(super) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |known| format!("; did you mean '{known}'?"))
}

/// Insertions, deletions, replacements and swaps of neighbours that make `a`
/// of `b` (optimal string alignment, kept as three rows).
fn slips(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, count) in [
            ("", "", 0),
            ("", "ttl", 3),
            ("listen", "listen", 0),
            ("lsiten", "listen", 1),
            ("listn", "listen", 1),
            ("listenn", "listen", 1),
            ("lixten", "listen", 1),
            ("publish", "subscribe", 6),
        ] {
            assert_eq!(slips(a, b), count, "{a} {b}");
            assert_eq!(slips(b, a), count, "{b} {a}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["ttl", "cc", "nodelay", "max_lag"];
        assert_eq!(nearest("no-delay", known), Some("nodelay"));
        assert_eq!(nearest("MAX-LAG", known), Some("max_lag"));
        assert_eq!(nearest("tt", known), Some("ttl"));
        assert_eq!(nearest("xx", known), None);
        assert_eq!(nearest("delay", known), Some("nodelay"));
        assert_eq!(nearest(&"n".repeat(1000), known), None);
    }
}
