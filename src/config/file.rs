//! The configuration file: TOML, flat, with the names of the flags.
//!
//! ```toml
//! listen = ["http://:8080", "udp://:5000?publish=cam"]
//! cpus = "2,3"
//! nodelay = true
//! max_lag = "250ms"
//! ```
//!
//! Everything goes through the same setters as the flags, so that a value has
//! one grammar; the file only adds the line to what is wrong with it.

use super::settings::Settings;
use std::path::Path;

/// Reads `path`; the message of what is wrong names file and line.
#[cfg(not(feature = "config"))]
pub(super) fn read(path: &Path) -> Result<Settings, String> {
    Err(format!(
        "{}: this nearlight was built without the feature 'config' and reads no files: \
         use flags, or build with default features",
        path.display()
    ))
}

#[cfg(feature = "config")]
pub(super) use toml_file::read;

#[cfg(feature = "config")]
mod toml_file {
    use super::{Path, Settings};
    use crate::config::settings::known_keys;
    use crate::config::suggest::hint;
    use crate::limits;
    use std::fs::File;
    use std::io::Read;
    use toml::Spanned;
    use toml::de::{DeString, DeTable, DeValue};

    /// Reads `path`; the message of what is wrong names file and line.
    pub(in crate::config) fn read(path: &Path) -> Result<Settings, String> {
        let name = path.display().to_string();
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(limits::CONFIG_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| format!("{name}: can't be read: {error}"))?;
        if text.len() as u64 > limits::CONFIG_BYTES {
            return Err(format!(
                "{name}: larger than {} bytes: not a configuration file",
                limits::CONFIG_BYTES
            ));
        }
        parse(&name, &text)
    }

    /// Reads `text`, which `name` holds.
    pub(in crate::config) fn parse(name: &str, text: &str) -> Result<Settings, String> {
        let source = Source { name, text };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            format!("{}: {}", source.place(at), error.message().replace('\n', ", "))
        })?;
        // In the order of the file, so that the first mistake is told first.
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut settings = Settings::default();
        for (key, value) in entries {
            source.take(&mut settings, key, value)?;
        }
        Ok(settings)
    }

    /// A file's name and text.
    struct Source<'a> {
        name: &'a str,
        text: &'a str,
    }

    impl Source<'_> {
        /// File and line, counted from 1, of the byte at `offset`.
        fn place(&self, offset: usize) -> String {
            let before = &self.text.as_bytes()[..offset.min(self.text.len())];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            format!("{}:{line}", self.name)
        }

        /// Takes one `key = value`.
        fn take(
            &self,
            settings: &mut Settings,
            key: &Spanned<DeString<'_>>,
            value: &Spanned<DeValue<'_>>,
        ) -> Result<(), String> {
            let written = key.get_ref();
            let key_place = self.place(key.span().start);
            let key = written.replace('-', "_");
            if known_keys().all(|known| known != key) {
                let hint = hint(&key, known_keys());
                let rest = if hint.is_empty() {
                    ": the names are those of the flags of nearlight serve --help"
                } else {
                    &hint
                };
                return Err(format!("{key_place}: unknown key '{written}'{rest}"));
            }
            let is_list = matches!(key.as_str(), "listen" | "pull" | "push" | "allow_host");
            let values: Vec<_> = match (value.get_ref(), is_list) {
                (DeValue::Array(values), true) => values.iter().collect(),
                (_, _) => vec![value],
            };
            for value in values {
                let place = self.place(value.span().start);
                let Some(text) = scalar(value.get_ref()) else {
                    return Err(format!(
                        "{place}: {written}: {} stands where {} belongs",
                        type_of(value.get_ref()),
                        if is_list {
                            "a string or a list of strings"
                        } else {
                            "a string, a whole number, true or false"
                        }
                    ));
                };
                settings
                    .set(&key, Some(&text), &format!("{place}: {written}"))
                    .map_err(|why| format!("{place}: {why}"))?;
            }
            Ok(())
        }
    }

    /// The value as it would stand on the command line; `None` for what has no
    /// such form.
    fn scalar(value: &DeValue<'_>) -> Option<String> {
        match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Boolean(true) => Some("on".to_owned()),
            DeValue::Boolean(false) => Some("off".to_owned()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        }
    }

    fn type_of(value: &DeValue<'_>) -> &'static str {
        match value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number that is not decimal",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}
