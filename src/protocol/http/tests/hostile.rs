//! Heads that mislead, heads without end, and heads of no meaning.

use super::*;
use crate::limits::HTTP_HEADERS;
use crate::protocol::testing::Random;
use std::time::Duration;

#[test]
fn what_could_be_smuggled_is_refused() {
    let post =
        |fields: &str| format!("POST /live/a HTTP/1.1\r\nHost: localhost:8080\r\n{fields}\r\n");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: \u{665}",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "X: y\r\n Content-Length: 5",
        "Content-Length: 5\rX: y",
        "Content-Length: 5\0",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding:",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \u{e4}\u{ff}",
        "Transfer-Encoding chunked",
    ] {
        let why = refused(&post(fields));
        let unknown = fields.contains('\u{e4}');
        let expected = if unknown { Refusal::Coding } else { Refusal::BadRequest };
        assert_eq!(why, expected, "{fields:?}");
        // No verb is lax about it.
        assert_eq!(refused(&post(fields).replace("POST", "GET")), expected, "{fields:?}");
    }
    for coding in ["gzip", "gzip, chunked", "chunked;x=y", "identity", "xchunked"] {
        is_refused(&post(&format!("Transfer-Encoding: {coding}")), Refusal::Coding);
    }
    is_refused(
        &post("Transfer-Encoding: chunked").replace("HTTP/1.1", "HTTP/1.0"),
        Refusal::BadRequest,
    );
    assert!(matches!(ask(&post("Transfer-Encoding: CHUNKED")), HttpAsk::Publish { .. }));
    assert!(matches!(ask(&post("Content-Length: 0005")), HttpAsk::Publish { .. }));
}

#[test]
fn malformed_heads() {
    for head in [
        "GET /a\r\n",
        "GET  /a HTTP/1.1\r\nHost: h\r\n",
        "GET /a HTTP/2.0\r\nHost: h\r\n",
        "PRI * HTTP/2.0\r\n",
        "GET /a HTTP/1.1\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n",
        "GET /a HTTP/1.1\r\nHost: a b\r\n",
        "GET /a HTTP/1.1\r\nHost: user@h\r\n",
        "GET /a HTTP/1.1\r\nHost: h:99999\r\n",
        "GET /a HTTP/1.1\r\nHost: [::1\r\n",
        "GET /a HTTP/1.0\r\nHost: a/b\r\n",
        "GET a HTTP/1.1\r\nHost: h\r\n",
        "GET * HTTP/1.1\r\nHost: h\r\n",
        "GET https://h/a HTTP/1.1\r\nHost: h\r\n",
        "GET http:///a HTTP/1.1\r\nHost: h\r\n",
        "GET http://u:p@h/a HTTP/1.1\r\nHost: h\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\nna me: x\r\n",
        "\0\r\n",
        "\x7f\r\n",
        "{\"json\": true}\r\n",
    ] {
        // `GET *` is a path that names nothing.
        let expected =
            if head.starts_with("GET *") { Refusal::BadName } else { Refusal::BadRequest };
        is_refused(head, expected);
    }
    for name in ["/%00", "/a//b", "/../etc", "/a%2", "/a%20b", "//", "/healthz.ts", "/a#b"] {
        is_refused(&format!("GET {name} HTTP/1.1\r\nHost: h\r\n"), Refusal::BadName);
    }
    for name in ["/", "/healthz", "/metrics", "/api/streams", "/watch/a"] {
        is_refused(
            &format!("PUT {name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"),
            Refusal::BadName,
        );
    }
    for method in ["DELETE", "PATCH", "TRACE", "get", "PROPFIND"] {
        is_refused(&format!("{method} /a HTTP/1.1\r\nHost: h\r\n"), Refusal::Method);
    }
    is_refused("GET /a HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n", Refusal::Expectation);
}

#[test]
fn another_protocol_is_told_at_its_first_byte() {
    for (first, word) in [(0x16, "TLS"), (0x03, "RTMP")] {
        let (taken, ask) = whole(&[first, 3, 1]);
        let Some(HttpAsk::Refused { why: Refusal::WrongProtocol, text }) = ask else {
            panic!("{ask:?}");
        };
        assert!(taken == 1 && text.contains(word));
    }
}

