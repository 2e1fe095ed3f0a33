//! What a program could save by reaching the kernel another way: for each call that it still makes by a
//! system call, the most that a bypass could take away, and the most that a shortcut could.
//!
//! Both are measured, not estimated: a bypass can at best leave what is neither service nor copying
//! out; a shortcut can at best call a function of the path itself. What they need themselves is not known
//! before they are there, but for a bypass where the file has one. After the rebuild [`Advice::measure`]
//! puts what was saved beside it, and accounts for the difference.

mod by_site;
mod work;

use serde::{Deserialize, Serialize};

pub use self::by_site::AtSite;
use self::work::Work;
use super::diff;
use super::report::{Class, Report, SCHEMA};
use crate::crossing::{CrossingKind, Setup};
use crate::origin::Origin;

/// `uklscope advise`: of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    pub schema: u32,
    pub mode: Setup,
    /// Instructions executed while recording.
    pub insns: u64,
    /// What a bypass takes itself, where the recording has one: instructions beside service and copying.
    pub bypass_itself: Option<u64>,
    /// The most worth first.
    pub candidates: Vec<Candidate>,
    /// What bypassing all that can be would save at most, over the run.
    pub bypass: u64,
    /// By kind of request, where the image says what one is: of one request, on average.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<PerRequest>,
    /// By place of the application's own code and call; none where the recording does not say who made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<AtSite>,
}

/// A call that the application makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// How it is made now.
    pub kind: CrossingKind,
    pub call: String,
    /// In all its classes.
    pub count: u64,
    /// Of its dominant class: the most frequent that nothing interrupted.
    pub instructions: u64,
    pub exact: bool,
    /// Of these, service, copying and the delivery of signals.
    pub work: u64,
    /// Unless it is bypassed already, or cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Saving>,
    /// Why it cannot be bypassed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<Shortcut>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<PerRequest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
}

/// Instructions that would no longer be executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    /// By one crossing of the dominant class, at most.
    pub each: u64,
    /// By all crossings of all classes, at most.
    pub all: u64,
    /// By one crossing, where it is known what a bypass takes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

/// The deepest function that is worth calling directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortcut {
    pub symbol: String,
    pub origin: Origin,
    /// Its instructions, with what it calls.
    pub total: u64,
    /// What calling it at once would save, at most.
    pub saving: Saving,
    /// The functions that lead to it, the outermost first, each with what calling it would save at most.
    pub above: Vec<Rung>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    pub symbol: String,
    pub origin: Origin,
    pub total: u64,
    pub each: u64,
}

/// Of one request, on average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerRequest {
    /// `GET`
    pub kind: String,
    /// How often the call is made.
    pub calls: f64,
    /// What a bypass would save, at most.
    pub bypass: f64,
    /// What a shortcut would save, at most.
    pub shortcut: f64,
    /// What the request takes in all, of the server's thread.
    pub instructions: f64,
}

/// The same call in another run: `predicted - saved = itself + work`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    pub mode: Setup,
    pub kind: CrossingKind,
    /// As it is called there: a shortcut has the function's name.
    pub call: String,
    pub instructions: u64,
    pub exact: bool,
    /// The most that the advice said, for that kind.
    pub predicted: u64,
    /// Less than before, by one crossing; negative where it costs more.
    pub saved: i64,
    /// What the new way takes itself: everything but what was said to be left.
    pub itself: u64,
    /// By how much what was said to be left costs more than before.
    pub work: i64,
}

/// These read or write the caller's whole registers, of which a bypass stores half, or do not return.
const KEPT: [&str; 9] = [
    "clone",
    "clone3",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "rt_sigreturn",
    "vfork",
];
const WHY_KEPT: &str = "it needs all of the caller's registers, or does not return";

