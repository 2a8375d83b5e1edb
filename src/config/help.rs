//! Help texts. The socket options come from their table, so that a new one
//! can't be missing here.

use crate::options::{Kind, Row, TABLE};
use std::fmt::Write;

const OVERVIEW: &str = "\
nearlight: a live-stream server that adds microseconds, with a delay that cannot grow

  nearlight serve [flags]        relay streams
  nearlight demo [--seconds N]   server, publisher and subscribers with a live latency table
  nearlight options              socket options, and what this kernel grants
  nearlight check --config FILE  say what is wrong with a file, with the line
  nearlight --version

Try it:
  nearlight demo
  nearlight serve                listens on loopback: HTTP 8080, RTMP 1935, TCP 9000 and 9001,
                                 UDP 9000
  ffmpeg -re -i film.mp4 -c copy -f mpegts tcp://127.0.0.1:9000
  ffplay -fflags nobuffer http://127.0.0.1:8080/live

nearlight COMMAND --help says more.
";

const SERVE: &str = "\
nearlight serve: relay live streams

Where:
  --listen URL...      what listens; without it HTTP 8080, RTMP 1935, TCP 9000 (publish live) and
                       9001 (subscribe live), UDP 9000 (publish live), echo on 7007, on loopback
  --pull URL...        fetch a stream from elsewhere, again and again, and publish it here
  --push URL...        send a stream elsewhere, whenever it is live
  --host ADDR          address of the default listeners and of URLs without one
  --config FILE        the same settings from a TOML file; flags win over it
  --allow-host NAME... a name that browsers may reach the server by

URLs: scheme://address:port[?key=value&...]
  http://A:P                  PUT or POST /NAME publishes, GET /NAME subscribes; pages at /
  rtmp://A:P                  rtmp://A:P/APP/KEY publishes and plays stream APP/KEY (OBS: server
                              rtmp://A:P/APP, stream key KEY)
  tcp://A:P?publish=NAME      what a client sends is stream NAME
  tcp://A:P?subscribe=NAME    a client that connects gets stream NAME
  udp://A:P?publish=NAME      datagrams are stream NAME; group= and iface= for multicast
  udp://A:P?subscribe=NAME    a datagram asks to join; handshake=off trusts the network
  tcp://A:P?echo, udp://A:P?echo
  udp://A:P?stamp             STAMP reflector (RFC 8762): says when it had what it answers

Pulls and pushes: scheme://address:port/path?stream=NAME[&key=value...]
  --pull http://A/PATH?stream=NAME   GET; the response is stream NAME; user:password@ is sent
  --pull tcp://A:P?stream=NAME       what comes on a connection to there
  --pull rtmp://A/APP/KEY?stream=NAME   what is played there
  --push udp://A:P?stream=NAME       datagrams, unicast or multicast (ttl=4, iface=eth0)
  --push tcp://A:P?stream=NAME       the stream's bytes on a connection to there
  --push http://A/PATH?stream=NAME   POST in chunks; method=PUT
  --push rtmp://A/APP/KEY?stream=NAME   publishes there
  stream, method, socket options and stream keys with a meaning here are taken out of the query
  (of a pull framing, max_lag, window, window_bytes, timeout, coalesce; of a push join, max_lag,
  policy, coalesce). Over HTTP the rest is passed on, and what has a letter percent-encoded:
  %73tream=x. After a failure it is tried again in 0.25 s at first, 8 s at last. Of several pulls
  of one NAME the first that can be had is it.

How:
  --cpus LIST          one shard for each of these cores, pinned to it: 2,3 or 0-3
  --idle MODE          block (default), spin, or adaptive[:MICROSECONDS]
  -v, -q               say more, say less, on stderr; twice for more yet

Stream keys, as flags or on a URL:
  --max-lag DUR        no subscriber falls further behind than this (500ms)
  --join WHERE         auto (default), last-key, next-key or live
  --policy WHAT        past max-lag: skip (default) or close
  --framing KIND       auto (default), ts, flv, raw, lines, len32 or datagram
  --window DUR         how much of a stream to keep; --window-bytes SIZE caps it (64M)
  --timeout DUR        a publisher silent for this long is ended (10s), so is a pull
  --wait DUR           how long a subscriber waits for a stream that is not there
  --coalesce DUR       how long frames may gather before they are sent (0); 100ms at most
