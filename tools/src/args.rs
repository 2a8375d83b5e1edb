//! What the subcommands' arguments have in common.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lexopt::ValueExt;
use nearlight::base::units::{format_duration, parse_duration, parse_size};
use nearlight::client::ping::Wait;
use nearlight::limits::{PING_INTERVAL_MIN, PING_SIZE_MAX, PROBE_BYTES};

/// One argument, apart from the parser that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// An option with its dashes.
    Option(String),
    /// A name; one of a file may be no text.
    Name(OsString),
}

/// The next argument.
///
/// # Errors
/// One that can't be an argument.
pub(crate) fn next(parser: &mut lexopt::Parser) -> Result<Option<Given>, String> {
    let argument = parser.next().map_err(|error| error.to_string())?;
    Ok(argument.map(|argument| match argument {
        lexopt::Arg::Short(letter) => Given::Option(format!("-{letter}")),
        lexopt::Arg::Long(name) => Given::Option(format!("--{name}")),
        lexopt::Arg::Value(word) => Given::Name(word),
    }))
}

/// Reads a duration with a unit, or a plain number of seconds as ping(8) takes.
///
/// # Errors
/// Says what was expected.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain {
        parse_duration(&format!("{text}s")).map_err(|error| error.replacen("s'", "'", 1))
    } else {
        parse_duration(text)
    }
}

/// The value of `option`, read by `read`; errors name the option.
///
/// # Errors
/// There is no value, or `read` refuses it.
pub(crate) fn value<T>(
    parser: &mut lexopt::Parser,
    option: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let text = parser
        .value()
        .and_then(|value| value.string())
        .map_err(|error| format!("{option}: {error}"))?;
    read(&text).map_err(|error| format!("{option}: {error}"))
}

/// Any text.
///
/// # Errors
/// None; as the others.
pub(crate) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Reads the number of a core that this process may use.
///
/// # Errors
/// It is no number, or names the cores that there are.
pub(crate) fn cpu(text: &str) -> Result<usize, String> {
    let cpu = text.parse().map_err(|_| format!("'{text}' is not the number of a core"))?;
    nearlight::sys::affinity::check(cpu).map_err(|error| error.to_string())?;
    Ok(cpu)
}

/// Reads a whole number above zero.
///
/// # Errors
/// Says what was expected.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("'{text}' is not a whole number above 0")),
        Ok(number) => Ok(number),
    }
}

/// How to wait for the next probe.
///
/// # Errors
/// Says what was expected.
pub(crate) fn pace(text: &str) -> Result<Wait, String> {
    Wait::named(text).ok_or_else(|| format!("'{text}' is none of sleep, hybrid and spin"))
}

/// Time between two probes.
///
/// # Errors
/// Says what was expected.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < PING_INTERVAL_MIN {
        let least = format_duration(PING_INTERVAL_MIN);
        return Err(format!("{text} is too short: {least} is the least"));
    }
    Ok(interval)
}

/// A duration that is not nothing.
///
/// # Errors
/// Says what was expected.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let span = duration(text)?;
    if span.is_zero() {
        return Err("it must be longer than 0".to_owned());
    }
    Ok(span)
}

/// Bytes of data in a probe.
///
/// # Errors
/// Says what was expected.
pub(crate) fn probe_size(text: &str) -> Result<usize, String> {
    let size = usize::try_from(parse_size(text)?).unwrap_or(usize::MAX);
    if size < PROBE_BYTES {
        return Err(format!(
            "{size} is too small: the first {PROBE_BYTES} bytes are what a reply is known by"
        ));
    }
    if size > PING_SIZE_MAX {
        return Err(format!("{size} is too large: {PING_SIZE_MAX} is what a datagram holds"));
    }
    Ok(size)
}

/// Loopback, link-local and the ranges of RFC 1918 and RFC 4193, and those for
/// documentation and benchmarks, which lead nowhere else.
pub(crate) fn is_own_network(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_documentation()
                || (first == 198 && (18..20).contains(&second))
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(
            || {
                v6 == Ipv6Addr::LOCALHOST
                    || v6.is_unspecified()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
            },
            |v4| is_own_network(IpAddr::V4(v4)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        assert_eq!(duration("0.2"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("20us"), Ok(Duration::from_micros(20)));
        assert_eq!(duration("3"), Ok(Duration::from_secs(3)));
        for wrong in ["", "-1", "1.", "fast", "1e3"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        let error = duration("1.2.3").expect_err("two points");
        assert!(error.starts_with("'1.2.3' is not"), "{error}");
    }
}
