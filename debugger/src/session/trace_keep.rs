//! Writes a recording with its records while the guest runs, on a thread of its own.
//!
//! What waits to be written is bounded: where the disk or the thread is slower than the guest, the guest
//! waits, or its records are dropped and counted, as it does for the fold.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::trace_file::{RecordingError, part_name};
use crate::trace::recording::{Chunk, Head, Made, Writer};
use crate::trace::report::Report;

/// Chunks that may wait: 4 MiB.
const WAITING: usize = 64;

enum Message {
    Run(Box<Made>),
    Chunk(Copied),
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
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Run(_) => "Run",
            Self::Chunk(_) => "Chunk",
            Self::Report(_) => "Report",
        })
    }
}

impl Keeper {
    /// Begins a recording beside that name, which it gets when it is whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(path: &Path, head: &Head) -> Result<Self, RecordingError> {
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
        })
    }

    /// Where what is written so far can be opened.
    #[must_use]
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// A run begins.
    pub fn run(&mut self, made: Made) {
        self.send(Message::Run(Box::new(made)));
    }

    /// Takes records, and waits for room. False: they cannot be written, as [`Keeper::finish`] tells.
    pub fn take(&mut self, chunk: Chunk<'_>) -> bool {
        let mut records = self.free.try_recv().unwrap_or_default();
        records.clear();
        records.extend(chunk.records);
        let head = Chunk {
            records: &[],
            ..chunk
        };
        self.send(Message::Chunk(Copied { head, records }))
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

    fn send(&self, message: Message) -> bool {
        self.send
            .as_ref()
            .is_some_and(|send| send.send(message).is_ok())
    }
}

/// Until there are no more messages, or one of them cannot be written.
fn write(
    mut writer: Writer<BufWriter<File>>,
    messages: &Receiver<Message>,
    give: &Sender<Vec<u64>>,
) -> io::Result<Kept> {
    let mut kept = Kept::default();
    for message in messages {
        let began = Instant::now();
        match message {
            Message::Run(made) => writer.run(&made)?,
            Message::Report(report) => writer.report(&report)?,
            Message::Chunk(Copied { head, records }) => {
                kept.records += records.len() as u64;
                writer.take(Chunk {
                    records: &records,
                    ..head
                })?;
                // Where nobody waits for buffers this one is let go.
                let _ = give.try_send(records);
            }
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
