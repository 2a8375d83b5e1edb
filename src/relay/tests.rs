//! A subscriber as a function of a window and a time: where it starts, when it
//! is too far behind, what it does then, and what its bytes are wherever the
//! kernel cuts them.

use super::egress::Messages;
use super::subscriber::Cut;
use super::*;
use crate::base::{Instant, Position};
use crate::framing::{Kind, Trim};
use crate::limits::{FLUSH_SLICES, LEAVING_SEGMENTS};
use crate::protocol::{Ask, Body, Join, LAST_CHUNK, Policy};
use crate::ring::{Frame, Gather, JoinPoint, Pool, SegRef, Tail, Window};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

const FRESH: &[u8] = b"<tables>";
const RESUME: &[u8] = b"<jump, tables>";
const TS: Cut = Cut { kind: Kind::Ts, anywhere: false, trim: Trim { front: 0, back: 0 } };
const LINES: Cut = Cut { kind: Kind::Lines, anywhere: true, trim: Trim { front: 0, back: 1 } };
const LEN32: Cut = Cut { kind: Kind::Len32, anywhere: true, trim: Trim { front: 4, back: 0 } };

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(1_000_000_000) + ms(millis)
}

/// A stream that is written by hand.
struct Ring {
    pool: Pool,
    tail: Tail,
    window: Window,
}

impl Ring {
    fn new() -> Self {
        let mut pool = Pool::default();
        let tail = pool.take(Position::ZERO);
        let mut window = Window::default();
        window.push(tail.reader());
        Self { pool, tail, window }
    }

    /// A frame that arrives at `millis` and may be left before.
    fn frame(&mut self, bytes: &[u8], millis: u64) -> Position {
        self.part(bytes, millis, true)
    }

    fn part(&mut self, bytes: &[u8], millis: u64, leave: bool) -> Position {
        let start = self.tail.position();
        self.tail.space()[..bytes.len()].copy_from_slice(bytes);
        self.tail.fill(bytes.len());
        let end = start + bytes.len() as u64;
        let frame = Frame { end, arrival: at(millis), waited: 0, leave };
        self.tail.commit(bytes.len(), std::iter::once(frame));
        start
    }

    /// The same, and a join point.
    fn key(&mut self, bytes: &[u8], millis: u64) -> Position {
        let position = self.frame(bytes, millis);
        self.window.push_join(JoinPoint {
            position,
            arrival: at(millis),
            fresh: Arc::from(FRESH),
            resume: Arc::from(RESUME),
        });
        position
    }

    fn roll(&mut self) {
        let next = self.pool.take(self.tail.position());
        self.window.push(next.reader());
        drop(std::mem::replace(&mut self.tail, next).seal());
    }

    /// One flush of which the kernel takes up to `most` bytes; what it took.
    fn flush(&self, subscriber: &mut Subscriber, cut: Cut, most: usize) -> Vec<u8> {
        let mut messages = Messages::default();
        subscriber.plan(&self.window, cut, &mut messages);
        let mut slices = [IoSlice::new(&[]); FLUSH_SLICES];
        let mut list = Gather::over(&mut slices[..subscriber.flush_slices()]);
        subscriber.gather(&self.window, &messages, &mut list);
        let mut bytes: Vec<u8> = list.slices().iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(bytes.len(), list.bytes());
        bytes.truncate(most);
        subscriber.sent(bytes.len(), &messages);
        bytes
    }

    /// All there is for it now.
    fn drain(&self, subscriber: &mut Subscriber, cut: Cut, now: Instant) -> Vec<u8> {
        let mut all = Vec::new();
        while subscriber.begin(&self.window, cut, now) {
            let bytes = self.flush(subscriber, cut, usize::MAX);
            if bytes.is_empty() && subscriber.is_at(self.window.head()) {
                break;
            }
            all.extend_from_slice(&bytes);
        }
        all
    }
}

fn settings(join: Join, policy: Option<Policy>) -> Settings {
    let max_lag = Some(ms(100));
    Settings::of(&Ask { join: Some(join), max_lag, policy, ..Ask::default() })
}

fn plain(join: Join, now: Instant) -> Subscriber {
    Subscriber::new(&settings(join, None), Form::Plain, now)
}

