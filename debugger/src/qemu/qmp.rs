//! QEMU's machine protocol, from the client's side: a JSON object on each line. No input or output.
//!
//! ```text
//! ← {"QMP": {"version": …, "capabilities": […]}}            the greeting
//! → {"execute": "qmp_capabilities", "id": 0}                before anything else
//! ← {"return": {}, "id": 0}
//! ← {"event": "STOP", "data": {}, "timestamp": {…}}         at any time
//! ← {"error": {"class": "CommandNotFound", "desc": "…"}, "id": 1}
//! ```

use serde_json::{Map, Value, json};

/// The longest line that is believed.
pub const LONGEST: usize = 16 << 20;

#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Greeting {
        /// `7.2.22`
        version: String,
    },
    Return {
        id: Option<u64>,
        value: Value,
    },
    Error {
        id: Option<u64>,
        class: String,
        description: String,
    },
    /// Every event there is and will be: the names grow with each version.
    Event {
        name: String,
        data: Value,
        /// Seconds since 1970 by the host's clock, where given.
        seconds: Option<u64>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    #[error("QEMU's machine protocol has a line that is no JSON object ({found}): '{line}'")]
    NoObject { found: String, line: String },
    #[error("QEMU's machine protocol has a message of no known kind: '{0}'")]
    UnknownKind(String),
    #[error("QEMU's machine protocol has a line of more than {LONGEST} bytes")]
    TooLong,
}

/// Takes bytes as they come and gives messages; numbers what is asked.
#[derive(Clone, Debug, Default)]
pub struct Client {
    line: Vec<u8>,
    next_id: u64,
}

impl Client {
    /// A command's line, and the id its answer will carry.
    pub fn execute(
        &mut self,
        command: &str,
        arguments: Option<Map<String, Value>>,
    ) -> (u64, Vec<u8>) {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "execute": command, "id": id });
        if let Some(arguments) = arguments {
            message["arguments"] = Value::Object(arguments);
        }
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        (id, line)
    }

    /// The messages that these bytes complete, each decoded or refused.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Result<Message, QmpError>> {
        let mut messages = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                if !line.trim_ascii().is_empty() {
                    messages.push(decode(&line));
                }
            } else if self.line.len() == LONGEST {
                self.line.clear();
                messages.push(Err(QmpError::TooLong));
            } else {
                self.line.push(*byte);
            }
        }
        messages
    }
}

/// One line.
///
/// # Errors
/// When it is no message.
pub fn decode(line: &[u8]) -> Result<Message, QmpError> {
    let shown = || line[..line.len().min(120)].escape_ascii().to_string();
    let mut object: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| QmpError::NoObject {
            found: error.to_string(),
            line: shown(),
        })?;
    let id = object.get("id").and_then(Value::as_u64);
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    if let Some(greeting) = object.get("QMP") {
        let qemu = &greeting["version"]["qemu"];
        let part = |name: &str| qemu[name].as_u64().unwrap_or_default();
        return Ok(Message::Greeting {
            version: format!("{}.{}.{}", part("major"), part("minor"), part("micro")),
        });
    }
    if let Some(value) = object.remove("return") {
        return Ok(Message::Return { id, value });
    }
    if let Some(error) = object.get("error") {
        return Ok(Message::Error {
            id,
            class: text(error, "class"),
            description: text(error, "desc"),
        });
    }
    if let Some(name) = object.get("event").and_then(Value::as_str) {
        return Ok(Message::Event {
            name: name.to_owned(),
            seconds: object
                .get("timestamp")
                .and_then(|stamp| stamp["seconds"].as_u64()),
            data: object.get("data").cloned().unwrap_or_default(),
        });
    }
    Err(QmpError::UnknownKind(shown()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Read from QEMU 7.2.22, shortened.
    const GREETING: &[u8] = br#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}"#;

    #[test]
    fn messages_as_qemu_sends_them() {
        let check = |line: &[u8], expected| assert_eq!(decode(line).unwrap(), expected);
        check(
            GREETING,
            Message::Greeting {
                version: "7.2.22".to_owned(),
            },
        );
        check(
            br#"{"return": {"status": "prelaunch", "running": false}, "id": 1}"#,
            Message::Return {
                id: Some(1),
                value: json!({"status": "prelaunch", "running": false}),
            },
        );
        check(
            br#"{"id": 2, "error": {"class": "CommandNotFound", "desc": "no x"}}"#,
            Message::Error {
                id: Some(2),
                class: "CommandNotFound".to_owned(),
                description: "no x".to_owned(),
            },
        );
        check(
            br#"{"timestamp": {"seconds": 5, "microseconds": 6}, "event": "SHUTDOWN", "data": {"guest": true}}"#,
            Message::Event {
                name: "SHUTDOWN".to_owned(),
                data: json!({"guest": true}),
                seconds: Some(5),
            },
        );
        assert!(matches!(decode(b"{}"), Err(QmpError::UnknownKind(_))));
        assert!(matches!(decode(b"[1]"), Err(QmpError::NoObject { .. })));
        assert!(matches!(
            decode(b"qemu: bad"),
            Err(QmpError::NoObject { .. })
        ));
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut client = Client::default();
        assert!(client.push(&GREETING[..20]).is_empty());
        assert!(client.push(&GREETING[20..]).is_empty());
        let messages = client.push(b"\r\n{\"return\": {}, \"id\": 0}\r\n{\"ret");
        assert_eq!(messages.len(), 2);
        assert_eq!(client.push(b"urn\": 1}\n").len(), 1);
    }

    #[test]
    fn commands_are_numbered() {
        let mut client = Client::default();
        let (id, line) = client.execute("query-status", None);
        assert_eq!(
            (id, line.as_slice()),
            (0, &b"{\"execute\":\"query-status\",\"id\":0}\n"[..])
        );
        let arguments = json!({"command-line": "info registers"});
        let (id, line) = client.execute("human-monitor-command", arguments.as_object().cloned());
        assert_eq!(id, 1);
        assert!(line.ends_with(b"\"arguments\":{\"command-line\":\"info registers\"}}\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let mut client = Client::default();
            let messages = client.push(&bytes);
            prop_assert!(messages.len() <= bytes.len());
        }
    }
}
