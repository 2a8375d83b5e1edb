//! STAMP, RFC 8762: a reflector that says when it had what it answers.

use crate::server::Server;
use crate::wire::{self, eventually};
use nearlight::client::ping::oneway::{Stamps, one_way};
use nearlight::client::ping::stamp::{Losses, Reflection, Sender, Split};
use nearlight::sys::clock::Clock;
use socket2::SockRef;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const STAMP: &str = "udp://127.0.0.1:0?stamp";
/// How long a server is made to stand still.
const STILL: Duration = Duration::from_millis(80);

/// Sends a probe.
fn ask(sender: &mut Sender, socket: &UdpSocket, to: SocketAddr) {
    let probe = sender.probe(Clock::stamp().as_nanos());
    socket.send_to(probe, to).expect("sent");
}

/// Receives the next reply.
fn hear(sender: &mut Sender, socket: &UdpSocket) -> Reflection {
    let packet = wire::datagram(socket);
    sender.read(&packet, Clock::stamp().as_nanos()).expect("the reply to a probe of ours")
}

#[test]
fn a_probe_is_answered_with_when_it_came_and_left_over_both_versions_of_ip() {
    let server = Server::start(&[STAMP, "udp://[::1]:0?stamp"]);
    let six = UdpSocket::bind("[::1]:0").expect("loopback");
    six.set_read_timeout(Some(wire::PATIENCE)).expect("SO_RCVTIMEO");
    for (socket, to) in [(wire::udp(), server.at(0)), (six, server.at(1))] {
        match to {
            SocketAddr::V4(_) => socket.set_ttl(37).expect("IP_TTL"),
            SocketAddr::V6(_) => {
                SockRef::from(&socket).set_unicast_hops_v6(37).expect("IPV6_UNICAST_HOPS")
            }
        }
        let mut sender = Sender::new(56);
        let mut stamps = Vec::new();
        for n in 0..50u32 {
            ask(&mut sender, &socket, to);
            let reply = hear(&mut sender, &socket);
            assert_eq!((reply.sequence, reply.number, reply.ttl), (n.into(), n, 37), "{to}");
            stamps.push(reply.stamps.expect("times"));
        }
        // All of one clock: each time is after the one before.
        for Stamps { t1, t2, t3, t4 } in &stamps {
            assert!(t1 <= t2 && t2 <= t3 && t3 <= t4, "{t1} {t2} {t3} {t4}");
        }
        let said = one_way(&stamps, Some(Duration::ZERO)).expect("one clock");
        assert_eq!((said.count, said.up.p50.expect("enough").within), (50, 1));
    }
    let sent = server.metric("datagrams_sent_total");
    assert_eq!((sent, server.metric("udp_ignored_total")), (100, 0));
}

/// What each thread of a server does, proc_pid_stat(5).
fn states(server: &Server) -> Vec<char> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    let stats = tasks.map(|task| fs::read_to_string(task.expect("a thread").path().join("stat")));
    // The name before it, in parentheses, may hold anything.
    let state = |stat: String| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    stats.map(|stat| stat.ok().and_then(state).expect("a state")).collect()
}

/// Whether a probe that waits while the server stands still has come when it
/// came, and not when the server went on, which it must have done otherwise.
fn came_in_time(server: &Server) -> bool {
    let (mut sender, socket) = (Sender::new(56), wire::udp());
    server.signal("STOP");
    eventually("all threads stand still", || states(server).iter().all(|state| *state == 'T'));
    ask(&mut sender, &socket, server.at(0));
    wire::measure_for(STILL);
    server.signal("CONT");
    let stamps = hear(&mut sender, &socket).stamps.expect("times");
    let still = STILL.as_nanos() as u64;
    let (before, behind) = (stamps.t2 - stamps.t1 >= still, stamps.t3 - stamps.t2 >= still);
    assert_ne!(before, behind, "{stamps:?}");
    behind
}

