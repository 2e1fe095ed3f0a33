//! Where control goes from the instruction that stands there, as registers and memory say now.

use super::engine::Engine;
use crate::addr::Addr;
use crate::disasm::{Flow, Next, State, decode};
use crate::event::Place;

struct Standing<'a>(&'a mut Engine);

impl State for Standing<'_> {
    fn register(&mut self, name: &str) -> Option<u64> {
        self.0.register(name).ok()
    }

    fn read(&mut self, at: Addr, bytes: &mut [u8]) -> bool {
        self.0.target.read(at, bytes).is_ok()
    }
}

impl Engine {
    /// Of an instruction whose text leaves it open: a branch, an indirect jump, a return.
    pub(super) fn goes(&mut self, at: Addr, bytes: &[u8]) -> Option<Place> {
        let found = decode(bytes, at)?;
        let open = matches!(
            found.flow,
            Flow::Branch
                | Flow::IndirectJump
                | Flow::IndirectCall
                | Flow::Return
                | Flow::InterruptReturn
                | Flow::Sysret
                | Flow::Syscall
        );
        if !open {
            return None;
        }
        let to = match found.next(&mut Standing(self))? {
            Next::To(to) => to,
            Next::Syscall => self.symbols.as_ref()?.address_of("entry_SYSCALL_64")?,
            Next::Again | Next::Gate(_) | Next::Waits(_) => return None,
        };
        Some(self.place(to))
    }
}
