//! `nearlight demo`, whose generated stream a real decoder must like.

use crate::clip;
use crate::program::{Outcome, Program, Stage, until};
use crate::server::binary;
use std::time::Duration;

/// The demo runs, the line that it prints for curl fetches its stream, the
/// decoder finds nothing to say, and every path of the table has frames.
pub(crate) fn decodes(stage: &Stage) -> Outcome {
    let path = binary("nearlight")?;
    let line = format!("exec '{}' demo --seconds 8", path.display());
    let mut demo = Program::start(stage, "demo", &line)?;
    let printed =
        || String::from_utf8_lossy(&stage.read("demo.out").unwrap_or_default()).into_owned();
    let fetch = until("a line for curl", Duration::from_secs(5), || {
        printed().lines().find(|line| line.contains("curl -N -o live.ts")).map(str::to_owned)
    })?;
    let url = fetch.split_whitespace().last().unwrap_or_default().to_owned();
    // Cut off by time, as a viewer who leaves: exit status 28.
    let fetch = format!("curl -sN -m 4 -o cut.ts '{url}?wait=5s'; test $? = 28");
    stage.output("curl", &fetch, Duration::from_secs(8))?;
    let bytes = stage.read("cut.ts")?;
    // curl's buffer may end within a packet, and a packet within a picture.
    stage.write("live.ts", up_to_last_picture(&bytes)?)?;
    clip::decodes_silently(stage, "live.ts")?;
    clip::starts_with_key(stage, "live.ts")?;
    demo.succeed(Duration::from_secs(12))?;
    let table = printed();
    for path in ["tcp → tcp", "tcp → http", "tcp → websocket", "tcp → udp"] {
        let last = table.lines().rfind(|line| line.starts_with(path));
        let frames = last.and_then(|line| line[path.len()..].split_whitespace().next());
        let count: u32 = frames.and_then(|n| n.parse().ok()).unwrap_or(0);
        if count < 150 {
            return Err(format!("{path}: {count} frames of 200:\n{table}"));
        }
    }
    Ok(())
}

/// Whole packets up to the last one that begins a picture of the video PID.
fn up_to_last_picture(bytes: &[u8]) -> Outcome<&[u8]> {
    let whole = &bytes[..bytes.len() - bytes.len() % 188];
    let begins = |packet: &[u8]| {
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        packet[1] & 0x40 != 0
            && (0x20..0x1f00).contains(&pid)
            && packet[3] & 0x20 != 0
            && packet[4] > 0
    };
    match whole.chunks(188).rposition(begins) {
        Some(packets) if packets > 0 => Ok(&whole[..packets * 188]),
        _ => Err(format!("no picture begins in {} bytes", bytes.len())),
    }
}
