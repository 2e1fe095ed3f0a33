//! A target behind QEMU's own stub: what each operation does on a machine that runs an image.

mod machine;

use std::time::Duration;

use debugger::addr::{Addr, PhysAddr};
use debugger::crossing::Mode;
use debugger::event::Vcpu;
use debugger::qemu::arguments::GdbServer;
use debugger::session::process::{Qemu, QemuError};
use debugger::session::target::{StopCause, Target, TargetError, Trap, TrapKind};

use machine::{BREAKPOINT, FIRST, INTERRUPTED, PATIENCE, boot, boot_to};

/// Where the kernel's image lies in the address space, less where it lies in memory, without KASLR.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

#[test]
#[ignore = "boots an image"]
fn a_machine_starts_stopped_and_runs_to_a_breakpoint() {
    let mut machine = machine::machine(Mode::Bypass);
    machine.smp = 2;
    let mut booted = boot(&machine);
    assert_eq!(booted.pc(), Addr(0xfff0), "the reset vector");
    assert_eq!(booted.qemu.monitor().status().unwrap().status, "prelaunch");
    assert_eq!(booted.target.vcpus().unwrap(), [Vcpu(0), Vcpu(1)]);
    let state = booted.target.vcpu_state(Vcpu(1)).unwrap();
    assert!(state.starts_with("CPU#1"), "{state}");

    // Planted before there are page tables.
    let main = booted.symbols.at("main");
    booted.target.insert(Trap::soft(main)).unwrap();
    let stop = booted.run();
    assert_eq!(stop.cause, BREAKPOINT);
    assert_eq!(booted.pc(), main);
    assert!(!booted.is_running());

    let registers = booted.target.registers(stop.vcpu).unwrap();
    assert_eq!(registers.pc(), Some(main));
    assert_eq!(registers.get("rip"), Some(main.0));
    assert_eq!(registers.get("cs").map(|cs| cs & 3), Some(0), "ring 0");
    assert_eq!(registers.iter().count(), 66);
    let other = Vcpu(1 - stop.vcpu.0);
    assert_ne!(booted.target.pc(other).unwrap(), main);
    let error = booted.target.registers(Vcpu(2)).unwrap_err();
    assert!(error.to_string().contains("the target has 2"), "{error}");
}

#[test]
#[ignore = "boots an image"]
fn steps_move_one_vcpu_by_one_instruction() {
    let mut machine = machine::machine(Mode::Bypass);
    machine.smp = 2;
    let mut booted = boot_to(&machine, "main");
    let vcpu = booted.target.last_stop().vcpu;
    let other = Vcpu(1 - vcpu.0);
    let there = booted.target.registers(other).unwrap();
    let mut at = booted.symbols.at("main");
    // The longest instruction has 15 bytes; the first of main are no calls.
    for _ in 0..3 {
        let stop = booted.target.step(vcpu).unwrap();
        assert_eq!((stop.vcpu, stop.cause), (vcpu, BREAKPOINT));
        assert_eq!(stop.from, Some(at));
        let next = booted.pc();
        assert!((1..=15).contains(&(next - at)), "{at:?} to {next:?}");
        at = next;
    }
    assert_eq!(booted.target.registers(other).unwrap(), there);
}

#[test]
#[ignore = "boots an image"]
fn watchpoints_stop_at_the_access() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let jiffies = booted.symbols.at("jiffies");
    for (kind, writes) in [(TrapKind::Write, true), (TrapKind::Access, false)] {
        let before = booted.word(jiffies);
        let watch = Trap {
            kind,
            addr: jiffies,
            len: 8,
        };
        booted.target.insert(watch).unwrap();
        let stop = booted.run();
        let expected = StopCause::Watch {
            kind,
            addr: jiffies,
        };
        assert_eq!(stop.cause, expected);
        if writes {
            // By more than one where the timer came late.
            assert!(booted.word(jiffies) > before);
        }
        booted.target.remove(watch).unwrap();
    }
}

