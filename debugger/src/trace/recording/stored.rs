//! A recording to be looked at: reports at once, records and summaries where they are asked for.

use std::collections::HashMap;
use std::ops::Range;

use memmap2::Mmap;
use wire::record::SWITCH_NUMBERS;
use wire::{Kind, Record};

use super::events::Events;
use super::frame::Block;
use super::index::{self, Found, unpacked};
use super::layout::{
    Buckets, CLASSES, HEAD, Head, INDEX, MACHINE, MADE, Made, Part, RUN, Records, RunHead, STATES,
    STRETCH, Stretch, TASKS,
};
use super::states::{self, Machine, State};
use super::{Issue, MAGIC, NoRecording, Recording, VERSION, codec, old};
use crate::addr::Addr;
use crate::origin::Origin;
use crate::trace::functions::Functions;
use crate::trace::report::{Class, Report};
use crate::trace::timeline::{
    Bucket, Follow, SCALES, Span, Spans, Summary, TaskState, Walk, origins, shift,
};

/// Records that a stretch may have: more is damage.
const MOST_RECORDS: u32 = 1 << 24;

/// Buckets of a scale that are made anew.
const MOST_MENDED: u64 = 1 << 20;

/// A file's bytes: mapped, or read where that cannot be.
#[derive(Debug)]
pub enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
pub struct Stored<B = Bytes> {
    bytes: B,
    head: Head,
    runs: Vec<Run>,
    issues: Vec<Issue>,
}

/// What is known of a run without its records.
#[derive(Debug, Default)]
pub struct Run {
    /// What was folded of it; none where the recording ended before.
    pub report: Option<Report>,
    /// How it was made; none where its records were not kept.
    pub made: Option<Made>,
    pub functions: Functions,
    /// What a [`TaskShare`](crate::trace::timeline::TaskShare) counts by.
    pub origins: Vec<Origin>,
    /// Where the stack pointers of its tasks are kept, by the numbers that its records are followed by.
    tasks: HashMap<u32, u64>,
    /// By vCPU, in order, with the place of each.
    pub(super) stretches: Vec<Vec<(usize, Stretch)>>,
    parts: Vec<(usize, Part)>,
    /// Where its machine is described, and where its states are.
    machine: Option<usize>,
    states: Vec<usize>,
    /// Buckets that were not written, by vCPU and scale.
    mended: Vec<[Vec<Bucket>; SCALES]>,
}

impl Run {
    /// What the guest calls a task of its records, `redis-server/1`, where that is known.
    #[must_use]
    pub fn task_label(&self, number: u32) -> Option<String> {
        let address = Addr(*self.tasks.get(&number)?);
        let mut tasks = self.report.iter().flat_map(|report| &report.tasks);
        tasks.find(|task| task.address == address)?.label()
    }

    /// Its records were kept, and it was not written to its end.
    #[must_use]
    pub fn is_unfolded(&self) -> bool {
        self.report.is_none() && self.made.is_some() && self.records() > 0
    }

    /// vCPUs whose records were kept.
    #[must_use]
    pub fn vcpus(&self) -> u32 {
        u32::try_from(self.stretches.len()).unwrap_or(0)
    }

    fn place(&mut self, kind: u8, at: usize) {
        match kind {
            MACHINE => self.machine = Some(at),
            _ => self.states.push(at),
        }
    }

    /// A vCPU's stretches, in order.
    pub fn stretches(&self, vcpu: u32) -> impl DoubleEndedIterator<Item = &Stretch> {
        self.of(vcpu).iter().map(|(_, stretch)| stretch)
    }

    pub(super) fn of(&self, vcpu: u32) -> &[(usize, Stretch)] {
        self.stretches.get(vcpu as usize).map_or(&[], Vec::as_slice)
    }

