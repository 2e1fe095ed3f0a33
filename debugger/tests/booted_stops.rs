//! Looking back at past stops of a booted image: nothing that was known then is lost or made up.

mod debuggee;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::{
    Answer, Change, Changed, Event, LookedAt, MemoryDump, Register, StopList, Variable,
};
use debugger::known::Known;
use debugger::session::BootOptions;

/// Kept at most, as the session has it.
const KEPT: u64 = 1_000;

fn registers(debuggee: &mut Debuggee) -> Vec<(String, String)> {
    let Answer::Registers(list) = debuggee.ask("info registers") else {
        panic!("registers");
    };
    let plain = |register: Register| (register.name, register.value);
    list.into_iter().map(plain).collect()
}

fn memory(debuggee: &mut Debuggee, line: &str) -> MemoryDump {
    match debuggee.ask(line) {
        Answer::Memory(dump) => dump,
        other => panic!("{line}: {other:?}"),
    }
}

fn look(debuggee: &mut Debuggee, line: &str) -> LookedAt {
    match debuggee.ask(line) {
        Answer::Looking(at) => at,
        other => panic!("{line}: {other:?}"),
    }
}

fn stops(debuggee: &mut Debuggee, line: &str) -> StopList {
    match debuggee.ask(line) {
        Answer::Stops(list) => list,
        other => panic!("{line}: {other:?}"),
    }
}

fn locals(debuggee: &mut Debuggee) -> Vec<Variable> {
    match debuggee.ask("info locals") {
        Answer::Variables(list) => list,
        other => panic!("{other:?}"),
    }
}

fn register<'a>(changed: &'a [Change], name: &str) -> Option<&'a Change> {
    let mut registers = changed.iter().filter(|one| one.of == Changed::Register);
    registers.find(|one| one.name == name)
}

#[test]
#[ignore = "boots an image"]
fn a_past_stop_is_as_it_was_and_holds_no_more() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let list = stops(&mut debuggee, "stops");
    assert_eq!((list.kept, list.dropped, list.looked_at), (2, 0, 2));
    // What is looked at here is kept: a backtrace, registers, variables, the stack.
    let frames = debuggee.frames();
    let then = registers(&mut debuggee);
    let variables = locals(&mut debuggee);
    let stack = memory(&mut debuggee, "x/8gx $rsp");
    let code = debuggee.ask("disassemble");
    let source = debuggee.ask("list");
    let pc = debuggee.pc();

    debuggee.ask("si 3");
    debuggee.ask("si");
    let now = registers(&mut debuggee);
    assert_ne!(now, then);
    let at = look(&mut debuggee, "back 2");
    assert_eq!((at.looking.at.number, at.looking.newest), (2, 4));
    assert_eq!(at.looking.at.stop.place.addr, pc);
    assert!(at.looking.is_back());
    // Since main: not the same frame, but other registers.
    assert!(register(&at.changed, "rip").is_some(), "{:?}", at.changed);

    assert_eq!(registers(&mut debuggee), then);
    assert_eq!(debuggee.frames(), frames);
    assert_eq!(locals(&mut debuggee), variables);
    assert_eq!(memory(&mut debuggee, "x/8gx $rsp").bytes, stack.bytes);
    assert_eq!(debuggee.ask("disassemble"), code);
    assert_eq!(debuggee.ask("list"), source);
    debuggee.ask("up");
    debuggee.ask("frame 0");

    // What nobody looked at is unavailable, not zero.
    let nothing = debuggee.try_ask("x/gx $gs_base").unwrap_err();
    assert!(nothing.found.contains("not kept with stop 2"), "{nothing}");
    let Answer::Value(nothing) = debuggee.ask("p jiffies") else {
        panic!("a value");
    };
    assert_eq!(nothing.bits, None);
    assert!(nothing.text.contains("of stop 2"), "{}", nothing.text);
    // And nothing is changed from here.
    for line in [
        "set $rax = 1",
        "p $rax = 1",
        "set *(char *)$rsp = 1",
        "watch jiffies",
    ] {
        let refused = debuggee.try_ask(line).unwrap_err();
        assert!(refused.next.contains("'now'"), "{line}: {refused}");
    }
    let refused = debuggee.try_ask("monitor info registers").unwrap_err();
    assert!(refused.found.contains("stop 2 is past"), "{refused}");
    // A breakpoint is one of the machine's, wherever one looks.
    debuggee.ask("b vfs_write");

    let at = look(&mut debuggee, "forward");
    assert_eq!(at.looking.at.number, 3);
    let rip = register(&at.changed, "rip").expect("it has moved");
    assert_eq!(rip.before, format!("{:#018x}", pc.0));
    // There nobody asked for the backtrace: it says so and does not invent one.
    let end = debuggee.frames().pop().and_then(|frame| frame.end);
    let end = end.expect("a last frame");
    assert!(!end.complete && end.what.contains("of stop 3"), "{end:?}");
    let unknown = locals(&mut debuggee);
    assert!(
        unknown
            .iter()
            .all(|one| one.value != Known::Yes("0".to_owned())),
        "{unknown:?}"
    );

    let at = look(&mut debuggee, "forward 9");
    assert!(!at.looking.is_back());
    assert_eq!(registers(&mut debuggee), now);
    let refused = debuggee.try_ask("forward").unwrap_err();
    assert!(refused.found.contains("the newest"), "{refused}");
    let refused = debuggee.try_ask("past 77").unwrap_err();
    assert!(refused.found.contains("stops 1 to 4"), "{refused}");

    // A command that runs the target returns to it.
    look(&mut debuggee, "past 1");
    let id = debuggee.send("c");
    let mut told = Vec::new();
    loop {
        match debuggee.event() {
            Event::Looking(looking) => told.push(looking.is_back()),
            Event::Answer(answered, answer) if answered == id => {
                let Ok(Answer::Stopped(stop)) = answer else {
                    panic!("{answer:?}");
                };
                assert_eq!(stop.place.symbol.as_deref(), Some("vfs_write"));
                break;
            }
            _ => {}
        }
    }
    assert_eq!(told, [false]);
    assert_eq!(stops(&mut debuggee, "stops 2").list.len(), 2);
}

