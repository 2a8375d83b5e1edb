//! Why ICMP is not permitted, for whom exactly, and each way to permit it.

use std::fmt;
use std::fs;
use std::io;

/// What stood in the way of both kinds of ICMP socket. Its text is several
/// lines, without the last line's end.
#[derive(Debug)]
pub struct Refusal {
    v6: bool,
    raw: Option<String>,
    datagram: Option<String>,
    who: Credentials,
}

impl Refusal {
    /// The answers that `SOCK_RAW` and `SOCK_DGRAM` got, in this process.
    pub(super) fn new(v6: bool, raw: Option<&io::Error>, datagram: Option<&io::Error>) -> Self {
        let (raw, datagram) = (raw.map(errno_name), datagram.map(errno_name));
        Self { v6, raw, datagram, who: Credentials::read() }
    }
}

/// Who this process is, as far as ICMP sockets ask.
#[derive(Debug, Default)]
struct Credentials {
    uid: String,
    gid: String,
    groups: String,
    effective: String,
    group_range: String,
    no_new_privs: bool,
    program: String,
}

impl Credentials {
    fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|rest| rest.split_whitespace().collect::<Vec<_>>())
                .unwrap_or_default()
        };
        // "Uid:" lists the real, effective, saved and file-system id.
        let effective = |ids: Vec<&str>| (*ids.get(1).unwrap_or(&"?")).to_owned();
        Self {
            uid: effective(field("Uid:")),
            gid: effective(field("Gid:")),
            groups: field("Groups:").join(", "),
            effective: field("CapEff:").join(" "),
            group_range: fs::read_to_string("/proc/sys/net/ipv4/ping_group_range")
                .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
                .unwrap_or_default(),
            no_new_privs: field("NoNewPrivs:") == ["1"],
            program: std::env::current_exe()
                .map_or_else(|_| "lightmeter".to_owned(), |path| path.display().to_string()),
        }
    }
}

fn errno_name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "EPERM".to_owned(),
        Some(libc::EACCES) => "EACCES".to_owned(),
        Some(libc::EPROTONOSUPPORT) => "EPROTONOSUPPORT".to_owned(),
        Some(libc::EAFNOSUPPORT) => "EAFNOSUPPORT".to_owned(),
        Some(number) => format!("errno {number}"),
        None => error.to_string(),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = &self.who;
        let version = if self.v6 { "ICMPv6" } else { "ICMP" };
        writeln!(f, "{version} not permitted for uid {} gid {}", who.uid, who.gid)?;
        if let Some(raw) = &self.raw {
            let no_new_privs = if who.no_new_privs {
                ", and no_new_privs keeps file capabilities from counting"
            } else {
                ""
            };
            writeln!(
                f,
                "  SOCK_RAW:   {raw}  CAP_NET_RAW is not among the effective capabilities \
                 (CapEff={}{no_new_privs})",
                who.effective,
            )?;
        }
        if let Some(datagram) = &self.datagram {
            let groups = if who.groups.is_empty() {
                String::new()
            } else {
                format!(" (nor {})", who.groups)
            };
            writeln!(
                f,
                "  SOCK_DGRAM: {datagram}  net.ipv4.ping_group_range = \"{}\" does not include gid \
                 {}{groups}",
                who.group_range, who.gid
            )?;
        }
        writeln!(f, "  fix one of:  sudo sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"")?;
        writeln!(f, "               sudo setcap cap_net_raw+ep {}", who.program)?;
        writeln!(f, "               in a container: --cap-add NET_RAW")?;
        write!(f, "  or measure without privilege:  ping system, ping tcp or ping udp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let text = Refusal {
            v6: false,
            raw: Some("EPERM".to_owned()),
            datagram: Some("EACCES".to_owned()),
            who: Credentials {
                uid: "1000".to_owned(),
                gid: "1000".to_owned(),
                groups: "27, 100".to_owned(),
                group_range: "1 0".to_owned(),
                program: "/usr/bin/lightmeter".to_owned(),
                ..Credentials::default()
            },
        }
        .to_string();
        for part in [
            "ICMP not permitted for uid 1000 gid 1000",
            "SOCK_RAW:   EPERM",
            "SOCK_DGRAM: EACCES",
            "\"1 0\" does not include gid 1000 (nor 27, 100)",
            "setcap cap_net_raw+ep /usr/bin/lightmeter",
            "--cap-add NET_RAW",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
