//! A ring whose clock goes back.

use std::fs::OpenOptions;

use memmap2::MmapMut;
use wire::{Policy, Record, Word};

use super::super::trace_ring::Ring;
use super::*;
use crate::crossing::Mode;
use crate::origin::Origin;
use crate::profile::Profile;
use crate::trace::fold::Run;
use crate::trace::functions::{Function, Functions};
use crate::trace::report::Report;
use crate::trace::sites::SiteTable;
use wire::Kind::{self, AppEntry, Entry, Return, Switch, SyscallEntry, Sysret};

const BASE: u64 = 0x2_ffff_ff80;

fn functions() -> Functions {
    let mut functions = Functions::of(Profile::recognise(|name| name == "__ukl_text_start"));
    for name in ["main", "entry_SYSCALL_64", "__x64_sys_read"] {
        let origin = match name {
            "main" => Origin::App,
            _ => Origin::Unknown,
        };
        functions.push(Function {
            name: name.to_owned(),
            origin,
            label: false,
            file: None,
        });
    }
    functions
}

/// Whole clocks, as a recording adds them up.
#[derive(Debug, Default)]
struct Clocks(Vec<u64>);

impl Recorder for Clocks {
    fn begin(&mut self, _table: &SiteTable) {}

    fn take(&mut self, chunk: Chunk<'_>) {
        let mut whole = chunk.clock;
        let mut records = chunk.records.iter();
        while let Some(raw) = records.next() {
            whole += u64::from(low(*raw).wrapping_sub(low(whole)));
            self.0.push(whole);
            if Record::decode(*raw).word.kind() == Some(Switch) {
                records.nth(2);
            }
        }
    }
}

fn low(clock: u64) -> u32 {
    u32::try_from(clock & 0xffff_ffff).unwrap()
}

/// What a probe writes: each kind, the number of its function and when.
type Written<'a> = &'a [(Kind, u32, u64)];

/// A switch is followed by its place among all.
fn records(written: Written<'_>) -> Vec<u64> {
    let all = written.iter().flat_map(|(kind, number, clock)| {
        let (word, clock) = (Word::new(*kind, *number), low(BASE + clock));
        let record = Record { clock, word }.encode();
        match kind {
            Switch => {
                let task = 0xa0 + u64::from(*number > 0);
                vec![record, task, task + 1, u64::from(*number)]
            }
            _ => vec![record],
        }
    });
    all.collect()
}

/// Each chunk begins at the clock of its first record.
fn read(policy: Policy, chunks: &[Written<'_>]) -> (Report, Vec<u64>) {
    let mut ring = Ring::new(1, &[], policy, true).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(ring.path());
    // SAFETY: the ring's own memory, which it reads when this has been written.
    let mut mapping = unsafe { MmapMut::map_mut(&file.unwrap()).unwrap() };
    let shape = Ring::shape(1, 0);
    for (sequence, written) in (0..).zip(chunks) {
        let start = usize::try_from(shape.chunk_offset(0, sequence)).unwrap();
        let mut put = |at: usize, bytes: &[u8]| {
            mapping[start + at..start + at + bytes.len()].copy_from_slice(bytes);
        };
        let records = records(written);
        put(SEQUENCE_OFFSET, &sequence.to_le_bytes());
        put(8, &(BASE + written[0].2).to_le_bytes());
        put(
            USED_OFFSET,
            &u32::try_from(records.len()).unwrap().to_le_bytes(),
        );
        let bytes: Vec<u8> = records.iter().flat_map(|raw| raw.to_le_bytes()).collect();
        put(CHUNK_HEADER_BYTES, &bytes);
    }
    let control = usize::try_from(shape.control_offset(0)).unwrap();
    let head = chunks.len() as u64 - 1;
    mapping[control..control + 8].copy_from_slice(&head.to_le_bytes());
    let (mut fold, mut clocks) = (Fold::new(functions()), Clocks::default());
    ring.drain_last(&mut fold, &mut clocks);
    let run = Run {
        mode: Mode::Linux.into(),
        engine: "plugin".to_owned(),
        lost: 0,
        insns: 0,
        notes: Vec::new(),
    };
    (fold.report(&run, 100), clocks.0)
}

const CALL: [(Kind, u32); 4] = [(SyscallEntry, 2), (Entry, 3), (Return, 3), (Sysret, 2)];

/// A call of 5 + `inside` + 3 instructions.
fn call(from: u64, inside: u64) -> [(Kind, u32, u64); 4] {
    let clocks = [0, 5, 5 + inside, 8 + inside];
    std::array::from_fn(|at| (CALL[at].0, CALL[at].1, from + clocks[at]))
}

#[test]
fn a_clock_that_goes_back_is_counted_on_from_where_it_was() {
    for policy in [Policy::Lossless, Policy::Flight] {
        // The low half of the clock wraps in the first call.
        let mut first = vec![(Switch, 0, 0), (AppEntry, 1, 1)];
        first.extend(call(0x70, 30));
        // Before the return, and between two calls, with a switch of which it is not the turn yet in the same chunk.
        let [entry, inner, (back, number, clock), last] = call(0x200, 30);
        let last = (last.0, last.1, last.2 - 50);
        first.extend([entry, inner, (back, number, clock - 50), last]);
        first.extend([(Switch, 3, 0x100), (AppEntry, 1, 0x101)]);
        // And at a chunk's start.
        let second = call(0x20, 30);
        let third = call(0x60, 30);
        let (report, clocks) = read(policy, &[&first, &second, &third]);
        let counts: Vec<_> = report
            .classes
            .iter()
            .map(|class| (class.count, class.instructions, class.min, class.max))
            .collect();
        // Of one it is not known what lay before its return.
        assert_eq!(counts, [(4, 38, 8, 38)]);
        assert!(clocks.is_sorted(), "{clocks:x?}");
        let length = clocks.last().unwrap() - clocks[0];
        assert!(length < 0x1000, "{clocks:x?}");
        let told =
            "3 times the clock of the records went back: it was counted on from where it had been";
        assert!(
            report.notes.contains(&told.to_owned()),
            "{:?}",
            report.notes
        );
    }
}
