//! Arguments and local variables of the selected frame, as trees.

use debugger::command::{Command, PartsOf};
use debugger::event::Part;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::listing::{awaited, say};
use super::values::{Ground, Tree, ground};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Locals {
    tree: Tree,
}

fn standing(model: &Model) -> Ground<'_> {
    let values = &model.variables;
    let roots = match values.variables() {
        Some(node) => (0..node.total).map(|i| node.part(i).cloned()).collect(),
        None => Vec::new(),
    };
    let generation = model.run.generation;
    let known = values.variables();
    let fresh = known.is_some_and(|node| node.is_known(None, generation));
    let mut ground = ground(model, values, &values.function, roots);
    ground.fresh &= fresh;
    ground
}

impl Locals {
    /// The marked value, and how its numbers are written.
    #[must_use]
    pub fn marked(&self, model: &Model) -> Option<(Part, Option<char>)> {
        self.tree.marked(&standing(model))
    }

    pub fn next_letter(&mut self, model: &Model) {
        self.tree.next_letter(&standing(model));
    }
}

impl Panel for Locals {
    fn title(&self, view: View<'_>) -> String {
        let function = &view.model.variables.function;
        match function.as_str() {
            "" => "locals".to_owned(),
            function => format!("locals of {}", text::fit(function, 20)),
        }
    }

    fn wants(&self, view: View<'_>, area: Rect) -> Vec<(Topic, Command)> {
        let ground = standing(view.model);
        let height = usize::from(area.height).max(1);
        let generation = ground.generation;
        let rows = ground.rows(&self.tree);
        let top = self.tree.top(rows.len(), height);
        let in_sight = rows.iter().skip(top).take(height);
        let roots: Vec<u64> = in_sight.filter_map(super::values::Row::root).collect();
        let node = ground.values.variables();
        let knows = node.is_some_and(|node| {
            node.is_known(None, generation)
                && roots.iter().all(|i| node.knows(*i, None, generation))
        });
        let mut of = Vec::new();
        if !knows {
            of.push(PartsOf {
                expression: None,
                letter: None,
                from: roots.first().copied().unwrap_or(0),
                count: height as u64,
            });
        }
        of.extend(ground.lacks(&self.tree, height));
        match of.is_empty() {
            true => Vec::new(),
            false => vec![(Topic::Locals, Command::Parts { of })],
        }
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        self.tree.act(act, &standing(model), area)
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let values = &view.model.variables;
        match (&values.trouble, values.variables()) {
            (Some(why), _) => say(why, view, area, buf),
            (None, None) => say(awaited(view), view, area, buf),
            (None, Some(node)) if node.total == 0 => say("this frame has none", view, area, buf),
            (None, Some(_)) => self.tree.draw(&standing(view.model), view, area, buf),
        }
    }
}
