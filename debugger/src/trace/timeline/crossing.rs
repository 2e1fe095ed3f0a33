//! What a crossing is called, from the calls in it.

use super::spans::Span;
use super::task::Entered;
use crate::crossing::CrossingKind;
use crate::trace::functions::Functions;

/// Every implementation of a system call begins so.
const IMPLEMENTATION: &str = "__x64_sys_";

/// Kind and call of the crossing that `root` is; `inner`: the calls in it, in order. As the fold names
/// classes, but for the protocols of sockets. `None`: `root` begins no crossing.
#[must_use]
pub fn named<'a>(
    functions: &Functions,
    root: &Span,
    inner: impl Iterator<Item = &'a Span>,
) -> Option<(CrossingKind, String)> {
    let name = |span: &Span| functions.get(span.function).name.as_str();
    let calls = &functions.profile().calls;
    let own = name(root);
    let kind = match root.entered {
        Entered::Syscall => CrossingKind::Syscall,
        Entered::Call if calls.bypass.has(own) => CrossingKind::Bypass,
        Entered::Call => CrossingKind::Shortcut,
        Entered::Fault => CrossingKind::Fault,
        Entered::Interrupt => CrossingKind::Interrupt,
        _ => return None,
    };
    let mut inner = inner.map(|span| functions.get(span.function).name.as_str());
    let call = match kind {
        CrossingKind::Syscall | CrossingKind::Bypass => inner
            .find_map(|name| name.strip_prefix(IMPLEMENTATION))
            .unwrap_or("unknown"),
        CrossingKind::Shortcut => functions.profile().shortcut(own),
        // The stub says nothing: what it jumps to has the name.
        _ if own.ends_with("_entries_start") => inner.next().unwrap_or(own),
        _ => own,
    };
    Some((kind, call.to_owned()))
}
