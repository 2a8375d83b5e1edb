//! Setting options on sockets and reading back what the kernel made of them.

use super::table::{Opt, Place, Row, TABLE};
use super::value::Value;
use super::{Granted, OptionError, SocketOptions, Transport};
use crate::base::units::format_size;
use crate::sys::sockopt;
use libc::c_int;
use socket2::{Domain, SockRef, TcpKeepalive, Type};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Unanswered keep-alive probes that end a connection.
const KEEPALIVE_PROBES: u32 = 3;
/// The bit of `net.ipv4.tcp_fastopen` that lets servers take data in a SYN.
const FASTOPEN_SERVER: u32 = 2;

impl SocketOptions {
    /// Sets on a TCP listener, before it is bound, what concerns it and what
    /// its connections inherit; `rcvbuf` must be set this early because it
    /// decides the window scale of every handshake (`tcp(7)`).
    ///
    /// # Errors
    /// The first option that the kernel refuses.
    pub fn prepare_listener(&self, fd: BorrowedFd<'_>) -> Result<Vec<Granted>, OptionError> {
        let socket = Socket::of(&fd)?;
        let mut granted = Vec::new();
        for row in &TABLE {
            let Some(value) = self.get(row.opt) else {
                continue;
            };
            // `backlog` has no meaning before listen(2), see
            // `confirm_listening`; acknowledging begins with a connection.
            if !matches!(row.opt, Opt::Backlog | Opt::QuickAck) {
                granted.push(socket.grant(row, value)?);
            }
        }
        Ok(granted)
    }

    /// Sets on a TCP socket, before it is connected, what such a connection has;
    /// `rcvbuf` must be set this early because it decides the window scale.
    ///
    /// # Errors
    /// The first option that the kernel refuses.
    pub fn prepare_call(&self, fd: BorrowedFd<'_>) -> Result<Vec<Granted>, OptionError> {
        let socket = Socket::of(&fd)?;
        let rows = TABLE.iter().filter(|row| row.tcp != Place::Listener);
        let asked = rows.filter_map(|row| Some((row, self.get(row.opt)?)));
        asked.map(|(row, value)| socket.grant(row, value)).collect()
    }

    /// Sets everything on a socket that is thrown away: what the kernel refuses,
    /// before anything is bound.
    ///
    /// # Errors
    /// The first option that the kernel refuses.
    pub fn try_out(&self, transport: Transport, is_ipv6: bool) -> Result<(), OptionError> {
        let domain = if is_ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let kind = if transport == Transport::Tcp { Type::STREAM } else { Type::DGRAM };
        // No such sockets here: that is told where one is to be bound.
        let Ok(socket) = socket2::Socket::new(domain, kind, None) else { return Ok(()) };
        match transport {
            Transport::Tcp => self.prepare_listener(socket.as_fd()).map(drop),
            Transport::Udp => self.apply_udp(socket.as_fd()).map(drop),
        }
    }

    /// Reads back, after `listen(2)`, the `backlog` in force; nothing if it was
    /// not asked for.
    ///
    /// # Errors
    /// `TCP_INFO` can't be read.
    pub fn confirm_listening(&self, fd: BorrowedFd<'_>) -> Result<Vec<Granted>, OptionError> {
        let row = Opt::Backlog.row();
        let Some(value) = self.get(row.opt) else {
            return Ok(Vec::new());
        };
        Ok(vec![Socket::of(&fd)?.read_back(row, value)?])
    }

    /// Sets on an accepted connection what it has not inherited: `quickack` and
    /// `priority`, one call each, none if they were not asked for. Nothing is
    /// read back here: this is the accept path, and `prepare_listener` has
    /// shown that the kernel grants it.
    ///
    /// # Errors
    /// The first option that the kernel refuses.
    pub fn apply_accepted(&self, fd: BorrowedFd<'_>) -> Result<(), OptionError> {
        for row in &TABLE {
            if row.tcp != Place::EachConnection {
                continue;
            }
            if let Some(value) = self.get(row.opt) {
                // Neither option of this kind differs by address family.
                let socket = Socket { inner: SockRef::from(&fd), v6: false, tcp: true };
                socket.write(row.opt, value).map_err(|error| refused(row, value, &error))?;
            }
        }
        Ok(())
    }

