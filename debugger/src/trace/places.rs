//! Functions that records name by where they lie, in place of by number.
//!
//! A kernel does not know the site table: its probes write how far from the start of its text a function
//! lies, wherever KASLR has put it.

use std::collections::HashMap;

use wire::record::{NO_FUNCTION, SWITCH_NUMBERS};
use wire::{Kind, Record, SiteFlags, Word};

use super::sites::SiteTable;
use crate::addr::Addr;

#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Distance from the start of the kernel's text → number in the site table.
    numbers: HashMap<u32, u32>,
}

impl Places {
    /// `text`: where vmlinux has `_text`.
    #[must_use]
    pub fn new(table: &SiteTable, text: Addr) -> Self {
        let entries = table
            .sites
            .iter()
            .filter(|site| site.flags & SiteFlags::END == 0);
        let place = |site: &wire::Site| {
            let distance = u32::try_from(site.address.checked_sub(text.0)?).ok()?;
            Some((distance, site.word().function()))
        };
        Self {
            numbers: entries.filter_map(place).collect(),
        }
    }

    /// The records with the functions' numbers; 0 where nothing is known to lie. What follows a switch are
    /// whole numbers and stays, and so does the number of a start.
    pub(crate) fn replace(&self, records: &[u64], out: &mut Vec<u64>) {
        out.clear();
        let mut rest = 0;
        for raw in records {
            let record = Record::decode(*raw);
            let kind = record.word.kind();
            out.push(match kind {
                _ if rest > 0 => {
                    rest -= 1;
                    *raw
                }
                Some(Kind::Switch) => {
                    rest = SWITCH_NUMBERS;
                    *raw
                }
                None | Some(Kind::Resume) => *raw,
                Some(kind) => {
                    let number = self.numbers.get(&record.word.function());
                    let word = Word::new(kind, number.copied().unwrap_or(NO_FUNCTION));
                    Record { word, ..record }.encode()
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Site;

    #[test]
    fn places_become_numbers_and_whole_numbers_stay() {
        let text = 0xffff_ffff_8100_0000;
        let site = |at, function, flags| Site::new(text + at, Kind::Entry, function, flags);
        let table = SiteTable {
            sites: vec![
                Site::new(0x40_0000, Kind::AppEntry, 9, 0),
                site(0x40, 1, 0),
                site(0x80, 2, 0),
                site(0x90, 0, SiteFlags::END),
            ],
            ..SiteTable::default()
        };
        let places = Places::new(&table, Addr(text));
        let record = |kind, function| {
            let word = Word::new(kind, function);
            Record { clock: 5, word }.encode()
        };
        let mut out = vec![1];
        let entry = record(Kind::Entry, 0x80);
        let raw = [
            entry,
            record(Kind::Switch, 0),
            entry,
            entry,
            entry,
            record(Kind::Return, 0x40),
            record(Kind::Return, 0x90),
            record(Kind::Resume, 0x40),
        ];
        places.replace(&raw, &mut out);
        let right = [
            record(Kind::Entry, 2),
            raw[1],
            entry,
            entry,
            entry,
            record(Kind::Return, 1),
            record(Kind::Return, 0),
            raw[7],
        ];
        assert_eq!(out, right);
    }
}
