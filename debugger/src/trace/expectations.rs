//! What operations are expected to cost, in a file that is kept beside the code: `uklscope check` compares
//! a recording with it. A path stands in it line by line, so that version control shows what changed.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::diff::{self, OFTEN, calls};
use super::query::{Crossing, Query};
use super::report::{Class, Node, Pair, Phases, Report};
use crate::crossing::{CrossingKind, Setup};

pub const SCHEMA: u32 = 1;

/// The file, in TOML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    pub schema: u32,
    /// The image's name.
    pub image: String,
    #[serde(default, rename = "operation")]
    pub operations: Vec<Expected>,
}

/// One call in one mode: its dominant class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub mode: Setup,
    pub kind: CrossingKind,
    pub call: String,
    pub instructions: u64,
    /// Instructions more or less that are no change.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub within: u64,
    /// A function a line, indented below its caller by two spaces: symbol, own instructions, calls, origin.
    pub path: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Checked<'a> {
    pub expected: &'a Expected,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Holds {
        instructions: u64,
    },
    /// From what was expected to what was found.
    Changed(Box<Pair>),
    /// The recording has no such call in that mode.
    Missing,
}

/// What an operation was before a recording's were taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// It is as it was: the recording has nothing of it, or nothing that is meant.
    Kept,
    /// So many instructions were expected.
    Expected(u64),
    New,
}

/// `line 381: invalid value: integer `-3`, expected u64`
fn told(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        ),
        None => error.message().to_owned(),
    }
}

/// Why a text holds no expectations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoExpectations {
    #[error("it is no file of expectations: {0}")]
    Toml(String),
    #[error("its schema is {0}, this program reads {SCHEMA}")]
    Schema(u32),
    #[error(
        "the path of {call} in mode {mode}: '{line}' is not a symbol, two numbers and an origin below its caller"
    )]
    Path {
        mode: Setup,
        call: String,
        line: String,
    },
    #[error(
        "{call} in mode {mode}: instructions = {instructions}, and its path adds up to {total}; correct one of them, or take \
         the operation out and write it anew"
    )]
    Sum {
        mode: Setup,
        call: String,
        instructions: u64,
        total: u64,
    },
}

impl Expectations {
    /// The calls that these runs made often, or those of the names given.
    #[must_use]
    pub fn of(image: &str, runs: &[Report], only: &[String]) -> Self {
        let wanted = |class: &Class| match only {
            [] => class.count >= OFTEN,
            names => names.contains(&class.call),
        };
        let of_run = |run: &Report| {
            let classes = calls(run).into_iter().filter(|class| wanted(class));
            classes
                .map(|class| Expected::of(&run.mode, class))
                .collect::<Vec<_>>()
        };
        Self {
            schema: SCHEMA,
            image: image.to_owned(),
            operations: runs.iter().flat_map(of_run).collect(),
        }
    }

    /// # Errors
    /// When the text is no file of this kind, or a path in it cannot be read.
    pub fn read(text: &str) -> Result<Self, NoExpectations> {
        let read: Self =
            toml::from_str(text).map_err(|error| NoExpectations::Toml(told(&error, text)))?;
        if read.schema != SCHEMA {
            return Err(NoExpectations::Schema(read.schema));
        }
        for operation in &read.operations {
            let total = operation.class()?.path.total;
            if total != operation.instructions {
                return Err(NoExpectations::Sum {
                    mode: operation.mode.clone(),
                    call: operation.call.clone(),
                    instructions: operation.instructions,
                    total,
                });
            }
        }
        Ok(read)
    }

    /// # Errors
    /// When it cannot be written as TOML.
    pub fn write(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// Takes over what was found: in the place of the same call, else behind the others. Of each operation it says
    /// what it was. A tolerance that somebody has written into the file by hand stays.
    pub fn take_over(&mut self, found: Self) -> Vec<Was> {
        let mut was = vec![Was::Kept; self.operations.len()];
        for operation in found.operations {
            let mut olds = self.operations.iter();
            match olds.position(|old| old.is_of(&operation)) {
                // Of several runs in a mode the first is what is checked.
                Some(at) if was[at] != Was::Kept => {}
                Some(at) => {
                    let old = &mut self.operations[at];
                    was[at] = Was::Expected(old.instructions);
                    *old = Expected {
                        within: old.within,
                        ..operation
                    };
                }
                None => {
                    self.operations.push(operation);
                    was.push(Was::New);
                }
            }
        }
        was
    }

    /// Keeps the operations that a query holds for: as they were found, else as they are expected.
    pub fn keep(&mut self, query: &Query, runs: &[Report]) {
        self.operations.retain(|expected| {
            let holds = |class: &Class| query.holds(Crossing::alone(&expected.mode, class));
            match expected.found(runs) {
                Some(class) => holds(class),
                None => expected.class().is_ok_and(|class| holds(&class)),
            }
        });
    }

    /// Each operation, in the file's order.
    ///
    /// # Errors
    /// When a path cannot be read.
    pub fn check(&self, runs: &[Report]) -> Result<Vec<Checked<'_>>, NoExpectations> {
        self.operations
            .iter()
            .map(|expected| {
                Ok(Checked {
                    expected,
                    outcome: expected.outcome(runs)?,
                })
            })
            .collect()
    }
}

