//! The stub: packets in, replies out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Positions;
use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::hex;
use crate::gdb::packet::{self, Decoder, Item};
use crate::gdb::registers::Registers;
use crate::qemu::replay::START;
use crate::trace::recording::Passed;

/// Bytes of a packet, as QEMU's stub has them.
const PACKET: usize = 0x1000;
const NOT_HELD: &str = "the recording does not hold it";
const UNCHANGEABLE: &str = "a recording cannot be changed";

#[derive(Debug)]
pub(in crate::session) struct Stub {
    positions: Positions,
    at: usize,
    /// Where the next resume ends, if nothing ends it before.
    stop_at: Option<usize>,
    traps: BTreeSet<u64>,
    /// The vCPU whose registers are asked for; none is the one that crosses.
    selected: Option<u32>,
    decoder: Decoder,
    /// On their way to the client.
    out: Vec<u8>,
    acknowledges: bool,
}

impl Stub {
    pub(super) fn new(positions: Positions) -> Self {
        Self {
            positions,
            at: 0,
            stop_at: None,
            traps: BTreeSet::new(),
            selected: None,
            decoder: Decoder::default(),
            out: Vec::new(),
            acknowledges: true,
        }
    }

    /// The crossing that it stands at a side of.
    pub(in crate::session) fn passed(&mut self) -> Option<Passed> {
        Some(self.positions.state(self.at)?.passed.clone())
    }

    /// Which vCPU makes it.
    pub(in crate::session) fn crossing_vcpu(&self) -> Vcpu {
        Vcpu(self.positions.vcpu(self.at))
    }

    /// Whether it holds a state at one of these instructions.
    pub(in crate::session) fn comes_to(&self, places: &[Addr]) -> bool {
        let mut states = 0..=self.positions.last();
        states.any(|number| {
            let pc = self.positions.pc(number);
            pc.is_some_and(|pc| places.contains(&pc))
        })
    }