/// What a subscriber that comes at 100 ms has after a key of that age, and
/// after the next one.
fn joins(join: Join, age: u64) -> (Vec<u8>, Vec<u8>) {
    let mut ring = Ring::new();
    ring.frame(b"before ", 0);
    ring.key(b"key ", 200 - age);
    ring.frame(b"then ", 200);
    let mut subscriber = plain(join, at(200));
    let first = ring.drain(&mut subscriber, TS, at(200));
    assert_eq!(subscriber.is_waiting(), first.is_empty() && join != Join::Live);
    ring.key(b"next ", 210);
    (first, ring.drain(&mut subscriber, TS, at(210)))
}

#[test]
fn auto_takes_a_young_key_and_waits_for_the_next_else() {
    let now = (b"<tables>key then ".to_vec(), b"next ".to_vec());
    let later = (Vec::new(), b"<tables>next ".to_vec());
    assert_eq!(joins(Join::Auto, 0), now);
    assert_eq!(joins(Join::Auto, 100), now, "max-lag old is not too old");
    assert_eq!(joins(Join::Auto, 101), later);
}

#[test]
fn last_key_takes_it_however_old_and_next_key_never() {
    let now = (b"<tables>key then ".to_vec(), b"next ".to_vec());
    let later = (Vec::new(), b"<tables>next ".to_vec());
    assert_eq!(joins(Join::LastKey, 199), now);
    assert_eq!(joins(Join::NextKey, 0), later);
    assert_eq!(joins(Join::Live, 0), (Vec::new(), b"next ".to_vec()));
}

#[test]
fn who_was_here_before_the_stream_starts_at_its_first_key() {
    for waits in [false, true] {
        let mut ring = Ring::new();
        let mut early = Subscriber::early(&settings(Join::Auto, None), Form::Plain, at(0));
        if waits {
            assert!(!early.begin(&ring.window, TS, at(0)), "nothing is there");
        }
        // Two pictures come at once.
        ring.key(b"key-0 ", 1);
        ring.key(b"key-1 ", 1);
        assert_eq!(ring.drain(&mut early, TS, at(2)), b"<tables>key-0 key-1 ");
    }
}

#[test]
fn where_any_frame_will_do_the_next_one_does() {
    let mut ring = Ring::new();
    ring.frame(b"missed\n", 0);
    for join in [Join::Auto, Join::LastKey, Join::NextKey, Join::Live] {
        let mut late = plain(join, at(1));
        assert!(ring.drain(&mut late, LINES, at(1)).is_empty());
        let mut early = Subscriber::early(&settings(join, None), Form::Plain, at(0));
        assert_eq!(ring.drain(&mut early, LINES, at(1)), b"missed\n");
    }
}

#[test]
fn lag_is_the_age_of_the_oldest_byte_not_acknowledged() {
    let mut ring = Ring::new();
    ring.key(b"0123456789", 10);
    ring.frame(b"abcdefghij", 20);
    let mut subscriber = plain(Join::Auto, at(20));
    assert_eq!(subscriber.lag(&ring.window, 0, at(20)), Duration::ZERO, "not started");
    assert!(subscriber.begin(&ring.window, TS, at(20)));
    assert_eq!(subscriber.lag(&ring.window, 0, at(50)), ms(30), "counts from the join");
    assert_eq!(ring.flush(&mut subscriber, TS, FRESH.len() + 15).len(), FRESH.len() + 15);
    ring.frame(b"ABC", 40);
    assert_eq!(subscriber.lag(&ring.window, 0, at(50)), ms(30), "within the second frame");
    ring.flush(&mut subscriber, TS, 5);
    assert_eq!(subscriber.lag(&ring.window, 0, at(50)), ms(10), "before the third");
    ring.flush(&mut subscriber, TS, 3);
    assert_eq!(subscriber.lag(&ring.window, 0, at(50)), Duration::ZERO, "at the head");
    assert_eq!(subscriber.lag(&ring.window, 1, at(50)), ms(10), "its last byte is on its way");
    assert_eq!(subscriber.lag(&ring.window, 4, at(50)), ms(30));
    assert_eq!(subscriber.lag(&ring.window, 1000, at(50)), ms(30), "never from before the join");
}

