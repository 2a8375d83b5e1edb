//! What `lightmeter sweep` shows to people, made of the document alone.

use std::fmt::Write as _;

use crate::paired::doc::Group;
use crate::paired::text::{conditions, interval, pace, remarks, table, verdict};

use super::doc::Doc;

/// The whole text.
pub(crate) fn text(doc: &Doc) -> String {
    let mut text = String::new();
    if let Some(error) = &doc.error {
        let _ = writeln!(text, "{}: {}", error.kind, error.message);
    }
    if let (Some(config), Some(first)) = (&doc.config, doc.groups.first()) {
        let settings = first.arms.len().saturating_sub(1);
        let metric = config.metric.name();
        let _ = writeln!(text, "sweep of {settings} settings: {metric} of {}", config.kind);
        text.push_str(&conditions(config, first.rounds.len()));
    }
    for (group, outcome) in doc.groups.iter().zip(&doc.outcomes) {
        let _ = writeln!(text, "\n{}", pace(group));
        text.push_str(&table(group, |arm| against_first(group, arm)));
        if doc.groups.len() > 1 {
            let _ = writeln!(text, "{}", outcome.sentence);
        }
    }
    if !doc.groups.is_empty() {
        text.push('\n');
    }
    text.push_str(&remarks(doc.interrupted, &doc.reasons, &doc.notes));
    if let Some(sentence) = &doc.sentence {
        let _ = writeln!(text, "{sentence}");
    }
    for command in &doc.commands {
        let _ = writeln!(text, "\n  {command}");
    }
    text
}

/// What is said of an arm behind its row.
fn against_first(group: &Group, arm: usize) -> String {
    if arm == 1 {
        return group.again.as_ref().map(interval).unwrap_or_default();
    }
    let Some(comparison) = group.comparisons.iter().find(|comparison| comparison.arm == arm) else {
        return String::new();
    };
    match &comparison.ratio {
        Some(ratio) => format!("{}  {}", interval(ratio), verdict(comparison)),
        None => verdict(comparison),
    }
}
