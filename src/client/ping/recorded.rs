//! What real pings printed, for the tests of those who read it.
//!
//! Each file of `recorded/` says at its top whose output it is and where it is
//! from. Each of its runs is a `$` line with the words of the command, the
//! output with complaints among it, `$?` with the exit code, and `=` with what
//! is to be read from it, which was worked out by another program, with regular
//! expressions. `versions.txt` has answers to `-V`.

macro_rules! recorded {
    ($($name:literal)*) => { [$(($name, include_str!(concat!("recorded/", $name, ".txt")))),*] };
}

/// Each recorded file, by its name.
pub(super) const RECORDED: [(&str, &str); 19] = recorded![
    "bsd-by-source"
    "busybox-1.30"
    "busybox-1.35"
    "busybox-1.38"
    "inetutils-2.0"
    "inetutils-2.4"
    "inetutils-2.8"
    "inetutils-locales"
    "iputils-20121221"
    "iputils-20121221-ping6"
    "iputils-20161105"
    "iputils-20190709"
    "iputils-20210202"
    "iputils-20221126"
    "iputils-20240117"
    "iputils-20240117-locales"
    "iputils-20250605"
    "macos-14"
    "toybox-0.8"
];

/// One run of a recorded file.
pub(super) struct Run {
    pub(super) command: &'static str,
    pub(super) output: Vec<&'static str>,
    pub(super) code: i32,
    pub(super) expected: &'static str,
}

/// The runs of one file.
pub(super) fn runs(text: &'static str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            runs.push(Run { command, output: Vec::new(), code: -1, expected: "" });
            continue;
        }
        let Some(run) = runs.last_mut() else {
            assert!(line.starts_with("# "), "a file begins with where it is from: {line}");
            continue;
        };
        if let Some(code) = line.strip_prefix("$? ") {
            run.code = code.parse().expect("an exit code");
        } else if let Some(expected) = line.strip_prefix("= ") {
            run.expected = expected;
        } else {
            run.output.push(line);
        }
    }
    runs
}
