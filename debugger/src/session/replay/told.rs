//! What of the guest's output was told. A machine that has gone back writes the same once more.

use std::ops::Range;

/// In bytes of the guest's output since its reset.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// How much the machine has written where it stands; none where it came to by a snapshot that does not say it.
    at: Option<u64>,
    /// Ascending, and not touching.
    ranges: Vec<Range<u64>>,
}

impl Told {
    /// Of a machine at its reset.
    pub(super) fn from_reset() -> Self {
        Self {
            at: Some(0),
            ranges: Vec::new(),
        }
    }

    pub(super) const fn at(&self) -> Option<u64> {
        self.at
    }

    /// The machine has gone to where it has written so much.
    pub(super) const fn went_to(&mut self, at: Option<u64>) {
        self.at = at;
    }

    /// What is new of these bytes, which it has written now.
    pub(super) fn fresh(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(at) = self.at else {
            return bytes;
        };
        let end = at + bytes.len() as u64;
        self.at = Some(end);
        let is_told = |place: u64| self.ranges.iter().any(|told| told.contains(&place));
        let fresh = (at..end)
            .zip(&bytes)
            .filter(|(place, _)| !is_told(*place))
            .map(|(_, byte)| *byte)
            .collect();
        self.add(at..end);
        fresh
    }

    fn add(&mut self, mut new: Range<u64>) {
        self.ranges.retain(|told| {
            let apart = told.end < new.start || told.start > new.end;
            if !apart {
                new.start = new.start.min(told.start);
                new.end = new.end.max(told.end);
            }
            apart
        });
        let place = self.ranges.partition_point(|told| told.end < new.start);
        self.ranges.insert(place, new);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_again_is_told_once() {
        let mut told = Told::from_reset();
        assert_eq!(told.fresh(b"hello ".to_vec()), b"hello ");
        told.went_to(Some(2));
        assert_eq!(told.fresh(b"llo ".to_vec()), b"");
        assert_eq!(told.fresh(b"world".to_vec()), b"world");
        // Passed over by a snapshot from further on, and told when it comes to that.
        told.went_to(Some(21));
        assert_eq!(told.fresh(b"end".to_vec()), b"end");
        told.went_to(Some(9));
        assert_eq!(told.fresh(b"ld, and all end".to_vec()), b", and all ");
        // A snapshot that does not say where it stands.
        told.went_to(None);
        assert_eq!(told.fresh(b"hello".to_vec()), b"hello");
    }

    proptest! {
        /// However it goes back and on, each byte is told once, at the first time.
        #[test]
        fn each_byte_once(jumps in proptest::collection::vec((0_u64..200, 1_usize..60), 1..40)) {
            let text: Vec<u8> = (0..=255).collect();
            let mut told = Told::from_reset();
            let mut expected = std::collections::BTreeSet::new();
            for (at, length) in jumps {
                told.went_to(Some(at));
                let from = usize::try_from(at).unwrap();
                let to = (from + length).min(text.len());
                let new: Vec<u8> = text[from..to].iter().copied().filter(|b| expected.insert(*b)).collect();
                prop_assert_eq!(told.fresh(text[from..to].to_vec()), new);
            }
        }
    }
}
