//! MPEG-TS: sync, cuts, join points and what is sent first at them.

use super::muxer::{
    AAC, AUDIO, H264, H265, JUMP, Muxer, PMT, Packet as Raw, RANDOM, VIDEO, breaches, picture,
    pmt_section, section, stream,
};
use super::*;
use crate::framing::testing::{Feed, any_split};
use crate::framing::{Framing, Kind, Transport};
use crate::limits::TS_NO_KEY;
use std::time::Duration;

const LENGTH: u64 = TS_PACKET as u64;

/// PAT and PMT of one H.264 video and one AAC audio.
fn tables(muxer: &mut Muxer) -> Vec<Raw> {
    let mut packets = muxer.pat(1, PMT);
    packets.extend(muxer.pmt(&[(H264, VIDEO), (AAC, AUDIO)]));
    packets
}

/// Feeds all of it in one receive.
fn feed(packets: &[Raw]) -> Feed {
    let mut feed = Feed::bytes(Kind::Ts);
    feed.receive(packets.as_flattened());
    feed
}

/// Positions, given in packets.
fn at(packets: &[u64]) -> Vec<u64> {
    packets.iter().map(|packet| packet * LENGTH).collect()
}

#[test]
fn fresh_is_the_tables_as_they_last_stood_before() {
    let stream = stream(5, 60);
    let mut feed = Feed::bytes(Kind::Ts);
    feed.receive(&stream.bytes);
    for join in &feed.joins {
        let before = &stream.bytes[..join.position.0 as usize];
        let last = |pid: u16| {
            let of_pid = |packet: &&[u8]| packet[1..3] == (0x4000 | pid).to_be_bytes();
            let mut packets = before.chunks(TS_PACKET).rev();
            packets.find(of_pid).expect("a table before").to_vec()
        };
        assert_eq!(*join.fresh, [last(0), last(PMT)].concat());
        assert!(join.resume.ends_with(&join.fresh));
        let announced = &join.resume[..join.resume.len() - join.fresh.len()];
        let pids: Vec<_> = announced
            .chunks(TS_PACKET)
            .map(|packet| u16::from_be_bytes([packet[1], packet[2]]))
            .collect();
        assert!(pids.starts_with(&[0, PMT, VIDEO]), "{pids:x?}");
        for packet in announced.chunks(TS_PACKET) {
            assert_eq!((packet[3] >> 4, packet[4], packet[5]), (2, 183, JUMP));
            assert!(packet[6..].iter().all(|&byte| byte == 0xFF));
        }
    }
    assert!(feed.joins.iter().any(|join| join.resume.len() == (5 + 2) * TS_PACKET));
}

#[test]
fn fresh_is_shared_while_the_tables_are_the_same() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    for _ in 0..2 {
        packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[]));
    }
    packets.extend(tables(&mut muxer));
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[]));
    let feed = feed(&packets);
    let [one, two, three] = &feed.joins[..] else { panic!("{:?}", feed.join_positions()) };
    assert!(std::sync::Arc::ptr_eq(&one.fresh, &two.fresh));
    assert_ne!(two.fresh, three.fresh, "its counters have moved on");
}

#[test]
fn garbage_before_and_inside_is_skipped_and_counted() {
    let stream = stream(3, 20);
    let middle = 40 * TS_PACKET;
    let mut input = b"no sync byte here, a G though: G".to_vec();
    let front = input.len();
    input.extend_from_slice(&stream.bytes[..middle]);
    input.extend_from_slice(&[0; 77]);
    input.extend_from_slice(&stream.bytes[middle..]);
    let outcome = any_split(Kind::Ts, &input, 100);
    assert_eq!(outcome.kept, stream.bytes);
    let mut feed = Feed::bytes(Kind::Ts);
    feed.receive(&input);
    let stats = feed.framing.stats();
    assert_eq!(stats.skipped_bytes, front as u64 + 77);
    assert_eq!(stats.sync_losses, 1);
    assert_eq!(stats.continuity_errors, 0);
}

