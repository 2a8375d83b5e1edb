//! From MPEG-TS to FLV, end to end: hand-made streams, and a recorded one whose
//! facts another program has told.

use super::testing::*;
use super::{ToFlv, annexb, testing};
use crate::client::picture::{Detail, Picture};
use crate::limits::{MEDIA_HELD_TIME, MEDIA_STUFFED_UNITS, TS_NO_KEY};
use Length::{Stated, Unstated};

/// Made by ffmpeg with x264: B-frames, 30000/1001 pictures a second, mono AAC.
pub(super) const RECORDED: &[u8] = include_bytes!("fixture/reordered.ts");
/// `v` or `a`, PTS and DTS of each of its packets, as ffprobe has them.
const FACTS: &str = include_str!("fixture/reordered.csv");

const STREAMS: [(u8, u16); 2] = [(H264, VIDEO), (AAC, AUDIO)];
/// Ticks of a picture, 25 a second, and of a frame of AAC at 48 kHz.
const PICTURE: u64 = 3600;
const FRAME: u64 = 1920;

/// A remuxer that is fed packet by packet.
#[derive(Default)]
struct Feed {
    muxer: Muxer,
    remux: ToFlv,
    flv: Vec<u8>,
    /// Packets left out of a video PES, by their place in it.
    lose: Option<usize>,
    n: u64,
}

impl Feed {
    fn new(streams: &[(u8, u16)]) -> Self {
        let mut feed = Self::default();
        let tables = feed.muxer.tables(streams);
        feed.send(&tables);
        feed
    }

    fn send(&mut self, packets: &[Cell]) {
        for packet in packets {
            self.remux.handle_bytes(packet, &mut self.flv);
        }
    }

    /// Sends picture number `n`, without a stated length, and says how many
    /// pictures have come out after each packet.
    fn picture(&mut self, key: bool, size: usize) -> Vec<usize> {
        let time = self.n * PICTURE;
        let data = picture(key, self.n as u8 | 0x80, size);
        self.n += 1;
        let mut packets = self.muxer.pes(VIDEO, Some((time, time)), Unstated, &data);
        if let Some(at) = self.lose.take() {
            packets.remove(at);
        }
        packets
            .iter()
            .map(|packet| {
                self.send(&[*packet]);
                self.pictures()
            })
            .collect()
    }

    fn tags(&self) -> Vec<Tag> {
        read(&self.flv)
    }

    fn pictures(&self) -> usize {
        pictures(&self.tags()).len()
    }

    fn sound(&mut self, time: u64, mark: u8) {
        let packets = self.muxer.pes(AUDIO, Some((time, time)), Stated, &adts(mark, 100));
        self.send(&packets);
    }
}

/// Bytes of a slice with which a picture that is no key fills two packets to
/// the brim: two payloads less PES header, delimiter, start code and NAL header.
const BRIM: usize = 2 * 184 - 14 - 6 - 4;

