use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};
use wire::Record;

use super::*;
use crate::crossing::{CrossingKind, Mode};
use crate::origin::Origin;
use crate::profile::Profile;
use crate::trace::functions::Function;
use crate::trace::report::{Class, Node, Report};

/// Functions numbered from 1 in this order.
const NAMES: &[(&str, bool)] = &[
    ("entry_SYSCALL_64", false),
    ("do_syscall_64", false),
    ("__x64_sys_read", false),
    ("vfs_read", false),
    ("swapgs_restore_regs_and_return_to_usermode", true),
    ("asm_exc_page_fault", false),
    ("asm_sysvec_apic_timer_interrupt", false),
    ("ukl_bypass_syscall", false),
    ("ukl_tcp_sendmsg", false),
    ("tcp_sendmsg", false),
    ("main", false),
    ("ukl_full_syscall", false),
    ("__switch_to_asm", false),
    ("__x64_sys_rt_sigreturn", false),
    ("handler", false),
    ("__x64_sys_execve", false),
];

pub(super) fn plain_run() -> Run {
    Run {
        mode: Mode::Linux.into(),
        engine: "plugin".to_owned(),
        lost: 0,
        insns: 0,
        notes: Vec::new(),
    }
}

pub(super) fn functions() -> Functions {
    let mut functions = Functions::of(Profile::recognise(|name| name == "__ukl_text_start"));
    for (name, label) in NAMES {
        functions.push(Function {
            name: (*name).to_owned(),
            origin: if matches!(*name, "main" | "handler") {
                Origin::App
            } else {
                Origin::Unknown
            },
            label: *label,
            file: None,
        });
    }
    functions
}

fn word(kind: Kind, name: &str) -> Word {
    let at = NAMES.iter().position(|(known, _)| *known == name);
    let number = at.map_or(0, |at| u32::try_from(at + 1).unwrap());
    Word::new(kind, number)
}

/// Writes records as a probe would.
#[derive(Default)]
pub(super) struct Tape {
    clock: u32,
    switches: u64,
    pub(super) raw: Vec<u64>,
}

impl Tape {
    /// In the application, which is known to be one.
    pub(super) fn in_app() -> Self {
        let mut tape = Self {
            clock: 1000,
            ..Self::default()
        };
        tape.switch(0xa0, 0xb0);
        tape.after(1, Kind::AppEntry, "main");
        tape
    }

    /// Not known to be anywhere.
    pub(super) fn at(clock: u32) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    pub(super) fn resume(&mut self, gate: u32) -> &mut Self {
        let word = Word::new(Kind::Resume, gate);
        let clock = self.clock;
        self.raw.push(Record { clock, word }.encode());
        self
    }

    pub(super) fn after(&mut self, instructions: u32, kind: Kind, name: &str) -> &mut Self {
        self.clock = self.clock.wrapping_add(instructions);
        self.raw.push(
            Record {
                clock: self.clock,
                word: word(kind, name),
            }
            .encode(),
        );
        self
    }

    pub(super) fn switch(&mut self, from: u64, to: u64) -> &mut Self {
        self.switch_after(0, from, to)
    }

    pub(super) fn switch_after(&mut self, instructions: u32, from: u64, to: u64) -> &mut Self {
        let number = self.switches;
        self.switches += 1;
        self.numbered_switch(instructions, from, to, number)
    }

    /// As one of several vCPUs does it.
    pub(super) fn numbered_switch(
        &mut self,
        instructions: u32,
        from: u64,
        to: u64,
        number: u64,
    ) -> &mut Self {
        self.after(instructions, Kind::Switch, "");
        self.raw.extend([from, to, number]);
        self
    }

    /// `read` up to and with the entry of `vfs_read`: 5 + 7 + 9 instructions.
    pub(super) fn read_up(&mut self) -> &mut Self {
        self.after(50, Kind::SyscallEntry, "entry_SYSCALL_64")
            .after(5, Kind::Entry, "do_syscall_64")
            .after(7, Kind::Entry, "__x64_sys_read")
            .after(9, Kind::Entry, "vfs_read")
    }

