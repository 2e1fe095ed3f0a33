//! `uklscope report`: tables of a recording.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A recording made by 'uklscope trace'.
    pub file: PathBuf,
    /// What a row is: kind, call, site or phase.
    #[arg(long, value_name = "WHAT", default_value = "call")]
    pub by: String,
}

/// Prints the tables.
///
/// # Errors
/// When the recording cannot be read.
pub fn run(args: &ReportArgs, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!(
        "reading {}: this build reads no recordings; use a newer one",
        args.file.display()
    )
}
