//! URLs of listeners and pushes: services, refusals in words, no panic.

use super::*;
use crate::config::listen::{Listener, STREAM_KEYS, Target};
use crate::config::settings::{self, Settings};
use crate::protocol::Name;

#[test]
fn every_stream_key_is_known_where_streams_are_parsed() {
    for key in STREAM_KEYS {
        let outcome = Ask::default().set(key, Some("nonsense"));
        assert_ne!(outcome, Ok(false), "{key}");
    }
}

#[test]
fn urls_make_services() {
    let service =
        |text: &str| Listener::parse(text).unwrap_or_else(|why| panic!("{text}: {why}")).service;
    let name = Name::parse("live/cam").unwrap();
    let udp = |group: Option<&str>, iface: Option<&str>| Service::UdpPublish {
        name: Name::parse("live/cam").unwrap(),
        group: group.map(|ip| ip.parse().unwrap()),
        iface: iface.map(str::to_owned),
    };
    for (text, expected) in [
        ("http://:8080", Service::Http),
        ("http://:8080/?policy=wait&backlog=9", Service::Http),
        #[cfg(feature = "rtmp")]
        ("rtmp://:1935/?max_lag=1s&nodelay=off", Service::Rtmp),
        ("tcp://:1?echo", Service::TcpEcho),
        ("udp://:1?echo=on&rcvbuf=1M", Service::UdpEcho),
        ("udp://:1?stamp&timestamp=off", Service::UdpStamp),
        ("udp://:1?echo&stamp=off", Service::UdpEcho),
        ("tcp://:1?publish=live%2fcam&policy=wait", Service::TcpPublish { name: name.clone() }),
        ("tcp://:1?subscribe=live/cam&join=live", Service::TcpSubscribe { name: name.clone() }),
        ("udp://:1?publish=live/cam&framing=lines", udp(None, None)),
        (
            "udp://:1?publish=live/cam&group=239.1.1.1&iface=eth0",
            udp(Some("239.1.1.1"), Some("eth0")),
        ),
        ("udp://[::]:1?publish=live/cam&group=ff02::5", udp(Some("ff02::5"), None)),
        // A multicast address is a group to join.
        ("udp://239.1.1.2:1?publish=live/cam", udp(Some("239.1.1.2"), None)),
        (
            "udp://:1?subscribe=live/cam",
            Service::UdpSubscribe { name: name.clone(), handshake: true },
        ),
        (
            "udp://:1?subscribe=live/cam&handshake=off",
            Service::UdpSubscribe { name, handshake: false },
        ),
    ] {
        assert_eq!(service(text), expected, "{text}");
    }
}

