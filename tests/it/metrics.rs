//! What the server counts, against what a test has done.

use crate::server::Server;
use crate::wire::{self, eventually};
use serde_json::Value;
use std::io::Write;
use std::time::Duration;

const LINE: &[u8; 8] = b"a frame\n";

/// The sum of a metric's samples that have all these labels.
fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let of = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, list) = series.split_once('{').unwrap_or((series, ""));
        let list = list.trim_end_matches('}');
        let has_all = labels.iter().all(|label| list.split(',').any(|pair| pair == label));
        (found == name && has_all).then(|| value.parse::<f64>().expect("a number"))
    };
    page.lines().filter_map(of).sum()
}

fn api(server: &Server, path: &str) -> Value {
    serde_json::from_str(&server.page(path)).expect("it is JSON")
}

#[test]
fn bytes_are_counted_for_stream_listener_and_subscriber_alike() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&framing=lines",
        "tcp://127.0.0.1:0?subscribe=cam",
        "udp://127.0.0.1:0?subscribe=cam&handshake=off",
    ]);
    let mut publisher = wire::sent(server.at(0), LINE);
    server.wait_for_stream("cam", true);
    let mut viewer = wire::connect(server.at(1));
    let member = wire::udp();
    member.send_to(&[0; 16], server.at(2)).expect("it is loopback");
    server.wait_for_subscribers("cam", 1);
    server.wait_for_log("joins cam over UDP");
    // The first begins the UDP member.
    for _ in 0..100 {
        publisher.write_all(LINE).expect("it is read");
        assert_eq!(wire::read_exactly(&mut viewer, LINE.len()), LINE);
    }
    let bytes = 101.0 * LINE.len() as f64;
    let listener = |n: usize, scheme: &str| format!("{scheme}://{}", server.at(n));
    let stream = [("stream", "cam")];
    eventually("all is sent", || {
        let page = server.page("/metrics");
        sum(&page, "nearlight_stream_datagrams_sent_total", &stream) >= 99.0
    });
    let page = server.page("/metrics");
    let of = |name: &str| sum(&page, &format!("nearlight_{name}"), &stream);
    assert_eq!(of("stream_received_bytes_total"), bytes);
    assert_eq!(of("stream_frames_total"), 101.0);
    let sent = of("stream_sent_bytes_total");
    assert_eq!(sent, bytes - 8.0, "what came before it is not for it");
    let datagrams = of("stream_datagrams_sent_bytes_total");
    let payload = LINE.len() as f64 - 1.0;
    assert_eq!(datagrams, payload * of("stream_datagrams_sent_total"), "no newline is sent");
    assert_eq!(of("stream_datagrams_dropped_total") + of("stream_skips_total"), 0.0);
    for (n, scheme, name, wanted) in [
        (0, "tcp", "received_bytes_total", bytes),
        (0, "tcp", "accepted_total", 1.0),
        (1, "tcp", "sent_bytes_total", sent),
        (1, "tcp", "connections", 1.0),
        (2, "udp", "sent_bytes_total", datagrams),
    ] {
        let label = listener(n, scheme);
        let found = sum(&page, &format!("nearlight_listener_{name}"), &[("listener", &label)]);
        assert_eq!(found, wanted, "{name} of {label}");
    }
    for (transport, count) in [("tcp", 1.0), ("udp", 1.0), ("http", 0.0), ("websocket", 0.0)] {
        let labels = [("stream", "cam"), ("transport", transport)];
        assert_eq!(sum(&page, "nearlight_subscribers", &labels), count, "{transport}");
    }
    let told = api(&server, "/api/streams?subscribers");
    let list = told[0]["subscriber_list"].as_array().expect("a list");
    let one = |over: &str| list.iter().find(|one| one["transport"] == over).expect("it is there");
    assert_eq!(told[0]["sent_bytes"], 800);
    assert_eq!(one("tcp")["sent_bytes"], 800);
    let rtt = one("tcp")["rtt_ns"].as_u64().expect("bytes were acknowledged");
    assert!((1_000..1_000_000_000).contains(&rtt), "{rtt} ns on loopback");
    assert_eq!(one("udp")["rtt_ns"], Value::Null);
    let publisher = &told[0]["publisher"];
    assert_eq!(publisher["transport"], "tcp");
    let age = publisher["age_ns"].as_u64().expect("always");
    assert!(one("tcp")["age_ns"].as_u64().expect("always") < age, "{told}");
    assert!(api(&server, "/api/streams")[0].get("subscriber_list").is_none());
}

