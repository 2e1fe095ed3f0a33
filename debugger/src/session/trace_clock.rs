//! A vCPU's clock as its records tell it: by its low half, against the whole clock at their chunk's start. One that
//! went back would look like 2³² instructions to whoever adds up the halves, so here it goes on from where it was.

use wire::record::SWITCH_NUMBERS;
use wire::{Kind, Record};

/// At the record that was read last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TraceClock {
    /// As the probe wrote it.
    last: u64,
    /// How far it has gone back in all: what is added to it.
    back: u64,
}

impl TraceClock {
    /// What the probe's clock is told as.
    pub(super) const fn told(&self, clock: u64) -> u64 {
        clock.wrapping_add(self.back)
    }

    /// After these records; `base`: of their chunk. `None` where they cannot be told as they are: the clock goes
    /// back, or has gone back before.
    pub(super) fn after(&self, base: u64, records: &[u64]) -> Option<Self> {
        let mut onward = self.back == 0;
        // All records pass here: no more is done of each than has to be.
        let mut last = u32::try_from(self.last.saturating_sub(base)).ok()?;
        let mut rest = records.iter();
        while let Some(raw) = rest.next() {
            let since = since(base, *raw);
            onward &= since >= last;
            last = since;
            if is_switch(*raw) {
                rest.nth(SWITCH_NUMBERS - 1);
            }
        }
        let last = match records {
            [] => self.last,
            _ => base.wrapping_add(last.into()),
        };
        onward.then_some(Self { last, back: 0 })
    }

    /// Reads these records, and puts them into `out` with the clock that goes on. Returns how often it went back.
    #[cold]
    pub(super) fn put_right(&mut self, base: u64, records: &[u64], out: &mut Vec<u64>) -> u64 {
        out.clear();
        out.extend(records);
        let (mut times, mut at) = (0, 0);
        while let Some(raw) = out.get_mut(at) {
            let clock = base.wrapping_add(since(base, *raw).into());
            if clock < self.last {
                times += 1;
                self.back = self.back.wrapping_add(self.last - clock);
            }
            self.last = clock;
            at += 1;
            if is_switch(*raw) {
                at += SWITCH_NUMBERS;
            }
            let record = Record::decode(*raw);
            #[expect(clippy::cast_possible_truncation, reason = "the low half")]
            let clock = self.told(clock) as u32;
            *raw = Record { clock, ..record }.encode();
        }
        times
    }
}

/// No record is 2³² behind its chunk's start.
#[expect(clippy::cast_possible_truncation, reason = "the low halves")]
const fn since(base: u64, raw: u64) -> u32 {
    (raw as u32).wrapping_sub(base as u32)
}

/// Numbers follow it that are no records.
const fn is_switch(raw: u64) -> bool {
    raw >> 60 == Kind::Switch as u64
}

#[cfg(test)]
mod tests {
    use wire::Word;

    use super::*;

    const BASE: u64 = 0x3_ffff_ff00;

    fn record(kind: Kind, clock: u64) -> u64 {
        let word = Word::new(kind, 7);
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let clock = clock as u32;
        Record { clock, word }.encode()
    }

    fn entries(clocks: &[u64]) -> Vec<u64> {
        let all = clocks.iter();
        all.map(|clock| record(Kind::Entry, BASE + clock)).collect()
    }

    #[test]
    fn a_clock_that_goes_on_is_told_as_it_is() {
        // Over the end of the low half; a switch's numbers are no clocks.
        let mut records = entries(&[0, 0, 0xff]);
        records.extend([record(Kind::Switch, BASE + 0x101), 5, u64::MAX, 0]);
        records.extend(entries(&[0x101, 0xffff_ffff]));
        let clock = TraceClock::default().after(BASE, &records);
        let last = BASE + 0xffff_ffff;
        assert_eq!(clock, Some(TraceClock { last, back: 0 }));
        assert_eq!(clock.unwrap().after(last, &[]), clock);
    }

    #[test]
    fn one_that_goes_back_goes_on_from_where_it_was() {
        let mut records = entries(&[10, 30, 25, 26]);
        records.extend([record(Kind::Switch, BASE + 24), 5, 6, 0]);
        records.extend(entries(&[40]));
        let mut clock = TraceClock::default();
        assert_eq!(clock.after(BASE, &records), None);
        let mut out = Vec::new();
        assert_eq!(clock.put_right(BASE, &records, &mut out), 2);
        let mut expected = entries(&[10, 30, 30, 31]);
        expected.extend([record(Kind::Switch, BASE + 31), 5, 6, 0]);
        expected.extend(entries(&[47]));
        assert_eq!(out, expected);
        // What comes later is so much later.
        let records = entries(&[50]);
        assert_eq!(clock.after(BASE, &records), None);
        assert_eq!(clock.put_right(BASE, &records, &mut out), 0);
        assert_eq!(out, entries(&[57]));
        assert_eq!(clock.told(BASE), BASE + 7);
    }

    #[test]
    fn a_chunk_before_the_one_before_it_goes_on_from_there() {
        let mut clock = TraceClock::default();
        clock = clock.after(BASE, &entries(&[1000])).unwrap();
        let early = BASE - 0x2_0000_0000;
        let records = [record(Kind::Entry, early), record(Kind::Return, early + 3)];
        assert_eq!(clock.after(early, &records), None);
        let mut out = Vec::new();
        assert_eq!(clock.put_right(early, &records, &mut out), 1);
        let expected = [1000, 1003].map(|at| BASE + at);
        assert_eq!(out[0], record(Kind::Entry, expected[0]));
        assert_eq!(out[1], record(Kind::Return, expected[1]));
        assert_eq!(clock.told(early), expected[0]);
    }
}
