//! `uklscope space`: the address-space map.

use std::io::Write;

use super::exec::{self, ExecArgs};
use super::session::{Opened, Start};
use crate::args::{Boot, Wire};

#[derive(Debug, clap::Args)]
pub struct SpaceArgs {
    /// An image's name or folder, or a stub's address; an image is mapped at its application's main.
    #[arg(required_unless_present_all = ["kernel", "vmlinux"])]
    pub target: Option<String>,
    /// Only what this address is.
    #[arg(long, value_name = "EXPRESSION")]
    pub at: Option<String>,
    /// As this task sees it, by its id or name.
    #[arg(long, value_name = "PID|NAME", conflicts_with = "at")]
    pub task: Option<String>,
    #[command(flatten)]
    pub boot: Boot,
}

/// Prints the regions, or what one address is.
///
/// # Errors
/// When the target cannot be opened.
pub fn run(args: &SpaceArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let command = match (&args.at, &args.task) {
        (Some(expression), _) => format!("space {expression}"),
        (None, Some(task)) => format!("space task {task}"),
        (None, None) => "space".to_owned(),
    };
    let exec = ExecArgs {
        on: Opened {
            target: args.target.clone(),
            boot: args.boot.clone(),
            calls: None,
            from: Start::Main,
            serial: false,
            wire: Wire::default(),
        },
        commands: vec![command],
        script: None,
    };
    exec::run(&exec, json, out)
}
