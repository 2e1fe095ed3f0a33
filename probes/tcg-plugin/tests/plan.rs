//! What is planted in a block, by its bytes and the site table.

mod listed;

use listed::{block, listed};
use uklscope_tcg::led::Repeating;
use uklscope_tcg::plan::{Frame, Hook, Listed, Sites, What, executed, goes_on, hooks};
use uklscope_tcg::rests::Rests;
use wire::{Kind, Site, SiteFlags, Word};

const BASE: u64 = 0xffff_ffff_8100_0000;

fn check(block: &[Listed], sites: &[Site], expected: &[(usize, What)]) {
    let mut found = Vec::new();
    hooks(block, Sites(sites), &mut found);
    let expected: Vec<_> = expected
        .iter()
        .map(|(at, what)| Hook {
            at: *at,
            what: *what,
        })
        .collect();
    assert_eq!(found, expected);
}

fn record(kind: Kind, function: u32, after: bool) -> What {
    What::Record {
        word: Word::new(kind, function),
        after,
    }
}

const NOP: &[u8] = &[0x90];
const RET: &[u8] = &[0xc3];
const IRETQ: &[u8] = &[0x48, 0xcf];
const SYSRETQ: &[u8] = &[0x48, 0x0f, 0x07];
const JMP_RAX: &[u8] = &[0xff, 0xe0];
const SAVE_RSP: &[u8] = &[0x48, 0x89, 0xa7, 0x98, 0x0b, 0, 0];
const LOAD_RSP: &[u8] = &[0x48, 0x8b, 0xa6, 0x98, 0x0b, 0, 0];

/// Where a block lies in the guest's memory.
const PAGE: u32 = 7;

#[test]
fn entries_and_returns_are_recorded() {
    let sites = [Site::new(BASE, Kind::Entry, 5, 0)];
    check(
        &block(BASE, &[NOP, NOP, RET]),
        &sites,
        &[
            (0, record(Kind::Entry, 5, false)),
            (2, record(Kind::Return, 5, true)),
        ],
    );
}

#[test]
fn a_function_that_is_fallen_into_is_told_as_a_jump() {
    let sites = [
        Site::new(BASE, Kind::Entry, 5, 0),
        Site::new(BASE + 1, Kind::Entry, 6, 0),
        Site::new(BASE + 2, Kind::Entry, 7, SiteFlags::LABEL),
    ];
    check(
        &block(BASE, &[NOP, NOP, NOP]),
        &sites,
        &[
            (0, record(Kind::Entry, 5, false)),
            (1, record(Kind::Jump, 6, false)),
            (1, record(Kind::Entry, 6, false)),
            (2, record(Kind::Entry, 7, false)),
        ],
    );
}

#[test]
fn jumps_to_functions_and_by_registers_may_be_tail_calls() {
    let sites = [
        Site::new(BASE, Kind::Entry, 5, 0),
        Site::new(BASE + 0x40, Kind::Entry, 6, 0),
        Site::new(BASE + 0x60, Kind::Entry, 7, SiteFlags::LABEL),
        Site::new(BASE + 0x80, Kind::AppEntry, 8, 0),
    ];
    let jump = record(Kind::Jump, 5, true);
    let short_jump = |to: u8| [0xeb, to - 2 - 0x10];
    check(&block(BASE + 0x10, &[JMP_RAX]), &sites, &[(0, jump)]);
    check(
        &block(BASE + 0x10, &[&short_jump(0x40)]),
        &sites,
        &[(0, jump)],
    );
    check(&block(BASE + 0x10, &[&short_jump(0x41)]), &sites, &[]);
    check(&block(BASE + 0x10, &[&short_jump(0x60)]), &sites, &[]);
    check(
        &block(BASE + 0x90, &[JMP_RAX]),
        &sites,
        &[(0, record(Kind::AppJump, 8, true))],
    );
}

