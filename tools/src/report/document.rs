//! What a run leaves behind, of whichever command: told by its `schema`.
//!
//! A new kind of document is one variant, one name, and one arm in each function.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::read::reason;
use crate::ping::{self, stream};
use crate::{ab, load, sweep};

/// A document. It is written as what it holds.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Document {
    /// Of `lightmeter ping`.
    Ping(Box<ping::doc::Doc>),
    /// Of `lightmeter ping stream`.
    Stream(Box<stream::Doc>),
    /// Of `lightmeter load`.
    Load(Box<load::doc::Doc>),
    /// Of `lightmeter ab`.
    Ab(Box<ab::doc::Doc>),
    /// Of `lightmeter sweep`.
    Sweep(Box<sweep::doc::Doc>),
}

/// The schemas above.
const KNOWN: [&str; 5] =
    [ping::doc::SCHEMA, stream::SCHEMA, load::doc::SCHEMA, ab::doc::SCHEMA, sweep::doc::SCHEMA];

impl Document {
    /// Reads the JSON of a document that says it is of `schema`.
    ///
    /// # Errors
    /// It is none that is known, or not as its schema says.
    pub(super) fn read(schema: &str, json: &[u8]) -> Result<Self, String> {
        match schema {
            ping::doc::SCHEMA => typed(schema, json).map(Self::Ping),
            stream::SCHEMA => typed(schema, json).map(Self::Stream),
            load::doc::SCHEMA => typed(schema, json).map(Self::Load),
            ab::doc::SCHEMA => typed(schema, json).map(Self::Ab),
            sweep::doc::SCHEMA => typed(schema, json).map(Self::Sweep),
            _ => Err(strange(schema)),
        }
    }

    /// What the run printed at its end, but for the lines of single probes.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Ping(doc) => ping::text::whole(doc),
            Self::Stream(doc) => stream::text(doc),
            Self::Load(doc) => load::doc::whole(doc),
            Self::Ab(doc) => ab::text::text(doc),
            Self::Sweep(doc) => sweep::text::text(doc),
        }
    }
}

fn typed<T: DeserializeOwned>(schema: &str, json: &[u8]) -> Result<Box<T>, String> {
    let wrong = |error| format!("not as {schema} says: {}", reason(&error));
    serde_json::from_slice(json).map(Box::new).map_err(wrong)
}

/// Why a document can't be read: somebody else's, or of a later version.
fn strange(schema: &str) -> String {
    let version = |schema: &str| {
        let (name, version) = schema.rsplit_once('/')?;
        Some((name.to_owned(), version.parse::<u64>().ok()?))
    };
    let newer = version(schema).filter(|(name, theirs)| {
        let ours = KNOWN.iter().filter_map(|known| version(known));
        ours.into_iter().any(|(known, ours)| known == *name && *theirs > ours)
    });
    if newer.is_some() {
        return format!(
            "a document of {schema} is newer than this lightmeter, {}: a newer one reads it",
            env!("CARGO_PKG_VERSION")
        );
    }
    format!("a document of '{schema}', expected one of {}", KNOWN.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_others_and_of_tomorrow_are_refused() {
        for (schema, part) in [
            ("nearlight.lightmeter.ping/2", "newer than this lightmeter"),
            ("nearlight.lightmeter.ping/0", "expected one of nearlight.lightmeter.ping/1"),
            ("nearlight.lightmeter.doctor/1", "expected one of"),
            ("ping", "'ping', expected one of"),
            ("/2", "expected one of"),
            ("", "expected one of"),
        ] {
            let Err(error) = Document::read(schema, b"{}") else { panic!("{schema}") };
            assert!(error.contains(part), "{schema}: {error}");
        }
        let Err(error) = Document::read(ping::doc::SCHEMA, b"{}") else { panic!("empty") };
        assert_eq!(
            error,
            "not as nearlight.lightmeter.ping/1 says: missing field `schema` (column 2)"
        );
    }
}