";

const SERVE_EXAMPLES: &str = "
Values on a URL win over flags, flags over the file. Sizes: 64K, 4M. Durations: 20us, 5ms, 2s.

Examples:
  nearlight serve --host 0.0.0.0 --max-lag 200ms
  nearlight serve --listen 'tcp://:9000?publish=cam&quickack' --listen 'http://:8080?cc=reno'
  nearlight serve --cpus 2-3 --idle spin --push 'udp://239.1.1.1:5000?stream=live&ttl=4'
  nearlight serve --pull 'http://origin:8080/cam?wait=60s&stream=cam&timeout=70s'

stdout has a line 'listening URL' for each listener, then 'ready'; the rest goes to stderr.
Exit codes: 0 done, 1 failed while running, 2 wrong usage or configuration.
";

const DEMO: &str = "\
nearlight demo: server, publisher and subscribers in one process, on loopback, with a live
latency table

  --seconds N          how long to run; 0 runs until Ctrl-C
  --cpus LIST          one shard for each of these cores, pinned to it: 2,3 or 0-3
  --idle MODE          block (default), spin, or adaptive[:MICROSECONDS]
  -v, -q               say more, say less

Stream keys and socket options are those of nearlight serve.

Examples:
  nearlight demo --seconds 10
  nearlight demo --idle spin --cpus 1 --max-lag 100ms
";

const OPTIONS: &str = "\
nearlight options: every socket option with its kernel constant, manual page, default, what this
kernel grants (tried on throw-away sockets) and the privilege it takes

  --json               for programs
  --markdown           without what depends on the machine
";

const CHECK: &str = "\
nearlight check --config FILE: say what is wrong with a configuration file, with the line,
and what this machine, and your rights on it, would refuse

The file is TOML, with the names of the flags of nearlight serve:

  listen = [\"http://:8080\", \"udp://:5000?publish=cam\"]
  cpus = \"2,3\"
  max_lag = \"250ms\"
  nodelay = true

Exit codes: 0 nothing is wrong, 2 something is.
";

/// `nearlight --help`
pub(super) fn overview() -> String {
    OVERVIEW.to_owned()
}

/// `nearlight help TOPIC`
pub(super) fn of(topic: &str) -> String {
    match topic {
        "serve" => serve(),
        "demo" => demo(),
        "options" => options(),
        "check" => check(),
        _ => overview(),
    }
}

/// `nearlight serve --help`
pub(super) fn serve() -> String {
    let mut text = SERVE.to_owned();
    text.push_str("\nSocket options, as flags or on a URL (nearlight options says more):\n");
    for row in &TABLE {
        let flag = format!("--{} {}", row.name.replace('_', "-"), placeholder(row));
        writeln!(text, "  {flag:<20} {}{}", row.purpose, default_of(row))
            .expect("a String takes every write");
    }
    text.push_str(SERVE_EXAMPLES);
    text
}

/// `nearlight demo --help`
pub(super) fn demo() -> String {
    DEMO.to_owned()
}

/// `nearlight options --help`
pub(super) fn options() -> String {
    OPTIONS.to_owned()
}

/// `nearlight check --help`
pub(super) fn check() -> String {
    CHECK.to_owned()
}

const fn placeholder(row: &Row) -> &'static str {
    match row.kind {
        Kind::Switch => "on|off",
        Kind::Size => "SIZE",
        Kind::Span { .. } => "DUR",
        Kind::Number => "N",
        Kind::Dscp => "CLASS",
        Kind::Text => "NAME",
    }
}

fn default_of(row: &Row) -> String {
    match (row.default_tcp, row.default_udp) {
        ("", "") => String::new(),
        ("", udp) => format!(" [{udp} on UDP]"),
        (tcp, _) => format!(" [{tcp}]"),
    }
}
