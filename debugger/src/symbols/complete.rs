//! Structures that a unit only declares, `struct fdtable;`: their definitions elsewhere in the image.

use super::Symbols;
use super::dies::Die;
use super::index::What;
use super::types::TypeId;

impl Symbols {
    /// The definition of what an entry only declares: that of its name, where all units that define the
    /// name agree on its size.
    ///
    /// # Errors
    /// Why there is none: nothing of the image defines it, or several do.
    pub(super) fn defined_elsewhere(&self, declared: &Die<'_>) -> Result<TypeId, String> {
        let id = TypeId(Some(declared.id));
        self.memo.definition(id, || self.look_elsewhere(declared))
    }

    fn look_elsewhere(&self, declared: &Die<'_>) -> Result<TypeId, String> {
        let written = as_declared(declared).unwrap_or_default();
        let none = || format!("{written} is only declared");
        let what = kind(declared).ok_or_else(none)?;
        // A ring-3 twin is another program: its types are its own.
        let found = declared.image.names().named(declared.name(), &[what]);
        let first = found.first().ok_or_else(none)?;
        if found.iter().any(|other| other.size != first.size) {
            let all = self.types_named(&written).into_iter();
            let places: Vec<String> = all.map(|(_, place)| place).collect();
            return Err(format!(
                "{written} is only declared here, and defined in {}",
                places.join(" and ")
            ));
        }
        let id = declared.image.die_id(declared.id.image, first);
        id.map(|id| TypeId(Some(id))).ok_or_else(none)
    }
}

/// `struct fdtable`, for an entry that only declares it.
pub(super) fn as_declared(die: &Die<'_>) -> Option<String> {
    die.own(gimli::DW_AT_declaration)?;
    let keyword = match kind(die)? {
        What::Union => "union",
        What::Enum => "enum",
        _ if die.tag() == gimli::DW_TAG_class_type => "class",
        _ => "struct",
    };
    Some(format!("{keyword} {}", die.name()))
}

fn kind(die: &Die<'_>) -> Option<What> {
    match die.tag() {
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => Some(What::Struct),
        gimli::DW_TAG_union_type => Some(What::Union),
        gimli::DW_TAG_enumeration_type => Some(What::Enum),
        _ => None,
    }
}
