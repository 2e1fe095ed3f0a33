//! QEMU's deterministic record and replay, as data: its arguments, and what its monitor says of it.
//! No input or output. Source: QEMU's `docs/system/replay.rst`, `replay/`, `migration/`.
//!
//! Time is the number of executed instructions: position 0 is the machine's reset, and a position
//! stands before the instruction that is executed next.

use std::path::PathBuf;

/// Guest nanoseconds for an instruction, as a power of two. The kernel waits through a tenth of a
/// second in a loop of `pause` while it boots, and each of them is an event of the recording: with
/// 1 ns they are 11 million events and a replay of the boot takes minutes, with 32 ns seconds.
pub const SHIFT: u32 = 5;

/// The snapshot that QEMU takes before the first instruction.
pub const START: &str = "start";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Record,
    Replay,
}

/// A machine that runs twice the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    pub way: Way,
    /// What came from outside, with the position it came at.
    pub events: PathBuf,
    /// A qcow2 file for the machine's snapshots; no disk of the guest. Without one the machine cannot go back,
    /// and QEMU ends with the run.
    pub snapshots: Option<PathBuf>,
    pub shift: u32,
}

/// The state of the whole machine, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub name: String,
    pub position: u64,
}

impl Snapshot {
    /// Of a machine that has written so many bytes on its serial line, which its name tells as well.
    #[must_use]
    pub fn at(position: u64, written: Option<u64>) -> Self {
        let name = match written {
            Some(written) => format!("at-{position}-{written}"),
            None => format!("at-{position}"),
        };
        Self { name, position }
    }

    /// Bytes on its serial line before it; none where nobody has counted them.
    #[must_use]
    pub fn written(&self) -> Option<u64> {
        if self.name == START {
            return Some(0);
        }
        let (_, numbers) = self.name.split_once('-')?;
        let (_, written) = numbers.split_once('-')?;
        written.parse().ok()
    }
}

/// The position in the answer to `info replay`; none where the machine does not replay.
#[must_use]
pub fn position(answer: &str) -> Option<u64> {
    let (_, count) = answer.split_once("instruction count = ")?;
    count.trim().parse().ok()
}

/// The list that `info snapshots` answers, oldest position first. Lines that are no snapshot's, and
/// snapshots without a position, are passed over: they are of no use here.
#[must_use]
pub fn snapshots(answer: &str) -> Vec<Snapshot> {
    let mut list: Vec<Snapshot> = answer
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let position = words.last()?.parse().ok()?;
            // Id, tag, size with its unit, date, time, clock, position.
            (words.len() >= 7).then(|| Snapshot {
                name: words[1].to_owned(),
                position,
            })
        })
        .collect();
    list.sort_by_key(|snapshot| snapshot.position);
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_position_is_read() {
        let answer = "Replaying execution '/t/a b': instruction count = 265352447\r\n";
        assert_eq!(position(answer), Some(265_352_447));
        assert_eq!(position("No record/replay\r\n"), None);
    }

    #[test]
    fn snapshots_are_read_and_sorted() {
        let answer = "List of snapshots present on all disks:\r\n\
             ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT\r\n\
             --        at-160000000     13.8 MiB 2026-11-29 09:04:51 00:00:05.120  160000000\r\n\
             --        start             882 KiB 2026-11-29 09:01:17 00:00:00.000          0\r\n";
        let found = snapshots(answer);
        let list: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.position))
            .collect();
        assert_eq!(list, [("start", 0), ("at-160000000", 160_000_000)]);
        assert_eq!(snapshots("There is no snapshot available.\r\n"), []);
    }

    #[test]
    fn a_snapshot_says_what_was_written_before_it() {
        let check = |one: Snapshot, name: &str, written| {
            assert_eq!(one.name, name);
            assert_eq!(one.written(), written);
        };
        check(Snapshot::at(7, Some(12)), "at-7-12", Some(12));
        check(Snapshot::at(7, None), "at-7", None);
        let name = START.to_owned();
        check(Snapshot { name, position: 0 }, START, Some(0));
    }

    proptest! {
        #[test]
        fn any_answer_is_read(text in "\\PC*", count: u64) {
            let lines = text.lines().count();
            prop_assert!(snapshots(&text).len() <= lines);
            let is_asked = text.contains("instruction count = ");
            prop_assert!(is_asked || position(&text).is_none());
            prop_assert_eq!(position(&format!("instruction count = {count}\n")), Some(count));
        }
    }
}
