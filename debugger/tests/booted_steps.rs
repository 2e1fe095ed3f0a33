//! Each single step lands on the architecturally next instruction, from anywhere: what must come is
//! worked out before, then the step is made.

#![expect(clippy::print_stdout, reason = "the figures of the proof")]

mod debuggee;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use debuggee::Debuggee;
use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::event::{Answer, Stop, StopReason, Vcpu};
use debugger::session::BootOptions;
use oracle::{Expected, Oracle, registers};

/// The demo that each mode runs, and places in it that chance would seldom find. A place that is not
/// come by is left out.
const DEMOS: [(&str, Mode, &[&str]); 4] = [
    (
        "syscalls",
        Mode::Linux,
        &[
            "entry_SYSCALL_64",
            "asm_exc_page_fault",
            "asm_sysvec_apic_timer_interrupt",
            "ksys_write",
        ],
    ),
    (
        "memcached",
        Mode::Ukl,
        &[
            "entry_SYSCALL_64",
            "asm_exc_page_fault",
            "default_idle",
            "schedule",
        ],
    ),
    (
        "crowd",
        Mode::Bypass,
        &[
            "ukl_bypass_syscall",
            "asm_sysvec_apic_timer_interrupt",
            "__switch_to_asm",
            "schedule",
        ],
    ),
    (
        "echo",
        Mode::Shortcut,
        &[
            "tcp_sendmsg",
            "tcp_recvmsg",
            "ukl_bypass_syscall",
            "schedule",
        ],
    ),
];

/// Stops in each mode, and steps from each.
const STOPS: usize = 12;
const STEPS: usize = 90;

/// A call of a task that is awake has come back by then.
const ASLEEP: Duration = Duration::from_secs(20);

/// Mismatches before it is given up.
const MOST: usize = 8;

/// Small and repeatable: Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[derive(Default)]
struct Tally {
    steps: u64,
    calls_over: u64,
    /// Calls that did not come back, since their task slept.
    asleep: u64,
    mnemonics: BTreeSet<String>,
    rules: BTreeMap<&'static str, u64>,
    origins: BTreeMap<String, u64>,
    mismatches: Vec<String>,
}

impl Tally {
    fn report(&self, what: &str) {
        println!(
            "{what}: {} instructions stepped, {} calls stepped over, {} asleep, {} distinct mnemonics, {} mismatches",
            self.steps,
            self.calls_over,
            self.asleep,
            self.mnemonics.len(),
            self.mismatches.len(),
        );
        println!("  by rule: {:?}", self.rules);
        println!("  by origin: {:?}", self.origins);
    }

    /// One `si`, held against what must come.
    fn step(&mut self, debuggee: &mut Debuggee, oracle: &Oracle) -> Stop {
        let expected = oracle.expect(debuggee);
        let from = debuggee.pc();
        let stop = debuggee.stop("si");
        self.check(debuggee, &expected, from, &stop);
        stop
    }

    /// As [`Self::step`]; false without one where the CPU waits for an interrupt, which another may
    /// have to send.
    fn steps_alone(&mut self, debuggee: &mut Debuggee, oracle: &Oracle, focus: Vcpu) -> bool {
        if matches!(oracle.expect(debuggee).rule, "halted" | "hlt") {
            return false;
        }
        let stop = self.step(debuggee, oracle);
        assert_eq!(stop.vcpu, focus);
        true
    }

    fn check(&mut self, debuggee: &mut Debuggee, expected: &Expected, from: Addr, stop: &Stop) {
        self.steps += 1;
        self.mnemonics.insert(expected.mnemonic.clone());
        *self.rules.entry(expected.rule).or_default() += 1;
        *self
            .origins
            .entry(stop.place.origin.to_string())
            .or_default() += 1;
        let counted = expected
            .left
            .is_none_or(|left| debuggee.number("$rcx") == left);
        if stop.place.addr != expected.next || stop.reason != StopReason::Step || !counted {
            self.mismatches.push(format!(
                "{from:?} {}: {} says {:?}, it went to {stop:?}",
                expected.text, expected.rule, expected.next
            ));
        }
    }

    /// `ni` over the call that stands there: behind it, in the same frame. A server's thread may sleep
    /// in it until a request comes, and none does.
    fn step_over(&mut self, debuggee: &mut Debuggee, expected: &Expected, behind: Addr) {
        let before = registers(debuggee);
        let task = debuggee.number("$_task->pid");
        let asked = debuggee.send("ni");
        let answer = debuggee.answer_within(asked, ASLEEP).unwrap_or_else(|| {
            debuggee.send("interrupt");
            debuggee.answer_to(asked)
        });
        let stop = match answer {
            Ok(Answer::Stopped(stop)) if stop.reason == StopReason::Interrupted => {
                let frames = match debuggee.ask(&format!("bt task {task}")) {
                    Answer::Backtrace(frames) => frames,
                    other => panic!("{other:?}"),
                };
                // Its caller waits for it to come back.
                if !frames.iter().any(|frame| frame.place.addr == behind) {
                    let call = &expected.text;
                    self.mismatches
                        .push(format!("ni over {call} missed {behind:?}: {frames:#?}"));
                }
                self.asleep += 1;
                return;
            }
            Ok(Answer::Stopped(stop)) => stop,
            // The one that knows that none comes.
            Err(failure) if failure.found.contains("does not return") => {
                debuggee.stop("si");
                return;
            }
            other => panic!("ni: {other:?}"),
        };
        self.calls_over += 1;
        let after = registers(debuggee);
        let same = ["rsp", "cr3"]
            .iter()
            .all(|name| before[*name] == after[*name]);
        if stop.place.addr != behind || !same {
            self.mismatches.push(format!(
                "ni over {}: {behind:?} is behind it, it went to {stop:?}",
                expected.text
            ));
        }
    }
}

