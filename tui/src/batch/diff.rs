//! `uklscope diff`: what differs between two recordings.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    pub a: PathBuf,
    pub b: PathBuf,
    /// Only this call.
    #[arg(long, value_name = "NAME")]
    pub call: Option<String>,
}

/// Prints ladder and ledger.
///
/// # Errors
/// When a recording cannot be read.
pub fn run(args: &DiffArgs, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!(
        "reading {}: this build reads no recordings; use a newer one",
        args.a.display()
    )
}
