//! `uklscope exec`: the debugger's commands without a screen.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use crate::args::Boot;

#[derive(Debug, clap::Args)]
pub struct ExecArgs {
    /// An image's name or folder, a stub's address, or a recording.
    pub target: String,
    /// A command; may be given many times.
    #[arg(short, long = "command", value_name = "CMD")]
    pub commands: Vec<String>,
    /// A file of commands, one a line; they come after those of -c.
    #[arg(short = 'x', long, value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    #[command(flatten)]
    pub boot: Boot,
}

/// Carries out the commands in turn.
///
/// # Errors
/// When the target cannot be opened or a command fails.
pub fn run(args: &ExecArgs, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!(
        "carrying out commands on {}: this build cannot open a session; use a newer one",
        args.target
    )
}
