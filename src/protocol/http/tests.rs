//! What the tests of heads share: each head is fed whole and byte by byte, and
//! must be understood alike.

mod clients;
mod hostile;
#[cfg(feature = "page")]
mod page;

use super::*;

const NOW: Instant = Instant::ZERO;

fn rules() -> Rules {
    Rules {
        allow_hosts: vec!["Cam.Example".to_owned(), "proxy.example:8443".to_owned()],
        listen: vec!["127.0.0.1:8080".parse().unwrap(), "[::1]:8081".parse().unwrap()],
    }
}

/// Feeds a head whole; answers the ask and how much was taken.
fn whole(input: &[u8]) -> (usize, Option<HttpAsk>) {
    Http::new(NOW).handle_bytes(input, &rules(), NOW)
}

/// Feeds a head in pieces.
fn pieces(input: &[u8], mut piece: impl FnMut() -> usize) -> (usize, Option<HttpAsk>) {
    let (mut http, rules) = (Http::new(NOW), rules());
    let mut at = 0;
    while at < input.len() {
        let end = (at + piece().max(1)).min(input.len());
        let (taken, ask) = http.handle_bytes(&input[at..end], &rules, NOW);
        assert!(taken > 0 && taken <= end - at, "no progress");
        assert!(http.held.len() <= HTTP_HEAD_BYTES, "unbounded");
        at += taken;
        if ask.is_some() {
            assert_eq!(http.handle_bytes(b"more", &rules, NOW), (0, None));
            return (at, ask);
        }
    }
    (at, None)
}

/// The ask of a head, checked to be the same byte by byte.
fn ask(head: &str) -> HttpAsk {
    let input = format!("{head}\r\nWHAT FOLLOWS");
    let (taken, ask) = whole(input.as_bytes());
    assert_eq!(pieces(input.as_bytes(), || 1), (taken, ask.clone()), "{head}");
    let ask = ask.expect("an answer");
    if !matches!(ask, HttpAsk::Refused { .. }) {
        assert_eq!(taken, head.len() + 2, "{head}");
    }
    ask
}

fn refused(head: &str) -> Refusal {
    let answer = ask(head);
    let HttpAsk::Refused { why, text } = answer else {
        panic!("{answer:?} for {head}");
    };
    assert!(!text.is_empty() && !text.contains(char::is_control));
    why
}

fn is_refused(head: &str, why: Refusal) {
    assert_eq!(refused(head), why, "{head}");
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn publishes(kind: Kind, body: Body, expect_continue: bool, keep_alive: bool) -> HttpAsk {
    HttpAsk::Publish {
        name: name("live/a"),
        kind,
        ask: Ask::default(),
        body,
        range: None,
        expect_continue,
        keep_alive,
    }
}

fn subscribes(container: Option<Container>, head_only: bool) -> HttpAsk {
    let (name, ask) = (name("live/a"), Ask::default());
    HttpAsk::Subscribe { name, container, ask, head_only, websocket: None }
}

const WEBSOCKET: &str = "GET /live/a?join=live HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUpgrade: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
    Origin: http://127.0.0.1:8080\r\n";