/// A subscriber in the middle of the first of two pictures, 200 ms late.
fn late(policy: Option<Policy>) -> (Ring, Subscriber) {
    let mut ring = Ring::new();
    ring.key(b"picture-0 ", 0);
    ring.part(b"its end ", 0, false);
    ring.frame(b"picture-1 ", 40);
    let mut subscriber = Subscriber::new(&settings(Join::Auto, policy), Form::Plain, at(0));
    assert!(subscriber.begin(&ring.window, TS, at(0)));
    ring.flush(&mut subscriber, TS, FRESH.len() + 4);
    (ring, subscriber)
}

#[test]
fn past_its_bound_it_finishes_the_picture_and_jumps_to_the_newest_key() {
    let (mut ring, mut subscriber) = late(None);
    ring.key(b"key-2 ", 80);
    ring.key(b"key-3 ", 190);
    let mut held = Held::default();
    let verdict = subscriber.check(&ring.window, TS, 0, &mut held, at(100));
    assert_eq!((verdict, held.len()), (Verdict::Fine, 0), "at its bound it is not past it");
    let verdict = subscriber.check(&ring.window, TS, 0, &mut held, at(101));
    assert_eq!(verdict, Verdict::Skips { lag: ms(101) });
    assert_eq!((held.len(), subscriber.held().len()), (1, 1));
    assert_eq!(ring.drain(&mut subscriber, TS, at(200)), b"ure-0 its end <jump, tables>key-3 ");
    assert_eq!(subscriber.held().len(), 0);
    let stats = subscriber.stats();
    assert_eq!((stats.skips, stats.skipped_bytes), (1, b"picture-1 key-2 ".len() as u64));
    assert_eq!(stats.skipped_time, ms(150), "from the arrival of one to that of the other");
    assert_eq!(subscriber.lag(&ring.window, 6, at(210)), ms(10), "lag counts from the jump");
}

#[test]
fn with_no_key_ahead_it_waits_for_the_next() {
    let (mut ring, mut subscriber) = late(None);
    let verdict = subscriber.check(&ring.window, TS, 0, &mut Held::default(), at(101));
    assert_eq!(verdict, Verdict::Skips { lag: ms(101) });
    assert_eq!(ring.drain(&mut subscriber, TS, at(101)), b"ure-0 its end ");
    assert!(subscriber.is_waiting());
    assert_eq!(subscriber.lag(&ring.window, 0, at(900)), Duration::ZERO);
    ring.frame(b"picture-2 ", 150);
    assert!(!subscriber.begin(&ring.window, TS, at(150)));
    ring.key(b"key-3 ", 190);
    assert_eq!(ring.drain(&mut subscriber, TS, at(190)), b"<jump, tables>key-3 ");
    assert_eq!(subscriber.stats().skipped_bytes, b"picture-1 picture-2 ".len() as u64);
}

#[test]
fn with_no_place_to_leave_at_it_goes_on() {
    let mut ring = Ring::new();
    ring.key(b"picture-0 ", 0);
    let mut subscriber = plain(Join::Auto, at(0));
    assert!(subscriber.begin(&ring.window, TS, at(0)));
    ring.flush(&mut subscriber, TS, FRESH.len() + 4);
    let verdict = subscriber.check(&ring.window, TS, 0, &mut Held::default(), at(500));
    assert_eq!(verdict, Verdict::Fine);
    assert_eq!(ring.drain(&mut subscriber, TS, at(500)), b"ure-0 ");
}

#[test]
fn at_the_head_there_is_nothing_to_skip() {
    for cut in [TS, LINES] {
        let mut ring = Ring::new();
        ring.key(b"picture-0 ", 0);
        let mut subscriber = Subscriber::early(&settings(Join::Auto, None), Form::Plain, at(0));
        ring.drain(&mut subscriber, cut, at(0));
        let verdict = subscriber.check(&ring.window, cut, 5, &mut Held::default(), at(500));
        assert_eq!((verdict, subscriber.stats().skips), (Verdict::Fine, 0));
        ring.frame(b"picture-1 ", 500);
        assert_eq!(ring.drain(&mut subscriber, cut, at(500)), b"picture-1 ");
    }
}

