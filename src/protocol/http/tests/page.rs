//! What browsers ask for: the page's files, and news over WebSocket.

use super::*;

fn file(name: &str, known: Option<&str>, head_only: bool) -> HttpAsk {
    let page = Page::File { name: name.to_owned(), known: known.map(str::to_owned) };
    HttpAsk::Page { page, head_only, keep_alive: true }
}

fn get(method: &str, path: &str, fields: &str) -> HttpAsk {
    ask(&format!("{method} {path} HTTP/1.1\r\nHost: localhost:8080\r\n{fields}"))
}

#[test]
fn who_asks_for_html_gets_the_page_and_others_plain_text() {
    const CHROME: &str =
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n";
    let plain = |head_only| HttpAsk::Page { page: Page::Root, head_only, keep_alive: true };
    for (fields, is_html) in [
        (CHROME, true),
        ("Accept: application/json, TEXT/HTML;q=0.5\r\n", true),
        ("Accept: application/json\r\nAccept: text/html\r\n", true),
        ("Accept: */*\r\n", false),
        ("Accept: text/htmlx, text/*\r\n", false),
        ("", false),
    ] {
        for (method, head_only) in [("GET", false), ("HEAD", true)] {
            let wanted =
                if is_html { file("index.html", None, head_only) } else { plain(head_only) };
            assert_eq!(get(method, "/", fields), wanted, "{fields}");
        }
    }
    assert_eq!(get("GET", "/watch/live/cam", ""), file("watch.html", None, false));
    let known = "If-None-Match: \"a\"\r\n";
    assert_eq!(get("GET", "/api/page/x.js", known), file("x.js", Some("\"a\""), false));
    assert_eq!(
        get("GET", "/", &format!("{CHROME}{known}")),
        file("index.html", Some("\"a\""), false)
    );
    for path in ["/watch/a", "/api/page/x.js", "/api/live"] {
        is_refused(&format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n"), Refusal::Host);
    }
}

#[test]
fn pages_ask_for_news_over_websocket_alone() {
    let on = |path: &str| WEBSOCKET.replace("/live/a?join=live", path);
    let websocket = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned();
    let wanted = HttpAsk::Live { stream: None, websocket: websocket.clone() };
    assert_eq!(ask(&on("/api/live")), wanted);
    let wanted = HttpAsk::Live { stream: Some(name("live/cam")), websocket };
    assert_eq!(ask(&on("/api/live/live/cam")), wanted);
    is_refused(&on("/api/live/"), Refusal::BadName);
    is_refused(&on("/api/lives"), Refusal::NotFound);
    let foreign = on("/api/live").replace("http://127.0.0.1:8080", "http://evil.example");
    is_refused(&foreign, Refusal::Origin);
    is_refused(&on("/api/live").replace("HTTP/1.1", "HTTP/1.0"), Refusal::WebSocketVersion);
    is_refused("GET /api/live HTTP/1.1\r\nHost: localhost:8080\r\n", Refusal::WebSocketVersion);
}
