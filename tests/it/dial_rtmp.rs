//! Pulls and pushes over RTMP between servers: every tag of each life of a
//! stream, and what becomes of them when the other end refuses or is gone.

use crate::peer::Peer;
use crate::server::Server;
use crate::tags::{FILE, GOP, film, greeting, picture};
use crate::wire::{self, eventually};
use nearlight::protocol::Refusal;
use nearlight::protocol::rtmp::Purpose;
use std::net::{Shutdown, TcpListener};

const RTMP: &str = "rtmp://127.0.0.1:0?wait=20s&max_lag=20s";

fn serve(listeners: &[&str], flag: &str, url: &str) -> Server {
    Server::start_with(listeners, &["-v", flag, url])
}

fn failures(server: &Server, reason: &str) -> u64 {
    server.metric(&format!("dial_failures_total{{reason=\"{reason}\"}}"))
}

/// Two lives of a stream, published at `origin`, played at `edge`.
fn two_lives(origin: &Server, edge: &Server) {
    for pictures in [25, 12] {
        let mut player = Peer::plays(edge.at(0), "live/there");
        let film = film(pictures);
        let mut publisher = Peer::publishes(origin.at(0), "live/here");
        let begun = self::film(5).len();
        publisher.send(&film[..begun]);
        player.until("it may play", |player| player.is_granted);
        publisher.send(&film[begun..]);
        player.until_tags(film.len());
        publisher.finish();
        assert!(player.into_tags() == film, "not the published tags");
        drop(publisher);
        edge.wait_for_stream("live/there", false);
    }
}

#[test]
fn a_pull_brings_every_tag_of_each_life() {
    let origin = Server::start(&[RTMP]);
    let pull = format!("rtmp://{}/live/here?stream=live/there&max_lag=20s", origin.at(0));
    let edge = serve(&[RTMP], "--pull", &pull);
    two_lives(&origin, &edge);
    assert_eq!(failures(&edge, "refused"), 0, "the origin lets it wait");
    edge.wait_for_log("trying again");
}

#[test]
fn a_push_brings_every_tag_of_each_life() {
    let edge = Server::start(&[RTMP]);
    let push = format!("rtmp://{}/live/there?stream=live/here&max_lag=20s", edge.at(0));
    let origin = serve(&[RTMP], "--push", &push);
    two_lives(&origin, &edge);
    assert!(!origin.log().contains("trying again"), "{}", origin.log());
    assert_eq!(edge.refusals(), 0);
}

#[test]
fn who_has_no_such_stream_is_asked_again() {
    let origin = Server::start(&["rtmp://127.0.0.1:0?max_lag=20s"]);
    let pull = format!("rtmp://{}/live/here?stream=live/there&max_lag=20s", origin.at(0));
    let edge = serve(&[RTMP], "--pull", &pull);
    eventually("it is refused, twice", || failures(&edge, "refused") >= 2);
    edge.wait_for_log("NetStream.Play.StreamNotFound");
    let mut player = Peer::plays(edge.at(0), "live/there");
    let mut publisher = Peer::publishes(origin.at(0), "live/here");
    publisher.send(&film(GOP));
    edge.wait_for_stream("live/there", true);
    publisher.send(&picture(GOP, 2000));
    player.until_tags(picture(GOP, 2000).len());
    let beginning = greeting(GOP * 40).split_off(FILE.len());
    let whole = beginning.len() + picture(GOP, 2000).len();
    player.until("its end", |player| player.tags.ends_with(&picture(GOP, 2000)));
    assert!(player.tags == film(GOP + 1) || player.tags.len() == whole, "{}", player.tags.len());
}

#[test]
fn a_push_that_is_refused_is_granted_when_the_name_is_free() {
    let edge = Server::start(&[RTMP]);
    let push = format!("rtmp://{}/live/cam?stream=live/cam&max_lag=20s", edge.at(0));
    let origin = serve(&[RTMP], "--push", &push);
    let mut holder = Peer::publishes(edge.at(0), "live/cam");
    let mut publisher = Peer::publishes(origin.at(0), "live/cam");
    publisher.send(&film(3));
    origin.wait_for_log("NetStream.Publish.BadName");
    holder.send(&film(1));
    eventually("it is refused again", || failures(&origin, "refused") >= 2);
    holder.finish();
    edge.wait_for_stream("live/cam", false);
    edge.wait_for_stream("live/cam", true);
    let mut player = Peer::plays(edge.at(0), "live/cam");
    publisher.send(&film(GOP)[film(3).len()..]);
    publisher.send(&picture(GOP, 2000));
    player.until("the newest", |player| player.tags.ends_with(&picture(GOP, 2000)));
    // It goes on when the other end has been away.
    let at = edge.at(0);
    drop(edge);
    let mut n = GOP;
    eventually("it is missed", || {
        n += 1;
        publisher.send(&picture(n, 2000));
        failures(&origin, "broken") + failures(&origin, "connect") > 0
    });
    let edge = Server::start(&[&format!("rtmp://{at}?wait=20s&max_lag=20s")]);
    let mut player = Peer::plays(edge.at(0), "live/cam");
    eventually("it is back", || edge.stream("live/cam", "epoch") == Some(1));
    let next = (n / GOP + 1) * GOP;
    (n + 1..=next).for_each(|n| publisher.send(&picture(n, 2000)));
    player.until("a key", |player| player.tags.ends_with(&picture(next, 2000)));
    assert!(player.tags.starts_with(&greeting(0)[FILE.len()..][..40]), "metadata first");
    publisher.finish();
    player.into_tags();
}

#[test]
fn who_speaks_no_rtmp_is_said_to() {
    let (http, silent) = (Server::start(&[]), TcpListener::bind("127.0.0.1:0").expect("loopback"));
    let pull = format!("rtmp://{}/live/a?stream=a", http.http());
    let server = serve(&[RTMP], "--pull", &pull);
    eventually("it is counted", || failures(&server, "refused") + failures(&server, "answer") > 0);
    let at = silent.local_addr().expect("bound");
    let push = format!("rtmp://{at}/live/a?stream=live/a");
    let mut server = serve(&[RTMP], "--push", &push);
    let mut publisher = Peer::publishes(server.at(0), "live/a");
    publisher.send(&film(2));
    let (mut socket, _) = silent.accept().expect("it calls");
    assert_eq!(wire::read_exactly(&mut socket, 1537)[0], 3);
    socket.shutdown(Shutdown::Write).expect("open");
    eventually("it is counted", || failures(&server, "answer") + failures(&server, "broken") > 0);
    // Nobody else waits for that, nor does the end.
    let (why, _) = Peer::refused(server.at(0), Purpose::Publish, "live/a");
    assert_eq!(why, Refusal::Busy);
    let ((), took) = wire::time(|| {
        server.terminate();
        publisher.until_closed();
        drop((publisher, socket));
        assert_eq!(server.wait().code(), Some(0));
    });
    assert!(took.as_millis() < 2500, "{took:?}");
}
