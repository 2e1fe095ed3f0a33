//! A write seen from inside the kernel, by hand: addresses are made up, names and shapes are real.

use std::collections::BTreeMap;
use std::sync::Arc;

use debugger::addr::{Addr, AddrRange};
use debugger::command::{Command, Info};
use debugger::crossing::{CrossingKind, Mode};
use debugger::event::{
    Answer, BreakpointInfo, DisassemblyLine, Event, Failure, Found, Frame, MemoryDump, Place,
    Register, Run, SourceWindow, Stop, StopReason, TargetInfo, TraceNews, Vcpu,
};
use debugger::origin::Origin;
use debugger::trace::call_sites::{CallSite, Enters, How};
use debugger::trace::report::{
    Class, Comparison, Count, Node, Pair, Phases, Report, Row, SCHEMA, TaskName, Use, Verdict,
};
use debugger::trace::requests::{Part, Parts, Request, Requests, Typical};

const PC: u64 = 0xffff_ffff_8112_a4e0;
const FILE: &str = "fs/read_write.c";

pub(crate) fn place(addr: u64, symbol: &str, file: &str, line: u32, origin: Origin) -> Place {
    Place {
        addr: Addr(addr),
        symbol: Some(symbol.to_owned()),
        offset: 0,
        origin,
        file: Some(file.to_owned()),
        line: Some(line),
    }
}

fn fs() -> Origin {
    Origin::kernel_source("fs/read_write.c")
}

pub(crate) fn stop() -> Event {
    Event::Run(Run::Stopped(Stop::new(
        StopReason::Breakpoint { number: 2 },
        Vcpu(0),
        place(PC, "ksys_write", FILE, 636, fs()),
    )))
}

pub(crate) fn events() -> Vec<Event> {
    let target = TargetInfo {
        name: "syscalls".to_owned(),
        mode: Some(Mode::Ukl),
        accelerator: "tcg".to_owned(),
        vcpus: 1,
        lacks: vec!["no DWARF in the libc's assembly: no source lines there".to_owned()],
        found: Vec::new(),
    };
    let comparison = comparison();
    let news = TraceNews {
        report: Arc::new(comparison.runs[1].clone()),
        events: 4_000_000,
        events_per_s: 31.4e6,
        running: true,
        recording: true,
    };
    vec![
        Event::Target(target),
        Event::Serial(b"Linux version 6.1.192\r\nukl: mode ukl\r\ngetppid 191\r\n".to_vec()),
        Event::Trace(news),
        Event::Compared(Arc::new(comparison)),
        stop(),
    ]
}

pub(crate) fn answer(command: &Command) -> Result<Answer, Failure> {
    Ok(match command {
        Command::Backtrace { .. } => Answer::Backtrace(frames()),
        Command::Info(Info::Registers) => Answer::Registers(registers()),
        Command::Info(Info::Threads) => Answer::Threads(super::tasks::cpus()),
        Command::Parts { of } => Answer::Parts(super::values::answer(of)),
        Command::Tasks { .. } => Answer::Tasks(super::tasks::all()),
        Command::TaskBacktrace { .. } => Answer::Backtrace(super::tasks::stack()),
        Command::Info(Info::Breakpoints) => Answer::Breakpoints(breakpoints()),
        Command::List { .. } => Answer::Source(source()),
        Command::Disassemble { .. } => Answer::Disassembly(disassembly()),
        Command::Why => Answer::Why(super::why::why()),
        Command::Space { expression: None } | Command::TaskSpace { .. } => {
            Answer::Space(super::space::regions())
        }
        Command::Examine { format, .. } if format.letter == 'a' => Answer::Memory(words()),
        Command::Examine { .. } => Answer::Memory(memory()),
        Command::Find { pattern, start, .. } => Answer::Found(Found {
            start: start
                .strip_prefix("0x")
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .map_or(Addr(0), Addr),
            pattern: pattern.clone(),
            places: vec![place(STACK + 0x48, "stack", "", 0, Origin::Unknown)],
        }),
        Command::Space { .. } => Answer::Address(super::space::address()),
        Command::Complete(line) if line.contains("file->") => {
            let names = ["f_count", "f_flags", "f_mode", "f_op"];
            let (head, begun) = line.rsplit_once("->").unwrap_or_default();
            let fitting = names.iter().filter(|name| name.starts_with(begun));
            Answer::Text(fitting.map(|name| format!("{head}->{name}")).collect())
        }
        Command::Break { .. } => Answer::Done("breakpoint 3 at ksys_read".to_owned()),
        other => {
            let tried = format!("carrying out {other:?}");
            return Err(Failure::new(
                tried,
                "nothing is behind this stage",
                "open an image",
            ));
        }
    })
}

