//! What is sent back over HTTP: heads, and the short texts that go with them.
//!
//! There is no `Server` field: it would tell a stranger what to try.

use super::Refusal;
use crate::framing::Kind;

/// Answers `Expect: 100-continue` (RFC 9110 15.2.1): the publisher may send.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

const CLOSE: &str = "Connection: close\r\n";
const TEXT: &str = "text/plain; charset=utf-8";

/// The media type of a stream, by what its frames are.
pub const fn content_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Ts => "video/mp2t",
        Kind::Flv => "video/x-flv",
        Kind::Lines => TEXT,
        Kind::Auto | Kind::Raw | Kind::Len32 | Kind::Datagram => "application/octet-stream",
    }
}

/// The head of a stream, for `GET` and `HEAD` alike. It has no length: the
/// connection ends with the stream (RFC 9112 6.3, item 8), which HTTP/1.0
/// clients understand too. Any page may play it.
pub fn stream_head(content_type: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: {content_type}\r\n\
         Cache-Control: no-store\r\n\
         Access-Control-Allow-Origin: *\r\n\
         X-Content-Type-Options: nosniff\r\n\
         {CLOSE}\r\n"
    )
    .into_bytes()
}

/// Grants a WebSocket (RFC 6455 4.2.2); `accept` is what
/// `HttpAsk::Subscribe` carries.
pub fn websocket_head(accept: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// A publisher's body was taken to its end.
pub fn published(keep_alive: bool) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", connection(keep_alive)).into_bytes()
}

/// One of the server's own pages.
pub fn page(content_type: &str, body: &[u8], keep_alive: bool, head_only: bool) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: {content_type}\r\n\
         Content-Length: {}\r\n\
         Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\
         {}\r\n",
        body.len(),
        connection(keep_alive)
    )
    .into_bytes();
    if !head_only {
        bytes.extend_from_slice(body);
    }
    bytes
}

/// Answers `OPTIONS`. Pages of other origins may `GET` streams (`media`), with
/// a `Range` that is ignored; nothing else is theirs.
pub fn preflight(media: bool, keep_alive: bool) -> Vec<u8> {
    let (allow, cors) = if media {
        (
            "GET, HEAD, PUT, POST, OPTIONS",
            "Access-Control-Allow-Origin: *\r\n\
             Access-Control-Allow-Methods: GET, HEAD\r\n\
             Access-Control-Allow-Headers: Range\r\n",
        )
    } else {
        ("GET, HEAD, OPTIONS", "")
    };
    format!("HTTP/1.1 204 No Content\r\nAllow: {allow}\r\n{cors}{}\r\n", connection(keep_alive))
        .into_bytes()
}

/// Refuses a request, in words, and closes. `text` may quote the peer:
/// control characters are taken out.
pub fn refusal(why: Refusal, text: &str) -> Vec<u8> {
    let (status, extra) = status(why);
    let mut body = printable(text);
    body.push('\n');
    format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: {TEXT}\r\n\
         Content-Length: {}\r\n\
         Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\
         {extra}{CLOSE}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// `text` without control characters: it may quote a peer, and goes to people's
/// terminals and logs.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

const fn connection(keep_alive: bool) -> &'static str {
    if keep_alive { "" } else { CLOSE }
}

