//! Single steps → the records that a probe would have written: for engines that can only step.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register,
};
use wire::{Kind, Record, Site, SiteFlags, Word};

use super::sites::SiteTable;
use crate::addr::Addr;

#[derive(Debug)]
pub struct Steps<'a> {
    table: &'a SiteTable,
    clock: u32,
    switches: u64,
    records: Vec<u64>,
}

/// What an instruction does to the stack of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackSwitch {
    Saves,
    Loads,
}

/// An instruction, decoded once.
#[derive(Clone, Copy, Debug)]
pub struct Decoded(Instruction);

impl Decoded {
    /// `None`: the bytes are no instruction, or not all of one.
    #[must_use]
    pub fn new(bytes: &[u8], at: Addr) -> Option<Self> {
        let mut decoder = Decoder::with_ip(64, bytes, at.0, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (!instruction.is_invalid()).then_some(Self(instruction))
    }

    /// A string instruction that repeats itself.
    #[must_use]
    pub fn repeats(&self) -> bool {
        let prefixed = self.0.has_rep_prefix() || self.0.has_repne_prefix();
        self.0.is_string_instruction() && prefixed
    }

    /// `pause`: it waits for what another vCPU does.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.0.mnemonic() == Mnemonic::Pause
    }

    /// `mov %rsp, offset(%reg)` or `mov offset(%reg), %rsp`.
    #[must_use]
    pub fn stack_switch(&self) -> Option<StackSwitch> {
        let instruction = &self.0;
        if instruction.mnemonic() != Mnemonic::Mov {
            return None;
        }
        match (instruction.op0_kind(), instruction.op1_kind()) {
            (OpKind::Memory, OpKind::Register) if instruction.op1_register() == Register::RSP => {
                Some(StackSwitch::Saves)
            }
            (OpKind::Register, OpKind::Memory) if instruction.op0_register() == Register::RSP => {
                Some(StackSwitch::Loads)
            }
            _ => None,
        }
    }
}

impl<'a> Steps<'a> {
    #[must_use]
    pub const fn new(table: &'a SiteTable) -> Self {
        Self {
            table,
            clock: 0,
            switches: 0,
            records: Vec::new(),
        }
    }

    /// Two tasks that are never switched between: tells the fold that the application is running.
    pub fn in_app(&mut self) {
        self.push(Kind::Switch, 0);
        self.records.extend([2, 1, self.switches]);
        self.switches += 1;
        self.push(Kind::AppEntry, 0);
    }

    /// Execution stands at `pc`, which was reached from the application.
    pub fn enter(&mut self, pc: Addr) {
        if let Some(site) = self.starting_at(pc) {
            self.entered(site);
        }
    }

    /// One instruction was executed: the one at `from`; execution stands at `to`.
    pub fn step(&mut self, from: Addr, instruction: &Decoded, to: Addr) {
        self.clock = self.clock.wrapping_add(1);
        let inside = self.containing(from);
        let function = inside.map_or(wire::record::NO_FUNCTION, |site| site.word().function());
        let has = |flag| inside.is_some_and(|site| site.flags & flag != 0);
        let (leaves, returns) = (has(SiteFlags::LEAVES), has(SiteFlags::RETURNS));
        let flow = instruction.0.flow_control();
        match (flow, instruction.0.code()) {
            (FlowControl::Return | FlowControl::IndirectBranch, _) if returns => {
                self.push(Kind::Iret, function);
            }
            (FlowControl::Return, Code::Sysretd | Code::Sysretq) if leaves => {
                self.push(Kind::Sysret, function);
            }
            (FlowControl::Return, Code::Iretw | Code::Iretd | Code::Iretq) if leaves => {
                self.push(Kind::Iret, function);
            }
            (
                FlowControl::Return,
                Code::Sysretd | Code::Sysretq | Code::Iretw | Code::Iretd | Code::Iretq,
            ) => {}
            (FlowControl::Return, _) if inside.is_some_and(|site| site.is_app()) => {
                self.push(Kind::AppReturn, function);
            }
            (FlowControl::Return, _) => self.push(Kind::Return, function),
            _ => {}
        }
        // A string instruction repeats itself.
        let Some(site) = self.starting_at(to).filter(|_| to != from) else {
            return;
        };
        let called = matches!(
            flow,
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return
        );
        let is_plain = site.word().kind() == Some(Kind::Entry);
        if !called && is_plain && site.flags & SiteFlags::LABEL == 0 {
            self.push(Kind::Jump, function);
        }
        self.entered(site);
    }

