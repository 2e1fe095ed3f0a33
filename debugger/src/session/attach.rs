//! Joining a machine that runs: finding out what it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::boot::{ANSWER, KERNEL_START, read_symbols, work};
use super::engine::{Engine, Sources};
use super::handle::Port;
use super::link::recording;
use super::options::AttachOptions;
use super::profile_file;
use super::run::{Halt, Ran};
use super::slide;
use super::target::{Endpoint, Target, TargetError, Trap, TrapKind};
use super::trouble::Trouble;
use super::wire::Head;
use crate::addr::{Addr, Slide};
use crate::event::{Event, Fact, Run, StopReason, TargetInfo};
use crate::known::Known;
use crate::symbols::Symbols;

/// How long a machine that has not come to its kernel runs between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// Longer than any `linux_banner`.
const BANNER: usize = 300;

pub(super) fn attach(
    port: Port,
    endpoint: &Endpoint,
    options: &AttachOptions,
) -> Result<Engine, Trouble> {
    let options = &of_recording(endpoint, options)?;
    let reading = options.vmlinux.clone().map(|vmlinux| {
        let twin = options.twin.clone();
        read_symbols(vmlinux, twin, options.profile.clone())
    });
    let head = Head {
        vmlinux: options.vmlinux.as_deref().and_then(absolute),
        twin: options.twin.as_deref().and_then(absolute),
        source: options.source.as_deref().and_then(absolute),
    };
    let record = options.record.as_deref().map(|path| (path, &head));
    let mut target = Target::connect_recording(endpoint, ANSWER, record)?;
    let vcpus = target.vcpus()?.len();
    let accelerator = accelerator(&mut target);
    let symbols = match reading {
        Some(reading) => {
            port.send(work("reading symbols", false));
            let symbols = reading.join().unwrap_or_else(|_| {
                Err(Trouble::new(
                    "reading the symbols",
                    "the reader failed",
                    "report this",
                ))
            })?;
            port.send(work("reading symbols", true));
            Some(symbols)
        }
        None => None,
    };
    let info = TargetInfo {
        name: endpoint.to_string(),
        mode: None,
        accelerator: accelerator.to_owned(),
        vcpus: u32::try_from(vcpus).unwrap_or(u32::MAX),
        lacks: Vec::new(),
        found: stub_facts(&target),
    };
    let sources = Sources {
        kernel: options.source.clone(),
    };
    let mut engine = Engine::new(port, target, None, symbols, info, sources);
    engine.vcpu = engine.target.last_stop().vcpu;
    engine.await_kernel()?;
    if engine.symbols.is_none() {
        engine.symbols_of_guest(&options.debug_files)?;
        if let Some(path) = &options.profile
            && let Some(symbols) = engine.symbols.take()
        {
            engine.symbols = Some(symbols.with_profile(profile_file::read(path)?));
        }
    }
    engine.locate_kernel()?;
    engine.check_identity(options.force)?;
    engine.kernel_facts()?;
    engine.find_shared_memory();
    engine.info.lacks = engine.symbols.as_ref().map_or_else(
        || vec!["no vmlinux was given or found: no names, no lines, no boundary".to_owned()],
        Symbols::lacks,
    );
    engine.info.mode = engine.mode_of_guest();
    let found: Vec<String> = engine.info.found.iter().map(ToString::to_string).collect();
    engine.port.send(Event::Notice(found.join("; ")));
    engine.announce();
    engine.stop_here(StopReason::Attached)?;
    Ok(engine)
}

/// A recording names the files that its session went by; what is given beside it holds.
fn of_recording(endpoint: &Endpoint, options: &AttachOptions) -> Result<AttachOptions, Trouble> {
    let mut options = options.clone();
    if let Endpoint::Wire(path) = endpoint {
        let (head, _) = recording(path).map_err(TargetError::Link)?;
        let or = |given: &mut Option<PathBuf>, said: Option<String>| {
            *given = given.take().or(said.map(PathBuf::from));
        };
        or(&mut options.vmlinux, head.vmlinux);
        or(&mut options.twin, head.twin);
        or(&mut options.source, head.source);
    }
    Ok(options)
}

/// Holds from another folder too.
pub(super) fn absolute(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    Some(path.display().to_string())
}