#[test]
fn a_call_that_leaves_the_application_s_own_code_is_recorded_with_its_place() {
    let sites = [
        Site::new(BASE, Kind::AppEntry, 5, SiteFlags::OWN),
        Site::new(BASE + 0x40, Kind::AppEntry, 6, SiteFlags::OWN),
        Site::new(BASE + 0x60, Kind::AppEntry, 7, 0),
        Site::new(BASE + 0x80, Kind::Entry, 8, 0),
    ];
    let from = BASE + 0x10;
    let call = record(Kind::AppCall, Word::place(from), true);
    let to = |target: u8| [0xe8, target - 5 - 0x10, 0, 0, 0];
    check(&block(from, &[&to(0x44)]), &sites, &[]);
    check(&block(from, &[&to(0x60)]), &sites, &[(0, call)]);
    check(&block(from, &[&to(0x80)]), &sites, &[(0, call)]);
    check(&block(from, &[&[0xff, 0xd0]]), &sites, &[(0, call)]);
    check(&block(from, &[&[0x0f, 0x05]]), &sites, &[(0, call)]);
    // A jump to another's beginning stands for a call and a return.
    let jump = record(Kind::AppJump, 5, true);
    let to = |target: u8| [0xeb, target - 2 - 0x10];
    check(&block(from, &[&to(0x60)]), &sites, &[(0, call), (0, jump)]);
    check(&block(from, &[&to(0x40)]), &sites, &[(0, jump)]);
    check(&block(from, &[&to(0x61)]), &sites, &[]);
    check(&block(from, &[JMP_RAX]), &sites, &[(0, call), (0, jump)]);
    // A switch goes on in a table of its own.
    let table = [0xff, 0x24, 0xc5, 0, 0, 0, 0];
    check(&block(from, &[&table]), &sites, &[(0, jump)]);
    // The libc's calls are not the application's own.
    check(&block(BASE + 0x65, &[&[0xff, 0xd0]]), &sites, &[]);
}

#[test]
fn only_the_entry_code_leaves_the_kernel() {
    let leaving = [Site::new(BASE, Kind::Entry, 5, SiteFlags::LEAVES)];
    let plain = [Site::new(BASE, Kind::Entry, 5, 0)];
    let iret = block(BASE + 8, &[IRETQ]);
    check(&iret, &leaving, &[(0, record(Kind::Iret, 5, true))]);
    check(&iret, &plain, &[]);
    let sysret = block(BASE + 8, &[SYSRETQ]);
    check(&sysret, &leaving, &[(0, record(Kind::Sysret, 5, true))]);
}

#[test]
fn the_way_back_by_a_return_is_told_as_an_iret_would_be() {
    let way_back = [Site::new(
        BASE,
        Kind::Entry,
        5,
        SiteFlags::LABEL | SiteFlags::LEAVES | SiteFlags::RETURNS,
    )];
    let left = [(0, record(Kind::Iret, 5, true))];
    check(&block(BASE + 8, &[RET]), &way_back, &left);
    check(&block(BASE + 8, &[JMP_RAX]), &way_back, &left);
    check(&block(BASE + 8, &[IRETQ]), &way_back, &left);
}

#[test]
fn a_switch_of_stacks_is_seen_in_its_function_alone() {
    let switches = [
        Site::new(BASE, Kind::Entry, 5, SiteFlags::SWITCHES),
        Site::new(BASE + 0x40, Kind::Entry, 6, 0),
    ];
    let body = [NOP, SAVE_RSP, LOAD_RSP];
    check(
        &block(BASE + 8, &body),
        &switches,
        &[(1, What::StackSaved), (2, What::StackLoaded)],
    );
    check(&block(BASE + 0x48, &body), &switches, &[]);
}

#[test]
fn nothing_is_recorded_outside_of_known_code() {
    let sites = [
        Site::new(BASE, Kind::Entry, 5, 0),
        Site::new(BASE + 0x40, Kind::Entry, 0, SiteFlags::END),
    ];
    check(&block(BASE + 0x40, &[NOP, RET]), &sites, &[]);
    check(&block(0x40_0000, &[NOP, RET]), &sites, &[]);
    check(&[], &sites, &[]);
}

