//! Why a run could not be traced.

use std::io;
use std::path::PathBuf;

use crate::crossing::Mode;
use crate::symbols::SymbolsError;

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error(
        "looking for the plugin: it is not in {}; build it with 'cargo build --release -p uklscope-tcg-plugin', \
         or name it in {PLUGIN_VARIABLE}",
        list(tried)
    )]
    NoPlugin { tried: Vec<PathBuf> },
    #[error(transparent)]
    Symbols(#[from] SymbolsError),
    #[error(
        "tracing {image} in mode {mode}: the image has {}; name one of these",
        modes(has)
    )]
    NoMode {
        image: String,
        mode: Mode,
        has: Vec<Mode>,
    },
    #[error("making {megabytes} MiB of shared memory for the records: {source}; free some memory")]
    Ring { megabytes: u64, source: io::Error },
    #[error(
        "starting {program}: {source}; install Debian's qemu-system-x86, or put it on the PATH"
    )]
    Start { program: String, source: io::Error },
    #[error("watching QEMU: {source}; run it again")]
    Watch { source: io::Error },
    /// QEMU ended before the plugin had begun.
    #[error("starting the guest: QEMU ended with {status} and said '{said}'; {next}")]
    Refused {
        status: String,
        said: String,
        next: &'static str,
    },
    #[error(
        "tracing {image} in mode {mode}: the guest ended after {insns} instructions without a crossing; its last line was '{last_line}'"
    )]
    NoCrossing {
        image: String,
        mode: Mode,
        insns: u64,
        last_line: String,
    },
}

/// Names the plugin's file, before it is looked for beside the program.
pub const PLUGIN_VARIABLE: &str = "UKLSCOPE_PLUGIN";

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

fn modes(modes: &[Mode]) -> String {
    let names: Vec<_> = modes.iter().map(|mode| mode.name()).collect();
    names.join(", ")
}
