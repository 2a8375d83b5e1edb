//! What a listener says about its streams, with the defaults filled in.

use crate::framing::Kind;
use crate::limits;
use crate::protocol::{Ask, Container, Join, Policy};
use std::time::Duration;

/// Stream keys of one listener, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a publisher's frames are found.
    pub framing: Kind,
    /// Where a subscriber starts.
    pub join: Join,
    /// The bound of a subscriber's lag.
    pub max_lag: Duration,
    /// What happens past it; `None`: `close` for `raw`, `skip` otherwise.
    pub policy: Option<Policy>,
    /// How much of a stream is kept; `None`: back to the newest join point.
    pub window: Option<Duration>,
    /// How many bytes of a stream are kept at most.
    pub window_bytes: u64,
    /// How long a publisher may be silent.
    pub timeout: Duration,
    /// How long an HTTP subscriber waits for a stream that is not there.
    pub wait: Duration,
    /// How long frames may gather before they are sent; `None`: for a
    /// subscriber, as long as its stream says, and for a stream, not at all.
    pub coalesce: Option<Duration>,
    /// What a request has lowered that to.
    coalesce_most: Duration,
    /// The container that a subscriber gets who names none; `None`: the stream as
    /// it came. One that came by RTMP has no form of its own.
    pub container: Option<Container>,
}

impl Settings {
    /// A listener's keys over the defaults.
    pub fn of(ask: &Ask) -> Self {
        Self {
            framing: ask.framing.unwrap_or_default(),
            join: ask.join.unwrap_or_default(),
            max_lag: ask.max_lag.unwrap_or(limits::MAX_LAG),
            policy: ask.policy,
            window: ask.window,
            window_bytes: ask.window_bytes.unwrap_or(limits::WINDOW_BYTES),
            timeout: ask.timeout.unwrap_or(limits::PUBLISHER_SILENCE),
            wait: ask.wait.unwrap_or(Duration::ZERO).min(limits::WAIT_MAX),
            coalesce: ask.coalesce,
            coalesce_most: limits::COALESCE_MAX,
            container: None,
        }
    }

    /// What a request makes of them: it may choose, and lower, but not raise.
    pub fn lowered(&self, ask: &Ask) -> Self {
        let at_most =
            |mine: Duration, theirs: Option<Duration>| theirs.map_or(mine, |t| t.min(mine));
        Self {
            framing: ask.framing.unwrap_or(self.framing),
            join: ask.join.unwrap_or(self.join),
            max_lag: at_most(self.max_lag, ask.max_lag),
            policy: ask.policy.or(self.policy),
            window: match (self.window, ask.window) {
                (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
                (mine, None) => mine,
                (None, Some(_)) => None,
            },
            window_bytes: ask.window_bytes.map_or(self.window_bytes, |b| b.min(self.window_bytes)),
            timeout: at_most(self.timeout, ask.timeout),
            wait: ask.wait.map_or(self.wait, |wait| wait.min(limits::WAIT_MAX)),
            coalesce: self.coalesce,
            coalesce_most: at_most(self.coalesce_most, ask.coalesce),
            container: self.container,
        }
    }

    /// The same for a stream of that framing, which those who name no container
    /// get in this one.
    pub fn framed(self, framing: Kind, container: Option<Container>) -> Self {
        Self { framing, container, ..self }
    }

    /// How long the frames of a stream may gather for a subscriber of these
    /// settings.
    pub fn gathers(&self, stream: &Self) -> Duration {
        let asked = self.coalesce.or(stream.coalesce).unwrap_or_default();
        asked.min(self.coalesce_most).min(stream.coalesce_most).min(self.max_lag / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_gather_as_the_subscribers_listener_says_or_else_the_streams() {
        let ms = Duration::from_millis;
        let of = |coalesce| Settings::of(&Ask { coalesce, ..Ask::default() });
        let (open, five, zero) = (of(None), of(Some(ms(5))), of(Some(Duration::ZERO)));
        assert_eq!(open.gathers(&open), Duration::ZERO);
        assert_eq!(open.gathers(&five), ms(5));
        assert_eq!(five.gathers(&open), ms(5));
        assert_eq!(zero.gathers(&five), Duration::ZERO);
        let request = |millis| Ask { coalesce: Some(ms(millis)), ..Ask::default() };
        assert_eq!(five.lowered(&request(2)).gathers(&open), ms(2));
        assert_eq!(open.lowered(&request(2)).gathers(&five), ms(2));
        assert_eq!(open.lowered(&request(9)).gathers(&five), ms(5), "it can't be raised");
        assert_eq!(open.gathers(&five.lowered(&request(1))), ms(1), "by the publisher");
        let short = Ask { max_lag: Some(ms(4)), ..Ask::default() };
        assert_eq!(open.lowered(&short).gathers(&five), ms(2), "half of max-lag at most");
    }

    #[test]
    fn a_request_lowers_and_never_raises() {
        let listener = Settings::of(&Ask::default());
        let mut ask = Ask { max_lag: Some(Duration::from_millis(100)), ..Ask::default() };
        assert_eq!(listener.lowered(&ask).max_lag, Duration::from_millis(100));
        ask.max_lag = Some(Duration::from_secs(100));
        ask.window_bytes = Some(u64::MAX);
        ask.timeout = Some(Duration::MAX);
        assert_eq!(listener.lowered(&ask), listener);
    }
}
