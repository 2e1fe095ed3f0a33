//! A session's life on booted images: asked while it runs, its end, the wrong vmlinux, attaching.

mod debuggee;

use std::time::Duration;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::{Answer, Event, Frame, Run, StopReason};
use debugger::qemu::arguments::Machine;
use debugger::qemu::image::Image;
use debugger::session::process::Qemu;
use debugger::session::store::Store;
use debugger::session::target::Endpoint;
use debugger::session::{AttachOptions, BootOptions, Session, StopAt};
use debugger::symbols::Symbols;

fn image(name: &str) -> Image {
    Store::open()
        .and_then(|store| store.image(name))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A machine of somebody else's, let go at once.
fn machine(name: &str) -> (Qemu, Endpoint) {
    let mut machine = Machine::of(&image(name), Mode::Ukl, Some(1_000_000));
    machine.stopped_at_start = false;
    let qemu = Qemu::start(&machine).expect("QEMU starts");
    let endpoint = qemu.gdb().cloned().expect("it has a stub");
    (qemu, endpoint)
}

fn busy(calls: u64) -> BootOptions {
    BootOptions {
        mode: Some(Mode::Bypass),
        calls: Some(calls),
        ..BootOptions::default()
    }
}

#[test]
#[ignore = "boots an image"]
fn a_running_target_can_be_stopped_and_given_breakpoints() {
    let mut debuggee = Debuggee::boot("syscalls", busy(100_000_000)).unwrap();
    let run = debuggee.send("c");
    let registers = debuggee.send("info registers");
    let failure = debuggee.answer_to(registers).unwrap_err();
    assert!(failure.next.contains("interrupt"), "{failure}");
    // Without the target: at once, while it runs.
    let help = debuggee.send("help cross");
    assert!(matches!(debuggee.answer_to(help), Ok(Answer::Text(_))));
    let interrupt = debuggee.send("interrupt");
    debuggee.answer_to(interrupt).unwrap();
    let Ok(Answer::Stopped(stop)) = debuggee.answer_to(run) else {
        panic!("it stops");
    };
    assert_eq!(stop.reason, StopReason::Interrupted);
    // What was stopped was that command, and no later one.
    let Ok(Answer::Found(found)) = debuggee.try_ask("find linux_banner, +64, \"Linux\"") else {
        panic!("it looks");
    };
    assert_eq!(found.places.len(), 1, "{found:?}");
    let failure = debuggee.try_ask("find 0, +4294967296, 00").unwrap_err();
    assert!(failure.next.contains("shorter"), "{failure}");

    let run = debuggee.send("c");
    let planted = debuggee.send("b asm_sysvec_apic_timer_interrupt");
    assert!(matches!(
        debuggee.answer_to(planted),
        Ok(Answer::Breakpoints(_))
    ));
    let Ok(Answer::Stopped(stop)) = debuggee.answer_to(run) else {
        panic!("it stops");
    };
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 1 });
}

#[test]
#[ignore = "boots an image"]
fn a_step_that_never_ends_can_be_stopped() {
    let mut debuggee = Debuggee::boot("syscalls", busy(100_000_000)).unwrap();
    let run = debuggee.send("si 100000000");
    let interrupt = debuggee.send("interrupt");
    debuggee.answer_to(interrupt).unwrap();
    let Ok(Answer::Stopped(stop)) = debuggee.answer_to(run) else {
        panic!("it stops");
    };
    assert_eq!(stop.reason, StopReason::Interrupted);
}

#[test]
#[ignore = "boots an image"]
fn a_guest_that_switches_itself_off_ends_the_session_in_words() {
    let mut debuggee = Debuggee::boot("hello", BootOptions::default()).unwrap();
    let Ok(Answer::Done(said)) = debuggee.try_ask("c") else {
        panic!("it runs to its end");
    };
    assert_eq!(said, "the guest has switched itself off");
    let failure = debuggee.try_ask("bt").unwrap_err();
    assert!(failure.found.contains("gone"), "{failure}");
}

#[test]
#[ignore = "boots an image"]
fn a_machine_can_be_joined_and_runs_on_without_us() {
    let (mut qemu, endpoint) = machine("syscalls");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("mode ukl") {
        seen.extend(qemu.serial().recv_timeout(Duration::from_secs(60)).unwrap());
    }
    let options = AttachOptions {
        vmlinux: Some(image("syscalls").vmlinux()),
        ..AttachOptions::default()
    };
    let mut debuggee =
        Debuggee::opened(Session::attach(endpoint.clone(), options.clone())).unwrap();
    debuggee.ask("b ksys_read");
    debuggee.stop("c");
    let names = debuggee.frames();
    assert!(
        names
            .iter()
            .any(|frame| frame.place.symbol.as_deref() == Some("main"))
    );
    drop(debuggee);
    assert_eq!(qemu.ended(), None);
    // Our breakpoint is gone with us: it runs on, and can be joined again.
    let mut debuggee = Debuggee::opened(Session::attach(endpoint, options)).unwrap();
    assert!(matches!(debuggee.ask("info b"), Answer::Breakpoints(list) if list.is_empty()));

    // And when the machine goes away, so does the session, with a reason.
    let run = debuggee.send("c");
    qemu.kill();
    let answer = debuggee.answer_to(run);
    assert!(matches!(answer, Ok(Answer::Done(_))), "{answer:?}");
    let ended = loop {
        if let Event::Run(Run::Ended(why)) = debuggee.event() {
            break why;
        }
    };
    assert!(!ended.is_empty());
}

