use wire::{Kind, Record, Word};

use super::{Entered, Span, Spans, Walk, named};
use crate::crossing::CrossingKind;
use crate::origin::Origin;
use crate::profile::Profile;
use crate::trace::functions::{Function, Functions};

const NAMES: [&str; 8] = [
    "main",
    "ukl_bypass_syscall",
    "asm_sysvec_apic_timer_interrupt",
    "handler",
    "entry_SYSCALL_64",
    "__x64_sys_rt_sigreturn",
    "__x64_sys_read",
    "ukl_full_syscall",
];

fn functions() -> Functions {
    let mut functions = Functions::of(Profile::recognise(|name| name == "__ukl_text_start"));
    for name in NAMES {
        functions.push(Function {
            name: name.to_owned(),
            origin: Origin::Unknown,
            label: false,
            file: None,
        });
    }
    functions
}

/// Each is so many instructions after the one before.
fn walked(records: &[(u32, Kind, &str)]) -> Vec<Span> {
    let mut clock = 1000;
    let raw = records.iter().map(|(after, kind, name)| {
        clock += after;
        let number = NAMES.iter().position(|known| known == name).unwrap() + 1;
        let word = Word::new(*kind, u32::try_from(number).unwrap());
        Record { clock, word }.encode()
    });
    let raw: Vec<u64> = raw.collect();
    let mut walk = Walk::new(functions());
    let mut spans = Spans::new(0, 0..u64::MAX);
    walk.take(0, 1000, &raw, &mut spans);
    walk.give_up(0, &mut spans);
    spans.sorted()
}

const BYPASS: &str = "ukl_bypass_syscall";
const TIMER: &str = "asm_sysvec_apic_timer_interrupt";

#[test]
fn a_signals_handler_runs_in_the_middle_of_a_bypass() {
    let spans = walked(&[
        (1, Kind::AppEntry, "main"),
        (9, Kind::Entry, BYPASS),
        (1, Kind::InterruptEntry, TIMER),
        (300, Kind::Iret, TIMER),
        (0, Kind::AppEntry, "handler"),
        (30, Kind::SyscallEntry, "entry_SYSCALL_64"),
        (5, Kind::Entry, "__x64_sys_rt_sigreturn"),
        (9, Kind::Return, "__x64_sys_rt_sigreturn"),
        (9, Kind::Iret, "entry_SYSCALL_64"),
        (28, Kind::Entry, "__x64_sys_read"),
        (45, Kind::Return, "__x64_sys_read"),
        (13, Kind::Return, BYPASS),
        (4, Kind::AppReturn, "main"),
    ]);
    let calls: Vec<&Span> = spans
        .iter()
        .filter(|span| span.entered == Entered::Call)
        .collect();
    let [call] = calls[..] else {
        panic!("one call: {spans:?}");
    };
    assert!(call.returned);
    // As the fold has it: without the interrupt, the handler and the way back from it.
    assert_eq!(call.instructions, 87);
    let inside = spans.iter().filter(|span| span.depth > call.depth);
    let read =
        inside.filter(|span| span.depth == call.depth + 1 && span.entered == Entered::Kernel);
    assert_eq!(
        named(&functions(), call, read),
        Some((CrossingKind::Bypass, "read".to_owned()))
    );
    let handler = spans
        .iter()
        .find(|span| span.entered == Entered::App && span.depth > 0);
    assert_eq!(handler.map(|span| span.instructions), Some(30 + 5 + 9 + 9));
    let main = spans.iter().find(|span| span.depth == 0).unwrap();
    assert!(main.returned && main.ended == call.ended + 4);
}

#[test]
fn a_call_that_falls_to_the_full_path_has_ended() {
    let spans = walked(&[
        (1, Kind::AppEntry, "main"),
        (9, Kind::Entry, BYPASS),
        (1, Kind::InterruptEntry, TIMER),
        (300, Kind::Iret, TIMER),
        (7, Kind::AppEntry, "ukl_full_syscall"),
        (5, Kind::AppReturn, "ukl_full_syscall"),
        (4, Kind::AppReturn, "main"),
    ]);
    let call = spans
        .iter()
        .find(|span| span.entered == Entered::Call)
        .unwrap();
    assert_eq!((call.instructions, call.returned), (8, false));
}
