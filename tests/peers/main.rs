//! Real programs against the release binaries: ffmpeg, curl, socat, nc,
//! GStreamer, VLC, OBS, ping, Chromium, Prometheus and stamp-suite, by the command lines that
//! people type.
//!
//! `cargo test --test peers`, or `tests/run`, which also installs the peers
//! and builds the binaries. Arguments choose checks: a peer's name, or part of
//! a check's; `--list` names them all. A check whose peer is absent is
//! skipped, and fails where `CI` is set, unless nobody installs it for the checks. What a check leaves behind, logs
//! and captures, is under `tmp/peers` of the target directory.

mod clip;
mod demo;
mod film;
mod obs;
mod page;
mod ping;
mod program;
mod prometheus;
mod publish;
mod reader;
mod remux;
mod remux_flv;
mod rtmp;
mod server;
mod stamp;
mod subscribe;
mod ts;

use program::{Outcome, PEERS, Stage, UNINSTALLED};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

/// Checks that run at a time. They spend their time waiting for media that
/// goes by in real time, so there may be more of them than cores.
const WORKERS: usize = 4;

/// A check's name, the peers that it needs, and itself.
type Check = (&'static str, &'static [&'static str], fn(&Stage) -> Outcome);

const CHECKS: &[Check] = &[
    ("checker: notices what is wrong", &[], |_| ts::notices_what_is_wrong()),
    ("checker: notices other films", &[], |_| film::notices_what_is_wrong()),
    ("publish: ffmpeg, tcp", &["ffmpeg"], publish::ffmpeg_tcp),
    ("publish: ffmpeg, udp", &["ffmpeg"], publish::ffmpeg_udp),
    ("publish: ffmpeg, http post", &["ffmpeg"], publish::ffmpeg_http_post),
    ("publish: ffmpeg, http put", &["ffmpeg"], publish::ffmpeg_http_put),
    ("publish: curl, a file", &["curl", "ffmpeg"], publish::curl_file),
    ("publish: curl, a pipe", &["curl", "ffmpeg"], publish::curl_pipe),
    ("publish: nc, a pipe", &["nc", "ffmpeg"], publish::nc_pipe),
    ("publish: socat, a pipe", &["socat", "ffmpeg"], publish::socat_pipe),
    ("publish: gst, tcp", &["gst", "ffmpeg"], publish::gst_tcp),
    ("publish: gst, udp", &["gst", "ffmpeg"], publish::gst_udp),
    ("publish: gst, http", &["gst", "ffmpeg"], publish::gst_http),
    ("subscribe: socat, tcp", &["socat", "ffmpeg"], subscribe::socat_tcp),
    ("subscribe: nc, tcp", &["nc", "ffmpeg"], subscribe::nc_tcp),
    ("subscribe: curl, http", &["curl", "ffmpeg"], subscribe::curl_http),
    ("subscribe: ffmpeg, tcp", &["ffmpeg"], subscribe::ffmpeg_tcp),
    ("subscribe: ffmpeg, http", &["ffmpeg"], subscribe::ffmpeg_http),
    ("subscribe: ffmpeg, push", &["ffmpeg"], subscribe::ffmpeg_push),
    ("subscribe: gst, tcp", &["gst", "ffmpeg"], subscribe::gst_tcp),
    ("subscribe: gst, http", &["gst", "ffmpeg"], subscribe::gst_http),
    ("subscribe: gst, push", &["gst", "ffmpeg"], subscribe::gst_push),
    ("subscribe: websocket", &["ffmpeg"], subscribe::websocket),
    ("subscribe: push", &["ffmpeg"], subscribe::push),
    ("subscribe: late", &["ffmpeg"], subscribe::late),
    ("remux: flv to ts, h264 and aac", &["ffmpeg"], remux::h264_aac),
    ("remux: flv to ts, h264 alone", &["ffmpeg"], remux::h264_alone),
    ("remux: flv to ts, aac alone", &["ffmpeg"], remux::aac_alone),
    ("remux: flv to ts, h264 and mp3", &["ffmpeg"], remux::h264_mp3),
    ("remux: flv to ts, h265 by fourcc", &["ffmpeg"], remux::h265_by_fourcc),
    ("remux: flv to ts, h265 as codec 12", &["ffmpeg"], remux::h265_as_codec_12),
    ("demo: its stream is decoded", &["ffmpeg", "curl"], demo::decodes),
    ("remux: ts to flv, reordered", &["ffmpeg"], remux_flv::reordered),
    ("remux: ts to flv, odd", &["ffmpeg"], remux_flv::odd),
    ("remux: ts to flv, interlaced", &["ffmpeg"], remux_flv::interlaced),
    ("remux: ts to flv, audio alone", &["ffmpeg"], remux_flv::audio_alone),
    ("remux: ts to flv, video alone", &["ffmpeg"], remux_flv::video_alone),
    ("remux: ts to flv, h265", &["ffmpeg"], remux_flv::h265),
    ("rtmp: ffmpeg to ffmpeg", &["ffmpeg"], rtmp::ffmpeg_to_ffmpeg),
    ("rtmp: ffmpeg to gst", &["ffmpeg", "gst"], rtmp::ffmpeg_to_gst),
    ("rtmp: ffmpeg to vlc", &["ffmpeg", "vlc"], rtmp::ffmpeg_to_vlc),
    ("rtmp: gst to ffmpeg", &["ffmpeg", "gst"], rtmp::gst_to_ffmpeg),
    ("rtmp: ts to ffmpeg", &["ffmpeg"], rtmp::ts_to_ffmpeg),
    ("rtmp: ts to gst", &["ffmpeg", "gst"], rtmp::ts_to_gst),
    ("rtmp: ts to vlc", &["ffmpeg", "vlc"], rtmp::ts_to_vlc),
    ("rtmp: push and pull", &["ffmpeg"], rtmp::push_and_pull),
    ("rtmp: pull from ffmpeg", &["ffmpeg"], rtmp::pull_from_ffmpeg),
    ("rtmp: obs", &["obs", "ffmpeg"], obs::publishes),
    ("page: chromium plays it", &["chromium", "ffmpeg"], page::chromium_plays),
    ("ping: beside the system's", &["ping"], ping::beside_the_systems),
    ("metrics: prometheus", &["prometheus", "curl"], prometheus::scrapes),
    ("stamp: its sender", &["stamp-suite"], stamp::its_sender),
    ("stamp: its reflector", &["stamp-suite"], stamp::its_reflector),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let chosen: Vec<&Check> = CHECKS
        .iter()
        .filter(|(name, needs, _)| {
            let mut words = arguments.iter().filter(|word| !word.starts_with("--"));
            let all = words.clone().next().is_none();
            all || words.any(|word| needs.contains(&word.as_str()) || name.contains(word.as_str()))
        })
        .collect();
    if arguments.iter().any(|word| word == "--list") {
        for (name, ..) in chosen {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    if let Err(why) = fs::create_dir_all(&folder) {
        eprintln!("{}: {why}", folder.display());
        return ExitCode::FAILURE;
    }
    let there: BTreeMap<&str, bool> =
        PEERS.iter().map(|(peer, probe)| (*peer, program::is_there(probe))).collect();
    if there["ffmpeg"]
        && let Err(why) = clip::make(&folder).and_then(|()| film::make(&folder))
    {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let next = AtomicUsize::new(0);
    let counts = Mutex::new([0; 3]);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(check) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = judge(check, &there, &folder);
                    counts.lock().expect("no holder panics")[verdict.report(check.0)] += 1;
                }
            });
        }
    });
    let [passed, failed, skipped] = counts.into_inner().expect("no holder panics");
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}

