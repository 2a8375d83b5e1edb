//! Which kinds of ping this process may send: the two doors to ICMP, for both
//! versions of IP, and the system's own `ping`. Sources: icmp(7), raw(7),
//! capabilities(7), net/ipv4/ping.c.

use std::io;
use std::process::{Command, Output, Stdio};

use nearlight::client::ping::{Header, Line, PingError, read_line};
use nearlight::sys::doctor::icmp_door;
use nearlight::sys::icmp::IcmpDoor;

use super::finding::{Finding, Fix, Place, Seal};
use super::host::{Who, read};

const RANGE: &str = "net.ipv4.ping_group_range";
/// Every group there can be, as that sysctl takes it.
const EVERYBODY: &str = "0 2147483647";
/// The kernel's words for "not you", and for "no such thing here".
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EPROTONOSUPPORT: i32 = 93;
const EAFNOSUPPORT: i32 = 97;

/// Everything of this file, asked and judged.
pub(super) fn look(who: &Who, place: Place) -> Vec<Finding> {
    let range = read("/proc/sys/net/ipv4/ping_group_range");
    let ask = |v6| [icmp_door(IcmpDoor::Raw, v6), icmp_door(IcmpDoor::Datagram, v6)];
    let [four, six] = [ask(false), ask(true)];
    let ignores = read("/proc/sys/net/ipv4/icmp_echo_ignore_all");
    let release = read("/etc/os-release").unwrap_or_default();
    vec![
        icmp("icmp", &four, range.as_deref(), who, place),
        icmp("icmpv6", &six, range.as_deref(), who, place),
        group_range(range.as_deref(), who),
        system_ping(&ping_loopback(), &release, place),
        echo(ignores.as_deref()),
    ]
}

/// What the doors to one version of ICMP, raw and datagram, come to.
fn icmp(
    topic: &'static str,
    doors: &[io::Result<()>; 2],
    range: Option<&str>,
    who: &Who,
    place: Place,
) -> Finding {
    let (raw, datagram) = match doors {
        [Ok(()), Ok(())] => {
            return Finding::ok(topic, "raw and datagram sockets", "both kinds may be opened");
        }
        [Ok(()), Err(why)] => {
            let value = format!("raw sockets (datagram: {})", errno_name(why));
            return Finding::ok(topic, value, "replies are seen exactly as they came");
        }
        [Err(why), Ok(())] => {
            let value = format!("datagram sockets (raw: {})", errno_name(why));
            return Finding::ok(topic, value, "the kernel matches replies and checks them");
        }
        [Err(raw), Err(datagram)] => (raw, datagram),
    };
    let absent =
        |why: &io::Error| matches!(why.raw_os_error(), Some(EAFNOSUPPORT | EPROTONOSUPPORT));
    if absent(raw) && absent(datagram) {
        return Finding::note(topic, "no such protocol here", "see ipv6");
    }
    let value = format!("refused: raw {}, datagram {}", errno_name(raw), errno_name(datagram));
    let finding = |meaning: &str| Finding::limit(topic, &value, meaning).prevents(topic);
    if range.is_some_and(|range| admits(range, &who.groups)) {
        return finding(
            "no ICMP echo of ours, though ping_group_range permits it: a security policy refuses",
        );
    }
    if place.seal == Seal::Container && who.uid == 0 {
        return finding("no ICMP echo of ours; ping tcp and ping udp need no permission")
            .fix(Fix::Here("start the container with --cap-add NET_RAW".to_owned()));
    }
    let meaning = if who.net_raw {
        "no ICMP echo of ours: CAP_NET_RAW counts in this user namespace alone, and the network \
         is not its own"
    } else {
        "no ICMP echo of ours; ping tcp and ping udp need no permission"
    };
    finding(meaning).fix(Fix::Network(RANGE, EVERYBODY))
}

/// Whose datagram sockets the kernel lets through, `0 2147483647` or `1 0`.
fn group_range(range: Option<&str>, who: &Who) -> Finding {
    const TOPIC: &str = "ping_group_range";
    let Some(range) = range else {
        return Finding::unknown(TOPIC);
    };
    let range = range.split_whitespace().collect::<Vec<_>>().join(" ");
    if admits(&range, &who.groups) {
        return Finding::ok(TOPIC, range, "this process may open datagram ICMP sockets");
    }
    let gid = who.groups.first().map_or_else(|| "?".to_owned(), u32::to_string);
    let value = match ends(&range) {
        Some((low, high)) if low > high => format!("{range}: nobody"),
        Some(_) | None => format!("{range}: not gid {gid}"),
    };
    let meaning = if who.net_raw {
        "users without CAP_NET_RAW can't measure ICMP here"
    } else {
        "no datagram ICMP socket for this process"
    };
    Finding::note(TOPIC, value, meaning).fix(Fix::Network(RANGE, EVERYBODY))
}

fn ends(range: &str) -> Option<(u32, u32)> {
    let mut ends = range.split_whitespace().map(str::parse);
    Some((ends.next()?.ok()?, ends.next()?.ok()?))
}

