//! What the kernel's patches add to the assembly between the application and the kernel, by symbol.

/// How control comes to a piece of that assembly, and what it has saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryCode {
    /// The application calls it. It saves what a call must keep, and no whole frame.
    Stub,
    /// The label of the instruction by which a stub returns.
    StubReturn,
    /// Stubs jump to it.
    StubPart,
    /// Entered and left with the frame of the kernel's own entry.
    Frame,
}

use EntryCode::{Frame, Stub, StubPart, StubReturn};

/// Sorted. The kernel's functions in C may begin with `ukl_` as well: only these names count.
const ENTRY_CODE: &[(&str, EntryCode)] = &[
    ("ukl_bypass_limited_syscall", Stub),
    ("ukl_bypass_return", StubReturn),
    ("ukl_bypass_syscall", Stub),
    ("ukl_double_fault", Frame),
    ("ukl_entry_SYSCALL_64", Frame),
    ("ukl_exit_work", StubPart),
    // Lies in the application's text.
    ("ukl_full_syscall", Stub),
    ("ukl_native_iret", Frame),
    ("ukl_ret_to_app", Frame),
    ("ukl_return_to_app", Frame),
    ("ukl_syscall_return", StubReturn),
    ("ukl_tcp_recvmsg", Stub),
    ("ukl_tcp_recvmsg_return", StubReturn),
    ("ukl_tcp_sendmsg", Stub),
    ("ukl_tcp_sendmsg_return", StubReturn),
];

/// What a symbol is, if it is one of these.
#[must_use]
pub fn entry_code(name: &str) -> Option<EntryCode> {
    let found = ENTRY_CODE.binary_search_by_key(&name, |(known, _)| known);
    found.ok().map(|at| ENTRY_CODE[at].1)
}

/// Every name in the table.
pub fn names() -> impl Iterator<Item = &'static str> {
    ENTRY_CODE.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(ENTRY_CODE.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn a_function_of_the_kernel_is_no_stub() {
        assert_eq!(entry_code("ukl_bypass_syscall"), Some(Stub));
        for other in [
            "ukl_load_twin",
            "ukl_tcp",
            "ukl_bypass_table",
            "entry_SYSCALL_64",
            "",
        ] {
            assert_eq!(entry_code(other), None, "{other}");
        }
    }
}
