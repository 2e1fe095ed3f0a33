//! Steps by line and out of frames: through inlined calls, recursion, exceptions, functions that never
//! return, waits; and how a long one is counted and ended.

mod debuggee;

use std::time::Duration;

use debuggee::Debuggee;
use debugger::addr::Addr;
use debugger::crossing::{CrossingKind, Mode};
use debugger::event::{Answer, Event, Progress, Run, Stop, StopReason};
use debugger::session::BootOptions;

fn line_of(stop: &Stop) -> u32 {
    stop.place.line.expect("a line")
}

#[test]
#[ignore = "boots an image"]
fn next_goes_over_inlined_calls_and_step_into_them() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    debuggee.ask("delete");
    // Further out than the stop: an inlined call of the same frame of the stack.
    let frames = debuggee.frames();
    let inlined = frames.iter().find(|frame| frame.inlined).expect("one");
    let outer = frames[inlined.n as usize..]
        .iter()
        .find(|frame| !frame.inlined);
    let outer = outer.expect("the function it is inlined into");
    debuggee.ask(&format!("frame {}", inlined.n));
    let stop = debuggee.stop("finish");
    assert_eq!(stop.reason, StopReason::Arrived);
    let now = debuggee.frames();
    let real = now.iter().find(|frame| !frame.inlined).expect("a function");
    assert_eq!(real.place.symbol, outer.place.symbol, "{now:#?}");
    assert_eq!(real.sp, inlined.sp, "the same frame of the stack");
    let left = |frame: &&debugger::event::Frame| frame.place.symbol == inlined.place.symbol;
    assert!(!now.iter().any(|frame| left(&frame)), "{now:#?}");

    debuggee.ask("tb vfs_write");
    debuggee.stop("c");
    let frames = debuggee.frames();
    let callers = frames.iter().skip_while(|frame| frame.inlined).skip(1);
    let caller = callers.map(|frame| frame.sp).next().expect("a caller");
    let mut lines = 0;
    loop {
        let stop = debuggee.stop("next");
        let frames = debuggee.frames();
        if stop.place.symbol.as_deref() != Some("vfs_write") {
            assert_eq!(frames[0].sp, caller, "back in the caller: {stop:?}");
            break;
        }
        assert!(!frames[0].inlined, "{stop:?}");
        lines += 1;
        assert!(lines < 100, "it returns");
    }
    assert!(lines > 3, "{lines} lines");

    debuggee.ask("tb vfs_write");
    debuggee.stop("c");
    let note = debuggee.stop("finish").note.unwrap_or_default();
    assert_eq!(note, "vfs_write returned (ssize_t) 1");

    debuggee.ask("tb vfs_write");
    debuggee.stop("c");
    let mut into = 0;
    for _ in 0..30 {
        debuggee.stop("step");
        into += u32::from(debuggee.frames()[0].inlined);
    }
    assert!(into > 0, "a step goes into an inlined call and shows it");
}

#[test]
#[ignore = "boots an image"]
fn next_over_a_call_that_throws_stops_at_the_handler() {
    for mode in [Mode::Linux, Mode::Ukl] {
        let mut debuggee = Debuggee::at_main("exceptions", mode);
        let source = std::fs::read_to_string("../demos/exceptions/main.cpp").unwrap();
        let line = |text: &str| {
            let at = source.lines().position(|line| line.contains(text));
            u32::try_from(at.expect("it is in the demo")).unwrap() + 1
        };
        let (call, handler) = (
            line("descend(depth);"),
            line("caught = !strcmp(e.what(), \"at depth 0\")"),
        );
        debuggee.ask(&format!("tb main.cpp:{call}"));
        debuggee.stop("c");
        let sp = debuggee.number("$rsp");
        let stop = debuggee.stop("next");
        assert_eq!(stop.reason, StopReason::Step, "{mode}");
        assert!(
            (call + 1..=handler).contains(&line_of(&stop)),
            "{mode}: {stop:?}"
        );
        assert_eq!(debuggee.number("$rsp"), sp, "{mode}: its own frame");

        // A function that calls itself, and never comes back: what its own frame has to tidy up.
        let recursion = line("return descend(depth - 1)");
        debuggee.ask(&format!("tb main.cpp:{recursion}"));
        debuggee.stop("c");
        let sp = debuggee.number("$rsp");
        let stop = debuggee.stop("next");
        assert!(debuggee.number("$rsp") >= sp, "{mode}: {stop:?}");
    }
}

/// The line of a source file that holds this, from a line that holds that on.
fn line_with(path: &str, from: &str, text: &str) -> u32 {
    let source = std::fs::read_to_string(path).expect("the source is there");
    let lines = (1..).zip(source.lines());
    let mut behind = lines.skip_while(|(_, line)| !line.contains(from));
    behind
        .find(|(_, line)| line.contains(text))
        .expect("a line")
        .0
}

