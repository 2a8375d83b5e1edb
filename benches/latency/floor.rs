//! The floors: the least that a program can do with the same sockets, options,
//! sizes, reads and writes. One `recv`, then one `send` for each receiver, in
//! a loop that either spins or sleeps in `recv`. std's socket calls are those
//! system calls and nothing else.
//!
//! A floor is a process of its own, as the server is, and says where it
//! listens in the server's words, so that nothing else tells the two apart.

use crate::service::{Idle, Service};
use nearlight::options::{SocketOptions, Transport};
use nearlight::sys::affinity;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;

/// More than any frame, and what the server's echo has.
const BUFFER: usize = 64 * 1024;

/// Runs a floor on `cpu` until its peer goes away. `cc` is the congestion
/// control that both ends use.
pub(crate) fn run(
    service: Service,
    idle: Idle,
    cpu: usize,
    cc: &str,
) -> Result<(), Box<dyn Error>> {
    affinity::pin_to(cpu)?;
    match service {
        Service::TcpEcho => {
            let listener = listen(cc)?;
            say(&[("tcp", listener.local_addr()?.port())])?;
            let conn = accept(&listener, idle)?;
            Ok(relay(&conn, &[&conn])?)
        }
        Service::UdpEcho => udp_echo(idle),
        Service::Relay { subscribers, .. } => {
            let (publish, subscribe) = (listen(cc)?, listen(cc)?);
            let ports = [publish.local_addr()?.port(), subscribe.local_addr()?.port()];
            say(&[("tcp", ports[0]), ("tcp", ports[1])])?;
            let mut conns = Vec::new();
            for _ in 0..subscribers {
                conns.push(accept(&subscribe, idle)?);
            }
            let publisher = accept(&publish, idle)?;
            let conns: Vec<&TcpStream> = conns.iter().collect();
            Ok(relay(&publisher, &conns)?)
        }
    }
}

/// A listener whose connections have the options of the server's.
pub(crate) fn listen(cc: &str) -> Result<TcpListener, Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut options = SocketOptions::default();
    options.set("cc", Some(cc))?;
    options.merge_under(&SocketOptions::defaults(Transport::Tcp, false));
    options.prepare_listener(listener.as_fd())?;
    Ok(listener)
}

fn accept(listener: &TcpListener, idle: Idle) -> io::Result<TcpStream> {
    let (conn, _) = listener.accept()?;
    conn.set_nonblocking(idle == Idle::Spin)?;
    Ok(conn)
}

/// One `recv`, a `send` to each; a blocked call is made again.
fn relay(mut from: &TcpStream, to: &[&TcpStream]) -> io::Result<()> {
    let mut bytes = vec![0; BUFFER];
    loop {
        let len = match from.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(why) if why.kind() == ErrorKind::WouldBlock => continue,
            Err(why) => return Err(why),
        };
        for &(mut conn) in to {
            let mut rest = &bytes[..len];
            while !rest.is_empty() {
                match conn.write(rest) {
                    Ok(sent) => rest = &rest[sent..],
                    Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                    Err(why) => return Err(why),
                }
            }
        }
    }
}

/// Never returns: a datagram socket has no end. Its parent ends it.
fn udp_echo(idle: Idle) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    SocketOptions::defaults(Transport::Udp, false).apply_udp(socket.as_fd())?;
    socket.set_nonblocking(idle == Idle::Spin)?;
    say(&[("udp", socket.local_addr()?.port())])?;
    let mut bytes = vec![0; BUFFER];
    loop {
        match socket.recv_from(&mut bytes) {
            Ok((len, from)) => {
                socket.send_to(&bytes[..len], from)?;
            }
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) => return Err(why.into()),
        }
    }
}

/// What the server says on stdout.
pub(crate) fn say(ports: &[(&str, u16)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (scheme, port) in ports {
        writeln!(out, "listening {scheme}://127.0.0.1:{port}")?;
    }
    writeln!(out, "ready")?;
    out.flush()
}
