//! Where in a path a call's own work lies, and how deep in it a function can be called directly.

use rustc_hash::FxHashSet;

use super::{Rung, Saving, Shortcut};
use crate::crossing::{Phase, PhaseRule};
use crate::origin::{Origin, Subsystem};
use crate::profile::Profile;
use crate::trace::phases::Rules;
use crate::trace::report::{Class, Node, Report};

/// What hands signals to the application, on the way out of whatever it called; a system call is prepared there to be
/// made anew as well.
const DELIVERS: &str = "arch_do_signal_or_restart";

/// The rules of the family whose functions a run's paths have.
#[derive(Debug)]
pub(super) struct Work(Rules);

/// Instructions of delivering signals in one crossing: they stay, whichever way the call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Delivery {
    all: u64,
    /// Neither service nor copying.
    exit_work: u64,
}

impl Work {
    pub(super) fn of(report: &Report) -> Self {
        let mut there: FxHashSet<&str> = FxHashSet::default();
        // A stack of its own: a path may be deep.
        let mut left: Vec<&Node> = report.classes.iter().map(|class| &class.path).collect();
        while let Some(node) = left.pop() {
            there.insert(&node.symbol);
            left.extend(&node.children);
        }
        let profile = Profile::recognise(|name| there.contains(name));
        Self(Rules::of(&profile))
    }

    /// The way in and out, with all that it calls: a signal that is delivered there is no work of the call, however
    /// much it takes.
    fn is_around(&self, node: &Node) -> bool {
        use Phase::{Entry, EntryWork, Exit, ExitWork};
        let rule = self.0.rule(&node.symbol);
        matches!(
            rule,
            Some(PhaseRule::Whole(Entry | EntryWork | ExitWork | Exit))
        )
    }

    fn delivery(&self, class: &Class) -> Delivery {
        use Phase::{Copy, Service};
        let mut sum = Delivery::default();
        let mut left = vec![(&class.path, false, false)];
        while let Some((node, within, served)) = left.pop() {
            let within = within || node.symbol == DELIVERS;
            let served = match self.0.rule(&node.symbol) {
                Some(PhaseRule::Whole(phase)) => matches!(phase, Service | Copy),
                Some(PhaseRule::BothEnds) => false,
                None => served && node.symbol != DELIVERS,
            };
            if within {
                sum.all += node.own;
                sum.exit_work += if served { 0 } else { node.own };
            }
            left.extend(node.children.iter().map(|child| (child, within, served)));
        }
        sum
    }

    /// What a bypass leaves of a crossing: service, copying and the delivery of signals.
    pub(super) fn stays(&self, class: &Class) -> u64 {
        class.phases.service + class.phases.copy + self.delivery(class).exit_work
    }

    /// What a bypass takes away at most.
    pub(super) fn bypassed(&self, class: &Class) -> u64 {
        let boundary = class.phases.boundary();
        boundary.saturating_sub(self.delivery(class).exit_work)
    }

    /// What calling the function at once leaves: it, and the delivery of signals.
    pub(super) fn stays_below(&self, class: &Class, symbol: &str) -> Option<u64> {
        let found = self.heaviest(&class.path, symbol)?;
        Some(found.total + self.delivery(class).all)
    }

    /// What calling the function at once takes away at most.
    pub(super) fn shortened(&self, class: &Class, symbol: &str) -> u64 {
        let stays = self.stays_below(class, symbol);
        stays.map_or(0, |stays| class.path.total.saturating_sub(stays))
    }

    /// Down the path as long as it is a single line: each function holds at least half of its caller, and no
    /// caller takes a lock, which it would take for what it calls.
    pub(super) fn shortcut(&self, class: &Class) -> Option<Shortcut> {
        let mut above = Vec::new();
        let mut node = &class.path;
        let without = class.path.total.saturating_sub(self.delivery(class).all);
        loop {
            let inner = node.children.iter().filter(|child| !self.is_around(child));
            let below = inner.max_by_key(|child| child.total);
            let Some(below) = below.filter(|below| is_line(node, below)) else {
                break;
            };
            if !is_way_in(node) {
                above.push(Rung {
                    symbol: node.symbol.clone(),
                    origin: node.origin,
                    total: node.total,
                    each: without.saturating_sub(node.total),
                });
            }
            node = below;
        }
        (!is_way_in(node)).then(|| Shortcut {
            symbol: node.symbol.clone(),
            origin: node.origin,
            total: node.total,
            saving: Saving {
                each: without.saturating_sub(node.total),
                ..Saving::default()
            },
            above,
        })
    }

