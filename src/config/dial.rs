//! URLs of `--pull`, and of `--push` over connections: whom to connect to, and
//! what of the query is ours.
//!
//! Such a URL has a path, a user, and a query in which ours and the target's keys
//! stand side by side. Ours are those that have a meaning here. Over HTTP the
//! others are passed on as they stand, in their order; so is one of ours of which
//! a letter is percent-encoded, which means the same to the target. On TCP nobody
//! would get them, so there they are an error.

use super::listen::{STREAM_KEYS, or_help, stream_name};
use super::suggest::hint;
use super::url::{Host, parse_place, percent_decode};
use crate::options::{Place, SocketOptions, TABLE};
use crate::protocol::{Ask, Name, Policy};
use crate::reactor::plan::{Target, Via, Way};

/// Stream keys of a stream that is pulled: those of its publisher.
const PULL_KEYS: [&str; 6] =
    ["framing", "max_lag", "window", "window_bytes", "timeout", "coalesce"];
/// Stream keys of a push: those of a subscriber.
const PUSH_KEYS: [&str; 4] = ["join", "max_lag", "policy", "coalesce"];
/// The port of http (RFC 9110 4.2.1).
const HTTP_PORT: &str = "80";
/// The port of rtmp (RTMP 1.0, section 3; IANA).
const RTMP_PORT: &str = "1935";

/// A URL taken apart, no name looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DialUrl {
    /// As given, but for what may be a secret.
    pub(super) shown: String,
    pub(super) target: Target,
    pub(super) name: Name,
    pub(super) ask: Ask,
    pub(super) socket: SocketOptions,
}

/// Whether a push is over a connection: all but UDP, and what can't be read.
pub(super) fn is_dialed(push: &str) -> bool {
    let scheme = push.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("tcp" | "http" | "https" | "rtmp"))
}

/// The part of `ask` that has a meaning for a pull or push: flags go no further.
pub(super) fn applicable(way: Way, ask: &Ask) -> Ask {
    let max_lag = ask.max_lag;
    let coalesce = ask.coalesce;
    match way {
        Way::Pull => Ask {
            framing: ask.framing,
            window: ask.window,
            window_bytes: ask.window_bytes,
            timeout: ask.timeout,
            max_lag,
            coalesce,
            ..Ask::default()
        },
        Way::Push => Ask {
            join: ask.join,
            policy: ask.policy.filter(|policy| *policy != Policy::Wait),
            max_lag,
            coalesce,
            ..Ask::default()
        },
    }
}

impl DialUrl {
    pub(super) fn parse(text: &str, way: Way) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("not a URL: write {}", example(way)));
        };
        let mut via = match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Via::Tcp,
            "http" => Via::Http { put: false },
            "rtmp" if cfg!(feature = "rtmp") => Via::Rtmp,
            "rtmp" => {
                return Err(
                    "rtmp:// is not in this build: it was made without feature rtmp".to_owned()
                );
            }
            "https" => return Err("https:// is not spoken: write http://".to_owned()),
            _ => {
                let meant = hint(scheme, ["tcp", "http", "rtmp"]);
                return Err(format!(
                    "unknown scheme '{scheme}'{meant}: write tcp://, http:// or rtmp://"
                ));
            }
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("spaces and letters beyond ASCII must be percent-encoded".to_owned());
        }
        if rest.contains('#') {
            return Err("a fragment ('#') means nothing here; # itself is %23".to_owned());
        }
        let (place, path_and_query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let (login, place) = match place.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, place),
        };
        let mut keys = Keys::read(query, via, way)?;
        if keys.put.take() == Some(true) {
            via = Via::Http { put: true };
        }
        let (host, port) = whom(place, via, way)?;
        let user = match login.map(|login| login.split_once(':').ok_or(login)) {
            Some(Ok((user, _))) => format!("{user}:***@"),
            Some(Err(user)) => format!("{user}@"),
            None => String::new(),
        };
        let is_ours = |key: &str| is_ours(&key.replace('-', "_"), via, way);
        let shown = shown_path(path_and_query, via, is_ours);
        let shown = format!("{scheme}://{user}{place}{shown}");
        let path = request_path(path, &keys.passed, via)?;
        let login = login.map(|login| read_login(login, via)).transpose()?;
        let Some(name) = keys.name else {
            return Err(format!("which stream? write {}", example(way)));
        };
        let target = Target { via, host, port, path, login };
        Ok(Self { shown, target, name, ask: keys.ask, socket: keys.socket })
    }
}

