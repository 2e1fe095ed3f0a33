//! Clocks that go back, in blocks that are whole: what no probe writes.

use proptest::prelude::{any, proptest};
use proptest::sample::Index;
use proptest::{prop_assert, prop_assert_eq, prop_assume};
use wire::record::SWITCH_NUMBERS;
use wire::{Kind, Record};

use super::super::frame::{self, Block};
use super::super::index::unpacked;
use super::super::layout::{Records, STRETCH, Stretch};
use super::super::*;
use super::records::{tape, write};

fn low(clock: u64) -> u32 {
    u32::try_from(clock & 0xffff_ffff).unwrap()
}

/// The places of those that have a clock.
fn clocks(records: &[u64]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while at < records.len() {
        places.push(at);
        let switches = Record::decode(records[at]).word.kind() == Some(Kind::Switch);
        at += 1 + if switches { SWITCH_NUMBERS } else { 0 };
    }
    places
}

/// The bytes before a stretch, and the stretch with other records, as they were left by one that was killed.
fn forged(bytes: &[u8], at: usize, stretch: &Stretch, change: impl FnOnce(&mut [u64])) -> Vec<u8> {
    let mut inside: Records = unpacked(&Block::at(bytes, at).unwrap()).unwrap();
    let first = low(stretch.first);
    let mut records = codec::decode(&inside.columns, first, stretch.count as usize).unwrap();
    change(&mut records);
    inside.columns.clear();
    codec::encode(&records, first, &mut inside.columns);
    let meta = postcard::to_stdvec(stretch).unwrap();
    let whole = postcard::to_stdvec(&inside).unwrap();
    let mut out = bytes[..at].to_vec();
    frame::write(&mut out, STRETCH, &meta, &whole, 1).unwrap();
    out
}

proptest! {
    #[test]
    fn a_clock_that_goes_back_costs_its_block(which: Index, victim: Index, by in any::<u32>()) {
        let tape = tape(30);
        let bytes = write(&tape, 37, 64, &[]);
        let good = Stored::open(bytes.clone()).unwrap();
        let stretches = &good.runs()[0].stretches[0];
        let which = which.index(stretches.len());
        let (at, stretch) = &stretches[which];
        let mut since = 0;
        let bytes = forged(&bytes, *at, stretch, |records| {
            let places = clocks(records);
            let victim = victim.index(places.len());
            let clock = |at: usize| Record::decode(records[places[at]]).clock;
            let before = victim.checked_sub(1).map_or(low(stretch.first), clock);
            since = clock(victim).wrapping_sub(before);
            let raw = &mut records[places[victim]];
            let record = Record::decode(*raw);
            *raw = Record { clock: record.clock.wrapping_sub(by), ..record }.encode();
        });
        prop_assume!(by > since);
        let stored = Stored::open(bytes).unwrap();
        prop_assert!(stored.raw(0, 0, which).is_none());
        let extent = stored.runs()[0].extent(0);
        let lost = stored.events(0, 0, extent.clone()).map(|event| match event.what {
            What::Lost { records } => records,
            _ => 0,
        });
        prop_assert_eq!(lost.sum::<u64>(), u64::from(stretch.count));
        let (spans, issues) = stored.spans(0, 0, extent);
        prop_assert_eq!(issues, [Issue::Damaged { at: *at }]);
        prop_assert!(spans.iter().all(|span| span.ended <= tape.clock));
    }
}

#[test]
fn a_stretch_before_the_one_before_it_is_left_out() {
    let bytes = write(&tape(30), 37, 64, &[]);
    let good = Stored::open(bytes.clone()).unwrap();
    let (at, stretch) = &good.runs()[0].stretches[0][3];
    let mut twice = forged(&bytes, *at, stretch, |_| ());
    let second = twice.len();
    twice.extend(forged(&bytes, *at, stretch, |_| ()).split_off(*at));
    let stored = Stored::open(twice).unwrap();
    assert_eq!(stored.runs()[0].stretches(0).count(), 4);
    assert!(stored.issues().contains(&Issue::Damaged { at: second }));
    let turned = Stretch {
        first: stretch.last,
        last: stretch.first,
        ..stretch.clone()
    };
    let stored = Stored::open(forged(&bytes, *at, &turned, |_| ())).unwrap();
    assert_eq!(stored.runs()[0].stretches(0).count(), 3);
    assert!(stored.issues().contains(&Issue::Damaged { at: *at }));
}
