//! Words that every layer uses: a point in time, a position in a stream, a
//! counter. Nothing here reads a clock or touches a socket.

mod counter;
mod histogram;
mod position;
mod time;
pub mod units;

pub use counter::Counter;
pub use histogram::{Bucket, Histogram, Place, Totals};
pub use position::Position;
pub use time::{Instant, Micros};