fn admits(range: &str, groups: &[u32]) -> bool {
    ends(range).is_some_and(|(low, high)| groups.iter().any(|gid| (low..=high).contains(gid)))
}

/// Whether this host answers pings, to itself for one.
fn echo(ignores: Option<&str>) -> Finding {
    const TOPIC: &str = "icmp_echo";
    match ignores {
        Some("0") => Finding::ok(TOPIC, "answered", "this host answers pings"),
        Some(_) => Finding::limit(TOPIC, "ignored", "this host answers no ping, not even its own")
            .fix(Fix::Network("net.ipv4.icmp_echo_ignore_all", "0")),
        None => Finding::unknown(TOPIC),
    }
}

/// One ping of the system's to loopback; busybox takes whole seconds.
fn ping_loopback() -> io::Result<Output> {
    Command::new("ping")
        .args(["-n", "-c", "1", "-w", "1", "127.0.0.1"])
        .env("LC_ALL", "C")
        .env_remove("LANGUAGE")
        .stdin(Stdio::null())
        .output()
}

/// What came of running it. `release` is the text of /etc/os-release.
fn system_ping(ran: &io::Result<Output>, release: &str, place: Place) -> Finding {
    const TOPIC: &str = "system_ping";
    let cannot = |value: &str, meaning: &str| Finding::limit(TOPIC, value, meaning);
    let output = match ran {
        Ok(output) => output,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return cannot("not installed", "no second opinion: `ping system` has nothing to run")
                .prevents("system")
                .fix(Fix::Here(install(release)));
        }
        // execve(2) refuses a file whose capabilities the process can't have.
        Err(why) if why.raw_os_error() == Some(EPERM) && place.seal == Seal::Container => {
            return cannot("refused: EPERM", "its capability cap_net_raw is not to be had here")
                .prevents("system")
                .fix(Fix::Here("start the container with --cap-add NET_RAW".to_owned()));
        }
        Err(why) if why.raw_os_error() == Some(EPERM) => {
            return cannot("refused: EPERM", "its capability cap_net_raw is not to be had here")
                .prevents("system")
                .fix(Fix::Here(
                    "run lightmeter where the bounding set has cap_net_raw: capsh --print".into(),
                ));
        }
        Err(why) => {
            return cannot(&format!("can't be run: {why}"), "`ping system` has nothing to run")
                .prevents("system")
                .fix(Fix::Here("sudo chmod a+x \"$(command -v ping)\"".to_owned()));
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let lines = || text.lines().chain(complaints.lines()).map(read_line);
    let whose = lines().find_map(|line| match line {
        Line::Header(Header::FromOne) => Some("iputils"),
        Line::Header(Header::FromZero) => Some("not iputils"),
        Line::Reply(_)
        | Line::Trouble { .. }
        | Line::Outstanding { .. }
        | Line::Summary(_)
        | Line::Times(_)
        | Line::Complaint(_)
        | Line::Damage
        | Line::Other => None,
    });
    let named =
        |what: &str| whose.as_ref().map_or(what.to_owned(), |name| format!("{name}, {what}"));
    if output.status.success() {
        let meaning = "a second opinion, timed in its own way";
        return Finding::ok(TOPIC, named("works"), meaning);
    }
    // It may take several lines to say so; the one about permission counts.
    let mut complaints: Vec<PingError> = lines()
        .filter_map(|line| {
            let Line::Complaint(text) = line else { return None };
            Some(PingError::System(text.to_owned()))
        })
        .collect();
    complaints.sort_by_key(|error| !error.is_permission());
    match complaints.first() {
        None => Finding::note(TOPIC, named("no reply"), "loopback did not answer it"),
        Some(error) if error.is_permission() => cannot(&named("not permitted"), &error.to_string())
            .prevents("system")
            .fix(Fix::Network(RANGE, EVERYBODY)),
        Some(error) => Finding::note(TOPIC, named("failed"), error),
    }
}

/// The command that installs it, by the `ID` and `ID_LIKE` of os-release(5).
fn install(release: &str) -> String {
    let value = |line: &'static str| {
        let found = release.lines().find_map(|text| text.strip_prefix(line));
        found.unwrap_or_default().trim_matches('"')
    };
    let ids = format!("{} {}", value("ID="), value("ID_LIKE="));
    let is = |names: &[&str]| ids.split_whitespace().any(|id| names.contains(&id));
    let command = if is(&["alpine"]) {
        "apk add iputils"
    } else if is(&["arch"]) {
        "pacman -S iputils"
    } else if is(&["fedora", "rhel", "centos"]) {
        "dnf install iputils"
    } else if is(&["suse", "opensuse"]) {
        "zypper install iputils"
    } else {
        "apt-get install iputils-ping"
    };
    format!("sudo {command}")
}

fn errno_name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(EPERM) => "EPERM".to_owned(),
        Some(EACCES) => "EACCES".to_owned(),
        Some(EPROTONOSUPPORT) => "EPROTONOSUPPORT".to_owned(),
        Some(EAFNOSUPPORT) => "EAFNOSUPPORT".to_owned(),
        Some(_) | None => error.to_string(),
    }
}

#[cfg(test)]
#[path = "permission_tests.rs"]
mod tests;
