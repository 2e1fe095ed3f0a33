//! What is typed in the editor's debug console, watched or hovered over.

use debugger::command::{Command, CommandError, complete, parse};
use debugger::event::Answer;
use debugger::session;
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use crate::batch::text;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evaluate {
    expression: String,
    frame_id: Option<u32>,
    #[serde(default)]
    context: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Completions {
    text: String,
    column: u32,
    frame_id: Option<u32>,
}

impl Adapter<'_> {
    pub(super) fn evaluate(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: Evaluate = request.arguments()?;
        let line = asked.expression.trim();
        if asked.context != "repl" {
            self.standing(&format!("evaluating '{line}'"))?;
            return self.value(asked.frame_id, line).map(Reply::Body);
        }
        match parse(line) {
            Ok(command) => self.carry_out(command, &asked, request),
            // No command begins so: it is an expression.
            Err(CommandError::Unknown { .. } | CommandError::Ambiguous { .. })
                if self.standing("").is_ok() =>
            {
                let value = self.value(asked.frame_id, line);
                value.map(Reply::Body).map_err(|refusal| match parse(line) {
                    Err(error @ CommandError::Ambiguous { .. }) => error.into(),
                    Err(error) if is_word(line) => Refusal(format!(
                        "{}; nor is it an expression: {refusal}",
                        Refusal::from(error)
                    )),
                    _ => refusal,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A command as it is typed on the screen.
    fn carry_out(
        &mut self,
        command: Command,
        asked: &Evaluate,
        request: &Request,
    ) -> Result<Reply, Refusal> {
        if session::runs(&command) {
            self.standing(&asked.expression)?;
            self.let_run(command, Some(request.seq));
            return Ok(Reply::Later);
        }
        if self.standing("").is_ok() && asked.frame_id.is_some() {
            self.select_frame(asked.frame_id)?;
        }
        let answer = self.ask(command.clone())?;
        let mut body = json!({
            "result": text::lines(&answer).join("\n"),
            "variablesReference": 0,
        });
        if let Command::Print {
            format: None,
            expression,
        } = &command
            && let Ok(value) = self.value(asked.frame_id, expression)
        {
            body["variablesReference"] = value["variablesReference"].clone();
        }
        self.follow(&command, &answer);
        Ok(Reply::Body(body))
    }

    /// What the editor has to hear of after a command of the console.
    fn follow(&mut self, command: &Command, answer: &Answer) {
        match (command, answer) {
            // Another vCPU, or another stop.
            (_, Answer::Stopped(stop)) => self.stands_at(stop, None),
            (_, Answer::Looking(at)) => self.stands_at(&at.looking.at.stop, None),
            (
                Command::Break { .. }
                | Command::Breaks(_)
                | Command::Watch { .. }
                | Command::Delete { .. }
                | Command::Condition { .. },
                _,
            ) => {
                if let Some(debuggee) = &mut self.debuggee {
                    debuggee.placed_is_stale = true;
                }
            }
            (
                Command::Set { .. }
                | Command::SymbolFile(_)
                | Command::Frame { .. }
                | Command::Up { .. }
                | Command::Down { .. },
                _,
            ) => self.invalidate(),
            _ => {}
        }
    }

    pub(super) fn completions(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: Completions = request.arguments()?;
        let first = self.client.first_column;
        let before = asked.column.saturating_sub(first);
        let before: String = asked
            .text
            .chars()
            .take(usize::try_from(before).unwrap_or(usize::MAX))
            .collect();
        let names = &self.session()?.handle.names;
        let mut lines = complete(&before, names);
        if let Some((value, begun)) = member(&before)
            && self.standing("").is_ok()
        {
            let head = &before[..before.len() - begun.len()];
            let members = self.members(asked.frame_id, &value).into_iter();
            let fitting = members.filter(|name| name.starts_with(begun));
            lines.extend(fitting.map(|name| format!("{head}{name}")));
        }
        let targets: Vec<Value> = lines
            .iter()
            .map(|line| json!({"label": line, "start": 0, "length": before.chars().count()}))
            .collect();
        Ok(Reply::Body(json!({"targets": targets})))
    }
}

/// The value that a member is typed of, and what is typed of its name: `*(current)`, `pi`.
fn member(line: &str) -> Option<(String, &str)> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (before, begun) = line.split_at(line.trim_end_matches(word).len());
    let (of, is_pointer) = match before.strip_suffix("->") {
        Some(of) => (of, true),
        None => (before.strip_suffix('.')?, false),
    };
    let part = |c: char| word(c) || "$.->[]".contains(c);
    let start = of.trim_end_matches(part).len();
    let value = Some(&of[start..]).filter(|value| !value.is_empty())?;
    let value = match is_pointer {
        true => format!("*({value})"),
        false => value.to_owned(),
    };
    Some((value, begun))
}

fn is_word(line: &str) -> bool {
    line.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::member;

    #[test]
    fn a_member_is_typed_of_the_value_before_it() {
        let found = |line| member(line).map(|(value, begun)| (value, begun.to_owned()));
        let is = |value: &str, begun: &str| Some((value.to_owned(), begun.to_owned()));
        assert_eq!(found("print $_task->co"), is("*($_task)", "co"));
        assert_eq!(found("p a[2].b->"), is("*(a[2].b)", ""));
        assert_eq!(found("p *a.b"), is("a", "b"));
        assert_eq!(found("print count"), None);
        assert_eq!(found("p (a).b"), None);
    }
}