/// `tcg`, `kvm`, or `unknown` where the stub is not QEMU's.
pub(super) fn accelerator(target: &mut Target) -> &'static str {
    let said = target.monitor("info kvm").unwrap_or_default();
    match (said.contains("enabled"), said.contains("disabled")) {
        (true, _) => "kvm",
        (_, true) => "tcg",
        _ => "unknown",
    }
}

pub(super) fn stub_facts(target: &Target) -> Vec<Fact> {
    let supported = target.supported();
    let size = match supported.packet_size {
        Some(size) => Known::Yes(format!("{size} bytes")),
        None => Known::no("the stub does not say"),
    };
    let names = supported.features.iter().map(|(name, _)| name.as_str());
    let names: Vec<&str> = names.filter(|name| *name != "PacketSize").collect();
    vec![
        Fact::new("packets", size),
        Fact::new("features", Known::Yes(names.join(", "))),
    ]
}

impl Fact {
    pub(super) fn new(what: &'static str, is: Known<String>) -> Self {
        Self { what, is }
    }
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.is {
            Known::Yes(is) => write!(f, "{}: {is}", self.what),
            Known::Asked => write!(f, "{}: not asked yet", self.what),
            Known::No(why) => write!(f, "{}: unknown, {why}", self.what),
        }
    }
}

impl Engine {
    pub(super) fn fact(&mut self, what: &'static str, is: Known<String>) {
        self.info.found.push(Fact::new(what, is));
    }

    /// Lets a machine that stands in its firmware or loader run until its kernel's page tables hold:
    /// with a vmlinux to `start_kernel`, wherever KASLR puts that, else until it is seen there.
    pub(super) fn await_kernel(&mut self) -> Result<(), Trouble> {
        if self.kernel_runs()? {
            return Ok(());
        }
        let began = Instant::now();
        let paging = self.register("cr0")? & PAGING != 0;
        let notice = match paging {
            true => "the machine has not come to its kernel: it runs until it does",
            false => "the machine has no page tables yet: it runs until its kernel has",
        };
        self.port.send(Event::Notice(notice.to_owned()));
        self.port.send(Event::Run(Run::Running));
        let start = self.symbols.as_ref();
        let start = start.and_then(|symbols| symbols.address_of("start_kernel"));
        let arrived = match start.filter(|_| self.info.accelerator == "tcg") {
            Some(start) => self.run_to_start(start)?,
            None => self.run_until_kernel()?,
        };
        let after = began.elapsed().as_millis();
        let is = match arrived {
            true => Known::Yes(format!("the kernel was waited for, {after} ms")),
            false => Known::no(format!("no 64-bit Linux was reached in {after} ms")),
        };
        self.fact("start", is);
        Ok(())
    }

    fn run_to_start(&mut self, start: Addr) -> Result<bool, Trouble> {
        self.deadline = Some(Instant::now() + KERNEL_START);
        let ran = match self.run_to_cleared() {
            Ok(Some(slide)) => self.run_to(&[slide.moved(start)], &mut |_| Ok(true)),
            Ok(None) => Ok(Ran::Stopped(StopReason::Interrupted)),
            Err(trouble) => Err(trouble),
        };
        self.deadline = None;
        self.late = false;
        self.interrupted = false;
        Ok(ran? == Ran::Arrived)
    }

    /// To where the kernel clears its data, which tells how far it was moved.
    ///
    /// Traps are virtual and without limit under TCG: there is one at each place that the data may be
    /// moved to. QEMU goes through all breakpoints at each jump, but through watchpoints only where a
    /// page comes into use: they cost nothing while the kernel is unpacked.
    fn run_to_cleared(&mut self) -> Result<Option<Slide>, Trouble> {
        let symbols = self.symbols.as_ref();
        let Some(data) = symbols.and_then(|symbols| symbols.address_of("__bss_start")) else {
            return Ok(None);
        };
        let watch = |slide: Slide| Trap {
            kind: TrapKind::Write,
            addr: slide.moved(data),
            len: 8,
        };
        let watches: Vec<Trap> = slide::candidates()
            .map(watch)
            .filter(|watch| watch.addr.in_kernel_half())
            .collect();
        let halt = self.with_traps(&watches, Self::go)?;
        Ok(match halt {
            Halt::Watch(_, addr) => Some(Slide(addr - data)),
            _ => None,
        })
    }

