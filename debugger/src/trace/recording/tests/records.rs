//! Recordings with records: what was written comes back, wherever the bytes end or are wrong.

use proptest::prelude::proptest;
use proptest::{prop_assert, prop_assert_eq};
use wire::record::SWITCH_NUMBERS as NUMBERS;
use wire::{Kind, Record, Word};

use super::super::*;
use super::sample;
use crate::crossing::Mode;
use crate::origin::Origin;
use crate::profile::Profile;
use crate::trace::timeline::{Entered, SCALES, Span, shift};

/// Functions numbered from 1 in this order.
const NAMES: &[(&str, Origin)] = &[
    ("main", Origin::App),
    ("entry_SYSCALL_64", Origin::Entry),
    ("do_syscall_64", Origin::Entry),
    ("__x64_sys_getppid", Origin::Unknown),
    ("asm_sysvec_apic_timer_interrupt", Origin::Entry),
    ("ukl_bypass_syscall", Origin::Entry),
    ("write", Origin::Libc),
    ("__switch_to_asm", Origin::Entry),
];

fn made() -> Made {
    let unknown = ("unknown", Origin::Unknown);
    let names = std::iter::once(&unknown).chain(NAMES);
    Made {
        mode: Mode::Ukl.into(),
        engine: "plugin".to_owned(),
        qemu: "7.2".to_owned(),
        plugin: "0".to_owned(),
        append: "ukl.mode=ukl".to_owned(),
        profile: (*Profile::recognise(|name| name == "__ukl_text_start")).clone(),
        request: None,
        functions: names
            .map(|(name, origin)| Named {
                name: (*name).to_owned(),
                origin: *origin,
                label: false,
                file: None,
                address: 0xffff_ffff_8100_0000,
            })
            .collect(),
    }
}

/// Writes records as a probe would.
pub(super) struct Tape {
    pub(super) clock: u64,
    raw: Vec<u64>,
}

impl Tape {
    fn after(&mut self, instructions: u64, kind: Kind, name: &str) -> &mut Self {
        let function = NAMES.iter().position(|(known, _)| *known == name);
        let function = function.map_or(0, |at| u32::try_from(at + 1).unwrap());
        self.clock += instructions;
        let record = Record {
            clock: u32::try_from(self.clock & 0xffff_ffff).unwrap(),
            word: Word::new(kind, function),
        };
        self.raw.push(record.encode());
        self
    }

    /// 60 instructions, of which 3 + 5 + 20 + 2 + 3 in the kernel.
    fn getppid(&mut self) {
        self.after(10, Kind::AppEntry, "write")
            .after(7, Kind::SyscallEntry, "entry_SYSCALL_64")
            .after(3, Kind::Entry, "do_syscall_64")
            .after(5, Kind::Entry, "__x64_sys_getppid")
            .after(20, Kind::Return, "__x64_sys_getppid")
            .after(2, Kind::Return, "do_syscall_64")
            .after(3, Kind::Sysret, "entry_SYSCALL_64")
            .after(10, Kind::AppReturn, "write");
    }

    /// 40 instructions in the middle of whatever runs.
    fn interrupt(&mut self) {
        self.after(1, Kind::InterruptEntry, "asm_sysvec_apic_timer_interrupt")
            .after(39, Kind::Iret, "asm_sysvec_apic_timer_interrupt");
    }

    fn switch(&mut self, from: u64, to: u64) {
        self.after(1, Kind::Switch, "");
        let order = self.raw.len() as u64;
        let numbers = [from, to, order];
        self.raw.extend(&numbers[..NUMBERS]);
    }
}

const TASKS: [u64; 2] = [0xffff_c900_0000_1000, 0xffff_c900_0000_2000];

