//! RTMP and FLV, in and out, and what becomes of them in the other container: who
//! plays by whatever way gets what the publisher sent, packet by packet in the
//! same container, frame by frame in the other, at the same times.
//!
//! One publisher's five seconds serve all players of a check. Players come first
//! and wait for the stream, so that they must get all of it, or some seconds
//! later, so that they must start at a key picture.

use crate::film::{FILM, Film, From, PICTURES, playing};
use crate::program::{Outcome, Program, Stage, until};
use crate::publish::{END, RUN};
use crate::reader::{self, Reader};
use crate::server::{NAME, Server, serve};
use crate::subscribe::{Protocol, free_port, listens};
use std::time::Duration;

/// Patience of a player for the stream, longer than any publisher needs to start.
const WAIT: [&str; 2] = ["--wait", "15s"];
/// A player connects within this.
const START: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Flv,
    Ts,
}
use Container::{Flv, Ts};

impl Container {
    const fn ending(self) -> &'static str {
        match self {
            Flv => "flv",
            Ts => "ts",
        }
    }
}

/// A way to get the stream: what it is called here, what comes, from which URL.
struct Way {
    name: &'static str,
    container: Container,
    url: String,
}

/// RTMP, and FLV and TS over HTTP.
fn named_ways(server: &Server) -> Vec<Way> {
    let Server { rtmp, http, .. } = server;
    let way = |name, container, url| Way { name, container, url };
    vec![
        way("rtmp", Flv, format!("rtmp://{rtmp}/{NAME}")),
        way("http-flv", Flv, format!("http://{http}/{NAME}.flv")),
        way("http-ts", Ts, format!("http://{http}/{NAME}.ts")),
    ]
}

/// Those, and TCP.
fn ways(server: &Server) -> Vec<Way> {
    let mut ways = named_ways(server);
    let url = format!("tcp://{}", server.tcp_out);
    ways.push(Way { name: "tcp", container: Ts, url });
    ways
}

/// A program that plays by one way.
struct Player {
    name: String,
    container: Container,
    from: From,
    program: Program,
    keeps: Keeps,
}

/// What a player leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// The tables of ffmpeg.
    Tables,
    /// The bytes it got, in a file.
    Bytes,
    /// What it made of them, in a TS of its own.
    Remuxed,
}

impl Player {
    fn ffmpeg(stage: &Stage, way: &Way, from: From) -> Outcome<Self> {
        let when = if from == From::LateKey { "late" } else { "early" };
        let name = format!("ffmpeg-{}-{when}", way.name);
        let program = Program::start(stage, &name, &playing(&name, &way.url))?;
        Ok(Self { name, container: way.container, from, program, keeps: Keeps::Tables })
    }

    /// GStreamer, which decodes, with a copy of the bytes.
    fn gst(stage: &Stage, way: &Way) -> Outcome<Self> {
        let Way { name, container, url } = way;
        let source = match url.split_once("://") {
            Some(("rtmp", _)) => format!("rtmp2src location={url}"),
            Some(("http", _)) => format!("souphttpsrc is-live=true location={url}"),
            Some(("udp", at)) => {
                let at = at.replace(':', " port=");
                format!("udpsrc buffer-size=2000000 address={at}")
            }
            Some((_, at)) => format!("tcpclientsrc host={}", at.replace(':', " port=")),
            None => return Err(format!("no URL: {url}")),
        };
        let name = format!("gst-{name}");
        let demux = if *container == Flv { "flvdemux" } else { "tsdemux" };
        let line = format!(
            "exec gst-launch-1.0 -q -e {source} ! tee name=t \
             t. ! queue ! filesink location={name}.{} \
             t. ! queue ! {demux} ! h264parse ! avdec_h264 ! fakesink sync=false async=false",
            container.ending()
        );
        let program = Program::start(stage, &name, &line)?;
        // rtmp2src drops what it has not passed on when the end is announced.
        let from = if url.starts_with("rtmp") { From::StartCut(2) } else { From::Start };
        Ok(Self { name, container: *container, from, program, keeps: Keeps::Bytes })
    }

    /// VLC, which writes what it plays into a TS of its own, as somebody else than
    /// root. Its threads race at both ends of that file: it may lack a second.
    fn vlc(stage: &Stage, way: &Way) -> Outcome<Self> {
        let name = format!("vlc-{}", way.name);
        let line = format!(
            "other=; test $(id -u) != 0 \
             || other='setpriv --reuid=nobody --regid=nogroup --clear-groups'; \
             exec $other env HOME=/nonexistent cvlc --play-and-exit \
             --sout '#std{{access=file,mux=ts,dst=-}}' '{}' >{name}.ts",
            way.url
        );
        let program = Program::start(stage, &name, &line)?;
        let from = From::Run;
        Ok(Self { name, container: way.container, from, program, keeps: Keeps::Remuxed })
    }

