//! One run of a part under valgrind.

use std::env;
use std::process::{Command, Stdio};

/// The word that makes this program run a part instead of comparing.
pub(crate) const RUN: &str = "--run";

/// What came of a run.
pub(crate) struct Count {
    /// Instructions of the whole process.
    pub(crate) instructions: u64,
    /// Units that the part has done.
    pub(crate) units: u64,
}

/// Whether valgrind is installed.
pub(crate) fn is_there() -> bool {
    let mut probe = Command::new("valgrind");
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Counts the instructions of so many calls of a part's work, everything else
/// of a process included. Nothing of the surroundings gets in: neither the
/// environment, which lies on the stack, nor where memory happens to be.
pub(crate) fn count(title: &str, calls: u64) -> Result<Count, String> {
    let own = env::current_exe().map_err(|why| format!("this program's path: {why}"))?;
    let path = env::var_os("PATH").unwrap_or_default();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args([RUN, title, &calls.to_string()])
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .map_err(|why| format!("valgrind: {why}"))?;
    let (said, notes) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let collected = notes.lines().find_map(|line| line.split_once("Collected : "));
    let instructions = collected.and_then(|(_, count)| count.trim().parse().ok());
    match (instructions, said.trim().parse()) {
        (Some(instructions), Ok(units)) if output.status.success() => {
            Ok(Count { instructions, units })
        }
        _ => Err(format!("valgrind says:\n{notes}")),
    }
}
