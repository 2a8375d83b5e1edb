//! The server in a simulation: the real phases, in the order of
//! `Shard::run`, over fake sockets and virtual time. Each seed is a story of
//! publishers and subscribers of every kind and speed; what every subscriber
//! got is judged against what was published, and the server's books are
//! audited between turns.
//!
//! `SIM_SEED=n cargo test --test sim` replays one seed and says what happens.

mod books;
mod clock;
mod content;
mod judge;
mod lapse;
mod link;
mod links;
mod publisher;
mod reader;
mod rng;
mod story;
mod ts;
mod world;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Stories of a normal run.
const SEEDS: u64 = 256;

/// Plays a seed; answers what went wrong.
fn play(seed: u64, aloud: bool) -> Result<(), String> {
    catch_unwind(|| story::play(seed, aloud)).unwrap_or_else(|why| {
        let text = why.downcast_ref::<String>().cloned();
        let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

#[test]
fn every_story_ends_well() {
    if let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok()) {
        play(seed, true).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        return;
    }
    let seeds = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    let seeds = seeds.unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    if let Err(why) = play(seed, false) {
                        failures.lock().expect("no story panics").push((seed, why));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no story panics");
    failures.sort();
    let texts: Vec<String> =
        failures.iter().map(|(seed, why)| format!("SIM_SEED={seed}: {why}")).collect();
    assert!(texts.is_empty(), "{} of {seeds} stories fail:\n{}", texts.len(), texts.join("\n"));
}

#[test]
fn a_story_is_the_same_each_time() {
    let first = story::tell(7);
    assert!(first.len() > 10, "a story is told");
    assert_eq!(first, story::tell(7));
}
