//! What can go wrong with a target: what was tried, what was found, the next step.

use std::time::Duration;

use crate::addr::{Addr, PhysAddr};
use crate::event::Vcpu;
use crate::gdb::client::ClientError;
use crate::gdb::description::DescriptionError;
use crate::gdb::reply::ReplyError;
use crate::session::link::LinkError;

#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{tried}: {source}")]
    LinkWhile { tried: String, source: LinkError },
    #[error(
        "{tried}: {source}; what answers at {at} may be no gdb stub, or the line is bad: check the address and connect again"
    )]
    Wire {
        tried: String,
        at: String,
        source: ClientError,
    },
    #[error("{tried}: {source}; the stub has no such feature, or refuses it now")]
    Reply { tried: String, source: ReplyError },
    #[error("{tried}: no answer from {at} in {waited:?}; {found}")]
    NoAnswer {
        tried: String,
        at: String,
        waited: Duration,
        found: String,
    },
    #[error(
        "talking to {at}: {bytes} bytes came that belong to no packet, '{shown}'; it is no gdb stub: check the address"
    )]
    NoStub {
        at: String,
        bytes: u64,
        shown: String,
    },
    #[error("{tried}: the target runs; interrupt it first")]
    Running { tried: String },
    #[error("waiting for a stop: the target does not run; resume it first")]
    NotRunning,
    #[error("{tried}: the machine has ended ({how}); boot it again")]
    Ended { tried: String, how: String },
    #[error("reading the target's registers: {0}; connect to a stub of QEMU")]
    Description(#[from] DescriptionError),
    #[error("{tried}: no machine runs, only a vmlinux is open; boot an image or attach to a stub")]
    NoMachine { tried: String },
    #[error(
        "reading memory at {0:?}: vmlinux holds nothing there; a running machine may: boot an image or attach to a stub"
    )]
    NotInFile(Addr),
    #[error(
        "reading memory at {addr:?}: it is not kept with stop {stop}, for nobody looked at it then; 'now' returns to where the target stands"
    )]
    NotKept { addr: Addr, stop: u64 },
    #[error(
        "reading the registers: those of vCPU {} are not kept with stop {stop}; 'now' returns to where the target stands",
        .vcpu.0
    )]
    RegistersNotKept { vcpu: Vcpu, stop: u64 },
    #[error(
        "{tried}: stop {stop} is past, and only what was looked at then is known; 'now' returns to where the target stands"
    )]
    LookingBack { tried: String, stop: u64 },
    #[error(
        "asking where the replay stands: the machine does not replay (it says '{}'); 'uklscope record' makes a recording, 'uklscope replay' opens it",
        said.trim()
    )]
    NoReplay { said: String },
    #[error(
        "{tried}: this is a replay, and what was cannot be changed; do it in a run of the image: 'uklscope run'"
    )]
    Past { tried: String },
    #[error("asking QEMU's monitor '{command}': {said}; see 'monitor help'")]
    Monitor { command: String, said: String },
    #[error("asking for vCPU {}: the target has {}, counted from 0", .0.0, .1)]
    NoSuchVcpu(Vcpu, usize),
    #[error("the register '{0}': the target has none of that name; 'info registers' lists them")]
    NoSuchRegister(String),
    #[error(
        "setting {name} to {wrote:#x}: it reads {found} afterwards; the CPU may not let it have that value now"
    )]
    RegisterNotSet {
        name: String,
        wrote: u64,
        found: String,
    },
    #[error("setting {name} to {wrote:#x}: it has {bits} bits; give a value that fits")]
    RegisterTooNarrow { name: String, wrote: u64, bits: u32 },
    #[error("setting {name}: it has {bits} bits, more than can be set; write it through memory")]
    RegisterTooWide { name: String, bits: u32 },
    #[error("the target does not give {0}; without it this cannot be done")]
    NoRegister(&'static str),
    #[error(
        "reading memory at {addr:?}: nothing is mapped there ({found}); 'space {addr:?}' shows the page tables' view"
    )]
    Unreadable { addr: Addr, found: String },
    /// Not the place's fault.
    #[error("reading memory at {addr:?}: {found}")]
    NotRead { addr: Addr, found: String },
    #[error("reading physical memory at {addr}: {found}")]
    UnreadablePhysical { addr: PhysAddr, found: String },
    #[error(
        "writing memory at {addr:?}: nothing is mapped there ({found}); nothing was written there"
    )]
    Unwritable { addr: Addr, found: String },
    #[error(
        "writing memory at {addr:?}: the stub said OK, and the byte reads {found:#04x} where {wrote:#04x} was written; it may be a device or read-only"
    )]
    WriteLost { addr: Addr, wrote: u8, found: u8 },
    #[error("reading physical memory: the stub has no physical mode; QEMU has it since 4.1")]
    NoPhysicalMode,
    #[error(
        "leaving physical mode: {0}; memory may now be read by physical address: connect again"
    )]
    StuckPhysical(ReplyError),
    #[error("removing a trap at {0:?}: there is none")]
    NoSuchTrap(Addr),
    #[error(
        "setting the step flags to {wrote:#x}: they read {found:#x} afterwards; steps would let other things run"
    )]
    StepFlagsNotSet { wrote: u64, found: u64 },
    #[error(
        "the monitor command '{0}' would run the machine behind our back; use continue instead"
    )]
    MonitorRuns(String),
    #[error("stepping vCPU {}: this stub steps the current one only; QEMU steps any", .0.0)]
    NoVcont(Vcpu),
}
