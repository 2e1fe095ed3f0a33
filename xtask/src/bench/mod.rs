//! `cargo xtask bench`: what tracing costs and what a server answers, on this machine, now.

mod captured;
mod cpu;
mod exact;
mod figures;
mod fold;
mod gdb;
mod guest_tracer;
mod join;
mod locals;
mod print;
mod probes;
mod recording;
mod rivals;
mod run;
mod serve;
mod step;
mod symbols;
mod terminal;
mod trace;
mod turns;
mod unwind;

use anyhow::Result;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// A workload without a plugin, with every function traced and folded, and with each rival
    Trace(trace::Args),
    /// How fast records become crossings: by one thread, from memory
    Fold(fold::Args),
    /// How many calls of the demos are in classes whose every member has the same count
    Exact(exact::Args),
    /// A recording of 1,000 million records: how large it is, what making it costs, how soon it is on the screen
    Recording(recording::Args),
    /// What the probes in a guest's kernel cost: off, on, and in traced functions
    Probes(probes::Args),
    /// Servers loaded from the host in each mode: throughput, latency and boot to first reply, as ratios to mode linux
    Serve(serve::Args),
    /// Steps of one instruction until the screen shows them, beside bare steps and gdb's
    Step(step::Args),
    /// A kernel's names, types, lines and inlined calls: uklscope, gdb and drgn on the same file
    Symbols(symbols::Args),
    /// Random stops of the demos in every mode: how many backtraces reach the stack's beginning, ours and gdb's
    Unwind(unwind::Args),
    /// Reads of memory by a client that joins a session, one after the other, beside those of QEMU's own stub
    Join(join::Args),
    /// Random stops of the demos: arguments and locals of the innermost frames, ours and gdb's
    Locals(locals::Args),
    /// One of several that take turns
    #[command(hide = true)]
    Contender { work: String },
}

/// # Errors
/// When an image cannot be booted, traced or loaded.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Trace(args) => trace::run(args),
        What::Fold(args) => fold::run(args),
        What::Exact(args) => exact::run(args),
        What::Recording(args) => recording::run(args),
        What::Probes(args) => probes::run(args),
        What::Serve(args) => serve::run(args),
        What::Step(args) => step::run(args),
        What::Symbols(args) => symbols::run(args),
        What::Unwind(args) => unwind::run(args),
        What::Join(args) => join::run(args),
        What::Locals(args) => locals::run(args),
        What::Contender { work } => run::contend(work),
    }
}
