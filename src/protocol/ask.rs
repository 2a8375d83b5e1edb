//! What a listener's URL or a request's query says about a stream: one table
//! of keys, read in both places.

use crate::base::units::{format_duration, parse_duration, parse_size};
use crate::framing::Kind;
use crate::limits::{COALESCE_MAX, WAIT_MAX};
use std::time::Duration;

/// Where a subscriber starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// The newest join point if it is younger than max-lag, else the next one.
    #[default]
    Auto,
    /// The newest join point in the ring, however old.
    LastKey,
    /// The next join point to come.
    NextKey,
    /// The next frame, whatever it holds.
    Live,
}

/// What happens to a subscriber whose lag passes max-lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Jump forward to the newest join point.
    Skip,
    /// End the subscriber.
    Close,
    /// Stop reading the publisher until it has caught up. Publish listeners
    /// alone may say so.
    Wait,
}

/// The stream keys that a URL or a query gave; `None` where it was silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// How frames are found.
    pub framing: Option<Kind>,
    /// Where to start.
    pub join: Option<Join>,
    /// The bound of a subscriber's lag.
    pub max_lag: Option<Duration>,
    /// What to do past it.
    pub policy: Option<Policy>,
    /// How much of the stream to keep.
    pub window: Option<Duration>,
    /// How many bytes of it at most.
    pub window_bytes: Option<u64>,
    /// How long a publisher may be silent.
    pub timeout: Option<Duration>,
    /// How long a subscriber waits for a stream that is not there.
    pub wait: Option<Duration>,
    /// How long frames may gather before they are sent.
    pub coalesce: Option<Duration>,
}

impl Ask {
    /// Takes one `key=value`; `-` and `_` are alike in keys. Answers whether
    /// the key is a stream key at all.
    ///
    /// # Errors
    /// Names the key, the value and what would be accepted.
    pub fn set(&mut self, key: &str, value: Option<&str>) -> Result<bool, String> {
        let key = key.replace('-', "_");
        let text = value.unwrap_or("");
        let span = || parse_duration(text).map_err(|why| format!("{key}: {why}"));
        match key.as_str() {
            "framing" => {
                self.framing = Some(pick(
                    &key,
                    text,
                    &[
                        ("auto", Kind::Auto),
                        ("raw", Kind::Raw),
                        ("ts", Kind::Ts),
                        ("flv", Kind::Flv),
                        ("lines", Kind::Lines),
                        ("len32", Kind::Len32),
                        ("datagram", Kind::Datagram),
                    ],
                )?);
            }
            "join" => {
                self.join = Some(pick(
                    &key,
                    text,
                    &[
                        ("auto", Join::Auto),
                        ("last-key", Join::LastKey),
                        ("next-key", Join::NextKey),
                        ("live", Join::Live),
                    ],
                )?);
            }
            "policy" => {
                self.policy = Some(pick(
                    &key,
                    text,
                    &[("skip", Policy::Skip), ("close", Policy::Close), ("wait", Policy::Wait)],
                )?);
            }
            "max_lag" => self.max_lag = Some(positive(&key, span()?)?),
            "window" => self.window = Some(span()?),
            "timeout" => self.timeout = Some(positive(&key, span()?)?),
            "wait" => self.wait = Some(at_most(WAIT_MAX, &key, span()?)?),
            "coalesce" => self.coalesce = Some(at_most(COALESCE_MAX, &key, span()?)?),
            "window_bytes" => {
                self.window_bytes = Some(parse_size(text).map_err(|why| format!("{key}: {why}"))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn at_most(most: Duration, key: &str, span: Duration) -> Result<Duration, String> {
    if span > most {
        return Err(format!("{key}: at most {}", format_duration(most)));
    }
    Ok(span)
}

fn positive(key: &str, span: Duration) -> Result<Duration, String> {
    if span.is_zero() {
        return Err(format!("{key}: must be more than zero"));
    }
    Ok(span)
}

fn pick<T: Copy>(key: &str, text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, choice)) =
        choices.iter().find(|(name, _)| name.replace('-', "_") == text.replace('-', "_"))
    {
        return Ok(*choice);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    Err(format!("{key}: '{text}' is none of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_values_and_refusals() {
        let mut ask = Ask::default();
        assert_eq!(ask.set("max-lag", Some("250ms")), Ok(true));
        assert_eq!(ask.set("join", Some("last_key")), Ok(true));
        assert_eq!(ask.set("nodelay", None), Ok(false));
        assert_eq!(ask.max_lag, Some(Duration::from_millis(250)));
        assert_eq!(ask.join, Some(Join::LastKey));
        for (key, value) in
            [("max_lag", "0"), ("join", "soon"), ("framing", ""), ("window_bytes", "x")]
        {
            let why = ask.set(key, Some(value)).expect_err(key);
            assert!(why.starts_with(key), "{why}");
        }
    }
}
