//! How sure it is that a frame is where the unwinder says.

use std::borrow::Cow;

use super::super::Symbols;
use super::{Caller, FoundBy, Memory, UnwoundFrame};
use crate::addr::Addr;

/// A word for a frame; where it is not `certain`, why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Certainty {
    /// A table, or registers that were saved, say so, and the code before agrees.
    #[default]
    Certain,
    /// Nothing contradicts it, but no table says so.
    Likely(Cow<'static, str>),
    /// It may as well be something else.
    Guess(Cow<'static, str>),
}

impl Certainty {
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely(_) => "likely",
            Self::Guess(_) => "guess",
        }
    }

    /// Why it is no more than that.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Certain => None,
            Self::Likely(why) | Self::Guess(why) => Some(why),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Certain => 0,
            Self::Likely(_) => 1,
            Self::Guess(_) => 2,
        }
    }

    /// A frame is no surer than the one it was found from.
    fn after(self, inner: &Self) -> Self {
        if inner.rank() <= self.rank() {
            return self;
        }
        let why = "found from a frame that is no surer".into();
        match inner {
            Self::Guess(_) => Self::Guess(why),
            _ => Self::Likely(why),
        }
    }
}

impl Symbols {
    pub(super) fn certainty(
        &self,
        inner: &UnwoundFrame,
        caller: &Caller,
        pc: Addr,
        memory: &mut Memory<'_>,
    ) -> Certainty {
        let own = match caller.found_by {
            FoundBy::Registers | FoundBy::SignalFrame => Certainty::Certain,
            FoundBy::EntryFrame if caller.by_convention => Certainty::Likely(
                "no frame is stored at this instruction: the return address is the one in rcx"
                    .into(),
            ),
            FoundBy::EntryFrame => Certainty::Certain,
            FoundBy::Cfi | FoundBy::Orc => self.by_call(caller, pc, memory),
            FoundBy::Code => Certainty::Likely(
                "no table covers the code: found by its instructions up to the return".into(),
            ),
            FoundBy::FramePointer => Certainty::Guess(
                "no table covers the code: rbp is taken for a frame pointer".into(),
            ),
        };
        own.after(&inner.certainty)
    }

    /// What a return address stands behind, is a call; where it is not, either the table is wrong
    /// or somebody has put the address there.
    fn by_call(&self, caller: &Caller, pc: Addr, memory: &mut Memory<'_>) -> Certainty {
        if !caller.after_call || self.follows_call(pc) != Some(false) || self.is_restorer(pc) {
            return Certainty::Certain;
        }
        // The kernel patches its code for the CPU it finds: what runs may call where vmlinux does not.
        let mut before = [0; LONGEST_CALL];
        if memory(before_call(pc), &mut before) && ends_with_call(&before) {
            return Certainty::Certain;
        }
        Certainty::Likely("no call stands before the return address".into())
    }

    /// As vmlinux has the code; `None` where it is not known.
    pub(super) fn follows_call(&self, pc: Addr) -> Option<bool> {
        self.initial(before_call(pc), LONGEST_CALL)
            .map(ends_with_call)
    }
}

const LONGEST_CALL: usize = 7;

const fn before_call(pc: Addr) -> Addr {
    pc.wrapping_sub(LONGEST_CALL as u64)
}

/// Of as many bytes as the longest call has.
fn ends_with_call(before: &[u8]) -> bool {
    let indirect = |at: usize| {
        let (opcode, form) = (before.get(at), before.get(at + 1));
        opcode == Some(&0xff) && form.is_some_and(|form| form >> 3 & 7 == 2)
    };
    // call rel32; call r/m64 with its shorter and longer operands.
    let near = before.get(2) == Some(&0xe8);
    near || [0, 1, 3, 4, 5].into_iter().any(indirect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_no_surer_than_the_one_within() {
        let guess = Certainty::Guess("x".into());
        let after = Certainty::Certain.after(&guess);
        assert_eq!(after.name(), "guess");
        assert!(after.doubt().is_some());
        let own = Certainty::Likely("own".into());
        assert_eq!(own.clone().after(&Certainty::Certain), own);
        assert_eq!(Certainty::Certain.doubt(), None);
    }

    #[test]
    fn calls_are_known_by_their_last_bytes() {
        let near = [0x90, 0x90, 0xe8, 1, 2, 3, 4];
        let by_register = [0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0];
        let by_memory = [0xff, 0x14, 0xc5, 1, 2, 3, 4];
        // What vmlinux has where a kernel may be patched to call: rep stosb and a nop.
        let patched = [0xf3, 0xaa, 0x0f, 0x1f, 0x00, 0x90, 0x90];
        for (bytes, expected) in [
            (near, true),
            (by_register, true),
            (by_memory, true),
            (patched, false),
        ] {
            assert_eq!(ends_with_call(&bytes), expected, "{bytes:x?}");
        }
    }
}