    /// The call of that name with the most in it, within the work.
    fn heaviest<'a>(&self, root: &'a Node, symbol: &str) -> Option<&'a Node> {
        let mut left = vec![root];
        let mut best: Option<&Node> = None;
        while let Some(node) = left.pop() {
            if node.symbol == symbol && best.is_none_or(|best| best.total < node.total) {
                best = Some(node);
            }
            left.extend(node.children.iter().filter(|child| !self.is_around(child)));
        }
        best
    }
}

fn is_line(caller: &Node, heaviest: &Node) -> bool {
    let takes_lock = caller
        .children
        .iter()
        .any(|child| takes_lock(&child.symbol));
    let holds_half = heaviest.total.saturating_mul(2) >= caller.total;
    is_way_in(caller) || (heaviest.calls == 1 && holds_half && !takes_lock)
}

/// The entry assembly and what it calls in C before a call's own code.
fn is_way_in(node: &Node) -> bool {
    node.origin == Origin::Entry
        || Subsystem::named("entry").map(Origin::Kernel) == Some(node.origin)
}

/// `lock_sock`, `_raw_spin_lock_irqsave`, `mutex_lock`, `down_read`.
fn takes_lock(symbol: &str) -> bool {
    symbol.split(['_', '.']).any(|word| word == "lock") || symbol.starts_with("down_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crossing::{CrossingKind, Mode};
    use crate::trace::advise::advise;
    use crate::trace::examples::{class, entry, node, report};
    use crate::trace::report::Phases;

    #[test]
    fn a_line_without_a_lock_goes_on_while_it_is_one() {
        for (beside, deepest) in [("lock_sock", "tcp_send"), ("unlock_sock", "push")] {
            let push = node("push", 150, vec![]);
            let work = node("tcp_send", 44, vec![node(beside, 6, vec![]), push]);
            let path = entry("syscall", 100, vec![node("sys_send", 40, vec![work])]);
            let send = class(CrossingKind::Syscall, "send", path);
            let work = Work::of(&report(Mode::Ukl, vec![send.clone()]));
            assert_eq!(work.shortcut(&send).unwrap().symbol, deepest);
        }
        assert!(takes_lock("_raw_spin_lock_irqsave") && takes_lock("down_read"));
        assert!(!takes_lock("sched_clock") && !takes_lock("release_sock"));
    }

    /// `kill` of the own process: most of it is the signal's delivery, on the way out.
    #[test]
    fn what_is_done_on_the_way_out_is_nothing_to_call() {
        let with = |origin: &str, node: Node| Node {
            origin: origin.parse().unwrap(),
            ..node
        };
        let send = node("send_signal", 300, vec![node("dequeue", 5, vec![])]);
        let kill = node("__x64_sys_kill", 35, vec![send]);
        let frame = node("_copy_to_user", 60, vec![]);
        let get = node("get_signal", 340, vec![node("dequeue", 90, vec![])]);
        let deliver = node(DELIVERS, 10, vec![get, frame]);
        let out = with(
            "kernel:entry",
            node("syscall_exit_to_user_mode", 9, vec![deliver]),
        );
        let dispatch = with("kernel:entry", node("do_syscall_64", 17, vec![kill, out]));
        let path = entry("entry_SYSCALL_64", 40, vec![dispatch]);
        let total = path.total;
        let mut kill = class(CrossingKind::Syscall, "kill", path.clone());
        kill.phases = Phases {
            entry: 40,
            dispatch: 17,
            service: 340,
            copy: 60,
            exit_work: 449,
            ..Phases::default()
        };
        let run = report(Mode::Ukl, vec![kill]);
        let advice = advise(&run, &[]);
        let kill = &advice.candidates[0];
        let shortcut = kill.shortcut.as_ref().unwrap();
        assert_eq!(
            (shortcut.symbol.as_str(), shortcut.total),
            ("send_signal", 305)
        );
        // The signal is delivered whoever sends it.
        assert_eq!(shortcut.saving.each, total - 305 - 500);
        assert_eq!(shortcut.saving.all, 100 * shortcut.saving.each);
        assert_eq!(kill.bypass.unwrap().each, 40 + 17 + 9);
        assert_eq!(kill.work + 40 + 17 + 9, total);
        assert_eq!(shortcut.above.len(), 1);
        let work = Work::of(&run);
        assert_eq!(work.heaviest(&path, "dequeue").unwrap().total, 5);
        assert!(work.heaviest(&path, "get_signal").is_none());
    }
}