    /// The whole clock of a vCPU's first record, and one past that of its last.
    #[must_use]
    pub fn extent(&self, vcpu: u32) -> Range<u64> {
        let of = self.of(vcpu);
        match (of.first(), of.last()) {
            (Some((_, first)), Some((_, last))) => first.first..last.last.saturating_add(1),
            _ => 0..0,
        }
    }

    /// Whether the machine was kept at its crossings.
    #[must_use]
    pub const fn has_states(&self) -> bool {
        self.machine.is_some() && !self.states.is_empty()
    }

    /// Records kept.
    #[must_use]
    pub fn records(&self) -> u64 {
        let all = self.stretches.iter().flatten();
        all.map(|(_, stretch)| u64::from(stretch.count)).sum()
    }

    /// The stretches that a range of the clock touches.
    pub(super) fn touched(&self, vcpu: u32, range: &Range<u64>) -> &[(usize, Stretch)] {
        let of = self.of(vcpu);
        let from = of.partition_point(|(_, stretch)| stretch.last < range.start);
        let to = of.partition_point(|(_, stretch)| stretch.first < range.end);
        &of[from.min(to)..to]
    }
}

impl<B: AsRef<[u8]>> Stored<B> {
    /// Reads what is known of the runs, and no records.
    ///
    /// # Errors
    /// When the bytes are no recording, or not even its head is readable.
    pub fn open(bytes: B) -> Result<Self, NoRecording> {
        let all = bytes.as_ref();
        let rest = all
            .strip_prefix(MAGIC.as_slice())
            .ok_or(NoRecording::Magic)?;
        let version = rest.first_chunk::<2>().ok_or(NoRecording::Head)?;
        let start = MAGIC.len() + 2;
        let (head, runs, issues) = match u16::from_le_bytes(*version) {
            VERSION => load(all, start)?,
            old::VERSION => {
                let (recording, issues) = old::decode(all, start)?;
                let run = |report| Run {
                    report: Some(report),
                    ..Run::default()
                };
                let runs = recording.runs.into_iter().map(run).collect();
                (recording.head, runs, issues)
            }
            other => return Err(NoRecording::Version(other)),
        };
        let mut stored = Self {
            bytes,
            head,
            runs,
            issues,
        };
        for run in 0..stored.runs.len() {
            if stored.runs[run].report.is_none() {
                stored.mend(run);
            }
        }
        Ok(stored)
    }

    pub(super) fn mended(&mut self, run: usize, report: Report, issue: Issue) {
        self.runs[run].report = Some(report);
        self.issues.push(issue);
    }

