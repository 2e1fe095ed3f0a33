//! Records ↔ bytes: what a probe writes repeats itself, so only what was not foreseen is kept.
//!
//! A record is split into its word and the instructions since the record before. A table says which pair
//! followed the last time that the three pairs before were the same; a run of records that were foreseen
//! is one number. What was not is written out: words in one column, instructions in another. Both ends
//! keep the same table, which is empty at a block's start.
//!
//! Any numbers whatever come back as they were. Those that are no records, such as the two addresses
//! after a switch, are told by their upper half and do not move the clock.

/// Pairs that are remembered: 128 KiB, about what a core's second cache holds beside its other work.
const TABLE: usize = 1 << 14;
/// So that a pair has left the context after three more.
const SHIFT: u32 = 5;

/// Which pair is likely to be next.
struct Oracle {
    table: Vec<u64>,
    context: usize,
    clock: u32,
}

impl Oracle {
    fn new(clock: u32) -> Self {
        Self {
            table: vec![0; TABLE],
            context: 0,
            clock,
        }
    }

    /// Whether that pair was foreseen; it is remembered.
    #[inline]
    fn foresees(&mut self, pair: u64) -> bool {
        let expected = &mut self.table[self.context & (TABLE - 1)];
        let hit = *expected == pair;
        *expected = pair;
        self.go_on(pair);
        hit
    }

    #[inline]
    fn go_on(&mut self, pair: u64) {
        let mixed = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
        let mixed = mixed as usize;
        self.context = ((self.context << SHIFT) ^ mixed) & (TABLE - 1);
    }

    /// A number as a word and the instructions since the one before, and back.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of a record"
    )]
    fn pair(&mut self, raw: u64) -> u64 {
        let (word, clock) = ((raw >> 32) as u32, raw as u32);
        if !is_record(word) {
            return raw;
        }
        let since = clock.wrapping_sub(self.clock);
        self.clock = clock;
        u64::from(word) << 32 | u64::from(since)
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of a record"
    )]
    fn raw(&mut self, pair: u64) -> u64 {
        let (word, since) = ((pair >> 32) as u32, pair as u32);
        if !is_record(word) {
            return pair;
        }
        self.clock = self.clock.wrapping_add(since);
        u64::from(word) << 32 | u64::from(self.clock)
    }
}

#[inline]
const fn is_record(word: u32) -> bool {
    word >> 28 != 0 && word < KERNEL_HALF
}

/// The upper half of every address of the kernel's half is no less. A call of the application's whose place is
/// so high is kept as an address is.
const KERNEL_HALF: u32 = 0xffff_0000;

/// Columns one after the other, each with its length before it.
pub(super) fn encode(records: &[u64], clock: u32, out: &mut Vec<u8>) {
    let mut oracle = Oracle::new(clock);
    let (mut runs, mut words, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let mut run = 0;
    for raw in records {
        let pair = oracle.pair(*raw);
        if oracle.foresees(pair) {
            run += 1;
            continue;
        }
        put(&mut runs, run);
        run = 0;
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a pair")]
        let (word, since) = ((pair >> 32) as u32, pair as u32);
        words.extend(word.to_le_bytes());
        put(&mut counts, since.into());
    }
    put(&mut runs, run);
    put(out, records.len() as u64);
    for column in [runs, words, counts] {
        put(out, column.len() as u64);
        out.extend(column);
    }
}

/// `None` where the bytes are no such columns, or hold more than `most` records.
pub(super) fn decode(mut bytes: &[u8], clock: u32, most: usize) -> Option<Vec<u64>> {
    let bytes = &mut bytes;
    let length = usize::try_from(get(bytes)?)
        .ok()
        .filter(|length| *length <= most)?;
    let mut column = || {
        let length = usize::try_from(get(bytes)?).ok()?;
        let (column, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(column)
    };
    let (mut runs, words, mut counts) = (column()?, column()?, column()?);
    let mut words = words.as_chunks::<4>().0.iter();
    let mut oracle = Oracle::new(clock);
    let mut out = Vec::with_capacity(length);
    loop {
        let run = usize::try_from(get(&mut runs)?).ok()?;
        if run > length - out.len() {
            return None;
        }
        for _ in 0..run {
            let pair = oracle.table[oracle.context];
            oracle.go_on(pair);
            let raw = oracle.raw(pair);
            out.push(raw);
        }
        if out.len() == length {
            return Some(out);
        }
        let word = u32::from_le_bytes(*words.next()?);
        let since = u32::try_from(get(&mut counts)?).ok()?;
        let pair = u64::from(word) << 32 | u64::from(since);
        // The encoder has seen that it was another one.
        oracle.foresees(pair);
        let raw = oracle.raw(pair);
        out.push(raw);
    }
}

/// Seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "seven bits are left")]
    out.push(value as u8);
}

#[inline]
fn get(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::{prop_assert, prop_assert_eq};
    use wire::{Kind, Record, Word};

    use super::*;

    /// A call that is made again and again, as a probe would record it.
    fn calls(times: u32) -> Vec<u64> {
        let path = [
            (Kind::Entry, 3, 12),
            (Kind::Entry, 4, 7),
            (Kind::Return, 4, 30),
            (Kind::Return, 3, 2),
        ];
        let mut clock: u32 = 0xffff_f000;
        let mut out = Vec::new();
        for _ in 0..times {
            for (kind, function, after) in path {
                clock = clock.wrapping_add(after);
                let word = Word::new(kind, function);
                out.push(Record { clock, word }.encode());
            }
        }
        out
    }

    #[test]
    fn what_repeats_itself_takes_hardly_a_byte() {
        let records = calls(10_000);
        let mut bytes = Vec::new();
        encode(&records, 0, &mut bytes);
        assert!(bytes.len() < 100, "{}", bytes.len());
        assert_eq!(decode(&bytes, 0, records.len()), Some(records.clone()));
        assert_eq!(decode(&bytes, 0, records.len() - 1), None);
        assert_eq!(decode(&bytes[..bytes.len() - 1], 0, records.len()), None);
    }

    proptest! {
        #[test]
        fn any_numbers_come_back_as_they_were(
            mut records in proptest::collection::vec(any::<u64>(), 0..300),
            clock: u32, times in 0..20_u32, addresses in proptest::collection::vec(any::<u64>(), 0..4),
        ) {
            records.extend(calls(times));
            records.extend(addresses);
            records.extend(calls(times));
            let mut bytes = Vec::new();
            encode(&records, clock, &mut bytes);
            prop_assert_eq!(decode(&bytes, clock, records.len()), Some(records));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, clock: u32) {
            let read = decode(&bytes, clock, 1000);
            prop_assert!(read.is_none_or(|records| records.len() <= 1000));
        }
    }
}
