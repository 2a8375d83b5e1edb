//! From a complete request head to what it asks for.

use super::guard::{Authority, Rules};
use super::target::{Side, Target, read_query};
use super::{Denied, HttpAsk, Page, upgrade};
use crate::framing::Kind;
use crate::limits::HTTP_HEADERS;
use crate::protocol::{Body, Container, Name, Refusal};
use httparse::{EMPTY_HEADER, Header, Request, Status};

/// Checks that what has come, up to the end of the request line, is one.
pub(super) fn check_line(head: &[u8]) -> Result<(), Denied> {
    Request::new(&mut []).parse(head).map(drop).map_err(malformed)
}

/// Reads a head: request line, fields, blank line, nothing behind it.
pub(super) fn read(head: &[u8], rules: &Rules) -> Result<HttpAsk, Denied> {
    let mut headers = [EMPTY_HEADER; HTTP_HEADERS];
    let mut request = Request::new(&mut headers);
    let status = request.parse(head).map_err(malformed)?;
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(bad("the request's head is malformed"));
    };
    // The scan that found the end of the head and the parser must agree on it.
    if status != Status::Complete(head.len()) {
        return Err(bad("the request's head is malformed"));
    }
    let parts = Parts {
        target: Target::parse(target)?,
        fields: Fields { headers: request.headers },
        minor,
        rules,
    };
    parts.answer(method)
}

fn malformed(why: httparse::Error) -> Denied {
    match why {
        httparse::Error::TooManyHeaders => {
            (Refusal::HeadTooLarge, format!("more than {HTTP_HEADERS} header fields"))
        }
        httparse::Error::Version => bad("HTTP/1.1 and HTTP/1.0 are spoken here"),
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => {
            (Refusal::BadRequest, format!("this is no HTTP request: {why}"))
        }
    }
}

fn bad(text: &str) -> Denied {
    (Refusal::BadRequest, text.to_owned())
}

/// The fields of a request.
pub(super) struct Fields<'h, 'b> {
    headers: &'h [Header<'b>],
}

impl<'b> Fields<'_, 'b> {
    /// The values of every line of a field, `name` in any case.
    fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    /// The value of a field that may stand once.
    ///
    /// # Errors
    /// It stands twice, or is not text.
    pub(super) fn one(&self, name: &str) -> Result<Option<&'b str>, Denied> {
        let mut values = self.all(name);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err((Refusal::BadRequest, format!("{name} is given twice")));
        }
        text(name, value).map(Some)
    }

    /// Whether a comma-separated list, perhaps over several lines
    /// (RFC 9110 5.6.1), has `token`, in any case.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|line| line.split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

fn text<'b>(name: &str, value: &'b [u8]) -> Result<&'b str, Denied> {
    std::str::from_utf8(value)
        .map(str::trim_ascii)
        .map_err(|_| (Refusal::BadRequest, format!("{name} is not text")))
}

/// A request, taken apart.
struct Parts<'r, 'h, 'b> {
    target: Target<'b>,
    fields: Fields<'h, 'b>,
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    minor: u8,
    rules: &'r Rules,
}

