//! The clip that the checks publish, made once by ffmpeg, and what ffmpeg has
//! to say about a file that came out at the other end.

use crate::program::{Outcome, Stage};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Where the clip is, seen from a check's folder.
pub(crate) const CLIP: &str = "../clip.ts";

/// Ten seconds as a camera would send them: H.264 without B-frames, one
/// keyframe a second, and AAC.
const MAKE: &str = "ffmpeg -v error -nostdin -y \
    -f lavfi -i testsrc2=size=320x240:rate=25 \
    -f lavfi -i sine=frequency=440:sample_rate=48000 -t 10 \
    -c:v libx264 -profile:v baseline -preset ultrafast -tune zerolatency -pix_fmt yuv420p \
    -b:v 800k -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac -b:a 96k -f mpegts new.ts";

/// Makes the clip in `folder`, unless an earlier run has.
pub(crate) fn make(folder: &Path) -> Outcome {
    make_file(folder, "clip.ts", MAKE, "new.ts")
}

/// Makes a file in `folder` by a line that leaves it as `new`, unless an earlier
/// run has.
pub(crate) fn make_file(folder: &Path, name: &str, line: &str, new: &str) -> Outcome {
    let file = folder.join(name);
    if file.is_file() {
        return Ok(());
    }
    let told = |why: std::io::Error| format!("{name}: {why}");
    let stage = Stage::new(folder, &format!("make {name}")).map_err(told)?;
    stage.output("make", line, Duration::from_secs(60))?;
    // Renamed when whole, so that a run cut short leaves no half file.
    fs::rename(stage.path(new), &file).map_err(told)
}

/// Decodes a file from end to end; the decoder must find nothing to say.
pub(crate) fn decodes_silently(stage: &Stage, file: &str) -> Outcome {
    let line = format!("ffmpeg -nostdin -v error -xerror -i {file} -f null - 2>&1");
    let name = format!("decode-{file}");
    let said = stage.output(&name, &line, Duration::from_secs(20))?;
    if said.trim().is_empty() {
        return Ok(());
    }
    Err(format!("{file}: the decoder complains: {}", said.trim()))
}

/// The first video frame that comes out of a decoder is a keyframe.
pub(crate) fn starts_with_key(stage: &Stage, file: &str) -> Outcome {
    let line = format!(
        "ffprobe -v error -select_streams v -read_intervals '%+#1' \
         -show_entries frame=key_frame,pict_type -of csv=p=0 {file}"
    );
    let name = format!("first-{file}");
    let said = stage.output(&name, &line, Duration::from_secs(20))?;
    if said.starts_with("1,I") {
        return Ok(());
    }
    Err(format!("{file}: the first frame is '{}', not 1,I", said.trim()))
}

/// The video of a file as one hash per coded picture, in order.
fn pictures(stage: &Stage, file: &str) -> Outcome<Vec<String>> {
    let line =
        format!("ffmpeg -nostdin -v error -i {file} -map 0:v -c copy -f framemd5 - 2>/dev/null");
    let name = format!("pictures-{file}");
    let said = stage.output(&name, &line, Duration::from_secs(20))?;
    Ok(said
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(',')?.1.trim().to_owned()))
        .collect())
}

/// The pictures of `got` are those of `sent` from some point on, none missing
/// or changed, `least` of them or more. For programs that write a container of
/// their own; the last picture is left out, as they may cut it.
pub(crate) fn same_pictures(stage: &Stage, got: &str, sent: &str, least: usize) -> Outcome {
    let sent = pictures(stage, sent)?;
    let mut got = pictures(stage, got)?;
    got.pop();
    if got.len() < least {
        return Err(format!("{} pictures received, not {least}", got.len()));
    }
    if sent.windows(got.len()).any(|run| run == got) {
        return Ok(());
    }
    Err(format!("the {} pictures received are not a run of the {} sent", got.len(), sent.len()))
}
