//! What functions and system calls take: names and types of their parameters.

use super::Symbols;
use super::dies::{Die, DieId};
use super::types::TypeId;
use super::variables::type_of;
use crate::addr::Addr;

/// Of a function's prototype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub of: TypeId,
    pub type_name: String,
}

impl Symbols {
    /// The parameters of a function that has code of its own.
    #[must_use]
    pub fn parameters(&self, function: &str) -> Option<Vec<Parameter>> {
        let symbols = self.lookup(function);
        let symbol = symbols.iter().find(|symbol| symbol.kind.is_code())?;
        Some(self.parameters_of(&self.function_die(symbol.addr)?))
    }

    /// A system call's arguments as its definition has them: the function
    /// behind its entry in the table unpacks the registers and mostly has the definition inlined.
    #[must_use]
    pub fn call_parameters(&self, call: &str) -> Option<Vec<Parameter>> {
        let wanted = format!("__do_sys_{call}");
        if let Some(found) = self.parameters(&wanted) {
            return Some(found);
        }
        for outer in [format!("__x64_sys_{call}"), format!("__se_sys_{call}")] {
            let symbols = self.lookup(&outer);
            let die = symbols
                .iter()
                .find(|symbol| symbol.kind.is_code())
                .and_then(|symbol| self.function_die(symbol.addr));
            let inlined = die.and_then(|die| inlined_named(&die, &wanted, 8));
            if let Some(definition) =
                inlined.and_then(|die| die.refer(gimli::DW_AT_abstract_origin))
            {
                return Some(self.parameters_of(&definition));
            }
        }
        None
    }

    fn parameters_of(&self, die: &Die<'_>) -> Vec<Parameter> {
        die.children()
            .iter()
            .filter(|child| child.tag() == gimli::DW_TAG_formal_parameter)
            .map(|child| {
                let of = type_of(child);
                Parameter {
                    name: child.name().to_owned(),
                    of,
                    type_name: self.type_name(of),
                }
            })
            .collect()
    }

    /// The parameters of the function whose own code lies there.
    #[must_use]
    pub fn parameters_at(&self, addr: Addr) -> Option<Vec<Parameter>> {
        Some(self.parameters_of(&self.function_die(addr)?))
    }

    /// What the function whose own code lies there returns; none for one that returns nothing.
    #[must_use]
    pub fn result_at(&self, addr: Addr) -> Option<TypeId> {
        let of = type_of(&self.function_die(addr)?);
        (of != TypeId::VOID).then_some(of)
    }

    /// The parameters of a function as the source around `near` declares it; they mostly have no
    /// names there.
    #[must_use]
    pub fn declared_near(&self, near: Addr, function: &str) -> Option<Vec<Parameter>> {
        let image: u8 = (!self.in_kernel_image(near)).into();
        let number = self.numbered(image)?.units().number_at(near)?;
        let unit = self.numbered(image)?.unit(number)?;
        let mut entries = unit.entries();
        entries.next_dfs().ok()?;
        let offset = entries.current()?.offset().0;
        let whole = self.die(DieId {
            image,
            unit: number,
            offset,
        })?;
        let found = whole
            .children()
            .into_iter()
            .find(|die| die.tag() == gimli::DW_TAG_subprogram && die.name() == function);
        found.map(|die| self.parameters_of(&die))
    }
}

/// An inlined call of the function of this name, at most so deep inside.
fn inlined_named<'a>(die: &Die<'a>, name: &str, depth: u32) -> Option<Die<'a>> {
    let deeper = depth.checked_sub(1)?;
    die.children()
        .into_iter()
        .find_map(|child| match child.tag() {
            gimli::DW_TAG_inlined_subroutine if child.name() == name => Some(child),
            gimli::DW_TAG_inlined_subroutine | gimli::DW_TAG_lexical_block => {
                inlined_named(&child, name, deeper)
            }
            _ => None,
        })
}
