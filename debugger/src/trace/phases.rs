//! Which part of a path a function belongs to: a table for Linux 6.1 on x86-64, with our patches.
//!
//! A function that is not in the table belongs to its caller's phase; under entry assembly, where
//! callers have two phases, to the service.

use super::report::Phases;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Entry,
    EntryWork,
    Dispatch,
    UserCopy,
    Service,
    ExitWork,
    Exit,
}

/// What the table says of a function's own instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// All of them, and those of what it calls.
    Whole(Phase),
    /// Entry up to its first call, exit from then on: the assembly at both ends of a path.
    BothEnds,
}

use Phase::{Dispatch, Entry, EntryWork, Exit, ExitWork, Service, UserCopy};

/// Exact names, sorted.
const NAMES: &[(&str, Rule)] = &[
    ("__clear_user", Rule::Whole(UserCopy)),
    ("__do_softirq", Rule::Whole(Service)),
    ("__get_user_1", Rule::Whole(UserCopy)),
    ("__get_user_2", Rule::Whole(UserCopy)),
    ("__get_user_4", Rule::Whole(UserCopy)),
    ("__get_user_8", Rule::Whole(UserCopy)),
    ("__put_user_1", Rule::Whole(UserCopy)),
    ("__put_user_2", Rule::Whole(UserCopy)),
    ("__put_user_4", Rule::Whole(UserCopy)),
    ("__put_user_8", Rule::Whole(UserCopy)),
    ("_copy_from_iter", Rule::Whole(UserCopy)),
    ("_copy_from_user", Rule::Whole(UserCopy)),
    ("_copy_to_iter", Rule::Whole(UserCopy)),
    ("_copy_to_user", Rule::Whole(UserCopy)),
    ("asm_common_interrupt", Rule::BothEnds),
    ("clear_user_erms", Rule::Whole(UserCopy)),
    ("clear_user_original", Rule::Whole(UserCopy)),
    ("clear_user_rep_good", Rule::Whole(UserCopy)),
    ("common_interrupt", Rule::Whole(Service)),
    ("common_interrupt_return", Rule::Whole(Exit)),
    ("copy_page_from_iter", Rule::Whole(UserCopy)),
    ("copy_page_to_iter", Rule::Whole(UserCopy)),
    ("copy_user_enhanced_fast_string", Rule::Whole(UserCopy)),
    ("copy_user_generic_string", Rule::Whole(UserCopy)),
    ("copy_user_generic_unrolled", Rule::Whole(UserCopy)),
    ("copyin", Rule::Whole(UserCopy)),
    ("copyout", Rule::Whole(UserCopy)),
    ("do_syscall_64", Rule::Whole(Dispatch)),
    ("entry_SYSCALL_64", Rule::BothEnds),
    ("entry_SYSCALL_64_after_hwframe", Rule::BothEnds),
    ("entry_SYSCALL_64_safe_stack", Rule::Whole(Entry)),
    ("entry_SYSRETQ_unsafe_stack", Rule::Whole(Exit)),
    ("error_entry", Rule::Whole(EntryWork)),
    ("error_return", Rule::Whole(Exit)),
    ("exit_to_user_mode_prepare", Rule::Whole(ExitWork)),
    ("fpregs_assert_state_consistent", Rule::Whole(ExitWork)),
    ("iov_iter_zero", Rule::Whole(UserCopy)),
    ("irq_entries_start", Rule::Whole(Entry)),
    ("irqentry_enter", Rule::Whole(EntryWork)),
    ("irqentry_enter_from_user_mode", Rule::Whole(EntryWork)),
    ("irqentry_exit", Rule::Whole(ExitWork)),
    ("irqentry_exit_to_user_mode", Rule::Whole(ExitWork)),
    ("irqentry_nmi_enter", Rule::Whole(EntryWork)),
    ("irqentry_nmi_exit", Rule::Whole(ExitWork)),
    ("move_addr_to_kernel", Rule::Whole(UserCopy)),
    ("native_iret", Rule::Whole(Exit)),
    ("native_irq_return_iret", Rule::Whole(Exit)),
    ("paranoid_entry", Rule::Whole(EntryWork)),
    ("paranoid_exit", Rule::Whole(Exit)),
    ("restore_regs_and_return_to_kernel", Rule::Whole(Exit)),
    // Wherever a task gives way, the exit of a call included.
    ("schedule", Rule::Whole(Service)),
    ("spurious_entries_start", Rule::Whole(Entry)),
    ("strncpy_from_user", Rule::Whole(UserCopy)),
    ("strnlen_user", Rule::Whole(UserCopy)),
    (
        "swapgs_restore_regs_and_return_to_usermode",
        Rule::Whole(Exit),
    ),
    ("sync_regs", Rule::Whole(EntryWork)),
    ("syscall_enter_from_user_mode", Rule::Whole(EntryWork)),
    (
        "syscall_enter_from_user_mode_prepare",
        Rule::Whole(EntryWork),
    ),
    ("syscall_enter_from_user_mode_work", Rule::Whole(EntryWork)),
    ("syscall_exit_to_user_mode", Rule::Whole(ExitWork)),
    ("syscall_exit_to_user_mode_work", Rule::Whole(ExitWork)),
    ("syscall_return_via_sysret", Rule::Whole(Exit)),
    ("syscall_trace_enter", Rule::Whole(EntryWork)),
    ("ukl_bypass_limited_syscall", Rule::BothEnds),
    ("ukl_bypass_syscall", Rule::BothEnds),
    ("ukl_entry_SYSCALL_64", Rule::Whole(Entry)),
    ("ukl_exit_work", Rule::Whole(ExitWork)),
    ("ukl_native_iret", Rule::Whole(Exit)),
    ("ukl_ret_to_app", Rule::Whole(Exit)),
    ("ukl_return_to_app", Rule::Whole(Exit)),
    ("ukl_tcp_recvmsg", Rule::BothEnds),
    ("ukl_tcp_sendmsg", Rule::BothEnds),
];

