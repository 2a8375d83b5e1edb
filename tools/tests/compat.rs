//! `--ping-compat` against the ping that is installed: both run on loopback with
//! the same options, and print the same but for times.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::{Child, Command, Output, Stdio};

/// Option sets of ping(8), each with a host on this machine.
const SETS: [&str; 24] = [
    "-c 3 -i 0.2 127.0.0.1",
    "-c 1 127.0.0.1",
    "-n -c 2 -i 0.2 127.0.0.1",
    "-c 2 -i 0.2 ::1",
    "-6 -c 2 -i 0.2 ::1",
    "-4 -c 2 -i 0.2 127.0.0.1",
    "-4 -n -c 2 -i 0.2 localhost",
    "-q -c 3 -i 0.2 127.0.0.1",
    "-q -c 3 -i 0.2 ::1",
    "-D -c 2 -i 0.2 127.0.0.1",
    "-D -c 2 -i 0.2 ::1",
    "-O -c 3 -i 0.2 127.0.0.1",
    "-O -D -c 3 -i 0.2 127.0.0.1",
    "-q -D -O -c 2 -i 0.2 127.0.0.1",
    "-s 16 -c 2 -i 0.2 127.0.0.1",
    "-s 1400 -c 2 -i 0.2 127.0.0.1",
    "-s 1400 -c 2 -i 0.2 ::1",
    "-s 65507 -c 2 -i 0.2 127.0.0.1",
    "-W 1 -c 2 -i 0.2 127.0.0.1",
    "-w 5 -c 3 -i 0.2 127.0.0.1",
    "-w 5 -W 1 -s 100 -c 2 -i 0.3 ::1",
    "-c 20 -i 0.002 127.0.0.1",
    "-c2 -i0.2 -s64 127.0.0.1",
    "-c 2 -i 0.2 127.0.0.2",
];

/// The version of iputils that is installed, a date.
fn iputils() -> Option<u32> {
    let output = Command::new("ping").arg("-V").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.strip_prefix("ping from iputils ")?.split_whitespace().next()?;
    version.trim_start_matches('s').parse().ok()
}

fn start(mut command: Command, words: &str) -> Child {
    command
        .args(words.split_whitespace())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Both, started at the same time.
fn both(words: &str) -> [Child; 2] {
    let mut ours = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
    ours.args(["ping", "--ping-compat"]);
    [start(ours, words), start(Command::new("ping"), words)]
}

/// The output with `#` for what is measured, and without the most that were out
/// at once, which is 1 here unless the machine is busy.
fn masked(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let (stamp, line) = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((stamp, line)) => (format!("[{}] ", digits(stamp)), line),
            None => (String::new(), line),
        };
        let line = line.split(", pipe ").next().unwrap();
        let measured = line.find("time").or_else(|| line.find("mdev = "));
        let (plain, measured) = line.split_at(measured.unwrap_or(line.len()));
        lines.push(format!("{stamp}{plain}{}", digits(measured)));
    }
    lines.join("\n")
}

/// One `#` for each number.
fn digits(text: &str) -> String {
    let mut masked = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' | '.' if masked.ends_with('#') => {}
            '0'..='9' => masked.push('#'),
            c => masked.push(c),
        }
    }
    masked
}

/// What is wrong with a set's output, if anything; `None` too where it can't be
/// tried here.
fn difference(words: &str, children: [Child; 2], version: u32) -> Option<String> {
    let [ours, theirs] = children.map(|child| child.wait_with_output().unwrap());
    let [ours_says, theirs_says] =
        [&ours, &theirs].map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let v6 = words.contains("::1");
    if ours_says.contains("cap_net_raw") || theirs_says.contains("cap_net_raw") {
        eprintln!("not run: icmp is not permitted here");
        return None;
    }
    if v6 && ours_says.contains("ping: connect: ") {
        eprintln!("not run: no IPv6 here: {words}");
        return None;
    }
    let mut wanted = masked(&theirs);
    if v6 && version < 20_231_222 {
        // What newer ones put there.
        wanted = wanted.replacen('(', " (", 1);
    }
    assert!(wanted.contains("packets transmitted, "), "{words}: {theirs_says}");
    let got = masked(&ours);
    let codes = [&ours, &theirs].map(|output| output.status.code());
    let same = got == wanted && codes[0] == codes[1];
    (!same).then(|| format!("{words}: {ours_says}\n{got}\n{wanted}\n{codes:?}"))
}

#[test]
fn twenty_sets_of_options_print_what_ping_prints() {
    let Some(version) = iputils() else {
        eprintln!("not run: no ping of iputils is installed");
        return;
    };
    // All sets at once: they sleep most of the time.
    for (words, children) in SETS.map(|words| (words, both(words))) {
        // A machine that is busy for 200 ms makes either miss a reply in time.
        let mut found = difference(words, children, version);
        for _ in 0..2 {
            found = found.and_then(|_| difference(words, both(words), version));
        }
        assert_eq!(found, None);
    }
}

#[test]
fn it_goes_with_icmp_alone() {
    for (words, part) in [
        ("ping tcp 127.0.0.1 --ping-compat", "ping has no tcp"),
        ("ping icmp 127.0.0.1 --ping-compat --json", "no JSON, no pictures, no files"),
        ("ping icmp 127.0.0.1 --ping-compat --save f", "no JSON, no pictures, no files"),
        ("ping icmp 127.0.0.1 -O", "-O and -D are of --ping-compat"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
        let output = command.args(words.split_whitespace()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.contains(part), "{complaint}");
    }
}