/// The status line's end, and the fields that must stand beside it: `Allow`
/// (RFC 9110 15.5.6), `Upgrade` (15.5.22) with the version (RFC 6455 4.4).
const fn status(why: Refusal) -> (&'static str, &'static str) {
    match why {
        Refusal::BadRequest
        | Refusal::BadName
        | Refusal::BadOption
        | Refusal::WrongProtocol
        | Refusal::BadFrame => ("400 Bad Request", ""),
        Refusal::Origin | Refusal::BadToken | Refusal::ForeignSource => ("403 Forbidden", ""),
        Refusal::NotFound => ("404 Not Found", ""),
        Refusal::Method => ("405 Method Not Allowed", "Allow: GET, HEAD, PUT, POST, OPTIONS\r\n"),
        Refusal::Timeout => ("408 Request Timeout", ""),
        Refusal::Busy => ("409 Conflict", ""),
        Refusal::LengthRequired => ("411 Length Required", ""),
        Refusal::MediaType => ("415 Unsupported Media Type", ""),
        Refusal::Expectation => ("417 Expectation Failed", ""),
        Refusal::Host => ("421 Misdirected Request", ""),
        Refusal::WebSocketVersion => (
            "426 Upgrade Required",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        ),
        Refusal::HeadTooLarge => ("431 Request Header Fields Too Large", ""),
        Refusal::Coding => ("501 Not Implemented", ""),
        Refusal::Full | Refusal::Draining => ("503 Service Unavailable", "Retry-After: 1\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a response; answers its status, fields and body.
    fn read(bytes: &[u8]) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut headers);
        let end = response.parse(bytes).unwrap().unwrap();
        let fields = response
            .headers
            .iter()
            .map(|h| (h.name.to_owned(), String::from_utf8(h.value.to_vec()).unwrap()))
            .collect();
        (response.code.unwrap(), fields, bytes[end..].to_vec())
    }

    fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
        fields.iter().find(|f| f.0 == name).map(|f| f.1.as_str())
    }

    #[test]
    fn every_refusal_says_why_and_closes() {
        for why in Refusal::ALL {
            let (status, fields, body) = read(&refusal(why, "what\r\nwhere \x1b[1mdo"));
            assert!((400..600).contains(&status), "{why:?}");
            assert_eq!(body, b"what??where ?[1mdo\n");
            assert_eq!(field(&fields, "Content-Length"), Some("19"));
            assert!(fields.iter().any(|f| f.0 == "Connection" && f.1 == "close"));
            assert_eq!(field(&fields, "Allow").is_some(), status == 405);
            assert_eq!(field(&fields, "Retry-After").is_some(), status == 503);
            assert_eq!(field(&fields, "Sec-WebSocket-Version").is_some(), status == 426);
        }
    }

    #[test]
    fn labels_are_all_different() {
        let labels: std::collections::BTreeSet<_> =
            Refusal::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(labels.len(), Refusal::ALL.len());
    }

    #[test]
    fn streams_are_delimited_by_the_close() {
        let (status, fields, body) = read(&stream_head(content_type(Kind::Ts)));
        assert_eq!((status, body), (200, vec![]));
        assert_eq!(field(&fields, "Content-Type"), Some("video/mp2t"));
        assert_eq!(field(&fields, "Connection"), Some("close"));
        assert_eq!(field(&fields, "Cache-Control"), Some("no-store"));
        assert_eq!(field(&fields, "Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(field(&fields, "Content-Length"), None);
        assert_eq!(field(&fields, "Transfer-Encoding"), None);
    }

    #[test]
    fn pages_publications_preflights_and_upgrades() {
        let (_, fields, body) = read(&page("text/html", b"<p>", true, false));
        assert_eq!(field(&fields, "Content-Length"), Some("3"));
        assert_eq!(field(&fields, "Connection"), None);
        assert_eq!(field(&fields, "Access-Control-Allow-Origin"), None);
        assert_eq!(body, b"<p>");
        let (_, fields, body) = read(&page("text/html", b"<p>", false, true));
        assert_eq!(field(&fields, "Content-Length"), Some("3"));
        assert_eq!(field(&fields, "Connection"), Some("close"));
        assert!(body.is_empty());
        let (status, fields, _) = read(&published(true));
        assert_eq!((status, field(&fields, "Content-Length")), (200, Some("0")));
        let (status, fields, _) = read(&preflight(true, true));
        assert_eq!(
            (status, field(&fields, "Access-Control-Allow-Methods")),
            (204, Some("GET, HEAD"))
        );
        let (_, fields, _) = read(&preflight(false, false));
        assert_eq!(field(&fields, "Access-Control-Allow-Origin"), None);
        let (status, fields, _) = read(&websocket_head("abc="));
        assert_eq!((status, field(&fields, "Sec-WebSocket-Accept")), (101, Some("abc=")));
        assert_eq!(field(&fields, "Connection"), Some("Upgrade"));
    }
}