/// The advice for one run; `same` are the runs of the same recording, to learn of a bypass from.
#[must_use]
pub fn advise(report: &Report, same: &[Report]) -> Advice {
    let bypass_itself = itself(same);
    let work = Work::of(report);
    let mut candidates: Vec<Candidate> = diff::calls(report)
        .into_iter()
        .filter(|class| class.kind != CrossingKind::Shortcut)
        .map(|class| candidate(class, report, &work, bypass_itself))
        .collect();
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.most()));
    Advice {
        schema: SCHEMA,
        mode: report.mode.clone(),
        insns: report.insns,
        bypass_itself,
        bypass: candidates
            .iter()
            .filter_map(|candidate| Some(candidate.bypass?.all))
            .sum(),
        requests: requests(report, &candidates),
        sites: by_site::at_sites(report, &candidates, &work),
        candidates,
    }
}

/// What the most frequent bypass takes beside service and copying.
fn itself(runs: &[Report]) -> Option<u64> {
    let classes = runs.iter().flat_map(|run| &run.classes);
    let bypasses = classes.filter(|class| class.kind == CrossingKind::Bypass && is_plain(class));
    let most = bypasses.max_by_key(|class| class.count)?;
    Some(most.phases.boundary())
}

/// Came back as it went, with nothing beside.
fn is_plain(class: &Class) -> bool {
    !class.interrupted && class.phases.service > 0
}

fn candidate(class: &Class, report: &Report, work: &Work, bypass_itself: Option<u64>) -> Candidate {
    let same = || {
        let mut classes = report.classes.iter();
        std::iter::from_fn(move || {
            classes.find(|other| other.kind == class.kind && other.call == class.call)
        })
    };
    let sum = |each: &dyn Fn(&Class) -> u64| -> u64 {
        same()
            .map(|class| class.count.saturating_mul(each(class)))
            .fold(0, u64::saturating_add)
    };
    let kept = KEPT.contains(&class.call.as_str());
    let by_syscall = class.kind == CrossingKind::Syscall;
    let each = work.bypassed(class);
    let bypass = (by_syscall && !kept).then(|| Saving {
        each,
        all: sum(&|class| work.bypassed(class)),
        expected: bypass_itself.map(|itself| each.saturating_sub(itself)),
    });
    let shortcut = work.shortcut(class).filter(|_| !kept).map(|mut shortcut| {
        shortcut.saving.all = sum(&|class| work.shortened(class, &shortcut.symbol));
        shortcut
    });
    let mut candidate = Candidate {
        kind: class.kind,
        call: class.call.clone(),
        count: same().map(|class| class.count).sum(),
        instructions: class.instructions,
        exact: class.exact,
        work: work.stays(class),
        bypass,
        kept: (by_syscall && kept).then(|| WHY_KEPT.to_owned()),
        shortcut,
        requests: Vec::new(),
        measured: Vec::new(),
    };
    candidate.requests = per_request(&candidate, report);
    candidate
}

fn per_request(candidate: &Candidate, report: &Report) -> Vec<PerRequest> {
    let kinds = report.requests.iter().flat_map(|requests| &requests.kinds);
    let made = kinds.filter_map(|kind| {
        let is_it = |call: &&super::requests::RequestCall| {
            call.kind == candidate.kind && call.call == candidate.call
        };
        let call = kind.calls.iter().find(is_it)?;
        let calls = kind.per(call.count);
        let each = |saving: Option<Saving>| saving.map_or(0.0, |saving| saving.each as f64);
        Some(PerRequest {
            kind: kind.kind.clone(),
            calls,
            bypass: match candidate.bypass {
                Some(_) => kind.per(call.boundary),
                None => 0.0,
            },
            shortcut: calls * each(candidate.shortcut.as_ref().map(|shortcut| shortcut.saving)),
            instructions: kind.total.mean(kind.count),
        })
    });
    made.collect()
}

