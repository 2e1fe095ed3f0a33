//! Scopes and values, one level at a time.

use debugger::command::{Command, Info, PartsOf};
use debugger::event::{Answer, Part, Parts, Register, Why};
use debugger::known::Known;
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use crate::batch::text;

/// Parts told at once; the rest is a part of its own.
const MANY: u64 = 200;

/// What the editor may open, by its reference from 1; of one stop.
#[derive(Debug, Default)]
pub(super) struct Nodes(Vec<Node>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// A frame's variables, from one of them on.
    Locals {
        frame: u32,
        from: u64,
    },
    Registers {
        frame: u32,
    },
    /// How control came in, of the stop.
    Crossing {
        frame: u32,
    },
    Value {
        frame: u32,
        expression: String,
        from: u64,
    },
    /// Told already.
    Lines(Vec<String>),
}

impl Nodes {
    fn add(&mut self, node: Node) -> usize {
        match self.0.iter().position(|known| *known == node) {
            Some(at) => at + 1,
            None => {
                self.0.push(node);
                self.0.len()
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopesArguments {
    frame_id: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VariablesArguments {
    variables_reference: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetVariable {
    variables_reference: usize,
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetExpression {
    expression: String,
    value: String,
    frame_id: Option<u32>,
}

impl Adapter<'_> {
    pub(super) fn scopes(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: ScopesArguments = request.arguments()?;
        self.standing("looking at a frame")?;
        let frame = asked.frame_id;
        let id = self.frame_told(frame)?;
        let is_label = id.is_label;
        let tells_why = match is_label {
            true => self.is_last_crossing(frame),
            false => id.n == 0,
        };
        let nodes = &mut self.session()?.nodes;
        let mut scope = |name: &str, hint: &str, node: Node| {
            let expensive = matches!(node, Node::Crossing { .. });
            json!({
                "name": name, "presentationHint": hint, "expensive": expensive,
                "variablesReference": nodes.add(node),
            })
        };
        let mut scopes = Vec::new();
        if !is_label {
            scopes.push(scope("Locals", "locals", Node::Locals { frame, from: 0 }));
            scopes.push(scope("Registers", "registers", Node::Registers { frame }));
        }
        if tells_why {
            scopes.push(scope("Crossing", "crossing", Node::Crossing { frame }));
        }
        Ok(Reply::Body(json!({"scopes": scopes})))
    }

    pub(super) fn variables(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: VariablesArguments = request.arguments()?;
        let variables = match self.node(asked.variables_reference)? {
            Node::Locals { frame, from } => {
                let parts = self.parts(frame, None, from)?;
                self.inner(frame, &parts)?
            }
            Node::Value {
                frame,
                expression,
                from,
            } => {
                let parts = self.parts(frame, Some(expression), from)?;
                self.inner(frame, &parts)?
            }
            Node::Registers { frame } => {
                self.select_frame(Some(frame))?;
                match self.ask(Command::Info(Info::Registers))? {
                    Answer::Registers(list) => list.iter().map(register).collect(),
                    _ => Vec::new(),
                }
            }
            Node::Crossing { frame } => {
                self.select_frame(Some(frame))?;
                match self.ask(Command::Why)? {
                    Answer::Why(why) => self.crossing(&why)?,
                    _ => Vec::new(),
                }
            }
            Node::Lines(lines) => lines.iter().map(|line| leaf("", line.trim())).collect(),
        };
        Ok(Reply::Body(json!({"variables": variables})))
    }

    pub(super) fn set_variable(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: SetVariable = request.arguments()?;
        let (frame, target) = self.expression_of(asked.variables_reference, &asked.name)?;
        self.set(frame, &target, &asked.value)
    }

    /// What gives a part of what is shown, and in which frame.
    pub(super) fn expression_of(
        &mut self,
        reference: usize,
        name: &str,
    ) -> Result<(Option<u32>, String), Refusal> {
        let (frame, expression) = match self.node(reference)? {
            Node::Locals { frame, .. } => (frame, name.to_owned()),
            Node::Registers { frame } => (frame, format!("${name}")),
            Node::Value {
                frame,
                expression,
                from,
            } => {
                let parts = self.parts(frame, Some(expression), from)?;
                let part = parts.parts.into_iter().find(|part| part.name == name);
                let part = part.ok_or_else(|| {
                    Refusal::new(
                        format!("looking for {name}"),
                        "no such part is shown",
                        "open the value again",
                    )
                })?;
                (frame, part.expression)
            }
            Node::Crossing { .. } | Node::Lines(_) => {
                return Err(Refusal::new(
                    format!("looking for {name}"),
                    "it is told of the crossing, and lies nowhere",
                    "use the register or the variable",
                ));
            }
        };
        Ok((Some(frame).filter(|frame| *frame > 0), expression))
    }

    pub(super) fn set_expression(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: SetExpression = request.arguments()?;
        self.set(asked.frame_id, &asked.expression, &asked.value)
    }

    fn set(&mut self, frame: Option<u32>, target: &str, value: &str) -> Result<Reply, Refusal> {
        self.standing(&format!("setting {target}"))?;
        self.select_frame(frame)?;
        self.ask(Command::Set {
            target: target.to_owned(),
            value: value.to_owned(),
        })?;
        if let Some(name) = target.strip_prefix('$')
            && let Answer::Registers(list) = self.ask(Command::Info(Info::Registers))?
            && let Some(found) = list.iter().find(|one| one.name == name)
        {
            // As the registers are listed.
            return Ok(Reply::Body(json!({"value": register(found)["value"]})));
        }
        let shown = self.value(frame, target)?;
        Ok(Reply::Body(json!({
            "value": shown["result"], "type": shown["type"],
            "variablesReference": shown["variablesReference"],
        })))
    }

    /// An expression as the answer to evaluate has it.
    pub(super) fn value(&mut self, frame: Option<u32>, text: &str) -> Result<Value, Refusal> {
        self.select_frame(frame)?;
        let mut parts = self.ask_parts(Some(text.to_owned()), 0)?;
        let of = std::mem::take(&mut parts.of);
        let mut body = self.variable(frame.unwrap_or(0), &of)?;
        if let Some(fields) = body.as_object_mut()
            && let Some(shown) = fields.remove("value")
        {
            fields.remove("name");
            fields.insert("result".to_owned(), shown);
        }
        match &of.value {
            Known::Yes(_) => Ok(body),
            other => Err(Refusal::new(
                format!("evaluating '{text}'"),
                shown(other),
                "choose another frame or expression",
            )),
        }
    }

    fn node(&mut self, reference: usize) -> Result<Node, Refusal> {
        let debuggee = self.standing("opening a value")?;
        let node = reference.checked_sub(1);
        let node = node.and_then(|at| debuggee.nodes.0.get(at).cloned());
        node.ok_or_else(|| {
            Refusal::new(
                "opening a value",
                "it was of a stop that is past",
                "ask for the scopes again",
            )
        })
    }

    fn parts(
        &mut self,
        frame: u32,
        expression: Option<String>,
        from: u64,
    ) -> Result<Parts, Refusal> {
        self.select_frame(Some(frame).filter(|frame| *frame > 0))?;
        self.ask_parts(expression, from)
    }

    fn ask_parts(&mut self, expression: Option<String>, from: u64) -> Result<Parts, Refusal> {
        let of = PartsOf {
            expression,
            letter: None,
            from,
            count: MANY,
        };
        let answer = self.ask(Command::Parts { of: vec![of] })?;
        let first = match answer {
            Answer::Parts(list) => list.into_iter().next(),
            _ => None,
        };
        first.ok_or_else(|| {
            Refusal::new("taking a value apart", "it was not answered", "report this")
        })
    }

    fn inner(&mut self, frame: u32, parts: &Parts) -> Result<Vec<Value>, Refusal> {
        let mut variables = Vec::new();
        for part in &parts.parts {
            variables.push(self.variable(frame, part)?);
        }
        let end = parts.from + parts.parts.len() as u64;
        if end < parts.total {
            let more = match parts.of.expression.as_str() {
                "" => Node::Locals { frame, from: end },
                expression => Node::Value {
                    frame,
                    expression: expression.to_owned(),
                    from: end,
                },
            };
            let mut rest = leaf("…", &format!("{} more", parts.total - end));
            rest["variablesReference"] = json!(self.session()?.nodes.add(more));
            variables.push(rest);
        }
        Ok(variables)
    }

    fn variable(&mut self, frame: u32, part: &Part) -> Result<Value, Refusal> {
        let mut variable = leaf(&part.name, &shown(&part.value));
        variable["evaluateName"] = json!(part.expression);
        if let Some(name) = &part.type_name {
            variable["type"] = json!(name);
        }
        if let Some(at) = part.address {
            variable["memoryReference"] = json!(format!("{at:?}"));
        }
        if part.opens {
            let node = Node::Value {
                frame,
                expression: part.expression.clone(),
                from: 0,
            };
            variable["variablesReference"] = json!(self.session()?.nodes.add(node));
        }
        Ok(variable)
    }

    fn crossing(&mut self, why: &Why) -> Result<Vec<Value>, Refusal> {
        let mut rows = vec![
            leaf("kind", &text::known(&why.kind, ToString::to_string)),
            leaf("call", &text::known(&why.call, String::clone)),
        ];
        for argument in &why.arguments {
            let mut row = leaf(&argument.name, &argument.value);
            let below: Vec<String> = argument.lines().into_iter().skip(1).collect();
            if !below.is_empty() {
                let reference = self.session()?.nodes.add(Node::Lines(below));
                row["variablesReference"] = json!(reference);
            }
            row["type"] = json!(argument.kernel_type);
            rows.push(row);
        }
        rows.push(leaf("result", &text::known(&why.result, String::clone)));
        rows.push(leaf("from", &text::known(&why.from, text::place)));
        rows.push(leaf(
            "instructions since",
            &text::known(&why.since, ToString::to_string),
        ));
        rows.push(leaf("stack", &text::known(&why.stack, String::clone)));
        rows.push(leaf("ring", &text::known(&why.ring, String::clone)));
        Ok(rows)
    }
}

fn leaf(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value, "variablesReference": 0})
}

fn shown(value: &Known<String>) -> String {
    text::known(value, String::clone)
}

fn register(register: &Register) -> Value {
    let note = register.note.as_ref();
    let value = match note {
        Some(note) => format!("{}  {note}", register.value),
        None => register.value.clone(),
    };
    let mut row = leaf(&register.name, &value);
    row["evaluateName"] = json!(format!("${}", register.name));
    row
}
