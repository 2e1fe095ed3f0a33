//! Writes a recording with its records while the guest runs, on a thread of its own.
//!
//! What waits to be written is bounded: where the disk or the thread is slower than the guest, the guest
//! waits, or its records are dropped and counted, as it does for the fold.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::process;
use super::trace::{TraceOptions, Traced, trace_and_record};
use super::trace_error::TraceError;
use super::trace_file::{self, RecordingError, part_name};
use super::trace_last::Last;
use crate::event::Event;
use crate::profile::Profile;
use crate::qemu::image::Image;
use crate::trace::recording::{Chunk, Head, Machine as Recorded, Made, State, Stored, Writer};
use crate::trace::records::Recorder;
use crate::trace::report::Report;
use crate::trace::sites::SiteTable;

/// Chunks that may wait: 4 MiB.
const WAITING: usize = 64;

/// What a program that is killed takes with it at most: records are far smaller in the file than in memory, so
/// that a full buffer may hold a minute of them.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

enum Message {
    Run(Box<Made>),
    Chunk(Copied),
    Machine(Box<Recorded>),
    State(Box<State>),
    Report(Box<Report>),
}

/// A chunk with records of its own.
struct Copied {
    head: Chunk<'static>,
    records: Vec<u64>,
}

/// What keeping the records has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kept {
    pub records: u64,
    /// Of the machine.
    pub states: u64,
    /// Of the whole file.
    pub bytes: u64,
    /// That the writing thread was at work.
    pub busy: Duration,
}

/// A recording that is being written. What was written of one that is dropped stays, under the name that
/// [`Keeper::part`] tells, and can be opened.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    part: PathBuf,
    send: Option<Sender<Message>>,
    /// Buffers that have been written.
    free: Receiver<Vec<u64>>,
    thread: Option<JoinHandle<io::Result<Kept>>>,
    /// How the run is made that begins next.
    next: Option<Made>,
    /// Set to end a run whose records cannot be written.
    cancel: Arc<AtomicBool>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Run(_) => "Run",
            Self::Chunk(_) => "Chunk",
            Self::Machine(_) => "Machine",
            Self::State(_) => "State",
            Self::Report(_) => "Report",
        })
    }
}

impl Keeper {
    /// Begins a recording beside that name, which it gets when it is whole. `cancel` is set when it cannot
    /// be written any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(
        path: &Path,
        head: &Head,
        cancel: Arc<AtomicBool>,
    ) -> Result<Self, RecordingError> {
        // A pipe or a device is written to as it is.
        let special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let part = if special {
            path.to_owned()
        } else {
            part_name(path)
        };
        let failed = |source| RecordingError::Write {
            path: path.to_owned(),
            source,
        };
        let file = if special {
            File::options().write(true).open(&part)
        } else {
            File::create(&part)
        };
        let out = BufWriter::with_capacity(1 << 20, file.map_err(failed)?);
        let writer = Writer::begin(out, head).map_err(failed)?;
        let (send, receive) = bounded(WAITING);
        let (give, free) = bounded(WAITING);
        let thread = thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || write(writer, &receive, &give))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            part,
            send: Some(send),
            free,
            thread: Some(thread),
            next: None,
            cancel,
        })
    }

    /// Where what is written so far can be opened.
    #[must_use]
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// The next run is made so; its functions are told when it begins.
    pub fn next(&mut self, made: Made) {
        self.next = Some(made);
    }

    /// The states that follow are this machine's.
    pub fn machine(&mut self, machine: Recorded) {
        self.send(Message::Machine(Box::new(machine)));
    }

    pub fn state(&mut self, state: State) {
        self.send(Message::State(Box::new(state)));
    }

    /// The run ends.
    pub fn report(&mut self, report: Report) {
        self.send(Message::Report(Box::new(report)));
    }

    /// Writes what is left, and gives the recording its name.
    ///
    /// # Errors
    /// When it could not be written whole. What was written stays under the name that
    /// [`Keeper::part`] tells.
    pub fn finish(mut self) -> Result<Kept, RecordingError> {
        drop(self.send.take());
        let joined = self.thread.take().map(JoinHandle::join);
        let written = match joined {
            Some(Ok(written)) => written,
            _ => Err(io::Error::other("the thread that writes it has ended")),
        };
        let named = written.and_then(|kept| {
            if self.part != self.path {
                fs::rename(&self.part, &self.path)?;
            }
            Ok(kept)
        });
        named.map_err(|source| RecordingError::Unfinished {
            path: self.path.clone(),
            part: self.part.clone(),
            source,
        })
    }

    /// Waits for room. Why it cannot be written is told by [`Keeper::finish`].
    fn send(&self, message: Message) {
        let sent = self.send.as_ref().map(|send| send.send(message));
        if !matches!(sent, Some(Ok(()))) {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }
}

