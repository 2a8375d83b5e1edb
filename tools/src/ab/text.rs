//! What `lightmeter ab` shows to people, made of the document alone.

use std::fmt::Write as _;

use crate::paired::text::{conditions, interval, pace, remarks, share, table};

use super::doc::Doc;

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
