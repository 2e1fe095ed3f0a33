//! The loop over what the editor and the session say, and the table of requests.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use crossbeam_channel::{Receiver, never, select};
use debugger::command::Command;
use debugger::event::{Answer, Event, RequestId};
use serde_json::{Value, json};

use super::debuggee::Debuggee;
use super::message::{Out, Refusal, Request};
use super::progress::Shown;

/// How long a line that the guest has begun may go unshown.
const A_MOMENT: Duration = Duration::from_millis(20);

/// Between two looks at nothing.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What the editor has sent, or why it was no message.
pub(super) type Incoming = Result<Request, Refusal>;

pub(super) struct Adapter<'a> {
    pub(super) out: Out<'a>,
    incoming: Receiver<Incoming>,
    /// What came while another request was waited for.
    backlog: VecDeque<Incoming>,
    pub(super) client: Client,
    pub(super) progress: Shown,
    pub(super) debuggee: Option<Debuggee>,
    /// The editor has left.
    left: bool,
}

/// What the editor is able to, and how it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    /// Of its first line: 1 where it says nothing.
    pub(super) first_line: u32,
    pub(super) first_column: u32,
    pub(super) invalidates: bool,
    pub(super) shows_progress: bool,
}

/// What becomes of a request.
pub(super) enum Reply {
    Body(Value),
    /// The target is to run once the body is sent.
    Run(Value, Command),
    /// The editor is told where the target stands once the body is sent.
    Stands(Value),
    /// The session ends once the body is sent.
    End(Value),
    /// It is answered by what the target does.
    Later,
}

type Handler = fn(&mut Adapter<'_>, &Request) -> Result<Reply, Refusal>;

/// Every request that is understood.
const REQUESTS: &[(&str, Handler)] = &[
    ("initialize", |adapter, request| adapter.initialize(request)),
    ("launch", |adapter, request| adapter.launch(request)),
    ("attach", |adapter, request| adapter.attach(request)),
    ("configurationDone", |adapter, request| {
        adapter.configuration_done(request)
    }),
    ("disconnect", |adapter, request| adapter.disconnect(request)),
    ("terminate", |adapter, request| adapter.terminate(request)),
    ("setBreakpoints", |adapter, request| {
        adapter.set_breakpoints(request)
    }),
    ("setFunctionBreakpoints", |adapter, request| {
        adapter.set_function_breakpoints(request)
    }),
    ("setInstructionBreakpoints", |adapter, request| {
        adapter.set_instruction_breakpoints(request)
    }),
    ("setExceptionBreakpoints", |adapter, request| {
        adapter.set_crossing_breakpoints(request)
    }),
    ("exceptionInfo", |adapter, request| {
        adapter.exception_info(request)
    }),
    ("dataBreakpointInfo", |adapter, request| {
        adapter.data_breakpoint_info(request)
    }),
    ("setDataBreakpoints", |adapter, request| {
        adapter.set_data_breakpoints(request)
    }),
    ("threads", |adapter, request| adapter.threads(request)),
    ("stackTrace", |adapter, request| {
        adapter.stack_trace(request)
    }),
    ("scopes", |adapter, request| adapter.scopes(request)),
    ("variables", |adapter, request| adapter.variables(request)),
    ("setVariable", |adapter, request| {
        adapter.set_variable(request)
    }),
    ("setExpression", |adapter, request| {
        adapter.set_expression(request)
    }),
    ("evaluate", |adapter, request| adapter.evaluate(request)),
    ("completions", |adapter, request| {
        adapter.completions(request)
    }),
    ("continue", |adapter, request| adapter.continue_(request)),
    ("next", |adapter, request| adapter.next(request)),
    ("stepIn", |adapter, request| adapter.step_in(request)),
    ("stepInTargets", |adapter, request| {
        adapter.step_in_targets(request)
    }),
    ("stepOut", |adapter, request| adapter.step_out(request)),
    ("stepBack", |adapter, request| adapter.step_back(request)),
    ("reverseContinue", |adapter, request| {
        adapter.reverse_continue(request)
    }),
    ("pause", |adapter, request| adapter.pause(request)),
    ("cross", |adapter, request| adapter.cross(request)),
    ("disassemble", |adapter, request| {
        adapter.disassemble(request)
    }),
    ("readMemory", |adapter, request| {
        adapter.read_memory(request)
    }),
    ("writeMemory", |adapter, request| {
        adapter.write_memory(request)
    }),
    ("cancel", |adapter, request| adapter.cancel(request)),
    ("source", |adapter, request| adapter.source(request)),
];

#[expect(
    clippy::large_enum_variant,
    reason = "one is there at a time, and is taken apart at once"
)]
enum Woken {
    Told(Event),
    /// The session's thread is gone.
    Silent,
    /// Neither says anything for a moment.
    Quiet,
    Asked(Incoming),
    Left,
}

