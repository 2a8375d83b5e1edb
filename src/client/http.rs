//! The client's side of HTTP/1.1 (RFC 9110, RFC 9112): heads of requests, and
//! what a server answers.

use super::conn::Conn;
use super::error::{ClientError, ClientResult};
use super::target::Target;
use crate::base::Instant;
use crate::limits::{CLIENT_STOP, HTTP_INTERIM};
use crate::protocol::{Answer, Body};
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

/// The head at the front of `bytes`, once it is complete.
pub(super) fn head(bytes: &[u8]) -> ClientResult<Option<Answer<'_>>> {
    Answer::read(bytes).map_err(|why| broken(&why))
}

/// The same with what is wanted of it as text.
fn parse(bytes: &[u8]) -> ClientResult<Option<(Response, usize)>> {
    let Some(answer) = head(bytes)? else { return Ok(None) };
    let response = Response {
        status: answer.status,
        reason: answer.reason.to_owned(),
        accept: answer.accept.map(str::to_owned),
        body: answer.body,
    };
    Ok(Some((response, answer.length)))
}

fn broken(why: &str) -> ClientError {
    // Part of it may be the peer's.
    let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
    ClientError::protocol(format!("no HTTP response: {why}"))
}
