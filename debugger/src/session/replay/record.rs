//! Recording a run: QEMU keeps what comes from outside, so that the run can be had again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::folder::{Folder, FolderError};
use super::worked::Worked;
use crate::crossing::Mode;
use crate::qemu::arguments::{GdbServer, Machine};
use crate::qemu::forward::Forward;
use crate::qemu::image::Image;
use crate::qemu::replay::{SHIFT, Way};
use crate::session::monitor::MonitorError;
use crate::session::process::{Qemu, QemuError};

/// Between two looks at the machine.
const LOOK: Duration = Duration::from_millis(5);

/// Until QEMU has written its file and ended.
const FINISH: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordOptions {
    /// The image's own default when not given.
    pub mode: Option<Mode>,
    /// How many operations the application does, where it can be told.
    pub calls: Option<u64>,
    /// More for the kernel's command line.
    pub append: Option<String>,
    /// Of the host's clock; until the guest ends when not given.
    pub lasts: Option<Duration>,
    /// The QEMU that is started, in place of the usual one.
    pub qemu: Option<PathBuf>,
}

/// What a recording has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Instructions, from the machine's reset to where it can be replayed: where the guest switches
    /// itself off some milliseconds of the host's before that.
    pub end: u64,
    /// The guest has ended by itself.
    pub whole: bool,
    pub took: Duration,
    /// Bytes of events and of snapshots.
    pub bytes: (u64, u64),
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Qemu(#[from] QemuError),
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    #[error("recording: {image} has no mode {mode}; it has {modes}")]
    NoMode {
        image: String,
        mode: Mode,
        modes: String,
    },
    #[error(
        "recording: QEMU has ended ({0}), and what it has written cannot be replayed; record again"
    )]
    Died(String),
    #[error("recording: QEMU did not say how far it came ({0}); record again")]
    NoPosition(String),
}

/// Runs the image until it ends, the time is over, or `stop` says so. What the guest writes goes to
/// `serial`; `begins` is told once the machine runs, with the ports it is reached at.
///
/// # Errors
/// When the folder is there, QEMU cannot be started, or ends too early. Nothing is left behind then.
pub fn record(
    image: &Image,
    options: &RecordOptions,
    to: &Path,
    begins: &mut dyn FnMut(&[Forward]),
    stop: &mut dyn FnMut() -> bool,
    serial: &mut dyn FnMut(&[u8]),
) -> Result<Recorded, RecordError> {
    let mode = options.mode.unwrap_or(image.manifest.default_mode);
    if !image.manifest.modes.contains(&mode) {
        let modes: Vec<&str> = image
            .manifest
            .modes
            .iter()
            .map(|mode| mode.name())
            .collect();
        return Err(RecordError::NoMode {
            image: image.manifest.name.clone(),
            mode,
            modes: modes.join(", "),
        });
    }
    let folder = Folder::make(to)?;
    let recorded = record_to(&folder, image, mode, options, begins, stop, serial);
    if recorded.is_err() {
        folder.remove();
    }
    recorded
}

fn record_to(
    folder: &Folder,
    image: &Image,
    mode: Mode,
    options: &RecordOptions,
    begins: &mut dyn FnMut(&[Forward]),
    stop: &mut dyn FnMut() -> bool,
    serial: &mut dyn FnMut(&[u8]),
) -> Result<Recorded, RecordError> {
    let mut machine = Machine::of(image, mode, options.calls);
    machine.stopped_at_start = false;
    machine.gdb = GdbServer::None;
    machine.replay = Some(folder.replay(Way::Record, SHIFT));
    if let Some(qemu) = &options.qemu {
        machine.program.clone_from(qemu);
    }
    if let Some(more) = &options.append {
        machine.append.push(' ');
        machine.append.push_str(more);
    }
    let began = Instant::now();
    let mut qemu = Qemu::start(&machine)?;
    let version = qemu.monitor().version().to_owned();
    begins(&qemu.forwards()?);
    let mut worked = Worked::of(&mut qemu.monitor())?;
    let mut end = 0;
    let whole = loop {
        while let Ok(bytes) = qemu.serial().try_recv() {
            serial(&bytes);
        }
        if let Some(how) = qemu.ended() {
            return Err(RecordError::Died(how));
        }
        // Where the machine was seen to run last: a replay cannot be moved from where it switches
        // itself off, and the position that QEMU tells then lies behind that.
        let at = match worked.again() {
            true => Some(position(&mut qemu)?),
            false => None,
        };
        if qemu.monitor().has_come("SHUTDOWN")? {
            break true;
        }
        end = at.unwrap_or(end);
        if stop() || options.lasts.is_some_and(|lasts| began.elapsed() >= lasts) {
            qemu.monitor().execute("stop", None)?;
            end = position(&mut qemu)?;
            break false;
        }
        std::thread::sleep(LOOK);
    };
    // It writes the end of its file as it ends.
    match qemu.monitor().execute("quit", None) {
        Ok(_) | Err(MonitorError::Closed) => {}
        Err(error) => return Err(error.into()),
    }
    if !qemu.wait_for_end(FINISH) {
        return Err(RecordError::Died(format!("not even in {FINISH:?}")));
    }
    while let Ok(bytes) = qemu.serial().try_recv() {
        serial(&bytes);
    }
    folder.finish(image, &machine, mode, SHIFT, &version, end)?;
    Ok(Recorded {
        end,
        whole,
        took: began.elapsed(),
        bytes: folder.sizes(),
    })
}

fn position(qemu: &mut Qemu) -> Result<u64, RecordError> {
    let answer = qemu.monitor().execute("query-replay", None)?;
    let position = answer["icount"].as_u64();
    position.ok_or_else(|| RecordError::NoPosition(answer.to_string()))
}
