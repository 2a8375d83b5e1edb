//! MPEG-TS made into FLV by the library, read back by ffmpeg: it must have
//! nothing to say, decode the same pictures and samples, and find every time
//! stamp within half a millisecond.

use crate::program::{Outcome, Stage};
use nearlight::media::to_flv::ToFlv;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const PICTURE: &str = "-f lavfi -i testsrc2=size=320x240:rate=25";
const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=44100";

/// B-frames: presentation is not in the order of decoding.
pub(crate) fn reordered(stage: &Stage) -> Outcome {
    let codecs = "-c:v libx264 -bf 2 -g 50 -pix_fmt yuv420p -c:a aac";
    same(stage, &format!("{PICTURE} {SOUND} -t 4 {codecs}"), &["v", "a"])
}

/// A rate that no number of milliseconds divides, and a size that is cropped.
pub(crate) fn odd(stage: &Stage) -> Outcome {
    let picture = "-f lavfi -i testsrc2=size=322x242:rate=30000/1001";
    let codecs = "-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p \
        -c:a aac -ac 1 -ar 22050";
    same(stage, &format!("{picture} {SOUND} -t 4 {codecs}"), &["v", "a"])
}

/// Fields, 4:2:2, ten bits, and MP3.
pub(crate) fn interlaced(stage: &Stage) -> Outcome {
    let codecs = "-c:v libx264 -flags +ildct+ilme -x264opts tff=1 -pix_fmt yuv422p10le \
        -c:a libmp3lame";
    same(stage, &format!("{PICTURE} {SOUND} -t 3 {codecs}"), &["v", "a"])
}

pub(crate) fn audio_alone(stage: &Stage) -> Outcome {
    same(stage, &format!("{SOUND} -t 3 -c:a aac"), &["a"])
}

pub(crate) fn video_alone(stage: &Stage) -> Outcome {
    same(stage, &format!("{PICTURE} -t 3 -c:v libx264 -pix_fmt yuv444p"), &["v"])
}

/// Makes a clip, remuxes it in pieces of odd sizes, and compares.
fn same(stage: &Stage, make: &str, streams: &[&str]) -> Outcome {
    let line = format!("ffmpeg -v error -nostdin -y {make} -f mpegts in.ts");
    stage.output("make", &line, LIMIT)?;
    let mut remux = ToFlv::new();
    let mut flv = Vec::new();
    for piece in stage.read("in.ts")?.chunks(1021) {
        remux.handle_bytes(piece, &mut flv);
    }
    remux.finish(&mut flv);
    stage.write("out.flv", &flv)?;
    if remux.dropped_units() > 0 || !remux.unsupported().is_empty() {
        let (dropped, unsupported) = (remux.dropped_units(), remux.unsupported());
        return Err(format!("{dropped} units dropped; left out: {unsupported:x?}"));
    }
    let line = "ffmpeg -nostdin -v warning -xerror -i out.flv -f null - 2>&1";
    let said = stage.output("decode", line, LIMIT)?;
    if !said.trim().is_empty() {
        return Err(format!("the decoder complains: {}", said.trim()));
    }
    let mut base = None;
    for stream in streams {
        let (sent, got) = (hashes(stage, "in.ts", stream)?, hashes(stage, "out.flv", stream)?);
        if sent.is_empty() || sent != got {
            return Err(format!("{stream}: {} frames sent, {} others got", sent.len(), got.len()));
        }
        let (sent, got) = (times(stage, "in.ts", stream)?, times(stage, "out.flv", stream)?);
        let first = sent.first().ok_or_else(|| format!("{stream}: no packet"))?;
        // All count from the first decoding time of the first stream.
        let base = *base.get_or_insert(first.1);
        if sent.len() != got.len() {
            return Err(format!("{stream}: {} packets sent, {} got", sent.len(), got.len()));
        }
        for (at, (sent, got)) in sent.iter().zip(&got).enumerate() {
            let off = |sent: f64, got: f64| (((sent - base) / 90.0).max(0.0) - got).abs() > 0.5;
            if off(sent.0, got.0) || off(sent.1, got.1) {
                return Err(format!("{stream}: packet {at}: {sent:?} ticks is {got:?} ms"));
            }
        }
    }
    Ok(())
}

/// One hash for each decoded frame.
fn hashes(stage: &Stage, file: &str, stream: &str) -> Outcome<Vec<String>> {
    let line = format!(
        "ffmpeg -nostdin -v error -i {file} -map 0:{stream} -fps_mode passthrough -f framemd5 -"
    );
    let said = stage.output(&format!("hashes-{stream}-{file}"), &line, LIMIT)?;
    let frames = said.lines().filter(|line| !line.starts_with('#'));
    Ok(frames.filter_map(|line| Some(line.rsplit_once(',')?.1.trim().to_owned())).collect())
}

/// Presentation and decoding time of each packet, in the container's units.
fn times(stage: &Stage, file: &str, stream: &str) -> Outcome<Vec<(f64, f64)>> {
    let line = format!(
        "ffprobe -v error -select_streams {stream} -show_entries packet=pts,dts -of csv=p=0 {file}"
    );
    let said = stage.output(&format!("times-{stream}-{file}"), &line, LIMIT)?;
    said.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut numbers = line.split(',').map(str::parse);
            match (numbers.next(), numbers.next()) {
                (Some(Ok(pts)), Some(Ok(dts))) => Ok((pts, dts)),
                _ => Err(format!("{file}: no times: {line}")),
            }
        })
        .collect()
}
