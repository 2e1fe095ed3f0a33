//! The parts of an expression: which of them are read from memory on the way to its value.

use super::Tree;
use super::calls::Argument;

impl Tree {
    /// The expressions that it is made of, one level deep.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Unary(_, a)
            | Self::Cast(_, a)
            | Self::Member(a, ..)
            | Self::SizeOf(a)
            | Self::ContainerOf(a, ..)
            | Self::At(_, a) => vec![a],
            Self::Binary(_, a, b) | Self::Index(a, b) | Self::Assign(_, a, b) => vec![a, b],
            Self::Choice(a, b, c) => vec![a, b, c],
            Self::Call(_, arguments) => arguments
                .iter()
                .filter_map(|one| match one {
                    Argument::Value(tree) => Some(tree),
                    _ => None,
                })
                .collect(),
            Self::Number(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Register(_)
            | Self::Name { .. }
            | Self::SizeOfType(_)
            | Self::OffsetOf(..) => Vec::new(),
        }
    }

    /// Whether evaluating it changes the machine.
    #[must_use]
    pub fn assigns(&self) -> bool {
        matches!(self, Self::Assign(..)) || self.parts().into_iter().any(Self::assigns)
    }

    /// The names it uses that may be a local variable's.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Name { origin: None, name } => vec![name],
            _ => self.parts().into_iter().flat_map(Self::names).collect(),
        }
    }

    /// What is read to find the value, or where it lies: of `p->next[i]` this is `p`, `p->next` and
    /// `i`. The whole is not among them.
    #[must_use]
    pub fn read_on_the_way(&self) -> Vec<&Self> {
        let mut found = Vec::new();
        self.reads(false, &mut found);
        found
    }

    fn reads<'a>(&'a self, itself: bool, found: &mut Vec<&'a Self>) {
        let place = matches!(
            self,
            Self::Name { .. }
                | Self::Member(..)
                | Self::Index(..)
                | Self::Unary("*", _)
                | Self::At(..)
        );
        if place && itself {
            found.push(self);
        }
        match self {
            // Only where it lies counts, not what it holds.
            Self::Member(of, _, false) | Self::Unary("&", of) => of.reads(false, found),
            Self::SizeOf(_) => {}
            _ => {
                for part in self.parts() {
                    part.reads(true, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn what_leads_to_a_value_is_found() {
        let check = |text: &str, expected: &[&str]| {
            let tree = parse(text).unwrap();
            let expected: Vec<_> = expected.iter().map(|text| parse(text).unwrap()).collect();
            let expected: Vec<_> = expected.iter().collect();
            assert_eq!(tree.read_on_the_way(), expected, "{text}");
        };
        check("jiffies", &[]);
        check("init_task.comm", &[]);
        check("*p", &["p"]);
        check("p->next->x", &["p->next", "p"]);
        check("a.b->c.d", &["a.b"]);
        check("p->next[i]", &["p->next", "p", "i"]);
        check("a + b", &["a", "b"]);
        check("*(int *)0x1000", &[]);
        check("sizeof(a)", &[]);
    }

    #[test]
    fn the_names_in_it_are_told() {
        let names = |text: &str| parse(text).unwrap().names().join(" ");
        assert_eq!(names("p->next[i] + ::g"), "p i");
        assert_eq!(names("*(int *)0x1000 + $rax"), "");
    }
}
