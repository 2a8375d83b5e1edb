//! The flight recorder: what a server did last, as a trace, over HTTP and at a
//! signal.

use crate::server::Server;
use crate::wire::{self, eventually};
use serde_json::Value;
use std::path::Path;

/// The events of a trace, each an object with a name and a phase letter.
fn events(trace: &str) -> Vec<Value> {
    let trace: Value = serde_json::from_str(trace).expect("it is JSON");
    let events = trace["traceEvents"].as_array().expect("a list").clone();
    for event in &events {
        assert!(event["name"].is_string() && event["ph"].is_string(), "{event}");
    }
    events
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["name"] == name).collect()
}

/// A server that has relayed a line to a subscriber.
fn busy() -> Server {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&framing=lines",
        "tcp://127.0.0.1:0?subscribe=cam",
    ]);
    let mut viewer = wire::connect(server.at(1));
    eventually("it is accepted", || server.connections() == 1);
    let mut line = [b'x'; 3000];
    line[2999] = b'\n';
    let publisher = wire::sent(server.at(0), &line);
    assert_eq!(wire::read_exactly(&mut viewer, 3000), line);
    drop((viewer, publisher));
    eventually("they are gone", || server.connections() == 0);
    server
}

#[test]
fn the_last_turns_are_a_trace() {
    let server = busy();
    let events = events(&server.page("/api/turns"));
    let bytes = |key: &str| -> u64 {
        named(&events, "turn").iter().map(|turn| turn["args"][key].as_u64().expect("a count")).sum()
    };
    assert_eq!((bytes("received_bytes"), bytes("sent_bytes")), (3000, 3000));
    for phase in ["accepts", "tcp_ingest", "fanout", "control"] {
        let slices = named(&events, phase);
        assert!(!slices.is_empty(), "no {phase}");
        for slice in slices {
            let turns = named(&events, "turn");
            let start = |event: &Value| event["ts"].as_f64().expect("a time");
            let end = |event: &Value| start(event) + event["dur"].as_f64().expect("a span");
            let lies_in = |turn: &&&Value| {
                turn["tid"] == slice["tid"]
                    && start(turn) <= start(slice)
                    && end(slice) <= end(turn) + 0.01
            };
            assert_eq!(turns.iter().filter(lies_in).count(), 1, "{slice}");
        }
    }
}

#[test]
fn sigusr1_writes_the_last_turns_to_a_file() {
    let server = busy();
    server.signal("USR1");
    server.wait_for_log("the last turns: ");
    let log = server.log();
    let (_, rest) = log.split_once("the last turns: ").expect("just seen");
    let path = Path::new(rest.split(' ').next().expect("a path"));
    let trace = std::fs::read_to_string(path).expect("it is written");
    std::fs::remove_file(path).expect("ours");
    assert!(!named(&events(&trace), "fanout").is_empty(), "{trace}");
    // The server goes on.
    assert_eq!(server.page("/healthz").trim(), "ok");
}
