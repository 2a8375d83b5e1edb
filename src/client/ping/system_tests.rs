//! The system's ping as a child, of each dialect: programs that print what was
//! recorded, programs that fail in each way, and the one that is installed.

use super::recorded::{RECORDED, runs};
use super::*;
use crate::sys::clock::Clock;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

const IPUTILS: &str = "ping from iputils 20221126";
const BUSYBOX: &str = "BusyBox v1.35.0 multi-call binary.\\n\\t-i SECS\\n\\t-W SEC";
const INETUTILS: &str = "ping (GNU inetutils) 2.4";
const MACOS: &str = "usage: ping [-AaDdfnoQqRrv] [-c count]\\n            [-W waittime]";

/// A program that answers `-V` with `version` and is otherwise a shell script.
struct Fake(PathBuf);

impl Fake {
    fn new(name: &str, version: &str, script: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fake-{name}-{}", std::process::id()));
        // A shell writes it: were the file open for writing in this process,
        // a fork by another test would keep it so, and it could not be run.
        let write = "cat > \"$1\" <<'END'\n#!/bin/sh\n[ \"$1\" = -V ] && exec printf '%b\\n' \"$(cat <<'V'\n";
        let program = format!("{write}{version}\nV\n)\"\n{script}\nEND\nchmod 755 \"$1\"");
        let status = Command::new("sh").args(["-c", &program, "sh"]).arg(&path).status();
        assert!(status.unwrap().success());
        Self(path)
    }

    fn run(&self, address: SocketAddr, count: u64) -> (Vec<Event>, Series) {
        run(self.0.to_str().unwrap(), address, count)
    }