#[test]
fn a_cut_packet_costs_no_more_than_the_next_ones_sync() {
    let stream = stream(4, 20);
    let mut input = stream.bytes[..20 * TS_PACKET - 50].to_vec();
    input.extend_from_slice(&stream.bytes[20 * TS_PACKET..]);
    let outcome = any_split(Kind::Ts, &input, 100);
    // The cut packet takes 50 bytes of the next; sync is back after that one.
    assert_eq!(outcome.kept[..19 * TS_PACKET], stream.bytes[..19 * TS_PACKET]);
    assert_eq!(outcome.kept[20 * TS_PACKET..], stream.bytes[21 * TS_PACKET..]);
}

#[test]
fn continuity_errors_are_counted_and_repetitions_are_none() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    muxer.renumber(VIDEO, 13);
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[1; 1500]));
    let last = packets.len() - 1;
    packets.push(packets[last]);
    assert_eq!(feed(&packets).framing.stats().continuity_errors, 0, "wraps");
    packets.push(packets[last]);
    packets.push(muxer.empty(VIDEO));
    assert_eq!(feed(&packets).framing.stats().continuity_errors, 1);
    packets.remove(last - 3);
    assert_eq!(feed(&packets).framing.stats().continuity_errors, 2);
    muxer.renumber(VIDEO, 3);
    packets.push(muxer.packet(VIDEO, false, Some(JUMP), &[0; 50]).0);
    let mut broken = muxer.packet(VIDEO, true, None, &[0; 50]).0;
    broken[1] |= 0x80;
    packets.push(broken);
    let feed = feed(&packets);
    assert_eq!(feed.framing.stats().continuity_errors, 2);
    assert_eq!(feed.framing.stats().transport_errors, 1);
    assert_eq!(feed.kept.len(), packets.len() * TS_PACKET, "all is passed on");
    assert_eq!(feed.leaves(), at(&[2]), "no start is believed in a broken one");
}

#[test]
fn a_start_that_comes_twice_starts_once() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    let start = muxer.pes(VIDEO, Some(RANDOM), &[1; 50])[0];
    packets.extend([start, start]);
    let feed = feed(&packets);
    assert_eq!(feed.leaves(), at(&[2]));
    assert_eq!(feed.join_positions(), at(&[2]));
}

#[test]
fn a_start_without_payload_is_none() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    let mut empty = muxer.empty(VIDEO);
    empty[1] |= 0x40;
    empty[5] = RANDOM;
    packets.push(empty);
    assert_eq!(feed(&packets).leaves(), at(&[]));
}

#[test]
fn a_key_after_a_loss_is_resumed_by_its_own_counter() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    packets.extend(muxer.pes(VIDEO, None, &picture(false, 0, 1000)));
    let lost = packets.len() - 1;
    packets.remove(lost);
    packets.extend(muxer.pes(VIDEO, None, &picture(true, 0, 10)));
    let feed = feed(&packets);
    assert_eq!(feed.framing.stats().continuity_errors, 1);
    assert_eq!(feed.join_positions(), at(&[lost as u64]));
    let (before, after) = packets.split_at(lost);
    let resume = &feed.joins[0].resume;
    let skipped = [before.as_flattened(), resume, after.as_flattened()].concat();
    assert_eq!(breaches(&skipped), Vec::<String>::new());
}

#[test]
fn frames_are_runs_cut_before_video_starts() {
    let mut muxer = Muxer::default();
    let mut early = muxer.pes(VIDEO, None, &picture(false, 0, 300));
    early.extend(muxer.pes(VIDEO, None, &picture(false, 0, 100)));
    let mut feed = Feed::bytes(Kind::Ts);
    feed.receive(early.as_flattened());
    assert_eq!(feed.frames.len(), 1, "before the PMT nothing is cut");
    assert!(!feed.frames[0].leave);

    let mut packets = tables(&mut muxer);
    packets.extend(muxer.pes(VIDEO, None, &picture(false, 0, 400)));
    packets.extend(muxer.pes(AUDIO, None, &[0; 10]));
    packets.extend(muxer.pes(VIDEO, None, &picture(false, 0, 100)));
    feed.receive(packets.as_flattened());
    let base = early.len() as u64;
    let frames: Vec<_> =
        feed.frames[1..].iter().map(|frame| (frame.start / LENGTH - base, frame.leave)).collect();
    assert_eq!(frames, [(0, false), (2, true), (6, true)]);
    feed.receive(&muxer.pes(AUDIO, None, &[0; 10])[0]);
    assert!(!feed.frames[4].leave, "a run on its own");
}

