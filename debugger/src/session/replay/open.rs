//! Opening a recorded run: the image is booted with all that came from outside as it came then.

use std::path::{Path, PathBuf};

use super::Replay;
use super::folder::{Folder, FolderError, Manifest};
use crate::qemu::image::Image;
use crate::qemu::replay::Way;
use crate::session::boot::{Again, boot};
use crate::session::engine::Engine;
use crate::session::options::{BootOptions, StopAt};
use crate::session::store;
use crate::session::trouble::{Trouble, failure_of};
use crate::session::{Handle, Session, live};

/// A replay stands still where its events end: so many instructions before, it does not.
const BEFORE_THE_END: u64 = 1_000;

impl Session {
    /// Replays a folder that was recorded to.
    #[must_use]
    pub fn replay(folder: PathBuf, stop_at: StopAt, profile: Option<PathBuf>) -> Handle {
        Handle::start(move |port| {
            live::serve(port, |port| {
                let (folder, manifest) = Folder::open(&folder).map_err(|error| told(&error))?;
                let image = image_of(&manifest)?;
                let options = BootOptions {
                    mode: Some(manifest.mode),
                    stop_at,
                    profile,
                    ..BootOptions::default()
                };
                let again = Again {
                    replay: folder.replay(Way::Replay, manifest.shift),
                    append: manifest.append.clone(),
                    memory_mib: manifest.memory_mib,
                    ports: manifest.ports.clone(),
                    qemu: manifest.qemu.clone(),
                    known: Replay {
                        end: Some(manifest.end.saturating_sub(BEFORE_THE_END)),
                        marks: folder.marks(),
                        kept: Some(folder),
                        ..Replay::default()
                    },
                };
                boot(port, &image, &options, Some(again))
            })
        })
    }
}

fn told(error: &FolderError) -> Trouble {
    Trouble::from(failure_of(&error.to_string()))
}

/// The image that was recorded, unless another one has taken its place.
fn image_of(manifest: &Manifest) -> Result<Image, Trouble> {
    let tried = || {
        format!(
            "opening the image that was recorded, {}",
            manifest.image.display()
        )
    };
    let image = read_image(&manifest.image).map_err(|error| {
        Trouble::new(tried(), error, "build it again, and record the run again")
    })?;
    if image.manifest.build_id != manifest.build_id {
        return Err(Trouble::new(
            tried(),
            format!(
                "it was built anew since: its build-id is {}, recorded was {}",
                image.manifest.build_id, manifest.build_id
            ),
            "record the run again",
        ));
    }
    Ok(image)
}

fn read_image(folder: &Path) -> Result<Image, String> {
    store::image(&folder.display().to_string()).map_err(|error| error.to_string())
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
