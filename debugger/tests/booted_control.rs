//! Commands carried out on booted images: breakpoints, steps, and the boundary in every mode.

mod debuggee;

use std::time::Duration;

use debuggee::Debuggee;
use debugger::addr::Addr;
use debugger::crossing::{CrossingKind, Mode};
use debugger::disasm::{Flow, decode};
use debugger::event::{Answer, Side, StopReason};
use debugger::known::Known;
use debugger::session::BootOptions;

/// How a system call goes in, and the bytes of the instruction that makes it.
const WAYS: [(Mode, CrossingKind, &[u8]); 3] = [
    (Mode::Linux, CrossingKind::Syscall, &[0x0f, 0x05]),
    (Mode::Ukl, CrossingKind::Syscall, &[0x0f, 0x05]),
    // A call with a displacement of 4 bytes.
    (Mode::Bypass, CrossingKind::Bypass, &[0xe8]),
];

#[test]
#[ignore = "boots an image"]
fn one_backtrace_leads_from_the_kernel_to_main_and_back_to_the_call() {
    for (mode, kind, opcode) in WAYS {
        let mut debuggee = Debuggee::in_ksys_write(mode);
        let frames = debuggee.frames();
        assert_eq!(frames[0].place.symbol.as_deref(), Some("ksys_write"));
        assert_eq!(frames[0].place.origin.to_string(), "kernel:fs");
        let crossings: Vec<_> = frames
            .iter()
            .filter(|frame| frame.crossing.is_some())
            .collect();
        let [beyond] = crossings.as_slice() else {
            panic!("{mode}: one crossing in {frames:#?}");
        };
        assert_eq!(beyond.crossing, Some(kind), "{mode}");
        assert_eq!(beyond.call.as_deref(), Some("write"), "{mode}");
        for frame in &frames {
            let app = frame.place.origin.is_app_side();
            assert_eq!(app, frame.n >= beyond.n, "{mode}: {frame:?}");
        }
        let main = frames
            .iter()
            .find(|frame| frame.place.symbol.as_deref() == Some("main"))
            .expect("main is on the stack");
        assert_eq!(main.place.origin.to_string(), "app");

        let returns_to = beyond.place.addr;
        let stop = debuggee.stop("cross back");
        assert_eq!(stop.reason, StopReason::Arrived, "{mode}");
        assert_eq!(stop.place.addr, returns_to, "{mode}");
        let length = if mode == Mode::Bypass { 5 } else { 2 };
        let Answer::Memory(call) = debuggee.ask(&format!("x/{length}bx $pc-{length}")) else {
            panic!("memory was asked for");
        };
        assert!(call.bytes.starts_with(opcode), "{mode}: {:x?}", call.bytes);
        assert_eq!(debuggee.number("$rax"), 1, "{mode}: one byte is written");
    }
}

#[test]
#[ignore = "boots an image"]
fn a_shortcut_is_marked_between_tcp_and_main() {
    let mut debuggee = Debuggee::at_main("echo", Mode::Shortcut);
    debuggee.ask("b tcp_sendmsg");
    debuggee.stop("c");
    let frames = debuggee.frames();
    let beyond = frames
        .iter()
        .find(|frame| frame.crossing.is_some())
        .expect("a crossing");
    assert_eq!(beyond.crossing, Some(CrossingKind::Shortcut));
    assert_eq!(beyond.call.as_deref(), Some("tcp_sendmsg"));
    assert!(
        frames
            .iter()
            .any(|frame| frame.place.symbol.as_deref() == Some("main") && frame.n >= beyond.n),
        "{frames:#?}"
    );
    let returns_to = beyond.place.addr;
    debuggee.ask("delete");
    assert_eq!(debuggee.stop("cross back").place.addr, returns_to);
    // Of either thread; in and out bear the function's name, also where one comes back by the exit work that all
    // the stubs share, having woken the other thread.
    let mut shortcuts = Vec::new();
    while shortcuts.len() < 24 {
        if let StopReason::Crossing {
            kind: CrossingKind::Shortcut,
            call,
            into_kernel,
        } = debuggee.stop("cross").reason
        {
            shortcuts.push((call, into_kernel));
        }
    }
    for way in [true, false] {
        for name in ["tcp_sendmsg", "tcp_recvmsg"] {
            assert!(shortcuts.contains(&(name.to_owned(), way)), "{shortcuts:?}");
        }
    }
    let named = |call: &str| ["tcp_sendmsg", "tcp_recvmsg"].contains(&call);
    assert!(
        shortcuts.iter().all(|(call, _)| named(call)),
        "{shortcuts:?}"
    );
}

