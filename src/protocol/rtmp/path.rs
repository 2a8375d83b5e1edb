//! Which stream a client means: RTMP parts its name in two, the application of
//! `connect` and the key of `publish` or `play`, and programs part it in several
//! ways. Put together again they are the path of the URL.

use super::Denied;
use crate::protocol::http::{Side, read_query};
use crate::protocol::response::printable;
use crate::protocol::{Ask, Name, Refusal};

/// Keys that programs put behind a stream key for servers of others: OBS the
/// first two (a test of the line, and which of several encodings this is),
/// players of several servers the last.
const FOREIGN: [&str; 3] = ["bandwidthtest", "clientConfigId", "vhost"];

/// The name and the stream keys.
///
/// # Errors
/// [`Refusal::BadName`] or [`Refusal::BadOption`], and what is wrong.
pub(super) fn read(app: &str, key: &str, side: Side) -> Result<(Name, Ask), Denied> {
    // What is wrong is quoted.
    understood(app, key, side).map_err(|(why, text)| (why, printable(&text)))
}

fn understood(app: &str, key: &str, side: Side) -> Result<(Name, Ask), Denied> {
    let (app, app_query) = app.split_once('?').unwrap_or((app, ""));
    let (key, key_query) = key.split_once('?').unwrap_or((key, ""));
    // What ffmpeg puts before keys that end like files.
    let key = key.strip_prefix("mp4:").or_else(|| key.strip_prefix("flv:")).unwrap_or(key);
    let (app, key) = (app.trim_matches('/'), key.trim_matches('/'));
    let text = match (app, key) {
        ("", _) => key.to_owned(),
        (_, "") => app.to_owned(),
        _ => format!("{app}/{key}"),
    };
    // As in the path of an HTTP request, a container's suffix is no part of it.
    let text = text.strip_suffix(".flv").or_else(|| text.strip_suffix(".ts")).unwrap_or(&text);
    let name = Name::parse(text).map_err(|why| (Refusal::BadName, why))?;
    let ours: Vec<&str> = app_query
        .split('&')
        .chain(key_query.split('&'))
        .filter(|pair| !FOREIGN.contains(&pair.split('=').next().unwrap_or("")))
        .collect();
    let ask = read_query(&ours.join("&"), side)?;
    if ask.framing.is_some() {
        let text = "framing: what comes by RTMP is FLV; leave it out".to_owned();
        return Err((Refusal::BadOption, text));
    }
    Ok((name, ask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_name_is_the_same_however_it_is_parted() {
        for (app, key) in [
            ("live", "a"),
            ("live/", "a"),
            ("/live", "/a"),
            ("live/a", ""),
            ("", "live/a"),
            ("live", "mp4:a"),
            ("live", "a.flv"),
            ("live", "a.ts"),
            ("live?bandwidthtest", "a?vhost=x"),
        ] {
            let (name, ask) = read(app, key, Side::Publisher).unwrap();
            assert_eq!((name.as_str(), ask), ("live/a", Ask::default()), "{app} {key}");
        }
        assert_eq!(read("x/y/z", "a.b", Side::Publisher).unwrap().0.as_str(), "x/y/z/a.b");
        assert_eq!(read("", "a", Side::Subscriber).unwrap().0.as_str(), "a");
        for (app, key) in [("", ""), ("live", "a b"), ("..", "a"), ("a//b", "c"), ("api", "x")] {
            let (why, text) = read(app, key, Side::Publisher).unwrap_err();
            assert_eq!(why, Refusal::BadName, "{app} {key}: {text}");
        }
    }

    #[test]
    fn what_is_quoted_has_no_control_characters() {
        for (app, key) in [
            ("live", "a\nINJ\x1b[31m"),
            ("live\x1b[2J\r", "a"),
            ("live", "a?x\n=1"),
            ("live?max_lag=\x1b", "a"),
            ("live", "a?join=\u{9b}31m"),
        ] {
            let (_, text) = read(app, key, Side::Subscriber).unwrap_err();
            assert!(text.contains('?') && !text.contains(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn stream_keys_stand_behind_either_part() {
        let (name, ask) = read("live?max_lag=200ms", "a?join=live&_=1", Side::Subscriber).unwrap();
        assert_eq!(name.as_str(), "live/a");
        assert_eq!(ask.max_lag, Some(Duration::from_millis(200)));
        assert_eq!(ask.join, Some(crate::protocol::Join::Live));
        for (key, side) in [
            ("a?colour=red", Side::Publisher),
            ("a?max_lag=soon", Side::Subscriber),
            ("a?window=1s", Side::Subscriber),
            ("a?policy=wait", Side::Publisher),
            ("a?framing=ts", Side::Publisher),
        ] {
            let (why, text) = read("live", key, side).unwrap_err();
            assert_eq!(why, Refusal::BadOption, "{key}: {text}");
        }
    }
}
