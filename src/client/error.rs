//! What can go wrong for a client, in words that say what was tried, where,
//! and why it failed.

use std::fmt;
use std::io;
use std::time::Duration;

/// A client's failure.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The kernel refused, or the peer broke off.
    Io {
        /// What was tried, and on what.
        what: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// An HTTP server said no.
    Refused {
        /// The URL.
        target: String,
        /// The status code.
        status: u16,
        /// Reason phrase, and what the server had to say beside it.
        reason: String,
    },
    /// The peer broke its protocol.
    Protocol {
        /// How.
        what: String,
    },
    /// Nothing happened for too long.
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The target can't be used for this.
    Target(
        /// Why, and what to do.
        String,
    ),
    /// The caller's `stop` was set.
    Stopped,
}

/// What a client's calls answer.
pub type ClientResult<T> = Result<T, ClientError>;

impl ClientError {
    /// `what` failed with `source`.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol { what: what.into() }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::Refused { target, status, reason } => {
                write!(f, "{target}: the server answered {status} {reason}")?;
                match status {
                    409 => write!(f, " (the name has a publisher already)"),
                    404 => write!(f, " (no such stream; add ?wait=10s to wait for it)"),
                    _ => Ok(()),
                }
            }
            Self::Protocol { what } | Self::Target(what) => f.write_str(what),
            Self::Timeout { what, after } => {
                write!(f, "{what}: nothing for {} ms", after.as_millis())
            }
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Refused { .. }
            | Self::Protocol { .. }
            | Self::Timeout { .. }
            | Self::Target(_)
            | Self::Stopped => None,
        }
    }
}
