//! One stack over both worlds, on a running image.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod machine;

use debugger::addr::{Addr, PhysAddr};
use debugger::crossing::{CrossingKind, Mode};
use debugger::guest::{self, Stack, Stacks};
use debugger::known::Known;
use debugger::qemu::arguments::Machine;
use debugger::session::target::{Endpoint, Trap};
use debugger::space::{self, Live, Root};
use debugger::symbols::Symbols;
use debugger::symbols::unwind::{Backtrace, End, RegisterSet, ShownFrame};
use machine::{Booted, boot};

struct Guest {
    booted: Booted,
    symbols: Symbols,
    mode: Mode,
}

/// Boots and runs to the application's main. Few calls of each kind: the next kind comes soon.
fn start(mode: Mode) -> Guest {
    start_with(mode, 20)
}

fn start_with(mode: Mode, calls: u64) -> Guest {
    let image = machine::image();
    let twin = image.twin();
    let twin = (mode == Mode::Linux).then_some(twin.as_path());
    let symbols = Symbols::open(&image.vmlinux(), twin).unwrap();
    let booted = boot(&Machine::of(&image, mode, Some(calls)));
    let mut guest = Guest {
        booted,
        symbols,
        mode,
    };
    guest.run_to("main");
    guest
}

impl Guest {
    /// To a function of the application in the half where it runs, or of the kernel.
    fn run_to(&mut self, name: &str) {
        let found = self.symbols.lookup(name);
        let app = ["main", "write"].contains(&name);
        let kernel = !app || self.mode != Mode::Linux;
        let symbol = found.iter().find(|s| s.addr.in_kernel_half() == kernel);
        let addr = symbol.unwrap_or_else(|| panic!("no {name}")).addr;
        self.booted.run_to(addr);
    }

    fn registers(&mut self) -> RegisterSet {
        let vcpu = self.booted.target.last_stop().vcpu;
        let registers = self.booted.target.registers(vcpu).unwrap();
        RegisterSet::from_names(|name| registers.get(name))
    }

    fn backtrace(&mut self) -> Backtrace {
        let registers = self.registers();
        let target = &mut self.booted.target;
        let mut memory = |addr, buffer: &mut [u8]| target.read(addr, buffer).is_ok();
        self.symbols.backtrace(&registers, &mut memory, 64)
    }

    fn shown(&mut self) -> Vec<ShownFrame> {
        let backtrace = self.backtrace();
        self.symbols.shown_frames(&backtrace)
    }
}

/// Functions, with a line for each crossing: `== syscall write`.
fn outline(frames: &[ShownFrame]) -> Vec<String> {
    let mut lines = Vec::new();
    for frame in frames {
        if let Some(crossing) = &frame.crossing {
            lines.push(format!("== {} {}", crossing.kind, crossing.call));
        }
        let name = frame.place.symbol.as_deref().unwrap_or("?");
        lines.push(format!("{} {name}", frame.place.origin.letter()));
    }
    lines
}

#[track_caller]
fn contains_in_order(lines: &[String], expected: &[&str]) {
    let mut rest = lines.iter();
    for line in expected {
        assert!(
            rest.any(|l| l == line),
            "no '{line}' in its place in\n{lines:#?}"
        );
    }
}

#[test]
#[ignore = "boots an image"]
fn a_full_call_leads_from_the_kernel_to_main() {
    let mut guest = start(Mode::Ukl);
    guest.run_to("ksys_write");
    let frames = guest.shown();
    contains_in_order(
        &outline(&frames),
        &[
            "k ksys_write",
            "k do_syscall_64",
            "e entry_SYSCALL_64",
            "== syscall write",
            "l __ukl_syscall_insn",
            "l write",
            "a main",
        ],
    );
    let last = frames.last().unwrap();
    assert_eq!(last.place.symbol.as_deref(), Some("ukl__start"));
}

#[test]
#[ignore = "boots an image"]
fn a_call_from_ring_3_leads_to_the_twins_main() {
    let mut guest = start(Mode::Linux);
    guest.run_to("ksys_write");
    let frames = guest.shown();
    contains_in_order(
        &outline(&frames),
        &[
            "k ksys_write",
            "e entry_SYSCALL_64",
            "== syscall write",
            "l write",
            "a main",
        ],
    );
    let main = frames
        .iter()
        .find(|f| f.place.symbol.as_deref() == Some("main"));
    assert!(!main.unwrap().place.addr.in_kernel_half());
}