#[test]
#[ignore = "boots an image"]
fn cross_alternates_between_the_sides() {
    for (mode, kind, _) in WAYS {
        let mut debuggee = Debuggee::at_main("syscalls", mode);
        let mut inside = false;
        let mut calls = Vec::new();
        for _ in 0..24 {
            let stop = debuggee.stop("cross");
            let StopReason::Crossing {
                kind: found,
                call,
                into_kernel,
            } = stop.reason
            else {
                panic!("{mode}: {stop:?}");
            };
            assert_eq!(into_kernel, !inside, "{mode}: {call}");
            assert_eq!(stop.place.origin.is_app_side(), inside, "{mode}: {call}");
            inside = into_kernel;
            if found == kind {
                calls.push(call);
            }
        }
        // In and out bear the same name.
        assert!(
            calls.windows(2).any(|pair| pair == ["open", "open"]),
            "{mode}: {calls:?}"
        );
    }
}

/// Init and what it starts are programs as well, with code at the same addresses: they call the
/// kernel all the time here, and none of that is the application's.
#[test]
#[ignore = "boots an image"]
fn crossings_of_other_programs_are_passed_over() {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        append: Some("ukl.beside=/bin/churn".to_owned()),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("memcached", options).unwrap();
    let id = debuggee.send("c");
    let ran = debuggee.answer_within(id, Duration::from_secs(4));
    assert!(ran.is_none(), "it serves");
    debuggee.send("interrupt");
    debuggee.answer_to(id).unwrap();
    let mut inside = debuggee.stop("until app").place.origin.is_kernel_side();
    for _ in 0..8 {
        let stop = debuggee.stop("cross");
        let StopReason::Crossing { into_kernel, .. } = stop.reason else {
            panic!("{stop:?}");
        };
        assert_eq!(into_kernel, !inside, "{stop:?}");
        assert_eq!(stop.place.origin.is_app_side(), inside, "{stop:?}");
        inside = into_kernel;
    }
}

#[test]
#[ignore = "boots an image"]
fn until_finds_origins_and_why_tells_the_call() {
    for (mode, kind, _) in WAYS {
        let mut debuggee = Debuggee::in_ksys_write(mode);
        let Answer::Why(why) = debuggee.ask("why") else {
            panic!("why was asked");
        };
        assert_eq!(why.side, Side::Kernel);
        assert_eq!(why.kind, Known::Yes(kind));
        assert_eq!(why.call, Known::Yes("write".to_owned()));
        let names: Vec<&str> = why.arguments.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["fd", "buf", "count"], "{mode}");
        assert_eq!(why.arguments[2].value, "1", "{mode}");

        debuggee.ask("delete");
        let stop = debuggee.stop("until app");
        assert!(stop.place.origin.is_app_side(), "{mode}: {stop:?}");
        let stop = debuggee.stop("until kernel:fs");
        assert_eq!(stop.place.origin.to_string(), "kernel:fs", "{mode}");
        let stop = debuggee.stop("until app");
        assert!(stop.place.origin.is_app_side(), "{mode}: {stop:?}");
        let stop = debuggee.stop("until kernel");
        assert!(stop.place.origin.is_kernel_side(), "{mode}: {stop:?}");
    }
}

/// Through a whole write: out of the application, into the kernel, to its function and back.
#[test]
#[ignore = "boots an image"]
fn each_single_step_goes_where_the_instruction_says() {
    for (mode, ..) in WAYS {
        let mut debuggee = Debuggee::at_main("syscalls", mode);
        debuggee.ask("tb bench_write");
        debuggee.stop("c");
        // A first write also takes faults on its way.
        const MOST: u32 = 5_000;
        let (mut steps, mut entered, mut back) = (0, false, false);
        while !(entered && back) && steps < MOST {
            let pc = debuggee.pc();
            let line = debuggee.instruction();
            let found = decode(&line.bytes, pc).expect("code is decoded");
            let behind = pc + found.len as u64;
            // The very top of a stack cannot be read: nothing lies there.
            let top = match found.flow {
                Flow::Return | Flow::InterruptReturn => Addr(debuggee.number("*(long *)$rsp")),
                _ => Addr(0),
            };
            let stop = debuggee.stop("si");
            let next = stop.place.addr;
            let names_a_handler = stop
                .place
                .symbol
                .as_deref()
                .is_some_and(|name| name.starts_with("asm_exc_"));
            let allowed = match found.flow {
                Flow::Next => next == behind || found.repeats && next == pc,
                Flow::Jump => Some(next) == found.target,
                Flow::Branch => next == behind || Some(next) == found.target,
                Flow::Call => Some(next) == found.target,
                Flow::Return | Flow::InterruptReturn => next == top,
                Flow::Syscall => stop.place.symbol.as_deref() == Some("entry_SYSCALL_64"),
                Flow::Sysret => debuggee.number("$rip") == debuggee.number("$rcx"),
                Flow::IndirectCall => stop.place.offset == 0,
                _ => stop.place.symbol.is_some(),
            };
            assert!(
                allowed || names_a_handler,
                "{mode}: {} {} at {pc} went to {next}",
                line.mnemonic,
                line.operands
            );
            assert_eq!(stop.stepped.map(|count| count.0), Some(1));
            steps += 1;
            back = stop.place.origin.is_app_side();
            entered |= !back;
        }
        assert!(entered && back, "{mode}: into the kernel and out again");
        assert!(steps >= 250, "{mode}: {steps}");
    }
}

