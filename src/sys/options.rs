//! Socket options: the table of what can be set, how, and what was granted.

/// The options that one listener's URL and the global flags ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {}
