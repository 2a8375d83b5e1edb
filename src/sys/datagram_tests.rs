//! Datagrams on loopback: batches, GRO, losses, groups.
#![expect(unsafe_code, reason = "errors are polled for")]

use super::*;
use crate::limits::DATAGRAM_BYTES;
use crate::sys::clock::Clock;
use crate::sys::interfaces;
use crate::sys::socket::Reuse;
use crate::sys::sockopt;
use crate::sys::testing::{loopbacks, unblocked, wait_for};
use socket2::SockRef;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

fn udp(addr: SocketAddr) -> Udp {
    Udp::bind(addr, Reuse::No, |_| Ok(())).unwrap()
}

/// Waits for the next receive; answers its bytes too.
fn take(udp: &Udp, space: usize) -> (Received, Vec<u8>) {
    let mut bytes = vec![0; space];
    let got = unblocked("datagram", || udp.recv(&mut bytes));
    bytes.truncate(got.len);
    (got, bytes)
}

fn nothing_left(udp: &Udp) -> bool {
    let mut space = [0; 16];
    match udp.recv(&mut space) {
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        Ok(_) => false,
    }
}

#[test]
fn a_datagram_arrives_whole_with_its_sender() {
    for addr in loopbacks() {
        let (here, there) = (udp(addr), udp(addr));
        let to = there.local_addr().unwrap();
        assert_eq!(here.send_to(b"nearlight", to).unwrap(), 9);
        let (got, bytes) = take(&there, 64);
        assert_eq!(bytes, b"nearlight");
        let expected = Received {
            len: 9,
            stride: 9,
            from: here.local_addr().unwrap(),
            drops: None,
            stamp: None,
            ttl: None,
            truncated: false,
        };
        assert_eq!(got, expected);
        assert!(nothing_left(&there));
    }
}

#[test]
fn empty_and_cut_ones_are_told_apart() {
    let (here, there) = (udp(loopbacks()[0]), udp(loopbacks()[0]));
    let to = there.local_addr().unwrap();
    here.send_to(&[], to).unwrap();
    here.send_to(b"0123456789", to).unwrap();
    let (got, _) = take(&there, 64);
    assert_eq!((got.len, got.stride, got.truncated), (0, 1, false));
    let (got, bytes) = take(&there, 4);
    assert_eq!((bytes.as_slice(), got.truncated), (&b"0123"[..], true));
    assert!(nothing_left(&there));
}