/// A run of two tasks; the clock passes 2³².
pub(super) fn tape(rounds: u64) -> Tape {
    let mut tape = Tape {
        clock: (1 << 32) - 2000,
        raw: Vec::new(),
    };
    tape.after(0, Kind::AppEntry, "main");
    for round in 0..rounds {
        tape.getppid();
        tape.after(5, Kind::AppEntry, "write")
            .after(7, Kind::SyscallEntry, "entry_SYSCALL_64")
            .after(3, Kind::Entry, "do_syscall_64");
        tape.interrupt();
        let turn = usize::from(round % 2 == 1);
        tape.switch(TASKS[turn], TASKS[1 - turn]);
        if round > 0 {
            tape.after(2, Kind::Return, "do_syscall_64")
                .after(3, Kind::Sysret, "entry_SYSCALL_64")
                .after(10, Kind::AppReturn, "write");
        } else {
            tape.after(3, Kind::AppEntry, "main");
        }
    }
    tape
}

pub(super) fn write(tape: &Tape, chunk: usize, stretch: usize, lost: &[u64]) -> Vec<u8> {
    let head = sample().head;
    let mut writer = Writer::begin(Vec::new(), &head)
        .unwrap()
        .with_stretches(stretch);
    writer.run(&made()).unwrap();
    let mut clock = tape.raw[0] & 0xffff_ffff;
    let mut at = 0;
    for sequence in 0_usize.. {
        // Not between a switch and its numbers, as no probe does either.
        let mut end = (at + chunk).min(tape.raw.len());
        while end < tape.raw.len()
            && (end == at || tape.raw[end] >> 60 == 15 || tape.raw[end] >> 60 == 0)
        {
            end += 1;
        }
        let records = &tape.raw[at..end];
        clock += records[0].wrapping_sub(clock) & 0xffff_ffff;
        let lost = lost.get(sequence).or(lost.last()).copied();
        let chunk = Chunk {
            vcpu: 0,
            sequence: sequence as u64,
            clock,
            lost: lost.unwrap_or(0),
            records,
        };
        writer.take(chunk).unwrap();
        at = end;
        if at == tape.raw.len() {
            break;
        }
    }
    writer.report(&sample().runs[0]).unwrap();
    writer.finish().unwrap()
}

fn raw(stored: &Stored<Vec<u8>>) -> Vec<u64> {
    let stretches = (0..stored.runs()[0].stretches(0).count()).map(|at| stored.raw(0, 0, at));
    stretches
        .flatten()
        .flat_map(|(_, records)| records)
        .collect()
}

fn spans(stored: &Stored<Vec<u8>>, range: std::ops::Range<u64>) -> Vec<Span> {
    let (spans, issues) = stored.spans(0, 0, range);
    assert_eq!(issues, []);
    spans
}

#[test]
fn records_come_back_as_they_were() {
    let tape = tape(100);
    let bytes = write(&tape, 37, 64, &[]);
    let stored = Stored::open(bytes).unwrap();
    assert_eq!(stored.issues(), []);
    let run = &stored.runs()[0];
    assert!(run.stretches(0).count() > 20);
    assert_eq!(raw(&stored), tape.raw);
    assert_eq!(run.extent(0), (1 << 32) - 2000..tape.clock + 1);
    assert_eq!(run.made, Some(made()));
    assert_eq!(run.report.as_ref(), sample().runs.first());
    let events: Vec<Event> = stored.events(0, 0, run.extent(0)).collect();
    let switches = events
        .iter()
        .filter(|event| matches!(event.what, What::Switch { .. }));
    assert_eq!(switches.count(), 100);
    assert_eq!(events.len() + 100 * NUMBERS, tape.raw.len());
    assert_eq!(events.last().map(|event| event.clock), Some(tape.clock));
}

