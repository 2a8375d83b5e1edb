//! The formatter against what iputils printed: every recorded run that the
//! engine could have made is fed to it again, and comes out as it was.

use super::*;
use nearlight::client::ping::{Header, Line, read_line};

const WALL: Wall = 1_795_611_533_166_372_000;

fn compat(name: &str, address: &str, looks: Looks) -> Compat {
    Compat::new(Setup {
        name: name.to_owned(),
        address: address.parse().expect("an address"),
        size: 56,
        interval: Duration::from_millis(200),
        count: Some(70_000),
        looks,
    })
}

fn answered(sequence: u64, micros: u64) -> Answered {
    Answered {
        sequence,
        bytes: 64,
        from: "192.0.2.2".parse().expect("an address"),
        ttl: Some(64),
        rtt: Duration::from_micros(micros),
        duplicate: false,
    }
}

/// One run of a recorded file, its output line by line.
fn runs(version: &str) -> Vec<(String, Vec<String>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/client/ping/recorded");
    let text = std::fs::read_to_string(format!("{folder}/iputils-{version}.txt"));
    let text = text.expect("the recorded runs are in the repository");
    let mut runs = Vec::new();
    for run in text.split("\n$ ").skip(1) {
        let mut lines = run.split('\n').map(str::to_owned);
        let command = lines.next().unwrap_or_default();
        runs.push((command, lines.take_while(|line| !line.starts_with("$? ")).collect()));
    }
    runs
}

/// The value that follows an option among the words of a command.
fn value<'a>(command: &'a str, option: &str) -> Option<&'a str> {
    let mut words = command.split(' ');
    words.find(|word| *word == option)?;
    words.next()
}

/// The run again, from what its lines say.
fn again(command: &str, output: &[String]) -> String {
    let mut parts = output[0].split([' ', '(', ')']).filter(|part| !part.is_empty());
    let (name, address) = (parts.nth(1).expect("a name"), parts.next().expect("an address"));
    let has = |option: &str| command.split(' ').any(|word| word == option);
    let mut compat = Compat::new(Setup {
        name: name.to_owned(),
        address: address.parse().expect("an address"),
        size: value(command, "-s").map_or(56, |size| size.parse().expect("a size")),
        interval: Duration::from_secs_f64(value(command, "-i").unwrap_or("1").parse().expect("s")),
        count: value(command, "-c").map(|count| count.parse().expect("a count")),
        looks: Looks { stamps: has("-D"), outstanding: has("-O"), quiet: has("-q") },
    });
    let mut text = compat.header();
    let mut sums = Sums { sent: 0, received: 0 };
    for line in &output[1..] {
        text.push_str(&match read_line(line) {
            Line::Reply(reply) => compat.reply(
                WALL,
                &Answered {
                    sequence: u64::from(reply.sequence),
                    bytes: usize::try_from(reply.bytes).expect("few"),
                    from: reply.from.parse().expect("an address"),
                    ttl: reply.ttl,
                    rtt: reply.time.expect("a time"),
                    duplicate: reply.duplicate,
                },
            ),
            Line::Trouble { sequence, from, what } => {
                let from = from.parse().expect("an address");
                compat.trouble(WALL, from, u64::from(sequence.expect("a number")), what)
            }
            Line::Outstanding { sequence } => compat.due(WALL, u64::from(sequence) + 1),
            Line::Summary(totals) => {
                sums.sent = totals.sent;
                sums.received = totals.received;
                compat.summary(&sums)
            }
            Line::Header(Header::FromOne | Header::FromZero)
            | Line::Times(_)
            | Line::Damage
            | Line::Complaint(_)
            | Line::Other => String::new(),
        });
    }
    text
}

/// Without the times that can't be the same: of day, of the whole run, and of
/// the totals where the lines have lost digits, or `-q` has no lines.
fn comparable(text: &str, exact: bool) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((_, rest)) => format!("[] {rest}"),
            None => line.split(", time ").next().unwrap_or_default().to_owned(),
        };
        let line = match line.strip_prefix("rtt min/avg/max/mdev = ") {
            Some(rest) if !exact => {
                let pipe = rest.split_once(", pipe ").map_or("", |(_, pipe)| pipe);
                format!("rtt {pipe}")
            }
            _ => line,
        };
        lines.push(line);
    }
    lines.join("\n")
}

#[test]
fn recorded_runs_come_out_as_they_were() {
    // What the engine never does, or ping only if it is told to.
    let other = [
        "-f",
        "-q",
        "-A",
        "-R",
        "-T",
        "-p",
        "-a",
        "-v",
        "-I",
        "-l",
        "-b",
        "-F",
        "-3",
        "-Z",
        "nobody",
        "SIG",
        "localhost",
        "-H",
        "-s 8",
        "-s 15",
        "-s 0",
        "-i x",
        "-i 0.0005",
        "70000",
        "-c 0",
    ];
    let (mut compared, mut exact_ones) = (0, 0);
    for version in ["20221126", "20250605"] {
        for (command, output) in runs(version) {
            let whole = output.first().is_some_and(|line| line.starts_with("PING "));
            let plain = output.iter().all(|line| {
                !matches!(read_line(line), Line::Damage)
                    && !line.contains("(truncated)")
                    && !line.contains("BAD CHECKSUM")
                    && !line.contains("Redirect")
            });
            if !whole || !plain || other.iter().any(|option| command.contains(option)) {
                continue;
            }
            // Lines of three digits have lost nothing of times below 1 ms.
            let exact = !command.contains("-q")
                && output.iter().all(|line| !line.contains("time=") || line.contains("time=0."));
            let mut recorded = output.join("\n") + "\n";
            if version == "20221126" && command.contains("::") {
                recorded = recorded.replacen('(', " (", 1);
            }
            let got = comparable(&again(&command, &output), exact);
            assert_eq!(got, comparable(&recorded, exact), "{version}: {command}");
            compared += 1;
            exact_ones += u32::from(exact && recorded.contains("rtt "));
        }
    }
    assert!(compared >= 60 && exact_ones >= 20, "{compared} runs, {exact_ones} with exact totals");
}

