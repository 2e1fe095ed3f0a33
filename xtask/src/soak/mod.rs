//! `cargo xtask soak`: Redis and memcached under load in each mode, with signals, threads and processes beside them.
//!
//! It fails on a wrong answer, on a complaint in the kernel's log, and on memory that does not come back.

mod load;
mod program;
mod unrest;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use debugger::crossing::{Mode, Setup};
use debugger::qemu::image::Image;

use self::load::{Done, Door};
use self::program::Program;
use self::unrest::Reading;
use crate::image::{self, Options};
use crate::suites::guest::Guest;
use crate::{packages, progress};

/// To each server at once: more than the threads that memcached has.
const CONNECTIONS: u64 = 6;

/// Seconds in each mode that belong to every test run.
const QUICK_SECONDS: u64 = 20;

/// The kernel starts the unrest by its command line.
const UNREST: &str = "ukl.beside=/bin/churn";

/// Between two readings, and a little more.
const LAST_READING: Duration = Duration::from_secs(4);

/// How much less memory may be available at the end than after the first quarter. A page that were lost for each process or
/// thread that came and went, 4 KiB for each of thousands in ten minutes, is many times as much.
const TOLERANCE_KIB: i64 = 8 << 10;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// In each mode; both servers are under load at the same time
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Modes to run in, such as ukl or ukl+ret; all four if none is given
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Setup>,
    /// 20 seconds in each mode, in place of minutes
    #[arg(long)]
    quick: bool,
    /// The load's seed, as an earlier run printed it
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    options: Options,
}

/// A server in one mode.
#[derive(Debug)]
struct Outcome {
    requests: u64,
    before: Reading,
    after: Reading,
    wrong: Vec<String>,
}

/// # Errors
/// When an image cannot be built or booted, or something was not as it should be.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::ensure(&args.options)?;
    let modes = match args.modes.as_slice() {
        [] => Mode::ALL.map(Setup::from).to_vec(),
        modes => modes.to_vec(),
    };
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let seconds = if args.quick {
        QUICK_SECONDS
    } else {
        60 * args.minutes
    };
    soak(&modes, Duration::from_secs(seconds), seed, &args.options)
}

