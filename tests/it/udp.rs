//! Ways out in datagrams: who asks with a token, who is trusted, who is
//! pushed to. What each gets starts with PAT and PMT.

use crate::film::{assert_joined, frames};
use crate::server::Server;
use crate::wire::{self, NEVER, eventually};
use nearlight::client::{ClientOptions, Event, Subscriber, Target};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

const PUBLISH: &str = "tcp://127.0.0.1:0?publish=cam";

/// Publishes frame by frame, each when the one before has come out, so that no
/// buffer of this machine overflows; `receive` gives a datagram.
fn show(server: &Server, mut receive: impl FnMut() -> Vec<u8>) {
    let film = frames(30);
    let mut publisher = wire::connect(server.at(0));
    let mut got = Vec::new();
    for frame in &film {
        publisher.write_all(frame).expect("it is read");
        while !got.ends_with(frame) {
            got.extend(receive());
        }
    }
    assert_joined(&got, &film.concat());
}

/// Asks to join, and answers what comes back first.
fn ask(socket: &UdpSocket, to: SocketAddr, request: &[u8]) -> Vec<u8> {
    socket.send_to(request, to).expect("sent");
    wire::datagram(socket)
}

#[test]
fn a_subscriber_that_returns_its_token_gets_the_stream() {
    let server = Server::start(&[PUBLISH, "udp://127.0.0.1:0?subscribe=cam"]);
    let target: Target = format!("udp://{}", server.at(1)).parse().expect("a URL");
    let options = ClientOptions::default();
    let mut viewer = Subscriber::open(&target, &options, &NEVER).expect("a token");
    server.wait_for_log("joins cam over UDP");
    show(&server, || {
        let mut datagram = Vec::new();
        eventually("a datagram", || match viewer.receive().expect("unbroken") {
            Event::Bytes(bytes) => {
                datagram = bytes.to_vec();
                true
            }
            Event::Idle => false,
            Event::End => panic!("datagrams have no end"),
        });
        datagram
    });
}

#[test]
fn bye_with_the_token_leaves() {
    let listeners =
        ["tcp://127.0.0.1:0?publish=cam&framing=lines", "udp://127.0.0.1:0?subscribe=cam"];
    let server = Server::start(&listeners);
    let mut publisher = wire::sent(server.at(0), b"zero\n");
    eventually("it is received", || server.stream("cam", "received_bytes") == Some(5));
    let (leaver, stayer) = (wire::udp(), wire::udp());
    let token = ask(&leaver, server.at(1), &[b'?'; 16]);
    let own = ask(&stayer, server.at(1), &[b'?'; 16]);
    assert_ne!(token, own, "a token is bound to its address");
    leaver.send_to(&token, server.at(1)).expect("sent");
    stayer.send_to(&own, server.at(1)).expect("sent");
    let joins = || server.log().matches("joins cam over UDP").count();
    eventually("both join", || joins() == 2);
    publisher.write_all(b"one\n").expect("it is read");
    assert_eq!((wire::datagram(&leaver), wire::datagram(&stayer)), (b"one".into(), b"one".into()));
    leaver.send_to(&[b"bye", &own[..]].concat(), server.at(1)).expect("sent");
    eventually("that is not its token", || server.refused("bad_token") == 1);
    leaver.send_to(&[b"bye", &token[..]].concat(), server.at(1)).expect("sent");
    // It has left when it is asked to join once more, with a new token.
    let again = ask(&leaver, server.at(1), &[b'?'; 16]);
    assert_eq!(again.len(), 16);
    let sent = server.metric("datagrams_sent_total");
    publisher.write_all(b"two\n").expect("it is read");
    assert_eq!(wire::datagram(&stayer), b"two");
    assert_eq!(server.metric("datagrams_sent_total") - sent, 1, "to the one that stays");
}

#[test]
fn without_handshake_any_request_joins() {
    let server = Server::start(&[PUBLISH, "udp://127.0.0.1:0?subscribe=cam&handshake=off"]);
    let socket = wire::udp();
    socket.send_to(b"let me in, please", server.at(1)).expect("sent");
    server.wait_for_log("joins cam over UDP");
    show(&server, || wire::datagram(&socket));
}

