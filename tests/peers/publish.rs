//! Every way that people publish, each with a TCP and an HTTP subscriber that
//! must get exactly what was sent.
//!
//! A command line is what a user would type, with a second output that keeps a
//! copy of the bytes sent.

use crate::clip::{CLIP, decodes_silently};
use crate::program::{Outcome, Program, Stage};
use crate::reader::Reader;
use crate::server::Server;
use crate::ts;
use std::time::Duration;

/// A publisher's four seconds of media, and room for a busy machine.
pub(crate) const RUN: Duration = Duration::from_secs(15);
/// The stream's end reaches a subscriber within this; a UDP publisher is
/// silent for a second before it counts as gone.
pub(crate) const END: Duration = Duration::from_secs(5);
/// Bytes that may go by before the first join point of a new stream: tables,
/// and what a multiplexer says before its first picture.
const BEFORE_JOIN: usize = 50 * 188;

const READ: &str = "ffmpeg -v error -nostdin -y -re -t 4 -i";
const COPY: &str = "-c copy -f mpegts";
/// A camera in GStreamer; the pipeline goes on with `t. ! queue ! ...`.
const CAMERA: &str = "gst-launch-1.0 -q videotestsrc is-live=true num-buffers=100 \
    ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 \
    ! x264enc tune=zerolatency key-int-max=25 ! h264parse config-interval=-1";
const TEE: &str = "tee name=t t. ! queue ! filesink location=sent.ts t. ! queue";

/// ffmpeg over TCP, the line that the README gives.
pub(crate) fn ffmpeg_tcp(stage: &Stage) -> Outcome {
    check(stage, |server| ffmpeg_tcp_line(server, 4))
}

/// `seconds` of the clip, in real time, from ffmpeg over TCP; a copy in
/// `sent.ts`.
pub(crate) fn ffmpeg_tcp_line(server: &Server, seconds: u32) -> String {
    let lean = "-flush_packets 1 -muxdelay 0 -muxpreload 0";
    format!(
        "ffmpeg -v error -nostdin -y -re -t {seconds} -i {CLIP} \
         {COPY} {lean} 'tcp://{}?tcp_nodelay=1' {COPY} {lean} sent.ts",
        server.tcp_in
    )
}

/// ffmpeg over UDP, seven packets a datagram.
pub(crate) fn ffmpeg_udp(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = &server.udp_in;
        format!("{READ} {CLIP} {COPY} 'udp://{to}?pkt_size=1316' {COPY} sent.ts")
    })
}

/// ffmpeg over HTTP: POST in chunks is its default.
pub(crate) fn ffmpeg_http_post(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = &server.http;
        format!("{READ} {CLIP} {COPY} http://{to}/live/a.ts {COPY} sent.ts")
    })
}

/// ffmpeg over HTTP with PUT.
pub(crate) fn ffmpeg_http_put(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = &server.http;
        format!(
            "{READ} {CLIP} {COPY} -method PUT -content_type video/mp2t http://{to}/live/a.ts \
             {COPY} sent.ts"
        )
    })
}

/// curl with a file: Content-Length, `Expect: 100-continue`, all at once.
pub(crate) fn curl_file(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = &server.http;
        format!("cp {CLIP} sent.ts && curl -sS --fail -T sent.ts http://{to}/live/a.ts")
    })
}

/// ffmpeg piped into curl: chunks of unknown number.
pub(crate) fn curl_pipe(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = &server.http;
        format!(
            "{READ} {CLIP} {COPY} - | tee sent.ts \
             | curl -sS --fail -T - -H 'Content-Type: video/mp2t' http://{to}/live/a.ts"
        )
    })
}

/// ffmpeg piped into nc. `-N` lets nc go when the pipe ends.
pub(crate) fn nc_pipe(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = server.tcp_in.replace(':', " ");
        format!("{READ} {CLIP} {COPY} - | tee sent.ts | nc -N {to}")
    })
}

/// ffmpeg piped into socat.
pub(crate) fn socat_pipe(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = &server.tcp_in;
        format!("{READ} {CLIP} {COPY} - | tee sent.ts | socat -u - TCP:{to}")
    })
}

/// GStreamer over TCP.
pub(crate) fn gst_tcp(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = server.tcp_in.replace(':', " port=");
        format!("{CAMERA} ! mpegtsmux ! {TEE} ! tcpclientsink host={to}")
    })
}

/// GStreamer over UDP, seven packets a datagram.
pub(crate) fn gst_udp(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = server.udp_in.replace(':', " port=");
        format!("{CAMERA} ! mpegtsmux alignment=7 ! {TEE} ! udpsink host={to}")
    })
}

/// GStreamer over HTTP: a row of PUTs, each on a connection of its own. Without
/// tsparse the sink takes mpegtsmux's key frames for stream headers and sends
/// none of them, to any server.
pub(crate) fn gst_http(stage: &Stage) -> Outcome {
    check(stage, |server| {
        let to = &server.http;
        format!(
            "{CAMERA} ! mpegtsmux ! tsparse ! {TEE} ! souphttpclientsink location=http://{to}/live/a.ts"
        )
    })
}

/// Subscribes over TCP and HTTP, publishes with the command line, compares.
fn check(stage: &Stage, line: impl FnOnce(&Server) -> String) -> Outcome {
    let server = Server::start(stage, &[])?;
    let told = |why: String| format!("{why}\n    {}", server.last_words());
    let subscribers = [
        ("tcp.ts", Reader::tcp(&server.tcp_out)?),
        ("http.ts", Reader::http(&server.http, "/live/a.ts?wait=10s")?),
    ];
    let mut publisher = Program::start(stage, "publisher", &line(&server))?;
    publisher.succeed(RUN).map_err(told)?;
    for (file, subscriber) in subscribers {
        let got = subscriber.finish(END).map_err(|why| told(format!("{file}: {why}")))?;
        stage.write(file, &got)?;
        let from = same_bytes(stage, file)?;
        if from > BEFORE_JOIN {
            return Err(told(format!(
                "{file}: starts {from} bytes into the stream, though it was there first"
            )));
        }
    }
    server.stop()
}

/// What a subscriber wrote to `file` starts clean, is what was sent from there
/// to the end, and plays. Gives the offset where it starts.
pub(crate) fn same_bytes(stage: &Stage, file: &str) -> Outcome<usize> {
    let got = stage.read(file)?;
    let named = |why: String| format!("{file}: {why}");
    ts::continuous(&got).map_err(named)?;
    ts::starts_clean(&got).map_err(named)?;
    let from = ts::joined_at(&got, &stage.read("sent.ts")?).map_err(named)?;
    decodes_silently(stage, file)?;
    Ok(from)
}
