//! Virtual time. It is a thread's own, because `Turn` takes a plain function,
//! and because seeds run side by side.

use nearlight::base::Instant;
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// What `Turn` reads.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(NOW.get())
}

/// Starts over, away from zero.
pub(crate) fn reset() {
    NOW.set(1_000_000_000);
}

pub(crate) fn advance(span: Duration) {
    NOW.set(NOW.get() + span.as_nanos() as u64);
}
