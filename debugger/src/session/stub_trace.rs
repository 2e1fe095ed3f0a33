//! The same crossings without a plugin: breakpoints at the kernel's entries, and single steps from there
//! back to the application. It works on anything one can attach to, and is slow: a crossing costs two
//! round trips to be seen and two for each instruction to be counted.

mod interrupts;
mod looks;
mod machine;
mod operation;
mod state;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wire::{Kind, SiteFlags};

use super::process::Qemu;
use super::shared_memory::SharedMemory;
use super::target::{Endpoint, StopCause, Target, TargetError, Trap};
use super::trace::{TraceOptions, Traced};
use super::trace_error::TraceError;
use super::trace_keep::Keeper;
use super::trace_ring::RingCounts;
use super::trace_table::{open_symbols, table_of};
use crate::addr::{Addr, AddrRange, AddrRanges};
use crate::count::{counted, either};
use crate::crossing::{Mode, Setup};
use crate::event::{Event, TraceNews, Vcpu};
use crate::profile::EntryCode;
use crate::qemu::arguments::Machine;
use crate::qemu::image::Image;
use crate::symbols::Symbols;
use crate::trace::fold::{Fold, Run};
use crate::trace::report::Report;
use crate::trace::sites::SiteTable;
use crate::trace::steps::{Decoded, StackSwitch, Steps};

use state::Keeping;

pub use operation::{FunctionCode, Operation, Wanted, step_operation};

/// The guest's time goes by its instructions: none of it goes by while the machine is stopped and let go, and a tick
/// follows the other no sooner than it would. Several vCPUs would run in turn then, each to the next timer, and one
/// that waits for another (`smpboot.c`) gives its turn away: such a boot takes minutes.
const BY_INSTRUCTIONS: [&str; 2] = ["-icount", "shift=3"];
/// Of each call so many are stepped where the machine is kept at each: the others run.
const STEPPED_BESIDE_STATES: u64 = 1;
/// There a crossing longer than this is given up: its sides are kept all the same.
const MOST_BESIDE_STATES: u64 = 2_000;
/// Of each call so many are stepped else, then one in [`THEN_EVERY`]; the others are only counted.
const STEPPED_FIRST: u64 = 4;
const THEN_EVERY: u64 = 256;
/// A crossing longer than this is given up: at some 3,000 steps a second it takes 7 s.
const MOST_STEPS: u64 = 20_000;
const MOST_CLASSES: usize = 256;
const NEWS_EVERY: Duration = Duration::from_millis(500);
/// For the stub's answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the wish to end.
const LOOK: Duration = Duration::from_millis(100);

