//! The JSON Schemas of all that lightmeter writes, as shipped.

/// Each with its name.
const ALL: [(&str, &str); 8] = [
    ("ping", include_str!("../../schemas/ping.json")),
    ("probe", include_str!("../../schemas/probe.json")),
    ("stream", include_str!("../../schemas/stream.json")),
    ("load", include_str!("../../schemas/load.json")),
    ("ab", include_str!("../../schemas/ab.json")),
    ("sweep", include_str!("../../schemas/sweep.json")),
    ("subscribe", include_str!("../../schemas/subscribe.json")),
    ("doctor", include_str!("../../schemas/doctor.json")),
];

/// The one of that name.
///
/// # Errors
/// Says which names there are.
pub(super) fn named(name: &str) -> Result<&'static str, String> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, schema)| *schema).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        format!("'{name}' is none of {}", names.join(", "))
    })
}

#[cfg(test)]
#[path = "schemas_tests.rs"]
mod tests;
