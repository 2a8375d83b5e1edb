//! The `lightmeter` binary as scripts see it: exit codes, the JSON object, what
//! is said when something is missing.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Output};
use std::thread;

fn lightmeter(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
    command.args(words.split_whitespace());
    command
}

fn run(words: &str) -> Output {
    lightmeter(words).output().unwrap()
}

/// The object that is all of standard output.
fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// UDP and TCP echo on one port of loopback, until the test process ends.
fn echo() -> SocketAddr {
    // Whoever runs beside this may have the port over UDP.
    let both = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let address = listener.local_addr().ok()?;
        Some((listener, address, UdpSocket::bind(address).ok()?))
    };
    let (listener, address, socket) = (0..100).find_map(|_| both()).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..bytes], from).unwrap();
        }
    });
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut buffer = [0; 2048];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                stream.write_all(&buffer[..bytes]).unwrap();
            }
        }
    });
    address
}

#[test]
fn wrong_usage_is_2_and_says_what_there_is() {
    let unknown = run("sleep");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(error(&unknown).contains("there are ping, load, ab, sweep, report"));
    assert_eq!(run("").status.code(), Some(2));
    assert_eq!(run("ping").status.code(), Some(2));
    assert_eq!(run("publish nowhere --demo").status.code(), Some(2));
    assert_eq!(run("subscribe").status.code(), Some(2));
    for help in ["--help", "ping --help", "ab -h", "sweep -h", "publish --help", "subscribe --help"]
    {
        let output = run(help);
        assert_eq!(output.status.code(), Some(0), "{help}");
        assert!(output.stdout.starts_with(b"lightmeter"), "{help}");
    }
}

#[test]
fn one_kind_alone_as_json() {
    let address = echo();
    for kind in ["tcp", "udp"] {
        let output = run(&format!("ping {kind} {address} -c 20 -i 2ms --json"));
        assert_eq!(output.status.code(), Some(0), "{kind}");
        let object = object(&output);
        assert_eq!(object["schema"], "nearlight.lightmeter.ping/1");
        assert_eq!(object["kind"], kind);
        assert_eq!((object["sent"].as_u64(), object["lost"].as_u64()), (Some(20), Some(0)));
        assert!(object["rtt"]["p50_ns"].as_u64().unwrap() > 0);
        assert_eq!(object["rtt"]["p99_ns"], Value::Null, "20 are too few");
        assert_eq!(object["series"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn all_kinds_end_in_a_table_and_a_sentence() {
    let address = echo();
    let output = run(&format!("ping {address} -c 10 -i 5ms"));
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nkind "), "{text}");
    assert!(text.contains("\ntcp          10        10     0"), "{text}");
    assert!(text.contains("tcp echo "), "{text}");
    assert!(!text.contains('\x1b'), "no control sequences in a pipe");
}

#[test]
fn no_reply_is_1() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let output = run(&format!("ping tcp {closed} -c 3 -i 2ms --json"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(object(&output)["error"]["kind"], "refused");
}

#[test]
fn errors_are_objects_too() {
    for (words, kind) in [
        ("ping --json tcp [::1", "resolve"),
        ("ping sctp a b --json", "usage"),
        ("ping 8.8.8.8 -i 1ms --json", "usage"),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert_eq!(object(&output)["error"]["kind"], kind, "{words}");
        assert!(!error(&output).is_empty());
    }
}

#[test]
fn a_missing_ping_is_named_with_its_package() {
    let output =
        lightmeter("ping system 127.0.0.1 -c 1").env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("apt-get install iputils-ping"), "{text}");
}

#[test]
fn what_is_published_is_received_and_written() {
    // A server of one connection: what the publisher sends, a subscriber gets.
    let ingest = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let egress = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (from, to) = (ingest.local_addr().unwrap(), egress.local_addr().unwrap());
    let relay = thread::spawn(move || {
        let (mut subscriber, _) = egress.accept().unwrap();
        let (mut publisher, _) = ingest.accept().unwrap();
        std::io::copy(&mut publisher, &mut subscriber).unwrap();
    });
    let subscriber = thread::spawn(move || run(&format!("subscribe tcp://{to} --json")));
    let published = run(&format!("publish tcp://{from} --demo --seconds 1"));
    assert_eq!(published.status.code(), Some(0), "{}", error(&published));
    relay.join().unwrap();
    let received = subscriber.join().unwrap();
    assert_eq!(received.status.code(), Some(0));
    let object = object(&received);
    assert!(object["latency"]["n"].as_u64().unwrap() >= 20, "{object}");
    assert_eq!((object["lost"].as_u64(), &object["ended"]), (Some(0), &Value::Bool(true)));
}
