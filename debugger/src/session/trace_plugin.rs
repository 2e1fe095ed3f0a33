//! Where QEMU's plugin lies.

use std::path::PathBuf;

use super::trace_error::{PLUGIN_VARIABLE, TraceError};

/// `$UKLSCOPE_PLUGIN`, else beside the program, or one folder up where tests run.
pub(super) fn find_plugin() -> Result<PathBuf, TraceError> {
    const NAME: &str = "libuklscope_tcg.so";
    if let Some(path) = std::env::var_os(PLUGIN_VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(TraceError::NoPlugin { tried: vec![path] })
        };
    }
    let program = std::env::current_exe().unwrap_or_default();
    let tried: Vec<_> = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(NAME))
        .collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(TraceError::NoPlugin { tried }),
    }
}
