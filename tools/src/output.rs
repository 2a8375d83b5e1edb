//! What a run can be written to beside text and JSON: pictures and the formats
//! of other tools.

use crate::args;

/// Which were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// A picture on the terminal.
    pub(crate) plot: bool,
    /// Files, by the option's name.
    files: Vec<(&'static str, String)>,
}

/// Options that name a file.
const FILES: [&str; 5] = ["--svg", "--png", "--csv", "--hgrm", "--hlog"];

impl Output {
    /// Whether an option is one of these.
    pub(crate) fn knows(name: &str) -> bool {
        name == "--plot" || FILES.contains(&name)
    }

    /// Takes the option `name`, and its value.
    ///
    /// # Errors
    /// There is no value.
    pub(crate) fn take(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<(), String> {
        match FILES.into_iter().find(|known| *known == name) {
            Some(known) => {
                let file = args::value(parser, known, args::text)?;
                self.files.push((known, file));
            }
            None => self.plot = true,
        }
        Ok(())
    }
}