/// Out of a signal's handler to what it has made of the interrupted registers; over a call in which a
/// handler leads to a `longjmp`.
#[test]
#[ignore = "boots an image"]
fn steps_follow_signals_and_long_jumps() {
    const FRAMES: &str = "../kernel/tests/posix/frames.c";
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let options = BootOptions {
            mode: Some(mode),
            append: Some("tests=frames".to_owned()),
            ..BootOptions::default()
        };
        let mut debuggee = Debuggee::boot("posix", options).unwrap();
        // It goes on behind the instruction that has faulted, with registers of the handler's choice.
        debuggee.ask("tb set_all");
        debuggee.stop("c");
        let stop = debuggee.stop("finish");
        assert_eq!(stop.reason, StopReason::Arrived, "{mode}");
        assert_eq!(stop.place.symbol.as_deref(), Some("good"), "{mode}");
        assert_eq!(debuggee.number("$rax"), 0x1111_1111_1111_1111, "{mode}");
        assert_eq!(
            debuggee.number("*(short *)($pc - 2) & 0xffff"),
            0x0b0f,
            "{mode}: ud2"
        );

        // To another function on another stack.
        debuggee.ask("tb go_elsewhere");
        debuggee.stop("c");
        let stop = debuggee.stop("finish");
        assert_eq!(
            (stop.place.symbol.as_deref(), stop.place.offset),
            (Some("land"), 0),
            "{mode}: {stop:?}"
        );
        // Which jumps back.
        let mut lines = 0;
        while debuggee.stop("next").place.symbol.as_deref() == Some("land") {
            lines += 1;
            assert!(lines < 10, "{mode}: it jumps");
        }
        let frames = debuggee.frames();
        assert_eq!(
            frames[0].place.symbol.as_deref(),
            Some("elsewhere"),
            "{mode}"
        );
        assert_eq!(debuggee.number("landed"), 1, "{mode}");

        // All of that in one call.
        let raise = line_with(FRAMES, "static void elsewhere", "raise(SIGUSR1)");
        debuggee.ask(&format!("tb frames.c:{raise}"));
        debuggee.stop("c");
        let sp = debuggee.number("$rsp");
        let stop = debuggee.stop("next");
        assert_eq!(stop.reason, StopReason::Step, "{mode}");
        assert_eq!(
            stop.place.symbol.as_deref(),
            Some("elsewhere"),
            "{mode}: {stop:?}"
        );
        assert_eq!(debuggee.number("$rsp"), sp, "{mode}: its own frame");
        debuggee.ask(&format!("tb frames.c:{raise}"));
        debuggee.stop("c");
        debuggee.ask("tb land");
        debuggee.stop("c");
        debuggee.ask("delete");
    }
}

#[test]
#[ignore = "boots an image"]
fn finish_out_of_a_handler_lands_where_the_signal_came() {
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let options = BootOptions {
            mode: Some(mode),
            calls: Some(100_000),
            append: Some("alarm=40000".to_owned()),
            ..BootOptions::default()
        };
        let mut debuggee = Debuggee::boot("syscalls", options).unwrap();
        for _ in 0..4 {
            debuggee.ask("tb on_alarm");
            debuggee.stop("c");
            let frames = debuggee.frames();
            let mut outer = frames
                .iter()
                .skip_while(|frame| frame.crossing != Some(CrossingKind::Signal));
            // The stub of a call is left in the same go.
            let interrupted = outer.find(|frame| frame.place.origin.to_string() != "entry");
            let interrupted = interrupted.expect("what the signal has interrupted");
            let stop = debuggee.stop("finish");
            assert_eq!(stop.reason, StopReason::Arrived, "{mode}: {stop:?}");
            assert_eq!(
                stop.place.addr, interrupted.place.addr,
                "{mode}: {frames:#?}"
            );
            assert_eq!(
                Some(Addr(debuggee.number("$rsp"))),
                interrupted.sp,
                "{mode}"
            );
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn until_a_place_stops_where_the_frame_returns_before() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Ukl);
    debuggee.ask("tb bench_read");
    debuggee.stop("c");
    let caller = debuggee.frames()[1].clone();
    let stop = debuggee.stop("until bench_write");
    assert_eq!(stop.reason, StopReason::Arrived);
    assert_eq!(stop.place.addr, caller.place.addr, "{stop:?}");
    let note = stop.note.unwrap_or_default();
    assert!(note.contains("the frame has returned"), "{note}");
    // It is called by the frame that is selected: that one has not returned.
    debuggee.ask("tb bench_write");
    debuggee.stop("c");
    debuggee.ask("frame 1");
    let stop = debuggee.stop("until ksys_write");
    assert_eq!(stop.place.symbol.as_deref(), Some("ksys_write"));
    assert_eq!(stop.note, None);
    drop(debuggee);

    // Of a function that calls itself, this turn's line.
    let mut debuggee = Debuggee::at_main("exceptions", Mode::Ukl);
    let path = "../demos/exceptions/main.cpp";
    let line = |text: &str| line_with(path, "int descend(", text);
    let recursion = line("return descend(depth - 1)");
    debuggee.ask(&format!("tb main.cpp:{recursion} if depth == 20"));
    debuggee.stop("c");
    let sp = debuggee.number("$rsp");
    let text = line("std::string text");
    let stop = debuggee.stop(&format!("until main.cpp:{text}"));
    assert!(
        debuggee.number("$rsp") >= sp,
        "not in a turn further in: {stop:?}"
    );
}

