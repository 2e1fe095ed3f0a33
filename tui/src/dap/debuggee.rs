//! What is debugged: the session, and what the editor was told of it.

use std::collections::BTreeMap;

use debugger::command::Command;
use debugger::event::{Answer, Event, Failure, RequestId, Run, Stop, TargetInfo};
use serde_json::{Value, json};

use super::adapter::Adapter;
use super::breakpoints::Placed;
use super::message::Refusal;
use super::progress;
use super::source::Sources;
use super::variables::Nodes;
use crate::batch::session::Open;
use crate::batch::text;

pub(super) struct Debuggee {
    pub(super) handle: Open,
    pub(super) info: TargetInfo,
    /// It stands first where it was opened, and the editor is told.
    pub(super) stops_first: bool,
    runs: bool,
    under_way: Option<UnderWay>,
    /// Where it stands, or stood last.
    pub(super) stop: Option<Stop>,
    pub(super) ended: Option<String>,
    pub(super) placed: Placed,
    /// Those may be others than the editor was told.
    pub(super) placed_is_stale: bool,
    /// The editor may set breakpoints.
    pub(super) is_open: bool,
    /// The vCPU and the frame that the session looks at; unknown after what was typed.
    pub(super) selected: Option<(u32, u32)>,
    /// Of this stop, by vCPU.
    pub(super) stacks: BTreeMap<u32, Vec<super::stack::Entry>>,
    /// Of this stop.
    pub(super) nodes: Nodes,
    pub(super) sources: Sources,
    /// Of the guest's serial line, not shown yet.
    serial: Vec<u8>,
}

/// A command that lets the target run.
struct UnderWay {
    id: RequestId,
    /// The evaluate request that typed it.
    asked_by: Option<i64>,
    /// What is shown of it once it takes long.
    title: Option<&'static str>,
}

impl Debuggee {
    pub(super) fn new(handle: Open, stops_first: bool) -> Self {
        Self {
            handle,
            info: TargetInfo::default(),
            stops_first,
            runs: true,
            under_way: None,
            stop: None,
            ended: None,
            placed: Placed::default(),
            placed_is_stale: false,
            is_open: false,
            selected: None,
            stacks: BTreeMap::new(),
            nodes: Nodes::default(),
            sources: Sources::default(),
            serial: Vec::new(),
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.runs || self.under_way.is_some()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// What is shown of the run under way where it takes long.
    pub(super) fn takes_long(&self) -> Option<&'static str> {
        self.under_way.as_ref()?.title
    }

    pub(super) fn was_asked_by(&self, request: Option<i64>) -> bool {
        let run = self.under_way.as_ref();
        request.is_some() && run.is_some_and(|run| run.asked_by == request)
    }

    /// Who has asked for the run that this answers, where it answers one.
    pub(super) fn run_ended(&mut self, id: RequestId) -> Option<Option<i64>> {
        let under_way = self.under_way.take_if(|under_way| under_way.id == id)?;
        Some(under_way.asked_by)
    }

    /// What was told of the stop before holds no more.
    pub(super) fn forget(&mut self) {
        self.selected = None;
        self.stacks.clear();
        self.nodes = Nodes::default();
    }

    pub(super) fn has_written(&self) -> bool {
        !self.serial.is_empty()
    }

    /// What the guest has written up to its last line's end, or all.
    fn written(&mut self, all: bool) -> String {
        let end = match all {
            true => self.serial.len(),
            false => self
                .serial
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1),
        };
        let whole: Vec<u8> = self.serial.drain(..end).collect();
        String::from_utf8_lossy(&whole).into_owned()
    }
}

