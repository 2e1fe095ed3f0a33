//! The functions that records name by number.

use std::sync::Arc;

use crate::origin::Origin;
use crate::profile::Profile;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub origin: Origin,
    /// Assembly that is jumped to or fallen into, never called.
    pub label: bool,
    /// Where it is defined, relative to the kernel's tree.
    pub file: Option<String>,
}

/// By number; 0 stands for code in no known function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Functions {
    list: Vec<Function>,
    profile: Arc<Profile>,
}

impl Default for Functions {
    fn default() -> Self {
        Self::of(Profile::linux())
    }
}

impl Functions {
    /// Of a kernel of that family; only the unknown one so far.
    #[must_use]
    pub fn of(profile: Arc<Profile>) -> Self {
        let unknown = Function {
            name: "unknown".to_owned(),
            origin: Origin::Unknown,
            label: false,
            file: None,
        };
        Self {
            list: vec![unknown],
            profile,
        }
    }

    /// The new function's number.
    pub fn push(&mut self, function: Function) -> u32 {
        self.list.push(function);
        u32::try_from(self.list.len() - 1).unwrap_or(wire::record::NO_FUNCTION)
    }

    /// The unknown one for a number that is not in the table.
    #[must_use]
    pub fn get(&self, number: u32) -> &Function {
        self.list.get(number as usize).unwrap_or(&self.list[0])
    }

    /// The family of the kernel that these are of.
    #[must_use]
    pub const fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.list.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of the first function of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u32> {
        let at = self
            .list
            .iter()
            .position(|function| function.name == name)?;
        u32::try_from(at).ok()
    }
}