    /// And back: 20 + 1 + 2 + 3 instructions.
    pub(super) fn read_down(&mut self) -> &mut Self {
        self.after(20, Kind::Return, "vfs_read")
            .after(1, Kind::Return, "__x64_sys_read")
            .after(2, Kind::Return, "do_syscall_64")
            .after(3, Kind::Sysret, "entry_SYSCALL_64")
    }

    fn report(&self) -> Report {
        let mut fold = Fold::new(functions());
        fold.take(0, 0, &self.raw);
        report(&fold)
    }
}

pub(super) fn report(fold: &Fold) -> Report {
    let run = Run {
        mode: Mode::Bypass.into(),
        engine: "test".to_owned(),
        lost: 0,
        insns: 0,
        notes: Vec::new(),
    };
    fold.report(&run, 100)
}

fn only(report: &Report) -> &Class {
    assert_eq!(report.classes.len(), 1, "{:?}", report.classes);
    &report.classes[0]
}

/// `depth symbol own` per function.
fn shape(node: &Node) -> Vec<String> {
    fn walk(node: &Node, depth: usize, out: &mut Vec<String>) {
        out.push(format!("{depth} {} {}", node.symbol, node.own));
        node.children
            .iter()
            .for_each(|child| walk(child, depth + 1, out));
    }
    let mut out = Vec::new();
    walk(node, 0, &mut out);
    out
}

#[test]
fn a_system_call_is_folded_with_own_and_total_counts() {
    let mut tape = Tape::in_app();
    for _ in 0..3 {
        tape.read_up().read_down();
    }
    let report = tape.report();
    let class = only(&report);
    assert_eq!(
        (class.kind, class.call.as_str()),
        (CrossingKind::Syscall, "read")
    );
    assert_eq!(
        (class.count, class.instructions, class.exact),
        (3, 47, true)
    );
    assert_eq!(
        shape(&class.path),
        [
            "0 entry_SYSCALL_64 8",
            "1 do_syscall_64 9",
            "2 __x64_sys_read 10",
            "3 vfs_read 20"
        ]
    );
    assert_eq!(class.path.total, 47);
    assert_eq!(class.phases.total(), 47);
    assert_eq!((class.phases.entry, class.phases.exit), (5, 3));
}

#[test]
fn one_path_with_several_counts_is_one_class_that_is_not_exact() {
    let mut tape = Tape::in_app();
    tape.read_up().read_down().read_up().read_down();
    tape.read_up().after(4, Kind::Jump, "vfs_read").read_down();
    let report = tape.report();
    let class = only(&report);
    assert_eq!((class.count, class.instructions), (3, 47));
    assert_eq!((class.min, class.max, class.exact), (47, 51, false));
}

#[test]
fn an_interrupt_is_cut_out_and_counted_by_itself() {
    let mut tape = Tape::in_app();
    tape.read_up().read_down();
    tape.read_up()
        .after(3, Kind::InterruptEntry, "asm_sysvec_apic_timer_interrupt")
        .after(200, Kind::Iret, "asm_sysvec_apic_timer_interrupt")
        .after(17, Kind::Return, "vfs_read")
        .after(1, Kind::Return, "__x64_sys_read")
        .after(2, Kind::Return, "do_syscall_64")
        .after(3, Kind::Sysret, "entry_SYSCALL_64");
    let report = tape.report();
    let found: Vec<_> = report
        .classes
        .iter()
        .map(|class| {
            (
                class.call.as_str(),
                class.count,
                class.instructions,
                class.interrupted,
            )
        })
        .collect();
    assert_eq!(found.len(), 3);
    assert!(found.contains(&("read", 1, 47, false)));
    assert!(found.contains(&("read", 1, 47, true)));
    assert!(found.contains(&("asm_sysvec_apic_timer_interrupt", 1, 200, false)));
    let ids: std::collections::BTreeSet<_> = report.classes.iter().map(|class| &class.id).collect();
    assert_eq!(ids.len(), 3, "an interrupted variant is a class of its own");
}

