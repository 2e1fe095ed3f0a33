//! Chrome's trace events: a list of them, or an object with `traceEvents`. Complete events (`X`) and pairs of
//! beginnings and ends (`B`, `E`) are calls; of the others only names of processes and threads are read.
//!
//! `ts` and `dur` are microseconds, mostly with a fraction: the weights are nanoseconds. Our own exports say
//! that a microsecond of theirs is an instruction. Of calls along the clock these are the clock's, which goes on
//! while another task runs: what a call itself took stands among its arguments.

mod event;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Deserializer as _;

use self::event::{Event, Ids, Top};
use super::slices::{Mark, Said, Slice, Track, Trouble};
use super::{Format, INSTRUCTIONS, NoStacks, Stacks};
use crate::count::{counted, either};
use crate::origin::Origin;
use crate::trace::flame::Builder;

const ALONG_THE_CLOCK: &str = "these are all calls along the clock, and not those of crossings alone; \
                               'uklscope export FILE --to chrome --classes' writes the crossings";

/// What the events were so far.
#[derive(Debug, Default)]
struct Read<'a> {
    names: Vec<Cow<'a, str>>,
    numbers: HashMap<Cow<'a, str>, u32>,
    tracks: HashMap<Ids<'a>, Track>,
    processes: HashMap<&'a str, String>,
    threads: HashMap<Ids<'a>, String>,
    /// Events of other phases.
    others: u64,
    /// Calls without a time, or with one that is no 64-bit number of nanoseconds.
    timeless: u64,
    /// Written by us: microseconds are instructions, categories are origins.
    ours: bool,
    /// There was a list of events.
    listed: bool,
}

pub(super) fn read(bytes: &[u8]) -> Result<Stacks<'_>, NoStacks> {
    let mut read = Read::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let done = json.deserialize_any(Top(&mut read));
    let broken = done.and_then(|()| json.end()).err();
    let has_calls = read
        .tracks
        .values()
        .any(|track| !track.slices.is_empty() || !track.marks.is_empty());
    match &broken {
        Some(error) if !read.listed => return Err(NoStacks::Json(error.to_string())),
        None if !read.listed => return Err(NoStacks::NoEvents),
        _ if !has_calls => return Err(NoStacks::NoCalls),
        _ => {}
    }
    let mut stacks = read.stacks();
    if let Some(error) = broken {
        stacks.notes.push(format!(
            "what follows line {} column {} is no JSON and is passed over: {error}",
            error.line(),
            error.column()
        ));
    }
    Ok(stacks)
}

impl<'a> Read<'a> {
    fn written_by(&mut self, said: &serde_json::Value) {
        let begins = |member: &str, with| {
            let text = said.get(member).and_then(serde_json::Value::as_str);
            text.is_some_and(|text| text.starts_with(with))
        };
        self.ours = begins("written_by", "uklscope ") && begins("unit", "instructions");
    }

    fn take(&mut self, event: Event<'a>) {
        let (pid, tid) = event.ids();
        match (event.ph.as_ref(), event.name.as_ref()) {
            ("X" | "B" | "E", _) => self.call(event),
            ("M", "process_name") => {
                let name = event.args().name;
                self.processes.extend(name.map(|name| (pid, name)));
            }
            ("M", "thread_name") => {
                let name = event.args().name;
                self.threads.extend(name.map(|name| ((pid, tid), name)));
            }
            ("M", _) => {}
            _ => self.others += 1,
        }
    }

    fn call(&mut self, event: Event<'a>) {
        let Some(at) = event.ts() else {
            self.timeless += 1;
            return;
        };
        // Of our own exports, the category is an origin, or says that it is a class of crossings.
        let origin = event.cat.parse::<Origin>();
        let said = match (event.cat.as_ref(), &origin) {
            ("crossing", _) => event.args().count.map(Said::Times),
            (_, Ok(_)) => event.args().told(),
            (_, Err(_)) => None,
        };
        let (origin, said) = (origin.unwrap_or_default(), said.unwrap_or(Said::Nothing));
        let (ids, length) = (event.ids(), event.dur().unwrap_or(0).max(0));
        let is_whole = event.ph == "X";
        let begins = (event.ph != "E").then(|| (self.number(event.name), origin));
        let track = self.tracks.entry(ids).or_default();
        match begins {
            Some((name, origin)) if is_whole => track.slices.push(Slice {
                start: at,
                end: at.saturating_add(length),
                name,
                origin,
                said,
            }),
            _ => track.marks.push(Mark { at, begins }),
        }
    }