    pub(super) const fn bytes(&self) -> &B {
        &self.bytes
    }

    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// What is missing.
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Whether the records of any run were kept.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.runs.iter().any(|run| run.records() > 0)
    }

    /// Whether the machine of any run was kept at its crossings.
    #[must_use]
    pub fn has_states(&self) -> bool {
        self.runs.iter().any(Run::has_states)
    }

    /// The reports alone.
    #[must_use]
    pub fn recording(&self) -> Recording {
        let reports = self.runs.iter().filter_map(|run| run.report.clone());
        Recording {
            head: self.head.clone(),
            runs: reports.collect(),
        }
    }

    /// What holds at all states of a run; none where it has none.
    #[must_use]
    pub fn machine(&self, run: usize) -> Option<Machine> {
        let at = self.runs.get(run)?.machine?;
        unpacked(&Block::at(self.bytes.as_ref(), at).ok()?)
    }

    /// How many blocks a run's states are in.
    #[must_use]
    pub fn state_blocks(&self, run: usize) -> usize {
        self.runs.get(run).map_or(0, |run| run.states.len())
    }

    /// The states of one block, in order; none where it is damaged.
    #[must_use]
    pub fn states(&self, run: usize, block: usize) -> Option<Vec<State>> {
        let at = *self.runs.get(run)?.states.get(block)?;
        states::decode(&Block::at(self.bytes.as_ref(), at).ok()?.unpack()?)
    }

    /// What is recorded of a vCPU in a range of its clock, in order.
    #[must_use]
    pub fn events(&self, run: usize, vcpu: u32, range: Range<u64>) -> Events<'_> {
        let stretches = self
            .runs
            .get(run)
            .map_or(&[][..], |run| run.touched(vcpu, &range));
        Events::new(self.bytes.as_ref(), stretches, range)
    }

    /// Follows the calls of a vCPU through a range of its clock, from the beginning of the stretch that
    /// it begins in; what is open at the end is closed as not returned. Stretches that cannot be read are
    /// told and left out.
    pub fn walk(
        &self,
        run: usize,
        vcpu: u32,
        range: &Range<u64>,
        follow: &mut impl Follow,
    ) -> Vec<Issue> {
        let Some(run) = self.runs.get(run) else {
            return Vec::new();
        };
        let mut issues = Vec::new();
        let mut walk = Walk::new(run.functions.clone());
        let (cpu, mut end) = (vcpu as usize, None);
        for (at, stretch) in run.touched(vcpu, range) {
            let Some((from, records)) = records(self.bytes.as_ref(), *at, stretch) else {
                issues.push(Issue::Damaged { at: *at });
                continue;
            };
            if stretch.lost > 0 || end != Some(stretch.sequence) {
                walk.give_up(cpu, follow);
            }
            end = Some(stretch.sequence + 1);
            // Further back than any record lies: damage.
            let near = stretch.first.wrapping_sub(from.clock) >> 32 == 0;
            let clock = if near { from.clock } else { stretch.first };
            walk.take_up(cpu, &from.tasks, clock);
            if let Some(first) = from.tasks.first() {
                follow.switched(first.number, stretch.first);
            }
            walk.take(cpu, stretch.first, &records, follow);
        }
        walk.give_up(cpu, follow);
        issues
    }

    /// The calls of a vCPU that overlap a range of its clock: outer ones before those they made.
    #[must_use]
    pub fn spans(&self, run: usize, vcpu: u32, range: Range<u64>) -> (Vec<Span>, Vec<Issue>) {
        let mut spans = Spans::new(vcpu, range.clone());
        let issues = self.walk(run, vcpu, &range, &mut spans);
        (spans.sorted(), issues)
    }

    /// A vCPU's buckets of a scale that touch a range of its clock, in order; those without anything are
    /// not there.
    #[must_use]
    pub fn summary(
        &self,
        run: usize,
        vcpu: u32,
        scale: usize,
        range: &Range<u64>,
    ) -> (Vec<Bucket>, Vec<Issue>) {
        let (mut found, mut issues) = (Vec::new(), Vec::new());
        let Some(run) = self.runs.get(run) else {
            return (found, issues);
        };
        let shift = shift(scale);
        let (first, last) = (range.start >> shift, range.end.saturating_sub(1) >> shift);
        let mine = |part: &Part| {
            part.vcpu == vcpu
                && usize::from(part.scale) == scale
                && part.first <= last
                && part.last >= first
        };
        for (at, _) in run.parts.iter().filter(|(_, part)| mine(part)) {
            let block = Block::at(self.bytes.as_ref(), *at).ok();
            let buckets: Option<Buckets> = block.as_ref().and_then(unpacked);
            match buckets {
                Some(buckets) => found.extend(buckets),
                None => issues.push(Issue::Damaged { at: *at }),
            }
        }
        let mended = run.mended.get(vcpu as usize);
        found.extend(
            mended
                .into_iter()
                .flat_map(|scales| &scales[scale])
                .cloned(),
        );
        found.retain(|bucket| (first..=last).contains(&bucket.number));
        (found, issues)
    }

    /// The records of a stretch as they were written, for who wants to fold them.
    #[must_use]
    pub fn raw(&self, run: usize, vcpu: u32, sequence: usize) -> Option<(&Stretch, Vec<u64>)> {
        let (at, stretch) = self.runs.get(run)?.of(vcpu).get(sequence)?;
        let (_, records) = records(self.bytes.as_ref(), *at, stretch)?;
        Some((stretch, records))
    }

    /// Makes what the writer would have written at its end, had it come to it.
    fn mend(&mut self, number: usize) {
        for vcpu in 0..self.runs[number].vcpus() {
            let mut mended: [Vec<Bucket>; SCALES] = Default::default();
            for scale in 0..SCALES {
                let parts = self.runs[number].parts.iter().map(|(_, part)| part);
                let mine = parts
                    .filter(|part| part.vcpu == vcpu && usize::from(part.scale) == scale)
                    .map(|part| part.last + 1);
                let end = self.runs[number].extent(vcpu).end;
                let first = mine.max().unwrap_or(0);
                let first = first.max((end >> shift(scale)).saturating_sub(MOST_MENDED));
                let range = first << shift(scale)..end;
                if scale == 0 {
                    let functions = &self.runs[number].functions;
                    let mut summary = Summary::new(functions).up_to(end);
                    let _ = self.walk(number, vcpu, &range, &mut summary);
                    summary.finish();
                    mended[0] = std::mem::take(&mut summary.done[0]);
                } else {
                    let (mut below, _) = self.summary(number, vcpu, scale - 1, &range);
                    below.extend(mended[scale - 1].iter().cloned());
                    mended[scale] = merged(&below, scale);
                }
                mended[scale].retain(|bucket| bucket.number >= first);
            }
            self.runs[number].mended.push(mended);
        }
    }
}

