//! Every way that people subscribe, each with ffmpeg publishing over TCP.

use crate::clip::{same_pictures, starts_with_key};
use crate::program::{Outcome, Program, Stage, until};
use crate::publish::{END, RUN, ffmpeg_tcp_line, same_bytes};
use crate::reader::Reader;
use crate::server::{NAME, Server};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

/// Coded pictures in four seconds, less what a program may need to start.
const PICTURES: usize = 60;

/// socat on a TCP listener.
pub(crate) fn socat_tcp(stage: &Stage) -> Outcome {
    exactly(stage, |server| format!("socat -u TCP:{} CREATE:got.ts", server.tcp_out))
}

/// nc on a TCP listener. `-d`: it has nothing to say.
pub(crate) fn nc_tcp(stage: &Stage) -> Outcome {
    exactly(stage, |server| format!("nc -d {} >got.ts", server.tcp_out.replace(':', " ")))
}

/// curl, with a wait for the stream to begin.
pub(crate) fn curl_http(stage: &Stage) -> Outcome {
    exactly(stage, |server| {
        let from = &server.http;
        format!("curl -sSN --fail -o got.ts 'http://{from}/live/a.ts?wait=10s'")
    })
}

/// GStreamer over TCP, decoding, with a copy of the bytes.
pub(crate) fn gst_tcp(stage: &Stage) -> Outcome {
    exactly(stage, |server| {
        let from = server.tcp_out.replace(':', " port=");
        format!("gst-launch-1.0 -q tcpclientsrc host={from} ! {DECODE}")
    })
}

/// GStreamer over HTTP, decoding, with a copy of the bytes.
pub(crate) fn gst_http(stage: &Stage) -> Outcome {
    exactly(stage, |server| {
        let from = &server.http;
        format!(
            "gst-launch-1.0 -q souphttpsrc is-live=true \
             location='http://{from}/live/a.ts?wait=10s' ! {DECODE}"
        )
    })
}

/// The picture sink doesn't wait for its first picture (`async`): the queue
/// before the file would fill meanwhile, and hold the decoder up for ever.
const DECODE: &str = "tee name=t t. ! queue ! filesink location=got.ts \
    t. ! queue ! tsdemux ! h264parse ! avdec_h264 ! fakesink sync=false async=false";

/// ffmpeg over TCP into a container of its own.
pub(crate) fn ffmpeg_tcp(stage: &Stage) -> Outcome {
    remuxed(stage, |server| format!("-f mpegts -i tcp://{}", server.tcp_out))
}

/// ffmpeg over HTTP into a container of its own.
pub(crate) fn ffmpeg_http(stage: &Stage) -> Outcome {
    remuxed(stage, |server| format!("-i 'http://{}/live/a.ts?wait=10s'", server.http))
}

/// A program that keeps what it gets in `got.ts` and ends with the stream.
fn exactly(stage: &Stage, line: impl FnOnce(&Server) -> String) -> Outcome {
    let server = Server::start(stage, &[])?;
    let mut subscriber = Program::start(stage, "subscriber", &line(&server))?;
    publish(stage, &server, 4)?;
    subscriber.succeed(END).map_err(|why| format!("{why}\n    {}", server.last_words()))?;
    same_bytes(stage, "got.ts")?;
    server.stop()
}

/// ffmpeg, which writes the same pictures in packets of its own.
fn remuxed(stage: &Stage, input: impl FnOnce(&Server) -> String) -> Outcome {
    let server = Server::start(stage, &[])?;
    let line = format!("ffmpeg -v error -nostdin -y {} -c copy -f mpegts got.ts", input(&server));
    let mut subscriber = Program::start(stage, "subscriber", &line)?;
    publish(stage, &server, 4)?;
    subscriber.succeed(END).map_err(|why| format!("{why}\n    {}", server.last_words()))?;
    same_pictures(stage, "got.ts", "sent.ts", PICTURES)?;
    server.stop()
}

/// Publishes `seconds` of the clip to the end, with a copy in `sent.ts`.
fn publish(stage: &Stage, server: &Server, seconds: u32) -> Outcome {
    let line = ffmpeg_tcp_line(server, seconds);
    Program::start(stage, "publisher", &line)?.succeed(RUN)
}

/// Messages over WebSocket, end to end, are the stream.
pub(crate) fn websocket(stage: &Stage) -> Outcome {
    let server = Server::start(stage, &[])?;
    let subscriber = Reader::websocket(&server.http, "/live/a.ts?wait=10s")?;
    publish(stage, &server, 4)?;
    stage.write("got.ts", &subscriber.finish(END)?)?;
    same_bytes(stage, "got.ts")?;
    server.stop()
}

