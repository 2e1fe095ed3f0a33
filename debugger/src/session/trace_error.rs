//! Why a run could not be traced.

use std::io;
use std::path::PathBuf;

use super::guest_probes::ProbesError;
use super::monitor::MonitorError;
use super::process::QemuError;
use super::target::TargetError;
use crate::crossing::{Mode, Setup};
use crate::event::Failure;
use crate::symbols::SymbolsError;

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error(
        "looking for the plugin: it is not at {}; build it with 'cargo build --release -p uklscope-tcg-plugin', \
         or name it in {PLUGIN_VARIABLE}",
        list(tried)
    )]
    NoPlugin { tried: Vec<PathBuf> },
    #[error(transparent)]
    Symbols(#[from] SymbolsError),
    #[error(transparent)]
    Profile(#[from] Failure),
    #[error(
        "tracing {image} in mode {mode}: the image has {}; name one of these",
        modes(has)
    )]
    NoMode {
        image: String,
        mode: Mode,
        has: Vec<Mode>,
    },
    #[error(transparent)]
    Recorded(#[from] super::replay::FolderError),
    #[error("tracing: {0}")]
    Filter(#[from] crate::trace::filter::Nothing),
    #[error(
        "stepping through {call} of {image} in mode {mode}: the run ended without one that returned; \
         'uklscope report' lists the calls of a recording"
    )]
    NotMade {
        image: String,
        mode: Setup,
        call: String,
    },
    #[error("tracing the tasks '{name}' alone: {why}")]
    Task { name: String, why: String },
    #[error("making shared memory for the records: {source}; free some memory")]
    Ring { source: io::Error },
    #[error("{source}; {}", advice(source))]
    Qemu {
        #[from]
        source: QemuError,
    },
    #[error("starting the traced guest: {0}; run it again")]
    Monitor(#[from] MonitorError),
    #[error(transparent)]
    Probes(#[from] ProbesError),
    #[error("making shared memory for the guest: {source}; free some memory")]
    Memory { source: io::Error },
    #[error("tracing by the stub: {0}")]
    Target(#[from] TargetError),
    #[error("tracing by the stub: this QEMU was started without one; start it with -gdb")]
    NoStub,
    #[error(
        "tracing {image} in mode {mode}: the guest ended after {insns} instructions without a crossing; \
         its last line was '{last_line}', QEMU ended with {ended}; run it with 'uklscope run' and look at its console"
    )]
    NoCrossing {
        image: String,
        mode: Mode,
        insns: u64,
        last_line: String,
        ended: String,
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

/// What is peculiar to plugins in what QEMU says.
fn advice(error: &QemuError) -> &'static str {
    let said = match error {
        QemuError::Died { said, .. } => said.as_str(),
        _ => "",
    };
    if said.contains("API version") || said.contains("plugin version") {
        "the plugin is for QEMU 7.2 and later; with another one use '--engine stub'"
    } else if said.contains("plugin") {
        "the plugin needs a QEMU built with plugins, as Debian's is; without one use '--engine stub'"
    } else {
        "'uklscope doctor' looks at this machine"
    }
}
