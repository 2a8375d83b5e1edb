//! What a server is started with, as it is written to compare:
//! `nodelay=0,cc=reno`, or `default`. Which names and values there are is the
//! server's to say; here is only what would not be compared if it were set.

use std::fmt;

/// The setting of a server that is given nothing.
pub(crate) const DEFAULT: &str = "default";

/// Names that are not the server's to choose here, and why.
const FOREIGN: [(&str, &str); 9] = [
    ("listen", "a private server listens where lightmeter can find it"),
    ("host", "a private server listens where lightmeter can find it"),
    ("push", "a private server sends to nobody else"),
    ("allow_host", "a private server has no HTTP"),
    ("config", "name the settings themselves"),
    ("framing", "probes go as they are, framing=raw"),
    ("size", "it is of the probes: -s SIZE, or size=V,V in a sweep"),
    ("interval", "it is of the probes: -i DUR, or interval=V,V in a sweep"),
    ("help", "lightmeter --help, or nearlight serve --help"),
];

/// Names that mean nothing to an echo.
const OF_STREAMS: [&str; 8] =
    ["join", "max_lag", "policy", "window", "window_bytes", "timeout", "wait", "coalesce"];

/// Settings of a server, in the order in which they were given; none are its
/// defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting(Vec<(String, String)>);

impl Setting {
    /// Reads `KEY=VALUE,KEY=VALUE`, or `default`.
    ///
    /// # Errors
    /// It is neither, or names what can't be compared.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut setting = Self::default();
        for part in text.split(',').filter(|part| *part != DEFAULT) {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                format!("'{part}' is not a setting: write KEY=VALUE, or '{DEFAULT}'")
            })?;
            setting.set(key, value)?;
        }
        Ok(setting)
    }

    /// Adds one; `default` as its value leaves it out.
    ///
    /// # Errors
    /// It is there already, or can't be compared.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        check_key(key)?;
        let key = key.replace('-', "_");
        if self.has(&key) {
            return Err(format!("{key}: it is set twice"));
        }
        if value != DEFAULT {
            self.0.push((key, value.to_owned()));
        }
        Ok(())
    }

    /// Whether it says something about `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }

    /// The first key that means nothing where there is no stream.
    pub(crate) fn of_streams(&self) -> Option<&str> {
        let mut keys = self.0.iter().map(|(key, _)| key.as_str());
        keys.find(|key| OF_STREAMS.contains(key))
    }

    /// The flags of `nearlight serve`.
    pub(crate) fn flags(&self) -> Vec<String> {
        self.0.iter().map(|(key, value)| format!("--{}={value}", key.replace('_', "-"))).collect()
    }

    /// A line that starts such a server, for a shell.
    pub(crate) fn command(&self) -> String {
        let mut line = "nearlight serve".to_owned();
        for flag in self.flags() {
            line.push(' ');
            line.push_str(&quoted(&flag));
        }
        line
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(DEFAULT);
        }
        let parts: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.write_str(&parts.join(","))
    }
}

/// Refuses keys that are no settings to compare.
///
/// # Errors
/// Says why.
pub(crate) fn check_key(key: &str) -> Result<(), String> {
    let plain = key.replace('-', "_");
    if let Some((_, why)) = FOREIGN.iter().find(|(name, _)| *name == plain) {
        return Err(format!("{key}: {why}"));
    }
    let is_word = !key.is_empty()
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
    if is_word { Ok(()) } else { Err(format!("'{key}' is not the name of a setting")) }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_=.:/,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_flags_and_a_line_for_a_shell() {
        let setting = Setting::parse("nodelay=0,notsent-lowat=16K,cc=re no").expect("right");
        assert_eq!(setting.to_string(), "nodelay=0,notsent_lowat=16K,cc=re no");
        assert_eq!(setting.flags(), ["--nodelay=0", "--notsent-lowat=16K", "--cc=re no"]);
        assert_eq!(
            setting.command(),
            "nearlight serve --nodelay=0 --notsent-lowat=16K '--cc=re no'"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
        for text in ["default", "nodelay=default"] {
            let setting = Setting::parse(text).expect(text);
            assert_eq!((setting.to_string().as_str(), setting.flags().len()), ("default", 0));
        }
        assert_eq!(setting.of_streams(), None);
        let stream = Setting::parse("nodelay=1,max-lag=1s").expect("right");
        assert_eq!(stream.of_streams(), Some("max_lag"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("quickack", "'quickack' is not a setting: write KEY=VALUE"),
            ("nodelay=1,nodelay=0", "set twice"),
            ("listen=tcp://:1?echo", "listen: a private server"),
            ("size=64", "-s SIZE"),
            ("allow-host=x", "allow-host: "),
            ("-v=1", "'-v' is not the name"),
            ("No=1", "'No' is not the name"),
            ("=1", "'' is not the name"),
            ("", "'' is not a setting"),
        ] {
            let error = Setting::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