#[test]
fn times_have_three_digits() {
    for (micros, text) in [
        (0, "0.000"),
        (7, "0.007"),
        (999, "0.999"),
        (1_000, "1.00"),
        (1_004, "1.00"),
        (1_005, "1.01"),
        (9_994, "9.99"),
        (9_995, "10.0"),
        (12_345, "12.3"),
        (99_949, "99.9"),
        (99_950, "100"),
        (100_499, "100"),
        (100_500, "101"),
        (1_234_567, "1235"),
    ] {
        assert_eq!(time(micros), text, "{micros}");
    }
}

#[test]
fn percentages_are_as_printf_has_them() {
    for (sent, lost, text) in [
        (3, 0, "0"),
        (3, 3, "100"),
        (3, 1, "33.3333"),
        (6, 1, "16.6667"),
        (200, 1, "0.5"),
        (1_000_000, 1, "0.0001"),
        (10_000_000, 1, "1e-05"),
        (30_000_000, 1, "3.33333e-06"),
        (1_000_000, 999_999, "99.9999"),
        (100_000_000, 99_999_999, "100"),
        (7, 4, "57.1429"),
    ] {
        assert_eq!(general(f64::from(lost) * 100.0 / f64::from(sent)), text, "{lost} of {sent}");
    }
}

#[test]
fn probes_without_reply_are_told_of_when_the_next_is_due() {
    let looks = Looks { outstanding: true, stamps: true, ..Looks::default() };
    let mut compat = compat("192.0.2.2", "192.0.2.2", looks);
    let stamp = "[1795611533.166372] ";
    assert_eq!(compat.due(WALL, 1), "");
    assert_eq!(compat.due(WALL, 1), "", "once");
    let late = format!("{stamp}no answer yet for icmp_seq=1\n");
    assert_eq!(compat.due(WALL, 2), late);
    // A reply in time says nothing of its own probe, nor of the next.
    let line = format!("{stamp}64 bytes from 192.0.2.2: icmp_seq=2 ttl=64 time=0.080 ms\n");
    assert_eq!(compat.reply(WALL, &answered(2, 80)), line);
    assert_eq!(compat.due(WALL, 3), "");
    // One that took 450 ms came after two more were sent.
    let text = compat.reply(WALL, &answered(3, 450_000));
    let wanted = format!(
        "{stamp}no answer yet for icmp_seq=3\n{stamp}no answer yet for icmp_seq=4\n\
         {stamp}64 bytes from 192.0.2.2: icmp_seq=3 ttl=64 time=450 ms\n"
    );
    assert_eq!(text, wanted);
    let sums = Sums { sent: 5, received: 2 };
    assert!(compat.summary(&sums).ends_with(" ms, pipe 3\n"), "{}", compat.summary(&sums));
}

#[test]
fn quiet_leaves_out_the_lines_and_keeps_the_sums() {
    let looks = Looks { quiet: true, ..Looks::default() };
    let mut compat = compat("host", "192.0.2.2", looks);
    let from = "192.0.2.254".parse().expect("an address");
    assert_eq!(compat.reply(WALL, &answered(1, 80)), "");
    assert_eq!(compat.trouble(WALL, from, 2, "Destination Host Unreachable"), "");
    let sums = Sums { sent: 2, received: 1 };
    assert_eq!(
        compat.summary(&sums),
        "\n--- host ping statistics ---\n2 packets transmitted, 1 received, +1 errors, \
         50% packet loss, time 200ms\nrtt min/avg/max/mdev = 0.080/0.080/0.080/0.000 ms\n"
    );
}

#[test]
fn marks_wrap_and_the_empty_end() {
    let mut marked = compat("host", "192.0.2.9", Looks::default());
    let text = marked.reply(WALL, &Answered { duplicate: true, ..answered(65_537, 80) });
    let wanted = "64 bytes from 192.0.2.2: icmp_seq=1 ttl=64 time=0.080 ms (DUP!) \
                  (DIFFERENT ADDRESS!)\n";
    assert_eq!(text, wanted);
    let silent = compat("host", "192.0.2.9", Looks::default());
    let sums = Sums { sent: 4, received: 0 };
    assert_eq!(
        silent.summary(&sums),
        "\n--- host ping statistics ---\n4 packets transmitted, 0 received, 100% packet loss, \
         time 600ms\n\n"
    );
    let none = Sums { sent: 0, received: 0 };
    assert!(silent.summary(&none).ends_with("0 packets transmitted, 0 received\n\n"));
}

#[test]
fn looks_go_with_what_they_can() {
    let looks = Looks { outstanding: true, ..Looks::default() };
    assert!(looks.of(false, false, false, None).is_err());
    assert!(looks.of(true, false, true, None).is_err());
    assert!(looks.of(true, false, false, Some(Kind::Tcp)).is_err());
    let quiet = Looks { quiet: true, ..looks };
    assert_eq!(looks.of(true, true, false, Some(Kind::Icmp)), Ok(Some(quiet)));
    assert_eq!(Looks::default().of(false, true, true, None), Ok(None));
}
