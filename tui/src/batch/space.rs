//! `uklscope space`: the address-space map.

use std::io::Write;

use anyhow::bail;

use crate::args::Boot;

#[derive(Debug, clap::Args)]
pub struct SpaceArgs {
    /// An image's name or folder, or a stub's address.
    pub target: String,
    /// Only what this address is.
    #[arg(long, value_name = "EXPRESSION")]
    pub at: Option<String>,
    #[command(flatten)]
    pub boot: Boot,
}

/// Prints the regions.
///
/// # Errors
/// When the target cannot be opened.
pub fn run(args: &SpaceArgs, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!(
        "mapping {}: this build cannot open a session; use a newer one",
        args.target
    )
}
