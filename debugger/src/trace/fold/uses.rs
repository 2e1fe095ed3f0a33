//! Which place of the application made each crossing, and which task.

use std::collections::HashMap;

use wire::Word;

use crate::trace::call_sites::CallSite;
use crate::trace::report::Use;

/// Combinations that are told apart; the crossings of further ones are counted under no place.
const MOST: usize = 1 << 16;

/// No call of the application's own code was seen.
const NO_PLACE: u32 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    class: usize,
    cut: bool,
    task: u32,
    /// [`Word::place`] of the call.
    place: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    instructions: u64,
}

#[derive(Debug, Default)]
pub(super) struct Uses {
    sites: Vec<CallSite>,
    /// The site of a place.
    at: HashMap<u32, usize>,
    sums: HashMap<Key, Sum>,
}

impl Uses {
    pub(super) fn of(sites: Vec<CallSite>) -> Self {
        let places = sites.iter().map(|site| Word::place(site.address.0));
        Self {
            at: places.zip(0..).collect(),
            sites,
            sums: HashMap::new(),
        }
    }

    /// What lies there.
    pub(super) fn site(&self, place: u32) -> Option<&CallSite> {
        self.sites.get(*self.at.get(&place)?)
    }

    pub(super) fn add(&mut self, (class, cut): (usize, bool), task: u32, place: u32, total: u64) {
        let mut key = Key {
            class,
            cut,
            task,
            place,
        };
        if self.sums.len() >= MOST && !self.sums.contains_key(&key) {
            key.place = NO_PLACE;
        }
        let sum = self.sums.entry(key).or_default();
        sum.count += 1;
        sum.instructions += total;
    }

    /// The sites that made crossings of the classes that `id` names, and who made how many, the most first.
    pub(super) fn list(
        &self,
        id: impl Fn(usize, bool) -> Option<String>,
    ) -> (Vec<CallSite>, Vec<Use>) {
        let mut sums: Vec<(&Key, &Sum)> = self.sums.iter().collect();
        sums.sort_by_key(|(key, sum)| (std::cmp::Reverse(sum.count), **key));
        let (mut sites, mut uses) = (Vec::new(), Vec::new());
        // A site's index in the list.
        let mut listed: HashMap<usize, usize> = HashMap::new();
        for (key, sum) in sums {
            let Some(class) = id(key.class, key.cut) else {
                continue;
            };
            let site = self.at.get(&key.place).map(|at| {
                *listed.entry(*at).or_insert_with(|| {
                    sites.push(self.sites[*at].clone());
                    sites.len() - 1
                })
            });
            uses.push(Use {
                class,
                site,
                task: key.task,
                count: sum.count,
                instructions: sum.instructions,
            });
        }
        (sites, uses)
    }
}

#[cfg(test)]
mod tests {
    use wire::{Kind, Record};

    use super::super::Fold;
    use super::super::tests::{Tape, functions, report};
    use super::*;
    use crate::addr::Addr;
    use crate::trace::call_sites::{Enters, How};

    fn site(address: u64) -> CallSite {
        CallSite {
            address: Addr(address),
            caller: "main".to_owned(),
            file: None,
            line: None,
            how: How::Call,
            target: None,
            enters: Enters::Yes,
        }
    }

    #[test]
    fn a_crossing_is_the_last_call_s_that_left_the_application() {
        const CALLS: [u64; 3] = [
            0xffff_ffff_81a0_0010,
            0xffff_ffff_81a0_0020,
            0xffff_ffff_81a0_0030,
        ];
        let mut tape = Tape::in_app();
        tape.read_up().read_down();
        for (call, times) in [(CALLS[2], 1), (CALLS[1], 2)] {
            let last = tape.raw.last().map(|raw| Record::decode(*raw).clock);
            let word = Word::new(Kind::AppCall, Word::place(call));
            tape.raw.push(
                Record {
                    clock: last.unwrap(),
                    word,
                }
                .encode(),
            );
            for _ in 0..times {
                tape.read_up();
                tape.after(10, Kind::FaultEntry, "asm_exc_page_fault");
                tape.after(10, Kind::Iret, "asm_exc_page_fault");
                tape.read_down();
            }
        }
        let mut fold = Fold::new(functions()).with_call_sites(CALLS.map(site).into());
        fold.take(0, 0, &tape.raw);
        let report = report(&fold);
        let addresses: Vec<Addr> = report.sites.iter().map(|site| site.address).collect();
        assert_eq!(
            addresses,
            [Addr(CALLS[1]), Addr(CALLS[2])],
            "the most used first"
        );
        let made = |site| {
            let uses = report.uses.iter().filter(|made| made.site == site);
            uses.map(|made| (made.count, made.instructions))
                .collect::<Vec<_>>()
        };
        assert_eq!(made(Some(0)), [(2, 2 * 57)]);
        assert_eq!(made(Some(1)), [(1, 57)]);
        assert_eq!(made(None), [(1, 47)], "before any call was seen");
        let of_reads: u64 = report.uses.iter().map(|made| made.count).sum();
        assert_eq!(of_reads, 4, "nobody makes a fault");
        let task = report.uses[0].task;
        assert!(task > 0 && report.uses.iter().all(|made| made.task == task));
    }
}