#[test]
fn late_by_the_kernel_alone_it_leaves_at_the_next_place_and_waits_for_the_queue() {
    for (cut, resumed) in [(TS, &b"<jump, tables>key-2 "[..]), (LINES, b"")] {
        let mut ring = Ring::new();
        ring.key(b"picture-0 ", 0);
        let mut subscriber = Subscriber::early(&settings(Join::Auto, None), Form::Plain, at(0));
        ring.drain(&mut subscriber, cut, at(0));
        assert!(!subscriber.minds_queue(at(25)) && subscriber.minds_queue(at(26)));
        assert_eq!(
            subscriber.check(&ring.window, cut, 8, &mut Held::default(), at(101)),
            Verdict::Fine
        );
        assert!(subscriber.minds_queue(at(101)), "late, with nothing to leave yet");
        ring.frame(b"picture-1 ", 120);
        let verdict = subscriber.check(&ring.window, cut, 8, &mut Held::default(), at(120));
        assert_eq!(verdict, Verdict::Skips { lag: ms(120) });
        assert!(subscriber.is_held_back(&ring.window, 8, at(120)), "the queue is as late");
        ring.key(b"key-2 ", 190);
        assert!(subscriber.is_held_back(&ring.window, 1, at(190)));
        assert!(!subscriber.is_held_back(&ring.window, 0, at(190)), "the queue is empty");
        assert_eq!(ring.drain(&mut subscriber, cut, at(190)), resumed);
        let skipped = if resumed.is_empty() { 16 } else { 10 };
        assert_eq!((subscriber.stats().skips, subscriber.stats().skipped_bytes), (1, skipped));
        assert!(!subscriber.minds_queue(at(190)));
    }
}

#[test]
fn last_key_may_be_as_late_as_its_key_until_it_is_at_the_head() {
    let mut ring = Ring::new();
    ring.key(b"picture-0 ", 0);
    ring.frame(b"picture-1 ", 40);
    let mut subscriber = plain(Join::LastKey, at(300));
    assert!(subscriber.begin(&ring.window, TS, at(300)));
    let verdict = |subscriber: &mut Subscriber, now| {
        subscriber.check(&ring.window, TS, 0, &mut Held::default(), now)
    };
    assert_eq!(verdict(&mut subscriber, at(600)), Verdict::Fine, "the key was 300 ms old");
    subscriber.reached_head();
    assert_eq!(verdict(&mut subscriber, at(600)), Verdict::Skips { lag: ms(300) });
}

#[test]
fn the_policy_closes_and_raw_is_closed_unless_asked() {
    let verdict = |cut: Cut, policy| {
        let (ring, mut subscriber) = late(policy);
        subscriber.check(&ring.window, cut, 0, &mut Held::default(), at(101))
    };
    let raw = Cut { kind: Kind::Raw, anywhere: true, ..LINES };
    assert_eq!(verdict(TS, Some(Policy::Close)), Verdict::Close { lag: ms(101) });
    assert_eq!(verdict(raw, None), Verdict::Close { lag: ms(101) });
    assert_eq!(verdict(raw, Some(Policy::Skip)), Verdict::Skips { lag: ms(101) });
    assert_eq!(verdict(LINES, None), Verdict::Skips { lag: ms(101) });
}

#[test]
fn a_prefix_that_is_partly_out_is_finished_before_the_next() {
    let mut ring = Ring::new();
    ring.key(b"key-0 ", 0);
    ring.frame(b"picture-1 ", 40);
    let mut subscriber = plain(Join::Auto, at(0));
    assert!(subscriber.begin(&ring.window, TS, at(0)));
    assert_eq!(ring.flush(&mut subscriber, TS, 3), b"<ta");
    ring.key(b"key-2 ", 80);
    let verdict = subscriber.check(&ring.window, TS, 0, &mut Held::default(), at(101));
    assert_eq!(verdict, Verdict::Skips { lag: ms(101) });
    assert_eq!(ring.drain(&mut subscriber, TS, at(101)), b"bles><jump, tables>key-2 ");
    assert_eq!(subscriber.stats().skipped_bytes, b"key-0 picture-1 ".len() as u64);
}

#[test]
fn nothing_to_leave_and_nothing_sent_jumps_at_once() {
    let mut ring = Ring::new();
    ring.key(b"key-0 ", 0);
    let mut subscriber = plain(Join::Auto, at(0));
    assert!(subscriber.begin(&ring.window, TS, at(0)));
    ring.key(b"key-1 ", 80);
    let verdict = subscriber.check(&ring.window, TS, 0, &mut Held::default(), at(101));
    assert_eq!((verdict, subscriber.held().len()), (Verdict::Skips { lag: ms(101) }, 0));
    assert_eq!(ring.drain(&mut subscriber, TS, at(101)), b"<jump, tables>key-1 ");
}

