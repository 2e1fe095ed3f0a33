//! gdb and drgn at the same tasks, by their own Python.

use std::fmt::Write as _;
use std::process::Command;

use debugger::addr::Addr;
use debugger::symbols::Symbols;
use serde::Deserialize;

use super::checks::Answers;
use super::process::{Run, timed};
use super::records::Part;
use super::{Args, Task, addresses};

/// What a script prints as its last line.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    members: Vec<(String, u64)>,
    frames: Vec<Vec<(String, u32)>>,
    pub(super) records: Vec<Option<Vec<Part>>>,
}

/// Every name inlined at an address, from gdb's blocks; a frame's line is that of the call inside it,
/// which blocks do not tell: only the innermost has one.
const GDB_ADDRESSES: &str = r"
frames = []
for line in open(ADDRESSES):
    at = int(line, 16)
    names = []
    block = gdb.block_for_pc(at)
    while block is not None and not block.is_global and not block.is_static:
        if block.function is not None:
            names.append([block.function.name, 0])
        block = block.superblock
    if names:
        names[0][1] = gdb.find_pc_line(at).line
    frames.append(names)
print(json.dumps({'frames': frames}))
";

const GDB_STRUCT: &str = r"
gdb.execute('ptype /o struct ' + STRUCT, to_string=True)
t = gdb.lookup_type('struct ' + STRUCT)
members = [[f.name, f.bitpos // 8] for f in t.fields() if f.name]
print(json.dumps({'members': members + [['', t.sizeof]]}))
";

const DRGN_HEAD: &str = r"
import drgn, json, sys
prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
module = prog.extra_module('vmlinux', create=True)
module.address_range = (START, END)
module.try_file(FILE, force=True)
";

const DRGN_ADDRESSES: &str = r"
frames = []
for line in open(ADDRESSES):
    try:
        found = prog.source_location(int(line, 16))
    except LookupError:
        found = []
    # A method in some versions, a property in others.
    name = lambda f: (f.name() if callable(f.name) else f.name) or ''
    frames.append([[name(f), f.line] for f in found])
print(json.dumps({'frames': frames}))
";

const DRGN_STRUCT: &str = r"
t = prog.type('struct ' + STRUCT)
str(t)
members = [[m.name, m.bit_offset // 8] for m in t.members if m.name]
print(json.dumps({'members': members + [['', t.size]]}))
";

pub(super) fn gdb(task: Task, args: &Args, answers: &mut Answers) -> Run {
    let python = format!(
        "STRUCT = {:?}\nimport gdb, json\ngdb.execute('set pagination off')\n",
        args.record
    );
    let script = match task {
        Task::Name => python + "gdb.execute('info address start_kernel')\n",
        Task::Index => {
            return Run::missing("gdb expands units as it needs them: it has no such step");
        }
        Task::Struct => python + GDB_STRUCT,
        Task::Line => format!("{python}gdb.execute('break {}')\n", args.place),
        Task::Pattern => format!("{python}gdb.execute('info functions {}')\n", args.pattern),
        Task::Addresses => python + GDB_ADDRESSES,
    };
    let count = args.gdb_addresses.min(args.addresses);
    let mut run = match scripted(&script, args, count, |script| {
        let mut command = Command::new("gdb");
        command
            .args(["-nx", "-q", "-batch", "-ex", "set confirm off"])
            .arg(&args.vmlinux)
            .arg("-x")
            .arg(script);
        command
    }) {
        Ok((run, said)) => {
            if task == Task::Struct {
                answers.gdb_struct = said.members;
            } else if task == Task::Addresses {
                answers.gdb_frames = said.frames;
            }
            run
        }
        Err(why) => Run::missing(why),
    };
    if task == Task::Addresses
        && count < args.addresses
        && let Some(seconds) = run.seconds
    {
        run.note = Some(format!(
            "{seconds:.1} s for {count} addresses, which is the time that is compared: for all it is more"
        ));
    }
    run
}

pub(super) fn drgn(task: Task, args: &Args, answers: &mut Answers) -> Run {
    let range = Symbols::open(&args.vmlinux, None).ok().and_then(|symbols| {
        let mut ranges = symbols
            .sections()
            .iter()
            .filter(|section| section.allocated && section.range.start.in_kernel_half());
        let first = ranges.next()?.range;
        let end = ranges.map(|section| section.range.end).max();
        Some((first.start, end.unwrap_or(first.end)))
    });
    let Some((start, end)) = range else {
        return Run::missing("the file has no addresses of the kernel half");
    };
    let mut script = format!(
        "STRUCT = {:?}\nFILE = {:?}\nSTART, END = {:#x}, {:#x}\n{DRGN_HEAD}",
        args.record,
        args.vmlinux.display().to_string(),
        start.0,
        end.0
    );
    match task {
        Task::Name => script.push_str("print(prog.symbol('start_kernel'))\n"),
        Task::Index => {
            // Whatever is not there has been looked for everywhere.
            script.push_str(
                "try:\n    prog.type('struct no_such_struct')\nexcept LookupError:\n    pass\n",
            );
        }
        Task::Struct => script.push_str(DRGN_STRUCT),
        Task::Line => return Run::missing("drgn has no way from a line to its addresses"),
        Task::Pattern => {
            return Run::missing(
                "drgn lists the symbols of an address or name, not functions by pattern",
            );
        }
        Task::Addresses => script.push_str(DRGN_ADDRESSES),
    }
    let done = scripted(&script, args, args.addresses, |script| {
        let mut command = Command::new(&args.python);
        command.arg(script);
        command
    });
    match done {
        Ok((run, said)) => {
            if task == Task::Struct {
                answers.drgn_struct = said.members;
            } else if task == Task::Addresses {
                answers.drgn_frames = said.frames;
            }
            run
        }
        Err(why) if why.contains("No module named") => Run::missing(
            "drgn is not installed: 'pip install drgn', then give its Python with --python",
        ),
        Err(why) => Run::missing(why),
    }
}

/// llvm-symbolizer: it writes a line of JSON for each address.
pub(super) fn judge(args: &Args, addrs: &[Addr], answers: &mut Answers) -> Run {
    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "Symbol", default)]
        frames: Vec<Frame>,
    }
    #[derive(Deserialize)]
    struct Frame {
        #[serde(rename = "FunctionName")]
        function: String,
        #[serde(rename = "Line")]
        line: u32,
    }
    let mut command = Command::new("llvm-symbolizer");
    command
        .arg("--output-style=JSON")
        .arg("--obj")
        .arg(&args.vmlinux);
    command.args(addrs.iter().map(|addr| format!("{:#x}", addr.0)));
    let (run, text) = match timed(&mut command) {
        Ok(done) => done,
        Err(why) => return Run::missing(format!("{why}; 'apt-get install llvm' has it")),
    };
    let frames = |line: &str| {
        let line: Line = serde_json::from_str(line).ok()?;
        let frames = line.frames.into_iter();
        // What it does not know has an empty name.
        let known = frames.filter(|frame| !frame.function.is_empty());
        Some(known.map(|frame| (frame.function, frame.line)).collect())
    };
    answers.judge_frames = text
        .lines()
        .map(|line| frames(line).unwrap_or_default())
        .collect();
    run
}

pub(super) fn scripted(
    script: &str,
    args: &Args,
    count: usize,
    command: impl Fn(&std::path::Path) -> Command,
) -> Result<(Run, Said), String> {
    let failed = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(failed)?;
    let mut head = String::new();
    if script.contains("ADDRESSES") {
        let symbols = Symbols::open(&args.vmlinux, None).map_err(|error| error.to_string())?;
        let mut list = String::new();
        for addr in addresses(&symbols, args.addresses).iter().take(count) {
            let _ = writeln!(list, "{:#x}", addr.0);
        }
        let path = folder.path().join("addresses");
        std::fs::write(&path, list).map_err(failed)?;
        head = format!("ADDRESSES = {:?}\n", path.display().to_string());
    }
    let path = folder.path().join("task.py");
    std::fs::write(&path, head + script).map_err(failed)?;
    let (run, text) = timed(&mut command(&path))?;
    let last = text.lines().rev().find(|line| line.starts_with('{'));
    let said = last.and_then(|line| serde_json::from_str(line).ok());
    Ok((run, said.unwrap_or_default()))
}
