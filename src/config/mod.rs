//! Command line and configuration file, parsed once into types.
//!
//! ```text
//! arguments ─ flags ─┐                       ┌ listen: URL → service, keys
//!                    ├─ settings ─ settle ───┤
//! --config ─ file ───┘                       └ Plan: all that a server needs
//! ```
//!
//! A value on a URL wins over the flags, those over the file, those over the
//! defaults. Everything wrong is found before a socket is opened, and said with
//! what, where and what to do.

mod dial;
mod file;
mod flags;
mod help;
mod listen;
mod settings;
mod show;
mod suggest;
pub mod url;

#[cfg(test)]
mod tests;

pub(crate) use dial::shown_path;
pub use flags::parse;
pub use show::{options_json, options_markdown, options_table, run_options};

use crate::options::{SocketOptions, Transport};
use crate::protocol::Ask;
use crate::reactor::plan::{Idle, Plan, Way};
use crate::sys::affinity;
use log::LevelFilter;
use std::fmt;
use std::path::{Path, PathBuf};

/// What to do.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made, at the start of the process")]
pub enum Command {
    /// `nearlight serve`
    Serve(Serve),
    /// `nearlight demo`
    Demo(Demo),
    /// `nearlight options`
    Options(Format),
    /// `nearlight check --config FILE`
    Check {
        /// The file to look at.
        file: PathBuf,
    },
    /// `--help` after whichever command: print this on stdout.
    Help(String),
    /// `--version`
    Version,
}

/// `nearlight serve`.
#[derive(Clone, Debug)]
pub struct Serve {
    /// What to serve, complete: flags, file and defaults merged.
    pub plan: Plan,
    /// How much to log.
    pub level: LevelFilter,
}

/// `nearlight demo`: it chooses its own listeners, on loopback.
#[derive(Clone, Debug)]
pub struct Demo {
    /// `--seconds`: how long to run; 0 until Ctrl-C.
    pub seconds: Option<u64>,
    /// Cores to pin one shard each to; empty: one shard, not pinned.
    pub cpus: Vec<usize>,
    /// What a shard does with no work.
    pub idle: Idle,
    /// Stream keys, for every listener of the demo.
    pub ask: Ask,
    /// Socket options, for every listener of the demo; no defaults merged in.
    pub socket: SocketOptions,
    /// How much to log.
    pub level: LevelFilter,
}

/// How `nearlight options` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    Table,
    /// For programs.
    Json,
    /// For the README: what does not depend on the machine.
    Markdown,
}

/// A wrong command line or file, in words; the process exits with 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage(pub String);

impl Usage {
    /// The exit code that goes with it.
    pub const EXIT_CODE: u8 = 2;
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Reads the file as `serve` would, and answers with a line that says so.
///
/// # Errors
/// What is wrong with it, with file and line.
pub fn run_check(path: &Path) -> Result<String, Usage> {
    let settings = file::read(path).map_err(Usage)?;
    let plan = settings.settle(settings::Settings::default()).map_err(Usage)?;
    try_out(&plan).map_err(|why| Usage(format!("{}: {why}", path.display())))?;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let pulls = plan.dials.iter().filter(|dial| dial.way == Way::Pull).count();
    let pushes = match plan.pushes.len() + plan.dials.len() - pulls {
        0 => "no pushes".to_owned(),
        1 => "1 push".to_owned(),
        n => format!("{n} pushes"),
    };
    let pulls = if pulls == 0 { String::new() } else { format!(", {}", count(pulls, "pull")) };
    let listeners = count(plan.listeners.len(), "listener");
    Ok(format!("{}: OK: {listeners}, {pushes}{pulls}", path.display()))
}

/// What this machine refuses of a plan, though it is well written.
fn try_out(plan: &Plan) -> Result<(), String> {
    for cpu in &plan.cpus {
        affinity::check(*cpu).map_err(|why| why.to_string())?;
    }
    for listen in &plan.listeners {
        let own = listen.socket.on_cpu(plan.cpus.first().copied());
        let transport = if listen.service.is_tcp() { Transport::Tcp } else { Transport::Udp };
        let tried = own.try_out(transport, listen.addr.is_ipv6());
        tried.map_err(|why| format!("{}: {why}", listen.url))?;
    }
    for dial in &plan.dials {
        let tried = dial.socket.try_out(Transport::Tcp, false);
        tried.map_err(|why| format!("{}: {why}", dial.url))?;
    }
    for push in &plan.pushes {
        let tried = push.socket.try_out(Transport::Udp, push.to.is_ipv6());
        tried.map_err(|why| format!("{}: {why}", push.url))?;
    }
    Ok(())
}
