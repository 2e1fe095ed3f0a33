//! The instruction at an address, as far as stepping is concerned.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::disasm::{Decoded, Flow, decode};

/// How stepping must treat an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Comes back behind itself, with the stack as it is now.
    Call,
    /// `rep movs`: one step is one turn of it.
    Repeated,
    /// With interrupts masked, as when stepping, it never ends.
    Halt,
    /// Leaves the function for good.
    Return,
    Plain,
}

/// Bytes of the longest instruction.
const LONGEST: usize = 15;

impl Engine {
    /// What stands there; none where the bytes are no instruction.
    pub(super) fn instruction(&mut self, at: Addr) -> Result<Option<Decoded>, Trouble> {
        let mut bytes = [0; LONGEST];
        let in_page = usize::try_from(0x1000 - (at.0 & 0xfff)).unwrap_or(LONGEST);
        let mut len = LONGEST;
        if let Err(error) = self.target.read(at, &mut bytes) {
            // The last instruction before a page that is not there.
            if in_page >= LONGEST {
                return Err(error.into());
            }
            len = in_page;
            self.target.read(at, &mut bytes[..len])?;
        }
        Ok(decode(&bytes[..len], at))
    }
}

pub(super) fn step_kind(instruction: Option<&Decoded>) -> Step {
    let Some(instruction) = instruction else {
        return Step::Plain;
    };
    match instruction.flow {
        flow if flow.comes_back() => Step::Call,
        Flow::Halt => Step::Halt,
        Flow::Return | Flow::Sysret | Flow::InterruptReturn => Step::Return,
        Flow::Next if instruction.repeats => Step::Repeated,
        _ => Step::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_stepped_by_what_they_do() {
        for (bytes, expected) in [
            (&[0xe8, 0, 0, 0, 0][..], Step::Call),
            (&[0xff, 0xd1], Step::Call),
            (&[0x0f, 0x05], Step::Call),
            (&[0xcd, 0x80], Step::Call),
            (&[0xc3], Step::Return),
            (&[0x48, 0xcf], Step::Return),
            (&[0x48, 0x0f, 0x07], Step::Return),
            (&[0xf4], Step::Halt),
            (&[0xf3, 0xa4], Step::Repeated),
            (&[0xeb, 0xfe], Step::Plain),
            (&[0x90], Step::Plain),
            (&[0x06], Step::Plain),
        ] {
            let decoded = decode(bytes, Addr(0x1000));
            assert_eq!(step_kind(decoded.as_ref()), expected, "{bytes:x?}");
        }
    }
}
