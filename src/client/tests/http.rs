//! HTTP and WebSocket against a server that answers as told.

use super::*;
use crate::protocol::http::accept;

/// Reads up to and with `end`.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more of the request");
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).expect("text")
}

fn read_head(stream: &mut TcpStream) -> String {
    read_until(stream, b"\r\n\r\n")
}

/// Reads a chunked body, knowing only that a size line comes before each chunk.
fn read_chunks(stream: &mut TcpStream) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    loop {
        let line = read_until(stream, b"\r\n");
        let size = usize::from_str_radix(line.trim(), 16).expect("hexadecimal");
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).expect("the chunk");
        assert_eq!(chunk.split_off(size), b"\r\n");
        if size == 0 {
            return chunks;
        }
        chunks.push(chunk);
    }
}

#[test]
fn http_publisher_sends_chunks_after_leave() {
    let (addr, server) = server(|mut stream| {
        let head = read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").expect("open");
        let chunks = read_chunks(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("open");
        (head, chunks)
    });
    let target = target(Scheme::Http, addr, "/live/cam.ts?framing=ts");
    let mut publisher =
        Publisher::open(&target, &ClientOptions::default(), &NEVER).expect("granted");
    let large = vec![0x47; 100_000];
    for frame in [&b"one"[..], b"", b"two", &large] {
        publisher.send(frame, &NEVER).expect("taken");
    }
    publisher.finish().expect("confirmed");
    let (head, chunks) = server.join().expect("served");
    assert!(head.starts_with("PUT /live/cam.ts?framing=ts HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nHost: {addr}\r\n")), "{head}");
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(chunks, [b"one".to_vec(), b"two".to_vec(), large]);
}

#[test]
fn interim_responses_without_end_are_given_up() {
    let (addr, server) = server(|mut stream| {
        read_head(&mut stream);
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
        while stream.write_all(&interim).is_ok() {}
    });
    let target = target(Scheme::Http, addr, "/live");
    let opened = Subscriber::open(&target, &ClientOptions::default(), &NEVER);
    let error = opened.err().expect("no answer").to_string();
    assert!(error.contains("no end of interim responses"), "{error}");
    server.join().expect("it noticed");
}

#[test]
fn http_publisher_says_why_it_was_refused() {
    let (addr, server) = server(|mut stream| {
        read_head(&mut stream);
        let no =
            "HTTP/1.1 409 Conflict\r\nContent-Length: 26\r\n\r\n\x1b[1mlive has a publisher\nx";
        stream.write_all(no.as_bytes()).expect("open");
    });
    let target = target(Scheme::Http, addr, "/live");
    let opened = Publisher::open(&target, &ClientOptions::default(), &NEVER);
    let error = opened.err().expect("refused");
    assert!(matches!(error, ClientError::Refused { status: 409, .. }));
    let text = error.to_string();
    assert!(text.contains("409 Conflict: [1mlive has a publisher"), "{text}");
    assert!(text.contains("has a publisher already"), "{text}");
    server.join().expect("served");
}

#[test]
fn http_publisher_hears_a_late_leave_and_a_late_refusal() {
    let (addr, server) = server(|mut stream| {
        read_head(&mut stream);
        // No leave until the first chunk has come regardless.
        assert_eq!(read_until(&mut stream, b"\r\n"), "5\r\n");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").expect("open");
        let mut taken = 0;
        let mut buffer = vec![0; 65_536];
        while taken < 1_000_000 {
            taken += stream.read(&mut buffer).expect("the stream goes on");
        }
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\ngoing down").expect("open");
    });
    let target = target(Scheme::Http, addr, "/live");
    let mut publisher =
        Publisher::open(&target, &ClientOptions::default(), &NEVER).expect("no leave");
    let start = Clock::now();
    let mut piece = &b"hello"[..];
    let error = loop {
        assert!(Clock::now().since(start) < PATIENCE);
        if let Err(error) = publisher.send(piece, &NEVER) {
            break error;
        }
        piece = &[7; 10_000];
    };
    assert!(error.to_string().contains("503 Service Unavailable: going down"), "{error}");
    server.join().expect("served");
}