#[test]
fn a_call_that_sleeps_resumes_its_own_path() {
    let mut tape = Tape::in_app();
    tape.read_up()
        .after(2, Kind::Entry, "__switch_to_asm")
        .switch_after(6, 0xb0, 0xc0);
    // The other task makes a whole call of its own, and sleeps where the first one did.
    tape.after(4, Kind::Return, "__switch_to_asm")
        .after(900, Kind::AppEntry, "main");
    tape.read_up().read_down();
    tape.read_up()
        .after(2, Kind::Entry, "__switch_to_asm")
        .switch_after(6, 0xc0, 0xb0);
    tape.after(4, Kind::Return, "__switch_to_asm").read_down();
    let report = tape.report();
    let slept = report
        .classes
        .iter()
        .find(|class| class.interrupted)
        .unwrap();
    assert_eq!(
        (slept.call.as_str(), slept.count, slept.instructions),
        ("read", 1, 47 + 12)
    );
    assert!(
        shape(&slept.path).contains(&"4 __switch_to_asm 10".to_owned()),
        "{:?}",
        shape(&slept.path)
    );
    let whole = report
        .classes
        .iter()
        .find(|class| !class.interrupted)
        .unwrap();
    assert_eq!((whole.count, whole.instructions), (1, 47));
    assert_eq!(
        report.notes,
        ["1 crossing had not returned when the recording ended"]
    );
}

#[test]
fn a_bypass_ends_by_the_return_of_its_entry() {
    let mut tape = Tape::in_app();
    tape.after(9, Kind::Entry, "ukl_bypass_syscall")
        .after(29, Kind::Entry, "__x64_sys_read")
        .after(45, Kind::Return, "__x64_sys_read")
        .after(13, Kind::Return, "ukl_bypass_syscall")
        .after(4, Kind::AppReturn, "main");
    let report = tape.report();
    let class = only(&report);
    assert_eq!(
        (class.kind, class.call.as_str()),
        (CrossingKind::Bypass, "read")
    );
    assert_eq!((class.instructions, class.interrupted), (87, false));
    assert_eq!(
        (class.phases.entry, class.phases.service, class.phases.exit),
        (29, 45, 13)
    );
}

#[test]
fn a_bypass_that_falls_to_the_full_path_says_so() {
    let mut tape = Tape::in_app();
    tape.after(9, Kind::Entry, "ukl_bypass_syscall")
        .after(2, Kind::AppEntry, "ukl_full_syscall");
    tape.read_up().read_down();
    let report = tape.report();
    let found: Vec<_> = report
        .classes
        .iter()
        .map(|class| (class.kind, class.call.as_str(), class.instructions))
        .collect();
    assert!(
        found.contains(&(CrossingKind::Bypass, "(full path)", 2)),
        "{found:?}"
    );
    assert!(
        found.contains(&(CrossingKind::Syscall, "read", 47)),
        "{found:?}"
    );
}

#[test]
fn a_tail_call_is_shown_under_its_caller_and_returns_for_it() {
    let mut tape = Tape::in_app();
    tape.after(9, Kind::Entry, "ukl_tcp_sendmsg")
        .after(10, Kind::Jump, "ukl_tcp_sendmsg")
        .after(0, Kind::Entry, "tcp_sendmsg")
        .after(30, Kind::Return, "tcp_sendmsg");
    let report = tape.report();
    let class = only(&report);
    assert_eq!(
        (class.kind, class.call.as_str()),
        (CrossingKind::Shortcut, "tcp_sendmsg")
    );
    assert_eq!(
        shape(&class.path),
        ["0 ukl_tcp_sendmsg 10", "1 tcp_sendmsg 30"]
    );
}

#[test]
fn a_jump_inside_a_function_is_no_call() {
    let mut tape = Tape::in_app();
    tape.after(9, Kind::Entry, "ukl_tcp_sendmsg")
        .after(10, Kind::Jump, "ukl_tcp_sendmsg")
        .after(1, Kind::Entry, "tcp_sendmsg")
        .after(30, Kind::Return, "tcp_sendmsg")
        .after(2, Kind::Return, "ukl_tcp_sendmsg");
    assert_eq!(
        shape(&only(&tape.report()).path),
        ["0 ukl_tcp_sendmsg 13", "1 tcp_sendmsg 30"]
    );
}

