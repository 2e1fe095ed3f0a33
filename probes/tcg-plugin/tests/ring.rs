//! The writing end of a ring, read back as the debugger does.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uklscope_tcg::ring::{Ring, Switch};
use wire::{Chunk, Control, Header, Kind, Policy, Shape, Taken, Word};

const SHAPE: Shape = Shape {
    vcpus: 1,
    chunks: 2,
    chunk_records: 4,
    sites: 0,
};

/// A mapping in this process, aligned as a page is.
struct Mapping(Vec<[u64; 512]>);

impl Mapping {
    fn new(policy: Policy, reader: u32) -> Self {
        let pages = usize::try_from(SHAPE.total_bytes()).unwrap() / 4096;
        let mut mapping = Self(vec![[0; 512]; pages]);
        let head = SHAPE.header_bytes(policy, reader);
        for (word, bytes) in mapping.0[0].iter_mut().zip(head.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap());
        }
        mapping
    }

    fn ring(&mut self) -> Ring {
        // SAFETY: as long as the shape says; the vector is neither moved nor dropped before the ring.
        unsafe { Ring::new(self.0.as_mut_ptr().cast(), SHAPE, 0) }
    }

    fn close(&self) {
        // SAFETY: the header lies at the start.
        let header: &Header = unsafe { &*self.0[0].as_ptr().cast() };
        header.closed.store(1, Ordering::Relaxed);
    }

    fn control(&self) -> &Control {
        // SAFETY: the control line lies behind the header's page.
        unsafe { &*self.0[1].as_ptr().cast() }
    }

    fn take(&self, chunks: u64, records: u32) {
        let taken = Taken { chunks, records };
        self.control().tail.store(taken.pack(), Ordering::Release);
    }

    /// The stamps of a chunk, its sequence number, clock and losses.
    fn chunk(&self, number: u64) -> (Vec<u32>, [u64; 3]) {
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flatten()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let start = usize::try_from(SHAPE.chunk_offset(0, number)).unwrap();
        let chunk = Chunk::decode(&bytes[start..]).unwrap();
        let stamps = chunk.records().map(|record| record.clock).collect();
        let header = chunk.header;
        (stamps, [header.sequence, header.clock, header.lost])
    }
}

fn push(ring: &mut Ring, stamps: impl IntoIterator<Item = u64>) {
    for stamp in stamps {
        ring.push(stamp, Word::new(Kind::Entry, 1).0);
    }
}

#[test]
fn what_is_published_can_be_read_before_the_chunk_is_full() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, 10..15);
    assert_eq!(mapping.control().head.load(Ordering::Relaxed), 1);
    assert_eq!(mapping.chunk(0), (vec![10, 11, 12, 13], [0, 10, 0]));
    assert_eq!(mapping.chunk(1), (vec![], [1, 14, 0]));
    ring.publish();
    assert_eq!(mapping.chunk(1), (vec![14], [1, 14, 0]));
    push(&mut ring, [15]);
    ring.publish();
    assert_eq!(mapping.chunk(1), (vec![14, 15], [1, 14, 0]));
    assert_eq!(mapping.control().head.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stamp_too_far_from_its_chunks_start_begins_another() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, [5, 1 << 33]);
    ring.publish();
    assert_eq!(mapping.chunk(0).0, [5]);
    assert_eq!(mapping.chunk(1).1, [1, 1 << 33, 0]);
}

#[test]
fn a_switch_is_published_at_once_whole_and_in_its_order() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    let order = AtomicU64::new(0xcccc);
    push(&mut ring, [1]);
    let switch = Switch {
        word: Word::new(Kind::Switch, 0),
        from: 0xaaaa,
        to: 0xbbbb,
    };
    ring.push_switch(3, switch, &order);
    // There was no room for it behind the record.
    assert_eq!(mapping.chunk(0).0, [1]);
    assert_eq!(mapping.chunk(1).0, [3, 0xaaaa, 0xbbbb, 0xcccc]);
    assert_eq!(order.load(Ordering::Relaxed), 0xcccd);
}

#[test]
fn flight_keeps_the_newest_and_counts_every_record_that_it_drops() {
    let mut mapping = Mapping::new(Policy::Flight, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, 0..8);
    // One record of the first chunk was read; the other three and the second chunk make room.
    mapping.take(0, 1);
    push(&mut ring, 8..13);
    assert_eq!(mapping.control().lost.load(Ordering::Relaxed), 3 + 4);
    let tail = mapping.control().tail.load(Ordering::Relaxed);
    let oldest = Taken {
        chunks: 2,
        records: 0,
    };
    assert_eq!(Taken::unpack(tail), oldest);
    ring.finish();
    assert_eq!(mapping.chunk(2), (vec![8, 9, 10, 11], [2, 8, 3]));
    assert_eq!(mapping.chunk(3), (vec![12], [3, 12, 7]));
}

#[test]
fn a_reader_that_takes_no_more_makes_records_be_dropped_and_counted() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    mapping.close();
    push(&mut ring, 0..6);
    ring.finish();
    assert_eq!(mapping.control().lost.load(Ordering::Relaxed), 6);
}

#[test]
fn lossless_waits_for_the_reader_and_counts_the_wait() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, 0..8);
    let mapping = &mapping;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            mapping.take(1, 0);
        });
        push(&mut ring, [8]);
    });
    assert_eq!(mapping.control().waits.load(Ordering::Relaxed), 1);
    assert!(mapping.control().waited_ns.load(Ordering::Relaxed) > 0);
    assert_eq!(mapping.control().lost.load(Ordering::Relaxed), 0);
}

#[test]
fn nobody_waits_for_a_reader_that_is_gone() {
    // A process that has ended and been waited for.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let gone = child.id();
    child.wait().unwrap();
    let mut mapping = Mapping::new(Policy::Lossless, gone);
    let mut ring = mapping.ring();
    push(&mut ring, 0..13);
    assert!(mapping.control().lost.load(Ordering::Relaxed) > 0);
}

#[test]
fn the_clock_of_the_last_record_is_known() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    assert_eq!(ring.last(), None);
    push(&mut ring, [0xffff_fffe, 0x1_0000_0002]);
    assert_eq!(ring.last(), Some(0x1_0000_0002), "over its chunk's start");
    let switch = Switch {
        word: Word::new(Kind::Switch, 0),
        from: 1,
        to: 2,
    };
    // A chunk of its own.
    ring.push_switch(0x1_0000_0007, switch, &AtomicU64::new(0));
    assert_eq!(ring.last(), Some(0x1_0000_0007), "its numbers are none");
    ring.finish();
    mapping.take(2, 0);
    push(&mut ring, [0x1_0000_0008]);
    assert_eq!(ring.last(), Some(0x1_0000_0008));
    mapping.close();
    push(&mut ring, 20..25);
    assert_eq!(ring.last(), Some(24), "it is dropped");
}