#[test]
fn who_is_moved_on_leaves_whatever_its_lag() {
    let (ring, mut subscriber) = late(None);
    let verdict = subscriber.evict(&ring.window, TS, &mut Held::default(), at(1));
    assert_eq!(verdict, Verdict::Skips { lag: ms(1) });
    let again = subscriber.evict(&ring.window, TS, &mut Held::default(), at(1));
    assert_eq!(again, Verdict::Fine, "it is on its way");
    let (ring, mut subscriber) = late(Some(Policy::Close));
    let verdict = subscriber.evict(&ring.window, TS, &mut Held::default(), at(1));
    assert_eq!(verdict, Verdict::Close { lag: ms(1) });
}

#[test]
fn who_is_moved_on_in_the_newest_frame_leaves_at_its_end_or_is_ended() {
    let mut ring = Ring::new();
    ring.frame(b"one line\n", 0);
    let mut subscriber = Subscriber::early(&settings(Join::Auto, None), Form::Plain, at(0));
    assert!(subscriber.begin(&ring.window, LINES, at(0)));
    ring.flush(&mut subscriber, LINES, 3);
    let verdict = subscriber.evict(&ring.window, LINES, &mut Held::default(), at(1));
    assert_eq!(verdict, Verdict::Skips { lag: ms(1) });
    ring.frame(b"skipped\n", 2);
    assert_eq!(ring.drain(&mut subscriber, LINES, at(2)), b" line\n");
    assert_eq!((subscriber.stats().skips, subscriber.stats().skipped_bytes), (1, 8));
    // A picture of which the end is not known can't be held.
    let mut ring = Ring::new();
    ring.key(b"picture-0 ", 0);
    let mut subscriber = plain(Join::Auto, at(0));
    assert!(subscriber.begin(&ring.window, TS, at(0)));
    ring.flush(&mut subscriber, TS, FRESH.len() + 4);
    let verdict = subscriber.evict(&ring.window, TS, &mut Held::default(), at(1));
    assert_eq!(verdict, Verdict::Close { lag: ms(1) });
}

#[test]
fn the_kernels_queue_is_looked_at_before_it_can_be_past_the_bound() {
    let mut ring = Ring::new();
    ring.key(b"0123456789", 0);
    let mut subscriber = plain(Join::Auto, at(0));
    assert!(subscriber.begin(&ring.window, TS, at(0)));
    assert!(!subscriber.minds_queue(at(25)) && subscriber.minds_queue(at(26)), "it has begun");
    ring.flush(&mut subscriber, TS, 1000);
    let mut look = |unacked, now: u64| {
        let verdict = subscriber.check(&ring.window, TS, unacked, &mut Held::default(), at(now));
        assert_eq!(verdict, Verdict::Fine);
        (1..).find(|later| subscriber.minds_queue(at(now + later))).expect("once")
    };
    assert_eq!(look(0, 30), 76, "nothing is on its way");
    assert_eq!(look(5, 40), 46, "40 of 100 ms are over");
    assert_eq!(look(5, 90), 26);
}

#[test]
fn lag_counts_from_what_is_held_when_the_window_has_lost_it() {
    let mut ring = Ring::new();
    ring.key(b"picture-0 ", 0);
    ring.part(b"its end ", 30, false);
    ring.frame(b"picture-1 ", 40);
    let mut subscriber = plain(Join::Auto, at(0));
    assert!(subscriber.begin(&ring.window, TS, at(0)));
    ring.flush(&mut subscriber, TS, FRESH.len() + b"picture-0 its".len());
    assert!(!subscriber.is_skipping());
    let verdict = subscriber.check(&ring.window, TS, 0, &mut Held::default(), at(135));
    assert_eq!(verdict, Verdict::Skips { lag: ms(105) });
    ring.roll();
    ring.key(b"key ", 140);
    drop(ring.window.pop().expect("there are two"));
    assert!(subscriber.is_skipping());
    assert_eq!(subscriber.lag(&ring.window, 0, at(150)), ms(120));
}

