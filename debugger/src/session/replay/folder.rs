//! What is kept of a recorded run: how it was started, what came from outside, snapshots, marks.
//!
//! ```text
//! FOLDER/replay.toml       image, mode, command line, memory, QEMU's version, the last position
//! FOLDER/events            QEMU's own: what came from outside, and when
//! FOLDER/snapshots.qcow2   the machine's state at its start, and wherever a replay has kept it
//! FOLDER/marks.toml        positions with names
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::marks::Mark;
use crate::crossing::Mode;
use crate::qemu::arguments::Machine;
use crate::qemu::image::Image;
use crate::qemu::replay::{Replay, Way};

/// By which such a folder is known.
pub const MANIFEST: &str = "replay.toml";
const MARKS: &str = "marks.toml";
const EVENTS: &str = "events";
const SNAPSHOTS: &str = "snapshots.qcow2";

/// The program that makes an empty file for snapshots, and the Debian package it comes in.
const MAKER: &str = "qemu-img";
const MAKERS_PACKAGE: &str = "qemu-utils";

/// Of the file for snapshots, which grows with them: the guest never sees it.
const SIZE: &str = "64M";

/// 2 is without an HPET.
const SCHEMA: u32 = 2;

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error(
        "opening the recorded run {}: it has no {MANIFEST}; 'uklscope record IMAGE -o FOLDER' makes one",
        folder.display()
    )]
    NoManifest { folder: PathBuf },
    #[error("reading {}: {found}; record the run again", path.display())]
    Bad { path: PathBuf, found: String },
    #[error("reading {}: its schema is {found}, this program reads {SCHEMA}; record the run again", path.display())]
    OtherSchema { path: PathBuf, found: u32 },
    #[error("recording to {}: it is there already; give another folder, or remove it", folder.display())]
    Exists { folder: PathBuf },
    #[error("writing {}: {source}; check the folder's permissions and the space left", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "making a file for snapshots: {found}; install {MAKER}: apt-get install {MAKERS_PACKAGE}"
    )]
    NoMaker { found: String },
    #[error(
        "opening the image that was recorded, {}: {found}; build it again, and record the run again",
        image.display()
    )]
    NoImage { image: PathBuf, found: String },
    #[error(
        "opening the image that was recorded, {}: it was built anew since, its build-id is {here}, recorded was \
         {recorded}; record the run again",
        image.display()
    )]
    OtherImage {
        image: PathBuf,
        recorded: String,
        here: String,
    },
    #[error(
        "replaying: it was recorded with QEMU {recorded}, this is {here}; record the run again, or name that QEMU with \
         UKLSCOPE_QEMU"
    )]
    OtherQemu { recorded: String, here: String },
}

/// All that a replay must have as the recording had it: QEMU stands still without a word where it
/// differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    schema: u32,
    /// The image's folder.
    pub image: PathBuf,
    pub build_id: String,
    pub mode: Mode,
    /// The kernel's command line.
    pub append: String,
    pub memory_mib: u32,
    pub ports: Vec<u16>,
    pub shift: u32,
    /// QEMU's version.
    pub qemu: String,
    /// The last position that was seen, in instructions since the machine's reset.
    pub end: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, with an empty file for snapshots.
    ///
    /// # Errors
    /// When it is there, cannot be written, or there is no program to make the file.
    pub fn make(path: &Path) -> Result<Self, FolderError> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(FolderError::Exists {
                    folder: path.to_owned(),
                });
            }
            made => made.map_err(|source| FolderError::Write {
                path: path.to_owned(),
                source,
            })?,
        }
        let folder = Self {
            path: path.to_owned(),
        };
        let made = Command::new(MAKER)
            .args(["create", "-q", "-f", "qcow2"])
            .arg(folder.snapshots())
            .arg(SIZE)
            .output();
        let found = match made {
            Ok(output) if output.status.success() => return Ok(folder),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => format!("{MAKER}: {error}"),
        };
        folder.remove();
        Err(FolderError::NoMaker { found })
    }

    /// A folder that was recorded to.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(path: &Path) -> Result<(Self, Manifest), FolderError> {
        let folder = Self {
            path: path.to_owned(),
        };
        let file = path.join(MANIFEST);
        let text = fs::read_to_string(&file).map_err(|_| FolderError::NoManifest {
            folder: path.to_owned(),
        })?;
        let manifest: Manifest = toml::from_str(&text).map_err(|error| FolderError::Bad {
            path: file.clone(),
            found: error.message().to_owned(),
        })?;
        match manifest.schema {
            SCHEMA => Ok((folder, manifest)),
            found => Err(FolderError::OtherSchema { path: file, found }),
        }
    }

    /// Says what was recorded: from here on it can be opened.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(
        &self,
        image: &Image,
        machine: &Machine,
        mode: Mode,
        shift: u32,
        qemu: &str,
        end: u64,
    ) -> Result<(), FolderError> {
        let folder = std::path::absolute(&image.folder).unwrap_or_else(|_| image.folder.clone());
        let manifest = Manifest {
            schema: SCHEMA,
            image: folder,
            build_id: image.manifest.build_id.clone(),
            mode,
            append: machine.append.clone(),
            memory_mib: machine.memory_mib,
            ports: machine.ports.clone(),
            shift,
            qemu: qemu.to_owned(),
            end,
        };
        self.write(MANIFEST, &manifest)
    }

    /// How QEMU is told of it: with its snapshots, to go back.
    #[must_use]
    pub fn replay(&self, way: Way, shift: u32) -> Replay {
        Replay {
            snapshots: Some(self.snapshots()),
            ..self.once(way, shift)
        }
    }

    /// The same from its beginning to its end.
    #[must_use]
    pub fn once(&self, way: Way, shift: u32) -> Replay {
        Replay {
            way,
            events: self.path.join(EVENTS),
            snapshots: None,
            shift,
        }
    }

    /// None where there are none, or the file is none of ours.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let text = fs::read_to_string(self.path.join(MARKS)).unwrap_or_default();
        toml::from_str::<Marks>(&text).unwrap_or_default().marks
    }

    pub(super) fn keep_marks(&self, marks: &[Mark]) -> Result<(), FolderError> {
        let marks = marks.to_vec();
        self.write(MARKS, &Marks { marks })
    }

    /// With all that is in it; what cannot be removed stays.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }

    /// Bytes on disk: the events, the snapshots.
    #[must_use]
    pub fn sizes(&self) -> (u64, u64) {
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        (size(self.path.join(EVENTS)), size(self.snapshots()))
    }

    fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let failed = |source| FolderError::Write {
            path: path.clone(),
            source,
        };
        let text = toml::to_string(value).map_err(|error| failed(io::Error::other(error)))?;
        fs::write(&path, text).map_err(failed)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Marks {
    #[serde(default)]
    marks: Vec<Mark>,
}
