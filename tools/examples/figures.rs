//! Draws a sample of every figure into a folder, to be looked at, and writes the
//! files that other programs read:
//! `cargo run -p lightmeter --example figures -- FOLDER`. What is drawn is made
//! up, but has what real runs have: a tail, a slow drift, losses in a row.

use lightmeter::export::hgrm::{self, Unit};
use lightmeter::export::hlog::{self, Interval};
use lightmeter::plot::{Charset, Figure, Labels, Sample, Screen, Series, Values};
use lightmeter::plot::{svg, terminal};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use std::{env, fs, io};

/// Numbers that look random and are the same in every run (xorshift64).
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// `n` probes, one each `every` seconds, of about `typical` nanoseconds.
fn probes(name: &str, n: usize, every: f64, typical: f64, seed: u64) -> Series {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut gap = 0;
    let samples = (0..n).map(|i| {
        let tail = (-random.next().max(1e-9).ln()).powi(2) * 0.06;
        let burst = if random.next() < 0.002 { 8.0 * random.next() } else { 0.0 };
        let drift = 0.1 * (i as f64 / n as f64 * 9.0).sin();
        if random.next() < 1.5 / n as f64 {
            gap = n / 60 + 1;
        }
        gap = usize::saturating_sub(gap, 1);
        let ns = (gap == 0).then_some((typical * (1.0 + tail + burst + drift)) as u64);
        Sample { at: i as f64 * every, ns }
    });
    Series { name: name.to_owned(), samples: samples.collect() }
}

fn draw(folder: &Path, name: &str, figure: Figure<'_>, title: &str) -> io::Result<()> {
    let labels = Labels {
        title: title.to_owned(),
        quantity: "round-trip time".to_owned(),
        caption: "127.0.0.1, open loop every 10 ms, 64 bytes, hybrid pacing, cores 1 → 0, \
                  kernel timestamps"
            .to_owned(),
    };
    fs::write(folder.join(format!("{name}.svg")), svg(figure, &labels))?;
    #[cfg(feature = "png")]
    for (theme, suffix) in
        [(lightmeter::plot::Theme::Light, "light"), (lightmeter::plot::Theme::Dark, "dark")]
    {
        let picture = lightmeter::plot::png(figure, &labels, theme)?;
        fs::write(folder.join(format!("{name}-{suffix}.png")), picture)?;
    }
    for (charset, suffix) in [(Charset::Unicode, "txt"), (Charset::Ascii, "ascii.txt")] {
        let screen = Screen { columns: 100, rows: 26, charset, colour: false };
        fs::write(folder.join(format!("{name}.{suffix}")), terminal(figure, &labels, &screen))?;
    }
    Ok(())
}

/// The samples of a series, plain and as the two formats of HdrHistogram.
fn files(folder: &Path, series: &Series) -> io::Result<()> {
    let ns: Vec<u64> = series.samples.iter().filter_map(|sample| sample.ns).collect();
    let lines: String = ns.iter().map(|ns| format!("{ns}\n")).collect();
    fs::write(folder.join("values.txt"), lines)?;
    let values = Values::new(series.name.clone(), ns.clone());
    let text = hgrm::text(&values, Unit::Micros).map_err(io::Error::other)?;
    fs::write(folder.join("values.hgrm"), text)?;
    let intervals: Vec<Interval<'_>> = ns
        .chunks(1_000)
        .zip(0..)
        .map(|(ns, second)| Interval {
            series: &series.name,
            start: Duration::from_secs(second),
            length: Duration::from_secs(1),
            ns,
        })
        .collect();
    let mut file = fs::File::create(folder.join("values.hlog"))?;
    let start = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    hlog::write(&mut file, start, "made up", &intervals).map_err(io::Error::other)
}

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).unwrap_or_else(|| "figures".into());
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    let few = [
        probes("icmp (kernel)", 400, 0.01, 21_000.0, 3),
        probes("udp", 400, 0.01, 26_000.0, 5),
        probes("tcp connect", 400, 0.01, 41_000.0, 8),
    ];
    let one = [probes("icmp", 300, 0.1, 21_000.0, 11)];
    let six: Vec<Series> = ["icmp", "system", "tcp", "udp <echo> & \"more\"", "stream", "app"]
        .iter()
        .enumerate()
        .map(|(i, name)| {
            probes(name, 60_000, 0.001, 18_000.0 * 1.4f64.powi(i as i32), 20 + i as u64)
        })
        .collect();
    let million = [probes("icmp", 1_000_000, 0.001, 21_000.0, 33)];
    draw(folder, "timeline-few", Figure::Timeline(&few), "Three kinds of ping")?;
    draw(folder, "timeline-one", Figure::Timeline(&one), "ping icmp 127.0.0.1")?;
    files(folder, &six[3])?;
    draw(folder, "timeline-six", Figure::Timeline(&six), "Six kinds, 60,000 probes each")?;
    draw(folder, "timeline-million", Figure::Timeline(&million), "A million probes")?;
    let ab = [
        Values::from(&probes("A  nodelay=on", 5_000, 0.01, 21_000.0, 7)),
        Values::from(&probes("B  nodelay=off", 5_000, 0.01, 22_500.0, 9)),
    ];
    let many: Vec<Values> = six.iter().map(Values::from).collect();
    draw(folder, "ecdf-ab", Figure::Ecdf(&ab), "A against B")?;
    draw(folder, "ecdf-six", Figure::Ecdf(&many), "Six kinds")?;
    draw(folder, "percentiles-ab", Figure::Percentiles(&ab), "A against B")?;
    draw(folder, "percentiles-six", Figure::Percentiles(&many), "Six kinds")?;
    draw(folder, "histogram-ab", Figure::Histogram(&ab), "A against B")?;
    draw(folder, "histogram-six", Figure::Histogram(&many), "Six kinds")?;
    let lost = Series {
        name: "udp".to_owned(),
        samples: (0..50).map(|i| Sample { at: f64::from(i), ns: None }).collect(),
    };
    draw(folder, "timeline-lost", Figure::Timeline(&[lost]), "Nobody answers")
}
