//! Why a connection that this server makes, to pull or push a stream, is not
//! there.

/// What a dialer could not do, or what ended its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// The name of the host could not be looked up.
    Lookup,
    /// Nobody takes connections there.
    Connect,
    /// The answer was none, or not in time.
    Answer,
    /// The other end said no, or the stream has a publisher already.
    Refused,
    /// The connection was there, and has ended.
    Broken,
}

impl DialFailure {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 5] =
        [Self::Lookup, Self::Connect, Self::Answer, Self::Refused, Self::Broken];

    /// The counter's label: `dial_failures_total{reason="..."}`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Answer => "answer",
            Self::Refused => "refused",
            Self::Broken => "broken",
        }
    }
}