fn frames() -> Vec<Frame> {
    let frame =
        |n, addr, symbol: &str, file: &str, line, origin, crossing: Option<CrossingKind>| Frame {
            n,
            place: place(addr, symbol, file, line, origin),
            inlined: n == 1,
            crossing,
            call: crossing.map(|_| "write(1, …, 1)".to_owned()),
            found_by: "cfi",
            sp: Some(Addr(0xffff_c900_0001_3ee8 + u64::from(n) * 64)),
            certainty: "certain",
            ..Frame::default()
        };
    let app = 0xffff_ffff_8160_1060;
    let entry = Origin::kernel_source("arch/x86/entry/common.c");
    vec![
        frame(0, PC, "ksys_write", FILE, 636, fs(), None),
        frame(1, PC + 0x90, "__do_sys_write", FILE, 652, fs(), None),
        frame(2, PC + 0x90, "__x64_sys_write", FILE, 649, fs(), None),
        frame(
            3,
            PC + 0x9000,
            "do_syscall_64",
            "arch/x86/entry/common.c",
            80,
            entry,
            None,
        ),
        frame(
            4,
            PC + 0xa000,
            "ukl_entry_SYSCALL_64",
            "arch/x86/entry/entry_64.S",
            120,
            Origin::Entry,
            None,
        ),
        frame(
            5,
            app + 0x300,
            "write",
            "src/unistd/write.c",
            8,
            Origin::Libc,
            Some(CrossingKind::Syscall),
        ),
        frame(
            6,
            app + 0x100,
            "bench_write",
            "syscalls.c",
            88,
            Origin::App,
            None,
        ),
        frame(7, app, "main", "syscalls.c", 131, Origin::App, None),
    ]
}

fn registers() -> Vec<Register> {
    let register = |name: &str, value: u64, changed, note: Option<&str>| Register {
        name: name.to_owned(),
        bits: 64,
        value: format!("{value:#018x}"),
        changed,
        note: note.map(str::to_owned),
    };
    vec![
        register("rax", 1, false, None),
        register("rdi", 1, true, None),
        register("rsi", 0x7fff_fffd_fea7, false, Some("app stack")),
        register("rdx", 1, false, None),
        register("rip", PC, true, Some("ksys_write")),
        register("rsp", 0xffff_c900_0001_3ee8, true, Some("task stack")),
        register("cr3", 0x2a4_4000, false, None),
        Register {
            bits: 128,
            ..register("xmm0", 0, false, None)
        },
    ]
}

fn breakpoints() -> Vec<BreakpointInfo> {
    vec![BreakpointInfo {
        number: 2,
        location: "ksys_write".to_owned(),
        places: vec![place(PC, "ksys_write", FILE, 636, fs()).into()],
        condition: Some("count > 0".to_owned()),
        hits: 1,
        state: "planted".to_owned(),
        kind: "breakpoint",
        typed: vec!["break ksys_write if count > 0".to_owned()],
        enabled: true,
        ..BreakpointInfo::default()
    }]
}

fn source() -> SourceWindow {
    let text = [
        "ssize_t ksys_write(unsigned int fd, const char __user *buf, size_t count)",
        "{",
        "\tstruct fd f = fdget_pos(fd);",
        "\tssize_t ret = -EBADF;",
        "",
        "\tif (f.file) {",
        "\t\tloff_t pos, *ppos = file_ppos(f.file);",
        "\t\tif (ppos) {",
        "\t\t\tpos = *ppos;",
        "\t\t\tppos = &pos;",
        "\t\t}",
    ];
    SourceWindow {
        file: FILE.to_owned(),
        path: format!("/src/{FILE}").into(),
        first: 635,
        line: 636,
        current: Some(636),
        lines: text.map(str::to_owned).to_vec(),
        origin: fs(),
    }
}