/// Where vmlinux has `rep stosb` and nops, the kernel has patched in a call of what fits the CPU.
#[test]
#[ignore = "boots an image"]
fn a_call_that_was_patched_in_stands_before_its_return_address() {
    let mut guest = start(Mode::Ukl);
    guest.run_to("clear_user_original");
    let frames = guest.shown();
    contains_in_order(
        &outline(&frames),
        &["k clear_user_original", "k clear_user"],
    );
    for frame in frames {
        assert_eq!(frame.certainty.doubt(), None, "{frame:?}");
    }
}

#[test]
#[ignore = "boots an image"]
fn a_bypassed_call_is_one() {
    let mut guest = start(Mode::Bypass);
    guest.run_to("ksys_write");
    contains_in_order(
        &outline(&guest.shown()),
        &[
            "k ksys_write",
            "e ukl_bypass_syscall",
            "== bypass write",
            "l write",
            "a main",
        ],
    );
}

#[test]
#[ignore = "boots an image"]
fn a_shortcut_is_one() {
    let mut guest = start(Mode::Shortcut);
    guest.run_to("tcp_sendmsg");
    contains_in_order(
        &outline(&guest.shown()),
        &[
            "k tcp_sendmsg",
            "e ukl_tcp_sendmsg",
            "== shortcut tcp_sendmsg",
            "a main",
        ],
    );
}

#[test]
#[ignore = "boots an image"]
fn an_interrupt_is_one_wherever_it_comes() {
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let mut guest = start_with(mode, 100_000_000);
        guest.run_to("sysvec_apic_timer_interrupt");
        let lines = outline(&guest.shown());
        contains_in_order(
            &lines,
            &[
                "k sysvec_apic_timer_interrupt",
                "e asm_sysvec_apic_timer_interrupt",
                "== interrupt asm_sysvec_apic_timer_interrupt",
                "a main",
            ],
        );
    }
}

#[test]
#[ignore = "boots an image"]
fn a_fault_is_one() {
    let mut guest = start(Mode::Linux);
    guest.run_to("exc_page_fault");
    contains_in_order(
        &outline(&guest.shown()),
        &[
            "k exc_page_fault",
            "e asm_exc_page_fault",
            "== fault asm_exc_page_fault",
            "a main",
        ],
    );
}

/// Steps through a call and back; every instruction on the way must lead to main.
fn every_instruction_leads_to_main(mode: Mode, from: &str, crossing: CrossingKind) {
    let mut guest = start(mode);
    guest.run_to(from);
    let vcpu = guest.booted.target.last_stop().vcpu;
    let mut crossed = 0;
    for step in 0..600 {
        guest.booted.target.step(vcpu).unwrap();
        let backtrace = guest.backtrace();
        let frames = guest.symbols.shown_frames(&backtrace);
        let lines = outline(&frames);
        assert!(
            lines.iter().any(|line| line == "a main"),
            "step {step}: {lines:#?}\n{}",
            backtrace.end
        );
        assert!(matches!(backtrace.end, End::Start(_)), "{}", backtrace.end);
        let here = frames[0].place.origin;
        if here.is_kernel_side() {
            crossed += 1;
            let crossings = frames.iter().filter_map(|frame| frame.crossing.as_ref());
            let named: Vec<_> = crossings.map(|c| (c.kind, c.call.as_str())).collect();
            // On its way back nothing holds the number of a bypassed call any more.
            let call = match lines[0].as_str() {
                "e ukl_bypass_return" => "a bypassed call",
                _ => "write",
            };
            assert_eq!(named, [(crossing, call)], "step {step}: {lines:#?}");
        } else if crossed > 0 {
            break;
        }
    }
    assert!(crossed > 50, "only {crossed} instructions in the kernel");
    assert!(crossed < 590, "the call has not returned");
}

#[test]
#[ignore = "boots an image"]
fn every_instruction_of_a_call_from_ring_3_unwinds() {
    every_instruction_leads_to_main(Mode::Linux, "write", CrossingKind::Syscall);
}

#[test]
#[ignore = "boots an image"]
fn every_instruction_of_a_full_call_unwinds() {
    every_instruction_leads_to_main(Mode::Ukl, "write", CrossingKind::Syscall);
}

#[test]
#[ignore = "boots an image"]
fn every_instruction_of_a_bypassed_call_unwinds() {
    every_instruction_leads_to_main(Mode::Bypass, "write", CrossingKind::Bypass);
}

