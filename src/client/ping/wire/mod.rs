//! What carries our own probes. Each wire sends one probe, hears what there is
//! to hear without waiting, and reads the clock next to the calls, before
//! looking at what came.

mod app;
mod bytes;
mod connect;
mod icmp;
mod stamp;
mod udp;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use socket2::SockRef;

use crate::base::Instant;
use crate::client::target::{Scheme, Target as Url};
use crate::limits::PING_RECEIVE_BYTES;
use crate::sys::clock::{Clock, Stamp};
use crate::sys::poll::Poll;
use crate::sys::stamps::{self, Told};

use super::ledger::Receipt;
use super::payload::Token;
use super::{Kind, PingError, Plan, Reflected, Way};
use app::App;
use bytes::Bytes;
use connect::Connect;
use icmp::Icmp;
use stamp::Stamp as Stamped;
use udp::Udp;

/// How far back a stamp or an error may reach, in probes.
const REACH: u64 = 64;
/// Calls that a probe may take to be sent: each failed one has told an error
/// about another.
const TRIES: u32 = 5;
/// Things that one look may hear: a reply, the stamps and errors before it.
pub(super) const HEARD: usize = 256;

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// An answer to probe `sequence`.
    Reply { sequence: u64, receipt: Receipt, bytes: usize, ttl: Option<u8> },
    /// The kernel has let probe `sequence` go.
    Left { sequence: u64, stamp: Stamp },
    /// An error in answer to a probe.
    Trouble { which: Which, from: Option<IpAddr>, why: Why },
    /// Something that is not for us.
    Forged,
    /// So many packets have been dropped on our socket, in all.
    Dropped(u32),
}

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The number of a call's error.
    Errno(i32),
    /// An ICMP message: its type and code, and what the kernel adds.
    Icmp { kind: u8, code: u8, info: u32 },
}

/// Which probe an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// This one.
    Probe(u64),
    /// The newest whose number ends in these 16 bits.
    EndsIn(u16),
    /// The oldest that waits.
    Oldest,
}

/// A non-blocking way to the target and back.
#[derive(Debug)]
pub(super) enum Wire {
    Icmp(Icmp),
    Udp(Udp),
    Bytes(Bytes),
    Connect(Connect),
    App(App),
    Stamp(Stamped),
}

impl Wire {
    /// Opens a wire; connecting by TCP blocks for at most `plan.wait`.
    pub(super) fn open(way: &Way, token: Token, plan: &Plan) -> Result<Self, PingError> {
        let target = way.target.address;
        match way.kind {
            Kind::Icmp => Icmp::open(target, token, plan).map(Self::Icmp),
            Kind::Udp => Udp::open(target, token, plan).map(Self::Udp),
            Kind::Tcp => Connect::open(target, plan).map(Self::Connect),
            Kind::Echo => Bytes::echo(target, token, plan).map(Self::Bytes),
            Kind::Relay => {
                let publish = way.publish.unwrap_or(target);
                Bytes::relay(publish, target, token, plan).map(Self::Bytes)
            }
            Kind::App => {
                let url = Url::at(Scheme::Http, target);
                App::open(target, way.url.as_ref().unwrap_or(&url), plan).map(Self::App)
            }
            Kind::Stamp => Stamped::open(target, plan).map(Self::Stamp),
            Kind::System => unreachable!("the system's ping has no wire"),
        }
    }

    /// What about it the reader of a report should know.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Icmp(icmp) => icmp.describe(),
            Self::Udp(udp) => udp.describe(),
            Self::Bytes(bytes) => bytes.describe(),
            Self::Connect(connect) => connect.describe(),
            Self::App(app) => app.describe(),
            Self::Stamp(stamp) => stamp.describe(),
        }
    }

    /// Adds what is to be waited for.
    pub(super) fn watch(&self, poll: &mut Poll) {
        match self {
            Self::Icmp(icmp) => drop(poll.read(icmp.as_fd())),
            Self::Udp(udp) => drop(poll.read(udp.as_fd())),
            Self::Bytes(bytes) => bytes.watch(poll),
            Self::Connect(connect) => connect.watch(poll),
            Self::App(app) => drop(poll.read(app.as_fd())),
            Self::Stamp(stamp) => drop(poll.read(stamp.as_fd())),
        }
    }

    /// Sends probe `sequence`; `message` has room for an ICMP header, then its
    /// data. Returns the clock's time just before the call, and how it went.
    pub(super) fn send(&mut self, message: &mut [u8], sequence: u64) -> (Instant, io::Result<()>) {
        match self {
            Self::Icmp(icmp) => icmp.send(message, sequence),
            Self::Udp(udp) => udp.send(message, sequence),
            Self::Bytes(bytes) => bytes.send(message, sequence),
            Self::Connect(connect) => connect.send(sequence),
            Self::App(app) => app.send(sequence),
            Self::Stamp(stamp) => stamp.send(sequence),
        }
    }

    /// Hears what is there: at most one packet, and what was told about those
    /// that were sent before it.
    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), PingError> {
        match self {
            Self::Icmp(icmp) => icmp.hear(heard),
            Self::Udp(udp) => udp.hear(heard),
            Self::Bytes(bytes) => bytes.hear(heard),
            Self::Connect(connect) => {
                connect.hear(heard);
                Ok(())
            }
            Self::App(app) => app.hear(heard),
            Self::Stamp(stamp) => stamp.hear(heard),
        }
    }

    /// What a reflector has told of the ways there and back.
    pub(super) fn reflected(&self) -> Option<Reflected> {
        match self {
            Self::Stamp(stamp) => Some(stamp.reflected()),
            Self::Icmp(_) | Self::Udp(_) | Self::Bytes(_) | Self::Connect(_) | Self::App(_) => None,
        }
    }
}