/// Boots the image without a plugin and traces it through its stub. With a `keeper` the machine is kept at
/// both sides of each crossing, and the run's report behind that.
///
/// # Errors
/// As [`super::trace::trace`].
pub fn trace_by_stub(
    image: &Image,
    options: &TraceOptions,
    keeper: Option<&mut Keeper>,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<Traced, TraceError> {
    let twin = (options.setup.mode == Mode::Linux).then(|| image.twin());
    let profile = options.profile.as_deref();
    let symbols = open_symbols(&image.vmlinux(), twin.as_deref(), profile)?;
    let mut machine = options.machine(image);
    if keeper.is_some() && machine.smp == 1 {
        machine.more.extend(BY_INSTRUCTIONS.map(OsString::from));
    }
    let memory = SharedMemory::new(u64::from(machine.memory_mib) << 20)
        .map_err(|source| TraceError::Memory { source })?;
    let qemu = Qemu::start(&Machine {
        shared_memory: Some(memory.path()),
        ..machine
    })?;
    let endpoint = qemu.gdb().cloned().ok_or(TraceError::NoStub)?;
    let mut target = Target::connect(&endpoint, PATIENCE)?;
    // A look at it takes no packet.
    target.share(memory);
    let mut traced = trace_target(target, &symbols, options, keeper, cancel, tell)?;
    traced.serial = qemu.serial().try_iter().flatten().collect();
    Ok(traced)
}

/// Traces what runs behind a stub until it ends or is told to; then lets it run on. `keeper` as for
/// [`trace_by_stub`].
///
/// # Errors
/// When the stub cannot be reached or does not do what is asked.
pub fn trace_attached(
    endpoint: &Endpoint,
    vmlinux: &Path,
    options: &TraceOptions,
    keeper: Option<&mut Keeper>,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<Traced, TraceError> {
    let symbols = open_symbols(vmlinux, None, options.profile.as_deref())?;
    let target = Target::connect(endpoint, PATIENCE)?;
    trace_target(target, &symbols, options, keeper, cancel, tell)
}

fn trace_target(
    target: Target,
    symbols: &Symbols,
    options: &TraceOptions,
    mut keeper: Option<&mut Keeper>,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<Traced, TraceError> {
    let (table, app) = table_of(symbols);
    let mut tracer = tracer(target, (&table, app), options);
    let vcpus = u32::try_from(tracer.target.vcpus()?.len()).unwrap_or(1);
    let keeping = keeper.as_deref_mut();
    if let Some(keeper) = keeping {
        let by_instructions = tracer.target.is_shared() && vcpus == 1;
        tracer.keeping = Some(Keeping::new(keeper, symbols, vcpus, by_instructions));
        tracer.longest = MOST_BESIDE_STATES;
    }
    tracer.steps.in_app();
    tracer.plant()?;
    let outcome = tracer.follow(options, cancel, tell);
    match outcome {
        // The guest has powered off: that is how a run ends.
        Ok(())
        | Err(TargetError::Ended { .. } | TargetError::Link(_) | TargetError::LinkWhile { .. }) => {
        }
        Err(error) => return Err(error.into()),
    }
    let wall = tracer.began.elapsed();
    let report = tracer.report();
    // It may be gone.
    let _ = tracer.target.detach();
    if let Some(keeper) = keeper {
        keeper.report(report.clone());
    }
    let counts = RingCounts {
        insns: report.insns,
        ..RingCounts::default()
    };
    Ok(Traced {
        triggered: None,
        report,
        serial: Vec::new(),
        counts,
        wall,
    })
}

fn tracer<'a>(
    target: Target,
    (table, app): (&'a SiteTable, AddrRanges),
    options: &TraceOptions,
) -> StubTracer<'a> {
    StubTracer {
        target,
        table,
        app,
        twin: twin(table),
        syscall_entries: sites_of(table, Kind::SyscallEntry),
        neighbours: 0,
        setup: options.setup.clone(),
        fold: Fold::new(table.functions.clone()),
        steps: Steps::new(table),
        code: HashMap::new(),
        seen: HashMap::new(),
        keeping: None,
        log: None,
        longest: MOST_STEPS,
        stepped: 0,
        given_up: 0,
        instructions: 0,
        began: Instant::now(),
    }
}

fn sites_of(table: &SiteTable, kind: Kind) -> Vec<Addr> {
    let sites = table.sites.iter();
    let of_kind = sites.filter(|site| site.word().kind() == Some(kind));
    of_kind.map(|site| Addr(site.address)).collect()
}

/// From the first of the application's functions in the user half to the end of the last.
fn twin(table: &SiteTable) -> AddrRange {
    let sites = table.sites.iter().map(|site| Addr(site.address));
    let mut user = sites.filter(|addr| !addr.in_kernel_half());
    match (user.next(), user.next_back()) {
        (Some(first), Some(last)) => AddrRange::new(first, last),
        _ => AddrRange::default(),
    }
}

struct StubTracer<'a> {
    target: Target,
    table: &'a SiteTable,
    /// The application's code in the kernel image.
    app: AddrRanges,
    setup: Setup,
    fold: Fold,
    steps: Steps<'a>,
    /// Where the twin's code lies, in mode linux.
    twin: AddrRange,
    syscall_entries: Vec<Addr>,
    /// System calls of ring-3 processes beside the application.
    neighbours: u64,
    /// Instructions that were read from the guest once.
    code: HashMap<Addr, Decoded>,
    /// Entry and call number → crossings seen.
    seen: HashMap<(Addr, u64), u64>,
    /// The machine's states, where they are wanted.
    keeping: Option<Keeping<'a>>,
    /// The instructions that were stepped over, where they are wanted.
    log: Option<Vec<Addr>>,
    /// Steps after which a crossing is given up.
    longest: u64,
    stepped: u64,
    given_up: u64,
    instructions: u64,
    began: Instant,
}

impl StubTracer<'_> {
    fn plant(&mut self) -> Result<(), TargetError> {
        let profile = self.table.functions.profile();
        let entries: Vec<Addr> = self
            .table
            .sites
            .iter()
            .filter(|site| {
                let name = &self.table.functions.get(site.word().function()).name;
                let by_call = site.flags & (SiteFlags::LEAVES | SiteFlags::LABEL)
                    == SiteFlags::LEAVES
                    && profile.entry_code(name) == Some(EntryCode::Stub);
                match site.word().kind() {
                    Some(Kind::SyscallEntry) => true,
                    Some(Kind::Entry) => by_call,
                    _ => false,
                }
            })
            .map(|site| Addr(site.address))
            .collect();
        entries
            .into_iter()
            .try_for_each(|entry| self.target.insert(Trap::soft(entry)))?;
        match &mut self.keeping {
            Some(keeping) => keeping.plant(&mut self.target),
            None => Ok(()),
        }
    }

    fn follow(
        &mut self,
        options: &TraceOptions,
        cancel: &AtomicBool,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), TargetError> {
        let mut told = Instant::now();
        loop {
            self.target.resume()?;
            let stop = loop {
                let over = options
                    .duration
                    .is_some_and(|limit| self.began.elapsed() >= limit);
                if over || cancel.load(Ordering::Relaxed) {
                    self.target.interrupt()?;
                    self.target.wait(PATIENCE)?;
                    return Ok(());
                }
                if let Some(stop) = self.target.wait(LOOK)? {
                    break stop;
                }
            };
            if matches!(stop.cause, StopCause::Exited(_) | StopCause::Killed(_)) {
                return Ok(());
            }
            self.crossing(stop.vcpu)?;
            if told.elapsed() >= NEWS_EVERY {
                told = Instant::now();
                tell(Event::Trace(TraceNews {
                    report: Arc::new(self.report()),
                    events: self.fold.events,
                    events_per_s: self.fold.events as f64 / self.began.elapsed().as_secs_f64(),
                    running: true,
                    recording: true,
                }));
            }
        }
    }

    /// The target stands at an entry: which one, and the call's number. `None`: a neighbour's.
    fn entered(&mut self, vcpu: Vcpu) -> Result<Option<(Addr, u64)>, TargetError> {
        let registers = self.target.registers(vcpu)?;
        let Some(pc) = registers.pc() else {
            return Ok(None);
        };
        // The SYSCALL instruction leaves its return address in rcx: a neighbour's lies elsewhere.
        let caller = registers.get("rcx").map(Addr);
        let by_syscall = self.syscall_entries.contains(&pc);
        if by_syscall && !caller.is_some_and(self.is_apps()) {
            self.neighbours += 1;
            return Ok(None);
        }
        // A shortcut's number means nothing, and does no harm.
        let number = registers.get("rax").unwrap_or(0) & 0xffff_ffff;
        Ok(Some((pc, number)))
    }

    fn crossing(&mut self, vcpu: Vcpu) -> Result<(), TargetError> {
        if self.keep_exit(vcpu)? || self.keep_arrival(vcpu)? {
            return Ok(());
        }
        let Some((pc, number)) = self.entered(vcpu)? else {
            return Ok(());
        };
        self.keep_entry(vcpu)?;
        let seen = self.seen.entry((pc, number)).or_default();
        *seen += 1;
        let first = match self.keeping {
            Some(_) => STEPPED_BESIDE_STATES,
            None => STEPPED_FIRST,
        };
        if *seen > first && !seen.is_multiple_of(THEN_EVERY) {
            return Ok(());
        }
        if self.walk(vcpu, pc)? {
            self.stepped += 1;
            self.keep_exit(vcpu)?;
            self.fold.take(0, 0, &self.steps.take());
        } else {
            self.given_up += 1;
            self.fold.take(0, 0, &self.steps.take());
            self.fold.abandon(0);
            self.steps.in_app();
        }
        Ok(())
    }

    /// Steps until the application goes on; false: the crossing sleeps, waits for another
    /// vCPU, or is too long to be followed.
    fn walk(&mut self, vcpu: Vcpu, entry: Addr) -> Result<bool, TargetError> {
        self.steps.enter(entry);
        let mut pc = entry;
        for _ in 0..self.longest {
            let instruction = self.instruction(pc)?;
            let sleeps =
                self.steps.switches(pc) && instruction.stack_switch() == Some(StackSwitch::Loads);
            // The other vCPUs stand meanwhile: one that holds a lock holds it until this one runs on.
            if sleeps || instruction.waits() {
                return Ok(false);
            }
            self.target.step(vcpu)?;
            let to = self.target.pc(vcpu)?;
            if instruction.repeats() && to == pc {
                // A round of it: it is one instruction.
                continue;
            }
            self.instructions += 1;
            if let Some(log) = &mut self.log {
                log.push(pc);
            }
            self.steps.step(pc, &instruction, to);
            if !to.in_kernel_half() || self.app.contains(to) {
                return Ok(true);
            }
            pc = to;
        }
        Ok(false)
    }

    /// Where nothing is known of the application everything is taken for its code.
    fn is_apps(&self) -> impl Fn(Addr) -> bool + use<> {
        let text = self.text();
        move |addr| text.is_empty() || text.contains(addr)
    }

    /// Of an interrupt's or an exception's frame: where nothing is known of the application, the user half is its.
    fn interrupted_app(&self) -> impl Fn(Addr) -> bool + use<> {
        let text = self.text();
        move |addr| match text.is_empty() {
            true => !addr.in_kernel_half(),
            false => text.contains(addr),
        }
    }

    fn text(&self) -> AddrRange {
        match self.setup.mode {
            Mode::Linux => self.twin,
            _ => self.app.span(),
        }
    }

    fn instruction(&mut self, pc: Addr) -> Result<Decoded, TargetError> {
        if let Some(known) = self.code.get(&pc) {
            return Ok(*known);
        }
        let mut bytes = [0; 15];
        self.target.read(pc, &mut bytes)?;
        let decoded = Decoded::new(&bytes, pc).ok_or_else(|| TargetError::NotRead {
            addr: pc,
            found: "the bytes there are no instruction".to_owned(),
        })?;
        self.code.insert(pc, decoded);
        Ok(decoded)
    }

    fn report(&self) -> Report {
        let seen: u64 = self.seen.values().sum();
        let seconds = self.began.elapsed().as_secs_f64();
        let mut notes = vec![format!(
            "by breakpoints: {} seen, {:.1} a second; {} of them stepped through, \
             {:.0} instructions a second, and the counts below are of these; the plugin records millions \
             of calls and returns a second",
            counted(seen, "crossing"),
            seen as f64 / seconds.max(1e-9),
            self.stepped,
            self.instructions as f64 / seconds.max(1e-9)
        )];
        if self.given_up > 0 {
            notes.push(format!(
                "{} slept, waited for another vCPU or {} longer than {} instructions: not counted",
                counted(self.given_up, "stepped crossing"),
                either(self.given_up, "was", "were"),
                self.longest
            ));
        }
        if self.neighbours > 0 {
            notes.push(format!(
                "{} of other processes {} not counted",
                counted(self.neighbours, "system call"),
                either(self.neighbours, "is", "are")
            ));
        }
        let open = self.keeping.as_ref().map_or(0, Keeping::still_open);
        if open > 0 {
            notes.push(format!(
                "{} did not return: the entry alone is kept",
                counted(open, "crossing")
            ));
        }
        notes.push(match &self.keeping {
            Some(keeping) => keeping.arrivals_note(),
            None => "faults and interrupts are not traced by this engine".to_owned(),
        });
        self.fold.report(&self.run(notes), MOST_CLASSES)
    }

    fn run(&self, notes: Vec<String>) -> Run {
        Run {
            mode: self.setup.clone(),
            engine: "stub".to_owned(),
            lost: 0,
            insns: self.instructions,
            notes,
        }
    }
}