/// Listener URLs that must be refused, and in which words.
const WRONG_LISTENERS: &[(&str, &str)] = &[
    ("tcp://:1", "none of publish=NAME, subscribe=NAME and echo: a tcp listener does exactly one"),
    (
        "udp://:1?echo=off",
        "none of publish=NAME, subscribe=NAME, echo and stamp: a udp listener does exactly one",
    ),
    (
        "tcp://:1?publish=a&echo",
        "more than one of publish=NAME, subscribe=NAME and echo: a tcp listener does exactly one",
    ),
    (
        "http://:1?publish=a",
        "publish, subscribe, echo and stamp are not for http, where each request names its stream",
    ),
    #[cfg(feature = "rtmp")]
    (
        "rtmp://:1?subscribe=a",
        "publish, subscribe, echo and stamp are not for rtmp, where each request names its stream",
    ),
    #[cfg(feature = "rtmp")]
    ("rtmp://:1?framing=raw", "framing: RTMP has a framing of its own"),
    ("tcp://:1?publish", "publish: which stream? write publish=NAME"),
    ("tcp://:1?publish=", "publish: the stream's name is empty"),
    (
        "tcp://:1?subscribe=a//b",
        "subscribe: stream name 'a//b': begins or ends with '/', or has '//'",
    ),
    ("tcp://:1?subscribe=%2e%2e", "subscribe: stream name '..': a part may not be '..'"),
    (
        "tcp://:1?publish=api/x",
        "publish: 'api/x' is reserved for the server's own pages; choose another stream name",
    ),
    ("tcp://:1?publish=a&publish=b", "publish: given twice"),
    ("tcp://:1?publish=a&coalesce=101ms", "coalesce: at most 100ms"),
    ("http://:1?wait=61s", "wait: at most 60s"),
    ("udp://:1?echo&incoming_cpu=own", "incoming_cpu=own: is for TCP, and this is UDP"),
    ("tcp://:1?publsh=a", "unknown key 'publsh'; did you mean 'publish'?"),
    ("tcp://:1?echo&no-delay", "unknown key 'no_delay'; did you mean 'nodelay'?"),
    ("tcp://:1?echo&colour=red", "unknown key 'colour': nearlight serve --help lists them"),
    ("tcp://:1?echo=2", "echo: '2' is not on, off, 1 or 0"),
    ("tcp://:1?publish=a&group=239.1.1.1", "group: only on udp://..?publish=NAME"),
    ("tcp://:1?publish=a&iface=eth0", "iface: only on udp://..?publish=NAME and --push"),
    ("udp://:1?publish=a&iface=eth0", "iface: says where to join a group, so group= is needed too"),
    (
        "udp://:1?publish=a&group=239.1.1.1&iface=a/b",
        "iface: 'a/b' is neither an interface's name nor its address, such as eth0",
    ),
    (
        "udp://:1?publish=a&group=10.0.0.1",
        "group: '10.0.0.1' is not a multicast address (224.0.0.0/4 or ff00::/8), such as 239.1.1.1",
    ),
    (
        "udp://[::1]:1?publish=a&group=239.1.1.1",
        "group: 239.1.1.1 and ::1 are not of the same IP version",
    ),
    (
        "tcp://239.1.1.1:1?echo",
        "239.1.1.1 is a multicast group: only udp://..?publish=NAME can join one",
    ),
    ("tcp://:1?subscribe=a&handshake=off", "handshake: only on udp://..?subscribe=NAME"),
    (
        "udp://:1?subscribe=a&stream=b",
        "stream: belongs to --pull and --push; a listener says publish=NAME or subscribe=NAME",
    ),
    (
        "tcp://:1?subscribe=a&policy=wait",
        "policy=wait: only on tcp://..?publish=NAME and http://, whose owner lets it hold back the publisher; here it is skip or close",
    ),
    (
        "udp://:1?publish=a&policy=wait",
        "policy=wait: only on tcp://..?publish=NAME and http://, whose owner lets it hold back the publisher; here it is skip or close",
    ),
    (
        "udp://:1?publish=a&framing=flv",
        "framing=flv: FLV doesn't go over UDP; publish it over tcp:// or http://",
    ),
    ("tcp://:1?subscribe=a&window=2s", "window: belongs where the stream is published"),
    ("tcp://:1?echo&max_lag=2s", "max_lag: an echo has no stream"),
    ("tcp://:1?stamp", "stamp: STAMP (RFC 8762) goes over UDP: udp://address:port?stamp"),
    (
        "udp://:1?echo&stamp",
        "more than one of publish=NAME, subscribe=NAME, echo and stamp: a udp listener does exactly one",
    ),
    ("udp://:1?stamp=862", "stamp: '862' is not on, off, 1 or 0"),
    ("udp://:1?stamp&max_lag=2s", "max_lag: a STAMP reflector has no stream"),
    (
        "udp://239.1.1.1:1?stamp",
        "239.1.1.1 is a multicast group: only udp://..?publish=NAME can join one",
    ),
    ("udp://:1?echo&nodelay", "nodelay: is for TCP, and this is UDP"),
    (
        "tcp://:1?subscribe=a&defer_accept",
        "defer_accept=1s: a subscriber never speaks first, so it would wait in vain to be accepted: leave it out here, or say defer_accept=off",
    ),
    ("tcp://:1?echo&rcvbuf=lots", "rcvbuf: 'lots' is not a size from 1 to 512M, such as 64K or 4M"),
    (
        "tcp://:1?publish=a&max_lag",
        "max_lag: '' is not a duration: write a number and ns, us, ms, s, m or h, such as 20us, 5ms or 2s",
    ),
];