/// Which probe is which for the kernel, which counts sends in 32 bits: of
/// datagrams by one, of a connection by bytes.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The probe that has number 0, or begins with byte 0.
    base: u64,
    /// How far the numbers of two probes are apart.
    step: u64,
    /// The newest probe sent.
    newest: u64,
    stamped: bool,
}

impl Numbers {
    /// Asks for stamps, if they are wanted; goes without where there are none.
    pub(super) fn start(socket: BorrowedFd<'_>, step: usize, wanted: bool) -> Self {
        let stamped = wanted && stamps::stamp(socket).is_ok();
        Self { base: 0, step: step as u64, newest: 0, stamped }
    }

    /// The newest probe sent.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn sent(&mut self, sequence: u64) {
        self.newest = sequence;
    }

    /// Has counting begin again with probe `sequence`, for nobody knows whether
    /// a send that failed was counted.
    pub(super) fn restart(&mut self, socket: BorrowedFd<'_>, sequence: u64) {
        if self.stamped {
            self.stamped = stamps::stamp(socket).is_ok();
            self.base = sequence;
        }
    }

    /// The probe of a number.
    fn probe(&self, number: u32) -> Option<u64> {
        let last = |sequence: u64| {
            let before = sequence.checked_sub(self.base)?;
            Some((before.wrapping_add(1).wrapping_mul(self.step).wrapping_sub(1)) as u32)
        };
        let oldest = self.newest.saturating_sub(REACH).max(self.base);
        (oldest..=self.newest).rev().find(|sequence| last(*sequence) == Some(number))
    }

    /// Takes all that the error queue has to tell; `which` knows a probe of ours
    /// by what an ICMP error quotes of it.
    pub(super) fn told(
        &self,
        socket: BorrowedFd<'_>,
        which: impl Fn(&[u8]) -> Option<Which>,
        heard: &mut VecDeque<Heard>,
    ) -> io::Result<()> {
        while heard.len() + 1 < HEARD {
            match stamps::told(socket)? {
                Some(Told::Sent { number, stamp }) => {
                    let left = |sequence| Heard::Left { sequence, stamp };
                    heard.extend(self.probe(number).map(left));
                }
                Some(Told::Trouble(trouble)) => {
                    let stamps::Trouble { from, kind, code, info, .. } = trouble;
                    let why = Why::Icmp { kind, code, info };
                    let about = which(trouble.quoted());
                    heard.extend(about.map(|which| Heard::Trouble { which, from, why }));
                }
                None => break,
            }
        }
        Ok(())
    }
}

/// Asks for a buffer that holds what comes while this thread is off its core;
/// with a smaller one more is dropped here, and told.
fn make_room(socket: BorrowedFd<'_>) {
    let _ = SockRef::from(&socket).set_recv_buffer_size(PING_RECEIVE_BYTES);
}

/// Makes a send call, and again if it failed: an ICMP error about an earlier
/// probe comes out of the next call on its socket, and another such error may
/// come in between. `renew` is called before each that follows a failed one.
fn insist(
    mut send: impl FnMut() -> io::Result<()>,
    mut renew: impl FnMut(u64),
    sequence: u64,
) -> (Instant, io::Result<()>) {
    for _ in 1..TRIES {
        let now = Clock::now();
        if send().is_ok() {
            return (now, Ok(()));
        }
        renew(sequence);
    }
    let now = Clock::now();
    let result = send();
    if result.is_err() {
        renew(sequence + 1);
    }
    (now, result)
}

/// Errors after which the socket is as good as before: nothing there, or an
/// ICMP error about a probe.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::PermissionDenied
    ) || matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::EPROTO | libc::EOPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_about_other_probes_keep_none_from_being_sent() {
        for failing in 0..=TRIES {
            let (mut calls, mut renewed) = (0, Vec::new());
            let send = || {
                calls += 1;
                if calls > failing { Ok(()) } else { Err(io::ErrorKind::HostUnreachable.into()) }
            };
            let (_, result) = insist(send, |next| renewed.push(next), 7);
            assert_eq!(result.is_ok(), failing < TRIES, "{failing}");
            assert_eq!(calls, TRIES.min(failing + 1));
            // Numbering begins with this probe, or where it was not sent with the next.
            let last = if failing < TRIES { 7 } else { 8 };
            assert_eq!(renewed.len() as u32, failing);
            assert_eq!(renewed.last().copied(), (failing > 0).then_some(last));
        }
    }

    #[test]
    fn numbers_of_the_kernel_lead_to_probes_across_their_wrap() {
        let of = |base, step, newest| Numbers { base, step, newest, stamped: true };
        assert_eq!(of(0, 1, 9).probe(7), Some(7));
        assert_eq!(of(5, 1, 9).probe(2), Some(7));
        assert_eq!(of(0, 1, 9).probe(10), None);
        assert_eq!(of(0, 1, 1 << 33).probe(u32::MAX), Some((1 << 33) - 1));
        assert_eq!(of(0, 1, 1 << 33).probe(0), Some(1 << 33));
        // Bytes: probe n of 56 ends with byte 56 n + 55.
        assert_eq!(of(0, 56, 9).probe(55), Some(0));
        assert_eq!(of(0, 56, 9).probe(56 * 9 + 55), Some(9));
        assert_eq!(of(0, 56, 9).probe(56 * 9 + 54), None);
        let far = 1 << 40;
        let number = ((far + 1) * 56 - 1) as u32;
        assert_eq!(of(0, 56, far + 3).probe(number), Some(far));
        assert_eq!(of(0, 1, 1000).probe(1000 - REACH as u32 - 1), None, "too long ago");
    }
}
