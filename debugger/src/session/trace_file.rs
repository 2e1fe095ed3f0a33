//! Recordings on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::qemu::image::Image;
use crate::trace::import::{self, NoStacks, Stacks};
use crate::trace::recording::{self, Bytes, Head, Issue, NoRecording, Recording, Stored};
use crate::trace::report::Report;

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("writing the recording {path}: {source}; {}", advice(source))]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "writing the recording {path}: {source}; what was written until then is in {part}, 'uklscope open' shows it"
    )]
    Unfinished {
        path: PathBuf,
        part: PathBuf,
        source: io::Error,
    },
    #[error("reading the recording {path}: {source}; check the name and its permissions")]
    Read { path: PathBuf, source: io::Error },
    #[error("reading the recording {path}: {found}")]
    NotOne { path: PathBuf, found: NoRecording },
    #[error("reading {path}: {found}; check what the file is")]
    NoStacks { path: PathBuf, found: NoStacks },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "nothing was kept: free some space, or name a file on another disk"
        }
        io::ErrorKind::NotFound => "make the folder first",
        _ => "nothing was kept: name another file",
    }
}

/// What is said of an image's runs at a recording's head.
#[must_use]
pub fn head(image: &Image) -> Head {
    let versions = &image.manifest.versions;
    let versions = [
        ("kernel", &versions.kernel),
        ("compiler", &versions.compiler),
        ("libc", &versions.libc),
    ];
    Head {
        image: image.manifest.name.clone(),
        build_id: image.manifest.build_id.clone(),
        versions: versions
            .map(|(what, version)| (what.to_owned(), version.clone()))
            .into(),
        manifest: toml::to_string(&image.manifest).ok(),
        ..head_of(&image.manifest.name)
    }
}

/// The head of a recording of what no manifest describes.
#[must_use]
pub fn head_of(name: &str) -> Head {
    Head {
        image: name.to_owned(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        ..Head::default()
    }
}

/// A recording of runs of one image.
#[must_use]
pub fn recording(image: &Image, runs: Vec<Report>) -> Recording {
    Recording {
        head: Head {
            runs: runs.len(),
            ..head(image)
        },
        runs,
    }
}

/// A recording of what no manifest describes.
#[must_use]
pub fn recording_of(name: &str, runs: Vec<Report>) -> Recording {
    Recording {
        head: Head {
            runs: runs.len(),
            ..head_of(name)
        },
        runs,
    }
}

/// Writes beside the name and renames, so that the name never stands for half a recording.
///
/// # Errors
/// When it cannot be written whole; then nothing is left under that name that was not there before.
pub fn save(path: &Path, recording: &Recording) -> Result<(), RecordingError> {
    let failed = |source| RecordingError::Write {
        path: path.to_owned(),
        source,
    };
    let bytes = recording.encode().map_err(failed)?;
    // A pipe or a device is written to as it is.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.flush()))
            .map_err(failed);
    }
    let part = part_name(path);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&part, path))
        .map_err(|source| {
            // What is left of it is worth nothing; that it cannot be removed either changes nothing.
            let _ = fs::remove_file(&part);
            failed(source)
        })
}

pub(super) fn part_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

/// A recording to be looked at: its reports are read, its records only where they are asked for.
///
/// # Errors
/// When there is no such file, or it is no recording.
pub fn open(path: &Path) -> Result<Stored, RecordingError> {
    stored(path, bytes(path)?)
}

/// A recording, or stacks that were exported or that another tool wrote.
#[derive(Debug)]
pub enum Found {
    Recording(Box<Stored>),
    Stacks(Stacks<'static>),
}

/// What does not begin as a recording is read as folded stacks or as trace events.
///
/// # Errors
/// When there is no such file, or it is none of these.
pub fn find(path: &Path) -> Result<Found, RecordingError> {
    let bytes = bytes(path)?;
    if recording::is_one(bytes.as_ref()) {
        return Ok(Found::Recording(Box::new(stored(path, bytes)?)));
    }
    let stacks = import::read(bytes.as_ref()).map_err(|found| RecordingError::NoStacks {
        path: path.to_owned(),
        found,
    })?;
    Ok(Found::Stacks(stacks.into_owned()))
}

fn bytes(path: &Path) -> Result<Bytes, RecordingError> {
    let read = |source| RecordingError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    let is_file = file.metadata().map_err(read)?.is_file();
    // SAFETY: a recording is appended to or replaced, never changed; where another program cuts it off
    // meanwhile this one ends, as with any mapped file.
    match unsafe { Mmap::map(&file) } {
        Ok(map) if is_file => Ok(Bytes::Mapped(map)),
        _ => Ok(Bytes::Read(fs::read(path).map_err(read)?)),
    }
}

fn stored(path: &Path, bytes: Bytes) -> Result<Stored, RecordingError> {
    Stored::open(bytes).map_err(|found| RecordingError::NotOne {
        path: path.to_owned(),
        found,
    })
}

/// What can be read of a recording's reports, and what is missing. The report of a run that was not written
/// to its end is made of its records.
///
/// # Errors
/// When there is no such file, or it is no recording.
pub fn load(path: &Path) -> Result<(Recording, Vec<Issue>), RecordingError> {
    Ok(refolded(open(path)?))
}

/// As [`load`], of what is open.
#[must_use]
pub fn refolded(mut stored: Stored) -> (Recording, Vec<Issue>) {
    stored.refold();
    (stored.recording(), stored.issues().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Recording {
        Recording {
            head: Head {
                image: "hello".to_owned(),
                tool: "0".to_owned(),
                ..Head::default()
            },
            runs: Vec::new(),
        }
    }

    #[test]
    fn a_recording_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.uklrec");
        save(&path, &empty()).unwrap();
        assert_eq!(load(&path).unwrap(), (empty(), Vec::new()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_is_said_and_nothing_is_kept() {
        let error = save(Path::new("/dev/full"), &empty())
            .unwrap_err()
            .to_string();
        assert!(error.contains("free some space"), "{error}");
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/a.uklrec");
        let error = save(&path, &empty()).unwrap_err().to_string();
        assert!(error.contains("make the folder first"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_recording_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, "hello").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("it is no recording of uklscope"), "{error}");
        assert!(load(&folder.path().join("none")).is_err());
    }
}