#[test]
fn calls_are_followed_through_interrupts_and_switches() {
    let tape = tape(100);
    let stored = Stored::open(write(&tape, 37, 64, &[])).unwrap();
    let whole = stored.runs()[0].extent(0);
    let all = spans(&stored, whole);
    let of = |entered| all.iter().filter(move |span| span.entered == entered);
    assert_eq!(of(Entered::Interrupt).count(), 100);
    assert!(of(Entered::Interrupt).all(|span| span.instructions == 39));
    let calls: Vec<&Span> = of(Entered::Syscall).collect();
    assert_eq!(calls.len(), 200);
    // The first ones of a round are alone; what interrupts the others is cut out of them.
    let counts = |wanted| {
        calls
            .iter()
            .filter(|span| span.instructions == wanted)
            .count()
    };
    assert_eq!(counts(33), 100);
    assert_eq!(counts(3 + 1 + 1 + 2 + 3), 99);
    assert_eq!(calls.iter().filter(|span| !span.returned).count(), 1);
    assert!(all.iter().any(|span| span.task == 1) && all.iter().any(|span| span.task == 2));
}

#[test]
fn reading_may_begin_anywhere() {
    let tape = tape(60);
    let stored = Stored::open(write(&tape, 37, 64, &[])).unwrap();
    let whole = stored.runs()[0].extent(0);
    let all = spans(&stored, whole.clone());
    for from in whole.clone().step_by(97) {
        let range = from..from + 300;
        let expected: Vec<&Span> = all
            .iter()
            .filter(|span| span.ended >= range.start && span.began < range.end)
            .filter(|span| span.returned && span.ended < range.end)
            .collect();
        let found = spans(&stored, range.clone());
        let found: Vec<&Span> = found
            .iter()
            .filter(|span| span.returned && span.ended < range.end)
            .collect();
        assert_eq!(found, expected, "{range:?}");
    }
}

/// Every scale counts every instruction, and every crossing.
#[test]
fn summaries_count_everything() {
    let mut tape = tape(40);
    tape.after(3 << shift(0), Kind::AppEntry, "main");
    tape.getppid();
    let stored = Stored::open(write(&tape, 37, 64, &[])).unwrap();
    let whole = stored.runs()[0].extent(0);
    for scale in 0..SCALES {
        let (buckets, issues) = stored.summary(0, 0, scale, &whole);
        assert_eq!(issues, []);
        let sum: u64 = buckets.iter().map(|bucket| bucket.instructions()).sum();
        assert_eq!(sum, tape.clock - whole.start, "scale {scale}");
        let crossings = |kind: usize| {
            buckets
                .iter()
                .map(|bucket| bucket.crossings[kind])
                .sum::<u64>()
        };
        assert_eq!((crossings(0), crossings(4)), (81, 40), "scale {scale}");
        let named: u64 = buckets
            .iter()
            .flat_map(|bucket| &bucket.functions)
            .map(|(_, count)| count)
            .sum();
        assert_eq!(named, sum, "scale {scale}");
    }
    let (lowest, _) = stored.summary(0, 0, 0, &whole);
    assert!(lowest.len() >= 4, "{}", lowest.len());
}

