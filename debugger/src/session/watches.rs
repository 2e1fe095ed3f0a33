//! `display`: expressions that are evaluated at each stop.

use super::engine::Engine;
use super::expression;
use super::trouble::Trouble;
use crate::event::{Answer, Event, Watched};
use crate::known::Known;

#[derive(Debug, Default)]
pub(super) struct Watches {
    /// As they were told last.
    list: Vec<Watched>,
    last: u32,
}

impl Engine {
    /// `display`, with an expression and without.
    pub(super) fn display(
        &mut self,
        letter: Option<char>,
        text: Option<&str>,
    ) -> Result<Answer, Trouble> {
        if let Some(text) = text {
            let failed = |error| Trouble::expression(text, &error);
            if expression::parse(text).map_err(failed)?.assigns() {
                return Err(Trouble::new(
                    format!("showing '{text}' at each stop"),
                    "it changes what it shows",
                    "'set' and 'print' assign once",
                ));
            }
            self.watches.last += 1;
            self.watches.list.push(Watched {
                number: self.watches.last,
                expression: text.to_owned(),
                value: Known::Asked,
                changed: false,
                type_name: None,
                opens: false,
                letter,
            });
        }
        self.tell_watched();
        let shown = self.watches.list.iter();
        let shown = shown.filter(|one| text.is_none() || one.number == self.watches.last);
        let mut lines: Vec<String> = shown.map(line).collect();
        if lines.is_empty() {
            lines.push("no expression is shown at each stop".to_owned());
        }
        Ok(Answer::Text(lines))
    }

    /// `undisplay`
    pub(super) fn undisplay(&mut self, number: Option<u32>) -> Result<Answer, Trouble> {
        let before = self.watches.list.len();
        self.watches
            .list
            .retain(|one| number.is_some_and(|number| number != one.number));
        let gone = before - self.watches.list.len();
        if let (Some(number), 0) = (number, gone) {
            return Err(Trouble::new(
                format!("no longer showing {number}"),
                "there is none of this number",
                "'display' lists them",
            ));
        }
        self.tell_watched();
        Ok(Answer::Done(format!("{gone} no longer shown")))
    }

    /// As they were told last.
    pub(super) fn watched_now(&self) -> Vec<Watched> {
        self.watches.list.clone()
    }

    /// Evaluates all that are shown and tells them.
    pub(super) fn tell_watched(&mut self) {
        let mut list = std::mem::take(&mut self.watches.list);
        let changed = !list.is_empty();
        for one in &mut list {
            let found = self.evaluate(&one.expression).and_then(|value| {
                let text = self.shown(&value, one.letter)?;
                Ok((text, self.opens(&value), value.type_.to_string()))
            });
            let value = match found {
                Ok((text, opens, type_name)) => {
                    (one.opens, one.type_name) = (opens, Some(type_name));
                    Known::Yes(text)
                }
                Err(trouble) => {
                    (one.opens, one.type_name) = (false, None);
                    Known::No(trouble.to_string())
                }
            };
            one.changed = self
                .watched_before(one.number)
                .is_some_and(|before| before.value != value);
            one.value = value;
        }
        self.watches.list = list;
        if changed || self.watches.last > 0 {
            self.port.send(Event::Watched(self.watches.list.clone()));
        }
    }
}

fn line(one: &Watched) -> String {
    let value = match &one.value {
        Known::Yes(text) => text.clone(),
        Known::No(why) => format!("<{why}>"),
        Known::Asked => "<not asked yet>".to_owned(),
    };
    let letter = one
        .letter
        .map_or_else(String::new, |letter| format!("/{letter} "));
    format!("{}: {letter}{} = {value}", one.number, one.expression)
}