/// What came of a check.
enum Verdict {
    Passed,
    Failed(String),
    Absent(&'static str),
}

impl Verdict {
    /// Prints it in one write, and says which count it belongs to: passed,
    /// failed, skipped.
    fn report(&self, name: &str) -> usize {
        let strict = env::var_os("CI").is_some_and(|value| !value.is_empty());
        let (count, line) = match self {
            Self::Passed => (0, format!("ok {name}")),
            Self::Failed(why) => (1, format!("FAILED {name}\n    {why}")),
            Self::Absent(peer) if strict && !UNINSTALLED.contains(peer) => {
                (1, format!("FAILED {name} ({peer} is absent, and CI is set)"))
            }
            Self::Absent(peer) => (2, format!("skipped {name} ({peer} is absent)")),
        };
        println!("{line}");
        count
    }
}

fn judge((name, needs, check): &Check, there: &BTreeMap<&str, bool>, folder: &Path) -> Verdict {
    if let Some(peer) = needs.iter().find(|peer| !there[**peer]) {
        return Verdict::Absent(peer);
    }
    let stage = match Stage::new(folder, name) {
        Ok(stage) => stage,
        Err(why) => return Verdict::Failed(format!("{}: {why}", folder.display())),
    };
    match catch_unwind(AssertUnwindSafe(|| check(&stage))) {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(why)) => Verdict::Failed(why),
        Err(_) => Verdict::Failed("the check panicked; see above".to_owned()),
    }
}