/// Over all calls.
fn requests(report: &Report, candidates: &[Candidate]) -> Vec<PerRequest> {
    let kinds = report.requests.iter().flat_map(|requests| &requests.kinds);
    let sums = kinds.map(|kind| {
        let all = candidates.iter().flat_map(|candidate| &candidate.requests);
        let of_kind = || all.clone().filter(|one| one.kind == kind.kind);
        PerRequest {
            kind: kind.kind.clone(),
            calls: of_kind().map(|one| one.calls).sum(),
            bypass: of_kind().map(|one| one.bypass).sum(),
            shortcut: of_kind().map(|one| one.shortcut).sum(),
            instructions: kind.total.mean(kind.count),
        }
    });
    sums.collect()
}

impl Candidate {
    /// What either way could save over the run, at most.
    #[must_use]
    pub fn most(&self) -> u64 {
        let shortcut = self.shortcut.as_ref().map(|shortcut| shortcut.saving);
        let savings = self.bypass.iter().chain(&shortcut);
        savings.map(|saving| saving.all).max().unwrap_or(0)
    }
}

impl Advice {
    /// Puts what another run of the rebuilt program took beside each candidate that is made otherwise there.
    pub fn measure(&mut self, after: &Report) {
        for candidate in &mut self.candidates {
            candidate.measured.extend(measured(candidate, after));
        }
    }
}

fn measured(candidate: &Candidate, after: &Report) -> Option<Measured> {
    let (calls, work) = (diff::calls(after), Work::of(after));
    // Of several as frequent the one whose work is most like it: a call may find another state each time.
    let named =
        |kind: CrossingKind, call: &str, left: &dyn Fn(&Class) -> Option<u64>, like: u64| {
            let dominant = calls
                .iter()
                .find(|class| class.kind == kind && class.call == call)?;
            let as_frequent = diff::about_as_frequent(dominant, after).into_iter();
            let there = as_frequent.filter_map(|class| Some((class, left(class)?)));
            there.min_by_key(|(_, left)| left.abs_diff(like))
        };
    let bypassed = candidate.bypass.and_then(|saving| {
        let left = |class: &Class| Some(work.stays(class));
        let (class, there) = named(CrossingKind::Bypass, &candidate.call, &left, candidate.work)?;
        Some((class, saving.each, candidate.work, there))
    });
    let shortened = || {
        let shortcut = candidate.shortcut.as_ref()?;
        let left = |class: &Class| work.stays_below(class, &shortcut.symbol);
        let before = candidate.instructions.saturating_sub(shortcut.saving.each);
        let (class, there) = named(CrossingKind::Shortcut, &shortcut.symbol, &left, before)?;
        Some((class, shortcut.saving.each, before, there))
    };
    let (class, predicted, before, there) = bypassed.or_else(shortened)?;
    Some(Measured {
        mode: after.mode.clone(),
        kind: class.kind,
        call: class.call.clone(),
        instructions: class.instructions,
        exact: class.exact,
        predicted,
        saved: less(candidate.instructions, class.instructions),
        itself: class.instructions.saturating_sub(there),
        work: less(there, before),
    })
}

/// `a - b`
fn less(a: u64, b: u64) -> i64 {
    let size = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a < b { -size } else { size }
}

impl Measured {
    /// By how much less was saved than was said to be possible.
    #[must_use]
    pub fn error(&self) -> i64 {
        i64::try_from(self.predicted).unwrap_or(i64::MAX) - self.saved
    }

    /// What one crossing takes more or less than before: `−104`, `+2096`.
    #[must_use]
    pub fn change(&self) -> String {
        let sign = if self.saved < 0 { '+' } else { '−' };
        format!("{sign}{}", self.saved.unsigned_abs())
    }

    /// The difference is what the new way takes itself and what the work costs more.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.error() == less(self.itself, 0) + self.work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crossing::Mode;
    use crate::trace::examples::{class, entry, node, report};
    use crate::trace::report::Phases;

