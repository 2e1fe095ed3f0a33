//! The functions that records name by number.

use std::collections::HashSet;
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
pub struct Functions(Vec<Function>);

impl Default for Functions {
    fn default() -> Self {
        Self(vec![Function {
            name: "unknown".to_owned(),
            origin: Origin::Unknown,
            label: false,
            file: None,
        }])
    }
}

impl Functions {
    /// The new function's number.
    pub fn push(&mut self, function: Function) -> u32 {
        self.0.push(function);
        u32::try_from(self.0.len() - 1).unwrap_or(wire::record::NO_FUNCTION)
    }

    /// The unknown one for a number that is not in the table.
    #[must_use]
    pub fn get(&self, number: u32) -> &Function {
        self.0.get(number as usize).unwrap_or(&self.0[0])
    }

    /// The family of the kernel that these are of.
    #[must_use]
    pub fn profile(&self) -> Arc<Profile> {
        let names: HashSet<&str> = self.iter().map(|function| function.name.as_str()).collect();
        Profile::recognise(|name| names.contains(name))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.0.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of the first function of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u32> {
        let at = self.0.iter().position(|function| function.name == name)?;
        u32::try_from(at).ok()
    }
}