#[test]
fn a_phantom_at_the_end_is_not_counted() {
    // `mov $imm32, %eax` of which one byte lies on this page.
    let cut = listed(0x1fff, &[0xb8]);
    let before = listed(0x1ffe, NOP);
    assert_eq!(executed(&[before, cut]), 1);
    // Alone in its block it is executed, whole.
    assert_eq!(executed(&[cut]), 1);
    // A whole instruction that ends at the page's end.
    assert_eq!(executed(&[before, listed(0x1fff, NOP)]), 2);
}

#[test]
fn what_is_left_out_is_its_callers() {
    let sites = [
        Site::new(BASE, Kind::Entry, 5, SiteFlags::QUIET),
        Site::new(BASE + 0x40, Kind::Entry, 6, 0),
        Site::new(BASE + 0x80, Kind::Entry, 7, 0),
    ];
    check(&block(BASE, &[NOP, RET]), &sites, &[]);
    // A jump from there to one that is recorded is a call of its caller's.
    check(&block(BASE + 0x10, &[&[0xeb, 0x2e]]), &sites, &[]);
    // A jump to it leaves the function that jumps; a conditional one may not.
    let back = [(0, record(Kind::Return, 6, true))];
    check(&block(BASE + 0x50, &[&[0xeb, 0xae]]), &sites, &back);
    check(&block(BASE + 0x50, &[&[0x74, 0xae]]), &sites, &[]);
    // Fallen into from there.
    let entered = [(1, record(Kind::Entry, 6, false))];
    check(&block(BASE + 0x3f, &[NOP, NOP]), &sites, &entered);
}

#[test]
fn a_piece_of_assembly_is_not_told_but_what_leaves_it_is() {
    let (label, inner) = (SiteFlags::LABEL, SiteFlags::INNER);
    let none = wire::record::NO_FUNCTION;
    let sites = [
        Site::new(BASE, Kind::Entry, 5, SiteFlags::LEAVES),
        Site::new(
            BASE + 1,
            Kind::Entry,
            none,
            label | inner | SiteFlags::LEAVES,
        ),
    ];
    let returns = [(2, record(Kind::Return, none, true))];
    check(&block(BASE + 1, &[NOP, NOP, RET]), &sites, &returns);
    let leaves = [
        (0, record(Kind::Entry, 5, false)),
        (1, record(Kind::Iret, none, true)),
    ];
    check(&block(BASE, &[NOP, IRETQ]), &sites, &leaves);
}

#[test]
fn of_quiet_code_of_the_application_a_system_call_is_told() {
    const SYSCALL: &[u8] = &[0x0f, 0x05];
    let quiet = |more| [Site::new(BASE, Kind::AppEntry, 5, SiteFlags::QUIET | more)];
    let calls = [(1, record(Kind::AppJump, 5, true))];
    check(
        &block(BASE, &[NOP, SYSCALL]),
        &quiet(SiteFlags::CALLS),
        &calls,
    );
    check(&block(BASE, &[NOP, SYSCALL]), &quiet(0), &[]);
    check(&block(BASE, &[NOP, RET]), &quiet(SiteFlags::CALLS), &[]);
}

#[test]
fn a_call_that_is_left_out_is_told_to_have_begun() {
    let sites = [Site::new(BASE, Kind::Entry, 5, SiteFlags::LEFT_OUT)];
    let expected = [
        (0, record(Kind::Entry, 5, false)),
        (0, What::LeaveOut),
        (1, record(Kind::Return, 5, true)),
    ];
    check(&block(BASE, &[NOP, RET]), &sites, &expected);
}

#[test]
fn of_blocks_of_one_instruction_those_are_watched_that_may_access_a_device() {
    let check = |bytes: &[u8], expected| assert_eq!(goes_on(&listed(BASE, bytes)), expected);
    // mov (%rax), %eax; mov %eax, (%rax)
    check(&[0x8b, 0x00], true);
    check(&[0x89, 0x00], true);
    check(PUSH_RSI, false);
    check(CALL, false);
    check(JMP_RAX, false);
    // rep stosb: its rounds are told apart.
    check(&[0xf3, 0xaa], false);
}

