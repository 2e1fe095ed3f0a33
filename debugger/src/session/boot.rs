//! Opening a live target: boot one, or join one that runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attach;
use super::engine::{Engine, Sources};
use super::handle::{Handle, Port};
use super::kernel_memory::refused;
use super::live;
use super::options::{AttachOptions, BootOptions, StopAt};
use super::process::{Qemu, QemuError};
use super::profile_file;
use super::run::Ran;
use super::shared_memory::SharedMemory;
use super::target::{Endpoint, Target};
use super::trouble::{Trouble, failure_of};
use super::wire::Head;
use crate::addr::Addr;
use crate::crossing::Mode;
use crate::event::{Event, Fact, Run, StopReason, TargetInfo, Vcpu, Work};
use crate::known::Known;
use crate::qemu::arguments::{Accelerator, Machine};
use crate::qemu::image::Image;
use crate::symbols::Symbols;

/// For each answer of the stub.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Until the kernel's first C function is reached: 0.3 s on a quiet host.
pub(super) const KERNEL_START: Duration = Duration::from_secs(60);

const BEFORE_THE_KERNEL: &str = "it stands before start_kernel, the kernel's first C function: the symbols' addresses may not be mapped yet";

/// Opens sessions. Each has a thread of its own; opening goes on there, and what fails is told by
/// [`Run::Ended`].
#[derive(Debug)]
pub struct Session;

impl Session {
    /// Boots an image.
    #[must_use]
    pub fn boot(image: Image, options: BootOptions) -> Handle {
        Handle::start(move |port| live::serve(port, |port| boot(port, &image, &options, None)))
    }

    /// Joins a running stub, which stops the machine.
    #[must_use]
    pub fn attach(endpoint: Endpoint, options: AttachOptions) -> Handle {
        Handle::start(move |port| {
            live::serve(port, |port| attach::attach(port, &endpoint, &options))
        })
    }
}

/// A run that was recorded: what must be as it was then.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) run: super::replay::RecordedRun,
    pub(super) known: super::replay::Replay,
}

pub(super) fn boot(
    port: Port,
    image: &Image,
    options: &BootOptions,
    again: Option<Again>,
) -> Result<Engine, Trouble> {
    let manifest = &image.manifest;
    let mode = options.mode.unwrap_or(manifest.default_mode);
    if !manifest.modes.contains(&mode) {
        let modes: Vec<&str> = manifest.modes.iter().map(|mode| mode.name()).collect();
        return Err(Trouble::new(
            format!("booting {} in mode {mode}", manifest.name),
            format!("it has the modes {}", modes.join(", ")),
            "choose one of them with --mode",
        ));
    }
    let twin = (mode == Mode::Linux).then(|| image.twin());
    let reading = read_symbols(image.vmlinux(), twin.clone(), options.profile.clone());
    let trouble = |error: QemuError| Trouble::from(failure_of(&error.to_string()));
    let mut machine = machine(image, mode, options)?;
    let memory = match &again {
        Some(again) => {
            again.run.repeat(&mut machine, true);
            Err(std::io::Error::other("a replay is read where it stands"))
        }
        None => SharedMemory::new(u64::from(machine.memory_mib) << 20),
    };
    machine.shared_memory = memory.as_ref().ok().map(SharedMemory::path);
    if let Some(again) = &again {
        again.run.same_qemu(&machine)?;
    }
    let mut qemu = Qemu::start(&machine).map_err(trouble)?;
    if again.is_none() && !manifest.ports.is_empty() {
        for forward in qemu.forwards().map_err(trouble)? {
            port.send(Event::Notice(forward.to_string()));
        }
    }
    let Some(endpoint) = qemu.gdb().cloned() else {
        return Err(Trouble::new(
            "booting the image",
            "QEMU was started without a gdb stub",
            "report this",
        ));
    };
    port.send(work("reading symbols", false));
    let mut target = Target::connect(&endpoint, ANSWER)?;
    if let Some(moves) = qemu.moves() {
        target.tell_moves(moves.clone());
    }
    let symbols = reading.join().unwrap_or_else(|_| {
        Err(Trouble::new(
            "reading the symbols",
            "the reader failed",
            "report this",
        ))
    })?;
    port.send(work("reading symbols", true));
    let info = TargetInfo {
        name: manifest.name.clone(),
        mode: Some(mode),
        accelerator: options.accelerator.clone(),
        vcpus: options.smp,
        lacks: symbols.lacks(),
        found: vec![Fact::new(
            "profile",
            Known::Yes(symbols.profile().to_string()),
        )],
    };
    let sources = Sources {
        kernel: Some(manifest.files.source.clone()),
    };
    let mut engine = Engine::new(port, target, Some(qemu), Some(symbols), info, sources);
    match memory {
        Ok(memory) => {
            engine.target.share(memory);
            engine.fact(
                "live",
                Known::Yes("its memory is read while it runs".to_owned()),
            );
        }
        Err(error) => engine.beside.why_not = format!("its memory could not be shared: {error}"),
    }
    if let Some(again) = again {
        engine.begin_replay(again.known)?;
    }
    engine.announce();
    let reason = match (engine.start_kernel(options.force)?, options.stop_at) {
        (StopReason::Arrived, StopAt::Main) => engine.run_to_main()?,
        (reason, _) => reason,
    };
    if let Some(path) = &options.record {
        let head = Head {
            vmlinux: attach::absolute(&image.vmlinux()),
            twin: twin.as_deref().and_then(attach::absolute),
            source: attach::absolute(&manifest.files.source),
        };
        engine.record_from_here(path, &head)?;
    }
    match options.stop_at {
        StopAt::Kernel | StopAt::Main => engine.stop_here(reason)?,
        StopAt::Nowhere => engine.run_freely = true,
    }
    Ok(engine)
}