    /// Waits for its end and compares what it has.
    fn judge(mut self, stage: &Stage, sent: &Film, published: Container) -> Outcome {
        self.program.succeed(END)?;
        self.compare(stage, sent, published)
    }

    /// Ends it, for datagrams have no end, and compares.
    fn stop_and_judge(mut self, stage: &Stage, sent: &Film, published: Container) -> Outcome {
        self.program.signal("INT");
        self.program.wait(END)?;
        self.compare(stage, sent, published)
    }

    fn compare(&self, stage: &Stage, sent: &Film, published: Container) -> Outcome {
        let Self { name, container, from, keeps, .. } = self;
        let got = match keeps {
            Keeps::Tables => Film::played(stage, name)?,
            Keeps::Bytes => Film::of_file(stage, name, &format!("{name}.{}", container.ending()))?,
            Keeps::Remuxed => Film::of_file(stage, name, &format!("{name}.ts"))?,
        };
        match keeps {
            Keeps::Remuxed => got.same_decoded(sent, *from),
            _ if *container == published => got.same_packets(sent, *from),
            Keeps::Tables | Keeps::Bytes => got.same_frames(sent, *from),
        }
    }
}

/// The server that most of these checks have.
fn start(stage: &Stage, more: &[String]) -> Outcome<Server> {
    Server::start(stage, &[&WAIT.map(str::to_owned), more].concat())
}

/// Waits until `count` clients have connected.
fn all_wait(http: &str, count: usize) -> Outcome {
    until(&format!("{count} players at the server"), START, || {
        let page = reader::get(http, "/metrics").ok()?;
        let of = |name: &str| {
            let value = page.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<usize>().ok()
        };
        let open = of("nearlight_accepted_total ")? - of("nearlight_closed_total ")?;
        // One is this.
        (open > count).then_some(())
    })
}

/// Plays the film as it goes by in real time, in a container, to somewhere.
fn film_to(form: &str, url: &str) -> String {
    format!("exec ffmpeg -v error -nostdin -y -re -i {FILM} -c copy -f {form} '{url}'")
}

/// ffmpeg, by RTMP.
fn ffmpeg_line(server: &Server) -> String {
    film_to("flv", &format!("rtmp://{}/{NAME}", server.rtmp))
}

/// Publishes with a line once `players` are there, and judges them all.
fn publish(
    stage: &Stage,
    server: &Server,
    line: &str,
    (players, sent, published): (Vec<Player>, &str, Container),
) -> Outcome {
    let told = |why: String| format!("{why}\n    {}", server.last_words());
    all_wait(&server.http, players.len()).map_err(told)?;
    Program::start(stage, "publisher", line)?.succeed(RUN).map_err(told)?;
    let sent = Film::of_file(stage, "sent", sent)?;
    for player in players {
        player.judge(stage, &sent, published).map_err(told)?;
    }
    Ok(())
}

/// ffmpeg publishes; ffmpeg plays by every way, with those that come late, and
/// our own reader over WebSocket.
pub(crate) fn ffmpeg_to_ffmpeg(stage: &Stage) -> Outcome {
    let udp = free_port(Protocol::Udp)?;
    let line = playing("udp", &format!("udp://127.0.0.1:{udp}?fifo_size=50000"))
        .replace(" -i ", " -probesize 200000 -t 4 -i ");
    let player = Program::start(stage, "udp", &line)?;
    listens(Protocol::Udp, udp)?;
    let server = start(stage, &push_to(&format!("udp://127.0.0.1:{udp}")))?;
    let line = ffmpeg_line(&server);
    let datagrams = Player {
        name: "udp".to_owned(),
        container: Ts,
        // Datagrams have no end, so it ends after four seconds of them.
        from: From::StartCut(50),
        program: player,
        keeps: Keeps::Tables,
    };
    all_ways(stage, &server, &line, (FILM, Flv))?;
    datagrams.judge(stage, &Film::played(stage, "sent")?, Flv)?;
    server.stop()
}

/// A TS by TCP; ffmpeg plays it by every way.
pub(crate) fn ts_to_ffmpeg(stage: &Stage) -> Outcome {
    let server = start(stage, &[])?;
    all_ways(stage, &server, &ts_line(&server), ("sent.ts", Ts))?;
    server.stop()
}

