//! Permissions of hosts and containers that nobody has here, from what they
//! tell: every refusal names what was refused and the line that mends it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::super::finding::Verdict;
use super::super::host::tests::USER;
use super::*;

const HOST: Place = place(false, Seal::Open);
const ROOT: Place = place(true, Seal::Open);
const CONTAINER: Place = place(false, Seal::Container);
const CONTAINER_ROOT: Place = place(true, Seal::Container);
const USERS: Place = place(true, Seal::Users);
const SYSCTL: &str = "sudo sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"";

const fn place(root: bool, seal: Seal) -> Place {
    Place { root, seal, owns_network: false }
}

fn errno(number: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(number))
}

fn refused() -> [io::Result<()>; 2] {
    [errno(EPERM), errno(EACCES)]
}

fn line(finding: &Finding, place: Place) -> String {
    finding.fix.as_ref().map_or_else(String::new, |fix| fix.line(place))
}

fn user() -> Who {
    Who::read(USER)
}

#[test]
fn one_door_is_enough() {
    for (doors, value) in [
        ([Ok(()), Ok(())], "raw and datagram sockets"),
        ([Ok(()), errno(EACCES)], "raw sockets (datagram: EACCES)"),
        ([errno(EPERM), Ok(())], "datagram sockets (raw: EPERM)"),
    ] {
        let found = icmp("icmp", &doors, Some("1\t0"), &user(), HOST);
        assert_eq!((found.verdict, found.value.as_str()), (Verdict::Ok, value));
    }
}

#[test]
fn refused_on_both_doors_prevents_and_the_fix_fits_the_place() {
    let root = Who { uid: 0, groups: vec![0], ..Who::default() };
    let mapped = Who { net_raw: true, ..root.clone() };
    for (who, place, fix) in [
        (user(), HOST, SYSCTL),
        (root.clone(), ROOT, &SYSCTL["sudo ".len()..]),
        (
            user(),
            CONTAINER,
            "start the container with --sysctl net.ipv4.ping_group_range=\"0 2147483647\"",
        ),
        (root, CONTAINER_ROOT, "start the container with --cap-add NET_RAW"),
        (mapped, USERS, &format!("outside this user namespace: {SYSCTL}")),
    ] {
        for topic in ["icmp", "icmpv6"] {
            let found = icmp(topic, &refused(), Some("1\t0"), &who, place);
            assert_eq!((found.verdict, found.prevents), (Verdict::Limit, Some(topic)));
            assert_eq!(found.value, "refused: raw EPERM, datagram EACCES");
            assert_eq!(line(&found, place), fix);
        }
    }
}

#[test]
fn a_policy_is_not_mended_by_the_range() {
    let found = icmp("icmp", &refused(), Some("0\t2147483647"), &user(), HOST);
    assert!(found.meaning.contains("policy") && found.fix.is_none(), "{found:?}");
}

#[test]
fn without_ipv6_there_is_nothing_to_permit() {
    let absent = [errno(EAFNOSUPPORT), errno(EAFNOSUPPORT)];
    let found = icmp("icmpv6", &absent, Some("1\t0"), &user(), HOST);
    assert_eq!((found.verdict, found.prevents), (Verdict::Note, None));
    // Raw refused before the kernel sees that it has no datagram kind.
    let old = [errno(EPERM), errno(EPROTONOSUPPORT)];
    let found = icmp("icmp", &old, None, &user(), HOST);
    assert_eq!(found.value, "refused: raw EPERM, datagram EPROTONOSUPPORT");
    assert_eq!(found.prevents, Some("icmp"));
}