#[test]
fn a_batch_is_received_in_order_the_first_where_it_is_wanted() {
    for addr in loopbacks() {
        let (here, there) = (udp(addr), udp(addr));
        let to = there.local_addr().unwrap();
        let count = RECEIVE_BATCH + 3;
        for n in 0..count {
            here.send_to(&vec![n as u8; 100 + n], to).unwrap();
        }
        let mut incoming = Incoming::default();
        let (mut space, mut seen) = ([0xEE; 2000], 0);
        for wanted in [RECEIVE_BATCH, 3] {
            let received = unblocked("batch", || incoming.recv(&there, &mut space));
            assert_eq!(received, wanted);
            for n in 0..wanted {
                let (received, bytes) = incoming.message(n).unwrap();
                let bytes = if n == 0 { &space[..received.len] } else { bytes };
                assert_eq!(bytes, vec![seen as u8; 100 + seen]);
                assert_eq!(
                    (received.stride, received.from),
                    (bytes.len(), here.local_addr().unwrap())
                );
                seen += 1;
            }
        }
        assert_eq!(seen, count);
        let nothing = incoming.recv(&there, &mut space).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_batch_goes_on_after_a_refused_one() {
    for addr in loopbacks() {
        let here = udp(addr);
        let there: Vec<Udp> = (0..3).map(|_| udp(addr)).collect();
        let mut to: Vec<Destination> =
            there.iter().map(|udp| udp.local_addr().unwrap().into()).collect();
        // Nobody can send to port 0: EINVAL, at the front, in the middle and
        // at the end.
        for index in [0, 2, 5] {
            to.insert(index, addr.into());
        }
        let slices = [IoSlice::new(b"a"), IoSlice::new(b"b")];
        let mut outgoing = Outgoing::default();
        for _ in 0..2 {
            let batch = to.iter().map(|to| Datagram { to, slices: &slices, gso: None });
            let sent = outgoing.send(&here, batch);
            assert_eq!((sent.sent, sent.failed, sent.untried), (3, 3, 0));
            assert_eq!(sent.bytes, 3 * 2);
            assert_eq!(sent.error.unwrap().kind(), io::ErrorKind::InvalidInput);
            for udp in &there {
                assert_eq!(take(udp, 16).1, b"ab");
                assert!(nothing_left(udp));
            }
        }
    }
}

#[test]
fn batches_larger_than_one_call_keep_order_and_count() {
    let (here, there) = (udp(loopbacks()[0]), udp(loopbacks()[0]));
    let good = Destination::from(there.local_addr().unwrap());
    let bad = Destination::from(loopbacks()[0]);
    let count = 2 * DATAGRAM_BATCH + 7;
    let numbers: Vec<[u8; 2]> = (0..count).map(|i| (i as u16).to_be_bytes()).collect();
    let slices: Vec<[IoSlice<'_>; 1]> = numbers.iter().map(|n| [IoSlice::new(n)]).collect();
    let skipped = DATAGRAM_BATCH + 3;
    let mut outgoing = Outgoing::default();
    let batch = slices.iter().enumerate().map(|(i, slices)| {
        let to = if i == skipped { &bad } else { &good };
        Datagram { to, slices, gso: None }
    });
    let sent = outgoing.send(&here, batch);
    assert_eq!((sent.sent, sent.failed, sent.untried), (count - 1, 1, 0));
    for (i, number) in numbers.iter().enumerate() {
        if i != skipped {
            assert_eq!(take(&there, 16).1, number);
        }
    }
    let none = outgoing.send(&here, []);
    assert_eq!((none.sent, none.failed, none.untried), (0, 0, 0));
    assert!(none.error.is_none());
}

#[test]
fn want_of_room_stops_a_batch() {
    // UDP on loopback never runs out of room; a pair of Unix sockets does, once
    // the far one's queue is full.
    let (here, there) = UnixDatagram::pair().unwrap();
    let here = Udp(here.into());
    let to = Destination::none();
    let slices = [IoSlice::new(b"x")];
    let count = 5000;
    let mut outgoing = Outgoing::default();
    let all = std::iter::repeat_n(Datagram { to: &to, slices: &slices, gso: None }, count);
    let sent = outgoing.send(&here, all);
    assert!(sent.sent > 0 && sent.sent < count, "{sent:?}");
    assert_eq!((sent.failed, sent.untried), (0, count - sent.sent));
    assert_eq!(sent.error.unwrap().kind(), io::ErrorKind::WouldBlock);
    there.set_nonblocking(true).unwrap();
    let mut arrived = 0;
    while there.recv(&mut [0; 4]).is_ok() {
        arrived += 1;
    }
    assert_eq!(arrived, sent.sent);
}

#[test]
fn an_icmp_error_does_not_stop_the_others() {
    let here = udp(loopbacks()[0]);
    let gone = udp(loopbacks()[0]);
    let closed = gone.local_addr().unwrap();
    drop(gone);
    here.connect(closed).unwrap();
    let there = udp(loopbacks()[0]);
    let good = Destination::from(there.local_addr().unwrap());
    let closed = Destination::from(closed);
    let slices = [IoSlice::new(b"x")];
    let mut outgoing = Outgoing::default();
    let first = [Datagram { to: &closed, slices: &slices, gso: None }];
    assert_eq!(outgoing.send(&here, first).sent, 1);
    wait_for("answer of the closed port", || {
        let mut asked = libc::pollfd { fd: here.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: `asked` is one live pollfd.
        unsafe { libc::poll(&raw mut asked, 1, 0) };
        (asked.revents & libc::POLLERR != 0).then_some(())
    });
    let rest = [&good, &good, &closed].map(|to| Datagram { to, slices: &slices, gso: None });
    let sent = outgoing.send(&here, rest);
    assert_eq!((sent.sent, sent.failed, sent.untried), (2, 1, 0));
    assert_eq!(sent.error.unwrap().kind(), io::ErrorKind::ConnectionRefused);
    take(&there, 16);
    assert!(nothing_left(&there));
}

/// Bytes that tell where they are missing.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn a_cut_send_arrives_as_one_receive_with_its_stride() {
    for addr in loopbacks() {
        let (here, there) = (udp(addr), udp(addr));
        if !there.enable_gro() || !here.can_gso() {
            eprintln!("not tested here: this kernel has no UDP_GRO or no UDP_SEGMENT");
            return;
        }
        let payload = payload(5 * DATAGRAM_BYTES + 100);
        let slices: Vec<IoSlice<'_>> = payload.chunks(1999).map(IoSlice::new).collect();
        let to = there.local_addr().unwrap().into();
        let gso = Gso::new(DATAGRAM_BYTES, payload.len());
        let all = [Datagram { to: &to, slices: &slices, gso: gso.as_ref() }];
        let sent = Outgoing::default().send(&here, all);
        assert_eq!((sent.sent, sent.failed, sent.untried, sent.uncut.len()), (6, 0, 0, 0));
        // A machine may split the batch on its way; then it comes in parts.
        let mut got = Vec::new();
        while got.len() < payload.len() {
            let (received, bytes) = take(&there, 64 * 1024);
            let whole = received.len > DATAGRAM_BYTES;
            assert_eq!(received.stride, if whole { DATAGRAM_BYTES } else { received.len });
            assert!(!received.truncated);
            got.extend(bytes);
        }
        assert_eq!(got, payload);
    }
}

#[test]
fn what_the_kernel_will_not_cut_is_cut_here() {
    let (here, there) = (udp(loopbacks()[0]), udp(loopbacks()[0]));
    if !here.can_gso() {
        eprintln!("not tested here: this kernel has no UDP_SEGMENT");
        return;
    }
    // Without checksums there is no GSO: EINVAL.
    sockopt::set(here.as_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    let payload = payload(3 * DATAGRAM_BYTES + 100);
    let slices: Vec<IoSlice<'_>> = payload.chunks(1999).map(IoSlice::new).collect();
    let to = there.local_addr().unwrap().into();
    let gso = Gso::new(DATAGRAM_BYTES, payload.len());
    let plain = Datagram { to: &to, slices: &slices[..1], gso: None };
    let batch = [plain, Datagram { slices: &slices, gso: gso.as_ref(), ..plain }, plain];
    let sent = Outgoing::default().send(&here, batch);
    assert_eq!((sent.sent, sent.failed, sent.untried, sent.uncut), (6, 0, 0, vec![1]));
    assert_eq!(take(&there, 4096).1, payload[..1999]);
    for piece in payload.chunks(DATAGRAM_BYTES) {
        assert_eq!(take(&there, 4096).1, piece);
    }
    assert_eq!(take(&there, 4096).1, payload[..1999]);
}

#[test]
fn one_datagram_or_none_is_not_cut() {
    for (stride, bytes) in [(1316, 0), (1316, 1), (1316, 1316), (0, 5), (70_000, 80_000)] {
        assert!(Gso::new(stride, bytes).is_none(), "{bytes} by {stride}");
    }
    for (stride, bytes, count) in [(1316, 1317, 2), (1316, 2632, 2), (1, 3, 3)] {
        assert_eq!(Gso::new(stride, bytes).unwrap().count, count);
    }
}

#[test]
fn losses_are_counted() {
    for addr in loopbacks() {
        let here = udp(addr);
        let there = Udp::bind(addr, Reuse::No, |fd| {
            SockRef::from(&fd).set_recv_buffer_size(4096).unwrap();
            Ok(())
        })
        .unwrap();
        there.enable_rxq_ovfl().unwrap();
        let to = there.local_addr().unwrap();
        let payload = [0; 1000];
        for _ in 0..100 {
            here.send_to(&payload, to).unwrap();
        }
        let mut kept = 0;
        while !nothing_left(&there) {
            kept += 1;
        }
        assert!(kept > 0 && kept < 100, "{kept} of 100 kept");
        // The count comes with what is queued after the loss.
        here.send_to(&payload, to).unwrap();
        let (got, _) = take(&there, 2000);
        assert_eq!(got.drops, Some(100 - kept));
    }
}

#[test]
fn a_group_reaches_all_its_members_on_this_machine() {
    let group = IpAddr::V4(Ipv4Addr::new(239, 255, 77, 1));
    let bind = |port| {
        let udp = Udp::bind((group, port).into(), Reuse::Group, |_| Ok(())).unwrap();
        udp.join_group(group, Some("127.0.0.1")).unwrap();
        udp
    };
    let one = bind(0);
    let to = one.local_addr().unwrap();
    let other = bind(to.port());
    let here = udp((Ipv4Addr::UNSPECIFIED, 0).into());
    here.multicast_out(Some(1), Some("127.0.0.1")).unwrap();
    here.send_to(b"all", to).unwrap();
    for member in [&one, &other] {
        let (got, bytes) = take(member, 16);
        assert_eq!(bytes, b"all");
        assert_eq!(got.from.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}

/// Few machines route IPv6 multicast over loopback, so that this asks the kernel
/// what it has noted instead of sending.
#[test]
fn a_group_of_ipv6_is_joined_by_interface_name() {
    if loopbacks().len() < 2 {
        return;
    }
    let group = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0x6e6c, 1);
    let joined = || {
        let table = std::fs::read_to_string("/proc/self/net/igmp6").unwrap();
        let entry = group.octets().map(|byte| format!("{byte:02x}")).concat();
        table.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.nth(1) == Some("lo") && words.next() == Some(&entry)
        })
    };
    let member = udp((Ipv6Addr::UNSPECIFIED, 0).into());
    assert!(!joined());
    member.join_group(group.into(), Some("lo")).unwrap();
    assert!(joined());
    assert!(!SockRef::from(&member).multicast_all_v6().unwrap());
    drop(member);
    assert!(!joined());

    let here = udp((Ipv6Addr::UNSPECIFIED, 0).into());
    here.multicast_out(Some(7), Some("::1")).unwrap();
    let asked = SockRef::from(&here);
    let lo = interfaces::find("lo").unwrap().index;
    assert_eq!(asked.multicast_if_v6().unwrap(), lo);
    assert_eq!(asked.multicast_hops_v6().unwrap(), 7);
    assert!(asked.multicast_loop_v6().unwrap());
}

#[test]
fn what_is_no_group_or_interface_is_refused_by_name() {
    let here = udp(loopbacks()[0]);
    let error = here.join_group(Ipv4Addr::LOCALHOST.into(), None).unwrap_err();
    assert!(error.to_string().starts_with("group 127.0.0.1: not a multicast"), "{error}");
    let group = Ipv4Addr::new(239, 255, 77, 2).into();
    let error = here.join_group(group, Some("no-such-if0")).unwrap_err();
    assert!(error.to_string().starts_with("iface no-such-if0: no such"), "{error}");
    let error = here.multicast_out(Some(300), None).unwrap_err();
    assert!(error.to_string().starts_with("multicast ttl 300: "), "{error}");
}

#[test]
fn the_kernel_says_when_it_had_a_datagram() {
    for addr in loopbacks() {
        let (here, there) = (udp(addr), udp(addr));
        sockopt::set(there.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1).unwrap();
        // The kernel begins to stamp a moment after it was asked; until then it
        // gives the time of the receive.
        wait_for("a stamp", || {
            let before = Clock::now();
            here.send_to(b"nearlight", there.local_addr().unwrap()).unwrap();
            let sent = Clock::now();
            while Clock::now().since(sent) < Duration::from_millis(5) {}
            let stamp = take(&there, 64).0.stamp.expect("it was asked for");
            let at = stamp.at(Clock::lead());
            // Whoever disciplines the clocks may part them by microseconds.
            let slack = Duration::from_millis(1);
            (before < at + slack && at < sent + slack).then_some(())
        });
    }
}
