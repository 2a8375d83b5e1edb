//! Heads as real clients send them, and what each part of one asks for.

use super::*;
use crate::limits::WAIT_MAX;
use crate::protocol::{Join, Policy};
use std::time::Duration;

#[test]
fn publishers_as_they_are() {
    // ffmpeg 5.1, plain and with user, PUT and media type.
    assert_eq!(
        ask(
            "POST /live/a.ts HTTP/1.1\r\nTransfer-Encoding: chunked\r\nUser-Agent: Lavf/59.27.100\r\n\
             Accept: */*\r\nConnection: close\r\nHost: 127.0.0.1:8080\r\nIcy-MetaData: 1\r\n"
        ),
        publishes(Kind::Ts, Body::chunked(), false, false)
    );
    assert_eq!(
        ask("PUT /live/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nUser-Agent: Lavf/59.27.100\r\n\
             Accept: */*\r\nExpect: 100-continue\r\nConnection: close\r\nHost: 127.0.0.1:8080\r\n\
             Content-Type: video/mp2t\r\nIcy-MetaData: 1\r\nAuthorization: Basic dXNlcjpwdw==\r\n"),
        publishes(Kind::Ts, Body::chunked(), true, false)
    );
    // curl -T, from a file and from a pipe, and with -0.
    assert_eq!(
        ask("PUT /live/a.ts HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\n\
             Accept: */*\r\nContent-Length: 280800\r\nExpect: 100-continue\r\n"),
        publishes(Kind::Ts, Body::length(280_800), true, true)
    );
    assert_eq!(
        ask(
            "PUT /live/a HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
        ),
        publishes(Kind::Auto, Body::chunked(), true, true)
    );
    assert_eq!(
        ask(
            "PUT /live/a HTTP/1.0\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
             Content-Length: 0\r\n"
        ),
        publishes(Kind::Auto, Body::length(0), false, false)
    );
    // GStreamer souphttpclientsink: one PUT after the other.
    assert_eq!(
        ask("PUT /live/a.ts HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 1316\r\n\
             User-Agent: GStreamer souphttpclientsink \r\nConnection: Keep-Alive\r\n"),
        publishes(Kind::Ts, Body::length(1316), false, true)
    );
    // ffmpeg icecast:// sends no length at all.
    is_refused(
        "PUT /live.mp3 HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\nAccept: */*\r\nExpect: 100-continue\r\n\
         Connection: close\r\nHost: 127.0.0.1:8080\r\nContent-Type: audio/mpeg\r\nIcy-MetaData: 1\r\n\
         Ice-Public: 0\r\nAuthorization: Basic c291cmNlOnB3\r\n",
        Refusal::LengthRequired,
    );
    is_refused("SOURCE /live HTTP/1.1\r\nHost: h\r\n", Refusal::Method);
}

#[test]
fn players_as_they_are() {
    for head in [
        // ffplay, VLC, GStreamer souphttpsrc, mpv, curl, wget 1.0.
        "GET /live/a.ts HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\nAccept: */*\r\nRange: bytes=0-\r\n\
         Connection: close\r\nHost: 10.0.0.1:8080\r\nIcy-MetaData: 1\r\n",
        "GET /live/a.ts HTTP/1.1\r\nHost: cam.local:8080\r\nAccept: */*\r\nAccept-Language: en_US\r\n\
         User-Agent: VLC/3.0.18 LibVLC/3.0.18\r\nRange: bytes=0-\r\n",
        "GET /live/a HTTP/1.1\r\nHost: cam\r\nicy-metadata: 1\r\nConnection: Keep-Alive\r\n\
         accept-encoding: identity\r\nUser-Agent: GStreamer souphttpsrc 1.22.0 libsoup/3.2.2\r\n",
        "GET /live/a.ts HTTP/1.1\r\nHost: h\r\nRange: bytes=1000-2000\r\n",
        "GET /live/a HTTP/1.0\r\n",
        "\r\nGET http://127.0.0.1:8080/live/a.ts?_=17&t=3 HTTP/1.1\r\nHost: other\r\n",
        // A page of another origin plays the stream.
        "GET /live/a.ts HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\n\
         Origin: https://elsewhere.example\r\nSec-Fetch-Mode: cors\r\nReferer: https://elsewhere.example/\r\n",
    ] {
        let container = head.contains("a.ts").then_some(Container::Ts);
        assert_eq!(ask(head), subscribes(container, false), "{head}");
    }
    for (path, container) in [("a.ts", Container::Ts), ("a.flv", Container::Flv)] {
        let head = format!("HEAD /live/{path} HTTP/1.1\r\nHost: h\r\n");
        assert_eq!(ask(&head), subscribes(Some(container), true));
    }
}

