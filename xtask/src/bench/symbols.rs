//! `cargo xtask bench symbols`: a kernel's symbols read by uklscope, gdb and drgn in one run.
//!
//! Each task is a process of its own, so that one tool's second task does not profit from its first;
//! times are wall time from the process's start to its end, memory is the most that was resident.

mod others;
mod ours;
mod process;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use debugger::addr::Addr;
use debugger::symbols::Symbols;
use serde::{Deserialize, Serialize};

use super::print::{self, Host};
use crate::progress;
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
    #[serde(flatten)]
    host: Host,
}

#[derive(Serialize)]
struct Check {
    what: &'static str,
    against: &'static str,
    compared: usize,
    differ: usize,
    /// The first that differ.
    examples: Vec<String>,
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
        let uklscope = ours::measure(task, args, &mut answers)?;
        let gdb = others::gdb(task, args, &mut answers);
        let drgn = others::drgn(task, args, &mut answers);
        step.done();
        rows.push(Row {
            task,
            gdb_ratio: gdb.seconds.map(|seconds| seconds / uklscope.time()),
            drgn_ratio: drgn.seconds.map(|seconds| seconds / uklscope.time()),
            uklscope,
            gdb,
            drgn,
        });
    }
    let report = Report {
        schema: 1,
        vmlinux_bytes: bytes,
        addresses: args.addresses,
        rows,
        checks: answers.compare(),
        host: Host::now(),
    };
    print::report(&report, args.json, Report::lines)
}

/// What the tools said, to be compared.
#[derive(Default)]
struct Answers {
    /// Offset of each member, by name, and the size under an empty name.
    our_struct: Vec<(String, u64)>,
    gdb_struct: Vec<(String, u64)>,
    drgn_struct: Vec<(String, u64)>,
    /// Of each address the functions and lines, innermost first.
    our_frames: Vec<Vec<(String, u32)>>,
    gdb_frames: Vec<Vec<(String, u32)>>,
    drgn_frames: Vec<Vec<(String, u32)>>,
}

impl Answers {
    fn compare(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for (against, theirs) in [("gdb", &self.gdb_struct), ("drgn", &self.drgn_struct)] {
            checks.push(check(
                "members and size of the struct",
                against,
                theirs,
                |theirs| {
                    let ours = self.our_struct.iter().find(|ours| ours.0 == theirs.0);
                    ours.map(|ours| (ours == theirs, format!("{ours:?} / {theirs:?}")))
                },
            ));
        }
        for (against, theirs) in [("gdb", &self.gdb_frames), ("drgn", &self.drgn_frames)] {
            let numbered: Vec<_> = theirs.iter().enumerate().collect();
            checks.push(check(
                "innermost function and line of an address",
                against,
                &numbered,
                |(i, theirs)| {
                    let (ours, theirs) = (self.our_frames.get(*i)?.first()?, theirs.first()?);
                    Some((ours == theirs, format!("{ours:?} / {theirs:?}")))
                },
            ));
            checks.push(check(
                "functions of an address, inlined ones included",
                against,
                &numbered,
                |(i, theirs)| {
                    let names = |frames: &[(String, u32)]| {
                        let names = frames.iter().map(|frame| frame.0.clone());
                        names.collect::<Vec<_>>().join(" < ")
                    };
                    let (ours, theirs) = (names(self.our_frames.get(*i)?), names(theirs));
                    (!theirs.is_empty()).then(|| (ours == theirs, format!("{ours} / {theirs}")))
                },
            ));
        }
        checks.retain(|check| check.compared > 0);
        checks
    }
}

fn check<T>(
    what: &'static str,
    against: &'static str,
    theirs: &[T],
    same: impl Fn(&T) -> Option<(bool, String)>,
) -> Check {
    let compared: Vec<_> = theirs.iter().filter_map(same).collect();
    let mut differing = compared.iter().filter(|(same, _)| !same);
    Check {
        what,
        against,
        compared: compared.len(),
        differ: differing.clone().count(),
        examples: differing
            .by_ref()
            .take(5)
            .map(|(_, text)| text.clone())
            .collect(),
    }
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
        for check in &self.checks {
            lines.push(format!(
                "{} against {}: {} compared, {} differ",
                check.what, check.against, check.compared, check.differ
            ));
            let examples = check.examples.iter();
            lines.extend(examples.map(|example| format!("           {example}")));
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