#[test]
#[ignore = "boots an image"]
fn variables_of_both_sides_have_values() {
    let mut guest = start(Mode::Ukl);
    guest.run_to("ksys_write");
    let backtrace = guest.backtrace();
    let registers = guest.registers();
    let symbols = &guest.symbols;
    let target = &mut guest.booted.target;
    let mut memory = |addr, buffer: &mut [u8]| target.read(addr, buffer).is_ok();
    let locals = symbols.locals(&backtrace, 0, 0, &mut memory);
    let names: Vec<_> = locals
        .iter()
        .filter(|l| l.argument)
        .map(|l| &l.name)
        .collect();
    assert_eq!(names, ["fd", "buf", "count"]);
    let Known::Yes(count) = locals[2].value() else {
        panic!("{:?}", locals[2]);
    };
    assert_eq!(symbols.value_text(&count, &mut memory).unwrap(), "1");
    assert_eq!(Some(symbols.value_number(&count, &mut memory).unwrap()), {
        registers.get(debugger::symbols::unwind::Reg::RDX)
    });
    // The same argument, kept on the application's stack by libc.
    let write = backtrace.frames.iter().position(|frame| {
        let symbol = symbols.at(frame.lookup());
        symbol.is_some_and(|symbol| symbol.name == "write")
    });
    let locals = symbols.locals(&backtrace, write.unwrap(), 0, &mut memory);
    let count = locals.iter().find(|local| local.name == "count").unwrap();
    let Known::Yes(count) = count.value() else {
        panic!("{count:?}");
    };
    assert_eq!(symbols.value_text(&count, &mut memory).unwrap(), "1");
    // Globals: a string in a struct, and a per-CPU pointer.
    let uts = symbols.globals("init_uts_ns", None, Some(&registers), &mut memory);
    let name = symbols.value_member(&uts[0].value, "name").unwrap();
    let name = symbols.value_member(&name, "sysname").unwrap();
    assert_eq!(symbols.value_text(&name, &mut memory).unwrap(), "\"Linux\"");
    let task = guest::current(symbols, &registers, &mut memory).unwrap();
    let current = symbols.globals("current_task", None, Some(&registers), &mut memory);
    let current = symbols
        .value_number(&current[0].value, &mut memory)
        .unwrap();
    assert_eq!(Addr(current), task.addr);
}

#[test]
#[ignore = "boots an image"]
fn the_current_task_is_the_application() {
    for (mode, is_app) in [(Mode::Ukl, true), (Mode::Linux, false)] {
        let mut guest = start(mode);
        guest.run_to("ksys_write");
        let registers = guest.registers();
        let symbols = &guest.symbols;
        let target = &mut guest.booted.target;
        let mut memory = |addr, buffer: &mut [u8]| target.read(addr, buffer).is_ok();
        let task = guest::current(symbols, &registers, &mut memory).unwrap();
        assert!(task.pid > 1, "init started it: {task:?}");
        assert_eq!(task.is_app, Known::Yes(is_app));
        assert!(task.pgd.is_some());
        let stacks = Stacks::of(symbols, &registers, Some(&task), &mut memory);
        let stack = stacks.at(registers.sp().unwrap());
        assert_eq!(stack, Stack::Task(task.label()));
        let all = guest::tasks(symbols, 1000, &mut memory).unwrap();
        assert_eq!(all[0].comm, "swapper/0");
        assert!(all.contains(&task), "{all:?}");
        let areas = guest::cpu_areas(symbols, 1, &mut memory).unwrap();
        assert_eq!(Some(areas[0].start.0), registers.gs_base);
    }
}

