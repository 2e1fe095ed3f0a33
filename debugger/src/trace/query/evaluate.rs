//! Whether a query holds for a class of crossings, or for a function on its path.

use std::borrow::Cow;

use super::field::{Get, Subject};
use super::{Expr, OneOrigin, Query, Test, Value};
use crate::crossing::Setup;
use crate::origin::Origin;
use crate::trace::call_sites::CallSite;
use crate::trace::report::{Class, Node, Report, TaskName, Use};

/// A class of crossings in its run.
#[derive(Clone, Copy, Debug)]
pub struct Crossing<'a> {
    pub mode: &'a Setup,
    pub class: &'a Class,
    made: Made<'a>,
}

/// By whom.
#[derive(Clone, Copy, Debug)]
enum Made<'a> {
    /// Nobody has seen.
    Unknown,
    /// By all that the run has for the class.
    All(&'a Report),
    One(By<'a>),
}

/// Who made some of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a> {
    pub made: &'a Use,
    pub site: Option<&'a CallSite>,
    pub task: Option<&'a TaskName>,
}

/// A function on the path.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    pub node: &'a Node,
    /// How many callers it has on the path.
    pub depth: u64,
}

impl<'a> Crossing<'a> {
    #[must_use]
    pub const fn of(report: &'a Report, class: &'a Class) -> Self {
        Self {
            mode: &report.mode,
            class,
            made: Made::All(report),
        }
    }

    /// Of no run.
    #[must_use]
    pub const fn alone(mode: &'a Setup, class: &'a Class) -> Self {
        Self {
            mode,
            class,
            made: Made::Unknown,
        }
    }

    /// Of those that one task, known by its number alone, made from one place.
    #[must_use]
    pub(in crate::trace) const fn made_by(
        mode: &'a Setup,
        class: &'a Class,
        made: &'a Use,
        site: Option<&'a CallSite>,
    ) -> Self {
        Self {
            mode,
            class,
            made: Made::One(By {
                made,
                site,
                task: None,
            }),
        }
    }

    /// Whether it holds for one of those who made them.
    fn some_by(&self, holds: impl Fn(&By<'a>) -> bool) -> bool {
        match &self.made {
            Made::Unknown => false,
            Made::One(by) => holds(by),
            Made::All(report) => By::all(report, &self.class.id).any(|by| holds(&by)),
        }
    }
}

impl<'a> By<'a> {
    fn all(report: &'a Report, class: &'a str) -> impl Iterator<Item = Self> {
        let uses = report.uses.iter().filter(move |made| made.class == class);
        uses.map(|made| Self {
            made,
            task: report.task(made.task),
            site: made.site.and_then(|site| report.sites.get(site)),
        })
    }

    /// `redis-server` and `redis-server/1`, where they are known.
    fn task_names(&self) -> Vec<String> {
        let label = self.task.and_then(TaskName::label);
        let comm = self.task.and_then(|task| task.comm.clone());
        comm.into_iter().chain(label).collect()
    }

    pub(super) fn place(&self) -> Cow<'a, str> {
        self.site
            .map_or(Cow::Borrowed(""), |site| site.place().into())
    }

    pub(super) fn caller(&self) -> Cow<'a, str> {
        self.site
            .map_or(Cow::Borrowed(""), |site| site.caller.as_str().into())
    }
}

impl Query {
    /// What is asked about functions holds if it does for one of the path.
    #[must_use]
    pub fn holds(&self, crossing: Crossing<'_>) -> bool {
        self.root
            .as_ref()
            .is_none_or(|root| root.holds(crossing, None))
    }

    /// What is asked about functions is asked about this one.
    #[must_use]
    pub fn holds_at(&self, crossing: Crossing<'_>, at: At<'_>) -> bool {
        self.root
            .as_ref()
            .is_none_or(|root| root.holds(crossing, Some(at)))
    }

    /// Keeps the classes it holds for, and who made them; how many classes there were. Where it asks who made
    /// them, those alone are counted from then on.
    pub fn keep(&self, report: &mut Report) -> usize {
        let before = report.classes.len();
        let (mut classes, mut uses) = (Vec::with_capacity(before), Vec::new());
        for class in &report.classes {
            let crossing = Crossing::of(report, class);
            let mut made: Vec<By<'_>> = By::all(report, &class.id).collect();
            let mut count = class.count;
            if self.asks_by_whom() {
                made.retain(|by| {
                    let made = Made::One(*by);
                    self.holds(Crossing { made, ..crossing })
                });
                count = made.iter().map(|by| by.made.count).sum();
                if count == 0 {
                    continue;
                }
            } else if !self.holds(crossing) {
                continue;
            }
            uses.extend(made.into_iter().map(|by| by.made.clone()));
            classes.push(Class {
                count,
                ..class.clone()
            });
        }
        uses.sort_by_key(|made| std::cmp::Reverse(made.count));
        report.classes = classes;
        report.uses = uses;
        report.keep_sites_of_uses();
        before
    }

