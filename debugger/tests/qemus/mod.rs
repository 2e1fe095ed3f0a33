//! Other QEMUs than the one that everything is tested with: what is proven with that one holds in them too.

use std::path::PathBuf;

/// Their programs, apart by colons.
const VARIABLE: &str = "UKLSCOPE_QEMU_ALSO";

/// Those that were named. A test that would run nothing fails: `cargo xtask test` leaves it out, and says so.
pub(crate) fn others() -> Vec<PathBuf> {
    let named = std::env::var_os(VARIABLE).unwrap_or_default();
    let others: Vec<PathBuf> = std::env::split_paths(&named)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    assert!(
        !others.is_empty(),
        "no other QEMU was tested: {VARIABLE}=/path/to/qemu-system-x86_64 names one"
    );
    others
}
