//! Our own plain subscribers, for the checks that are about publishers and for
//! what no common program does: a few lines each over std's sockets, sharing
//! nothing with the server's code.

use crate::program::{Outcome, until};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Largest datagram payload that a subscriber should ever be sent.
const DATAGRAM: usize = 1316;
/// A reader gives up after hearing nothing for this long.
const SILENCE: Duration = Duration::from_secs(15);

/// A subscriber that gathers what it gets on a thread of its own.
pub(crate) struct Reader {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<io::Result<()>>,
}

impl Reader {
    fn start(read: impl FnOnce(&Mutex<Vec<u8>>) -> io::Result<()> + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (sender, ended) = channel();
        let gathered = Arc::clone(&bytes);
        thread::spawn(move || {
            let result = read(&gathered);
            // The check may be over, and its end of the channel gone.
            let _heard = sender.send(result);
        });
        Self { bytes, ended }
    }

    /// Reads a TCP connection to its end.
    pub(crate) fn tcp(address: &str) -> Outcome<Self> {
        let stream = connect(address)?;
        Ok(Self::start(|bytes| gather(stream, bytes)))
    }

    /// Sends a GET and reads the body to the end of the connection.
    pub(crate) fn http(address: &str, target: &str) -> Outcome<Self> {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let mut stream = connect(address)?;
        stream.write_all(head.as_bytes()).map_err(told(address))?;
        Ok(Self::start(|bytes| {
            let mut stream = BufReader::new(stream);
            let head = response_head(&mut stream)?;
            expect(&head, "http/1.1 200 ")?;
            expect(&head, "\r\ncontent-type: video/mp2t\r\n")?;
            expect(&head, "\r\ncache-control: no-store\r\n")?;
            gather(stream, bytes)
        }))
    }

    /// Subscribes over WebSocket, with the key of RFC 6455 1.3, and reads
    /// binary messages until the connection is closed.
    pub(crate) fn websocket(address: &str, target: &str) -> Outcome<Self> {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let mut stream = connect(address)?;
        stream.write_all(head.as_bytes()).map_err(told(address))?;
        Ok(Self::start(|bytes| {
            let mut stream = BufReader::new(stream);
            let head = response_head(&mut stream)?;
            expect(&head, "http/1.1 101 ")?;
            expect(&head, "s3pplmbitxaq9kygzzhzrbk+xoo=")?;
            while let Some(message) = websocket_message(&mut stream)? {
                keep(bytes, &message);
            }
            Ok(())
        }))
    }

    /// Takes datagrams on a port of its own, also returned, until none has
    /// come for a second after the first.
    pub(crate) fn udp() -> Outcome<(Self, u16)> {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(told("udp"))?;
        let port = socket.local_addr().map_err(told("udp"))?.port();
        let reader = Self::start(move |bytes| {
            let mut datagram = [0; 65_536];
            socket.set_read_timeout(Some(SILENCE))?;
            loop {
                let len = match socket.recv(&mut datagram) {
                    Ok(len) => len,
                    Err(_) if !bytes.lock().expect("no holder panics").is_empty() => return Ok(()),
                    Err(why) => return Err(why),
                };
                if len > DATAGRAM {
                    return Err(io::Error::other(format!("a datagram of {len} bytes")));
                }
                keep(bytes, &datagram[..len]);
                socket.set_read_timeout(Some(Duration::from_secs(1)))?;
            }
        });
        Ok((reader, port))
    }

    /// Waits until `count` bytes have come.
    pub(crate) fn has(&self, count: usize, limit: Duration) -> Outcome {
        until(&format!("{count} bytes at a subscriber"), limit, || {
            let bytes = self.bytes.lock().expect("no holder panics");
            (bytes.len() >= count).then_some(())
        })
    }

    /// Waits for the end of the stream and gives all of it.
    pub(crate) fn finish(self, limit: Duration) -> Outcome<Vec<u8>> {
        let ended = self.ended.recv_timeout(limit);
        let bytes = std::mem::take(&mut *self.bytes.lock().expect("no holder panics"));
        match ended {
            Ok(Ok(())) => Ok(bytes),
            Ok(Err(why)) => Err(format!("after {} bytes: {why}", bytes.len())),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(format!("not ended {limit:?} after its publisher, with {} bytes", bytes.len()))
            }
        }
    }
}

/// The body of a response.
pub(crate) fn get(address: &str, target: &str) -> Outcome<String> {
    let head = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut stream = connect(address)?;
    let mut body = String::new();
    stream
        .write_all(head.as_bytes())
        .and_then(|()| {
            let mut stream = BufReader::new(stream);
            expect(&response_head(&mut stream)?, "http/1.1 200 ")?;
            stream.read_to_string(&mut body)
        })
        .map_err(told(address))?;
    Ok(body)
}

fn told(what: &str) -> impl Fn(io::Error) -> String {
    move |why| format!("{what}: {why}")
}

fn connect(address: &str) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address).map_err(told(address))?;
    stream.set_read_timeout(Some(SILENCE)).map_err(told(address))?;
    Ok(stream)
}

fn keep(bytes: &Mutex<Vec<u8>>, more: &[u8]) {
    bytes.lock().expect("no holder panics").extend_from_slice(more);
}

fn gather(mut stream: impl Read, bytes: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut buffer = [0; 65_536];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => keep(bytes, &buffer[..len]),
        }
    }
}

/// The head of a response, in lower case.
fn response_head(stream: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::Error::other(format!("closed after '{head}'")));
        }
    }
    Ok(head.to_ascii_lowercase())
}

fn expect(head: &str, wanted: &str) -> io::Result<()> {
    if head.contains(wanted) {
        return Ok(());
    }
    Err(io::Error::other(format!("no '{wanted}' in '{head}'")))
}

/// The next binary message; `None` once the server closes. RFC 6455 5.2.
fn websocket_message(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut head = [0; 2];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(why) => return Err(why),
        }
        let mut len = u64::from(head[1]);
        if len >= 126 {
            let mut long = [0; 8];
            let width = if len == 126 { 2 } else { 8 };
            stream.read_exact(&mut long[8 - width..])?;
            len = u64::from_be_bytes(long);
        }
        let mut message = Vec::new();
        stream.by_ref().take(len).read_to_end(&mut message)?;
        match head[0] {
            0x82 => return Ok(Some(message)),
            0x88 => return Ok(None),
            0x89 | 0x8a => {}
            other => {
                return Err(io::Error::other(format!("a frame that begins {other:#x}")));
            }
        }
    }
}
