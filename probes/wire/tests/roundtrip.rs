//! Every record, site and header reads back as itself; no bytes make a decoder panic.

use proptest::prelude::{Strategy, any, proptest};
use proptest::{prop_assert, prop_assert_eq};
use wire::{Chunk, Damage, Kind, Policy, Record, Shape, Site, Taken, Word};

fn a_kind() -> impl Strategy<Value = Kind> {
    (0..Kind::ALL.len()).prop_map(|i| Kind::ALL[i])
}

fn a_shape() -> impl Strategy<Value = Shape> {
    (1u32..64, 1u32..1000, 1u32..100_000, 0u64..100_000).prop_map(
        |(vcpus, chunks, chunk_records, sites)| Shape {
            vcpus,
            chunks,
            chunk_records,
            sites,
        },
    )
}

proptest! {
    #[test]
    fn records_read_back(kind in a_kind(), function in 0u32..1 << 28, clock in any::<u32>()) {
        let record = Record { clock, word: Word::new(kind, function) };
        let back = Record::decode(record.encode());
        prop_assert_eq!(back, record);
        prop_assert_eq!(back.word.kind(), Some(kind));
        prop_assert_eq!(back.word.function(), function);
    }

    #[test]
    fn steps_of_a_path_sort_below_the_rest(kind in a_kind(), function in 0u32..1 << 28) {
        let step = matches!(
            kind,
            Kind::Entry | Kind::Return | Kind::Jump | Kind::Sysret | Kind::Iret
        );
        prop_assert_eq!(Word::new(kind, function).0 < wire::record::FIRST_SPECIAL, step);
    }

    #[test]
    fn sites_read_back(address in any::<u64>(), kind in a_kind(), function in 0u32..1 << 28, flags in any::<u32>()) {
        let site = Site::new(address, kind, function, flags);
        prop_assert_eq!(Site::decode(&site.encode()), Some(site));
    }

    #[test]
    fn what_was_taken_reads_back_and_sorts(chunks in 0u64..1 << 40, records in 0u32..(1 << 24) - 1) {
        let taken = Taken { chunks, records };
        prop_assert_eq!(Taken::unpack(taken.pack()), taken);
        let later = Taken { records: records + 1, ..taken };
        let next = Taken { chunks: chunks + 1, records: 0 };
        prop_assert!(taken.pack() < later.pack() && later.pack() < next.pack());
    }

    #[test]
    fn headers_read_back(shape in a_shape()) {
        let bytes = shape.header_bytes(Policy::Flight, 7);
        prop_assert_eq!(Shape::decode(&bytes, shape.total_bytes()), Ok(shape));
        let cut = Shape::decode(&bytes, shape.total_bytes() - 1);
        let is_short = matches!(cut, Err(Damage::Short { .. }));
        prop_assert!(is_short);
    }

    #[test]
    fn parts_of_a_mapping_do_not_overlap(shape in a_shape()) {
        let last_control = shape.control_offset(shape.vcpus - 1) + wire::layout::CONTROL_BYTES as u64;
        prop_assert!(last_control <= shape.chunk_offset(0, 0));
        let last = shape.chunk_offset(shape.vcpus - 1, u64::from(shape.chunks) - 1);
        prop_assert_eq!(last + shape.chunk_bytes(), shape.sites_offset());
        prop_assert_eq!(shape.chunk_offset(0, shape.chunks.into()), shape.chunk_offset(0, 0));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), available in any::<u64>()) {
        let _ = Shape::decode(&bytes, available);
        let _ = Site::decode(&bytes);
        if let Ok(chunk) = Chunk::decode(&bytes) {
            prop_assert!(chunk.records().count() <= bytes.len() / 8);
        }
    }
}
