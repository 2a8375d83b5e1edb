//! What a run is written to beside text and JSON: pictures, and the formats of
//! other tools.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use lightmeter::export::{csv, hgrm, hlog};
use lightmeter::plot::{self, Charset, Figure, Labels, Sample, Screen, Series, Values};

use crate::args;
use crate::ping::lines::Probe;

/// Which were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// Pictures on the terminal.
    plot: bool,
    /// Letters and signs alone.
    ascii: bool,
    /// Which figure.
    figure: Shape,
    /// Files, by the option's name.
    files: Vec<(&'static str, String)>,
}

/// What a picture shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shape {
    /// Every probe at its time, losses as gaps.
    #[default]
    Timeline,
    /// Latency over 1/(1-p).
    Percentiles,
    /// Share of the probes below a latency.
    Ecdf,
    /// How many had which.
    Histogram,
}

/// A run, for pictures and files.
pub(crate) struct Run<'a> {
    pub(crate) title: String,
    pub(crate) caption: String,
    /// When it began, in seconds since 1970.
    pub(crate) started: u64,
    pub(crate) probes: &'a [Probe],
}

/// Values of several arms, for one picture of them all.
pub(crate) struct Arms {
    pub(crate) title: String,
    pub(crate) quantity: String,
    pub(crate) caption: String,
    pub(crate) values: Vec<Values>,
}

/// Options that name a file.
const FILES: [&str; 5] = ["--svg", "--png", "--csv", "--hgrm", "--hlog"];
/// Stretches of a histogram log.
const STRETCH_NS: u64 = 1_000_000_000;
/// Columns and lines where the terminal doesn't say.
const SCREEN: (usize, usize) = (80, 22);

impl Output {
    /// Whether an option is one of these.
    pub(crate) fn knows(name: &str) -> bool {
        ["--plot", "--ascii", "--figure"].contains(&name) || FILES.contains(&name)
    }

    /// Takes the option `name`, and its value.
    ///
    /// # Errors
    /// There is no value, or it is wrong.
    pub(crate) fn take(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<(), String> {
        match name {
            "--plot" => self.plot = true,
            "--ascii" => self.ascii = true,
            "--figure" => self.figure = args::value(parser, name, shape)?,
            _ => {
                let file = args::value(parser, name, args::text)?;
                self.files.extend(
                    FILES.into_iter().find(|known| *known == name).map(|known| (known, file)),
                );
            }
        }
        Ok(())
    }

    /// Whether any of them was asked for.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.plot || !self.files.is_empty()
    }

    /// Makes the files, or empties them, before there is anything to write:
    /// that one can't be had is not to be found out after an hour.
    ///
    /// # Errors
    /// Which can't be had, and why.
    pub(crate) fn create(&self) -> Result<(), String> {
        for (option, path) in &self.files {
            File::create(path).map_err(|error| format!("{option} {path}: {error}"))?;
        }
        Ok(())
    }

    /// Whether pictures go to the terminal.
    pub(crate) const fn is_plotted(&self) -> bool {
        self.plot
    }

    /// Writes the files.
    ///
    /// # Errors
    /// Which could not be written, and why.
    pub(crate) fn write(&self, run: &Run<'_>) -> Result<(), String> {
        for (option, path) in &self.files {
            let bytes = match *option {
                "--svg" => self.draw(run, self.figure, |f, l| Ok(plot::svg(f, l).into_bytes())),
                "--png" => self.draw(run, self.figure, png),
                "--csv" => csv_of(run),
                "--hgrm" => hgrm_of(run),
                _ => hlog_of(run),
            };
            save(option, path, bytes)?;
        }
        Ok(())
    }

    /// Draws the share of each arm's probes below a latency: files, and what is
    /// for the terminal.
    ///
    /// # Errors
    /// Which file could not be written, or can't be made of this.
    pub(crate) fn compare(&self, arms: &Arms) -> Result<Option<String>, String> {
        let labels = Labels {
            title: arms.title.clone(),
            quantity: arms.quantity.clone(),
            caption: arms.caption.clone(),
        };
        let figure = Figure::Ecdf(&arms.values);
        for (option, path) in &self.files {
            let bytes = match *option {
                "--svg" => Ok(plot::svg(figure, &labels).into_bytes()),
                "--png" => png(figure, &labels),
                _ => Err("single probes are not kept of a comparison".to_owned()),
            };
            save(option, path, bytes)?;
        }
        Ok(self.plot.then(|| plot::terminal(figure, &labels, &self.screen())))
    }

    /// The pictures for the terminal: the run in time, and its percentiles; or
    /// the one that was asked for.
    pub(crate) fn pictures(&self, run: &Run<'_>) -> String {
        let screen = self.screen();
        let shapes = match self.figure {
            Shape::Timeline => &[Shape::Timeline, Shape::Percentiles][..],
            Shape::Percentiles => &[Shape::Percentiles],
            Shape::Ecdf => &[Shape::Ecdf],
            Shape::Histogram => &[Shape::Histogram],
        };
        let picture = |shape: &Shape| {
            self.draw(run, *shape, |figure, labels| Ok(plot::terminal(figure, labels, &screen)))
                .unwrap_or_default()
        };
        shapes.iter().map(picture).collect::<Vec<_>>().join("\n")
    }

