//! Paths and clocks made of a seed, whose truth is known: what is printed must
//! allow it, and must not be vaguer than the times make it.

use super::*;

const MICRO: i64 = 1_000;
const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
/// Where our clock stands as a run begins.
const START: i64 = 1_700_000_000 * SECOND;

/// xorshift64*: the same on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Exponential, as queues are.
    fn wait(&mut self, mean: i64) -> i64 {
        let unit = (self.next() as f64 + 1.0) / (1u64 << 48) as f64;
        (-unit.ln() * mean as f64) as i64
    }
}

/// A path, and how the reflector's clock goes.
#[derive(Clone, Copy)]
struct World {
    /// Least delay up and down, and the mean of what queues add.
    up: (i64, i64),
    down: (i64, i64),
    /// How far ahead the reflector's clock is at the start, and what it gains.
    offset: i64,
    drift_ppm: i64,
    /// Its clock's step.
    step: i64,
    /// Between two probes.
    interval: i64,
}

const LAN: World = World {
    up: (50 * MICRO, 20 * MICRO),
    down: (60 * MICRO, 20 * MICRO),
    offset: 0,
    drift_ppm: 0,
    step: 1,
    interval: 10 * MILLI,
};

/// What a run measured, and what was true.
struct Run {
    stamps: Vec<Stamps>,
    up: Vec<i64>,
    down: Vec<i64>,
    /// Offsets at each T1.
    offsets: Vec<i64>,
    shortest: i64,
}

impl World {
    fn run(&self, seed: u64, probes: usize) -> Run {
        let mut random = Random::new(seed);
        let mut run = Run {
            stamps: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            offsets: Vec::new(),
            shortest: i64::MAX,
        };
        let offset_at =
            |time: i64| self.offset + (time - START) / 1000 * self.drift_ppm / (MILLI / 1000);
        let theirs = |time: i64| (time + offset_at(time)) / self.step * self.step;
        for n in 0..probes as i64 {
            let t1 = START + n * self.interval;
            let up = self.up.0 + random.wait(self.up.1);
            let held = random.wait(10 * MICRO);
            let down = self.down.0 + random.wait(self.down.1);
            let stamps = [t1, theirs(t1 + up), theirs(t1 + up + held), t1 + up + held + down];
            let [t1, t2, t3, t4] = stamps.map(|time| time as u64);
            run.stamps.push(Stamps { t1, t2, t3, t4 });
            run.up.push(up);
            run.down.push(down);
            run.offsets.push(offset_at(t1 as i64));
            run.shortest = run.shortest.min(up + down);
        }
        run.up.sort_unstable();
        run.down.sort_unstable();
        run
    }
}

/// The `q`-quantile of what was true, as it is defined for what is printed.
fn quantile(sorted: &[i64], q: f64) -> i64 {
    sorted[(sorted.len() as f64 * q).ceil() as usize - 1]
}

/// Whether all that is said of a run allows what is true.
fn covers(said: &OneWay, run: &Run) -> bool {
    let allows = |around: Option<Around>, truth: i64| around.unwrap().allows(truth);
    let way = |way: &Delays, truth: &[i64]| {
        allows(way.min, truth[0])
            && allows(way.p50, quantile(truth, 0.5))
            && allows(way.p90, quantile(truth, 0.9))
            && allows(way.p99, quantile(truth, 0.99))
            && allows(way.max, truth[truth.len() - 1])
    };
    way(&said.up, &run.up)
        && way(&said.down, &run.down)
        && run.offsets.iter().any(|offset| said.offset.allows(*offset))
}

#[test]
fn one_clock_makes_it_exact() {
    let run = LAN.run(1, 400);
    let said = one_way(&run.stamps, Some(Duration::ZERO)).unwrap();
    for (way, truth) in [(said.up, &run.up), (said.down, &run.down)] {
        for (around, q) in [(way.p50, 0.5), (way.p90, 0.9), (way.p99, 0.99)] {
            assert_eq!(around, Some(Around { nanos: quantile(truth, q), within: 1 }));
        }
        assert_eq!(way.min.unwrap().nanos, truth[0]);
        assert_eq!(way.p999, None, "too few for it");
    }
    assert_eq!((said.offset, said.count, said.absurd), (Around { nanos: 0, within: 0 }, 400, 0));
    // For each probe both ways and the server make the round trip.
    for stamps in &run.stamps {
        let one = one_way(&[*stamps], Some(Duration::ZERO)).unwrap();
        let sum = one.up.p50.unwrap().nanos + one.down.p50.unwrap().nanos;
        assert_eq!(sum as u128, stamps.network().unwrap().as_nanos());
    }
}

#[test]
fn what_is_printed_allows_the_truth_in_each_of_200_seeded_worlds() {
    let far = World { up: (8 * MILLI, 2 * MILLI), down: (MILLI, 3 * MILLI), ..LAN };
    let worlds = [
        ("as it is", LAN),
        ("a second ahead", World { offset: SECOND, ..LAN }),
        ("a second behind", World { offset: -SECOND, ..LAN }),
        ("gains 50 ppm", World { drift_ppm: 50, ..LAN }),
        (
            "loses 50 ppm",
            World { offset: 7 * SECOND, drift_ppm: -50, interval: 200 * MILLI, ..LAN },
        ),
        ("far, and asymmetric", far),
        ("all at once", World { offset: -SECOND, drift_ppm: 50, ..far }),
        ("whole microseconds", World { step: MICRO, offset: SECOND + 1234, ..LAN }),
        ("whole milliseconds", World { step: MILLI, drift_ppm: -50, ..far }),
    ];
    for (name, world) in worlds {
        for seed in 0..200 {
            let run = world.run(seed, 400);
            let said = one_way(&run.stamps, None).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(covers(&said, &run), "{name}, seed {seed}: {said:?}");
            assert_eq!(said.count + said.absurd, 400);
        }
    }
}