#[test]
fn wrong_listeners_are_refused_in_words() {
    for (text, expected) in WRONG_LISTENERS {
        let why = Listener::parse(text).expect_err(text);
        assert_eq!(why, *expected, "{text}");
        assert_eq!(
            refused(&format!("serve --listen {text}")),
            format!("--listen '{text}': {expected}")
        );
    }
}

#[test]
fn pushes_are_read_and_refused() {
    let plan = plan(
        "serve --listen http://:0 --push udp://239.1.1.1:5000?stream=a/b&ttl=4&iface=lo --dscp ef \
         --nodelay off --max-lag 20ms --framing ts",
    );
    let push = &plan.pushes[0];
    assert_eq!(push.to.to_string(), "239.1.1.1:5000");
    assert_eq!((push.name.as_str(), push.iface.as_deref()), ("a/b", Some("lo")));
    assert_eq!(push.socket, socket("ttl=4 dscp=ef"), "no TCP options, no defaults");
    assert_eq!(push.ask.max_lag, Some(Duration::from_millis(20)));
    assert_eq!(push.ask.framing, None, "the stream decides");
    for (text, expected) in [
        ("udp://h:1", "which stream? write udp://address:port?stream=NAME"),
        ("udp://:1?stream=a", "where to? write udp://address:port?stream=NAME"),
        ("udp://0.0.0.0:1?stream=a", "where to? write udp://address:port?stream=NAME"),
        ("udp://h:0?stream=a", "port 0 can't be sent to: write the receiver's port"),
        (
            "udp://h:1?publish=a",
            "publish, subscribe, echo and stamp are for --listen; a push says stream=NAME",
        ),
        (
            "udp://h:1?stream=a&handshake=on",
            "group and handshake are for --listen; a push to a group has the group as its address",
        ),
        (
            "udp://h:1?stream=a&window_bytes=1M",
            "window_bytes: belongs where the stream is published",
        ),
        ("udp://h:1?stream=a&cc=reno", "cc: is for TCP, and this is UDP"),
    ] {
        assert_eq!(Target::parse(text).expect_err(text), expected, "{text}");
    }
}

/// xorshift64: seeded, so that a failure comes back.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn no_input_panics() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut pieces: Vec<String> =
        WRONG_LISTENERS.iter().map(|(text, _)| (*text).to_owned()).collect();
    for text in "tcp:// udp:// http:// [ ] ::1 127.0.0.1 : / ? & = % %4 %ff %00 é 239.1.1.1 :0 \
                 9999999 publish= subscribe= echo stream= group= handshake=off max_lag=5ms"
        .split_whitespace()
    {
        pieces.push(text.to_owned());
    }
    pieces.extend(settings::known_keys().map(|key| format!("{key}=1")));
    let mut accepted = 0;
    for round in 0..50_000 {
        let mut text = String::new();
        for _ in 0..=random.below(6) {
            let piece = &pieces[random.below(pieces.len())];
            text.push_str(piece);
            text.push_str(["", "&", "?"][random.below(3)]);
        }
        // Cut and spoil it at a character's boundary.
        let mut letters: Vec<char> = text.chars().collect();
        for _ in 0..random.below(3) {
            let at = random.below(letters.len());
            letters[at] = char::from(random.below(128) as u8);
        }
        letters.truncate(1 + random.below(letters.len()));
        let text: String = letters.into_iter().collect();
        let outcome = Listener::parse(&text);
        accepted += u32::from(outcome.is_ok());
        if let Err(why) = outcome {
            assert!(!why.is_empty(), "round {round}: {text}");
        }
        let _ = Target::parse(&text);
        let mut settings = Settings::default();
        for key in ["cpus", "idle", "allow_host"] {
            let _ = settings.set(key, Some(&text), "test");
        }
    }
    assert!(accepted > 100, "only {accepted} were URLs: the corpus is too wild");
}