impl<'a> Adapter<'a> {
    pub(super) fn new(incoming: Receiver<Incoming>, to: &'a mut dyn Write) -> Self {
        Self {
            out: Out::new(to),
            incoming,
            backlog: VecDeque::new(),
            client: Client {
                first_line: 1,
                first_column: 1,
                invalidates: false,
                shows_progress: false,
            },
            progress: Shown::default(),
            debuggee: None,
            left: false,
        }
    }

    pub(super) fn run(&mut self) {
        while !self.left && !self.out.closed {
            let woken = match self.backlog.pop_front() {
                Some(incoming) => Woken::Asked(incoming),
                None => self.woken(),
            };
            match woken {
                Woken::Told(event) => self.told(event),
                Woken::Silent => self.silent(),
                Woken::Quiet => self.write_serial(true),
                Woken::Asked(incoming) => self.take(incoming),
                Woken::Left => self.left = true,
            }
            self.tell_breakpoints();
        }
        // Dropping it ends the session, and the machine where it is ours.
        self.debuggee = None;
    }

    fn woken(&self) -> Woken {
        let events = match &self.debuggee {
            Some(debuggee) => debuggee.handle.events.clone(),
            None => never(),
        };
        let patience = match &self.debuggee {
            Some(debuggee) if debuggee.has_written() => A_MOMENT,
            _ => FOR_EVER,
        };
        select! {
            recv(events) -> event => event.map_or(Woken::Silent, Woken::Told),
            recv(self.incoming) -> incoming => incoming.map_or(Woken::Left, Woken::Asked),
            default(patience) => Woken::Quiet,
        }
    }

    fn told(&mut self, event: Event) {
        if let Event::Answer(id, answer) = event {
            self.answered(id, answer);
        } else {
            self.happened(event);
        }
    }

    fn silent(&mut self) {
        self.ended("the session has ended without a word");
        self.debuggee = None;
    }

    fn take(&mut self, incoming: Incoming) {
        let request = match incoming {
            Ok(request) => request,
            Err(Refusal(why)) => return self.out.say("important", &why),
        };
        let known = REQUESTS.iter().find(|(name, _)| *name == request.command);
        let result = match known {
            Some((_, handle)) => handle(self, &request),
            None => Err(Refusal::new(
                format!("carrying out the request {}", request.command),
                "this adapter does not know it",
                "what it can it tells in its answer to initialize",
            )),
        };
        let mut respond = |result| self.out.respond(request.seq, &request.command, result);
        match result {
            Ok(Reply::Body(body)) => respond(Ok(body)),
            Ok(Reply::Run(body, command)) => {
                respond(Ok(body));
                self.let_run(command, None);
            }
            Ok(Reply::Stands(body)) => {
                respond(Ok(body));
                self.tell_where_it_stands(Some("entry"));
            }
            Ok(Reply::End(body)) => {
                // The machine is gone when the editor reads it.
                self.debuggee = None;
                self.out.respond(request.seq, &request.command, Ok(body));
                self.left = request.command == "disconnect";
                if !self.left {
                    self.out.event("terminated", json!({}));
                }
            }
            Ok(Reply::Later) => {}
            Err(refusal) => respond(Err(refusal)),
        }
    }

    /// Asks the session and waits for the answer; what the editor wants at once it gets meanwhile.
    ///
    /// # Errors
    /// When it was not done, or the editor has left meanwhile.
    pub(super) fn ask(&mut self, command: Command) -> Result<Answer, Refusal> {
        let id = self.session()?.handle.send(command);
        loop {
            match self.woken() {
                Woken::Told(Event::Answer(answered, answer)) if answered == id => {
                    return answer.map_err(Refusal::from);
                }
                woken => self.meanwhile(woken)?,
            }
        }
    }

