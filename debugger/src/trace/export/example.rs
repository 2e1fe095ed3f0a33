//! The recording that the exporters' tests write.

use crate::crossing::{CrossingKind, Mode};
use crate::origin::Origin;
use crate::trace::examples::{class, node, report};
use crate::trace::recording::{Head, Recording};
use crate::trace::report::Node;

fn of(origin: Origin, node: Node) -> Node {
    Node { origin, ..node }
}

/// One class of ten calls, 14 instructions each: 5 in the entry, 3 in each of three calls of `fdget`.
pub(super) fn recording() -> Recording {
    let get = || of(Origin::kernel_source("fs/file.c"), node("fdget", 3, vec![]));
    let work = of(Origin::Libc, node("a;b, \"c\"", 0, vec![get(), get()]));
    let path = of(
        Origin::Entry,
        node("entry_SYSCALL_64", 5, vec![get(), work]),
    );
    let mut class = class(CrossingKind::Syscall, "read", path);
    class.count = 10;
    Recording {
        head: Head {
            image: "syscalls".to_owned(),
            build_id: "ab12".to_owned(),
            runs: 1,
            ..Head::default()
        },
        runs: vec![report(Mode::Linux, vec![class])],
    }
}
