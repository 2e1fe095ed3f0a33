//! Opening a recorded run: the image is booted with all that came from outside as it came then.

use std::path::PathBuf;

use super::Replay;
use super::folder::FolderError;
use super::run::RecordedRun;
use super::told::Told;
use crate::session::boot::{Again, boot};
use crate::session::engine::Engine;
use crate::session::options::{BootOptions, ReplayOptions};
use crate::session::trouble::{Trouble, failure_of};
use crate::session::{Handle, Session, live};

/// A replay stands still where its events end: so many instructions before, it does not.
const BEFORE_THE_END: u64 = 1_000;

impl Session {
    /// Replays a folder that was recorded to.
    #[must_use]
    pub fn replay(folder: PathBuf, options: ReplayOptions) -> Handle {
        Handle::start(move |port| {
            live::serve(port, |port| {
                let run = RecordedRun::open(&folder)?;
                let options = BootOptions {
                    mode: Some(run.mode()),
                    stop_at: options.stop_at,
                    profile: options.profile,
                    qemu: options.qemu,
                    ..BootOptions::default()
                };
                let known = Replay {
                    end: Some(run.manifest.end.saturating_sub(BEFORE_THE_END)),
                    marks: run.folder.marks(),
                    kept: Some(run.folder.clone()),
                    told: Told::from_reset(),
                    ..Replay::default()
                };
                let image = run.image.clone();
                boot(port, &image, &options, Some(Again { run, known }))
            })
        })
    }
}

impl From<FolderError> for Trouble {
    fn from(error: FolderError) -> Self {
        Self::from(failure_of(&error.to_string()))
    }
}

impl Engine {
    /// Of a machine that replays: what is kept of it already.
    pub(in crate::session) fn begin_replay(&mut self, known: Replay) -> Result<(), Trouble> {
        if self.target.replays() {
            let snapshots = self.target.snapshots()?;
            self.replay = Some(Replay { snapshots, ..known });
        }
        Ok(())
    }
}