#[test]
fn group_ranges_of_other_hosts() {
    for (range, verdict, value) in [
        ("1\t0", Verdict::Note, "1 0: nobody"),
        ("0\t2147483647", Verdict::Ok, "0 2147483647"),
        ("1000\t1000", Verdict::Ok, "1000 1000"),
        // A supplementary group will do.
        ("100\t100", Verdict::Ok, "100 100"),
        ("65534\t65534", Verdict::Note, "65534 65534: not gid 1000"),
        ("28\t99", Verdict::Note, "28 99: not gid 1000"),
        ("garbage", Verdict::Note, "garbage: not gid 1000"),
    ] {
        let found = group_range(Some(range), &user());
        assert_eq!((found.verdict, found.value.as_str()), (verdict, value));
        assert_eq!(found.fix.is_some(), verdict != Verdict::Ok, "{range}");
    }
    assert_eq!(group_range(None, &user()).value, "unknown");
    let raw = Who { net_raw: true, ..user() };
    assert!(group_range(Some("1\t0"), &raw).meaning.contains("without CAP_NET_RAW"));
}

#[test]
fn a_host_that_answers_no_ping() {
    assert_eq!(echo(Some("0")).verdict, Verdict::Ok);
    let deaf = echo(Some("1"));
    assert_eq!(deaf.verdict, Verdict::Limit);
    assert_eq!(line(&deaf, HOST), "sudo sysctl -w net.ipv4.icmp_echo_ignore_all=0");
    assert_eq!(echo(None).value, "unknown");
}

fn ran(code: i32, stdout: &str, stderr: &str) -> io::Result<Output> {
    Ok(Output {
        status: ExitStatus::from_raw(code << 8),
        stdout: stdout.into(),
        stderr: stderr.into(),
    })
}

const IPUTILS: &str = "PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.\n\
    64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.022 ms\n\n\
    --- 127.0.0.1 ping statistics ---\n\
    1 packets transmitted, 1 received, 0% packet loss, time 0ms\n";
const BUSYBOX: &str = "PING 127.0.0.1 (127.0.0.1): 56 data bytes\n\
    64 bytes from 127.0.0.1: seq=0 ttl=64 time=0.054 ms\n";

#[test]
fn pings_that_work() {
    for (text, value) in [(IPUTILS, "iputils, works"), (BUSYBOX, "not iputils, works")] {
        let found = system_ping(&ran(0, text, ""), "", HOST);
        assert_eq!((found.verdict, found.value.as_str()), (Verdict::Ok, value));
    }
}

#[test]
fn pings_that_do_not() {
    let denied = "ping: socktype: SOCK_RAW\nping: socket: Operation not permitted\n\
                  ping: => missing cap_net_raw+p capability or setuid?\n";
    let busybox = "ping: permission denied (are you root?)\n";
    for (ran, prevents, fix) in [
        (ran(2, "", denied), Some("system"), SYSCTL),
        (ran(1, &BUSYBOX[..42], busybox), Some("system"), SYSCTL),
        (ran(2, "", "ping: connect: Network is unreachable\n"), None, ""),
        (ran(1, &IPUTILS[..49], ""), None, ""),
        (
            Err(io::Error::from_raw_os_error(EACCES)),
            Some("system"),
            "sudo chmod a+x \"$(command -v ping)\"",
        ),
    ] {
        let found = system_ping(&ran, "", HOST);
        assert_eq!((found.prevents, line(&found, HOST).as_str()), (prevents, fix), "{found:?}");
    }
    // execve refuses the file's capability.
    let found = system_ping(&Err(io::Error::from_raw_os_error(EPERM)), "", CONTAINER);
    assert_eq!(line(&found, CONTAINER), "start the container with --cap-add NET_RAW");
}

#[test]
fn a_missing_ping_is_installed_as_the_system_does() {
    for (release, fix) in [
        ("PRETTY_NAME=\"Debian\"\nID=debian\n", "sudo apt-get install iputils-ping"),
        ("ID=ubuntu\nID_LIKE=debian\n", "sudo apt-get install iputils-ping"),
        ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "sudo dnf install iputils"),
        ("ID=alpine\n", "sudo apk add iputils"),
        ("ID=manjaro\nID_LIKE=arch\n", "sudo pacman -S iputils"),
        ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "sudo zypper install iputils"),
        ("", "sudo apt-get install iputils-ping"),
    ] {
        let found = system_ping(&Err(io::ErrorKind::NotFound.into()), release, HOST);
        assert_eq!((found.prevents, line(&found, HOST).as_str()), (Some("system"), fix));
    }
}