    /// Waits until the session says something that `wanted` takes.
    pub(super) fn wait_for<T>(
        &mut self,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> Result<T, Refusal> {
        loop {
            let woken = self.woken();
            let found = match &woken {
                Woken::Told(event) => wanted(event),
                _ => None,
            };
            self.meanwhile(woken)?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    fn meanwhile(&mut self, woken: Woken) -> Result<(), Refusal> {
        let over = |next| Refusal::new("asking the session", "it is over", next);
        match woken {
            Woken::Told(event) => self.told(event),
            Woken::Quiet => self.write_serial(true),
            Woken::Silent => {
                self.silent();
                return Err(over("launch or attach again"));
            }
            Woken::Left => {
                self.left = true;
                return Err(over("the editor has left"));
            }
            Woken::Asked(Ok(request)) if is_urgent(&request) => {
                self.take(Ok(request));
                if self.debuggee.is_none() {
                    return Err(over("the editor has ended it"));
                }
            }
            Woken::Asked(incoming) => self.backlog.push_back(incoming),
        }
        Ok(())
    }

    /// A request that waits for its turn loses it.
    pub(super) fn take_waiting(&mut self, seq: i64) -> Option<Request> {
        let is_it = |incoming: &Incoming| matches!(incoming, Ok(request) if request.seq == seq);
        let at = self.backlog.iter().position(is_it)?;
        self.backlog.remove(at)?.ok()
    }

    /// # Errors
    /// When nothing is debugged.
    pub(super) fn session(&mut self) -> Result<&mut Debuggee, Refusal> {
        self.debuggee.as_mut().ok_or_else(|| {
            Refusal::new(
                "asking the session",
                "nothing is debugged",
                "send launch or attach first",
            )
        })
    }

    fn answered(&mut self, id: RequestId, answer: Result<Answer, debugger::event::Failure>) {
        let under_way = self
            .debuggee
            .as_mut()
            .and_then(|debuggee| debuggee.run_ended(id));
        if let Some(asked_by) = under_way {
            self.run_is_over(asked_by, answer);
        }
    }

    fn initialize(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let given = |name: &str| request.arguments.get(name).and_then(Value::as_bool);
        let first = |name| u32::from(given(name).unwrap_or(true));
        self.client = Client {
            first_line: first("linesStartAt1"),
            first_column: first("columnsStartAt1"),
            invalidates: given("supportsInvalidatedEvent").unwrap_or(false),
            shows_progress: given("supportsProgressReporting").unwrap_or(false),
        };
        Ok(Reply::Body(capabilities()))
    }

    fn disconnect(&mut self, _: &Request) -> Result<Reply, Refusal> {
        Ok(Reply::End(Value::Null))
    }

    fn terminate(&mut self, _: &Request) -> Result<Reply, Refusal> {
        Ok(Reply::End(Value::Null))
    }
}

/// What cannot wait for the target to stand.
fn is_urgent(request: &Request) -> bool {
    matches!(
        request.command.as_str(),
        "pause" | "cancel" | "disconnect" | "terminate"
    )
}

fn capabilities() -> Value {
    json!({
        "supportsConfigurationDoneRequest": true,
        "supportsFunctionBreakpoints": true,
        "supportsConditionalBreakpoints": true,
        "supportsHitConditionalBreakpoints": true,
        "supportsLogPoints": true,
        "supportsInstructionBreakpoints": true,
        "supportsDataBreakpoints": true,
        "supportsExceptionFilterOptions": true,
        "exceptionBreakpointFilters": super::crossings::filters(),
        "supportsEvaluateForHovers": true,
        "supportsSetVariable": true,
        "supportsSetExpression": true,
        "supportsCompletionsRequest": true,
        "supportsStepInTargetsRequest": true,
        "supportsSteppingGranularity": true,
        "supportsDisassembleRequest": true,
        "supportsReadMemoryRequest": true,
        "supportsWriteMemoryRequest": true,
        "supportsExceptionInfoRequest": true,
        "supportsCancelRequest": true,
        "supportsDelayedStackTraceLoading": true,
        "supportsTerminateRequest": true,
    })
}
