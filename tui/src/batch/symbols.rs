//! `uklscope symbols`: names with origin, address, size and source.

use std::io::Write;

use anyhow::bail;

#[derive(Debug, clap::Args)]
pub struct SymbolsArgs {
    /// An image's name or folder, or a vmlinux.
    pub image: String,
    /// Only names that match; * stands for anything.
    pub pattern: Option<String>,
}

/// Prints the symbols.
///
/// # Errors
/// When the file cannot be read.
pub fn run(args: &SymbolsArgs, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!(
        "reading the symbols of {}: this build reads none; use a newer one",
        args.image
    )
}
