//! Reports of a run that goes on.

use super::tests::{Tape, functions, plain_run};
use super::*;

#[test]
fn a_class_that_was_told_of_stays_told_of() {
    let mut fold = Fold::new(functions());
    let mut told = Told::default();
    let mut tape = Tape::in_app();
    let mut live = |tape: &mut Tape, (few, most): (usize, usize)| {
        assert_eq!(fold.take(0, 0, &tape.raw), tape.raw.len());
        tape.raw.clear();
        let report = fold.live(&plain_run(), (few, most), &mut told);
        let classes = report.classes.iter();
        let rows: Vec<String> = classes
            .map(|class| format!("{} {}", class.call, class.count))
            .collect();
        (rows.join(", "), report.notes)
    };
    tape.read_up().read_down();
    assert_eq!(live(&mut tape, (1, 2)), ("read 1".to_owned(), Vec::new()));
    let timer = "asm_sysvec_apic_timer_interrupt";
    for _ in 0..2 {
        tape.after(9, Kind::InterruptEntry, timer)
            .after(700, Kind::Iret, timer);
    }
    let (rows, notes) = live(&mut tape, (1, 2));
    assert_eq!(
        rows,
        format!("{timer} 2, read 1"),
        "it is no longer the first"
    );
    assert_eq!(notes, Vec::<String>::new());
    let (rows, notes) = live(&mut tape, (1, 1));
    assert_eq!(rows, format!("{timer} 2"), "there is no room for it");
    assert_eq!(notes, ["1 rarer class, 1 crossing in all, is left out"]);
}