#[test]
fn a_recorded_stream_keeps_its_times_and_its_bytes() {
    let flv = in_pieces(RECORDED, &[RECORDED.len()]);
    assert_eq!(flv[4], 5);
    let tags = read(&flv);
    let facts = |kind: &str| -> Vec<[f64; 2]> {
        let lines = FACTS.lines().filter_map(|line| line.strip_prefix(kind));
        lines
            .map(|line| {
                let mut times = line[1..].split(',').map(|time| time.parse().expect("a time"));
                [times.next().expect("PTS"), times.next().expect("DTS")]
            })
            .collect()
    };
    let base = facts("v")[0][1];
    let near = |ticks: f64, ms: f64| ((ticks - base) / 90.0 - ms).abs() <= 0.5;
    let pictures = pictures(&tags);
    assert_eq!(pictures.len(), facts("v").len());
    for (picture, [pts, dts]) in pictures.iter().zip(facts("v")) {
        assert!(near(dts, f64::from(picture.ms)), "{dts}: {}", picture.ms);
        assert!(near(pts, picture.shown() as f64), "{pts}: {}", picture.shown());
    }
    assert!(pictures.iter().any(|picture| picture.shown() - i64::from(picture.ms) > 100));
    let keys = pictures.iter().filter(|picture| picture.data[0] == 0x17).count();
    assert_eq!(keys, 3, "every 15th of 36");
    let sounds = sounds(&tags);
    assert_eq!(sounds.len(), facts("a").len());
    for (sound, [pts, _]) in sounds.iter().zip(facts("a")) {
        assert!(near(pts, f64::from(sound.ms)), "{pts}: {}", sound.ms);
    }
    // Every slice and every raw frame, in order and as it was.
    let units = elementary(RECORDED, VIDEO);
    let slices = annexb::nal_units(&units).filter(|nal| matches!(nal[0] & 31, 1 | 5));
    let sent: Vec<&[u8]> = slices.collect();
    let mut got = pictures.iter().map(|picture| &picture.data[5..]);
    assert_eq!(sent.len(), pictures.len());
    assert!(sent.iter().all(|slice| got.next().is_some_and(|body| body.ends_with(slice))));
    let sent = elementary(RECORDED, AUDIO);
    let mut rest = &sent[..];
    for sound in sounds {
        assert_eq!(rest[..2], [0xFF, 0xF1]);
        assert_eq!(rest[7..][..sound.data.len() - 2], sound.data[2..]);
        rest = &rest[7 + sound.data.len() - 2..];
    }
    assert_eq!(rest, b"");
}

/// The payload of a PID's PES, by the shortest way.
fn elementary(ts: &[u8], pid: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in ts.chunks(188) {
        if u16::from_be_bytes([packet[1] & 0x1F, packet[2]]) != pid {
            continue;
        }
        let field = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        let payload = &packet[4 + field..];
        let header = if packet[1] & 0x40 != 0 { 9 + usize::from(payload[8]) } else { 0 };
        bytes.extend(&payload[header..]);
    }
    bytes
}

#[test]
fn sequence_headers_say_what_another_program_says() {
    let tags = read(&in_pieces(RECORDED, &[RECORDED.len()]));
    let headers = |kind: u8| -> Vec<&Tag> {
        tags.iter().filter(|tag| tag.kind == kind && tag.data[1] == 0).collect()
    };
    assert_eq!(headers(8).len(), 1);
    assert_eq!(headers(8)[0].data, [0xAF, 0, 0x12, 0x08], "LC, 44.1 kHz, mono");
    assert_eq!(headers(9).len(), 1);
    // High profile, level 1; one SPS, one PPS, 4:2:0 of eight bits.
    let record = &headers(9)[0].data[5..];
    assert_eq!(record[..6], [1, 0x64, 0, 0x0A, 0xFF, 0xE1]);
    assert_eq!(record[record.len() - 4..], [0xFD, 0xF8, 0xF8, 0]);
    let told: Vec<String> = tags
        .iter()
        .filter(|tag| tag.kind == 18)
        .map(|tag| String::from_utf8_lossy(&tag.data).into_owned())
        .collect();
    assert_eq!(told.len(), 2, "again when audio has come");
    let all = ["width", "height", "videocodecid", "audiocodecid", "encoder\u{2}\0\tnearlight"];
    assert!(all.iter().all(|word| told[0].contains(word)));
    assert!(!told[0].contains("stereo") && told[1].contains("stereo\u{1}\0"));
    assert!(told[1].contains("audiosamplerate"));
}

#[test]
fn the_demos_picture_goes_through() {
    let mut source = Picture::new(Detail::Changes);
    let mut remux = ToFlv::new();
    let (mut ts, mut flv) = (Vec::new(), Vec::new());
    let mut late = 0;
    for n in 0..60 {
        ts.clear();
        source.frame(n, n * 40, &mut ts);
        remux.handle_bytes(&ts, &mut flv);
        late += n + 1 - pictures(&read(&flv)).len() as u64;
    }
    let tags = read(&flv);
    let shown: Vec<i64> = pictures(&tags).iter().map(|picture| picture.shown()).collect();
    assert_eq!(shown, (0..60).map(|n| n * 40).collect::<Vec<_>>());
    assert_eq!((remux.dropped_units(), flv[4]), (0, 1));
    assert!(late <= u64::from(MEDIA_STUFFED_UNITS) + 2, "{late} pictures waited for the next");
}