impl Expected {
    fn of(mode: &Setup, class: &Class) -> Self {
        let mut path = String::new();
        write_path(&class.path, 0, &mut path);
        Self {
            mode: mode.clone(),
            kind: class.kind,
            call: class.call.clone(),
            instructions: class.instructions,
            within: match class.exact {
                true => 0,
                false => class.max - class.min,
            },
            path,
        }
    }

    fn is_of(&self, other: &Self) -> bool {
        (&self.mode, self.kind, &self.call) == (&other.mode, other.kind, &other.call)
    }

    fn found<'a>(&self, runs: &'a [Report]) -> Option<&'a Class> {
        let run = runs.iter().find(|run| run.mode == self.mode)?;
        let mut classes = calls(run).into_iter();
        classes.find(|class| class.call == self.call && class.kind == self.kind)
    }

    fn outcome(&self, runs: &[Report]) -> Result<Outcome, NoExpectations> {
        let Some(found) = self.found(runs) else {
            return Ok(Outcome::Missing);
        };
        if found.instructions.abs_diff(self.instructions) <= self.within {
            return Ok(Outcome::Holds {
                instructions: found.instructions,
            });
        }
        let expected = self.class()?;
        let pair = diff::pair((&expected, &self.mode), (found, &self.mode));
        Ok(Outcome::Changed(Box::new(pair)))
    }

    /// As far as the file has it.
    fn class(&self) -> Result<Class, NoExpectations> {
        Ok(Class {
            id: String::new(),
            kind: self.kind,
            call: self.call.clone(),
            count: 0,
            instructions: self.instructions,
            exact: self.within == 0,
            min: self.instructions,
            max: self.instructions,
            interrupted: false,
            counts: Vec::new(),
            phases: Phases::default(),
            path: read_path(&self.path).map_err(|line| NoExpectations::Path {
                mode: self.mode.clone(),
                call: self.call.clone(),
                line,
            })?,
        })
    }
}

fn is_zero(within: &u64) -> bool {
    *within == 0
}

fn write_path(node: &Node, depth: usize, out: &mut String) {
    let Node {
        symbol,
        own,
        calls,
        origin,
        ..
    } = node;
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{:1$}{symbol} {own} {calls} {origin}", "", depth * 2);
    for child in &node.children {
        write_path(child, depth + 1, out);
    }
}

/// The error is the line that is none.
fn read_path(text: &str) -> Result<Node, String> {
    // From the root to the function that was read last.
    let mut open: Vec<Node> = Vec::new();
    for line in text.lines() {
        let (depth, node) = read_line(line).ok_or_else(|| line.to_owned())?;
        if depth > open.len() || (depth == 0 && !open.is_empty()) {
            return Err(line.to_owned());
        }
        close(&mut open, depth);
        open.push(node);
    }
    close(&mut open, 1);
    open.pop().ok_or_else(String::new)
}

/// Hands what is deeper to its callers.
fn close(open: &mut Vec<Node>, depth: usize) {
    while open.len() > depth.max(1) {
        let Some(done) = open.pop() else {
            return;
        };
        if let Some(caller) = open.last_mut() {
            caller.total = caller.total.saturating_add(done.total);
            caller.children.push(done);
        }
    }
}