#[test]
#[ignore = "boots an image"]
fn memory_is_read_in_batches_and_each_place_fails_alone() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let (text, banner) = (
        booted.symbols.at("_text"),
        booted.symbols.at("linux_banner"),
    );
    let hole = Addr(0xffff_f000_0000_0000);
    let read = booted
        .target
        .read_many(&[(banner, 14), (hole, 8), (text, 70_000), (banner, 0)]);
    assert_eq!(read[0].as_deref().unwrap(), b"Linux version ");
    match &read[1] {
        Err(TargetError::Unreadable { addr, .. }) => assert_eq!(*addr, hole),
        other => panic!("{other:?}"),
    }
    assert!(read[3].as_ref().unwrap().is_empty());

    // The same bytes, one small read after the other, of another cache.
    let whole = read[2].as_ref().unwrap();
    booted.target.reconnect().unwrap();
    for (i, expected) in whole.chunks(1000).enumerate() {
        let mut part = vec![0; expected.len()];
        let at = text + (i * 1000) as u64;
        booted.target.read(at, &mut part).unwrap();
        assert_eq!(part, expected, "{at:?}");
    }
}

#[test]
#[ignore = "boots an image"]
fn an_unreadable_byte_is_named() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    // Upwards from the kernel's text to the first page that is not there.
    let mut border = booted.symbols.at("_text");
    while booted.target.read(border, &mut [0]).is_ok() {
        border = border + 0x1000;
    }
    let error = booted
        .target
        .read(border.wrapping_sub(16), &mut [0; 64])
        .unwrap_err();
    match error {
        TargetError::Unreadable { addr, .. } => assert_eq!(addr, border),
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "boots an image"]
fn physical_reads_pass_the_page_tables_and_leave_no_trace() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let banner = booted.symbols.at("linux_banner");
    let physical = PhysAddr(banner.0 - KERNEL_MAP);
    let mut bytes = vec![0; 5000];
    booted.target.read_physical(physical, &mut bytes).unwrap();
    assert!(bytes.starts_with(b"Linux version "));
    // The same place by its virtual address: the mode is the usual one again.
    let mut there = vec![0; 5000];
    booted.target.read(banner, &mut there).unwrap();
    assert_eq!(bytes, there);
    let mode = booted.target.monitor("info status").unwrap();
    assert!(mode.contains("paused"), "{mode}");
}

#[test]
#[ignore = "boots an image"]
fn writes_are_read_back() {
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    let banner = booted.symbols.at("linux_banner");
    let mut before = vec![0; 6000];
    booted.target.read(banner, &mut before).unwrap();
    let other: Vec<u8> = before.iter().map(|byte| !byte).collect();
    booted.target.write(banner, &other).unwrap();
    let mut after = vec![0; 6000];
    booted.target.read(banner, &mut after).unwrap();
    assert_eq!(after, other);
    booted.target.write(banner, &before).unwrap();

    let hole = Addr(0xffff_f000_0000_0000);
    let error = booted.target.write(hole, &[1]).unwrap_err();
    assert!(matches!(error, TargetError::Unwritable { addr, .. } if addr == hole));

    booted
        .target
        .set_register(FIRST, "rax", 0x1234_5678)
        .unwrap();
    assert_eq!(booted.register("rax"), 0x1234_5678);
    let check = |result: Result<(), TargetError>, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let target = &mut booted.target;
    check(target.set_register(FIRST, "ymm9", 1), "ymm9");
    check(target.set_register(FIRST, "cs", 1 << 32), "32 bits");
    check(target.set_register(FIRST, "xmm0", 1), "128 bits");
}