fn guarded(host: &str, origin: Option<&str>, rules: &Rules) -> Option<Refusal> {
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
    match Http::new(NOW).handle_bytes(head.as_bytes(), rules, NOW).1 {
        Some(HttpAsk::Refused { why, .. }) => Some(why),
        Some(HttpAsk::Page { page: Page::Metrics, .. }) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn host_names_this_server() {
    for host in [
        "127.0.0.1:8080",
        "127.0.0.1",
        "localhost:8080",
        "LOCALHOST:8081",
        "localhost",
        "[::1]:8081",
        "[0:0:0:0:0:0:0:1]:8081",
        "[::ffff:127.0.0.1]:8080",
        "cam.example",
        "CAM.example:99",
        "proxy.example:8443",
        "127.0.0.1:",
    ] {
        assert_eq!(guarded(host, None, &rules()), None, "{host}");
    }
    for host in [
        "evil.example:8080",
        "127.0.0.1:8081",
        "127.0.0.1:80",
        "127.0.0.2:8080",
        "[::1]:8080",
        "localhost:9",
        "proxy.example",
        "proxy.example:80",
        "cam.example.evil",
        "localhost.evil:8080",
        "127.1:8080",
        "2130706433:8080",
        "0x7f.0.0.1:8080",
        "",
    ] {
        assert_eq!(guarded(host, None, &rules()), Some(Refusal::Host), "{host}");
    }
    let any = Rules { allow_hosts: vec![], listen: vec!["0.0.0.0:8080".parse().unwrap()] };
    for host in ["192.0.2.7:8080", "[2001:db8::1]:8080", "localhost:8080"] {
        assert_eq!(guarded(host, None, &any), None, "{host}");
    }
    for host in ["192.0.2.7:81", "evil.example:8080"] {
        assert_eq!(guarded(host, None, &any), Some(Refusal::Host), "{host}");
    }
    for (text, right) in
        [("cam.example", true), ("[::1]:80", true), ("http://cam", false), ("a/b", false)]
    {
        assert_eq!(Rules::check_allow_host(text).is_ok(), right, "{text}");
    }
    let HttpAsk::Refused { text, .. } = ask("GET /metrics HTTP/1.1\r\nHost: evil.example:8080\r\n")
    else {
        panic!("a stranger's Host is refused");
    };
    // The flag takes no port.
    assert!(text.ends_with("--allow-host evil.example"), "{text}");
    // Without any Host, as HTTP/1.0 may, and with the target's own.
    is_refused("GET /metrics HTTP/1.0\r\n", Refusal::Host);
    is_refused(
        "GET http://evil.example:8080/metrics HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n",
        Refusal::Host,
    );
    is_refused(
        "PUT /a HTTP/1.1\r\nHost: evil.example:8080\r\nContent-Length: 1\r\n",
        Refusal::Host,
    );
    is_refused("GET /api/streams HTTP/1.1\r\nHost: evil.example\r\n", Refusal::Host);
}

#[test]
fn origin_is_this_server() {
    for (host, origin) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "HTTP://LocalHost:8080"),
        ("cam.example", "http://cam.example"),
        ("cam.example:80", "http://cam.example"),
        ("cam.example", "https://cam.example"),
        ("proxy.example:8443", "https://proxy.example:8443"),
    ] {
        assert_eq!(guarded(host, Some(origin), &rules()), None, "{host} {origin}");
    }
    for (host, origin) in [
        ("127.0.0.1:8080", "null"),
        ("127.0.0.1:8080", ""),
        ("127.0.0.1:8080", "http://127.0.0.1"),
        ("127.0.0.1:8080", "http://127.0.0.1:8081"),
        ("127.0.0.1:8080", "http://localhost:8080"),
        ("127.0.0.1:8080", "https://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080.evil"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080 http://evil"),
        ("127.0.0.1:8080", "file://"),
        ("cam.example", "http://evil.example"),
    ] {
        assert_eq!(guarded(host, Some(origin), &rules()), Some(Refusal::Origin), "{host} {origin}");
    }
    is_refused(
        "POST /a HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil\r\nContent-Length: 1\r\n",
        Refusal::Origin,
    );
    is_refused(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost\r\n",
        Refusal::Origin,
    );
}

#[test]
fn heads_are_bounded_to_the_byte() {
    let of = |bytes: usize| {
        let start = "GET /live/a HTTP/1.1\r\nHost: h\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    let fits = of(HTTP_HEAD_BYTES);
    assert_eq!(whole(fits.as_bytes()), (HTTP_HEAD_BYTES, Some(subscribes(None, false))));
    assert_eq!(pieces(fits.as_bytes(), || 1), (HTTP_HEAD_BYTES, Some(subscribes(None, false))));
    for input in
        [of(HTTP_HEAD_BYTES + 1), "a".repeat(HTTP_HEAD_BYTES * 2), "\r\n".repeat(HTTP_HEAD_BYTES)]
    {
        let (taken, ask) = whole(input.as_bytes());
        assert!(matches!(ask, Some(HttpAsk::Refused { why: Refusal::HeadTooLarge, .. })));
        assert_eq!(taken, HTTP_HEAD_BYTES);
        assert_eq!(pieces(input.as_bytes(), || 100), (taken, ask));
    }
    let fields =
        |n: usize| format!("GET /live/a HTTP/1.1\r\nHost: h\r\n{}", "a: b\r\n".repeat(n - 1));
    assert_eq!(ask(&fields(HTTP_HEADERS)), subscribes(None, false));
    is_refused(&fields(HTTP_HEADERS + 1), Refusal::HeadTooLarge);
}

#[test]
fn slow_clients_and_silent_ones() {
    let later = NOW + Duration::from_secs(1);
    let mut http = Http::new(NOW);
    assert_eq!(http.poll_timeout(), NOW + HTTP_IDLE_TIME);
    assert_eq!(http.handle_timeout(later), None);
    http.handle_bytes(b"G", &rules(), later);
    assert_eq!(http.poll_timeout(), later + HTTP_HEAD_TIME);
    // More bytes buy no more time.
    http.handle_bytes(b"ET / HTTP/1.1\r\n", &rules(), later + Duration::from_secs(4));
    assert_eq!(http.poll_timeout(), later + HTTP_HEAD_TIME);
    assert_eq!(http.handle_timeout(later + HTTP_HEAD_TIME), Some(Timeout::Head));
    assert_eq!(http.handle_timeout(later + HTTP_HEAD_TIME), None);
    let mut silent = Http::new(NOW);
    assert_eq!(silent.handle_timeout(NOW + HTTP_IDLE_TIME), Some(Timeout::Idle));
}

#[test]
fn bare_line_feeds_end_lines_too() {
    assert_eq!(whole(b"GET /live/a HTTP/1.1\nHost: h\n\n").1, Some(subscribes(None, false)));
}

#[test]
fn fuzz_heads() {
    let corpus = [
        WEBSOCKET.to_owned() + "\r\n",
        "POST /live/a.ts HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: localhost:8080\r\n\r\n5\r\nhello".to_owned(),
        "PUT /live/%61?window=2s HTTP/1.1\r\nHost: [::1]:8081\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n"
            .to_owned(),
        "GET http://cam.example/metrics?t=1 HTTP/1.0\r\nOrigin: http://cam.example\r\n\r\n".to_owned(),
        "\r\n\r\nOPTIONS * HTTP/1.1\nHost: h\n\n".to_owned(),
    ];
    let mut random = Random::new(1);
    let mut granted = 0;
    for _ in 0..250_000 {
        let seed = corpus[random.below(corpus.len())].as_bytes();
        let input = random.mutate(seed);
        let (taken, ask) = whole(&input);
        assert_eq!(pieces(&input, || random.below(60)), (taken, ask.clone()), "{input:?}");
        match ask {
            None => assert_eq!(taken, input.len()),
            Some(HttpAsk::Refused { text, .. }) => assert!(text.len() < 4 * HTTP_HEAD_BYTES),
            Some(_) => granted += 1,
        }
    }
    assert!(granted > 10_000, "the mutations are too wild to mean much: {granted}");
}

#[test]
fn fuzz_heads_byte_by_byte() {
    let mut random = Random::new(2);
    for _ in 0..20_000 {
        let input = random.mutate(WEBSOCKET.as_bytes());
        assert_eq!(pieces(&input, || 1), whole(&input), "{input:?}");
    }
}
