//! FLV into MPEG-TS, judged by ffmpeg: the same pictures and sounds come out of
//! its decoders, at the same times, and it has nothing to complain about.

use crate::program::{Outcome, Stage};
use nearlight::framing::flv::{HEAD_BYTES, TAIL_BYTES, TagHead, TagKind, put_tag};
use nearlight::framing::{Container, Kind};
use nearlight::media::Remux;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// What is written for: 100 ms before the first picture.
const LEAD: i64 = 100;

const PICTURES: &str = "-f lavfi -i testsrc2=size=320x240:rate=25";
const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=44100";
const H264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 25 -threads 1";

/// H.264 with B-frames and AAC, as most encoders send them.
pub(crate) fn h264_aac(stage: &Stage) -> Outcome {
    made(stage, &format!("{PICTURES} {SOUND} -t 6 {H264} -bf 3 -c:a aac"))
}

/// H.264 in many slices, without B-frames; no sound.
pub(crate) fn h264_alone(stage: &Stage) -> Outcome {
    made(stage, &format!("{PICTURES} -t 4 {H264} -tune zerolatency -x264-params slices=4"))
}

/// AAC alone, so that the PCR is the sound's.
pub(crate) fn aac_alone(stage: &Stage) -> Outcome {
    made(stage, &format!("{SOUND} -t 6 -c:a aac -ac 2"))
}

/// Few pictures a second and MP3.
pub(crate) fn h264_mp3(stage: &Stage) -> Outcome {
    let pictures = "-f lavfi -i testsrc2=size=320x240:rate=3";
    made(stage, &format!("{pictures} {SOUND} -t 6 {H264} -c:a libmp3lame"))
}

/// H.265 as Enhanced RTMP has it, from an elementary stream: old ffmpegs don't
/// write it.
pub(crate) fn h265_by_fourcc(stage: &Stage) -> Outcome {
    h265(stage, |is_key, is_header, composition| {
        let frame = if is_key { 0x90 } else { 0xA0 };
        let mut start = vec![if is_header { 0x90 } else { frame | 1 }];
        start.extend_from_slice(b"hvc1");
        if !is_header {
            start.extend_from_slice(&composition.to_be_bytes()[1..]);
        }
        start
    })
}

/// H.265 as codec 12, before there was a FourCC.
pub(crate) fn h265_as_codec_12(stage: &Stage) -> Outcome {
    h265(stage, |is_key, is_header, composition| {
        let mut start = vec![if is_key { 0x1C } else { 0x2C }, u8::from(!is_header)];
        start.extend_from_slice(&composition.to_be_bytes()[1..]);
        start
    })
}

/// A file that ffmpeg makes.
fn made(stage: &Stage, what: &str) -> Outcome {
    let line = format!("ffmpeg -v error -nostdin -y {what} -f flv source.flv");
    stage.output("make", &line, PATIENCE)?;
    let source = stage.read("source.flv")?;
    remuxed(stage, &source, "source.flv")
}

/// Remuxes a source and compares all that comes out with what `original` has.
fn remuxed(stage: &Stage, source: &[u8], original: &str) -> Outcome {
    let mut remux = Remux::between(Kind::Flv, Container::Ts).ok_or("no such way")?;
    let mut ts = Vec::new();
    source.chunks(1000).for_each(|piece| remux.handle_bytes(piece, &mut ts));
    remux.finish(&mut ts);
    stage.write("got.ts", &ts)?;
    crate::ts::continuous(&ts)?;
    let line = "ffmpeg -nostdin -v warning -xerror -i got.ts -f null - 2>&1";
    let said = stage.output("decode", line, PATIENCE)?;
    if !said.trim().is_empty() {
        return Err(format!("the decoder complains: {}", said.trim()));
    }
    for (kind, name) in [(TagKind::Video, "v"), (TagKind::Audio, "a")] {
        let times = times(source, kind);
        if times.is_empty() {
            continue;
        }
        same(stage, &format!("decoded-{name}"), original, &decoded(name))?;
        let got = packet_times(stage, name)?;
        if got != times {
            let at = got.iter().zip(&times).position(|(got, sent)| got != sent);
            return Err(format!(
                "{name}: {} times and not {}, the first other at {at:?}: {got:?}",
                got.len(),
                times.len()
            ));
        }
    }
    Ok(())
}

/// What a decoder makes of one part of a file, each picture as one hash.
fn decoded(name: &str) -> String {
    let form = if name == "v" { "-vsync passthrough -f framemd5" } else { "-f md5" };
    format!("-map 0:{name} {form} -")
}

/// A command's output is the same for both files.
fn same(stage: &Stage, name: &str, original: &str, what: &str) -> Outcome {
    let hashes = |file: &str| -> Outcome<Vec<String>> {
        let line = format!("ffmpeg -nostdin -v error -i {file} {what}");
        let said = stage.output(&format!("{name}-{file}"), &line, PATIENCE)?;
        let lines = said.lines().filter(|line| !line.starts_with('#'));
        Ok(lines.map(|line| line.rsplit(',').next().unwrap_or("").trim().to_owned()).collect())
    };
    let (sent, got) = (hashes(original)?, hashes("got.ts")?);
    if sent.is_empty() || sent != got {
        return Err(format!("{name}: {} came of {}, or others", got.len(), sent.len()));
    }
    Ok(())
}

