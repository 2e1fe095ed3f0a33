//! The four debug registers of a CPU, which under KVM are all there is for hardware breakpoints and
//! watchpoints. The rules are those of QEMU's `kvm_arch_insert_hw_breakpoint`, read, not measured:
//! a machine with KVM that runs such guests was not at hand. Under TCG nothing is limited.

use super::target::{Trap, TrapKind};

/// DR0 to DR3.
pub(super) const SLOTS: usize = 4;

/// Why a trap gets no debug register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSlot {
    #[error("all {SLOTS} debug registers are in use")]
    Full,
    #[error("x86 has no debug register for reads alone")]
    ReadOnly,
    #[error(
        "a debug register covers 1, 2, 4 or 8 bytes at a multiple of that, not {len} at {at:#x}"
    )]
    Shape { at: u64, len: u8 },
}

impl NoSlot {
    /// What to do about it.
    pub(super) const fn next(&self) -> &'static str {
        match self {
            Self::Full => "delete or disable a watchpoint or hardware breakpoint",
            Self::ReadOnly => "'awatch' stops at reads and writes",
            Self::Shape { .. } => "watch a part of it",
        }
    }
}

/// Whether a trap takes a debug register.
pub(super) const fn takes_slot(trap: &Trap) -> bool {
    !matches!(trap.kind, TrapKind::Soft)
}

/// Debug registers in use by `standing` and, when they fit, by `wanted` as well.
pub(super) fn budget(
    standing: impl IntoIterator<Item = Trap>,
    wanted: &[Trap],
) -> Result<usize, NoSlot> {
    let mut taken: Vec<Trap> = standing.into_iter().filter(takes_slot).collect();
    for trap in wanted.iter().filter(|trap| takes_slot(trap)) {
        if trap.kind == TrapKind::Read {
            return Err(NoSlot::ReadOnly);
        }
        let shape = matches!(trap.len, 1 | 2 | 4 | 8) && trap.addr.0 % u64::from(trap.len) == 0;
        if !shape {
            return Err(NoSlot::Shape {
                at: trap.addr.0,
                len: trap.len,
            });
        }
        // Two users of one trap share its register.
        if !taken.contains(trap) {
            taken.push(*trap);
        }
    }
    if taken.len() > SLOTS {
        return Err(NoSlot::Full);
    }
    Ok(taken.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;

    fn trap(kind: TrapKind, addr: u64, len: u8) -> Trap {
        Trap {
            kind,
            addr: Addr(addr),
            len,
        }
    }

    #[test]
    fn four_fit_and_a_fifth_does_not() {
        let mut standing = Vec::new();
        for i in 0..4 {
            let next = trap(TrapKind::Write, 0x1000 + 8 * i, 8);
            assert_eq!(budget(standing.clone(), &[next]), Ok(standing.len() + 1));
            standing.push(next);
        }
        let fifth = trap(TrapKind::Hard, 0x2000, 1);
        assert_eq!(budget(standing.clone(), &[fifth]), Err(NoSlot::Full));
        // The same once more shares its register, and a software breakpoint takes none.
        assert_eq!(budget(standing.clone(), &[standing[0]]), Ok(4));
        assert_eq!(budget(standing, &[Trap::soft(Addr(16))]), Ok(4));
    }

    #[test]
    fn what_no_debug_register_can_do_is_refused() {
        let refused = |trap| budget([], &[trap]);
        assert_eq!(
            refused(trap(TrapKind::Read, 0x1000, 8)),
            Err(NoSlot::ReadOnly)
        );
        for (at, len) in [(0x1001, 2), (0x1004, 8), (0x1000, 3)] {
            let found = refused(trap(TrapKind::Write, at, len));
            assert_eq!(found, Err(NoSlot::Shape { at, len }));
        }
    }
}
