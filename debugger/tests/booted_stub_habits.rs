//! The habits of QEMU's stub that bite, one test each: that they are handled, on the real thing.

mod machine;

use std::time::Duration;

use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::known::Known;
use debugger::session::breakpoints::TrapState;
use debugger::session::target::{StepFlags, TargetError, Trap};

use machine::{BREAKPOINT, FIRST, INTERRUPTED, PATIENCE, boot, boot_to};

/// Any byte but 0x03 stops a running guest: no question reaches it, and QEMU says that it runs.
#[test]
#[ignore = "boots an image"]
fn nothing_that_is_asked_stops_a_running_guest() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    booted.target.resume().unwrap();
    for _ in 0..20 {
        assert_eq!(booted.target.wait(Duration::from_millis(5)).unwrap(), None);
        let running = |error: Option<TargetError>| {
            assert!(matches!(error, Some(TargetError::Running { .. })));
        };
        let target = &mut booted.target;
        running(target.registers(FIRST).err());
        running(target.read(Addr(0xffff_ffff_8100_0000), &mut [0]).err());
        running(target.insert(Trap::soft(Addr(0))).err());
        running(target.step(FIRST).err());
        running(target.monitor("info status").err());
        running(target.resume().err());
        running(target.vcpus().err());
        assert!(booted.is_running());
    }
    booted.target.interrupt().unwrap();
    let stop = booted.target.wait(PATIENCE).unwrap().unwrap();
    assert_eq!(stop.cause, INTERRUPTED);
    assert!(!booted.is_running());
}

/// `?` drops every breakpoint; a new connection begins with it.
#[test]
#[ignore = "boots an image"]
fn breakpoints_are_planted_again_after_connecting() {
    let mut booted = boot(&machine::machine(Mode::Bypass));
    let main = booted.symbols.at("main");
    booted.target.insert(Trap::soft(main)).unwrap();
    let traps = booted.target.traps();
    assert_eq!(traps[0].state, TrapState::Planted { mapped: false });
    booted.target.reconnect().unwrap();
    assert_eq!(booted.target.traps(), traps);
    let stop = booted.run();
    assert_eq!(stop.cause, BREAKPOINT);
    assert_eq!(booted.pc(), main);
}

/// `c` from an address with a breakpoint hits it again without a step. A function that is called over
/// and over is hit once for each call, and what it does in between is done.
#[test]
#[ignore = "boots an image"]
fn continuing_steps_off_a_breakpoint_first() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let getppid = booted.symbols.at("__x64_sys_getppid");
    booted.target.insert(Trap::soft(getppid)).unwrap();
    // It is called from one place in a loop: each call finds the same stack, and returns in between.
    let mut after = None;
    for _ in 0..5 {
        assert_eq!(booted.run().cause, BREAKPOINT);
        assert_eq!(booted.pc(), getppid);
        let sp = Addr(booted.register("rsp"));
        let back = Addr(booted.word(sp));
        assert_eq!(*after.get_or_insert(back), back);
        booted.target.insert(Trap::soft(back)).unwrap();
        assert_eq!(booted.run().cause, BREAKPOINT);
        assert_eq!(booted.pc(), back, "the call returned before it came again");
        booted.target.remove(Trap::soft(back)).unwrap();
    }
}

/// A breakpoint planted where the machine stands does not stop it there; a step ignores it too.
#[test]
#[ignore = "boots an image"]
fn a_breakpoint_under_the_program_counter_does_not_hold_it() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let main = booted.symbols.at("main");
    booted.target.insert(Trap::soft(main)).unwrap();
    let sp = booted.register("rsp");
    booted.target.step(FIRST).unwrap();
    assert_ne!(booted.pc(), main);
    // Back, as if the instruction had not been executed: it may have pushed something.
    booted.target.set_register(FIRST, "rsp", sp).unwrap();
    booted.target.set_register(FIRST, "rip", main.0).unwrap();
    // Put there by hand, it was not reported: it is hit.
    assert_eq!(booted.run().cause, BREAKPOINT);
    assert_eq!(booted.pc(), main);
    booted.target.remove(Trap::soft(main)).unwrap();
    booted.target.insert(Trap::soft(main)).unwrap();
    booted.run_to(booted.symbols.at("__x64_sys_getppid"));
}

/// 7.2 answers E22 to `m` for more than 0x7ff bytes, and offers little; nothing is assumed.
#[test]
#[ignore = "boots an image"]
fn features_are_asked_for() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let supported = booted.target.supported();
    assert!(supported.has("qXfer:features:read"));
    assert!(supported.packet_size.is_some());
    assert!(!supported.has("ReverseStep"), "this is no replay");
    let text = booted.symbols.at("_text");
    let mut bytes = vec![0; 100_000];
    booted.target.read(text, &mut bytes).unwrap();
    assert!(bytes.iter().any(|byte| *byte != 0));
}