#[test]
fn a_key_is_known_when_its_slice_comes() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    let before = packets.clone();
    packets.extend(muxer.pes(VIDEO, None, &picture(true, 1000, 2000)));
    // Tables in the middle of the PES are not from before the join point.
    packets.splice(4..4, tables(&mut muxer));
    let mut feed = Feed::bytes(Kind::Ts);
    let mut known = None;
    for (index, packet) in packets.iter().enumerate() {
        feed.receive(packet);
        if !feed.joins.is_empty() {
            known = known.or(Some(index));
        }
    }
    assert_eq!(feed.join_positions(), at(&[2]));
    assert_eq!(known, Some(9), "1000 bytes of SEI and two tables later");
    assert_eq!(*feed.joins[0].fresh, *before.as_flattened());
}

#[test]
fn a_key_that_lost_packets_before_its_slice_is_none() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    packets.extend(muxer.pes(VIDEO, None, &picture(true, 1000, 2000)));
    packets.remove(4);
    assert_eq!(feed(&packets).join_positions(), at(&[]));
}

#[test]
fn flag_and_slice_together_make_one_join_point() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &picture(true, 10, 10)));
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &picture(false, 10, 100)));
    assert_eq!(feed(&packets).join_positions(), at(&[2, 3]), "flags are believed");
}

#[test]
fn h265_keys_are_found() {
    let mut muxer = Muxer::default();
    let mut packets = muxer.pat(1, PMT);
    packets.extend(muxer.pmt(&[(AAC, AUDIO), (H265, VIDEO)]));
    let sizes: Vec<_> = [19u8, 1, 21]
        .map(|kind| {
            let mut es = vec![0, 0, 0, 1, 0x40, 1, 0x0C, 0, 0, 1, kind << 1, 1];
            es.resize(400, 0xA5);
            let pes = muxer.pes(VIDEO, None, &es);
            packets.extend(&pes);
            pes.len() as u64
        })
        .into();
    assert_eq!(feed(&packets).join_positions(), at(&[2, 2 + sizes[0] + sizes[1]]));
}

#[test]
fn without_tables_there_is_no_join_point() {
    let mut muxer = Muxer::default();
    let key = muxer.pes(VIDEO, Some(RANDOM), &picture(true, 0, 10));
    let mut packets = muxer.pat(1, PMT);
    packets.extend(&key);
    packets.extend(muxer.pmt(&[(H264, VIDEO)]));
    assert_eq!(feed(&packets).join_positions(), at(&[]));
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[]));
    assert_eq!(feed(&packets).join_positions(), at(&[3]));
    let mut corrupt = packets.clone();
    corrupt[0][30] ^= 1;
    assert_eq!(feed(&corrupt).join_positions(), at(&[3]), "stuffing only");
    corrupt[0][9] ^= 1;
    assert_eq!(feed(&corrupt).join_positions(), at(&[]), "checksum");
}

#[test]
fn tables_over_several_packets_are_sent_whole() {
    let many: Vec<_> = (0..120).map(|i| (0x86, 0x200 + i)).collect();
    let streams = [&[(H264, VIDEO)][..], &many].concat();
    let pat_body: Vec<u8> = [(0, 0x10), (1, PMT)]
        .iter()
        .chain(&(2..90).map(|i| (i, 0x1000 + i)).collect::<Vec<(u16, u16)>>())
        .flat_map(|&(number, pid)| [number.to_be_bytes(), (0xE000 | pid).to_be_bytes()])
        .flatten()
        .collect();
    for first in [1, 2, 3, 7, 183] {
        let mut muxer = Muxer::default();
        muxer.renumber(0, 14);
        let mut packets = muxer.section(0, &section(0, 1, &pat_body), first);
        packets.extend(muxer.section(PMT, &pmt_section(&streams), first));
        let count = packets.len() as u64;
        assert!(count >= 6);
        // Null packets between the parts change nothing.
        let mut null = [0xFF; TS_PACKET];
        null[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
        let tables = packets.clone();
        packets.splice(1..1, [null, null]);
        packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[]));
        let feed = feed(&packets);
        assert_eq!(feed.join_positions(), at(&[count + 2]));
        assert_eq!(*feed.joins[0].fresh, *tables.as_flattened());
        assert_eq!(feed.joins[0].resume[3] & 15, 13, "one before the first");
        assert_eq!(feed.joins[0].resume.len(), (count as usize + 2) * TS_PACKET);
        any_split(Kind::Ts, packets.as_flattened(), 20);
    }
}

