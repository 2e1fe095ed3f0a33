//! How control came to the kernel, as the screens' tests have it.

use debugger::addr::Insns;
use debugger::crossing::CrossingKind;
use debugger::event::{CallArgument, Side, Why};
use debugger::known::Known;

fn argument(name: &str, value: &str, kernel: &str, app: &str, holds: &str) -> CallArgument {
    CallArgument {
        name: name.to_owned(),
        value: value.to_owned(),
        kernel_type: Some(kernel.to_owned()),
        app_type: Some(app.to_owned()),
        holds: (!holds.is_empty())
            .then(|| holds.to_owned())
            .into_iter()
            .collect(),
        ..CallArgument::default()
    }
}

pub(crate) fn why() -> Why {
    Why {
        side: Side::Kernel,
        kind: Known::Yes(CrossingKind::Syscall),
        call: Known::Yes("write".to_owned()),
        arguments: vec![
            argument("fd", "1", "unsigned int", "int", "/dev/console"),
            argument("count", "1", "size_t", "size_t", ""),
        ],
        kernel_prototype: Known::Yes("write(unsigned int fd, size_t count)".to_owned()),
        app_prototype: Known::Yes("write(int fd, size_t count)".to_owned()),
        result: Known::no("the call is not on its way back"),
        from: Known::no("not asked in this test"),
        stack: Known::Yes("task stack of the current task".to_owned()),
        since: Known::Yes(Insns(118)),
        ring: Known::Yes("0; the saved frame is marked".to_owned()),
        sentences: vec![
            "Entered by the syscall instruction at write+0x14c (write.c:8), 118 instructions ago."
                .to_owned(),
            "No ring changed: the saved CS is marked, not user.".to_owned(),
        ],
    }
}