    pub(in crate::trace) fn asks_by_whom(&self) -> bool {
        self.root.as_ref().is_some_and(Expr::asks_by_whom)
    }
}

impl Expr {
    fn asks_by_whom(&self) -> bool {
        match self {
            Self::All(parts) | Self::Either(parts) => parts.iter().any(Self::asks_by_whom),
            Self::Not(part) => part.asks_by_whom(),
            Self::Test(test) => test.field.subject() == Subject::Use,
            Self::Word(_) => false,
        }
    }

    fn holds(&self, crossing: Crossing<'_>, at: Option<At<'_>>) -> bool {
        match self {
            Self::All(parts) => {
                let of_node = |part: &&Self| matches!(part, Self::Test(test) if test.field.subject() == Subject::Node);
                let (of_nodes, others): (Vec<_>, Vec<_>) = parts.iter().partition(of_node);
                others.iter().all(|part| part.holds(crossing, at))
                    && (of_nodes.is_empty()
                        || some(crossing, at, |at| {
                            of_nodes.iter().all(|part| part.holds(crossing, Some(at)))
                        }))
            }
            Self::Either(parts) => parts.iter().any(|part| part.holds(crossing, at)),
            Self::Not(part) => !part.holds(crossing, at),
            Self::Test(test) => test.holds(crossing, at),
            Self::Word(word) => {
                let has = |name: &str| name.to_lowercase().contains(&word.to_lowercase());
                match at {
                    Some(at) => has(&at.node.symbol),
                    None => has(crossing.class.kind.name()) || has(&crossing.class.call),
                }
            }
        }
    }
}

/// Whether it holds for the function given, or else for one of the path.
fn some(crossing: Crossing<'_>, at: Option<At<'_>>, holds: impl Fn(At<'_>) -> bool) -> bool {
    if let Some(at) = at {
        return holds(at);
    }
    // A stack of its own: a path may be deep.
    let mut left = vec![At {
        node: &crossing.class.path,
        depth: 0,
    }];
    while let Some(at) = left.pop() {
        if holds(at) {
            return true;
        }
        let below = at.node.children.iter().map(|node| At {
            node,
            depth: at.depth + 1,
        });
        left.extend(below);
    }
    false
}

impl Test {
    fn holds(&self, crossing: Crossing<'_>, at: Option<At<'_>>) -> bool {
        match self.field.get {
            Get::Number(get) => self.value.is_number(get(&crossing)),
            Get::Flag(get) => self.value == Value::Flag(get(&crossing)),
            Get::Text(get) | Get::Kind(get) | Get::Mode(get) => self.value.is_text(&get(&crossing)),
            Get::NodeNumber(get) => some(crossing, at, |at| self.value.is_number(get(&at))),
            Get::NodeText(get) => some(crossing, at, |at| self.value.is_text(get(&at))),
            Get::UseTask => crossing.some_by(|by| match &self.value {
                Value::Number(..) => self.value.is_number(by.made.task.into()),
                text => by.task_names().iter().any(|name| text.is_text(name)),
            }),
            Get::UseText(get) => crossing.some_by(|by| self.value.is_text(&get(by))),
            Get::NodeOrigin(get) => some(crossing, at, |at| self.value.is_origin(get(&at))),
        }
    }
}

impl Value {
    fn is_number(&self, found: u64) -> bool {
        matches!(self, Self::Number(compare, wanted) if compare.holds(found, *wanted))
    }

    fn is_text(&self, found: &str) -> bool {
        match self {
            Self::Text(wanted) => found == wanted,
            Self::Pattern(pattern) => pattern.is_match(found),
            _ => false,
        }
    }

    fn is_origin(&self, found: Origin) -> bool {
        match self {
            Self::Origin(OneOrigin::Kernel) => matches!(found, Origin::Kernel(_)),
            Self::Origin(OneOrigin::This(wanted)) => found == *wanted,
            Self::Pattern(pattern) => pattern.is_match(&found.to_string()),
            _ => false,
        }
    }
}
