//! A real Prometheus: its linter has nothing to say of the metrics, and it scrapes
//! them and answers the questions of `METRICS.md`.

use crate::program::{Outcome, Program, Stage, until};
use crate::reader::Reader;
use crate::server::{NAME, Server, binary};
use std::time::Duration;

/// A start, two scrapes a second apart, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_secs(5);

/// With a live stream and subscribers.
pub(crate) fn scrapes(stage: &Stage) -> Outcome {
    let server = Server::start(stage, &[])?;
    let path = binary("lightmeter")?;
    let line = format!("exec '{}' publish tcp://{} --demo", path.display(), server.tcp_in);
    let _publisher = Program::start(stage, "publisher", &line)?;
    let over_tcp = Reader::tcp(&server.tcp_out)?;
    let over_http = Reader::http(&server.http, &format!("/{NAME}.ts?wait=5s"))?;
    over_tcp.has(100_000, STEP)?;
    over_http.has(100_000, STEP)?;
    let line = format!(
        "curl -sS --fail -o metrics.txt http://{}/metrics && promtool check metrics <metrics.txt 2>&1",
        server.http
    );
    let said = stage.output("lint", &line, STEP)?;
    if !said.is_empty() {
        return Err(format!("promtool check metrics: {said}"));
    }
    let text = String::from_utf8_lossy(&stage.read("metrics.txt")?).into_owned();
    for wanted in ["nearlight_residence_seconds_bucket{", "nearlight_stream_sent_bytes_total{"] {
        if !text.contains(wanted) {
            return Err(format!("no {wanted} while a stream is live:\n{text}"));
        }
    }
    let prometheus = Prometheus::start(stage, &server)?;
    prometheus.answers("up", |up| up == 1.0)?;
    let received = format!("rate(nearlight_stream_received_bytes_total{{stream=\"{NAME}\"}}[20s])");
    // The demo is some 20 KB 25 times a second.
    prometheus.answers(&received, |rate| (100_000.0..2_000_000.0).contains(&rate))?;
    let stayed = "sum by (stream, le) (rate(nearlight_residence_seconds_bucket[20s]))";
    prometheus
        .answers(&format!("histogram_quantile(0.5, {stayed})"), |p50| (1e-6..1.0).contains(&p50))?;
    prometheus.answers("sum(nearlight_subscribers)", |count| count == 2.0)?;
    prometheus.answers("sum(rate(nearlight_busy_seconds_total[20s]))", |busy| {
        (1e-6..2.0).contains(&busy)
    })?;
    server.stop()
}

/// A Prometheus that scrapes one server each second.
struct Prometheus<'a> {
    stage: &'a Stage,
    _program: Program,
    address: String,
}

impl<'a> Prometheus<'a> {
    fn start(stage: &'a Stage, server: &Server) -> Outcome<Self> {
        let config = format!(
            "scrape_configs:\n  - job_name: nearlight\n    scrape_interval: 1s\n    \
             scrape_timeout: 1s\n    static_configs: [{{targets: ['{}']}}]\n",
            server.http
        );
        stage.write("prometheus.yml", config.as_bytes())?;
        let line = "exec prometheus --config.file=prometheus.yml --storage.tsdb.path=data \
                    --web.listen-address=127.0.0.1:0";
        let program = Program::start(stage, "prometheus", line)?;
        let address = until("prometheus listens", PATIENCE, || {
            let log = stage.read("prometheus.err").ok()?;
            let log = String::from_utf8_lossy(&log).into_owned();
            let told = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            told.split("address=").nth(1).map(str::to_owned)
        })?;
        Ok(Self { stage, _program: program, address })
    }

    /// Asks until one number comes back that is as it should be.
    fn answers(&self, query: &str, is_right: impl Fn(f64) -> bool) -> Outcome {
        let line = format!("promtool query instant http://{} '{query}'", self.address);
        let mut last = String::new();
        let outcome = until(query, PATIENCE, || {
            last = self.stage.output("query", &line, STEP).unwrap_or_else(|why| why);
            // `{stream="a"} => 1.5 @[1700000000]`
            let (_, rest) = last.split_once("=> ")?;
            let number = rest.split_whitespace().next()?.parse().ok()?;
            is_right(number).then_some(())
        });
        outcome.map_err(|why| format!("{why}; the last answer: {last}"))
    }
}