/// PTS and DTS of each packet of one part of what came out, in 90 kHz.
fn packet_times(stage: &Stage, name: &str) -> Outcome<Vec<(i64, i64)>> {
    let line = format!(
        "ffprobe -v error -select_streams {name} -show_entries packet=pts,dts -of csv=p=0 got.ts"
    );
    let said = stage.output(&format!("times-{name}"), &line, PATIENCE)?;
    let number = |text: &str| text.parse().map_err(|_| format!("no number: {text}"));
    said.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (pts, dts) = line.trim_end_matches(',').split_once(',').ok_or("one column")?;
            Ok((number(pts)?, number(dts)?))
        })
        .collect()
}

/// What they should be: each tag's own, and the lead.
fn times(source: &[u8], kind: TagKind) -> Vec<(i64, i64)> {
    let mut rest = source.strip_prefix(b"FLV").map_or(source, |_| &source[13..]);
    let mut times = Vec::new();
    while let Some(head) = rest.first_chunk().and_then(TagHead::parse) {
        let data = &rest[HEAD_BYTES..head.whole() - TAIL_BYTES];
        rest = &rest[head.whole()..];
        let composition = match data {
            _ if head.kind != kind => continue,
            // Sequence headers and ends.
            [0x17 | 0x1C, 0 | 2, ..] | [0xAF, 0, ..] | [0x90, ..] => continue,
            [0x17 | 0x27 | 0x1C | 0x2C, 1, hi, mid, lo, ..]
            | [0x91 | 0xA1, _, _, _, _, hi, mid, lo, ..] => {
                i32::from_be_bytes([*hi, *mid, *lo, 0]) >> 8
            }
            _ => 0,
        };
        let dts = (i64::from(head.timestamp) + LEAD) * 90;
        times.push((dts + i64::from(composition) * 90, dts));
    }
    times
}

/// A picture of an elementary stream: its NAL units, and whether it is a key.
struct Coded<'a> {
    units: Vec<&'a [u8]>,
    is_key: bool,
}

/// H.265 units, from an elementary stream with start codes.
fn units(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..bytes.len().saturating_sub(2))
        .filter(|at| bytes[*at..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let unit = |(start, end): (&usize, usize)| {
        let unit = &bytes[start + 3..end];
        // Zeros before the next start code are its own.
        &unit[..unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
    };
    starts.iter().zip(ends).map(unit).collect()
}

const fn unit_type(unit: &[u8]) -> u8 {
    unit[0] >> 1 & 0x3F
}

/// Pictures, with a delimiter between them; parameter sets are taken out.
fn coded<'a>(all: &[&'a [u8]]) -> Vec<Coded<'a>> {
    all.split(|unit| unit_type(unit) == 35)
        .filter(|units| units.iter().any(|unit| unit_type(unit) < 32))
        .map(|units| Coded {
            is_key: units.iter().any(|unit| (16..=23).contains(&unit_type(unit))),
            units: units
                .iter()
                .copied()
                .filter(|unit| !(32..=34).contains(&unit_type(unit)))
                .collect(),
        })
        .collect()
}

/// An `HEVCDecoderConfigurationRecord` as far as anybody reads it here.
fn record(all: &[&[u8]]) -> Vec<u8> {
    let mut record = vec![0; 22];
    (record[0], record[21]) = (1, 0x0F);
    record.push(3);
    for kind in 32..=34 {
        let set = all.iter().find(|unit| unit_type(unit) == kind).expect("it begins with all sets");
        record.extend_from_slice(&[0x80 | kind, 0, 1]);
        record.extend_from_slice(&(set.len() as u16).to_be_bytes());
        record.extend_from_slice(set);
    }
    record
}

/// H.265 with B-frames in tags that begin as `start` says.
fn h265(stage: &Stage, start: fn(bool, bool, i32) -> Vec<u8>) -> Outcome {
    let line = format!(
        "ffmpeg -v error -nostdin -y {PICTURES} -t 4 -c:v libx265 -preset ultrafast \
         -x265-params log-level=none:aud=1:keyint=25:bframes=3:b-adapt=0 -pix_fmt yuv420p h.mp4 \
         && ffmpeg -v error -nostdin -y -i h.mp4 -c copy -bsf:v hevc_mp4toannexb -f hevc h.265 \
         && ffprobe -v error -show_entries packet=pts_time,dts_time -of csv=p=0 h.mp4"
    );
    let said = stage.output("make", &line, PATIENCE)?;
    let stream = stage.read("h.265")?;
    let all = units(&stream);
    let pictures = coded(&all);
    let mut flv = Vec::new();
    put_tag(&mut flv, TagKind::Video, 0, &[&start(true, true, 0), &record(&all)]);
    let millis = |text: &str| text.parse::<f64>().map(|seconds| (seconds * 1000.0).round() as i32);
    for (picture, line) in pictures.iter().zip(said.lines()) {
        let (pts, dts) = line.trim_end_matches(',').split_once(',').ok_or("one column")?;
        let (Ok(pts), Ok(dts)) = (millis(pts), millis(dts)) else {
            return Err(format!("no times: {line}"));
        };
        let data: Vec<u8> = picture
            .units
            .iter()
            .flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat())
            .collect();
        let at = u32::try_from(dts + 1000).map_err(|_| "before the start")?;
        put_tag(&mut flv, TagKind::Video, at, &[&start(picture.is_key, false, pts - dts), &data]);
    }
    if pictures.len() != 100 {
        return Err(format!("{} pictures made, not 100", pictures.len()));
    }
    remuxed(stage, &flv, "h.mp4")
}
