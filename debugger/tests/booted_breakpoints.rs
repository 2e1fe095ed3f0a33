//! Breakpoints beyond the plain one: filters, counts, commands, log points, pending, patterns, two vCPUs.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::{Answer, BreakpointInfo, Event, StopReason, Vcpu};
use debugger::session::BootOptions;

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
    // No such task and no such vCPU: it is passed. The application's own task stops.
    debuggee.ask("tb ksys_write");
    debuggee.stop("c");
    let task = debuggee.number("current_task->pid");
    debuggee.ask("b ksys_write task nobody");
    debuggee.ask("b ksys_write cpu 7");
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
            .all(|place| place.symbol.as_deref().unwrap().starts_with("ksys_"))
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
