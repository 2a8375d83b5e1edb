//! What a `ping` that gives up complains of, told apart by the words of each
//! dialect (`recorded/` has them): so that a program can act on it, and a
//! person is told what to set right.

use std::io;

use super::PingError;

/// What a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// It may not open its socket.
    NotPermitted,
    /// The name has no address, or none of the family that it pings.
    UnknownHost,
    /// There is no route, or the address family is off.
    Unreachable,
    /// It does not take an option, or not with that value.
    BadOption,
    /// Anything else.
    Other,
}

/// Words of [`Complaint::BadOption`]: of getopt(3) and argp, then of values.
/// They come first, for `-i interval too short: Operation not permitted`.
const BAD_OPTION: [&str; 22] = [
    "invalid option",
    "unrecognized option",
    "illegal option",
    "unknown option",
    "requires an argument",
    "usage error",
    "missing host operand",
    "invalid argument",
    "invalid number",
    "invalid value",
    "invalid count",
    "invalid packet size",
    "invalid timing interval",
    "invalid -",
    "bad timing interval",
    "bad linger time",
    "cannot flood",
    "interval too short",
    "out of range",
    "is not in ",
    "too big",
    "too large",
];

const NOT_PERMITTED: [&str; 4] =
    ["operation not permitted", "permission denied", "lacking privilege", "missing cap_net_raw"];

const UNKNOWN_HOST: [&str; 8] = [
    "unknown host",
    "bad address",
    "cannot resolve",
    "name or service not known",
    "name resolution",
    "no address associated with",
    "address family for hostname",
    "nodename nor servname",
];

const UNREACHABLE: [&str; 6] = [
    "network is unreachable",
    "no route to host",
    "network is down",
    "host is down",
    "cannot assign requested address",
    "address family not supported",
];

impl Complaint {
    /// What `text`, without the `ping: ` in front, is about.
    pub(super) fn of(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        // A firewall refuses a send with the same words, and so does a
        // broadcast address; that is no lack of permission to ping.
        let sending = text.starts_with("send");
        if has(&BAD_OPTION) {
            Self::BadOption
        } else if has(&NOT_PERMITTED) && !sending {
            Self::NotPermitted
        } else if has(&UNKNOWN_HOST) {
            Self::UnknownHost
        } else if has(&UNREACHABLE) {
            Self::Unreachable
        } else {
            Self::Other
        }
    }

    /// The error of having been told `text` about `host`.
    pub(super) fn error(text: String, host: &str) -> PingError {
        let quoted = |text: &str| format!("the system's ping says: {text}");
        match Self::of(&text) {
            Self::UnknownHost => PingError::Resolve { name: host.to_owned(), why: quoted(&text) },
            Self::Unreachable => PingError::Unreachable(io::Error::other(quoted(&text))),
            Self::NotPermitted | Self::BadOption | Self::Other => PingError::System(text),
        }
    }

    /// Whether there is something to set right, in [`PingError::System`].
    pub(super) const fn is_setup(self) -> bool {
        match self {
            Self::NotPermitted | Self::BadOption | Self::Unreachable => true,
            Self::UnknownHost | Self::Other => false,
        }
    }

    /// What it is in a word, in [`PingError::System`].
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NotPermitted => "permission",
            Self::UnknownHost => "resolve",
            Self::Unreachable => "unreachable",
            Self::BadOption => "bad_option",
            Self::Other => "system_ping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each dialect's own words, as recorded, without the name in front.
    const TOLD: [(Complaint, &[&str]); 5] = [
        (
            Complaint::NotPermitted,
            &[
                "socket: Operation not permitted",
                "=> missing cap_net_raw+p capability or setuid?",
                "icmp open socket: Operation not permitted",
                "permission denied (are you root?)",
                "Lacking privilege for icmp socket.",
                "socket: Permission denied",
                "socket SOCK_DGRAM 1: Permission denied",
            ],
        ),
        (
            Complaint::UnknownHost,
            &[
                "no-such-host.invalid: Name or service not known",
                "no-such-host.invalid: Temporary failure in name resolution",
                "bad address 'no-such-host.invalid'",
                "unknown host",
                "unknown host no-such-host.invalid",
                "cannot resolve no-such-host.invalid: Unknown host",
                "127.0.0.1: Address family for hostname not supported",
            ],
        ),
        (
            Complaint::Unreachable,
            &[
                "connect: Network is unreachable",
                "connect: No route to host",
                "sendto: Network is unreachable",
                "sending packet: Network is unreachable",
                "socket: Address family not supported by protocol",
            ],
        ),
        (
            Complaint::BadOption,
            &[
                "invalid option -- 'Z'",
                "illegal option -- Z",
                "unrecognized option '--json'",
                "Unknown option 'V' (see \"ping --help\")",
                "invalid number '0.5'",
                "number 70000 is not in 0..65535 range",
                "invalid value (`0.5' near `.5')",
                "invalid argument: '0': out of range: 1 <= value <= 9223372036854775807",
                "invalid -s value: '70000': out of range: 0 <= value <= 65507",
                "cannot flood; minimal interval allowed for user is 200ms",
                "-i interval too short: Operation not permitted",
                "invalid timing interval: `x'",
                "usage error: Destination address required",
                "missing host operand",
                "option value too big: 70000",
                "packet size too large: 70000 > 65507",
            ],
        ),
        (
            Complaint::Other,
            &[
                "socktype: SOCK_RAW",
                "sendmsg: Operation not permitted",
                "sendto: Permission denied",
                "local error: message too long, mtu=1500",
                "",
            ],
        ),
    ];

    #[test]
    fn complaints_are_told_apart_in_every_dialect() {
        for (complaint, texts) in TOLD {
            for text in texts {
                assert_eq!(Complaint::of(text), complaint, "{text}");
            }
        }
    }
}