    fn screen(&self) -> Screen {
        let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
        let set = |name: &str| std::env::var(name).ok();
        let [all, letters, lang] = ["LC_ALL", "LC_CTYPE", "LANG"].map(set);
        let locale = Charset::of_locale([all.as_deref(), letters.as_deref(), lang.as_deref()]);
        let plain = set("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen {
            columns: number("COLUMNS").unwrap_or(SCREEN.0),
            rows: number("LINES").unwrap_or(SCREEN.1).min(SCREEN.1),
            charset: if self.ascii { Charset::Ascii } else { locale },
            colour: std::io::stdout().is_terminal() && !plain,
        }
    }

    fn draw<T>(
        &self,
        run: &Run<'_>,
        shape: Shape,
        render: impl FnOnce(Figure<'_>, &Labels) -> Result<T, String>,
    ) -> Result<T, String> {
        let series = series(run.probes);
        let values: Vec<Values> = series.iter().map(Values::from).collect();
        let labels = Labels {
            title: run.title.clone(),
            quantity: "round-trip time".to_owned(),
            caption: run.caption.clone(),
        };
        let figure = match shape {
            Shape::Timeline => Figure::Timeline(&series),
            Shape::Percentiles => Figure::Percentiles(&values),
            Shape::Ecdf => Figure::Ecdf(&values),
            Shape::Histogram => Figure::Histogram(&values),
        };
        render(figure, &labels)
    }
}

/// Writes the file that `option` names.
fn save(option: &str, path: &str, bytes: Result<Vec<u8>, String>) -> Result<(), String> {
    let failed = |why: String| format!("{option} {path}: {why}");
    let bytes = bytes.map_err(failed)?;
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&bytes)?;
        file.flush()
    };
    write().map_err(|error: std::io::Error| failed(error.to_string()))
}

fn shape(text: &str) -> Result<Shape, String> {
    match text {
        "timeline" => Ok(Shape::Timeline),
        "percentiles" => Ok(Shape::Percentiles),
        "ecdf" => Ok(Shape::Ecdf),
        "histogram" => Ok(Shape::Histogram),
        _ => Err(format!("'{text}' is none of timeline, percentiles, ecdf and histogram")),
    }
}

fn png(figure: Figure<'_>, labels: &Labels) -> Result<Vec<u8>, String> {
    #[cfg(feature = "png")]
    return plot::png(figure, labels, plot::Theme::Light).map_err(|error| error.to_string());
    #[cfg(not(feature = "png"))]
    {
        let _ = (figure, labels);
        Err("this lightmeter was built without the feature `png`".to_owned())
    }
}

/// What a series is called: by its kind, and its host where there are several.
fn name(probe: &Probe, several: bool) -> String {
    if several { format!("{} {}", probe.kind, probe.host) } else { probe.kind.clone() }
}

/// Whether one kind went to several hosts.
fn several(probes: &[Probe]) -> bool {
    probes.first().is_some_and(|first| probes.iter().any(|probe| probe.host != first.host))
}

/// The probes that count, by series and time. What was answered too late is
/// lost, as it is in the counts.
fn series(probes: &[Probe]) -> Vec<Series> {
    let several = several(probes);
    let start = probes.iter().filter_map(|probe| probe.due_ns).min().unwrap_or(0);
    let mut all: Vec<Series> = Vec::new();
    for probe in probes.iter().filter(|probe| !probe.warm_up && probe.status != "duplicate") {
        let at = probe.due_ns.map_or(0.0, |due| (due - start) as f64 / 1e9);
        let ns = probe.rtt_ns.filter(|_| probe.status == "answered");
        let name = name(probe, several);
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.samples.push(Sample { at, ns }),
            None => all.push(Series { name, samples: vec![Sample { at, ns }] }),
        }
    }
    all
}