/// Path and query of a URL without what may be a secret, for they stand in logs:
/// the key of an RTMP stream, which is all that a publisher needs, and the values
/// of query keys that are not ours, such as tokens.
pub(crate) fn shown_path(text: &str, via: Via, is_ours: impl Fn(&str) -> bool) -> String {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = match path.trim_end_matches('/').rsplit_once('/') {
        Some((app, _)) if via == Via::Rtmp => format!("{app}/***"),
        Some(_) | None => path.to_owned(),
    };
    let shown = |pair: &str| match pair.split_once('=') {
        _ if pair.is_empty() || is_ours(pair.split('=').next().unwrap_or_default()) => {
            pair.to_owned()
        }
        Some((key, _)) => format!("{key}=***"),
        // It may be a token as it is.
        None => "***".to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(shown).collect();
    path + if query.is_empty() { "" } else { "?" } + &pairs.join("&")
}

const fn example(way: Way) -> &'static str {
    match way {
        Way::Pull => {
            "http://address/path?stream=NAME, tcp://address:port?stream=NAME or \
             rtmp://address/app/key?stream=NAME"
        }
        Way::Push => {
            "udp://address:port?stream=NAME, tcp://address:port?stream=NAME, \
             http://address/path?stream=NAME or rtmp://address/app/key?stream=NAME"
        }
    }
}

/// Host and port; IPv6 without its brackets.
fn whom(place: &str, via: Via, way: Way) -> Result<(String, u16), String> {
    let after_address = place.rfind(']').map_or(place, |bracket| &place[bracket..]);
    let (host, port) = match via {
        Via::Http { .. } if !after_address.contains(':') => {
            parse_place(&format!("{place}:{HTTP_PORT}"))?
        }
        Via::Rtmp if !after_address.contains(':') => parse_place(&format!("{place}:{RTMP_PORT}"))?,
        Via::Http { .. } | Via::Tcp | Via::Rtmp => parse_place(place)?,
    };
    let host = match host {
        Host::Ip(ip) if !ip.is_unspecified() && !ip.is_multicast() => ip.to_string(),
        Host::Name(name) => name,
        Host::Default | Host::Ip(_) => {
            let what = if way == Way::Pull { "where from?" } else { "where to?" };
            return Err(format!("{what} write {}", example(way)));
        }
    };
    if port == 0 {
        return Err("port 0 can't be connected to: write the other end's port".to_owned());
    }
    Ok((host, port))
}

fn request_path(path: &str, passed: &str, via: Via) -> Result<String, String> {
    if via == Via::Tcp && !matches!(path, "" | "/") {
        return Err("tcp:// has no path: the connection is the stream".to_owned());
    }
    if via == Via::Rtmp && matches!(path, "" | "/") {
        return Err("which stream there? write rtmp://address/app/key?stream=NAME".to_owned());
    }
    let path = if path.is_empty() { "/" } else { path };
    Ok(if passed.is_empty() { path.to_owned() } else { format!("{path}?{passed}") })
}

/// `user:password`, decoded, as HTTP's Basic scheme wants it (RFC 7617).
fn read_login(login: &str, via: Via) -> Result<String, String> {
    if !matches!(via, Via::Http { .. }) {
        let scheme = if via == Via::Tcp { "tcp" } else { "rtmp" };
        return Err(format!("{scheme}:// has no user and password"));
    }
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (user, password) = (percent_decode(user)?, percent_decode(password)?);
    if user.contains(':') {
        return Err("the user's name can't have a colon (RFC 7617)".to_owned());
    }
    Ok(format!("{user}:{password}"))
}

/// The keys of a query, ours and theirs.
#[derive(Default)]
struct Keys {
    name: Option<Name>,
    put: Option<bool>,
    ask: Ask,
    socket: SocketOptions,
    /// What is the target's, as it stood.
    passed: String,
    seen: Vec<String>,
}

