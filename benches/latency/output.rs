//! The file that `--json` asks for.

use crate::Options;
use std::error::Error;

/// Writes it, if it was asked for.
///
/// # Errors
/// The kernel's, with the file's name.
pub(crate) fn write(options: &Options, json: &str) -> Result<(), Box<dyn Error>> {
    let Some(file) = &options.json else {
        return Ok(());
    };
    Ok(std::fs::write(file, json).map_err(|why| format!("{}: {why}", file.display()))?)
}
