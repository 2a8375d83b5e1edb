//! Sockets of the tests: every wait is for a condition and has a deadline.

use nearlight::base::Instant;
use nearlight::client::pace::{Wait, sleep_until};
use nearlight::sys::clock::Clock;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Conditions are looked at this often.
const LOOK: Duration = Duration::from_millis(2);
/// For calls that want a flag and are not to be stopped.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// Waits for a condition.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Clock::now() + PATIENCE;
    while !is_so() {
        assert!(Clock::now() < deadline, "in vain: {what}");
        sleep_until(Clock::now() + LOOK, Wait::Sleep, &NEVER);
    }
}

/// Lets time pass that is itself what a test measures.
pub(crate) fn measure_for(span: Duration) {
    sleep_until(Clock::now() + span, Wait::Sleep, &NEVER);
}

/// How long something takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start: Instant = Clock::now();
    let value = work();
    (value, Clock::now().since(start))
}

/// Connects; every read and write on it ends after [`PATIENCE`].
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    connect_small(addr, None)
}

/// Connects with a receive buffer of `rcvbuf` bytes.
pub(crate) fn connect_small(addr: SocketAddr, rcvbuf: Option<usize>) -> TcpStream {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
    if let Some(bytes) = rcvbuf {
        socket.set_recv_buffer_size(bytes).expect("SO_RCVBUF");
    }
    socket.connect_timeout(&addr.into(), PATIENCE).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
    socket.set_write_timeout(Some(PATIENCE)).expect("SO_SNDTIMEO");
    socket.set_tcp_nodelay(true).expect("TCP_NODELAY");
    socket.into()
}

/// Connects and sends.
pub(crate) fn sent(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = connect(addr);
    socket.write_all(bytes).expect("it is read");
    socket
}

/// Closes with a RST.
pub(crate) fn reset(socket: TcpStream) {
    let socket = Socket::from(socket);
    socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
}

/// Reads exactly `len` bytes.
pub(crate) fn read_exactly(socket: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    socket.read_exact(&mut bytes).expect("in time");
    bytes
}

/// Reads to the orderly end of the stream.
pub(crate) fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("an orderly end, in time");
    bytes
}

/// Waits until the peer has ended the connection, however it does.
pub(crate) fn wait_for_close(socket: &mut TcpStream) {
    let mut sink = [0; 4096];
    let deadline = Clock::now() + PATIENCE;
    loop {
        assert!(Clock::now() < deadline, "still open, and still sending");
        match socket.read(&mut sink) {
            Ok(0) => return,
            Ok(_) => {}
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("still open after {PATIENCE:?}")
            }
            Err(_reset) => return,
        }
    }
}

/// A UDP socket on loopback; every receive ends after [`PATIENCE`].
pub(crate) fn udp() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.set_recv_buffer_size(1 << 20).expect("SO_RCVBUF");
    socket.bind(&any.into()).expect("loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
    socket.into()
}

/// Receives one datagram.
pub(crate) fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 16];
    let len = socket.recv(&mut bytes).expect("a datagram, in time");
    bytes.truncate(len);
    bytes
}

/// An HTTP response with a length.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Everything up to and with the blank line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Sends a request and reads the response to it.
    pub(crate) fn of(socket: &mut TcpStream, request: &[u8]) -> io::Result<Self> {
        socket.write_all(request)?;
        Self::read(socket)
    }

    /// Reads a response, of its body what `Content-Length` says.
    pub(crate) fn read(socket: &mut TcpStream) -> io::Result<Self> {
        let head = read_head(socket)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut reply = Self { status, head, body: Vec::new() };
        if let Some(length) = reply.field("content-length") {
            reply.body = vec![0; length.parse().expect("a number")];
            socket.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    /// A field's value, `name` in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request on a connection of its own.
pub(crate) fn ask(addr: SocketAddr, request: &str) -> Reply {
    let mut socket = connect(addr);
    Reply::of(&mut socket, request.as_bytes()).expect("an answer")
}

/// A request without a body.
pub(crate) fn request(method: &str, path: &str, host: SocketAddr, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

/// Reads up to a blank line and no further, however little comes at a time.
fn read_head(socket: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).expect("text"))
}

/// xorshift: the same numbers for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