#[test]
fn other_sections_of_the_pmts_pid_do_not_break_its_numbering() {
    let mut muxer = Muxer::default();
    let mut packets = muxer.pat(1, PMT);
    packets.extend(muxer.pmt(&[(H264, VIDEO)]));
    packets.extend(muxer.section(PMT, &section(2, 9, &[0xE0, 0, 0xF0, 0]), 183));
    packets.extend(muxer.section(PMT, &section(0xC0, 1, &[0; 3000]), 100));
    let key = packets.len() as u64;
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[]));
    packets.extend(muxer.pmt(&[(H264, VIDEO)]));
    let feed = feed(&packets);
    assert_eq!(feed.join_positions(), at(&[key]));
    let rest = packets[key as usize..].as_flattened();
    let joined = [&feed.joins[0].fresh, rest].concat();
    assert_eq!(breaches(&joined), Vec::<String>::new());
    assert_eq!(feed.joins[0].fresh.len(), 2 * TS_PACKET);
}

#[test]
fn a_new_pmt_moves_the_cuts() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[]));
    packets.extend(muxer.pmt(&[(H264, 0x300), (AAC, AUDIO)]));
    let pmt = packets[3];
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[]));
    packets.extend(muxer.pes(0x300, Some(RANDOM), &[]));
    let moved = feed(&packets);
    assert_eq!(moved.leaves(), at(&[2, 5]));
    assert_eq!(moved.join_positions(), at(&[2, 5]));
    assert!(moved.joins[1].fresh.ends_with(&pmt));
    let pids = moved.joins[1].resume.len() / TS_PACKET - 2;
    assert_eq!(pids, 2, "new PIDs not seen before are not announced");

    // Another programme: nothing is known of it until its PMT comes.
    packets.extend(muxer.pat(7, 0x1100));
    packets.extend(muxer.pes(0x300, Some(RANDOM), &[]));
    assert_eq!(feed(&packets).leaves(), at(&[2, 5]));
    let section = section(2, 7, &[0xE3, 0, 0xF0, 0, H264, 0xE3, 0, 0xF0, 0]);
    packets.extend(muxer.section(0x1100, &section, 183));
    packets.extend(muxer.pes(0x300, Some(RANDOM), &[]));
    assert_eq!(feed(&packets).join_positions(), at(&[2, 5, 9]));
}

#[test]
fn a_new_pmt_inside_a_pes_leaves_it_no_join_point() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    let key = muxer.pes(VIDEO, None, &picture(true, 500, 10));
    packets.push(key[0]);
    let same = [&packets, &tables(&mut muxer)[..], &key[1..]].concat();
    assert_eq!(feed(&same).join_positions(), at(&[2]));
    packets.extend(muxer.pmt(&[(H264, VIDEO)]));
    packets.extend(&key[1..]);
    assert_eq!(feed(&packets).join_positions(), at(&[]));
}

