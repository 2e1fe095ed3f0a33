//! Values as trees, folded from the answers to `parts`: what is known of each node, and what is not
//! as it was when it was last shown.

use std::collections::BTreeMap;

use crate::command::{Command, PartsOf};
use crate::event::{Answer, Failure, Part, Parts};
use crate::known::Known;

/// Nodes and texts kept: more than any screen shows in a long session.
const KEPT: usize = 20_000;
/// So many states of the target ago they may still be compared with, when there are too many.
const REMEMBERED: u64 = 64;

/// A node: in which function's frame, and the expression that gives it.
pub type Path = (String, String);

#[derive(Debug, Default)]
pub struct Values {
    /// The function whose variables were told last.
    pub function: String,
    /// Why nothing was told.
    pub trouble: Option<String>,
    nodes: BTreeMap<Path, Node>,
    texts: BTreeMap<(Path, Option<char>), Text>,
}

/// A value that was taken apart, as far as that was asked for.
#[derive(Debug, Default)]
pub struct Node {
    pub total: u64,
    as_of: u64,
    letter: Option<char>,
    parts: BTreeMap<u64, (Part, u64)>,
    /// The whole, written by the letter.
    of: Part,
}

#[derive(Debug)]
struct Text {
    stop: u64,
    now: Known<String>,
    before: Option<Known<String>>,
}

/// When an answer holds: the state of the target, and the stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) generation: u64,
    pub(super) stop: u64,
}

impl Values {
    #[must_use]
    pub fn node(&self, path: &Path) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The variables of the frame.
    #[must_use]
    pub fn variables(&self) -> Option<&Node> {
        self.nodes.get(&(self.function.clone(), String::new()))
    }

    /// Whether a value is another than when it was last shown, at an earlier stop than this.
    #[must_use]
    pub fn is_changed(&self, path: &Path, letter: Option<char>, stop: u64) -> bool {
        let text = self.texts.get(&(path.clone(), letter));
        text.is_some_and(|text| {
            let both = text
                .now
                .yes()
                .zip(text.before.as_ref().and_then(Known::yes));
            text.stop == stop && both.is_some_and(|(now, before)| now != before)
        })
    }

    /// Takes in an answer. Where the values do not hang on a frame, `scoped` is not set.
    pub(super) fn set(
        &mut self,
        when: When,
        scoped: bool,
        command: &Command,
        result: Result<Answer, Failure>,
    ) {
        let Command::Parts { of: asked } = command else {
            return;
        };
        match result {
            Ok(Answer::Parts(answers)) => {
                self.trouble = None;
                for (asked, answer) in asked.iter().zip(answers) {
                    self.take(when, scoped, asked, answer);
                }
            }
            Ok(_) => self.trouble = Some("the session answered something else".to_owned()),
            Err(failure) => self.trouble = Some(failure.to_string()),
        }
        self.forget(when);
    }

    fn take(&mut self, when: When, scoped: bool, asked: &PartsOf, answer: Parts) {
        let scope = match scoped {
            true => answer.function.unwrap_or_default(),
            false => String::new(),
        };
        if asked.expression.is_none() {
            self.function.clone_from(&scope);
        }
        let path = (scope.clone(), asked.expression.clone().unwrap_or_default());
        self.note(when, path.clone(), asked.letter, &answer.of.value);
        for part in &answer.parts {
            let path = (scope.clone(), part.expression.clone());
            self.note(when, path, asked.letter, &part.value);
        }
        let node = self.nodes.entry(path).or_default();
        if node.letter != asked.letter || node.total != answer.total {
            node.parts.clear();
        }
        node.letter = asked.letter;
        node.total = answer.total;
        node.as_of = when.generation;
        node.of = answer.of;
        let numbered = (answer.from..).zip(answer.parts);
        node.parts
            .extend(numbered.map(|(i, part)| (i, (part, when.generation))));
    }

    fn note(&mut self, when: When, path: Path, letter: Option<char>, value: &Known<String>) {
        use std::collections::btree_map::Entry;
        match self.texts.entry((path, letter)) {
            Entry::Vacant(entry) => {
                entry.insert(Text {
                    stop: when.stop,
                    now: value.clone(),
                    before: None,
                });
            }
            Entry::Occupied(mut entry) => {
                let text = entry.get_mut();
                let earlier = std::mem::replace(&mut text.now, value.clone());
                if text.stop != when.stop {
                    text.before = Some(earlier);
                    text.stop = when.stop;
                }
            }
        }
    }

    /// A session of many steps passes many functions: what was not seen for long goes.
    fn forget(&mut self, when: When) {
        if self.texts.len() > KEPT {
            let oldest = when.stop.saturating_sub(REMEMBERED);
            self.texts.retain(|_, text| text.stop >= oldest);
        }
        if self.nodes.len() > KEPT {
            let oldest = when.generation.saturating_sub(REMEMBERED);
            self.nodes.retain(|_, node| node.as_of >= oldest);
        }
    }
}

impl Node {
    #[must_use]
    pub fn part(&self, i: u64) -> Option<&Part> {
        self.parts.get(&i).map(|(part, _)| part)
    }

    /// Whether a part is known as of this state of the target, written by the letter.
    #[must_use]
    pub fn knows(&self, i: u64, letter: Option<char>, generation: u64) -> bool {
        let part = self.parts.get(&i);
        self.letter == letter && part.is_some_and(|(_, as_of)| *as_of == generation)
    }

    /// Whether the whole is.
    #[must_use]
    pub fn is_known(&self, letter: Option<char>, generation: u64) -> bool {
        self.letter == letter && self.as_of == generation
    }

    #[must_use]
    pub const fn of(&self) -> &Part {
        &self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(values: &mut Values, stop: u64, function: &str, text: &str) {
        let asked = PartsOf {
            expression: None,
            letter: None,
            from: 0,
            count: 9,
        };
        let part = Part {
            name: "x".to_owned(),
            expression: "x".to_owned(),
            value: Known::Yes(text.to_owned()),
            ..Part::default()
        };
        let parts = Parts {
            function: Some(function.to_owned()),
            of: Part::default(),
            from: 0,
            total: 1,
            parts: vec![part],
        };
        let when = When {
            generation: stop,
            stop,
        };
        let command = Command::Parts { of: vec![asked] };
        values.set(when, true, &command, Ok(Answer::Parts(vec![parts])));
    }

    #[test]
    fn what_changed_since_an_earlier_stop_is_told_for_each_function() {
        let mut values = Values::default();
        let changed = |values: &Values, stop| {
            let path = (values.function.clone(), "x".to_owned());
            values.is_changed(&path, None, stop)
        };
        answered(&mut values, 1, "main", "1");
        assert!(!changed(&values, 1), "nothing was known before");
        answered(&mut values, 2, "main", "2");
        assert!(changed(&values, 2));
        answered(&mut values, 2, "main", "2");
        assert!(changed(&values, 2), "asked again at the same stop");
        answered(&mut values, 3, "other", "5");
        assert!(!changed(&values, 3), "another function's x");
        answered(&mut values, 4, "main", "2");
        assert!(!changed(&values, 4));
        let node = values.variables().unwrap();
        assert!(node.knows(0, None, 4) && !node.knows(0, Some('x'), 4));
    }

    #[test]
    fn many_steps_do_not_fill_the_memory() {
        let mut values = Values::default();
        for stop in 0..30_000 {
            answered(&mut values, stop, &format!("function_{stop}"), "1");
        }
        assert!(values.texts.len() <= KEPT + 1 && values.nodes.len() <= KEPT + 1);
    }
}
