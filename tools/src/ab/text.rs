//! What `lightmeter ab` shows to people, made of the document alone.

use std::fmt::Write as _;

use crate::paired::text::{conditions, interval, pace, remarks, share, table};

use super::doc::Doc;
use crate::output::Arms;
use crate::paired::doc::Group;
use lightmeter::plot::Values;

/// The whole text.
pub(crate) fn text(doc: &Doc) -> String {
    let mut text = String::new();
    if let Some(error) = &doc.error {
        let _ = writeln!(text, "{}: {}", error.kind, error.message);
    }
    if let (Some(config), Some(group)) = (&doc.config, &doc.result) {
        let (metric, pace) = (config.metric.name(), pace(group));
        if let [a, _, b] = &group.arms[..] {
            let kinds = if a.kind == b.kind {
                a.kind.clone()
            } else {
                format!("{} and {}", a.kind, b.kind)
            };
            let _ = writeln!(text, "ab {} {}: {metric} of {kinds}, {pace}", a.what, b.what);
        }
        text.push_str(&conditions(config, group.rounds.len()));
        text.push('\n');
        text.push_str(&table(group, |_| String::new()));
        text.push('\n');
        if let Some(again) = &group.again {
            let floor = share(group.floor.unwrap_or_default());
            let _ = writeln!(text, "A again to A  {}: the floor is {floor}", interval(again));
        }
        if let Some(ratio) = group.comparisons.first().and_then(|first| first.ratio.as_ref()) {
            let _ = writeln!(text, "B to A        {}", interval(ratio));
        }
    }
    text.push_str(&remarks(doc.interrupted, &doc.reasons, &doc.notes));
    for line in [&doc.sentence, &doc.advice].into_iter().flatten() {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// All arms as distributions: of each as many values as it got replies, of its
/// percentiles, so within 1 %.
pub(super) fn picture(group: &Group) -> Arms {
    let values = group.arms.iter().map(|arm| {
        let last = arm.percentiles_ns.len().saturating_sub(1);
        let replies = arm.received.min(MOST) as usize;
        let at = |reply: usize| arm.percentiles_ns.get(reply * last / (replies - 1).max(1));
        let values = (0..replies).filter_map(at).copied().collect();
        Values::new(format!("{} {}", arm.name, arm.what), values)
    });
    let kinds: Vec<_> = group.arms.first().map(|arm| arm.kind.clone()).into_iter().collect();
    Arms {
        title: format!("ab, {} of {}", pace(group), kinds.join(" and ")),
        quantity: "round-trip time".to_owned(),
        caption: format!("{} rounds; drawn from whole percentiles", group.rounds.len()),
        values: values.collect(),
    }
}

/// Values that are drawn of an arm.
const MOST: u64 = 100_000;
