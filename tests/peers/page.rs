//! The web page in Chromium, headless: it plays a live stream, and the delay that
//! it shows is the true one.
//!
//! Each picture of the stream says which one it is by how grey it is, and behind
//! it stands a stamp with its number and the time. So `page/check.mjs` knows of
//! the picture on the screen when it was sent, whatever player and page believe.

use crate::program::{Outcome, Program, Stage};
use crate::server::{NAME, Server};
use nearlight::client::probe::Stamp;
use nearlight::limits::TS_PACKET;
use nearlight::sys::clock::Clock;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Live pictures and sound, a keyframe a second. The grey of picture N is that
/// of `GREYS` in `page/check.mjs`.
const ENCODE: &str = "exec ffmpeg -v error -nostdin -re \
    -f lavfi -i color=black:size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 \
    -vf \"geq=lum='20+mod(N,200)':cb=128:cr=128\" \
    -c:v libx264 -profile:v baseline -preset ultrafast -tune zerolatency -pix_fmt yuv420p \
    -crf 12 -g 25 -c:a aac -b:a 96k -muxdelay 0 -flush_packets 1 -f mpegts -";

/// Chromium starts, opens the list and the player, and watches for some seconds.
const LIMIT: Duration = Duration::from_secs(35);

pub(crate) fn chromium_plays(stage: &Stage) -> Outcome {
    let server = Server::start(stage, &[])?;
    let mut command = Command::new("sh");
    command.args(["-c", ENCODE]).stdout(Stdio::piped());
    let mut encoder = Program::spawn(stage, "encoder", command)?;
    let pictures = encoder.child().stdout.take().ok_or("encoder: no output")?;
    let to =
        TcpStream::connect(&server.tcp_in).map_err(|why| format!("{}: {why}", server.tcp_in))?;
    to.set_nodelay(true).map_err(|why| why.to_string())?;
    thread::spawn(move || {
        // It ends with the encoder, or with the server.
        let _ended = stamp_pictures(pictures, to);
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/page/check.mjs");
    let line = format!("node '{script}' http://{} {NAME}", server.http);
    Program::start(stage, "chromium", &line)?
        .succeed(LIMIT)
        .map_err(|why| format!("{why}\n    {}", server.last_words()))?;
    server.stop()
}

/// Passes packets on, and puts a stamp behind those in which a picture begins.
fn stamp_pictures(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut held = Vec::new();
    let mut space = [0; 64 * 1024];
    let mut seq = 0;
    loop {
        let len = from.read(&mut space)?;
        if len == 0 {
            return Ok(());
        }
        held.extend_from_slice(&space[..len]);
        let whole = held.len() / TS_PACKET * TS_PACKET;
        let mut out: Vec<u8> = held.drain(..whole).collect();
        let begun = out.chunks_exact(TS_PACKET).filter(|packet| begins_picture(packet)).count();
        for _ in 0..begun {
            let now = Clock::now();
            Stamp { token: 1, seq, intended: now, sent: now }.write_ts(&mut out);
            seq += 1;
        }
        to.write_all(&out)?;
    }
}

/// Whether a packet has the start of a PES of the first video stream
/// (ISO/IEC 13818-1 2.4.3.6, stream_id 0xE0).
fn begins_picture(packet: &[u8]) -> bool {
    let payload = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
    packet[1] & 0x40 != 0 && packet.get(payload..payload + 4) == Some(&[0, 0, 1, 0xE0])
}
