//! What lies where in a booted image, what an address is, and the same while the guest runs.

mod debuggee;
mod machine;

use std::time::{Duration, Instant};

use debuggee::Debuggee;
use debugger::addr::{Addr, PhysAddr};
use debugger::crossing::Mode;
use debugger::event::{
    AddressInfo, Answer, Event, Identity, RegionInfo, Run, StopReason, TaskInfo, Watched,
};
use debugger::guest;
use debugger::known::Known;
use debugger::qemu::arguments::Machine;
use debugger::session::process::Qemu;
use debugger::session::{AttachOptions, BootOptions, Session, store};
use debugger::space::{self, Around, Live};
use debugger::symbols::Symbols;

fn regions(debuggee: &mut Debuggee, line: &str) -> Vec<RegionInfo> {
    match debuggee.ask(line) {
        Answer::Space(regions) => regions,
        other => panic!("{line}: {other:?}"),
    }
}

fn address(debuggee: &mut Debuggee, expression: &str) -> AddressInfo {
    match debuggee.ask(&format!("space {expression}")) {
        Answer::Address(info) => info,
        other => panic!("{expression}: {other:?}"),
    }
}

fn tasks(debuggee: &mut Debuggee) -> Vec<TaskInfo> {
    match debuggee.ask("tasks") {
        Answer::Tasks(tasks) => tasks,
        other => panic!("{other:?}"),
    }
}

/// Of this kind, with these words in it.
fn has(info: &AddressInfo, kind: &str, words: &[&str]) -> bool {
    let fits =
        |one: &&Identity| one.kind == kind && words.iter().all(|word| one.what.contains(word));
    info.is.iter().any(|one| fits(&one))
}

#[test]
#[ignore = "boots an image"]
fn every_address_is_what_the_kernel_made_it() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Ukl);
    mappings_have_what_is_there(&mut debuggee);
    debuggee.ask("b ksys_write");
    debuggee.stop("c");
    let pid = debuggee.number("$_task->pid");
    let owner = tasks(&mut debuggee)
        .into_iter()
        .find(|task| task.pid == pid);
    let owner = owner.expect("it is on the list");
    let label = format!("{}/{}", owner.comm, owner.pid);
    let label = label.as_str();
    for (expression, kind, words) in [
        ("&init_task", "symbol", &["init_task"][..]),
        ("vfs_write+5", "symbol", &["vfs_write+0x5"]),
        (
            "$_task",
            "slab object",
            &["task_struct object", "byte 0 of", "in use"],
        ),
        ("$_task", "task", &["task_struct of", label]),
        ("$_task->mm", "slab object", &["mm_struct object", "in use"]),
        (
            "((struct mm_struct *)$_task->mm)->pgd",
            "page table",
            &["outermost", label],
        ),
        ("$rsp", "task stack", &[label]),
        ("$rsp", "vmalloc area", &["asked for by"]),
        ("$gs_base", "per-CPU variable", &["of CPU 0"]),
        (
            "&current_task",
            "per-CPU variable",
            &["current_task of CPU 0"],
        ),
        (
            "$percpu(hardirq_stack_ptr, 0) - 64",
            "IRQ stack",
            &["CPU 0", "0x48"],
        ),
        (
            "(char *)$percpu(cea_exception_stacks, 0) + 0x2000",
            "exception stack",
            &["CPU 0"],
        ),
        ("0xfffffe00000000e0", "IDT", &["interrupt 14"]),
        ("0xffffea0000000000 + 64 * 5", "struct page", &["0x5000"]),
        ("0xffff888000000000", "page", &["physical 0x0"]),
    ] {
        let info = address(&mut debuggee, expression);
        assert!(has(&info, kind, words), "{expression}: {:#?}", info.is);
    }
    // The kernel may have made its cache one with another of the same size.
    let file = "((struct files_struct *)$_task->files)->fdt->fd[0]";
    let info = address(&mut debuggee, file);
    let named = has(&info, "slab object", &["filp object", "in use"]);
    let merged = has(
        &info,
        "slab object",
        &["object", "in use", "share the name"],
    );
    assert!(named || merged, "{:#?}", info.is);
    let stack = format!(
        "{:#x}",
        debuggee.number("((struct mm_struct *)$_task->mm)->start_stack")
    );
    let info = address(&mut debuggee, &stack);
    assert!(
        has(&info, "mapping", &["stack of", label, "rw-p"]),
        "{:#?}",
        info.is
    );
    assert!(has(&info, "page", &["anonymous"]), "{:#?}", info.is);
    the_processors_own_tables_are_decoded(&mut debuggee);
}

