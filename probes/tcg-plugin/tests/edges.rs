//! Two clocks compared, told in the mapping.

use std::sync::atomic::Ordering;

use uklscope_tcg::edges::{Edges, Stamps};
use wire::layout::DIFFERENCES;
use wire::{Checks, Kind, Word};

fn stamps(by_block: u64, by_instruction: u64) -> Stamps {
    Stamps {
        by_block,
        by_instruction,
    }
}

#[test]
fn an_edge_differs_where_the_two_clocks_went_on_by_different_lengths() {
    // SAFETY: atomics, for which zero is a value.
    let checks: &'static Checks = Box::leak(Box::new(unsafe { std::mem::zeroed() }));
    let mut edges = Edges::new(checks);
    let word = |function| Word::new(Kind::Entry, function);
    edges.end(stamps(100, 90), word(1));
    edges.end(stamps(110, 100), word(2));
    edges.end(stamps(125, 112), word(3));
    edges.end(stamps(126, 113), word(4));
    let load = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    assert_eq!([&checks.edges, &checks.differing].map(load), [3, 1]);
    let first = &checks.first[0];
    assert_eq!([&first.by_block, &first.by_instruction].map(load), [15, 12]);
    let words = [&first.from, &first.to].map(|word| Word(word.load(Ordering::Relaxed)));
    assert_eq!(words, [word(2), word(3)]);
    // More of them than are told in full.
    for more in 0..2 * DIFFERENCES as u64 {
        edges.end(stamps(126 + 2 * more, 113 + more), word(5));
    }
    assert_eq!(load(&checks.edges), 3 + 2 * DIFFERENCES as u64);
    assert_eq!(load(&checks.differing), 2 * DIFFERENCES as u64);
}
