//! OBS, as it comes, publishes by RTMP from a screen that nobody sees: a coloured
//! scene and silence, by the settings that its assistant would leave behind.

use crate::film::{Film, From};
use crate::program::{Outcome, Program, Stage, until};
use crate::reader::Reader;
use crate::server::Server;
use nearlight::framing::flv::TagHead;
use std::fs;
use std::time::Duration;

/// OBS starts, on a busy machine without a graphics card.
const START: Duration = Duration::from_secs(40);
/// Its stream ends.
const END: Duration = Duration::from_secs(10);
/// Bytes of an FLV header and the size of no tag before it.
const HEADER: usize = 13;
/// Bytes at a player: some five seconds of 1.1 Mbit/s.
const ENOUGH: usize = 680_000;
/// Pictures in them, 30 a second, or more.
const PICTURES: usize = 120;

/// What OBS would ask for at its first start.
const GLOBAL: &str = "\
[General]
FirstRun=true
LastVersion=486539266
EnableAutoUpdates=false
[Basic]
Profile=nearlight
ProfileDir=nearlight
SceneCollection=nearlight
SceneCollectionFile=nearlight
[OBSWebSocket]
FirstLoad=false
ServerEnabled=false
";

const PROFILE: &str = "\
[General]
Name=nearlight
[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
FPSType=0
FPSCommon=30
[Output]
Mode=Simple
Reconnect=false
[SimpleOutput]
VBitrate=1000
StreamEncoder=x264
ABitrate=96
UseAdvanced=true
Preset=ultrafast
x264Settings=keyint=30 bframes=2
";

/// One scene, green, with a source that needs no camera and no screen.
const SCENES: &str = r#"{
  "name": "nearlight",
  "current_scene": "Scene",
  "current_program_scene": "Scene",
  "scene_order": [{"name": "Scene"}],
  "sources": [
    {"id": "color_source", "versioned_id": "color_source_v3", "name": "Green",
     "settings": {"color": 4278255360, "width": 640, "height": 360}},
    {"id": "scene", "versioned_id": "scene", "name": "Scene",
     "settings": {"id_counter": 1, "items": [{"id": 1, "name": "Green", "visible": true}]}}
  ]
}"#;

/// OBS streams; FLV and TS of it, over WebSocket, decode without a complaint, to
/// the same pictures and sounds at the same times.
pub(crate) fn publishes(stage: &Stage) -> Outcome {
    let server = Server::start(stage, &["--wait".to_owned(), "60s".to_owned()])?;
    let told = |why: String| format!("{why}\n    {}", server.last_words());
    settings(stage, &server.rtmp)?;
    let readers = [
        ("got.flv", Reader::websocket(&server.http, "/live/obs.flv")?),
        ("got.ts", Reader::websocket(&server.http, "/live/obs.ts")?),
    ];
    // It finds a free display by itself, and says which it is.
    let line = "exec Xvfb -displayfd 3 -screen 0 1024x768x24 3>display";
    let _screen = Program::start(stage, "screen", line)?;
    let display = until("a display", START, || {
        String::from_utf8(stage.read("display").ok()?).ok().filter(|text| text.ends_with('\n'))
    })?;
    // A proxy that isn't there: what OBS looks for elsewhere is not of this check.
    let line = format!(
        "mkdir -m 700 run && HOME=$PWD XDG_RUNTIME_DIR=$PWD/run DISPLAY=:{} \
         http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 \
         LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb \
         exec dbus-run-session obs --startstreaming --multi --disable-shutdown-check \
         --profile nearlight --collection nearlight",
        display.trim()
    );
    let obs = Program::start(stage, "obs", &line)?;
    readers[0].1.has(ENOUGH, START).map_err(|why| format!("{why}; {}", obs.last_words()))?;
    // Asked to, it would ask back whether it should stop streaming.
    drop(obs);
    for (file, reader) in readers {
        let got = reader.finish(END).map_err(|why| told(format!("{file}: {why}")))?;
        stage.write(file, if file == "got.flv" { whole_tags(&got)? } else { &got })?;
        decodes(stage, file)?;
    }
    let flv = Film::of_file(stage, "flv", "got.flv")?;
    if flv.pictures() < PICTURES {
        return Err(format!("{} pictures, not {PICTURES}", flv.pictures()));
    }
    Film::of_file(stage, "ts", "got.ts")?.same_frames(&flv, From::Start)?;
    server.stop()
}

/// Puts the settings where OBS looks for them.
fn settings(stage: &Stage, rtmp: &str) -> Outcome {
    let service = format!(
        r#"{{"type": "rtmp_custom", "settings": {{"server": "rtmp://{rtmp}/live", "key": "obs"}}}}"#
    );
    for (file, text) in [
        ("global.ini", GLOBAL),
        ("basic/profiles/nearlight/basic.ini", PROFILE),
        ("basic/profiles/nearlight/service.json", &service),
        ("basic/scenes/nearlight.json", SCENES),
    ] {
        let path = stage.path(".config/obs-studio").join(file);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text))
            .map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(())
}

/// FLV up to a tag that was cut off.
fn whole_tags(bytes: &[u8]) -> Outcome<&[u8]> {
    let mut at = HEADER;
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let head = TagHead::parse(head).ok_or("no tag of FLV")?;
        if at + head.whole() > bytes.len() {
            break;
        }
        at += head.whole();
    }
    bytes.get(..at).ok_or_else(|| format!("{} bytes are no FLV", bytes.len()))
}

/// H.264 and AAC, of which the decoder has nothing to say.
fn decodes(stage: &Stage, file: &str) -> Outcome {
    let line = format!(
        "ffprobe -v error -show_entries stream=codec_name -of csv=p=0 {file} | sort -u \
         && ffmpeg -nostdin -v warning -xerror -i {file} -f null - 2>&1"
    );
    let said = stage.output(&format!("decode-{file}"), &line, Duration::from_secs(20))?;
    if said.split_whitespace().eq(["aac", "h264"]) {
        return Ok(());
    }
    Err(format!("{file}: not H.264 and AAC without a complaint: {}", said.trim()))
}
