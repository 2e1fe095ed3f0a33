//! `uklscope record`: a whole run, kept so that it can be had again, forwards and backwards.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use debugger::addr::Insns;
use debugger::qemu::forward::Forward;
use debugger::session::replay::{RecordOptions, record};
use serde_json::json;
use signal_hook::consts::SIGINT;

use super::session;

#[derive(Debug, clap::Args)]
pub struct RecordArgs {
    /// A folder with image.toml, or the name of an image built by 'cargo xtask image'.
    pub image: String,
    /// The folder to make.
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// How the application runs: linux, ukl, bypass or shortcut; else the image's own default.
    #[arg(long)]
    pub mode: Option<debugger::crossing::Setup>,
    /// How many operations the application does.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// More for the kernel's command line.
    #[arg(long, value_name = "TEXT")]
    pub append: Option<String>,
    /// Seconds of the host's clock; else until the guest ends, or Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    pub lasts: Option<u64>,
    /// Do not show what the guest writes.
    #[arg(long)]
    pub quiet: bool,
}

/// # Errors
/// When the folder is there, or the machine cannot be run.
pub fn run(args: &RecordArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let image = session::named(&args.image)?;
    let words = [
        args.mode.as_ref().and_then(|setup| setup.append()),
        args.append.clone(),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    let options = RecordOptions {
        mode: args.mode.as_ref().map(|setup| setup.mode),
        calls: args.calls,
        append: Some(words.join(" ")).filter(|text| !text.is_empty()),
        lasts: args.lasts.map(Duration::from_secs),
        qemu: None,
    };
    let pressed = Arc::new(AtomicBool::new(false));
    let caught =
        signal_hook::flag::register(SIGINT, Arc::clone(&pressed)).context("watching for Ctrl-C")?;
    let mut stop = || pressed.load(Ordering::Relaxed);
    let mut begins = |forwards: &[Forward]| {
        for forward in forwards {
            let _ = writeln!(std::io::stderr(), "{forward}");
        }
    };
    let mut serial = |bytes: &[u8]| {
        if !args.quiet {
            let _ = std::io::stderr().write_all(bytes);
        }
    };
    let recorded = record(
        &image,
        &options,
        &args.output,
        &mut begins,
        &mut stop,
        &mut serial,
    );
    signal_hook::low_level::unregister(caught);
    let recorded = recorded?;
    let folder = args.output.display();
    let (events, snapshots) = recorded.bytes;
    if json {
        let document = json!({
            "schema": 1,
            "folder": args.output,
            "instructions": recorded.end,
            "whole": recorded.whole,
            "seconds": recorded.took.as_secs_f64(),
            "event_bytes": events,
            "snapshot_bytes": snapshots,
        });
        writeln!(out, "{document}")?;
        return Ok(());
    }
    let how = match recorded.whole {
        true => "until the guest ended",
        false => "ended from outside",
    };
    writeln!(
        out,
        "recorded {} instructions in {:.1} s, {how}: {} KiB of events\n'uklscope replay {folder}' opens it",
        Insns(recorded.end),
        recorded.took.as_secs_f64(),
        events / 1024,
    )?;
    Ok(())
}
