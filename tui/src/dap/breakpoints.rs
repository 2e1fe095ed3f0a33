//! Breakpoints of all kinds: what the editor wishes, in place of what it wished before.
//!
//! An editor sends all breakpoints of a file, all on functions, and so on, each time one of them changes. Those
//! that it wishes still stay as they are, with their hits; their numbers are the session's own.

use std::collections::BTreeMap;

use debugger::command::{BreakCommand, Command, Info, Location, WatchKind, Which};
use debugger::event::{Answer, BreakpointInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use super::source::ends;
use super::wish::{At, Wish, command, data_id, hits_to_pass, of_data_id};
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
            // The box that set it is one of those for exceptions.
            Some(Group::Crossings) => "exception",
            Some(Group::Functions) => "function breakpoint",
            Some(Group::Instructions) => "instruction breakpoint",
            Some(Group::Data) => "data breakpoint",
            Some(Group::Source(_)) | None => "breakpoint",
        }
    }

    /// The filter whose box was ticked for it.
    pub(super) fn crossing(&self, number: u32) -> Option<&'static str> {
        let list = self.groups.get(&Group::Crossings)?;
        let (wish, _) = list.iter().find(|(_, set)| *set == Ok(number))?;
        match &wish.at {
            At::Line(line) => crossings::filter_of(line),
            _ => None,
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