impl Adapter<'_> {
    /// What the session tells of itself.
    pub(super) fn happened(&mut self, event: Event) {
        let Some(debuggee) = &mut self.debuggee else {
            return;
        };
        match event {
            Event::Target(info) => {
                for lack in &info.lacks {
                    self.out.say("console", lack);
                }
                debuggee.info = info;
            }
            Event::Run(Run::Stopped(stop)) => {
                debuggee.runs = false;
                debuggee.stop = Some(stop);
            }
            Event::Run(Run::Running | Run::Starting | Run::Stopping) => debuggee.runs = true,
            Event::Run(Run::Ended(why)) => self.ended(&why),
            Event::Serial(bytes) => {
                debuggee.serial.extend_from_slice(&bytes);
                self.write_serial(false);
            }
            Event::Work(work) => self.progress_of_work(&work),
            Event::Progress(progress) => self.progress_of_run(&progress),
            Event::Notice(line) => self.out.say("console", &line),
            Event::Said {
                breakpoint,
                line,
                answer,
            } => {
                let lines = match answer {
                    Ok(answer) => text::lines(&answer),
                    Err(failure) => vec![failure.to_string()],
                };
                self.out
                    .say("console", &format!("breakpoint {breakpoint}: {line}"));
                self.out.say("console", &lines.join("\n"));
            }
            _ => {}
        }
    }

    /// Shows what the guest has written: whole lines, or all of it.
    pub(super) fn write_serial(&mut self, all: bool) {
        let Some(debuggee) = &mut self.debuggee else {
            return;
        };
        let text = debuggee.written(all);
        if !text.is_empty() {
            let body = json!({"category": "stdout", "output": text});
            self.out.event("output", body);
        }
    }

    /// The target is gone; told once.
    pub(super) fn ended(&mut self, why: &str) {
        self.write_serial(true);
        self.progress_ends();
        let Some(debuggee) = &mut self.debuggee else {
            return;
        };
        if debuggee.ended.is_some() {
            return;
        }
        debuggee.ended = Some(why.to_owned());
        debuggee.runs = false;
        debuggee.forget();
        let under_way = debuggee.under_way.take();
        let asked_by = under_way.and_then(|run| run.asked_by);
        if let Some(seq) = asked_by {
            self.out.respond(
                seq,
                "evaluate",
                Ok(json!({"result": why, "variablesReference": 0})),
            );
        }
        // Before, it is the answer to launch or attach.
        if debuggee.is_open {
            self.out.say("console", why);
            self.out.event("terminated", json!({}));
        }
    }

    /// Lets the target run; the editor is told when it stands again.
    pub(super) fn let_run(&mut self, command: Command, asked_by: Option<i64>) {
        let Some(debuggee) = &mut self.debuggee else {
            return;
        };
        debuggee.forget();
        let title = progress::title(&command);
        let id = debuggee.handle.send(command);
        debuggee.under_way = Some(UnderWay {
            id,
            asked_by,
            title,
        });
        if asked_by.is_some() {
            let body = json!({"threadId": 1, "allThreadsContinued": true});
            self.out.event("continued", body);
        }
    }

    pub(super) fn run_is_over(&mut self, asked_by: Option<i64>, answer: Result<Answer, Failure>) {
        self.progress_ends();
        if let Some(seq) = asked_by {
            let result = match &answer {
                Ok(answer) => Ok(json!({
                    "result": text::lines(answer).join("\n"),
                    "variablesReference": 0,
                })),
                Err(failure) => Err(failure.clone().into()),
            };
            self.out.respond(seq, "evaluate", result);
        }
        match answer {
            Ok(Answer::Stopped(stop)) => {
                if asked_by.is_none() {
                    self.say_stop(&stop);
                }
                self.stands_at(&stop, None);
            }
            // It has run to its end, which is told by another event.
            Ok(_) => {}
            Err(failure) => {
                if asked_by.is_none() {
                    self.out.say("important", &failure.to_string());
                }
                self.tell_where_it_stands(None);
            }
        }
    }

    /// # Errors
    /// When the target runs, or is gone.
    pub(super) fn standing(&mut self, doing: &str) -> Result<&mut Debuggee, Refusal> {
        let debuggee = self.session()?;
        if let Some(why) = &debuggee.ended {
            return Err(Refusal::new(doing, why.clone(), "launch or attach again"));
        }
        if debuggee.runs() {
            return Err(Refusal::new(doing, "the target runs", "pause it first"));
        }
        Ok(debuggee)
    }

    pub(super) fn tell_where_it_stands(&mut self, why: Option<&str>) {
        let stop = match &self.debuggee {
            Some(debuggee) if debuggee.ended.is_none() => debuggee.stop.clone(),
            _ => None,
        };
        if let Some(stop) = stop {
            self.say_stop(&stop);
            self.stands_at(&stop, why);
        }
    }

    /// Everything that the editor shows of the target may be another.
    pub(super) fn invalidate(&mut self) {
        if let Some(debuggee) = &mut self.debuggee {
            debuggee.forget();
        }
        if self.client.invalidates {
            let body: Value = json!({"areas": ["all"]});
            self.out.event("invalidated", body);
        }
    }
}
