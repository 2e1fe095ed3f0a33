//! Threads, and the one stack over both worlds.

use debugger::command::{Command, Info};
use debugger::event::{Answer, Frame};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};

/// More frames than a stack has.
const FRAMES: u32 = 4096;

/// A row of the stack as the editor is shown it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    id: u32,
    body: Value,
}

/// What the number of a frame stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameId {
    pub(super) vcpu: u32,
    pub(super) n: u32,
    /// The line that tells of the crossing above it.
    pub(super) is_label: bool,
}

impl FrameId {
    fn number(self) -> u32 {
        1 + 2 * (self.vcpu * FRAMES + self.n) + u32::from(self.is_label)
    }

    pub(super) fn of(number: u32) -> Self {
        let number = number.saturating_sub(1);
        Self {
            vcpu: number / 2 / FRAMES,
            n: number / 2 % FRAMES,
            is_label: number % 2 == 1,
        }
    }
}

/// Threads count from 1, vCPUs from 0.
pub(super) fn vcpu(thread: u32) -> u32 {
    thread.saturating_sub(1)
}

pub(super) fn thread(vcpu: u32) -> u32 {
    vcpu + 1
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StackTrace {
    thread_id: u32,
    #[serde(default)]
    start_frame: usize,
    #[serde(default)]
    levels: usize,
}

impl Adapter<'_> {
    pub(super) fn threads(&mut self, _: &Request) -> Result<Reply, Refusal> {
        let debuggee = self.session()?;
        let mut names: Vec<String> = (0..debuggee.info.vcpus)
            .map(|vcpu| format!("cpu{vcpu}"))
            .collect();
        if !debuggee.runs()
            && debuggee.ended.is_none()
            && let Answer::Threads(list) = self.ask(Command::Info(Info::Threads))?
        {
            names = list.iter().map(|one| one.state.clone()).collect();
        }
        let threads: Vec<Value> = (1_u32..)
            .zip(names)
            .map(|(id, name)| json!({"id": id, "name": name}))
            .collect();
        Ok(Reply::Body(json!({"threads": threads})))
    }

    pub(super) fn stack_trace(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: StackTrace = request.arguments()?;
        let vcpu = vcpu(asked.thread_id);
        self.standing("following the stack")?;
        let stack = self.stack_of(vcpu)?;
        let levels = match asked.levels {
            0 => stack.len(),
            levels => levels,
        };
        let rows = stack.iter().skip(asked.start_frame).take(levels);
        let rows: Vec<&Value> = rows.map(|entry| &entry.body).collect();
        let body = json!({"stackFrames": rows, "totalFrames": stack.len()});
        Ok(Reply::Body(body))
    }

    /// As it was told, or is now to be told.
    fn stack_of(&mut self, vcpu: u32) -> Result<&[Entry], Refusal> {
        if !self.session()?.stacks.contains_key(&vcpu) {
            let stack = self.stack(vcpu)?;
            self.session()?.stacks.insert(vcpu, stack);
        }
        let stack = self.session()?.stacks.get(&vcpu);
        Ok(stack.map_or(&[], Vec::as_slice))
    }

    /// The frame or crossing of this number, which has to be one of this stop.
    pub(super) fn frame_told(&mut self, number: u32) -> Result<FrameId, Refusal> {
        let id = FrameId::of(number);
        let unknown = || {
            Refusal::new(
                "looking at a frame",
                format!("no frame of this stop has the number {number}"),
                "ask for the stack again",
            )
        };
        if id.vcpu >= self.session()?.info.vcpus {
            return Err(unknown());
        }
        let stack = self.stack_of(id.vcpu)?;
        let is_there = stack.iter().any(|entry| entry.id == number);
        is_there.then_some(id).ok_or_else(unknown)
    }

    fn stack(&mut self, vcpu: u32) -> Result<Vec<Entry>, Refusal> {
        self.select(vcpu, 0)?;
        let Answer::Backtrace(frames) = self.ask(Command::Backtrace { limit: None })? else {
            return Ok(Vec::new());
        };
        let mut stack = Vec::new();
        for frame in &frames {
            if let Some(kind) = frame.crossing {
                let call = frame.call.as_deref().unwrap_or_default();
                let id = FrameId {
                    vcpu,
                    n: frame.n,
                    is_label: true,
                };
                let name = format!("══ {kind} {call} ══");
                stack.push(Entry {
                    id: id.number(),
                    body: json!({
                        "id": id.number(), "name": name, "line": 0, "column": 0,
                        "presentationHint": "label",
                    }),
                });
            }
            stack.push(self.entry(vcpu, frame)?);
        }
        Ok(stack)
    }

    fn entry(&mut self, vcpu: u32, frame: &Frame) -> Result<Entry, Refusal> {
        let place = &frame.place;
        let id = FrameId {
            vcpu,
            n: frame.n,
            is_label: false,
        };
        let symbol = match &place.symbol {
            Some(symbol) => symbol.clone(),
            None => format!("{:?}", place.addr),
        };
        let from = place.origin.to_string();
        let inlined = if frame.inlined { " (inlined)" } else { "" };
        let mut body = json!({
            "id": id.number(),
            "name": format!("{from}!{symbol}{inlined}"),
            "moduleId": from,
            "line": 0,
            "column": 0,
            "instructionPointerReference": format!("{:?}", place.addr),
        });
        if let Some((source, line)) = self.source_of(place)? {
            body["source"] = source;
            body["line"] = json!(line - 1 + self.client.first_line);
            body["column"] = json!(self.client.first_column);
        }
        Ok(Entry {
            id: id.number(),
            body,
        })
    }

    /// Of a frame whose number the editor gives; the innermost of the stop where it gives none.
    pub(super) fn select_frame(&mut self, number: Option<u32>) -> Result<FrameId, Refusal> {
        let id = match number {
            Some(number) => FrameId::of(number),
            None => FrameId {
                vcpu: self.session()?.stop.as_ref().map_or(0, |stop| stop.vcpu.0),
                n: 0,
                is_label: false,
            },
        };
        self.select(id.vcpu, id.n)?;
        Ok(id)
    }

    /// Whether it is the innermost crossing on its stack.
    pub(super) fn is_last_crossing(&mut self, number: u32) -> bool {
        let id = FrameId::of(number);
        let stack = self
            .debuggee
            .as_ref()
            .and_then(|debuggee| debuggee.stacks.get(&id.vcpu));
        let labels = stack.and_then(|stack| stack.iter().find(|one| FrameId::of(one.id).is_label));
        labels.is_some_and(|first| first.id == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frames_number_stands_for_its_place() {
        for vcpu in [0, 1, 63] {
            for n in [0, 1, 127] {
                for is_label in [false, true] {
                    let id = FrameId { vcpu, n, is_label };
                    assert_eq!(FrameId::of(id.number()), id);
                    assert!(id.number() > 0);
                }
            }
        }
        FrameId::of(u32::MAX);
        FrameId::of(0);
    }
}
