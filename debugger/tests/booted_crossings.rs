//! Breakpoints at crossings, and what `why` tells of the call that made one.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;

use debuggee::Debuggee;
use debugger::crossing::{CrossingKind, Mode};
use debugger::event::{Answer, BreakpointInfo, CallArgument, Event, Stop, StopReason, Why};
use debugger::known::Known;
use debugger::session::BootOptions;

/// How each mode makes a call that no shortcut replaces.
const WAYS: [(Mode, CrossingKind); 4] = [
    (Mode::Linux, CrossingKind::Syscall),
    (Mode::Ukl, CrossingKind::Syscall),
    (Mode::Bypass, CrossingKind::Bypass),
    (Mode::Shortcut, CrossingKind::Bypass),
];

/// At main, with few calls of each kind ahead: a filter looks at every one that comes.
fn at_main(mode: Mode) -> Debuggee {
    let options = BootOptions {
        mode: Some(mode),
        calls: Some(6),
        ..BootOptions::default()
    };
    Debuggee::boot("syscalls", options).unwrap()
}

fn why(debuggee: &mut Debuggee) -> Why {
    match debuggee.ask("why") {
        Answer::Why(why) => why,
        other => panic!("{other:?}"),
    }
}

fn info(debuggee: &mut Debuggee, number: u32) -> BreakpointInfo {
    match debuggee.ask("info b") {
        Answer::Breakpoints(list) => list.into_iter().find(|one| one.number == number).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The stop, and the notices on the way to it.
fn run(debuggee: &mut Debuggee, line: &str) -> (Stop, Vec<String>) {
    let id = debuggee.send(line);
    let mut heard = Vec::new();
    loop {
        match debuggee.event() {
            Event::Answer(answered, answer) if answered == id => match answer.unwrap() {
                Answer::Stopped(stop) => return (stop, heard),
                other => panic!("{other:?}"),
            },
            Event::Notice(text) => heard.push(text),
            _ => {}
        }
    }
}

fn text(debuggee: &mut Debuggee, expression: &str) -> String {
    match debuggee.ask(&format!("p {expression}")) {
        Answer::Value(value) => value.text,
        other => panic!("{other:?}"),
    }
}

fn named<'a>(why: &'a Why, name: &str) -> &'a CallArgument {
    let found = why.arguments.iter().find(|one| one.name == name);
    found.unwrap_or_else(|| panic!("{name}: {:?}", why.arguments))
}