    fn run_until_kernel(&mut self) -> Result<bool, Trouble> {
        let until = Instant::now() + KERNEL_START;
        while Instant::now() < until {
            self.deadline = Some(Instant::now() + LOOK);
            let halted = self.go();
            self.deadline = None;
            (self.late, self.interrupted) = (false, false);
            halted?;
            if self.kernel_runs()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the stopped CPU has the kernel mapped: it is in it, or its interrupts lead there.
    fn kernel_runs(&mut self) -> Result<bool, Trouble> {
        if self.register("cr0")? & PAGING == 0 {
            return Ok(false);
        }
        if self.pc()?.in_kernel_half() {
            return Ok(true);
        }
        // Where there is no monitor to ask, ring 3 tells that something has started it.
        match slide::first_handler(&mut self.target) {
            Some(handler) => Ok(handler.in_kernel_half()),
            None => Ok(self.register("cs")? & 3 == 3),
        }
    }

    /// Finds out how far the kernel was moved and tells the symbols.
    pub(super) fn locate_kernel(&mut self) -> Result<(), Trouble> {
        let Some(symbols) = self
            .symbols
            .as_mut()
            .filter(|symbols| !symbols.are_of_memory())
        else {
            return Ok(());
        };
        let is = match slide::find(&mut self.target, symbols)? {
            Some(found) => {
                symbols.move_to(found.slide);
                let how = format!("by {} in {} ms", found.by, found.took.as_millis());
                Known::Yes(format!("{}, {how}", found.slide))
            }
            None => Known::no("the kernel of this vmlinux is nowhere in the guest's memory"),
        };
        self.fact("KASLR", is);
        Ok(())
    }

    /// Begins to record a machine that was booted here, with all that is asked when one is attached to.
    pub(super) fn record_from_here(&mut self, path: &Path, head: &Head) -> Result<(), Trouble> {
        let found = self.info.found.clone();
        self.target.reconnect_recording(Some((path, head)))?;
        self.target.vcpus()?;
        accelerator(&mut self.target);
        self.kernel_runs()?;
        self.locate_kernel()?;
        self.check_identity(true)?;
        self.kernel_facts()?;
        self.mode_of_guest();
        self.info.found = found;
        Ok(())
    }

    fn kernel_facts(&mut self) -> Result<(), Trouble> {
        let paging = self.paging()?;
        self.fact("paging", Known::Yes(paging));
        let banner = self.banner();
        self.fact("kernel", banner);
        let id = self.symbols.as_ref().and_then(Symbols::build_id_text);
        let id = id.map_or_else(|| Known::no("no vmlinux tells one"), Known::Yes);
        self.fact("build-id", id);
        if let Some(symbols) = &self.symbols {
            let profile = symbols.profile().to_string();
            self.fact("profile", Known::Yes(profile));
        }
        Ok(())
    }

    fn paging(&mut self) -> Result<String, Trouble> {
        let (cr0, cr4) = (self.register("cr0")?, self.register("cr4")?);
        let efer = self.register("efer")?;
        Ok(
            match (cr0 & PAGING != 0, efer >> 10 & 1 == 1, cr4 >> 12 & 1) {
                (false, ..) => "off",
                (true, false, _) => "32-bit",
                (true, true, 1) => "64-bit, 5 levels",
                (true, true, _) => "64-bit, 4 levels",
            }
            .to_owned(),
        )
    }

    /// `Linux version 6.1.0-…`, as the running kernel has it.
    fn banner(&mut self) -> Known<String> {
        let place = self.symbols.as_ref();
        let Some(place) = place.and_then(|symbols| symbols.address_of("linux_banner")) else {
            return Known::no("no symbol tells where its banner lies");
        };
        let mut bytes = [0; BANNER];
        if let Err(error) = self.target.read(place, &mut bytes) {
            return Known::no(error.to_string());
        }
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Known::Yes(String::from_utf8_lossy(text).trim().to_owned())
    }
}

const PAGING: u64 = 1 << 31;
