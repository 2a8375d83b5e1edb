//! MPEG-TS under random input: properties that hold for any stream, any
//! split, any damage.

use super::muxer::{breaches, stream};
use crate::framing::Kind;
use crate::framing::testing::{Feed, Rng, any_split};
use crate::limits::{TS_PACKET, TS_SYNC_PACKETS};
use std::time::Duration;

#[test]
fn any_split_of_a_stream_gives_the_same_cuts_and_join_points() {
    for seed in 0..6 {
        let stream = stream(seed, 40);
        for kind in [Kind::Ts, Kind::Auto] {
            let outcome = any_split(kind, &stream.bytes, 60);
            assert_eq!(outcome.kept, stream.bytes);
            assert_eq!(outcome.leaves, stream.starts);
            let joins: Vec<_> = outcome.joins.iter().map(|join| join.0).collect();
            assert_eq!(joins, stream.keys);
        }
    }
}

#[test]
fn any_split_of_a_damaged_stream_gives_the_same() {
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let mut bytes = stream(seed, 40).bytes;
        for _ in 0..30 {
            let from = rng.below(bytes.len());
            let to = bytes.len().min(from + rng.below(500));
            match rng.below(3) {
                0 => drop(bytes.drain(from..to)),
                1 => bytes[from] ^= 1 << rng.below(8),
                _ => {
                    let count = rng.below(700);
                    let garbage = rng.bytes(count);
                    drop(bytes.splice(from..from, garbage));
                }
            }
        }
        let outcome = any_split(Kind::Ts, &bytes, 60);
        assert!(outcome.kept.len() > bytes.len() / 2);
        assert!(!outcome.joins.is_empty());
    }
}

#[test]
fn who_joins_or_skips_sees_no_breach_of_continuity() {
    let mut pairs = 0;
    for seed in 10..30 {
        let stream = stream(seed, 40);
        let mut feed = Feed::bytes(Kind::Ts);
        feed.receive(&stream.bytes);
        assert_eq!(breaches(&stream.bytes), Vec::<String>::new());
        for join in &feed.joins {
            let rest = &stream.bytes[join.position.0 as usize..];
            let joined = [&join.fresh, rest].concat();
            assert_eq!(breaches(&joined), Vec::<String>::new());
            for leave in feed.leaves().iter().filter(|&&leave| leave < join.position.0) {
                let skipped = [&stream.bytes[..*leave as usize], &join.resume, rest].concat();
                assert_eq!(breaches(&skipped), Vec::<String>::new());
                let bare = [&stream.bytes[..*leave as usize], rest].concat();
                pairs += usize::from(!breaches(&bare).is_empty());
            }
        }
    }
    assert!(pairs > 1000, "the checker must find something without: {pairs}");
}

/// Two million bytes and more of mutated streams and noise: the feed checks
/// each step; here, that no more than a hunt needs is ever held.
#[test]
fn nothing_a_peer_sends_makes_it_stumble() {
    let mut total = 0;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut bytes = stream(seed, 60).bytes;
        for _ in 0..bytes.len() / (50 << (seed % 6)) {
            let at = rng.below(bytes.len());
            bytes[at] = [rng.byte(), 0x47, 0, 0xFF][rng.below(4)];
        }
        let noise = rng.bytes(20_000);
        bytes.extend(noise.iter().map(|&byte| if byte < 128 { 0x47 } else { byte }));
        total += bytes.len();
        let mut feed = Feed::bytes(Kind::Ts);
        let mut datagrams = Feed::datagrams(Kind::Ts);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            feed.room = 1 + rng.below(3);
            feed.now = feed.now + Duration::from_micros(rng.below(30_000) as u64);
            let (piece, next) = rest.split_at(rest.len().min(1 + rng.below(3000)));
            feed.receive(piece);
            datagrams.datagram(piece);
            rest = next;
        }
        assert!(feed.most_held < TS_SYNC_PACKETS * TS_PACKET);
        let stats = feed.framing.stats();
        let accounted = feed.kept.len() + feed.held.len() + stats.skipped_bytes as usize;
        assert_eq!(accounted, bytes.len());
    }
    assert!(total > 2_000_000, "{total}");
}