#[test]
#[ignore = "boots an image"]
fn a_filter_of_crossings_stops_at_the_first_instruction_and_at_the_last() {
    for (mode, kind) in WAYS {
        let mut debuggee = at_main(mode);
        // Other calls into the network have no `len`: they are passed.
        debuggee.ask("tb cross from=app to=kernel:net if len == 1");
        debuggee.stop("c");
        assert_eq!(text(&mut debuggee, "$_crossing"), "\"sendto\"", "{mode}");
        assert_eq!(debuggee.number("$_insns"), 0, "{mode}");
        debuggee.ask("si 5");
        assert_eq!(debuggee.number("$_insns"), 5, "{mode}");
        debuggee.ask("b cross from=app to=kernel:net call=sendto if len == 1 && fd > 2");
        let one = info(&mut debuggee, 2);
        assert_eq!((one.kind, one.state.as_str()), ("crossing", "planted"));
        // Where the work of this call begins, whichever way it comes.
        let places: Vec<_> = one.places.iter().map(|at| &at.place.symbol).collect();
        assert_eq!(places, [&Some("__x64_sys_sendto".to_owned())]);
        assert_eq!(
            one.typed,
            ["break cross from=app to=kernel:net call=sendto if len == 1 && fd > 2"]
        );
        // Counted at the crossing, the first two pass.
        debuggee.ask("ignore 2 2");
        let (stop, heard) = run(&mut debuggee, "c");
        assert_eq!(stop.reason, StopReason::Breakpoint { number: 2 }, "{mode}");
        assert_eq!(info(&mut debuggee, 2).hits, 3, "{mode}");
        assert!(stop.place.origin.is_kernel_side(), "{mode}");
        assert_eq!(stop.place.offset, 0, "{mode}: {stop:?}");
        let said = heard.iter().find(|line| line.starts_with("breakpoint 2: "));
        let said = said.unwrap_or_else(|| panic!("{heard:?}"));
        assert!(said.contains(&format!("{kind} sendto(fd = ")), "{said}");
        assert!(said.contains("bench_sendto_recvfrom (main.c:"), "{said}");
        assert_eq!(debuggee.number("len"), 1, "{mode}");
        assert_eq!(text(&mut debuggee, "*(char *)buff"), "120 'x'", "{mode}");
        assert_eq!(text(&mut debuggee, "$_crossing"), "\"sendto\"", "{mode}");
        assert_eq!(
            text(&mut debuggee, "$_kind"),
            format!("\"{kind}\""),
            "{mode}"
        );

        // The same call on its way back, at the kernel's last instruction.
        debuggee.ask("delete");
        debuggee.ask("tb cross dir out call=sendto if $_result == 1");
        let (stop, heard) = run(&mut debuggee, "c");
        assert_eq!(stop.reason, StopReason::Breakpoint { number: 3 }, "{mode}");
        assert!(
            heard
                .iter()
                .any(|line| line.contains("goes back to the application with 1")),
            "{mode}: {heard:?}"
        );
        assert_eq!(debuggee.number("$_result"), 1, "{mode}");
        debuggee.ask("si");
        let back = why(&mut debuggee);
        assert_eq!(
            back.call,
            Known::Yes("sendto".to_owned()),
            "{mode}: {back:?}"
        );
        assert_eq!(back.result, Known::Yes("1".to_owned()), "{mode}: {back:?}");

        // A log point does not stop, and knows the arguments by name too.
        debuggee.ask("log cross call=recvfrom, got {size} from {fd} by {$_crossing}");
        debuggee.ask("b cross call=sendto");
        let (stop, heard) = run(&mut debuggee, "c");
        assert_eq!(stop.reason, StopReason::Breakpoint { number: 5 }, "{mode}");
        let line = heard.iter().find(|line| line.starts_with("got 1 from "));
        assert!(
            line.is_some_and(|line| line.ends_with("by \"recvfrom\"")),
            "{mode}: {heard:?}"
        );
        assert_eq!(info(&mut debuggee, 4).kind, "log point", "{mode}");
    }
}