    fn number(&mut self, name: Cow<'a, str>) -> u32 {
        if let Some(known) = self.numbers.get(&name) {
            return *known;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    fn stacks(mut self) -> Stacks<'a> {
        let scale = if self.ours { 1000 } else { 1 };
        let mut builder = Builder::new("all".into(), Origin::Unknown);
        let (mut trouble, mut total) = (Trouble::default(), 0);
        let mut along_the_clock = false;
        let tracks: BTreeMap<_, _> = std::mem::take(&mut self.tracks).into_iter().collect();
        let mut pids: Vec<&str> = tracks.keys().map(|(pid, _)| *pid).collect();
        pids.dedup();
        let (one_process, one_thread) = (pids.len() == 1, tracks.len() == 1);
        let first = pids.first().and_then(|pid| self.processes.get(pid));
        let mode = first.filter(|_| self.ours && one_process);
        let mode = mode.and_then(|name| name.parse().ok());
        for (ids, mut track) in tracks {
            let process = self.processes.get(ids.0).cloned();
            let thread = self.threads.get(&ids).cloned();
            let mut below = Builder::ROOT;
            if !one_process {
                let process = process.unwrap_or_else(|| format!("process {}", ids.0));
                below = builder.child(below, process.into(), Origin::Unknown);
            }
            let thread = thread.unwrap_or_else(|| format!("thread {}", ids.1));
            // Of the classes of our own exports a track is a kind of crossings.
            let is_kind = self.ours && track.slices.iter().any(Slice::is_class);
            along_the_clock |= self.ours && track.slices.iter().any(Slice::is_told);
            if !one_thread && !is_kind {
                below = builder.child(below, thread.clone().into(), Origin::Unknown);
            }
            for slice in &mut track.slices {
                if !self.ours {
                    (slice.origin, slice.said) = (Origin::Unknown, Said::Nothing);
                }
                (slice.start, slice.end) = (slice.start / scale, slice.end / scale);
            }
            for mark in &mut track.marks {
                mark.at /= scale;
                mark.begins = mark.begins.map(|(name, _)| (name, Origin::Unknown));
            }
            let names = &self.names;
            let mut name = |slice: &Slice| {
                let name = names.get(slice.name as usize).cloned().unwrap_or_default();
                match slice.is_class() {
                    true => format!("{thread} {name}").into(),
                    false if name.is_empty() => "(no name)".into(),
                    false => name,
                }
            };
            track.nest(&mut builder, below, &mut name, &mut total, &mut trouble);
        }
        let mut notes = self.notes(&trouble);
        if along_the_clock {
            notes.push(ALONG_THE_CLOCK.to_owned());
        }
        let unit = match (self.ours, trouble.untold) {
            (false, _) => Some("ns".into()),
            (true, 0) => Some(INSTRUCTIONS.into()),
            (true, _) => None,
        };
        Stacks {
            format: Format::Chrome,
            unit,
            mode,
            flame: builder.laid_out(&[Builder::ROOT]),
            notes,
        }
    }

    fn notes(&self, trouble: &Trouble) -> Vec<String> {
        let untold = if self.ours { trouble.untold } else { 0 };
        let passed = [
            (
                self.others,
                "event",
                "is no call and is passed over",
                "are no calls and are passed over",
            ),
            (
                self.timeless,
                "call",
                "has no time and is passed over",
                "have no time and are passed over",
            ),
            (
                trouble.cut,
                "call",
                "ends after its caller: it is cut off there",
                "end after their callers: they are cut off there",
            ),
            (
                trouble.open,
                "call",
                "does not end: it is taken to last to the end of its thread",
                "do not end: they are taken to last to the end of their thread",
            ),
            (
                trouble.ends,
                "call",
                "ends that did not begin: it is passed over",
                "end that did not begin: they are passed over",
            ),
            (
                trouble.huge,
                "call",
                "would make the sum greater than 64 bits: it is passed over",
                "would make the sum greater than 64 bits: they are passed over",
            ),
            (
                untold,
                "call",
                "does not tell its instructions: it weighs how far the clock went on, other tasks and all",
                "do not tell their instructions: they weigh how far the clock went on, other tasks and all",
            ),
            (
                trouble.moved,
                "call",
                "ran on another vCPU as well: on each it weighs at most how far that one's clock went on",
                "ran on another vCPU as well: on each they weigh at most how far that one's clock went on",
            ),
        ];
        let passed = passed.into_iter().filter(|(count, ..)| *count > 0);
        passed
            .map(|(count, thing, one, several)| {
                let (things, what) = (counted(count, thing), either(count, one, several));
                format!("{things} {what}")
            })
            .collect()
    }
}
