//! The web page: a list of the live streams at `/`, a player at `/watch/NAME`.
//!
//! Its files are part of the binary, so that a server has no other place to
//! fetch them from and a page asks no other host for anything. What it may do
//! is said in [`POLICY`]; what it shows comes over one WebSocket, `/api/live`,
//! and the stream itself over another.
//!
//! ```text
//! index.html ─ list.js ──┬─ live.js   what the server says, the clocks' offset
//! watch.html ─ watch.js ─┤
//!                        ├─ chart.js  lines that have a text beside them
//!               loader.js ─ vendor/mpegts.js: MPEG-TS to what a browser plays
//! ```

#[cfg(feature = "page")]
mod files;

#[cfg(not(feature = "page"))]
mod files {
    pub(super) const FILES: &[crate::page::File] = &[];
}

use files::FILES;
use std::sync::LazyLock;

/// Content Security Policy Level 3: scripts and styles of this server alone,
/// nothing inline, no other host. Media Source Extensions play `blob:`.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                          connect-src 'self'; media-src blob:; worker-src blob:; \
                          img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'none'";

/// One file.
struct File {
    name: &'static str,
    media_type: &'static str,
    body: &'static [u8],
    /// Another version of it has another name, so it need not be asked for again.
    is_fixed: bool,
}

/// Entity tags (RFC 9110 8.8.3), in the order of `FILES`.
static TAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| FILES.iter().map(|file| format!("\"{:016x}\"", hash(file.body))).collect());

/// FNV-1a, 64 bits: tells versions of a file apart.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The response to a request for the file called `name`; `None` if there is none.
/// `known` is what the client has of it, the value of `If-None-Match`.
pub fn respond(
    name: &str,
    known: Option<&str>,
    head_only: bool,
    keep_alive: bool,
) -> Option<Vec<u8>> {
    let at = FILES.iter().position(|file| file.name == name)?;
    let (file, tag) = (&FILES[at], &TAGS[at]);
    let is_known = known.is_some_and(|known| matches_tag(known, tag));
    let status = if is_known { "304 Not Modified" } else { "200 OK" };
    // The rest is asked about each time, and is mostly not sent again.
    let cache = if file.is_fixed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: {}\r\n\
         Cache-Control: {cache}\r\n\
         ETag: {tag}\r\n\
         Vary: Accept\r\n\
         Content-Security-Policy: {POLICY}\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Referrer-Policy: no-referrer\r\n\
         Cross-Origin-Opener-Policy: same-origin\r\n\
         Cross-Origin-Embedder-Policy: require-corp\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n",
        file.media_type
    );
    if !is_known {
        response.push_str(&format!("Content-Length: {}\r\n", file.body.len()));
    }
    if !keep_alive {
        response.push_str("Connection: close\r\n");
    }
    response.push_str("\r\n");
    let mut response = response.into_bytes();
    if !is_known && !head_only {
        response.extend_from_slice(file.body);
    }
    Some(response)
}

/// Whether `If-None-Match` has a tag: weak comparison, RFC 9110 13.1.2.
fn matches_tag(known: &str, tag: &str) -> bool {
    let mut tags = known.split(',').map(str::trim_ascii);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(feature = "page")]
#[cfg(test)]
mod tests {
    use super::*;

    fn head_and_body(response: Vec<u8>) -> (String, Vec<u8>) {
        let end = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        (String::from_utf8(response[..end].to_vec()).unwrap(), response[end..].to_vec())
    }

    #[test]
    fn a_file_is_sent_once_and_then_known_by_its_tag() {
        let (head, body) = head_and_body(respond("style.css", None, false, true).unwrap());
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/css"), "{head}");
        assert_eq!(body, include_bytes!("style.css"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let (head, body) =
                head_and_body(respond("style.css", Some(&known), false, true).unwrap());
            assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{known}: {head}");
            assert!(body.is_empty() && !head.contains("Content-Length"), "{head}");
        }
        let (head, body) = head_and_body(respond("style.css", Some("\"x\""), true, false).unwrap());
        assert!(head.contains("200 OK") && head.contains("Connection: close\r\n"), "{head}");
        assert!(body.is_empty(), "the head alone");
        assert_eq!(respond("mod.rs", None, false, true), None);
        assert_eq!(respond("../style.css", None, false, true), None);
    }

    #[test]
    fn pages_name_files_that_are_there_and_nothing_elsewhere() {
        for file in FILES.iter().filter(|file| !file.name.starts_with("mpegts")) {
            let text = std::str::from_utf8(file.body).unwrap();
            let (mut rest, here) = (text, file.name);
            while let Some(at) = rest.find("/api/page/") {
                rest = &rest[at + "/api/page/".len()..];
                let end = rest.find(['"', '\'']).unwrap();
                assert!(
                    FILES.iter().any(|file| file.name == &rest[..end]),
                    "{here}: {}",
                    &rest[..end]
                );
            }
            for line in
                text.lines().filter(|line| file.name.ends_with(".html") && line.contains('<'))
            {
                for inline in [" style=", " onclick=", " onload=", "<style", "src=\"http"] {
                    assert!(!line.contains(inline), "{here}: {inline}: {line}");
                }
            }
        }
    }

    #[test]
    fn the_player_is_of_the_version_that_its_name_and_its_note_say() {
        let player = FILES.iter().find(|file| file.is_fixed).unwrap();
        let version = player.name.trim_start_matches("mpegts-").trim_end_matches(".js");
        let script = std::str::from_utf8(player.body).unwrap();
        assert!(script.contains(&format!("\"{version}\"")), "{version}");
        assert!(include_str!("vendor/README.md").contains(&format!("mpegts.js {version}")));
    }
}
