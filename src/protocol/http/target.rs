//! The request target (RFC 9112 3.2): which path, which query, and, where a
//! client writes it as for a proxy, which server.

use super::Denied;
use super::guard::{Authority, strip_scheme};
use crate::framing::Kind;
use crate::protocol::{Ask, Policy, Refusal, percent};

/// A target, taken apart.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// The server, if the target names one; it goes before `Host`
    /// (RFC 9112 3.2.2).
    pub(super) authority: Option<Authority>,
    /// From the first slash to the query; `*` for the server as a whole.
    pub(super) path: &'a str,
    /// Behind the question mark; empty if there is none.
    pub(super) query: &'a str,
}

/// What a query's keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Side {
    Publisher,
    Subscriber,
}

impl<'a> Target<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Denied> {
        let (authority, rest) = match strip_scheme(text, "http://") {
            None => (None, text),
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let authority = Authority::parse(&rest[..end])
                    .ok_or_else(|| bad("the target's host is malformed"))?;
                (Some(authority), &rest[end..])
            }
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = match path {
            "" if authority.is_some() => "/",
            "*" if authority.is_none() => "*",
            path if path.starts_with('/') => path,
            _ => return Err(bad("the target is neither a path nor an http:// URL")),
        };
        Ok(Self { authority, path, query })
    }
}

fn bad(text: &str) -> Denied {
    (Refusal::BadRequest, text.to_owned())
}

/// Reads the stream keys of a query.
///
/// # Errors
/// [`Refusal::BadOption`], naming the key.
pub(in crate::protocol) fn read_query(query: &str, side: Side) -> Result<Ask, Denied> {
    let mut ask = Ask::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        read_pair(pair, side, &mut ask).map_err(|text| (Refusal::BadOption, text))?;
    }
    check_values(&ask).map_err(|text| (Refusal::BadOption, text))?;
    Ok(ask)
}

fn read_pair(pair: &str, side: Side, ask: &mut Ask) -> Result<(), String> {
    let (key, value) = match pair.split_once('=') {
        Some((key, value)) => (key, Some(decode(value)?)),
        None => (pair, None),
    };
    let key = decode(key)?.replace('-', "_");
    let subscribers = matches!(key.as_str(), "join" | "max_lag" | "wait" | "policy" | "coalesce");
    let publishers = matches!(key.as_str(), "framing" | "window" | "window_bytes" | "timeout");
    match (key.as_str(), side) {
        // What players and pages put there so that nothing is cached.
        ("_" | "t", _) => Ok(()),
        (_, Side::Subscriber) if publishers => Err(format!(
            "{key}: for whoever publishes the stream; a subscriber may give join, max_lag, wait, policy, coalesce"
        )),
        _ if publishers || subscribers => ask.set(&key, value.as_deref()).map(drop),
        _ => Err(format!(
            "{key}: no such key; there are join, max_lag, wait, policy, coalesce and, for a publisher, framing, window, window_bytes, timeout"
        )),
    }
}

/// What is right on a listener but not in a request.
fn check_values(ask: &Ask) -> Result<(), String> {
    if ask.policy == Some(Policy::Wait) {
        return Err(
            "policy: 'wait' is for the listener's owner to set; ask for skip or close".to_owned()
        );
    }
    if ask.framing == Some(Kind::Datagram) {
        return Err(
            "framing: HTTP has no datagrams; use auto, raw, ts, flv, lines or len32".to_owned()
        );
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, String> {
    String::from_utf8(percent::decode(text)?.into_owned())
        .map_err(|_| "the query is not UTF-8".to_owned())
}
