//! A name to a connection: looked up each time, for it may have moved, and its
//! addresses tried in turn.

use super::Failure;
use crate::limits::{DIAL_ADDRESSES, DIAL_CONNECT};
use crate::options::{Granted, SocketOptions};
use crate::reactor::plan::Target;
use crate::report::DialFailure;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;

/// A connection, whose it is, and what the kernel granted of its options.
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) granted: Vec<Granted>,
}

/// Connects to the first address of `target` that answers. Takes as long as the
/// resolver does, and `DIAL_CONNECT` for each of `DIAL_ADDRESSES` addresses.
pub(super) fn connect(target: &Target, options: &SocketOptions) -> Result<Connected, Failure> {
    let host = &target.host;
    let addresses = (host.as_str(), target.port).to_socket_addrs().map_err(|why| {
        Failure::new(DialFailure::Lookup, format!("the name '{host}' can't be looked up: {why}"))
    })?;
    let nowhere = format!("the name '{host}' has no address");
    let mut last = Failure::new(DialFailure::Lookup, nowhere);
    for peer in addresses.take(DIAL_ADDRESSES) {
        match open(peer, options) {
            Ok(connected) => return Ok(connected),
            Err(why) => {
                let text = format!("can't connect to {peer}: {why}");
                last = Failure::new(DialFailure::Connect, text);
            }
        }
    }
    Err(last)
}

fn open(peer: SocketAddr, options: &SocketOptions) -> io::Result<Connected> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    let granted = options.prepare_call(socket.as_fd()).map_err(io::Error::other)?;
    socket.connect_timeout(&peer.into(), DIAL_CONNECT)?;
    Ok(Connected { stream: socket.into(), peer, granted })
}