/// Devices and their order of events differ between versions.
fn machine(image: &Image, mode: Mode, options: &BootOptions) -> Result<Machine, Trouble> {
    let mut machine = Machine::of(image, mode, options.calls);
    machine.smp = options.smp;
    machine.stopped_at_start = true;
    if let Some(qemu) = &options.qemu {
        machine.program.clone_from(qemu);
    }
    machine.accelerator = match options.accelerator.as_str() {
        "tcg" => Accelerator::Tcg,
        "kvm" => Accelerator::Kvm,
        other => {
            return Err(Trouble::new(
                "booting the image",
                format!("'{other}' is no accelerator"),
                "choose tcg or kvm",
            ));
        }
    };
    if let Some(more) = &options.append {
        machine.append.push(' ');
        machine.append.push_str(more);
    }
    Ok(machine)
}

pub(super) fn work(name: &str, finished: bool) -> Event {
    Event::Work(Work {
        name: name.to_owned(),
        done: 0,
        total: 0,
        finished,
    })
}

/// Reads beside the boot.
pub(super) fn read_symbols(
    vmlinux: PathBuf,
    twin: Option<PathBuf>,
    profile: Option<PathBuf>,
) -> std::thread::JoinHandle<Result<Symbols, Trouble>> {
    std::thread::spawn(move || {
        let own = profile.as_deref().map(profile_file::read).transpose()?;
        let mut symbols = Symbols::open(&vmlinux, twin.as_deref().map(Path::new))
            .map_err(|error| Trouble::from(failure_of(&error.to_string())))?;
        if let Some(own) = own {
            symbols = symbols.with_profile(own);
        }
        index_beside(&symbols);
        Ok(symbols)
    })
}

/// Names of DWARF are read while nobody asks for one yet.
pub(super) fn index_beside(symbols: &Symbols) {
    for work in symbols.index_work() {
        std::thread::spawn(move || work.run());
    }
}

impl Engine {
    /// Tells what the target is, and lets the names for completion be sorted beside.
    pub(super) fn announce(&self) {
        self.port.send(Event::Target(self.info.clone()));
        if let Some(symbols) = &self.symbols {
            let (all, names) = (symbols.all_names(), self.port.names.clone());
            std::thread::spawn(move || names.fill(all.sorted()));
            let root = symbols.kernel_sources().to_owned();
            for work in symbols.listing() {
                let (names, root) = (self.port.names.clone(), root.clone());
                std::thread::spawn(move || {
                    let (types, files) = work.listed();
                    names.add(types, files, &root);
                });
            }
        }
    }

    pub(super) fn stop_here(&mut self, reason: StopReason) -> Result<(), Trouble> {
        let stop = self.stopped(reason)?;
        self.look_ahead();
        self.port.send(Event::Run(Run::Stopped(stop)));
        Ok(())
    }

    /// Runs the machine from its reset to the kernel's first C function, where the kernel's image
    /// is mapped where vmlinux says. A recording may end before that.
    fn start_kernel(&mut self, force: bool) -> Result<StopReason, Trouble> {
        self.port.send(Event::Run(Run::Running));
        let tried = || "booting to start_kernel".to_owned();
        let start = self.symbols_or(tried)?.address_of("start_kernel");
        let Some(start) = start else {
            return Err(Trouble::new(
                tried(),
                "vmlinux has no such symbol",
                "give the vmlinux of this kernel, with its symbol table",
            ));
        };
        self.deadline = Some(Instant::now() + KERNEL_START);
        let ran = self.run_to(&[start], &mut |_| Ok(true));
        self.deadline = None;
        match ran? {
            Ran::Arrived => {}
            Ran::Stopped(_) if self.late => {
                self.check_identity(false)?;
                return Err(Trouble::new(
                    tried(),
                    format!("it was not reached in {KERNEL_START:?}"),
                    "see what the guest wrote on its console; is the vmlinux that of this kernel?",
                ));
            }
            Ran::Stopped(reason) => {
                self.port.send(Event::Notice(BEFORE_THE_KERNEL.to_owned()));
                return Ok(reason);
            }
        }
        self.check_identity(force)?;
        Ok(StopReason::Arrived)
    }

