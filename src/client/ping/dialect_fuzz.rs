//! The parser against damage: recorded lines with bytes changed, lost and
//! doubled, and any bytes in any pieces. Nothing panics, and whatever number is
//! read stands in the text.

use super::*;
use crate::client::ping::recorded::RECORDED;
use proptest::prelude::*;

/// Every line that was recorded, and some of no ping.
fn any_line() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = RECORDED.iter().flat_map(|(_, text)| text.lines()).collect();
    let count = lines.len();
    (0..count).prop_map(move |at| lines[at].to_owned())
}

/// A change to a line: where, which, and with what.
fn change(bytes: &mut Vec<u8>, (at, how, with): (usize, u8, u8)) {
    let bits = b" .:=,0195/(+-\t\r\n\xff%ms";
    let new = if with < 128 { with } else { bits[usize::from(with) % bits.len()] };
    if bytes.is_empty() {
        return bytes.push(new);
    }
    let at = at % bytes.len();
    match how % 6 {
        0 => bytes[at] = new,
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, new),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(..at)),
        _ => {
            let again = bytes[at..].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

/// The numbers that stand in a text, each with the character before and the
/// one behind it: runs of all that can be part of one.
fn numbers(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',' | '+' | '-'))
        .filter(|word| !word.is_empty())
        .collect()
}

/// The same number written without needless zeros.
fn bare(number: &str) -> String {
    let number = number.trim_start_matches('0');
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    if number.is_empty() || number.starts_with('.') {
        format!("0{number}")
    } else {
        number.to_owned()
    }
}

fn assert_stands(text: &str, number: u64) {
    let wanted = number.to_string();
    let trimmed = |word: &&str| bare(word.trim_start_matches('+').trim_end_matches([',', '.']));
    assert!(numbers(text).iter().map(trimmed).any(|n| n == wanted), "{number} in {text:?}");
}

fn assert_time_stands(text: &str, time: Duration) {
    let nanos = time.as_nanos();
    let wanted = bare(&format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000));
    let plain = |word: &&str| bare(word) == wanted;
    assert!(numbers(text).iter().any(plain), "{time:?} in {text:?}");
    assert!(text.contains(" ms"), "{text:?}");
}

/// Reads a text as lines; each number that is read stands in it.
fn assert_read_stands(text: &str) {
    match read_line(text) {
        Line::Reply(reply) => {
            assert_stands(text, u64::from(reply.sequence));
            assert_stands(text, reply.bytes);
            reply.ttl.into_iter().for_each(|ttl| assert_stands(text, u64::from(ttl)));
            reply.time.into_iter().for_each(|time| assert_time_stands(text, time));
            assert!(text.contains(reply.from));
        }
        Line::Trouble { sequence, from, what } => {
            sequence.into_iter().for_each(|sequence| assert_stands(text, u64::from(sequence)));
            assert!(text.contains(from) && text.contains(what));
        }
        Line::Outstanding { sequence } => assert_stands(text, u64::from(sequence)),
        Line::Summary(totals) => {
            assert_stands(text, totals.sent);
            assert_stands(text, totals.received);
            for some in [totals.duplicates, totals.corrupted, totals.errors, totals.out_of_time] {
                if some > 0 {
                    assert_stands(text, some);
                }
            }
        }
        Line::Times(times) => {
            for time in [Some(times.min), Some(times.avg), Some(times.max), times.deviation] {
                time.into_iter().for_each(|time| assert_time_stands(text, time));
            }
        }
        Line::Complaint(words) => assert!(text.contains(words)),
        Line::Header(_) | Line::Damage | Line::Other => {}
    }
}

/// What `Lines` makes of bytes that come in pieces of the given sizes.
fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<String> {
    let (mut lines, mut got, mut left) = (Lines::default(), Vec::new(), bytes);
    for size in sizes.iter().cycle() {
        let (piece, rest) = left.split_at((*size).clamp(1, left.len().max(1)).min(left.len()));
        lines.push(piece);
        let _ = lines.tell_of_damage();
        got.extend(std::iter::from_fn(|| lines.pop()));
        left = rest;
        if left.is_empty() {
            break;
        }
    }
    got.extend(lines.rest());
    got
}

/// How many cases: a few here, and by hand as many as one likes, with
/// `PROPTEST_CASES=10000000 cargo test --release --lib dialect`.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_number_that_is_read_stands_in_the_text(
        line in any_line(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..5),
    ) {
        let mut bytes = line.into_bytes();
        for one in changes {
            change(&mut bytes, one);
        }
        for line in cut(&bytes, &[bytes.len().max(1)]) {
            assert_read_stands(&line);
        }
    }

    #[test]
    fn any_bytes_in_any_pieces_make_the_same_lines(
        lines in prop::collection::vec(any_line(), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..200),
        long in 0..3 * PING_LINE_BYTES,
        sizes in prop::collection::vec(1..700usize, 1..6),
    ) {
        let mut bytes = noise.clone();
        bytes.extend(lines.join("\n").bytes());
        bytes.extend(std::iter::repeat_n(b'9', long));
        bytes.push(b'\n');
        bytes.extend(noise);
        let whole = cut(&bytes, &[bytes.len()]);
        prop_assert_eq!(&cut(&bytes, &sizes), &whole);
        for line in whole {
            prop_assert!(line.len() <= 3 * PING_LINE_BYTES, "U+FFFD is three bytes");
            assert_read_stands(&line);
        }
    }
}
