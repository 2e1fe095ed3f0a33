//! Steps, runs and stops.

use debugger::command::{Back, Command, Focus, Until};
use debugger::event::{Stop, StopReason};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use super::stack;
use crate::batch::text;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Step {
    thread_id: Option<u32>,
    granularity: Option<String>,
    target_id: Option<usize>,
    /// Of `cross`.
    back: bool,
}

impl Step {
    fn by_instruction(&self) -> bool {
        self.granularity.as_deref() == Some("instruction")
    }
}

/// What the editor shows, and what is done.
type Target = (&'static str, fn() -> Command);

/// Where else than into the next line a step may lead: what an editor offers as targets to step into.
const TARGETS: &[Target] = &[
    ("cross: to the next crossing", || Command::Cross),
    (
        "cross back: to the application frame that made the call",
        || Command::CrossBack,
    ),
    ("over kernel: the kernel as one opaque call", || {
        Command::OverKernel
    }),
    ("until app: until the application runs", || {
        Command::Until(Until::App)
    }),
    ("until kernel: until the kernel runs", || {
        Command::Until(Until::Kernel)
    }),
];

impl Adapter<'_> {
    pub(super) fn continue_(&mut self, _: &Request) -> Result<Reply, Refusal> {
        self.standing("continuing")?;
        let body = json!({"allThreadsContinued": true});
        Ok(Reply::Run(body, Command::Continue))
    }

    pub(super) fn next(&mut self, request: &Request) -> Result<Reply, Refusal> {
        self.step(request, |step| match step.by_instruction() {
            true => Command::NextInstruction { count: 1 },
            false => Command::Next { count: 1 },
        })
    }

    pub(super) fn step_in(&mut self, request: &Request) -> Result<Reply, Refusal> {
        self.step(request, |step| {
            let target = step
                .target_id
                .and_then(|id| TARGETS.get(id.checked_sub(1)?));
            match (target, step.by_instruction()) {
                (Some((_, command)), _) => command(),
                (None, true) => Command::StepInstruction { count: 1 },
                (None, false) => Command::Step { count: 1 },
            }
        })
    }

    pub(super) fn step_in_targets(&mut self, _: &Request) -> Result<Reply, Refusal> {
        let targets: Vec<Value> = (1..)
            .zip(TARGETS)
            .map(|(id, (label, _))| json!({"id": id, "label": label}))
            .collect();
        Ok(Reply::Body(json!({"targets": targets})))
    }

    pub(super) fn step_out(&mut self, request: &Request) -> Result<Reply, Refusal> {
        self.step(request, |_| Command::Finish)
    }

    /// A request of our own: to the next crossing, or back to the application.
    pub(super) fn cross(&mut self, request: &Request) -> Result<Reply, Refusal> {
        self.step(request, |step| match step.back {
            true => Command::CrossBack,
            false => Command::Cross,
        })
    }

    pub(super) fn step_back(&mut self, request: &Request) -> Result<Reply, Refusal> {
        self.step(request, |step| {
            Command::Back(match step.by_instruction() {
                true => Back::Instructions { count: 1 },
                false => Back::Lines {
                    count: 1,
                    over: true,
                },
            })
        })
    }

    pub(super) fn reverse_continue(&mut self, request: &Request) -> Result<Reply, Refusal> {
        self.step(request, |_| Command::Back(Back::Continue))
    }

    fn step(
        &mut self,
        request: &Request,
        command: impl FnOnce(&Step) -> Command,
    ) -> Result<Reply, Refusal> {
        self.standing("stepping")?;
        let step: Step = request.arguments()?;
        if let Some(thread) = step.thread_id {
            self.select(stack::vcpu(thread), 0)?;
        }
        Ok(Reply::Run(Value::Null, command(&step)))
    }

    pub(super) fn pause(&mut self, _: &Request) -> Result<Reply, Refusal> {
        let debuggee = self.session()?;
        if debuggee.runs() {
            // The run that it ends tells of the stop.
            debuggee.handle.send(Command::Interrupt);
        }
        Ok(Reply::Body(Value::Null))
    }

    /// The session looks at this vCPU and this frame from now on.
    pub(super) fn select(&mut self, vcpu: u32, n: u32) -> Result<(), Refusal> {
        let debuggee = self.session()?;
        if debuggee.selected == Some((vcpu, n)) {
            return Ok(());
        }
        let focused = match (debuggee.selected, &debuggee.stop) {
            (Some((focused, _)), _) => Some(focused),
            (None, Some(stop)) => Some(stop.vcpu.0),
            (None, None) => None,
        };
        if focused != Some(vcpu) {
            self.ask(Command::Focus(Some(Focus::Vcpu(vcpu))))?;
        }
        self.ask(Command::Frame { n })?;
        self.session()?.selected = Some((vcpu, n));
        Ok(())
    }

    /// Tells that the target stands, and why.
    pub(super) fn stands_at(&mut self, stop: &Stop, why: Option<&str>) {
        self.write_serial(true);
        let Some(debuggee) = &mut self.debuggee else {
            return;
        };
        debuggee.forget();
        debuggee.stop = Some(stop.clone());
        let number = match stop.reason {
            StopReason::Breakpoint { number } | StopReason::Watchpoint { number, .. } => {
                Some(number)
            }
            _ => None,
        };
        let reason = match (&stop.reason, number) {
            _ if why.is_some() => why.unwrap_or_default(),
            (_, Some(number)) => debuggee.placed.reason(number),
            (StopReason::Attached, _) => "entry",
            (StopReason::Interrupted, _) => "pause",
            (StopReason::Signal { .. }, _) => "exception",
            _ => "step",
        };
        let mut body = json!({
            "reason": reason,
            "description": text::reason(&stop.reason),
            "threadId": stack::thread(stop.vcpu.0),
            "allThreadsStopped": true,
        });
        if let Some(number) = number {
            body["hitBreakpointIds"] = json!([number]);
        }
        if let Some(note) = &stop.note {
            body["text"] = json!(note);
        }
        debuggee.placed_is_stale = true;
        self.out.event("stopped", body);
    }

    /// What an editor shows of a stop in no other place, where no answer holds it.
    pub(super) fn say_stop(&mut self, stop: &Stop) {
        if let Some(note) = &stop.note {
            self.out.say("console", note);
        }
        if matches!(stop.reason, StopReason::Crossing { .. }) {
            self.out.say("console", &text::reason(&stop.reason));
        }
    }
}
