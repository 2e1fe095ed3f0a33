use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::trace::fold::Fold;
use crate::trace::fold::tests::{Tape, functions, report};

/// A turn begins when `read` returns; `handler` is a GET.
fn spec() -> RequestSpec {
    RequestSpec {
        turn: vec!["read".to_owned()],
        kinds: [("handler".to_owned(), "GET".to_owned())].into(),
    }
}

fn fold(raw: &[u64]) -> Requests {
    let mut fold = Fold::new(functions()).with_requests(Some(&spec()));
    fold.take(0, 0, raw);
    report(&fold).requests.unwrap()
}

impl Tape {
    fn read(&mut self) -> &mut Self {
        self.read_up().read_down()
    }

    /// 10 + 30 + 4 instructions in the application, of which `handler` has 30.
    fn handle(&mut self) -> &mut Self {
        self.after(10, Kind::AppEntry, "handler")
            .after(30, Kind::AppReturn, "handler")
            .after(4, Kind::AppEntry, "main")
    }

    fn sleep(&mut self, others: u32) -> &mut Self {
        self.read_up()
            .after(2, Kind::Entry, "__switch_to_asm")
            .switch(0xb0, 0xc0)
            .after(others, Kind::Return, "vfs_read")
            .switch(0xc0, 0xb0)
            .after(4, Kind::Return, "__switch_to_asm")
            .read_down()
    }
}

#[test]
fn a_request_is_what_the_thread_executes_between_two_returns_of_the_wait() {
    let mut tape = Tape::in_app();
    tape.read();
    for _ in 0..3 {
        tape.handle().read();
    }
    let requests = fold(&tape.raw);
    let get = requests.kind("GET").unwrap();
    // 44 and the 50 up to the call; `read` has 47.
    assert_eq!((get.count, get.total.sum), (3, 3 * (44 + 50 + 47)));
    assert!(get.total.is_exact() && get.is_balanced());
    assert_eq!((get.parts.app.min, get.parts.entry.min), (94, 5));
    assert_eq!(get.boundary(), 3 * (5 + 9 + 3));
    assert_eq!(get.typical.count, 3);
    assert_eq!(get.typical.calls, ["read"]);
    assert_eq!((requests.unbalanced, requests.lost), (0, 0));
}

#[test]
fn interrupts_and_other_tasks_are_counted_beside_the_request() {
    let mut tape = Tape::in_app();
    tape.read()
        .handle()
        .after(3, Kind::InterruptEntry, "asm_sysvec_apic_timer_interrupt")
        .after(200, Kind::Iret, "asm_sysvec_apic_timer_interrupt")
        .sleep(900);
    let requests = fold(&tape.raw);
    let get = requests.kind("GET").unwrap();
    assert_eq!(get.total.sum, 44 + 3 + 50 + 47 + 2 + 4);
    assert_eq!((get.interrupts, get.others), (200, 900));
    assert_eq!(requests.unbalanced, 0);
}

#[test]
fn turns_without_a_request_or_with_several_are_told_apart() {
    let mut tape = Tape::in_app();
    tape.read().read().handle().handle().read().handle().read();
    let requests = fold(&tape.raw);
    assert_eq!(requests.kind("GET").unwrap().count, 1);
    assert_eq!((requests.idle.count, requests.idle.instructions), (1, 97));
    assert_eq!(requests.several.count, 1);
    assert_eq!(requests.several.instructions, 44 + 44 + 50 + 47);
}

#[test]
fn a_gap_gives_the_turn_up_and_says_so() {
    let mut tape = Tape::in_app();
    tape.read().handle();
    let mut fold = Fold::new(functions()).with_requests(Some(&spec()));
    fold.take(0, 0, &tape.raw);
    fold.gap(0);
    let requests = report(&fold).requests.unwrap();
    assert_eq!((requests.lost, requests.kinds.len()), (1, 0));
}

#[test]
fn a_function_that_is_jumped_to_returns_for_its_caller() {
    let mut tape = Tape::in_app();
    tape.read()
        .after(1, Kind::AppEntry, "main")
        .after(5, Kind::AppJump, "main")
        .after(0, Kind::AppEntry, "handler")
        .after(5, Kind::AppReturn, "handler")
        .read();
    assert_eq!(fold(&tape.raw).kind("GET").unwrap().count, 1);
}

proptest! {
    /// Whatever the records are, what is counted adds up.
    #[test]
    fn parts_always_add_up(raw in proptest::collection::vec((0u32..16, 0u32..20, any::<u32>()), 0..600)) {
        let mut clock = 0u32;
        let raw: Vec<u64> = raw
            .into_iter()
            .map(|(kind, function, ran)| {
                clock = clock.wrapping_add(ran % 1000);
                u64::from(kind << 28 | function) << 32 | u64::from(clock)
            })
            .collect();
        let mut tape = Tape::in_app();
        tape.read();
        tape.raw.extend(raw);
        for request in fold(&tape.raw).kinds {
            prop_assert!(request.is_balanced());
            prop_assert!(request.total.min <= request.total.max);
            prop_assert_eq!(request.typical.app + request.typical.phases.total(), request.typical.instructions);
        }
    }
}
