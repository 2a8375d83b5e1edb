//! Durations and sizes as people write them: `20us`, `5ms`, `2s`; `64K`, `4M`.

use std::time::Duration;

/// Reads a duration: a whole or decimal number and `ns`, `us`, `ms`, `s`, `m`
/// or `h`; `0` needs no unit.
///
/// # Errors
/// Says what was expected, for the person who wrote `text`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "'{text}' is not a duration: write a number and ns, us, ms, s, m or h, such as 20us, 5ms or 2s"
        )
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let nanos_per_unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" if number == "0" => 1,
        _ => return Err(wrong()),
    };
    scaled(number, nanos_per_unit).map(Duration::from_nanos).ok_or_else(wrong)
}

/// Reads a size in bytes: a whole number, alone or with `K`, `M` or `G`
/// (powers of 1024).
///
/// # Errors
/// Says what was expected, for the person who wrote `text`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "'{text}' is not a size: write bytes, alone or with K, M or G, such as 1316, 64K or 4M"
        )
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bytes_per_unit: u64 = match unit {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    scaled(number, bytes_per_unit).ok_or_else(wrong)
}

/// Writes a duration so that [`parse_duration`] reads it back.
pub fn format_duration(span: Duration) -> String {
    let nanos = span.as_nanos();
    for (per_unit, unit) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
        if nanos != 0 && nanos.is_multiple_of(per_unit) {
            return format!("{}{unit}", nanos / per_unit);
        }
    }
    if nanos == 0 { "0".to_owned() } else { format!("{nanos}ns") }
}

/// Writes a size so that [`parse_size`] reads it back.
pub fn format_size(bytes: u64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// `number` (digits, at most one point) times `per_unit`, exactly, rounded
/// down; `None` if it is no number or too large.
fn scaled(number: &str, per_unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let mut value = whole.parse::<u64>().ok()?.checked_mul(per_unit)?;
    if !fraction.is_empty() {
        let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(per_unit);
        value =
            value.checked_add(u64::try_from(parts / 10u128.pow(fraction.len() as u32)).ok()?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("20us"), Ok(Duration::from_micros(20)));
        assert_eq!(parse_duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "5", "ms", "-1s", "1.s", ".5s", "1.2.3s", "99999999999999h", "5 ms"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64K"), Ok(65_536));
        assert_eq!(parse_size("1316"), Ok(1316));
        for wrong in ["", "K", "-1", "1.5M", "1T", "99999999999999999999"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for nanos in [0, 1, 1_500, 20_000, 5_000_000, 2_000_000_000, 90_000_000_000] {
            let span = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&format_duration(span)), Ok(span));
        }
        for bytes in [0, 1, 1024, 1316, 65_536, 64 << 20] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
    }
}