impl Parts<'_, '_, '_> {
    fn answer(&self, method: &str) -> Result<HttpAsk, Denied> {
        let host = self.host()?;
        let body = self.body()?;
        let expect_continue = self.expect_continue()?;
        // Only a publisher's body is read, so behind any other body no further
        // request could be found.
        let keep_alive = self.minor == 1 && !self.fields.has_token("connection", "close");
        let free = keep_alive && body.as_ref().is_none_or(Body::is_done);
        match method {
            "GET" => self.get(host.as_ref(), false, free),
            "HEAD" => self.get(host.as_ref(), true, free),
            "PUT" | "POST" => self.publish(host.as_ref(), body, expect_continue, keep_alive),
            "OPTIONS" => Ok(HttpAsk::Preflight {
                media: self.target.path != "*" && page(self.target.path, "").is_none(),
                keep_alive: free,
            }),
            _ => Err((
                Refusal::Method,
                "GET and HEAD subscribe, PUT and POST publish; there is no other method".to_owned(),
            )),
        }
    }

    /// The server that the request is for: the target's, or `Host`, which
    /// HTTP/1.1 must have once (RFC 9112 3.2).
    fn host(&self) -> Result<Option<Authority>, Denied> {
        let host = match self.fields.one("host")? {
            None if self.minor == 1 => return Err(bad("HTTP/1.1 needs a Host field")),
            None | Some("") => None,
            Some(text) => {
                Some(Authority::parse(text).ok_or_else(|| bad("the Host field is malformed"))?)
            }
        };
        Ok(self.target.authority.clone().or(host))
    }

    /// The body's framing, RFC 9112 6.3; `None` if there is no body. What two
    /// readers could understand in two ways is refused, whoever sent it: that
    /// is how requests are smuggled past a proxy (RFC 9112 11.2).
    fn body(&self) -> Result<Option<Body>, Denied> {
        let length = self.fields.one("content-length")?;
        let mut codings = self.fields.all("transfer-encoding").peekable();
        if codings.peek().is_none() {
            return length.map(read_length).transpose();
        }
        if length.is_some() {
            return Err(bad("Content-Length beside Transfer-Encoding; send one of them"));
        }
        if self.minor == 0 {
            return Err(bad("HTTP/1.0 has no Transfer-Encoding"));
        }
        let mut chunked = 0;
        for line in codings {
            for coding in text("transfer-encoding", line)?.split(',') {
                match coding.trim_ascii() {
                    "" => return Err(bad("Transfer-Encoding is malformed")),
                    name if name.eq_ignore_ascii_case("chunked") => chunked += 1,
                    _ => {
                        return Err((
                            Refusal::Coding,
                            "the only transfer coding taken is chunked".to_owned(),
                        ));
                    }
                }
            }
        }
        match chunked {
            1 => Ok(Some(Body::chunked())),
            _ => Err(bad("the body is chunked twice")),
        }
    }

    /// Whether the client waits for `100 Continue` (RFC 9110 10.1.1; HTTP/1.0
    /// knows of no such thing).
    fn expect_continue(&self) -> Result<bool, Denied> {
        match self.fields.one("expect")? {
            None => Ok(false),
            Some(_) if self.minor == 0 => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("100-continue") => Ok(true),
            Some(_) => {
                Err((Refusal::Expectation, "the only expectation met is 100-continue".to_owned()))
            }
        }
    }

    /// The checks of everything but a plain `GET` of a stream.
    fn guard(&self, host: Option<&Authority>) -> Result<(), Denied> {
        let origins = self
            .fields
            .all("origin")
            .map(|value| text("origin", value))
            .collect::<Result<Vec<_>, _>>()?;
        self.rules.check(host, &origins)
    }

    fn get(
        &self,
        host: Option<&Authority>,
        head_only: bool,
        keep_alive: bool,
    ) -> Result<HttpAsk, Denied> {
        if let Some(stream) = live(self.target.path) {
            self.guard(host)?;
            return self.live(stream, head_only);
        }
        if let Some(page) = page(self.target.path, self.target.query) {
            let mut page = page.ok_or_else(no_page)?;
            if page != Page::Healthz {
                self.guard(host)?;
            }
            if page == Page::Root && WITH_PAGE && self.wants_html() {
                page = Page::File { name: "index.html".to_owned(), known: None };
            }
            if let Page::File { known, .. } = &mut page {
                *known = self.fields.one("if-none-match")?.map(str::to_owned);
            }
            return Ok(HttpAsk::Page { page, head_only, keep_alive });
        }
        let (name, container) = self.name()?;
        // HTTP/1.0 can't upgrade (RFC 9110 7.8), and HEAD has nothing to.
        let websocket =
            if self.minor == 1 && !head_only { upgrade::websocket(&self.fields)? } else { None };
        if websocket.is_some() {
            self.guard(host)?;
        }
        Ok(HttpAsk::Subscribe {
            ask: read_query(self.target.query, Side::Subscriber)?,
            name,
            container,
            head_only,
            websocket,
        })
    }

    /// An open page asks to be told.
    fn live(&self, stream: Option<&str>, head_only: bool) -> Result<HttpAsk, Denied> {
        let stream = stream.map(Name::parse).transpose();
        let stream = stream.map_err(|text| (Refusal::BadName, text))?;
        let can_upgrade = self.minor == 1 && !head_only;
        let websocket = if can_upgrade { upgrade::websocket(&self.fields)? } else { None };
        let websocket = websocket.ok_or_else(|| {
            let text = "this is for WebSocket; send Upgrade: websocket, version 13";
            (Refusal::WebSocketVersion, text.to_owned())
        })?;
        Ok(HttpAsk::Live { stream, websocket })
    }

    /// Whether a client would rather have a page than plain text: browsers name
    /// the type (RFC 9110 12.5.1), curl and its like do not.
    fn wants_html(&self) -> bool {
        let types = self.fields.all("accept").flat_map(|line| line.split(|byte| *byte == b','));
        let mut names = types.filter_map(|item| item.split(|byte| *byte == b';').next());
        names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"text/html"))
    }

    fn publish(
        &self,
        host: Option<&Authority>,
        body: Option<Body>,
        expect_continue: bool,
        keep_alive: bool,
    ) -> Result<HttpAsk, Denied> {
        self.guard(host)?;
        let (name, container) = self.name()?;
        let media = self.media_type()?;
        if self.fields.all("content-encoding").next().is_some()
            && !self.fields.has_token("content-encoding", "identity")
        {
            return Err((
                Refusal::MediaType,
                "streams are relayed as they come; publish without Content-Encoding".to_owned(),
            ));
        }
        let body = body.ok_or_else(|| {
            (
                Refusal::LengthRequired,
                "a publisher's body needs Transfer-Encoding: chunked or Content-Length".to_owned(),
            )
        })?;
        let ask = read_query(self.target.query, Side::Publisher)?;
        let kind = ask.framing.unwrap_or_else(|| kind(container, media));
        let range = self.fields.all("content-range").next().and_then(range_start);
        Ok(HttpAsk::Publish { name, kind, ask, body, range, expect_continue, keep_alive })
    }

    fn name(&self) -> Result<(Name, Option<Container>), Denied> {
        Name::from_path(self.target.path).map_err(|text| (Refusal::BadName, text))
    }

    /// `Content-Type` without its parameters (RFC 9110 8.3.1).
    fn media_type(&self) -> Result<&str, Denied> {
        let value = self.fields.one("content-type")?.unwrap_or("");
        Ok(value.split(';').next().unwrap_or("").trim_ascii_end())
    }
}