/// Key frame, then pictures until stuffing is believed in. Says how many have
/// been sent, all but none of which have come out.
fn learnt() -> (Feed, usize) {
    let mut feed = Feed::new(&STREAMS);
    assert_eq!(feed.picture(true, 400), [0, 0, 0]);
    let learning = MEDIA_STUFFED_UNITS as usize;
    for n in 1..learning {
        assert_eq!(feed.picture(false, 400), [n; 3], "not yet sure");
    }
    assert_eq!(feed.picture(false, 400), [learning, learning, learning + 1]);
    (feed, learning + 1)
}

#[test]
fn once_stuffing_is_learnt_a_picture_goes_out_with_its_last_packet() {
    let (mut feed, n) = learnt();
    assert_eq!(feed.picture(false, 400), [n, n, n + 1]);
    assert_eq!(feed.picture(false, BRIM), [n + 1, n + 1], "full to the brim: not stuffed");
    assert_eq!(feed.picture(false, 400), [n + 2, n + 2, n + 3]);
    assert_eq!(feed.picture(false, 20), [n + 4], "start and end in one packet");
    for (at, picture) in pictures(&feed.tags()).iter().enumerate() {
        assert_eq!(picture.ms, at as u32 * 40);
        assert!(picture.data.ends_with(&[at as u8 | 0x80; 20]), "{at}");
    }
    assert_eq!(feed.remux.dropped_units(), 0);
}

#[test]
fn one_counterexample_ends_the_belief_and_costs_a_picture_at_most() {
    let (mut feed, n) = learnt();
    let time = feed.n * PICTURE;
    let cut = pes(VIDEO, Some((time, time)), Unstated, &picture(false, 0xEE, 400));
    let packets = feed.muxer.cut(VIDEO, &cut, 100);
    feed.send(&packets);
    feed.n += 1;
    assert_eq!(feed.pictures(), n + 1, "its front was taken for all of it");
    assert_eq!(feed.picture(false, 400), [n + 1; 3], "and nothing builds on it");
    assert_eq!(feed.picture(true, 400), [n + 1; 3]);
    for more in 2..20 {
        assert_eq!(feed.picture(false, 400), [n + more; 3], "for good");
    }
    let last = feed.tags().pop().expect("a picture");
    assert_eq!(last.data[5..], body(false, last.data[20], 400));
}

#[test]
fn a_stated_length_needs_no_learning() {
    let mut feed = Feed::new(&STREAMS);
    for n in 0..20_u64 {
        let data = picture(n == 0, 0x99, 400);
        let packets = feed.muxer.pes(VIDEO, Some((n, n)), Stated, &data);
        let (last, others) = packets.split_last().expect("packets");
        feed.send(others);
        assert_eq!(feed.pictures() as u64, n);
        feed.send(&[*last]);
        assert_eq!(feed.pictures() as u64, n + 1);
    }
}

#[test]
fn a_lost_packet_costs_its_picture_and_those_up_to_the_next_key() {
    for lost in 0..3 {
        let mut feed = Feed::new(&STREAMS);
        feed.picture(true, 400);
        feed.sound(0, 1);
        feed.picture(false, 400);
        feed.lose = Some(lost);
        feed.picture(false, 400);
        feed.sound(FRAME, 2);
        feed.picture(false, 400);
        feed.picture(true, 400);
        feed.picture(false, 400);
        feed.remux.finish(&mut feed.flv);
        let tags = feed.tags();
        // If the first is lost, the one before has lost what may have been its end.
        let expected: &[u32] = if lost == 0 { &[0, 160, 200] } else { &[0, 40, 160, 200] };
        let times: Vec<u32> = pictures(&tags).iter().map(|picture| picture.ms).collect();
        assert_eq!(times, expected, "{lost}");
        assert_eq!(sounds(&tags).len(), 2);
        assert!(feed.remux.dropped_units() >= 2);
    }
}

