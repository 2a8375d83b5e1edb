//! The table of socket options: one row each, plain data. The command line,
//! the configuration file, `nearlight options` and the README read it, so an
//! option is described in this one place.

/// A socket option, by its place in [`TABLE`], which is also the order of
/// setting: `dscp` stands before `priority` because setting `IP_TOS` resets
/// the socket's priority (`ip(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the rows of TABLE describe them")]
pub enum Opt {
    NoDelay,
    QuickAck,
    NotSentLowat,
    UserTimeout,
    Cc,
    RcvBuf,
    SndBuf,
    BusyPoll,
    Dscp,
    Priority,
    IncomingCpu,
    KeepAlive,
    Backlog,
    DeferAccept,
    FastOpen,
    Ttl,
    Timestamp,
}

/// How an option's value is written and in which unit the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `on`, `off`, `1` or `0`.
    Switch,
    /// Bytes: `64K`, `4M`.
    Size,
    /// A duration; the kernel counts in units of so many nanoseconds.
    Span {
        /// Nanoseconds of the kernel's unit.
        unit: u64,
    },
    /// A whole number.
    Number,
    /// A DSCP: its number, or its name (`ef`, `af41`, `cs5`).
    Dscp,
    /// A name that the kernel knows.
    Text,
}

/// Where an option takes effect on TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Set once on the listener; every accepted connection inherits it.
    Inherited,
    /// Not inherited: set on every accepted connection.
    EachConnection,
    /// Concerns the listener itself.
    Listener,
}

/// One socket option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which one.
    pub opt: Opt,
    /// Its name in URLs, flags and the file.
    pub name: &'static str,
    /// The kernel's constant, or the call that takes the value.
    pub constant: &'static str,
    /// The manual page that documents it.
    pub man: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// Least and largest value, in the kernel's unit.
    pub range: (u32, u32),
    /// What a bare key or `on` means; empty: a value is needed.
    pub bare: &'static str,
    /// Default here on TCP listeners; empty: left as the kernel has it.
    pub default_tcp: &'static str,
    /// Default here on UDP sockets; empty: left as the kernel has it.
    pub default_udp: &'static str,
    /// What `nearlight options` asks a throw-away socket for where there is no
    /// default.
    pub sample: &'static str,
    /// Where it takes effect on TCP.
    pub tcp: Place,
    /// True if UDP sockets have it too.
    pub udp: bool,
    /// Its default is for sockets alone on which somebody may publish.
    pub for_publishers: bool,
    /// The privilege that it takes; empty: none.
    pub privilege: &'static str,
    /// What to know about the value read back; empty: it can be trusted.
    pub read_back: &'static str,
}

const MAX: u32 = i32::MAX as u32;
const SECOND: u64 = 1_000_000_000;

const PLAIN: Row = Row {
    opt: Opt::NoDelay,
    name: "",
    constant: "",
    man: "tcp(7)",
    purpose: "",
    kind: Kind::Switch,
    range: (0, 1),
    bare: "",
    default_tcp: "",
    default_udp: "",
    sample: "",
    tcp: Place::Inherited,
    udp: false,
    for_publishers: false,
    privilege: "",
    read_back: "",
};

