//! Messages: requests as they come, responses and events as they go.
//!
//! <https://microsoft.github.io/debug-adapter-protocol/specification>

use std::io::{self, Write};

use debugger::command::CommandError;
use debugger::event::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::frame::framed;

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Request {
    pub seq: i64,
    pub command: String,
    #[serde(default)]
    pub arguments: Value,
}

/// Why a request was not carried out, in words for whoever sits at the editor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        Failure::from(error).into()
    }
}

impl Refusal {
    pub fn new(
        tried: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Failure::new(tried, found, next).into()
    }
}

impl Request {
    /// `None` where it is a message that nobody asked for: an event, or a response to nothing.
    ///
    /// # Errors
    /// When it is no message.
    pub fn read(body: &[u8]) -> Result<Option<Self>, Refusal> {
        let unread = |error: serde_json::Error| {
            Refusal::new(
                "reading a message",
                error.to_string(),
                "it is passed over; the editor has to send requests of the Debug Adapter Protocol",
            )
        };
        let message: Value = serde_json::from_slice(body).map_err(unread)?;
        match message.get("type").and_then(Value::as_str) {
            Some("response" | "event") => Ok(None),
            _ => Self::deserialize(message).map(Some).map_err(unread),
        }
    }

    /// # Errors
    /// When they are not what the request has.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let given = match &self.arguments {
            Value::Null => json!({}),
            given => given.clone(),
        };
        serde_json::from_value(given).map_err(|error| {
            Refusal::new(
                format!("reading the arguments of {}", self.command),
                error.to_string(),
                "give those of the Debug Adapter Protocol",
            )
        })
    }
}

/// Where messages go, numbered.
pub(super) struct Out<'a> {
    to: &'a mut dyn Write,
    seq: i64,
    /// Nobody reads any more.
    pub(super) closed: bool,
}

impl<'a> Out<'a> {
    pub(super) fn new(to: &'a mut dyn Write) -> Self {
        Self {
            to,
            seq: 0,
            closed: false,
        }
    }

    pub(super) fn respond(&mut self, seq: i64, command: &str, result: Result<Value, Refusal>) {
        let mut message = json!({"type": "response", "request_seq": seq, "command": command});
        match result {
            Ok(body) => {
                message["success"] = json!(true);
                if !body.is_null() {
                    message["body"] = body;
                }
            }
            Err(Refusal(text)) => {
                message["success"] = json!(false);
                message["message"] = json!(text);
                message["body"] =
                    json!({"error": {"id": 1, "format": escaped(&text), "showUser": true}});
            }
        }
        self.send(message);
    }

    pub(super) fn event(&mut self, name: &str, body: Value) {
        self.send(json!({"type": "event", "event": name, "body": body}));
    }

    /// A line for the debug console.
    pub(super) fn say(&mut self, category: &str, text: &str) {
        self.event(
            "output",
            json!({"category": category, "output": format!("{text}\n")}),
        );
    }

    fn send(&mut self, mut message: Value) {
        self.seq += 1;
        message["seq"] = json!(self.seq);
        let bytes = framed(message.to_string().as_bytes());
        let sent: io::Result<()> = self.to.write_all(&bytes).and_then(|()| self.to.flush());
        self.closed |= sent.is_err();
    }
}

/// Braces stand for variables in a message's format.
fn escaped(text: &str) -> String {
    text.replace(['{', '}'], "'")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_told_from_other_messages() {
        let read = |text: &str| Request::read(text.as_bytes());
        let request = read(r#"{"seq":3,"type":"request","command":"threads"}"#).unwrap();
        assert_eq!(
            request.map(|request| request.command),
            Some("threads".to_owned())
        );
        assert_eq!(read(r#"{"seq":3,"type":"event","event":"x"}"#), Ok(None));
        assert!(read(r#"{"type":"request","command":"threads"}"#).is_err());
        assert!(read("[]").is_err());
        assert!(read("{").is_err());
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::read(&body);
        }
    }
}
