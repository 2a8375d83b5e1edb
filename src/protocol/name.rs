//! Names of streams: the one grammar that every protocol and the command line
//! share.

use super::percent;
use crate::framing::Container;
use crate::limits::NAME_BYTES;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A stream's name: `a-z A-Z 0-9 . _ - /`, at most [`NAME_BYTES`] bytes, no
/// part between slashes empty, `.` or `..`, and not reserved for the server's
/// own pages. Cloning shares the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks `text` against the grammar.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the stream's name is empty".to_owned());
        }
        if text.len() > NAME_BYTES {
            return Err(format!(
                "the stream's name has {} bytes; at most {NAME_BYTES} are taken",
                text.len()
            ));
        }
        if let Some(wrong) = text.chars().find(|c| !is_name_char(*c)) {
            return Err(format!(
                "stream name '{text}': {wrong:?} is not allowed; use a-z A-Z 0-9 . _ - /"
            ));
        }
        if let Some(part) = text.split('/').find(|part| matches!(*part, "" | "." | "..")) {
            return Err(match part {
                "" => format!("stream name '{text}': begins or ends with '/', or has '//'"),
                dots => format!("stream name '{text}': a part may not be '{dots}'"),
            });
        }
        if is_reserved(text) {
            return Err(format!(
                "'{text}' is reserved for the server's own pages; choose another stream name"
            ));
        }
        Ok(Self(text.into()))
    }

    /// Reads an HTTP path, query excluded: percent-encoding is undone, the
    /// leading `/` and a suffix `.ts` or `.flv` are no part of the name.
    ///
    /// # Errors
    /// Says which rule the path breaks.
    pub fn from_path(path: &str) -> Result<(Self, Option<Container>), String> {
        let decoded = percent::decode(path)?;
        let text = std::str::from_utf8(&decoded)
            .map_err(|_| "the path is not UTF-8; use a-z A-Z 0-9 . _ - /".to_owned())?;
        let text = text
            .strip_prefix('/')
            .ok_or_else(|| format!("path '{text}' does not begin with '/'"))?;
        let (text, container) = match text.strip_suffix(".ts") {
            Some(stem) => (stem, Some(Container::Ts)),
            None => match text.strip_suffix(".flv") {
                Some(stem) => (stem, Some(Container::Flv)),
                None => (text, None),
            },
        };
        Ok((Self::parse(text)?, container))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lets a map that is keyed by names be searched by text.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

const fn is_name_char(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' | '/')
}

/// Paths of the server's own pages. A stream of such a name could be published
/// over TCP but never be asked for over HTTP, so nobody may have it.
fn is_reserved(text: &str) -> bool {
    matches!(text, "healthz" | "metrics") || text.starts_with("api/") || text.starts_with("watch/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for right in
            ["a", "live/cam", "A-Z_0.9", "...", "a/..b", "api", "watch", "healthz/x", "x/api/y"]
        {
            assert_eq!(Name::parse(right).unwrap().as_str(), right);
        }
        assert!(Name::parse(&"n".repeat(NAME_BYTES)).is_ok());
        assert!(Name::parse(&"n".repeat(NAME_BYTES + 1)).is_err());
        for wrong in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "./a",
            "a/./b",
            "a b",
            "a\0",
            "ä",
            "a%41",
            "a\\b",
            "a?b",
            "a#b",
            "a:b",
            "healthz",
            "metrics",
            "api/",
            "api/streams",
            "watch/a",
        ] {
            assert!(Name::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn paths() {
        let read = |path: &str| {
            let (name, container) = Name::from_path(path).unwrap();
            (name.to_string(), container)
        };
        assert_eq!(read("/live/a"), ("live/a".to_owned(), None));
        assert_eq!(read("/live/a.ts"), ("live/a".to_owned(), Some(Container::Ts)));
        assert_eq!(read("/a.flv"), ("a".to_owned(), Some(Container::Flv)));
        assert_eq!(read("/a.ts.ts"), ("a.ts".to_owned(), Some(Container::Ts)));
        assert_eq!(read("/a.TS"), ("a.TS".to_owned(), None));
        assert_eq!(read("/%6cive%2fa%2Ets"), ("live/a".to_owned(), Some(Container::Ts)));
        for wrong in [
            "",
            "/",
            "//a",
            "a",
            "/.ts",
            "/live/.ts",
            "/..ts.ts/",
            "/%2e%2e/a",
            "/a%00",
            "/a%20b",
            "/a%",
            "/a%e4",
            "/%C3%A4",
            "/healthz.ts",
            "/api%2fstreams",
            "/watch/a.ts",
            "/a%2f",
        ] {
            assert!(Name::from_path(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_map_is_searched_by_text() {
        let mut names = std::collections::HashMap::new();
        names.insert(Name::parse("live/a").unwrap(), 1);
        assert_eq!(names.get("live/a"), Some(&1));
    }
}
