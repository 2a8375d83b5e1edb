//! Pacing against streams whose clocks jump, wrap or are missing.

use super::*;
use crate::client::picture::{Detail, Picture};
use crate::limits::{PCR_LOOKAHEAD, TS_PACKET};

/// A packet of `pid` with a PCR of `ticks` (27 MHz), or none.
fn packet(pid: u16, ticks: Option<u64>, discontinuity: bool) -> [u8; TS_PACKET] {
    let mut packet = [0xff; TS_PACKET];
    let [hi, lo] = pid.to_be_bytes();
    packet[..4].copy_from_slice(&[0x47, hi, lo, 0x10]);
    if let Some(ticks) = ticks {
        let (base, extension) = (ticks / 300 % (1 << 33), ticks % 300);
        let field = base << 15 | 0x7e00 | extension;
        packet[3] = 0x30;
        packet[4..6].copy_from_slice(&[7, 0x10 | u8::from(discontinuity) << 7]);
        packet[6..12].copy_from_slice(&field.to_be_bytes()[2..]);
    }
    packet
}

/// Paces a whole stream, shown to the pacer in reads of `step` bytes; answers
/// for each byte at a multiple of 188 when it is due.
fn paced(stream: &[u8], step: usize) -> Vec<Duration> {
    let mut pacer = Pacing::Pcr { fallback: 188_000 }.start();
    let (mut sent, mut read) = (0, 0);
    let mut times = Vec::new();
    loop {
        match pacer.next(&stream[sent..read], read == stream.len()) {
            Piece::Send { bytes, at } => {
                assert!(bytes > 0 && bytes <= DATAGRAM_BYTES && sent + bytes <= read);
                for offset in sent..sent + bytes {
                    if offset % TS_PACKET == 0 {
                        times.push(at);
                    }
                }
                sent += bytes;
            }
            Piece::More if read == stream.len() => break,
            Piece::More => read = (read + step).min(stream.len()),
        }
    }
    assert_eq!(sent, stream.len());
    assert!(times.is_sorted());
    times
}

#[test]
fn frames_go_when_their_pcr_says() {
    // So that the PCR's 33 bits wrap in the middle.
    let first = (1u64 << 33) / 3600 - 50;
    let mut picture = Picture::new(Detail::Changes);
    let (mut stream, mut starts) = (Vec::new(), Vec::new());
    for n in first..first + 100 {
        let at = stream.len();
        picture.frame(n, n * 40, &mut stream);
        // The PCR is in the first packet of the video.
        let video = stream[at..].chunks(TS_PACKET).position(|p| p[1] & 0x1f == 1);
        starts.push(at / TS_PACKET + video.expect("a frame has video"));
    }
    for step in [TS_PACKET, 1000, 1 << 20] {
        let times = paced(&stream, step);
        let lead = times[starts[0]];
        assert_eq!(lead, Duration::from_millis(2), "tables at the fallback rate");
        for (n, &start) in starts.iter().enumerate() {
            assert_eq!(times[start], lead + Duration::from_millis(40) * n as u32, "{n}");
        }
    }
}

#[test]
fn bytes_between_two_pcrs_are_spread() {
    let mut stream = Vec::new();
    for pcr in [0, 2_700_000] {
        stream.extend_from_slice(&packet(1, Some(pcr), false));
        for _ in 0..99 {
            stream.extend_from_slice(&packet(2, None, false));
        }
    }
    let times = paced(&stream, 5000);
    for (n, at) in times.iter().enumerate() {
        // A piece of at most seven packets goes when its first is due.
        let due = Duration::from_millis(n as u64);
        assert!(*at <= due && due - *at < Duration::from_millis(7), "{n}: {at:?}");
    }
}

#[test]
fn jumps_of_the_clock_cost_no_time() {
    let flagged = [(0, false), (2_700, false), (900_000, true), (902_700, false)];
    let backwards = [(9_000_000, false), (9_002_700, false), (100, false), (2_800, false)];
    let far = [(0, false), (2_700, false), (270_000_000, false), (270_002_700, false)];
    for clocks in [flagged, backwards, far] {
        let mut stream = Vec::new();
        for (pcr, discontinuity) in clocks {
            stream.extend_from_slice(&packet(1, Some(pcr), discontinuity));
        }
        let expected: Vec<_> = (0..4).map(|n| Duration::from_micros(100 * n)).collect();
        assert_eq!(paced(&stream, TS_PACKET), expected, "{clocks:?}");
    }
}

#[test]
fn one_clock_of_several_counts() {
    let mut stream = Vec::new();
    for n in 0..4 {
        stream.extend_from_slice(&packet(1, Some(n * 27_000), false));
        stream.extend_from_slice(&packet(2, Some(5 + n * 999_000_000), false));
    }
    let times = paced(&stream, 1 << 20);
    for n in 0..4 {
        assert_eq!(times[2 * n], Duration::from_millis(n as u64));
    }
}

#[test]
fn without_pcr_the_fallback_rate() {
    // 188,000 bytes a second: a packet a millisecond.
    let stream = packet(1, None, false).repeat(2 * PCR_LOOKAHEAD / TS_PACKET);
    for (n, at) in paced(&stream, 1 << 16).iter().enumerate() {
        let due = Duration::from_millis(n as u64);
        assert!(*at <= due && due - *at <= Duration::from_millis(7), "{n}: {at:?}");
    }
    // No MPEG-TS at all, and not in whole packets.
    assert_eq!(paced(&[0; 1000], 100).len(), 6);
}

#[test]
fn a_clock_that_ends_goes_on_at_its_rate() {
    let mut stream = packet(1, Some(0), false).to_vec();
    stream.extend_from_slice(&packet(1, Some(27_000), false));
    stream.extend_from_slice(&packet(1, None, false).repeat(20));
    let times = paced(&stream, 1 << 20);
    assert_eq!(times[15], Duration::from_millis(15));
}

#[test]
fn rates_and_intervals_do_not_drift() {
    let mut pacer = RatePacer::new(3);
    let mut last = Duration::ZERO;
    for _ in 0..=3_000_000 {
        last = pacer.due(1);
    }
    assert_eq!(last, Duration::from_secs(1_000_000));
    let mut frames = FramePacer::new(Duration::from_millis(40));
    assert_eq!(frames.due(), (0, Duration::ZERO));
    assert_eq!(frames.due(), (1, Duration::from_millis(40)));
    let mut asap = Pacing::Asap.start();
    let all = Piece::Send { bytes: 9, at: Duration::ZERO };
    assert_eq!(asap.next(&[0; 9], false), all);
    assert_eq!(asap.next(&[], true), Piece::More);
}

#[test]
fn waiting_is_never_early_and_ends_on_stop() {
    let stop = AtomicBool::new(false);
    for how in [Wait::Sleep, Wait::Hybrid(Duration::from_micros(200)), Wait::Spin] {
        let deadline = Clock::now() + Duration::from_millis(2);
        assert!(sleep_until(deadline, how, &stop));
        assert!(Clock::now() >= deadline, "{how:?}");
    }
    assert!(sleep_until(Instant::ZERO, Wait::Sleep, &stop));
    let start = Clock::now();
    std::thread::scope(|scope| {
        let waiter =
            scope.spawn(|| sleep_until(start + Duration::from_secs(60), Wait::Sleep, &stop));
        stop.store(true, Ordering::Relaxed);
        assert!(!waiter.join().expect("no panic"));
    });
    assert!(Clock::now().since(start) < Duration::from_secs(10));
}
