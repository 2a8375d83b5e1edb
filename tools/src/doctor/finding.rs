//! What the doctor says about one thing, and in which place its advice holds:
//! the same setting is a command on a host and a start option of a container.

use std::fmt;

/// What a finding comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It makes measuring worse, or impossible.
    Limit,
    /// It is to be known when reading the numbers.
    Note,
    /// It stands in nobody's way.
    Ok,
}

impl Verdict {
    /// In reports, and in JSON.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }
}

/// One line that mends it. Commands that take root are written with `sudo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fix {
    /// A command that works where we are.
    Here(String),
    /// A command that changes the whole machine.
    Machine(String),
    /// A sysctl that each network namespace has for itself: key and value.
    Network(&'static str, &'static str),
}

/// Where system settings can be changed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seal {
    /// From here.
    #[default]
    Open,
    /// Not from within this container: its /proc/sys is read-only.
    Container,
    /// Not from within this user namespace.
    Users,
}

/// Where we are, as far as advice depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) root: bool,
    pub(super) seal: Seal,
    /// The network namespace takes settings from us, whatever else is sealed.
    pub(super) owns_network: bool,
}

impl Fix {
    /// The line to print.
    pub(super) fn line(&self, place: Place) -> String {
        let here = |command: &str| {
            if place.root { command.replace("sudo ", "") } else { command.to_owned() }
        };
        match (self, place.seal) {
            (Self::Network(key, value), _) if place.owns_network => here(&sysctl(key, value)),
            (Self::Here(command), _) | (Self::Machine(command), Seal::Open) => here(command),
            (Self::Machine(command), Seal::Container) => format!("on the host: {command}"),
            (Self::Machine(command), Seal::Users) => {
                format!("outside this user namespace: {command}")
            }
            (Self::Network(key, value), Seal::Open) => here(&sysctl(key, value)),
            (Self::Network(key, value), Seal::Container) => {
                format!("start the container with --sysctl {key}={}", quoted(value))
            }
            (Self::Network(key, value), Seal::Users) => {
                format!("outside this user namespace: {}", sysctl(key, value))
            }
        }
    }
}

/// The command that sets a sysctl until the next boot.
pub(super) fn sysctl(key: &str, value: &str) -> String {
    format!("sudo sysctl -w {key}={}", quoted(value))
}

fn quoted(value: &str) -> String {
    if value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() }
}

/// What the doctor says about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it is about, in one word that programs can rely on.
    pub(super) topic: &'static str,
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) value: String,
    /// What that means for a measurement.
    pub(super) meaning: String,
    pub(super) fix: Option<Fix>,
    /// The kind of measurement that can't be had here at all because of it.
    pub(super) prevents: Option<&'static str>,
}

impl Finding {
    /// It stands in nobody's way.
    pub(super) fn ok(
        topic: &'static str,
        value: impl fmt::Display,
        meaning: impl fmt::Display,
    ) -> Self {
        Self {
            topic,
            verdict: Verdict::Ok,
            value: value.to_string(),
            meaning: meaning.to_string(),
            fix: None,
            prevents: None,
        }
    }

    /// It is to be known when reading the numbers.
    pub(super) fn note(
        topic: &'static str,
        value: impl fmt::Display,
        meaning: impl fmt::Display,
    ) -> Self {
        Self { verdict: Verdict::Note, ..Self::ok(topic, value, meaning) }
    }

    /// It makes measuring worse.
    pub(super) fn limit(
        topic: &'static str,
        value: impl fmt::Display,
        meaning: impl fmt::Display,
    ) -> Self {
        Self { verdict: Verdict::Limit, ..Self::ok(topic, value, meaning) }
    }

    /// Where the kernel, or who made the sandbox, doesn't tell.
    pub(super) fn unknown(topic: &'static str) -> Self {
        Self::note(topic, "unknown", "the kernel does not tell it here")
    }

    /// The same with a way to mend it.
    pub(super) fn fix(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }

    /// The same, so bad that `kind` of measurement can't be had.
    pub(super) fn prevents(self, kind: &'static str) -> Self {
        Self { prevents: Some(kind), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_the_place() {
        let user = Place::default();
        let root = Place { root: true, ..user };
        let container = Place { seal: Seal::Container, ..root };
        let users = Place { seal: Seal::Users, ..root };
        let own = Place { owns_network: true, ..users };
        let network = Fix::Network("net.ipv4.ping_group_range", "0 2147483647");
        let machine = Fix::Machine("echo tsc | sudo tee /sys/x".to_owned());
        let here = Fix::Here("sudo ip link set lo up".to_owned());
        for (fix, place, line) in [
            (&network, user, "sudo sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""),
            (&network, root, "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""),
            (
                &network,
                container,
                "start the container with --sysctl net.ipv4.ping_group_range=\"0 2147483647\"",
            ),
            (
                &network,
                users,
                "outside this user namespace: sudo sysctl -w \
                 net.ipv4.ping_group_range=\"0 2147483647\"",
            ),
            (&network, own, "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""),
            (&machine, own, "outside this user namespace: echo tsc | sudo tee /sys/x"),
            (&machine, user, "echo tsc | sudo tee /sys/x"),
            (&machine, root, "echo tsc | tee /sys/x"),
            (&machine, container, "on the host: echo tsc | sudo tee /sys/x"),
            (&machine, users, "outside this user namespace: echo tsc | sudo tee /sys/x"),
            (&here, user, "sudo ip link set lo up"),
            (&here, container, "ip link set lo up"),
        ] {
            assert_eq!(fix.line(place), line);
        }
    }
}