#[test]
fn pieces_of_entry_assembly_follow_each_other() {
    let mut tape = Tape::in_app();
    tape.read_up()
        .after(20, Kind::Return, "vfs_read")
        .after(1, Kind::Return, "__x64_sys_read")
        .after(2, Kind::Return, "do_syscall_64")
        .after(6, Kind::Entry, "swapgs_restore_regs_and_return_to_usermode")
        .after(11, Kind::Iret, "swapgs_restore_regs_and_return_to_usermode");
    let report = tape.report();
    let class = only(&report);
    assert_eq!(
        shape(&class.path).last().unwrap(),
        "1 swapgs_restore_regs_and_return_to_usermode 11"
    );
    assert_eq!((class.instructions, class.phases.exit), (61, 17));
}

#[test]
fn a_fault_of_the_application_is_a_crossing_and_one_of_the_kernel_alone_is_none() {
    let fault = |tape: &mut Tape| {
        tape.after(3, Kind::FaultEntry, "asm_exc_page_fault").after(
            400,
            Kind::Iret,
            "asm_exc_page_fault",
        );
    };
    let mut kernel = Tape::default();
    fault(&mut kernel);
    assert!(kernel.report().classes.is_empty());
    let mut app = Tape::in_app();
    fault(&mut app);
    let report = app.report();
    assert_eq!(
        (only(&report).kind, only(&report).instructions),
        (CrossingKind::Fault, 400)
    );
}

#[test]
fn a_signal_handler_does_not_end_the_call_it_interrupts() {
    let mut tape = Tape::in_app();
    tape.after(9, Kind::Entry, "ukl_bypass_syscall")
        .after(1, Kind::InterruptEntry, "asm_sysvec_apic_timer_interrupt")
        .after(300, Kind::Iret, "asm_sysvec_apic_timer_interrupt")
        .after(0, Kind::AppEntry, "handler")
        .after(30, Kind::SyscallEntry, "entry_SYSCALL_64")
        .after(5, Kind::Entry, "__x64_sys_rt_sigreturn")
        .after(9, Kind::Return, "__x64_sys_rt_sigreturn")
        .after(9, Kind::Iret, "entry_SYSCALL_64")
        .after(28, Kind::Entry, "__x64_sys_read")
        .after(45, Kind::Return, "__x64_sys_read")
        .after(13, Kind::Return, "ukl_bypass_syscall");
    let report = tape.report();
    let bypass = report
        .classes
        .iter()
        .find(|class| class.kind == CrossingKind::Bypass)
        .unwrap();
    assert_eq!(
        (
            bypass.call.as_str(),
            bypass.instructions,
            bypass.interrupted
        ),
        ("read", 87, true)
    );
    assert!(
        !report
            .classes
            .iter()
            .any(|class| class.kind == CrossingKind::Shortcut)
    );
}

#[test]
fn a_neighbours_calls_are_not_the_applications() {
    let mut tape = Tape::in_app();
    tape.read_up()
        .after(2, Kind::Entry, "__switch_to_asm")
        .switch(0xb0, 0xc0);
    // A process beside the application: nothing of the application's is entered in it.
    tape.after(4, Kind::Return, "__switch_to_asm")
        .after(3, Kind::Sysret, "entry_SYSCALL_64")
        .read_up()
        .read_down()
        .after(3, Kind::FaultEntry, "asm_exc_page_fault")
        .after(400, Kind::Iret, "asm_exc_page_fault")
        .read_up()
        .switch(0xc0, 0xb0)
        .after(4, Kind::Return, "__switch_to_asm")
        .read_down();
    let report = tape.report();
    assert_eq!(only(&report).count, 1);
    assert_eq!(only(&report).instructions, 47 + 2 + 4);
}

#[test]
fn a_new_task_is_the_applications_once_its_code_runs_there() {
    let mut tape = Tape::in_app();
    tape.read_up().switch(0xb0, 0xc0);
    tape.after(1, Kind::TaskStart, "")
        .after(9, Kind::Iret, "entry_SYSCALL_64")
        .read_up()
        .read_down();
    assert!(tape.report().classes.is_empty());
    tape.after(5, Kind::AppReturn, "main").read_up().read_down();
    assert_eq!(only(&tape.report()).count, 1);
}

