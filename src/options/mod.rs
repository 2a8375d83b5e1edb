//! Socket options: what can be set, what was asked for, what was granted.
//!
//! [`table::TABLE`] says everything about an option; [`SocketOptions`] is what
//! somebody asked for; `apply` sets it and reads it back, because the kernel
//! clamps some values in silence and takes others without effect; `probe` finds
//! out what this kernel grants.
//!
//! # Which call goes where
//!
//! ```text
//! socket ─ prepare_listener ─ bind ─ listen(backlog()) ─ confirm_listening
//!                                       └─ accept ─ apply_accepted
//! socket ─ prepare_call ─ connect
//! socket ─ apply_udp ─ bind
//! ```
//!
//! A Linux listener hands on to its connections everything but `quickack` and
//! `priority` (a test holds this true), so with the defaults an accept costs
//! no option call at all.

mod apply;
mod probe;
pub mod table;
mod value;

#[cfg(test)]
mod tests;

pub use probe::{Probe, Trial, describe};
pub use table::{Kind, Opt, Place, Row, TABLE};

use std::fmt;
use value::Value;

/// What kind of socket is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP listener and its connections.
    Tcp,
    /// A UDP socket.
    Udp,
}

/// The options that somebody asked for; the rest stays as the kernel has it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    values: [Option<Value>; TABLE.len()],
}

/// An option that was set, as asked and as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The option's name.
    pub name: &'static str,
    /// What was asked for.
    pub asked: String,
    /// What the kernel says it has.
    pub got: String,
    /// What to know about the difference, and what to do.
    pub note: Option<String>,
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.got)?;
        if self.got != self.asked {
            write!(f, " (asked for {})", self.asked)?;
        }
        match &self.note {
            Some(note) => write!(f, ": {note}"),
            None => Ok(()),
        }
    }
}

/// An option that the kernel refused, or that makes no sense where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option's name.
    pub name: &'static str,
    /// What was asked for.
    pub value: String,
    /// Why it was refused and what to do.
    pub reason: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: {}", self.name, self.value, self.reason)
    }
}

impl std::error::Error for OptionError {}

impl SocketOptions {
    /// The defaults of a kind of socket. Those for what is received are left
    /// out where nobody publishes.
    pub fn defaults(transport: Transport, publishes: bool) -> Self {
        let mut options = Self::default();
        for row in TABLE.iter().filter(|row| publishes || !row.for_publishers) {
            let text = match transport {
                Transport::Tcp => row.default_tcp,
                Transport::Udp => row.default_udp,
            };
            if !text.is_empty() {
                let value = Value::parse(row, Some(text)).expect("a test parses every default");
                options.values[row.opt as usize] = Some(value);
            }
        }
        options
    }

    /// Takes one `key=value`, or a bare key; `-` and `_` are alike in keys.
    /// Answers whether the key is a socket option at all.
    ///
    /// # Errors
    /// Names the key, the value and what would be accepted.
    pub fn set(&mut self, key: &str, value: Option<&str>) -> Result<bool, String> {
        let Some(opt) = Opt::named(key) else {
            return Ok(false);
        };
        self.values[opt as usize] = Some(Value::parse(opt.row(), value)?);
        Ok(true)
    }

    /// Fills what is unset here from `lower`.
    pub fn merge_under(&mut self, lower: &Self) {
        for (mine, theirs) in self.values.iter_mut().zip(&lower.values) {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
    }

    /// The part of it that sockets of a kind have.
    pub fn only_for(&self, transport: Transport) -> Self {
        let mut kept = self.clone();
        if transport == Transport::Udp {
            for row in TABLE.iter().filter(|row| !row.udp) {
                kept.values[row.opt as usize] = None;
            }
            // All datagrams of a client must come to one shard, wherever they arrive.
            if kept.wants_own_cpu() {
                kept.values[Opt::IncomingCpu as usize] = None;
            }
        }
        kept
    }

    /// The part of it that a connection has which we make ourselves.
    pub fn only_for_calls(&self) -> Self {
        let mut kept = self.clone();
        for row in TABLE.iter().filter(|row| row.tcp == Place::Listener) {
            kept.values[row.opt as usize] = None;
        }
        kept
    }

    /// Everything asked for, in the table's order, values as a person writes
    /// them.
    pub fn asked(&self) -> impl Iterator<Item = (&'static Row, String)> {
        TABLE.iter().filter_map(|row| {
            let value = self.get(row.opt)?;
            Some((row, value.render(row)))
        })
    }

    /// True if each shard's listener is to prefer what arrives on its core:
    /// `incoming_cpu=own`. It is made a number by [`Self::on_cpu`].
    pub fn wants_own_cpu(&self) -> bool {
        matches!(self.get(Opt::IncomingCpu), Some(Value::Text(_)))
    }

    /// The options of the listener of a shard on that core, if it has one.
    #[must_use]
    pub fn on_cpu(&self, cpu: Option<usize>) -> Self {
        let mut own = self.clone();
        if let Some(cpu) = cpu
            && self.wants_own_cpu()
        {
            let number = u32::try_from(cpu).unwrap_or(u32::MAX);
            own.values[Opt::IncomingCpu as usize] = Some(Value::Number(number));
        }
        own
    }

    /// The length of the listener's queue, for `listen(2)`; as long as the
    /// kernel allows if nobody asked.
    pub fn backlog(&self) -> i32 {
        let asked = self.get(Opt::Backlog).map(Value::number);
        asked.map_or(libc::SOMAXCONN, |n| i32::try_from(n).unwrap_or(i32::MAX))
    }

    /// True if `TCP_QUICKACK` is wanted: it must be set again after each
    /// receive, because the kernel leaves that mode by itself (`tcp(7)`).
    pub fn quickack(&self) -> bool {
        self.get(Opt::QuickAck) == Some(&Value::Number(1))
    }

    /// True if the kernel is to say when it had what is received.
    pub fn is_stamped(&self) -> bool {
        self.get(Opt::Timestamp) == Some(&Value::Number(1))
    }

    /// Refuses what can't be on a listener whose clients wait for the server
    /// to speak: with `defer_accept` such a connection would never be accepted
    /// before its time is up.
    ///
    /// # Errors
    /// `defer_accept` is asked for and not off.
    pub fn check_subscribe(&self) -> Result<(), OptionError> {
        match self.get(Opt::DeferAccept) {
            None | Some(Value::Number(0)) => Ok(()),
            Some(value) => Err(OptionError {
                name: Opt::DeferAccept.row().name,
                value: value.render(Opt::DeferAccept.row()),
                reason: "a subscriber never speaks first, so it would wait in vain to be \
                         accepted: leave it out here, or say defer_accept=off"
                    .to_owned(),
            }),
        }
    }

    fn get(&self, opt: Opt) -> Option<&Value> {
        self.values[opt as usize].as_ref()
    }
}

impl fmt::Debug for SocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.asked().map(|(row, text)| (row.name, text))).finish()
    }
}