fn read_line(line: &str) -> Option<(usize, Node)> {
    let text = line.trim_start_matches(' ');
    let indent = line.len() - text.len();
    // From behind: a C++ name may have spaces.
    let mut words = text.rsplitn(4, ' ');
    let origin = words.next()?.parse().ok()?;
    let calls = words.next()?.parse().ok()?;
    let own = words.next()?.parse().ok()?;
    let symbol = words.next().filter(|symbol| !symbol.is_empty())?;
    indent.is_multiple_of(2).then(|| {
        let node = Node {
            symbol: symbol.to_owned(),
            origin,
            own,
            total: own,
            calls,
            file: None,
            children: Vec::new(),
        };
        (indent / 2, node)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crossing::Mode;
    use crate::trace::examples::{class, node, report};

    fn run(path: Node, exact: bool) -> Report {
        let mut class = class(CrossingKind::Bypass, "getppid", path);
        class.exact = exact;
        class.max += 3;
        report(Mode::Bypass, vec![class])
    }

    fn path() -> Node {
        let work = vec![node("fdget", 3, vec![]), node("vfs_read", 7, vec![])];
        node(
            "entry",
            5,
            vec![node("ksys_read", 20, work), node("out", 1, vec![])],
        )
    }

    #[test]
    fn what_was_written_holds_and_a_change_comes_as_a_ladder() {
        let runs = [run(path(), true)];
        let file = Expectations::of("syscalls", &runs, &[]);
        let text = file.write().unwrap();
        assert!(
            text.contains("\n  ksys_read 20 1 unknown\n    fdget 3 1 unknown\n"),
            "{text}"
        );
        let read = Expectations::read(&text).unwrap();
        assert_eq!(read, file);
        let holds = Outcome::Holds { instructions: 36 };
        assert_eq!(read.check(&runs).unwrap()[0].outcome, holds);

        let mut slower = path();
        slower.children[0].children[0].own += 4;
        slower.children[0].children[0].total += 4;
        slower.total += 4;
        let checked = read.check(&[run(slower, true)]).unwrap();
        let Outcome::Changed(pair) = &checked[0].outcome else {
            panic!("{checked:?}");
        };
        assert_eq!((pair.a, pair.b, pair.balanced), (36, 40, true));
        let changed: Vec<_> = pair.rows.iter().filter(|row| row.a != row.b).collect();
        assert!(
            changed.len() == 1 && changed[0].symbol == "fdget",
            "{changed:?}"
        );
        assert_eq!(read.check(&[]).unwrap()[0].outcome, Outcome::Missing);
    }

    #[test]
    fn a_tolerance_stays_when_the_file_is_written_anew() {
        let mut before = Expectations::of("syscalls", &[run(path(), false)], &[]);
        assert_eq!(
            before.operations[0].within, 3,
            "its counts differed by as much"
        );
        before.operations[0].within = 9;
        let anew = Expectations::of("syscalls", &[run(path(), true)], &[]);
        assert_eq!(before.take_over(anew), [Was::Expected(36)]);
        assert_eq!(before.operations[0].within, 9);
        let none = Expectations::of("syscalls", &[run(path(), true)], &["read".to_owned()]);
        assert!(none.operations.is_empty());
    }

    #[test]
    fn what_was_not_found_stays() {
        let mut file = Expectations::of("syscalls", &[run(path(), true)], &[]);
        let mut other = run(node("entry", 9, vec![]), true);
        other.mode = Mode::Ukl.into();
        let was = file.take_over(Expectations::of("syscalls", &[other.clone()], &[]));
        assert_eq!(was, [Was::Kept, Was::New]);
        other.classes[0].kind = CrossingKind::Syscall;
        let was = file.take_over(Expectations::of("syscalls", &[other], &[]));
        assert_eq!(was, [Was::Kept, Was::Kept, Was::New], "by another kind");
        let costs = file.operations.iter().map(|one| one.instructions);
        assert_eq!(costs.collect::<Vec<_>>(), [36, 9, 9]);
    }

    #[test]
    fn only_what_a_query_means_is_checked() {
        let runs = [run(path(), true)];
        let kept = |query: &str, runs: &[Report]| {
            let mut all = Expectations::of("syscalls", &[run(path(), true)], &[]);
            all.keep(&query.parse().unwrap(), runs);
            all.operations.len()
        };
        assert_eq!(kept("kind=bypass node=fdget count=100", &runs), 1);
        assert_eq!(kept("insns>36", &runs), 0);
        assert_eq!(kept("insns=36 node=fdget", &[]), 1, "missing, but expected");
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let text = Expectations::of("syscalls", &[run(path(), true)], &[])
            .write()
            .unwrap();
        for (from, to, line) in [
            (
                "  ksys_read 20",
                "     ksys_read 20",
                "     ksys_read 20 1 unknown",
            ),
            ("fdget 3", "fdget three", "    fdget three 1 unknown"),
            ("  out 1", "out 1", "out 1 1 unknown"),
        ] {
            let error = Expectations::read(&text.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(&format!("'{line}'")), "{error}");
        }
        let error = Expectations::read(&text.replace("instructions = 36", "instructions = 35"));
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with(
                "getppid in mode bypass: instructions = 35, and its path adds up to 36; "
            ),
            "{error}"
        );
        let other = text.replace("schema = 1", "schema = 7");
        assert_eq!(Expectations::read(&other), Err(NoExpectations::Schema(7)));
    }

    fn any_path() -> impl Strategy<Value = Node> {
        let leaf = ("[a-z_.]{1,8}", 0_u64..1_000).prop_map(|(name, own)| node(&name, own, vec![]));
        leaf.prop_recursive(6, 64, 5, |inner| {
            (
                "[a-z_.]{1,8}",
                0_u64..1_000,
                prop::collection::vec(inner, 0..5),
            )
                .prop_map(|(name, own, children)| node(&name, own, children))
        })
    }

    proptest! {
        #[test]
        fn any_path_is_read_as_it_was_written(path in any_path()) {
            let mut text = String::new();
            write_path(&path, 0, &mut text);
            prop_assert_eq!(read_path(&text), Ok(path));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = Expectations::read(&text);
            let _ = read_path(&text);
        }
    }
}
