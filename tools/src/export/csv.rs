//! A row for each probe, as RFC 4180 has it: a head, CRLF after each row, and
//! quotes around what holds a comma, a quote or the end of a line. A number
//! that isn't known is an empty field, never zero.

use std::borrow::Cow;
use std::io::{self, Write};

/// One probe. Times are nanoseconds since the start of the run on one clock,
/// differences nanoseconds; `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    /// The series' name.
    pub series: &'a str,
    /// The number of the probe in its series.
    pub seq: u64,
    /// When it was due.
    pub intended_ns: Option<u64>,
    /// When the program sent it.
    pub sent_ns: Option<u64>,
    /// When the kernel sent it.
    pub tx_kernel_ns: Option<u64>,
    /// When the kernel received the answer.
    pub rx_kernel_ns: Option<u64>,
    /// When the program had the answer.
    pub received_ns: Option<u64>,
    /// From sending to having the answer, as the program saw it.
    pub rtt_ns: Option<u64>,
    /// The same between the kernel's two times.
    pub network_ns: Option<u64>,
    /// What became of it: `reply`, `lost`, `late` and so on.
    pub status: &'a str,
}

/// The names of the columns, in order.
pub const HEAD: &str = "series,seq,intended_ns,sent_ns,tx_kernel_ns,rx_kernel_ns,\
                        received_ns,rtt_ns,network_ns,status";

/// Writes the head and the rows.
///
/// # Errors
///
/// What `out` says.
pub fn write<'a>(out: &mut impl Write, rows: impl IntoIterator<Item = Row<'a>>) -> io::Result<()> {
    write!(out, "{HEAD}\r\n")?;
    for row in rows {
        write!(out, "{},{}", field(row.series), row.seq)?;
        let times = [
            row.intended_ns,
            row.sent_ns,
            row.tx_kernel_ns,
            row.rx_kernel_ns,
            row.received_ns,
            row.rtt_ns,
            row.network_ns,
        ];
        for time in times {
            match time {
                Some(ns) => write!(out, ",{ns}")?,
                None => write!(out, ",")?,
            }
        }
        write!(out, ",{}\r\n", field(row.status))?;
    }
    out.flush()
}

/// A text as a field: quoted if it must be, a quote in it doubled.
fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\r', '\n']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (text, wanted) in [
            ("udp", "udp"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("a b'<&", "a b'<&"),
        ] {
            assert_eq!(field(text), wanted);
        }
    }

    #[test]
    fn what_is_not_known_is_empty() {
        let lost =
            Row { series: "udp", seq: 7, sent_ns: Some(0), status: "lost", ..Row::default() };
        let mut out = Vec::new();
        write(&mut out, [lost]).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, format!("{HEAD}\r\nudp,7,,0,,,,,,lost\r\n"));
        assert_eq!(HEAD.split(',').count(), 10);
    }
}