#[test]
#[ignore = "boots an image"]
fn what_changed_is_marked_and_the_ring_is_bounded() {
    let options = BootOptions {
        mode: Some(Mode::Bypass),
        calls: Some(100_000),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).unwrap();
    // Past the prologue, variables change from line to line.
    let mut marked = Vec::new();
    for _ in 0..12 {
        debuggee.ask("n");
        let list = locals(&mut debuggee);
        marked.extend(list.into_iter().filter(|one| one.changed));
        memory(&mut debuggee, "x/32gx $rsp");
    }
    assert!(!marked.is_empty(), "main sets variables");
    let changed: Vec<Change> = (0..10)
        .flat_map(|_| look(&mut debuggee, "back").changed)
        .collect();
    for of in [Changed::Register, Changed::Stack, Changed::Local] {
        assert!(
            changed.iter().any(|one| one.of == of),
            "{of:?}: {changed:?}"
        );
    }
    look(&mut debuggee, "now");
    // The steps of one command are one stop.
    debuggee.ask("si 50");
    let before = stops(&mut debuggee, "stops 1");
    assert_eq!((before.kept, before.dropped), (14, 0));
    let mut bytes = Vec::new();
    for round in 0..3 {
        for _ in 0..KEPT / 2 {
            debuggee.ask("si");
        }
        let list = stops(&mut debuggee, "stops");
        bytes.push(list.bytes);
        if round > 0 {
            assert_eq!(list.kept, KEPT + 1, "with the one it stands at");
            assert_eq!(list.dropped, list.list[0].number - 1);
        }
    }
    assert!(bytes.iter().all(|bytes| *bytes <= 32 << 20), "{bytes:?}");
    let gone = debuggee.try_ask("past 1").unwrap_err();
    assert!(gone.found.contains("not any more"), "{gone}");
}