#[test]
fn without_another_key_pictures_go_on_after_a_while() {
    let mut feed = Feed::new(&STREAMS);
    feed.picture(true, 400);
    feed.lose = Some(1);
    for _ in 0..400 {
        feed.picture(false, 400);
    }
    let tags = feed.tags();
    let pictures = pictures(&tags);
    assert_eq!(pictures[1].ms, 2 * 40 + TS_NO_KEY.as_millis() as u32);
}

#[test]
fn damaged_and_encrypted_packets_are_left_out() {
    for (at, bits) in [(1, 0x80), (3, 0x80), (3, 0xC0)] {
        let mut feed = Feed::new(&[(H264, VIDEO)]);
        feed.picture(true, 400);
        let time = feed.n * PICTURE;
        let data = picture(false, 0x99, 400);
        let mut packets = feed.muxer.pes(VIDEO, Some((time, time)), Unstated, &data);
        packets[1][at] |= bits;
        feed.send(&packets);
        feed.n += 1;
        feed.picture(false, 400);
        feed.picture(true, 400);
        feed.remux.finish(&mut feed.flv);
        let times: Vec<u32> = pictures(&feed.tags()).iter().map(|picture| picture.ms).collect();
        assert_eq!(times, [0, 120], "{at} {bits:x}");
    }
}

#[test]
fn clocks_wrap_without_a_seam() {
    let mut muxer = Muxer::default();
    let mut packets = muxer.tables(&STREAMS);
    let start = (1 << 33) - 10 * PICTURE;
    for n in 0..30 {
        let time = |late: u64| (start + n * PICTURE + late) & ((1 << 33) - 1);
        let data = picture(n == 0, 0x99, 100);
        packets.extend(muxer.pes(VIDEO, Some((time(7200), time(0))), Unstated, &data));
        packets.extend(muxer.pes(AUDIO, Some((time(900), time(900))), Stated, &adts(7, 50)));
    }
    let tags = remux(&packets);
    for (n, picture) in pictures(&tags).iter().enumerate() {
        assert_eq!((i64::from(picture.ms), picture.shown()), (n as i64 * 40, n as i64 * 40 + 80));
    }
    for (n, sound) in sounds(&tags).iter().enumerate() {
        assert_eq!(sound.ms, n as u32 * 40 + 10);
    }
    assert_eq!((pictures(&tags).len(), sounds(&tags).len()), (30, 30));
}

#[test]
fn time_goes_on_over_a_jump_and_a_gap_tells_all_again() {
    let mut feed = Feed::new(&STREAMS);
    feed.picture(true, 400);
    feed.sound(0, 1);
    feed.picture(false, 400);
    let before = feed.tags().len();
    feed.remux.gap();
    feed.muxer.lose(VIDEO, 5);
    feed.muxer.lose(AUDIO, 5);
    // Half a minute later, and first the rest of a picture.
    let rest = feed.muxer.pes(VIDEO, None, Unstated, &[9; 600]);
    feed.send(&rest[1..]);
    let tables = feed.muxer.tables(&STREAMS);
    feed.send(&tables);
    feed.n += 750;
    feed.picture(false, 400);
    feed.picture(true, 400);
    feed.sound(752 * PICTURE + 3600, 2);
    feed.picture(false, 400);
    let tags = feed.tags();
    let told: Vec<(u8, u8, u32)> =
        tags[before..].iter().map(|tag| (tag.kind, tag.data[1], tag.ms)).collect();
    // Both at their time, right behind the picture that was left out.
    assert_eq!(told, [(8, 0, 80), (8, 1, 80), (9, 0, 80), (9, 1, 80)]);
}

