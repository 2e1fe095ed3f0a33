//! Finding symbols by a pattern.

use std::fmt;
use std::sync::Arc;

use super::bytes::Bytes;
use super::{Pattern, Symbol, Symbols, stem};

/// The names of all symbols, to be looked through by another thread.
pub struct AllNames {
    names: Vec<&'static str>,
    /// What they are slices of.
    _bytes: Vec<Arc<Bytes>>,
}

impl fmt::Debug for AllNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllNames")
            .field("names", &self.names.len())
            .finish_non_exhaustive()
    }
}

impl AllNames {
    /// Sorted, each once.
    #[must_use]
    pub fn sorted(mut self) -> Vec<String> {
        self.names.sort_unstable();
        self.names.dedup();
        self.names.iter().copied().map(str::to_owned).collect()
    }
}

impl Symbols {
    #[must_use]
    pub fn all_names(&self) -> AllNames {
        AllNames {
            names: self.entries().map(|entry| entry.name).collect(),
            _bytes: self
                .images()
                .map(|image| Arc::clone(image.bytes()))
                .collect(),
        }
    }

    /// By address, the kernel's first.
    pub fn matching<'a>(&'a self, pattern: &Pattern) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let pattern = pattern.clone();
        self.entries()
            .filter(move |entry| {
                let shown = self.shown(entry);
                pattern.matches(entry.name) || pattern.matches(shown)
            })
            .map(|entry| self.symbol(entry))
    }

    /// The bodies that the compiler made of a function under names of their own, as `foo.isra.0`; not
    /// its cold part, where nobody enters.
    pub fn bodies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        self.entries()
            .filter(move |entry| is_body(self.shown(entry), name))
            .map(|entry| self.symbol(entry))
    }
}

fn is_body(entry: &str, name: &str) -> bool {
    entry.len() > name.len() && stem(entry) == name && !entry.contains(".cold")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_known_by_the_name_they_were_made_of() {
        assert!(is_body("do_get.constprop.0", "do_get"));
        assert!(is_body("do_get.part.0.isra.1", "do_get"));
        assert!(!is_body("do_get", "do_get"));
        assert!(!is_body("do_get.part.0.cold", "do_get"));
        assert!(!is_body("do_gets.isra.0", "do_get"));
    }
}
