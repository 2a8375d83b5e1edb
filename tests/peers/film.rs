//! What is published and what is played, as ffmpeg sees it: every packet and every
//! decoded frame with its times and its hash, so that two of them can be compared
//! though they came in other containers and by other ways.

use crate::clip::make_file;
use crate::program::{Outcome, Stage};
use std::path::Path;
use std::time::Duration;

/// Where the film is, seen from a check's folder.
pub(crate) const FILM: &str = "../film.flv";
/// Pictures of the film.
pub(crate) const PICTURES: usize = 125;
/// Pictures from one key picture to the next.
const GROUP: usize = 25;

/// Five seconds as an encoder for broadcasts makes them: H.264 with B-frames, a
/// closed group of pictures a second, and AAC (without noise of the decoder's own making, which
/// would depend on where it starts).
const MAKE: &str = "ffmpeg -v error -nostdin -y \
    -f lavfi -i testsrc2=size=320x240:rate=25 \
    -f lavfi -i sine=frequency=440:sample_rate=44100 -t 5 \
    -c:v libx264 -preset veryfast -threads 1 -pix_fmt yuv420p -b:v 800k -bf 2 \
    -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac -aac_pns 0 -b:a 96k -f flv new.flv";

/// Makes the film in `folder`, unless an earlier run has.
pub(crate) fn make(folder: &Path) -> Outcome {
    make_file(folder, "film.flv", MAKE, "new.flv")
}

const LIMIT: Duration = Duration::from_secs(20);
/// Milliseconds that a time may be off.
const CLOSE: f64 = 0.5;

/// The ffmpeg that plays a URL or a file and writes `NAME.packets` and
/// `NAME.frames`, one line each; packets before the first key picture too, which it
/// would leave out.
pub(crate) fn playing(name: &str, input: &str) -> String {
    let all = "-map 0:v -map 0:a";
    format!(
        "exec ffmpeg -v error -nostdin -y -copyts -i '{input}' \
         {all} -c copy -copyinkf -f framemd5 {name}.packets \
         {all} -fps_mode passthrough -f framemd5 {name}.frames"
    )
}

/// A packet, or what a decoder made of one.
#[derive(Debug)]
struct Unit {
    /// Milliseconds.
    dts: f64,
    /// Milliseconds.
    pts: f64,
    hash: String,
}

/// Pictures and sounds, in order.
type Parts = [Vec<Unit>; 2];
const PARTS: [&str; 2] = ["video", "audio"];

/// What was played.
pub(crate) struct Film {
    name: String,
    packets: Parts,
    frames: Parts,
}

/// How one film should be found in another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Whole.
    Start,
    /// Whole, but for this many of the newest units: the player ends before it has
    /// passed on all it has got.
    StartCut(usize),
    /// A run of it: the player's recorder may miss a second at either end.
    Run,
    /// From the first key picture on, before which there were a few sounds.
    FirstKey,
    /// From a key picture on.
    Key,
    /// From a later key picture than the first.
    LateKey,
}

impl Film {
    /// What [`playing`] wrote.
    pub(crate) fn played(stage: &Stage, name: &str) -> Outcome<Self> {
        let read = |what: &str| {
            let text = stage.read(&format!("{name}.{what}"))?;
            parts(&String::from_utf8_lossy(&text)).ok_or(format!("{name}.{what}: no table"))
        };
        Ok(Self { name: name.to_owned(), packets: read("packets")?, frames: read("frames")? })
    }

    /// Plays a file.
    pub(crate) fn of_file(stage: &Stage, name: &str, file: &str) -> Outcome<Self> {
        stage.output(&format!("play-{name}"), &playing(name, file), LIMIT)?;
        Self::played(stage, name)
    }

    /// Decoded pictures.
    pub(crate) fn pictures(&self) -> usize {
        self.frames[0].len()
    }

    /// It has the payload of every packet of `sent`, at the same times.
    pub(crate) fn same_packets(&self, sent: &Self, from: From) -> Outcome {
        same_units(&self.packets, &sent.packets, from, 0).map_err(self.named("packets"))?;
        self.same_frames(sent, from)
    }

    /// It decodes to what `sent` does, and its packets have the same times.
    pub(crate) fn same_frames(&self, sent: &Self, from: From) -> Outcome {
        self.same_decoded(sent, from)?;
        same_times(&self.packets, &sent.packets, from).map_err(self.named("times"))
    }

    /// It decodes to what `sent` does; its times are of its player's making.
    pub(crate) fn same_decoded(&self, sent: &Self, from: From) -> Outcome {
        // A decoder's first sound needs the one before it.
        let unlike = usize::from(matches!(from, From::FirstKey | From::Key | From::LateKey));
        same_units(&self.frames, &sent.frames, from, unlike).map_err(self.named("frames"))
    }

    fn named(&self, what: &str) -> impl Fn(String) -> String {
        move |why| format!("{} {what}: {why}", self.name)
    }
}

