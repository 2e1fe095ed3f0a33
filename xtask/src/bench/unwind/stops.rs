//! A booted image, stopped again and again where it happens to be.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::event::Vcpu;
use debugger::qemu::arguments::Machine;
use debugger::qemu::image::Image;
use debugger::session::link::Endpoint;
use debugger::session::process::Qemu;
use debugger::session::target::{Target, TargetError, Trap};
use debugger::symbols::Symbols;
use debugger::symbols::unwind::{Backtrace, RegisterSet};

use super::gdb::Gdb;
use super::report::{Counted, Seen};

/// For an answer of a stub on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two stops the guest runs at most so long.
const MOST_US: u64 = 4_000;

/// After it, at most so many single instructions: an interrupted QEMU stands at the begin of a
/// block, and only a step leads into one.
const MOST_STEPS: u64 = 32;

/// More operations than any run reaches.
const CALLS: u64 = 100_000_000;

/// How long a machine may take to end after its stub has.
const LAST: Duration = Duration::from_secs(2);

/// Deeper than the demos' recursions go.
const MOST_FRAMES: usize = 4096;

/// Boots that end without a stop before it is given up.
const TRIES: u32 = 5;

/// Numbers that repeat from run to run: xorshift64*.
pub(in super::super) struct Random(pub(in super::super) u64);

impl Random {
    pub(in super::super) fn below(&mut self, limit: u64) -> u64 {
        let mut x = self.0 | 1;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

pub(in super::super) struct Sampler<'a> {
    pub(in super::super) image: &'a Image,
    pub(in super::super) mode: Mode,
    pub(in super::super) symbols: &'a Symbols,
    pub(in super::super) random: Random,
}

/// A machine that has reached the application's main.
struct Booted {
    qemu: Qemu,
    target: Target,
}

impl Sampler<'_> {
    pub(super) fn run(mut self, stops: usize, of_gdb: usize, counted: &mut Counted) -> Result<()> {
        let mut gdb = match of_gdb {
            0 => None,
            _ => Some(Gdb::start(self.image, self.mode)?),
        };
        let every = stops / of_gdb.max(1);
        let (mut done, mut asked, mut idle_boots) = (0, 0, 0);
        while done < stops {
            let mut booted = self.boot()?;
            let before = done;
            while done < stops {
                match self.next(&mut booted) {
                    Ok(Some(())) => {}
                    Ok(None) => break,
                    // A guest that has done all it had to do ends with its machine.
                    Err(_) if booted.qemu.wait_for_end(LAST) => break,
                    Err(error) => return Err(error),
                }
                self.look(&mut booted, counted)?;
                done += 1;
                if let Some(gdb) = &mut gdb
                    && asked < of_gdb
                    && done.is_multiple_of(every.max(1))
                {
                    asked += 1;
                    booted.target = self.ask_gdb(booted.target, gdb, counted)?;
                }
            }
            idle_boots = if done == before { idle_boots + 1 } else { 0 };
            if idle_boots == TRIES {
                bail!("{TRIES} boots ended before the first stop; give it more to do");
            }
            booted.qemu.kill();
        }
        Ok(())
    }

    /// So many stops, each with the backtrace there: whoever looks hands the target over in the end.
    pub(in super::super) fn each(
        &mut self,
        stops: usize,
        look: &mut dyn FnMut(Target, &Endpoint, &Backtrace) -> Result<()>,
    ) -> Result<()> {
        let (mut done, mut tries) = (0, 0);
        while done < stops {
            let mut booted = self.boot()?;
            let before = done;
            while done < stops {
                match self.next(&mut booted) {
                    Ok(Some(())) => {}
                    Ok(None) => break,
                    Err(_) if booted.qemu.wait_for_end(LAST) => break,
                    Err(error) => return Err(error),
                }
                let (backtrace, _) = self.backtrace(&mut booted.target)?;
                let endpoint = booted.target.endpoint().cloned();
                let endpoint = endpoint.context("the stub has no address to come back to")?;
                look(booted.target, &endpoint, &backtrace)?;
                booted.target = Target::connect(&endpoint, PATIENCE)?;
                done += 1;
            }
            tries = if done == before { tries + 1 } else { 0 };
            if tries == TRIES {
                bail!("{TRIES} boots ended before the first stop; give it more to do");
            }
            booted.qemu.kill();
        }
        Ok(())
    }

