//! The writing end of a ring, read back as the debugger does.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use uklscope_tcg::ring::Ring;
use wire::{Chunk, Control, Header, Kind, Policy, Shape, Word};

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

    fn control(&self) -> &Control {
        // SAFETY: the control line lies behind the header's page.
        unsafe { &*self.0[1].as_ptr().cast() }
    }

    fn header(&self) -> &Header {
        // SAFETY: the header lies at the start.
        unsafe { &*self.0[0].as_ptr().cast() }
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
fn chunks_are_published_when_full_and_when_flushed() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, 10..15);
    assert_eq!(mapping.control().head.load(Ordering::Relaxed), 1);
    assert_eq!(mapping.chunk(0), (vec![10, 11, 12, 13], [0, 10, 0]));
    mapping.control().tail.store(1, Ordering::Relaxed);
    ring.flush(15);
    assert_eq!(mapping.chunk(1), (vec![14], [1, 14, 0]));
}

#[test]
fn a_stamp_too_far_from_its_chunks_start_begins_another() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, [5, 1 << 33]);
    assert_eq!(mapping.chunk(0).0, [5]);
    mapping.control().tail.store(1, Ordering::Relaxed);
    ring.flush(1 << 33);
    assert_eq!(mapping.chunk(1).1, [1, 1 << 33, 0]);
}

#[test]
fn a_switch_is_not_parted_from_its_addresses() {
    let mut mapping = Mapping::new(Policy::Lossless, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, [1, 2]);
    ring.push_switch(3, Word::new(Kind::Switch, 0).0, 0xaaaa, 0xbbbb);
    assert_eq!(mapping.chunk(0).0, [1, 2]);
    mapping.control().tail.store(1, Ordering::Relaxed);
    ring.flush(4);
    assert_eq!(mapping.chunk(1).0, [3, 0xaaaa, 0xbbbb]);
}

#[test]
fn flight_counts_every_record_that_it_drops() {
    let mut mapping = Mapping::new(Policy::Flight, std::process::id());
    let mut ring = mapping.ring();
    push(&mut ring, 0..8);
    // Both chunks are full and nobody reads: these twelve go nowhere.
    push(&mut ring, 8..20);
    assert_eq!(mapping.control().head.load(Ordering::Relaxed), 2);
    assert_eq!(mapping.chunk(0).0, [0, 1, 2, 3]);
    mapping.control().tail.store(2, Ordering::Relaxed);
    push(&mut ring, [20]);
    ring.finish(21);
    assert_eq!(mapping.control().lost.load(Ordering::Relaxed), 12);
    assert_eq!(mapping.chunk(2), (vec![20], [2, 20, 12]));
    assert_eq!(mapping.header().insns.load(Ordering::Relaxed), 21);
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
            mapping.control().tail.store(1, Ordering::Release);
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