#[test]
fn pages_and_preflights() {
    for (path, page) in [
        ("/", Page::Root),
        ("/healthz", Page::Healthz),
        ("/metrics", Page::Metrics),
        ("/api/streams?pretty", Page::Streams),
        ("/api/streams?subscribers", Page::Subscribers),
        ("/api/streams?pretty&subscribers=1", Page::Subscribers),
        ("/api/streams?subscribers_not", Page::Streams),
        ("/api/streams/live/a?pretty", Page::Stream(Name::parse("live/a").unwrap())),
        ("/api/turns", Page::Turns),
    ] {
        for (method, head_only) in [("GET", false), ("HEAD", true)] {
            assert_eq!(
                ask(&format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n")),
                HttpAsk::Page { page: page.clone(), head_only, keep_alive: true }
            );
        }
    }
    // A body that nobody reads ends the connection: it may look like a request.
    for field in ["Content-Length: 3", "Transfer-Encoding: chunked", "Connection: foo, Close"] {
        assert_eq!(
            ask(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{field}\r\n")),
            HttpAsk::Page { page: Page::Healthz, head_only: false, keep_alive: false },
        );
    }
    for path in
        ["/api/", "/api/x", "/api/streams/", "/api/streams/a..b/..", "/watch/", "/watch/a/.."]
    {
        is_refused(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n"), Refusal::NotFound);
    }
    for (target, media) in
        [("/live/a.ts", true), ("*", false), ("/metrics", false), ("/api/x", false)]
    {
        assert_eq!(
            ask(&format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\n")),
            HttpAsk::Preflight { media, keep_alive: true }
        );
    }
}

#[test]
fn websockets() {
    let HttpAsk::Subscribe { ask: keys, websocket, .. } = ask(WEBSOCKET) else {
        panic!("no subscriber");
    };
    assert_eq!(websocket.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(keys.join, Some(Join::Live));
    for (from, to, why) in [
        ("Version: 13", "Version: 8", Refusal::WebSocketVersion),
        ("keep-alive, Upgrade", "keep-alive", Refusal::BadRequest),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", Refusal::BadRequest),
        ("Sec-WebSocket-Key", "X", Refusal::BadRequest),
        ("Origin: http://127.0.0.1:8080", "Origin: http://evil.example", Refusal::Origin),
        ("Origin: http://127.0.0.1:8080", "Origin: null", Refusal::Origin),
        ("Host: 127.0.0.1:8080", "Host: rebound.example:8080", Refusal::Host),
        ("/live/a", "/api/x", Refusal::NotFound),
    ] {
        let head = WEBSOCKET.replace(from, to);
        assert_ne!(head, WEBSOCKET);
        is_refused(&head, why);
    }
    // HTTP/1.0 can't upgrade.
    let HttpAsk::Subscribe { websocket: None, .. } =
        ask(&WEBSOCKET.replace("HTTP/1.1", "HTTP/1.0"))
    else {
        panic!("upgraded");
    };
}

#[test]
fn media_types_suffixes_and_framings() {
    let put = |target: &str, fields: &str| {
        ask(&format!(
            "PUT {target} HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 9\r\n{fields}"
        ))
    };
    for (target, fields, expected) in [
        ("/live/a", "", Kind::Auto),
        ("/live/a.ts", "", Kind::Ts),
        ("/live/a", "Content-Type: Video/MP2T; charset=x\r\n", Kind::Ts),
        ("/live/a.flv", "", Kind::Flv),
        ("/live/a", "Content-Type: video/x-flv\r\n", Kind::Flv),
        ("/live/a.flv", "Content-Type: video/mp2t\r\n", Kind::Flv),
        ("/live/a", "Content-Type: application/octet-stream\r\n", Kind::Auto),
        ("/live/a.ts?framing=raw", "", Kind::Raw),
        ("/live/a?framing=lines", "Content-Type: video/mp2t\r\n", Kind::Lines),
        ("/live/a", "Content-Encoding: identity\r\nIce-Name: x\r\n", Kind::Auto),
    ] {
        let HttpAsk::Publish { kind, .. } = put(target, fields) else {
            panic!("{target} {fields}");
        };
        assert_eq!(kind, expected, "{target} {fields}");
    }
    let packed = put("/live/a", "Content-Encoding: gzip\r\n");
    assert!(matches!(packed, HttpAsk::Refused { why: Refusal::MediaType, .. }));
}

#[test]
fn queries() {
    let get = |query: &str| ask(&format!("GET /a?{query} HTTP/1.1\r\nHost: h\r\n"));
    let HttpAsk::Subscribe { ask: keys, .. } =
        get("max-lag=200ms&policy=cl%6Fse&&wait=10s&%6aoin=last-key&coalesce=2ms&_&t=1")
    else {
        panic!("refused");
    };
    assert_eq!(
        keys,
        Ask {
            max_lag: Some(Duration::from_millis(200)),
            policy: Some(Policy::Close),
            wait: Some(Duration::from_secs(10)),
            join: Some(Join::LastKey),
            coalesce: Some(Duration::from_millis(2)),
            ..Ask::default()
        }
    );
    let too_long = format!("wait={}s", WAIT_MAX.as_secs() + 1);
    for (query, key) in [
        ("policy=wait", "policy"),
        ("framing=ts", "framing"),
        ("window=1s", "window"),
        ("timeout=1s", "timeout"),
        ("window_bytes=1M", "window_bytes"),
        ("nodelay=on", "nodelay"),
        ("maxlag=1s", "maxlag"),
        ("join", "join"),
        ("join=soon", "join"),
        ("max_lag=%zz", "%"),
        ("join=%ff", "UTF-8"),
        (&too_long, "wait"),
    ] {
        let HttpAsk::Refused { why, text } = get(query) else {
            panic!("{query}");
        };
        assert!(why == Refusal::BadOption && text.contains(key), "{query}: {text}");
    }
    let put = |query: &str| {
        ask(&format!("PUT /a?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"))
    };
    assert!(matches!(
        put(
            "framing=lines&join=live&max_lag=1s&policy=skip&window=3s&window_bytes=1M&timeout=2s&wait=1s&coalesce=1ms"
        ),
        HttpAsk::Publish { .. }
    ));
    for query in ["policy=wait", "framing=datagram", "framing=mp4", "rcvbuf=4M"] {
        assert!(matches!(put(query), HttpAsk::Refused { why: Refusal::BadOption, .. }), "{query}");
    }
}

#[test]
fn one_request_after_the_other() {
    let mut http = Http::new(NOW);
    let head = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    let twice = [&head[..], head].concat();
    let (taken, first) = http.handle_bytes(&twice, &rules(), NOW);
    assert_eq!(taken, head.len());
    assert_eq!(http.poll_timeout(), Instant::from_nanos(u64::MAX));
    assert_eq!(http.handle_bytes(&twice[taken..], &rules(), NOW), (0, None));
    http.next_request(NOW);
    let (taken, second) = http.handle_bytes(&twice[taken..], &rules(), NOW);
    assert_eq!((taken, second), (head.len(), first));
}
