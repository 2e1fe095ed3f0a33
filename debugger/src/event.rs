//! All that can happen: what the session tells the model, and what a command is answered with.

mod crossing;
mod guest;
mod instructions;
mod machine;
mod progress;
mod space;
mod stops;
mod values;

use serde::Serialize;

pub use crossing::CallArgument;
pub use guest::TaskInfo;
pub use instructions::{Block, Instructions, Line, Listing};
pub use machine::{
    CounterInfo, CpuInterrupts, CpuValue, GateInfo, InterruptInfo, PerCpuInfo, SegmentInfo,
};
pub use progress::Progress;
pub use space::{AddressInfo, Identity, PageTableEntry, RegionInfo, ResidentInfo, VmaInfo};
pub use stops::{Change, Changed, LookedAt, Looking, NumberedStop, StopList};
pub use values::{Part, Parts};

use crate::addr::{Addr, AddrRange, Insns};
use crate::crossing::{CrossingKind, Mode};
use crate::known::Known;
use crate::origin::Origin;

/// Numbers the commands sent to a session, so that an answer finds its asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A virtual CPU, counted from 0 as the guest and QEMU do (the protocol's thread id is one more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Vcpu(pub u32);

#[derive(Clone, Debug)]
pub enum Event {
    /// What is being debugged, once it is known.
    Target(TargetInfo),
    Run(Run),
    /// While a command runs the target.
    Progress(Progress),
    /// Each command is answered once.
    Answer(RequestId, Result<Answer, Failure>),
    /// Bytes from the guest's serial line, in order.
    Serial(Vec<u8>),
    Work(Work),
    /// The crossings seen so far, folded; sent a few times a second while a trace runs.
    Trace(TraceNews),
    /// The same program in several modes, side by side.
    Compared(std::sync::Arc<crate::trace::report::Comparison>),
    /// Runs whose records were kept.
    Recorded(std::sync::Arc<crate::trace::recording::Stored>),
    /// Every place where the image's application leaves its code.
    Mapped(std::sync::Arc<crate::trace::call_map::CallMap>),
    /// Stacks that another tool wrote.
    Imported(std::sync::Arc<crate::trace::import::Stacks<'static>>),
    /// Two of such files beside each other.
    Differ(std::sync::Arc<crate::trace::import::StacksDiff>),
    /// One operation in two modes, stepped through.
    Stepped(std::sync::Arc<Instructions>),
    /// The watch expressions as of this stop, or of a change of them: all, by number.
    Watched(Vec<Watched>),
    /// The target runs, and its memory can be read all the same: what is shown can be asked for again.
    /// Sent a few times a second.
    Pulse,
    /// Another stop is looked at: one of the past, or the one where the target stands again.
    Looking(Looking),
    /// Who has joined, by name; sent when one comes or goes, and when something of theirs, or of the
    /// target by their hand, has changed.
    Joined(Vec<String>),
    /// Something worth a line in the console that nobody asked for.
    Notice(String),
    /// A command that a breakpoint carries out at each stop, and its answer.
    Said {
        breakpoint: u32,
        line: String,
        answer: Result<Answer, Failure>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetInfo {
    /// The image's name, or the address attached to.
    pub name: String,
    pub mode: Option<Mode>,
    /// `tcg`, `kvm`, `recording`, or `unknown`.
    pub accelerator: String,
    pub vcpus: u32,
    /// What is missing, each with its consequence: "no DWARF in vmlinux: no source lines".
    pub lacks: Vec<String>,
    /// What was asked of a machine that is attached to, in the order it is shown.
    pub found: Vec<Fact>,
}

/// One thing about the machine, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// `kernel`, `build-id`, `slide`
    pub what: &'static str,
    pub is: Known<String>,
}

/// A wish is not a fact: only the target's answer moves this on.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    Starting,
    Running,
    /// Asked to stop; the target has not answered.
    Stopping,
    Stopped(Stop),
    /// The target is gone, and why.
    Ended(String),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stop {
    #[serde(flatten)]
    pub reason: StopReason,
    pub vcpu: Vcpu,
    #[serde(flatten)]
    pub place: Place,
    /// Instructions executed by the command that ended here, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stepped: Option<Insns>,
    /// Stops on the way that were none for the user: another frame, another task.
    #[serde(skip_serializing_if = "is_zero")]
    pub passed: u64,
    /// Of a replay: the instructions executed since the machine's reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What there is to know of it: that the CPU waits, what a loop waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Stop {
    #[must_use]
    pub const fn new(reason: StopReason, vcpu: Vcpu, place: Place) -> Self {
        Self {
            reason,
            vcpu,
            place,
            stepped: None,
            passed: 0,
            position: None,
            note: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StopReason {
    Attached,
    Step,
    Breakpoint {
        number: u32,
    },
    Watchpoint {
        number: u32,
        addr: Addr,
    },
    /// The frame of its variable has returned: the watchpoint is deleted.
    WatchpointScope {
        number: u32,
    },
    /// By the user.
    Interrupted,
    /// The user looks at another vCPU.
    Focus,
    /// `fin`, `until`, `cross back`: where it was to arrive.
    Arrived,
    Crossing {
        kind: CrossingKind,
        call: String,
        into_kernel: bool,
    },
    /// Of a replay: the machine's reset, before which nothing was.
    Beginning,
    /// Of a replay: where its recording ends.
    End,
    /// A signal the stub reported that none of the above explains.
    Signal {
        number: u8,
    },
}

/// An address and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    #[serde(rename = "pc")]
    pub addr: Addr,
    pub symbol: Option<String>,
    /// Bytes from the symbol's start.
    pub offset: u64,
    pub origin: Origin,
    pub file: Option<String>,
    pub line: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A sentence: what was done.
    Done(String),
    /// A run-control command ended here.
    Stopped(Stop),
    Stops(StopList),
    Looking(LookedAt),
    #[serde(rename = "frames")]
    Backtrace(Vec<Frame>),
    Registers(Vec<Register>),
    Memory(MemoryDump),
    Disassembly(Vec<DisassemblyLine>),
    Source(SourceWindow),
    Value(Value),
    #[serde(rename = "variables")]
    Variables(Vec<Variable>),
    Parts(Vec<Parts>),
    Breakpoints(Vec<BreakpointInfo>),
    Threads(Vec<ThreadInfo>),
    Tasks(Vec<TaskInfo>),
    Why(Why),
    #[serde(rename = "regions")]
    Space(Vec<RegionInfo>),
    Address(AddressInfo),
    Idt(Vec<GateInfo>),
    Gdt(Vec<SegmentInfo>),
    Interrupts(InterruptInfo),
    #[serde(rename = "percpu")]
    PerCpu(PerCpuInfo),
    Found(Found),
    #[serde(rename = "symbols")]
    Symbols(Vec<SymbolInfo>),
    /// Lines as they are: a monitor's output, help.
    #[serde(rename = "lines")]
    Text(Vec<String>),
}

/// A command that was not done: what was tried, what was found, the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{tried}: {found}; {next}")]
pub struct Failure {
    pub tried: String,
    pub found: String,
    pub next: String,
}

impl Failure {
    pub fn new(
        tried: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            tried: tried.into(),
            found: found.into(),
            next: next.into(),
        }
    }
}

/// One frame of the one backtrace over both worlds, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Frame {
    pub n: u32,
    #[serde(flatten)]
    pub place: Place,
    /// Inlined into the next frame, at the same address.
    pub inlined: bool,
    /// Set on the first frame beyond the boundary: how control came from it into the frame above.
    pub crossing: Option<CrossingKind>,
    /// What that crossing was: `write`, `asm_exc_page_fault`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// How this frame was found: `registers`, `cfi`, `orc`, `entry frame`, `signal frame`, `code`,
    /// `frame pointer`.
    pub found_by: &'static str,
    /// The stack pointer in this frame, where known.
    pub sp: Option<Addr>,
    /// How sure it is: `certain`, `likely`, `guess`.
    pub certainty: &'static str,
    /// Why it is no more than that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// The stack it lies on: `task stack of sh/80`, `IRQ stack`, `NMI stack`, `application stack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// On the outermost frame: whether the stack begins there, or why it was followed no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<StackEnd>,
}

/// Where a backtrace ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StackEnd {
    /// The whole stack was followed, to where it begins.
    pub complete: bool,
    /// In a sentence.
    pub what: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Register {
    pub name: String,
    /// Bits, as the target description says.
    pub bits: u32,
    /// `0x…`, most significant digit first.
    pub value: String,
    /// Since the previous stop.
    pub changed: bool,
    /// A symbol, a decoded flag word, the kind of stack.
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryDump {
    pub addr: Addr,
    /// Bytes per unit: 1, 2, 4 or 8.
    pub unit: u8,
    /// gdb's format letter: x d u o t c s i a.
    pub format: char,
    #[serde(serialize_with = "hex")]
    pub bytes: Vec<u8>,
    /// The lines as `x` prints them.
    pub lines: Vec<String>,
    /// What of it was looked at, at the stop before, and is other now.
    pub changed: Vec<AddrRange>,
}

fn hex<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&text)
}

/// What `find` came upon, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    pub start: Addr,
    #[serde(serialize_with = "hex")]
    pub pattern: Vec<u8>,
    pub places: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DisassemblyLine {
    #[serde(flatten)]
    pub place: Place,
    #[serde(serialize_with = "hex")]
    pub bytes: Vec<u8>,
    pub mnemonic: String,
    /// Operands with addresses resolved to symbols.
    pub operands: String,
    /// Where a branch or call goes, or what a rip-relative operand names, with its origin.
    pub target: Option<Place>,
    /// Where control goes from here next, where the program counter is here and the text leaves it
    /// open: a branch, an indirect jump, a return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goes: Option<Place>,
    /// The instruction passes the boundary: `syscall`, `sysret`, `iret`, a bypass call, a shortcut.
    pub crossing: Option<CrossingKind>,
    /// The program counter is here.
    pub current: bool,
    /// A breakpoint's number.
    pub breakpoint: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceWindow {
    pub file: String,
    /// Where it was read.
    pub path: std::path::PathBuf,
    /// Line number of `lines[0]`, from 1.
    pub first: u32,
    /// The one that was asked for.
    pub line: u32,
    /// It, where the program counter stands there.
    pub current: Option<u32>,
    pub lines: Vec<String>,
    pub origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value {
    pub expression: String,
    pub text: String,
    /// The bits, where the value is a number.
    pub bits: Option<u64>,
    pub type_name: Option<String>,
}

/// An expression that is shown at each stop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watched {
    pub number: u32,
    pub expression: String,
    /// As `print` shows it; why there is none here.
    pub value: Known<String>,
    /// It is not what it was at the stop before.
    pub changed: bool,
    pub type_name: Option<String>,
    /// It has parts.
    pub opens: bool,
    /// As `print/LETTER` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letter: Option<char>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variable {
    pub name: String,
    pub type_name: String,
    pub value: Known<String>,
    pub argument: bool,
    /// Of the innermost frame: it is not what it was at the stop before.
    pub changed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BreakpointInfo {
    pub number: u32,
    /// As the user wrote it.
    pub location: String,
    /// One breakpoint may stand at several places (homonyms, inlined copies).
    pub places: Vec<BreakpointPlace>,
    pub temporary: bool,
    pub condition: Option<String>,
    pub hits: u64,
    /// `planted`, `pending`, `disabled`, or `failed: why`.
    pub state: String,
    /// `breakpoint`, `log point`, `watch`, `rwatch`, `awatch`.
    pub kind: &'static str,
    /// The lines that set it up again, in order: `break main if $rdi == 1`, `ignore $bpnum 5`.
    pub typed: Vec<String>,
    pub enabled: bool,
    /// Hits that will not stop yet.
    pub ignore: u64,
    /// `cpu 1 task redis`: what else must hold.
    pub only: Option<String>,
    /// Carried out at each stop there.
    pub commands: Vec<String>,
    /// Of a watchpoint: what it held when it was set or last hit.
    pub value: Option<String>,
    /// How it was planted where not as asked, what was left out, debug registers in use.
    pub note: Option<String>,
    /// Who has set it: `gdb 1`; absent for whoever opened the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// One of the places that a breakpoint stands at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BreakpointPlace {
    #[serde(flatten)]
    pub place: Place,
    /// The function is a copy there, in place of a call from this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inlined_in: Option<String>,
}

impl From<Place> for BreakpointPlace {
    fn from(place: Place) -> Self {
        Self {
            place,
            inlined_in: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreadInfo {
    pub vcpu: Vcpu,
    pub current: bool,
    pub state: String,
    #[serde(flatten)]
    pub place: Place,
}

/// How we came to be on this side of the boundary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    pub side: Side,
    pub kind: Known<CrossingKind>,
    /// `write`, `asm_sysvec_apic_timer_interrupt`.
    pub call: Known<String>,
    /// In the order of the call.
    pub arguments: Vec<CallArgument>,
    /// `write(unsigned int fd, const char *buf, size_t count)`: what the kernel takes.
    pub kernel_prototype: Known<String>,
    /// `write(int fd, const void *buf, size_t count)`: what the application's side called.
    pub app_prototype: Known<String>,
    /// `64`, `-11 (-EAGAIN)`: what the call answers, where it is on its way back.
    pub result: Known<String>,
    /// The application instruction that crossed, or that control will return to.
    pub from: Known<Place>,
    /// `task stack of the current task`, `application stack`, `IRQ stack`, `entry stack`.
    pub stack: Known<String>,
    /// Instructions executed since the crossing.
    pub since: Known<Insns>,
    /// The privilege level now, and what the saved frame says.
    pub ring: Known<String>,
    /// The whole, in sentences.
    pub sentences: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    App,
    Kernel,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolInfo {
    pub name: String,
    pub addr: Addr,
    pub size: u64,
    pub origin: Origin,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// Others bear the same name.
    pub homonyms: u32,
}

/// Named slow work: shown with its name and a percentage, and cancelled by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub name: String,
    pub done: u64,
    /// 0 where it is not known.
    pub total: u64,
    pub finished: bool,
}

/// The state of a running trace.
#[derive(Clone, Debug)]
pub struct TraceNews {
    pub report: std::sync::Arc<crate::trace::report::Report>,
    pub events: u64,
    pub events_per_s: f64,
    pub running: bool,
    /// What runs now is recorded; not while recording is paused or its start is waited for.
    pub recording: bool,
}