#[test]
fn without_video_every_start_of_audio_is_a_join_point() {
    let mut muxer = Muxer::default();
    let mut packets = muxer.pat(1, PMT);
    packets.extend(muxer.pmt(&[(AAC, AUDIO)]));
    for _ in 0..3 {
        packets.extend(muxer.pes(AUDIO, None, &[0; 200]));
    }
    let audio = feed(&packets);
    assert_eq!((audio.leaves(), audio.join_positions()), (at(&[2, 4, 6]), at(&[2, 4, 6])));
    // And of data, if that is all there is: here metadata.
    let mut muxer = Muxer::default();
    let mut packets = muxer.pat(1, PMT);
    packets.extend(muxer.pmt(&[(0x15, AUDIO)]));
    for _ in 0..3 {
        packets.extend(muxer.pes(AUDIO, None, &[0; 200]));
    }
    let data = feed(&packets);
    assert_eq!((data.leaves(), data.join_positions()), (at(&[2, 4, 6]), at(&[2, 4, 6])));
}

#[test]
fn without_a_programme_any_packet_will_do_after_ten_seconds() {
    let mut muxer = Muxer::default();
    let mut feed = Feed::bytes(Kind::Ts);
    for _ in 0..3 {
        feed.receive(&muxer.empty(VIDEO));
    }
    let start = feed.now;
    feed.now = start + (TS_NO_KEY - Duration::from_nanos(1));
    feed.receive(&muxer.empty(VIDEO));
    assert_eq!(feed.join_positions(), at(&[]));
    feed.now = start + TS_NO_KEY;
    feed.receive(&muxer.empty(VIDEO));
    feed.receive(&muxer.empty(VIDEO));
    assert_eq!((feed.join_positions(), feed.leaves()), (at(&[4, 5]), at(&[4, 5])));
    // From here on it is known better.
    feed.receive(tables(&mut muxer).as_flattened());
    feed.receive(&muxer.empty(VIDEO));
    feed.receive(&muxer.pes(VIDEO, Some(RANDOM), &[])[0]);
    assert_eq!(feed.join_positions(), at(&[4, 5, 6, 9]));
}

#[test]
fn after_ten_seconds_without_a_key_any_video_start_will_do() {
    let mut muxer = Muxer::default();
    let mut feed = Feed::bytes(Kind::Ts);
    feed.receive(tables(&mut muxer).as_flattened());
    // With the third packet the first two are believed.
    feed.receive(&muxer.empty(VIDEO));
    let start = feed.now;
    let send = |muxer: &mut Muxer, feed: &mut Feed, after: Duration, key: bool| {
        feed.now = start + after;
        feed.receive(&muxer.pes(VIDEO, None, &picture(key, 0, 10))[0]);
    };
    let nearly = TS_NO_KEY - Duration::from_nanos(1);
    send(&mut muxer, &mut feed, nearly, false);
    assert_eq!(feed.join_positions(), at(&[]));
    send(&mut muxer, &mut feed, TS_NO_KEY, false);
    send(&mut muxer, &mut feed, TS_NO_KEY, false);
    assert_eq!(feed.join_positions(), at(&[4, 5]));
    send(&mut muxer, &mut feed, TS_NO_KEY, true);
    send(&mut muxer, &mut feed, TS_NO_KEY + nearly, false);
    assert_eq!(feed.join_positions(), at(&[4, 5, 6]), "a real one, once");
    send(&mut muxer, &mut feed, TS_NO_KEY + TS_NO_KEY, false);
    assert_eq!(feed.join_positions(), at(&[4, 5, 6, 8]));
    feed.receive(&muxer.pes(VIDEO, Some(RANDOM), &[])[0]);
    feed.receive(&muxer.pes(VIDEO, None, &picture(false, 0, 10))[0]);
    assert_eq!(feed.join_positions(), at(&[4, 5, 6, 8, 9]), "a flagged one");
}

#[test]
fn a_slow_stream_is_believed_after_one_packet_and_a_while() {
    for kind in [Kind::Ts, Kind::Auto] {
        let mut muxer = Muxer::default();
        let packets = tables(&mut muxer);
        let mut feed = Feed::bytes(kind);
        feed.receive(&packets[0]);
        assert!(feed.kept.is_empty());
        let deadline = feed.framing.poll_timeout().expect("a packet is held");
        assert_eq!(deadline, feed.now + AUTO_HOLD);
        feed.now = deadline;
        feed.receive(b"");
        assert_eq!(feed.framing.kind(), Kind::Ts);
        assert_eq!(feed.kept, packets[0]);
        assert_eq!(feed.framing.poll_timeout(), None);
        feed.receive(&packets[1][..100]);
        assert_eq!(feed.kept, packets[0], "an incomplete packet is held");
        feed.receive(&packets[1][100..]);
        assert_eq!(feed.kept, *packets.as_flattened());
    }
}

