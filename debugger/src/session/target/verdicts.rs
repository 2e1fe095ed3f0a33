//! What a stub makes of each feature of the protocol: found out by trying, not by what it says.
//!
//! All that is changed is put back: registers and memory as they were, no trap left. A machine that
//! stands before its first instruction is not moved; any other executes a few instructions.

mod finding;

use std::time::Duration;

use super::{Target, TargetError, Trap, TrapKind};
use crate::addr::Addr;
use crate::count::counted;
use crate::disasm::{Flow, decode};
use crate::event::Vcpu;
use crate::gdb::reply::{self, Stop, StopCause};
use crate::gdb::request::Request;
use crate::known::Known;

use finding::Findings;
pub use finding::{Finding, Verdict};

/// How long a trap may take to be met.
const MEETING: Duration = Duration::from_millis(300);

/// The instruction after which a breakpoint is tried is looked for among so many.
const MOST_STEPS: usize = 32;

/// Reads are tried up to this length.
const LONGEST_READ: u64 = 1 << 18;

/// Where an x86 processor begins: nothing of its machine has run.
const RESET: Addr = Addr(0xfff0);

impl Target {
    /// Tries everything, on a machine that has just been connected to.
    ///
    /// # Errors
    /// When the stub goes away; what it refuses is a finding.
    pub fn verdicts(&mut self) -> Result<Vec<Finding>, TargetError> {
        let mut findings = Findings(Vec::new());
        self.announced(&mut findings);
        self.no_ack(&mut findings)?;
        self.documents(&mut findings)?;
        self.reading(&mut findings)?;
        self.writing(&mut findings)?;
        self.registers_written(&mut findings)?;
        self.resuming(&mut findings)?;
        self.traps_met(&mut findings)?;
        self.stop_reason(&mut findings)?;
        self.stepping(&mut findings);
        self.physical(&mut findings)?;
        self.backwards(&mut findings);
        self.beside(&mut findings)?;
        Ok(findings.0)
    }

    /// Whether the machine stands before its first instruction.
    ///
    /// # Errors
    /// When its registers cannot be read.
    pub fn is_at_reset(&mut self) -> Result<bool, TargetError> {
        Ok(self.pc(self.last_stop.vcpu)? == RESET)
    }

    fn try_packet(&mut self, payload: &[u8]) -> Result<Vec<u8>, TargetError> {
        self.ask(&Request::Probe(payload.to_vec()))
    }