#[test]
#[ignore = "boots an image"]
fn faults_interrupts_and_signals_are_crossings_where_they_are_asked_for() {
    // This one asks for memory, which is filled in when it is touched.
    let mut debuggee = Debuggee::at_main("exceptions", Mode::Ukl);
    debuggee.ask("b cross kind=fault call=page_fault if address < 0x800000000000");
    let (stop, heard) = run(&mut debuggee, "c");
    assert_eq!(stop.place.symbol.as_deref(), Some("asm_exc_page_fault"));
    assert!(
        heard.iter().any(|line| line.contains("address 0x")),
        "{heard:?}"
    );
    let fault = why(&mut debuggee);
    assert_eq!(fault.kind, Known::Yes(CrossingKind::Fault));
    let code = named(&fault, "error_code");
    assert!(code.holds[0].contains("page"), "{code:?}");
    let at = debuggee.number("address");
    assert!(at < 0x8000_0000_0000, "{at:#x}");
    drop(debuggee);

    let options = BootOptions {
        mode: Some(Mode::Ukl),
        calls: Some(100_000),
        append: Some("alarm=3000".to_owned()),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).unwrap();
    debuggee.ask("tb cross kind=interrupt to=kernel:arch");
    let (stop, _) = run(&mut debuggee, "c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 1 });
    assert_eq!(why(&mut debuggee).kind, Known::Yes(CrossingKind::Interrupt));
    // From the application it came, not from the kernel's own work.
    let frames = debuggee.frames();
    assert!(frames[1].place.origin.is_app_side(), "{frames:?}");

    debuggee.ask("tb cross kind=signal if ksig->sig == 14");
    let (stop, _) = run(&mut debuggee, "c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 2 });
    debuggee.ask("tb on_alarm");
    assert_eq!(debuggee.stop("c").place.symbol.as_deref(), Some("on_alarm"));
}

#[test]
#[ignore = "boots an image"]
fn a_filter_that_nothing_meets_is_refused() {
    let mut debuggee = at_main(Mode::Ukl);
    let mut check = |line: &str, found: &str, next: &str| {
        let failure = debuggee.try_ask(line).unwrap_err();
        assert!(failure.found.contains(found), "{line}: {failure}");
        assert!(failure.next.contains(next), "{line}: {failure}");
    };
    check(
        "b cross call=wriet",
        "no call or vector is named 'wriet'",
        "write",
    );
    check(
        "b cross call=write to=kernel:net",
        "none of these calls",
        "kernel:fs",
    );
    check("b cross call=nothing*", "no call or vector", "");
    check(
        "log cross call=sendto to=kernel:mm, x",
        "none of these calls",
        "kernel:net",
    );
}

/// The prototypes of both sides, what the pointers point to, the files behind descriptors.
#[test]
#[ignore = "boots an image"]
fn why_reads_the_arguments_by_the_types_of_both_sides() {
    for (mode, _) in WAYS {
        let mut debuggee = at_main(mode);
        debuggee.ask("tb cross call=connect");
        debuggee.stop("c");
        let connect = why(&mut debuggee);
        let fd = named(&connect, "fd");
        assert!(fd.holds[0].starts_with("socket:[TCP"), "{mode}: {fd:?}");
        assert_eq!(fd.app_type.as_deref(), Some("int"), "{mode}");
        let address = named(&connect, "uservaddr");
        assert!(
            address.kernel_type.as_deref() == Some("struct sockaddr *")
                && address.app_type.as_deref() == Some("const struct sockaddr *"),
            "{mode}: {address:?}"
        );
        assert!(
            address.holds[0].starts_with("AF_INET 127.0.0.1:"),
            "{mode}: {address:?}"
        );
        assert!(
            address.memory.as_deref().unwrap().contains("stack"),
            "{mode}: {address:?}"
        );
        let app = connect.app_prototype.yes().unwrap();
        assert!(
            app.starts_with("connect(int fd, const struct sockaddr *"),
            "{mode}: {app}"
        );

        debuggee.ask("tb bench_write");
        debuggee.stop("c");
        // In the kernel's function, far behind the entry, as well as at it.
        debuggee.ask("tb ksys_write");
        debuggee.stop("c");
        let write = why(&mut debuggee);
        let fd = named(&write, "fd");
        assert_eq!(fd.holds, ["/dev/null"], "{mode}");
        let buffer = named(&write, "buf");
        assert_eq!(buffer.holds, ["1 byte: \"x\""], "{mode}: {buffer:?}");
        assert_eq!(
            buffer.app_type.as_deref(),
            Some("const void *"),
            "{mode}: {buffer:?}"
        );

        let tcp = match mode {
            Mode::Shortcut => "tb cross kind=shortcut call=tcp_sendmsg",
            _ => "tb cross call=sendmsg",
        };
        debuggee.ask(tcp);
        debuggee.stop("c");
        let send = why(&mut debuggee);
        let fd = named(&send, "fd");
        assert!(fd.holds[0].contains("TCP 127.0.0.1:"), "{mode}: {fd:?}");
        let (name, bytes) = match mode {
            Mode::Shortcut => ("buf", "64 bytes"),
            _ => ("msg", "iov[0] = 64 bytes"),
        };
        let message = named(&send, name);
        assert!(
            message.holds.iter().any(|line| line.contains(bytes)),
            "{mode}: {message:?}"
        );
    }
}
