//! Ctrl-C, SIGTERM and the end of a set time, as a flag that the measuring
//! thread looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nearlight::base::Instant;
use nearlight::sys::clock::Clock;
use nearlight::sys::process::Signals;

/// Numbers of signal(7), the same on every Linux.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// How soon a signal is noticed.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// Whether somebody wants us to end.
pub(crate) struct Stop {
    signals: Option<Signals>,
    flag: Arc<AtomicBool>,
}

impl Stop {
    /// Takes over the two signals, in this thread and those it starts later.
    pub(crate) fn new() -> Self {
        Self {
            // Without, the signals end the process as they always do.
            signals: Signals::new(&[SIGINT, SIGTERM]).ok(),
            flag: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The flag, for other threads.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Whether somebody wants us to end.
    pub(crate) fn is_set(&self) -> bool {
        self.look();
        self.flag.load(Ordering::Relaxed)
    }

    /// Has a thread do what can't be interrupted: looking up names, connecting.
    /// `None`: somebody wants us to end before it is done; or it panicked.
    pub(crate) fn unless<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = sync_channel(1);
        thread::spawn(move || sender.send(work()));
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(done) => return Some(done),
                Err(RecvTimeoutError::Timeout) if !self.is_set() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Sets the flag if a signal has come.
    pub(crate) fn look(&self) {
        let signals = self.signals.as_ref();
        while signals.and_then(Signals::read).is_some() {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    /// Waits for a thread that looks at the flag, which is set at `until` at
    /// the latest. `None`: it panicked.
    pub(crate) fn wait<T>(&self, thread: JoinHandle<T>, until: Option<Instant>) -> Option<T> {
        self.wait_showing(thread, until, |_| {})
    }

    /// The same, and calls `show` at each look.
    pub(crate) fn wait_showing<T>(
        &self,
        thread: JoinHandle<T>,
        until: Option<Instant>,
        mut show: impl FnMut(Instant),
    ) -> Option<T> {
        while !thread.is_finished() {
            thread::park_timeout(LOOK);
            self.look();
            let now = Clock::now();
            if until.is_some_and(|until| now >= until) {
                self.flag.store(true, Ordering::Relaxed);
            }
            show(now);
        }
        thread.join().ok()
    }
}
