//! Why a row differs: which mode or option leaves a function out, or brings it in.
//!
//! The kernel's family has a table of it (`[[reasons]]` of its profile). What no rule of the table explains
//! stays without a reason, unless what called it is gone, or was added, for one.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::crossing::{CrossingKind, PhaseRule, Setup};
use crate::profile::{Chance, Profile, Reason};
use crate::trace::phases::Rules;
use crate::trace::report::{Pair, Row, Verdict};

/// The kernels' families that were met, with their rules of phases.
#[derive(Debug, Default)]
pub(super) struct Families(Vec<(Arc<Profile>, Rules)>);

/// Both sides of a difference, as the rules see them.
struct Sides<'a> {
    phases: &'a Rules,
    /// Those that hold of one side alone, and whether that is the second one.
    reasons: Vec<(&'a Reason, bool)>,
    chances: &'a [Chance],
    a: (&'a Setup, CrossingKind),
    b: (&'a Setup, CrossingKind),
}

/// A row that others may be shown under, on one side.
struct Above {
    depth: u32,
    verdict: Verdict,
    row: usize,
}

impl Families {
    fn of(&mut self, pair: &Pair) -> (&Profile, &Rules) {
        let there: FxHashSet<&str> = pair.rows.iter().map(|row| row.symbol.as_str()).collect();
        let profile = Profile::recognise(|name| there.contains(name));
        let known = self
            .0
            .iter()
            .position(|(one, _)| Arc::ptr_eq(one, &profile));
        let at = known.unwrap_or_else(|| {
            let rules = Rules::of(&profile);
            self.0.push((profile, rules));
            self.0.len() - 1
        });
        let (profile, rules) = &self.0[at];
        (profile, rules)
    }
}

/// Fills in `because` of every row that a rule explains.
pub(super) fn explain(pair: &mut Pair, families: &mut Families) {
    let (profile, phases) = families.of(pair);
    let (a, b) = ((&pair.mode_a, pair.kind_a), (&pair.mode_b, pair.kind_b));
    let reasons = profile.reasons.iter().filter_map(|reason| {
        let (in_a, in_b) = (holds(reason, a), holds(reason, b));
        (in_a != in_b).then_some((reason, in_b))
    });
    let sides = Sides {
        phases,
        reasons: reasons.collect(),
        chances: &profile.chances,
        a,
        b,
    };
    let rows = &mut pair.rows;
    let (mut above_a, mut above_b) = (Vec::new(), Vec::new());
    for at in 0..rows.len() {
        let row = &rows[at];
        let from_a = row.depth_a.and_then(|depth| caller(&mut above_a, depth));
        let from_b = row.depth_b.and_then(|depth| caller(&mut above_b, depth));
        let inherited = match row.verdict {
            Verdict::Removed => from_a,
            Verdict::Added => from_b,
            Verdict::Same | Verdict::Moved | Verdict::Cost => None,
        };
        let inherited = inherited
            .filter(|above| above.verdict == row.verdict)
            .and_then(|above| rows[above.row].because.clone());
        let told = sides.reason(row).or(inherited);
        let because = told.or_else(|| sides.chance(row));
        for (above, depth) in [(&mut above_a, row.depth_a), (&mut above_b, row.depth_b)] {
            above.extend(depth.map(|depth| Above {
                depth,
                verdict: row.verdict,
                row: at,
            }));
        }
        rows[at].because = because;
    }
}

/// What a row at that depth was called by: the rows stand in the order of execution.
fn caller(above: &mut Vec<Above>, depth: u32) -> Option<&Above> {
    above.truncate(above.partition_point(|above| above.depth < depth));
    above.last()
}

impl Sides<'_> {
    fn reason(&self, row: &Row) -> Option<String> {
        let mut reasons = self.reasons.iter();
        reasons.find_map(|(reason, in_b)| {
            let fits = match row.verdict {
                Verdict::Removed => !in_b && self.is_about(reason, &row.symbol),
                Verdict::Added => *in_b && self.is_about(reason, &row.symbol),
                Verdict::Cost => reason.cost.has(&row.symbol),
                Verdict::Moved => row.a != row.b && reason.cost.has(&row.symbol),
                Verdict::Same => false,
            };
            fits.then(|| {
                let with = if *in_b { "with" } else { "without" };
                format!("{}: {with} {}", self.who(reason), reason.what)
            })
        })
    }

    fn chance(&self, row: &Row) -> Option<String> {
        let in_both = row.depth_a.is_some() && row.depth_b.is_some();
        let by = row.a.abs_diff(row.b);
        let fits = |one: &&Chance| one.instructions.contains(&by) && one.names.has(&row.symbol);
        let mut chances = self.chances.iter().filter(|_| in_both);
        let found = chances.find(fits);
        found.map(|chance| format!("chance: {}", chance.what))
    }

    fn is_about(&self, reason: &Reason, symbol: &str) -> bool {
        let phase = match self.phases.rule(symbol) {
            Some(PhaseRule::Whole(phase)) => Some(phase),
            Some(PhaseRule::BothEnds) | None => None,
        };
        reason.names.has(symbol) || phase.is_some_and(|phase| reason.phases.contains(&phase))
    }

    /// What was chosen: a mode, or within one mode an option.
    fn who(&self, reason: &Reason) -> String {
        let option = reason.option.as_ref().or(reason.unless.as_ref());
        match option {
            Some(option) if self.a.0.mode == self.b.0.mode => format!("ukl.{option}"),
            _ => self.b.0.mode.to_string(),
        }
    }
}

/// Whether a run's calls of that kind pass through what the rule is about.
fn holds(reason: &Reason, (setup, kind): (&Setup, CrossingKind)) -> bool {
    let given = |option: &Option<String>| option.as_ref().map(|option| setup.has(option));
    (reason.modes.is_empty() || reason.modes.contains(&setup.mode))
        && (reason.kinds.is_empty() || reason.kinds.contains(&kind))
        && given(&reason.option).unwrap_or(true)
        && !given(&reason.unless).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::diff;
    use crate::trace::examples::{class, node};
    use crate::trace::report::Node;

    /// `symbol: because` of each row that differs.
    fn check(a: (&str, CrossingKind, Node), b: (&str, CrossingKind, Node), expected: &[&str]) {
        let side = |(setup, kind, path): (&str, CrossingKind, Node)| {
            let setup: Setup = setup.parse().unwrap();
            (class(kind, "x", path), setup)
        };
        let ((class_a, setup_a), (class_b, setup_b)) = (side(a), side(b));
        let pair = diff::pair((&class_a, &setup_a), (&class_b, &setup_b));
        let told = |row: &Row| {
            let because = row.because.as_deref().unwrap_or("?");
            format!("{}: {because}", row.symbol)
        };
        let differ = pair.rows.iter().filter(|row| row.verdict != Verdict::Same);
        assert_eq!(differ.map(told).collect::<Vec<_>>(), expected);
    }

    fn leaf(name: &str) -> Node {
        node(name, 5, vec![])
    }

    #[test]
    fn a_mode_leaves_out_what_its_calls_do_not_pass_through() {
        let work = || node("__x64_sys_getppid", 7, vec![leaf("pid_nr_ns")]);
        let enter = node(
            "syscall_enter_from_user_mode",
            7,
            vec![leaf("__rcu_read_lock")],
        );
        let by_syscall = node("do_syscall_64", 17, vec![enter, leaf("strange"), work()]);
        check(
            ("ukl", CrossingKind::Syscall, by_syscall),
            (
                "bypass",
                CrossingKind::Bypass,
                node("ukl_bypass_syscall", 42, vec![work()]),
            ),
            &[
                "do_syscall_64: bypass: without the dispatch by the call's number",
                "syscall_enter_from_user_mode: bypass: without entry work: tracing, seccomp, audit",
                // What is called by it goes with it.
                "__rcu_read_lock: bypass: without entry work: tracing, seccomp, audit",
                "strange: bypass: without the dispatch by the call's number",
                "ukl_bypass_syscall: bypass: with the stub that is called in place of SYSCALL",
                "__x64_sys_getppid: ?",
            ],
        );
    }

    #[test]
    fn within_a_mode_it_is_the_option() {
        let by = |exit: &str| node("entry_SYSCALL_64", 5, vec![leaf(exit)]);
        check(
            ("ukl", CrossingKind::Syscall, by("ukl_return_to_app")),
            ("ukl+ret", CrossingKind::Syscall, by("ukl_ret_to_app")),
            &[
                "ukl_return_to_app: ukl.ret: without the return to the application by IRET, from ring 0 to ring 0",
                "ukl_ret_to_app: ukl.ret: with the return to the application by RET",
            ],
        );
    }

    #[test]
    fn chance_is_told_of_the_difference_that_it_makes_alone() {
        let by = |own: u64| {
            let ack = node("tcp_ack", own, vec![]);
            node("entry_SYSCALL_64", 5, vec![leaf("ukl_return_to_app"), ack])
        };
        let told = "tcp_ack: chance: whether the connection's sequence numbers, which begin at a random one, are below 2^31";
        for (own, expected) in [(434, told), (430, told), (433, "tcp_ack: ?")] {
            check(
                ("ukl", CrossingKind::Syscall, by(432)),
                ("ukl", CrossingKind::Syscall, by(own)),
                &[expected],
            );
        }
    }

    #[test]
    fn a_signal_ends_by_another_test_where_no_ring_was_changed() {
        let by = |own: u64| {
            let frame = node("restore_sigcontext", own, vec![]);
            node(
                "entry_SYSCALL_64",
                5,
                vec![leaf("ukl_return_to_app"), frame],
            )
        };
        check(
            ("ukl", CrossingKind::Syscall, by(143)),
            ("bypass", CrossingKind::Syscall, by(141)),
            &["restore_sigcontext: ?"],
        );
        check(
            ("linux", CrossingKind::Syscall, by(141)),
            ("ukl", CrossingKind::Syscall, by(143)),
            &[
                "restore_sigcontext: ukl: with a code segment that is not ring 3's, which is looked at where a signal ends",
            ],
        );
    }

    #[test]
    fn what_no_rule_tells_is_not_told() {
        let path = |extra: &str| {
            node(
                "entry_SYSCALL_64",
                5,
                vec![leaf("ukl_return_to_app"), leaf(extra)],
            )
        };
        check(
            ("ukl", CrossingKind::Syscall, path("mod_timer")),
            ("ukl", CrossingKind::Syscall, path("del_timer")),
            &["mod_timer: ?", "del_timer: ?"],
        );
        let unknown = || {
            (
                "linux",
                CrossingKind::Syscall,
                node("a", 1, vec![leaf("b")]),
            )
        };
        check(
            unknown(),
            ("linux", CrossingKind::Syscall, leaf("a")),
            &["a: ?", "b: ?"],
        );
    }
}
