//! The advice place by place: which call of the application's own code to write another way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Candidate, Work};
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::trace::report::{Class, Report};

/// The crossings that one place makes by one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtSite {
    /// None where no call of the application's own code was seen before.
    pub address: Option<Addr>,
    /// `main.c:42`
    pub place: String,
    /// The application's function that it lies in.
    pub caller: String,
    pub kind: CrossingKind,
    pub call: String,
    pub count: u64,
    /// What bypassing all of them would save, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<u64>,
    /// What calling the function that was named for the call would save, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<u64>,
}

impl AtSite {
    fn most(&self) -> u64 {
        self.bypass.max(self.shortcut).unwrap_or(0)
    }
}

/// The most worth first.
pub(super) fn at_sites(report: &Report, candidates: &[Candidate], work: &Work) -> Vec<AtSite> {
    let classes: BTreeMap<&str, &Class> = report
        .classes
        .iter()
        .map(|class| (class.id.as_str(), class))
        .collect();
    let mut rows: BTreeMap<_, AtSite> = BTreeMap::new();
    for made in &report.uses {
        let Some(class) = classes.get(made.class.as_str()) else {
            continue;
        };
        let is_it = |one: &&Candidate| one.kind == class.kind && one.call == class.call;
        let Some(candidate) = candidates.iter().find(is_it) else {
            continue;
        };
        let key = (made.site, class.kind, class.call.as_str());
        let row = rows.entry(key).or_insert_with(|| {
            let site = made.site.and_then(|site| report.sites.get(site));
            AtSite {
                address: site.map(|site| site.address),
                place: site.map_or_else(|| "not seen".to_owned(), |site| site.place()),
                caller: site.map_or_else(String::new, |site| site.caller.clone()),
                kind: class.kind,
                call: class.call.clone(),
                count: 0,
                bypass: candidate.bypass.map(|_| 0),
                shortcut: candidate.shortcut.as_ref().map(|_| 0),
            }
        });
        row.count += made.count;
        let add = |sum: &mut Option<u64>, each: u64| {
            let more = each.saturating_mul(made.count);
            *sum = sum.map(|sum| sum.saturating_add(more));
        };
        add(&mut row.bypass, work.bypassed(class));
        if let Some(shortcut) = &candidate.shortcut {
            add(&mut row.shortcut, work.shortened(class, &shortcut.symbol));
        }
    }
    let mut rows: Vec<AtSite> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.most()));
    rows
}

#[cfg(test)]
mod tests {
    use super::super::advise;
    use super::*;
    use crate::crossing::Mode;
    use crate::trace::call_sites::{CallSite, Enters, How};
    use crate::trace::examples::{class, node, report};
    use crate::trace::report::{Phases, Use};

    #[test]
    fn what_places_could_save_adds_up_to_what_the_call_could() {
        let mut read = class(CrossingKind::Syscall, "read", node("entry", 100, vec![]));
        (read.id, read.count) = ("a".to_owned(), 10);
        read.phases = Phases {
            entry: 30,
            service: 70,
            ..Phases::default()
        };
        let mut report = report(Mode::Ukl, vec![read]);
        report.sites = vec![CallSite {
            address: Addr(0x1000),
            caller: "main".to_owned(),
            file: Some("/x/main.c".to_owned()),
            line: Some(7),
            how: How::Call,
            target: None,
            enters: Enters::Yes,
        }];
        let used = |site, task, count| Use {
            class: "a".to_owned(),
            site,
            task,
            count,
            instructions: count * 100,
        };
        report.uses = vec![used(Some(0), 1, 4), used(Some(0), 2, 3), used(None, 1, 3)];
        let advice = advise(&report, &[]);
        let rows: Vec<_> = advice
            .sites
            .iter()
            .map(|row| (row.place.as_str(), row.count, row.bypass))
            .collect();
        assert_eq!(
            rows,
            [("main.c:7", 7, Some(210)), ("not seen", 3, Some(90))]
        );
        assert_eq!(advice.bypass, 300);
    }
}