#[test]
#[ignore = "boots an image"]
fn a_running_target_is_interrupted_and_runs_on_after_detaching() {
    let mut machine = machine::machine(Mode::Ukl);
    machine.stopped_at_start = false;
    let mut qemu = Qemu::start(&machine).unwrap();
    let mut serial = Vec::new();
    while !serial.windows(13).any(|window| window == b"Linux version") {
        serial.extend(qemu.serial().recv_timeout(PATIENCE).unwrap());
    }
    assert!(qemu.monitor().status().unwrap().running);

    // Attaching stops it, and the stub speaks first.
    let endpoint = qemu.gdb().unwrap().clone();
    let mut target = Target::connect(&endpoint, PATIENCE).unwrap();
    assert!(!qemu.monitor().status().unwrap().running);
    target.resume().unwrap();
    assert!(qemu.monitor().status().unwrap().running);
    target.interrupt().unwrap();
    let stop = target.wait(PATIENCE).unwrap().unwrap();
    assert_eq!(stop.cause, INTERRUPTED);
    target.interrupt().unwrap();
    assert!(matches!(
        target.wait(Duration::ZERO),
        Err(TargetError::NotRunning)
    ));

    // A trap that would stop it at once, if it were left behind.
    let pc = target.pc(stop.vcpu).unwrap();
    target.insert(Trap::soft(pc)).unwrap();
    target.insert(Trap::soft(Addr(0))).unwrap();
    target.detach().unwrap();
    assert!(qemu.monitor().status().unwrap().running);

    // Hanging up without a word does the same.
    let mut target = Target::connect(&endpoint, PATIENCE).unwrap();
    target.insert(Trap::soft(pc)).unwrap();
    drop(target);
    assert!(qemu.monitor().status().unwrap().running);

    let target = Target::connect(&endpoint, PATIENCE).unwrap();
    target.kill().unwrap();
    assert!(qemu.wait_for_end(PATIENCE));
}

#[test]
#[ignore = "boots an image"]
fn a_stub_on_tcp_answers_and_its_port_is_taken_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let mut machine = machine::machine(Mode::Bypass);
    machine.gdb = GdbServer::Tcp(format!("127.0.0.1:{port}"));
    let mut booted = boot_to(&machine, "main");
    let main = booted.symbols.at("main");
    assert_eq!(booted.target.step(FIRST).unwrap().from, Some(main));

    match Qemu::start(&machine).unwrap_err() {
        error @ QemuError::Died { .. } => {
            assert!(error.to_string().contains("the port is taken"), "{error}");
        }
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "boots an image"]
fn a_second_debugger_is_told_of_the_first() {
    let booted = boot(&machine::machine(Mode::Bypass));
    let endpoint = booted.qemu.gdb().unwrap();
    let error = Target::connect(endpoint, Duration::from_millis(300)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another debugger may be attached"),
        "{error}"
    );
}

#[test]
#[ignore = "boots an image"]
fn a_stub_that_goes_away_is_told() {
    // While it stands.
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    booted.qemu.kill();
    let error = booted.target.registers(Vcpu(0));
    assert!(error.is_ok(), "they were read before");
    let text = booted.symbols.at("_text");
    let error = booted.target.read(text, &mut [0; 8]).unwrap_err();
    assert!(error.to_string().contains("QEMU has ended"), "{error}");
    let error = booted.target.read(text, &mut [0; 8]).unwrap_err();
    assert!(matches!(error, TargetError::Ended { .. }), "{error}");

    // While it runs, and somebody waits.
    let mut booted = boot_to(&machine::machine(Mode::Bypass), "main");
    booted.target.resume().unwrap();
    let mut qemu = booted.qemu;
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        qemu.kill();
    });
    let error = booted.target.wait(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("QEMU has ended"), "{error}");
    killer.join().unwrap();
}

#[test]
#[ignore = "boots an image"]
fn the_machines_own_end_is_a_stop() {
    let image = machine::image();
    let machine = debugger::qemu::arguments::Machine::of(&image, Mode::Bypass, Some(10));
    let mut booted = boot(&machine);
    let stop = booted.run();
    assert_eq!(stop.cause, StopCause::Exited(0));
    let error = booted.target.registers(FIRST).unwrap_err();
    assert!(error.to_string().contains("it exited with 0"), "{error}");
    assert!(booted.qemu.wait_for_end(PATIENCE));
    let ended = booted.qemu.ended().unwrap();
    assert!(ended.contains("exit code 0"), "{ended}");
    let serial: Vec<u8> = booted.qemu.serial().iter().flatten().collect();
    assert!(serial.windows(13).any(|window| window == b"Linux version"));
}
