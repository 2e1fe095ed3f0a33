//! Writes a recording as it is made: whatever was written before can be read, however it ends.

use std::io;

use serde::Serialize;
use wire::Word;

use super::layout::{
    Buckets, CLASSES, END, Filter, HEAD, Head, INDEX, Index, MACHINE, MADE, Made, Part, RUN,
    Records, RunHead, STATES, STRETCH, SUMMARY, Stretch, TASKS,
};
use super::states::{self, Machine, STATES_PER_BLOCK, State};
use super::{MAGIC, VERSION, codec, frame};
use crate::trace::report::Report;
use crate::trace::timeline::{SCALES, Summary, Walk};

/// Records of a stretch: what is unpacked to see any of them.
const STRETCH_RECORDS: usize = 1 << 16;
/// Buckets of a summary's part.
const PART_BUCKETS: usize = 512;
/// So that damage is local, and a reader needs little memory.
const CLASSES_PER_BLOCK: usize = 16;
/// Once for all.
const LEVEL: i32 = 9;
/// While the guest runs.
const FAST_LEVEL: i32 = 1;

/// Records of one vCPU, as a probe hands them over.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    pub vcpu: u32,
    /// Counts a vCPU's chunks from 0.
    pub sequence: u64,
    /// The whole clock when it was begun; its records lie less than 2³² after it.
    pub clock: u64,
    /// Records of this vCPU dropped before it, in all.
    pub lost: u64,
    pub records: &'a [u64],
}

#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    at: u64,
    index: Index,
    runs: u32,
    /// The run whose records are being written.
    open: Option<Open>,
    /// Records of a stretch, at least.
    stretch: usize,
    /// States that wait to be written.
    states: Vec<State>,
}

#[derive(Debug)]
struct Open {
    walk: Walk,
    cpus: Vec<Cpu>,
}

#[derive(Debug)]
struct Cpu {
    stretch: Stretch,
    records: Vec<u64>,
    /// The clock before the first of them.
    clock: u64,
    summary: Summary,
    /// What the next chunk's is, where none is missing.
    sequence: u64,
    lost: u64,
}

