//! Breakpoints beyond the plain one: filters, counts, commands, log points, pending, patterns, two vCPUs.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;

use std::time::Duration;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::{Answer, BreakpointInfo, Event, Frame, StopReason, Vcpu};
use debugger::qemu::arguments::Machine;
use debugger::session::process::Qemu;
use debugger::session::{AttachOptions, BootOptions, Session, store};

/// The answer to a line, and what was said meanwhile: notices, and `N: LINE` for a breakpoint's commands.
fn hear(debuggee: &mut Debuggee, line: &str) -> (Answer, Vec<String>) {
    let id = debuggee.send(line);
    let mut heard = Vec::new();
    loop {
        match debuggee.event() {
            Event::Answer(answered, answer) if answered == id => return (answer.unwrap(), heard),
            Event::Notice(text) => heard.push(text),
            Event::Said {
                breakpoint,
                line,
                answer,
            } => {
                answer.unwrap();
                heard.push(format!("{breakpoint}: {line}"));
            }
            _ => {}
        }
    }
}

fn at_main(smp: u32) -> Debuggee {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        smp,
        ..BootOptions::default()
    };
    Debuggee::boot("syscalls", options).unwrap()
}

fn info(debuggee: &mut Debuggee, number: u32) -> BreakpointInfo {
    match debuggee.ask("info b") {
        Answer::Breakpoints(list) => list.into_iter().find(|one| one.number == number).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "boots an image"]
fn counts_commands_and_log_points_do_what_they_say() {
    let mut debuggee = at_main(1);
    // A log point writes at each hit and never stops; the ignored hits are counted.
    debuggee.ask("log ksys_write, wrote {$rdx} to {$rdi}");
    debuggee.ask("break ksys_write if $rdx > 0");
    debuggee.ask("ignore 2 3");
    debuggee.ask("commands 2 silent; p $rdx; bt 1");
    let (answer, heard) = hear(&mut debuggee, "c");
    let Answer::Stopped(stop) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 2 });
    let logged = heard
        .iter()
        .filter(|line| line.starts_with("wrote "))
        .count();
    assert_eq!(logged, 4, "{heard:?}");
    assert_eq!(heard[heard.len() - 2..], ["2: p $rdx", "2: bt 1"]);
    let two = info(&mut debuggee, 2);
    assert_eq!(
        (two.hits, two.ignore, two.state.as_str()),
        (4, 0, "planted")
    );
    assert_eq!(info(&mut debuggee, 1).kind, "log point");

    // What it says sets it up again.
    let typed = two.typed.clone();
    debuggee.ask("delete 2");
    for line in &typed {
        debuggee.ask(line);
    }
    let again = info(&mut debuggee, 3);
    assert_eq!((again.ignore, &again.typed), (3, &typed));

    // Commands may run on, but not over another breakpoint that stops: after two rounds.
    debuggee.ask("commands 3 p $rdx; c");
    debuggee.ask("tb *$pc if 0");
    debuggee.ask("disable 1");
    debuggee.ask("break ksys_write");
    debuggee.ask("ignore 5 5");
    let (answer, heard) = hear(&mut debuggee, "c");
    let Answer::Stopped(stop) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 5 });
    assert_eq!(
        heard,
        ["3: p $rdx", "3: p $rdx", "3: p $rdx"],
        "the hits 4, 5 and 6 of it"
    );
    assert_eq!(info(&mut debuggee, 1).state, "disabled");
}

