//! A server in this process: its shards, each in a thread of its own.

use super::dial::Dialers;
use super::{bind, office};
use crate::base::Instant;
use crate::config::Usage;
use crate::limits::DUMP_PAUSE;
use crate::reactor::control::Control;
use crate::reactor::peers::Peers;
use crate::reactor::plan::Plan;
use crate::reactor::seat::Seat;
use crate::reactor::site::Site;
use crate::sys::affinity;
use crate::sys::clock::Clock;
use crate::sys::process::{give_back_large_blocks, raise_nofile};
use crate::sys::wait::wake_exactly;
use std::error::Error;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A server that runs.
pub(super) struct Host {
    sites: Vec<Site>,
    peers: Arc<Peers>,
    dialers: Dialers,
    shards: Vec<JoinHandle<Result<(), String>>>,
    over: PipeReader,
    ended: usize,
    is_draining: bool,
    /// No file of turns is written before this.
    next_dump: Instant,
}

impl Host {
    /// Binds everything that `plan` asks for and starts its shards.
    ///
    /// # Errors
    /// What could not be bound, set or pinned.
    pub(super) fn start(plan: &Plan) -> Result<Self, Box<dyn Error>> {
        give_back_large_blocks();
        if let Err(why) = raise_nofile() {
            log::warn!("the limit on open files stays as it is: {why}");
        }
        for cpu in &plan.cpus {
            affinity::check(*cpu).map_err(|why| Usage(why.to_string()))?;
        }
        let seats = bind::bind(plan).map_err(|why| -> Box<dyn Error> {
            // Found before the kernel was asked, or an option that it does not take.
            if why.kind() == io::ErrorKind::InvalidInput && why.io().raw_os_error().is_none() {
                return Usage(why.to_string()).into();
            }
            why.into()
        })?;
        let first = seats.first().ok_or("no shard")?;
        let listening = first.sites().iter().take(plan.listeners.len());
        let sites: Vec<Site> = listening.cloned().collect();
        let peers = Arc::clone(first.peers());
        let directory = Arc::clone(first.directory());
        let (over, tells) = io::pipe()?;
        let office = office::open(Arc::clone(&peers), &sites)?;
        let mut shards = Vec::new();
        for (id, mut seat) in seats.into_iter().enumerate() {
            seat.order_from(office.clone());
            let (cpu, tells) = (plan.cpus.get(id).copied(), tells.try_clone()?);
            let shard = thread::Builder::new().name(format!("shard{id}"));
            shards.push(shard.spawn(move || run(seat, cpu, tells))?);
        }
        let next_dump = Instant::ZERO;
        let dialers = Dialers::start(plan, &peers, &directory)?;
        Ok(Self { sites, peers, dialers, shards, over, ended: 0, is_draining: false, next_dump })
    }

    /// Its listeners, in the order given, with their real addresses.
    pub(super) fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Goes down: nothing new starts, what is under way gets its rest. Asked
    /// once more, it ends at once.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
        self.dialers.stop();
        for shard in self.peers.ids() {
            self.peers.send(shard, Control::Drain);
        }
    }

    /// Writes what every shard's last turns did to a file, and says where.
    /// At most one a second: they are files.
    pub(super) fn dump_turns(&mut self) {
        let now = Clock::now();
        if now < self.next_dump {
            return;
        }
        self.next_dump = now + DUMP_PAUSE;
        match office::dump_turns(&self.peers) {
            Ok(path) => log::info!("the last turns: {} (ui.perfetto.dev opens it)", path.display()),
            Err(why) => log::warn!("the last turns can't be written: {why}"),
        }
    }

    /// Readable when a shard has ended, for whatever reason.
    pub(super) fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    /// A shard has ended: if it was not told to, the others are not to stay.
    /// Answers whether all have.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn is_over(&mut self) -> io::Result<bool> {
        self.ended += self.over.read(&mut [0; 64])?;
        if !self.is_draining {
            self.drain();
        }
        Ok(self.ended >= self.shards.len())
    }

    /// Waits for all shards to end.
    ///
    /// # Errors
    /// Why a shard ended before it was told to.
    ///
    /// # Panics
    /// As a shard did: nothing is known of what it left behind.
    pub(super) fn join(self) -> Result<(), String> {
        let mut outcome = Ok(());
        for shard in self.shards {
            match shard.join() {
                Ok(ended) => outcome = outcome.and(ended),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcome
    }
}

/// Tells that a shard has ended, however it did.
struct Tells(PipeWriter);

impl Drop for Tells {
    fn drop(&mut self) {
        // Nobody may listen any more.
        let _unheard = self.0.write(&[0]);
    }
}

/// One shard's thread.
fn run(seat: Seat, cpu: Option<usize>, tells: PipeWriter) -> Result<(), String> {
    let _tells = Tells(tells);
    if let Some(cpu) = cpu {
        affinity::pin_to(cpu).map_err(|why| why.to_string())?;
    }
    wake_exactly();
    let mut shard = seat.take().map_err(|why| why.to_string())?;
    shard.run().map_err(|why| format!("the event loop: {why}"))
}
