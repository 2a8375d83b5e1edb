//! Links between shards when messages cross: whoever asks, waits or leaves just
//! then gets what is there, and nothing is left over.

use crate::clock;
use crate::link::{Link, Shape};
use crate::rng::Rng;
use crate::world::{HTTP, World, publish_site, subscribe_site};
use nearlight::framing::Kind;
use nearlight::limits::{LINK_ITEMS, SEGMENT_FRAMES};
use nearlight::protocol::Ask;
use std::time::Duration;

/// The publisher's shard, and that of those who ask.
const OWNER: usize = 0;
const ASKER: usize = 1;

const WIDE: Shape = Shape { sndbuf: 1 << 24, window: 1 << 24, short: 0 };
const GET: &[u8] = b"GET /s0?wait=10s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

fn world(ask: &Ask) -> World {
    clock::reset();
    World::new(2, &[(Kind::Lines, ask.clone())], ask, Rng::new(1))
}

/// Patient clients.
fn waits() -> Ask {
    Ask { wait: Some(Duration::from_secs(10)), ..Ask::default() }
}

fn alone(world: &mut World, shards: &[usize]) {
    for shard in shards {
        world.one_turn(*shard).expect("the books are in order");
    }
}

/// Everything goes on for so many milliseconds; answers what came meanwhile.
fn settle(world: &mut World, link: &Link, millis: usize) -> String {
    let mut bytes = Vec::new();
    for _ in 0..millis {
        clock::advance(Duration::from_millis(1));
        world.run(true).expect("the books are in order");
        while let Some((more, _)) = link.borrow_mut().read(usize::MAX) {
            bytes.extend(more);
        }
    }
    String::from_utf8(bytes).expect("lines are text")
}

/// One waits; its stream is claimed on the other shard, and before it hears of
/// that it goes and another one comes.
fn relieved(world: &mut World) -> (Link, Link) {
    let (_, old) = world.connect_to(ASKER, HTTP, WIDE);
    old.borrow_mut().push(GET);
    world.run(true).expect("the books are in order");
    let (_, writer) = world.connect_to(OWNER, publish_site(0), WIDE);
    writer.borrow_mut().push(b"one\n");
    world.poll();
    old.borrow_mut().close();
    world.poll();
    let (_, new) = world.connect_to(ASKER, HTTP, WIDE);
    new.borrow_mut().push(GET);
    world.poll();
    (writer, new)
}

#[test]
fn who_asks_when_another_has_just_gone_gets_the_stream_and_its_end() {
    let mut world = world(&waits());
    let (writer, new) = relieved(&mut world);
    alone(&mut world, &[OWNER, ASKER, ASKER, OWNER, ASKER, OWNER]);
    settle(&mut world, &new, 50);
    writer.borrow_mut().push(b"two\n");
    let got = settle(&mut world, &new, 50);
    assert!(got.ends_with("two\n"), "{got:?}");
    writer.borrow_mut().end();
    settle(&mut world, &new, 50);
    assert!(new.borrow().shut, "it is told of the end");
}

#[test]
fn nobody_is_lapped_for_asking_when_another_has_just_gone() {
    let mut world = world(&waits());
    let (_writer, _new) = relieved(&mut world);
    alone(&mut world, &[OWNER]);
    (0..100).for_each(|_| alone(&mut world, &[ASKER, OWNER]));
    assert_eq!(world.counters(ASKER).lapped.get(), 0);
}

#[test]
fn who_was_lapped_hears_of_the_end_if_the_next_life_begins_on_its_shard() {
    let mut world = world(&Ask { window_bytes: Some(1 << 30), ..Ask::default() });
    let (_, reader) = world.connect_to(ASKER, subscribe_site(0), WIDE);
    world.run(true).expect("the books are in order");
    let (_, writer) = world.connect_to(OWNER, publish_site(0), WIDE);
    let lines = "0000000\n".repeat(1000);
    writer.borrow_mut().push(lines.as_bytes());
    assert_eq!(settle(&mut world, &reader, 100), lines);
    for _ in 0..=(LINK_ITEMS + 30) * SEGMENT_FRAMES / 1000 {
        writer.borrow_mut().push(lines.as_bytes());
        clock::advance(Duration::from_micros(10));
        world.run_alone(OWNER).expect("the books are in order");
    }
    // The publisher goes, and comes again to the shard that stands still.
    writer.borrow_mut().end();
    world.run_alone(OWNER).expect("the books are in order");
    let (_, again) = world.connect_to(ASKER, publish_site(0), WIDE);
    again.borrow_mut().push(b"again\n");
    world.poll();
    alone(&mut world, &[ASKER, OWNER]);
    settle(&mut world, &reader, 1000);
    assert_eq!(world.counters(ASKER).lapped.get(), 1);
    assert!(reader.borrow().shut, "it is told of the end");
}

#[test]
fn a_crowd_that_asks_for_a_stream_that_has_just_ended_gets_the_next_life() {
    let mut world = world(&waits());
    let (_, writer) = world.connect_to(OWNER, publish_site(0), WIDE);
    writer.borrow_mut().push(b"one\n");
    world.run(true).expect("the books are in order");
    world.crowd(ASKER, "s0", true);
    writer.borrow_mut().end();
    world.poll();
    alone(&mut world, &[OWNER]);
    settle(&mut world, &writer, 50);
    let (_, writer) = world.connect_to(OWNER, publish_site(0), WIDE);
    writer.borrow_mut().push(b"two\n");
    settle(&mut world, &writer, 50);
    assert!(world.has(ASKER, "s0"));
}
