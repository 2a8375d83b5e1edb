//! lightmeter's ping beside the system's own.

use crate::program::{Outcome, Stage};
use crate::server::binary;
use std::time::Duration;

/// Both reach loopback, and lightmeter shows the system's ping among its rows.
pub(crate) fn beside_the_systems(stage: &Stage) -> Outcome {
    let limit = Duration::from_secs(12);
    let system = stage.output("system", "ping -c 3 -i 0.2 127.0.0.1", limit)?;
    if !system.contains("3 received") {
        return Err(format!("the system's ping got no answers: {system}"));
    }
    let path = binary("lightmeter")?;
    let line = format!("'{}' ping 127.0.0.1 -c 3", path.display());
    let ours = stage.output("lightmeter", &line, limit)?;
    // `system  3  3  0 ...`: the kind, how many it sent, and how many came back.
    let answered = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().take(3).collect();
        columns == ["system", "3", "3"]
    };
    if ours.lines().any(answered) {
        return Ok(());
    }
    Err(format!("no row in which the system's ping got 3 answers of 3:\n{ours}"))
}