#[test]
fn without_handshake_bye_leaves() {
    let off = "udp://127.0.0.1:0?subscribe=cam&handshake=off";
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam&framing=lines", off]);
    let mut publisher = wire::sent(server.at(0), b"zero\n");
    eventually("it is received", || server.stream("cam", "received_bytes") == Some(5));
    let (leaver, stayer) = (wire::udp(), wire::udp());
    for socket in [&leaver, &stayer] {
        socket.send_to(b"let me in, please", server.at(1)).expect("sent");
    }
    eventually("both join", || server.log().matches("joins cam over UDP").count() == 2);
    publisher.write_all(b"one\n").expect("it is read");
    assert_eq!((wire::datagram(&leaver), wire::datagram(&stayer)), (b"one".into(), b"one".into()));
    leaver.send_to(b"bye, and thank you", server.at(1)).expect("sent");
    // Who is heard after it proves that it was heard.
    let third = wire::udp();
    third.send_to(b"let me in, please", server.at(1)).expect("sent");
    eventually("a third", || server.log().matches("joins cam over UDP").count() == 3);
    let sent = server.metric("datagrams_sent_total");
    publisher.write_all(b"two\n").expect("it is read");
    assert_eq!((wire::datagram(&stayer), wire::datagram(&third)), (b"two".into(), b"two".into()));
    assert_eq!(server.metric("datagrams_sent_total") - sent, 2, "to those who stay");
}

#[test]
fn a_push_goes_to_an_address_that_never_asked() {
    let socket = wire::udp();
    let push = format!("udp://{}?stream=cam", socket.local_addr().expect("bound"));
    let server = Server::start_with(&[PUBLISH], &["-v", "--push", &push]);
    show(&server, || wire::datagram(&socket));
}

#[test]
fn a_push_goes_to_a_multicast_group() {
    let group = Ipv4Addr::new(239, 192, 7, 2);
    let socket = UdpSocket::bind((group, 0)).expect("a group's address");
    socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).expect("loopback");
    socket.set_read_timeout(Some(wire::PATIENCE)).expect("SO_RCVTIMEO");
    let port = socket.local_addr().expect("bound").port();
    let push = format!("udp://{group}:{port}?stream=cam&ttl=1&iface=127.0.0.1");
    let server = Server::start_with(&[PUBLISH], &["-v", "--push", &push]);
    show(&server, || wire::datagram(&socket));
}

#[test]
fn a_wrong_token_gets_a_token_and_no_stream_and_no_answer_is_longer_than_its_request() {
    let listeners =
        ["tcp://127.0.0.1:0?publish=cam&framing=lines", "udp://127.0.0.1:0?subscribe=cam"];
    let server = Server::start(&listeners);
    let mut publisher = wire::sent(server.at(0), b"zero\n");
    server.wait_for_stream("cam", true);
    let (spoofer, honest) = (wire::udp(), wire::udp());
    let stolen = ask(&honest, server.at(1), &[b'?'; 16]);
    // Too short: the first answer is to what comes after.
    for len in 0..16 {
        spoofer.send_to(&vec![b'?'; len], server.at(1)).expect("sent");
    }
    for len in [16, 17, 1000, 65_507] {
        let answer = ask(&spoofer, server.at(1), &vec![b'?'; len]);
        assert_eq!(answer.len(), 16, "to {len} bytes");
    }
    let random = wire::Random::new(5).bytes(16);
    for guess in [&stolen[..], &random, &[0; 16]] {
        let answer = ask(&spoofer, server.at(1), guess);
        assert!(answer.len() == 16 && answer != guess, "a token of its own, not the stream");
    }
    publisher.write_all(b"one\n").expect("it is read");
    eventually("the stream goes on", || server.stream("cam", "received_bytes") == Some(9));
    // What comes next is the answer to this, not the stream.
    let answer = ask(&spoofer, server.at(1), &[b'?'; 16]);
    assert_eq!(answer.len(), 16);
    assert_eq!(server.metric("datagrams_sent_total"), 0, "of any stream");
    assert!(!server.log().contains("joins cam"), "{}", server.log());
}

#[test]
fn a_datagram_from_another_source_is_dropped_and_counted() {
    let listeners = ["udp://127.0.0.1:0?publish=cam", "tcp://127.0.0.1:0?subscribe=cam"];
    let server = Server::start(&listeners);
    let mut viewer = wire::connect(server.at(1));
    eventually("a subscriber waits", || server.connections() == 1);
    let (owner, foreigner) = (wire::udp(), wire::udp());
    owner.send_to(b"mine ", server.at(0)).expect("sent");
    server.wait_for_stream("cam", true);
    foreigner.send_to(b"theirs ", server.at(0)).expect("sent");
    eventually("it is counted", || server.refused("foreign_source") == 1);
    server.wait_for_log("its datagrams are dropped until that one has been silent for 10s");
    owner.send_to(b"and mine", server.at(0)).expect("sent");
    assert_eq!(wire::read_exactly(&mut viewer, 13), b"mine and mine");
}
