//! `nearlight options`: the table of socket options for a terminal, for
//! programs, and for the README.

use super::Format;
use crate::options::{Probe, Row, TABLE, Trial, describe};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Writes the socket options to `out`.
///
/// # Errors
/// `out` fails, or no socket can be made to try the options on.
pub fn run_options(format: Format, out: &mut impl Write) -> io::Result<()> {
    let text = match format {
        Format::Table => options_table(&describe()?),
        Format::Json => options_json(&describe()?),
        Format::Markdown => options_markdown(),
    };
    out.write_all(text.as_bytes())
}

/// The README's table: the same on every machine.
pub fn options_markdown() -> String {
    let mut text = String::from(
        "| option | kernel constant | manual page | default | what it is for | privilege |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in &TABLE {
        let privilege = if row.privilege.is_empty() { "none" } else { row.privilege };
        line(
            &mut text,
            &format!(
                "| `{}` | `{}` | {} | {} | {} | {privilege} |",
                row.name,
                row.constant.replace(", ", "`, `"),
                row.man,
                default_of(row),
                row.purpose,
            ),
        );
    }
    text
}

/// For a terminal: one line an option, then what to know.
pub fn options_table(probes: &[Probe]) -> String {
    let mut lines = vec![
        ["OPTION", "KERNEL", "MAN", "DEFAULT", "UNTOUCHED", "GRANTED", "PRIVILEGE"]
            .map(str::to_owned),
    ];
    let mut remarks = String::new();
    for probe in probes {
        let row = probe.row;
        lines.push([
            row.name.to_owned(),
            // The twins of other address families are in --markdown.
            first_constant(row).to_owned(),
            row.man.to_owned(),
            default_of(row),
            both(probe, |trial| trial.untouched.clone()),
            both(probe, granted),
            // For which values is among the remarks.
            row.privilege.split(' ').next().unwrap_or_default().to_owned(),
        ]);
        remark(&mut remarks, probe);
    }
    let mut widths = [0; 7];
    for cells in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for cells in &lines {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            write!(out, "{cell:<width$}  ").expect("a String takes every write");
        }
        line(&mut text, out.trim_end());
    }
    format!("{text}\n{remarks}")
}

/// For programs: an array of objects, `null` where there is nothing to say.
pub fn options_json(probes: &[Probe]) -> String {
    let mut text = String::from("[\n");
    for (index, probe) in probes.iter().enumerate() {
        let row = probe.row;
        let fields = [
            ("name", quote(row.name)),
            ("constant", quote(row.constant)),
            ("man", quote(row.man)),
            ("purpose", quote(row.purpose)),
            ("default_tcp", quote_or_null(row.default_tcp)),
            ("default_udp", quote_or_null(row.default_udp)),
            ("privilege", quote_or_null(row.privilege)),
            ("read_back", quote_or_null(row.read_back)),
            ("tcp", trial_json(&probe.tcp)),
            ("udp", probe.udp.as_ref().map_or("null".to_owned(), trial_json)),
        ];
        let comma = if index + 1 < probes.len() { "," } else { "" };
        line(&mut text, &format!("  {}{comma}", object(&fields)));
    }
    text.push_str("]\n");
    text
}

fn trial_json(trial: &Trial) -> String {
    let (asked, got, note, refused) = match &trial.outcome {
        Ok(granted) => (
            granted.asked.as_str(),
            granted.got.as_str(),
            granted.note.as_deref().unwrap_or_default(),
            "",
        ),
        Err(error) => (error.value.as_str(), "", "", error.reason.as_str()),
    };
    object(&[
        ("untouched", quote_or_null(&trial.untouched)),
        ("asked", quote(asked)),
        ("granted", quote_or_null(got)),
        ("note", quote_or_null(note)),
        ("refused", quote_or_null(refused)),
    ])
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

/// A JSON string, RFC 8259 section 7.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if u32::from(letter) < 0x20 => {
                write!(out, "\\u{:04x}", u32::from(letter)).expect("a String takes every write");
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

fn quote_or_null(text: &str) -> String {
    if text.is_empty() { "null".to_owned() } else { quote(text) }
}

fn default_of(row: &Row) -> String {
    match (row.default_tcp, row.default_udp) {
        ("", "") => "-".to_owned(),
        ("", udp) => format!("UDP {udp}"),
        (tcp, "") => tcp.to_owned(),
        (tcp, udp) => format!("TCP {tcp}, UDP {udp}"),
    }
}

fn first_constant(row: &Row) -> &'static str {
    row.constant.split(',').next().unwrap_or_default()
}

/// TCP's and UDP's text, once if they are the same.
fn both(probe: &Probe, text: fn(&Trial) -> String) -> String {
    let tcp = text(&probe.tcp);
    match probe.udp.as_ref().map(text) {
        Some(udp) if udp != tcp => format!("TCP {tcp}, UDP {udp}"),
        Some(_) | None => tcp,
    }
}

fn granted(trial: &Trial) -> String {
    match &trial.outcome {
        Ok(granted) if granted.got == granted.asked => granted.got.clone(),
        Ok(granted) => format!("{} of {}", granted.got, granted.asked),
        Err(error) => format!("{} refused", error.value),
    }
}

/// What to know about an option, under the table.
fn remark(text: &mut String, probe: &Probe) {
    let row = probe.row;
    line(text, &format!("{}: {}", row.name, row.purpose));
    if !row.privilege.is_empty() {
        line(text, &format!("  takes {}", row.privilege));
    }
    if !row.read_back.is_empty() {
        line(text, &format!("  read-back: {}", row.read_back));
    }
    let trials = [("TCP", Some(&probe.tcp)), ("UDP", probe.udp.as_ref())];
    for (transport, trial) in trials {
        match trial.map(|trial| &trial.outcome) {
            Some(Ok(granted)) => {
                if let Some(note) = &granted.note {
                    line(text, &format!("  here, {transport}: {note}"));
                }
            }
            Some(Err(error)) => line(text, &format!("  here, {transport}: {error}")),
            None => {}
        }
    }
}

fn line(text: &mut String, more: &str) {
    text.push_str(more);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_has_a_line_an_option_and_nothing_of_the_machine() {
        let text = options_markdown();
        assert_eq!(text.lines().count(), 2 + TABLE.len());
        assert_eq!(text, options_markdown());
        for row in text.lines() {
            assert_eq!(row.matches('|').count(), 7, "{row}");
        }
        assert!(text.contains(
            "| `rcvbuf` | `SO_RCVBUF` | socket(7) | UDP 4M | receive buffer: absorbs bursts; \
             on TCP it ends auto-tuning | CAP_NET_ADMIN beyond net.core.rmem_max |"
        ));
    }

    #[test]
    fn json_is_balanced_and_quoted() {
        assert_eq!(quote("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
        let text = options_json(&describe().unwrap());
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert_eq!(text.matches("\"name\": ").count(), TABLE.len());
        assert!(text.contains(r#""asked": "16K", "granted": "16K", "note": null"#));
    }

    #[test]
    fn the_table_names_every_option() {
        let text = options_table(&describe().unwrap());
        for row in &TABLE {
            assert!(text.contains(&format!("\n{}: {}", row.name, row.purpose)));
        }
        assert!(text.starts_with("OPTION"));
    }
}