fn mappings_have_what_is_there(debuggee: &mut Debuggee) {
    let mappings = regions(debuggee, "info vmas");
    let all = regions(debuggee, "space");
    for vma in &mappings {
        assert!(vma.vma.is_some() && vma.permissions.len() == 4, "{vma:?}");
        assert!(all.contains(vma), "{vma:?}");
        let there = vma.resident.expect("it is there");
        assert!(
            there.bytes <= vma.size && there.dirty <= there.bytes,
            "{vma:?}"
        );
    }
    let stack = mappings.iter().find(|vma| vma.what.starts_with("stack of"));
    let there = stack.and_then(|stack| stack.resident).expect("it is there");
    assert!(there.bytes > 0 && there.dirty > 0, "{mappings:#?}");
    let direct: u64 = all
        .iter()
        .filter(|region| region.band == "direct map")
        .map(|region| region.resident.expect("it is there").pages_2m)
        .sum();
    assert!(direct > 0, "the direct map has large pages");
    let failure = debuggee
        .try_ask("space task kthreadd")
        .expect_err("it is declined");
    assert!(
        failure.to_string().contains("thread of the kernel"),
        "{failure}"
    );
    let init = regions(debuggee, "space task 1");
    assert!(init.iter().any(|region| region.vma.is_some()));
}

fn the_processors_own_tables_are_decoded(debuggee: &mut Debuggee) {
    let Answer::Idt(gates) = debuggee.ask("info idt") else {
        panic!("no gates");
    };
    let of = |vector| {
        gates
            .iter()
            .find(|gate| gate.vector == vector)
            .expect("it is there")
    };
    assert_eq!(of(14).handler.symbol.as_deref(), Some("asm_exc_page_fault"));
    assert_eq!(
        (of(14).exception, of(14).dpl, of(14).selector),
        ("page fault", 0, 0x10)
    );
    assert_eq!((of(3).dpl, of(8).ist > 0), (3, true));
    let Answer::Gdt(segments) = debuggee.ask("info gdt") else {
        panic!("no segments");
    };
    let code = segments
        .iter()
        .find(|one| one.selector == 0x10)
        .expect("it is there");
    assert_eq!(
        (code.kind.as_str(), code.name),
        ("64-bit code", "__KERNEL_CS")
    );
    let state = segments
        .iter()
        .find(|one| one.kind == "task state, busy")
        .expect("it is there");
    assert!(
        state
            .stacks
            .iter()
            .any(|stack| stack.contains("double fault stack")),
        "{state:?}"
    );
    let Answer::Interrupts(info) = debuggee.ask("info interrupts") else {
        panic!("no interrupts");
    };
    assert_eq!(
        (
            info.cpus.len(),
            matches!(info.cpus[0].enabled, Known::Yes(_))
        ),
        (1, true)
    );
    let timer = info
        .counters
        .iter()
        .any(|one| one.name == "softirq TIMER" && one.by_cpu[0] > 0);
    assert!(timer, "{:?}", info.counters);
    let Answer::PerCpu(values) = debuggee.ask("info percpu current_task") else {
        panic!("no values");
    };
    assert!(
        matches!(&values.values[..], [one] if one.value.yes().is_some()),
        "{values:?}"
    );
    assert!(debuggee.try_ask("info percpu jiffies_64").is_err());
}

#[test]
#[ignore = "boots an image"]
fn a_running_guest_is_read_and_not_stopped() {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        // More than are done before it is interrupted.
        calls: Some(1 << 40),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).expect("it is there");
    debuggee.ask("display jiffies");
    let still = tasks(&mut debuggee);
    let ran = debuggee.send("c");
    let pulses = pulses(&debuggee, 3);
    assert!(pulses.windows(2).all(|two| two[0] != two[1]), "{pulses:?}");
    let first = debuggee.number("jiffies");
    let running = tasks(&mut debuggee);
    let names = |tasks: &[TaskInfo]| -> Vec<u64> { tasks.iter().map(|task| task.pid).collect() };
    assert_eq!(names(&running)[..3], names(&still)[..3]);
    let mapped = regions(&mut debuggee, "space");
    assert!(
        mapped
            .iter()
            .any(|region| region.what.starts_with("stack of")),
        "{mapped:#?}"
    );
    assert!(
        mapped
            .iter()
            .any(|region| region.what.starts_with(".ukl.text"))
    );
    let info = address(&mut debuggee, "&init_task");
    assert!(has(&info, "symbol", &["init_task"]), "{:#?}", info.is);
    let Answer::Interrupts(counted) = debuggee.ask("info interrupts") else {
        panic!("no interrupts");
    };
    assert!(matches!(counted.cpus[0].enabled, Known::No(_)));
    for line in ["p $rip", "p $_cpu", "bt", "info registers"] {
        let failure = debuggee
            .try_ask(line)
            .expect_err("it is declined")
            .to_string();
        assert!(failure.contains("runs"), "{line}: {failure}");
    }
    let later = debuggee.number("jiffies");
    assert!(later > first, "{first} {later}");
    debuggee.ask("interrupt");
    let stop = debuggee.answer_to(ran).expect("it is there");
    assert!(matches!(stop, Answer::Stopped(stop) if stop.reason == StopReason::Interrupted));
    assert!(debuggee.number("jiffies") >= later);
}