    fn run_v4(&self, count: u64) -> Series {
        self.run(SocketAddr::from((Ipv4Addr::LOCALHOST, 7)), count).1
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(program: &str, address: SocketAddr, count: u64) -> (Vec<Event>, Series) {
    let target = Target { name: address.to_string(), address };
    let plan = Plan {
        count: Some(count),
        interval: Duration::from_millis(2),
        wait: Duration::from_millis(500),
        deadline: Some(Duration::from_secs(20)),
        ..Plan::new(vec![Way::to(Kind::System, target)])
    };
    let mut pinger = Pinger::start_with(&plan, program);
    let mut events = Vec::new();
    let end = Clock::now() + Duration::from_secs(30);
    loop {
        let event = pinger.next(end);
        assert!(!matches!(event, Event::Quiet), "no end after 30 s");
        if matches!(event, Event::Done) {
            return (events, pinger.finish().remove(0));
        }
        events.push(event);
    }
}

/// A script that prints what a recorded run printed, and ends as it did.
fn replay(file: &str, command: &str) -> String {
    let text = RECORDED.iter().find(|(name, _)| *name == file).unwrap().1;
    let run = runs(text).into_iter().find(|run| run.command == command).unwrap();
    format!("cat <<'OUT'\n{}\nOUT\nexit {}", run.output.join("\n"), run.code)
}

#[test]
fn every_dialect_is_counted_from_its_own_first_probe() {
    // Each: a reply to 1 of 4 twice, to 1 once, none to 1, and an error.
    for (file, version, command, how) in [
        ("iputils-20221126", IPUTILS, "ping -n -c 8 -i 0.05 192.0.2.28", "iputils 20221126"),
        ("busybox-1.35", BUSYBOX, "busybox ping -c 8 -i 0.2 -W 1 192.0.2.28", "busybox 1.35.0"),
        ("inetutils-2.4", INETUTILS, "ping -n -c 8 -i 0.2 -W 1 192.0.2.28", "inetutils 2.4"),
        ("macos-14", MACOS, "ping -n -c 8 -i 0.2 -W 300 192.0.2.28", "bsd"),
    ] {
        let fake = Fake::new(file, version, &replay(file, command));
        let (events, series) = fake.run(SocketAddr::from((Ipv4Addr::LOCALHOST, 7)), 7);
        let counts = &series.counts;
        assert!(series.failure.is_none(), "{file}: {:?}", series.failure);
        assert!(counts.first.is_some(), "{file}: the first is the warm-up");
        assert_eq!((counts.received, counts.duplicates), (3, 2), "{file}: {counts:?}");
        let mut sequences = Vec::new();
        for event in events {
            if let Event::Reply(answer) = event
                && answer.outcome == Outcome::InTime
            {
                sequences.push(answer.sequence);
            }
        }
        let wanted = if file == "iputils-20221126" { [0, 3, 4, 7] } else { [0, 1, 4, 5] };
        assert_eq!(sequences, wanted, "{file}");
        // busybox tells of no error, and inetutils ends before the last probe.
        let errors = if file == "busybox-1.35" { 0 } else { 2 };
        let sent = if file == "inetutils-2.4" { 6 } else { 7 };
        assert_eq!((counts.errors, counts.sent), (errors, sent), "{file}");
        assert_eq!(counts.sent, counts.received + counts.lost + counts.errors, "{file}");
        assert!(series.how.starts_with(&format!("{how}, every ")), "{}", series.how);
        assert!(!series.how.contains("totals"), "{}", series.how);
    }
}

#[test]
fn damaged_and_corrupt_replies_are_no_answers() {
    for (file, version, command) in [
        ("iputils-20221126", IPUTILS, "ping -n -c 2 -i 0.1 192.0.2.16"),
        ("macos-14", MACOS, "ping -n -c 1 192.0.2.16"),
        ("macos-14", MACOS, "ping -n -c 1 192.0.2.5"),
    ] {
        let fake = Fake::new("damage", version, &replay(file, command));
        let series = fake.run_v4(1);
        assert_eq!((series.counts.received, series.counts.first), (0, None), "{command}");
        assert!(series.how.ends_with(" came damaged and count as lost"), "{}", series.how);
    }
}

#[test]
fn sequence_numbers_go_on_past_their_sixteen_bits() {
    let script = "echo 'PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.'
i=1; while [ $i -le 66000 ]; do
  echo \"64 bytes from 127.0.0.1: icmp_seq=$((i % 65536)) ttl=64 time=0.010 ms\"; i=$((i + 1))
done
echo '66000 packets transmitted, 66000 received, 0% packet loss, time 9ms'";
    let fake = Fake::new("wrap", IPUTILS, script);
    let (events, series) = fake.run(SocketAddr::from((Ipv4Addr::LOCALHOST, 7)), 65_999);
    let counts = &series.counts;
    assert_eq!((counts.sent, counts.received, counts.reordered), (65_999, 65_999, 0));
    assert!(matches!(events.last(), Some(Event::Reply(answer)) if answer.sequence == 65_999));
}

#[test]
fn totals_that_disagree_with_the_lines_are_told() {
    let script = "echo 'PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.'
echo '64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.010 ms'
echo '64 bytes from 127.0.0.1: icmp_seq=2 ttl=64 time=0,011 ms'
echo '2 packets transmitted, 2 received, 0% packet loss, time 9ms'";
    let series = Fake::new("disagree", IPUTILS, script).run_v4(1);
    let wanted =
        "iputils 20221126, every 2ms; its totals count 2 replies and 0 copies, its lines 1";
    assert!(series.how.starts_with(wanted), "{}", series.how);
}

#[test]
fn every_dialect_gets_its_own_options() {
    let tell = "echo \"ping: $*\" >&2; exit 2";
    for (version, v4) in [
        (IPUTILS, "-n -i 0.002 -s 56 -W 1 -c 6 127.0.0.1"),
        (BUSYBOX, "-i 0.002 -s 56 -W 1 -c 6 127.0.0.1"),
    ] {
        let error = Fake::new("options", version, tell).run_v4(5).failure.expect("it failed");
        assert!(error.to_string().ends_with(v4), "{error}");
    }
    // IPv6 is another program's in GNU's and BSD's.
    let fake = Fake::new("options-v6", INETUTILS, "exit 3");
    let (_, series) = fake.run(SocketAddr::from((Ipv6Addr::LOCALHOST, 7)), 5);
    assert!(matches!(series.failure, Some(PingError::NotInstalled)), "{:?}", series.failure);
    let six = Fake(PathBuf::from(format!("{}6", fake.0.display())));
    std::fs::copy(&fake.0, &six.0).unwrap();
    let (_, series) = fake.run(SocketAddr::from((Ipv6Addr::LOCALHOST, 7)), 5);
    let error = series.failure.expect("it failed").to_string();
    assert!(error.ends_with("nothing, and ended with exit code 3"), "{error}");
}

#[test]
fn each_way_to_fail_is_told_apart() {
    for (file, version, command, word, setup) in [
        ("iputils-20221126", IPUTILS, "ping -n -c 1 198.51.100.1", "unreachable", true),
        ("iputils-20221126", IPUTILS, "ping -c 1 no-such-host.invalid", "resolve", true),
        ("iputils-20221126", IPUTILS, "ping -n -Z", "bad_option", true),
        (
            "iputils-20221126",
            IPUTILS,
            "ping -n -c 1 127.0.0.1  # nobody, raw refused",
            "permission",
            true,
        ),
        (
            "busybox-1.35",
            BUSYBOX,
            "busybox ping -c 1 127.0.0.1  # nobody, raw refused",
            "permission",
            true,
        ),
        ("busybox-1.35", BUSYBOX, "busybox ping -c 1 198.51.100.1", "unreachable", true),
        ("busybox-1.35", BUSYBOX, "busybox ping -W 0.5 -c 1 127.0.0.1", "bad_option", true),
        ("busybox-1.35", BUSYBOX, "busybox ping -c 1 no-such-host.invalid", "resolve", true),
        (
            "inetutils-2.4",
            INETUTILS,
            "ping -n -c 1 127.0.0.1  # nobody, raw refused",
            "permission",
            true,
        ),
        ("inetutils-2.4", INETUTILS, "ping -n -c 1 198.51.100.1", "unreachable", true),
        ("macos-14", MACOS, "ping -c 1 no-such-host.invalid", "resolve", true),
        ("macos-14", MACOS, "ping -n -c 1 198.51.100.1", "unreachable", true),
        ("macos-14", MACOS, "ping -n -c 1 -s 70000 127.0.0.1", "bad_option", true),
    ] {
        let fake = Fake::new("fails", version, &replay(file, command));
        let error = fake.run_v4(5).failure.unwrap_or_else(|| panic!("{file}: {command}"));
        assert_eq!((error.word(), error.is_setup()), (word, setup), "{command}: {error}");
    }
    // No reply is no failure, whatever the exit code for it.
    for (file, version, command) in [
        ("iputils-20221126", IPUTILS, "ping -n -c 2 -i 0.1 -W 0.3 192.0.2.9"),
        ("busybox-1.35", BUSYBOX, "busybox ping -c 1 -W 1 192.0.2.9"),
        ("inetutils-2.4", INETUTILS, "ping -n -c 1 -W 1 192.0.2.9"),
        ("macos-14", MACOS, "ping -n -c 3 -i 0.2 -W 300 192.0.2.9"),
    ] {
        let series = Fake::new("silent", version, &replay(file, command)).run_v4(1);
        assert!(series.failure.is_none(), "{file}: {:?}", series.failure);
        assert_eq!(series.counts.received, 0);
    }
}

#[test]
fn a_program_that_is_no_ping_is_not_run() {
    let fake = Fake::new("toybox", "ping: Unknown option 'V' (see \"ping --help\")", "exit 0");
    let error = fake.run_v4(1).failure.expect("unknown");
    assert!(matches!(error, PingError::UnknownPing(_)) && error.is_setup());
    assert!(error.to_string().contains("Unknown option 'V'"), "{error}");
    // One that does not end when asked -V, nor later.
    let path = std::env::temp_dir().join(format!("fake-deaf-{}", std::process::id()));
    let write = "printf '#!/bin/sh\\nexec tail -f /dev/null\\n' > \"$1\" && chmod 755 \"$1\"";
    let status = Command::new("sh").args(["-c", write, "sh"]).arg(&path).status();
    assert!(status.unwrap().success());
    let started = Clock::now();
    let error = Fake(path).run_v4(1).failure.expect("deaf");
    assert!(matches!(error, PingError::UnknownPing(_)), "{error}");
    assert!(Clock::now().since(started) < Duration::from_secs(10));
}

/// The ping that is installed here, if one is, on loopback.
#[test]
fn the_installed_ping_is_read() {
    for address in
        [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))]
    {
        let (_, series) = run("ping", address, 20);
        if let Some(error) = &series.failure {
            assert!(error.is_setup() || error.word() == "unreachable", "{error}");
            eprintln!("not run: {error}");
            continue;
        }
        let counts = &series.counts;
        assert_eq!((counts.sent, counts.received), (20, 20), "{series:?}");
        assert_eq!(counts.rtt.count(), 20);
        assert!(!series.how.contains("totals"), "{}", series.how);
    }
}
