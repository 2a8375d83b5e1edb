//! A lexer just good enough to read Rust without being fooled by comments and
//! literals: it blanks those, keeping every line and offset, and finds words
//! and the ends of items in what is left.

/// One Rust file, as it is and as the rules read it.
pub(crate) struct Source {
    /// Path from the root of the project, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// `text` with comments blanked and literals filled up, line for line and
    /// byte for byte.
    pub(crate) code: String,
}

impl Source {
    /// Reads `text` as the file at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: mask(text) }
    }

    /// `file:line: what`, for the line that holds offset `at`.
    pub(crate) fn complaint(&self, at: usize, what: &str) -> String {
        let line = 1 + self.code[..at].matches('\n').count();
        format!("{}:{line}: {what}", self.path)
    }

    /// The layer that the file is part of, if it is under `src/`.
    pub(crate) fn layer(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }
}

/// Blanks comments and fills literals with `~`; lines and offsets stay.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let joined = at > 0 && is_word(bytes[at - 1]);
        let (len, filler) = if rest.starts_with(b"//") {
            (line_comment(rest), b' ')
        } else if rest.starts_with(b"/*") {
            (block_comment(rest), b' ')
        } else if let Some(len) = raw_string(rest).filter(|_| !joined) {
            (len, b'~')
        } else if rest[0] == b'"' {
            (quoted(rest), b'~')
        } else if rest[0] == b'\'' {
            (character(text, at), b'~')
        } else {
            (0, b' ')
        };
        for byte in &mut out[at..at + len] {
            if *byte != b'\n' {
                *byte = filler;
            }
        }
        at += len.max(1);
    }
    String::from_utf8(out).expect("only whole characters were replaced")
}

/// Whether `byte` may be part of a name.
pub(crate) fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

fn line_comment(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

/// Length of the block comment that `rest` begins with; they nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0usize);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// Length of the raw string, of any kind, that `rest` begins with.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = usize::from(matches!(rest[0], b'b' | b'c'));
    if rest.get(prefix) != Some(&b'r') {
        return None;
    }
    let hashes = rest[prefix + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + 1 + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let inside = rest[open + 1..].windows(close.len()).position(|window| window == close);
    Some(inside.map_or(rest.len(), |len| open + 1 + len + close.len()))
}

/// Length of the literal that `rest` begins with, to its closing quote.
fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != rest[0] {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Length of the character literal at `at`; zero for a lifetime.
fn character(text: &str, at: usize) -> usize {
    let mut inside = text[at + 1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => quoted(&text.as_bytes()[at..]),
        (Some(one), Some('\'')) => one.len_utf8() + 2,
        _ => 0,
    }
}

/// The words of the code and where they stand.
pub(crate) fn words(code: &str) -> Vec<(usize, &str)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        if len > 0 {
            found.push((at, &code[at..at + len]));
        }
        at += len.max(1);
    }
    found
}

/// Offset just past the item that starts at `at`: its closing brace, or its
/// semicolon where it has no body; and whether it has one.
pub(crate) fn item_end(code: &str, at: usize) -> (usize, bool) {
    let mut brackets = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if brackets == 0 => return (offset + 1, false),
            b'{' if brackets == 0 => return (block_end(code, offset), true),
            _ => {}
        }
    }
    (code.len(), false)
}

/// Offset just past the brace that closes the one at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return offset + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Where attributes that say `cfg(test)`, alone or within `all`, begin and the
/// item that they govern ends.
pub(crate) fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let attribute = code[at..].split_inclusive(']').next().unwrap_or("");
        let says = |wanted| words(attribute).iter().any(|(_, word)| *word == wanted);
        let inside = found.last().is_some_and(|(_, end)| at < *end);
        if !says("test") || says("not") || says("any") || inside {
            continue;
        }
        let mut start = at + attribute.len();
        while code[start..].trim_start().starts_with("#[") {
            start += code[start..].find(']').map_or(1, |len| len + 1);
        }
        found.push((at, item_end(code, start).0));
    }
    found
}

/// Paths of the files that `source` declares as modules for tests alone: the
/// one that a `path` attribute names, or `name.rs` and the folder `name/`.
pub(crate) fn test_modules(source: &Source) -> Vec<String> {
    let stem = source.path.trim_end_matches(".rs");
    let folder =
        ["/mod", "/lib", "/main"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem);
    let beside = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (start, end) in test_items(&source.code) {
        let item = &source.code[start..end];
        let names = words(item);
        let module = names.iter().position(|(_, word)| *word == "mod");
        if let (Some(at), true) = (module, item.ends_with(';')) {
            let name = names.get(at + 1).map_or("", |(_, name)| *name);
            found.push(format!("{folder}/{name}.rs"));
            found.push(format!("{folder}/{name}/"));
            let named = source.text[start..end].split_once("#[path = \"");
            if let Some((path, _)) = named.and_then(|(_, after)| after.split_once('"')) {
                found.push(format!("{beside}/{path}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("a\"b", c)"#, "f(~~~~~~, c)"),
            ("f(r#\"a\"b\"#, c)", "f(~~~~~~~~, c)"),
            ("f(br\"a\\\", c)", "f(~~~~~~, c)"),
            ("let r#type = 1;", "let r#type = 1;"),
            ("m('{', b'\\'', '\u{e9}')", "m(~~~, b~~~~, ~~~~)"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("\"one\ntwo\"", "~~~~\n~~~~"),
        ];
        for (text, wanted) in cases {
            assert_eq!(mask(text), wanted, "{text}");
        }
    }

    #[test]
    fn any_end_of_input_is_survived() {
        let text = "fn f() { r#\"a\"# /* /* */ 'x' '\\'' \"\\\" b\" } // \u{e9}";
        for (end, _) in text.char_indices() {
            let code = mask(&text[..end]);
            assert_eq!(code.len(), end);
            item_end(&code, 0);
            test_items(&code);
        }
    }

    #[test]
    fn test_items_are_found_and_others_are_not() {
        let code = "#[cfg(test)]\n#[path = ~]\nmod t { fn f() {} }\nfn g() {}\n\
                    #[cfg(not(test))] fn h() {}\n#[cfg(all(test, unix))] use x;";
        let items: Vec<&str> =
            test_items(code).iter().map(|(start, end)| &code[*start..*end]).collect();
        assert_eq!(items.len(), 2, "{items:?}");
        assert!(items[0].ends_with("{ fn f() {} }"), "{}", items[0]);
        assert!(items[1].ends_with("use x;"), "{}", items[1]);
    }

    #[test]
    fn files_declared_for_tests_alone_are_named() {
        let beside = Source::new("src/ring/cursor.rs", "#[cfg(test)] mod odd;");
        assert_eq!(test_modules(&beside), ["src/ring/cursor/odd.rs", "src/ring/cursor/odd/"]);
        let above = Source::new("src/ring/mod.rs", "mod even; #[cfg(test)] mod odd { }");
        assert!(test_modules(&above).is_empty());
        let placed = "#[cfg(test)]\n#[path = \"odd_tests.rs\"]\nmod tests;";
        let found = test_modules(&Source::new("src/sys/odd.rs", placed));
        assert_eq!(found.last().map(String::as_str), Some("src/sys/odd_tests.rs"));
    }
}