/// Buckets of the scale below as those of a scale.
fn merged(below: &[Bucket], scale: usize) -> Vec<Bucket> {
    let step = shift(scale) - shift(scale - 1);
    let mut out: Vec<Bucket> = Vec::new();
    for bucket in below {
        let number = bucket.number >> step;
        match out.last_mut() {
            Some(last) if last.number == number => last.add(bucket),
            _ => {
                let mut new = Bucket {
                    number,
                    ..Bucket::default()
                };
                new.add(bucket);
                out.push(new);
            }
        }
    }
    out
}

/// Who ran when a stretch began.
#[derive(Debug)]
pub(super) struct From {
    clock: u64,
    tasks: Vec<TaskState>,
}

/// A stretch's beginning and its records; `None` where it is damaged.
pub(super) fn records(bytes: &[u8], at: usize, stretch: &Stretch) -> Option<(From, Vec<u64>)> {
    let block = Block::at(bytes, at)
        .ok()
        .filter(|block| block.kind == STRETCH)?;
    if stretch.count > MOST_RECORDS {
        return None;
    }
    let Records {
        clock,
        tasks,
        columns,
    } = unpacked(&block)?;
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    let records = codec::decode(&columns, stretch.first as u32, stretch.count as usize)?;
    let sound = records.is_empty() || end(stretch.first, &records) == Some(stretch.last);
    sound.then_some((From { clock, tasks }, records))
}

/// The whole clock of the last of records, where none goes back: one that did would look like 2³² instructions.
fn end(first: u64, records: &[u64]) -> Option<u64> {
    let mut whole = first;
    let mut records = records.iter();
    while let Some(raw) = records.next() {
        let record = Record::decode(*raw);
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let since = record.clock.wrapping_sub(whole as u32);
        whole = whole.checked_add(since.into())?;
        if record.word.kind() == Some(Kind::Switch) {
            records.nth(SWITCH_NUMBERS - 1);
        }
    }
    Some(whole)
}

/// The run that has not ended yet.
fn open_run(runs: &mut Vec<Run>) -> &mut Run {
    if runs.last().is_none_or(|run| run.report.is_some()) {
        runs.push(Run::default());
    }
    let last = runs.len() - 1;
    &mut runs[last]
}