/// Pushed datagrams, end to end, are the stream.
pub(crate) fn push(stage: &Stage) -> Outcome {
    let (subscriber, port) = Reader::udp()?;
    let server = Server::start(stage, &push_to(port))?;
    publish(stage, &server, 4)?;
    stage.write("got.ts", &subscriber.finish(END)?)?;
    same_bytes(stage, "got.ts")?;
    server.stop()
}

/// ffmpeg listening for pushed datagrams; it stops after two seconds of media.
pub(crate) fn ffmpeg_push(stage: &Stage) -> Outcome {
    let port = free_port(Protocol::Udp)?;
    let line = format!(
        "ffmpeg -v error -nostdin -y -probesize 200000 \
         -i 'udp://127.0.0.1:{port}?overrun_nonfatal=1&fifo_size=50000&timeout=10000000' \
         -t 2 -c copy -f mpegts got.ts"
    );
    let mut subscriber = Program::start(stage, "subscriber", &line)?;
    listens(Protocol::Udp, port)?;
    let server = Server::start(stage, &push_to(port))?;
    publish(stage, &server, 5)?;
    subscriber.succeed(END).map_err(|why| format!("{why}\n    {}", server.last_words()))?;
    same_pictures(stage, "got.ts", "sent.ts", 40)?;
    server.stop()
}

/// GStreamer listening for pushed datagrams, decoding, with a copy of the
/// bytes. It is told to end, for datagrams have no end.
pub(crate) fn gst_push(stage: &Stage) -> Outcome {
    let port = free_port(Protocol::Udp)?;
    let line = format!(
        "exec gst-launch-1.0 -q -e udpsrc address=127.0.0.1 port={port} buffer-size=2000000 \
         ! {DECODE}"
    );
    let mut subscriber = Program::start(stage, "subscriber", &line)?;
    listens(Protocol::Udp, port)?;
    let server = Server::start(stage, &push_to(port))?;
    publish(stage, &server, 4)?;
    subscriber.signal("INT");
    subscriber.wait(END)?;
    same_bytes(stage, "got.ts")?;
    server.stop()
}

/// Who comes late starts at a keyframe, tables first, over TCP and HTTP, and
/// has everything from there on.
pub(crate) fn late(stage: &Stage) -> Outcome {
    let server = Server::start(stage, &[])?;
    let first = Reader::tcp(&server.tcp_out)?;
    let line = ffmpeg_tcp_line(&server, 5);
    let mut publisher = Program::start(stage, "publisher", &line)?;
    // Some two and a half seconds of 900 kbit/s.
    first.has(280_000, RUN)?;
    let late = [
        ("tcp.ts", Reader::tcp(&server.tcp_out)?),
        ("http.ts", Reader::http(&server.http, "/live/a.ts")?),
    ];
    publisher.succeed(RUN)?;
    for (file, subscriber) in late {
        let got = subscriber
            .finish(END)
            .map_err(|why| format!("{file}: {why}\n    {}", server.last_words()))?;
        stage.write(file, &got)?;
        if same_bytes(stage, file)? < 1316 {
            return Err(format!("{file}: it came late and got the whole stream"));
        }
        starts_with_key(stage, file)?;
    }
    server.stop()
}

fn push_to(port: u16) -> [String; 2] {
    ["--push".to_owned(), format!("udp://127.0.0.1:{port}?stream={NAME}")]
}

/// What a port is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// A port for a program that can't choose one itself. Another process may take
/// it first; the check then fails loudly.
pub(crate) fn free_port(protocol: Protocol) -> Outcome<u16> {
    let at = "127.0.0.1:0";
    let address = match protocol {
        Protocol::Tcp => TcpListener::bind(at).and_then(|socket| socket.local_addr()),
        Protocol::Udp => UdpSocket::bind(at).and_then(|socket| socket.local_addr()),
    };
    address.map(|address| address.port()).map_err(|why| format!("{protocol:?}: {why}"))
}

/// Waits until somebody listens on the port: proc(5), `/proc/net/udp` and
/// `/proc/net/tcp`.
pub(crate) fn listens(protocol: Protocol, port: u16) -> Outcome {
    let entry = format!(":{port:04X} ");
    let what = format!("a listener on {protocol:?} port {port}");
    let file = match protocol {
        Protocol::Tcp => "/proc/net/tcp",
        Protocol::Udp => "/proc/net/udp",
    };
    until(&what, Duration::from_secs(10), || {
        let sockets = fs::read_to_string(file).ok()?;
        let mut locals = sockets.lines().filter_map(|line| line.get(..22));
        locals.any(|local| format!("{local} ").contains(&entry)).then_some(())
    })
}