#[test]
fn http_subscriber_takes_every_kind_of_body() {
    let payload: Vec<u8> = (0..200_000u32).map(|n| (n * 7) as u8).collect();
    let chunked = payload.chunks(7777).fold(Vec::new(), |mut body, chunk| {
        body.extend_from_slice(format!("{:X};x=y\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
        body
    });
    let length = format!("Content-Length: {}\r\n", payload.len());
    for (fields, body) in [
        ("", payload.clone()),
        (length.as_str(), payload.clone()),
        ("Transfer-Encoding: chunked\r\n", [&chunked[..], b"0\r\n\r\n"].concat()),
    ] {
        let answer = [b"HTTP/1.1 200 OK\r\n", fields.as_bytes(), b"\r\n", &body].concat();
        let (addr, server) = server(move |mut stream| {
            let head = read_head(&mut stream);
            // The first byte alone: the head arrives in two pieces.
            let (first, rest) = answer.split_at(1);
            stream.write_all(first).expect("open");
            stream.write_all(rest).expect("open");
            head
        });
        let target = target(Scheme::Http, addr, "/live?join=live");
        let opened = Subscriber::open(&target, &ClientOptions::default(), &NEVER);
        let mut subscriber = opened.expect("granted");
        assert!(all(&mut subscriber).expect("whole") == payload, "{fields}");
        let head = server.join().expect("served");
        assert!(head.starts_with("GET /live?join=live HTTP/1.1\r\n"), "{head}");
    }
    // The same, cut off.
    let (addr, server) = server(move |mut stream| {
        read_head(&mut stream);
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(&[head, &chunked[..20_000]].concat()).expect("open");
    });
    let target = target(Scheme::Http, addr, "/live");
    let opened = Subscriber::open(&target, &ClientOptions::default(), &NEVER);
    let error = all(&mut opened.expect("granted")).expect_err("cut off");
    assert!(error.to_string().contains("middle of the body"), "{error}");
    server.join().expect("served");
}

#[test]
fn http_subscriber_says_why_it_was_refused() {
    let (addr, server) = server(|mut stream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\nno stream 'x'\n").expect("open");
    });
    let opened =
        Subscriber::open(&target(Scheme::Http, addr, "/x"), &ClientOptions::default(), &NEVER);
    let text = opened.err().expect("refused").to_string();
    assert!(text.contains("404 Not Found: no stream 'x' (no such stream; add ?wait"), "{text}");
    server.join().expect("served");
}

#[test]
fn websocket_subscriber_gets_messages_and_answers_pings() {
    let (addr, server) = server(|mut stream| {
        let head = read_head(&mut stream);
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.expect("the field").trim().to_owned()
        };
        assert_eq!(field("Upgrade:"), "websocket");
        let accept = accept(&field("Sec-WebSocket-Key:"));
        let yes = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let frames = [b"\x82\x05first\x89\x02hi\x82\x7e\x01\x00", &[9; 256][..]].concat();
        stream.write_all(&[yes.as_bytes(), &frames].concat()).expect("open");
        // A pong, masked, of the ping's payload.
        let mut pong = [0; 8];
        stream.read_exact(&mut pong).expect("a pong");
        assert_eq!(pong[..2], [0x8a, 0x82]);
        assert_eq!([pong[6] ^ pong[2], pong[7] ^ pong[3]], *b"hi");
        stream.write_all(b"\x88\x02\x03\xe9").expect("open");
    });
    let target = target(Scheme::Ws, addr, "/live");
    let opened = Subscriber::open(&target, &ClientOptions::default(), &NEVER);
    let mut subscriber = opened.expect("granted");
    let mut messages = Vec::new();
    loop {
        match subscriber.receive().expect("well formed") {
            Event::Bytes(message) => messages.push(message.to_vec()),
            Event::Idle => {}
            Event::End => break,
        }
    }
    assert_eq!(messages, [b"first".to_vec(), vec![9; 256]]);
    server.join().expect("served");
}

#[test]
fn websocket_answer_must_fit_the_key() {
    let (addr, server) = server(|mut stream| {
        read_head(&mut stream);
        let wrong = b"HTTP/1.1 101 X\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
        stream.write_all(wrong).expect("open");
    });
    let opened =
        Subscriber::open(&target(Scheme::Ws, addr, "/x"), &ClientOptions::default(), &NEVER);
    assert!(opened.err().expect("refused").to_string().contains("our key"));
    server.join().expect("served");
}
