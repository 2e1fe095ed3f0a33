//! What the user looks at, where several panels show the same thing.

use debugger::crossing::CrossingKind;
use debugger::event::RegionInfo;
use debugger::model::Model;
use debugger::trace::query::Crossing;
use debugger::trace::report::{Class, Node, Pair};

use crate::difference::Difference;
use crate::filter::Filter;
use crate::order::Order;
use crate::panels::held::Held;
use crate::widgets::cursor::Cursor;

/// A task that was chosen among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// As `backtrace task` takes it.
    pub name: String,
    /// `sh/80`
    pub label: String,
}

#[derive(Debug, Default)]
pub struct Look {
    /// The band of the address space that is zoomed into; all of it when none.
    pub band: Option<String>,
    /// The task whose view of the address space is shown, by its id or name; the current one when none.
    pub whose: Option<String>,
    /// Among the regions of that band.
    pub region: Cursor,
    /// What was gone to, as an expression; else it is the marked region's first address.
    pub address: Option<String>,
    /// The marked class of crossings; the table may be in another order with each news.
    pub class: Option<(CrossingKind, String)>,
    /// One crossing of that class, whose own path is shown in place of the class's.
    pub one: Option<Class>,
    /// Which crossings are shown.
    pub crossings: Filter,
    pub order: Order,
    /// Which functions of a path are shown.
    pub functions: Filter,
    /// Lines that set up breakpoints of the last run; the target does not stand yet.
    pub waiting: Vec<String>,
    /// Only tasks that hold this in a column.
    pub tasks: String,
    /// Whose stack the backtrace shows, where it is not the stopped CPU's.
    pub task: Option<Held<Task>>,
    /// Which of the pairs of modes the ladder shows.
    pub pair: usize,
    /// Among that pair's rows.
    pub rung: Cursor,
}

impl Look {
    pub fn regions<'a>(&'a self, model: &'a Model) -> Vec<&'a RegionInfo> {
        let all = model.regions.yes().map_or(&[][..], Vec::as_slice);
        all.iter()
            .filter(|region| self.band.as_ref().is_none_or(|band| *band == region.band))
            .collect()
    }

    /// The bands in the order of their addresses.
    #[must_use]
    pub fn bands(model: &Model) -> Vec<&str> {
        let mut bands: Vec<&str> = Vec::new();
        for region in model.regions.yes().into_iter().flatten() {
            if !bands.contains(&region.band.as_str()) {
                bands.push(&region.band);
            }
        }
        bands
    }

    /// The task whose stack is shown in place of the stopped CPU's.
    #[must_use]
    pub fn task(&self, model: &Model) -> Option<&Task> {
        self.task.as_ref().and_then(|held| held.get(model))
    }

    #[must_use]
    pub fn region<'a>(&'a self, model: &'a Model) -> Option<&'a RegionInfo> {
        let regions = self.regions(model);
        regions.get(self.region.row(regions.len())).copied()
    }

    /// The address whose page-table walk is shown, as an expression.
    #[must_use]
    pub fn address(&self, model: &Model) -> Option<String> {
        let first = |region: &RegionInfo| format!("{:?}", region.range.start);
        self.address
            .clone()
            .or_else(|| self.region(model).map(first))
    }

    pub fn classes<'a>(&self, model: &'a Model) -> Vec<&'a Class> {
        let Some(report) = model.crossings.report() else {
            return Vec::new();
        };
        let query = self.crossings.query();
        let holds = |class: &&Class| query.holds(Crossing::of(report, class));
        let mut classes: Vec<&Class> = report.classes.iter().filter(holds).collect();
        self.order.sort(&mut classes);
        under_their_path(&classes)
    }

    /// The row of the marked class; the first where it is gone.
    #[must_use]
    pub fn class_row(&self, classes: &[&Class]) -> usize {
        let Some((kind, id)) = &self.class else {
            return 0;
        };
        classes
            .iter()
            .position(|class| class.kind == *kind && class.id == *id)
            .unwrap_or(0)
    }

    /// Marks the row that is seen marked: from when the user does something it stays so, whatever comes.
    pub fn hold(&mut self, model: &Model) {
        if self.class.is_none() {
            let class = self.class(model);
            self.class = class.map(|class| (class.kind, class.id.clone()));
        }
    }

    /// The one crossing that was chosen of the marked class.
    #[must_use]
    pub fn one(&self) -> Option<&Class> {
        let (kind, id) = self.class.as_ref()?;
        let one = self.one.as_ref();
        one.filter(|one| one.kind == *kind && one.id == *id)
    }

    #[must_use]
    pub fn class<'a>(&'a self, model: &'a Model) -> Option<&'a Class> {
        if let Some(one) = self.one() {
            return Some(one);
        }
        let classes = self.classes(model);
        classes.get(self.class_row(&classes)).copied()
    }

    /// What the ladder and the butterfly show: the marked class's call, or the files that were imported.
    #[must_use]
    pub fn difference<'a>(&self, model: &'a Model) -> Option<Difference<'a>> {
        let pair = self.pair(model).map(Difference::from);
        pair.or_else(|| model.differ.as_deref().map(Difference::from))
    }

    /// The pair of modes the ladder shows for the marked class's call.
    #[must_use]
    pub fn pair<'a>(&self, model: &'a Model) -> Option<&'a Pair> {
        let call = &self.class(model)?.call;
        let pairs: Vec<&'a Pair> = model.crossings.pairs(call).collect();
        pairs.get(self.pair % pairs.len().max(1)).copied()
    }
}

/// Interrupted crossings stand right below those that took the same path and were not; what has none stays where
/// it is.
fn under_their_path<'a>(classes: &[&'a Class]) -> Vec<&'a Class> {
    let is_whole = |class: &&&Class| !class.interrupted;
    let mut rows = Vec::with_capacity(classes.len());
    let mut placed = vec![false; classes.len()];
    for class in classes.iter().filter(is_whole) {
        for (cut, placed) in classes.iter().zip(&mut placed) {
            *placed |= is_of(cut, class);
        }
    }
    let mut put = vec![false; classes.len()];
    for (class, placed) in classes.iter().zip(&placed) {
        if *placed {
            continue;
        }
        rows.push(*class);
        for (cut, put) in classes.iter().zip(&mut put) {
            if !*put && is_of(cut, class) {
                *put = true;
                rows.push(*cut);
            }
        }
    }
    rows
}

/// Whether crossings are the interrupted ones of that path.
#[must_use]
pub fn is_of(cut: &Class, whole: &Class) -> bool {
    let same = cut.kind == whole.kind && cut.call == whole.call;
    same && cut.interrupted && !whole.interrupted && same_shape(&cut.path, &whole.path)
}

fn same_shape(a: &Node, b: &Node) -> bool {
    // A stack of its own: a path may be deep.
    let mut left = vec![(a, b)];
    while let Some((a, b)) = left.pop() {
        if a.symbol != b.symbol || a.children.len() != b.children.len() {
            return false;
        }
        left.extend(a.children.iter().zip(&b.children));
    }
    true
}