impl Keys {
    fn read(query: &str, via: Via, way: Way) -> Result<Self, String> {
        let mut keys = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (pair, None),
            };
            let known = key.replace('-', "_");
            if !is_ours(&known, via, way) {
                keys.pass(pair, &known, via, way)?;
                continue;
            }
            if keys.seen.contains(&known) {
                return Err(format!("{known}: given twice"));
            }
            let value = value.map(percent_decode).transpose()?;
            keys.take(&known, value.as_deref(), way)?;
            keys.seen.push(known);
        }
        Ok(keys)
    }

    /// Takes one of our keys.
    fn take(&mut self, key: &str, value: Option<&str>, way: Way) -> Result<(), String> {
        match key {
            "stream" => self.name = Some(stream_name(key, value)?),
            "method" => {
                self.put = Some(match value.unwrap_or_default().to_ascii_uppercase().as_str() {
                    "PUT" => true,
                    "POST" => false,
                    other => return Err(format!("method: '{other}' is neither POST nor PUT")),
                });
            }
            _ => {
                let row = TABLE.iter().find(|row| row.name == key);
                if row.is_some_and(|row| row.tcp == Place::Listener) {
                    return Err(format!("{key}: is for listeners, and this connects"));
                }
                let _is_ours = self.ask.set(key, value)? || self.socket.set(key, value)?;
                if way == Way::Push && self.ask.policy == Some(Policy::Wait) {
                    return Err("policy: a push is skip or close".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Passes on what is not ours.
    fn pass(&mut self, pair: &str, key: &str, via: Via, way: Way) -> Result<(), String> {
        if via != Via::Tcp {
            if !self.passed.is_empty() {
                self.passed.push('&');
            }
            self.passed.push_str(pair);
            return Ok(());
        }
        if STREAM_KEYS.contains(&key) {
            let what = if way == Way::Pull { "pull" } else { "push" };
            return Err(format!("{key}: has no meaning for a {what}"));
        }
        let ours = keys_of(way).iter().copied().chain(TABLE.iter().map(|row| row.name));
        let meant = hint(key, ours.chain(["stream"]));
        Err(format!("unknown key '{key}'{}", or_help(&meant)))
    }
}

const fn keys_of(way: Way) -> &'static [&'static str] {
    match way {
        Way::Pull => &PULL_KEYS,
        Way::Push => &PUSH_KEYS,
    }
}

fn is_ours(key: &str, via: Via, way: Way) -> bool {
    let is_method = key == "method" && matches!(via, Via::Http { .. }) && way == Way::Push;
    let is_option = TABLE.iter().any(|row| row.name == key);
    key == "stream" || is_method || is_option || keys_of(way).contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parsed(text: &str, way: Way) -> DialUrl {
        DialUrl::parse(text, way).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn ours_are_taken_out_and_the_rest_is_passed_on() {
        let text = "http://[::1]:8080/a%20b/c.ts?x=1%26&stream=live/cam&wait=9s&x=2&rcvbuf=1M&\
                    timeout=3s&%73tream=y&flag";
        let DialUrl { target, name, ask, socket, shown } = parsed(text, Way::Pull);
        assert_eq!(target.via, Via::Http { put: false });
        assert_eq!((target.host.as_str(), target.port), ("::1", 8080));
        assert_eq!(target.authority(), "[::1]:8080");
        assert_eq!(target.path, "/a%20b/c.ts?x=1%26&wait=9s&x=2&%73tream=y&flag");
        assert_eq!((name.as_str(), target.login), ("live/cam", None));
        let timeout = Some(Duration::from_secs(3));
        assert_eq!(ask, Ask { timeout, ..Ask::default() });
        assert_eq!(socket.asked().count(), 1);
        let masked = "http://[::1]:8080/a%20b/c.ts?x=***&stream=live/cam&wait=***&x=***&rcvbuf=1M&\
                      timeout=3s&%73tream=***&***";
        assert_eq!(shown, masked);
        // What decides over there is theirs, on a push.
        let push = parsed("http://h/cam?stream=a&framing=lines&join=live&method=put", Way::Push);
        assert_eq!(push.target.path, "/cam?framing=lines");
        assert_eq!((push.target.via, push.target.port), (Via::Http { put: true }, 80));
        assert!(push.ask.join.is_some());
        let rtmp = parsed("rtmp://h/live/x/key?stream=a&token=1&max_lag=1s", Way::Push).target;
        assert_eq!((rtmp.via, rtmp.port), (Via::Rtmp, 1935));
        assert_eq!(rtmp.app_and_key(), ("live/x", "key?token=1"));
        let bare = parsed("TCP://localhost:9/?stream=a", Way::Pull).target;
        assert_eq!(
            (bare.via, bare.host.as_str(), bare.path.as_str()),
            (Via::Tcp, "127.0.0.1", "/")
        );
    }

    #[test]
    fn a_password_is_read_and_not_shown() {
        let url = parsed("http://me:p%40ss:w@cam.example/x?stream=a&k=@", Way::Pull);
        assert_eq!(url.target.login.as_deref(), Some("me:p@ss:w"));
        assert_eq!(url.target.host, "cam.example");
        assert_eq!(url.shown, "http://me:***@cam.example/x?stream=a&k=***");
        let url = parsed("http://me@h?stream=a", Way::Pull);
        assert_eq!(url.target.login.as_deref(), Some("me:"));
        assert_eq!(url.shown, "http://me@h?stream=a");
    }

    #[test]
    fn the_key_of_an_rtmp_stream_is_used_and_not_shown() {
        for (text, app_and_key, shown) in [
            ("rtmp://h/live2/KEY?stream=a", ("live2", "KEY"), "rtmp://h/live2/***?stream=a"),
            (
                "RTMP://h:1936/a/b/KEY?auth=KEY&stream=a&max-lag=1s&KEY",
                ("a/b", "KEY?auth=KEY&KEY"),
                "RTMP://h:1936/a/b/***?auth=***&stream=a&max-lag=1s&***",
            ),
            ("rtmp://h/app/KEY/?stream=a", ("app/KEY", ""), "rtmp://h/app/***?stream=a"),
            ("rtmp://h/KEY?stream=a", ("KEY", ""), "rtmp://h/***?stream=a"),
        ] {
            for way in [Way::Pull, Way::Push] {
                let url = parsed(text, way);
                assert_eq!(url.target.app_and_key(), app_and_key, "{text}");
                assert_eq!(url.shown, shown, "{text}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let pull = "http://address/path?stream=NAME, tcp://address:port?stream=NAME or \
                    rtmp://address/app/key?stream=NAME";
        for (text, expected) in [
            ("10.0.0.1:1?stream=a", format!("not a URL: write {pull}")),
            ("tcp://h:1", format!("which stream? write {pull}")),
            ("tcp://:1?stream=a", format!("where from? write {pull}")),
            ("http://0.0.0.0/?stream=a", format!("where from? write {pull}")),
            (
                "tcp://h:0?stream=a",
                "port 0 can't be connected to: write the other end's port".into(),
            ),
            (
                "tcp://h?stream=a",
                "'h' has no port: write address:port, such as 127.0.0.1:9000, [::1]:9000 or :9000"
                    .into(),
            ),
            ("tcp://h:1/x?stream=a", "tcp:// has no path: the connection is the stream".into()),
            ("tcp://u:p@h:1?stream=a", "tcp:// has no user and password".into()),
            (
                "tcp://h:1?stream=a&tiemout=1s",
                "unknown key 'tiemout'; did you mean 'timeout'?".into(),
            ),
            ("tcp://h:1?stream=a&wait=1s", "wait: has no meaning for a pull".into()),
            ("tcp://h:1?stream=a&stream=b", "stream: given twice".into()),
            ("tcp://h:1?stream=a&backlog=5", "backlog: is for listeners, and this connects".into()),
            (
                "http://h/a b?stream=a",
                "spaces and letters beyond ASCII must be percent-encoded".into(),
            ),
            (
                "http://h/a#b?stream=a",
                "a fragment ('#') means nothing here; # itself is %23".into(),
            ),
            ("https://h/?stream=a", "https:// is not spoken: write http://".into()),
            (
                "htp://h/?stream=a",
                "unknown scheme 'htp'; did you mean 'http'?: write tcp://, http:// or rtmp://"
                    .into(),
            ),
        ] {
            assert_eq!(DialUrl::parse(text, Way::Pull).expect_err(text), expected, "{text}");
        }
        let push = |text| DialUrl::parse(text, Way::Push).expect_err(text);
        assert_eq!(push("http://h/?stream=a&method=GET"), "method: 'GET' is neither POST nor PUT");
        assert_eq!(push("tcp://h:1?stream=a&policy=wait"), "policy: a push is skip or close");
        assert_eq!(push("tcp://h:1?stream=a&window=1s"), "window: has no meaning for a push");
    }
}