/// ffmpeg sends a TS over TCP, with a copy.
fn ts_line(server: &Server) -> String {
    let lean = "-flush_packets 1 -muxdelay 0 -muxpreload 0";
    format!(
        "exec ffmpeg -v error -nostdin -y -re -i {FILM} \
         -c copy -f mpegts {lean} 'tcp://{}?tcp_nodelay=1' -c copy -f mpegts {lean} sent.ts",
        server.tcp_in
    )
}

fn all_ways(
    stage: &Stage,
    server: &Server,
    line: &str,
    (sent, published): (&str, Container),
) -> Outcome {
    let told = |why: String| format!("{why}\n    {}", server.last_words());
    let sockets = [Flv, Ts].map(|container| {
        let ending = container.ending();
        (ending, container, Reader::websocket(&server.http, &format!("/{NAME}.{ending}")))
    });
    let mut players = Vec::new();
    for way in ways(server) {
        players.push(Player::ffmpeg(stage, &way, From::Start)?);
    }
    all_wait(&server.http, players.len() + sockets.len()).map_err(told)?;
    let mut publisher = Program::start(stage, "publisher", line)?;
    let [(_, _, Ok(first)), _] = &sockets else {
        return Err("no WebSocket".to_owned());
    };
    // More than two of the film's five seconds.
    first.has(220_000, RUN).map_err(told)?;
    for way in named_ways(server) {
        players.push(Player::ffmpeg(stage, &way, From::LateKey)?);
    }
    publisher.succeed(RUN).map_err(told)?;
    let sent = Film::of_file(stage, "sent", sent)?;
    for player in players {
        player.judge(stage, &sent, published).map_err(told)?;
    }
    for (ending, container, socket) in sockets {
        let (name, file) = (format!("websocket-{ending}"), format!("websocket.{ending}"));
        stage.write(&file, &socket?.finish(END)?)?;
        let got = Film::of_file(stage, &name, &file)?;
        match container == published {
            true => got.same_packets(&sent, From::Start)?,
            false => got.same_frames(&sent, From::Start)?,
        }
    }
    Ok(())
}

/// ffmpeg publishes, GStreamer plays, datagrams too.
pub(crate) fn ffmpeg_to_gst(stage: &Stage) -> Outcome {
    let udp = free_port(Protocol::Udp)?;
    let url = format!("udp://127.0.0.1:{udp}");
    let datagrams = Player::gst(stage, &Way { name: "udp", container: Ts, url: url.clone() })?;
    listens(Protocol::Udp, udp)?;
    let server = start(stage, &push_to(&url))?;
    let players =
        ways(&server).iter().map(|way| Player::gst(stage, way)).collect::<Outcome<_>>()?;
    publish(stage, &server, &ffmpeg_line(&server), (players, FILM, Flv))?;
    datagrams.stop_and_judge(stage, &Film::played(stage, "sent")?, Flv)?;
    server.stop()
}

/// ffmpeg publishes, VLC plays, datagrams too.
pub(crate) fn ffmpeg_to_vlc(stage: &Stage) -> Outcome {
    let udp = free_port(Protocol::Udp)?;
    let url = format!("udp://@127.0.0.1:{udp}");
    let datagrams = Player::vlc(stage, &Way { name: "udp", container: Ts, url })?;
    listens(Protocol::Udp, udp)?;
    let server = start(stage, &push_to(&format!("udp://127.0.0.1:{udp}")))?;
    let players =
        ways(&server).iter().map(|way| Player::vlc(stage, way)).collect::<Outcome<_>>()?;
    publish(stage, &server, &ffmpeg_line(&server), (players, FILM, Flv))?;
    datagrams.stop_and_judge(stage, &Film::played(stage, "sent")?, Flv)?;
    server.stop()
}

/// A TS by TCP, which GStreamer plays as RTMP and FLV.
pub(crate) fn ts_to_gst(stage: &Stage) -> Outcome {
    let server = start(stage, &[])?;
    let ways = named_ways(&server);
    let players = ways[..2].iter().map(|way| Player::gst(stage, way)).collect::<Outcome<_>>()?;
    publish(stage, &server, &ts_line(&server), (players, "sent.ts", Ts))?;
    server.stop()
}

/// A TS by TCP, which VLC plays as RTMP and FLV.
pub(crate) fn ts_to_vlc(stage: &Stage) -> Outcome {
    let server = start(stage, &[])?;
    let ways = named_ways(&server);
    let players = ways[..2].iter().map(|way| Player::vlc(stage, way)).collect::<Outcome<_>>()?;
    publish(stage, &server, &ts_line(&server), (players, "sent.ts", Ts))?;
    server.stop()
}