/// While stepping, interrupts and time stand still or go on: set, read back and shown.
#[test]
#[ignore = "boots an image"]
fn the_step_flags_are_set_and_hold() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    assert_eq!(booted.target.step_flags(), &Known::Yes(StepFlags::QUIET));
    let jiffies = booted.symbols.at("jiffies");
    let before = booted.word(jiffies);
    for _ in 0..2000 {
        booted.target.step(FIRST).unwrap();
    }
    assert_eq!(booted.word(jiffies), before, "time stood still");

    let loud = StepFlags(StepFlags::ENABLE);
    booted.target.set_step_flags(loud).unwrap();
    assert_eq!(booted.target.step_flags(), &Known::Yes(loud));
    let ticked = (0..200_000).any(|_| {
        booted.target.step(FIRST).unwrap();
        booted.word(jiffies) != before
    });
    assert!(ticked, "interrupts are taken while stepping");
}

/// A step of `syscall` ends on the first instruction of the kernel's entry.
#[test]
#[ignore = "boots an image"]
fn a_step_of_syscall_lands_on_the_handler() {
    let mut booted = boot(&machine::machine(Mode::Linux));
    let entry = booted.symbols.at("entry_SYSCALL_64");
    // Only the instruction itself loads rcx with the address after it, in the user half.
    let instruction = loop {
        booted.run_to(entry);
        let after = Addr(booted.register("rcx"));
        if !after.in_kernel_half() {
            break Addr(after.0 - 2);
        }
    };
    let mut code = [0; 2];
    booted.target.read(instruction, &mut code).unwrap();
    assert_eq!(code, [0x0f, 0x05]);
    // Back to it, as it was before.
    booted
        .target
        .set_register(FIRST, "rip", instruction.0)
        .unwrap();
    let stop = booted.target.step(FIRST).unwrap();
    assert_eq!(stop.from, Some(instruction));
    assert_eq!(booted.pc(), entry);
}

/// A step of a load that faults ends on the first instruction of the fault's handler.
#[test]
#[ignore = "boots an image"]
fn a_step_of_a_faulting_load_lands_on_the_handler() {
    // mov (%rax),%rax
    const LOAD: [u8; 3] = [0x48, 0x8b, 0x00];
    let hole = 0xffff_f000_0000_0000;
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let (main, handler) = (
        booted.symbols.at("main"),
        booted.symbols.at("asm_exc_page_fault"),
    );
    booted.target.write(main, &LOAD).unwrap();
    booted.target.set_register(FIRST, "rax", hole).unwrap();
    let stop = booted.target.step(FIRST).unwrap();
    assert_eq!((stop.from, stop.cause), (Some(main), BREAKPOINT));
    assert_eq!(booted.pc(), handler);
    assert_eq!(booted.register("cr2"), hole);
}

/// The interrupt and a breakpoint's stop may pass each other on the wire: no reply is left over that
/// would answer the next question.
#[test]
#[ignore = "boots an image"]
fn an_interrupt_that_comes_too_late_leaves_nothing_behind() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let getppid = booted.symbols.at("__x64_sys_getppid");
    booted.target.insert(Trap::soft(getppid)).unwrap();
    let text = booted.symbols.at("_text");
    let mut code = [0; 16];
    booted.target.read(text, &mut code).unwrap();
    let (mut hits, mut interrupts) = (0, 0);
    for i in 0..300 {
        booted.target.resume().unwrap();
        // From too early for a hit to too late for the interrupt.
        std::thread::sleep(Duration::from_micros(i % 20 * 500));
        booted.target.interrupt().unwrap();
        let stop = booted.target.wait(PATIENCE).unwrap().unwrap();
        match stop.cause {
            BREAKPOINT => {
                hits += 1;
                assert_eq!(booted.pc(), getppid);
            }
            INTERRUPTED => interrupts += 1,
            other => panic!("{other:?}"),
        }
        // A question whose answer is known, whatever the machine was doing.
        let mut found = [0; 16];
        booted.target.read(text, &mut found).unwrap();
        assert_eq!(found, code);
    }
    assert_eq!(hits + interrupts, 300);
    assert!(hits > 0);
}

/// `hlt` with interrupts switched off does not end: the step is interrupted and says so.
#[test]
#[ignore = "boots an image"]
fn a_step_that_does_not_end_is_interrupted() {
    const HLT: u8 = 0xf4;
    const INTERRUPT_FLAG: u64 = 1 << 9;
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let main = booted.symbols.at("main");
    booted.target.write(main, &[HLT, HLT]).unwrap();
    let flags = booted.register("eflags") & !INTERRUPT_FLAG;
    booted.target.set_register(FIRST, "eflags", flags).unwrap();
    booted.target.set_timeout(Duration::from_millis(500));
    let stop = booted.target.step(FIRST).unwrap();
    assert_eq!(stop.cause, INTERRUPTED);
    assert_eq!(stop.from, Some(main));
    assert_eq!(booted.pc(), main + 1);
}