#[test]
fn several_frames_in_a_pes_have_each_its_own_time() {
    let mut muxer = Muxer::default();
    let mut packets = muxer.tables(&[(AAC, AUDIO)]);
    // Seven frames, cut into units anywhere: a time stamp is that of the first
    // frame that begins in its unit.
    let frames: Vec<u8> = (0..7).flat_map(|n| adts(n, 100)).collect();
    for (range, first) in [
        (0..250, Some(0)),
        (250..300, None),
        (300..321, None),
        (321..700, Some(3)),
        (700..749, None),
    ] {
        let time = first.map(|first| (first * FRAME, first * FRAME));
        packets.extend(muxer.pes(AUDIO, time, Stated, &frames[range]));
    }
    let tags = remux(&packets);
    let times: Vec<u32> = sounds(&tags).iter().map(|sound| sound.ms).collect();
    assert_eq!(times, [0, 21, 43, 64, 85, 107, 128]);
    assert!((0..7).all(|n| sounds(&tags)[n].data[2..] == [n as u8; 100]));
}

#[test]
fn what_only_looks_like_a_header_begins_no_frame() {
    let mut muxer = Muxer::default();
    let mut packets = muxer.tables(&[(AAC, AUDIO)]);
    // The rest of a frame that began before, in which a header seems to stand.
    let rest = [&[5; 20][..], &adts(0, 60)[..40]].concat();
    let data = [&rest[..], &adts(1, 100), &adts(2, 100)].concat();
    packets.extend(muxer.pes(AUDIO, Some((0, 0)), Stated, &data));
    let tags = remux(&packets);
    let marks: Vec<(u32, u8)> = sounds(&tags).iter().map(|tag| (tag.ms, tag.data[2])).collect();
    assert_eq!(marks, [(0, 1), (21, 2)]);
}

#[test]
fn audio_waits_for_the_first_picture_but_not_for_ever() {
    let mut feed = Feed::new(&STREAMS);
    for n in 0..5 {
        feed.sound(n * FRAME, n as u8);
    }
    feed.n = 2;
    feed.picture(false, 400);
    feed.picture(true, 400);
    assert_eq!(feed.flv, b"");
    feed.picture(false, 400);
    let tags = feed.tags();
    let order: Vec<(u8, u8, u32)> =
        tags.iter().map(|tag| (tag.kind, tag.data[1], tag.ms)).collect();
    let sounds = [0, 21, 43, 64, 85].map(|ms| (8, 1, ms));
    let expected = [&[(18, 0, 120), (9, 0, 120), (8, 0, 0)][..], &sounds, &[(9, 1, 120)]].concat();
    assert_eq!(order, expected);

    let mut feed = Feed::new(&STREAMS);
    let mut n = 0;
    while feed.flv.is_empty() {
        feed.sound(n * FRAME, n as u8);
        n += 1;
    }
    let held = MEDIA_HELD_TIME.as_millis() as u64 * 90;
    assert!((n - 2) * FRAME < held && (n - 1) * FRAME >= held);
    assert_eq!(testing::sounds(&feed.tags()).len() as u64, n);
    feed.n = 200;
    feed.picture(true, 400);
    feed.picture(false, 400);
    assert_eq!(pictures(&feed.tags())[0].ms, 8000);
}

#[test]
fn new_parameter_sets_are_told_before_their_picture() {
    let mut feed = Feed::new(&STREAMS);
    feed.picture(true, 400);
    let other = [&SPS[..4], &[0xDA, 0x11, 0x6C], &SPS[7..]].concat();
    let old = picture(true, 0x99, 100);
    let at = old.windows(SPS.len()).position(|window| window == SPS).expect("an SPS");
    let data = [&old[..at], &other, &old[at + SPS.len()..]].concat();
    let packets = feed.muxer.pes(VIDEO, Some((PICTURE, PICTURE)), Stated, &data);
    feed.send(&packets);
    let tags = feed.tags();
    let kinds: Vec<(u8, u8)> = tags.iter().map(|tag| (tag.kind, tag.data[1])).collect();
    assert_eq!(kinds[..3], [(18, 0), (9, 0), (9, 1)]);
    assert_eq!(kinds[kinds.len() - 2..], [(9, 0), (9, 1)]);
    assert!(tags[tags.len() - 2].data.windows(other.len()).any(|window| window == other));
}