#[test]
fn what_is_held_survives_the_window_and_is_bounded() {
    let (mut ring, mut subscriber) = late(None);
    let mut others = Pool::default();
    let other = |n: usize| others.take(Position(1 << 40) + n as u64).seal();
    let kept: Vec<SegRef> = (0..LEAVING_SEGMENTS).map(other).collect();
    let mut held = Held::default();
    assert!(held.take(&kept) && held.take(&kept), "a segment counts once for all");
    assert!(!held.is_crowded);
    let verdict = subscriber.check(&ring.window, TS, 0, &mut held, at(101));
    assert_eq!(verdict, Verdict::Crowded { lag: ms(101) }, "others hold all there may be");
    assert!(held.is_crowded && subscriber.leaving().is_none());
    held.give_back(&kept);
    assert_eq!(held.len(), LEAVING_SEGMENTS, "somebody else has them still");
    held.give_back(&kept[..1]);
    let verdict = subscriber.check(&ring.window, TS, 0, &mut held, at(101));
    assert_eq!((verdict, held.len()), (Verdict::Skips { lag: ms(101) }, LEAVING_SEGMENTS));
    assert_eq!(subscriber.leaving(), Some((at(101), Position(0))));
    ring.roll();
    ring.key(b"key ", 110);
    let old = ring.window.pop().expect("there are two");
    ring.pool.give_back(old);
    ring.roll();
    ring.frame(b"overwrites?", 111);
    assert_eq!(
        ring.drain(&mut subscriber, TS, at(111)),
        b"ure-0 its end <jump, tables>key overwrites?"
    );
}

/// A WebSocket's bytes: a header before each payload.
fn messages(payloads: &[&[u8]]) -> Vec<u8> {
    let frame = |payload: &&[u8]| {
        let (head, len) = crate::protocol::websocket::header(payload.len());
        [&head[..len], payload].concat()
    };
    payloads.iter().flat_map(frame).collect()
}

fn websocket(policy: Option<Policy>) -> Subscriber {
    Subscriber::early(&settings(Join::LastKey, policy), Form::WebSocket, at(0))
}

#[test]
fn messages_cut_anywhere_by_the_kernel_are_the_same_bytes() {
    let long = vec![b'x'; 70_000];
    let mut ring = Ring::new();
    ring.frame(b"one\n", 0);
    ring.frame(b"\n", 0);
    ring.part(b"be", 1, false);
    ring.roll();
    ring.frame(b"tween\n", 1);
    ring.frame(&[&long[..], b"\n"].concat(), 2);
    ring.frame(b"last\n", 3);
    let expected = messages(&[b"one", b"", b"b", b"tween", &long, b"last"]);
    // Every cut of the first bytes and of the last, and some in between.
    let cuts = (1..40).chain([125, 1000, 65_535]).chain(expected.len() - 12..=expected.len());
    for cut in cuts {
        let mut subscriber = websocket(None);
        assert!(subscriber.begin(&ring.window, LINES, at(3)));
        let mut bytes = Vec::new();
        while bytes.len() < cut {
            bytes.extend(ring.flush(&mut subscriber, LINES, cut - bytes.len()));
        }
        bytes.extend(ring.drain(&mut subscriber, LINES, at(3)));
        assert!(bytes == expected, "cut at {cut}");
        assert!(subscriber.at_boundary());
    }
}

#[test]
fn messages_in_the_smallest_sends_are_the_same_bytes() {
    let mut ring = Ring::new();
    let mut expected = Vec::new();
    for n in 0..30u8 {
        let body = vec![n; usize::from(n) * 11];
        let frame = [&(body.len() as u32).to_be_bytes(), &body[..]].concat();
        ring.frame(&frame, 0);
        expected.extend(messages(&[&body]));
        if n % 7 == 3 {
            ring.roll();
        }
    }
    for most in 1..6 {
        let mut subscriber = websocket(None);
        assert!(subscriber.begin(&ring.window, LEN32, at(0)));
        let mut bytes = Vec::new();
        while !subscriber.is_at(ring.window.head()) {
            bytes.extend(ring.flush(&mut subscriber, LEN32, most));
        }
        assert!(bytes == expected, "{most} at a time");
        assert_eq!(subscriber.stats().sent_bytes, expected.len() as u64);
    }
}