#[test]
fn recording_stops_before_and_starts_before_what_tells_so() {
    let both = SiteFlags::STARTS | SiteFlags::QUIET;
    let sites = [
        Site::new(BASE, Kind::Entry, 5, SiteFlags::STOPS),
        Site::new(BASE + 1, Kind::Entry, 6, both),
    ];
    let expected = [
        (0, What::Gate { open: false }),
        (0, record(Kind::Entry, 5, false)),
        (1, What::Gate { open: true }),
    ];
    check(&block(BASE, &[NOP, NOP]), &sites, &expected);
}

const PUSH_MINUS_1: &[u8] = &[0x6a, 0xff];
const PUSH_RSI: &[u8] = &[0x56];
const CALL: &[u8] = &[0xe8, 0, 1, 0, 0];

#[test]
fn a_fault_waits_for_the_first_push_of_its_handler() {
    let word = Word::new(Kind::FaultEntry, 5);
    let fault = |frame| What::Fault { word, frame };
    let handler = |more| {
        [Site::new(
            BASE,
            Kind::FaultEntry,
            5,
            SiteFlags::FAULTS | more,
        )]
    };
    // Without an error code the handler pushes another number.
    check(
        &block(BASE, &[NOP, PUSH_MINUS_1, CALL]),
        &handler(0),
        &[(0, fault(Frame::Plain)), (1, What::Pushed)],
    );
    // While the kernel starts it pushes the exception's number, too.
    check(
        &block(BASE, &[PUSH_MINUS_1, PUSH_MINUS_1, JMP_RAX]),
        &handler(0),
        &[
            (0, fault(Frame::Plain)),
            (0, What::Pushed),
            (2, record(Kind::Jump, 5, true)),
        ],
    );
    check(
        &block(BASE, &[PUSH_MINUS_1, JMP_RAX]),
        &handler(0),
        &[
            (0, fault(Frame::ErrorCode)),
            (0, What::Pushed),
            (1, record(Kind::Jump, 5, true)),
        ],
    );
    // With one, what it calls does, in a block of its own.
    check(
        &block(BASE, &[NOP, CALL]),
        &handler(0),
        &[(0, fault(Frame::ErrorCode))],
    );
    check(
        &block(BASE, &[NOP, CALL]),
        &handler(SiteFlags::PAGE_FAULTS),
        &[(0, fault(Frame::PageFault))],
    );
    // An interrupt's is no fault, but may come into an instruction.
    let word = Word::new(Kind::InterruptEntry, 5);
    let frame = Frame::Interrupt;
    check(
        &block(BASE, &[PUSH_MINUS_1, CALL]),
        &[Site::new(BASE, Kind::InterruptEntry, 5, 0)],
        &[(0, What::Fault { word, frame }), (0, What::Pushed)],
    );
    // Neither is to be seen.
    check(
        &block(BASE, &[NOP, NOP]),
        &handler(0),
        &[(0, record(Kind::FaultEntry, 5, false))],
    );
    let called = [Site::new(BASE, Kind::Entry, 6, SiteFlags::FRAMES)];
    let entry = Word::new(Kind::Entry, 6);
    check(
        &block(BASE, &[PUSH_RSI, NOP]),
        &called,
        &[(0, What::Framed { word: entry }), (0, What::Pushed)],
    );
    check(
        &block(BASE, &[NOP, NOP]),
        &called,
        &[(0, What::Unpushed), (0, record(Kind::Entry, 6, false))],
    );
}

#[test]
fn what_is_left_of_a_block_is_known_at_each_of_its_instructions() {
    let rests = Rests::default();
    // The last but one is the first page's last.
    let start = BASE + 0xffc;
    rests.keep(
        &block(start, &[NOP, RET, SAVE_RSP, NOP]),
        PAGE,
        Repeating::None,
    );
    let at = |offset| rests.at(start + offset).map(|rest| rest.insns);
    assert_eq!([0, 1, 2, 9].map(at), [Some(4), Some(3), Some(2), Some(1)]);
    assert_eq!([3, 10].map(at), [None, None], "no instruction begins there");
    assert_eq!(rests.at(BASE - 0x1000), None);
    // One that is executed again as a block of its own is still the same in the other.
    rests.keep(&block(start + 1, &[RET]), PAGE, Repeating::None);
    assert_eq!(at(1), Some(3));
    rests.keep(&block(start, &[NOP, RET]), PAGE, Repeating::None);
    assert_eq!([0, 1, 2].map(at), [Some(2), Some(1), Some(2)]);
}

