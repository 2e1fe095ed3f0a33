//! `uklscope images`: what is built.

use std::io::Write;

use anyhow::bail;

/// Prints the images of the store.
///
/// # Errors
/// When the store cannot be read.
pub fn run(_json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!("listing the images: this build has no store; use a newer one")
}
