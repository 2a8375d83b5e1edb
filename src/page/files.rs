//! Which files the page has, and what they are.

use super::File;

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

const fn file(name: &'static str, media_type: &'static str, body: &'static [u8]) -> File {
    File { name, media_type, body, is_fixed: false }
}

/// Every file, by the name that it is asked for by.
pub(super) const FILES: &[File] = &[
    file("index.html", HTML, include_bytes!("index.html")),
    file("watch.html", HTML, include_bytes!("watch.html")),
    file("style.css", CSS, include_bytes!("style.css")),
    file("list.js", JS, include_bytes!("list.js")),
    file("watch.js", JS, include_bytes!("watch.js")),
    file("live.js", JS, include_bytes!("live.js")),
    file("chart.js", JS, include_bytes!("chart.js")),
    file("player.js", JS, include_bytes!("player.js")),
    file("loader.js", JS, include_bytes!("loader.js")),
    file("text.js", JS, include_bytes!("text.js")),
    File { is_fixed: true, ..file("mpegts-1.8.2.js", JS, include_bytes!("vendor/mpegts.js")) },
    file("mpegts.LICENSE.txt", TEXT, include_bytes!("vendor/mpegts.js.LICENSE")),
];