/// What a publisher's path says its stream is, and else its media type.
fn kind(container: Option<Container>, media: &str) -> Kind {
    match container {
        Some(Container::Ts) => Kind::Ts,
        Some(Container::Flv) => Kind::Flv,
        None if media.eq_ignore_ascii_case("video/mp2t") => Kind::Ts,
        None if media.eq_ignore_ascii_case("video/x-flv") => Kind::Flv,
        None => Kind::Auto,
    }
}

/// A length is digits and nothing else: no sign, no list (RFC 9110 8.6).
fn read_length(text: &str) -> Result<Body, Denied> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(bytes) if digits => Ok(Body::length(bytes)),
        _ => Err(bad("Content-Length is not a number of bytes")),
    }
}

/// Where `Content-Range: bytes FIRST-LAST/*` begins (RFC 9110 14.4). On a
/// request it has a meaning by private agreement alone (14.5): GStreamer's
/// souphttpclientsink sends a stream as many PUTs, each saying which part it is.
fn range_start(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let (first, _rest) = text.trim().strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

/// Whether the web page is built in.
const WITH_PAGE: bool = cfg!(feature = "page");

/// The page that a path is of: `None` if it is a stream's, `Some(None)` if it
/// lies where only pages do but is none.
fn page(path: &str, query: &str) -> Option<Option<Page>> {
    let file = |name: &str| WITH_PAGE.then(|| Page::File { name: name.to_owned(), known: None });
    if let Some(name) = path.strip_prefix("/api/streams/") {
        return Some(Name::parse(name).ok().map(Page::Stream));
    }
    if let Some(name) = path.strip_prefix("/watch/") {
        return Some(Name::parse(name).ok().and_then(|_stream| file("watch.html")));
    }
    if let Some(name) = path.strip_prefix("/api/page/") {
        return Some(file(name));
    }
    match path {
        "/" => Some(Some(Page::Root)),
        "/healthz" => Some(Some(Page::Healthz)),
        "/metrics" => Some(Some(Page::Metrics)),
        "/api/streams" if asks_who(query) => Some(Some(Page::Subscribers)),
        "/api/streams" => Some(Some(Page::Streams)),
        "/api/turns" => Some(Some(Page::Turns)),
        _ if path.starts_with("/api/") => Some(None),
        _ => None,
    }
}

fn no_page() -> Denied {
    let text = "no such page; there are /, /watch/NAME, /healthz, /metrics, /api/streams, \
                /api/streams/NAME and /api/turns";
    (Refusal::NotFound, text.to_owned())
}

/// Whether a path is that of open pages, and of which stream they are.
fn live(path: &str) -> Option<Option<&str>> {
    let rest = path.strip_prefix("/api/live").filter(|_| WITH_PAGE)?;
    match rest.strip_prefix('/') {
        None if rest.is_empty() => Some(None),
        None => None,
        Some(name) => Some(Some(name)),
    }
}

/// Whether a query has the key `subscribers`.
fn asks_who(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some("subscribers"))
}