    /// `send` takes 100 in and out, 40 of the layers and 200 of its own work.
    fn send(lock: &str) -> Class {
        let push = node("push", 150, vec![]);
        let work = node("tcp_send", 44, vec![node(lock, 6, vec![]), push]);
        let layers = node("sys_send", 40, vec![work]);
        Class {
            phases: Phases {
                entry: 70,
                exit: 30,
                copy: 20,
                service: 220,
                ..Phases::default()
            },
            ..class(
                CrossingKind::Syscall,
                "send",
                entry("syscall", 100, vec![layers]),
            )
        }
    }

    fn bypassed(itself: u64, more: u64) -> Class {
        let mut class = Class {
            kind: CrossingKind::Bypass,
            path: entry("bypass", itself, vec![node("sys_send", 240 + more, vec![])]),
            ..send("lock_sock")
        };
        class.instructions = class.path.total;
        class.phases = Phases {
            entry: itself,
            service: 240 + more,
            ..Phases::default()
        };
        class
    }

    #[test]
    fn a_call_is_ranked_by_what_it_could_save_and_a_lock_ends_the_line() {
        let mut rare = send("lock_sock");
        (rare.call, rare.count) = ("execve".to_owned(), 1);
        let mut cut = send("lock_sock");
        (cut.interrupted, cut.count) = (true, 7);
        let run = report(Mode::Ukl, vec![rare, send("lock_sock"), cut]);
        let advice = advise(&run, std::slice::from_ref(&run));
        let names: Vec<&str> = advice
            .candidates
            .iter()
            .map(|one| one.call.as_str())
            .collect();
        assert_eq!(names, ["send", "execve"]);
        let [send, execve] = &advice.candidates[..] else {
            panic!();
        };
        let saving = Saving {
            each: 100,
            all: 107 * 100,
            expected: None,
        };
        assert_eq!(
            (send.count, send.work, send.bypass),
            (107, 240, Some(saving))
        );
        let shortcut = send.shortcut.as_ref().unwrap();
        assert_eq!(
            (shortcut.symbol.as_str(), shortcut.total),
            ("tcp_send", 200)
        );
        assert_eq!(
            (shortcut.saving.each, shortcut.saving.all),
            (140, 107 * 140)
        );
        let above: Vec<_> = shortcut
            .above
            .iter()
            .map(|rung| (rung.symbol.as_str(), rung.each))
            .collect();
        assert_eq!(above, [("sys_send", 100)]);
        assert!(execve.bypass.is_none() && execve.kept.is_some());
        assert_eq!(advice.bypass, 107 * 100);
    }

    #[test]
    fn what_was_measured_is_accounted_for() {
        for (itself, more) in [(42, 0), (42, 5), (120, 0)] {
            let before = report(Mode::Ukl, vec![send("lock_sock")]);
            let after = report(Mode::Bypass, vec![bypassed(itself, more)]);
            let mut advice = advise(&before, &[before.clone(), after.clone()]);
            let bypass = advice.candidates[0].bypass.unwrap();
            assert_eq!(bypass.expected, Some(100_u64.saturating_sub(itself)));
            advice.measure(&after);
            let measured = &advice.candidates[0].measured[0];
            assert_eq!((measured.predicted, measured.itself), (100, itself));
            assert_eq!(measured.work, i64::try_from(more).unwrap());
            assert!(measured.balances(), "{measured:?}");
        }
    }

    #[test]
    fn a_shortcut_is_known_by_the_function_it_calls() {
        let before = report(Mode::Ukl, vec![send("lock_sock")]);
        let mut tcp = class(
            CrossingKind::Shortcut,
            "tcp_send",
            entry("ukl_tcp_send", 26, vec![node("tcp_send", 203, vec![])]),
        );
        tcp.phases.service = 203;
        let after = report(Mode::Shortcut, vec![tcp]);
        let mut advice = advise(&before, &[]);
        advice.measure(&after);
        let measured = &advice.candidates[0].measured[0];
        assert_eq!((measured.predicted, measured.saved), (140, 111));
        assert_eq!(
            (measured.itself, measured.work, measured.error()),
            (26, 3, 29)
        );
        assert!(measured.balances());
    }
}