#[test]
fn another_programme_is_followed() {
    let mut feed = Feed::new(&[(0x02, 0x200), (H264, VIDEO), (0x11, 0x201), (AAC, AUDIO)]);
    assert_eq!(feed.remux.unsupported(), [0x02, 0x11]);
    feed.picture(true, 400);
    feed.sound(0, 1);
    feed.picture(false, 400);
    assert_eq!(feed.flv[4], 5);
    let tables = feed.muxer.tables(&[(AAC, AUDIO), (H264, 0x300)]);
    feed.send(&tables);
    assert_eq!(feed.remux.unsupported(), [0; 0]);
    feed.sound(FRAME, 2);
    let time = Some((2 * PICTURE, 2 * PICTURE));
    for key in [false, true] {
        let packets = feed.muxer.pes(0x300, time, Stated, &picture(key, 0x99, 400));
        feed.send(&packets);
    }
    let tags = feed.tags();
    assert_eq!(sounds(&tags).len(), 2, "what stays goes on");
    let times: Vec<u32> = pictures(&tags).iter().map(|picture| picture.ms).collect();
    assert_eq!(times, [0, 80]);
}

#[test]
fn video_of_another_kind_leaves_audio_alone() {
    let mut feed = Feed::new(&[(0x02, VIDEO), (AAC, AUDIO)]);
    feed.picture(true, 400);
    feed.sound(0, 1);
    assert_eq!((feed.flv[4], feed.tags().len()), (4, 3));
}

#[test]
fn mpeg_audio_is_carried_if_it_is_of_layer_three() {
    for (header, carried) in [([0xFF, 0xFB, 0x94, 0xC0], true), ([0xFF, 0xFD, 0x84, 0xC0], false)] {
        let mut feed = Feed::new(&[(MPEG_AUDIO, AUDIO)]);
        let mut frame = header.to_vec();
        frame.resize(384, 0x55);
        let packets = feed.muxer.pes(AUDIO, Some((0, 0)), Stated, &[&frame[..], &frame].concat());
        feed.send(&packets);
        if carried {
            let tags = feed.tags();
            assert_eq!(tags.len(), 3);
            assert_eq!((tags[1].ms, tags[2].ms), (0, 24));
            assert_eq!(tags[2].data, [&[0x2E], &frame[..]].concat());
        } else {
            assert_eq!((&feed.flv[..], feed.remux.unsupported()), (&b""[..], &[0x03][..]));
        }
    }
}

#[test]
fn mpeg_audio_is_announced_once_it_is_known_to_be_carried() {
    for (layer, flags) in [(0xFB, 5), (0xFD, 1)] {
        let mut feed = Feed::new(&[(MPEG_AUDIO, AUDIO), (H264, VIDEO)]);
        let mut frame = vec![0xFF, layer, 0x94, 0xC0];
        frame.resize(if flags == 5 { 384 } else { 480 }, 0x55);
        let packets = feed.muxer.pes(AUDIO, Some((0, 0)), Stated, &frame);
        feed.send(&packets);
        feed.picture(true, 400);
        feed.picture(false, 400);
        assert_eq!(feed.flv[4], flags);
    }
    let mut feed = Feed::new(&[(MPEG_AUDIO, AUDIO), (H264, VIDEO)]);
    feed.picture(true, 400);
    feed.picture(false, 400);
    assert_eq!(feed.flv[4], 1, "players would wait for it");
}

#[test]
fn garbage_between_packets_is_passed_over() {
    let mut bytes = b"junk before".to_vec();
    for packet in RECORDED.chunks(188 * 20) {
        bytes.extend(packet);
        bytes.extend(b"some junk");
    }
    let clean = in_pieces(RECORDED, &[188]);
    assert_eq!(in_pieces(&bytes, &[1, 500, 77]), clean);
}