/// The timer interrupts some hundred times a second meanwhile: no step may end in its handler.
#[test]
#[ignore = "boots an image"]
fn steps_by_line_are_never_lost_in_an_interrupt() {
    for (mode, ..) in WAYS {
        // Every line of main, to where it returns.
        let mut debuggee = Debuggee::at_main("syscalls", mode);
        let caller = debuggee.frames()[1].place.symbol.clone();
        let mut lines = 0;
        let last = loop {
            let stop = debuggee.stop("n");
            assert_eq!(stop.reason, StopReason::Step, "{mode}");
            if stop.place.symbol.as_deref() != Some("main") {
                break stop;
            }
            lines += 1;
        };
        assert_eq!(last.place.symbol, caller, "{mode}: line {lines}: {last:?}");
        assert!(lines >= 20, "{mode}: {lines} lines");
        // Into a function of the application, and out again.
        let mut debuggee = Debuggee::at_main("syscalls", mode);
        debuggee.ask("tb bench_write");
        debuggee.stop("c");
        let caller = debuggee.frames()[1].place.addr;
        let stop = debuggee.stop("fin");
        assert_eq!(stop.place.addr, caller, "{mode}");
    }
}

#[test]
#[ignore = "boots an image"]
fn a_step_crosses_the_boundary_and_over_kernel_does_not() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Ukl);
    debuggee.ask("tb app:bench_write");
    debuggee.stop("c");
    let mut crossed = false;
    for _ in 0..30 {
        crossed |= debuggee.stop("s").place.origin.is_kernel_side();
    }
    assert!(crossed, "stepping into calls leads into the kernel");
    debuggee.stop("until app");
    for _ in 0..30 {
        let stop = debuggee.stop("over kernel");
        assert!(stop.place.origin.is_app_side(), "{stop:?}");
    }
}

#[test]
#[ignore = "boots an image"]
fn a_fault_and_an_interrupt_are_in_the_backtrace() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Linux);
    debuggee.ask("tb exc_page_fault");
    debuggee.stop("c");
    let frames = debuggee.frames();
    let fault = frames.iter().find(|frame| frame.crossing.is_some());
    let fault = fault.expect("the fault is marked");
    assert_eq!(fault.crossing, Some(CrossingKind::Fault));
    assert_eq!(fault.call.as_deref(), Some("asm_exc_page_fault"));
    assert!(
        frames
            .iter()
            .any(|f| f.place.symbol.as_deref() == Some("main"))
    );

    let mut debuggee = Debuggee::at_main("syscalls", Mode::Bypass);
    debuggee.ask("tb asm_sysvec_apic_timer_interrupt");
    debuggee.stop("c");
    let frames = debuggee.frames();
    let interrupt = frames.iter().find(|frame| frame.crossing.is_some());
    let interrupt = interrupt.expect("the interrupt is marked");
    assert_eq!(interrupt.crossing, Some(CrossingKind::Interrupt));
    assert!(
        frames
            .iter()
            .any(|f| f.place.symbol.as_deref() == Some("main"))
    );
}

#[test]
#[ignore = "boots an image"]
fn conditions_are_evaluated_here_and_watchpoints_name_their_variable() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Ukl);
    debuggee.ask("b ksys_write if $rdx == 1 && $rdi > 2");
    let stop = debuggee.stop("c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 1 });
    assert_eq!(debuggee.number("$rdx"), 1);
    debuggee.ask("delete 1");
    debuggee.ask("watch jiffies");
    let before = debuggee.number("jiffies");
    let stop = debuggee.stop("c");
    let at = debuggee.number("&jiffies");
    assert_eq!(
        stop.reason,
        StopReason::Watchpoint {
            number: 2,
            addr: Addr(at)
        }
    );
    assert_ne!(debuggee.number("jiffies"), before);
    let Answer::Breakpoints(list) = debuggee.ask("info b") else {
        panic!("breakpoints were asked for");
    };
    assert_eq!(
        (list[0].number, list[0].hits, list[0].kind),
        (2, 1, "watch")
    );
}

#[test]
#[ignore = "boots an image"]
fn homonyms_stand_side_by_side_until_one_is_chosen() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Ukl);
    let mut places = |line: &str| match debuggee.ask(line) {
        Answer::Breakpoints(list) => list[0].places.clone(),
        other => panic!("{other:?}"),
    };
    let all = places("b memcpy");
    let origins: Vec<bool> = all.iter().map(|at| at.place.origin.is_app_side()).collect();
    assert!(
        origins.contains(&true) && origins.contains(&false),
        "{all:?}"
    );
    let chosen = places("b libc:memcpy");
    assert_eq!(chosen.len(), 1);
    assert!(chosen[0].place.origin.is_app_side());
    let failure = debuggee.try_ask("p memcpy").unwrap_err();
    assert!(failure.found.contains("libc:memcpy"), "{failure}");
    let failure = debuggee.try_ask("b no_such_function").unwrap_err();
    assert!(failure.found.contains("no symbol"), "{failure}");
}