#[test]
#[ignore = "boots an image"]
fn filters_patterns_and_what_waits_for_a_symbol() {
    let mut debuggee = at_main(1);
    let failure = debuggee.try_ask("b no_such_function").unwrap_err();
    assert!(failure.next.contains("pending"), "{failure}");
    debuggee.ask("b no_such_function pending if $rdi == 1");
    let waiting = info(&mut debuggee, 1);
    assert_eq!(waiting.state, "pending");
    assert!(waiting.places.is_empty());
    assert_eq!(
        waiting.typed,
        ["break no_such_function pending if $rdi == 1"]
    );
    // No such task: it is passed. The application's own task stops.
    debuggee.ask("tb ksys_write");
    debuggee.stop("c");
    let task = debuggee.number("current_task->pid");
    debuggee.ask("b ksys_write task nobody");
    debuggee.ask("b ksys_write cpu 0 task nobody");
    let failure = debuggee.try_ask("b ksys_write cpu 7").unwrap_err();
    assert!(failure.found.contains("there is one, cpu0"), "{failure}");
    debuggee.ask(&format!("b ksys_write task {task}"));
    assert_eq!(
        debuggee.stop("c").reason,
        StopReason::Breakpoint { number: 5 }
    );
    assert_eq!(info(&mut debuggee, 3).hits, 0);
    debuggee.ask("delete");
    debuggee.ask("rbreak ksys_*");
    let many = info(&mut debuggee, 6);
    assert!(many.places.len() > 5, "{many:?}");
    assert!(
        many.places
            .iter()
            .all(|at| at.place.symbol.as_deref().unwrap().starts_with("ksys_"))
    );
    let Answer::Breakpoints(all) = debuggee.ask("rbreak e") else {
        panic!("breakpoints were asked for");
    };
    assert_eq!(all[0].places.len(), 200);
    assert!(all[0].note.as_deref().unwrap().contains("first 200"));
    debuggee.ask("delete");

    // Old and new, for what lies in memory.
    debuggee.ask("watch jiffies");
    let (_, heard) = hear(&mut debuggee, "c");
    assert!(
        heard.iter().any(|line| line.contains("jiffies was ")),
        "{heard:?}"
    );
}

/// Both vCPUs meet a breakpoint whose condition does not hold, again and again, and one of them one
/// that stops: none of its stops may be lost.
#[test]
#[ignore = "boots an image"]
fn two_vcpus_pass_a_false_condition_and_lose_no_stop() {
    let mut debuggee = at_main(2);
    debuggee.ask("b asm_sysvec_apic_timer_interrupt if 0");
    debuggee.ask("b ksys_write cpu 0");
    debuggee.ask("b ksys_write cpu 1");
    for _ in 0..12 {
        let stop = debuggee.stop("c");
        let StopReason::Breakpoint { number } = stop.reason else {
            panic!("{stop:?}");
        };
        assert_eq!(stop.vcpu, Vcpu(number - 2), "{stop:?}");
    }
    assert_eq!(info(&mut debuggee, 1).hits, 0);
    assert_eq!(
        info(&mut debuggee, 2).hits + info(&mut debuggee, 3).hits,
        12
    );
}

