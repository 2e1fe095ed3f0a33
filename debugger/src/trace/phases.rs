//! Which part of a path a function belongs to, by the table of the kernel's family.
//!
//! A function that is not in the table belongs to its caller's phase; under entry assembly, where
//! callers have two phases, to the service.

use std::collections::HashMap;

use super::report::Phases;
use crate::crossing::{Phase, PhaseRule};
use crate::profile::Profile;

/// The family's rules, to be asked for many names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    names: HashMap<String, PhaseRule>,
    /// The longest first.
    beginnings: Vec<(String, PhaseRule)>,
}

impl Rules {
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let mut rules = Self::default();
        for (name, rule) in &profile.phases {
            match name.strip_suffix('*') {
                Some(beginning) => rules.beginnings.push((beginning.to_owned(), *rule)),
                None => {
                    rules.names.insert(name.clone(), *rule);
                }
            }
        }
        let longest = |(beginning, _): &(String, PhaseRule)| std::cmp::Reverse(beginning.len());
        rules.beginnings.sort_by_key(longest);
        rules
    }

    /// A whole name holds before a beginning.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<PhaseRule> {
        let beginning = || {
            let mut beginnings = self.beginnings.iter();
            beginnings.find(|(beginning, _)| name.starts_with(beginning.as_str()))
        };
        let whole = self.names.get(name).copied();
        whole.or_else(|| beginning().map(|(_, rule)| *rule))
    }
}

impl Phase {
    pub fn add_to(self, phases: &mut Phases, instructions: u64) {
        *match self {
            Self::Entry => &mut phases.entry,
            Self::EntryWork => &mut phases.entry_work,
            Self::Dispatch => &mut phases.dispatch,
            Self::Copy => &mut phases.copy,
            Self::Service => &mut phases.service,
            Self::ExitWork => &mut phases.exit_work,
            Self::Exit => &mut phases.exit,
        } += instructions;
    }
}

/// The phases of a function's own instructions: before its first call, and after it.
#[must_use]
pub fn of(rule: Option<PhaseRule>, caller: Option<(Phase, Phase)>) -> (Phase, Phase) {
    match (rule, caller) {
        (Some(PhaseRule::Whole(phase)), _) => (phase, phase),
        (Some(PhaseRule::BothEnds), _) => (Phase::Entry, Phase::Exit),
        (None, Some((before, after))) if before == after => (before, before),
        (None, _) => (Phase::Service, Phase::Service),
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::{Copy, Entry, Exit, Service};
    use super::*;

    #[test]
    fn a_function_inherits_from_its_caller() {
        let rules = Rules::of(&Profile::linux());
        let rule = |name| rules.rule(name);
        let syscall = of(rule("entry_SYSCALL_64_after_hwframe"), None);
        assert_eq!(syscall, (Entry, Exit));
        let dispatch = of(rule("do_syscall_64"), Some(syscall));
        let service = of(rule("__x64_sys_read"), Some(dispatch));
        assert_eq!(service, (Service, Service));
        let copy = of(rule("_copy_to_user"), Some(service));
        assert_eq!(of(rule("anything"), Some(copy)), (Copy, Copy));
        assert_eq!(of(rule("anything"), Some(syscall)), (Service, Service));
    }

    #[test]
    fn a_family_adds_to_the_rules_of_any_linux() {
        let ukl = Rules::of(&Profile::recognise(|name| name == "__ukl_text_start"));
        assert_eq!(
            ukl.rule("do_syscall_64"),
            Rules::of(&Profile::linux()).rule("do_syscall_64")
        );
        assert_eq!(ukl.rule("ukl_tcp_sendmsg"), Some(PhaseRule::BothEnds));
        assert_eq!(
            ukl.rule("__ukl_tcp_sendmsg"),
            Some(PhaseRule::Whole(Service))
        );
        assert_eq!(Rules::of(&Profile::linux()).rule("ukl_tcp_sendmsg"), None);
    }

    #[test]
    fn the_nearer_name_holds() {
        let text =
            "name = 'x'\ntitle = 'y'\n[phases]\nab = 'exit'\n'a*' = 'copy'\n'abc*' = 'entry'\n";
        let rules = Rules::of(&Profile::parse(text).unwrap());
        assert_eq!(rules.rule("ab"), Some(PhaseRule::Whole(Exit)));
        assert_eq!(rules.rule("abcd"), Some(PhaseRule::Whole(Entry)));
        assert_eq!(rules.rule("abd"), Some(PhaseRule::Whole(Copy)));
        assert_eq!(rules.rule("b"), None);
    }
}