impl<W: io::Write> Writer<W> {
    /// # Errors
    /// As all of these: when it cannot be written.
    pub fn begin(mut out: W, head: &Head) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut writer = Self {
            out,
            at: MAGIC.len() as u64 + 2,
            index: Index::default(),
            runs: 0,
            open: None,
            stretch: STRETCH_RECORDS,
            states: Vec::new(),
        };
        writer.json(HEAD, head)?;
        Ok(writer)
    }

    /// With stretches so short that a test has many.
    #[cfg(test)]
    pub(super) fn with_stretches(self, stretch: usize) -> Self {
        Self { stretch, ..self }
    }

    /// A run begins whose records are kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn run(&mut self, made: &Made) -> io::Result<()> {
        self.note(MADE);
        let whole = packed(made)?;
        self.block(MADE, &self.runs.to_le_bytes(), &whole, FAST_LEVEL)?;
        self.open = Some(Open {
            walk: Walk::new(made.functions()),
            cpus: Vec::new(),
        });
        Ok(())
    }

    /// Records of the run that was begun.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn take(&mut self, chunk: Chunk<'_>) -> io::Result<()> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let done = self.take_into(&mut open, chunk);
        self.open = Some(open);
        done
    }

    fn take_into(&mut self, open: &mut Open, chunk: Chunk<'_>) -> io::Result<()> {
        let vcpu = chunk.vcpu as usize;
        while open.cpus.len() <= vcpu {
            let number = u32::try_from(open.cpus.len()).unwrap_or(0);
            open.cpus.push(Cpu::new(number, self.runs, &open.walk));
        }
        let cpu = &mut open.cpus[vcpu];
        // A chunk may come in pieces.
        let follows = chunk.sequence == cpu.sequence || chunk.sequence + 1 == cpu.sequence;
        let gap = !follows || chunk.lost != cpu.lost;
        let far = chunk.clock.saturating_sub(open.walk.clock(vcpu)) >> 32 != 0;
        let full = cpu.records.len() >= self.stretch;
        if gap || (far || full) && !open.walk.is_between(vcpu) {
            self.seal(&mut open.walk, cpu)?;
        }
        if gap {
            let lost = chunk.lost.saturating_sub(cpu.lost);
            cpu.stretch.lost = lost;
            cpu.summary.lose(lost, chunk.clock);
            open.walk.gap(vcpu, chunk.clock);
        }
        cpu.sequence = chunk.sequence + 1;
        cpu.lost = chunk.lost;
        let Some(first) = chunk.records.first() else {
            return Ok(());
        };
        if cpu.records.is_empty() {
            #[expect(clippy::cast_possible_truncation, reason = "the low half")]
            let since = (*first as u32).wrapping_sub(chunk.clock as u32);
            cpu.stretch.first = chunk.clock + u64::from(since);
            open.walk.begin(vcpu);
            cpu.clock = open.walk.clock(vcpu);
        }
        cpu.records.extend(chunk.records);
        open.walk
            .take(vcpu, chunk.clock, chunk.records, &mut cpu.summary);
        if cpu
            .summary
            .done
            .iter()
            .any(|done| done.len() >= PART_BUCKETS)
        {
            self.summarise(cpu, PART_BUCKETS)?;
        }
        Ok(())
    }

    /// Writes the records that wait, if any do.
    fn seal(&mut self, walk: &mut Walk, cpu: &mut Cpu) -> io::Result<()> {
        if cpu.records.is_empty() {
            return Ok(());
        }
        let vcpu = cpu.stretch.vcpu as usize;
        let mut columns = Vec::new();
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        codec::encode(&cpu.records, cpu.stretch.first as u32, &mut columns);
        let tasks = walk.firsts(vcpu).to_vec();
        let stretch = &mut cpu.stretch;
        stretch.last = walk.clock(vcpu);
        stretch.count = u32::try_from(cpu.records.len()).unwrap_or(u32::MAX);
        // One that has more tasks than a meta can hold names none: it may have any.
        stretch.tasks = tasks.iter().map(|task| task.number).collect();
        if stretch.tasks.len() > MOST_TASKS {
            stretch.tasks.clear();
        }
        for raw in &cpu.records {
            let word = Word((raw >> 32) as u32);
            if word.kind().is_some_and(wire::Kind::enters) {
                stretch.functions.put(word.function());
            }
        }
        let whole = packed(&Records {
            clock: cpu.clock,
            tasks,
            columns,
        })?;
        let meta = packed(&*stretch)?;
        self.index.stretches.push((self.at, stretch.clone()));
        self.block(STRETCH, &meta, &whole, FAST_LEVEL)?;
        cpu.records.clear();
        cpu.stretch = Stretch {
            run: stretch.run,
            vcpu: stretch.vcpu,
            sequence: stretch.sequence + 1,
            ..Stretch::default()
        };
        Ok(())
    }

    /// Writes the buckets of every scale that has at least so many.
    fn summarise(&mut self, cpu: &mut Cpu, least: usize) -> io::Result<()> {
        for scale in 0..SCALES {
            if cpu.summary.done[scale].len() < least {
                continue;
            }
            let buckets: Buckets = std::mem::take(&mut cpu.summary.done[scale]);
            for buckets in buckets.chunks(PART_BUCKETS) {
                let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
                    continue;
                };
                let part = Part {
                    run: cpu.stretch.run,
                    vcpu: cpu.stretch.vcpu,
                    scale: u8::try_from(scale).unwrap_or(0),
                    first: first.number,
                    last: last.number,
                };
                self.index.parts.push((self.at, part.clone()));
                let meta = packed(&part)?;
                self.block(SUMMARY, &meta, &packed(&buckets)?, FAST_LEVEL)?;
            }
        }
        Ok(())
    }

    /// The states that follow are this machine's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn machine(&mut self, machine: &Machine) -> io::Result<()> {
        self.note(MACHINE);
        self.block(MACHINE, &[], &packed(machine)?, LEVEL)
    }

    /// The machine at a side of a crossing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn state(&mut self, state: State) -> io::Result<()> {
        self.states.push(state);
        if self.states.len() >= STATES_PER_BLOCK {
            self.write_states()?;
        }
        Ok(())
    }

    fn write_states(&mut self) -> io::Result<()> {
        if self.states.is_empty() {
            return Ok(());
        }
        let states = std::mem::take(&mut self.states);
        let whole = states::encode(&states).map_err(io::Error::other)?;
        self.note(STATES);
        self.block(STATES, &[], &whole, LEVEL)
    }

    /// The run ends with its report, whether its records are kept or not.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn report(&mut self, report: &Report) -> io::Result<()> {
        if let Some(mut open) = self.open.take() {
            for cpu in &mut open.cpus {
                self.seal(&mut open.walk, cpu)?;
                cpu.summary.finish();
                self.summarise(cpu, 1)?;
            }
            let known = open.walk.tasks().iter().filter(|task| task.address != 0);
            let tasks: Vec<_> = known.map(|task| (task.number, task.address)).collect();
            self.note(TASKS);
            self.block(TASKS, &[], &packed(&tasks)?, FAST_LEVEL)?;
        }
        self.write_states()?;
        let classes = &report.classes;
        let head = RunHead {
            report: Report {
                classes: Vec::new(),
                ..report.clone()
            },
            classes: classes.len(),
        };
        self.json(RUN, &head)?;
        for classes in classes.chunks(CLASSES_PER_BLOCK) {
            self.json(CLASSES, &classes)?;
        }
        self.runs += 1;
        Ok(())
    }

    /// Hands on what was written: whoever ends this program does not take it away.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes the index and the end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let index = self.at;
        let whole = packed(&self.index)?;
        self.block(INDEX, &[], &whole, FAST_LEVEL)?;
        self.block(END, &end_meta(index, self.runs), &[], FAST_LEVEL)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.at
    }

    fn json(&mut self, kind: u8, value: &impl Serialize) -> io::Result<()> {
        self.note(kind);
        let whole = serde_json::to_vec(value)?;
        self.block(kind, &[], &whole, LEVEL)
    }

    fn note(&mut self, kind: u8) {
        self.index.others.push((kind, self.at));
    }

    fn block(&mut self, kind: u8, meta: &[u8], whole: &[u8], level: i32) -> io::Result<()> {
        self.at += frame::write(&mut self.out, kind, meta, whole, level)?;
        Ok(())
    }
}

/// Tasks that a stretch names in its meta.
const MOST_TASKS: usize = 4096;

impl Cpu {
    fn new(vcpu: u32, run: u32, walk: &Walk) -> Self {
        Self {
            stretch: Stretch {
                run,
                vcpu,
                functions: Filter::default(),
                ..Stretch::default()
            },
            records: Vec::with_capacity(STRETCH_RECORDS * 2),
            clock: 0,
            summary: Summary::new(walk.functions()),
            sequence: 0,
            lost: 0,
        }
    }
}

/// Where the index begins, and how many runs there are.
pub(super) fn end_meta(index: u64, runs: u32) -> [u8; 12] {
    let mut meta = [0; 12];
    meta[..8].copy_from_slice(&index.to_le_bytes());
    meta[8..].copy_from_slice(&runs.to_le_bytes());
    meta
}

fn packed(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}
