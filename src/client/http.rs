//! The client's side of HTTP/1.1 (RFC 9110, RFC 9112): heads of requests, and
//! what a server answers.

use super::conn::Conn;
use super::error::{ClientError, ClientResult};
use super::target::Target;
use crate::base::Instant;
use crate::limits::{CLIENT_STOP, HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_INTERIM};
use crate::protocol::Body;
use crate::sys::clock::Clock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Bytes of a refusal's body that are shown.
const REASON_BYTES: usize = 500;
/// How long the body of a refusal is waited for.
const REASON_TIME: Duration = Duration::from_millis(500);

/// The head of a response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    reason: String,
    /// `None`: the body ends with the connection.
    pub(super) body: Option<Body>,
    /// `Sec-WebSocket-Accept`.
    pub(super) accept: Option<String>,
}

/// The head of a request; `fields` are whole lines.
pub(super) fn request(method: &str, target: &Target, fields: &str) -> String {
    format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nearlight/{}\r\n{fields}\r\n",
        target.path(),
        target.authority(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Reads the head of a response off the connection; what follows it stays.
pub(super) fn read_response(
    conn: &mut Conn,
    deadline: Instant,
    stop: &AtomicBool,
) -> ClientResult<Response> {
    loop {
        if let Some((response, length)) = parse(conn.received())? {
            conn.take(length);
            return Ok(response);
        }
        if conn.received().len() > HTTP_HEAD_BYTES {
            return Err(broken("the head is too long"));
        }
        if !conn.fill_by(deadline, "wait for the answer", stop)? {
            let what = format!("{}: closed without an answer", conn.name());
            return Err(ClientError::protocol(what));
        }
    }
}

/// Like [`read_response`], past responses that are not final (RFC 9110 15.2);
/// 101 is one that is.
pub(super) fn read_final(
    conn: &mut Conn,
    deadline: Instant,
    stop: &AtomicBool,
) -> ClientResult<Response> {
    for _ in 0..=HTTP_INTERIM {
        let response = read_response(conn, deadline, stop)?;
        if response.status == 101 || response.status >= 200 {
            return Ok(response);
        }
    }
    Err(broken("no end of interim responses"))
}

/// The error that a refusal is, with the first line of its body in it.
pub(super) fn refused(conn: &mut Conn, response: Response, stop: &AtomicBool) -> ClientError {
    let deadline = Clock::now() + REASON_TIME.max(CLIENT_STOP);
    let mut body = response.body;
    let mut text = Vec::new();
    loop {
        let pending = conn.received();
        let (payload, consumed) = match &mut body {
            None => (pending.len(), pending.len()),
            Some(body) => match body.decode(pending) {
                Ok(decoded) => (decoded.payload, decoded.consumed),
                Err(_) => break,
            },
        };
        text.extend_from_slice(&conn.take(consumed)[..payload]);
        let done = body.as_ref().is_some_and(Body::is_done) || text.len() >= REASON_BYTES;
        if done || !matches!(conn.fill_by(deadline, "", stop), Ok(true)) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text[..text.len().min(REASON_BYTES)]);
    let first = text.lines().next().unwrap_or_default().trim();
    let mut reason = response.reason;
    if !first.is_empty() {
        reason = format!("{reason}: {first}");
    }
    ClientError::Refused {
        target: conn.name().to_owned(),
        status: response.status,
        reason: reason.chars().filter(|c| !c.is_control()).collect(),
    }
}

/// What the head of a response says of the bytes behind it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes of the head.
    pub(super) length: usize,
    /// `None`: the body ends with the connection.
    pub(super) body: Option<Body>,
}

/// The head at the front of `bytes`, once it is complete.
pub(super) fn head(bytes: &[u8]) -> ClientResult<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; HTTP_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let Some(length) = complete(&mut head, bytes)? else {
        return Ok(None);
    };
    let status = head.code.ok_or_else(|| broken("no status code"))?;
    let body = body(status, field(&head, "transfer-encoding"), field(&head, "content-length"))?;
    Ok(Some(Head { status, length, body }))
}

/// The same with what is wanted of it as text.
fn parse(bytes: &[u8]) -> ClientResult<Option<(Response, usize)>> {
    let Some(Head { status, length, body }) = head(bytes)? else {
        return Ok(None);
    };
    let mut fields = [httparse::EMPTY_HEADER; HTTP_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    complete(&mut head, bytes)?;
    let response = Response {
        status,
        reason: head.reason.unwrap_or_default().to_owned(),
        body,
        accept: field(&head, "sec-websocket-accept").map(str::to_owned),
    };
    Ok(Some((response, length)))
}

fn complete<'b>(
    head: &mut httparse::Response<'_, 'b>,
    bytes: &'b [u8],
) -> ClientResult<Option<usize>> {
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Ok(Some(length)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(broken(&error.to_string())),
    }
}

/// The value of a field, if it is text.
fn field<'b>(head: &httparse::Response<'_, 'b>, name: &str) -> Option<&'b str> {
    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok().map(str::trim)
}

/// RFC 9112 6.3.
fn body(status: u16, coding: Option<&str>, length: Option<&str>) -> ClientResult<Option<Body>> {
    if status < 200 || status == 204 || status == 304 {
        return Ok(Some(Body::length(0)));
    }
    match (coding, length) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Body::chunked())),
        (Some(coding), _) if !coding.eq_ignore_ascii_case("identity") => {
            Err(broken(&format!("transfer coding '{coding}' is not understood")))
        }
        (_, Some(length)) => match length.parse() {
            Ok(bytes) => Ok(Some(Body::length(bytes))),
            Err(_) => Err(broken(&format!("Content-Length '{length}' is no number"))),
        },
        (_, None) => Ok(None),
    }
}

fn broken(why: &str) -> ClientError {
    // Part of it may be the peer's.
    let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
    ClientError::protocol(format!("no HTTP response: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_bodies() {
        let read = |text: &str| parse(text.as_bytes());
        assert!(read("HTTP/1.1 200 OK\r\nA: b\r\n").expect("so far").is_none());
        let (response, length) = read("HTTP/1.1 200 OK\r\n\r\nbody").expect("good").expect("whole");
        assert_eq!((response.status, length, response.body), (200, 19, None));
        for (fields, status, body) in [
            ("Transfer-Encoding: Chunked\r\nContent-Length: 7\r\n", 200, Some(Body::chunked())),
            ("content-length: 7\r\n", 200, Some(Body::length(7))),
            ("content-length: 7\r\n", 304, Some(Body::length(0))),
            ("", 100, Some(Body::length(0))),
            ("Transfer-Encoding: identity\r\n", 200, None),
        ] {
            let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
            let (response, _) = read(&text).expect("good").expect("whole");
            assert_eq!(response.body, body, "{text}");
        }
        for wrong in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
