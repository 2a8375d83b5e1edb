//! What a dialer says over HTTP, and what it hears: the request for a stream to
//! pull, the head of one to push.

use super::connect::{Connected, connect};
use super::{Failure, Pulled, hear};
use crate::framing::Kind;
use crate::limits::{DIAL_REDIRECTS, HTTP_INTERIM};
use crate::options::SocketOptions;
use crate::protocol::{Answer, http};
use crate::reactor::plan::{Target, Via};
use crate::report::DialFailure;
use crate::sys::clock::Clock;
use std::io::Write;
use std::time::Duration;

/// The head of a request that pushes a stream to `target`: what comes after is
/// the shard's, when it knows what kind of stream it is.
pub(super) fn push_head(target: &Target, put: bool) -> String {
    let method = if put { "PUT" } else { "POST" };
    head(method, target, "Transfer-Encoding: chunked\r\n")
}

/// The head of a request but for the line break that ends it. It is the only one
/// on its connection.
fn head(method: &str, target: &Target, fields: &str) -> String {
    let login = target.login.as_ref().map_or_else(String::new, |login| {
        format!("Authorization: Basic {}\r\n", http::base64(login.as_bytes()))
    });
    format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nearlight/{}\r\n{login}{fields}\
         Connection: close\r\n",
        target.path,
        target.authority(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Asks for a stream, and follows up to `DIAL_REDIRECTS` redirections. `timeout`
/// is how long a head may take.
pub(super) fn pull(
    target: &Target,
    options: &SocketOptions,
    timeout: Duration,
) -> Result<Pulled, Failure> {
    let mut target = target.clone();
    for _ in 0..=DIAL_REDIRECTS {
        match ask(&target, options, timeout)? {
            Asked::Stream(pulled) => return Ok(pulled),
            Asked::Elsewhere(next) => target = next,
        }
    }
    let text = format!("more than {DIAL_REDIRECTS} redirections one after the other");
    Err(Failure::new(DialFailure::Refused, text))
}

/// What a server answered to the request for a stream.
enum Asked {
    Stream(Pulled),
    Elsewhere(Target),
}

fn ask(target: &Target, options: &SocketOptions, timeout: Duration) -> Result<Asked, Failure> {
    let mut made = connect(target, options)?;
    // The stream is wanted as it is, whatever else the server could send.
    let request = head("GET", target, "Accept: */*\r\nAccept-Encoding: identity\r\n") + "\r\n";
    let until = Clock::now() + timeout;
    let failed = |why: std::io::Error| Failure::new(DialFailure::Answer, why.to_string());
    made.stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    made.stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut heard = Vec::new();
    let mut interim = 0;
    loop {
        let bad = |why| Failure::new(DialFailure::Answer, format!("no HTTP response: {why}"));
        match Answer::read(&heard).map_err(bad)? {
            Some(answer) if answer.status < 200 => {
                interim += 1;
                if interim > HTTP_INTERIM {
                    return Err(bad("no end of interim responses".to_owned()));
                }
                let length = answer.length;
                heard.drain(..length);
                continue;
            }
            Some(answer) => return understood(target, &answer, &heard, made),
            None => {}
        }
        hear(&mut made, &mut heard, until)?;
    }
}

/// What a final answer comes to; `heard` begins with its head.
fn understood(
    target: &Target,
    answer: &Answer<'_>,
    heard: &[u8],
    made: Connected,
) -> Result<Asked, Failure> {
    let refused = |text: String| Err(Failure::new(DialFailure::Refused, text));
    match (answer.status, answer.location) {
        (200, _) => {}
        (301 | 302 | 303 | 307 | 308, Some(place)) => {
            return match elsewhere(target, place) {
                Some(next) => Ok(Asked::Elsewhere(next)),
                None => refused(format!(
                    "it redirects to '{}', which is not http",
                    place.escape_default()
                )),
            };
        }
        (status, _) => return refused(format!("{}{}", answer.words(), advice(status))),
    }
    if let Some(coding) = answer.content_encoding
        && !coding.eq_ignore_ascii_case("identity")
    {
        return refused(format!("it sends the stream as '{}'", coding.escape_default()));
    }
    let media = answer.content_type.unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim_end();
    let early = heard.get(answer.length..).unwrap_or_default().to_vec();
    let is = |name: &str| media.eq_ignore_ascii_case(name);
    let kind = match () {
        () if is("video/mp2t") => Kind::Ts,
        () if is("video/x-flv") => Kind::Flv,
        () => Kind::Auto,
    };
    Ok(Asked::Stream(Pulled { made, early, body: answer.body.clone(), kind, rtmp: None }))
}

/// What to do about a status.
const fn advice(status: u16) -> &'static str {
    match status {
        401 => ": it wants a user and password, http://user:password@address/path",
        404 => ": no such stream there now; of a nearlight server wait=60s waits for it",
        _ => "",
    }
}

/// Where a redirection leads (RFC 9110 10.2.2, RFC 3986 section 5.2); none if it
/// leads out of http. User and password are for the server that they were given
/// for.
fn elsewhere(from: &Target, place: &str) -> Option<Target> {
    let place = place.split('#').next().unwrap_or_default();
    if !place.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut next = from.clone();
    let scheme = place.split_once(':').map(|(scheme, _)| scheme);
    let is_absolute = scheme.is_some_and(|scheme| !scheme.contains(['/', '?']));
    let rest = match scheme {
        Some(scheme) if is_absolute => {
            if !scheme.eq_ignore_ascii_case("http") {
                return None;
            }
            place.get("http:".len()..)?
        }
        Some(_) | None => place,
    };
    let mut base = from.path.split('?').next().unwrap_or_default();
    let path = if let Some(rest) = rest.strip_prefix("//") {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
        let bracket = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority[bracket..].rfind(':') {
            Some(colon) => {
                let (host, port) = authority.split_at(bracket + colon);
                (host, port[1..].parse().ok()?)
            }
            None => (authority, 80),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        next.host = host.to_owned();
        next.port = port;
        base = "/";
        path
    } else {
        rest
    };
    if next.host.is_empty() || next.port == 0 {
        return None;
    }
    if (&next.host, next.port) != (&from.host, from.port) {
        next.login = None;
    }
    next.via = Via::Http { put: false };
    let directory = base.rsplit_once('/').map_or("", |(directory, _)| directory);
    next.path = match path.bytes().next() {
        Some(b'/') => path.to_owned(),
        Some(b'?') | None => format!("{base}{path}"),
        Some(_) => format!("{directory}/{path}"),
    };
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            via: Via::Http { put: false },
            host: "::1".to_owned(),
            port: 8080,
            path: "/live/cam.ts?k=/x".to_owned(),
            login: Some("me:pass".to_owned()),
        }
    }

    #[test]
    fn a_redirection_leads_where_it_says_and_no_password_goes_with_it() {
        let led = |place: &str| {
            let next = elsewhere(&target(), place)?;
            let login = if next.login.is_some() { " with login" } else { "" };
            Some(format!("{}{}{login}", next.authority(), next.path))
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(led("/b?c=d:e"), is("[::1]:8080/b?c=d:e with login"));
        assert_eq!(led("b.ts#part"), is("[::1]:8080/live/b.ts with login"));
        assert_eq!(led("http://h/x"), is("h:80/x"));
        assert_eq!(led("?y"), is("[::1]:8080/live/cam.ts?y with login"));
        assert_eq!(led("HTTP://u:p@h:81?y"), is("h:81/?y"));
        assert_eq!(led("//[::2]:5"), is("[::2]:5/"));
        assert_eq!(led("http://[::1]:8080/x"), is("[::1]:8080/x with login"));
        for wrong in
            ["https://h/x", "rtmp://h/x", "http://:5/", "http://h:0/", "http://h:x/", "/a\r\nB: c"]
        {
            assert_eq!(led(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_head_of_a_push_lacks_the_line_break_that_its_first_chunk_brings() {
        let text = push_head(&target(), true);
        assert!(
            text.starts_with("PUT /live/cam.ts?k=/x HTTP/1.1\r\nHost: [::1]:8080\r\n"),
            "{text}"
        );
        assert!(text.contains("\r\nAuthorization: Basic bWU6cGFzcw==\r\n"), "{text}");
        assert!(text.ends_with("close\r\n") && !text.contains("\r\n\r\n"), "{text}");
    }
}
