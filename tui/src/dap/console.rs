//! What is typed in the editor's debug console, watched or hovered over.

use debugger::command::{Command, CommandError, complete, leaves, parse};
use debugger::event::Answer;
use debugger::session;
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use crate::batch::text;

/// Before what is an expression.
const PRINT: &str = "print ";

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
                    Err(error) if leaves(line) => error.into(),
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
        let mut lines = self.completed(&before, asked.frame_id)?;
        // What is no command is an expression.
        if let Err(CommandError::Unknown { .. } | CommandError::Ambiguous { .. }) = parse(&before) {
            let found = self.completed(&format!("{PRINT}{before}"), asked.frame_id)?;
            let found = found.into_iter();
            lines.extend(found.filter_map(|line| Some(line.strip_prefix(PRINT)?.to_owned())));
        }
        let targets: Vec<Value> = lines
            .iter()
            .map(|line| json!({"label": line, "start": 0, "length": before.chars().count()}))
            .collect();
        Ok(Reply::Body(json!({"targets": targets})))
    }

    /// What a line may become: by names alone while the target does not stand.
    fn completed(&mut self, line: &str, frame: Option<u32>) -> Result<Vec<String>, Refusal> {
        if self.standing("").is_err() {
            return Ok(complete(line, &self.session()?.handle.names));
        }
        let selected = self.select_frame(frame);
        let told = selected.and_then(|_| self.ask(Command::Complete(line.to_owned())));
        Ok(match told {
            Ok(Answer::Text(lines)) => lines,
            // Behind what cannot be evaluated nothing is to be named.
            _ => Vec::new(),
        })
    }
}

fn is_word(line: &str) -> bool {
    line.chars().all(|c| c.is_alphanumeric() || c == '_')
}