#[test]
#[ignore = "boots an image"]
fn a_cpu_at_hlt_is_explained_and_a_step_lets_its_interrupt_come() {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        smp: 2,
        calls: Some(100_000_000),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).unwrap();
    let note = |stop: &Stop| stop.note.clone().unwrap_or_default();
    // The one that does not run the application has nothing to do, once init waits.
    let stop = (0..20).find_map(|_| {
        let id = debuggee.send("c");
        assert!(
            debuggee
                .answer_within(id, Duration::from_millis(300))
                .is_none()
        );
        debuggee.send("interrupt");
        debuggee.answer_to(id).unwrap();
        let mut each = (0..2).map(|_| debuggee.stop("vcpu next"));
        each.find(|stop| note(stop).contains("this CPU waits at hlt"))
    });
    let stop = stop.expect("a CPU that waits");
    let idle = stop.vcpu;
    let waited = debuggee.stop("si");
    assert_eq!((&waited.reason, waited.vcpu), (&StopReason::Step, idle));
    assert_eq!(waited.place.addr, stop.place.addr);
    assert!(
        note(&waited).contains("until an interrupt came"),
        "{waited:?}"
    );

    // Onto it when the CPU comes by again, and over it.
    let hlt = stop.place.addr - Addr(1);
    debuggee.ask(&format!("tb *{hlt:#x} cpu {}", idle.0));
    let stop = debuggee.stop("c");
    assert!(note(&stop).contains("hlt: the CPU waits here"), "{stop:?}");
    assert_eq!(debuggee.instruction().mnemonic, "hlt");
    let behind = debuggee.stop("si");
    assert_eq!(behind.place.addr, stop.place.addr + 1, "{behind:?}");
    assert!(
        note(&behind).contains("until an interrupt came"),
        "{behind:?}"
    );

    // With interrupts held back none comes.
    debuggee.stop("vcpu next");
    debuggee.ask("set {char}$pc = 0xf4");
    debuggee.ask("set $eflags = $eflags & ~0x200");
    let failure = debuggee.try_ask("si").unwrap_err();
    assert!(failure.found.contains("IF is clear"), "{failure}");
}

#[test]
#[ignore = "boots an image"]
fn a_function_that_never_returns_is_named() {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        calls: Some(3),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).unwrap();
    // Down a loop and out of it.
    debuggee.ask("tb bench_getppid");
    debuggee.stop("c");
    let mut last = debuggee.stop("next").place.addr;
    for _ in 0..20 {
        let stop = debuggee.stop("until");
        if stop.place.symbol.as_deref() != Some("bench_getppid") {
            break;
        }
        assert!(stop.place.addr > last, "{stop:?}");
        last = stop.place.addr;
    }
    assert_eq!(debuggee.frames()[0].place.symbol.as_deref(), Some("main"));

    debuggee.ask("tb do_group_exit");
    debuggee.stop("c");
    let failure = (0..60).find_map(|_| debuggee.try_ask("next").err());
    let failure = failure.expect("the call that never returns is not stepped over");
    assert_eq!(failure.found, "do_exit does not return");
    debuggee.ask("tb do_exit");
    debuggee.stop("c");
    for line in ["finish", "next"] {
        let before = debuggee.pc();
        match debuggee.try_ask(line) {
            Err(failure) => {
                assert_eq!(failure.found, "do_exit does not return");
                assert_eq!(debuggee.pc(), before);
            }
            Ok(_) => assert_eq!(line, "next"),
        }
    }
}

/// Steps until the rest of the line has room for the loops below.
fn in_a_long_line(debuggee: &mut Debuggee) -> Addr {
    const ROOM: u64 = 10;
    for _ in 0..1_000 {
        let pc = debuggee.pc();
        let Answer::Done(sentence) = debuggee.ask("info line") else {
            panic!("no sentence");
        };
        let end = sentence.rsplit_once("ends at 0x").map(|(_, end)| end);
        let end = end.and_then(|end| u64::from_str_radix(end, 16).ok());
        if end.is_some_and(|end| end >= pc.0 + ROOM) {
            return pc;
        }
        debuggee.stop("si");
    }
    panic!("no line is so long");
}