#[test]
fn the_bound_is_half_of_the_shortest_round_trip_near_and_what_clocks_drift() {
    for seed in 0..200 {
        let run = World { offset: SECOND, ..LAN }.run(seed, 400);
        let said = one_way(&run.stamps, None).unwrap();
        let half = run.shortest.cast_unsigned() / 2;
        // 10 ms to the next probe are 1 us of drift, at each end.
        assert!(said.offset.within <= half + 50, "{seed}: {said:?}, half {half}");
        for around in [said.up.p50, said.down.p50] {
            let within = around.unwrap().within;
            assert!(within > half / 2 && within <= half + 20_000, "{seed}: {within}, half {half}");
        }
        // The middle is right where the shortest ways are alike.
        let p50 = said.up.p50.unwrap().nanos;
        assert!(p50.abs_diff(quantile(&run.up, 0.5)) < 10_000, "{seed}: {p50}");
    }
}

#[test]
fn one_fast_probe_tells_of_the_clocks_before_and_after_it() {
    let slow = World { up: (9 * MILLI, MILLI), down: (3 * MILLI, MILLI), offset: SECOND, ..LAN };
    let mut run = slow.run(7, 101);
    let t1 = START + 50 * slow.interval;
    let quick = World { up: (40 * MICRO, 1), down: (40 * MICRO, 1), ..slow };
    let fast = quick.run(7, 51).stamps[50];
    assert_eq!(fast.t1, t1 as u64);
    run.stamps[50] = fast;
    let said = one_way(&run.stamps, None).unwrap();
    // 500 ms away the clocks may have drifted by 50 us more.
    for way in [said.up, said.down] {
        for around in [way.min, way.p50, way.p90, way.max] {
            assert!(around.unwrap().within <= 110 * MICRO as u64, "{said:?}");
        }
    }
    assert!(said.offset.within <= 60 * MICRO as u64 && said.offset.allows(SECOND), "{said:?}");
}

#[test]
fn a_clock_of_coarse_steps_is_not_believed_to_be_finer() {
    for step in [MICRO, MILLI] {
        let far = World { up: (8 * MILLI, MILLI), down: (8 * MILLI, MILLI), step, ..LAN };
        let run = far.run(9, 400);
        let said = one_way(&run.stamps, Some(Duration::ZERO)).unwrap();
        assert_eq!(said.up.p50.unwrap().within, step as u64);
        assert!(covers(&said, &run), "{said:?}");
    }
}

#[test]
fn clocks_known_to_be_in_step_make_the_bound_smaller() {
    let world = World { offset: 3 * MICRO, ..LAN };
    let run = world.run(5, 400);
    let step = Duration::from_micros(5);
    let said = one_way(&run.stamps, Some(step)).unwrap();
    assert!(covers(&said, &run));
    assert!(said.up.p50.unwrap().within <= 5 * MICRO as u64 + 1);
    let unknown = one_way(&run.stamps, None).unwrap();
    assert!(unknown.up.p50.unwrap().within > 40 * MICRO as u64);
}

#[test]
fn clocks_that_are_not_what_they_were_taken_for_are_found_out() {
    let run = World { offset: SECOND, ..LAN }.run(1, 400);
    assert_eq!(one_way(&run.stamps, Some(Duration::ZERO)), Err(Unclear::Contradiction));
    // One that is set during the run.
    let mut run = LAN.run(2, 400);
    for stamps in &mut run.stamps[200..] {
        (stamps.t2, stamps.t3) = (stamps.t2 + 5_000_000, stamps.t3 + 5_000_000);
    }
    assert_eq!(one_way(&run.stamps, None), Err(Unclear::Contradiction));
    let fast = World { drift_ppm: 400, ..LAN }.run(3, 400);
    assert_eq!(one_way(&fast.stamps, None), Err(Unclear::Contradiction));
    assert!(Unclear::Contradiction.to_string().contains("100 ppm"));
}

#[test]
fn order_does_not_matter_and_times_that_make_no_sense_are_left_out() {
    let run = World { offset: -SECOND, ..LAN }.run(4, 300);
    let said = one_way(&run.stamps, None).unwrap();
    let mut turned = run.stamps.clone();
    turned.reverse();
    assert_eq!(one_way(&turned, None).unwrap(), said);
    // It says that it held the packet for longer than it was away, or had it
    // after it answered.
    let Stamps { t1, t2, t3, t4 } = turned[7];
    turned.push(Stamps { t1, t2, t3: t2 + (t4 - t1), t4 });
    turned.push(Stamps { t1, t2: t3, t3: t2, t4 });
    turned.push(Stamps { t1: t4, t2, t3, t4: t1 });
    assert_eq!(one_way(&turned, None).unwrap(), OneWay { absurd: 3, ..said });
    assert_eq!(one_way(&turned[300..], None), Err(Unclear::NoProbes));
    assert_eq!(one_way(&[], Some(Duration::ZERO)), Err(Unclear::NoProbes));
}

#[test]
fn fuzz_no_times_make_it_panic() {
    let mut random = Random::new(6);
    let odd = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, START as u64];
    for _ in 0..20_000 {
        let mut time = || {
            let pick = random.next() as usize % (odd.len() + 2);
            odd.get(pick).copied().unwrap_or_else(|| random.next() << 16 ^ random.next())
        };
        let stamps: Vec<Stamps> =
            (0..5).map(|_| Stamps { t1: time(), t2: time(), t3: time(), t4: time() }).collect();
        for known in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
            if let Ok(said) = one_way(&stamps, known) {
                assert_eq!(said.count + said.absurd, 5);
            }
        }
    }
}