#[test]
fn another_program_in_the_same_task_is_not_the_application() {
    let exec = |tape: &mut Tape| {
        tape.after(50, Kind::SyscallEntry, "entry_SYSCALL_64")
            .after(5, Kind::Entry, "__x64_sys_execve")
            .after(5, Kind::Return, "__x64_sys_execve")
            .after(3, Kind::Sysret, "entry_SYSCALL_64");
    };
    let count = |tape: &Tape| {
        let report = tape.report();
        let reads = report.classes.iter().filter(|class| class.call == "read");
        reads.map(|class| class.count).sum::<u64>()
    };
    let mut tape = Tape::in_app();
    exec(&mut tape);
    tape.read_up().read_down();
    assert_eq!(count(&tape), 0);
    // It failed: the application's code goes on.
    let mut tape = Tape::in_app();
    exec(&mut tape);
    tape.after(3, Kind::AppReturn, "main").read_up().read_down();
    assert_eq!(count(&tape), 1);
}

#[test]
fn a_crossing_that_loops_for_long_is_given_up_alone() {
    let mut tape = Tape::in_app();
    tape.read_up();
    for i in 0..LONGEST {
        tape.after(i, Kind::Entry, "vfs_read")
            .after(1, Kind::Return, "vfs_read");
    }
    tape.after(3, Kind::InterruptEntry, "asm_sysvec_apic_timer_interrupt")
        .after(200, Kind::Iret, "asm_sysvec_apic_timer_interrupt")
        .after(4, Kind::Entry, "vfs_read")
        .after(1, Kind::Return, "vfs_read")
        .read_down()
        .after(4, Kind::AppReturn, "main")
        .read_up()
        .read_down();
    let report = tape.report();
    assert_eq!(
        (only(&report).call.as_str(), only(&report).count),
        ("read", 1)
    );
    assert!(
        report.notes[0].contains("more than 65536 steps"),
        "{:?}",
        report.notes
    );
}

#[test]
fn a_gap_drops_what_is_open_and_is_said() {
    let mut fold = Fold::new(functions());
    let mut before = Tape::in_app();
    before.read_up();
    fold.take(0, 0, &before.raw);
    fold.gap(0);
    let mut after = Tape {
        clock: 7,
        ..Tape::default()
    };
    after
        .read_down()
        .after(5, Kind::AppEntry, "main")
        .read_up()
        .read_down();
    fold.take(0, 0, &after.raw);
    let report = report(&fold);
    assert_eq!(only(&report).count, 1);
    assert!(
        report.notes[0].starts_with("1 gap in the records"),
        "{:?}",
        report.notes
    );
}

#[test]
fn a_clock_whose_low_half_wraps_is_followed() {
    let mut tape = Tape::in_app();
    tape.clock = u32::MAX - 60;
    tape.read_up().read_down();
    assert_eq!(only(&tape.report()).instructions, 47);
}

proptest! {
    /// Where a chunk ends makes no difference.
    #[test]
    fn records_may_come_in_pieces(cut in 0usize..40) {
        let mut tape = Tape::in_app();
        tape.read_up().switch_after(2, 0xb0, 0xc0);
        tape.after(4, Kind::Return, "x").switch(0xc0, 0xb0).read_down().read_up().read_down();
        let cut = cut.min(tape.raw.len());
        let mut fold = Fold::new(functions());
        let taken = fold.take(0, 0, &tape.raw[..cut]);
        fold.take(0, 0, &tape.raw[taken..]);
        prop_assert_eq!(report(&fold), tape.report());
    }

    #[test]
    fn no_records_make_the_fold_panic(raw in proptest::collection::vec((0u32..16, 0u32..20, any::<u32>()), 0..400)) {
        let mut fold = Fold::new(functions());
        let raw: Vec<u64> = raw
            .into_iter()
            .map(|(kind, function, clock)| u64::from(kind << 28 | function) << 32 | u64::from(clock % 1000))
            .collect();
        fold.take(0, 0, &raw);
        for class in report(&fold).classes {
            prop_assert_eq!(class.path.total, class.instructions);
            prop_assert!(class.min <= class.instructions && class.instructions <= class.max);
        }
    }
}