    /// Whether the function at an address switches tasks.
    #[must_use]
    pub fn switches(&self, addr: Addr) -> bool {
        self.containing(addr)
            .is_some_and(|site| site.flags & SiteFlags::SWITCHES != 0)
    }

    /// The records since the last call.
    pub fn take(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.records)
    }

    fn entered(&mut self, site: Site) {
        let word = site.word();
        let record = Record {
            clock: self.clock,
            word,
        };
        self.records.push(record.encode());
    }

    fn push(&mut self, kind: Kind, function: u32) {
        let word = Word::new(kind, function);
        self.records.push(
            Record {
                clock: self.clock,
                word,
            }
            .encode(),
        );
    }

    fn containing(&self, addr: Addr) -> Option<Site> {
        let sites = &self.table.sites;
        let at = sites
            .partition_point(|site| site.address <= addr.0)
            .checked_sub(1)?;
        Some(sites[at]).filter(|site| site.flags & SiteFlags::END == 0)
    }

    fn starting_at(&self, addr: Addr) -> Option<Site> {
        self.containing(addr).filter(|site| site.address == addr.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::AddrRange;
    use crate::crossing::{CrossingKind, Mode};
    use crate::origin::Origin;
    use crate::trace::fold::{Fold, Run};
    use crate::trace::sites::{Code as Symbol, Ranges};

    const ENTRY: u64 = 0xffff_ffff_8100_0000;
    const WORK: u64 = ENTRY + 0x1000;
    const APP: u64 = ENTRY + 0x2000;

    #[test]
    fn a_stepped_bypass_folds_as_a_recorded_one() {
        let symbol = |name, start, label| Symbol {
            name,
            range: AddrRange::new(Addr(start), Addr(start + 64)),
            origin: Origin::Unknown,
            label,
            global: true,
            file: None,
        };
        let ranges = Ranges {
            app_text: AddrRange::new(Addr(APP), Addr(APP + 64)).into(),
            entry_text: AddrRange::new(Addr(ENTRY), Addr(ENTRY + 64)),
        };
        let symbols = [
            symbol("ukl_bypass_syscall", ENTRY, true),
            symbol("__x64_sys_getppid", WORK, false),
            symbol("main", APP, false),
        ];
        let table = SiteTable::build(
            symbols.into_iter(),
            &ranges,
            &crate::profile::Profile::recognise(|name| name == "__ukl_text_start"),
        );
        let mut steps = Steps::new(&table);
        steps.in_app();
        steps.enter(Addr(ENTRY));
        let mut step = |from: u64, bytes: &[u8], to: u64| {
            steps.step(
                Addr(from),
                &Decoded::new(bytes, Addr(from)).unwrap(),
                Addr(to),
            );
        };
        step(ENTRY, &[0x90], ENTRY + 1);
        step(ENTRY + 1, &[0xff, 0xd0], WORK);
        step(WORK, &[0xf3, 0xa4], WORK);
        step(WORK, &[0xf3, 0xa4], WORK + 2);
        step(WORK + 2, &[0xc3], ENTRY + 3);
        step(ENTRY + 3, &[0xc3], APP + 9);
        let mut fold = Fold::new(table.functions.clone());
        fold.take(0, 0, &steps.take());
        let run = Run {
            mode: Mode::Bypass.into(),
            engine: "stub".to_owned(),
            lost: 0,
            insns: 0,
            notes: Vec::new(),
        };
        let report = fold.report(&run, 9);
        assert_eq!(report.classes.len(), 1);
        let class = &report.classes[0];
        assert_eq!(
            (class.kind, class.call.as_str()),
            (CrossingKind::Bypass, "getppid")
        );
        assert_eq!(
            (
                class.path.own,
                class.path.children[0].own,
                class.instructions
            ),
            (3, 3, 6)
        );
    }
}