#[test]
fn a_message_that_has_begun_is_finished_before_it_skips() {
    for cut in [LINES, LEN32] {
        let lines = [&b"\0\0\0\x04one\n"[..], b"\0\0\0\x04two\n", b"\0\0\0\x04six\n"];
        let payload = |n: usize| &lines[n][cut.trim.front..8 - cut.trim.back];
        let whole = messages(&[payload(0)]);
        for sent in 0..whole.len() {
            let mut ring = Ring::new();
            let mut subscriber = websocket(None);
            ring.frame(lines[0], 0);
            ring.frame(lines[1], 0);
            assert!(subscriber.begin(&ring.window, cut, at(0)));
            let mut bytes = ring.flush(&mut subscriber, cut, sent);
            let verdict = subscriber.check(&ring.window, cut, 0, &mut Held::default(), at(101));
            assert_eq!(verdict, Verdict::Skips { lag: ms(101) });
            let last = ring.frame(lines[2], 101);
            bytes.extend(ring.drain(&mut subscriber, cut, at(101)));
            let first = if sent > 0 { whole.clone() } else { Vec::new() };
            assert_eq!(bytes, first, "{sent} bytes had been sent");
            assert_eq!(subscriber.position(), last + 8, "on at the head");
            assert_eq!(subscriber.stats().skipped_bytes, if sent > 0 { 16 } else { 24 });
            ring.frame(lines[1], 102);
            assert_eq!(ring.drain(&mut subscriber, cut, at(102)), messages(&[payload(1)]));
        }
    }
}

#[test]
fn what_is_sent_first_is_a_message_of_its_own() {
    let mut ring = Ring::new();
    ring.key(b"key ", 0);
    ring.frame(b"then ", 0);
    let mut subscriber = websocket(None);
    let bytes = ring.drain(&mut subscriber, TS, at(0));
    assert_eq!(bytes, messages(&[FRESH, b"key ", b"then "]));
}

#[test]
fn chunks_in_the_smallest_sends_hold_all_that_plain_bytes_do() {
    let cut = Cut { trim: LINES.trim, ..TS };
    let mut ring = Ring::new();
    ring.key(b"key ", 0);
    ring.frame(&[b'x'; 300], 0);
    ring.roll();
    ring.frame(b"\n", 0);
    let all = |form, most| {
        let mut subscriber = Subscriber::early(&settings(Join::LastKey, None), form, at(0));
        assert!(subscriber.begin(&ring.window, cut, at(0)));
        let mut bytes = Vec::new();
        while !subscriber.is_at(ring.window.head()) {
            bytes.extend(ring.flush(&mut subscriber, cut, most));
        }
        bytes
    };
    for most in [1, 2, 3, 7, 70_000] {
        let coded = [all(Form::Chunked, most), LAST_CHUNK.to_vec()].concat();
        // The first line break is the head's.
        let mut body = coded[2..].to_vec();
        let decoded = Body::chunked().decode(&mut body).expect("chunks");
        assert!(decoded.done && decoded.consumed == body.len(), "{most} at a time");
        assert_eq!(body[..decoded.payload], all(Form::Plain, most), "{most} at a time");
    }
}

const AUTO: Cut = Cut { kind: Kind::Auto, anywhere: false, trim: Trim { front: 0, back: 0 } };
const RAW: Cut = Cut { kind: Kind::Raw, anywhere: true, ..AUTO };

#[test]
fn who_was_here_before_gets_the_first_frame_though_it_was_not_known_what_it_is() {
    let now = Instant::from_nanos(1);
    let mut tail = Pool::default().take(Position::ZERO);
    let mut window = Window::default();
    window.push(tail.reader());
    let settings = Settings::of(&Ask::default());
    let mut early = Subscriber::early(&settings, Form::Plain, now);
    let mut late = Subscriber::new(&settings, Form::Plain, now);
    assert!(!early.begin(&window, AUTO, now) && !late.begin(&window, AUTO, now));
    tail.fill(5);
    let frame = Frame { end: Position(5), arrival: now, waited: 0, leave: true };
    tail.commit(5, std::iter::once(frame));
    assert!(early.begin(&window, RAW, now) && late.begin(&window, RAW, now));
    assert_eq!((early.position(), late.position()), (Position(0), Position(5)));
}
