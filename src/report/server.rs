//! What a server is beside its shards.

use std::time::Duration;

/// The process, and what its listeners are called.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Each listener's label in metrics, in the order given.
    pub listeners: Vec<String>,
    /// The process; `None`: nobody has looked.
    pub vitals: Option<Vitals>,
}

/// What the kernel says of the process.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    /// When it began, in nanoseconds after 1970 began.
    pub started: u64,
    /// Processor time that all its threads have used.
    pub cpu: Duration,
    /// Bytes of its memory that are in RAM.
    pub resident_bytes: Option<u64>,
    /// Its open descriptors.
    pub open_fds: Option<u64>,
    /// How many it may have.
    pub max_fds: Option<u64>,
}