#[test]
fn a_packet_that_completes_late_is_taken_at_once() {
    let packets = tables(&mut Muxer::default());
    for kind in [Kind::Ts, Kind::Auto] {
        let mut feed = Feed::bytes(kind);
        feed.receive(&packets[0][..100]);
        feed.now = feed.now + AUTO_HOLD;
        feed.receive(b"");
        assert_eq!(feed.framing.poll_timeout(), None, "nothing to decide yet");
        feed.receive(&packets[0][100..]);
        assert_eq!(feed.kept, packets[0]);
    }
}

#[test]
fn rtp_headers_and_padding_are_taken_off() {
    let mut muxer = Muxer::default();
    let mut packets = tables(&mut muxer);
    packets.extend(muxer.pes(VIDEO, Some(RANDOM), &[1; 500]));
    let mut datagram = vec![0x80 | 0x20 | 1, 33, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 9, 9, 9, 9];
    datagram.extend_from_slice(packets.as_flattened());
    datagram.extend_from_slice(&[0, 0, 0, 4]);
    let mut feed = Feed::datagrams(Kind::Auto);
    let step = feed.datagram(&datagram);
    assert_eq!(feed.framing.kind(), Kind::Ts);
    assert_eq!((step.skip, step.keep), (16, packets.len() * TS_PACKET));
    feed.datagram(muxer.pes(VIDEO, Some(RANDOM), &[1; 500]).as_flattened());
    assert_eq!(feed.join_positions(), at(&[2, 5]));
    assert_eq!(feed.framing.stats().skipped_bytes, 20);
    assert_eq!(feed.framing.stats().sync_losses, 0);
}

#[test]
fn datagrams_are_searched_for_packets_and_nothing_is_held() {
    let stream = stream(8, 10);
    let packets = &stream.bytes[..4 * TS_PACKET];
    let mut feed = Feed::datagrams(Kind::Ts);
    assert_eq!(feed.datagram(&[0; 500]), Step::HOLD);
    assert_eq!(feed.framing.stats().skipped_bytes, 500);
    let step = feed.datagram(&[b"GARBAGE", packets].concat());
    assert_eq!((step.skip, step.keep), (7, packets.len()));
    let step = feed.datagram(&[packets, &packets[..100]].concat());
    assert_eq!((step.skip, step.keep), (0, packets.len()), "cut at the end");
    let step = feed.datagram(&[packets, &[0; TS_PACKET]].concat());
    assert_eq!((step.skip, step.keep), (0, packets.len()));
    let step = feed.datagram(&packets[..100]);
    assert_eq!(step, Step::HOLD);
    let stats = feed.framing.stats();
    assert_eq!(stats.skipped_bytes, 500 + 7 + 100 + 188 + 100);
    assert_eq!(stats.sync_losses, 3);
    assert_eq!(feed.framing.poll_timeout(), None);
}

#[test]
fn a_whole_stream_in_datagrams_joins_where_it_does_in_bytes() {
    let stream = stream(9, 40);
    let mut feed = Feed::datagrams(Kind::Auto);
    for datagram in stream.bytes.chunks(7 * TS_PACKET) {
        feed.datagram(datagram);
    }
    let mut bytes = Feed::bytes(Kind::Ts);
    bytes.receive(&stream.bytes);
    assert_eq!(feed.outcome(), bytes.outcome());
}

#[test]
fn without_room_a_locked_stream_holds() {
    let stream = stream(1, 5);
    let mut framing = Framing::new(Kind::Ts, Transport::Bytes);
    let mut marks = Marks::default();
    let step = framing.step(&stream.bytes, Position::ZERO, Instant::ZERO, &mut marks);
    assert_eq!(step, Ok(Step::HOLD));
    assert_eq!(framing.stats(), FramingStats::default(), "nothing is taken up");
}