/// The part that is quick enough for every day.
///
/// # Errors
/// As [`run`].
pub(crate) fn quick(options: &Options) -> Result<()> {
    run(&Args {
        minutes: 0,
        modes: Vec::new(),
        quick: true,
        seed: None,
        options: options.clone(),
    })
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn soak(modes: &[Setup], time: Duration, seed: u64, options: &Options) -> Result<()> {
    let images = Program::ALL
        .into_iter()
        .map(|program| Ok((program, image::built(program.name(), options)?)))
        .collect::<Result<Vec<_>>>()?;
    println!("soak: seed {seed}");
    let mut wrong = Vec::new();
    for setup in modes {
        progress::say(&format!("soaking in mode {setup} for {} s", time.as_secs()));
        let outcomes = thread::scope(|scope| {
            let run = |(program, image): &(Program, Image)| {
                let (program, image) = (*program, image.clone());
                (
                    program,
                    scope.spawn(move || one(program, &image, setup, time, seed)),
                )
            };
            let running: Vec<_> = images.iter().map(run).collect();
            let joined = running.into_iter().map(|(program, running)| {
                (
                    program,
                    running
                        .join()
                        .unwrap_or_else(|_| bail!("the load's thread failed")),
                )
            });
            joined.collect::<Vec<_>>()
        });
        for (program, outcome) in outcomes {
            let outcome = outcome?;
            println!(
                "soak: {} in mode {setup}: {}",
                program.name(),
                line(&outcome, time)
            );
            let place = format!("{} in mode {setup}", program.name());
            wrong.extend(outcome.wrong.iter().map(|what| format!("{place}: {what}")));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    for line in &wrong {
        progress::say(line);
    }
    bail!(
        "soak: {} things were wrong, listed above; the consoles are in the images' folders, under soak/; 'cargo xtask soak \
         --seed {seed}' makes the same load",
        wrong.len()
    )
}

fn one(
    program: Program,
    image: &Image,
    setup: &Setup,
    time: Duration,
    seed: u64,
) -> Result<Outcome> {
    let console = console(image, setup)?;
    let guest = Guest::boot(image, setup, UNREST, program.greeting(), &console)?;
    let door = Door::new(program, guest.port);
    let all_set = Barrier::new(usize::try_from(CONNECTIONS)? + 1);
    let (dones, before) = thread::scope(|scope| {
        let load = |n| load::run(&door, n, seed, &all_set, time);
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|n| scope.spawn(move || load(n)))
            .collect();
        // Every key is set then; a quarter later each thread has run, and the allocators have their pages.
        all_set.wait();
        thread::sleep(time / 4);
        let before = last_reading(&console);
        let join = |running: thread::ScopedJoinHandle<'_, Done>| {
            running.join().unwrap_or_else(|_| Done {
                wrong: Some("a connection's thread failed".to_owned()),
                ..Done::default()
            })
        };
        let dones: Vec<Done> = connections.into_iter().map(join).collect();
        (dones, before)
    });
    thread::sleep(LAST_READING);
    let after = last_reading(&console);
    let mut wrong: Vec<String> = dones.iter().filter_map(|done| done.wrong.clone()).collect();
    wrong.extend(guest.end());
    let (before, after) = (before?, after?);
    wrong.extend(judged(&before, &after));
    Ok(Outcome {
        requests: dones.iter().map(|done| done.requests).sum(),
        before,
        after,
        wrong,
    })
}

/// What two readings tell against the run.
fn judged(before: &Reading, after: &Reading) -> Vec<String> {
    let mut wrong = Vec::new();
    let lost = before.available_kib - after.available_kib;
    if lost > TOLERANCE_KIB {
        wrong.push(format!(
            "{lost} KiB of memory did not come back, {} KiB of it in slabs and {} KiB in the application",
            after.slab_kib - before.slab_kib,
            after.application_kib - before.application_kib,
        ));
    }
    if after.wrong > 0 {
        wrong.push(format!(
            "{} processes or threads beside it did not end as they should",
            after.wrong
        ));
    }
    if after.processes == before.processes {
        wrong.push("nothing went on beside it".to_owned());
    }
    wrong
}

fn console(image: &Image, setup: &Setup) -> Result<PathBuf> {
    let folder = image.folder.join("soak");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder.join(format!("{setup}.console")))
}

fn last_reading(console: &Path) -> Result<Reading> {
    let bytes = fs::read(console).with_context(|| format!("reading {}", console.display()))?;
    let readings = unrest::readings(&String::from_utf8_lossy(&bytes));
    readings.last().copied().with_context(|| {
        format!(
            "looking for what /bin/churn tells on the console: no line of it is in {}",
            console.display()
        )
    })
}

fn line(outcome: &Outcome, time: Duration) -> String {
    let Outcome { before, after, .. } = outcome;
    format!(
        "{} requests in {} s; beside it {} processes, {} threads, {} signals, {} stops; memory available {} -> {} KiB, slab {} \
         -> {} KiB, application {} -> {} KiB; {} wrong",
        outcome.requests,
        time.as_secs(),
        after.processes,
        after.threads,
        after.signals,
        after.stops,
        before.available_kib,
        after.available_kib,
        before.slab_kib,
        after.slab_kib,
        before.application_kib,
        after.application_kib,
        outcome.wrong.len()
    )
}

#[cfg(test)]
mod tests {
    use super::{Reading, TOLERANCE_KIB, judged};

    #[test]
    fn memory_that_does_not_come_back_and_a_churn_that_stands_still_are_wrong() {
        let before = Reading {
            available_kib: 100_000,
            ..Reading::default()
        };
        let after = Reading {
            available_kib: 100_000 - TOLERANCE_KIB,
            processes: 1,
            ..Reading::default()
        };
        assert!(judged(&before, &after).is_empty());
        let less = Reading {
            available_kib: after.available_kib - 1,
            ..after
        };
        assert_eq!(judged(&before, &less).len(), 1);
        assert_eq!(judged(&before, &before), ["nothing went on beside it"]);
    }
}