fn disassembly() -> Vec<DisassemblyLine> {
    let line =
        |offset: u64, mnemonic: &str, operands: &str, target: Option<Place>| DisassemblyLine {
            place: Place {
                offset,
                ..place(PC + offset, "ksys_write", FILE, 636, fs())
            },
            bytes: vec![0x90],
            mnemonic: mnemonic.to_owned(),
            operands: operands.to_owned(),
            target,
            goes: None,
            crossing: None,
            current: offset == 0,
            breakpoint: (offset == 0).then_some(2),
        };
    let fdget = place(PC + 0x4000, "__fdget_pos", "fs/file.c", 1040, fs());
    vec![
        line(0, "push", "rbp", None),
        line(1, "mov", "rbp,rsp", None),
        line(4, "push", "r13", None),
        line(6, "mov", "r13,rdx", None),
        line(10, "call", "__fdget_pos", Some(fdget)),
    ]
}

fn node(symbol: &str, origin: Origin, own: u64, children: Vec<Node>) -> Node {
    Node {
        symbol: symbol.to_owned(),
        origin,
        own,
        total: own + children.iter().map(|child| child.total).sum::<u64>(),
        calls: 1,
        file: None,
        children,
    }
}

fn write_class(mode: Mode) -> Class {
    let service = node(
        "ksys_write",
        fs(),
        60,
        vec![
            node("__fdget_pos", fs(), 25, Vec::new()),
            node("vfs_write", fs(), 170, Vec::new()),
        ],
    );
    let common = Origin::kernel_source("kernel/entry/common.c");
    let path = match mode {
        Mode::Bypass | Mode::Shortcut => {
            node("ukl_bypass_syscall", Origin::Entry, 0, vec![service])
        }
        Mode::Linux | Mode::Ukl => {
            let own = if mode == Mode::Linux { 51 } else { 46 };
            let work = node("syscall_enter_from_user_mode", common, 53, Vec::new());
            node("entry_SYSCALL_64", Origin::Entry, own, vec![work, service])
        }
    };
    let phases = Phases {
        entry: path.own,
        entry_work: path.total - path.own - 255,
        service: 255,
        ..Phases::default()
    };
    let kind = if mode == Mode::Bypass {
        CrossingKind::Bypass
    } else {
        CrossingKind::Syscall
    };
    Class {
        id: "5f3a".to_owned(),
        kind,
        call: "write".to_owned(),
        count: 398_120,
        instructions: path.total,
        exact: true,
        min: path.total,
        max: path.total,
        interrupted: false,
        counts: Vec::new(),
        phases,
        path,
    }
}

fn count((instructions, crossings): (u64, u64)) -> Count {
    Count {
        instructions,
        crossings,
    }
}

fn site() -> CallSite {
    CallSite {
        address: Addr(0xffff_ffff_8160_11cd),
        caller: "bench_write".to_owned(),
        file: Some("/demo/main.c".to_owned()),
        line: Some(68),
        how: How::Call,
        target: None,
        enters: Enters::Maybe,
    }
}

pub(crate) fn report(mode: Mode) -> Report {
    let write = write_class(mode);
    let timer = Class {
        id: "77aa".to_owned(),
        kind: CrossingKind::Interrupt,
        call: "asm_sysvec_apic_timer_interrupt".to_owned(),
        count: 250,
        instructions: 1720,
        exact: false,
        min: 1411,
        max: 3310,
        interrupted: false,
        counts: [(1411, 60), (1720, 180), (3310, 10)].map(count).into(),
        ..write.clone()
    };
    let mut cut = write.clone();
    (cut.id, cut.count, cut.interrupted) = ("5f3b".to_owned(), 41, true);
    let made = Use {
        class: write.id.clone(),
        site: Some(0),
        task: 2,
        count: write.count,
        instructions: write.count * write.instructions,
    };
    Report {
        schema: SCHEMA,
        mode: mode.into(),
        lost: 0,
        insns: 142_900_000,
        events: 4_000_000,
        engine: "plugin".to_owned(),
        classes: vec![write, timer, cut],
        sites: vec![site()],
        uses: vec![made],
        tasks: vec![TaskName {
            task: 2,
            address: Addr(0xffff_8880_0104_9a58),
            comm: Some("syscalls".to_owned()),
            pid: Some(26),
            unknown: None,
        }],
        functions_left_out: None,
        requests: None,
        times: None,
        clocks: None,
        notes: Vec::new(),
    }
}

