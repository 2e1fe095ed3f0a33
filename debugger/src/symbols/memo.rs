//! What of the kernel's structures was asked before: a list of tasks asks for the same few fields a
//! thousand times, and each look into DWARF reads the whole structure.

use std::cell::RefCell;
use std::collections::HashMap;

use super::types::TypeId;

/// A struct's fields by their paths: where they lie and of what type they are, or that there is none.
type Fields = HashMap<String, Option<(u64, TypeId)>>;

#[derive(Debug, Default)]
pub(super) struct Memo {
    fields: RefCell<HashMap<TypeId, Fields>>,
    sizes: RefCell<HashMap<TypeId, u64>>,
    types: RefCell<HashMap<String, TypeId>>,
    definitions: RefCell<HashMap<TypeId, Result<TypeId, String>>>,
}

impl Memo {
    pub(super) fn field(
        &self,
        of: TypeId,
        path: &str,
        look: impl FnOnce() -> Option<(u64, TypeId)>,
    ) -> Option<(u64, TypeId)> {
        let known = self.fields.borrow();
        if let Some(found) = known.get(&of).and_then(|fields| fields.get(path)) {
            return *found;
        }
        drop(known);
        let found = look();
        let mut fields = self.fields.borrow_mut();
        fields.entry(of).or_default().insert(path.to_owned(), found);
        found
    }

    pub(super) fn size(&self, of: TypeId, look: impl FnOnce() -> u64) -> u64 {
        if let Some(size) = self.sizes.borrow().get(&of) {
            return *size;
        }
        let size = look();
        self.sizes.borrow_mut().insert(of, size);
        size
    }

    pub(super) fn definition(
        &self,
        of: TypeId,
        look: impl FnOnce() -> Result<TypeId, String>,
    ) -> Result<TypeId, String> {
        if let Some(found) = self.definitions.borrow().get(&of) {
            return found.clone();
        }
        let found = look();
        self.definitions.borrow_mut().insert(of, found.clone());
        found
    }

    pub(super) fn named(
        &self,
        name: &str,
        look: impl FnOnce() -> Option<TypeId>,
    ) -> Option<TypeId> {
        if let Some(found) = self.types.borrow().get(name) {
            return Some(*found);
        }
        let found = look()?;
        self.types.borrow_mut().insert(name.to_owned(), found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_once_is_not_looked_for_again() {
        let memo = Memo::default();
        let of = TypeId::VOID;
        assert_eq!(memo.field(of, "a.b", || Some((8, of))), Some((8, of)));
        assert_eq!(memo.field(of, "a.b", || panic!("again")), Some((8, of)));
        assert_eq!(memo.field(of, "none", || None), None);
        assert_eq!(memo.field(of, "none", || panic!("again")), None);
        assert_eq!(
            (memo.size(of, || 4), memo.size(of, || panic!("again"))),
            (4, 4)
        );
        assert_eq!(memo.named("x", || None), None);
        assert_eq!(
            memo.named("x", || Some(of)),
            Some(of),
            "it may be known by now"
        );
    }
}
