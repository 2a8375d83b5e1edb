//! The head of a response, as a client reads it (RFC 9112 section 4): what its
//! status is, and where the bytes behind it end.

use super::Body;
use super::response::printable;
use crate::limits::{HTTP_HEAD_BYTES, HTTP_HEADERS};

/// The head of a response.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The words beside it.
    pub reason: &'a str,
    /// Bytes of the head.
    pub length: usize,
    /// `None`: the body ends with the connection.
    pub body: Option<Body>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// `Location`: where to ask instead.
    pub location: Option<&'a str>,
    /// `Sec-WebSocket-Accept`.
    pub accept: Option<&'a str>,
}

impl<'a> Answer<'a> {
    /// The head at the front of `bytes`; `None` until it is complete.
    ///
    /// # Errors
    /// It is no HTTP response, its head is longer than [`HTTP_HEAD_BYTES`], or
    /// its body is coded in a way that is not understood.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        let mut fields = [httparse::EMPTY_HEADER; HTTP_HEADERS];
        let mut head = httparse::Response::new(&mut fields);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() > HTTP_HEAD_BYTES => {
                return Err("the head is too long".to_owned());
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let field = |name| field(&head, name);
        let status = head.code.ok_or("no status code")?;
        Ok(Some(Self {
            status,
            reason: head.reason.unwrap_or_default(),
            length,
            body: body(status, field("transfer-encoding"), field("content-length"))?,
            content_type: field("content-type"),
            content_encoding: field("content-encoding"),
            location: field("location"),
            accept: field("sec-websocket-accept"),
        }))
    }

    /// Status and reason, for people; what the peer wrote can't move a cursor.
    pub fn words(&self) -> String {
        printable(format!("{} {}", self.status, self.reason).trim_end())
    }
}

/// The value of a field, if it is text.
fn field<'a>(head: &httparse::Response<'_, 'a>, name: &str) -> Option<&'a str> {
    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok().map(str::trim)
}

/// Where the body ends, RFC 9112 6.3.
fn body(status: u16, coding: Option<&str>, length: Option<&str>) -> Result<Option<Body>, String> {
    if status < 200 || status == 204 || status == 304 {
        return Ok(Some(Body::length(0)));
    }
    match (coding, length) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Body::chunked())),
        (Some(coding), _) if !coding.eq_ignore_ascii_case("identity") => {
            Err(format!("transfer coding '{}' is not understood", printable(coding)))
        }
        (_, Some(length)) => match length.parse() {
            Ok(bytes) => Ok(Some(Body::length(bytes))),
            Err(_) => Err(format!("Content-Length '{}' is no number", printable(length))),
        },
        (_, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_bodies() {
        let read = |text: &'static str| Answer::read(text.as_bytes());
        assert!(read("HTTP/1.1 200 OK\r\nA: b\r\n").unwrap().is_none());
        let answer = read("HTTP/1.1 200 OK\r\nLocation:  /x \r\n\r\nbody").unwrap().unwrap();
        assert_eq!((answer.status, answer.length, &answer.body), (200, 35, &None));
        assert_eq!((answer.location, answer.content_type), (Some("/x"), None));
        assert_eq!(answer.words(), "200 OK");
        for (text, body) in [
            (
                "HTTP/1.1 200 X\r\nTransfer-Encoding: Chunked\r\nContent-Length: 7\r\n\r\n",
                Some(Body::chunked()),
            ),
            ("HTTP/1.0 200 X\r\ncontent-length: 7\r\n\r\n", Some(Body::length(7))),
            ("HTTP/1.1 304 X\r\ncontent-length: 7\r\n\r\n", Some(Body::length(0))),
            ("HTTP/1.1 100 X\r\n\r\n", Some(Body::length(0))),
            ("HTTP/1.1 200 X\r\nTransfer-Encoding: identity\r\n\r\n", None),
            ("HTTP/1.0 200\r\n\r\n", None),
        ] {
            assert_eq!(read(text).unwrap().unwrap().body, body, "{text}");
        }
        for wrong in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let endless = [&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'a'; HTTP_HEAD_BYTES]].concat();
        assert!(Answer::read(&endless).is_err());
    }
}