    /// Sets on a UDP socket, before it is bound, what UDP sockets have.
    ///
    /// # Errors
    /// The first option that the kernel refuses.
    pub fn apply_udp(&self, fd: BorrowedFd<'_>) -> Result<Vec<Granted>, OptionError> {
        let socket = Socket::of(&fd)?;
        let mut granted = Vec::new();
        for row in TABLE.iter().filter(|row| row.udp) {
            if let Some(value) = self.get(row.opt) {
                granted.push(socket.grant(row, value)?);
            }
        }
        Ok(granted)
    }
}

/// A socket and what must be known of it to choose between twin options.
pub(super) struct Socket<'a> {
    inner: SockRef<'a>,
    v6: bool,
    tcp: bool,
}

impl<'a> Socket<'a> {
    pub(super) fn of(fd: &'a impl AsFd) -> Result<Self, OptionError> {
        let inner = SockRef::from(fd);
        let ask = |what: &'static str, error: &io::Error| OptionError {
            name: what,
            value: "?".to_owned(),
            reason: format!("can't be read: {error}"),
        };
        let v6 = inner.domain().map_err(|e| ask("SO_DOMAIN", &e))? == Domain::IPV6;
        let tcp = inner.r#type().map_err(|e| ask("SO_TYPE", &e))? == Type::STREAM;
        Ok(Self { inner, v6, tcp })
    }

    /// Sets one option and reads it back.
    pub(super) fn grant(&self, row: &'static Row, value: &Value) -> Result<Granted, OptionError> {
        if row.opt == Opt::IncomingCpu {
            check_cpu(row, value)?;
        }
        self.write(row.opt, value).map_err(|error| refused(row, value, &error))?;
        self.read_back(row, value)
    }

    fn read_back(&self, row: &'static Row, value: &Value) -> Result<Granted, OptionError> {
        let got = self.read(row.opt).map_err(|error| OptionError {
            name: row.name,
            value: value.render(row),
            reason: format!("set, but can't be read back: {error}"),
        })?;
        Ok(Granted {
            name: row.name,
            asked: value.render(row),
            got: got.render(row),
            note: note(row, value, &got),
        })
    }

    /// Sets one option: the one place where the table meets the kernel.
    fn write(&self, opt: Opt, value: &Value) -> io::Result<()> {
        let sock = &self.inner;
        let n = value.number();
        match opt {
            Opt::NoDelay => sock.set_tcp_nodelay(n == 1),
            Opt::QuickAck => sock.set_tcp_quickack(n == 1),
            Opt::NotSentLowat => sock.set_tcp_notsent_lowat(n),
            Opt::UserTimeout => {
                sock.set_tcp_user_timeout(Some(Duration::from_millis(u64::from(n))))
            }
            Opt::Cc => match value {
                Value::Text(name) => sock.set_tcp_congestion(name.as_bytes()),
                Value::Number(_) => Err(io::ErrorKind::InvalidInput.into()),
            },
            Opt::RcvBuf => self.write_buffer(n, libc::SO_RCVBUFFORCE),
            Opt::SndBuf => self.write_buffer(n, libc::SO_SNDBUFFORCE),
            Opt::BusyPoll => sock.set_busy_poll(n),
            Opt::Priority => sock.set_priority(n),
            Opt::Dscp => {
                if self.v6 {
                    sock.set_tclass_v6(n << 2)?;
                }
                // On an IPv6 socket this is for peers with mapped addresses.
                sock.set_tos_v4(n << 2)
            }
            Opt::IncomingCpu => sock.set_cpu_affinity(n as usize),
            Opt::KeepAlive => self.write_keepalive(n),
            Opt::DeferAccept => self.set_number(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, n),
            Opt::FastOpen => self.set_number(libc::IPPROTO_TCP, libc::TCP_FASTOPEN, n),
            Opt::Ttl => self.write_ttl(n),
            Opt::Timestamp => self.set_number(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, n),
            // listen(2) takes it.
            Opt::Backlog => Ok(()),
        }
    }

    /// Reads one option, in the unit that `write` takes.
    fn read(&self, opt: Opt) -> io::Result<Value> {
        let sock = &self.inner;
        let number = match opt {
            Opt::NoDelay => u32::from(sock.tcp_nodelay()?),
            Opt::QuickAck => u32::from(sock.tcp_quickack()?),
            Opt::NotSentLowat => sock.tcp_notsent_lowat()?,
            Opt::UserTimeout => sock.tcp_user_timeout()?.map_or(0, |span| narrow(span.as_millis())),
            Opt::Cc => {
                let name = sock.tcp_congestion()?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                return Ok(Value::Text(String::from_utf8_lossy(name).into_owned()));
            }
            // The kernel reports twice what may be used (socket(7)).
            Opt::RcvBuf => narrow(sock.recv_buffer_size()? as u128 / 2),
            Opt::SndBuf => narrow(sock.send_buffer_size()? as u128 / 2),
            Opt::BusyPoll => sock.busy_poll()?,
            Opt::Priority => sock.priority()?,
            Opt::Dscp if self.v6 => sock.tclass_v6()? >> 2,
            Opt::Dscp => sock.tos_v4()? >> 2,
            // -1, nobody's CPU, reads as the largest number.
            Opt::IncomingCpu => sock.cpu_affinity()? as u32,
            Opt::KeepAlive if sock.keepalive()? => {
                let probes = sock.tcp_keepalive_interval()? * sock.tcp_keepalive_retries()?;
                narrow((sock.tcp_keepalive_time()? + probes).as_secs())
            }
            Opt::KeepAlive => 0,
            Opt::Backlog => sockopt::backlog(self.inner.as_fd())?,
            Opt::DeferAccept => self.get_number(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT)?,
            Opt::FastOpen => self.get_number(libc::IPPROTO_TCP, libc::TCP_FASTOPEN)?,
            Opt::Ttl if self.v6 => sock.unicast_hops_v6()?,
            Opt::Ttl => sock.ttl_v4()?,
            Opt::Timestamp => self.get_number(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)?,
        };
        Ok(Value::Number(number))
    }

    /// What an untouched socket has, for `nearlight options`.
    pub(super) fn read_text(&self, row: &Row) -> io::Result<String> {
        let value = self.read(row.opt)?;
        let nobody = row.opt == Opt::IncomingCpu && value == Value::Number(u32::MAX);
        Ok(if nobody { "none".to_owned() } else { value.render(row) })
    }

    /// Asks politely, then with CAP_NET_ADMIN, and leaves it to `read_back` to
    /// say that neither helped.
    fn write_buffer(&self, bytes: u32, force: c_int) -> io::Result<()> {
        let sock = &self.inner;
        let got = if force == libc::SO_RCVBUFFORCE {
            sock.set_recv_buffer_size(bytes as usize)?;
            sock.recv_buffer_size()? / 2
        } else {
            sock.set_send_buffer_size(bytes as usize)?;
            sock.send_buffer_size()? / 2
        };
        if got < bytes as usize {
            match self.set_number(libc::SOL_SOCKET, force, bytes) {
                Err(error) if error.raw_os_error() != Some(libc::EPERM) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn write_keepalive(&self, seconds: u32) -> io::Result<()> {
        if seconds == 0 {
            return self.inner.set_keepalive(false);
        }
        // `user_timeout` ends a connection at the first look after that time that
        // finds a probe unanswered: all of them have to have been sent by then, or
        // one that is lost would end it.
        let apart = (seconds / (2 * KEEPALIVE_PROBES)).max(1);
        let silent = seconds.saturating_sub(KEEPALIVE_PROBES * apart).max(1);
        let params = TcpKeepalive::new()
            .with_time(Duration::from_secs(u64::from(silent)))
            .with_interval(Duration::from_secs(u64::from(apart)))
            .with_retries(KEEPALIVE_PROBES);
        self.inner.set_tcp_keepalive(&params)
    }

    fn write_ttl(&self, hops: u32) -> io::Result<()> {
        let sock = &self.inner;
        sock.set_ttl_v4(hops)?;
        if self.v6 {
            sock.set_unicast_hops_v6(hops)?;
        }
        match (self.tcp, self.v6) {
            // A stream socket has no multicast options.
            (true, _) => Ok(()),
            (false, true) => sock.set_multicast_hops_v6(hops),
            (false, false) => sock.set_multicast_ttl_v4(hops),
        }
    }

    fn set_number(&self, level: c_int, name: c_int, number: u32) -> io::Result<()> {
        sockopt::set(self.inner.as_fd(), level, name, number)
    }

    fn get_number(&self, level: c_int, name: c_int) -> io::Result<u32> {
        sockopt::get(self.inner.as_fd(), level, name)
    }
}

fn narrow(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

/// The kernel takes any CPU number for `SO_INCOMING_CPU`, to no effect.
fn check_cpu(row: &'static Row, value: &Value) -> Result<(), OptionError> {
    if let Value::Text(_) = value {
        return Err(OptionError {
            name: row.name,
            value: value.render(row),
            reason: "only a shard has a core of its own".to_owned(),
        });
    }
    let configured = sockopt::cpus();
    if configured.is_some_and(|cpus| value.number() >= cpus) {
        return Err(OptionError {
            name: row.name,
            value: value.render(row),
            reason: format!("no such CPU: this machine has 0 to {}", configured.unwrap_or(1) - 1),
        });
    }
    Ok(())
}

/// What to tell about a value that was granted.
fn note(row: &Row, asked: &Value, got: &Value) -> Option<String> {
    let (a, g) = (asked.number(), got.number());
    #[expect(clippy::wildcard_enum_match_arm, reason = "few options have a note of their own")]
    match row.opt {
        Opt::RcvBuf if g < a => Some(clamped("net.core.rmem_max", a)),
        Opt::SndBuf if g < a => Some(clamped("net.core.wmem_max", a)),
        Opt::RcvBuf | Opt::SndBuf if g > a => Some("the kernel's least".to_owned()),
        Opt::Backlog if g < a => Some(clamped("net.core.somaxconn", a)),
        Opt::FastOpen if a > 0 => fastopen_note(g < a, a),
        Opt::DeferAccept if g != a => {
            Some("rounded up to whole retransmissions of the SYN-ACK".to_owned())
        }
        _ if asked != got => Some("the kernel made something else of it".to_owned()),
        _ => None,
    }
}

fn clamped(sysctl: &str, wanted: u32) -> String {
    let limit = read_sysctl(sysctl).unwrap_or_else(|| "unknown".to_owned());
    format!("clamped by {sysctl}, which is {limit}: sysctl -w {sysctl}={wanted} lifts it")
}

fn fastopen_note(is_clamped: bool, wanted: u32) -> Option<String> {
    let sysctl = "net.ipv4.tcp_fastopen";
    let text = read_sysctl(sysctl)?;
    let bits = text.parse::<u32>().ok()?;
    if bits & FASTOPEN_SERVER == 0 {
        let on = bits | FASTOPEN_SERVER;
        return Some(format!(
            "no effect while {sysctl} is {bits}: servers need bit 2, sysctl -w {sysctl}={on}"
        ));
    }
    is_clamped.then(|| clamped("net.core.somaxconn", wanted))
}

/// A kernel parameter by its dotted name; `None` where /proc is not mounted.
fn read_sysctl(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// The kernel's refusal in words, and what to do about it.
fn refused(row: &'static Row, value: &Value, error: &io::Error) -> OptionError {
    let names = |sysctl: &str| read_sysctl(sysctl).unwrap_or_else(|| "unknown".to_owned());
    let reason = match error.raw_os_error() {
        Some(libc::ENOENT) if row.opt == Opt::Cc => format!(
            "no such congestion control: this kernel has {}",
            names("net.ipv4.tcp_available_congestion_control")
        ),
        Some(libc::EPERM) if row.opt == Opt::Cc => format!(
            "not permitted: without CAP_NET_ADMIN only {} may be used",
            names("net.ipv4.tcp_allowed_congestion_control")
        ),
        Some(libc::EPERM) if !row.privilege.is_empty() => format!(
            "not permitted: it takes {}; run with that capability, or leave it out",
            row.privilege
        ),
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) => format!(
            "this kernel, or this kind of socket, does not have {}: leave it out",
            row.constant
        ),
        Some(libc::EINVAL | libc::EDOM | libc::ERANGE) => {
            format!("the kernel does not take this value: see {}", row.man)
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            format!("out of memory: ask for less than {}", format_size(u64::from(value.number())))
        }
        _ => format!("refused by the kernel: {error}"),
    };
    OptionError { name: row.name, value: value.render(row), reason }
}