/// A camera and a microphone in GStreamer, published by RTMP; ffmpeg plays them.
pub(crate) fn gst_to_ffmpeg(stage: &Stage) -> Outcome {
    let server = start(stage, &[])?;
    let line = format!(
        "exec gst-launch-1.0 -q flvmux name=mux streamable=true ! tee name=t \
         t. ! queue ! filesink location=sent.flv \
         t. ! queue ! rtmp2sink location=rtmp://{}/{NAME} \
         videotestsrc is-live=true num-buffers={PICTURES} \
         ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 \
         ! x264enc tune=zerolatency key-int-max=25 ! h264parse ! queue ! mux. \
         audiotestsrc is-live=true num-buffers=210 samplesperbuffer=1024 \
         ! audio/x-raw,rate=44100,channels=1 ! avenc_aac aac-pns=false ! aacparse ! queue ! mux.",
        server.rtmp
    );
    let ways = ways(&server);
    let player = |way| Player::ffmpeg(stage, way, From::FirstKey);
    let players = ways.iter().map(player).collect::<Outcome<_>>()?;
    publish(stage, &server, &line, (players, "sent.flv", Flv))?;
    server.stop()
}

/// What comes by RTMP is pushed by RTMP to an ffmpeg that listens, and pulled by
/// RTMP by a second server, of which ffmpeg plays it.
pub(crate) fn push_and_pull(stage: &Stage) -> Outcome {
    let port = free_port(Protocol::Tcp)?;
    let target = format!("rtmp://127.0.0.1:{port}/{NAME}");
    let line = playing("pushed", &target).replace(" -i ", " -listen 1 -i ");
    let program = Program::start(stage, "pushed", &line)?;
    let name = "pushed".to_owned();
    let pushed = Player { name, container: Flv, from: From::Key, program, keeps: Keeps::Tables };
    listens(Protocol::Tcp, port)?;
    let origin = start(stage, &push_to(&target))?;
    let from = format!("rtmp://{}/{NAME}?wait=15s&", origin.rtmp);
    let sent = played_behind(stage, &from, From::Start, || {
        // The pull is the first that connects.
        all_wait(&origin.http, 1)?;
        Program::start(stage, "publisher", &ffmpeg_line(&origin))
    })?;
    pushed.judge(stage, &sent, Flv)?;
    origin.stop()
}

/// An ffmpeg that listens is pulled from.
pub(crate) fn pull_from_ffmpeg(stage: &Stage) -> Outcome {
    let port = free_port(Protocol::Tcp)?;
    let url = format!("rtmp://127.0.0.1:{port}/{NAME}");
    let line = film_to("flv", &url).replace(" -f flv ", " -listen 1 -f flv ");
    let mut publisher = Some(Program::start(stage, "publisher", &line)?);
    listens(Protocol::Tcp, port)?;
    // It sends to whom comes first, and doesn't wait for players.
    played_behind(stage, &format!("{url}?"), From::Key, || {
        publisher.take().ok_or_else(|| "published twice".to_owned())
    })?;
    Ok(())
}

/// Plays what a server of its own pulls from `from`, a URL to which a query can be
/// added; gives what was sent.
fn played_behind(
    stage: &Stage,
    from: &str,
    start: From,
    publish: impl FnOnce() -> Outcome<Program>,
) -> Outcome<Film> {
    let folder = stage.inner("edge")?;
    let args = [
        ["--max-lag", "10s"],
        WAIT,
        ["--listen", "http://127.0.0.1:0"],
        ["--pull", &format!("{from}stream={NAME}")],
    ];
    let (mut edge, at, _lines) =
        serve(&folder, &args.concat().into_iter().map(str::to_owned).collect::<Vec<_>>())?;
    let told = |why: String| format!("{why}\n    edge: {}", edge.last_words());
    let players = [("flv", Flv), ("ts", Ts)].map(|(ending, container)| {
        let url = format!("http://{}/{NAME}.{ending}", at[0]);
        let name = if container == Flv { "pulled-flv" } else { "pulled-ts" };
        Player::ffmpeg(stage, &Way { name, container, url }, start)
    });
    all_wait(&at[0], players.len()).map_err(told)?;
    publish()?.succeed(RUN).map_err(told)?;
    let sent = Film::of_file(stage, "sent", FILM)?;
    for player in players {
        player?.judge(stage, &sent, Flv).map_err(told)?;
    }
    edge.signal("TERM");
    edge.succeed(Duration::from_secs(3))?;
    Ok(sent)
}

/// Arguments that push the stream to a URL.
fn push_to(url: &str) -> [String; 2] {
    ["--push".to_owned(), format!("{url}?stream={NAME}&max_lag=10s")]
}