    /// Compares the build-id in the guest's memory with that of vmlinux.
    pub(super) fn check_identity(&mut self, force: bool) -> Result<(), Trouble> {
        const PAGING: u64 = 1 << 31;
        if self.symbols.is_some() && self.register("cr0")? & PAGING == 0 {
            let notice = "the machine has no page tables yet: whether vmlinux is its kernel's was not checked";
            self.port.send(Event::Notice(notice.to_owned()));
            return Ok(());
        }
        let Some(symbols) = &self.symbols else {
            return Ok(());
        };
        let target = &mut self.target;
        let checked = symbols.check_build_id(|at, bytes| target.read(at, bytes).is_ok());
        match checked {
            Ok(()) => Ok(()),
            Err(mismatch) if force => {
                self.port.send(Event::Notice(format!("forced: {mismatch}")));
                Ok(())
            }
            Err(mismatch) => {
                let known = self.constants()?;
                Err(refused(&mismatch.to_string(), known.as_ref()))
            }
        }
    }

    /// Runs until the application's `main` is called: in mode linux that of the ring-3 program.
    fn run_to_main(&mut self) -> Result<StopReason, Trouble> {
        let tried = || "running to the application's main".to_owned();
        let symbols = self.symbols_or(tried)?;
        let mains: Vec<Addr> = self
            .named(symbols, "main", None)
            .iter()
            .filter(|symbol| symbol.origin.is_app_side() && symbol.kind.is_code())
            .map(|symbol| symbol.addr)
            .collect();
        if mains.is_empty() {
            return Err(Trouble::new(
                tried(),
                "vmlinux has no main of the application",
                "link one in, or start with the kernel alone",
            ));
        }
        self.deadline = Some(Instant::now() + KERNEL_START);
        // Another program may have code at the same address of the user half: it must be ours.
        let ran = self.run_to(&mains, &mut |engine| {
            let pc = engine.pc()?;
            Ok(pc.in_kernel_half() || engine.runs_the_twin(pc))
        });
        self.deadline = None;
        match ran? {
            Ran::Arrived => {
                self.app_space = Some(self.address_space()?);
                Ok(StopReason::Arrived)
            }
            Ran::Stopped(_) if self.late => Err(Trouble::new(
                tried(),
                format!("it was not reached in {KERNEL_START:?}"),
                "see what the guest wrote on its console",
            )),
            Ran::Stopped(reason) => Ok(reason),
        }
    }

    /// Whether it is the application's code that lies there, not another program's.
    pub(super) fn runs_the_twin(&mut self, pc: Addr) -> bool {
        const COMPARED: usize = 32;
        let Some(expected) = self
            .symbols
            .as_ref()
            .and_then(|symbols| symbols.initial(pc, COMPARED))
            .map(<[u8]>::to_vec)
        else {
            return false;
        };
        let mut found = [0; COMPARED];
        self.target.read(pc, &mut found).is_ok() && found[..] == expected[..]
    }

    /// What the running kernel's command line says.
    pub(super) fn mode_of_guest(&mut self) -> Option<Mode> {
        const LONGEST: usize = 2048;
        let line = self.symbols.as_ref()?.address_of("saved_command_line")?;
        let line = Addr(self.word(line).ok()?);
        let mut bytes = Vec::new();
        let mut byte = [0];
        while bytes.len() < LONGEST
            && self
                .target
                .read(line + bytes.len() as u64, &mut byte)
                .is_ok()
        {
            if byte[0] == 0 {
                break;
            }
            bytes.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.split_whitespace()
            .filter_map(|word| word.strip_prefix("ukl.mode="))
            .filter_map(|mode| mode.parse().ok())
            .next_back()
    }

    pub(super) fn new(
        port: Port,
        target: Target,
        qemu: Option<Qemu>,
        symbols: Option<Symbols>,
        info: TargetInfo,
        sources: Sources,
    ) -> Self {
        Self {
            port,
            waiting: std::collections::VecDeque::new(),
            joining: super::joining::Joining::default(),
            target,
            qemu,
            symbols,
            info,
            sources,
            book: super::book::Book::default(),
            doors: None,
            prototypes: super::passage::Prototypes::default(),
            since: None,
            vcpu: Vcpu(0),
            frame: 0,
            course: super::course::Course::default(),
            others: false,
            app_space: None,
            gates: None,
            stops: super::stops::Stops::default(),
            interrupted: false,
            deadline: None,
            late: false,
            free: false,
            run_freely: false,
            stop: None,
            unwound: None,
            decoded: super::listing::Decoded::default(),
            source_files: super::source_files::SourceFiles::default(),
            watches: super::watches::Watches::default(),
            history: Vec::new(),
            due: Vec::new(),
            beside: super::beside::Beside::default(),
            replay: None,
        }
    }
}