#[test]
fn a_subscriber_that_does_not_read_has_lag_and_skips() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&framing=lines",
        "tcp://127.0.0.1:0?subscribe=cam&max_lag=200ms&sndbuf=8K",
    ]);
    let mut publisher = wire::sent(server.at(0), LINE);
    server.wait_for_stream("cam", true);
    let _silent = wire::connect_small(server.at(1), Some(4096));
    server.wait_for_subscribers("cam", 1);
    let line = [&[b'x'; 9_999][..], b"\n"].concat();
    let count = |name: &str| sum(&server.page("/metrics"), name, &[("stream", "cam")]);
    eventually("it is behind", || {
        publisher.write_all(&line).expect("it is read");
        count("nearlight_worst_lag_seconds") > 0.05
    });
    assert_eq!(count("nearlight_subscribers_behind"), 1.0);
    eventually("it skips", || {
        publisher.write_all(&line).expect("it is read");
        count("nearlight_stream_skips_total") >= 1.0
    });
    assert_eq!(count("nearlight_stream_skips_total"), server.metric("skips_total") as f64);
    let told = api(&server, "/api/streams/cam");
    let one = &told["subscriber_list"][0];
    assert_eq!(one["state"], "skipping", "{told}");
    assert!(one["lag_ns"].as_u64() > Some(100_000_000) || one["lag_ns"] == 0, "{told}");
}

#[test]
fn what_was_jumped_over_is_counted_when_the_subscriber_goes_on() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&framing=lines",
        "tcp://127.0.0.1:0?subscribe=cam&max_lag=100ms&sndbuf=8K",
    ]);
    let mut publisher = wire::sent(server.at(0), LINE);
    server.wait_for_stream("cam", true);
    let mut slow = wire::connect_small(server.at(1), Some(4096));
    server.wait_for_subscribers("cam", 1);
    let line = [&[b'x'; 9_999][..], b"\n"].concat();
    eventually("it skips", || {
        publisher.write_all(&line).expect("it is read");
        server.metric("skips_total") >= 1
    });
    let mut space = vec![0; 64 << 10];
    slow.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
    let all = || api(&server, "/api/streams/cam");
    eventually("it goes on", || {
        publisher.write_all(&line).expect("it is read");
        let _some = std::io::Read::read(&mut slow, &mut space);
        all()["subscriber_list"][0]["skips"].as_u64() >= Some(1)
    });
    let told = all();
    let one = &told["subscriber_list"][0];
    assert!(one["skipped_bytes"].as_u64() >= Some(10_000), "{told}");
    for key in ["skipped_bytes", "skipped_ns"] {
        assert_eq!(one[key], told[key], "one subscriber is all: {told}");
    }
    let page = server.page("/metrics");
    assert!(sum(&page, "nearlight_stream_skipped_seconds_total", &[]) > 0.0);
}

#[test]
fn a_stream_that_ends_takes_its_metrics_with_it_and_the_process_keeps_its_own() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam&framing=lines"]);
    let publisher = wire::sent(server.at(0), LINE);
    server.wait_for_stream("cam", true);
    assert!(server.page("/metrics").contains("{stream=\"cam\""));
    drop(publisher);
    server.wait_for_stream("cam", false);
    let page = server.page("/metrics");
    assert!(!page.contains("stream=\"cam\""), "{page}");
    assert_eq!(sum(&page, "nearlight_received_bytes_total", &[]), 8.0);
    let label = format!("tcp://{}", server.at(0));
    let of = |name: &str| sum(&page, name, &[("listener", &label)]);
    assert_eq!(of("nearlight_listener_received_bytes_total"), 8.0);
    assert_eq!(of("nearlight_listener_connections"), 0.0);
    // The turns that did it took time, and the process is there.
    assert!(sum(&page, "nearlight_turn_seconds_count", &[]) >= 3.0);
    let busy = sum(&page, "nearlight_busy_seconds_total", &[]);
    let cpu = sum(&page, "process_cpu_seconds_total", &[]);
    assert!(0.0 < busy && busy < 60.0 && cpu > 0.0, "{busy} s busy, {cpu} s of cpu");
    assert!(sum(&page, "process_open_fds", &[]) > 5.0);
    let up = sum(&page, "nearlight_shard_up", &[]);
    assert_eq!(up, page.matches("nearlight_shard_up{").count() as f64);
}
