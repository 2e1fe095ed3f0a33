//! The registers of a frame, as far as they are known.

use crate::addr::Addr;

/// Indexed by DWARF's numbers for x86-64; the last is the return address, which is rip.
const NAMES: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterSet {
    values: [Option<u64>; 17],
    /// Of the CPU, not of a frame: where its per-CPU area lies, if the kernel has set it yet.
    pub gs_base: Option<u64>,
    /// Where the thread's own storage ends.
    pub fs_base: Option<u64>,
}

/// A DWARF register number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg(pub u16);

impl Reg {
    pub const RAX: Self = Self(0);
    pub const RDX: Self = Self(1);
    pub const RCX: Self = Self(2);
    pub const RBX: Self = Self(3);
    pub const RSI: Self = Self(4);
    pub const RDI: Self = Self(5);
    pub const RBP: Self = Self(6);
    pub const RSP: Self = Self(7);
    pub const R8: Self = Self(8);
    pub const R9: Self = Self(9);
    pub const R10: Self = Self(10);
    pub const R11: Self = Self(11);
    pub const R12: Self = Self(12);
    pub const R13: Self = Self(13);
    pub const R14: Self = Self(14);
    pub const R15: Self = Self(15);
    pub const RIP: Self = Self(16);

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let at = NAMES.iter().position(|n| *n == name)?;
        u16::try_from(at).ok().map(Self)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("?")
    }
}

impl RegisterSet {
    /// From a look-up by gdb's names, such as a stub's register list.
    pub fn from_names(mut get: impl FnMut(&str) -> Option<u64>) -> Self {
        let mut set = Self::default();
        for (value, name) in set.values.iter_mut().zip(NAMES) {
            *value = get(name);
        }
        // While a user runs, the kernel's own lies in the other register.
        let kernel = |value: &u64| value >> 63 == 1;
        set.gs_base = get("gs_base")
            .filter(kernel)
            .or_else(|| get("k_gs_base").filter(kernel));
        set.fs_base = get("fs_base");
        set
    }

    #[must_use]
    pub fn get(&self, register: Reg) -> Option<u64> {
        *self.values.get(usize::from(register.0))?
    }

    pub fn set(&mut self, register: Reg, value: Option<u64>) {
        if let Some(slot) = self.values.get_mut(usize::from(register.0)) {
            *slot = value;
        }
    }

    #[must_use]
    pub fn pc(&self) -> Option<Addr> {
        self.get(Reg::RIP).map(Addr)
    }

    #[must_use]
    pub fn sp(&self) -> Option<Addr> {
        self.get(Reg::RSP).map(Addr)
    }

    /// By name, in DWARF's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        NAMES.iter().copied().zip(self.values)
    }

    /// What the ABI lets a called function destroy is not known in the caller.
    pub(super) fn forget_volatile(&mut self) {
        for register in [
            Reg::RAX,
            Reg::RDX,
            Reg::RCX,
            Reg::RSI,
            Reg::RDI,
            Reg::R8,
            Reg::R9,
            Reg::R10,
            Reg::R11,
        ] {
            self.set(register, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(Reg::named("rsp"), Some(Reg::RSP));
        assert_eq!(Reg::named("r12"), Some(Reg::R12));
        assert_eq!(Reg::RIP.name(), "rip");
        let set = RegisterSet::from_names(|name| (name == "rip").then_some(0x1000));
        assert_eq!(set.pc(), Some(Addr(0x1000)));
        assert_eq!(set.sp(), None);
    }
}