/// At one of the places, or wherever it is after some time.
fn somewhere(debuggee: &mut Debuggee, chance: &mut Chance, places: &[&str]) -> Stop {
    let which = usize::try_from(chance.below(2 * places.len() as u64)).expect("a small number");
    if let Some(place) = places.get(which) {
        // Not every kernel has each.
        let _ = debuggee.try_ask(&format!("tb {place}"));
    }
    let id = debuggee.send("c");
    let wait = match places.get(which) {
        Some(_) => Duration::from_secs(3),
        None => Duration::from_micros(500 + chance.below(60_000)),
    };
    let answer = debuggee.answer_within(id, wait).unwrap_or_else(|| {
        debuggee.send("interrupt");
        debuggee.answer_to(id)
    });
    let _ = debuggee.try_ask("delete");
    match answer {
        Ok(Answer::Stopped(stop)) => stop,
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "boots an image"]
fn si_lands_on_the_architecturally_next_instruction() {
    let mut mismatches = Vec::new();
    for (i, (image, mode, places)) in DEMOS.into_iter().enumerate() {
        let mut debuggee = for_long(image, mode, 1);
        let oracle = Oracle::of(&mut debuggee);
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15 + i as u64);
        let mut tally = Tally::default();
        for _ in 0..STOPS {
            let from_app = somewhere(&mut debuggee, &mut chance, places)
                .place
                .origin
                .is_app_side();
            for _ in 0..STEPS {
                let expected = oracle.expect(&mut debuggee);
                // What the application calls comes back; a thread of the kernel may sleep for long.
                match expected.call {
                    Some(behind) if from_app && chance.below(4) == 0 => {
                        tally.step_over(&mut debuggee, &expected, behind);
                    }
                    _ => {
                        let from = debuggee.pc();
                        let stop = debuggee.stop("si");
                        tally.check(&mut debuggee, &expected, from, &stop);
                    }
                }
                if tally.mismatches.len() >= MOST {
                    break;
                }
            }
        }
        tally.report(&format!("{image}, {mode}"));
        mismatches.extend(tally.mismatches);
    }
    assert!(mismatches.is_empty(), "{mismatches:#?}");
}

/// At main, with as many operations to do as no test waits for.
fn for_long(image: &str, mode: Mode, smp: u32) -> Debuggee {
    Debuggee::boot(
        image,
        BootOptions {
            mode: Some(mode),
            smp,
            calls: Some(100_000_000),
            ..BootOptions::default()
        },
    )
    .unwrap_or_else(|why| panic!("{why}"))
}

/// The registers of the vCPU that is not in focus.
fn of_the_other(debuggee: &mut Debuggee) -> BTreeMap<String, u64> {
    debuggee.stop("vcpu next");
    let there = registers(debuggee);
    debuggee.stop("vcpu next");
    there
}

#[test]
#[ignore = "boots an image"]
fn only_the_vcpu_in_focus_moves() {
    let mut debuggee = for_long("crowd", Mode::Ukl, 2);
    let oracle = Oracle::of(&mut debuggee);
    let mut tally = Tally::default();
    let mut chance = Chance(77);
    for _ in 0..6 {
        let focus = somewhere(&mut debuggee, &mut chance, &["ksys_write"]).vcpu;
        let there = of_the_other(&mut debuggee);
        for _ in 0..40 {
            if !tally.steps_alone(&mut debuggee, &oracle, focus) {
                break;
            }
        }
        assert_eq!(of_the_other(&mut debuggee), there);
        // The other one, from where it stands.
        let focus = debuggee.stop("vcpu next").vcpu;
        let there = of_the_other(&mut debuggee);
        for _ in 0..20 {
            if !tally.steps_alone(&mut debuggee, &oracle, focus) {
                break;
            }
        }
        assert_eq!(of_the_other(&mut debuggee), there);
    }
    tally.report("2 vCPUs");
    assert!(tally.mismatches.is_empty(), "{:#?}", tally.mismatches);

    let failure = debuggee.try_ask("vcpu 2").unwrap_err();
    assert!(failure.found.contains("there are 2"), "{failure}");
    let Answer::Done(text) = debuggee.ask("stepping cpus on") else {
        panic!("a sentence was asked for");
    };
    assert!(text.contains("the other vCPUs go on"), "{text}");
}

/// With interrupts let in and time going on, the timer comes in some of the steps: it is handled, and
/// the step ends where it must all the same.
#[test]
#[ignore = "boots an image"]
fn an_interrupt_in_a_step_is_returned_from() {
    for mode in [Mode::Linux, Mode::Bypass] {
        let mut debuggee = Debuggee::at_main("syscalls", mode);
        let oracle = Oracle::of(&mut debuggee);
        debuggee.ask("stepping interrupts on");
        debuggee.ask("stepping time on");
        let mut tally = Tally::default();
        let mut interrupts = 0;
        for _ in 0..600 {
            let stop = tally.step(&mut debuggee, &oracle);
            interrupts += u32::from(stop.note.is_some_and(|note| note.contains("returned from")));
        }
        tally.report(&format!("{mode}, {interrupts} steps interrupted"));
        assert!(tally.mismatches.is_empty(), "{:#?}", tally.mismatches);
        assert!(interrupts > 0, "{mode}: no interrupt came");
    }
}