    fn boot(&mut self) -> Result<Booted> {
        let qemu = Qemu::start(&Machine::of(self.image, self.mode, Some(CALLS)))?;
        let endpoint = qemu.gdb().context("QEMU has no stub on a socket")?.clone();
        let mut target = Target::connect(&endpoint, PATIENCE)?;
        let main = self.symbols.lookup("main");
        let kernel = self.mode != Mode::Linux;
        let main = main.iter().find(|s| s.addr.in_kernel_half() == kernel);
        let trap = Trap::soft(main.context("looking for main")?.addr);
        target.insert(trap)?;
        target.resume()?;
        if target.wait(PATIENCE)?.is_none() {
            bail!("main is not reached in {PATIENCE:?}");
        }
        target.remove(trap)?;
        Ok(Booted { qemu, target })
    }

    /// Lets it run for a random time and some instructions; `None` when the guest has ended.
    fn next(&mut self, booted: &mut Booted) -> Result<Option<()>> {
        let target = &mut booted.target;
        let pause = Duration::from_micros(self.random.below(MOST_US) + 20);
        let go = |target: &mut Target| -> Result<bool, TargetError> {
            target.resume()?;
            let until = Instant::now() + pause;
            // Sleeping would be coarser than the pause.
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            target.interrupt()?;
            Ok(target.wait(PATIENCE)?.is_some_and(|stop| !stop.ended()))
        };
        if !go(target)? {
            return Ok(None);
        }
        while booted.qemu.serial().try_recv().is_ok() {}
        let vcpu = target.last_stop().vcpu;
        for _ in 0..self.random.below(MOST_STEPS) {
            let pc = target.pc(vcpu)?;
            // Nothing wakes a processor that is stepped.
            if self.symbols.initial(pc, 1) == Some(&[0xf4]) {
                break;
            }
            if target.step(vcpu)?.ended() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// The stub serves one client at a time: gdb looks where we have stopped, and leaves it standing.
    fn ask_gdb(&self, target: Target, gdb: &mut Gdb, counted: &mut Counted) -> Result<Target> {
        let Some(endpoint) = target.endpoint().cloned() else {
            bail!("the stub has no address to come back to");
        };
        target.hand_over();
        let theirs = gdb.backtrace(&endpoint);
        let mut target = Target::connect(&endpoint, PATIENCE)?;
        let (backtrace, _) = self.backtrace(&mut target)?;
        // Seen with gdb 13: it dies of a stack it cannot follow.
        let Ok(theirs) = theirs else {
            counted.gdb_died(backtrace.end.is_complete());
            *gdb = Gdb::start(self.image, self.mode)?;
            return Ok(target);
        };
        let pc = backtrace.frames.first().map_or(Addr(0), |frame| frame.pc);
        counted.compare(backtrace.end.is_complete(), &theirs, pc);
        Ok(target)
    }

    fn backtrace(&self, target: &mut Target) -> Result<(Backtrace, Duration)> {
        let vcpu: Vcpu = target.last_stop().vcpu;
        let registers = target.registers(vcpu)?;
        let set = RegisterSet::from_names(|name| registers.get(name));
        let mut memory = |addr: Addr, buffer: &mut [u8]| target.read(addr, buffer).is_ok();
        let began = Instant::now();
        let backtrace = self.symbols.backtrace(&set, &mut memory, MOST_FRAMES);
        Ok((backtrace, began.elapsed()))
    }

    fn look(&self, booted: &mut Booted, counted: &mut Counted) -> Result<()> {
        let (backtrace, took) = self.backtrace(&mut booted.target)?;
        counted.see(&Seen {
            image: &self.image.manifest.name,
            mode: self.mode,
            symbols: self.symbols,
            backtrace: &backtrace,
            took,
        });
        Ok(())
    }
}
