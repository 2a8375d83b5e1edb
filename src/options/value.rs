//! Values of socket options: from text to the kernel's unit and back.

use super::table::{DSCP_NAMES, Kind, Opt, Row};
use crate::base::units::{format_duration, format_size, parse_duration, parse_size};
use std::time::Duration;

/// For `incoming_cpu`: the core of the shard that a listener is of.
const OWN: &str = "own";

/// A value as the kernel takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// In the kernel's unit; a switch is 0 or 1, a DSCP not yet shifted.
    Number(u32),
    /// A name.
    Text(String),
}

impl Value {
    /// Reads `text` for the option of `row`; `None` is a bare key.
    pub(super) fn parse(row: &Row, text: Option<&str>) -> Result<Self, String> {
        let text = match text {
            None | Some("on") if row.takes_bare() => row.bare,
            None => return Err(format!("{}: a value is needed: {}", row.name, accepts(row))),
            // `1` is "on" wherever a number says nothing else.
            Some("1") if row.takes_bare() && row.kind != Kind::Number => row.bare,
            Some(text) => text,
        };
        let wrong = || format!("{}: '{text}' is not {}", row.name, accepts(row));
        if row.kind == Kind::Text {
            // A name of the kernel's holds at most 15 bytes (TCP_CA_NAME_MAX).
            let fits = (1..=15).contains(&text.len());
            let plain = text.bytes().all(|b| b.is_ascii_graphic());
            return if fits && plain { Ok(Self::Text(text.to_owned())) } else { Err(wrong()) };
        }
        if row.opt == Opt::IncomingCpu && text == OWN {
            return Ok(Self::Text(text.to_owned()));
        }
        let number = number(row, text).ok_or_else(wrong)?;
        let zero_is_off = row.range.0 == 0 && number == 0;
        if !zero_is_off && !(u64::from(row.range.0)..=u64::from(row.range.1)).contains(&number) {
            return Err(wrong());
        }
        Ok(Self::Number(u32::try_from(number).map_err(|_| wrong())?))
    }

    /// The value as a person would write it for the option of `row`.
    pub(super) fn render(&self, row: &Row) -> String {
        let n = match self {
            Self::Text(text) => return text.clone(),
            Self::Number(n) => *n,
        };
        match row.kind {
            Kind::Switch if n == 0 => "off".to_owned(),
            Kind::Switch => "on".to_owned(),
            Kind::Span { .. } if n == 0 => "off".to_owned(),
            Kind::Span { unit } => {
                format_duration(Duration::from_nanos(unit.saturating_mul(u64::from(n))))
            }
            Kind::Size => format_size(u64::from(n)),
            Kind::Number | Kind::Dscp | Kind::Text => n.to_string(),
        }
    }

    /// The number; 0 of a name, which no caller asks for.
    pub(super) fn number(&self) -> u32 {
        match self {
            Self::Number(n) => *n,
            Self::Text(_) => 0,
        }
    }
}

/// `text` in the kernel's unit, rounded up; `None` if it is not of that kind.
fn number(row: &Row, text: &str) -> Option<u64> {
    match (row.kind, text) {
        (Kind::Switch, "on" | "1") => Some(1),
        (Kind::Switch | Kind::Span { .. }, "off") | (Kind::Switch, "0") => Some(0),
        (Kind::Number, "off") if row.takes_bare() => Some(0),
        (Kind::Size, _) => parse_size(text).ok(),
        (Kind::Span { unit }, _) => {
            let nanos = u64::try_from(parse_duration(text).ok()?.as_nanos()).ok()?;
            Some(nanos.div_ceil(unit))
        }
        (Kind::Number, _) => digits(text),
        (Kind::Dscp, _) => {
            let name = text.to_ascii_lowercase();
            let named = DSCP_NAMES.iter().find(|(known, _)| *known == name);
            named.map(|(_, code)| u64::from(*code)).or_else(|| digits(text))
        }
        (Kind::Switch | Kind::Text, _) => None,
    }
}

/// Digits alone: `u64::from_str` would take a leading plus too.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What an option takes, for error messages: completes "is not ...".
pub(super) fn accepts(row: &Row) -> String {
    let (least, most) = row.range;
    match row.kind {
        Kind::Switch => "on, off, 1 or 0".to_owned(),
        Kind::Size => format!(
            "a size from {} to {}, such as 64K or 4M",
            format_size(u64::from(least)),
            format_size(u64::from(most))
        ),
        Kind::Span { unit } => format!(
            "off or a duration up to {}, such as {}",
            format_duration(Duration::from_nanos(unit.saturating_mul(u64::from(most)))),
            if unit < 1_000_000 { "50us" } else { "10s" }
        ),
        Kind::Number if row.takes_bare() => format!("on, off or a number up to {most}"),
        Kind::Number if row.opt == Opt::IncomingCpu => {
            format!("{OWN} or a number from {least} to {most}")
        }
        Kind::Number => format!("a number from {least} to {most}"),
        Kind::Dscp => {
            "a number from 0 to 63 or a name: ef, af11 to af43, cs0 to cs7, voice-admit, le"
                .to_owned()
        }
        Kind::Text => "a name of 1 to 15 letters, such as cubic".to_owned(),
    }
}