/// Every option, indexed by [`Opt`].
pub const TABLE: [Row; 17] = [
    Row {
        opt: Opt::NoDelay,
        name: "nodelay",
        constant: "TCP_NODELAY",
        purpose: "send small writes at once instead of waiting for an ACK (Nagle)",
        bare: "on",
        default_tcp: "on",
        ..PLAIN
    },
    Row {
        opt: Opt::QuickAck,
        name: "quickack",
        constant: "TCP_QUICKACK",
        purpose: "acknowledge a publisher's bytes at once",
        bare: "on",
        sample: "on",
        tcp: Place::EachConnection,
        read_back: "not permanent: set again after each receive",
        ..PLAIN
    },
    Row {
        opt: Opt::NotSentLowat,
        name: "notsent_lowat",
        constant: "TCP_NOTSENT_LOWAT",
        purpose: "unsent bytes that the kernel may queue: they are lag that nobody can take back",
        kind: Kind::Size,
        range: (1, 1 << 30),
        default_tcp: "16K",
        ..PLAIN
    },
    Row {
        opt: Opt::UserTimeout,
        name: "user_timeout",
        constant: "TCP_USER_TIMEOUT",
        purpose: "end a connection whose peer acknowledges, or takes, nothing for this long",
        kind: Kind::Span { unit: 1_000_000 },
        range: (0, 24 * 3_600_000),
        default_tcp: "10s",
        ..PLAIN
    },
    Row {
        opt: Opt::Cc,
        name: "cc",
        constant: "TCP_CONGESTION",
        purpose: "congestion control, such as cubic, reno or bbr",
        kind: Kind::Text,
        sample: "reno",
        privilege: "CAP_NET_ADMIN for one outside net.ipv4.tcp_allowed_congestion_control",
        ..PLAIN
    },
    Row {
        opt: Opt::RcvBuf,
        name: "rcvbuf",
        constant: "SO_RCVBUF",
        man: "socket(7)",
        purpose: "receive buffer: absorbs bursts; on TCP it ends auto-tuning",
        kind: Kind::Size,
        range: (1, 512 << 20),
        default_udp: "4M",
        sample: "64K",
        udp: true,
        privilege: "CAP_NET_ADMIN beyond net.core.rmem_max",
        read_back: "the kernel doubles it for its own bookkeeping (the half is shown) and clamps it silently",
        ..PLAIN
    },
    Row {
        opt: Opt::SndBuf,
        name: "sndbuf",
        constant: "SO_SNDBUF",
        man: "socket(7)",
        purpose: "send buffer: a hard cap on what the kernel queues; on TCP it ends auto-tuning",
        kind: Kind::Size,
        range: (1, 512 << 20),
        sample: "64K",
        udp: true,
        privilege: "CAP_NET_ADMIN beyond net.core.wmem_max",
        read_back: "the kernel doubles it for its own bookkeeping (the half is shown) and clamps it silently",
        ..PLAIN
    },
    Row {
        opt: Opt::BusyPoll,
        name: "busy_poll",
        constant: "SO_BUSY_POLL",
        man: "socket(7)",
        purpose: "let receives poll the network card this long; nothing on loopback",
        kind: Kind::Span { unit: 1_000 },
        range: (0, 1_000_000),
        sample: "50us",
        udp: true,
        privilege: "CAP_NET_ADMIN on kernels that guard it (6.18 does not)",
        read_back: "says what was set, not whether the card can be polled",
        ..PLAIN
    },
    Row {
        opt: Opt::Dscp,
        name: "dscp",
        constant: "IP_TOS, IPV6_TCLASS",
        man: "ip(7)",
        purpose: "class of the packets sent: 0 to 63, ef, af11 to af43, cs0 to cs7, le",
        kind: Kind::Dscp,
        range: (0, 63),
        sample: "ef",
        udp: true,
        read_back: "the top six bits of the byte; networks may rewrite it",
        ..PLAIN
    },
    Row {
        opt: Opt::Priority,
        name: "priority",
        constant: "SO_PRIORITY",
        man: "socket(7)",
        purpose: "which queue of the network device the packets go to",
        kind: Kind::Number,
        range: (0, MAX),
        sample: "6",
        tcp: Place::EachConnection,
        udp: true,
        privilege: "CAP_NET_ADMIN or CAP_NET_RAW above 6",
        read_back: "not inherited: set on every accepted connection",
        ..PLAIN
    },
    Row {
        opt: Opt::IncomingCpu,
        name: "incoming_cpu",
        constant: "SO_INCOMING_CPU",
        man: "socket(7)",
        purpose: "prefer this listener for what arrives on this CPU; `own`: its shard's, TCP",
        kind: Kind::Number,
        range: (0, 1 << 16),
        sample: "0",
        tcp: Place::Listener,
        udp: true,
        read_back: "on a connection it becomes the CPU of its last packet",
        ..PLAIN
    },
    Row {
        opt: Opt::KeepAlive,
        name: "keepalive",
        constant: "SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT",
        purpose: "end a silent peer after this long, of which it has left three probes unanswered",
        read_back: "4s at least: three probes, a second apart; beyond user_timeout the first one lost ends it",
        kind: Kind::Span { unit: SECOND },
        range: (0, 32_767),
        bare: "10s",
        default_tcp: "10s",
        ..PLAIN
    },
    Row {
        opt: Opt::Backlog,
        name: "backlog",
        constant: "listen()",
        man: "listen(2)",
        purpose: "connections that may wait to be accepted",
        kind: Kind::Number,
        range: (1, MAX),
        sample: "4096",
        tcp: Place::Listener,
        read_back: "clamped silently to net.core.somaxconn; TCP_INFO shows what is in force",
        ..PLAIN
    },
    Row {
        opt: Opt::DeferAccept,
        name: "defer_accept",
        constant: "TCP_DEFER_ACCEPT",
        purpose: "accept a connection only once it has sent something; not for subscribers",
        kind: Kind::Span { unit: SECOND },
        range: (0, 600),
        bare: "1s",
        sample: "1s",
        tcp: Place::Listener,
        read_back: "rounded up to whole retransmissions of the SYN-ACK: 1 s, 3 s, 7 s and so on",
        ..PLAIN
    },
    Row {
        opt: Opt::FastOpen,
        name: "fastopen",
        constant: "TCP_FASTOPEN",
        purpose: "take data in the SYN: the queue's length",
        kind: Kind::Number,
        range: (0, MAX),
        bare: "256",
        sample: "256",
        tcp: Place::Listener,
        read_back: "without bit 2 of net.ipv4.tcp_fastopen it is accepted and does nothing",
        ..PLAIN
    },
    Row {
        opt: Opt::Ttl,
        name: "ttl",
        constant: "IP_TTL, IP_MULTICAST_TTL, IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS",
        man: "ip(7)",
        purpose: "routers that a packet may pass, multicast too",
        kind: Kind::Number,
        range: (1, 255),
        sample: "64",
        udp: true,
        ..PLAIN
    },
    Row {
        opt: Opt::Timestamp,
        name: "timestamp",
        constant: "SO_TIMESTAMPNS",
        man: "socket(7)",
        purpose: "residence counts from the kernel's receipt of a publisher's bytes, not from ours",
        bare: "on",
        default_tcp: "on",
        default_udp: "on",
        udp: true,
        for_publishers: true,
        ..PLAIN
    },
];

/// The DSCP names of RFC 2474 (cs), 2597 (af), 3246 (ef), 5865 (voice-admit)
/// and 8622 (le).
pub(super) const DSCP_NAMES: [(&str, u32); 23] = [
    ("cs0", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("voice-admit", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

impl Opt {
    /// Its row.
    pub const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The option of that name; `-` and `_` are alike.
    pub fn named(key: &str) -> Option<Self> {
        let key = key.replace('-', "_");
        TABLE.iter().find(|row| row.name == key).map(|row| row.opt)
    }
}

impl Row {
    /// True if a bare key says enough.
    pub const fn takes_bare(&self) -> bool {
        !self.bare.is_empty()
    }
}
