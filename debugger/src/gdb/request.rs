//! What is asked of a stub, as data, and the payload each becomes. One variant per packet.

use crate::addr::Addr;

use super::hex;
use super::thread::ThreadId;

/// What a trap waits for. The number is the protocol's: `Z0`, `Z1`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrapKind {
    /// Execution. QEMU's TCG keeps these outside guest memory; under KVM it writes `int3` there.
    Soft,
    /// Execution, by a debug register.
    Hard,
    /// A store.
    Write,
    Read,
    /// A load or a store.
    Access,
}

impl TrapKind {
    #[must_use]
    pub const fn is_breakpoint(self) -> bool {
        matches!(self, Self::Soft | Self::Hard)
    }

    const fn number(self) -> u8 {
        match self {
            Self::Soft => b'0',
            Self::Hard => b'1',
            Self::Write => b'2',
            Self::Read => b'3',
            Self::Access => b'4',
        }
    }
}

/// A breakpoint or watchpoint, as a stub knows it. There is no room for a condition: QEMU answers
/// OK to one and ignores it, so conditions are evaluated here, never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trap {
    pub kind: TrapKind,
    pub addr: Addr,
    /// Bytes watched; 1 for a breakpoint.
    pub len: u8,
}

impl Trap {
    #[must_use]
    pub const fn soft(addr: Addr) -> Self {
        Self {
            kind: TrapKind::Soft,
            addr,
            len: 1,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `qSupported`, with what this client can do.
    Supported,
    StartNoAck,
    /// `?`: why the target is stopped. QEMU drops every breakpoint on it.
    StopReason,
    /// A part of the target description.
    Features {
        annex: String,
        offset: u64,
        len: u64,
    },
    ResumeActions,
    FirstThreads,
    NextThreads,
    ThreadExtraInfo(ThreadId),
    /// `Hg`: the thread that registers and memory are read through.
    SelectThread(ThreadId),
    ReadRegisters,
    ReadRegister(u32),
    WriteRegister {
        number: u32,
        bytes: Vec<u8>,
    },
    WriteRegisters(Vec<u8>),
    ReadMemory {
        addr: u64,
        len: u64,
    },
    WriteMemory {
        addr: u64,
        bytes: Vec<u8>,
    },
    Insert(Trap),
    Remove(Trap),
    /// `vCont;c`: every thread.
    Continue,
    /// `vCont;c:thread`: that thread alone.
    ContinueOne(ThreadId),
    /// `vCont;s:thread`: that thread alone, the others stand still.
    Step(ThreadId),
    /// `vCont;s:thread;c`: one step of that thread, while the others run.
    StepAmong(ThreadId),
    /// `c` and `s`, for a stub without `vCont`.
    PlainContinue,
    PlainStep,
    /// `qRcmd`
    Monitor(String),
    Detach {
        process: Option<u64>,
    },
    Kill,
    /// `qqemu.sstepbits`: the flags' names and values.
    StepFlagNames,
    StepFlags,
    SetStepFlags(u64),
    PhysicalMode,
    /// Whether addresses in `m` and `M` are physical ones.
    SetPhysicalMode(bool),
    /// Any packet that does not resume: to see what a stub makes of it.
    Probe(Vec<u8>),
}

impl Request {
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        match self {
            Self::Supported => {
                b"qSupported:multiprocess+;vContSupported+;swbreak+;hwbreak+;xmlRegisters=i386"
                    .to_vec()
            }
            Self::StartNoAck => b"QStartNoAckMode".to_vec(),
            Self::StopReason => b"?".to_vec(),
            Self::Features { annex, offset, len } => {
                format!("qXfer:features:read:{annex}:{offset:x},{len:x}").into_bytes()
            }
            Self::ResumeActions => b"vCont?".to_vec(),
            Self::FirstThreads => b"qfThreadInfo".to_vec(),
            Self::NextThreads => b"qsThreadInfo".to_vec(),
            Self::ThreadExtraInfo(thread) => format!("qThreadExtraInfo,{thread}").into_bytes(),
            Self::SelectThread(thread) => format!("Hg{thread}").into_bytes(),
            Self::ReadRegisters => b"g".to_vec(),
            Self::ReadRegister(number) => format!("p{number:x}").into_bytes(),
            Self::WriteRegister { number, bytes } => with_hex(format!("P{number:x}="), bytes),
            Self::WriteRegisters(bytes) => with_hex("G".to_owned(), bytes),
            Self::ReadMemory { addr, len } => format!("m{addr:x},{len:x}").into_bytes(),
            Self::WriteMemory { addr, bytes } => {
                with_hex(format!("M{addr:x},{:x}:", bytes.len()), bytes)
            }
            Self::Insert(trap) => trap_payload(b'Z', *trap),
            Self::Remove(trap) => trap_payload(b'z', *trap),
            Self::Continue => b"vCont;c".to_vec(),
            Self::ContinueOne(thread) => format!("vCont;c:{thread}").into_bytes(),
            Self::StepAmong(thread) => format!("vCont;s:{thread};c").into_bytes(),
            Self::Step(thread) => format!("vCont;s:{thread}").into_bytes(),
            Self::PlainContinue => b"c".to_vec(),
            Self::PlainStep => b"s".to_vec(),
            Self::Monitor(command) => with_hex("qRcmd,".to_owned(), command.as_bytes()),
            Self::Detach { process: None } => b"D".to_vec(),
            Self::Detach {
                process: Some(process),
            } => format!("D;{process:x}").into_bytes(),
            Self::Kill => b"k".to_vec(),
            Self::StepFlagNames => b"qqemu.sstepbits".to_vec(),
            Self::StepFlags => b"qqemu.sstep".to_vec(),
            Self::SetStepFlags(flags) => format!("Qqemu.sstep={flags:x}").into_bytes(),
            Self::PhysicalMode => b"qqemu.PhyMemMode".to_vec(),
            Self::SetPhysicalMode(on) => format!("Qqemu.PhyMemMode:{}", u8::from(*on)).into_bytes(),
            Self::Probe(payload) => payload.clone(),
        }
    }

    /// Whether the target runs after it, so that nothing may be sent until it has stopped: not even
    /// the acknowledgement of what came before.
    #[must_use]
    pub const fn resumes(&self) -> bool {
        matches!(
            self,
            Self::Continue
                | Self::ContinueOne(_)
                | Self::Step(_)
                | Self::StepAmong(_)
                | Self::PlainContinue
                | Self::PlainStep
                | Self::Detach { .. }
        )
    }
}

fn with_hex(start: String, bytes: &[u8]) -> Vec<u8> {
    let mut payload = start.into_bytes();
    hex::push(&mut payload, bytes);
    payload
}

fn trap_payload(letter: u8, trap: Trap) -> Vec<u8> {
    let mut payload = vec![letter, trap.kind.number()];
    payload.extend(format!(",{:x},{:x}", trap.addr.0, trap.len).bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_written_as_the_manual_says() {
        let check = |request: Request, expected: &str| {
            assert_eq!(request.payload().escape_ascii().to_string(), expected);
        };
        let thread = ThreadId {
            process: Some(1),
            thread: 2,
        };
        let watch = Trap {
            kind: TrapKind::Access,
            addr: Addr(0xffff_8880_0000_0010),
            len: 8,
        };
        let features = Request::Features {
            annex: "target.xml".to_owned(),
            offset: 0x7fd,
            len: 0xffb,
        };
        check(features, "qXfer:features:read:target.xml:7fd,ffb");
        check(Request::SelectThread(thread), "Hgp1.2");
        check(Request::Step(thread), "vCont;s:p1.2");
        check(Request::ThreadExtraInfo(thread), "qThreadExtraInfo,p1.2");
        check(Request::Continue, "vCont;c");
        check(Request::ContinueOne(thread), "vCont;c:p1.2");
        check(Request::StepAmong(thread), "vCont;s:p1.2;c");
        check(Request::ReadRegister(16), "p10");
        let bytes = vec![0xf0, 0xff];
        check(
            Request::WriteRegister {
                number: 16,
                bytes: bytes.clone(),
            },
            "P10=f0ff",
        );
        check(
            Request::ReadMemory {
                addr: u64::MAX,
                len: 0x7ff,
            },
            "mffffffffffffffff,7ff",
        );
        check(Request::WriteMemory { addr: 16, bytes }, "M10,2:f0ff");
        check(Request::Insert(watch), "Z4,ffff888000000010,8");
        check(Request::Remove(Trap::soft(Addr(0x1000))), "z0,1000,1");
        check(Request::Monitor("info".to_owned()), "qRcmd,696e666f");
        check(Request::Detach { process: Some(1) }, "D;1");
        check(Request::Detach { process: None }, "D");
        check(Request::SetStepFlags(7), "Qqemu.sstep=7");
        check(Request::SetPhysicalMode(true), "Qqemu.PhyMemMode:1");
    }

    #[test]
    fn only_these_requests_let_the_target_run() {
        assert!(Request::Continue.resumes());
        assert!(Request::Detach { process: None }.resumes());
        assert!(Request::PlainStep.resumes());
        assert!(!Request::StopReason.resumes());
    }
}