/// What the watched expression was at so many pulses; nothing stops the guest meanwhile.
fn pulses(debuggee: &Debuggee, count: usize) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(60);
    let mut seen = Vec::new();
    while seen.len() < count {
        assert!(Instant::now() < until, "{seen:?}");
        match debuggee.event() {
            Event::Watched(list) => seen.extend(list.into_iter().filter_map(value)),
            Event::Run(Run::Stopped(stop)) => panic!("{stop:?}"),
            _ => {}
        }
    }
    seen
}

fn value(watched: Watched) -> Option<String> {
    watched.value.yes().cloned()
}

#[test]
#[ignore = "boots an image"]
fn anothers_machine_is_read_live_where_it_shares_its_memory() {
    let image = store::image("syscalls").expect("the image is built");
    let folder = tempfile::tempdir().expect("a folder");
    for shared in [true, false] {
        let mut machine = Machine::of(&image, Mode::Ukl, Some(1 << 40));
        machine.stopped_at_start = false;
        let file = folder.path().join("memory");
        machine.shared_memory = shared.then_some(file);
        let qemu = Qemu::start(&machine).expect("QEMU starts");
        let endpoint = qemu.gdb().cloned().expect("it has a stub");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("syscalls: mode ukl") {
            let more = qemu.serial().recv_timeout(Duration::from_secs(60));
            seen.extend(more.expect("the guest goes on"));
        }
        let options = AttachOptions {
            vmlinux: Some(image.vmlinux()),
            ..AttachOptions::default()
        };
        let mut debuggee = Debuggee::opened(Session::attach(endpoint, options))
            .unwrap_or_else(|why| panic!("{why}"));
        debuggee.send("c");
        let answer = debuggee.try_ask("tasks");
        if shared {
            assert!(
                matches!(&answer, Ok(Answer::Tasks(tasks)) if !tasks.is_empty()),
                "{answer:?}"
            );
            continue;
        }
        let failure = answer.expect_err("it is declined").to_string();
        assert!(
            failure.contains("not shared") && failure.contains("share=on"),
            "{failure}"
        );
    }
}

/// Numbers that look like chance and are the same each time (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// What is read of a running guest may be of several moments, and then make no sense: everything ends all the same.
#[test]
#[ignore = "boots an image"]
fn memory_that_makes_no_sense_ends_every_walk() {
    const ROUNDS: u64 = 100;
    let image = machine::image();
    let symbols = Symbols::open(&image.vmlinux(), None).expect("a vmlinux");
    let mut booted = machine::boot(&Machine::of(&image, Mode::Ukl, Some(20)));
    let main = symbols.lookup("main");
    let main = main.iter().find(|one| one.addr.in_kernel_half());
    booted.run_to(main.expect("a main").addr);
    let target = &mut booted.target;
    let mut whole = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
    let sound = guest::every(&symbols, 1000, &mut whole).expect("tasks");
    let sound: Vec<_> = sound.into_iter().map(|one| one.task).collect();
    let owner = sound
        .iter()
        .find(|task| task.mm.is_some())
        .expect("a process");
    let live = Live {
        cpu_areas: guest::cpu_areas(&symbols, 1, &mut whole).expect("areas"),
        ..Live::default()
    };
    let bands = space::bands(&symbols, 4, &mut whole);
    let mapped = Addr(0xffff_c900_0000_4800);
    let process = owner.mm.expect("it has one");
    let places = [owner.addr + 24, owner.stack.start + 8, process, mapped];
    for seed in 1..=ROUNDS {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let target = &mut booted.target;
        let mut torn = |at: Addr, bytes: &mut [u8]| {
            let read = target.read(at, bytes).is_ok();
            if chance.next().is_multiple_of(40) {
                let garbage = chance.next().to_le_bytes();
                let pointer = (0xffff_8880_0000_0000 | chance.next() & 0x0fff_fff8).to_le_bytes();
                let from = if chance.next().is_multiple_of(2) {
                    garbage
                } else {
                    pointer
                };
                for (byte, other) in bytes.iter_mut().zip(from.iter().cycle()) {
                    *byte = *other;
                }
            }
            read
        };
        let _ = guest::every(&symbols, 1000, &mut torn);
        let _ = guest::vmas(&symbols, owner, &mut torn);
        let _ = guest::counters(&symbols, &live.cpu_areas, &mut torn);
        for at in places {
            let around = Around {
                bands: &bands,
                live: &live,
                tasks: &sound,
                physical: Some(PhysAddr(at.0 & 0x0fff_ffff)),
            };
            let _ = space::identify(&symbols, &around, at, &mut torn);
        }
    }
}
