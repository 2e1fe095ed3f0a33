//! One of everything that is asked of a stub: held with a booted image, and again with what was
//! recorded of that.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(unreachable_pub, reason = "it is a module of several tests")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::PathBuf;
use std::time::Duration;

use debugger::addr::{Addr, PhysAddr};
use debugger::event::Vcpu;
use debugger::known::Known;
use debugger::session::target::{StepFlags, StopCause, Target, Trap, TrapKind};

const PATIENCE: Duration = Duration::from_secs(60);
const FIRST: Vcpu = Vcpu(0);

/// Where the recording lies.
pub fn recording() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conversation.txt")
}

/// The addresses that the conversation is about: they are those of one build of an image.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub main: Addr,
    pub banner: Addr,
    pub jiffies: Addr,
}

impl Places {
    /// The comments that a recording begins with.
    pub fn comments(self) -> String {
        let Self {
            main,
            banner,
            jiffies,
        } = self;
        format!("# main {main:?}\n# banner {banner:?}\n# jiffies {jiffies:?}\n")
    }

    pub fn from_comments(text: &str) -> Self {
        let read = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(&format!("# {name} ")))
                .unwrap_or_else(|| panic!("the recording has no address of {name}"))
                .parse()
                .unwrap()
        };
        Self {
            main: read("main"),
            banner: read("banner"),
            jiffies: read("jiffies"),
        }
    }
}

/// On a machine that is stopped before its first instruction.
pub fn hold(target: &mut Target, places: Places) {
    assert_eq!(target.last_stop().cause, StopCause::Signal(5));
    assert_eq!(target.vcpus().unwrap(), [FIRST]);
    assert_eq!(target.step_flags(), &Known::Yes(StepFlags::QUIET));
    assert_eq!(target.pc(FIRST).unwrap(), Addr(0xfff0));

    let main = Trap::soft(places.main);
    target.insert(main).unwrap();
    target.resume().unwrap();
    let stop = target.wait(PATIENCE).unwrap().unwrap();
    assert_eq!((stop.vcpu, stop.cause), (FIRST, StopCause::Signal(5)));
    let registers = target.registers(FIRST).unwrap();
    assert_eq!(registers.pc(), Some(places.main));
    assert_eq!(registers.get("cr0").map(|cr0| cr0 >> 31), Some(1), "paging");

    let mut banner = [0; 13];
    target.read(places.banner, &mut banner).unwrap();
    assert_eq!(&banner, b"Linux version");
    let physical = PhysAddr(places.banner.0 & 0x7fff_ffff);
    let mut by_physical_address = [0; 13];
    target
        .read_physical(physical, &mut by_physical_address)
        .unwrap();
    assert_eq!(by_physical_address, banner);
    target.write(places.banner, b"l").unwrap();
    let many = target.read_many(&[(places.banner, 5), (Addr(0xffff_f000_0000_0000), 1)]);
    assert_eq!(many[0].as_deref().unwrap(), b"linux");
    assert!(many[1].is_err());

    let stop = target.step(FIRST).unwrap();
    assert_eq!(stop.from, Some(places.main));
    assert_ne!(target.pc(FIRST).unwrap(), places.main);
    target.set_register(FIRST, "rip", places.main.0).unwrap();
    target.remove(main).unwrap();

    let watch = Trap {
        kind: TrapKind::Write,
        addr: places.jiffies,
        len: 8,
    };
    target.insert(watch).unwrap();
    target.resume().unwrap();
    let stop = target.wait(PATIENCE).unwrap().unwrap();
    let expected = StopCause::Watch {
        kind: TrapKind::Write,
        addr: places.jiffies,
    };
    assert_eq!(stop.cause, expected);
    target.remove(watch).unwrap();

    let status = target.monitor("info status").unwrap();
    assert!(status.starts_with("VM status: paused"), "{status}");
    target.resume().unwrap();
    target.interrupt().unwrap();
    let stop = target.wait(PATIENCE).unwrap().unwrap();
    assert_eq!(stop.cause, StopCause::Signal(2));
}