/// Beginnings of names, for what the table above has not.
const PREFIXES: &[(&str, Rule)] = &[
    ("__x64_sys_", Rule::Whole(Service)),
    ("__ukl_", Rule::Whole(Service)),
    ("asm_exc_", Rule::BothEnds),
    ("asm_sysvec_", Rule::BothEnds),
    ("exc_", Rule::Whole(Service)),
    ("sysvec_", Rule::Whole(Service)),
];

/// What the table says of a name.
#[must_use]
pub fn rule(name: &str) -> Option<Rule> {
    if let Ok(at) = NAMES.binary_search_by_key(&name, |(name, _)| name) {
        return Some(NAMES[at].1);
    }
    let mut prefixes = PREFIXES.iter();
    prefixes
        .find(|(prefix, _)| name.starts_with(prefix))
        .map(|(_, rule)| *rule)
}

impl Phase {
    pub fn add_to(self, phases: &mut Phases, instructions: u64) {
        *match self {
            Entry => &mut phases.entry,
            EntryWork => &mut phases.entry_work,
            Dispatch => &mut phases.dispatch,
            UserCopy => &mut phases.copy,
            Service => &mut phases.service,
            ExitWork => &mut phases.exit_work,
            Exit => &mut phases.exit,
        } += instructions;
    }
}

/// The phases of a function's own instructions: before its first call, and after it.
#[must_use]
pub fn of(rule: Option<Rule>, caller: Option<(Phase, Phase)>) -> (Phase, Phase) {
    match (rule, caller) {
        (Some(Rule::Whole(phase)), _) => (phase, phase),
        (Some(Rule::BothEnds), _) => (Entry, Exit),
        (None, Some((before, after))) if before == after => (before, before),
        (None, _) => (Service, Service),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(NAMES.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn a_function_inherits_from_its_caller() {
        let syscall = of(rule("entry_SYSCALL_64_after_hwframe"), None);
        assert_eq!(syscall, (Entry, Exit));
        let dispatch = of(rule("do_syscall_64"), Some(syscall));
        let service = of(rule("__x64_sys_read"), Some(dispatch));
        assert_eq!(service, (Service, Service));
        let copy = of(rule("_copy_to_user"), Some(service));
        assert_eq!(of(rule("anything"), Some(copy)), (UserCopy, UserCopy));
        assert_eq!(of(rule("anything"), Some(syscall)), (Service, Service));
    }
}
