//! Streams, and who publishes and subscribes to them.
//!
//! What decides lives here as plain functions over a window and a time: where
//! a subscriber starts ([`subscriber`]), how far behind it is and what happens
//! then, what a stream keeps ([`stream`]), who owns a name ([`directory`]).
//! Nothing here has a socket or a clock.

pub mod branch;
pub mod datagrams;
pub mod directory;
pub mod egress;
pub mod held;
pub mod settings;
pub mod stream;
pub mod subscriber;
#[cfg(test)]
mod tests;
pub mod view;

pub use branch::{Branches, Followed, Inlet};
pub use directory::{Claim, Directory, Found, ShardId, Waiter};
pub use egress::Form;
pub use held::Held;
pub use settings::Settings;
pub use stream::{Stream, StreamStats};
pub use subscriber::{Subscriber, Verdict};
pub use view::View;