fn csv_of(run: &Run<'_>) -> Result<Vec<u8>, String> {
    let several = several(run.probes);
    let names: Vec<String> = run.probes.iter().map(|probe| name(probe, several)).collect();
    let first = run.probes.iter().filter_map(|probe| probe.due_ns).min().unwrap_or(0);
    let since = |at: Option<u64>| at.map(|at| at.saturating_sub(first));
    // The kernel's stamps have a clock of their own: from the first of them.
    let stamps = run.probes.iter().filter_map(|probe| probe.left_ns.or(probe.came_ns));
    let stamped = stamps.min().unwrap_or(0);
    let by_kernel = |at: Option<u64>| at.map(|at| at.saturating_sub(stamped));
    let rows = run.probes.iter().zip(&names).map(|(probe, name)| csv::Row {
        series: name,
        seq: probe.seq,
        intended_ns: since(probe.due_ns),
        sent_ns: since(probe.sent_ns),
        tx_kernel_ns: by_kernel(probe.left_ns),
        rx_kernel_ns: by_kernel(probe.came_ns),
        received_ns: since(probe.received_ns),
        rtt_ns: probe.rtt_ns,
        network_ns: probe.network_ns,
        status: if probe.warm_up { "warm-up" } else { &probe.status },
    });
    let mut bytes = Vec::new();
    csv::write(&mut bytes, rows).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Of the first series: the format has no place for more.
fn hgrm_of(run: &Run<'_>) -> Result<Vec<u8>, String> {
    let series = series(run.probes);
    let first = series.first().ok_or("there are no probes to write")?;
    let text = hgrm::text(&Values::from(first), hgrm::Unit::Micros);
    text.map(String::into_bytes).map_err(|error| error.to_string())
}

fn hlog_of(run: &Run<'_>) -> Result<Vec<u8>, String> {
    let series = series(run.probes);
    let mut stretches: Vec<(&str, u64, Vec<u64>)> = Vec::new();
    for one in &series {
        for sample in &one.samples {
            let stretch = (sample.at * 1e9) as u64 / STRETCH_NS;
            match stretches.last_mut() {
                Some((name, at, values)) if *name == one.name && *at == stretch => {
                    values.extend(sample.ns);
                }
                _ => stretches.push((&one.name, stretch, sample.ns.into_iter().collect())),
            }
        }
    }
    stretches.sort_by_key(|(_, at, _)| *at);
    let intervals: Vec<_> = stretches
        .iter()
        .map(|(series, at, ns)| hlog::Interval {
            series,
            start: Duration::from_nanos(at * STRETCH_NS),
            length: Duration::from_nanos(STRETCH_NS),
            ns,
        })
        .collect();
    // A saved run may say anything.
    let start = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(run.started));
    let start = start.unwrap_or(SystemTime::UNIX_EPOCH);
    let mut bytes = Vec::new();
    hlog::write(&mut bytes, start, &run.title, &intervals).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(kind: &str, seq: u64, rtt: Option<u64>) -> Probe {
        Probe {
            sort: "probe".to_owned(),
            kind: kind.to_owned(),
            host: "127.0.0.1".to_owned(),
            seq,
            warm_up: seq == 0,
            status: if rtt.is_some() { "answered" } else { "lost" }.to_owned(),
            due_ns: Some(1_000 + 500_000_000 * seq),
            sent_ns: Some(1_100 + 500_000_000 * seq),
            left_ns: rtt.map(|_| 9_000_000 + seq),
            came_ns: rtt.map(|rtt| 9_000_000 + seq + rtt / 2),
            received_ns: rtt.map(|rtt| 1_100 + 500_000_000 * seq + rtt),
            rtt_ns: rtt,
            network_ns: rtt.map(|rtt| rtt / 2),
            ttl: None,
            why: None,
        }
    }

    fn probes() -> Vec<Probe> {
        let rtt = |seq: u64| (seq % 4 != 3).then_some(10_000 + 1_000 * seq);
        (0..12).map(|seq| probe(if seq % 2 == 0 { "udp" } else { "tcp" }, seq, rtt(seq))).collect()
    }

    #[test]
    fn lost_probes_are_gaps_and_those_that_warm_up_are_left_out() {
        let found = series(&probes());
        let names: Vec<_> =
            found.iter().map(|series| (&*series.name, series.samples.len())).collect();
        assert_eq!(names, [("tcp", 6), ("udp", 5)]);
        assert_eq!(found[0].samples.iter().filter(|sample| sample.ns.is_none()).count(), 3);
        assert!((found[0].samples[1].at - 1.5).abs() < 1e-9);
    }

    #[test]
    fn every_file_has_what_was_measured() {
        let probes = probes();
        let run = Run {
            title: "ping udp".to_owned(),
            caption: "every 1 ms".to_owned(),
            started: 1_700_000_000,
            probes: &probes,
        };
        let text = |bytes: Result<Vec<u8>, String>| String::from_utf8(bytes.unwrap()).unwrap();
        let csv = text(csv_of(&run));
        assert_eq!(csv.lines().count(), 13);
        assert!(
            csv.contains("udp,2,1000000000,1000000100,2,6002,1000012100,12000,6000,answered"),
            "{csv}"
        );
        assert!(csv.contains("udp,0,0,100,") && csv.contains(",warm-up"));
        assert!(text(hgrm_of(&run)).contains("Total count    =            3"));
        let hlog = text(hlog_of(&run));
        assert!(hlog.contains("Tag=udp") && hlog.contains("Tag=tcp"), "{hlog}");
        let output = Output::default();
        let svg = output.draw(&run, Shape::Percentiles, |f, l| Ok(plot::svg(f, l))).unwrap();
        assert!(svg.starts_with("<svg "));
        assert!(output.pictures(&run).contains("ping udp"));
        let nothing = Run { probes: &[], ..run };
        assert!(hgrm_of(&nothing).is_err());
        assert!(hlog_of(&nothing).is_ok() && csv_of(&nothing).is_ok());
    }
}
