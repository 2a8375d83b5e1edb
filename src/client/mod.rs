//! The other end of the wire: a blocking publisher and subscriber, probe
//! stamps, and what reports need. The demo, the tools and the tests are built
//! of it, and so can other programs be; the server never is.
//!
//! ```text
//! Picture ─┐                                              ┌─▶ any io::Write
//! file ────┼─▶ pace ─▶ Publisher ═▶ server ═▶ Subscriber ─┤
//! stdin ───┘   + Stamp                                    └─▶ ProbeReader ─▶ Hist ─▶ Table
//! ```
//!
//! Every call that waits has an end, and looks at a `stop` flag ten times a
//! second.
//!
//! ```no_run
//! use nearlight::client::{ClientOptions, Subscriber, Target, subscribe};
//! use std::sync::atomic::AtomicBool;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let stop = AtomicBool::new(false); // set by a signal handler
//!     let target: Target = "http://127.0.0.1:8080/live".parse()?;
//!     let mut subscriber = Subscriber::open(&target, &ClientOptions::default(), &stop)?;
//!     let mut out = std::io::stdout().lock();
//!     subscribe(&mut subscriber, &mut out, None, None, &stop)?;
//!     Ok(())
//! }
//! ```

pub mod compare;
mod conn;
mod error;
mod feed;
pub mod hist;
mod http;
pub mod load;
pub mod pace;
pub mod picture;
pub mod ping;
pub mod probe;
mod publish;
pub mod report;
mod subscribe;
mod target;
#[cfg(test)]
mod tests;
mod udp;
pub mod watch;
mod websocket;

pub use conn::ClientOptions;
pub use error::{ClientError, ClientResult};
pub use feed::Feed;
pub use publish::{Published, Publisher, Show, publish_picture, publish_reader};
pub use subscribe::{Event, Received, Subscriber, subscribe};
pub use target::{Scheme, Target};

use std::hash::{BuildHasher, RandomState};

/// A number that nobody guesses by accident: for the token of a stream's
/// stamps. Not for secrets.
pub fn random() -> u64 {
    // Seeded by the operating system, and changed with each use.
    RandomState::new().hash_one(0)
}
