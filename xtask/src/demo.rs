//! `cargo xtask demo`: all the set-up, then the screen on a booted image.

use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Result, bail};

use crate::image::repository;
use crate::test::cargo;
use crate::{image, packages, progress};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The demo: a folder of demos/
    #[arg(default_value = "syscalls")]
    name: String,
    /// linux, ukl, bypass or shortcut
    #[arg(long, default_value = "ukl")]
    mode: String,
    /// Set everything up and stop before the screen opens
    #[arg(long)]
    no_screen: bool,
    #[command(flatten)]
    options: image::Options,
}

/// # Errors
/// When something cannot be built, or there is no terminal to open the screen on.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::ensure(&args.options)?;
    // The whole workspace: with a part of it, what the parts have in common would be compiled once more.
    cargo(
        "uklscope and its plugin",
        &["build", "--release", "--workspace"],
    )?;
    image::build_all(&[&args.name], &args.options)?;
    let program = repository().join("target/release/uklscope");
    let name = args.options.variant().image(&args.name);
    if args.no_screen {
        progress::say(&format!("ready: {} run {name}", program.display()));
        return Ok(());
    }
    if !std::io::stdout().is_terminal() {
        bail!(
            "opening the screen: the output is no terminal; run '{} run {name}' in one, or give --no-screen",
            program.display()
        );
    }
    let error = Command::new(&program)
        .args(["run", &name, "--mode", &args.mode])
        .exec();
    bail!("starting {}: {error}", program.display())
}
