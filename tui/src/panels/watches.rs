//! The watch expressions: evaluated at each stop, and opened like any other value.

use debugger::command::Command;
use debugger::event::{Part, Watched};
use debugger::known::Known;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::listing::say;
use super::values::{Ground, Tree, ground};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Watches {
    tree: Tree,
}

fn standing(model: &Model) -> Ground<'_> {
    let roots = model.watched.iter().map(|one| Some(root(one))).collect();
    ground(model, &model.watches, "", roots)
}

fn root(one: &Watched) -> Part {
    let letter = one
        .letter
        .map_or_else(String::new, |letter| format!("/{letter} "));
    // The reason says itself of which expression it is.
    let value = match &one.value {
        Known::No(why) => Known::No(
            why.split_once(": ")
                .map_or(why.as_str(), |(_, found)| found)
                .to_owned(),
        ),
        other => other.clone(),
    };
    Part {
        name: format!("{letter}{}", one.expression),
        expression: one.expression.clone(),
        type_name: one.type_name.clone(),
        value,
        opens: one.opens,
        address: None,
        size: None,
        changed: one.changed,
    }
}

impl Watches {
    /// The marked value, and how its numbers are written.
    #[must_use]
    pub fn marked(&self, model: &Model) -> Option<(Part, Option<char>)> {
        self.tree.marked(&standing(model))
    }

    /// The expression that the marked row belongs to.
    #[must_use]
    pub fn watched<'a>(&self, model: &'a Model) -> Option<&'a Watched> {
        model.watched.get(self.tree.root(&standing(model))?)
    }

    pub fn next_letter(&mut self, model: &Model) {
        self.tree.next_letter(&standing(model));
    }
}

/// The line that shows an expression again.
#[must_use]
pub fn line(one: &Watched) -> String {
    match one.letter {
        Some(letter) => format!("display/{letter} {}", one.expression),
        None => format!("display {}", one.expression),
    }
}

impl Panel for Watches {
    fn title(&self, view: View<'_>) -> String {
        match view.model.watched.len() {
            0 => "watches".to_owned(),
            count => format!("watches {count}"),
        }
    }

    fn wants(&self, view: View<'_>, area: Rect) -> Vec<(Topic, Command)> {
        let height = usize::from(area.height).max(1);
        let of = standing(view.model).lacks(&self.tree, height);
        match of.is_empty() {
            true => Vec::new(),
            false => vec![(Topic::Watches, Command::Parts { of })],
        }
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        self.tree.act(act, &standing(model), area)
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let waiting = view.look.waiting.iter();
        let waiting: Vec<&String> = waiting.filter(|line| line.starts_with("display")).collect();
        if view.model.watched.is_empty() {
            if waiting.is_empty() {
                return say("none; + adds an expression", view, area, buf);
            }
            for (row, line) in waiting.into_iter().enumerate() {
                let expression = line.split_once(' ').map_or("", |(_, rest)| rest);
                let line = Line::styled(format!("○ {expression}"), view.theme.dim());
                text::put(buf, area, row, line);
            }
            return;
        }
        self.tree.draw(&standing(view.model), view, area, buf);
    }
}
