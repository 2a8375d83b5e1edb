//! Packets octet by octet, times across eras, and a reflector that nobody can
//! make answer with more than it was sent, or for ever.

use super::*;
use crate::base::Instant;
use crate::limits::{STAMP_FIELDS, STAMP_HELD, STAMP_SILENCE};
use crate::protocol::testing::Random;
use std::net::SocketAddr;

/// 2023-11-14 22:13:20 UTC and a bit.
const THEN: u64 = 1_700_000_000_123_456_789;
const NTP: ErrorEstimate = ErrorEstimate::from_bits(1);
const PTP: ErrorEstimate = ErrorEstimate::from_bits(0x4001);

fn from(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn arrival(port: u16) -> Arrival {
    Arrival { from: from(port), at: THEN + 1000, ttl: Some(61) }
}

fn request(sequence: u32, ssid: u16) -> Request {
    Request { sequence, sent: to_ntp(THEN), error: ErrorEstimate::from_bits(0x8123), ssid }
}

/// The reply to `packet`, if there is one.
fn reflected(reflector: &mut Reflector, packet: &[u8], port: u16) -> Option<Vec<u8>> {
    let is_answered = reflector.reflect(packet, arrival(port), Instant::ZERO);
    is_answered.then(|| reflector.reply(THEN + 2000).to_vec())
}

/// A request with something behind it.
fn longer(rest: &[u8]) -> Vec<u8> {
    [&request(7, 9).write(), rest].concat()
}

#[test]
fn times_are_ntps_and_come_back_to_the_nanosecond() {
    assert_eq!(to_ntp(0), 0x83aa_7e80_0000_0000);
    assert_eq!(to_ntp(500_000_000), 0x83aa_7e80_8000_0000);
    let mut random = Random::new(3);
    for _ in 0..100_000 {
        let time = THEN + random.next() % (100 * SECOND);
        assert_eq!(from_wire(to_ntp(time), NTP, THEN), Some(time));
    }
}

#[test]
fn seconds_begin_anew_in_2036_and_the_nearest_are_meant() {
    let turn = 2_085_978_496 * SECOND;
    assert_eq!(to_ntp(turn), 0);
    for (time, near) in [(turn + SECOND, turn - SECOND), (turn - SECOND, turn + SECOND)] {
        assert_eq!(from_wire(to_ntp(time), NTP, near), Some(time));
    }
    // Zero is no moment, though one has it: it stands for a time unknown.
    assert_eq!(from_wire(0, NTP, turn), None);
    assert_eq!(from_wire(0, PTP, turn), None);
    assert_eq!(from_wire(to_ntp(0) - 1, NTP, 0), None, "before 1970");
}

#[test]
fn ptp_has_nanoseconds_and_fewer_than_a_second_of_them() {
    assert_eq!(from_wire(1_700_000_000 << 32 | 123_456_789, PTP, 0), Some(THEN));
    assert_eq!(from_wire(1_700_000_000 << 32 | 999_999_999, PTP, 0), Some(THEN + 876_543_210));
    assert_eq!(from_wire(1_700_000_000 << 32 | 1_000_000_000, PTP, 0), None);
    assert_eq!(from_wire(1_700_000_000 << 32 | 0xffff_ffff, PTP, 0), None);
    assert_eq!(from_wire(to_ntp(THEN) | 0xffff_ffff, NTP, THEN), Some(THEN + 876_543_211));
}

#[test]
fn an_error_is_rounded_up_and_never_zero() {
    let bits = |span| ErrorEstimate::new(false, span).bits();
    assert_eq!(bits(Duration::ZERO), 1);
    assert_eq!(bits(Duration::from_secs(1)), 25 << 8 | 128);
    assert_eq!(ErrorEstimate::new(true, Duration::ZERO).bits(), 0x8001);
    assert_eq!(bits(Duration::MAX), 63 << 8 | 255);
    for nanos in [1, 10_000, 999_999_999, 3_600_000_000_000] {
        let span = Duration::from_nanos(nanos);
        let told = ErrorEstimate::new(true, span).span().unwrap();
        assert!(told + Duration::from_nanos(1) >= span && told <= span + span / 100, "{told:?}");
    }
    let flags = |bits| {
        let error = ErrorEstimate::from_bits(bits);
        (error.is_synchronised(), error.is_ptp(), error.span().is_some())
    };
    assert_eq!(flags(0x8100), (true, false, false));
    assert_eq!(flags(0x4001), (false, true, true));
}

#[test]
fn a_request_and_its_reply_octet_by_octet() {
    let packet = request(0x0102_0304, 0x0506).write();
    let sent = to_ntp(THEN).to_be_bytes();
    let expected = [&[1, 2, 3, 4][..], &sent, &[0x81, 0x23, 5, 6], &[0; 28]].concat();
    assert_eq!(packet, &expected[..]);
    assert_eq!(Request::read(&packet), Some(request(0x0102_0304, 0x0506)));
    let reply = reflected(&mut Reflector::counting(0), &packet, 1).unwrap();
    let (received, left) = (to_ntp(THEN + 1000).to_be_bytes(), to_ntp(THEN + 2000).to_be_bytes());
    let error = ErrorEstimate::new(false, crate::limits::STAMP_ERROR).bits().to_be_bytes();
    let expected = [
        &[1, 2, 3, 4][..],
        &left,
        &error,
        &[5, 6],
        &received,
        &[1, 2, 3, 4],
        &sent,
        &[0x81, 0x23],
        &[0, 0],
        &[61, 0, 0, 0],
    ]
    .concat();
    assert_eq!(reply, expected);
    let read = Reply::read(&reply).unwrap();
    assert_eq!(read.write(), &reply[..]);
    assert_eq!((read.request, read.ttl), (request(0x0102_0304, 0x0506), 61));
    for cut in 0..STAMP_FIELDS {
        assert_eq!(Reply::read(&reply[..cut]), None);
        assert_eq!(Request::read(&packet[..cut]).is_some(), cut >= 16);
    }
}

#[test]
fn a_ttl_that_is_not_known_is_255() {
    let mut reflector = Reflector::default();
    let arrival = Arrival { ttl: None, ..arrival(1) };
    assert!(reflector.reflect(&request(0, 0).write(), arrival, Instant::ZERO));
    assert_eq!(Reply::read(reflector.reply(THEN)).unwrap().ttl, 255);
}

#[test]
fn a_reply_is_as_long_as_its_request_and_a_short_one_has_none() {
    let mut reflector = Reflector::default();
    let whole = longer(&[0; 1400]);
    for len in 0..whole.len() {
        let reply = reflected(&mut reflector, &whole[..len], 1);
        assert_eq!(reply.is_some(), len >= STAMP_FIELDS);
        assert_eq!(reply.map_or(len, |reply| reply.len()), len);
    }
    // That of TWAMP Light has all it needs.
    let reply = reflected(&mut reflector, &whole[..STAMP_FIELDS], 1).unwrap();
    assert_eq!(Reply::read(&reply).unwrap().request, request(7, 9));
}

#[test]
fn replies_are_counted_for_each_address_port_and_ssid() {
    let mut reflector = Reflector::default();
    let mut number = |sequence, ssid, port| {
        let reply = reflected(&mut reflector, &request(sequence, ssid).write(), port).unwrap();
        let reply = Reply::read(&reply).unwrap();
        assert_eq!(reply.request.sequence, sequence);
        reply.sequence
    };
    // Requests 1 and 2 were lost on their way.
    assert_eq!([number(0, 5, 1), number(3, 5, 1), number(4, 5, 1)], [0, 1, 2]);
    assert_eq!([number(7, 6, 1), number(7, 5, 2)], [0, 0]);
    assert_eq!(number(5, 5, 1), 3);
}

#[test]
fn stateless_a_reply_has_its_requests_number() {
    let mut reflector = Reflector::counting(0);
    for sequence in [0, 3, u32::MAX, 4] {
        let reply = reflected(&mut reflector, &request(sequence, 5).write(), 1).unwrap();
        assert_eq!(Reply::read(&reply).unwrap().sequence, sequence);
    }
}

#[test]
fn a_full_list_pushes_nobody_out_and_has_room_again_after_silence() {
    let mut reflector = Reflector::counting(2);
    let mut number = |port, after| {
        let now = Instant::ZERO + after;
        assert!(reflector.reflect(&request(77, 0).write(), arrival(port), now));
        Reply::read(reflector.reply(THEN)).unwrap().sequence
    };
    let second = Duration::from_secs(1);
    assert_eq!([number(1, Duration::ZERO), number(2, second)], [0, 0]);
    assert_eq!(number(3, second), 77, "no room: stateless");
    assert_eq!(number(1, second * 2), 1, "the first goes on");
    // Session 2 is over; 1 is not.
    let later = STAMP_SILENCE + second;
    assert_eq!([number(4, later), number(5, later)], [0, 77]);
    assert_eq!([number(1, later), number(4, later)], [2, 1]);
    assert_eq!(number(4, later + STAMP_SILENCE), 0, "it begins anew");
}

#[test]
fn padding_of_a_sender_that_knows_no_ssid_is_none() {
    let mut reflector = Reflector::default();
    let mut random = Random::new(8);
    for sequence in 0..100 {
        let mut packet = request(sequence, 0).write();
        packet[14..].fill_with(|| random.next() as u8);
        packet[16] = 0xff;
        let reply = reflected(&mut reflector, &packet, 1).unwrap();
        let reply = Reply::read(&reply).unwrap();
        assert_eq!(reply.sequence, sequence, "one session");
        assert_eq!(reply.request.ssid.to_be_bytes(), packet[14..16], "copied all the same");
    }
}

#[test]
fn tlvs_come_back_with_flags_that_say_what_was_understood() {
    let mut reflector = Reflector::default();
    let mut tlvs = |sent: &[u8]| {
        let reply = reflected(&mut reflector, &longer(sent), 1).unwrap();
        reply[STAMP_BYTES..].to_vec()
    };
    // Padding is understood; a class of service and an HMAC are not; flags that
    // a sender must not set are not believed.
    let padding = [0x80, 1, 0, 2, 7, 8];
    assert_eq!(tlvs(&padding), [0, 1, 0, 2, 7, 8]);
    assert_eq!(tlvs(&[0xff, 1, 0, 0]), [0, 1, 0, 0]);
    assert_eq!(tlvs(&[0, 4, 0, 1, 9]), [0x80, 4, 0, 1, 9]);
    let hmac = [&[0x80, 8, 0, 16][..], &[5; 16]].concat();
    let both = [&padding[..], &hmac].concat();
    assert_eq!(tlvs(&both), [&[0, 1, 0, 2, 7, 8][..], &hmac].concat());
    // One that is cut off ends them; what is left is copied as it is.
    assert_eq!(tlvs(&[0x80, 4, 0, 9, 1, 2]), [0xc0, 4, 0, 9, 1, 2]);
    assert_eq!(tlvs(&[0x80, 1, 0, 9, 0x80, 4, 0, 0]), [0x40, 1, 0, 9, 0x80, 4, 0, 0]);
    assert_eq!(tlvs(&[0x80, 1, 0, 1, 9, 0x80, 4, 0]), [0, 1, 0, 1, 9, 0x80, 4, 0]);
    // Zeros are the padding of a sender that knows of no TLVs.
    assert_eq!(tlvs(&[0; 50]), [0; 50]);
    assert_eq!(tlvs(&[0, 0, 0, 0, 0x80, 4, 0, 0]), [0, 0, 0, 0, 0x80, 4, 0, 0]);
}

#[test]
fn two_reflectors_do_not_talk_to_each_other() {
    let (mut one, mut other) = (Reflector::default(), Reflector::counting(0));
    for rest in [&[][..], &[0; 100]] {
        let reply = reflected(&mut one, &longer(rest), 862).unwrap();
        assert_eq!(reflected(&mut other, &reply, 5000), None);
    }
    // Nor with one that holds packets for a while, or writes times as PTP does.
    let held = |seconds: u64, error| {
        let at = |seconds: u64| ((1_700_000_000 + seconds) << 32) + 5;
        let (sent, received) = (at(seconds), at(0));
        let reply = Reply { sequence: 7, sent, error, received, ttl: 64, request: request(7, 0) };
        reply.write()
    };
    for error in [NTP, PTP] {
        assert_eq!(reflected(&mut one, &held(STAMP_HELD.as_secs(), error), 1), None);
        assert!(reflected(&mut one, &held(STAMP_HELD.as_secs() + 1, error), 1).is_some());
    }
    // What must be zero is not looked at otherwise (RFC 8762 section 4.2.1).
    let mut packet = request(1, 0).write();
    packet[16..].fill(0xff);
    assert!(reflected(&mut one, &packet, 1).is_some());
}

#[test]
fn fuzz_no_reply_is_larger_answers_a_reply_or_loses_what_it_was_asked() {
    let tlvs = [0x80, 1, 0, 2, 7, 8, 0x80, 4, 0, 4, 1, 2, 3, 4, 0x80, 8, 0, 16, 5, 5];
    let corpus = [
        request(0, 0).write().to_vec(),
        longer(&tlvs),
        longer(&[0; 30]),
        longer(&tlvs)[..STAMP_FIELDS].to_vec(),
        Reply::read(&longer(&tlvs)).unwrap().write().to_vec(),
        vec![0xff; 64],
        Vec::new(),
    ];
    let mut reflector = Reflector::counting(16);
    let mut random = Random::new(11);
    let mut answered = 0;
    for round in 0..250_000u32 {
        let seed = &corpus[random.below(corpus.len())];
        let input = random.mutate(seed);
        let port = random.below(20) as u16;
        let _read = (Request::read(&input), Reply::read(&input));
        let Some(reply) = reflected(&mut reflector, &input, port) else {
            assert!(input.len() < STAMP_FIELDS || is_reply_like(&input), "{round}: {input:?}");
            continue;
        };
        answered += 1;
        assert_eq!(reply.len(), input.len());
        let read = Reply::read(&reply).unwrap();
        assert_eq!(Some(read.request), Request::read(&input));
        let rest = |packet: &[u8]| packet.get(STAMP_BYTES..).unwrap_or_default().to_vec();
        let changed = rest(&reply).into_iter().zip(rest(&input)).filter(|(a, b)| a != b).count();
        assert!(changed <= rest(&input).len() / TLV_HEADER, "flags alone change");
        assert_eq!(reflected(&mut reflector, &reply, port), None, "{round}: {input:?}");
    }
    assert!(answered > 100_000, "{answered}");
}

/// What the reflector takes for a reply, said once more.
fn is_reply_like(packet: &[u8]) -> bool {
    let seconds = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
    seconds(16) != 0 && seconds(4).wrapping_sub(seconds(16)) <= 10
}
