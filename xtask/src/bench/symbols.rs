//! `cargo xtask bench symbols`: a kernel's symbols read by uklscope, gdb and drgn in one run.
//!
//! Each task is a process of its own, so that one tool's second task does not profit from its first;
//! times are wall time from the process's start to its end, memory is the most that was resident.
//! The tools take turns, and of several rounds the median counts.

mod checks;
mod others;
mod ours;
mod process;
mod records;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use debugger::addr::Addr;
use debugger::symbols::Symbols;
use serde::{Deserialize, Serialize};

use super::print::{self, Host};
use crate::progress;
use checks::{Answers, Check};
use process::Run;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// A kernel with debug information
    #[arg(long, value_name = "FILE")]
    vmlinux: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Random addresses to resolve with inlined calls
    #[arg(long, default_value_t = 100_000)]
    addresses: usize,
    /// gdb resolves only so many of them, and its time is scaled up: it takes minutes for all
    #[arg(long, default_value_t = 5_000)]
    gdb_addresses: usize,
    /// How often each task is done by uklscope and drgn; by gdb once, and 100,000 addresses are
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Structs, unions and enumerations that are compared with gdb's, member by member
    #[arg(long, default_value_t = 200)]
    records: usize,
    /// The struct that is printed
    #[arg(long = "struct", default_value = "task_struct")]
    record: String,
    /// Where a breakpoint would be set
    #[arg(long, default_value = "fs/read_write.c:460")]
    place: String,
    /// Functions that are listed
    #[arg(long, default_value = "vfs_")]
    pattern: String,
    /// The Python that has drgn
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// What one process does for the measurement
    #[arg(long, hide = true)]
    task: Option<Task>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// A function's address by its name
    Name,
    /// All names of DWARF
    Index,
    Struct,
    Line,
    Pattern,
    Addresses,
}

const TASKS: [Task; 6] = [
    Task::Name,
    Task::Index,
    Task::Struct,
    Task::Line,
    Task::Pattern,
    Task::Addresses,
];

#[derive(Serialize)]
struct Row {
    task: Task,
    uklscope: Run,
    /// The same by the command that a user types: the index beside, the answer as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    exec: Option<Run>,
    gdb: Run,
    drgn: Run,
    /// How often uklscope's time goes into gdb's.
    #[serde(skip_serializing_if = "Option::is_none")]
    gdb_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drgn_ratio: Option<f64>,
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    vmlinux_bytes: u64,
    addresses: usize,
    rows: Vec<Row>,
    /// Answers compared with another tool's, and those that differ.
    checks: Vec<Check>,
    /// llvm-symbolizer at the addresses that gdb resolved: it is asked where the two disagree.
    judge: Run,
    #[serde(flatten)]
    host: Host,
}

/// # Errors
/// When the file cannot be read, or an answer of uklscope fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(task) = args.task {
        return ours::carry_out(task, args);
    }
    let bytes = std::fs::metadata(&args.vmlinux)
        .with_context(|| format!("opening {}", args.vmlinux.display()))?
        .len();
    let mut rows = Vec::new();
    let mut answers = Answers::default();
    for task in TASKS {
        let step = progress::Step::start(format!("{task:?}"));
        let gdb = others::gdb(task, args, &mut answers);
        let (mut uklscope, mut exec, mut drgn) = (Vec::new(), Vec::new(), Vec::new());
        let rounds = if task == Task::Addresses {
            1
        } else {
            args.rounds
        };
        for _ in 0..rounds.max(1) {
            uklscope.push(ours::measure(task, args, &mut answers)?);
            exec.extend(ours::exec(task, args)?);
            drgn.push(others::drgn(task, args, &mut answers));
        }
        step.done();
        let (uklscope, drgn) = (Run::median(uklscope), Run::median(drgn));
        rows.push(Row {
            task,
            gdb_ratio: gdb.seconds.map(|seconds| seconds / uklscope.time()),
            drgn_ratio: drgn.seconds.map(|seconds| seconds / uklscope.time()),
            exec: (!exec.is_empty()).then(|| Run::median(exec)),
            uklscope,
            gdb,
            drgn,
        });
    }
    let symbols = Symbols::open(&args.vmlinux, None)?;
    let addrs = addresses(&symbols, args.addresses);
    let asked = args.gdb_addresses.min(addrs.len());
    let judge = others::judge(args, &addrs[..asked], &mut answers);
    let mut checks = answers.compare(&symbols, &addrs);
    let step = progress::Step::start("records".to_owned());
    checks.extend(records::compare(&symbols, args));
    step.done();
    let report = Report {
        schema: 2,
        vmlinux_bytes: bytes,
        addresses: args.addresses,
        rows,
        checks,
        judge,
        host: Host::now(),
    };
    print::report(&report, args.json, Report::lines)
}

impl Report {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<10} {:>20} {:>20} {:>20}   gdb's and drgn's time to ours",
            "task", "uklscope", "gdb", "drgn"
        )];
        for row in &self.rows {
            let ratio =
                |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |of| format!("{of:.1}×"));
            lines.push(format!(
                "{:<10} {:>20} {:>20} {:>20}   {} {}",
                format!("{:?}", row.task).to_lowercase(),
                row.uklscope.text(),
                row.gdb.text(),
                row.drgn.text(),
                ratio(row.gdb_ratio),
                ratio(row.drgn_ratio),
            ));
            if let Some(exec) = &row.exec {
                lines.push(format!("{:<10} {:>20}", "  exec", exec.text()));
            }
            let runs = [
                ("uklscope", &row.uklscope),
                ("gdb", &row.gdb),
                ("drgn", &row.drgn),
            ];
            for (name, run) in runs {
                if let Some(note) = &run.note {
                    lines.push(format!("           {name}: {note}"));
                }
            }
        }
        lines.extend(self.checks.iter().flat_map(Check::lines));
        lines.push(format!("llvm-symbolizer: {}", self.judge.text()));
        if let Some(note) = &self.judge.note {
            lines.push(format!("           {note}"));
        }
        lines.push(self.host.line());
        lines
    }
}

/// The same addresses for every tool: inside functions, by a fixed sequence (xorshift64).
fn addresses(symbols: &Symbols, count: usize) -> Vec<Addr> {
    let functions: Vec<_> = symbols
        .functions()
        .filter(|function| function.addr.in_kernel_half())
        .map(|function| (function.addr, function.size))
        .collect();
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let pick = |random: u64, of: u64| random % of.max(1);
    (0..if functions.is_empty() { 0 } else { count })
        .map(|_| {
            let which = usize::try_from(pick(next(), functions.len() as u64)).unwrap_or(0);
            let (addr, size) = functions[which];
            addr + pick(next(), size)
        })
        .collect()
}