type Loaded = (Head, Vec<Run>, Vec<Issue>);

fn load(bytes: &[u8], start: usize) -> Result<Loaded, NoRecording> {
    let Found {
        index,
        mut issues,
        runs: written,
    } = index::find(bytes, start);
    let mut head: Option<Head> = None;
    let mut runs: Vec<Run> = Vec::new();
    let mut classes: Vec<usize> = Vec::new();
    for (kind, at) in index.others {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let block = Block::at(bytes, at).ok().filter(|block| block.kind == kind);
        // They are large, and looked at where they are asked for.
        if matches!(kind, MACHINE | STATES) {
            match block {
                Some(_) => open_run(&mut runs).place(kind, at),
                None => issues.push(Issue::Damaged { at }),
            }
            continue;
        }
        let payload = block.as_ref().and_then(Block::unpack);
        let read = payload.and_then(|payload| match kind {
            HEAD => serde_json::from_slice(&payload)
                .ok()
                .map(|read| head = Some(read)),
            MADE => postcard::from_bytes(&payload).ok().map(|made: Made| {
                let functions = made.functions();
                runs.push(Run {
                    origins: origins(&functions),
                    functions,
                    made: Some(made),
                    ..Run::default()
                });
            }),
            RUN => serde_json::from_slice(&payload).ok().map(|read: RunHead| {
                classes.resize(runs.len(), 0);
                match runs.last_mut().filter(|run| run.report.is_none()) {
                    Some(run) => run.report = Some(read.report),
                    None => runs.push(Run {
                        report: Some(read.report),
                        ..Run::default()
                    }),
                }
                classes.resize(runs.len(), 0);
                classes[runs.len() - 1] = read.classes;
            }),
            CLASSES => serde_json::from_slice(&payload)
                .ok()
                .map(|read: Vec<Class>| {
                    if let Some(report) = runs.last_mut().and_then(|run| run.report.as_mut()) {
                        report.classes.extend(read);
                    }
                }),
            TASKS => postcard::from_bytes(&payload)
                .ok()
                .map(|read: Vec<(u32, u64)>| {
                    if let Some(run) = runs.last_mut() {
                        run.tasks = read.into_iter().collect();
                    }
                }),
            INDEX => Some(()),
            // A kind of a later version of this format: not ours to judge.
            _ => Some(()),
        });
        if read.is_none() {
            issues.push(Issue::Damaged { at });
        }
    }
    let mut head = head.ok_or(NoRecording::Head)?;
    for (at, stretch) in index.stretches {
        let (run, vcpu) = (stretch.run as usize, stretch.vcpu as usize);
        let Some(run) = runs.get_mut(run).filter(|_| vcpu < 1 << 12) else {
            continue;
        };
        if run.stretches.len() <= vcpu {
            run.stretches.resize_with(vcpu + 1, Vec::new);
        }
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let of = &mut run.stretches[vcpu];
        let follows = |(_, before): &(usize, Stretch)| {
            before.last <= stretch.first && before.sequence < stretch.sequence
        };
        if stretch.first <= stretch.last && of.last().is_none_or(follows) {
            of.push((at, stretch));
        } else {
            issues.push(Issue::Damaged { at });
        }
    }
    for (at, part) in index.parts {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(run) = runs.get_mut(part.run as usize) {
            run.parts.push((at, part));
        }
    }
    for (at, (run, written)) in runs.iter().zip(classes).enumerate() {
        let found = run.report.as_ref().map_or(0, |report| report.classes.len());
        if found != written {
            let run = at + 1;
            issues.push(Issue::Classes {
                run,
                found,
                written,
            });
        }
    }
    let found = runs.iter().filter(|run| run.report.is_some()).count();
    let written = written.unwrap_or(head.runs);
    if found != written && written > 0 {
        issues.push(Issue::Runs { found, written });
    }
    head.runs = found;
    Ok((head, runs, issues))
}
