//! Ticks and bounds of axes.

use super::*;

const WIDE: Room = Room { length: 840.0, glyph: 8.0, gap: 30.0 };

fn labels(axis: &Axis, room: Room) -> Vec<String> {
    axis.ticks(room).into_iter().map(|tick| tick.label).collect()
}

/// Every tick is on the axis, and no two labels touch.
#[track_caller]
fn check(axis: &Axis, room: Room) {
    let ticks = axis.ticks(room);
    for tick in &ticks {
        let over = (axis.to - axis.from) * 1e-4;
        assert!((axis.from - over..=axis.to + over).contains(&tick.at), "{tick:?} {axis:?}");
    }
    for pair in ticks.windows(2) {
        let [a, b] = [&pair[0], &pair[1]].map(|t| axis.place(t.at) * room.length);
        let letters = (pair[0].label.chars().count() + pair[1].label.chars().count()) as f64;
        assert!(b - a >= letters / 2.0 * room.glyph, "{pair:?} of {axis:?}");
    }
}

#[test]
fn a_narrow_range_has_even_ticks_in_one_unit() {
    let axis = Axis::latency("rtt", 21_300, 24_100, None);
    assert_eq!((axis.scale, axis.title.as_str()), (Scale::Linear, "rtt (µs)"));
    assert_eq!((axis.from, axis.to), (21_000.0, 25_000.0));
    assert_eq!(
        labels(&axis, Room { length: 380.0, glyph: 0.0, gap: 60.0 }),
        ["21", "22", "23", "24", "25"]
    );
    let axis = Axis::latency("rtt", 400, 2_000, None);
    assert_eq!((axis.from, axis.title.as_str()), (0.0, "rtt (µs)"));
}

#[test]
fn a_wide_range_is_logarithmic_with_units_at_the_ticks() {
    let axis = Axis::latency("rtt", 18_000, 300_000, None);
    assert_eq!((axis.scale, axis.title.as_str()), (Scale::Log, "rtt (log scale)"));
    assert_eq!(labels(&axis, WIDE), ["20 µs", "50 µs", "100 µs", "200 µs"]);
    let axis = Axis::latency("rtt", 90, 70_000_000_000, None);
    let wanted = "100 ns, 1 µs, 10 µs, 100 µs, 1 ms, 10 ms, 100 ms, 1 s, 10 s, 100 s";
    assert_eq!(labels(&axis, WIDE).join(", "), wanted);
    let few = Room { length: 300.0, ..WIDE };
    assert_eq!(labels(&axis, few), ["1 µs", "1 ms", "1 s"]);
}

#[test]
fn a_short_logarithmic_axis_has_even_ticks() {
    let axis = Axis::latency("rtt", 17_000, 23_000, Some(Scale::Log));
    let found = labels(&axis, WIDE);
    assert_eq!(found.first().map(String::as_str), Some("16 µs"));
    assert!(found.contains(&"20 µs".to_owned()) && found.len() > 6, "{found:?}");
}

#[test]
fn percentiles_are_named_by_their_nines() {
    let axis = Axis::percentile(2e6);
    let all = "0%, 90%, 99%, 99.9%, 99.99%, 99.999%, 99.9999%";
    assert_eq!(labels(&axis, WIDE).join(", "), all);
    let axis = Axis::percentile(12_000.0);
    assert_eq!(labels(&axis, WIDE), ["0%", "50%", "90%", "99%", "99.9%", "99.99%"]);
    let axis = Axis::percentile(1_100.0);
    assert_eq!(labels(&axis, WIDE), ["0%", "50%", "90%", "95%", "99%", "99.5%", "99.9%"]);
    let narrow = Room { length: 200.0, glyph: 8.0, gap: 10.0 };
    assert_eq!(labels(&axis, narrow), ["0%", "90%", "99%", "99.9%"]);
    let place = |value| (axis.place(value) * 1e3).round();
    assert_eq!((place(1.0), place(1_100.0), place(33.17)), (0.0, 1_000.0, 500.0));
}

#[test]
fn times_have_the_unit_that_suits_them() {
    for (to, title, last) in [
        (9.0, "t (s)", "9"),
        (0.25, "t (ms)", "240"),
        (3_000.0, "t (min)", "50"),
        (36_000.0, "t (h)", "10"),
        (0.000_4, "t (µs)", "400"),
    ] {
        let axis = Axis::time("t", 0.0, to);
        assert_eq!(axis.title, title);
        assert_eq!(labels(&axis, WIDE).last().map(String::as_str), Some(last), "{title}");
    }
    let moment = Axis::time("t", 5.0, 5.0);
    assert!(moment.to > moment.from);
}

#[test]
fn any_axis_has_ticks_that_fit() {
    let powers = (0..64).step_by(3).map(|power| 1u64 << power);
    let values: Vec<u64> = powers.flat_map(|v| [v - 1, v, v + v / 3]).chain([u64::MAX]).collect();
    for low in &values {
        for high in values.iter().filter(|high| *high >= low) {
            for scale in [None, Some(Scale::Log), Some(Scale::Linear)] {
                let axis = Axis::latency("rtt", *low, *high, scale);
                assert!(axis.from < axis.to && axis.from >= 0.0, "{low} {high} {axis:?}");
                assert!(axis.place(*low as f64) < 1.0 && axis.place(*high as f64) <= 1.0);
                assert!(axis.from <= low.max(&1).to_owned() as f64 && axis.to >= *high as f64);
                check(&axis, WIDE);
                check(&axis, Room { length: 12.0, glyph: 1.0, gap: 2.0 });
            }
        }
    }
    for from in [-1e12, -3.0, 0.0, 1e-9, 7.7, 1e12] {
        for span in [0.0, 1e-9, 0.3, 5.0, 1e6, 2e12] {
            check(&Axis::time("t", from, from + span), WIDE);
        }
    }
}

#[test]
fn what_is_beyond_an_axis_lies_on_its_end() {
    let axis = Axis::latency("rtt", 0, 1_000_000, None);
    assert_eq!((axis.place(0.0), axis.place(1e300)), (0.0, 1.0));
    assert_eq!(axis.place(f64::NAN), 0.0);
    for place in [0.0, 0.3, 1.0] {
        assert!((axis.place(axis.value(place)) - place).abs() < 1e-12);
    }
}
