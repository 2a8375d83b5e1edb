//! What goes wrong around `lightmeter`: nobody reads its output, disks are
//! full, servers answer with anything.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::peer;
use super::ping::{ctrl_c, wait_until_it_blocks_signals};
use super::{code, lightmeter, object, run, text, told};

#[test]
fn nobody_reads_any_more() {
    let (address, _seen) = peer::echo();
    for words in [
        format!("ping udp {address} -i 2ms"),
        format!("ping {address} -c 20 -i 2ms"),
        format!("ping udp {address} -i 2ms --json-lines"),
        format!("ping udp {address} -c 20 -i 2ms --json"),
        "ping --help".to_owned(),
        "doctor".to_owned(),
        "report --schema ping".to_owned(),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = lightmeter(&words).stdout(writer).output().unwrap();
        // By itself: no panic, and no signal.
        assert_eq!((code(&output), told(&output)), (1, String::new()), "{words}");
    }
}

#[test]
fn ctrl_c_cuts_no_examination_short() {
    let child = lightmeter("doctor --json").spawn().unwrap();
    wait_until_it_blocks_signals(&child);
    let output = ctrl_c(child);
    let doc = object("doctor", &output);
    assert!(doc["error"].is_null() && code(&output) < 2, "{doc}");
}

#[test]
fn a_run_that_can_not_be_saved_is_told_at_once() {
    for (path, part) in [("/nonexistent/run", "No such file"), ("/", "Is a directory")] {
        // Until Ctrl-C, if it were not told.
        let output = run(&format!("ping udp 127.0.0.1:9 --json --save {path}"));
        let doc = object("ping", &output);
        assert_eq!((code(&output), &doc["error"]["kind"]), (2, &"save".into()));
        let message = doc["error"]["message"].as_str().unwrap();
        assert!(message.contains(path) && message.contains(part), "{message}");
    }
}

#[test]
fn a_full_disk_costs_the_file_and_not_the_summary() {
    let (address, _seen) = peer::echo();
    let output = run(&format!("ping udp {address} -c 20 -i 2ms -q --save /dev/full"));
    assert_eq!(code(&output), 1);
    assert!(text(&output).contains("half of the replies"), "{}", text(&output));
    assert!(told(&output).contains("--save /dev/full: No space left"), "{}", told(&output));
}

#[test]
fn a_flood_of_replies_changes_no_count() {
    let address = peer::udp(|_, probe| {
        let mut forged = probe.to_vec();
        forged[0] ^= 1;
        let mut flood = vec![forged; 20];
        flood.push(probe.to_vec());
        flood.extend(vec![probe.to_vec(); 20]);
        flood
    });
    let output = run(&format!("ping udp {address} -c 50 -i 5ms --json"));
    let doc = object("ping", &output);
    let series = &doc["series"][0];
    let count = |key: &str| series[key].as_u64().unwrap();
    assert_eq!((count("sent"), count("scheduled")), (50, 50), "{series}");
    assert_eq!(count("received") + count("late") + count("lost"), 50, "{series}");
    assert!(count("forged") > 100 && count("duplicates") > 100, "{series}");
}

#[test]
fn whatever_is_asked_for() {
    let (address, _seen) = peer::echo();
    for words in [
        "-c 18446744073709551615 -i 1ms",
        "-i 5000000h -c 4294967295",
        "-i 5124095h",
        "-W 5124095h -c 1",
        "-c 2 -i 1ms --warm-up 18446744073709551615",
        "--warm-up 0 -c 1",
        "-s 65507 -c 3 -i 10ms",
        "-s 16 -c 100 -i 10us --pace spin",
        "-c 3 -i 1ms --pace hybrid --timestamp user --cpu 0",
    ] {
        for kind in ["", "udp", "echo", "tcp", "icmp", "system"] {
            let output = run(&format!("ping {kind} {address} {words} -w 200ms --json"));
            let doc = object("ping", &output);
            assert!((0..=3).contains(&code(&output)), "{kind} {words}: {doc}");
            assert_eq!(told(&output), "", "{kind} {words}");
        }
    }
}

/// As many as were asked for, where a deadline leaves no time to warm up.
#[test]
fn one_probe_within_one_interval() {
    let (address, _seen) = peer::echo();
    let output = run(&format!("ping udp {address} -c 1 -w 1"));
    assert_eq!(code(&output), 0, "{}", text(&output));
    let output = run(&format!("ping udp {address} -c 9 --warm-up 9 -i 100ms -w 150ms"));
    assert_eq!(code(&output), 1);
    assert!(text(&output).contains("ended while warming up"), "{}", text(&output));
}

#[track_caller]
fn stream(path: &str, server: fn(TcpStream)) -> String {
    let address = peer::server(server);
    let url = format!("http://{address}{path}");
    let output = run(&format!("ping stream {url} --seconds 300ms --json"));
    let doc = object("stream", &output);
    assert!(code(&output) < 2, "{doc}");
    doc["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_server_that_speaks_no_http_is_no_stream() {
    let message = stream("/live", |stream| peer::answer(stream, b"220 mail.example ESMTP\r\n"));
    assert!(message.contains("HTTP"), "{message}");
    let message = stream("/live", |stream| peer::answer(stream, &[0; 100_000]));
    assert!(!message.is_empty());
    let message = stream("/live", |mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X: more\r\n").is_ok() {}
    });
    assert!(message.contains("head"), "{message}");
    let message = stream("/live", |stream| {
        peer::answer(stream, b"HTTP/1.1 404 no\r\nContent-Length: 4\r\n\r\n\x1b[2J")
    });
    assert!(message.contains("404") && !message.contains('\x1b'), "{message}");
    let message = stream("/live", |stream| {
        peer::answer(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n")
    });
    assert!(message.contains("chunked"), "{message}");
    let message = stream("/live", |stream| {
        peer::answer(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx")
    });
    assert!(!message.is_empty());
    let message = stream("/live", |stream| peer::answer(stream, b""));
    assert!(message.contains("closed without an answer"), "{message}");
}