#[test]
#[ignore = "boots an image"]
fn the_wrong_vmlinux_is_refused_with_both_ids_unless_forced() {
    let (qemu, endpoint) = machine("syscalls");
    while qemu.serial().recv_timeout(Duration::from_secs(60)).is_err() {}
    let note = |image: &Image| {
        let symbols = Symbols::open(&image.vmlinux(), None).unwrap();
        symbols.build_id_location().unwrap().start
    };
    let guest = image("syscalls");
    let mut options = AttachOptions::default();
    for name in ["echo", "hello"] {
        let wrong = image(name);
        options.vmlinux = Some(wrong.vmlinux());
        let Err(why) = Debuggee::opened(Session::attach(endpoint.clone(), options.clone())) else {
            panic!("{name} is refused");
        };
        assert!(why.contains(&wrong.manifest.build_id), "{why}");
        // Only where the notes lie at the same address can the guest's id be told.
        match note(&wrong) == note(&guest) {
            true => assert!(why.contains(&guest.manifest.build_id), "{why}"),
            false => assert!(why.contains("no build-id note there"), "{why}"),
        }
    }
    let forced = AttachOptions {
        force: true,
        ..options
    };
    assert!(Debuggee::opened(Session::attach(endpoint, forced)).is_ok());
}

#[test]
#[ignore = "boots an image"]
fn what_cannot_be_opened_says_so() {
    let mut broken = image("hello");
    broken.manifest.files.vmlinux = "no-such-file".into();
    let Err(why) = Debuggee::opened(Session::boot(broken, BootOptions::default())) else {
        panic!("there is no vmlinux");
    };
    assert!(why.contains("no-such-file"), "{why}");
    let nobody = "127.0.0.1:1".parse().expect("an address");
    assert!(Debuggee::opened(Session::attach(nobody, AttachOptions::default())).is_err());
    let kernel = BootOptions {
        stop_at: StopAt::Kernel,
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("hello", kernel).unwrap();
    assert_eq!(
        debuggee.frames()[0].place.symbol.as_deref(),
        Some("start_kernel")
    );
}

/// Dropping a session that waits for its target ends at once, and its QEMU with it.
#[test]
#[ignore = "boots an image"]
fn leaving_ends_qemu() {
    let mut debuggee = Debuggee::boot("syscalls", busy(100_000_000)).unwrap();
    let run = debuggee.send("c");
    let Answer::Text(_) = debuggee.ask("help") else {
        panic!("help is text");
    };
    let events = debuggee.handle.events.clone();
    drop(debuggee);
    // The thread is over: nobody answers any more.
    let rest: Vec<Event> = events.try_iter().collect();
    assert!(
        !rest
            .iter()
            .any(|event| matches!(event, Event::Answer(id, Ok(Answer::Stopped(_))) if *id == run)),
        "{rest:?}"
    );
    assert!(events.recv().is_err());
}

#[test]
#[ignore = "boots an image"]
fn without_a_vmlinux_the_kernel_s_own_names_are_used() {
    let (qemu, endpoint) = machine("syscalls");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("mode ukl") {
        seen.extend(qemu.serial().recv_timeout(Duration::from_secs(60)).unwrap());
    }
    let mut debuggee =
        Debuggee::opened(Session::attach(endpoint, AttachOptions::default())).unwrap();
    let file = Symbols::open(&image("syscalls").vmlinux(), None).unwrap();
    debuggee.ask("b ksys_write");
    let stop = debuggee.stop("c");
    assert_eq!(stop.place.addr, file.lookup("ksys_write")[0].addr);
    assert_eq!(stop.place.symbol.as_deref(), Some("ksys_write"));
    let line = debuggee.instruction();
    assert_eq!(line.place.addr, debuggee.pc());
    // The unwind table lies in the kernel's memory too, which tells how the entry code was reached.
    let names: Vec<_> = debuggee
        .frames()
        .into_iter()
        .filter_map(|frame| frame.place.symbol)
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("do_syscall_64")),
        "{names:?}"
    );
    let failure = debuggee.try_ask("ptype struct task_struct").unwrap_err();
    assert!(!failure.found.is_empty(), "{failure}");
}

/// Eight vCPUs on however few the host has: slow, and no reason to give up.
#[test]
#[ignore = "boots an image"]
fn eight_vcpus_are_joined_and_one_of_them_is_stepped_alone() {
    let mut machine = Machine::of(&image("syscalls"), Mode::Bypass, Some(100_000_000));
    machine.smp = 8;
    machine.stopped_at_start = false;
    let qemu = Qemu::start(&machine).expect("QEMU starts");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("mode bypass") {
        seen.extend(qemu.serial().recv_timeout(Duration::from_secs(60)).unwrap());
    }
    let options = AttachOptions {
        vmlinux: Some(image("syscalls").vmlinux()),
        ..AttachOptions::default()
    };
    let endpoint = qemu.gdb().cloned().expect("it has a stub");
    let mut debuggee = Debuggee::opened(Session::attach(endpoint, options)).unwrap();
    debuggee.ask("b __x64_sys_getppid");
    let stop = debuggee.stop("c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 1 });
    let frames = debuggee.frames();
    let is_main = |frame: &Frame| frame.place.symbol.as_deref() == Some("main");
    assert!(frames.iter().any(is_main), "{frames:?}");

    let threads = |debuggee: &mut Debuggee| match debuggee.ask("info threads") {
        Answer::Threads(threads) => threads,
        other => panic!("{other:?}"),
    };
    let before = threads(&mut debuggee);
    assert_eq!(before.len(), 8);
    let pc = debuggee.pc();
    debuggee.stop("si 3");
    assert_ne!(debuggee.pc(), pc);
    for (before, after) in before.iter().zip(&threads(&mut debuggee)) {
        let moved = before.place.addr != after.place.addr;
        assert_eq!(moved, before.current, "{before:?}, {after:?}");
    }
}
