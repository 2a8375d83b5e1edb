//! The books, probe by probe.

use super::*;

const WAIT: Duration = Duration::from_millis(100);

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn books() -> Ledger {
    Ledger::new(WAIT, 1, None, 0)
}

fn receipt(ms: u64) -> Receipt {
    Receipt { at: at(ms), came: None, told: None }
}

fn balanced(ledger: &Ledger) {
    let c = ledger.counts();
    let known = c.received + c.lost + c.late + c.errors + c.pending;
    assert_eq!(c.sent, known);
    assert_eq!(c.rtt.count(), c.received);
}

#[test]
fn the_warm_up_probe_is_told_apart() {
    let mut ledger = books();
    ledger.sent(at(0), at(0));
    let Verdict::Answer(record) = ledger.reply(0, receipt(7)) else { panic!("in time") };
    assert_eq!(record.user(), Some(Duration::from_millis(7)));
    assert_eq!(ledger.counts().first, Some(Duration::from_millis(7)));
    assert_eq!(ledger.counts().sent + ledger.counts().received, 0);
    ledger.sent(at(10), at(12));
    ledger.reply(1, receipt(13));
    assert_eq!(ledger.counts().sent, 1);
    assert_eq!(ledger.counts().lateness.max(), Some(Duration::from_millis(2)));
    balanced(&ledger);
}

#[test]
fn late_duplicate_reordered_and_foreign_are_told_apart() {
    let mut ledger = books();
    for i in 0..5 {
        ledger.sent(at(i), at(i));
    }
    ledger.reply(0, receipt(5));
    ledger.reply(3, receipt(6));
    ledger.reply(2, receipt(7));
    assert_eq!(ledger.counts().reordered, 1);
    assert!(matches!(ledger.reply(2, receipt(8)), Verdict::Duplicate(_)));
    assert_eq!(ledger.reply(99, receipt(8)), Verdict::Forged);
    assert_eq!(ledger.expire(at(101)), None);
    assert_eq!(ledger.expire(at(200)), Some(1));
    assert_eq!(ledger.expire(at(200)), Some(4));
    assert_eq!(ledger.expire(at(200)), None);
    assert_eq!(ledger.counts().lost, 2);
    assert!(matches!(ledger.reply(1, receipt(201)), Verdict::Late(_)));
    assert!(matches!(ledger.reply(1, receipt(202)), Verdict::Duplicate(_)));
    assert_eq!((ledger.counts().lost, ledger.counts().late), (1, 1));
    balanced(&ledger);
}

#[test]
fn an_icmp_error_is_no_loss() {
    let mut ledger = books();
    for i in 0..3 {
        ledger.sent(at(i), at(i));
    }
    assert!(ledger.failed(1));
    assert!(!ledger.failed(1));
    assert!(!ledger.failed(7));
    assert_eq!(ledger.counts().errors, 1);
    while ledger.expire(at(500)).is_some() {}
    assert_eq!(ledger.counts().lost, 1);
    assert!(ledger.failed(2), "the error came after we gave it up");
    assert_eq!((ledger.counts().lost, ledger.counts().errors), (0, 2));
    balanced(&ledger);
}

#[test]
fn sixteen_bits_find_the_newest_probe_across_their_wrap() {
    let mut ledger = books();
    for i in 0..70_000 {
        ledger.sent(at(i), at(i));
    }
    assert_eq!(ledger.newest_with((69_999 % 65_536) as u16), Some(69_999));
    assert_eq!(ledger.newest_with(65_535), Some(65_535));
    // Only the last 65,536 are remembered, so none is ever mistaken.
    assert_eq!(ledger.counts().pending, PING_WINDOW as u64);
    balanced(&ledger);
}

#[test]
fn the_books_balance_whatever_comes() {
    let mut x = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..200 {
        let mut ledger = books();
        let mut now = 0;
        for _ in 0..300 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            now += x % 9;
            let sequence = (x >> 16) % (ledger.next_sequence() + 2);
            match (x >> 8) % 8 {
                0..=2 => ledger.sent(at(now), at(now)),
                3..=5 => drop(ledger.reply(sequence, receipt(now))),
                6 => drop(ledger.failed(sequence)),
                _ => while ledger.expire(at(now)).is_some() {},
            }
            balanced(&ledger);
        }
    }
}

#[test]
fn network_and_host_are_told_apart_in_any_order() {
    for stamp_first in [true, false] {
        let mut ledger = books();
        for i in 0..2 {
            ledger.sent(at(10 * i), at(10 * i + 1));
        }
        let left = Stamp::from_nanos(5_000_000);
        let came = Some(Stamp::from_nanos(7_000_000));
        if stamp_first {
            ledger.left(1, left);
        }
        ledger.reply(1, Receipt { at: at(16), came, told: None });
        if !stamp_first {
            assert_eq!(ledger.counts().network.count(), 0);
            ledger.left(1, left);
            ledger.left(1, Stamp::from_nanos(1));
        }
        let counts = ledger.counts();
        let only = |hist: &Hist| (hist.count(), hist.max().map(|max| max.as_millis()));
        assert_eq!(only(&counts.rtt), (1, Some(5)));
        assert_eq!(only(&counts.network), (1, Some(2)));
        assert_eq!(only(&counts.overhead), (1, Some(3)));
        assert_eq!(only(&counts.response), (1, Some(6)));
        assert_eq!(only(&counts.lateness), (1, Some(1)));
        assert_eq!((counts.stamped_sent, counts.stamped_received), (1, 1));
    }
}

#[test]
fn runs_of_loss_and_the_worst_reordering_are_kept() {
    let mut ledger = Ledger::new(WAIT, 1, Some(20), 0);
    for i in 0..20 {
        ledger.sent(at(i), at(i));
    }
    for i in [0, 1, 2, 9, 4, 3, 10, 14] {
        ledger.reply(i, receipt(20));
    }
    while ledger.expire(at(500)).is_some() {}
    // Lost: 5 to 8, 11 to 13, 15 to 19.
    assert_eq!((ledger.counts().lost, ledger.counts().loss_run), (12, 5));
    assert_eq!((ledger.counts().reordered, ledger.counts().reorder_extent), (2, 6));
    let (_, records, stride) = ledger.finish();
    assert_eq!((records.len(), stride), (20, 1));
    let fates = |fate| records.iter().filter(|record| record.fate == fate).count();
    assert_eq!((fates(Fate::Answered), fates(Fate::Lost)), (8, 12));
}

#[test]
fn what_the_window_forgets_was_given_up_and_kept() {
    let mut ledger = Ledger::new(Duration::from_secs(3600), 0, None, 0);
    let n = 3 * PING_WINDOW as u64;
    for i in 0..n {
        ledger.sent(at(i), at(i));
        if i % 3 == 0 {
            ledger.reply(i, receipt(i));
        }
    }
    balanced(&ledger);
    assert!(ledger.counts().pending.abs_diff(2 * PING_WINDOW as u64 / 3) <= 1);
    assert_eq!(ledger.reply(5, receipt(n)), Verdict::Forged, "long forgotten");
    let (counts, records, stride) = ledger.finish();
    assert_eq!(records.len() as u64 * stride, n);
    assert_eq!(counts.sent, n);
}
