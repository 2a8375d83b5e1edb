//! A probe as an object on a line: `lightmeter ping --json-lines`, and saved
//! runs. Its schema is `tools/schemas/probe.json`. A probe that was given up
//! and answered after all has two lines; the later one counts.

use nearlight::client::ping::{Event, Fate, Kind, Outcome, Plan, Record};
use serde::{Deserialize, Serialize};

use super::doc::{nanos, whole};

/// What each line says it is.
pub(crate) const TYPE: &str = "probe";
/// What may have become of a probe.
const STATUSES: [&str; 5] = ["answered", "late", "duplicate", "lost", "refused"];

/// One probe. Times are nanoseconds: `due`, `sent` and `received` of
/// `CLOCK_MONOTONIC`, `left` and `came` of `CLOCK_REALTIME`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    #[serde(rename = "type")]
    pub(crate) sort: String,
    pub(crate) kind: String,
    pub(crate) host: String,
    /// From 0.
    pub(crate) seq: u64,
    pub(crate) warm_up: bool,
    /// `answered`, `late`, `duplicate`, `lost` or `refused`.
    pub(crate) status: String,
    pub(crate) due_ns: Option<u64>,
    pub(crate) sent_ns: Option<u64>,
    pub(crate) left_ns: Option<u64>,
    pub(crate) came_ns: Option<u64>,
    pub(crate) received_ns: Option<u64>,
    pub(crate) rtt_ns: Option<u64>,
    pub(crate) network_ns: Option<u64>,
    pub(crate) ttl: Option<u8>,
    /// Why it was refused.
    pub(crate) why: Option<String>,
}

impl Probe {
    /// Of an event, if it is about a probe.
    pub(crate) fn of(plan: &Plan, event: &Event) -> Option<Self> {
        match event {
            Event::Reply(answer) => {
                let status = match answer.outcome {
                    Outcome::InTime => "answered",
                    Outcome::Late => "late",
                    Outcome::Duplicate => "duplicate",
                };
                let mut probe = Self::new(plan, answer.way, answer.sequence, answer.record, status);
                probe.rtt_ns = nanos(answer.rtt);
                probe.ttl = answer.ttl;
                Some(probe)
            }
            Event::Lost { way, sequence, record } => {
                Some(Self::new(plan, *way, *sequence, *record, "lost"))
            }
            Event::Trouble { way, sequence, record, what, .. } => {
                let mut probe = Self::new(plan, *way, *sequence, *record, "refused");
                probe.why = Some(what.clone());
                Some(probe)
            }
            Event::Failed { .. } | Event::Quiet | Event::Done => None,
        }
    }

    /// Whether its words are among those that there are.
    ///
    /// # Errors
    /// Says which is not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = [
            ("type", &self.sort, self.sort == TYPE),
            ("kind", &self.kind, Kind::named(&self.kind).is_some()),
            ("status", &self.status, STATUSES.contains(&self.status.as_str())),
        ];
        match known.into_iter().find(|(_, _, is_known)| !is_known) {
            Some((key, word, _)) => Err(format!("a probe can't have the {key} '{word}'")),
            None => Ok(()),
        }
    }

    fn new(
        plan: &Plan,
        way: usize,
        sequence: u64,
        record: Option<Record>,
        status: &'static str,
    ) -> Self {
        let stamp = |stamp: Option<nearlight::sys::clock::Stamp>| stamp.map(|s| s.as_nanos());
        let way = plan.ways.get(way);
        Self {
            sort: TYPE.to_owned(),
            kind: way.map_or("", |way| way.kind.name()).to_owned(),
            host: way.map_or_else(String::new, |way| way.target.name.clone()),
            seq: sequence,
            warm_up: sequence < plan.warm_up,
            status: status.to_owned(),
            due_ns: record.map(|record| record.intended.as_nanos()),
            sent_ns: record.map(|record| record.sent.as_nanos()),
            left_ns: stamp(record.and_then(|record| record.left)),
            came_ns: stamp(record.and_then(|record| record.came)),
            received_ns: record.and_then(|r| r.received).map(|at| at.as_nanos()),
            rtt_ns: None,
            network_ns: record.and_then(|record| record.network()).map(whole),
            ttl: None,
            why: None,
        }
    }

    /// Of what was kept of a run, probe by probe.
    pub(crate) fn of_record(plan: &Plan, way: usize, record: &Record) -> Option<Self> {
        let status = match record.fate {
            Fate::Waiting => return None,
            Fate::Answered => "answered",
            Fate::Late => "late",
            Fate::Lost => "lost",
            Fate::Failed => "refused",
        };
        let mut probe = Self::new(plan, way, record.sequence, Some(*record), status);
        probe.rtt_ns = nanos(record.user());
        Some(probe)
    }
}
