//! Stream sockets on loopback.
#![expect(unsafe_code, reason = "received bytes are taken, descriptor flags read")]

use super::*;
use crate::sys::clock::Clock;
use crate::sys::sockopt;
use crate::sys::testing::{loopbacks, unblocked, wait_for};

fn listen(addr: SocketAddr) -> TcpListener {
    TcpListener::bind(addr, false, 16, |_| Ok(())).unwrap()
}

/// A connection with the given receive buffer at the far end.
fn pair(addr: SocketAddr, far_buffer: usize) -> (Tcp, Tcp) {
    let listener = listen(addr);
    let far = open(addr, Type::STREAM, Protocol::TCP).unwrap();
    let setup = SockRef::from(&far);
    setup.set_recv_buffer_size(far_buffer).unwrap();
    let at = listener.local_addr().unwrap();
    if let Err(error) = setup.connect(&at.into()) {
        assert_eq!(error.raw_os_error(), Some(libc::EINPROGRESS));
    }
    let (near, peer) = unblocked("accept", || listener.accept());
    let far = Tcp(far);
    assert_eq!(far.local_addr().unwrap(), peer);
    assert_eq!(near.peer_addr().unwrap(), peer);
    assert_eq!(near.local_addr().unwrap(), at);
    (near, far)
}

fn drain(from: &mut Tcp, into: &mut Vec<u8>) -> io::Result<usize> {
    let before = into.len();
    into.resize(before + 64 * 1024, 0);
    let got = from.recv(&mut into[before..]);
    into.truncate(before + *got.as_ref().unwrap_or(&0));
    got
}

#[test]
fn slices_arrive_in_order_and_the_end_is_seen() {
    for addr in loopbacks() {
        let (mut near, mut far) = pair(addr, 64 * 1024);
        let slices = [IoSlice::new(b"near"), IoSlice::new(b""), IoSlice::new(b"light")];
        assert_eq!(near.send(&slices).unwrap(), 9);
        near.shutdown_write().unwrap();
        let mut got = Vec::new();
        while unblocked("bytes", || drain(&mut far, &mut got)) > 0 {}
        assert_eq!(got, b"nearlight");
        // The other direction is still open.
        assert_eq!(far.send(&[IoSlice::new(b"!")]).unwrap(), 1);
        let mut back = Vec::new();
        assert_eq!(unblocked("byte", || drain(&mut near, &mut back)), 1);
        near.set_quickack().unwrap();
    }
}

#[test]
fn a_reader_that_stops_makes_sends_partial_and_unacked_grow_and_fall() {
    for addr in loopbacks() {
        let (mut near, mut far) = pair(addr, 8 * 1024);
        SockRef::from(&near).set_send_buffer_size(32 * 1024).unwrap();
        assert_eq!(near.unacked().unwrap(), 0);
        let payload: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
        let mut sent = 0;
        let mut partial = false;
        loop {
            let (a, b) = payload[sent..].split_at((payload.len() - sent) / 2);
            match near.send(&[IoSlice::new(a), IoSlice::new(b)]) {
                Ok(n) => {
                    partial |= n < payload.len() - sent;
                    sent += n;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(partial && sent < payload.len(), "{sent} bytes taken");
        let held = near.unacked().unwrap();
        assert!(held > 0 && held <= sent, "{held} of {sent}");

        let mut got = Vec::new();
        while got.len() < sent {
            unblocked("bytes", || drain(&mut far, &mut got));
        }
        assert_eq!(got, payload[..sent]);
        wait_for("acknowledgement", || (near.unacked().unwrap() == 0).then_some(()));
    }
}

#[test]
fn nothing_there_would_block_and_no_space_is_no_end() {
    let (mut near, far) = pair(loopbacks()[0], 64 * 1024);
    let mut space = [0; 16];
    assert_eq!(near.recv(&mut space).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(near.recv(&mut []).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    drop(far);
    assert_eq!(unblocked("end", || near.recv(&mut space)), 0);
}

#[test]
fn more_slices_than_the_kernel_takes_are_a_partial_send() {
    let (mut near, _far) = pair(loopbacks()[0], 64 * 1024);
    let slices = vec![IoSlice::new(b"x"); 2000];
    assert_eq!(near.send(&slices).unwrap(), 1024);
}

#[test]
fn a_reset_is_an_error_and_no_signal() {
    let (mut near, far) = pair(loopbacks()[0], 64 * 1024);
    far.reset_on_close().unwrap();
    drop(far);
    let mut space = [0; 16];
    let error = wait_for("reset", || match near.recv(&mut space) {
        Ok(n) => panic!("{n} bytes instead of a reset"),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => Some(error),
    });
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = near.send(&[IoSlice::new(b"x")]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn accept_does_not_block_and_what_it_makes_closes_on_exec() {
    let listener = listen(loopbacks()[0]);
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (conn, _) = unblocked("accept", || listener.accept());
    for fd in [conn.as_raw_fd(), listener.as_raw_fd()] {
        // SAFETY: asking for a descriptor's flags touches no memory.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        // SAFETY: as above.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, libc::O_NONBLOCK);
    }
}

#[test]
fn a_taken_port_is_named_unless_both_share_it() {
    for addr in loopbacks() {
        let first = listen(addr);
        let taken = first.local_addr().unwrap();
        let error = TcpListener::bind(taken, false, 16, |_| Ok(())).unwrap_err();
        let said = format!("bind {taken}: Address already in use (os error 98): another program ");
        assert!(error.to_string().starts_with(&said), "{error}");
        let shared = TcpListener::bind(addr, true, 16, |_| Ok(())).unwrap();
        let at = shared.local_addr().unwrap();
        TcpListener::bind(at, true, 16, |_| Ok(())).unwrap();
    }
}

#[test]
fn prepare_runs_before_bind_and_its_refusal_stands() {
    let addr = loopbacks()[0];
    let mut port = None;
    TcpListener::bind(addr, false, 16, |fd| {
        port = Some(local_addr(fd).unwrap().port());
        Ok(())
    })
    .unwrap();
    assert_eq!(port, Some(0), "not bound yet");
    let error = Udp::bind(addr, Reuse::No, |_| Err(SysError::refused("SO_X", "", "no".into())))
        .unwrap_err();
    assert_eq!(error.to_string(), "SO_X: no");
}

#[test]
fn the_kernel_says_when_it_had_the_last_byte() {
    for addr in loopbacks() {
        let listener = listen(addr);
        sockopt::set(listener.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1).unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = Tcp::try_from(far).unwrap();
        let (mut near, _) = unblocked("accept", || listener.accept());
        let mut space = [0; 64];
        // The kernel begins to stamp a moment after it was asked.
        wait_for("a stamp", || {
            far.send(&[IoSlice::new(b"first")]).unwrap();
            let before = Clock::now();
            far.send(&[IoSlice::new(b"last")]).unwrap();
            let sent = Clock::now();
            while Clock::now().since(sent) < Duration::from_millis(5) {}
            let (len, stamp) = near.recv_stamped(&mut space).unwrap();
            assert_eq!(&space[..len], b"firstlast");
            let at = stamp?.at(Clock::lead());
            let slack = Duration::from_millis(1);
            (before < at + slack && at < sent + slack).then_some(())
        });
        // The other end was not asked for it; and nothing is nothing.
        near.send(&[IoSlice::new(b"back")]).unwrap();
        let back = unblocked("bytes", || far.recv_stamped(&mut space));
        assert_eq!(back, (4, None));
        assert_eq!(near.recv_stamped(&mut space).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(near.recv_stamped(&mut []).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