/// A table of ffmpeg's framemd5: `stream, dts, pts, duration, size, hash`, in the
/// time base that a line before says.
fn parts(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let (mut kinds, mut bases) = ([usize::MAX; 2], [0.0; 2]);
    for line in text.lines() {
        if let Some((stream, base)) =
            line.strip_prefix("#tb ").and_then(|rest| rest.split_once(": "))
        {
            let (num, den) = base.split_once('/')?;
            let seconds = num.parse::<f64>().ok()? / den.parse::<f64>().ok()?;
            *bases.get_mut(stream.parse::<usize>().ok()?)? = seconds * 1000.0;
        } else if let Some((stream, kind)) =
            line.strip_prefix("#media_type ").and_then(|rest| rest.split_once(": "))
        {
            let kind = PARTS.iter().position(|part| *part == kind)?;
            *kinds.get_mut(stream.parse::<usize>().ok()?)? = kind;
        } else if !line.starts_with('#') {
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            let [stream, dts, pts, _, _, hash, ..] = columns[..] else { return None };
            let stream = stream.parse::<usize>().ok()?;
            let base = bases.get(stream)?;
            let time = |text: &str| text.parse::<f64>().ok().map(|ticks| ticks * base);
            let unit = Unit { dts: time(dts)?, pts: time(pts)?, hash: hash.to_owned() };
            parts.get_mut(*kinds.get(stream)?)?.push(unit);
        }
    }
    Some(parts)
}

/// Each part that was played, and the part of what was sent that it should be.
fn aligned<'a>(
    got: &'a Parts,
    sent: &'a Parts,
    from: From,
) -> Outcome<[(&'a [Unit], &'a [Unit]); 2]> {
    let mut pairs = [(&[][..], &[][..]); 2];
    for (index, pair) in pairs.iter_mut().enumerate() {
        let part = PARTS[index];
        let (got, sent) = (&got[index][..], &sent[index][..]);
        let counts = format!("{part}: {} of {}", got.len(), sent.len());
        if got.is_empty() || got.len() > sent.len() {
            return Err(counts);
        }
        let missing = sent.len() - got.len();
        *pair = match from {
            From::Start if missing > 0 => return Err(counts),
            From::Start => (got, sent),
            From::StartCut(cut) if missing > cut => return Err(counts),
            // What a decoder gives last, told to end, is no run.
            From::StartCut(_) => {
                let kept = got.len().saturating_sub(4);
                (&got[..kept], &sent[..kept])
            }
            From::Run => {
                let run = &got[1..got.len().saturating_sub(4).max(1)];
                let start = run
                    .first()
                    .and_then(|first| sent.iter().position(|unit| unit.hash == first.hash));
                match start {
                    Some(start) if missing <= 2 * sent.len() / 5 => {
                        (run, &sent[start..(start + run.len()).min(sent.len())])
                    }
                    _ => return Err(format!("{counts}, which begins at {start:?}")),
                }
            }
            From::FirstKey if missing > if index == 0 { 0 } else { 5 } => return Err(counts),
            From::Key | From::LateKey if index == 0 && !missing.is_multiple_of(GROUP) => {
                return Err(format!("{counts}, which starts at no key picture"));
            }
            From::LateKey if missing == 0 => return Err(format!("{counts}, though it came late")),
            From::FirstKey | From::Key | From::LateKey => (got, &sent[missing..]),
        };
    }
    Ok(pairs)
}

/// The hashes are the same, but for the first `unlike` sounds.
fn same_units(got: &Parts, sent: &Parts, from: From, unlike: usize) -> Outcome {
    for (index, (got, sent)) in aligned(got, sent, from)?.into_iter().enumerate() {
        if got.len() != sent.len() {
            return Err(format!("{}: it goes on for longer than what was sent", PARTS[index]));
        }
        let skipped = if index == 0 { 0 } else { unlike };
        let mut pairs = got.iter().zip(sent).enumerate().skip(skipped);
        if let Some((at, _)) = pairs.find(|(_, (got, sent))| got.hash != sent.hash) {
            return Err(format!("{}: number {at} of {} is another", PARTS[index], got.len()));
        }
    }
    Ok(())
}

/// There is one constant after which no time is off by more than [`CLOSE`].
fn same_times(got: &Parts, sent: &Parts, from: From) -> Outcome {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for (got, sent) in aligned(got, sent, from)? {
        for (got, sent) in got.iter().zip(sent) {
            for off in [got.pts - sent.pts, got.dts - sent.dts] {
                (least, most) = (least.min(off), most.max(off));
            }
        }
    }
    // Room for the rounding of a table's ticks.
    if most - least <= 2.0 * CLOSE + 0.02 {
        return Ok(());
    }
    Err(format!("moved by {least} ms to {most} ms"))
}

/// Shows the rules above films that break each of them.
pub(crate) fn notices_what_is_wrong() -> Outcome {
    let film = |first: usize, changed: usize, late: f64| {
        let part = |index: usize| {
            (first..100).map(move |n| {
                let pts = n as f64 * 40.0 + if n > 60 { late } else { 0.0 };
                Unit { dts: pts, pts, hash: format!("{}", index * 1000 + n * (n / changed + 1)) }
            })
        };
        let parts = || [part(0).collect(), part(1).collect()];
        Film { name: "it".to_owned(), packets: parts(), frames: parts() }
    };
    let sent = film(0, 1000, 0.0);
    film(0, 1000, 0.9).same_packets(&sent, From::Start)?;
    film(50, 1000, 0.0).same_packets(&sent, From::LateKey)?;
    let wrong = [
        ("a changed packet", film(0, 90, 0.0), From::Start),
        ("times that are off", film(0, 1000, 1.1), From::Start),
        ("a missing beginning", film(25, 1000, 0.0), From::Start),
        ("a start between key pictures", film(24, 1000, 0.0), From::Key),
        ("one that came late and has all", film(0, 1000, 0.0), From::LateKey),
    ];
    for (what, got, from) in wrong {
        if got.same_packets(&sent, from).is_ok() {
            return Err(format!("{what} goes unnoticed"));
        }
    }
    Ok(())
}
