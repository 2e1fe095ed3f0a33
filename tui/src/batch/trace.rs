//! `uklscope trace`: records the crossings of a run.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use crate::args::Boot;

#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// An image's name or folder.
    pub image: String,
    /// How many operations the application does.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// Stop after this long, such as 5s.
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<String>,
    #[arg(long, value_name = "ENGINE", default_value = "plugin")]
    pub engine: String,
    /// Where the recording goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub boot: Boot,
}

/// Boots the image and records.
///
/// # Errors
/// When the boot or the recording fails.
pub fn run(args: &TraceArgs, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!(
        "tracing {}: this build has no tracer; use a newer one",
        args.image
    )
}