/// VPS, SPS and PPS of x265, ten bits, 1920 x 1080.
const HEVC: [&[u8]; 3] = [
    &[
        0x40, 0x01, 0x0C, 0x01, 0xFF, 0xFF, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00,
        0x03, 0x00, 0x00, 0x03, 0x00, 0x78, 0x95, 0x94, 0x09,
    ],
    &[
        0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
        0x03, 0x00, 0x78, 0xA0, 0x03, 0xC0, 0x80, 0x11, 0x07, 0xCA, 0xD9, 0x65, 0x65, 0x4A, 0x4C,
        0x2F, 0x01, 0x68, 0x08, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x00, 0xC8, 0x40,
    ],
    &[0x44, 0x01, 0xC0, 0x73, 0xC1, 0x89],
];
/// The front of the record that ffmpeg makes of them for MP4.
const HVCC: [u8; 23] = [
    0x01, 0x02, 0x20, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x78, 0xF0, 0x00, 0xFC,
    0xFD, 0xFA, 0xFA, 0x00, 0x00, 0x0F, 0x03,
];

#[test]
fn h265_is_told_the_enhanced_way() {
    let mut feed = Feed::new(&[(H265, VIDEO)]);
    let start = [0, 0, 0, 1];
    let sets = HEVC.map(|set| [&start[..], set].concat()).concat();
    let units = [
        [&sets[..], &start, &[0x26, 0x01, 0xAF, 9, 9]].concat(),
        [&start[..], &[0x46, 0x01, 0x50], &start, &[0x02, 0x01, 0xD0, 8, 8]].concat(),
    ];
    for (n, unit) in units.iter().enumerate() {
        let dts = n as u64 * PICTURE;
        let packets = feed.muxer.pes(VIDEO, Some((dts + PICTURE, dts)), Stated, unit);
        feed.send(&packets);
    }
    let mut record = HVCC.to_vec();
    for (set, kind) in HEVC.iter().zip([0xA0, 0xA1, 0xA2]) {
        record.extend([kind, 0, 1, 0, set.len() as u8]);
        record.extend(*set);
    }
    let expected = [
        (0, [&b"\x90hvc1"[..], &record].concat()),
        (0, b"\x91hvc1\0\0\x28\0\0\0\x05\x26\x01\xAF\x09\x09".to_vec()),
        (40, b"\xA1hvc1\0\0\x28\0\0\0\x05\x02\x01\xD0\x08\x08".to_vec()),
    ];
    let mut rest = &feed.flv[13..];
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let size = usize::from(rest[2]) << 8 | usize::from(rest[3]);
        tags.push((rest[0], rest[6], rest[11..11 + size].to_vec()));
        rest = &rest[15 + size..];
    }
    assert_eq!(tags[0].0, 18);
    let width = [&b"\0\x05width\0"[..], &1920f64.to_be_bytes()].concat();
    let height = [&b"\0\x06height\0"[..], &1080f64.to_be_bytes()].concat();
    let codec = [&b"videocodecid\0"[..], &f64::from(0x6876_6331).to_be_bytes()].concat();
    for told in [width, height, codec] {
        assert!(tags[0].2.windows(told.len()).any(|window| window == told));
    }
    for ((kind, ms, data), expected) in tags[1..].iter().zip(expected) {
        assert_eq!((*kind, *ms, data), (9, expected.0, &expected.1));
    }
    assert_eq!(tags.len(), 4);
}

#[test]
fn a_gap_before_anything_is_none() {
    let mut remux = ToFlv::default();
    let mut flv = Vec::new();
    remux.gap();
    remux.finish(&mut flv);
    assert_eq!(flv, b"");
    remux.handle_bytes(RECORDED, &mut flv);
    remux.finish(&mut flv);
    assert_eq!(flv, in_pieces(RECORDED, &[188]));
}
