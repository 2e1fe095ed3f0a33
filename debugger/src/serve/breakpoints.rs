//! `Z` and `z`: into the session's book, under the client's name.

use gdbstub::target::TargetResult;
use gdbstub::target::ext::breakpoints::{
    Breakpoints, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint,
    SwBreakpointOps, WatchKind,
};

use super::machine::Machine;
use crate::addr::Addr;
use crate::session::joined::{Ask, TrapKind, Wanted};

impl Machine {
    /// `false` is answered with an error: the target has no room, or nothing stood there.
    fn plant(&self, kind: TrapKind, addr: u64, len: u64) -> TargetResult<bool, Self> {
        let addr = Addr(addr);
        let insert = Ask::Insert(Wanted { kind, addr, len });
        Ok(self.joined.ask(insert).is_ok())
    }

    fn lift(&self, kind: TrapKind, addr: u64, len: u64) -> TargetResult<bool, Self> {
        let addr = Addr(addr);
        let remove = Ask::Remove(Wanted { kind, addr, len });
        Ok(self.joined.ask(remove).is_ok())
    }
}

const fn trap_kind(kind: WatchKind) -> TrapKind {
    match kind {
        WatchKind::Write => TrapKind::Write,
        WatchKind::Read => TrapKind::Read,
        WatchKind::ReadWrite => TrapKind::Access,
    }
}

impl Breakpoints for Machine {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Machine {
    fn add_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.plant(TrapKind::Soft, addr, 1)
    }

    fn remove_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.lift(TrapKind::Soft, addr, 1)
    }
}

impl HwBreakpoint for Machine {
    fn add_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.plant(TrapKind::Hard, addr, 1)
    }

    fn remove_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.lift(TrapKind::Hard, addr, 1)
    }
}

impl HwWatchpoint for Machine {
    fn add_hw_watchpoint(
        &mut self,
        addr: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        self.plant(trap_kind(kind), addr, len)
    }

    fn remove_hw_watchpoint(
        &mut self,
        addr: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        self.lift(trap_kind(kind), addr, len)
    }
}