#[test]
#[ignore = "boots an image"]
fn waiting_is_recognised_and_explained() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Ukl);
    let at = in_a_long_line(&mut debuggee);
    let jiffies = debuggee.number("&jiffies");
    // pause; rdtsc; mov rax,[jiffies]: each with a jump back to itself.
    let read = 0x2504_8b48 | (jiffies & 0xffff_ffff) << 32;
    for (code, behind, what) in [
        (0xfceb_90f3, None, "'pause'"),
        (0xfceb_310f, None, "time-stamp counter"),
        (read, Some(0xf6eb), "jiffies"),
    ] {
        debuggee.ask(&format!("set $pc = {:#x}", at.0));
        debuggee.ask(&format!("set {{long}}$pc = {code:#x}"));
        if let Some(behind) = behind {
            debuggee.ask(&format!("set {{short}}($pc + 8) = {behind:#x}"));
        }
        let failure = debuggee.try_ask("step").unwrap_err();
        assert!(failure.found.contains(what), "{failure}");
        assert!(failure.next.contains("'until LOCATION'"), "{failure}");
        let stop = debuggee.stop("si 2100");
        assert_eq!(stop.stepped.map(|steps| steps.0), Some(2100));
        assert!(stop.note.is_some_and(|note| note.contains(what)), "{what}");
    }
}

/// What is told until the command that was sent ends, and where.
fn until_stopped(debuggee: &Debuggee, mut each: impl FnMut(Progress)) -> Stop {
    loop {
        match debuggee.event() {
            Event::Progress(progress) => each(progress),
            Event::Run(Run::Stopped(stop)) => return stop,
            _ => {}
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn a_long_command_is_counted_and_ends_where_it_is() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Bypass);
    for line in ["si 100000000", "step 100000000", "until kernel:virt"] {
        debuggee.send(line);
        let mut last = 0;
        loop {
            if let Event::Progress(progress) = debuggee.event() {
                assert!(progress.stepped.0 > last, "{line}: {progress:?}");
                assert_eq!(progress.of.is_some(), line.starts_with("si"));
                last = progress.stepped.0;
                break;
            }
        }
        debuggee.send("interrupt");
        let stop = until_stopped(&debuggee, |_| {});
        assert_eq!(stop.reason, StopReason::Interrupted, "{line}");
        assert!(stop.stepped.is_some_and(|steps| steps.0 >= last), "{line}");
    }
    // At full speed the stops are counted that are none for the user.
    debuggee.ask("b getppid if 0");
    debuggee.ask("b ksys_write if 0");
    debuggee.ask("b __x64_sys_getppid if 0");
    debuggee.send("c");
    loop {
        if let Event::Progress(progress) = debuggee.event() {
            assert_eq!(progress.stepped.0, 0);
            if progress.passed > 0 {
                break;
            }
        }
    }
    debuggee.send("interrupt");
    let stop = until_stopped(&debuggee, |_| {});
    assert!(stop.passed > 0);
}

/// The way out is a `ret` on the application's stack, whose page is gone: the kernel brings another,
/// and only then the application is reached.
#[test]
#[ignore = "boots an image"]
fn a_way_out_that_faults_is_waited_for() {
    let mut debuggee = Debuggee::at_main("syscalls", Mode::Bypass);
    debuggee.ask("tb ukl_bypass_return");
    debuggee.stop("c");
    let sp = debuggee.number("$rsp");
    let debugger::event::Answer::Address(info) = debuggee.ask(&format!("space {sp:#x}")) else {
        panic!("an address was asked for");
    };
    let debugger::known::Known::Yes(walk) = info.walk else {
        panic!("{:?}", info.walk);
    };
    // Where all of physical memory is mapped.
    let entry = 0xffff_8880_0000_0000 + walk.last().expect("a page").at.0;
    debuggee.ask(&format!("set {{long}}{entry:#x} = 0"));
    // The CPU forgets what it has cached of it.
    let root = debuggee.number("$cr3");
    debuggee.ask(&format!("set $cr3 = {root:#x}"));
    let stop = debuggee.stop("cross");
    let StopReason::Crossing { into_kernel, .. } = stop.reason else {
        panic!("{stop:?}");
    };
    assert!(!into_kernel);
    // The new page is empty, and so is what the `ret` took from it.
    assert_eq!(stop.place.addr, Addr(0), "{stop:?}");
    assert_eq!(debuggee.number("$rsp"), sp + 8);
    assert!(stop.passed > 0 || stop.stepped.is_some());
}
