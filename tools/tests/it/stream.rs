//! `lightmeter ping stream --json` and `lightmeter subscribe --json`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;

use serde_json::Value;

use super::peer;
use super::ping::{ctrl_c, wait_until_it_blocks_signals};
use super::{code, lightmeter, object, run, told};

/// Both commands, with their objects.
#[track_caller]
fn both(url: &str, wanted: i32, look: fn(&Value)) {
    for (command, name) in [("ping stream", "stream"), ("subscribe", "subscribe")] {
        let output = run(&format!("{command} {url} --seconds 500ms --json"));
        let doc = object(name, &output);
        assert_eq!(code(&output), wanted, "{command} {url}: {doc} {}", told(&output));
        look(&doc);
    }
}

/// A thousand pieces, then the end.
fn film(mut stream: std::net::TcpStream) {
    for _ in 0..1000 {
        if stream.write_all(&[7; 188]).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0; 16]);
}

#[test]
fn without_stamps() {
    let address = peer::server(film);
    both(&format!("tcp://{address}"), 0, |doc| {
        assert_eq!((doc["bytes"].as_u64(), doc["ended"].as_bool()), (Some(188_000), Some(true)));
        assert_eq!((&doc["latency"]["n"], &doc["latency"]["p50_ns"]), (&0.into(), &Value::Null));
    });
}

/// The picture of `publish --demo` through a relay, to one who does this.
fn published(subscriber: impl FnOnce(SocketAddr) + Send + 'static) {
    let (publish, subscribe) = peer::relay();
    let subscriber = thread::spawn(move || subscriber(subscribe));
    let published = run(&format!("publish tcp://{publish} --demo --seconds 1"));
    assert_eq!(code(&published), 0, "{}", told(&published));
    subscriber.join().unwrap();
}

#[test]
fn with_stamps() {
    for (command, name) in [("ping stream", "stream"), ("subscribe", "subscribe")] {
        published(move |address| {
            let output = run(&format!("{command} tcp://{address} --json"));
            let doc = object(name, &output);
            assert_eq!((code(&output), &doc["ended"]), (0, &true.into()), "{doc}");
            assert!(doc["latency"]["n"].as_u64() > Some(20), "{doc}");
            assert!(doc["latency"]["p50_ns"].as_u64() > Some(0), "{doc}");
        });
    }
}

#[test]
fn nothing_listens_or_nothing_comes() {
    let closed = peer::closed();
    for (scheme, path) in [("tcp", ""), ("udp", ""), ("http", "/live"), ("ws", "/live")] {
        both(&format!("{scheme}://{closed}{path}"), 1, |doc| {
            // Nobody says so where a datagram goes to.
            let is_udp = doc["url"].as_str().unwrap().starts_with("udp");
            assert!(is_udp || !doc["error"].is_null(), "{doc}");
            assert_eq!(doc["bytes"], 0);
        });
    }
    let silent = peer::server(|mut stream| drop(stream.read(&mut [0; 16])));
    both(&format!("tcp://{silent}"), 1, |doc| {
        assert!(doc["error"].is_null() && doc["bytes"] == 0, "{doc}");
    });
    both("http://no.such.host.invalid:80/live", 1, |doc| assert!(!doc["error"].is_null()));
}

#[test]
fn wrong_usage() {
    for words in ["", "nowhere", "tcp://127.0.0.1", "gopher://127.0.0.1:1", "tcp://127.0.0.1:1 x"] {
        both(words, 2, |doc| assert!(!doc["error"].is_null(), "{doc}"));
    }
}

#[test]
fn ctrl_c_in_the_middle() {
    for (command, name) in [("ping stream", "stream"), ("subscribe", "subscribe")] {
        let (address, flows) = peer::endless();
        let words = format!("{command} tcp://{address} --seconds 60 --json");
        let child = lightmeter(&words).spawn().unwrap();
        flows.recv_timeout(peer::SOON).unwrap();
        let output = ctrl_c(child);
        let doc = object(name, &output);
        assert_eq!((code(&output), &doc["ended"], &doc["error"]), (0, &false.into(), &Value::Null));
        assert!(doc["bytes"].as_u64() > Some(0), "{doc}");
    }
}

#[test]
fn ctrl_c_before_anything_answers() {
    let (address, _queued, _listener) = peer::full();
    for (command, name) in [("ping stream", "stream"), ("subscribe", "subscribe")] {
        let words = format!("{command} http://{address}/live --seconds 60 --json");
        let child = lightmeter(&words).spawn().unwrap();
        wait_until_it_blocks_signals(&child);
        let output = ctrl_c(child);
        let doc = object(name, &output);
        assert_eq!((code(&output), doc["bytes"].as_u64()), (1, Some(0)), "{doc}");
    }
}
