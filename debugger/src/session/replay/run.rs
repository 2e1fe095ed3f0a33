//! A recorded run: what a machine has to have to do it once more.

use std::path::Path;

use super::folder::{Folder, FolderError, Manifest};
use crate::crossing::Mode;
use crate::qemu::arguments::Machine;
use crate::qemu::image::Image;
use crate::qemu::replay::Way;
use crate::session::{process, store};

/// A folder that was recorded to, and the image that ran.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    pub image: Image,
    pub(super) folder: Folder,
    pub(super) manifest: Manifest,
}

impl RecordedRun {
    /// # Errors
    /// When it is no such folder, or the image is not there as it was recorded.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let (folder, manifest) = Folder::open(path)?;
        let image = image_of(&manifest)?;
        Ok(Self {
            image,
            folder,
            manifest,
        })
    }

    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.manifest.mode
    }

    /// Makes a machine do it again: once, to its end, or so that it can go back.
    pub(in crate::session) fn repeat(&self, machine: &mut Machine, back: bool) {
        let shift = self.manifest.shift;
        machine.replay = Some(match back {
            true => self.folder.replay(Way::Replay, shift),
            false => self.folder.once(Way::Replay, shift),
        });
        machine.append.clone_from(&self.manifest.append);
        machine.memory_mib = self.manifest.memory_mib;
        machine.ports.clone_from(&self.manifest.ports);
        machine.smp = 1;
    }

    /// Before it is started: another version of QEMU may execute something else, and stands still then without a
    /// word, or has another machine than that of the snapshots, and ends.
    pub(in crate::session) fn same_qemu(&self, machine: &Machine) -> Result<(), FolderError> {
        match process::version(machine) {
            Ok(here) if here != self.manifest.qemu => Err(FolderError::OtherQemu {
                recorded: self.manifest.qemu.clone(),
                here,
            }),
            // One that cannot be asked cannot be started either, which says why.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// The image that was recorded, unless another one has taken its place.
fn image_of(manifest: &Manifest) -> Result<Image, FolderError> {
    let at = manifest.image.clone();
    let image = store::image(&at.display().to_string()).map_err(|error| FolderError::NoImage {
        image: at.clone(),
        found: error.to_string(),
    })?;
    match image.manifest.build_id == manifest.build_id {
        true => Ok(image),
        false => Err(FolderError::OtherImage {
            image: at,
            recorded: manifest.build_id.clone(),
            here: image.manifest.build_id,
        }),
    }
}
