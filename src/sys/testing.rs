//! What the tests of this layer share: waiting without sleeping, and the
//! loopback addresses that the machine has.
#![expect(unsafe_code, reason = "one test gives up its thread's capabilities")]

use super::clock::Clock;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Gives up waiting after this long; no test that passes comes near it.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks again until the answer is there; panics after [`DEADLINE`].
pub(super) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Clock::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Clock::now().since(start) < DEADLINE, "no {what} in time");
        std::thread::yield_now();
    }
}

/// Calls again while the call would block.
pub(super) fn unblocked<T>(what: &str, mut call: impl FnMut() -> io::Result<T>) -> T {
    wait_for(what, || match call() {
        Ok(done) => Some(done),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{what}: {error}"),
    })
}

/// Port 0 on 127.0.0.1 and, where the machine has it, on ::1.
pub(super) fn loopbacks() -> Vec<SocketAddr> {
    let mut found = vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)];
    let six = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
    match UdpSocket::bind(six) {
        Ok(_) => found.push(six),
        Err(error) => eprintln!("IPv6 is not tested here: bind {six}: {error}"),
    }
    found
}

/// Gives up the calling thread's capabilities: the raw call concerns the
/// thread alone, unlike the process-wide wrappers of libc's set*id.
pub(crate) fn give_up_capabilities() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // _LINUX_CAPABILITY_VERSION_3, capset(2): two sets of three words.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0u32; 6];
    // SAFETY: both pointers are to live locals of the layout that version 3
    // asks for, and the call only reads them.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const none) };
    assert_eq!(outcome, 0);
}