#[test]
fn what_was_lost_is_told_where_it_was() {
    let tape = tape(30);
    let lost = [0, 0, 0, 5, 5, 5, 12];
    let stored = Stored::open(write(&tape, 37, 64, &lost)).unwrap();
    let whole = stored.runs()[0].extent(0);
    let events = stored.events(0, 0, whole.clone());
    let lost: Vec<u64> = events
        .filter_map(|event| match event.what {
            What::Lost { records } => Some(records),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [5, 7]);
    let (buckets, _) = stored.summary(0, 0, SCALES - 1, &whole);
    assert_eq!(buckets.iter().map(|bucket| bucket.lost).sum::<u64>(), 12);
    assert_eq!(raw(&stored), tape.raw);
}

/// Cut anywhere, every block before the cut is read, and what the writer would have added is made anew.
#[test]
fn cut_at_any_byte_it_gives_what_is_whole() {
    let tape = tape(40);
    let bytes = write(&tape, 37, 64, &[]);
    let whole = Stored::open(bytes.clone()).unwrap();
    let ends: Vec<usize> = whole.runs()[0].stretches[0]
        .iter()
        .map(|(at, _)| *at)
        .collect();
    let mut most = 0;
    for end in 0..bytes.len() {
        let Ok(stored) = Stored::open(bytes[..end].to_vec()) else {
            assert_eq!(most, 0, "cut at {end}");
            continue;
        };
        assert!(!stored.issues().is_empty(), "cut at {end}");
        let Some(run) = stored.runs().first() else {
            continue;
        };
        let records = raw(&stored);
        assert_eq!(records, tape.raw[..records.len()], "cut at {end}");
        assert!(records.len() >= most, "cut at {end}");
        most = records.len();
        // A stretch is there as soon as the next block begins.
        let begun = ends.iter().filter(|at| **at < end).count();
        assert!(run.stretches(0).count() + 1 >= begun, "cut at {end}");
        if run.report.is_none() {
            let extent = run.extent(0);
            for scale in 0..SCALES {
                let (buckets, _) = stored.summary(0, 0, scale, &extent);
                let sum: u64 = buckets.iter().map(|bucket| bucket.instructions()).sum();
                assert_eq!(
                    sum,
                    (extent.end - extent.start).saturating_sub(1),
                    "cut at {end}"
                );
            }
        }
    }
    assert_eq!(most, tape.raw.len());
}

/// A run that was cut off is folded as far as it was written.
#[test]
fn what_was_cut_off_is_reported_from_its_records() {
    let tape = tape(40);
    let bytes = write(&tape, 37, 64, &[]);
    let whole = Stored::open(bytes.clone()).unwrap();
    let (last, _) = *whole.runs()[0].stretches[0].last().unwrap();
    let mut cut = Stored::open(bytes[..last + 5].to_vec()).unwrap();
    assert!(cut.recording().runs.is_empty());
    cut.refold();
    let report = &cut.recording().runs[0];
    assert_eq!(report.events, raw(&cut).len() as u64);
    let calls = report
        .classes
        .iter()
        .filter(|class| class.call == "getppid");
    let calls: Vec<_> = calls.map(|class| class.instructions).collect();
    assert_eq!(calls, [33]);
    assert!(
        cut.issues()
            .iter()
            .any(|issue| matches!(issue, Issue::Refolded { run: 1, .. }))
    );
}

/// A wrong byte anywhere is told, at the latest when what it lies in is read, and costs its block alone.
#[test]
fn a_wrong_byte_is_told_and_passed_over() {
    let tape = tape(20);
    let bytes = write(&tape, 37, 64, &[]);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let Ok(stored) = Stored::open(damaged) else {
            continue;
        };
        let Some(run) = stored.runs().first() else {
            assert!(!stored.issues().is_empty(), "byte {at}");
            continue;
        };
        let everything = 0..u64::MAX;
        let mut told = stored.issues().to_vec();
        told.extend(stored.spans(0, 0, everything.clone()).1);
        for scale in 0..SCALES {
            told.extend(stored.summary(0, 0, scale, &everything).1);
        }
        assert!(!told.is_empty(), "byte {at}");
        let missing = tape.raw.len() - raw(&stored).len();
        assert!(missing <= 120 || run.made.is_none(), "byte {at}: {missing}");
    }
}

proptest! {
    #[test]
    fn any_chunks_and_stretches_give_the_same(
        rounds in 1..40_u64, chunk in 5..200_usize, stretch in 1..300_usize,
    ) {
        let tape = tape(rounds);
        let one = Stored::open(write(&tape, chunk, stretch, &[])).unwrap();
        let other = Stored::open(write(&tape, 1000, 1000, &[])).unwrap();
        prop_assert_eq!(raw(&one), raw(&other));
        let whole = one.runs()[0].extent(0);
        prop_assert_eq!(spans(&one, whole.clone()), spans(&other, whole.clone()));
        prop_assert_eq!(one.summary(0, 0, 0, &whole), other.summary(0, 0, 0, &whole));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(at in 0..4000_usize, tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let mut bytes = write(&tape(20), 37, 64, &[]);
        bytes.truncate(at);
        bytes.extend(tail);
        if let Ok(stored) = Stored::open(bytes) {
            let (spans, _) = stored.spans(0, 0, 0..u64::MAX);
            prop_assert!(spans.len() < 10_000);
        }
    }
}
