//! What an editor is told of a stop that it shows as an exception: at a crossing whose box is ticked, or
//! by a signal.

use debugger::command::Command;
use debugger::event::{Stop, StopReason};
use serde::Deserialize;
use serde_json::json;

use super::adapter::{Adapter, Reply};
use super::debuggee::Debuggee;
use super::message::{Refusal, Request};
use super::stack;
use crate::batch::text;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExceptionInfo {
    thread_id: u32,
}

/// The exception's name, where a stop is one.
fn name(debuggee: &Debuggee, stop: &Stop) -> Option<String> {
    match &stop.reason {
        StopReason::Breakpoint { number } => debuggee.placed.crossing(*number).map(str::to_owned),
        reason @ StopReason::Signal { .. } => Some(text::reason(reason)),
        _ => None,
    }
}

impl Adapter<'_> {
    pub(super) fn exception_info(&mut self, request: &Request) -> Result<Reply, Refusal> {
        const TRIED: &str = "telling of the exception";
        let asked: ExceptionInfo = request.arguments()?;
        let debuggee = self.standing(TRIED)?;
        let none = |found: String, next: &str| Err(Refusal::new(TRIED, found, next));
        let Some(stop) = debuggee.stop.clone() else {
            return none("it has not stopped yet".to_owned(), "wait for its stop");
        };
        let Some(name) = name(debuggee, &stop) else {
            return none(
                format!("this stop is none: {}", text::reason(&stop.reason)),
                "'why' in the debug console tells how control came there",
            );
        };
        let thread = stack::thread(stop.vcpu.0);
        if asked.thread_id != thread {
            return none(
                format!("thread {} has met none", asked.thread_id),
                &format!("ask of thread {thread}, which has stopped"),
            );
        }
        self.select(stop.vcpu.0, 0)?;
        // Of a signal that came outside of any crossing there is no more to tell.
        let why = self.ask(Command::Why).map(|why| text::lines(&why));
        let lines = match why {
            Ok(lines) if !lines.is_empty() => lines,
            _ => vec![text::reason(&stop.reason)],
        };
        let backtrace = text::lines(&self.ask(Command::Backtrace { limit: None })?);
        Ok(Reply::Body(json!({
            "exceptionId": name,
            "description": lines[0],
            "breakMode": "always",
            "details": {
                "message": lines.join("\n"),
                "typeName": name,
                "stackTrace": backtrace.join("\n"),
            },
        })))
    }
}
