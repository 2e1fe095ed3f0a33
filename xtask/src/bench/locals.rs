//! `cargo xtask bench locals`: at random stops of the demos, the arguments and locals of the innermost
//! frames, inlined calls included, beside what gdb tells of them at the same stop.

mod counted;
mod gdb;

use anyhow::{Context as _, Result};
use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::known::Known;
use debugger::session::store;
use debugger::symbols::types::Type;
use debugger::symbols::unwind::{Backtrace, Memory};
use debugger::symbols::{Local, Symbols, TypedValue, ValuePlace, stem};

use super::print::{self, Host};
use super::unwind::stops::{Random, Sampler};
use crate::progress;
use counted::{Counted, Report};
use gdb::Gdb;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Stops over all images and modes
    #[arg(long, default_value_t = 200)]
    stops: usize,
    /// Frames of each stop
    #[arg(long, default_value_t = 6)]
    frames: usize,
    #[arg(long, value_delimiter = ',', default_values = ["syscalls"])]
    images: Vec<String>,
    /// The modes; else all that an image has
    #[arg(long, value_delimiter = ',')]
    modes: Vec<Mode>,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What is told of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Of a number, pointer or enumeration its bits, of a record or array its address.
    Value(String),
    /// It has one, of a kind that is not compared.
    Some,
    No(String),
}

/// A frame's function and its variables, those of inner blocks first.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) function: String,
    pub(super) variables: Vec<(String, Told)>,
}

/// # Errors
/// When an image cannot be booted, or gdb is not there.
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
    let share = args.stops.div_ceil(setups.len().max(1));
    for (at, (image, mode)) in setups.into_iter().enumerate() {
        let name = format!("{} in mode {mode}", image.manifest.name);
        let step = progress::Step::start(format!("{name}, {share} stops"));
        let twin = image.twin();
        let twin = (mode == Mode::Linux).then_some(twin.as_path());
        let symbols = Symbols::open(&image.vmlinux(), twin)?;
        let mut sampler = Sampler {
            image: &image,
            mode,
            symbols: &symbols,
            random: Random(args.seed.wrapping_add(at as u64).wrapping_mul(0x9e37_79b9)),
        };
        let mut gdb = Gdb::start(&image, mode)?;
        sampler
            .each(share, &mut |mut target, endpoint, backtrace| {
                let mut memory = |addr: Addr, buffer: &mut [u8]| target.read(addr, buffer).is_ok();
                let ours = frames(&symbols, backtrace, args.frames, &mut memory);
                target.hand_over();
                match gdb.frames(endpoint, args.frames) {
                    Ok(theirs) => counted.compare(&name, &ours, &theirs),
                    Err(_) => {
                        counted.gdb_died += 1;
                        gdb = Gdb::start(&image, mode)?;
                    }
                }
                Ok(())
            })
            .with_context(|| format!("stopping {name}"))?;
        step.done();
    }
    Ok(counted.report(Host::now()))
}

fn frames(
    symbols: &Symbols,
    backtrace: &Backtrace,
    most: usize,
    memory: &mut Memory<'_>,
) -> Vec<Frame> {
    let shown = symbols.shown_frames(backtrace);
    let mut frames = Vec::new();
    for (n, frame) in shown.iter().enumerate().take(most) {
        let before = shown[..n].iter();
        let inlined = before.filter(|other| other.level == frame.level).count();
        let locals = symbols.locals(backtrace, frame.level, inlined, memory);
        let own = locals
            .iter()
            .rev()
            .filter(|local| !local.name.ends_with("@entry"));
        frames.push(Frame {
            function: stem(frame.place.symbol.as_deref().unwrap_or("?")).to_owned(),
            variables: own
                .map(|local| (local.name.clone(), told(symbols, local, memory)))
                .collect(),
        });
    }
    frames
}

fn told(symbols: &Symbols, local: &Local, memory: &mut Memory<'_>) -> Told {
    let value = match local.value() {
        Known::Yes(value) => value,
        Known::No(why) => return Told::No(why),
        Known::Asked => return Told::No("not asked".to_owned()),
    };
    match (symbols.plain_type(value.of).1, &value.place) {
        (Type::Number { size, .. } | Type::Pointer { size, .. } | Type::Enum { size, .. }, _) => {
            number(symbols, &value, size, memory)
        }
        (Type::Record { .. } | Type::Array { .. }, ValuePlace::Memory(addr)) => {
            Told::Value(format!("at {:#x}", addr.0))
        }
        _ => Told::Some,
    }
}

fn number(symbols: &Symbols, value: &TypedValue, size: u64, memory: &mut Memory<'_>) -> Told {
    match symbols.value_number(value, memory) {
        Ok(number) => {
            let unused = 64 - 8 * size.clamp(1, 8);
            Told::Value(format!("{:#x}", number << unused >> unused))
        }
        Err(why) => Told::No(why.to_string()),
    }
}