    /// Takes what the client sends.
    pub(in crate::session) fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.decoder.push(*byte) {
                Ok(Some(Item::Packet(request))) => {
                    if self.acknowledges {
                        self.out.push(b'+');
                    }
                    for reply in self.replies(&request) {
                        packet::push(&mut self.out, &reply);
                    }
                }
                // It stands: there is nothing to interrupt.
                Ok(_) => {}
                Err(_) => self.out.push(b'-'),
            }
        }
    }

    /// What the client receives; it waits where there is nothing.
    pub(in crate::session) fn receive(&mut self, timeout: Duration) -> Vec<u8> {
        if self.out.is_empty() {
            std::thread::sleep(timeout);
        }
        std::mem::take(&mut self.out)
    }

    fn replies(&mut self, request: &[u8]) -> Vec<Vec<u8>> {
        let text = String::from_utf8_lossy(request);
        if text == "k" {
            return Vec::new();
        }
        if let Some(command) = text.strip_prefix("qRcmd,") {
            let command = hex::decode(command.as_bytes()).unwrap_or_default();
            let said = self.monitor(&String::from_utf8_lossy(&command));
            let mut output = vec![b'O'];
            hex::push(&mut output, said.as_bytes());
            let output = Some(output).filter(|_| !said.is_empty());
            return output.into_iter().chain([b"OK".to_vec()]).collect();
        }
        vec![self.reply(&text)]
    }

    /// An empty one says that the request is not known.
    fn reply(&mut self, request: &str) -> Vec<u8> {
        let text = |text: &str| text.as_bytes().to_vec();
        match request {
            _ if request.starts_with("qSupported") => format!(
                "PacketSize={PACKET:x};qXfer:features:read+;QStartNoAckMode+;vContSupported+;multiprocess+;\
                 ReverseStep+;ReverseContinue+"
            )
            .into_bytes(),
            "QStartNoAckMode" => {
                self.acknowledges = false;
                text("OK")
            }
            "?" => {
                self.traps.clear();
                self.stopped(5)
            }
            "vCont?" => text("vCont;c;C;s;S"),
            "qfThreadInfo" => {
                let threads: Vec<_> = (0..self.positions.vcpus).map(thread).collect();
                format!("m{}", threads.join(",")).into_bytes()
            }
            "qsThreadInfo" => text("l"),
            "g" => self.all_registers(),
            "c" => self.go_on(),
            "s" => self.step(),
            _ if request.starts_with("vCont;c") => self.go_on(),
            _ if request.starts_with("vCont;s") => self.step(),
            _ if request.starts_with("qThreadExtraInfo,") => {
                let vcpu = vcpu_of(request).unwrap_or(0);
                hex::encode(format!("CPU#{vcpu} [recorded]").as_bytes())
            }
            _ if request.starts_with("Hg") => {
                self.selected = vcpu_of(request);
                text("OK")
            }
            _ if request.starts_with(['H', 'D']) => text("OK"),
            _ if request.starts_with(['M', 'X', 'G', 'P']) => refused(UNCHANGEABLE),
            _ if request.starts_with(['Z', 'z']) => self.trap(request),
            _ => self
                .document(request)
                .or_else(|| self.register(request))
                .or_else(|| self.memory(request))
                .unwrap_or_default(),
        }
    }

    /// `qXfer:features:read:target.xml:0,ffb`
    fn document(&self, request: &str) -> Option<Vec<u8>> {
        let rest = request.strip_prefix("qXfer:features:read:")?;
        let (name, range) = rest.rsplit_once(':')?;
        let Some(document) = self.positions.machine.documents.get(name) else {
            return Some(b"E00".to_vec());
        };
        let (offset, len) = numbers(range)?;
        let rest = document.as_bytes().get(usize::try_from(offset).ok()?..);
        let rest = rest.unwrap_or_default();
        let part = &rest[..rest.len().min(usize::try_from(len).ok()?)];
        let letter = if part.len() < rest.len() { b'm' } else { b'l' };
        Some([&[letter], part].concat())
    }

    fn all_registers(&mut self) -> Vec<u8> {
        let registers = self.registers();
        registers.map_or_else(
            || refused(NOT_HELD),
            |registers| digits(registers.all_bytes().iter().copied()),
        )
    }

    fn registers(&mut self) -> Option<Registers> {
        let crossing = self.positions.vcpu(self.at);
        let vcpu = self.selected.unwrap_or(crossing);
        self.positions.registers(self.at, vcpu)
    }

    /// A stop at this state is one of the vCPU that crosses, and what is read next is its.
    fn stopped(&mut self, signal: u8) -> Vec<u8> {
        self.selected = None;
        let thread = thread(self.positions.vcpu(self.at));
        format!("T{signal:02x}thread:{thread};").into_bytes()
    }

    /// `p10`
    fn register(&mut self, request: &str) -> Option<Vec<u8>> {
        let number = hex::number(request.strip_prefix('p')?.as_bytes())?;
        let registers = self.registers()?;
        let mut layout = registers.description().registers.iter();
        let register = layout.find(|register| u64::from(register.number) == number)?;
        let bytes = registers.all_bytes().iter().skip(register.offset);
        Some(digits(bytes.take(register.size()).copied()))
    }

    /// `mffffffff81000000,40`
    fn memory(&mut self, request: &str) -> Option<Vec<u8>> {
        let (addr, len) = numbers(request.strip_prefix('m')?)?;
        if len > PACKET as u64 / 2 {
            return Some(refused("that is too much at once"));
        }
        let bytes = self.positions.read(self.at, addr, len);
        Some(bytes.map_or_else(|| refused(NOT_HELD), |bytes| hex::encode(&bytes)))
    }

    /// `Z0,ffffffff81000000,1`
    fn trap(&mut self, request: &str) -> Vec<u8> {
        let mut parts = request.split(',');
        let kind = parts.next().unwrap_or_default();
        let addr = parts.next().and_then(|addr| hex::number(addr.as_bytes()));
        match (kind, addr) {
            ("Z0" | "Z1", Some(addr)) => {
                self.traps.insert(addr);
            }
            ("z0" | "z1", Some(addr)) => {
                self.traps.remove(&addr);
            }
            ("Z2" | "Z3" | "Z4", _) => {
                return refused("a recording of crossings does not hold the accesses in between");
            }
            _ => {}
        }
        b"OK".to_vec()
    }

    fn step(&mut self) -> Vec<u8> {
        self.at = (self.at + 1).min(self.positions.last());
        self.stopped(5)
    }

    /// As QEMU does, it stops where it stands if there is a trap.
    fn go_on(&mut self) -> Vec<u8> {
        loop {
            let pc = self.positions.pc(self.at);
            if self.stop_at == Some(self.at) {
                return self.stopped(2);
            }
            if pc.is_some_and(|pc| self.traps.contains(&pc.0)) {
                return self.stopped(5);
            }
            if self.at == self.positions.last() {
                return self.stopped(2);
            }
            self.at += 1;
        }
    }

    /// What QEMU's monitor says of a replay, with the number of a state for that of an instruction. Every
    /// state can be gone to: there is nothing to be saved.
    fn monitor(&mut self, command: &str) -> String {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let number = rest.strip_prefix("at-").unwrap_or(rest).parse().ok();
        match (verb, rest) {
            ("info", "replay") => format!("Replaying states: instruction count = {}\n", self.at),
            // Id, tag, size with its unit, date, time, clock, position.
            ("info", "snapshots") => format!("-- {START} 0 B - - - 0\n"),
            ("info", _) if rest.starts_with("registers") => {
                let said = self.positions.machine.said.get("info registers");
                said.cloned().unwrap_or_default()
            }
            ("replay_break", _) => {
                self.stop_at = number;
                String::new()
            }
            ("replay_delete_break", _) => {
                self.stop_at = None;
                String::new()
            }
            ("savevm" | "delvm", _) => String::new(),
            ("loadvm", _) => {
                let to: usize = number.unwrap_or(0);
                self.at = to.min(self.positions.last());
                String::new()
            }
            _ => format!("'{command}' asks a machine that runs, and this is a recording\n"),
        }
    }
}

/// `p01.02` of vCPU 1.
fn thread(vcpu: u32) -> String {
    format!("p01.{:02x}", vcpu.saturating_add(1))
}

/// `Hgp1.2`, `qThreadExtraInfo,p1.2`; none where all or any are meant.
fn vcpu_of(request: &str) -> Option<u32> {
    let at = request.rfind(['.', 'g', ','])?;
    let number = hex::number(request.get(at + 1..)?.as_bytes())?;
    u32::try_from(number.checked_sub(1)?).ok()
}

fn refused(why: &str) -> Vec<u8> {
    format!("E.{why}").into_bytes()
}

/// `xx` for each byte that is not known.
fn digits(bytes: impl Iterator<Item = Option<u8>>) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in bytes {
        match byte {
            Some(byte) => hex::push(&mut text, &[byte]),
            None => text.extend(b"xx"),
        }
    }
    text
}

/// `ffff,10`
fn numbers(text: &str) -> Option<(u64, u64)> {
    let (first, second) = text.split_once(',')?;
    Some((
        hex::number(first.as_bytes())?,
        hex::number(second.as_bytes())?,
    ))
}
