//! The editor's end of the Debug Adapter Protocol, with an adapter of its own.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// For an answer or an event: a machine boots in it.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Editor {
    adapter: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    seq: i64,
    /// Events that nobody waited for yet.
    events: Vec<Value>,
    /// Answers that came while another was waited for.
    responses: Vec<Value>,
    /// All that was written to the debug console.
    pub(crate) output: String,
}

impl Editor {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        let mut adapter = Command::new(env!("CARGO_BIN_EXE_uklscope"))
            .arg("dap")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("uklscope starts");
        let mut out = BufReader::new(adapter.stdout.take().expect("its output"));
        let (into, from) = channel();
        std::thread::spawn(move || {
            while let Some(message) = message(&mut out) {
                if into.send(message).is_err() {
                    return;
                }
            }
        });
        let to = adapter.stdin.take();
        Self {
            adapter,
            to,
            from,
            seq: 0,
            events: Vec::new(),
            responses: Vec::new(),
            output: String::new(),
        }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let to = self.to.as_mut().expect("it is open");
        to.write_all(bytes).expect("the adapter reads");
    }

    fn send(&mut self, command: &str, arguments: &Value) -> i64 {
        self.seq += 1;
        let body = json!({
            "seq": self.seq, "type": "request", "command": command, "arguments": arguments,
        })
        .to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        self.seq
    }

    /// Its answer is waited for by [`Self::ending`].
    pub(crate) fn begin(&mut self, command: &str, arguments: Value) -> i64 {
        self.send(command, &arguments)
    }

    /// What answers a request that takes long: it may have come already.
    pub(crate) fn ending(&mut self, seq: i64) -> Value {
        let is_it = |message: &Value| message["request_seq"] == seq;
        if let Some(at) = self.responses.iter().position(is_it) {
            return self.responses.remove(at);
        }
        self.response_to(seq, "an answer")
    }

    fn response(&mut self, command: &str, arguments: &Value) -> Value {
        let seq = self.send(command, arguments);
        self.response_to(seq, command)
    }

    fn response_to(&mut self, seq: i64, command: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let message = self.next(until, command);
            if message["type"] == "response" && message["request_seq"] == seq {
                return message;
            }
            self.keep(message);
        }
    }

    /// The body of what answers it.
    pub(crate) fn ask(&mut self, command: &str, arguments: Value) -> Value {
        let response = self.response(command, &arguments);
        assert_eq!(
            response["success"], true,
            "{command} {arguments}: {response}"
        );
        response["body"].clone()
    }

    /// Why it is not done.
    pub(crate) fn refused(&mut self, command: &str, arguments: Value) -> String {
        let response = self.response(command, &arguments);
        assert_eq!(
            response["success"], false,
            "{command} {arguments}: {response}"
        );
        response["message"].as_str().expect("a message").to_owned()
    }

    pub(crate) fn initialize(&mut self) -> Value {
        self.ask(
            "initialize",
            json!({"adapterID": "uklscope", "linesStartAt1": true}),
        )
    }

    pub(crate) fn launch(&mut self, options: Value) {
        self.ask("launch", options);
        self.event("initialized");
    }

    pub(crate) fn evaluate(&mut self, text: &str, context: &str, frame: &Value) -> Value {
        self.ask(
            "evaluate",
            json!({"expression": text, "context": context, "frameId": frame}),
        )
    }

    pub(crate) fn open(&mut self, reference: &Value) -> Value {
        self.ask("variables", json!({"variablesReference": reference}))["variables"].clone()
    }

    /// The body of the next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.event_within(name, PATIENCE)
    }

    pub(crate) fn event_within(&mut self, name: &str, patience: Duration) -> Value {
        let until = Instant::now() + patience;
        loop {
            let at = self.events.iter().position(|event| event["event"] == name);
            if let Some(at) = at {
                return self.events.remove(at)["body"].clone();
            }
            let message = self.next(until, name);
            self.keep(message);
        }
    }

    pub(crate) fn said(&self, text: &str) -> bool {
        self.output.contains(text)
    }

    /// Whether the adapter ends by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.to = None;
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if self.adapter.try_wait().expect("it is ours").is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn next(&mut self, until: Instant, waiting_for: &str) -> Value {
        let left = until.saturating_duration_since(Instant::now());
        self.from.recv_timeout(left).unwrap_or_else(|_| {
            panic!(
                "no {waiting_for} came; events: {:?}; output: {}",
                self.events, self.output
            )
        })
    }

    fn keep(&mut self, message: Value) {
        match message["event"].as_str() {
            Some("output") => {
                let text = message["body"]["output"].as_str().unwrap_or_default();
                self.output.push_str(text);
            }
            Some(_) => self.events.push(message),
            None => self.responses.push(message),
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.to = None;
        let _ = self.adapter.wait();
    }
}

fn message(out: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if out.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(": ") {
            Some(("Content-Length", text)) => length = text.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    out.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