    fn announced(&self, findings: &mut Findings) {
        let features = self.supported.features.iter();
        let names: Vec<String> = features
            .map(|(name, value)| match value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            })
            .collect();
        findings.add("qSupported", Verdict::Honoured, names.join(", "));
    }

    fn no_ack(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        const NAME: &str = "QStartNoAckMode";
        if self.supported.has(NAME) {
            findings.add(NAME, Verdict::Honoured, "in use since connecting");
            return Ok(());
        }
        let payload = self.ask(&Request::StartNoAck)?;
        if reply::ok(&payload).is_ok() {
            self.client.stop_acknowledging();
            findings.add(NAME, Verdict::Honoured, "taken, though not announced");
        } else {
            let found = "every packet is acknowledged by both sides";
            findings.add(NAME, Verdict::Refused, found);
        }
        Ok(())
    }

    fn documents(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        let count = self.description.registers.len();
        let found = format!("{} described", counted(count, "register"));
        findings.add("qXfer:features:read", Verdict::Honoured, found);
        let payload = self.try_packet(b"qXfer:memory-map:read::0,100")?;
        match reply::part(&payload) {
            Ok(_) => findings.add("qXfer:memory-map:read", Verdict::Honoured, "it has one"),
            Err(_) => findings.add(
                "qXfer:memory-map:read",
                Verdict::Emulated,
                "it has none; 'space' reads the guest's page tables",
            ),
        }
        Ok(())
    }

    /// Where memory can be read: a page with code, or the first of all.
    fn readable(&mut self) -> Result<Addr, TargetError> {
        let pc = self.pc(self.last_stop.vcpu)?;
        let page = Addr(pc.0 & !0xfff);
        let request = Request::ReadMemory {
            addr: page.0,
            len: 1,
        };
        let payload = self.ask(&request)?;
        Ok(match reply::bytes(&payload, Some(1)) {
            Ok(_) => page,
            Err(_) => Addr(0),
        })
    }

    fn reading(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        let at = self.readable()?;
        let mut reads = |len: u64| -> Result<bool, TargetError> {
            let request = Request::ReadMemory { addr: at.0, len };
            let payload = self.ask(&request)?;
            let len = usize::try_from(len).ok();
            Ok(reply::bytes(&payload, len).is_ok())
        };
        let (mut most, mut too_many) = (0, LONGEST_READ);
        let mut len = 1;
        while len < LONGEST_READ {
            if !reads(len)? {
                too_many = len;
                break;
            }
            most = len;
            len *= 2;
        }
        while too_many - most > 1 {
            let middle = most + (too_many - most) / 2;
            match reads(middle)? {
                true => most = middle,
                false => too_many = middle,
            }
        }
        let announced = self.supported.packet_size;
        let said = announced.map_or_else(
            || "it announces no size".to_owned(),
            |size| format!("it announces {size} bytes"),
        );
        let fits = announced.is_none_or(|size| most >= (size / 2).saturating_sub(8).min(0x400));
        let verdict = match fits {
            true => Verdict::Honoured,
            false => Verdict::Ignored,
        };
        let found = format!("{said}; one read gives up to {most}, from {:#x}", at.0);
        findings.add("PacketSize", verdict, found);
        let found = match most {
            0 => "nothing could be read".to_owned(),
            _ => format!("refused beyond {most} bytes; longer reads are split by us"),
        };
        findings.add("m over that size", Verdict::Emulated, found);
        let payload = self.try_packet(format!("x{:x},4", at.0).as_bytes())?;
        let (verdict, found) = match payload.len() {
            0 => (Verdict::Refused, "memory is read in hexadecimal"),
            _ => (Verdict::Honoured, "memory can be read as bytes"),
        };
        findings.add("x (read bytes)", verdict, found);
        let payload = self.try_packet(format!("X{:x},0:", at.0).as_bytes())?;
        let (verdict, found) = match reply::ok(&payload) {
            Ok(()) => (Verdict::Honoured, "memory can be written as bytes"),
            Err(_) => (Verdict::Refused, "memory is written in hexadecimal"),
        };
        findings.add("X (write bytes)", verdict, found);
        Ok(())
    }

    /// Below the stack, where nothing lies that is in use.
    fn writing(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        const BELOW: u64 = 1024;
        let registers = self.registers(self.last_stop.vcpu)?;
        let Some(sp) = registers.get("rsp") else {
            findings.add("M", Verdict::Untried, "no stack pointer is known");
            return Ok(());
        };
        let at = Addr(sp.wrapping_sub(BELOW) & !7);
        let mut before = [0; 8];
        if self.read(at, &mut before).is_err() {
            let found = "there is no memory below the stack to try it on";
            findings.add("M", Verdict::Untried, found);
            return Ok(());
        }
        let other = before.map(|byte| !byte);
        let request = |bytes: &[u8]| Request::WriteMemory {
            addr: at.0,
            bytes: bytes.to_vec(),
        };
        let payload = self.ask(&request(&other))?;
        self.forget();
        let mut after = [0; 8];
        self.read(at, &mut after)?;
        self.ask(&request(&before))?;
        self.forget();
        let mut back = [0; 8];
        self.read(at, &mut back)?;
        let (verdict, found) = match (reply::ok(&payload).is_ok(), after == other) {
            (true, true) => (
                Verdict::Honoured,
                "eight bytes written read back, and put back",
            ),
            (true, false) => (Verdict::Ignored, "answered OK, and the bytes are as before"),
            (false, _) => (Verdict::Refused, "nothing can be written"),
        };
        findings.add("M", verdict, found);
        if back != before {
            let found = format!("the bytes at {:#x} could not be put back", at.0);
            findings.add("M, putting back", Verdict::Ignored, found);
        }
        Ok(())
    }

    fn registers_written(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        let vcpu = self.last_stop.vcpu;
        self.read_through(vcpu)?;
        let all = self.ask(&Request::ReadRegisters)?;
        let description = std::sync::Arc::clone(&self.description);
        let changed = ["r15", "rax"]
            .iter()
            .find_map(|name| description.register(name));
        let Some(register) = changed else {
            findings.add(
                "P",
                Verdict::Untried,
                "no register to try it on is described",
            );
            return Ok(());
        };
        let (at, number) = (register.offset * 2, register.number);
        let Some(was) = all.get(at..at + 16) else {
            findings.add(
                "P",
                Verdict::Untried,
                "the register is not among those read",
            );
            return Ok(());
        };
        let mut other = all.clone();
        // Another digit, the lower of its first byte's.
        let digit = &mut other[at + 1];
        *digit = if *digit == b'0' { b'1' } else { b'0' };
        let write = |target: &mut Self, text: &[u8]| {
            let mut packet = format!("P{number:x}=").into_bytes();
            packet.extend(text);
            target.try_packet(&packet)
        };
        let payload = write(self, &other[at..at + 16])?;
        let after = self.ask(&Request::ReadRegisters)?;
        let kept = after.get(at..at + 16) == other.get(at..at + 16);
        let mut verdict = |feature: &str, payload: &[u8], kept: bool| {
            let (verdict, found) = match (reply::ok(payload).is_ok(), kept) {
                (true, true) => (Verdict::Honoured, "read back as written, and put back"),
                (true, false) => (Verdict::Ignored, "answered OK, and it does not read back"),
                (false, _) => (Verdict::Refused, "no register can be written so"),
            };
            findings.add(feature, verdict, found);
        };
        verdict("P", &payload, kept);
        write(self, was)?;
        // Outside of 64-bit mode QEMU takes the registers of a `G` for shorter ones, and puts each into
        // another's place.
        if !kept {
            self.forget();
            let found = "not tried where a single register does not take a value";
            findings.add("G", Verdict::Untried, found);
            return Ok(());
        }
        let mut packet = b"G".to_vec();
        packet.extend(&other);
        let payload = self.try_packet(&packet)?;
        let after = self.ask(&Request::ReadRegisters)?;
        verdict("G", &payload, after == other);
        let mut packet = b"G".to_vec();
        packet.extend(&all);
        self.try_packet(&packet)?;
        write(self, was)?;
        self.forget();
        if self.ask(&Request::ReadRegisters)? != all {
            let found = "the registers are not as they were before";
            findings.add("G, putting back", Verdict::Ignored, found);
        }
        Ok(())
    }

    fn resuming(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        let payload = self.ask(&Request::ResumeActions)?;
        let text = String::from_utf8_lossy(&payload).into_owned();
        let has = |action: &str| text.split(';').skip(1).any(|word| word == action);
        for (action, what, without) in [
            ("c", "continue", "the plain packet c is used"),
            (
                "C",
                "continue with a signal",
                "a guest has no signals: not used",
            ),
            (
                "s",
                "step",
                "the plain packet s is used, of the current vCPU",
            ),
            (
                "S",
                "step with a signal",
                "a guest has no signals: not used",
            ),
            ("t", "stop", "the byte 0x03 is used"),
        ] {
            let feature = format!("vCont;{action} ({what})");
            match has(action) {
                true => findings.add(feature, Verdict::Honoured, "announced in reply to vCont?"),
                false => findings.add(feature, Verdict::Refused, without),
            }
        }
        match has("r") {
            true => findings.add(
                "vCont;r (range step)",
                Verdict::Honoured,
                "announced in reply to vCont?; not used",
            ),
            false => findings.add(
                "vCont;r (range step)",
                Verdict::Emulated,
                "not there; ranges are stepped by single steps",
            ),
        }
        Ok(())
    }

    fn traps_met(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        let at = self.pc(self.last_stop.vcpu)?;
        let kinds = [
            ("Z0 (breakpoint)", TrapKind::Soft),
            ("Z1 (hardware breakpoint)", TrapKind::Hard),
            ("Z2 (watch writes)", TrapKind::Write),
            ("Z3 (watch reads)", TrapKind::Read),
            ("Z4 (watch both)", TrapKind::Access),
        ];
        // Other code is not decoded.
        let registers = self.registers(self.last_stop.vcpu)?;
        let long = registers.get("efer").is_none_or(|efer| efer >> 10 & 1 == 1);
        let moves = long && !self.is_at_reset()?;
        for (feature, kind) in kinds {
            if kind.is_breakpoint() && moves {
                let (verdict, found) = self.breakpoint_met(kind, b"")?;
                findings.add(feature, verdict, found);
                continue;
            }
            let len = if kind.is_breakpoint() { 1 } else { 8 };
            let trap = Trap {
                kind,
                addr: at,
                len,
            };
            let planted = self.ask(&Request::Insert(trap))?;
            let (verdict, found) = match reply::ok(&planted) {
                Ok(()) => {
                    let removed = self.ask(&Request::Remove(trap))?;
                    match reply::ok(&removed) {
                        Ok(()) => (
                            Verdict::Untried,
                            "planted and removed, both answered OK; not run into",
                        ),
                        Err(_) => (Verdict::Ignored, "planted, and it cannot be removed"),
                    }
                }
                Err(_) => (Verdict::Refused, "it plants none"),
            };
            findings.add(feature, verdict, found);
        }
        const CONDITION: &str = "a condition with Z0";
        if !moves {
            let found = "the machine is not in 64-bit code yet, and is not moved";
            findings.add(CONDITION, Verdict::Untried, found);
            return Ok(());
        }
        // const8 0, end: never true.
        let (verdict, found) = match self.breakpoint_met(TrapKind::Soft, b";X3,220027")? {
            (Verdict::Honoured, _) => (
                Verdict::Ignored,
                "answered OK, and it stops where the condition is false; conditions are evaluated by us",
            ),
            (Verdict::Ignored, _) => (Verdict::Honoured, "a false condition does not stop it"),
            (Verdict::Refused, _) => (Verdict::Emulated, "refused; conditions are evaluated by us"),
            other => other,
        };
        findings.add(CONDITION, verdict, found);
        Ok(())
    }

    /// Plants a breakpoint at the next instruction of the current vCPU and lets it run into it.
    fn breakpoint_met(
        &mut self,
        kind: TrapKind,
        condition: &[u8],
    ) -> Result<(Verdict, &'static str), TargetError> {
        let Some(next) = self.plain_next()? else {
            let found =
                "no plain instruction follows to try it on; let the machine run and ask again";
            return Ok((Verdict::Untried, found));
        };
        let trap = Trap {
            kind,
            addr: next,
            len: 1,
        };
        let mut packet = Request::Insert(trap).payload();
        packet.extend(condition);
        let planted = self.try_packet(&packet)?;
        if reply::ok(&planted).is_err() {
            return Ok((Verdict::Refused, "it plants none"));
        }
        self.resume()?;
        let stop = match self.wait(MEETING)? {
            Some(stop) => Some(stop),
            None => {
                self.interrupt()?;
                self.wait(self.timeout)?
            }
        };
        let at = self.pc(self.last_stop.vcpu)?;
        let removed = self.ask(&Request::Remove(trap))?;
        let trapped = stop.is_some_and(|stop| stop.cause == StopCause::TRAP);
        Ok(match (trapped && at == next, reply::ok(&removed).is_ok()) {
            (true, true) => (Verdict::Honoured, "planted, run into, and removed"),
            (true, false) => (Verdict::Ignored, "run into, and it cannot be removed"),
            (false, _) => (Verdict::Ignored, "answered OK, and control passes it"),
        })
    }

    /// Steps until an instruction stands there after which the next one follows; where that is.
    fn plain_next(&mut self) -> Result<Option<Addr>, TargetError> {
        let vcpu: Vcpu = self.last_stop.vcpu;
        for _ in 0..MOST_STEPS {
            let pc = self.pc(vcpu)?;
            let mut bytes = [0; 15];
            if self.read(pc, &mut bytes).is_err() {
                return Ok(None);
            }
            match decode(&bytes, pc) {
                Some(plain) if plain.flow == Flow::Next && !plain.repeats => {
                    return Ok(Some(pc + plain.len as u64));
                }
                Some(halt) if halt.flow == Flow::Halt => return Ok(None),
                _ => {
                    self.step(vcpu)?;
                }
            }
        }
        Ok(None)
    }

    /// Whether asking why it stopped drops the breakpoints.
    fn stop_reason(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        let trap = Trap::soft(self.pc(self.last_stop.vcpu)?);
        let planted = self.ask(&Request::Insert(trap))?;
        if reply::ok(&planted).is_err() {
            let found = "it plants no breakpoint to see whether it stays";
            findings.add("?", Verdict::Untried, found);
            return Ok(());
        }
        self.ask_decoded(&Request::StopReason, Stop::decode)?;
        // QEMU answers the removal of what is not there with an error.
        let removed = self.ask(&Request::Remove(trap))?;
        match reply::ok(&removed) {
            Ok(()) => findings.add("?", Verdict::Honoured, "breakpoints stay"),
            Err(_) => findings.add(
                "?",
                Verdict::Emulated,
                "it drops every breakpoint; they are planted again by us after connecting",
            ),
        }
        Ok(())
    }

    fn stepping(&self, findings: &mut Findings) {
        let (verdict, found) = match &self.step_flags {
            Known::Yes(flags) => (Verdict::Honoured, format!("set and read back: {flags}")),
            Known::Asked => (Verdict::Untried, "not asked".to_owned()),
            Known::No(why) => (Verdict::Refused, why.clone()),
        };
        findings.add("Qqemu.sstep", verdict, found);
    }

    fn physical(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        const NAME: &str = "Qqemu.PhyMemMode";
        let before = self.ask(&Request::PhysicalMode)?;
        if reply::number(&before).is_err() {
            findings.add(NAME, Verdict::Refused, "page tables cannot be read");
            return Ok(());
        }
        let set = self.ask(&Request::SetPhysicalMode(true))?;
        let during = self.ask(&Request::PhysicalMode)?;
        let back = self.ask(&Request::SetPhysicalMode(false))?;
        let held = reply::ok(&set).is_ok() && reply::number(&during) == Ok(1);
        let (verdict, found) = match (held, reply::ok(&back)) {
            (true, Ok(())) => (Verdict::Honoured, "set, read back, and put back"),
            (true, Err(_)) => (Verdict::Ignored, "set, and it cannot be put back"),
            (false, _) => (Verdict::Ignored, "it does not stay set"),
        };
        findings.add(NAME, verdict, found);
        Ok(())
    }

    /// Never sent where it is not announced: QEMU ends at them outside of a replay.
    fn backwards(&self, findings: &mut Findings) {
        for (name, packet) in [("ReverseStep", "bs"), ("ReverseContinue", "bc")] {
            let feature = format!("{packet} ({name})");
            match self.supported.has(name) {
                true => findings.add(feature, Verdict::Untried, "announced: this is a replay"),
                false => findings.add(
                    feature,
                    Verdict::Refused,
                    "not announced, and never sent then: it ends QEMU outside of a replay",
                ),
            }
        }
    }

    fn beside(&mut self, findings: &mut Findings) -> Result<(), TargetError> {
        let payload = self.try_packet(b"QNonStop:1")?;
        match reply::ok(&payload) {
            Ok(()) => {
                self.try_packet(b"QNonStop:0")?;
                findings.add(
                    "QNonStop",
                    Verdict::Honoured,
                    "taken, and put back; not used",
                );
            }
            Err(_) => findings.add(
                "QNonStop",
                Verdict::Refused,
                "a stop of one vCPU stops the others",
            ),
        }
        let payload = self.try_packet(b"qSearch:memory:0;0;00")?;
        match payload.first() {
            None => findings.add(
                "qSearch:memory",
                Verdict::Emulated,
                "'find' reads the memory and looks itself",
            ),
            Some(_) => findings.add("qSearch:memory", Verdict::Honoured, "known; not used"),
        }
        match self.monitor("info version") {
            Ok(text) if !text.trim().is_empty() && !text.contains("unknown") => {
                findings.add("qRcmd (monitor)", Verdict::Honoured, text.trim());
            }
            Ok(text) => findings.add(
                "qRcmd (monitor)",
                Verdict::Ignored,
                format!("'info version' says '{}'", text.trim()),
            ),
            Err(TargetError::Reply { .. }) => findings.add(
                "qRcmd (monitor)",
                Verdict::Refused,
                "no monitor: the interrupt table's place is not known",
            ),
            Err(error) => return Err(error),
        }
        findings.add(
            "bytes while the guest runs",
            Verdict::Untried,
            "from QEMU's source: any byte but 0x03 stops it; none is sent",
        );
        Ok(())
    }
}