#[test]
fn what_an_instruction_writes_is_of_its_block_or_not() {
    let rests = Rests::default();
    let start = BASE + 0x1010;
    rests.keep(
        &block(start, &[NOP, RET, SAVE_RSP, NOP]),
        PAGE,
        Repeating::None,
    );
    let at = start + 1;
    let reaches = |to: u64, bytes| rests.reaches(at, to, bytes);
    assert!(reaches(start, 1) && reaches(start + 9, 1), "in the block");
    assert!(reaches(start - 7, 8) && !reaches(start - 8, 8), "before it");
    assert!(!reaches(start + 10, 8), "behind it");
    assert!(
        !rests.reaches(BASE, BASE, 1),
        "nothing was translated there"
    );
}

#[test]
fn what_repeats_itself_is_counted_by_what_leads_to_it() {
    let rests = Rests::default();
    let rep_movsb: &[u8] = &[0xf3, 0xa4];
    let left = |from: u64| [0, 1].map(|at| rests.at(BASE + from + at).map(|rest| rest.insns));
    rests.keep(
        &block(BASE, &[NOP, rep_movsb]),
        PAGE,
        Repeating::Last { led: false },
    );
    assert_eq!(left(0), [Some(2), Some(1)]);
    let led = Repeating::Last { led: true };
    rests.keep(&block(BASE, &[NOP, rep_movsb]), PAGE, led);
    assert_eq!(left(0), [Some(2), None], "it stays counted");
    rests.keep(&block(BASE + 1, &[rep_movsb]), PAGE, led);
    assert_eq!(left(0), [Some(2), None], "further rounds count nothing");
    rests.keep(&block(BASE + 16, &[NOP, NOP]), PAGE, Repeating::Next);
    assert_eq!(left(16), [Some(3), Some(2)], "with the one behind");
}

#[test]
fn the_longest_block_that_ends_in_an_instruction_is_its_block() {
    let rests = Rests::default();
    let start = BASE + 0x1ff0;
    let at = start + 9;
    assert!(
        !rests.keep(&block(at, &[SAVE_RSP]), PAGE, Repeating::None),
        "the first time"
    );
    assert!(rests.reaches(at, at + 6, 1) && !rests.reaches(at, at - 1, 1));
    assert!(!rests.reaches(at, at + 7, 1), "the next page");
    assert!(rests.keep(
        &block(start, &[SAVE_RSP, NOP, NOP, SAVE_RSP]),
        PAGE,
        Repeating::None
    ));
    assert!(rests.reaches(at, start, 1));
    assert!(rests.keep(&block(start + 8, &[NOP, SAVE_RSP]), PAGE, Repeating::None));
    assert!(rests.reaches(at, start, 1), "the longer one is still there");
    assert!(rests.keep(&block(at, &[SAVE_RSP]), PAGE, Repeating::None));
    assert!(rests.reaches(at, start, 1), "executed again alone");
    // Other code.
    rests.keep(
        &block(start + 8, &[NOP, SAVE_RSP, NOP]),
        PAGE,
        Repeating::None,
    );
    assert!(rests.reaches(at, start + 8, 1) && !rests.reaches(at, start, 1));
}

#[test]
fn where_other_code_lay_what_is_left_is_not_sure() {
    let rests = Rests::default();
    let left = || rests.at(BASE).map(|rest| (rest.insns, rest.ambiguous));
    rests.keep(&block(BASE, &[NOP, NOP, RET]), PAGE, Repeating::None);
    // The same code of another program, and changed in its place.
    rests.keep(&block(BASE, &[NOP, NOP, RET]), PAGE + 1, Repeating::None);
    rests.keep(&block(BASE, &[NOP, RET]), PAGE + 1, Repeating::None);
    assert_eq!(left(), Some((2, false)));
    rests.keep(&block(BASE, &[NOP, NOP, RET]), PAGE, Repeating::None);
    assert_eq!(left(), Some((3, true)));
}
