//! `cargo xtask bench unwind`: at how many random stops of the demos the backtrace reaches the stack's
//! beginning, and gdb's at some of the same stops.

pub(super) mod gdb;
mod report;
pub(super) mod stops;

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::session::store;
use debugger::symbols::Symbols;

use super::print::{self, Host};
use crate::progress;
use report::{Counted, Report};
use stops::{Random, Sampler};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Stops over all images and modes
    #[arg(long, default_value_t = 10_000)]
    stops: usize,
    /// At so many of them gdb is asked for its backtrace as well; 0: at none
    #[arg(long, default_value_t = 300)]
    gdb: usize,
    #[arg(long, value_delimiter = ',', default_values = ["syscalls", "threads", "crowd", "stress", "calls", "echo", "exceptions"])]
    images: Vec<String>,
    /// The modes; else all that an image has
    #[arg(long, value_delimiter = ',')]
    modes: Vec<Mode>,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// # Errors
/// When an image cannot be booted, or gdb is asked for and not there.
pub(super) fn run(args: &Args) -> Result<()> {
    print::report(&measure(args)?, args.json, Report::lines)
}

fn measure(args: &Args) -> Result<Report> {
    let mut setups = Vec::new();
    for name in &args.images {
        let image = store::image(name).context("opening an image to stop")?;
        for mode in &image.manifest.modes {
            if args.modes.is_empty() || args.modes.contains(mode) {
                setups.push((image.clone(), *mode));
            }
        }
    }
    let mut counted = Counted::default();
    let count = setups.len().max(1);
    for (at, (image, mode)) in setups.into_iter().enumerate() {
        // The remainder goes to the first.
        let share = |all: usize| all / count + usize::from(at < all % count);
        let name = format!("{} in mode {mode}", image.manifest.name);
        let step = progress::Step::start(format!("{name}, {} stops", share(args.stops)));
        let twin = image.twin();
        let twin = (mode == Mode::Linux).then_some(twin.as_path());
        let symbols = Symbols::open(&image.vmlinux(), twin)?;
        let sampler = Sampler {
            image: &image,
            mode,
            symbols: &symbols,
            random: Random(args.seed.wrapping_add(at as u64).wrapping_mul(0x9e37_79b9)),
        };
        sampler
            .run(share(args.stops), share(args.gdb), &mut counted)
            .with_context(|| format!("stopping {name}"))?;
        step.done();
    }
    Ok(counted.report(Host::now()))
}
