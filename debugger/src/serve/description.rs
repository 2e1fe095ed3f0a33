//! A target's own account of its registers as gdb wants it.

use crate::session::joined::Documents;

const ROOT: &str = "target.xml";

/// Where gdb looks for the registers `xmm0` to `mxcsr`.
const SSE: &str = "org.gnu.gdb.i386.sse";

const HEAD: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n";

/// The documents with a feature of their own for the vector registers; registers, numbers and order stay.
///
/// QEMU lists all of them in the core's feature. gdb does not find `xmm0` there, and ends in an internal error where
/// it needs it: gdb 13.1's `finish` of a function that gives a `float`.
pub(super) fn as_gdb_wants_it(own: &Documents) -> Documents {
    let mut told = own.clone();
    let included = own.iter().filter(|(name, _)| *name != ROOT);
    for (name, text) in included {
        let include = |name: &str| format!("<xi:include href=\"{name}\"/>");
        let root = own.get(ROOT).map_or("", String::as_str);
        let Some(at) = before_vectors(text).filter(|_| root.contains(&include(name))) else {
            continue;
        };
        let (core, vectors) = text.split_at(at);
        let more = format!("sse-{name}");
        let both = include(name) + &include(&more);
        told.insert(ROOT.to_owned(), root.replace(&include(name), &both));
        told.insert(name.clone(), format!("{core}\n</feature>\n"));
        let vectors = format!("{HEAD}<feature name=\"{SSE}\">{vectors}");
        told.insert(more, vectors);
        break;
    }
    told
}

/// Their types come before them, and are known in the feature they are defined in.
fn before_vectors(text: &str) -> Option<usize> {
    let first = text.find("<reg name=\"xmm0\"")?;
    let last = text[..first].rfind("<reg ")?;
    let end = last + text[last..].find("/>")? + "/>".len();
    (!text.contains(SSE)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::{Documents, HEAD, ROOT, SSE, as_gdb_wants_it};
    use crate::gdb::description::{Description, RegisterDefinition};

    /// As QEMU 7.2 sends them.
    fn qemus() -> Documents {
        let included = include_str!("../../tests/fixtures/i386-64bit.xml");
        let root = format!(
            "{HEAD}<target><architecture>i386:x86-64</architecture><xi:include href=\"i386-64bit.xml\"/></target>"
        );
        let both = [(ROOT, root.as_str()), ("i386-64bit.xml", included)];
        both.map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into()
    }

    fn registers(documents: &Documents) -> Vec<RegisterDefinition> {
        let find = &mut |name: &str| documents.get(name).cloned().ok_or_else(String::new);
        Description::parse(&documents[ROOT], find)
            .unwrap()
            .registers
    }

    #[test]
    fn vector_registers_have_a_feature_of_their_own_and_nothing_else_is_changed() {
        let told = as_gdb_wants_it(&qemus());
        let (had, have) = (registers(&qemus()), registers(&told));
        assert_eq!(had.len(), have.len());
        for (had, have) in had.into_iter().zip(have) {
            let vector = have.name.starts_with("xmm") || have.name == "mxcsr";
            assert_eq!(have.feature == SSE, vector, "{}", have.name);
            let feature = had.feature.clone();
            assert_eq!(had, RegisterDefinition { feature, ..have });
        }
        assert_eq!(as_gdb_wants_it(&told), told);
    }

    #[test]
    fn what_is_not_as_qemus_is_passed_on() {
        let mut other = qemus();
        other.insert(ROOT.to_owned(), "<target/>".to_owned());
        assert_eq!(as_gdb_wants_it(&other), other);
        assert_eq!(as_gdb_wants_it(&Documents::new()), Documents::new());
    }
}
