//! `uklscope doctor`: what this machine has and lacks.

use std::io::Write;

use anyhow::bail;

/// Prints each thing needed, whether it is there, and the command that mends it.
///
/// # Errors
/// When something that every command needs is missing.
pub fn run(_json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    bail!("looking at this machine: this build cannot; use a newer one")
}