/// A traced server: two kinds of requests, the second of which is not exact.
pub(crate) fn server() -> Event {
    let origins = BTreeMap::from([
        (Origin::App, 100 * 5_000),
        (Origin::Libc, 100 * 600),
        (Origin::Entry, 100 * 250),
        (fs(), 100 * 1_150),
        (Origin::kernel_source("net/socket.c"), 100 * 9_000),
    ]);
    let request = |kind: &str, (min, max): (u64, u64)| {
        let sum = 100 * 16_000;
        let mut parts = Parts::default();
        parts.entry.sum = 100 * 320;
        Request {
            kind: kind.to_owned(),
            count: 100,
            total: Part { sum, min, max },
            parts,
            origins: origins.clone(),
            calls: Vec::new(),
            interrupts: 0,
            others: 0,
            typical: Typical::default(),
        }
    };
    let requests = Requests {
        turn: vec!["epoll_pwait".to_owned()],
        kinds: vec![
            request("GET", (16_000, 16_000)),
            request("SET", (15_000, 18_000)),
        ],
        unbalanced: 3,
        ..Requests::default()
    };
    Event::Trace(TraceNews {
        report: Arc::new(Report {
            requests: Some(requests),
            ..report(Mode::Ukl)
        }),
        events: 4_000_000,
        events_per_s: 1e6,
        running: true,
        recording: true,
    })
}

fn comparison() -> Comparison {
    let row = |verdict, symbol: &str, origin, depths: (Option<u32>, Option<u32>), a, b| Row {
        verdict,
        symbol: symbol.to_owned(),
        origin,
        depth_a: depths.0,
        depth_b: depths.1,
        a,
        b,
        because: None,
        untold: None,
    };
    let common = Origin::kernel_source("kernel/entry/common.c");
    let rows = vec![
        row(
            Verdict::Removed,
            "entry_SYSCALL_64",
            Origin::Entry,
            (Some(0), None),
            46,
            0,
        ),
        row(
            Verdict::Removed,
            "syscall_enter_from_user_mode",
            common,
            (Some(1), None),
            53,
            0,
        ),
        row(
            Verdict::Added,
            "ukl_bypass_syscall",
            Origin::Entry,
            (None, Some(0)),
            0,
            0,
        ),
        row(
            Verdict::Same,
            "ksys_write",
            fs(),
            (Some(1), Some(1)),
            60,
            60,
        ),
        row(
            Verdict::Moved,
            "__fdget_pos",
            fs(),
            (Some(2), Some(2)),
            25,
            25,
        ),
        row(
            Verdict::Same,
            "vfs_write",
            fs(),
            (Some(2), Some(2)),
            170,
            170,
        ),
    ];
    Comparison {
        requests: Vec::new(),
        schema: SCHEMA,
        image: "syscalls".to_owned(),
        runs: [Mode::Linux, Mode::Ukl, Mode::Bypass].map(report).to_vec(),
        pairs: vec![Pair {
            call: "write".to_owned(),
            mode_a: Mode::Ukl.into(),
            mode_b: Mode::Bypass.into(),
            kind_a: CrossingKind::Syscall,
            kind_b: CrossingKind::Bypass,
            class_a: String::new(),
            class_b: String::new(),
            a: 354,
            b: 255,
            removed: 99,
            added: 0,
            balanced: true,
            rows,
        }],
    }
}

/// Where the memory of the tests lies.
pub(crate) const STACK: u64 = 0xffff_c900_0001_3ee8;

fn memory() -> MemoryDump {
    let mut bytes: Vec<u8> = PC.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"hello, kernel\0");
    bytes.resize(1024, 0);
    MemoryDump {
        addr: Addr(STACK),
        unit: 1,
        format: 'x',
        bytes,
        lines: Vec::new(),
        changed: vec![AddrRange::new(Addr(STACK), Addr(STACK + 2))],
    }
}

fn words() -> MemoryDump {
    MemoryDump {
        lines: vec!["0xffffc90000013ee8:\t0xffffffff8112a4e0 <ksys_write>\t0x6b".to_owned()],
        ..memory()
    }
}
