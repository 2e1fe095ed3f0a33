use proptest::prelude::{any, proptest};
use proptest::prop_assert_eq;

use super::*;
use crate::crossing::{CrossingKind, Mode};
use crate::origin::Origin;
use crate::trace::report::{Class, Node, Phases, SCHEMA};

mod backwards;
mod records;
mod states;

fn run(classes: u64) -> Report {
    let class = |n: u64| Class {
        id: format!("{n:016x}"),
        kind: CrossingKind::Bypass,
        call: format!("call{n}"),
        count: 100 + n,
        instructions: 87,
        exact: true,
        min: 87,
        max: 87,
        interrupted: false,
        counts: Vec::new(),
        phases: Phases::default(),
        path: Node {
            symbol: "ukl_bypass_syscall".to_owned(),
            origin: Origin::Entry,
            own: 87,
            total: 87,
            calls: 1,
            file: None,
            children: Vec::new(),
        },
    };
    Report {
        schema: SCHEMA,
        mode: Mode::Bypass.into(),
        lost: 0,
        insns: 1,
        events: 2,
        engine: "plugin".to_owned(),
        classes: (0..classes).map(class).collect(),
        sites: Vec::new(),
        uses: Vec::new(),
        tasks: Vec::new(),
        functions_left_out: None,
        requests: None,
        times: None,
        clocks: None,
        notes: vec!["a note".to_owned()],
    }
}

fn sample() -> Recording {
    Recording {
        head: Head {
            image: "syscalls".to_owned(),
            build_id: "0123".to_owned(),
            versions: [("kernel".to_owned(), "6.1".to_owned())].into(),
            tool: "0.1.0".to_owned(),
            runs: 2,
            manifest: None,
        },
        runs: vec![run(40), run(3)],
    }
}

#[test]
fn a_recording_reads_back_whole() {
    let bytes = sample().encode().unwrap();
    assert_eq!(Recording::decode(&bytes), Ok((sample(), Vec::new())));
}

/// Cut anywhere, it gives the blocks before the cut and says that something is missing.
#[test]
fn a_recording_cut_at_any_byte_gives_what_is_whole() {
    let whole = sample();
    let bytes = whole.encode().unwrap();
    let mut most = 0;
    for end in 0..bytes.len() {
        match Recording::decode(&bytes[..end]) {
            Err(_) => assert_eq!(most, 0, "cut at {end}"),
            Ok((read, issues)) => {
                assert!(!issues.is_empty(), "cut at {end}");
                let classes: usize = read.runs.iter().map(|run| run.classes.len()).sum();
                assert!(classes >= most, "cut at {end}");
                most = classes;
                for (read, written) in read.runs.iter().zip(&whole.runs) {
                    assert_eq!(read.classes, written.classes[..read.classes.len()]);
                }
            }
        }
    }
    assert_eq!(most, 43);
}

/// A wrong byte anywhere is noticed, and costs no more than its block.
#[test]
fn a_wrong_byte_is_noticed_wherever_it_is() {
    let whole = sample();
    let bytes = whole.encode().unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        if let Ok((read, issues)) = Recording::decode(&damaged) {
            assert!(!issues.is_empty(), "byte {at}");
            assert!(read.runs.len() <= whole.runs.len(), "byte {at}");
        }
    }
}

#[test]
fn what_is_missing_is_counted() {
    let bytes = sample().encode().unwrap();
    let (_, issues) = Recording::decode(&bytes[..bytes.len() - 300]).unwrap();
    let text: Vec<String> = issues.iter().map(ToString::to_string).collect();
    assert!(text[0].contains("it was cut off"), "{text:?}");
    assert!(
        text.iter()
            .any(|issue| issue.contains("of 3 classes") || issue.contains("of 2 runs")),
        "{text:?}"
    );
}

#[test]
fn another_format_is_refused_with_its_number() {
    let mut bytes = sample().encode().unwrap();
    bytes[6] = 9;
    assert_eq!(Recording::decode(&bytes), Err(NoRecording::Version(9)));
    assert_eq!(Recording::decode(b"ELF"), Err(NoRecording::Magic));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = sample().encode().unwrap();
        bytes.truncate(200);
        bytes.extend(tail.iter());
        let _ = Recording::decode(&bytes);
        let _ = Recording::decode(&tail);
        let mut blocks = MAGIC.to_vec();
        blocks.extend(VERSION.to_le_bytes());
        blocks.extend(tail);
        prop_assert_eq!(Recording::decode(&blocks), Err(NoRecording::Head));
    }
}
