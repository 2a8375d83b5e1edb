//! Connections to a process under test, server, floor or peer: as many
//! subscribers as are asked for, then the publisher, each past what its
//! protocol wants said first.

use super::wire::Wire;
use nearlight::sys::clock::Clock;
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// What a process may take to listen, and to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that may wait to be accepted, at the least patient of the peers
/// (icecast2 has room for 5). One more is tried again after a second.
const BACKLOG: usize = 4;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(2);

const ICECAST_PUT: &[u8] = b"PUT /bench HTTP/1.1\r\nHost: localhost\r\n\
    Authorization: Basic c291cmNlOmJlbmNo\r\nContent-Type: video/mp2t\r\n\
    Expect: 100-continue\r\n\r\n";
const ICECAST_GET: &[u8] = b"GET /bench HTTP/1.0\r\n\r\n";
const NATS_HELLO: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

/// Open connections, each past its handshake; non-blocking.
pub(crate) struct Line {
    /// How frames are wrapped.
    pub(crate) wire: Wire,
    /// The publisher.
    pub(crate) sender: TcpStream,
    /// The subscribers.
    pub(crate) receivers: Vec<TcpStream>,
}

/// Where, and how.
#[derive(Clone, Copy)]
pub(crate) struct Door<'a> {
    /// How frames are wrapped there.
    pub(crate) wire: Wire,
    /// Where publishers go.
    pub(crate) publish: SocketAddr,
    /// Where subscribers go.
    pub(crate) subscribe: SocketAddr,
    /// Congestion control of our ends.
    pub(crate) cc: &'a str,
}

impl Door<'_> {
    /// Opens all connections.
    ///
    /// # Errors
    /// Nobody listens in time, or what is said first is refused.
    pub(crate) fn open(self, subscribers: usize) -> io::Result<Line> {
        // A listener of icecast is sent away while there is no source; and a
        // source of GStreamer's takes one connection, which must be ours.
        let early = if self.wire == Wire::Icecast { Some(self.sender()?) } else { None };
        let mut receivers = Vec::new();
        for number in 1..=subscribers {
            receivers.push(self.receiver()?);
            if number % BACKLOG == 0 {
                thread::park_timeout(PAUSE);
            }
        }
        let sender = match early {
            Some(sender) => sender,
            None => self.sender()?,
        };
        sender.set_nonblocking(true)?;
        for receiver in &receivers {
            receiver.set_nonblocking(true)?;
        }
        Ok(Line { wire: self.wire, sender, receivers })
    }

    fn sender(self) -> io::Result<TcpStream> {
        let mut stream = self.connect(self.publish)?;
        match self.wire {
            Wire::Bare => {}
            // No answer to each PUBLISH: nobody would read it.
            Wire::Redis => stream.write_all(b"CLIENT REPLY OFF\r\n")?,
            Wire::Nats => {
                stream.write_all(NATS_HELLO)?;
                ask(&mut stream, b"PING\r\n", b"PONG\r\n")?;
            }
            Wire::Icecast => {
                let said = ask(&mut stream, ICECAST_PUT, b"\r\n\r\n")?;
                if !said.starts_with(b"HTTP/1.1 100 ") {
                    let said = String::from_utf8_lossy(&said).into_owned();
                    return Err(io::Error::other(format!("PUT is answered {said:?}")));
                }
            }
        }
        Ok(stream)
    }

    fn receiver(self) -> io::Result<TcpStream> {
        let mut stream = self.connect(self.subscribe)?;
        match self.wire {
            Wire::Bare => {}
            Wire::Redis => {
                ask(&mut stream, b"SUBSCRIBE bench\r\n", b"bench\r\n:1\r\n")?;
            }
            Wire::Nats => {
                stream.write_all(NATS_HELLO)?;
                ask(&mut stream, b"SUB bench 1\r\nPING\r\n", b"PONG\r\n")?;
            }
            // The answer comes with the first data; the decoder reads it.
            Wire::Icecast => stream.write_all(ICECAST_GET)?,
        }
        Ok(stream)
    }

    fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let start = Clock::now();
        loop {
            match TcpStream::connect(addr) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    SockRef::from(&stream).set_tcp_congestion(self.cc.as_bytes())?;
                    return Ok(stream);
                }
                Err(why) if why.kind() != ErrorKind::ConnectionRefused => return Err(why),
                Err(why) if Clock::now().since(start) > PATIENCE => return Err(why),
                Err(_) => thread::park_timeout(PAUSE),
            }
        }
    }
}

/// Says something; answers what came back, up to what ends with `end`.
fn ask(stream: &mut TcpStream, words: &[u8], end: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(words)?;
    let mut said = Vec::new();
    let mut bytes = [0; 1024];
    while !said.ends_with(end) {
        match stream.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            len => said.extend_from_slice(&bytes[..len]),
        }
    }
    Ok(said)
}