#[test]
#[ignore = "boots an image"]
fn the_address_space_shows_both_worlds() {
    let mut guest = start(Mode::Ukl);
    let vcpu = guest.booted.target.last_stop().vcpu;
    let control = guest.booted.target.registers(vcpu).unwrap();
    let control = |name: &str| control.get(name).unwrap();
    let root = Root::of(control("cr0"), control("cr3"), control("cr4")).unwrap();
    assert_eq!(root.levels, 4);
    let registers = guest.registers();
    let symbols = &guest.symbols;
    let target = &mut guest.booted.target;
    let main = registers.pc().unwrap();
    let mut physical = |at: PhysAddr, buffer: &mut [u8]| target.read_physical(at, buffer).is_ok();
    let walk = space::walk(root, main, &mut physical).unwrap();
    assert_eq!(walk.access.unwrap().text(), "r-x");
    let at = walk.physical.unwrap();
    let mut code = [0; 16];
    assert!(physical(at, &mut code));
    assert_eq!(symbols.initial(main, 16), Some(&code[..]));
    let whole = debugger::addr::AddrRange::new(Addr(0), Addr(u64::MAX));
    let mappings = space::mapped(root, whole, &mut physical, &mut |read| read < 10_000);
    assert!(!mappings.cut && mappings.unreadable.is_empty());
    let mut memory = |addr, buffer: &mut [u8]| target.read(addr, buffer).is_ok();
    let task = guest::current(symbols, &registers, &mut memory).unwrap();
    let live = Live {
        vmas: Vec::new(),
        damaged_vmas: 0,
        tasks: Vec::new(),
        app_sp: registers.sp(),
        cpu_areas: guest::cpu_areas(symbols, 1, &mut memory).unwrap(),
        current: Some(task.clone()),
        levels: 4,
        mappings: Some(mappings),
    };
    let regions = space::regions(symbols, &live, &mut memory);
    for pair in regions.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "{pair:?}");
    }
    let region = |addr: Addr| space::region_at(&regions, addr).unwrap();
    let text = region(main);
    assert_eq!(
        (text.band, text.permissions().as_str()),
        ("kernel image", "r-x")
    );
    assert_eq!(text.origin.to_string(), "app");
    let data = symbols.boundary().app_data.span();
    assert_eq!(region(data.start).permissions(), "r--");
    assert_eq!(region(Addr(data.end.0 - 1)).permissions(), "rw-");
    let stack = region(registers.sp().unwrap());
    assert_eq!(stack.band, "user half");
    assert_eq!(stack.what, format!("stack of {}", task.label()));
    let kernel_stack = region(task.stack.start);
    assert_eq!(
        kernel_stack.what,
        format!("kernel stack of {}", task.label())
    );
    assert_eq!(region(task.addr).band, "direct map");
    assert_eq!(space::region_at(&regions, Addr(0x8000_0000_0000)), None);
}

/// gdb on the same machine names the same functions, where it can unwind at all: bypass has no
/// entry frame, and its frame tables are all that is needed.
#[test]
#[ignore = "boots an image"]
fn gdb_sees_the_same_functions_in_a_bypassed_call() {
    let mut guest = start_with(Mode::Bypass, 300_000);
    guest.run_to("ksys_write");
    let backtrace = guest.backtrace();
    let ours: Vec<String> = guest
        .symbols
        .shown_frames(&backtrace)
        .iter()
        // gdb takes the stub for a signal's frame, and so the call's inlined part for past.
        .filter(|frame| !frame.inlined)
        .filter_map(|frame| frame.place.symbol.clone())
        .collect();
    let Some(Endpoint::Unix(socket)) = guest.booted.qemu.gdb().cloned() else {
        panic!("our own QEMU listens on a socket");
    };
    let vmlinux = machine::image().vmlinux();
    // The stub serves one client: ours leaves, and the guest stands where it stood.
    let addr = backtrace.frames[0].pc;
    drop(guest.booted.target);
    guest.booted.qemu.monitor().human("stop").unwrap();
    let attach = format!("target remote {}", socket.display());
    let output = std::process::Command::new("gdb")
        .args([
            "-nx",
            "-batch",
            "-ex",
            "set confirm off",
            "-ex",
            "set width 0",
        ])
        .args(["-ex", &attach, "-ex"])
        .arg(format!("hbreak *{:#x}", addr.0))
        .args(["-ex", "continue", "-ex", "bt"])
        .arg(vmlinux)
        .output()
        .expect("gdb starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let theirs: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| {
            let line = line.split_once(' ')?.1.trim_start();
            let line = line.split_once(" in ").map_or(line, |(_, rest)| rest);
            match line.starts_with("<signal handler") {
                true => Some("ukl_bypass_syscall".to_owned()),
                false => line.split(' ').next().map(str::to_owned),
            }
        })
        .collect();
    let to_main = |names: &[String]| {
        let end = names.iter().position(|name| name == "main");
        names[..=end.unwrap_or_else(|| panic!("no main in {names:?}\n{text}{errors}"))].to_vec()
    };
    assert_eq!(to_main(&ours), to_main(&theirs), "{text}");
}

#[test]
#[ignore = "boots an image"]
fn a_watch_on_nothing_leaves_the_backtrace_alone() {
    // A breakpoint where the unwinder reads does not disturb what it reads: TCG's are virtual.
    let mut guest = start(Mode::Ukl);
    guest.run_to("ksys_write");
    let before = outline(&guest.shown());
    let main = guest.symbols.lookup("main")[0].addr;
    guest.booted.target.insert(Trap::soft(main)).unwrap();
    assert_eq!(outline(&guest.shown()), before);
}
