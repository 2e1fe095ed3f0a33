//! The order of classes while they come: the most frequent first, but calm enough to be read.

/// A row moves up only where it has more than so many times the crossings of one above it.
const FACTOR: u64 = 2;

/// Names in an order that holds from one piece of news to the next.
#[derive(Debug, Default)]
pub(super) struct Calm {
    order: Vec<String>,
}

impl Calm {
    /// Takes over what is there now, the most frequent first. Rows keep their places, new ones come last; then those
    /// that have become much more frequent than one above go there.
    pub(super) fn follow<'a>(&mut self, now: impl Iterator<Item = (&'a str, u64)> + Clone) {
        let count = |id: &str| now.clone().find(|(known, _)| *known == id);
        let kept: Vec<(&str, u64)> = self.order.iter().filter_map(|id| count(id)).collect();
        let is_new = |(id, _): &(&str, u64)| !kept.iter().any(|(known, _)| known == id);
        let fresh = now.clone().filter(is_new);
        let mut rows: Vec<(&str, u64)> = Vec::new();
        for (id, count) in kept.iter().copied().chain(fresh) {
            let less = |row: &(&str, u64)| row.1.saturating_mul(FACTOR) < count;
            let at = rows.iter().position(less).unwrap_or(rows.len());
            rows.insert(at, (id, count));
        }
        self.order = rows.into_iter().map(|(id, _)| id.to_owned()).collect();
    }

    /// Its place; of what is not known, behind all.
    pub(super) fn place(&self, id: &str) -> usize {
        let place = self.order.iter().position(|known| known == id);
        place.unwrap_or(self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(calm: &mut Calm, now: &[(&str, u64)]) -> String {
        calm.follow(now.iter().copied());
        calm.order.join(" ")
    }

    #[test]
    fn rows_keep_their_places_until_one_is_much_more_frequent() {
        let mut calm = Calm::default();
        assert_eq!(follow(&mut calm, &[("a", 3), ("b", 2), ("c", 2)]), "a b c");
        assert_eq!(follow(&mut calm, &[("b", 6), ("c", 4), ("a", 3)]), "a b c");
        assert_eq!(follow(&mut calm, &[("b", 7), ("c", 6), ("a", 3)]), "b a c");
        // A new one is put where it belongs, and what is no longer told of is gone.
        let now = [("d", 90), ("b", 9), ("c", 6)];
        assert_eq!(follow(&mut calm, &now), "d b c");
        assert_eq!((calm.place("d"), calm.place("a")), (0, 3));
    }

    #[test]
    fn no_row_is_below_one_with_less_than_half_of_its_crossings() {
        let mut calm = Calm::default();
        assert_eq!(follow(&mut calm, &[("a", 1), ("b", 1), ("c", 1)]), "a b c");
        assert_eq!(follow(&mut calm, &[("c", 4), ("b", 2), ("a", 1)]), "c a b");
    }
}