/// A watch on a local ends with its frame; twenty stand at once.
#[test]
#[ignore = "boots an image"]
fn watchpoints_follow_their_expression_and_end_with_their_frame() {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        calls: Some(3),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).unwrap();
    debuggee.ask("tb bench_sendto_recvfrom");
    debuggee.stop("c");
    // The character that each recvfrom has the kernel write.
    debuggee.ask("watch d");
    let one = info(&mut debuggee, 2);
    assert_eq!(one.state, "planted", "{one:?}");
    let note = one.note.as_deref().unwrap();
    assert!(
        note.contains("when bench_sendto_recvfrom returns"),
        "{note}"
    );
    assert!(
        one.typed.is_empty(),
        "its frame is not there in another run"
    );
    let mut hits = 0;
    loop {
        let (answer, heard) = hear(&mut debuggee, "c");
        let Answer::Stopped(stop) = answer else {
            panic!("{answer:?}");
        };
        match stop.reason {
            StopReason::Watchpoint { number: 2, .. } => hits += 1,
            StopReason::WatchpointScope { number: 2 } => {
                let said = |line: &String| line.contains("bench_sendto_recvfrom has returned");
                assert!(heard.iter().any(said), "{heard:?}");
                assert_eq!(stop.place.symbol.as_deref(), Some("main"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(hits >= 3, "{hits}");
    let Answer::Breakpoints(left) = debuggee.ask("info b") else {
        panic!("breakpoints were asked for");
    };
    assert!(left.is_empty(), "{left:?}");

    let failure = debuggee.try_ask("watch 5 + 1").unwrap_err();
    assert!(failure.found.contains("memory"), "{failure}");
    debuggee.ask("awatch *(long *)&n");
    let read = info(&mut debuggee, 3);
    assert_eq!(
        (read.value.as_deref(), &read.typed[..]),
        (Some("3"), &["awatch *(long *)&n".to_owned()][..])
    );
    let stop = debuggee.stop("c");
    assert!(
        matches!(stop.reason, StopReason::Watchpoint { number: 3, .. }),
        "{stop:?}"
    );
    debuggee.ask("delete");

    // Without a limit under TCG.
    for i in 0..20 {
        debuggee.ask(&format!(
            "watch -location *((long *)&init_task.comm + {i}) if 0"
        ));
    }
    debuggee.ask("watch jiffies");
    let Answer::Breakpoints(all) = debuggee.ask("info b") else {
        panic!("breakpoints were asked for");
    };
    assert_eq!(all.len(), 21);
    assert!(all.iter().all(|one| one.state == "planted"), "{all:?}");
    let last = all.last().unwrap().number;
    let stop = debuggee.stop("c");
    assert!(
        matches!(stop.reason, StopReason::Watchpoint { number, .. } if number == last),
        "{stop:?}"
    );
}

/// Where a pointer on the way changes, the value lies elsewhere, and the watchpoint with it.
#[test]
#[ignore = "boots an image"]
fn a_watchpoint_through_a_pointer_moves_with_the_pointer() {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        calls: Some(1_000_000),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).unwrap();
    debuggee.ask("watch current_task->pid");
    let before = info(&mut debuggee, 1);
    let was = before.value.unwrap();
    let (answer, heard) = hear(&mut debuggee, "c");
    let Answer::Stopped(stop) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        matches!(stop.reason, StopReason::Watchpoint { number: 1, .. }),
        "{stop:?}"
    );
    let after = info(&mut debuggee, 1);
    let is = after.value.unwrap();
    assert_ne!(was, is);
    let line = format!("watchpoint 1: current_task->pid was {was}, is {is}");
    assert!(heard.contains(&line), "{heard:?}");
    assert_ne!(before.places, after.places, "it lies in another task now");
    assert_eq!(
        debuggee.number("&current_task->pid"),
        after.places[0].place.addr.0
    );
}

/// A machine joined without its vmlinux has the names of the kernel's memory, and no lines: they come later.
#[test]
#[ignore = "boots an image"]
fn what_waits_for_a_line_is_planted_when_the_names_come() {
    let image = |name| store::image(name).unwrap();
    let mut machine = Machine::of(&image("syscalls"), Mode::Ukl, Some(100_000_000));
    machine.stopped_at_start = false;
    let qemu = Qemu::start(&machine).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("mode ukl") {
        seen.extend(qemu.serial().recv_timeout(Duration::from_secs(60)).unwrap());
    }
    let options = AttachOptions {
        debug_files: "/no/such/folder".into(),
        ..AttachOptions::default()
    };
    let endpoint = qemu.gdb().cloned().unwrap();
    let mut debuggee = Debuggee::opened(Session::attach(endpoint, options)).unwrap();
    let failure = debuggee.try_ask("b kernel/sys.c:973").unwrap_err();
    assert!(
        failure
            .next
            .contains("'break kernel/sys.c:973 pending' waits"),
        "{failure}"
    );
    debuggee.ask("b kernel/sys.c:973 pending");
    assert_eq!(info(&mut debuggee, 1).state, "pending");
    // Another kernel's names are refused, and it goes on waiting.
    let wrong = image("hello").vmlinux();
    let failure = debuggee
        .try_ask(&format!("file {}", wrong.display()))
        .unwrap_err();
    assert!(failure.to_string().contains("build-id"), "{failure}");
    assert_eq!(info(&mut debuggee, 1).state, "pending");
    let right = image("syscalls").vmlinux();
    let (_, heard) = hear(&mut debuggee, &format!("file {}", right.display()));
    assert!(
        heard.contains(&"breakpoint 1: kernel/sys.c:973 is known now".to_owned()),
        "{heard:?}"
    );
    let one = info(&mut debuggee, 1);
    assert_eq!((one.state.as_str(), one.places.len()), ("planted", 1));
    let stop = debuggee.stop("c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 1 });
    // Its own first instruction is that of what is inlined there.
    let symbol = stop.place.symbol.as_deref().unwrap();
    assert!(symbol.ends_with("sys_getppid"), "{stop:?}");
}

/// All places of a line, as many as gdb finds: one in each copy of an inlined function.
#[test]
#[ignore = "boots an image"]
fn a_line_has_as_many_places_as_gdb_finds() {
    let mut debuggee = at_main(1);
    let vmlinux = store::image("syscalls").unwrap().vmlinux();
    let lines = [
        "fs/read_write.c:627",
        "include/linux/file.h:43",
        "include/linux/file.h:44",
        "main.c:69",
    ];
    let mut gdb = std::process::Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set breakpoint pending off"]);
    for line in lines {
        gdb.args([
            "-ex",
            &format!("break {line}"),
            "-ex",
            "info breakpoints",
            "-ex",
            "delete",
        ]);
    }
    let output = gdb.arg(vmlinux).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    // `Breakpoint 1 at 0x…: fs/read_write.c:627. (12 locations)`, or one.
    let theirs: Vec<usize> = told
        .lines()
        .filter(|line| line.starts_with("Breakpoint "))
        .map(|line| match line.rsplit_once('(') {
            Some((_, count)) => count.split(' ').next().unwrap().parse().unwrap(),
            None => 1,
        })
        .collect();
    let ours: Vec<usize> = lines
        .iter()
        .map(|line| match debuggee.try_ask(&format!("b {line}")) {
            Ok(Answer::Breakpoints(list)) => list[0].places.len(),
            other => panic!("{line}: {other:?}"),
        })
        .collect();
    assert_eq!(ours, theirs, "{told}");
    assert!(ours.iter().any(|count| *count > 2), "{ours:?}");
}

/// One breakpoint, with all the places that the compiler has made of a function.
#[test]
#[ignore = "boots an image"]
fn a_function_stands_at_its_inlined_copies_as_well() {
    let mut debuggee = at_main(1);
    let inlined_in = |one: &BreakpointInfo| {
        let into = one.places.iter().map(|at| at.inlined_in.clone());
        into.collect::<Vec<_>>()
    };
    // It has code of its own as well.
    debuggee.ask("b fdget_pos");
    let into = inlined_in(&info(&mut debuggee, 1));
    assert!(into.len() > 1 && into.contains(&None), "{into:?}");
    assert!(
        into.contains(&Some("__do_sys_getdents64".to_owned())),
        "{into:?}"
    );
    debuggee.ask("delete");
    // This one has none.
    debuggee.ask("b file_ppos");
    let into = inlined_in(&info(&mut debuggee, 2));
    assert!(!into.contains(&None), "{into:?}");
    assert!(into.contains(&Some("ksys_write".to_owned())), "{into:?}");
    let stop = debuggee.stop("c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 2 });
    let frames = debuggee.frames();
    assert!(frames[0].inlined, "{frames:#?}");
    assert_eq!(frames[0].place.symbol.as_deref(), Some("file_ppos"));
    assert!(into.contains(&frames[1].place.symbol), "{frames:#?}");
    // Where a function is shown, its own code is meant.
    let Answer::Disassembly(lines) = debuggee.ask("disassemble fdget_pos") else {
        panic!("instructions were asked for");
    };
    assert_eq!(lines[0].place.symbol.as_deref(), Some("fdget_pos"));
    debuggee.ask("b get_current");
    let many = info(&mut debuggee, 3);
    assert_eq!(many.places.len(), 500);
    assert!(many.note.unwrap().contains("first 500"));
    let failure = debuggee.try_ask("b libc:file_ppos").unwrap_err();
    assert!(
        failure.found.contains("no symbol of origin libc"),
        "{failure}"
    );
}

/// In whichever frame: the register is named that a caller's variable is held in.
#[test]
#[ignore = "boots an image"]
fn what_a_register_holds_is_not_watched() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Ukl);
    debuggee.ask("b ksys_read");
    debuggee.ask("c");
    let frames = debuggee.frames();
    let is_main = |frame: &&Frame| frame.place.symbol.as_deref() == Some("main");
    let main = frames.iter().find(is_main).unwrap();
    debuggee.ask(&format!("frame {}", main.n));
    let error = debuggee.try_ask("watch zero").unwrap_err().to_string();
    assert!(error.contains("it is held in $"), "{error}");
}
