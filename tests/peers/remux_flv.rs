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

/// H.265, which this ffmpeg knows not in FLV: a reader of its own takes the
/// tags apart, and ffmpeg decodes what was in them.
pub(crate) fn h265(stage: &Stage) -> Outcome {
    let codecs = "-c:v libx265 -preset fast -x265-params log-level=none:keyint=25 \
        -pix_fmt yuv420p10le -c:a aac";
    let flv = remux(stage, &format!("{PICTURE} {SOUND} -t 3 {codecs}"))?;
    let (annexb, record, got) = take_apart(&flv).ok_or("the tags can't be read")?;
    stage.write("out.h265", &annexb)?;
    let (sent_hashes, got_hashes) = (hashes(stage, "in.ts", "v")?, hashes(stage, "out.h265", "v")?);
    if sent_hashes.is_empty() || sent_hashes != got_hashes {
        return Err(format!("{} frames sent, {} others got", sent_hashes.len(), got_hashes.len()));
    }
    same_times("v", &times(stage, "in.ts", "v")?, &got, None)?;
    // ffmpeg's record is in an MP4; behind these bytes come the arrays.
    const FIXED: usize = 23;
    let line = "ffmpeg -nostdin -v error -y -i in.ts -map 0:v -c copy in.mp4";
    stage.output("mp4", line, LIMIT)?;
    let mp4 = stage.read("in.mp4")?;
    let at = mp4.windows(4).position(|name| name == b"hvcC").ok_or("no hvcC in the MP4")?;
    if mp4[at + 4..].get(..FIXED) != record.get(..FIXED) {
        return Err(format!("the record is {record:02x?}"));
    }
    Ok(())
}

/// What an FLV of H.265 is made of.
type Parts = (Vec<u8>, Vec<u8>, Vec<(f64, f64)>);

/// The H.265 of an FLV as a byte stream, its decoder configuration record, and
/// the times of each picture: presentation, decoding.
fn take_apart(flv: &[u8]) -> Option<Parts> {
    let (mut annexb, mut record, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = flv.get(13..)?;
    while !rest.is_empty() {
        let size = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let ms = u32::from_be_bytes([*rest.get(7)?, rest[4], rest[5], rest[6]]);
        let data = rest.get(11..11 + size)?;
        match (rest[0], data) {
            (9, [0x90, b'h', b'v', b'c', b'1', start @ ..]) => {
                record = start.to_vec();
                let mut arrays = start.get(23..)?;
                for _ in 0..3 {
                    let length = usize::from(u16::from_be_bytes([arrays[3], arrays[4]]));
                    annexb.extend([0, 0, 0, 1]);
                    annexb.extend(arrays.get(5..5 + length)?);
                    arrays = &arrays[5 + length..];
                }
            }
            (9, [0x91 | 0xa1, b'h', b'v', b'c', b'1', a, b, c, units @ ..]) => {
                let offset = i32::from_be_bytes([*a, *b, *c, 0]) >> 8;
                times.push((f64::from(ms) + f64::from(offset), f64::from(ms)));
                let mut units = units;
                while let Some((length, after)) = units.split_first_chunk() {
                    let (unit, next) =
                        after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                    annexb.extend([0, 0, 0, 1]);
                    annexb.extend(unit);
                    units = next;
                }
            }
            (9, _) => return None,
            _ => {}
        }
        rest = rest.get(15 + size..)?;
    }
    Some((annexb, record, times))
}

/// Makes a clip, remuxes it in pieces of odd sizes, and compares.
fn same(stage: &Stage, make: &str, streams: &[&str]) -> Outcome {
    remux(stage, make)?;
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
        base = Some(same_times(stream, &sent, &got, base)?);
    }
    Ok(())
}

/// Makes `in.ts`, and `out.flv` of it.
fn remux(stage: &Stage, make: &str) -> Outcome<Vec<u8>> {
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
    Ok(flv)
}

/// Each packet's times, in milliseconds, are those in ticks, less the first
/// decoding time of the first stream: `base`, which is given back.
fn same_times(
    stream: &str,
    sent: &[(f64, f64)],
    got: &[(f64, f64)],
    base: Option<f64>,
) -> Outcome<f64> {
    if sent.is_empty() || sent.len() != got.len() {
        return Err(format!("{stream}: {} packets sent, {} got", sent.len(), got.len()));
    }
    let base = base.unwrap_or(sent[0].1);
    // Audio from before the first picture is put at the beginning.
    let off = |sent: f64, got: f64| (((sent - base) / 90.0).max(0.0) - got).abs() > 0.5;
    for (at, (sent, got)) in sent.iter().zip(got).enumerate() {
        if off(sent.0, got.0) || off(sent.1, got.1) {
            return Err(format!("{stream}: packet {at}: {sent:?} ticks is {got:?} ms"));
        }
    }
    Ok(base)
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
