//! A hash table of names that are kept elsewhere: it holds hashes and numbers, no texts.

/// What each number is the name of is told at every question, so that names need not be copied.
#[derive(Debug, Default)]
pub(super) struct ByName {
    /// Hash and number; a power of two of them, at most half of them taken.
    slots: Vec<(u32, u32)>,
}

/// The number of a slot where nothing lies.
const FREE: u32 = u32::MAX;

impl ByName {
    /// Numbers the names from 0.
    pub(super) fn of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let count = (names.len() * 2).next_power_of_two().max(2);
        let mut slots = vec![(0, FREE); count];
        for (number, name) in (0..FREE).zip(names) {
            let hash = hash(name);
            let mut at = hash as usize & (count - 1);
            while slots[at].1 != FREE {
                at = (at + 1) & (count - 1);
            }
            slots[at] = (hash, number);
        }
        Self { slots }
    }

    /// The numbers that a name may have, ascending: all it has, and seldom another's.
    pub(super) fn like(&self, name: &str) -> impl Iterator<Item = u32> + use<'_> {
        let wanted = hash(name);
        let mask = self.slots.len().wrapping_sub(1);
        (0..self.slots.len())
            .map(move |i| self.slots[(wanted as usize).wrapping_add(i) & mask])
            .take_while(|(_, number)| *number != FREE)
            .filter_map(move |(hash, number)| (hash == wanted).then_some(number))
    }
}

/// Eight bytes at a time: the names are many, short, and nobody chooses them to collide.
fn hash(name: &str) -> u32 {
    let mix =
        |hash: u64, part: u64| (hash.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (parts, rest) = name.as_bytes().as_chunks::<8>();
    let whole = parts.iter().fold(name.len() as u64, |hash, part| {
        mix(hash, u64::from_le_bytes(*part))
    });
    let last = rest
        .iter()
        .rev()
        .fold(0, |part, byte| part << 8 | u64::from(*byte));
    let hash = mix(whole, last);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are folded")]
    let folded = (hash ^ (hash >> 32)) as u32;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_all_its_numbers_in_order() {
        let names: Vec<String> = (0..1_000).map(|i| format!("name_{}", i % 300)).collect();
        let table = ByName::of(names.iter().map(String::as_str));
        for name in &names {
            let numbers = (0_u32..).zip(&names);
            let expected: Vec<u32> = numbers
                .filter_map(|(i, of)| (of == name).then_some(i))
                .collect();
            let found: Vec<u32> = table
                .like(name)
                .filter(|i| names[*i as usize] == *name)
                .collect();
            assert_eq!(found, expected);
        }
        assert_eq!(ByName::of(std::iter::empty()).like("x").count(), 0);
        assert_eq!(ByName::default().like("x").count(), 0);
    }
}