#[test]
fn it_came_when_the_kernel_had_it_not_when_the_server_woke_up() {
    let server = Server::start(&[STAMP]);
    // The kernel begins to stamp some time after it was asked to
    // (net_enable_timestamp); until then the time is that of the receive.
    eventually("a kernel's stamp", || came_in_time(&server));
    let server = Server::start(&["udp://127.0.0.1:0?stamp&timestamp=off"]);
    assert!((0..3).all(|_| !came_in_time(&server)));
}

#[test]
fn losses_there_are_told_from_losses_back() {
    let server = Server::start(&[STAMP]);
    let (mut sender, socket) = (Sender::new(44), wire::udp());
    let mut losses = Losses::default();
    for n in 0..60u32 {
        if n % 10 == 4 {
            sender.probe(Clock::stamp().as_nanos());
            continue;
        }
        ask(&mut sender, &socket, server.at(0));
        let reply = hear(&mut sender, &socket);
        if n % 20 != 7 {
            losses.reply(&reply);
        }
    }
    assert_eq!(losses.split(), Some(Split { up: 6, down: 3 }));
    // Another session of the same address is counted by itself.
    let mut other = Sender::new(44);
    ask(&mut other, &socket, server.at(0));
    assert_eq!(hear(&mut other, &socket).number, 0);
}

#[test]
fn a_reply_is_as_long_as_its_request_and_what_is_no_request_has_none() {
    let server = Server::start(&[STAMP]);
    let (mut sender, socket) = (Sender::new(65_507), wire::udp());
    let probe = sender.probe(Clock::stamp().as_nanos()).to_vec();
    for len in 0..41 {
        socket.send_to(&probe[..len], server.at(0)).expect("sent");
    }
    for len in [41, 44, 47, 48, 1400, 65_507] {
        socket.send_to(&probe[..len], server.at(0)).expect("sent");
        let reply = wire::datagram(&socket);
        assert_eq!(reply.len(), len, "the first answer is to the first long enough");
        // Another reflector's reply, as if it had asked.
        socket.send_to(&reply, server.at(0)).expect("sent");
    }
    eventually("all are counted", || server.metric("udp_ignored_total") == 41 + 6);
    assert_eq!(server.metric("datagrams_sent_total"), 6);
}

#[test]
fn of_extensions_padding_alone_is_understood() {
    let server = Server::start(&[STAMP]);
    let (mut sender, socket) = (Sender::new(44), wire::udp());
    let base = sender.probe(Clock::stamp().as_nanos()).to_vec();
    let reply_to = |tlvs: &[u8]| {
        socket.send_to(&[&base[..], tlvs].concat(), server.at(0)).expect("sent");
        wire::datagram(&socket)[44..].to_vec()
    };
    let (padding, class) = ([0x80, 1, 0, 2, 8, 9], [0x80, 4, 0, 4, 1, 2, 3, 4]);
    let back = reply_to(&[&padding[..], &class].concat());
    assert_eq!(back, [&[0, 1, 0, 2, 8, 9][..], &class].concat());
    assert_eq!(reply_to(&[0x80, 4, 0, 200, 1]), [0xc0, 4, 0, 200, 1], "and cut off");
}

#[test]
fn it_goes_on_answering_whatever_it_is_sent() {
    let server = Server::start(&[STAMP]);
    let (mut sender, socket) = (Sender::new(56), wire::udp());
    let mut random = wire::Random::new(12);
    for n in 0..500 {
        socket.send_to(&random.bytes(n % 200), server.at(0)).expect("sent");
    }
    // What was answered comes first; a probe may be lost behind so much else.
    let mut packet = [0; 2048];
    eventually("a reply to a probe", || {
        ask(&mut sender, &socket, server.at(0));
        let mut heard = || socket.recv(&mut packet).ok().map(|len| packet[..len].to_vec());
        heard().is_some_and(|packet| sender.read(&packet, Clock::stamp().as_nanos()).is_some())
    });
}
