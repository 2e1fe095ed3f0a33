//! `uklscope compare`: traces an image in each mode.

use std::io::Write;

use anyhow::bail;
use debugger::crossing::Mode;

#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// An image's name or folder.
    pub image: String,
    /// How many operations the application does.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// The modes, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "linux,ukl,bypass,shortcut"
    )]
    pub modes: Vec<Mode>,
}

/// Traces and prints the modes side by side.
///
/// # Errors
/// When a boot or a recording fails.
pub fn run(args: &CompareArgs, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!(
        "comparing the modes of {}: this build has no tracer; use a newer one",
        args.image
    )
}