impl Recorder for Keeper {
    fn begin(&mut self, table: &SiteTable) {
        if let Some(mut made) = self.next.take() {
            made.profile = (**table.functions.profile()).clone();
            made.functions = Made::named(&table.functions, &table.sites);
            self.send(Message::Run(Box::new(made)));
        }
    }

    fn take(&mut self, chunk: Chunk<'_>) {
        let mut copy = self.free.try_recv().unwrap_or_default();
        copy.clear();
        copy.extend(chunk.records);
        let head = Chunk {
            records: &[],
            ..chunk
        };
        self.send(Message::Chunk(Copied {
            head,
            records: copy,
        }));
    }
}

/// Until there are no more messages, or one of them cannot be written.
fn write(
    mut writer: Writer<BufWriter<File>>,
    messages: &Receiver<Message>,
    give: &Sender<Vec<u64>>,
) -> io::Result<Kept> {
    let mut kept = Kept::default();
    let mut flushed = Instant::now();
    loop {
        let message = match messages.recv_timeout(FLUSH_EVERY) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let began = Instant::now();
        match message {
            Some(Message::Run(made)) => writer.run(&made)?,
            Some(Message::Report(report)) => writer.report(&report)?,
            Some(Message::Machine(machine)) => writer.machine(&machine)?,
            Some(Message::State(state)) => {
                kept.states += 1;
                writer.state(*state)?;
            }
            Some(Message::Chunk(Copied { head, records })) => {
                kept.records += records.len() as u64;
                writer.take(Chunk {
                    records: &records,
                    ..head
                })?;
                // Where nobody waits for buffers this one is let go.
                let _ = give.try_send(records);
            }
            None => {}
        }
        if flushed.elapsed() >= FLUSH_EVERY {
            writer.flush()?;
            flushed = Instant::now();
        }
        kept.busy += began.elapsed();
    }
    let file = writer
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    // A pipe has nothing to be synchronised.
    let _ = file.sync_all();
    kept.bytes = file.metadata()?.len();
    Ok(kept)
}

/// Traces as [`trace_and_record`], and keeps the records as the recording's next run: of one with a snapshot
/// the last ones.
///
/// # Errors
/// As [`trace_and_record`]; what was written of the run stays without a report.
pub fn trace_into(
    image: &Image,
    options: &TraceOptions,
    keeper: &mut Keeper,
    tell: &mut dyn FnMut(Event),
) -> Result<Traced, TraceError> {
    keeper.next(Made {
        mode: options.setup.clone(),
        engine: "plugin".to_owned(),
        // Empty where it cannot be asked.
        qemu: process::says(&options.machine(image)).unwrap_or_default(),
        plugin: format!("{}, layout {}", env!("CARGO_PKG_VERSION"), wire::VERSION),
        append: options.machine(image).append,
        profile: (*Profile::linux()).clone(),
        request: image.manifest.request.clone(),
        functions: Vec::new(),
    });
    let cancel = Arc::clone(&keeper.cancel);
    let traced = match &options.snapshot {
        Some(snapshot) => {
            let mut last = Last::new(snapshot.records);
            let traced = trace_and_record(image, options, &cancel, tell, &mut last)?;
            last.hand_on(keeper);
            traced
        }
        None => trace_and_record(image, options, &cancel, tell, keeper)?,
    };
    keeper.report(traced.report.clone());
    Ok(traced)
}

/// Traces, and hands over the run with its records, which are in a file that has no name any more.
///
/// # Errors
/// A sentence: what was tried, what was found, and the next step.
pub fn trace_and_keep(
    image: &Image,
    options: &TraceOptions,
    cancel: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(Event),
) -> Result<Stored, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| {
        format!("making a folder for the records: {error}; free some space in the folder for temporary files")
    })?;
    let path = folder.path().join("run.uklrec");
    let mut keeper = Keeper::begin(&path, &trace_file::head(image), Arc::clone(cancel))
        .map_err(|error| said(&error))?;
    trace_into(image, options, &mut keeper, tell).map_err(|error| said(&error))?;
    keeper.finish().map_err(|error| said(&error))?;
    trace_file::open(&path).map_err(|error| said(&error))
}
