//! Breakpoints of all kinds: what the editor wishes, in place of what it wished before.
//!
//! An editor sends all breakpoints of a file, all on functions, and so on, each time one of them changes. Those
//! that it wishes still stay as they are, with their hits; their numbers are the session's own.

use std::collections::BTreeMap;

use debugger::command::{
    BreakCommand, Command, Info, Location, Only, WatchKind, Which, log_parts, parse,
};
use debugger::event::{Answer, BreakpointInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use super::source::ends;
use super::{crossings, memory};

/// What is set, as the editor knows it.
#[derive(Debug, Default)]
pub(super) struct Placed {
    groups: BTreeMap<Group, Vec<Set>>,
    /// What the editor was told of each.
    told: BTreeMap<u32, Value>,
}

/// A wish, and its number, or why it has none.
type Set = (Wish, Result<u32, Refusal>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Source(String),
    Functions,
    Instructions,
    Data,
    Crossings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    at: At,
    condition: Option<String>,
    hits: Option<String>,
    log: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Location(Location),
    /// A command that sets it.
    Line(String),
    Watch {
        kind: WatchKind,
        expression: String,
        frame: Option<u32>,
    },
    Nowhere(Refusal),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetBreakpoints {
    source: Source,
    #[serde(default)]
    breakpoints: Vec<Given>,
}

#[derive(Debug, Deserialize)]
struct Source {
    path: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SetOthers {
    breakpoints: Vec<Given>,
}

/// A breakpoint of any kind; each has some of these.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Given {
    line: u32,
    name: String,
    data_id: String,
    access_type: Option<String>,
    instruction_reference: String,
    offset: i64,
    condition: Option<String>,
    hit_condition: Option<String>,
    log_message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SetFilters {
    filters: Vec<String>,
    filter_options: Vec<FilterOption>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterOption {
    filter_id: String,
    condition: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataInfo {
    variables_reference: Option<usize>,
    name: String,
    frame_id: Option<u32>,
    #[serde(default)]
    as_address: bool,
    bytes: Option<u64>,
}

impl Given {
    fn at(&self, at: At) -> Wish {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        Wish {
            at,
            condition: filled(&self.condition),
            hits: filled(&self.hit_condition),
            log: filled(&self.log_message),
        }
    }
}

impl Placed {
    /// Why the target stopped there, in the protocol's words.
    pub(super) fn reason(&self, number: u32) -> &'static str {
        let group = self
            .groups
            .iter()
            .find(|(_, list)| list.iter().any(|(_, set)| *set == Ok(number)));
        match group.map(|(group, _)| group) {
            Some(Group::Functions) => "function breakpoint",
            Some(Group::Instructions) => "instruction breakpoint",
            Some(Group::Data) => "data breakpoint",
            Some(Group::Source(_) | Group::Crossings) | None => "breakpoint",
        }
    }
}

impl Adapter<'_> {
    pub(super) fn set_breakpoints(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: SetBreakpoints = request.arguments()?;
        let Some(file) = asked.source.path.or(asked.source.name) else {
            return Err(Refusal::new(
                "setting breakpoints in a source",
                "it has no path",
                "set a breakpoint on an instruction or a function there",
            ));
        };
        let base = self.client.first_line;
        let mut wishes = Vec::new();
        for given in &asked.breakpoints {
            let line = (given.line + 1).saturating_sub(base);
            let known_as = self.file_of(&file, line)?;
            wishes.push(given.at(At::Location(Location::Line {
                file: Some(known_as),
                line,
            })));
        }
        self.set_all(Group::Source(file), wishes)
    }

    pub(super) fn set_function_breakpoints(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: SetOthers = request.arguments()?;
        let wish = |given: &Given| given.at(At::Line(format!("break {}", given.name)));
        let wishes = asked.breakpoints.iter().map(wish).collect();
        self.set_all(Group::Functions, wishes)
    }

    pub(super) fn set_instruction_breakpoints(
        &mut self,
        request: &Request,
    ) -> Result<Reply, Refusal> {
        let asked: SetOthers = request.arguments()?;
        let wish = |given: &Given| {
            let at = memory::address(&given.instruction_reference, given.offset);
            given.at(match at {
                Ok(at) => At::Location(Location::Addr(at)),
                Err(refusal) => At::Nowhere(refusal),
            })
        };
        let wishes = asked.breakpoints.iter().map(wish).collect();
        self.set_all(Group::Instructions, wishes)
    }

    pub(super) fn set_crossing_breakpoints(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: SetFilters = request.arguments()?;
        let named = asked.filters.iter().map(|name| (name, None));
        let options = asked
            .filter_options
            .iter()
            .map(|option| (&option.filter_id, option.condition.as_deref()));
        let wish = |(name, condition): (&String, Option<&str>)| {
            let at = match crossings::command(name, condition) {
                Some(line) => At::Line(line),
                None => At::Nowhere(Refusal::new(
                    format!("stopping at '{name}'"),
                    "there is no such filter",
                    "choose one of those told in the answer to initialize",
                )),
            };
            Given::default().at(at)
        };
        let wishes = named.chain(options).map(wish).collect();
        self.set_all(Group::Crossings, wishes)
    }

    pub(super) fn data_breakpoint_info(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: DataInfo = request.arguments()?;
        self.standing("watching a value")?;
        let (frame, expression) = match (asked.variables_reference, asked.as_address) {
            (Some(reference), _) if reference > 0 => self.expression_of(reference, &asked.name)?,
            (_, true) => {
                let bytes = asked.bytes.unwrap_or(8);
                (None, format!("*(char (*)[{bytes}]){}", asked.name))
            }
            _ => (asked.frame_id, asked.name.clone()),
        };
        let body = match self.value(frame, &expression) {
            Ok(value) if value["memoryReference"].is_string() => json!({
                "dataId": data_id(frame, &expression),
                "description": format!("{expression}, at {}", value["memoryReference"].as_str().unwrap_or_default()),
                "accessTypes": ["write", "read", "readWrite"],
            }),
            Ok(_) => json!({
                "dataId": null,
                "description": format!("{expression} lies in no memory that could be watched"),
            }),
            Err(refusal) => json!({"dataId": null, "description": refusal.0}),
        };
        Ok(Reply::Body(body))
    }

    pub(super) fn set_data_breakpoints(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: SetOthers = request.arguments()?;
        let wish = |given: &Given| {
            let (frame, expression) = of_data_id(&given.data_id);
            given.at(At::Watch {
                kind: match given.access_type.as_deref() {
                    Some("read") => WatchKind::Read,
                    Some("readWrite") => WatchKind::Access,
                    _ => WatchKind::Write,
                },
                expression,
                frame,
            })
        };
        let wishes = asked.breakpoints.iter().map(wish).collect();
        self.set_all(Group::Data, wishes)
    }

    /// Sets what is wished and was not set before, and takes away what is wished no more.
    fn set_all(&mut self, group: Group, wishes: Vec<Wish>) -> Result<Reply, Refusal> {
        let known = self.known_breakpoints()?;
        let placed = &mut self.session()?.placed;
        let mut before = placed.groups.remove(&group).unwrap_or_default();
        before.retain(|(_, set)| set.as_ref().is_ok_and(|number| known.contains_key(number)));
        let mut after = Vec::new();
        let mut missing = Vec::new();
        for (i, wish) in wishes.into_iter().enumerate() {
            match before.iter().position(|(old, _)| *old == wish) {
                Some(at) => after.push(before.remove(at)),
                None => {
                    missing.push(i);
                    let none = Refusal(String::new());
                    after.push((wish, Err(none)));
                }
            }
        }
        for (_, set) in before {
            if let Ok(number) = set {
                self.ask(Command::Delete {
                    number: Some(number),
                })?;
            }
        }
        for i in missing {
            after[i].1 = self.set_one(&after[i].0);
        }
        let known = self.known_breakpoints()?;
        let mut bodies = Vec::new();
        let mut told = Vec::new();
        for (_, set) in &after {
            let body = match set {
                Ok(number) => match known.get(number) {
                    Some(info) => self.told_of(info)?,
                    None => json!({"verified": false}),
                },
                Err(refusal) => json!({"verified": false, "message": refusal.0}),
            };
            if let Ok(number) = set {
                told.push((*number, body.clone()));
            }
            bodies.push(body);
        }
        let placed = &mut self.session()?.placed;
        placed.groups.insert(group, after);
        placed.told.retain(|number, _| known.contains_key(number));
        placed.told.extend(told);
        Ok(Reply::Body(json!({"breakpoints": bodies})))
    }

    fn set_one(&mut self, wish: &Wish) -> Result<u32, Refusal> {
        let passed = wish.hits.as_deref().map(hits_to_pass).transpose()?;
        let command = command(wish)?;
        if let At::Watch {
            frame: Some(frame), ..
        } = &wish.at
            && self.standing("").is_ok()
        {
            self.select_frame(Some(*frame))?;
        }
        let info = match self.plant(command)? {
            Answer::Breakpoints(list) => list.into_iter().next(),
            _ => None,
        };
        let number = info.map(|info| info.number).ok_or_else(|| {
            Refusal::new("setting a breakpoint", "it was not answered", "report this")
        })?;
        if let Some(count) = passed.filter(|count| *count > 0) {
            self.ask(Command::Breaks(BreakCommand::Ignore {
                which: Which::Number(number),
                count,
            }))?;
        }
        Ok(number)
    }

    /// A file that is not known as the editor has it may be by the end of its path.
    fn plant(&mut self, command: Command) -> Result<Answer, Refusal> {
        let first = self.ask(command.clone());
        let Command::Break {
            location: Location::Line {
                file: Some(path), ..
            },
            ..
        } = &command
        else {
            return first;
        };
        let shorter = ends(path).skip(1).filter(|end| end.contains('/'));
        for end in shorter.filter(|_| first.is_err()) {
            let mut again = command.clone();
            if let Command::Break {
                location: Location::Line { file, .. },
                ..
            } = &mut again
            {
                *file = Some(end.to_owned());
            }
            let planted = self.ask(again);
            if planted.is_ok() {
                return planted;
            }
        }
        first
    }

    fn known_breakpoints(&mut self) -> Result<BTreeMap<u32, BreakpointInfo>, Refusal> {
        let list = match self.ask(Command::Info(Info::Breakpoints))? {
            Answer::Breakpoints(list) => list,
            _ => Vec::new(),
        };
        Ok(list.into_iter().map(|info| (info.number, info)).collect())
    }

    fn told_of(&mut self, info: &BreakpointInfo) -> Result<Value, Refusal> {
        let mut body = json!({"id": info.number, "verified": info.state == "planted"});
        let message = match (info.state.as_str(), &info.note) {
            ("planted", None) => None,
            ("planted", Some(note)) => Some(note.clone()),
            (state, Some(note)) => Some(format!("{state}; {note}")),
            (state, None) => Some(state.to_owned()),
        };
        if let Some(message) = message {
            body["message"] = json!(message);
        }
        if let Some(place) = info.places.first().map(|one| &one.place) {
            body["instructionReference"] = json!(format!("{:?}", place.addr));
            // Of a line that was asked for, code of another file is no place of its own.
            let asked = info.location.rsplit_once(':');
            let asked = asked.filter(|(_, line)| line.parse::<u32>().is_ok());
            let elsewhere = asked.is_some_and(|(file, _)| place.file.as_deref() != Some(file));
            if place.line.is_some()
                && !elsewhere
                && let Some((source, line)) = self.source_file(place)?
            {
                body["source"] = source;
                body["line"] = json!(line - 1 + self.client.first_line);
            }
        }
        Ok(body)
    }

    /// At a stop, or by what was typed: those that are others now are told.
    ///
    /// Of the loop alone: it asks, and whoever asks already would miss its own answer.
    pub(super) fn tell_breakpoints(&mut self) {
        match &mut self.debuggee {
            Some(debuggee) if debuggee.placed_is_stale && !debuggee.runs() => {
                debuggee.placed_is_stale = false;
            }
            _ => return,
        }
        let Ok(known) = self.known_breakpoints() else {
            return;
        };
        let mut now = BTreeMap::new();
        for (number, info) in known.iter().filter(|(_, info)| info.owner.is_none()) {
            if let Ok(body) = self.told_of(info) {
                now.insert(*number, body);
            }
        }
        let Some(debuggee) = &mut self.debuggee else {
            return;
        };
        let before = std::mem::replace(&mut debuggee.placed.told, now.clone());
        for (number, body) in &now {
            match before.get(number) {
                None => self.tell_breakpoint("new", body),
                Some(old) if old != body => self.tell_breakpoint("changed", body),
                Some(_) => {}
            }
        }
        for (number, _) in before
            .iter()
            .filter(|(number, _)| !now.contains_key(number))
        {
            let gone = json!({"id": number, "verified": false});
            self.tell_breakpoint("removed", &gone);
        }
    }

    fn tell_breakpoint(&mut self, reason: &str, body: &Value) {
        let body = json!({"reason": reason, "breakpoint": body});
        self.out.event("breakpoint", body);
    }
}

fn command(wish: &Wish) -> Result<Command, Refusal> {
    let mut command = match &wish.at {
        At::Nowhere(refusal) => return Err(refusal.clone()),
        At::Watch {
            kind, expression, ..
        } => {
            return Ok(Command::Watch {
                kind: *kind,
                expression: expression.clone(),
                condition: wish.condition.clone(),
                fixed: false,
            });
        }
        At::Line(line) => parse(line)?,
        At::Location(location) => Command::Break {
            location: location.clone(),
            temporary: false,
            hardware: false,
            condition: None,
            only: Only::default(),
            pending: false,
        },
    };
    if let (Command::Break { condition, .. }, Some(wished)) = (&mut command, &wish.condition) {
        *condition = Some(match condition.take() {
            Some(own) => format!("({own}) && ({wished})"),
            None => wished.clone(),
        });
    }
    let (
        Some(text),
        Command::Break {
            location,
            condition,
            only,
            ..
        },
    ) = (&wish.log, &command)
    else {
        return Ok(command);
    };
    let behind = condition
        .as_ref()
        .map_or_else(String::new, |condition| format!(" if {condition}"));
    let parts = log_parts(text).map_err(|found| {
        Refusal::new(
            format!("reading the log message '{text}'"),
            found,
            "write what is to be evaluated in braces: {count} bytes",
        )
    })?;
    Ok(Command::Breaks(BreakCommand::Log {
        location: location.clone(),
        parts,
        condition: condition.clone(),
        only: only.clone(),
        typed: format!("{}{behind}, {text}", written(location)),
    }))
}

/// As it would be typed.
fn written(location: &Location) -> String {
    match location {
        Location::Line {
            file: Some(file),
            line,
        } => format!("{file}:{line}"),
        Location::Addr(at) => format!("*{at:?}"),
        Location::Symbol { name, .. } => name.clone(),
        // None of these is what an editor's log point stands at.
        Location::Line { .. } | Location::Expression(_) | Location::Crossing(_) => "$pc".to_owned(),
    }
}

/// How many hits do not stop yet: `5` stops at the fifth, `> 5` at the sixth.
fn hits_to_pass(text: &str) -> Result<u64, Refusal> {
    let trimmed = text.trim();
    let (number, more) = match (trimmed.strip_prefix(">="), trimmed.strip_prefix('>')) {
        (Some(number), _) => (number, 0),
        (None, Some(number)) => (number, 1),
        (None, None) => (trimmed, 0),
    };
    let number: Result<u64, _> = number.trim().parse();
    match number {
        Ok(number) => Ok((number + more).saturating_sub(1)),
        Err(_) => Err(Refusal::new(
            format!("reading the hit count '{text}'"),
            "it is no number",
            "write N or >= N, to stop from the Nth hit on, or > N",
        )),
    }
}

/// The frame and the expression, as one text that the editor keeps.
fn data_id(frame: Option<u32>, expression: &str) -> String {
    format!("{}:{expression}", frame.unwrap_or(0))
}

fn of_data_id(text: &str) -> (Option<u32>, String) {
    match text.split_once(':') {
        Some((frame, expression)) => (
            frame.parse().ok().filter(|frame| *frame > 0),
            expression.to_owned(),
        ),
        None => (None, text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use debugger::addr::Addr;

    use super::*;

    fn wish(at: At) -> Wish {
        Given::default().at(at)
    }

    #[test]
    fn hit_counts_are_read() {
        let passed = |text| hits_to_pass(text).ok();
        assert_eq!(passed("1"), Some(0));
        assert_eq!(passed(" 5 "), Some(4));
        assert_eq!(passed(">= 5"), Some(4));
        assert_eq!(passed(">5"), Some(5));
        assert_eq!(passed("0"), Some(0));
        assert_eq!(passed("% 2"), None);
        assert_eq!(passed(""), None);
    }

    #[test]
    fn a_wish_is_a_command() {
        let addr = At::Location(Location::Addr(Addr(16)));
        let mut one = wish(At::Line("break main if n > 1".to_owned()));
        one.condition = Some("n < 9".to_owned());
        let Ok(Command::Break { condition, .. }) = command(&one) else {
            panic!("{one:?}");
        };
        assert_eq!(condition.as_deref(), Some("(n > 1) && (n < 9)"));
        let mut log = wish(addr);
        log.log = Some("{n} calls".to_owned());
        assert!(matches!(
            command(&log),
            Ok(Command::Breaks(BreakCommand::Log { .. }))
        ));
        log.log = Some("{n calls".to_owned());
        assert!(command(&log).is_err());
        assert!(command(&wish(At::Line("break a b".to_owned()))).is_err());
    }

    #[test]
    fn what_is_watched_keeps_its_frame() {
        assert_eq!(
            of_data_id(&data_id(Some(7), "a::b")),
            (Some(7), "a::b".to_owned())
        );
        assert_eq!(of_data_id(&data_id(None, "x")), (None, "x".to_owned()));
    }
}
