//! A booted image behind its stub, for the tests that need one.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(unreachable_pub, reason = "it is a module of several tests")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::HashMap;
use std::time::Duration;

use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::event::Vcpu;
use debugger::qemu::arguments::Machine;
use debugger::qemu::image::Image;
use debugger::session::process::Qemu;
use debugger::session::store;
use debugger::session::target::{StopCause, StopReply, Target, Trap};
use object::{Object, ObjectSymbol};

/// For an answer, and for the guest to get somewhere: far more than either takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const BREAKPOINT: StopCause = StopCause::Signal(5);
pub const INTERRUPTED: StopCause = StopCause::Signal(2);

/// The image that is booted: without it a test fails, and says how to build it.
pub fn image() -> Image {
    match store::image("syscalls") {
        Ok(image) => image,
        Err(error) => panic!("{error}"),
    }
}

/// As many operations as no test waits for.
pub fn machine(mode: Mode) -> Machine {
    Machine::of(&image(), mode, Some(100_000_000))
}

/// The addresses of the kernel's global symbols; where a name occurs twice, of neither.
pub struct Symbols(HashMap<String, Option<Addr>>);

impl Symbols {
    pub fn read() -> Self {
        let bytes = std::fs::read(image().vmlinux()).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let mut symbols: HashMap<String, Option<Addr>> = HashMap::new();
        for symbol in file.symbols() {
            symbols
                .entry(symbol.name().unwrap_or_default().to_owned())
                .and_modify(|addr| *addr = None)
                .or_insert(Some(Addr(symbol.address())));
        }
        Self(symbols)
    }

    #[track_caller]
    pub fn at(&self, name: &str) -> Addr {
        match self.0.get(name) {
            Some(Some(addr)) => *addr,
            _ => panic!("vmlinux has no single symbol {name}"),
        }
    }
}

pub struct Booted {
    pub target: Target,
    pub qemu: Qemu,
    pub symbols: Symbols,
}

/// Boots, stopped before the first instruction.
pub fn boot(machine: &Machine) -> Booted {
    let qemu = Qemu::start(machine).unwrap();
    let target = Target::connect(qemu.gdb().unwrap(), PATIENCE).unwrap();
    Booted {
        target,
        qemu,
        symbols: Symbols::read(),
    }
}

/// Boots and runs to a function of the kernel or the application.
pub fn boot_to(machine: &Machine, function: &str) -> Booted {
    let mut booted = boot(machine);
    booted.run_to(booted.symbols.at(function));
    booted
}

impl Booted {
    /// Runs to an address, with a breakpoint there for that time.
    #[track_caller]
    pub fn run_to(&mut self, addr: Addr) -> StopReply {
        let trap = Trap::soft(addr);
        self.target.insert(trap).unwrap();
        let stop = self.run();
        assert_eq!(stop.cause, BREAKPOINT);
        assert_eq!(self.target.pc(stop.vcpu).unwrap(), addr);
        self.target.remove(trap).unwrap();
        stop
    }

    /// Resumes and waits for the next stop.
    #[track_caller]
    pub fn run(&mut self) -> StopReply {
        self.target.resume().unwrap();
        self.target
            .wait(PATIENCE)
            .unwrap()
            .expect("the target stops")
    }

    #[track_caller]
    pub fn pc(&mut self) -> Addr {
        self.target.pc(self.target.last_stop().vcpu).unwrap()
    }

    #[track_caller]
    pub fn register(&mut self, name: &str) -> u64 {
        let vcpu = self.target.last_stop().vcpu;
        self.target.registers(vcpu).unwrap().get(name).unwrap()
    }

    #[track_caller]
    pub fn word(&mut self, addr: Addr) -> u64 {
        let mut bytes = [0; 8];
        self.target.read(addr, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// What QEMU itself says, past the stub.
    #[track_caller]
    pub fn is_running(&mut self) -> bool {
        self.qemu.monitor().status().unwrap().running
    }
}

pub const FIRST: Vcpu = Vcpu(0);
